// Language and size. A change shows at once, keeps whatever was chosen on the page, and is remembered in a cookie, so
// that the server writes the next page as this one looked.

const ROOT = document.documentElement;
const COOKIE = "huzheng-look";
const books = {};
const followers = [];
let lang = ROOT.lang === "en" ? "en" : "zh-CN";

/** Read the dictionary and bring the two switches to life. Call it once, first. */
export async function ready() {
  await open(lang);
  const big = document.getElementById("switch-big");
  const other = document.getElementById("switch-lang");
  big.addEventListener("click", () => {
    const on = ROOT.classList.toggle("big");
    big.setAttribute("aria-pressed", String(on));
    remember();
    follow();
  });
  other.addEventListener("click", async () => {
    const next = lang === "en" ? "zh-CN" : "en";
    try {
      await open(next);
    } catch (problem) {
      return; // no network: the page stays as it is
    }
    lang = next;
    ROOT.lang = lang;
    other.lang = lang === "en" ? "zh-CN" : "en";
    other.textContent = lang === "en" ? "中文" : "English";
    remember();
    retell();
    follow();
  });
  document.getElementById("switches").hidden = false;
}

/** Call `follower` whenever language or size changes. */
export function onLook(follower) {
  followers.push(follower);
}

/** The text of a key, {placeholders} filled in. */
export function t(key, facts) {
  let text = books[lang][key];
  for (const name of Object.keys(facts || {})) text = text.split("{" + name + "}").join(String(facts[name]));
  return text;
}

/** Whether the dictionary has a key. */
export function has(key) {
  return key in books[lang];
}

/** The side of {zh, en} that is read now. */
export function side(both) {
  return lang === "en" ? both.en : both.zh;
}

/** The same for members like name_zh and name_en. */
export function named(row, name) {
  return row[name + (lang === "en" ? "_en" : "_zh")];
}

/** The window by its name; the bare id of an unnamed one gets the word in front. */
export function windowOf(sheet) {
  return sheet.window_name || t("sheet.window") + " " + sheet.window;
}

/** An instant in the time of the four provinces, which is the citizen's wherever the phone thinks it is. */
export function when(rfc3339) {
  const style = { year: "numeric", month: lang === "en" ? "short" : "long", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false };
  return new Intl.DateTimeFormat(lang, Object.assign({ timeZone: "Asia/Shanghai" }, style)).format(new Date(rfc3339));
}

/** The time of day of an instant, there as well. */
export function timeOf(rfc3339) {
  const style = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: "Asia/Shanghai" };
  return new Intl.DateTimeFormat(lang, style).format(new Date(rfc3339));
}

/** A date of a register ("2016-05-20" or longer), as that day and no other. */
export function day(iso) {
  const style = { year: "numeric", month: lang === "en" ? "short" : "long", day: "numeric", timeZone: "Asia/Shanghai" };
  const instant = iso.length === 10 ? iso + "T00:00:00+08:00" : iso;
  return new Intl.DateTimeFormat(lang, style).format(new Date(instant));
}

async function open(which) {
  if (books[which]) return;
  const answer = await fetch("/phone/texts/" + which + ".json");
  if (!answer.ok) throw new Error("dictionary");
  books[which] = await answer.json();
}

function remember() {
  const size = ROOT.classList.contains("big") ? "big" : "normal";
  document.cookie = COOKIE + "=" + lang + "." + size + ";path=/phone;max-age=31536000;samesite=strict";
}

/** Everything that the server wrote carries its key, or both its languages. */
function retell() {
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
  for (const node of document.querySelectorAll("[data-zh]")) node.textContent = side(node.dataset);
  const heading = document.querySelector("h1");
  const app = document.querySelector(".app");
  if (heading && app) document.title = heading.textContent + " · " + app.textContent;
}

function follow() {
  for (const each of followers) each();
}

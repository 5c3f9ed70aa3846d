/* The counter's page. It decides nothing: it shows the kiosk's state and sends keys to it.

   1. words    the dictionary of the page's language
   2. calls    every call carries the token of this start; an old token means a restarted kiosk: load the page again
   3. polls    the state (with ETag) and the preview, each the next one only after the last one has ended
   4. shows    one function for each part of the page; texts are set only where they change, so that readers are not disturbed
   5. keys     F1 help, F2 cover, F4 own code, F7 change of shift, F8 no phone, F9 report a problem, K keep, P print, Esc clear
   6. camera   frames of the browser's camera, where that source is chosen

   What is typed in place of a scan stands in typed.js, the counter's own code in own_code.js. Somebody without a phone: card.js
   for the cards on the reader, sheet.js for what is read and signed. Two people: two.js. Receipts and evidence: paper.js.
   Who is on duty: duty.js. A problem to report: report.js. A desk that is silent: offline.js.
*/
import { cardView } from "/counter/static/card.js";
import { fieldsInto } from "/counter/static/copy.js";
import { dutyView } from "/counter/static/duty.js";
import { offlineView, saidAlone } from "/counter/static/offline.js";
import { ownCodeView } from "/counter/static/own_code.js";
import { paperView } from "/counter/static/paper.js";
import { reportView } from "/counter/static/report.js";
import { sheetView } from "/counter/static/sheet.js";
import { twoView } from "/counter/static/two.js";
import { typedField, wedge } from "/counter/static/typed.js";

const $ = (id) => document.getElementById(id);
const lang = document.documentElement.lang;
const zh = lang.startsWith("zh");
const token = document.querySelector('meta[name="counter-token"]').content;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

let words = {};
let choices = null;
let state = null;
let etag = "";
let ahead = 0; // ms that the kiosk's clock is ahead of ours
const numbers = { "id-number": "", "partner-number": "" }; // as typed; the fields show them masked
let chosenCard = ""; // that was read for the case, at the simulated reader
let lastState = "";

/* --- words ------------------------------------------------------------------------------ */

function say(key, facts) {
  let text = words[key];
  if (text === undefined) return key;
  for (const [name, value] of Object.entries(facts || {})) text = text.replace(`{${name}}`, value);
  return text;
}
const own = (found, name) => found[`${name}_${zh ? "zh" : "en"}`] || found[`${name}_zh`] || "";

function put(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}
function show(id, yes) {
  $(id).hidden = !yes;
}
function moment(text, withDate) {
  const at = new Date(text);
  const options = { timeZone: "Asia/Shanghai", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
  if (withDate) Object.assign(options, { year: "numeric", month: "2-digit", day: "2-digit" });
  return new Intl.DateTimeFormat(zh ? "zh-CN" : "en-GB", options).format(at);
}
function day(text) {
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  return parts && zh ? `${parts[1]}年${Number(parts[2])}月${Number(parts[3])}日` : text;
}
const provinceName = (code) => {
  const found = choices && choices.provinces.find((each) => each.code === code);
  return found ? own(found, "name") : code || "";
};

/* --- calls ------------------------------------------------------------------------------ */

async function call(method, path, body, headers) {
  const answer = await fetch(`/counter/${path}`, {
    method,
    cache: "no-store",
    headers: { "Counter-Token": token, ...(headers || {}) },
    body: body === undefined ? undefined : body,
  });
  const theirs = Date.parse(answer.headers.get("Server-Time") || "");
  if (!Number.isNaN(theirs)) ahead = theirs - Date.now();
  if (answer.status === 401) {
    location.reload();
    await pause(60000);
  }
  return answer;
}
async function send(path, found) {
  const answer = await call("POST", path, JSON.stringify(found || {}), { "Content-Type": "application/json" });
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  const lang2 = zh ? "zh" : "en";
  const sentence = problem.sentences ? problem.sentences[lang2] : say("problem");
  const next = problem.next && problem.next[lang2] ? ` · ${problem.next[lang2]}` : "";
  throw new Error(sentence + next);
}
async function key(name) {
  try {
    take(await send(name));
    fault("");
  } catch (error) {
    fault(error.message);
  }
}
function fault(text) {
  const idle = !state || state.state === "IDLE";
  for (const [id, mine] of [["fault", idle], ["fault-visit", !idle]]) {
    put(id, mine ? text : "");
    show(id, mine && text !== "");
  }
}

/* --- polls ------------------------------------------------------------------------------ */

async function pollState() {
  for (;;) {
    try {
      const answer = await call("GET", "state", undefined, etag ? { "If-None-Match": etag } : {});
      if (answer.status === 200) {
        const fresh = await answer.json();
        etag = answer.headers.get("ETag") || "";
        take(fresh);
      }
      document.body.dataset.lost = "false";
    } catch {
      document.body.dataset.lost = "true";
      put("foot-heard", say("footer.kiosk_gone"));
    }
    await pause(document.hidden ? 2000 : 350);
  }
}
async function pollPreview() {
  let shown = "";
  for (;;) {
    try {
      const answer = document.hidden || (state && state.covered) ? null : await call("GET", "preview.jpg");
      const has = answer !== null && answer.status === 200;
      if (has) {
        const fresh = URL.createObjectURL(await answer.blob());
        $("preview").src = fresh;
        if (shown) URL.revokeObjectURL(shown);
        shown = fresh;
      }
      if (answer !== null) {
        show("preview", has);
        show("no-picture", !has);
      }
    } catch {
      /* the other poll tells of it */
    }
    await pause(state && state.state === "WAITING" ? 150 : 500);
  }
}

/* --- shows ------------------------------------------------------------------------------ */

const TONES = {
  COVERED: "calm", IDLE: "calm", WAITING: "calm", INVITING: "calm", READING: "calm", CHECKING: "busy", CONFIRMING: "busy",
  SIGNING: "busy", ATTESTING: "busy", SEARCHING: "busy", FETCHING: "busy",
  PASSED: "pass", REFUSED: "refuse", UNDETERMINED: "check",
};
const ENDED = ["PASSED", "REFUSED", "UNDETERMINED"];
const STEPS = {
  COVERED: 0, IDLE: 1, WAITING: 2, INVITING: 2, READING: 2, CHECKING: 2, CONFIRMING: 3, SIGNING: 3, ATTESTING: 3,
  SEARCHING: 4, FETCHING: 4, PASSED: 4, REFUSED: 4, UNDETERMINED: 4,
};

function take(fresh) {
  state = fresh;
  // Covered, the page is not told how the visit stands; so covering is no change of it, and a half-filled form stays.
  const changed = !state.covered && state.state !== lastState;
  showBanner();
  showVisit();
  ownCode.show(state);
  card.show(state, chosenCard);
  two.show(state);
  paper.show(state);
  sheet.show(state);
  duty.show(state);
  offline.show(state);
  show("scanner-gone", state.scanner === "gone");
  showPlace();
  if (changed) {
    lastState = state.state;
    sound(state.state);
    fault("");
    if (state.state === "IDLE") resetForm();
    if (state.state !== "WAITING") typed.empty();
  }
  const covered = $("cover").open;
  if (state.covered && !covered) $("cover").showModal();
  if (!state.covered && covered) $("cover").close();
  tick();
}

function showBanner() {
  const at = state.state;
  const banner = $("banner");
  banner.dataset.tone = TONES[at];
  const kind = state.chosen ? state.chosen.type : "marriage";
  const said = state.said || {};
  const alone = saidAlone(state, say);
  const sentence = [alone && alone.sentence, alone && state.check !== "refused" ? "" : own(said, "sentence")].filter(Boolean).join(zh ? "。" : ". ") || sentenceOf(at, kind);
  const next = own(said, "next") || words[`state.${at}.${state.on_card ? "card" : "phone"}.next`] || words[`state.${at}.next`] || "";
  const word = (alone && alone.word) || say(`state.${at}`);
  put("word", word);
  $("word").parentNode.dataset.long = alone ? "alone" : String(word.length > 12);
  put("sentence", sentence);
  put("next-step", next);
  show("next-line", next !== "");
  const clause = { IDLE: retrieved(), PASSED: state.chosen ? state.chosen.clause : "" }[at];
  put("clause", clause || said.clause || "");
  banner.dataset.dense = "false";
  banner.dataset.dense = String(banner.scrollHeight > banner.clientHeight);
  document.title = `${say(`state.${at}`)} · ${say("title")}`;
  for (const item of document.querySelectorAll(".steps li")) {
    const n = Number(item.dataset.step);
    item.className = n === STEPS[at] ? "now" : n < STEPS[at] ? "past" : "";
    if (n === STEPS[at]) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
  // The camera's last word may be of before: in WAITING it is not paused any more.
  const done = state.on_card ? "card_done" : "done";
  const paused = { COVERED: "covered", IDLE: "paused", WAITING: "hold_in", READING: "card", CHECKING: state.on_card ? "card_stays" : "done" }[at] || done;
  const cards = at === "READING" || Boolean(state.on_card); // whatever the camera sees
  const guidance = at === "INVITING" ? "scan_us" : cards || state.guidance === "paused" ? paused : state.guidance;
  put("guidance-text", say(`guidance.${guidance}`));
  $("guidance").dataset.guidance = /^(card_)?done$/.test(guidance) ? "paused" : guidance;
  $("picture").dataset.open = String(at === "WAITING");
}

/** What the banner says while nobody has said anything else. */
function sentenceOf(at, kind) {
  const pair = state.two;
  if (at === "PASSED") return say(pair ? "state.PASSED.two.sentence" : `state.PASSED.sentence.${kind}`);
  const turn = pair && { WAITING: true, CONFIRMING: true }[at] ? `.${pair.turn}` : "";
  const way = state.on_card && at !== "SIGNING" && at !== "ATTESTING" && at !== "SEARCHING" ? ".card" : "";
  const key = `state.${at}${turn}${way}.sentence`;
  return say(words[key] ? key : `state.${at}.sentence`, turn ? { n: pair.people[pair.turn - 1].person || "" } : {});
}

function showVisit() {
  const at = state.state;
  const idle = at === "IDLE";
  const visit = state.visit;
  show("case-form", idle);
  show("visit", !idle);
  if (idle) {
    for (const id of ["case", "copy-fields", "marks"]) $(id).replaceChildren();
    for (const id of ["digits", "watermark", "copy-status", "copy-as-of", "copy-foot"]) put(id, "");
    return;
  }
  rows("case", caseRows());
  const digits = visit && visit.digits;
  show("digits-box", Boolean(digits));
  put("digits", digits || "");
  const waiting = { CHECKING: "checking.wait", SIGNING: "signing.wait", SEARCHING: "searching.wait", FETCHING: "fetching.wait" }[at];
  show("wait", Boolean(waiting));
  put("wait", waiting ? say(waiting, { province: provinceName(visit && visit.library) }) : "");
  show("ways", at === "WAITING");
  show("second-ahead", Boolean(state.chosen && state.chosen.second_officer));
  show("invite", state.ways.invite);
  show("no-phone", state.ways.no_phone);
  showCopy(visit && !state.two && visit.copy, visit);
  if (state.two && at === "PASSED") put("watermark-two", watermark(visit));
  show("watermark-two", Boolean(state.two) && at === "PASSED");
  const ended = at === "PASSED" || at === "REFUSED" || at === "UNDETERMINED";
  show("keep", ended);
  show("retry", state.can_retry);
  show("again", at === "REFUSED" || at === "UNDETERMINED");
  show("scan-instead", at === "INVITING" || at === "READING");
  put("scan-instead-key", at === "READING" ? "F8" : "F4");
  put("clear-text", say(ended ? "done" : "cancel"));
  $("keys").classList.toggle("roomy", at !== "PASSED" || Boolean(state.two));
  // One filled button: what is most likely to be done next.
  // A code that was checked here only is over when the desk is back.
  const next = at === "PASSED" ? "clear" : state.can_retry && state.said.retry && !state.check ? "retry" : ended ? "again" : "";
  for (const id of ["clear", "retry", "again"]) $(id).classList.toggle("main", id === next);
  const reference = (at === "REFUSED" || at === "UNDETERMINED") && state.request_id;
  show("reference", Boolean(reference));
  put("reference", reference ? say("reference", { n: reference }) : "");
}

function caseRows() {
  const found = state.case;
  if (!found) return [];
  const chosen = state.chosen;
  const list = [];
  // On a copy the purpose names the matter, and the room is needed for the fields.
  if (chosen && state.state !== "PASSED") list.push([say("form.matter"), `${own(chosen, "name")} · ${say(`type.${chosen.type}`)}`]);
  list.push([say("case"), found.case_number]);
  const carded = state.on_card && state.on_card.number;
  if (!state.two) list.push([say("case.person"), carded || found.person || say("case.person.none")]);
  return list;
}

function rows(id, list) {
  const told = JSON.stringify(list);
  const node = $(id);
  if (node.dataset.told === told && node.childElementCount) return;
  node.dataset.told = id === "case" ? told : "";
  node.replaceChildren(
    ...list.map(([name, value]) => {
      const pair = document.createElement("div");
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = value;
      pair.append(dt, dd);
      return pair;
    }),
  );
}

function showCopy(copy, visit) {
  show("copy", Boolean(copy));
  const fields = $("copy-fields");
  if (!copy) {
    fields.replaceChildren();
    $("marks").replaceChildren();
    for (const id of ["watermark", "copy-status", "copy-as-of", "copy-foot"]) put(id, "");
    return;
  }
  if (fields.childElementCount) return;
  put("copy-status", say(`status.${copy.status}`));
  put("copy-as-of", asOf(copy));
  fieldsInto(fields, copy, { say, own, day });
  put("copy-foot", `${say("copy.cause")} ${copy.cause} · ${say("copy.expires")} ${moment(copy.expires, true)}`);
  const place = state.place;
  put("watermark", watermark(visit));
  $("marks").replaceChildren(
    ...Array.from({ length: 40 }, () => {
      const span = document.createElement("span");
      // Drawn by the style sheet: it is a mark on paper, not a text to be read.
      span.dataset.mark = `${duty.name(visit)} · ${place.window}`;
      return span;
    }),
  );
}

const nowText = () => moment(new Date(Date.now() + ahead).toISOString(), true);
function asOf(copy) {
  return `${say("copy.as_of", { time: moment(copy.status_as_of, true) })} · ${say("copy.library")} ${provinceName(copy.library)}`;
}
function watermark(visit) {
  const place = state.place;
  const window = `${own(place, "unit")} ${place.window_name} (${place.window})`;
  return say("copy.watermark", { officer: duty.name(visit), window, time: nowText() });
}

function showPlace() {
  const place = state.place;
  const named = [own(place, "province"), own(place, "unit"), place.window_name].filter(Boolean);
  put("foot-place", named.join(" · "));
  put("place-name", named.slice(1).join(" · "));
  if (state.state !== "IDLE") $("place").open = false;
  for (const id of ["province", "window"]) $(id).disabled = state.state !== "IDLE";
  const network = state.network.silent ? "silent" : state.network.heard_at ? "ok" : "unknown";
  $("foot-network").dataset.network = network;
  put("foot-network-word", say(`network.${network}`));
  put("foot-keylist", say("footer.keylist", { n: state.keylist }));
  const kind = state.camera.name.split(":")[0];
  put("camera-name", { sim: say("camera.sim"), posted: say("camera.posted"), webcam: say("camera.webcam") }[kind] || say("camera.own"));
}

function tick() {
  if (!state) return;
  const now = Date.now() + ahead;
  const left = (at) => Math.max(0, Math.ceil((Date.parse(at) - now) / 1000));
  const clears = Boolean(state.clears_at);
  show("clears", clears);
  if (clears) {
    const n = left(state.clears_at);
    const bar = $("clears-bar");
    bar.max = Math.max(60, n);
    bar.value = n;
    put("clears-text", say("clears", { n }));
  }
  if (state.visit && state.visit.answer_by) put("left-time", say("digits.left", { n: left(state.visit.answer_by) }));
  ownCode.tick(left);
  sheet.tick(left);
  two.tick(left);
  if (document.body.dataset.lost === "true") return;
  if (!state.network.heard_at) put("foot-heard", "");
  else {
    const age = Math.max(0, Math.round((now - Date.parse(state.network.heard_at)) / 1000));
    put("foot-heard", age < 120 ? say("footer.heard", { n: age }) : say("footer.heard.minutes", { n: Math.round(age / 60) }));
  }
}

/* --- the form --------------------------------------------------------------------------- */

function fill(select, list, chosen) {
  select.replaceChildren(
    ...list.map(([value, text]) => {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = text;
      option.selected = value === chosen;
      return option;
    }),
  );
}
function fillPlaces(province, window) {
  fill($("province"), choices.provinces.map((each) => [each.code, own(each, "name")]), province);
  const here = choices.windows.filter((each) => each.province === province);
  fill($("window"), here.map((each) => [each.window, `${own(each, "unit")} ${each.name}`.trim()]), window);
  const cards = choices.cards.map((each) => [each.id, `${each.name} · ${each.number} · ${own(each, "note")}`]);
  for (const id of ["card", "partner-card"]) {
    show(`${id}-row`, cards.length > 0);
    fill($(id), [["", say("form.card.none")], ...cards], "");
  }
}
function fillMatters() {
  const matters = choices.register ? choices.register.matters : [];
  const before = $("matter").value || (state && state.chosen ? state.chosen.matter : "");
  fill($("matter"), matters.map((each) => [each.slug, own(each, "name")]), before);
  $("start").disabled = matters.length === 0;
  if (choices.register && !matters.length) fault(say("form.matter.none"));
  fillTypes();
}
function matterRow() {
  const matters = choices.register ? choices.register.matters : [];
  return matters.find((each) => each.slug === $("matter").value);
}
function fillTypes() {
  const matter = matterRow();
  const before = $("type").value;
  fill($("type"), matter ? matter.types.map((each) => [each, say(`type.${each}`)]) : [], before);
  $("type").disabled = !matter || matter.types.length < 2;
  show("two-row", Boolean(matter && matter.couple));
  if (!matter || !matter.couple) $("two").checked = false;
  showTwo();
  show("preconditions", Boolean(matter && matter.preconditions.length));
  $("ticks").replaceChildren(
    ...(matter ? matter.preconditions : []).map((each) => {
      const label = document.createElement("label");
      const box = document.createElement("input");
      const text = document.createElement("span");
      const clause = document.createElement("small");
      label.className = "tick";
      box.type = "checkbox";
      box.value = each.slug;
      text.textContent = own(each, "text");
      clause.textContent = each.clause;
      label.append(box, text, clause);
      return label;
    }),
  );
  if (state) showBanner();
}
/** Whether two people have come together, and so who the first field is about. */
function showTwo() {
  const matter = matterRow();
  const together = $("two").checked;
  show("partner-row", together);
  $("case-form").dataset.two = String(together);
  put("id-label", say(together ? "form.id.1" : matter && !matter.holder_match ? "form.id.optional" : "form.id"));
  put("card-label", say(together ? "form.card.1" : "form.card"));
}
function retrieved() {
  const matter = matterRow();
  if (!matter) return "";
  return `${say("form.fields")}${matter.fields.map((each) => own(each, "label")).join(zh ? "、" : ", ")}`;
}
// One choice at a time, and the last one stands: an answer that comes late would undo what was chosen after it.
let chosen = 0;
let choosing = Promise.resolve();
function chooseWindow() {
  const mine = ++chosen;
  $("start").disabled = true;
  fault("");
  choosing = choosing.then(async () => {
    let failure = "";
    let found = null;
    if (mine !== chosen) return;
    try {
      found = await send("choose", { province: $("province").value, window: $("window").value });
    } catch (error) {
      failure = error.message;
    }
    if (mine !== chosen) return;
    if (found) choices = found;
    else choices.register = null;
    fillMatters();
    if (failure) fault(failure);
  });
  return choosing;
}
function masked(number) {
  return number.length > 10 ? `${number.slice(0, 6)}${"*".repeat(number.length - 10)}${number.slice(-4)}` : "*".repeat(number.length);
}
function hideNumber(id) {
  const field = $(id);
  const typed = field.value.trim();
  if (typed && !typed.includes("*")) numbers[id] = typed;
  field.value = masked(numbers[id]);
}
function forgetNumbers() {
  for (const id of Object.keys(numbers)) {
    numbers[id] = "";
    $(id).value = "";
  }
}
function resetForm() {
  forgetNumbers();
  chosenCard = "";
  $("case-number").value = "";
  for (const id of ["card", "partner-card"]) $(id).value = "";
  for (const id of Object.keys(numbers)) $(id).disabled = false;
  $("two").checked = false;
  showTwo();
  for (const box of $("ticks").querySelectorAll("input")) box.checked = false;
}
async function start(event) {
  event.preventDefault();
  for (const id of Object.keys(numbers)) if (!$(id).disabled) hideNumber(id);
  const button = $("start");
  button.disabled = true;
  fault("");
  try {
    await send("choose", { matter: $("matter").value, type: $("type").value });
    const card = $("card").value;
    const together = $("two").checked;
    if (together && !numbers["partner-number"] && !$("partner-card").value) throw new Error(say("form.two.missing"));
    const partnerCard = together ? $("partner-card").value : "";
    chosenCard = card;
    take(
      await send("start", {
        case_number: $("case-number").value,
        id_number: card ? null : numbers["id-number"] || null,
        card: card || null,
        partner: together && !partnerCard ? numbers["partner-number"] : null,
        partner_card: partnerCard || null,
        preconditions: [...$("ticks").querySelectorAll("input:checked")].map((box) => box.value),
      }),
    );
    forgetNumbers();
    $("banner").focus();
  } catch (error) {
    fault(error.message);
  } finally {
    button.disabled = false;
  }
}

/* --- keys, sound, camera ---------------------------------------------------------------- */

const aside = () => ["help", "shift", "report"].some((id) => $(id).open);
function pressed(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName || "");
  if (event.key === "F1") {
    event.preventDefault();
    if ($("help").open) $("help").close();
    else $("help").showModal();
  } else if (event.key === "F7" && !event.altKey && !event.ctrlKey) {
    event.preventDefault();
    if (!aside()) duty.open();
  } else if (event.key === "F9" && !event.altKey && !event.ctrlKey) {
    event.preventDefault();
    if (!aside() && state && !state.covered) report.open();
  } else if (aside() && event.key !== "F2") {
    // A dialog of the officer's has the keys; Esc closes it and wipes nothing.
  } else if (event.key === "F2") {
    event.preventDefault();
    key(state && state.covered ? "uncover" : "cover");
  } else if (event.key === "F4" && !event.altKey && !event.ctrlKey) {
    event.preventDefault();
    const press = { WAITING: "invite", INVITING: "again" }[state && state.state];
    if (press && (press === "again" || state.ways.invite)) key(press);
  } else if (event.key === "F8" && !event.altKey && !event.ctrlKey) {
    event.preventDefault();
    if (state && state.state === "READING") key("again");
    else if (state && state.ways.no_phone) key("no-phone");
  } else if (event.key === "Escape") {
    event.preventDefault();
    if (state && state.state === "IDLE" && !state.covered) resetForm();
    key("clear");
  } else if ((event.key === "k" || event.key === "K") && !typing && state && state.clears_at) {
    key("keep");
  } else if ((event.key === "p" || event.key === "P") && !typing && !event.ctrlKey && !event.metaKey && state && state.receipts) {
    paper.print();
  } else if (!typing && state && state.state === "WAITING" && !state.covered) {
    typed.lead(event);
  }
}

let audio = null;
function sound(at) {
  const tones = { CHECKING: [880], PASSED: [784, 1047], REFUSED: [294, 220], UNDETERMINED: [440, 440] }[at];
  if (!audio || !tones) return;
  tones.forEach((pitch, n) => {
    const tone = audio.createOscillator();
    const level = audio.createGain();
    tone.frequency.value = pitch;
    level.gain.value = 0.15;
    tone.connect(level).connect(audio.destination);
    tone.start(audio.currentTime + n * 0.16);
    tone.stop(audio.currentTime + n * 0.16 + 0.13);
  });
}
function toggleSound() {
  audio = audio ? null : new AudioContext();
  $("sound").setAttribute("aria-pressed", String(Boolean(audio)));
  put("sound-state", say(audio ? "sound.on" : "sound.off"));
}

let stream = null;
async function browserCamera() {
  const canvas = document.createElement("canvas");
  const video = $("video");
  for (;;) {
    const wanted = Boolean(state) && state.camera.name === "posted:";
    try {
      if (wanted && !stream) {
        stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 }, audio: false });
        video.srcObject = stream;
        show("video", true);
        await video.play();
      }
      if (!wanted && stream) {
        for (const track of stream.getTracks()) track.stop();
        stream = null;
        video.srcObject = null;
        show("video", false);
      }
      if (wanted && video.videoWidth) {
        const scale = Math.min(1, 1920 / video.videoWidth, 1080 / video.videoHeight);
        canvas.width = Math.round(video.videoWidth * scale);
        canvas.height = Math.round(video.videoHeight * scale);
        canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
        const picture = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
        if (picture) await call("POST", "frames", picture, { "Content-Type": "image/jpeg" });
      }
    } catch (error) {
      if (wanted && !stream) {
        fault(say("camera.denied"));
        await pause(5000);
      }
    }
    await pause(!wanted ? 700 : state.state === "WAITING" ? 100 : 400);
  }
}
function showAddress() {
  const sim = $("camera-kind").value === "sim:";
  for (const node of document.querySelectorAll(".sim-only")) node.hidden = !sim;
}
async function useCamera(event) {
  event.preventDefault();
  const kind = $("camera-kind").value;
  const camera = kind === "own" ? choices.camera : kind === "sim:" ? `sim:${$("camera-address").value.trim()}` : kind;
  try {
    await send("choose", { camera });
    $("camera").open = false;
  } catch (error) {
    fault(error.message);
  }
}

/* --- the two other ways ------------------------------------------------------------------ */

const typed = typedField({
  say,
  send: async (text) => {
    take(await send("typed", { text }));
    $("banner").focus();
  },
});
const scanned = wedge({
  taken: (text) => (state && state.state === "WAITING" && !state.covered ? typed.handIn(text) : fault(say("typed.astray"))),
});
const ownCode = ownCodeView({ say, call, put, show, own, fault });

/* --- without a phone, and two people ------------------------------------------------------ */

const shared = { say, own, put, show, fill, send, fault, taken: (found) => take(found), choices: () => choices };
const card = cardView(shared);
const sheet = sheetView(shared);
const two = twoView({ say, own, show, day, asOf, ended: (at) => ENDED.includes(at) });
const duty = dutyView({ say, put, show, send, taken: (found) => take(found), emptied: resetForm, ended: (at) => ENDED.includes(at) });
const offline = offlineView({ say, own, put, show, send, moment, taken: (found) => take(found), fault });
const report = reportView({ say, put, show, call, send });
const paper = paperView({ say, own, put, show, call, fault, officer: (visit) => duty.name(visit), now: nowText, provinceName: (code) => provinceName(code) });

/* --- begin ------------------------------------------------------------------------------ */

async function begin() {
  words = await (await fetch(`/counter/static/words.${lang}.json`)).json();
  choices = await (await call("GET", "choices")).json();
  take(await (await call("GET", "state")).json());
  fillPlaces(state.place.province, state.place.window);
  fillMatters();
  $("province").addEventListener("change", () => {
    fillPlaces($("province").value, "");
    chooseWindow();
  });
  $("window").addEventListener("change", async () => {
    await chooseWindow();
    $("place").open = false;
  });
  $("matter").addEventListener("change", fillTypes);
  for (const [id, reader] of [["id-number", "card"], ["partner-number", "partner-card"]]) {
    $(id).addEventListener("blur", () => hideNumber(id));
    $(id).addEventListener("focus", () => ($(id).value = ""));
    $(reader).addEventListener("change", () => {
      const read = choices.cards.find((each) => each.id === $(reader).value);
      numbers[id] = "";
      $(id).value = read ? read.number : "";
      $(id).disabled = Boolean(read);
    });
  }
  $("two").addEventListener("change", showTwo);
  $("case-form").addEventListener("submit", start);
  $("scan-instead").addEventListener("click", () => key("again"));
  for (const name of ["keep", "retry", "again", "clear", "invite", "no-phone"]) $(name).addEventListener("click", () => key(name));
  $("help-key").addEventListener("click", () => $("help").showModal());
  $("help-close").addEventListener("click", () => $("help").close());
  $("cover-key").addEventListener("click", () => key("cover"));
  $("cover-off").addEventListener("click", () => key("uncover"));
  $("cover").addEventListener("cancel", (event) => event.preventDefault());
  $("sound").addEventListener("click", toggleSound);
  $("camera-kind").addEventListener("change", showAddress);
  $("camera-form").addEventListener("submit", useCamera);
  document.addEventListener("keydown", scanned, true); // before any field's own
  document.addEventListener("keydown", pressed);
  document.addEventListener("click", (event) => {
    for (const fold of document.querySelectorAll(".fold[open]")) if (!fold.contains(event.target)) fold.open = false;
  });
  setInterval(tick, 250);
  pollState();
  pollPreview();
  if (navigator.mediaDevices) browserCamera();
  if (!choices.register) await chooseWindow();
}

begin();

// Who asked about my certificates, the newest first: the list, an entry, and an objection to it. Which one is open stands
// behind the # of the address, so the phone's back button works and no server hears of it.

import { silentOnes } from "/phone/static/cards.js";
import { el, fill } from "/phone/static/draw.js";
import { entryCard, entryView } from "/phone/static/entry.js";
import { ask } from "/phone/static/line.js";
import { onLook, ready, t } from "/phone/static/look.js";
import { wrongView } from "/phone/static/wrong.js";

const LOOK_MS = 700;
const view = document.getElementById("view");
const head = document.getElementById("head");
const says = document.getElementById("says");
let me = null;
let entries = [];
let silent = [];
let earlier = null;
let busy = true;
let failure = null;
let drawn = "";

function render() {
  const [id, wrong] = location.hash.slice(1).split("/");
  const entry = entries.find((each) => each.entry === id) || null;
  const now = entry ? entry.entry + (wrong ? "/wrong" : "") : "";
  head.hidden = Boolean(entry);
  if (!entry) fill(view, ...list());
  else if (wrong) fill(view, wrongView(entry, { sent }));
  else fill(view, entryView(entry, me.provinces));
  if (now !== drawn) arrive(entry);
  drawn = now;
}

/** Another view has come: whoever listens is told its heading, and whoever looks sees its top. */
function arrive(entry) {
  const heading = entry ? view.querySelector("h1") : null;
  if (heading) heading.focus({ preventScroll: true });
  else document.getElementById("main").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function list() {
  const names = silent.length ? silentOnes({ silent }, me.provinces) : "";
  const again = () => el("button", { type: "button", class: "button quiet", click: () => look(null) }, t("history.again"));
  if (failure) return [el("p", { class: "note warn" }, failure.sentence + " " + failure.next), again()];
  return [
    names ? el("p", { class: "note warn" }, t("history.silent", { province: names })) : null,
    entries.length ? el("ul", { class: "cards" }, ...entries.map(entryCard)) : null,
    busy ? el("p", { class: "card busy" }, t("history.busy")) : null,
    !busy && !entries.length ? el("p", { class: "card" }, t("history.none")) : null,
    !busy && earlier ? el("button", { type: "button", class: "button quiet", click: () => look(earlier) }, t("history.earlier")) : null,
    !busy && names ? again() : null,
  ];
}

/** The objection has a number. */
function sent(entry, number) {
  entry.objection = number;
  location.hash = entry.entry;
}

async function look(from) {
  busy = true;
  failure = null;
  if (!from) entries = [];
  render();
  says.textContent = t("history.busy");
  try {
    await ask("POST", "history", { earlier: from });
    const found = await answer();
    entries = entries.concat(found.entries);
    silent = found.silent;
    earlier = found.earlier;
    says.textContent = entries.length ? "" : t("history.none");
  } catch (problem) {
    failure = problem;
    says.textContent = problem.sentence;
  }
  busy = false;
  render();
}

async function answer() {
  for (;;) {
    const got = await ask("GET", "history");
    if (got.body.history) return got.body.history;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function start() {
  await ready();
  onLook(render);
  addEventListener("hashchange", render);
  try {
    me = (await ask("GET", "me")).body;
  } catch (problem) {
    failure = problem;
    busy = false;
    render();
    return;
  }
  await look(null);
}

start();

// Every showing of this persona, the newest first; those that were declined or failed stand here like the others.

import { el, fill, icon, pair } from "/phone/static/draw.js";
import { ask } from "/phone/static/line.js";
import { has, named, onLook, ready, side, t, when, windowOf } from "/phone/static/look.js";

const SHAPES = { DELIVERED: "pass", UNDETERMINED: "check", REFUSED: "refuse" };
const view = document.getElementById("view");
let showings = null;
let failure = null;

function render() {
  if (failure) fill(view, el("p", { class: "note warn" }, failure.sentence + " " + failure.next));
  else if (!showings) fill(view);
  else if (!showings.length) fill(view, el("p", { class: "card" }, t("history.none")));
  else fill(view, el("ul", { class: "cards" }, ...showings.map(entry)));
}

function entry(showing) {
  const known = "result." + showing.state;
  const shape = SHAPES[showing.state] || (showing.ended && showing.sheet ? "own" : "wait");
  const title = showing.sheet ? named(showing.sheet.matter, "name") : t("history.unasked");
  return el(
    "li",
    { class: "card entry" },
    el("h2", {}, title),
    el("span", { class: "status " + shape }, icon(shape), el("span", {}, has(known) ? t(known) : t("history.running"))),
    showing.sheet && showing.sentence && showing.state !== "DELIVERED" ? el("p", {}, side(showing.sentence)) : null,
    el("dl", {}, ...facts(showing))
  );
}

function facts(showing) {
  const at = pair(t("result.when"), el("span", { class: "figures" }, when(showing.changed_at)));
  const sheet = showing.sheet;
  if (!sheet) return [at];
  const given = showing.result ? showing.result.given : [];
  const labels = sheet.fields.filter((each) => given.includes(each.name)).map((each) => named(each, "label"));
  return [
    pair(t("result.asked"), named(sheet.unit, "name"), el("br"), windowOf(sheet)),
    pair(t("result.given"), labels.length ? labels.join(t("separator")) : t("result.nothing")),
    at,
  ];
}

async function start() {
  await ready();
  onLook(render);
  try {
    showings = (await ask("GET", "history")).body.showings;
  } catch (problem) {
    failure = problem;
  }
  render();
}

start();

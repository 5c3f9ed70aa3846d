// How it ended: what was given, to whom, when, and the paper to prove it.

import { el, icon, pair } from "/phone/static/draw.js";
import { has, named, side, t, when, windowOf } from "/phone/static/look.js";

const SHAPES = { PARTNER_MISSING: "own", DELIVERED: "pass", UNDETERMINED: "check", REFUSED: "refuse", EXPIRED: "wait", SUPERSEDED: "wait" };

/** The page for a showing that has ended, or pauses. `act` has again(), and `paused` for what can be done in a pause. */
export function resultView(state, sheet, act) {
  const gave = state.state === "DELIVERED";
  const shape = SHAPES[state.reason] || SHAPES[state.state] || "own"; // what the citizen chose is no alarm
  return el(
    "div",
    { class: "result" },
    el(
      "section",
      { class: "outcome " + shape },
      icon(shape),
      el("h1", { id: "result-title", tabindex: "-1" }, t(heading(state))),
      ...sentences(state)
    ),
    act.paused,
    sheet ? facts(state, sheet, gave) : null,
    state.result && state.result.receipt ? receipt() : null,
    el("a", { class: "button", href: "/phone/certificates" }, t("result.done")),
    el("button", { type: "button", class: "button quiet", click: act.again }, t(gave ? "result.again" : "show.again")),
    sheet ? el("details", { class: "help" }, el("summary", {}, t("result.wrong")), el("p", {}, t("result.wrong.note")), el("p", {}, el("a", { class: "plain", href: "/phone/history" }, t("nav.history")))) : null
  );
}

/** Where the reason says more than the state, its own heading. */
function heading(state) {
  return has("result." + state.reason) ? "result." + state.reason : "result." + state.state;
}

/** The reason's own sentence; where there is none, or it only repeats the heading, the note of the state. */
function sentences(state) {
  const note = heading(state) + ".note";
  if (has(note)) return [el("p", {}, t(note))];
  return state.sentence ? [el("p", {}, side(state.sentence)), el("p", { class: "soft" }, side(state.next))] : [];
}

function facts(state, sheet, gave) {
  const given = state.result ? state.result.given : [];
  const labels = sheet.fields.filter((each) => given.includes(each.name)).map((each) => named(each, "label"));
  const nothing = el("p", {}, t("result.nothing"));
  const what = labels.length ? el("ul", { class: "ticks yes" }, ...labels.map((each) => el("li", {}, icon("yes"), el("span", {}, each)))) : nothing;
  const at = state.result && state.result.ended_at ? state.result.ended_at : state.changed_at;
  return el(
    "dl",
    { class: "card facts" },
    pair(t("result.given"), what),
    pair(t(gave ? "result.to" : "result.asked"), named(sheet.unit, "name"), el("br"), windowOf(sheet)),
    pair(t("result.for"), named(sheet.matter, "name")),
    gave && !state.answered ? pair(t("result.how"), t("result.how.beforehand")) : null,
    pair(t("result.when"), el("span", { class: "figures" }, when(at)))
  );
}

function receipt() {
  return el(
    "p",
    { class: "receipt" },
    el("a", { href: "/phone/api/receipt", download: "huzheng-receipt.jwt" }, t("result.receipt")),
    el("small", {}, t("result.receipt.note"))
  );
}

/** While others work: a heading, a line, and perhaps a button. */
export function waitingView(title, note, button) {
  return el(
    "section",
    { class: "outcome wait" },
    icon("wait"),
    el("h1", { id: "result-title", tabindex: "-1" }, title),
    el("p", {}, note),
    button
  );
}

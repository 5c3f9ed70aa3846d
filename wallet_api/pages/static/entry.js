// One entry of the history: how it ended, who asked for what and when, its receipt, and the way to object.

import { el, icon, pair } from "/phone/static/draw.js";
import { named, side, t, when } from "/phone/static/look.js";

const SHAPES = { PASSED: "pass", REFUSED: "refuse", UNDETERMINED: "check", ASKED: "wait" };

/** Its shape; what the citizen chose is no alarm. */
function shapeOf(entry) {
  return SHAPES[entry.outcome] || "own";
}

/** Names as the registers had them; the code where they had none. */
function unitOf(entry) {
  return named(entry, "unit") || entry.unit;
}

function matterOf(entry) {
  return named(entry, "matter") || entry.matter;
}

function windowOf(entry) {
  return entry.window_name || t("sheet.window") + " " + entry.window;
}

/** Its card in the list. */
export function entryCard(entry) {
  const shape = shapeOf(entry);
  return el(
    "li",
    { class: "card entry" },
    el("h2", {}, el("a", { class: "open", href: "#" + entry.entry }, matterOf(entry))),
    el("span", { class: "status " + shape }, icon(shape), el("span", {}, t("outcome." + entry.outcome))),
    entry.sentence ? el("p", {}, side(entry.sentence)) : null,
    el(
      "dl",
      {},
      pair(t("history.who"), unitOf(entry), el("br"), windowOf(entry)),
      pair(t("history.given"), given(entry) || t("result.nothing")),
      pair(t("history.when"), el("span", { class: "figures" }, when(entry.asked_at)))
    )
  );
}

function given(entry) {
  return entry.outcome === "PASSED" ? labels(entry).join(t("separator")) : "";
}

function labels(entry) {
  return entry.fields.map((each) => named(each, "label"));
}

/** Its page. */
export function entryView(entry, provinces) {
  const shape = shapeOf(entry);
  const gave = entry.outcome === "PASSED";
  const home = provinces[entry.province];
  return el(
    "div",
    { class: "result" },
    el(
      "section",
      { class: "outcome " + shape },
      icon(shape),
      el("h1", { tabindex: "-1" }, t("outcome." + entry.outcome)),
      entry.sentence ? el("p", {}, side(entry.sentence)) : null
    ),
    el(
      "dl",
      { class: "card facts" },
      pair(t("history.who"), unitOf(entry), el("br"), windowOf(entry)),
      pair(t("history.for"), matterOf(entry)),
      pair(t(gave ? "history.given" : "history.wanted"), t("type." + entry.type), fields(entry)),
      gave ? null : pair(t("history.given"), t("result.nothing")),
      pair(t("history.cause"), entry.cause),
      pair(t("history.app"), entry.way === "card" ? t("history.card") : home ? side(home.app) : entry.province),
      entry.second_officer ? pair(t("history.second"), ...secondOfficer(entry)) : null,
      pair(t("history.when"), el("span", { class: "figures" }, when(entry.asked_at))),
      entry.ended_at ? pair(t("history.ended"), el("span", { class: "figures" }, when(entry.ended_at))) : null
    ),
    receipt(entry),
    entry.objection
      ? el("p", { class: "note" }, t("history.objection", { number: entry.objection }))
      : el("a", { class: "button quiet", href: "#" + entry.entry + "/wrong" }, t("wrong.open")),
    el("a", { class: "button quiet", href: "#" }, t("history.back"))
  );
}

function secondOfficer(entry) {
  return [t("history.second.officer"), el("br"), t("history.second.number", { number: entry.second_officer })];
}

function fields(entry) {
  const names = labels(entry);
  return names.length ? el("ul", { class: "ticks" }, ...names.map((each) => el("li", {}, each))) : null;
}

function receipt(entry) {
  if (!entry.receipt) return entry.ended_at ? el("p", { class: "note" }, t("history.receipt.none")) : null;
  // The receipt is here already; a file of it is made when somebody wants one.
  const href = URL.createObjectURL(new Blob([entry.receipt], { type: "application/jwt" }));
  return el(
    "p",
    { class: "receipt" },
    el("a", { href, download: "huzheng-receipt-" + entry.receipt_digest.slice(0, 8) + ".jwt" }, t("result.receipt")),
    el("small", {}, t("result.receipt.note"))
  );
}

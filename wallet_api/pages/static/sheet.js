// The sheet: who, for what, which certificate, which fields and which not, why, how long; then the digits and the answer.
// Every word is the register's but the counter's own reason, which is marked as such.

import { libraryOf, silentOnes, statusOf } from "/phone/static/cards.js";
import { el, fill, icon } from "/phone/static/draw.js";
import { serverNow } from "/phone/static/line.js";
import { named, side, t, windowOf } from "/phone/static/look.js";

const WAIT_FOR_HOLDINGS_MS = 8000; // after that the citizen may answer without a certificate

/** What the citizen has chosen so far. It outlives a change of language or size. */
export function newChoice() {
  return { digits: null, certificate: null, touched: false, declared: new Set(), since: performance.now(), error: null, busy: false };
}

/**
 * Draw the sheet into `view`. `data` is {sheet, holdings, beforehand}, the last true where something was agreed to beforehand
 * that does not cover this request; `act` has agree() and decline().
 * Returns a function that writes the time that is left.
 */
export function drawSheet(view, data, choice, provinces, act) {
  const sheet = data.sheet;
  const left = el("p", { class: "left figures" });
  fill(
    view,
    el(
      "article",
      { class: "sheet" },
      el("header", {}, el("h1", { id: "sheet-title", tabindex: "-1" }, t("sheet.title")), el("p", { class: "soft" }, t("sheet.lead")), left),
      data.beforehand ? el("p", { class: "note warn" }, t("sheet.other")) : null,
      who(sheet),
      sheet.together ? part("sheet.two", el("p", {}, t("sheet.two.note"))) : null,
      part("sheet.what", el("p", { class: "strong" }, named(sheet.matter, "name")), quoted(sheet.cause)),
      which(data, choice, provinces, "sheet.which.none"),
      given(sheet),
      ...why(sheet),
      digits(sheet, choice),
      declarations(sheet, choice)
    ),
    answers(choice, act)
  );
  return function tell() {
    const seconds = Math.floor((Date.parse(sheet.answer_by) - serverNow()) / 1000);
    const time = Math.max(0, Math.floor(seconds / 60)) + ":" + String(Math.max(0, seconds % 60)).padStart(2, "0");
    left.textContent = seconds > 0 ? t("sheet.left", { time }) : t("sheet.over");
  };
}

/** What is still missing for an agreement: {key, anchor}, or null. */
export function missing(data, choice) {
  const holdings = data.holdings;
  if (!holdings && performance.now() - choice.since < WAIT_FOR_HOLDINGS_MS) return { key: "sheet.error.busy", anchor: "which" };
  if (holdings && offered(data).length && !choice.certificate) return { key: "sheet.error.certificate", anchor: "which" };
  if (!choice.digits) return { key: "sheet.error.digits", anchor: "digits" };
  if (data.sheet.declarations.some((each) => !choice.declared.has(each.slug))) return { key: "sheet.error.declare", anchor: "declare" };
  return null;
}

/** Bring the part that lacks something into sight, and the finger to its first field. */
export function lookAt(anchor) {
  const place = document.getElementById(anchor);
  place.scrollIntoView({ block: "center" });
  const first = place.querySelector("input");
  if (first) first.focus({ preventScroll: true });
}

export function part(key, ...children) {
  return el("section", { class: "part" }, el("h2", {}, t(key)), ...children);
}

function who(sheet) {
  return part(
    "sheet.who",
    el("p", { class: "strong" }, named(sheet.unit, "name")),
    el("p", {}, named(sheet, "place")),
    el("p", { class: "window" }, windowOf(sheet))
  );
}

/** What is given, and what is not. */
export function given(sheet) {
  return part("sheet.fields", list(sheet.fields.map((each) => named(each, "label")), "yes"), ...never(sheet));
}

/** Why it is allowed, and how long it is kept. */
export function why(sheet) {
  return [
    part("sheet.why", el("p", {}, named(sheet, "basis")), el("p", { class: "soft" }, t("sheet.clause") + " " + sheet.clause)),
    part("sheet.kept", el("p", {}, named(sheet, "retention"))),
  ];
}

function quoted(cause) {
  return cause ? el("p", { class: "cause" }, el("span", { class: "soft" }, t("sheet.cause")), el("q", {}, cause)) : null;
}

/** The certificates that this request may be answered with: of its kind, valid ones first. */
export function offered(data) {
  const fitting = data.holdings ? data.holdings.certificates.filter((each) => each.type === data.sheet.type) : [];
  return fitting.filter((each) => each.status === "VALID").concat(fitting.filter((each) => each.status !== "VALID"));
}

/** The choice of a certificate; `none` is the key of what is said where there is none. */
export function which(data, choice, provinces, none) {
  const box = el("fieldset", { class: "part", id: "which" }, el("legend", {}, t("sheet.which")), el("p", { class: "strong" }, t("type." + data.sheet.type)));
  if (!data.holdings) {
    box.append(el("p", { class: "busy" }, t("sheet.which.busy")));
    return box;
  }
  const found = offered(data);
  if (found.length === 1 && !choice.touched) choice.certificate = found[0].certificate;
  if (found.length > 1) box.append(el("p", { class: "soft" }, t("sheet.which.pick")));
  if (!found.length) box.append(el("p", { class: "note" }, t(none, { type: t("type." + data.sheet.type) })));
  for (const each of found) {
    const name = side(provinces[libraryOf(each)] || { zh: "", en: "" });
    const input = radio("certificate", each.certificate, choice.certificate, () => {
      choice.certificate = each.certificate;
      choice.touched = true;
    });
    const words = el("span", {}, el("b", { class: "figures" }, each.number), el("span", {}, each.authority), el("span", { class: "soft" }, t("certificates.library") + " " + name), statusOf(each));
    box.append(el("label", { class: "choice" }, input, words));
  }
  const silent = silentOnes(data.holdings, provinces);
  if (silent) box.append(el("p", { class: "note warn" }, t("sheet.which.silent", { province: silent })));
  return box;
}

function list(items, shape) {
  return el("ul", { class: "ticks " + shape }, ...items.map((each) => el("li", {}, icon(shape), el("span", {}, each))));
}

function never(sheet) {
  if (!sheet.not_given.length) return [];
  return [el("h3", {}, t("sheet.never")), list(sheet.not_given.map(side), "no")];
}

function digits(sheet, choice) {
  const buttons = sheet.digits.map((each) =>
    el("label", { class: "digit" }, radio("digits", each, choice.digits, () => (choice.digits = each)), el("span", { class: "figures" }, each))
  );
  return el(
    "fieldset",
    { class: "part", id: "digits" },
    el("legend", {}, t("sheet.digits")),
    el("p", { class: "soft" }, t("sheet.digits.note")),
    el("div", { class: "digits" }, ...buttons)
  );
}

export function declarations(sheet, choice) {
  if (!sheet.declarations.length) return null;
  const boxes = sheet.declarations.map((each) => {
    const input = el("input", { type: "checkbox", name: "declaration", value: each.slug, change: () => (input.checked ? choice.declared.add(each.slug) : choice.declared.delete(each.slug)) });
    input.checked = choice.declared.has(each.slug);
    return el("label", { class: "choice" }, input, el("span", {}, named(each, "text")));
  });
  return el("fieldset", { class: "part", id: "declare" }, el("legend", {}, t("sheet.declare")), ...boxes);
}

/** Two answers of one size: agreeing is not made easier than declining. */
export function answers(choice, act) {
  const error = el("p", { class: "error", id: "sheet-error", role: "alert" }, choice.busy ? t("sheet.sending") : choice.error ? choice.error() : "");
  const decline = el("button", { type: "button", class: "button quiet", id: "decline", disabled: choice.busy, click: act.decline }, t("sheet.decline"));
  const agree = el("button", { type: "button", class: "button", id: "agree", disabled: choice.busy, click: act.agree }, t("sheet.agree"));
  return el("div", { class: "answers" }, error, el("div", { class: "two" }, decline, agree));
}

function radio(name, value, chosen, change) {
  const input = el("input", { type: "radio", name, value, change });
  input.checked = value === chosen;
  return input;
}

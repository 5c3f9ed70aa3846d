// A certificate as its holder sees it: kind, masked number, authority, status as of a date, and who holds it.

import { el, icon, pair } from "/phone/static/draw.js";
import { day, side, t } from "/phone/static/look.js";

/** The library's province, from the handle. */
export function libraryOf(certificate) {
  return certificate.certificate.split(".")[0];
}

/** Status with its date: a status is true at an instant only. */
export function statusOf(certificate) {
  const good = certificate.status === "VALID";
  return el(
    "span",
    { class: "status " + (good ? "pass" : "check") },
    icon(good ? "pass" : "check"),
    el("span", {}, t("status." + certificate.status), " ", el("small", {}, t("certificates.asof", { date: day(certificate.status_as_of) })))
  );
}

/** The card of the page "my certificates". */
export function card(certificate, provinces) {
  return el(
    "li",
    { class: "card certificate" },
    el("div", { class: "head" }, icon("crest"), el("h2", {}, t("type." + certificate.type))),
    statusOf(certificate),
    el(
      "dl",
      {},
      pair(t("certificates.number"), el("span", { class: "figures" }, certificate.number)),
      pair(t("certificates.authority"), certificate.authority),
      pair(t("certificates.registered"), day(certificate.registration_date)),
      pair(t("certificates.library"), side(provinces[libraryOf(certificate)] || { zh: "", en: "" }))
    )
  );
}

/** The names of libraries that did not answer, or "" when all did. */
export function silentOnes(holdings, provinces) {
  return holdings.silent.map((code) => (provinces[code] ? side(provinces[code]) : code)).join(t("separator"));
}

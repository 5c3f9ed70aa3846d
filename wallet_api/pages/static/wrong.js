// "Something is wrong": one of the kinds of the notice, a few words, and a number to quote.

import { el, icon } from "/phone/static/draw.js";
import { ask } from "/phone/static/line.js";
import { t } from "/phone/static/look.js";

const KINDS = ["UNIT_CANNOT_RETRIEVE", "UNIT_CANNOT_VERIFY", "CITIZEN_CANNOT_OBTAIN", "CITIZEN_CANNOT_SHOW", "DATA_WRONG"];
const MOST = 500;
const LOOK_MS = 700;

// What was chosen and written survives a change of language or size.
let draft = { entry: null, kind: null, text: "", number: null };

/** The form for one entry; `act.sent(entry, number)` once it has a number and the citizen has read it. */
export function wrongView(entry, act) {
  if (draft.entry !== entry.entry) draft = { entry: entry.entry, kind: null, text: "", number: null };
  if (draft.number) return arrived(entry, act);
  const left = el("small", { id: "left" });
  const error = el("p", { class: "error", id: "wrong-error", role: "alert" });
  const words = el("textarea", { id: "words", rows: "4", maxlength: String(MOST), "aria-describedby": "left" });
  const send = el("button", { class: "button" }, t("wrong.send"));
  const count = () => {
    draft.text = words.value;
    left.textContent = t("wrong.left", { n: MOST - Array.from(words.value).length });
  };
  words.value = draft.text;
  words.addEventListener("input", count);
  count();
  const submit = (event) => {
    event.preventDefault();
    hand_in(entry, act, send, error);
  };
  return el(
    "form",
    { class: "wrong", submit, novalidate: true },
    el("h1", { tabindex: "-1" }, t("wrong.title")),
    el("p", { class: "soft" }, t("wrong.lead")),
    el("fieldset", { class: "part" }, el("legend", {}, t("wrong.open")), ...KINDS.map(choice)),
    el("div", { class: "part" }, el("label", { for: "words" }, t("wrong.text")), words, left),
    error,
    send,
    el("a", { class: "button quiet", href: "#" + entry.entry }, t("history.back"))
  );
}

function choice(kind) {
  const pick = () => {
    draft.kind = kind;
  };
  const input = el("input", { type: "radio", name: "kind", value: kind, checked: draft.kind === kind, change: pick });
  return el("label", { class: "choice" }, input, el("span", {}, t("kind." + kind)));
}

function arrived(entry, act) {
  return el(
    "section",
    { class: "outcome pass" },
    icon("pass"),
    el("h1", { tabindex: "-1" }, t("wrong.done")),
    el("p", {}, t("wrong.number", { number: draft.number })),
    el("button", { type: "button", class: "button", click: () => act.sent(entry, draft.number) }, t("result.done"))
  );
}

async function hand_in(entry, act, send, error) {
  error.textContent = "";
  if (!draft.kind) {
    error.textContent = t("wrong.error.kind");
    return;
  }
  if (/[\u0000-\u0009\u000b-\u001f\u007f]/.test(draft.text)) {
    error.textContent = t("wrong.error.text");
    return;
  }
  send.disabled = true;
  send.textContent = t("wrong.sending");
  try {
    await ask("POST", "objection", { entry: entry.entry, kind: draft.kind, text: draft.text });
    draft.number = await number();
    const form = send.closest("form");
    const done = arrived(entry, act);
    form.replaceWith(done);
    done.querySelector("h1").focus({ preventScroll: true });
    scrollTo(0, 0);
  } catch (problem) {
    error.textContent = problem.sentence + " " + problem.next;
    send.disabled = false;
    send.textContent = t("wrong.send");
  }
}

async function number() {
  for (;;) {
    const got = await ask("GET", "objection");
    if (got.body.number) return got.body.number;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

// Twelve digits to read out where a scanner does not read the code: made when somebody asks, gone when they are over.

import { el, fill } from "/phone/static/draw.js";
import { ask } from "/phone/static/line.js";
import { t } from "/phone/static/look.js";

/** Digits that are asked for by a tap. */
export function liveTwin() {
  let digits = "";
  let goodUntil = 0;
  let asked = false;
  let problem = null;
  let node = null;
  let left = null;
  let ticking = null;

  async function make() {
    try {
      const got = (await ask("POST", "twin")).body;
      digits = got.twin;
      goodUntil = performance.now() + got.good_for * 1000;
      asked = true;
      problem = null;
      if (ticking === null) ticking = setInterval(tick, 500);
    } catch (failure) {
      problem = failure;
    }
    show();
  }

  function tick() {
    if (digits && performance.now() >= goodUntil) {
      digits = "";
      show();
    }
    if (left && digits) left.textContent = t("show.twin.note", { n: Math.ceil((goodUntil - performance.now()) / 1000) });
  }

  function show() {
    if (!node) return;
    const focused = node.contains(document.activeElement);
    left = el("p", { class: "soft small" });
    const number = el("p", { class: "twin", role: "status" }, digits);
    const again = el("button", { type: "button", class: "plain", id: "twin", click: make }, asked ? t("show.twin.again") : t("show.twin"));
    const error = problem ? el("p", { class: "error", role: "alert" }, problem.sentence) : null;
    fill(node, number, digits ? left : null, error, digits ? null : again);
    if (digits) {
      number.setAttribute("tabindex", "-1");
      if (focused) number.focus();
    }
    tick();
  }

  return {
    draw() {
      node = el("div", { class: "centre" });
      show();
      return node;
    },
    live: () => digits !== "",
    stop() {
      clearInterval(ticking);
      ticking = null;
      digits = "";
      asked = false;
      problem = null;
    },
  };
}

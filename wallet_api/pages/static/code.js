// The code on the screen: always black on white, renewed on the server's time, and covered once it is no longer good.

import { el, fill, shape } from "/phone/static/draw.js";
import { ask } from "/phone/static/line.js";
import { t } from "/phone/static/look.js";

const SLICE_S = 30;
const OWN_S = 40; // how often the app draws another text of its own
const AROUND = 2 * Math.PI * 20; // length of the ring
const RETRY_MS = 2000;

// Where each code comes from: ours, the simple one, the one that the app draws itself.
const FROM = { usual: ["GET", "code"], simple: ["GET", "code?form=simple"], own: ["POST", "own-code"] };

/** A code that renews itself. `say(text)` tells about the line, "" when all is well; `refused(problem)` ends it. */
export function liveCode(say, refused) {
  let node = null;
  let picture = "";
  let every = SLICE_S; // seconds
  let renewAt = 0; // performance.now() at which the next slice has begun
  let goodUntil = 0;
  let asking = false;
  let ticking = null;
  let form = "usual";
  let parts = {};

  async function renew() {
    if (asking || ticking === null) return;
    asking = true;
    const wanted = form;
    try {
      const got = (await ask(...FROM[form])).body;
      if (form !== wanted) return; // another one was chosen meanwhile
      every = form === "own" ? got.refresh_in : SLICE_S;
      const now = performance.now();
      picture = got.picture;
      // `refresh_in` is rounded down: a second later the next slice has surely begun.
      renewAt = now + (got.refresh_in + 1) * 1000;
      goodUntil = now + got.good_for * 1000;
      say("");
      show();
    } catch (problem) {
      renewAt = performance.now() + RETRY_MS;
      if (problem.offline || problem.status >= 500) say(t("show.offline"));
      else refused(problem);
    } finally {
      asking = false;
    }
    if (form !== wanted) renew();
  }

  function tick() {
    const now = performance.now();
    if (now >= renewAt) renew();
    if (!picture) return;
    const left = Math.max(0, Math.min(every, (renewAt - now) / 1000 - 1));
    parts.ring.setAttribute("stroke-dashoffset", String(AROUND * (1 - left / every)));
    parts.number.textContent = String(Math.ceil(left));
    const stale = now >= goodUntil;
    parts.image.hidden = stale;
    parts.stale.hidden = !stale;
  }

  function show() {
    if (!node || !picture) return;
    if (parts.image.src !== picture) parts.image.src = picture;
    parts.busy.hidden = true;
    tick();
  }

  function draw() {
    const wide = node !== null && node.classList.contains("wide");
    parts = {
      image: el("img", { alt: t("show.code"), hidden: true, width: "320", height: "320" }),
      busy: el("span", { class: "covered" }, t("show.busy")),
      stale: el("span", { class: "covered", hidden: true }, t("show.stale")),
      number: el("b", { class: "figures" }, "–"),
      ring: shape("circle", { class: "left", cx: "24", cy: "24", r: "20", "stroke-dasharray": String(AROUND), "stroke-dashoffset": "0" }),
    };
    const ring = shape("svg", { viewBox: "0 0 48 48", class: "ring", "aria-hidden": "true" });
    ring.append(shape("circle", { cx: "24", cy: "24", r: "20" }), parts.ring);
    const frame = el("button", { type: "button", class: "code", "aria-label": t("show.code"), click: widen }, parts.image, parts.busy, parts.stale);
    const clock = el("p", { class: "clock" }, el("span", { class: "dial" }, ring, parts.number), el("span", {}, t("show.every", { n: form === "own" ? OWN_S : SLICE_S })));
    const drawn = el("div", { class: wide ? "showing wide" : "showing" }, frame, clock);
    if (node) node.replaceWith(drawn);
    node = drawn;
    show();
    return node;
  }

  function widen() {
    node.classList.toggle("wide");
  }

  return {
    draw,
    renew,
    form: () => form,
    /** Show another code from now on: "usual", "simple", "own". */
    use(other) {
      form = other;
      picture = "";
      renewAt = 0;
    },
    start() {
      if (ticking === null) ticking = setInterval(tick, 250);
      renew();
    },
    stop() {
      clearInterval(ticking);
      ticking = null;
      picture = "";
    },
  };
}

/** Keep the screen lit while a code is shown; where a browser cannot, nothing happens. */
export function keepLit() {
  let lock = null;
  let wanted = false;

  function drop() {
    if (lock) lock.release().catch(() => null);
    lock = null;
  }

  async function take() {
    // A browser takes the lock away whenever the page is hidden; then it is asked for again.
    if (!("wakeLock" in navigator) || document.hidden || (wanted && lock && !lock.released)) return;
    if (wanted && !lock) return; // under way
    wanted = true;
    lock = null;
    try {
      lock = await navigator.wakeLock.request("screen");
    } catch (problem) {
      wanted = false; // battery saver, or no permission
    }
    if (!wanted) drop();
  }

  return {
    take,
    release() {
      wanted = false;
      drop();
    },
  };
}

/** What helps when a scanner does not read it, and the `others` to try; `open`: whether one of them is in use. */
export function scanHelp(open, ...others) {
  const tips = ["show.help.1", "show.help.2", "show.help.3", "show.help.4"];
  const list = el("ul", {});
  fill(list, ...tips.map((each) => el("li", {}, t(each))));
  return el("details", { class: "help", open }, el("summary", {}, t("show.help")), list, ...others);
}

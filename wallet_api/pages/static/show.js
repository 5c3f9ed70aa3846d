// One showing from the code to the result, on one page. The server's state decides what stands here; this file draws it.
//
//   OPEN       the code            CLAIMED    the sheet          ANSWERED   being checked
//              or: the counter's code is read (SCANNING, known to this page only)
//   CONSENTED  may be withdrawn    …          the result
//
// It asks for the state every second while somebody looks and every five seconds while nobody does, and stops at the end.

import { keepLit, liveCode, scanHelp } from "/phone/static/code.js";
import { deviceOf, signApproval } from "/phone/static/device.js";
import { el, fill } from "/phone/static/draw.js";
import { ask, serverNow } from "/phone/static/line.js";
import { onLook, ready, t } from "/phone/static/look.js";
import { resultView, waitingView } from "/phone/static/result.js";
import { counterScan } from "/phone/static/scan.js";
import { drawSheet, missing, newChoice } from "/phone/static/sheet.js";
import { liveTwin } from "/phone/static/twin.js";

const SEEN_MS = 1000;
const HIDDEN_MS = 5000;
const SLOW_MS = 12000;
const RESEND_MS = 100000; // a signed answer lives for 120 s
const LIVE = ["OPEN", "CLAIMED", "ANSWERED", "CONSENTED", "WITHDRAWING"];

const view = document.getElementById("view");
const line = document.getElementById("line");
const says = document.getElementById("says");
const tabs = document.getElementById("tabs");
const lit = keepLit();
const code = liveCode(tellLine, () => look());
const twin = liveTwin();

let me = null;
let state = null;
let tag = "";
let data = null; // {sheet, holdings}
let choice = newChoice();
let failure = null;
let signed = null; // {decision, text, at}: an answer whose reply was lost is sent again as it was
let drawn = ""; // what stands on the page
let since = 0; // since when it stands there
let timer = null;
let tellTime = null;
let looking = null;
let scan = null; // while the counter's code is read

// Drawing

function render() {
  const now = failure ? "FAILED" : state.state === "OPEN" && scan ? "SCANNING" : state.state;
  const fresh = now !== drawn;
  if (fresh) since = performance.now();
  drawn = now;
  tellTime = null;
  tabs.hidden = now === "CLAIMED";
  if (now === "FAILED") drawFailure();
  else if (now === "OPEN") drawCode();
  else if (now === "SCANNING") fill(view, ...scan.draw());
  else if (now === "CLAIMED") drawAsked();
  else if (now === "ANSWERED") fill(view, waitingView(t("wait.title"), t("wait.note"), null));
  else if (now === "CONSENTED") fill(view, waitingView(t("consented.title"), t("consented.note"), withdrawButton()));
  else if (now === "WITHDRAWING") fill(view, waitingView(t("withdrawing.title"), t("withdrawing.note"), null));
  else fill(view, resultView(state, data ? data.sheet : null, { again: open }));
  if (now !== "OPEN") {
    code.stop();
    twin.stop();
    lit.release();
  }
  if (now !== "SCANNING") endScan();
  if (fresh && now !== "OPEN") announce();
}

/** A new view is said aloud and gets the focus, so that nobody has to see it to know of it. */
function announce() {
  const heading = view.querySelector("h1");
  if (!heading) return;
  says.textContent = heading.textContent;
  heading.focus({ preventScroll: true });
  window.scrollTo(0, 0);
  // Before the first tap on a page a browser refuses to vibrate, and complains.
  const tapped = navigator.userActivation && navigator.userActivation.hasBeenActive;
  if (navigator.vibrate && tapped && state && state.state === "CLAIMED") navigator.vibrate(60);
}

function drawCode() {
  fill(
    view,
    el("h1", { class: "centre" }, t("show.title")),
    el("p", { class: "centre soft" }, t("show.lead")),
    code.draw(),
    el("p", { class: "centre soft small" }, t("show.safe")),
    el(
      "div",
      { class: "otherwise" },
      el("button", { type: "button", class: "plain", id: "scan", click: startScan }, t("scan.link")),
      scanHelp(twin.draw(), twin.live())
    ),
    el("button", { type: "button", class: "button quiet", click: close }, t("show.close"))
  );
  code.start();
  lit.take();
}

/** Read the counter's code in place of showing one. What the counter then asks appears as after a scan. */
function startScan() {
  scan = counterScan({ redraw: render, taken: look, back: stopScan });
  render();
}

function stopScan() {
  endScan();
  render();
  const link = document.getElementById("scan");
  if (link) link.focus();
}

function endScan() {
  if (scan) scan.stop();
  scan = null;
}

function drawAsked() {
  if (!data) {
    fill(view, el("p", { class: "card busy" }, t("sheet.which.busy")));
    return;
  }
  tellTime = drawSheet(view, data, choice, me.provinces, { agree: () => answer("agree"), decline: () => answer("decline") });
  tellTime();
}

function drawFailure() {
  const again = el("button", { type: "button", class: "button", click: failure.retry }, t("error.retry"));
  const words = el("div", { class: "card" }, el("h1", { tabindex: "-1" }, t("error.title")), el("p", {}, failure.problem.sentence), el("p", { class: "soft" }, failure.problem.next));
  fill(view, words, again);
}

function withdrawButton() {
  const error = el("p", { class: "error", role: "alert" }, choice.error ? choice.error() : "");
  const button = el("button", { type: "button", class: "button quiet", id: "withdraw", disabled: choice.busy, click: withdraw }, t("consented.withdraw"));
  return el("div", {}, error, button);
}

function tellLine(text) {
  line.textContent = text;
  line.hidden = !text;
}

// Opening and ending

async function open() {
  try {
    const got = await ask("POST", "show");
    data = null;
    choice = newChoice();
    signed = null;
    tag = "";
    failure = null;
    code.stop();
    take(got.body);
    look();
  } catch (problem) {
    failure = { problem, retry: open };
    render();
  }
}

async function close() {
  try {
    await ask("POST", "close");
  } catch (problem) {
    // scanned in this very moment: the next look shows the sheet
  }
  look();
}

// Looking

function take(body) {
  state = body;
  render();
}

/** One look at the state, and the next one after it. */
async function look() {
  clearTimeout(timer);
  if (looking) return looking;
  looking = glance();
  await looking;
  looking = null;
  clearTimeout(timer);
  if (!state || !state.ended) timer = setTimeout(look, document.hidden || (state && state.state === "UNDETERMINED") ? HIDDEN_MS : SEEN_MS);
}

async function glance() {
  try {
    const got = await ask("GET", "state", null, tag);
    tellLine("");
    if (got.status === 304) {
      if (state.state === "ANSWERED" && performance.now() - since > SLOW_MS) tellLine(t("wait.slow"));
      return;
    }
    if (got.body.asked) data = (await ask("GET", "sheet")).body;
    tag = got.tag;
    failure = null;
    if (state && state.state === got.body.state && state.version === got.body.version) return;
    if (state && state.state !== got.body.state) Object.assign(choice, { error: null, busy: false });
    take(got.body);
  } catch (problem) {
    tellLine(problem.offline ? t("show.offline") : problem.sentence);
  }
}

// Answering

async function answer(decision) {
  const lacking = decision === "agree" ? missing(data, choice) : null;
  if (lacking) {
    refuse(() => t(lacking.key));
    const place = document.getElementById(lacking.anchor);
    place.scrollIntoView({ block: "center" });
    const first = place.querySelector("input");
    if (first) first.focus({ preventScroll: true });
    return;
  }
  await handIn("approval", decision, {
    certificate: decision === "agree" ? choice.certificate : null,
    digits: decision === "agree" ? choice.digits : null,
    declarations: decision === "agree" ? data.sheet.declarations.map((each) => each.slug) : [],
  });
}

function withdraw() {
  return handIn("withdraw", "withdraw", { certificate: null, digits: null, declarations: [] });
}

async function handIn(path, decision, content) {
  Object.assign(choice, { busy: true, error: null });
  render();
  try {
    const again = signed && signed.decision === decision && performance.now() - signed.at < RESEND_MS;
    if (!again) {
      const device = await deviceOf(me.persona);
      if (!device) {
        refuse(() => t("sheet.error.key"));
        return;
      }
      const whole = Object.assign({ req: data.sheet.request, decision }, content);
      signed = { decision, text: await signApproval(device, me, whole, serverNow()), at: performance.now() };
    }
    await ask("POST", path, { approval: signed.text });
    await look();
  } catch (problem) {
    if (!problem.offline) signed = null;
    refuse(() => (problem.sentence ? problem.sentence + " " + problem.next : t("sheet.error.key")));
    look();
  }
}

function refuse(words) {
  Object.assign(choice, { busy: false, error: words });
  render();
}

// Starting

async function start() {
  await ready();
  const wantsNew = location.hash === "#new";
  if (wantsNew) history.replaceState(null, "", location.pathname);
  onLook(() => state && render());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || !state) return;
    look();
    if (state.state === "OPEN") {
      code.renew();
      lit.take();
    }
  });
  setInterval(() => tellTime && tellTime(), 1000);
  await enter(wantsNew);
}

async function enter(wantsNew) {
  try {
    me = (await ask("GET", "me")).body;
    const first = await ask("GET", "state");
    const live = LIVE.includes(first.body.state);
    if (!live && (wantsNew || first.body.state === "NONE")) {
      await open();
      return;
    }
    if (first.body.asked) data = (await ask("GET", "sheet")).body;
    failure = null;
    tag = first.tag;
    take(first.body);
    look();
  } catch (problem) {
    failure = { problem, retry: () => enter(wantsNew) };
    render();
  }
}

start();

// One showing from the code to the result, on one page. The server's state decides what stands here; this file draws it.
//
//   OPEN       the code            CLAIMED    the sheet          ANSWERED   being checked
//              or: the counter's code is read (SCANNING), or the citizen agrees beforehand (BEFOREHAND); known to this page only
//   CONSENTED  may be withdrawn    …          the result (without one UNDETERMINED is a pause: may be withdrawn too)
//
// It asks for the state every second while somebody looks and every five seconds while nobody does, and stops at the end.

import { agreeBeforehand, standsLine } from "/phone/static/beforehand.js";
import { keepLit, liveCode, scanHelp } from "/phone/static/code.js";
import { deviceOf, signApproval } from "/phone/static/device.js";
import { el, fill } from "/phone/static/draw.js";
import { ask, serverNow } from "/phone/static/line.js";
import { onLook, ready, side, t } from "/phone/static/look.js";
import { resultView, waitingView } from "/phone/static/result.js";
import { counterScan } from "/phone/static/scan.js";
import { drawSheet, lookAt, missing, newChoice } from "/phone/static/sheet.js";
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
let before = null; // while the citizen agrees beforehand
let stands = null; // {unit, matter, type, until}: what was agreed to beforehand
let held = false; // whether a request was held back for a moment, to see if what stands covers it
let late = false; // a withdrawal was refused, because all had been given

// Drawing

function render() {
  const now = place();
  const whole = now === "BEFOREHAND" ? now + " " + before.step() : now;
  const fresh = whole !== drawn;
  if (fresh) since = performance.now();
  drawn = whole;
  tellTime = null;
  tabs.hidden = now === "CLAIMED" || whole === "BEFOREHAND offer";
  if (now === "FAILED") drawFailure();
  else if (now === "OPEN") drawCode();
  else if (now === "SCANNING") fill(view, ...scan.draw());
  else if (now === "BEFOREHAND") fill(view, ...before.draw());
  else if (now === "CLAIMED") drawAsked();
  else if (now === "ANSWERED") fill(view, waitingView(t("wait.title"), t("wait.note"), null));
  else if (now === "CONSENTED") fill(view, agreedView());
  else if (now === "WITHDRAWING") fill(view, waitingView(t("withdrawing.title"), t("withdrawing.note"), null));
  else fill(view, resultView(ended(), data ? data.sheet : null, { again: open, paused: pausedView() }));
  if (now !== "OPEN") {
    code.stop();
    twin.stop();
    lit.release();
  }
  if (now !== "SCANNING") endScan();
  if (now !== "BEFOREHAND" && !failure) endBefore();
  if (fresh && now !== "OPEN") announce();
}

function place() {
  if (failure) return "FAILED";
  if (state.state === "OPEN" && before) return "BEFOREHAND";
  return state.state === "OPEN" && scan ? "SCANNING" : state.state;
}

/** Of two people the one who has agreed waits for the other. */
function agreedView() {
  const two = data && data.sheet.together;
  return waitingView(t(two ? "consented.two.title" : "consented.title"), t(two ? "consented.two.note" : "consented.note"), withdrawButton());
}

/** The library was silent, and the counter may ask it again: the consent lives, and can be taken back. */
function pausedView() {
  if (state.state !== "UNDETERMINED" || state.result || !data) return null;
  return el("section", { class: "card" }, el("p", {}, t("paused.note")), withdrawButton());
}

/** The state as the last page tells it. */
function ended() {
  return late && state.state === "DELIVERED" ? Object.assign({}, state, { reason: "WITHDRAWAL_TOO_LATE" }) : state;
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
    el("p", { class: "centre soft" }, code.form() === "own" ? t("show.own.lead", ownCode()) : t("show.lead")),
    code.draw(),
    stands ? standsLine(stands, takeBack) : null,
    el("p", { class: "centre soft small" }, t(stands ? "stands.safe" : "show.safe")),
    el(
      "div",
      { class: "otherwise" },
      el("button", { type: "button", class: "plain", id: "scan", click: startScan }, t("scan.link")),
      ownButton(),
      stands ? null : el("button", { type: "button", class: "plain", id: "beforehand", click: startBefore }, t("beforehand.link")),
      scanHelp(twin.live() || code.form() === "simple", simpleButton(), twin.draw())
    ),
    el("button", { type: "button", class: "button quiet", click: close }, t("show.close"))
  );
  code.start();
  lit.take();
}

/** What the app's own code is called, in the words that the page speaks now. */
function ownCode() {
  return { name: side(me.own_code) };
}

/** The other code: the one that this app shows already today, for counters that know it. */
function ownButton() {
  if (!me.own_code) return null;
  const words = code.form() === "own" ? t("show.own.back") : t("show.own.link", ownCode());
  return el("button", { type: "button", class: "plain", id: "own", click: () => changeCode("own") }, words);
}

/** A code of fewer and larger modules, for scanners that do not read the usual one. */
function simpleButton() {
  const words = t(code.form() === "simple" ? "show.own.back" : "show.simple");
  const button = el("button", { type: "button", class: "plain", id: "simple", click: () => changeCode("simple") }, words);
  return el("div", { class: "centre" }, button);
}

/** The other code, by the button of this id; a second press brings ours back. */
function changeCode(form) {
  code.use(code.form() === form ? "usual" : form);
  render();
  document.getElementById(form).focus({ preventScroll: true });
  view.querySelector(".code").scrollIntoView({ block: "nearest" });
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

/** Agree beforehand for one counter: chosen, read and signed while the showing goes on. */
function startBefore() {
  before = agreeBeforehand(me, { redraw: render, opened: begin, done: stood, back: stopBefore });
  before.begin();
}

function stopBefore() {
  endBefore();
  render();
  const link = document.getElementById("beforehand");
  if (link) link.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function endBefore() {
  if (before) before.stop();
  before = null;
}

function stood(found) {
  stands = found;
  endBefore();
  look();
  render();
  const words = document.querySelector("#stands p");
  if (!words) return;
  says.textContent = words.textContent;
  document.getElementById("take-back").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

async function takeBack() {
  try {
    await ask("DELETE", "standing");
    nothingStands("stands.gone");
  } catch (problem) {
    tellLine(problem.sentence);
    look(); // perhaps a counter has asked in this moment
  }
}

function nothingStands(key) {
  stands = null;
  render();
  says.textContent = t(key);
  const link = document.getElementById("beforehand");
  if (link && document.activeElement === document.body) link.focus({ preventScroll: true });
}

/** What stands has its time; when that is over the page no longer says that it does. */
function judgeStands() {
  if (stands && state.state === "OPEN" && serverNow() >= Date.parse(stands.until)) nothingStands("stands.over");
}

function drawAsked() {
  if (!data) {
    fill(view, el("p", { class: "card busy" }, t("sheet.which.busy")));
    return;
  }
  data.beforehand = stands !== null;
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
    begin((await ask("POST", "show")).body);
    look();
  } catch (problem) {
    failure = { problem, retry: open };
    render();
  }
}

/** A showing has begun. */
function begin(body) {
  data = stands = signed = null;
  choice = newChoice();
  tag = "";
  failure = null;
  held = late = false;
  code.stop();
  take(body);
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
    if (before && before.busy()) return; // a fresh code is being opened: the old one's end is no news
    tellLine("");
    if (got.status === 304) {
      if (state.state === "ANSWERED" && performance.now() - since > SLOW_MS) tellLine(t("wait.slow"));
      return;
    }
    if (got.body.state === "CLAIMED" && stands && !held) {
      held = true; // what was agreed to beforehand becomes a consent in this moment, if it covers the request
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
    lookAt(lacking.anchor);
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
    late = Boolean(problem.problem && problem.problem.code === "WITHDRAWAL_TOO_LATE");
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
  setInterval(() => {
    if (tellTime) tellTime();
    judgeStands();
  }, 1000);
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
    stands = (await ask("GET", "standing")).body.stands;
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

// The phone reads the counter's code, instead of being read. A real app has a scanner of its own. Here the browser's is used
// where it has one (BarcodeDetector); otherwise the text is pasted.

import { el } from "/phone/static/draw.js";
import { ask } from "/phone/static/line.js";
import { t } from "/phone/static/look.js";

const PREFIX = "YRDC:";
const LOOK_MS = 700;
const FRAME_MS = 250;
const MOST_FAILURES = 12; // frames in a row that the reader could not read at all: three seconds
// What these mean for a code that the citizen has shown is something else.
const WORDS = { CODE_ALREADY_USED: "scan.error.first", CODE_EXPIRED: "scan.error.over", CODE_MALFORMED: "scan.error.kind" };

/** A reader of QR codes, or null: some browsers have the class, but not this format, or nothing behind the class. */
async function codeReader() {
  try {
    const Reader = window.BarcodeDetector;
    if (Reader.getSupportedFormats && !(await Reader.getSupportedFormats()).includes("qr_code")) return null;
    return new Reader({ formats: ["qr_code"] });
  } catch (problem) {
    return null;
  }
}

/** The view. `redraw()` draws the page again; `taken()` is called when the counter has this phone; `back()` leaves. */
export function counterScan({ redraw, taken, back }) {
  let lack = "BarcodeDetector" in window && navigator.mediaDevices ? "" : "scan.unable"; // why there is no camera here
  let running = true;
  let reader = null; // the reader of codes, once it was asked for
  let opening = null; // the camera, the same
  let text = "";
  let told = ""; // "scan.busy" and then "scan.taken" while a code is on its way
  let error = () => "";

  async function send(found) {
    if (told) return;
    text = found.trim();
    if (!text.startsWith(PREFIX)) {
      refuse(() => t("scan.error.kind"));
      return;
    }
    told = "scan.busy";
    error = () => "";
    redraw();
    try {
      await ask("POST", "counter", { counter: text });
      // Once the counter has it, the sheet ends this view; where there is none, the counter's reason comes from here.
      while (running) {
        if (told === "scan.busy" && (await came())) {
          told = "scan.taken";
          if (running) redraw();
          taken();
        } else if (told === "scan.taken") await came();
        await new Promise((done) => setTimeout(done, LOOK_MS));
      }
    } catch (problem) {
      told = "";
      text = "";
      const key = problem.problem ? WORDS[problem.problem.code] : null;
      refuse(() => (key ? t(key) : problem.sentence + " " + problem.next));
    }
  }

  async function came() {
    try {
      return (await ask("GET", "counter")).body.state === "TAKEN";
    } catch (problem) {
      if (problem.offline) return false; // what was sent stays sent
      throw problem;
    }
  }

  function refuse(words) {
    error = words;
    if (!running) return;
    redraw();
    const field = document.getElementById("counter-text");
    if (field) field.focus();
  }

  async function look(video) {
    if (!reader) reader = codeReader();
    const eye = await reader; // before the camera: none is opened for nothing
    if (!eye) {
      without("scan.unable", video);
      return;
    }
    try {
      if (!opening) opening = navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = await opening;
      if (!running) release();
      await video.play();
    } catch (problem) {
      without("scan.closed", video);
      return;
    }
    let failures = 0;
    while (running && video.isConnected && failures < MOST_FAILURES) {
      try {
        const found = told ? [] : await eye.detect(video);
        failures = 0;
        const mine = found.find((each) => each.rawValue.startsWith(PREFIX));
        if (mine) send(mine.rawValue);
      } catch (problem) {
        failures += 1;
      }
      await new Promise((done) => setTimeout(done, FRAME_MS));
    }
    if (failures === MOST_FAILURES) without("scan.unable", video);
  }

  /** Go on without the camera, and say why. */
  function without(why, video) {
    if (!running || !video.isConnected) return; // another view has come meanwhile
    release(); // it may be open, and only the picture failed
    lack = why;
    redraw();
  }

  function release() {
    if (opening) opening.then((stream) => stream.getTracks().forEach((each) => each.stop())).catch(() => null);
  }

  function finder() {
    const video = el("video", { playsinline: true, muted: true, "aria-label": t("scan.camera") });
    video.muted = true; // the attribute alone is not heard on an element that a script made
    setTimeout(() => look(video));
    return [el("div", { class: "code finder" }, video), el("p", { class: "centre soft small" }, t("scan.camera"))];
  }

  function form() {
    const field = el("textarea", { id: "counter-text", rows: "3", spellcheck: "false", autocomplete: "off", disabled: told !== "" });
    field.value = text;
    field.addEventListener("input", () => (text = field.value));
    const submit = (event) => {
      event.preventDefault();
      send(field.value);
    };
    return el(
      "form",
      { class: "card paste", submit },
      el("label", { for: "counter-text" }, t("scan.paste")),
      field,
      el("p", { class: "error", role: "alert" }, error()),
      el("button", { class: "button", disabled: told !== "" }, told ? t(told) : t("scan.send"))
    );
  }

  return {
    draw() {
      return [
        el("h1", { class: "centre", tabindex: "-1" }, t("scan.title")),
        el("p", { class: "centre soft" }, t("scan.lead")),
        ...(lack ? [el("p", { class: "note warn", role: "status" }, t(lack))] : finder()),
        form(),
        el("button", { type: "button", class: "button quiet", click: back }, t("scan.back")),
      ];
    },
    stop() {
      running = false;
      release();
    },
  };
}

// The phone reads the counter's code, instead of being read. A real app has a scanner of its own. Here the browser's is used
// where it has one (BarcodeDetector); otherwise the text is pasted.

import { el } from "/phone/static/draw.js";
import { ask } from "/phone/static/line.js";
import { t } from "/phone/static/look.js";

const PREFIX = "YRDC:";
const LOOK_MS = 700;
const FRAME_MS = 250;
// What these mean for a code that the citizen has shown is something else.
const WORDS = { CODE_ALREADY_USED: "scan.error.first", CODE_EXPIRED: "scan.error.over", CODE_MALFORMED: "scan.error.kind" };

/** The view. `redraw()` draws the page again; `taken()` is called when the counter has this phone; `back()` leaves. */
export function counterScan({ redraw, taken, back }) {
  let camera = "BarcodeDetector" in window && Boolean(navigator.mediaDevices);
  let running = true;
  let opening = null; // the camera, once it was asked for
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
    try {
      if (!opening) opening = navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = await opening;
      if (!running) release();
      await video.play();
    } catch (problem) {
      if (!running || !video.isConnected) return; // another view has come meanwhile
      camera = false;
      redraw();
      return;
    }
    const detector = new window.BarcodeDetector({ formats: ["qr_code"] });
    while (running && video.isConnected) {
      const found = told ? [] : await detector.detect(video).catch(() => []);
      const mine = found.find((each) => each.rawValue.startsWith(PREFIX));
      if (mine) send(mine.rawValue);
      await new Promise((done) => setTimeout(done, FRAME_MS));
    }
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
        ...(camera ? finder() : []),
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

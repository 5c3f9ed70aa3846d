/* The sheet that is turned to somebody without a phone: what is asked, by whom, for what; and their answer.

   1. everything that is read here comes from the register, and is there before anything can be answered
   2. the declaration is a box of its own, and nobody has ticked it
   3. signing is what is offered; a face match only where the matter takes it, and only after it was chosen
   4. to decline takes one press, on a button of the same size
   5. strokes are kept here until they are sent, and wiped with the sheet
*/

const FIELD = 10000; // of the field's width, as the kiosk counts
const MOST_POINTS = 2500;

/** The sheet. `show(state)` at each news, `tick(left)` between them. */
export function sheetView({ say, own, put, show, fill, send, taken, choices }) {
  const $ = (id) => document.getElementById(id);
  const dialog = $("sheet");
  const pad = $("pad");
  let strokes = [];
  let points = 0;
  let began = 0;
  let shown = ""; // the request whose sheet stands here
  let sheet = null;
  let method = "pad";
  let left = () => 0;

  /* --- what is read -------------------------------------------------------------------- */

  function row(name, value) {
    const pair = document.createElement("div");
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = name;
    if (Array.isArray(value)) {
      const list = document.createElement("ul");
      list.append(...value.map((each) => Object.assign(document.createElement("li"), { textContent: each })));
      dd.append(list);
    } else dd.textContent = value;
    pair.append(dt, dd);
    return pair;
  }

  function write() {
    put("sheet-unit", own(sheet.unit, "name"));
    put("sheet-window", sheet.window_name);
    put("sheet-place", own(sheet, "place"));
    $("sheet-rows").replaceChildren(
      row(say("sheet.matter"), own(sheet.matter, "name")),
      ...(sheet.cause && sheet.cause !== sheet.matter.name_zh ? [row(say("sheet.cause"), `“${sheet.cause}”`)] : []),
      row(say("sheet.certificate"), say(`type.${sheet.type}`)),
      row(say("sheet.fields"), sheet.fields.map((each) => own(each, "label"))),
      row(say("sheet.not_given"), sheet.not_given.map((each) => each[document.documentElement.lang.startsWith("zh") ? "zh" : "en"])),
      row(say("sheet.basis"), `${own(sheet, "basis")} ${sheet.clause}`),
      row(say("sheet.retention"), own(sheet, "retention")),
    );
    $("sheet-declarations").replaceChildren(
      ...sheet.declarations.map((each) => {
        const label = document.createElement("label");
        const box = document.createElement("input");
        const text = document.createElement("span");
        label.className = "tick declaration";
        box.type = "checkbox";
        box.name = "declaration";
        box.value = each.slug;
        text.textContent = own(each, "text");
        label.append(box, text);
        return label;
      }),
    );
  }

  /* --- the pad ------------------------------------------------------------------------- */

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    pad.width = Math.round(pad.clientWidth * ratio);
    pad.height = Math.round(pad.clientHeight * ratio);
    const pen = pad.getContext("2d");
    const scale = pad.width / FIELD;
    pen.lineWidth = 3 * ratio;
    pen.lineCap = pen.lineJoin = "round";
    pen.strokeStyle = "#16202B";
    for (const stroke of strokes) {
      pen.beginPath();
      stroke.forEach(([x, y], at) => (at ? pen.lineTo(x * scale, y * scale) : pen.moveTo(x * scale, y * scale)));
      if (stroke.length === 1) pen.lineTo(stroke[0][0] * scale + 1, stroke[0][1] * scale);
      pen.stroke();
    }
  }

  function point(event) {
    const box = pad.getBoundingClientRect();
    const at = (value) => Math.max(0, Math.min(FIELD, Math.round((value / box.width) * FIELD)));
    return [at(event.clientX - box.left), at(event.clientY - box.top), Math.max(0, Math.round(event.timeStamp - began))];
  }

  function touch(event) {
    if (event.button !== 0 || points >= MOST_POINTS) return;
    event.preventDefault();
    pad.setPointerCapture(event.pointerId);
    if (!strokes.length) began = event.timeStamp;
    strokes.push([point(event)]);
    points += 1;
    fault("");
    draw();
  }

  function move(event) {
    if (!pad.hasPointerCapture(event.pointerId) || points >= MOST_POINTS) return;
    const stroke = strokes[strokes.length - 1];
    const next = point(event);
    const last = stroke[stroke.length - 1];
    if (Math.abs(next[0] - last[0]) + Math.abs(next[1] - last[1]) < 20) return;
    stroke.push(next);
    points += 1;
    draw();
  }

  function wipe() {
    strokes = [];
    points = 0;
    draw();
  }

  /** In the sandbox: what a pen would have written, for whoever has none. */
  function simulate() {
    wipe();
    const height = (pad.clientHeight / pad.clientWidth) * FIELD;
    for (let n = 0; n < 3; n += 1) {
      const stroke = [];
      for (let at = 0; at <= 24; at += 1) {
        const wave = Math.sin(at / (1.6 + n) + Math.random() / 3);
        stroke.push([Math.round(1500 + n * 2300 + at * 75), Math.round(height * (0.5 + 0.28 * wave)), n * 700 + at * 22]);
      }
      strokes.push(stroke);
      points += stroke.length;
    }
    fault("");
    draw();
  }

  /* --- the answer ---------------------------------------------------------------------- */

  function fault(text) {
    put("sheet-fault", text);
    show("sheet-fault", text !== "");
  }

  function by(name) {
    method = name;
    const face = name === "face";
    const may = sheet && sheet.methods.includes("face") && sheet.methods.includes("pad");
    show("sheet-pad", !face);
    show("sheet-face", face);
    show("to-face", Boolean(may) && !face);
    show("to-pad", Boolean(may) && face);
    put("sheet-agree", say(face ? "sheet.agree.face" : "sheet.agree"));
    fault("");
    if (!face) draw();
  }

  function declared() {
    return [...$("sheet-declarations").querySelectorAll("input:checked")].map((box) => box.value);
  }

  function lacking() {
    if (declared().length < sheet.declarations.length) return say("sheet.undeclared");
    if (method === "pad" && !points) return say("sheet.unsigned");
    return method === "face" && !$("face-standing").value ? say("sheet.nobody") : "";
  }

  async function answer(decision) {
    const mine = { decision, method, sheet: sheet.request };
    if (decision === "agree") {
      const missing = lacking();
      if (missing) {
        fault(missing);
        return;
      }
      Object.assign(mine, { declarations: declared() }, method === "pad" ? { strokes } : { standing: $("face-standing").value });
    }
    const buttons = [$("sheet-agree"), $("sheet-decline")];
    for (const button of buttons) button.disabled = true;
    try {
      taken(await send("answer", mine));
    } catch (error) {
      fault(error.message);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  function close() {
    shown = "";
    sheet = null;
    strokes = [];
    points = 0;
    if (dialog.open) dialog.close();
    for (const id of ["sheet-unit", "sheet-window", "sheet-place", "sheet-name", "sheet-number", "sheet-left"]) put(id, "");
    for (const id of ["sheet-rows", "sheet-declarations"]) $(id).replaceChildren();
    fill($("face-standing"), [], "");
  }

  function open(state) {
    sheet = state.sheet;
    shown = sheet.request;
    strokes = [];
    points = 0;
    write();
    put("sheet-name", state.on_card.name);
    put("sheet-number", state.on_card.number);
    const people = choices().cards.map((each) => [each.id, `${each.name} · ${each.number}`]);
    fill($("face-standing"), [["", say("sheet.face.none")], ...people], "");
    if (!dialog.open) dialog.showModal();
    by(sheet.methods.includes("pad") ? "pad" : "face");
    $("sheet-title").focus();
  }

  pad.addEventListener("pointerdown", touch);
  pad.addEventListener("pointermove", move);
  window.addEventListener("resize", () => dialog.open && draw());
  $("pad-wipe").addEventListener("click", wipe);
  if ($("pad-simulate")) $("pad-simulate").addEventListener("click", simulate);
  $("to-face").addEventListener("click", () => {
    by("face");
    $("face-standing").focus();
  });
  $("to-pad").addEventListener("click", () => {
    by("pad");
    $("pad-wipe").focus();
  });
  $("sheet-form").addEventListener("submit", (event) => {
    event.preventDefault();
    answer("agree");
  });
  $("sheet-decline").addEventListener("click", () => answer("decline"));
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // Esc is the staff's key to clear

  function tick(countdown) {
    left = countdown;
    if (sheet && sheet.answer_by) put("sheet-left", say("digits.left", { n: left(sheet.answer_by) }));
  }

  return {
    tick,
    show(state) {
      if (!state.sheet) {
        if (shown) close();
      } else if (state.sheet.request !== shown) open(state);
      else sheet = state.sheet;
      tick(left);
    },
  };
}

/* What is typed in place of a scan: the twelve digits on the phone, or what a desk scanner types that poses as a keyboard.

   Digits are grouped while they are typed, and a slip is told at once, before anybody is asked. Anything else stays as it
   comes and goes to the kiosk on Enter.

   An input method that is on rewrites what a scanner types. It is said at once, and nothing but digits is sent then: every
   code is plain ASCII.

   A scanner types wherever the focus is. In a field of the form its code is known by its first signs, which come faster than
   fingers: the field gets back what stood there, and the code is taken as a scan when its Enter comes.
*/

const DIGITS = 12;
// Damm's table, the same as in consent/twin.py: each wrong digit and each swap of two neighbours is found.
const DAMM = [
  "0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
  "3674209581", "5869720134", "8945362017", "9438617205", "2581436790",
];

const tidied = (text) => text.normalize("NFKC").replace(/[\s\-\u2010-\u2015\u2212]/g, "");
const digitsOf = (text) => (/^\d+$/.test(tidied(text)) ? tidied(text) : null);
const whole = (digits) => [...digits].reduce((found, digit) => DAMM[found][digit], "0") === "0";

const FAST_MS = 35; // between two keys of a scanner; a quick typist needs 60
const BROKEN_OFF_MS = 500;
const BEGINS = ["YRD1", "HTTP"]; // our codes, and the apps' own

/** Keeps a scanner's code out of the form. `taken(text)` gets each code that came whole. */
export function wedge({ taken }) {
  let burst = "";
  let last = 0;
  let before = null; // what stood in the field when the burst began: {node, value}

  const ours = () => BEGINS.includes(burst.slice(0, 4).toUpperCase());

  function restore() {
    if (before.node.value === before.value) return;
    before.node.value = before.value;
    for (const name of ["input", "change"]) before.node.dispatchEvent(new Event(name, { bubbles: true }));
  }

  return function pressed(event) {
    const node = event.target;
    if (node.id === "typed" || !/^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName)) return;
    if (event.key === "Shift") return; // of a capital letter
    const pace = event.timeStamp - last;
    last = event.timeStamp;
    const on = burst !== "" && before.node === node && pace < (ours() ? BROKEN_OFF_MS : FAST_MS);
    const text = event.key.length === 1 && !event.ctrlKey && !event.altKey && !event.metaKey && !event.repeat;
    if (!on) {
      burst = "";
      if (text) before = { node, value: node.value };
    }
    if (text) burst += event.key;
    if (!on || !ours()) {
      if (!text) burst = "";
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    if (text && burst.length === 4) restore();
    if (event.key !== "Enter") return;
    const whole = burst;
    burst = "";
    taken(whole);
  };
}

/** The field. `send(text)` hands a text in and throws what is wrong with it. */
export function typedField({ say, send }) {
  const field = document.getElementById("typed");
  let sending = false;
  let composed = false; // an input method has had its hand in what stands there

  function note(text) {
    const node = document.getElementById("typed-note");
    if (node.textContent !== text) node.textContent = text;
    field.setAttribute("aria-invalid", String(text !== ""));
  }

  /** What is wrong with these digits, in words; "" while nothing is. */
  function wrong(digits) {
    if (digits.length > DIGITS) return say("typed.long", { n: digits.length - DIGITS });
    return digits.length < DIGITS || whole(digits) ? "" : say("typed.mistyped");
  }

  function group(event) {
    if (event.isComposing) return; // an input method has not decided yet
    const digits = digitsOf(field.value);
    if (digits === null) {
      note(composed && field.value ? say("typed.ime") : "");
      return;
    }
    const before = tidied(field.value.slice(0, field.selectionStart)).length;
    const grouped = digits.match(/\d{1,4}/g).join(" ");
    if (field.value !== grouped) {
      field.value = grouped;
      const at = before + Math.max(0, Math.ceil(before / 4) - 1);
      field.setSelectionRange(at, at);
    }
    note(wrong(digits));
  }

  /** Why a text is not even sent; "" for one that is. */
  function lacking(text, digits) {
    if (digits !== null) return digits.length < DIGITS ? say("typed.short", { n: DIGITS - digits.length }) : wrong(digits);
    if (composed || /[^ -~]/.test(text)) return say("typed.ime");
    // A signed code has one spelling; in small letters it went through Caps Lock or an input method.
    return /^\s*yrd1/i.test(text) && !/^\s*YRD1/.test(text) ? say("typed.swapped") : "";
  }

  async function submit(event) {
    event.preventDefault();
    await handIn(field.value);
  }

  async function handIn(text) {
    const digits = digitsOf(text);
    if (sending || !text.trim()) return;
    sending = true;
    try {
      const fault = lacking(text, digits);
      if (fault) throw new Error(fault);
      await send(text);
    } catch (error) {
      if (digits === null) {
        field.value = ""; // a scanner types its next code behind whatever stands there
        composed = false;
      }
      if (digits !== null) field.select();
      note(error.message);
    } finally {
      sending = false;
    }
  }

  document.getElementById("typed-form").addEventListener("submit", submit);
  field.addEventListener("input", group);
  field.addEventListener("compositionend", group);
  field.addEventListener("compositionstart", () => {
    composed = true;
    note(say("typed.ime"));
  });

  return {
    handIn,
    empty() {
      field.value = "";
      composed = false;
      note("");
    },
    /** A desk scanner types wherever the focus is; so does somebody who has the digits read out. */
    lead(event) {
      const plain = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.altKey && !event.metaKey;
      if (plain) field.focus();
    },
  };
}

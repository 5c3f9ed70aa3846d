/* What is typed in place of a scan: the twelve digits on the phone, or what a desk scanner types that poses as a keyboard.

   Digits are grouped while they are typed, and a slip is told at once, before anybody is asked. Anything else stays as it
   comes and goes to the kiosk on Enter.
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

/** The field. `send(text)` hands a text in and throws what is wrong with it. */
export function typedField({ say, send }) {
  const field = document.getElementById("typed");
  let sending = false;

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
      note("");
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
    // A signed code has one spelling; in small letters it went through Caps Lock or an input method.
    return /^\s*yrd1/i.test(text) && !/^\s*YRD1/.test(text) ? say("typed.swapped") : "";
  }

  async function submit(event) {
    event.preventDefault();
    const text = field.value;
    const digits = digitsOf(text);
    if (sending || !text.trim()) return;
    sending = true;
    try {
      const fault = lacking(text, digits);
      if (fault) throw new Error(fault);
      await send(text);
    } catch (error) {
      if (digits === null) field.value = ""; // a scanner types its next code behind whatever stands there
      else field.select();
      note(error.message);
    } finally {
      sending = false;
    }
  }

  document.getElementById("typed-form").addEventListener("submit", submit);
  field.addEventListener("input", group);
  field.addEventListener("compositionend", group);

  return {
    empty() {
      field.value = "";
      note("");
    },
    /** A desk scanner types wherever the focus is; so does somebody who has the digits read out. */
    lead(event) {
      const plain = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.altKey && !event.metaKey;
      if (plain) field.focus();
    },
  };
}

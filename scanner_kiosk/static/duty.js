/* Who is on duty: the name at the top, and the change of shift.

   Three touches at most: F7, "end this visit" where somebody is being served, and "take over" after the number was typed.
   The kiosk refuses a change while somebody is being served; this page says so before it asks.
*/

const NUMBER = /^[A-Za-z]{0,4}[0-9]{3,10}$/; // as in officers.py

/** `show(state)` at each news; `open()` is the key; `name(visit)` is the officer as watermark and paper name them. */
export function dutyView({ say, put, show, send, taken, emptied, ended }) {
  const $ = (id) => document.getElementById(id);
  let state = null;

  const free = () => state.state === "IDLE" || ended(state.state);

  function named() {
    const officer = state && state.on_duty;
    if (!officer) return say("officer.not-verified");
    return officer.verified ? officer.number : say("officer.unverified", { n: officer.number });
  }

  function fault(text) {
    put("shift-fault", text);
    show("shift-fault", text !== "");
  }

  function fill() {
    if (!$("shift").open) return;
    const asks = $("shift-form").hidden && free();
    show("shift-busy", !free());
    show("shift-form", free());
    if (asks) $("shift-number").focus();
  }

  async function end() {
    try {
      taken(await send("clear"));
    } catch (error) {
      put("shift-busy-fault", error.message);
    }
  }

  async function take(event) {
    event.preventDefault();
    const number = $("shift-number").value.trim();
    $("shift-number").focus(); // where a slip is mended
    if (!NUMBER.test(number)) return fault(say("shift.form"));
    try {
      const fresh = await send("shift", { officer: number });
      emptied(); // a form that was half filled in is the last officer's
      $("shift").close();
      taken(fresh);
    } catch (error) {
      fault(error.message);
    }
  }

  $("duty").addEventListener("click", () => open());
  $("shift-end").addEventListener("click", end);
  $("shift-form").addEventListener("submit", take);
  for (const each of document.querySelectorAll(".shift-close")) each.addEventListener("click", () => $("shift").close());

  function open() {
    if (!state || state.covered || $("shift").open) return;
    $("shift-number").value = "";
    fault("");
    put("shift-busy-fault", "");
    show("shift-form", false);
    $("shift").showModal();
    fill();
  }

  return {
    open,
    name: (visit) => (visit && visit.officer !== "not-verified" ? visit.officer : named()),
    show(fresh) {
      state = fresh;
      put("duty-name", named());
      fill();
    },
  };
}

/* Report a problem: F9, then one of five causes, and a number to read out over the telephone.

   The kiosk notes what the screen shows when the key is pressed, keeps the report on this machine and needs no network.
*/

/** `open()` is the key. */
export function reportView({ say, put, show, call, send }) {
  const $ = (id) => document.getElementById(id);
  const causes = [...document.querySelectorAll("#report-causes button")];
  let sending = false;

  function stage(number, fault) {
    show("report-causes", !number);
    show("report-done", Boolean(number));
    put("report-number", number);
    put("report-fault", fault);
    show("report-fault", fault !== "");
  }

  async function open() {
    if ($("report").open) return;
    stage("", "");
    $("report").showModal();
    try {
      const answer = await call("POST", "problem");
      if (!answer.ok) throw new Error(say("problem"));
    } catch {
      stage("", say("problem"));
    }
  }

  async function file(cause) {
    if (sending) return; // pressed twice
    sending = true;
    try {
      stage((await send("report", { cause })).number, "");
      $("report-close").focus();
    } catch (error) {
      stage("", error.message);
    } finally {
      sending = false;
    }
  }

  function pressed(event) {
    const chosen = causes[Number(event.key) - 1];
    if (chosen && !$("report-causes").hidden && !event.ctrlKey && !event.metaKey && !event.altKey) file(chosen.value);
  }

  for (const each of causes) each.addEventListener("click", () => file(each.value));
  $("report").addEventListener("keydown", pressed);
  $("report-key").addEventListener("click", open);
  $("report-close").addEventListener("click", () => $("report").close());

  return { open };
}

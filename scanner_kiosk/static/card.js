/* Cards that are laid on a reader: the citizen's ID card where there is no phone, and a second officer's staff card. */

/** The two panels. `send(path, body)` posts and throws what is wrong; `taken(state)` shows what came of it. */
export function cardView({ say, own, put, show, fill, send, taken, fault, choices }) {
  const $ = (id) => document.getElementById(id);
  let before = "";

  function cards() {
    return choices().cards.map((each) => [each.id, `${each.name} · ${each.number} · ${own(each, "note")}`]);
  }

  function lay(form, select, path, name) {
    $(form).addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!$(select).value) {
        fault(say("card.choose"));
        return;
      }
      const button = $(form).querySelector("button");
      button.disabled = true;
      try {
        taken(await send(path, { [name]: $(select).value }));
      } catch (error) {
        fault(error.message);
      } finally {
        button.disabled = false;
      }
    });
  }
  lay("reading", "laid", "lay", "card");
  lay("attesting", "officer", "staff", "officer");

  return {
    /** `chosen` is the card that was read for the case, if one was. */
    show(state, chosen) {
      const at = state.state;
      show("reading", at === "READING");
      show("attesting", at === "ATTESTING");
      if (at === before) return;
      before = at;
      fill($("laid"), at === "READING" ? [["", say("card.none")], ...cards()] : [], chosen);
      fill($("officer"), at === "ATTESTING" ? [["", say("staff.none")], ...state.staff.map((each) => [each, each])] : [], "");
      if (at === "READING") $("laid").focus();
      if (at === "ATTESTING") $("officer").focus();
    },
  };
}

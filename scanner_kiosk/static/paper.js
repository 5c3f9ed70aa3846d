/* What goes to the printer or into the unit's file: a receipt for each person, and the evidence of a signature.

   The receipts stand in the page only while they are printed: what is not there cannot be read over a shoulder.
*/

/** `show(state)` at each news; `print()` prints the receipts of the visit that has ended. */
export function paperView({ say, own, put, show, call, fault, officer, now, provinceName }) {
  const $ = (id) => document.getElementById(id);
  const paper = $("paper");
  let state = null;

  function people() {
    if (state.two) return state.two.people.filter((one) => one.receipt); // in the order of the kiosk's receipts
    const visit = state.visit || {};
    return [{ person: state.case.person, state: state.state, said: state.said, library: visit.library, copy: visit.copy, request_id: state.request_id }];
  }

  function way() {
    if (!state.on_card) return say("paper.way.phone");
    return state.on_card.method === "face" ? say("paper.way.face") : say("paper.way.pad");
  }

  function fields(one) {
    return one.copy ? one.copy.fields.map((each) => own(each, "label")).join(say("sheet.comma")) : say("paper.nothing");
  }

  function rows(one) {
    const place = state.place;
    return [
      ["paper.unit", own(place, "unit")],
      ["paper.window", `${place.window_name} (${place.window})`],
      ["footer.officer", officer(state.visit)],
      ["form.matter", state.chosen ? own(state.chosen, "name") : ""],
      ["form.type", state.chosen ? say(`type.${state.chosen.type}`) : ""],
      ["case", state.case.case_number],
      ["case.person", one.person || (state.on_card && state.on_card.number) || say("case.person.none")],
      ["paper.way", way()],
      ["paper.outcome", (one.said && own(one.said, "sentence")) || say(`state.${one.state}`)],
      ["copy.library", one.copy ? provinceName(one.copy.library) : ""],
      ["paper.fields", fields(one)],
      ["paper.time", now()],
    ].filter(([, value]) => value);
  }

  async function code(n) {
    const answer = await call("GET", `receipts/${n}.svg`);
    if (!answer.ok) throw new Error(say("problem"));
    const picture = document.createElement("img");
    picture.alt = say("paper.code");
    picture.src = URL.createObjectURL(await answer.blob());
    await picture.decode();
    return picture;
  }

  function marked(practice) {
    const mark = practice.cloneNode(true);
    mark.removeAttribute("id");
    return mark;
  }

  async function sheetOf(one, n) {
    const sheet = document.createElement("section");
    const head = document.createElement("h2");
    const list = document.createElement("dl");
    const foot = document.createElement("p");
    head.textContent = say("paper.title");
    for (const [name, value] of rows(one)) {
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = say(name);
      dd.textContent = value;
      list.append(dt, dd);
    }
    foot.textContent = `${say("reference", { n: one.request_id })} · ${say("paper.foot")}`;
    sheet.append(head, list, await code(n), foot);
    const practice = $("practice");
    if (practice) sheet.append(marked(practice)); // nobody takes it home for a real one
    return sheet;
  }

  async function print() {
    if (!state || !state.receipts) return;
    try {
      paper.replaceChildren(...(await Promise.all(people().map((one, at) => sheetOf(one, at + 1)))));
      show("paper", true);
      window.print();
    } catch (error) {
      fault(error.message);
      empty();
    }
  }

  function empty() {
    for (const picture of paper.querySelectorAll("img")) URL.revokeObjectURL(picture.src);
    paper.replaceChildren();
    show("paper", false);
  }

  async function file() {
    try {
      const answer = await call("GET", "evidence.json");
      if (!answer.ok) throw new Error(say("problem"));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = `evidence-${state.request_id}.json`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    } catch (error) {
      fault(error.message);
    }
  }

  window.addEventListener("afterprint", empty);
  $("print").addEventListener("click", print);
  $("evidence").addEventListener("click", file);

  return {
    print,
    show(fresh) {
      state = fresh;
      show("print", state.receipts > 0);
      const signed = state.evidence && !state.covered && Boolean(state.clears_at);
      show("evidence", signed);
      show("papers", state.receipts > 0 || signed);
      if (!state.receipts) empty();
    },
  };
}

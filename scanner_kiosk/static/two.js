/* Two people for one visit: whose turn it is, how each stands, and in the end both copies side by side, or none. */
import { fieldsInto } from "/counter/static/copy.js";

/** The view; `show(state)` at each news, `tick(left)` between them. `words` are {say, own, put, show, day, moment, provinceName, ended}. */
export function twoView(words) {
  const { say, own, show } = words;
  const list = document.getElementById("two-people");
  const copies = document.getElementById("copies");
  let told = "";
  let first = null; // who has agreed and waits for the other

  /** What is said of one of the two, in a word or two. */
  function standing(one, at, turn, state) {
    if (one.state === "PASSED") return state === "PASSED" ? say("two.passed") : say("two.wait");
    if (one.said) return own(one.said, "sentence");
    if (one.state === "ASKED") return say("two.deciding");
    if (one.state) return say("two.agreed");
    return at === turn && state === "WAITING" ? say("two.now") : say("two.later");
  }

  function row(one, at, turn, state) {
    const item = document.createElement("li");
    const n = document.createElement("span");
    const who = document.createElement("b");
    const how = document.createElement("em");
    n.textContent = String(at);
    n.setAttribute("aria-hidden", "true");
    who.textContent = say(`two.${at}`, { n: one.person || "" });
    how.textContent = standing(one, at, turn, state);
    item.className = at === turn && !words.ended(state) ? "now" : "";
    item.append(n, who, how);
    return item;
  }

  function copyOf(one, at) {
    const box = document.createElement("section");
    const head = document.createElement("h2");
    const status = document.createElement("p");
    const chip = document.createElement("span");
    const fields = document.createElement("dl");
    head.textContent = say(`two.${at}`, { n: one.person || "" });
    chip.className = "chip";
    chip.textContent = say(`status.${one.copy.status}`);
    status.className = "copy-status";
    status.append(chip, ` ${words.asOf(one.copy)}`);
    fieldsInto(fields, one.copy, words);
    box.setAttribute("aria-label", head.textContent);
    box.append(head, status, fields);
    return box;
  }

  /** An agreement lives for minutes; the officer sees how long the other may take. */
  function tick(left) {
    const how = first && list.querySelector("li em");
    if (how) how.textContent = say("two.agreed.left", { n: left(first.answer_by) });
  }

  return {
    tick,
    show(state) {
      const two = state.two;
      first = two && two.turn === 2 && state.state === "WAITING" && two.people[0].state === "AGREED" ? two.people[0] : null;
      show("two-people", Boolean(two));
      const both = Boolean(two) && two.people.every((one) => one.copy);
      show("copies", both);
      const now = JSON.stringify([two, state.state]);
      if (now === told) return;
      told = now;
      list.replaceChildren(...(two ? two.people.map((one, at) => row(one, at + 1, two.turn, state.state)) : []));
      copies.replaceChildren(...(both ? two.people.map((one, at) => copyOf(one, at + 1)) : []));
      if (!two) told = "";
    },
  };
}

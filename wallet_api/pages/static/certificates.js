// My certificates: the answer of the four libraries, asked for at sign-in, fetched until it is there.

import { card, silentOnes } from "/phone/static/cards.js";
import { el, fill } from "/phone/static/draw.js";
import { ask } from "/phone/static/line.js";
import { onLook, ready, t } from "/phone/static/look.js";

const LOOK_MS = 700;
const view = document.getElementById("view");
let me = null;
let holdings = null;
let failure = null;

function render() {
  if (failure) {
    const again = el("button", { type: "button", class: "button quiet", click: lookUp }, t("error.retry"));
    fill(view, el("p", { class: "note warn" }, failure.sentence + " " + failure.next), again);
  } else if (!holdings) {
    fill(view, el("p", { class: "card busy" }, t("certificates.busy")));
  } else {
    fill(view, ...found());
  }
}

function found() {
  const silent = silentOnes(holdings, me.provinces);
  const none = el("div", { class: "card" }, el("h2", {}, t("certificates.none")), el("p", {}, t("certificates.none.note")));
  return [
    holdings.certificates.length
      ? el("ul", { class: "cards" }, ...holdings.certificates.map((each) => card(each, me.provinces)))
      : none,
    holdings.undigitised ? el("p", { class: "note" }, t("certificates.undigitised")) : null,
    silent ? el("p", { class: "note warn" }, t("certificates.silent", { province: silent })) : null,
    silent ? el("button", { type: "button", class: "button quiet", click: lookUp }, t("certificates.again")) : null,
  ];
}

async function lookUp() {
  failure = holdings = null;
  render();
  try {
    await ask("POST", "certificates");
    await fetchThem();
  } catch (problem) {
    failure = problem;
    render();
  }
}

/** Until they are there; a lookup that has been forgotten meanwhile is made again. */
async function fetchThem() {
  for (;;) {
    const got = await ask("GET", "certificates");
    if (got.body.holdings) {
      holdings = got.body.holdings;
      render();
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function start() {
  await ready();
  onLook(render);
  render();
  const out = document.getElementById("out");
  out.addEventListener("click", async () => {
    await ask("POST", "logout").catch(() => null);
    location.assign("/phone/");
  });
  out.disabled = false;
  try {
    me = (await ask("GET", "me")).body;
    document.getElementById("holder").textContent = me.name;
    await fetchThem();
  } catch (problem) {
    if (problem.status === 404) await lookUp();
    else {
      failure = problem;
      render();
    }
  }
}

start();

// Agree before the scan, to one unit in one matter: province, unit, matter, then the words that the sheet would say.
//
// Nothing is promised before all of them were read and the device has signed them. They come from the register; the digest
// that is signed is computed here. A fresh code is opened for the answer, so it has its full time. Each step is a step of the
// browser's own "back", which is as near as agreeing.

import { deviceOf, offerDigest, signStanding } from "/phone/static/device.js";
import { el, fill, icon } from "/phone/static/draw.js";
import { ask, serverNow } from "/phone/static/line.js";
import { named, side, t, timeOf } from "/phone/static/look.js";
import { answers, declarations, given, lookAt, newChoice, offered, part, which, why } from "/phone/static/sheet.js";

const LOOK_MS = 400;
const MANY = 8; // units; from then on they can be searched by name

/**
 * The view. `act` has redraw(), opened(body) when a fresh showing was opened, done(stands) when the answer stands, and
 * back() when the citizen leaves.
 */
export function agreeBeforehand(me, act) {
  const steps = []; // where "back" leads; the last one stands on the page
  let desk = "";
  let units = null;
  let unit = null;
  let offer = null; // {offer, digest, good_for}
  let holdings = null;
  let choice = newChoice();
  let failure = null;
  let wanted = "";
  let asked = 0; // answers to earlier questions are not waited for any more
  let running = true;

  function go(step) {
    steps.push(step);
    history.pushState({ beforehand: steps.length }, "");
    act.redraw();
  }

  function came(event) {
    const depth = event.state && event.state.beforehand ? event.state.beforehand : 0;
    if (choice.busy || depth > steps.length) {
      history.go(steps.length - depth); // signing is not interrupted, and "forward" leads nowhere
      return;
    }
    if (depth === steps.length) return;
    steps.length = depth;
    asked += 1;
    failure = null;
    if (depth) act.redraw();
    else act.back();
  }

  // Asking the register

  async function question(unitId, matter, type) {
    asked += 1;
    const mine = asked;
    failure = null;
    await ask("POST", "offer", { desk, unit: unitId, matter, type });
    for (;;) {
      const got = (await ask("GET", "offer")).body;
      if (mine !== asked || !running) return null;
      if (got.state === "DONE") return got;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      if (mine !== asked || !running) return null;
    }
  }

  async function chooseProvince(code) {
    desk = code;
    units = null;
    wanted = "";
    go("unit");
    await list();
  }

  async function list() {
    await attempt(async () => {
      const got = await question(null, null, null);
      if (got) units = got.units;
    }, list);
  }

  function chooseUnit(row) {
    unit = row;
    if (row.matters.length === 1) chooseMatter(row.matters[0]);
    else go("matter");
  }

  function chooseMatter(matter) {
    offer = null;
    choice = newChoice();
    go("offer");
    read(matter);
  }

  async function read(matter) {
    await attempt(async () => {
      const found = lookUp();
      found.catch(() => null); // it is waited for below; meanwhile its failure is nobody's
      const got = await question(unit.unit, matter.slug, matter.type);
      if (!got) return;
      offer = got;
      act.redraw();
      holdings = await found;
    }, () => read(matter));
  }

  /** The certificates to choose from: looked up at sign-in, or again when that was too long ago. */
  async function lookUp() {
    try {
      return await certificates();
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      await ask("POST", "certificates");
      return certificates();
    }
  }

  async function certificates() {
    for (;;) {
      const got = (await ask("GET", "certificates")).body;
      if (got.holdings || !running) return got.holdings;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async function attempt(work, again) {
    try {
      await work();
    } catch (problem) {
      failure = { problem, again };
    }
    if (running) act.redraw();
  }

  // Answering

  async function agree() {
    const lacking = missing();
    if (lacking) {
      refuse(() => t(lacking.key));
      lookAt(lacking.anchor);
      return;
    }
    Object.assign(choice, { busy: true, error: null });
    act.redraw();
    try {
      const text = await signed();
      if (text) act.done((await ask("POST", "standing", { standing: text })).body.stands);
    } catch (problem) {
      refuse(() => (problem.sentence ? problem.sentence + " " + problem.next : t("sheet.error.key")));
    }
  }

  async function signed() {
    const words = offer.offer;
    const device = await deviceOf(me.persona);
    if (!device) {
      refuse(() => t("sheet.error.key"));
      return null;
    }
    const digest = await offerDigest(words);
    if (digest !== offer.digest) {
      refuse(() => t("beforehand.error.words"));
      return null;
    }
    const opened = (await ask("POST", "show")).body;
    act.opened(opened);
    return signStanding(
      device,
      me,
      {
        showing: opened.showing,
        unit: words.unit.uscc,
        matter: words.matter.slug,
        certificate: choice.certificate,
        declarations: words.declarations.map((each) => each.slug),
        offer: digest,
      },
      serverNow()
    );
  }

  function missing() {
    if (!holdings) return { key: "sheet.error.busy", anchor: "which" };
    if (!choice.certificate) return { key: "sheet.error.certificate", anchor: "which" };
    if (offer.offer.declarations.some((each) => !choice.declared.has(each.slug))) return { key: "sheet.error.declare", anchor: "declare" };
    return null;
  }

  function refuse(words) {
    Object.assign(choice, { busy: false, error: words });
    act.redraw();
  }

  // Drawing

  function provinceStep() {
    const rows = Object.keys(me.provinces).map((code) => option(side(me.provinces[code]), "", () => chooseProvince(code)));
    return [title("beforehand.title"), el("p", { class: "soft" }, t("beforehand.lead")), el("h2", {}, t("beforehand.province")), options(rows)];
  }

  function unitStep() {
    const province = side(me.provinces[desk]);
    const none = el("p", { class: "card" }, t("beforehand.none", { province }));
    const rest = units === null ? waiting() : units.length ? unitList() : [none];
    return [title("beforehand.unit"), el("p", { class: "soft" }, province), ...rest];
  }

  function unitList() {
    const box = el("div", { id: "units", "aria-live": "polite" });
    const show = () => {
      const rows = units.filter((each) => (each.name_zh + "\n" + each.name_en).toLowerCase().includes(wanted.toLowerCase()));
      const found = rows.map((each) => option(named(each, "name"), named(each, "place"), () => chooseUnit(each)));
      fill(box, rows.length ? options(found) : el("p", { class: "card" }, t("beforehand.nothing")));
    };
    show();
    if (units.length <= MANY) return [box];
    const field = el("input", { type: "search", id: "find", autocomplete: "off", spellcheck: "false" });
    field.value = wanted;
    field.addEventListener("input", () => {
      wanted = field.value.trim();
      show();
    });
    return [el("div", { class: "find" }, el("label", { for: "find" }, t("beforehand.find")), field), box];
  }

  function matterStep() {
    const rows = unit.matters.map((each) => option(named(each, "name"), t("type." + each.type), () => chooseMatter(each)));
    return [title("beforehand.matter"), el("p", { class: "soft" }, named(unit, "name")), options(rows)];
  }

  function offerStep() {
    if (!offer || failure) return [title("beforehand.read"), ...waiting()];
    const words = offer.offer;
    const data = { sheet: words, holdings };
    return [
      el(
        "article",
        { class: "sheet" },
        el("header", {}, title("beforehand.read"), el("p", { class: "soft" }, t("beforehand.read.lead"))),
        part("sheet.who", el("p", { class: "strong" }, named(words.unit, "name")), el("p", {}, named(words, "place")), el("p", {}, t("beforehand.window"))),
        part("sheet.what", el("p", { class: "strong" }, named(words.matter, "name"))),
        which(data, choice, me.provinces, "beforehand.lacking"),
        given(words),
        ...why(words),
        part("beforehand.good", el("p", {}, t("beforehand.good.note", { n: Math.floor(offer.good_for / 60) }))),
        possible() ? declarations(words, choice) : null
      ),
      possible() ? answers(choice, { agree, decline: leave }) : null,
    ];
  }

  /** Whether there is something to decide; without a certificate there is nothing to agree to. */
  function possible() {
    return Boolean(offer && !failure && (!holdings || offered({ sheet: offer.offer, holdings }).length));
  }

  function waiting() {
    if (!failure) return [el("p", { class: "card busy", role: "status" }, t("beforehand.busy"))];
    return [
      el("p", { class: "note warn", role: "alert" }, failure.problem.sentence + " " + failure.problem.next),
      el("button", { type: "button", class: "button", click: failure.again }, t("error.retry")),
    ];
  }

  function title(key) {
    return el("h1", { tabindex: "-1" }, t(key));
  }

  function leave() {
    stop();
    act.back();
  }

  function stop() {
    if (!running) return;
    running = false;
    removeEventListener("popstate", came);
    if (steps.length) history.go(-steps.length);
    steps.length = 0;
  }

  addEventListener("popstate", came);

  return {
    begin() {
      history.replaceState(null, ""); // whatever stood here before, "back" ends here
      history.scrollRestoration = "manual"; // and shows the code, not where somebody once scrolled to
      go("province");
    },
    step: () => steps[steps.length - 1],
    busy: () => choice.busy,
    draw() {
      const step = steps[steps.length - 1];
      const drawn = { province: provinceStep, unit: unitStep, matter: matterStep, offer: offerStep }[step]();
      const word = step === "province" ? t("beforehand.code") : t("beforehand.back");
      const back = el("button", { type: "button", class: "button quiet", id: "back", click: () => history.back() }, word);
      return drawn.concat(step === "offer" && possible() ? [] : [back]);
    },
    stop,
  };
}

function options(rows) {
  return el("ul", { class: "options" }, ...rows);
}

function option(name, more, click) {
  return el("li", {}, el("button", { type: "button", class: "option", click }, el("b", {}, name), more ? el("span", {}, more) : null));
}

/** The one line over the code while an answer stands, with one button to take it back. */
export function standsLine(stands, takeBack) {
  const facts = { unit: named(stands.unit, "name"), matter: named(stands.matter, "name"), time: timeOf(stands.until) };
  return el(
    "section",
    { class: "card stands", id: "stands" },
    el("p", {}, icon("yes"), el("span", {}, t("stands.line", facts))),
    el("button", { type: "button", class: "button quiet", id: "take-back", click: takeBack }, t("stands.back"))
  );
}

/* The desk is silent, and the desk is back: one bar over the picture.

   Silent: since when, and that nothing is concluded. Back: which codes were shown meanwhile, until the officer takes the list
   away. What the banner says of a code that was checked on this machine alone is said here too; it is never a pass.
*/

const CHECKS = {
  genuine: ["offline.genuine", "offline.genuine.text"],
  refused: ["", "offline.refused.text"],
  keys_old: ["offline.keys_old", "offline.keys_old.text"],
  untold: ["offline.untold", "offline.untold.text"],
};
const SHORT = {
  genuine: "offline.was.genuine",
  refused: "offline.was.refused",
  keys_old: "offline.was.keys_old",
  untold: "offline.was.untold",
};

/** Word and sentence for a code that the desk was never heard of; null where the desk has spoken. */
export function saidAlone(state, say) {
  const silent = state.said && state.said.reason === "OFFLINE" ? "untold" : "";
  const found = CHECKS[state.check || silent];
  return found ? { word: found[0] && say(found[0]), sentence: say(found[1]) } : null;
}

/** The bar; `show(state)` at each news. */
export function offlineView({ say, own, put, show, send, moment, taken, fault }) {
  const $ = (id) => document.getElementById(id);
  let told = "";

  function listed(attempts) {
    const now = JSON.stringify(attempts);
    if (now === told) return;
    told = now;
    $("attempts-list").replaceChildren(
      ...attempts.map((each) => {
        const item = document.createElement("li");
        const told = [moment(each.at, true), each.window_name, own(each, "matter"), say(SHORT[each.check])];
        item.textContent = told.filter(Boolean).join(" · ");
        return item;
      }),
    );
  }

  $("attempts-away").addEventListener("click", async () => {
    try {
      taken(await send("attempts-read"));
    } catch (error) {
      fault(error.message);
    }
  });

  return {
    show(state) {
      const { since } = state.network;
      const n = state.attempts.length;
      show("offline", Boolean(since) || n > 0);
      $("offline").dataset.silent = String(Boolean(since));
      if (since) put("offline-text", say("offline.since", { time: moment(since, false), n: state.attempts_in_all }));
      else put("offline-text", n ? say("offline.back", { n: state.attempts_in_all }) : "");
      show("attempts", !since && n > 0);
      show("attempts-away", !since && n > 0);
      listed(since ? [] : state.attempts);
    },
  };
}

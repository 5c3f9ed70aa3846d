/* The counter's own code, large on the left where else the camera's picture stands.

   The state says which code is shown; its drawing is fetched once. A newer one takes its place only when it is there, and one
   that is over is not shown, whatever the network does.
*/

const AGAIN_MS = 1000;

/** The view; `show(state)` at each news, `tick(left)` between them, `left` giving the seconds until an instant. */
export function ownCodeView({ say, call, put, show, own, fault }) {
  const $ = (id) => document.getElementById(id);
  const picture = $("own-code-picture");
  const copy = $("copy-code"); // in the sandbox only
  let state = null;
  let wanted = ""; // the id of the code that is shown or on its way
  let left = () => 0;

  function draw(address) {
    URL.revokeObjectURL(picture.src);
    if (address) picture.src = address;
    else picture.removeAttribute("src");
    if (copy) put("copy-code", say("invite.copy"));
    tick(left);
  }

  async function fetchCode(id) {
    try {
      const answer = await call("GET", "code.svg");
      if (!answer.ok) throw new Error(String(answer.status));
      const drawing = await answer.blob();
      if (wanted === id) draw(URL.createObjectURL(drawing));
    } catch {
      setTimeout(() => (wanted = wanted === id ? "" : wanted), AGAIN_MS);
    }
  }

  function tick(countdown) {
    left = countdown;
    if (!state || state.state !== "INVITING") return;
    const code = state.own_code;
    if (code && code.id !== wanted) {
      wanted = code.id;
      fetchCode(code.id);
    }
    const alive = Boolean(code) && left(code.expires_at) > 0 && picture.hasAttribute("src");
    const silent = state.network.silent ? say("invite.silent") : "";
    show("own-code-picture", alive);
    show("own-code-none", !alive);
    put("own-code-none", alive ? "" : silent || say("invite.making"));
    put("invite-left", alive ? silent || say("invite.left", { n: left(code.renews_at) }) : "");
  }

  async function copyText() {
    try {
      await navigator.clipboard.writeText(await (await call("GET", "code.svg?text")).text());
      put("copy-code", say("invite.copied"));
    } catch {
      fault(say("problem"));
    }
  }

  if (copy) copy.addEventListener("click", copyText);

  return {
    tick,
    show(fresh) {
      state = fresh;
      const inviting = state.state === "INVITING";
      const code = inviting ? state.own_code : null;
      for (const id of ["own-code", "inviting"]) show(id, inviting);
      if (copy) show("copy-code", Boolean(code));
      put("invite-unit", inviting ? own(state.place, "unit") : "");
      put("invite-window", inviting ? state.place.window_name : "");
      $("picture").dataset.ownCode = String(inviting);
      if (!code) {
        wanted = "";
        draw("");
      }
    },
  };
}

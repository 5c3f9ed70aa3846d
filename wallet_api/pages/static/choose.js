// Sign in: this browser's key for the persona, then the server's session.

import { deviceFor, possible } from "/phone/static/device.js";
import { Failure, ask } from "/phone/static/line.js";
import { onLook, ready, t } from "/phone/static/look.js";

const status = document.getElementById("status");
const people = Array.from(document.querySelectorAll(".person"));
let say = () => "";

function tell(words) {
  say = words;
  status.textContent = say();
}

function lock(locked) {
  for (const each of people) each.disabled = locked;
}

async function signIn(persona) {
  lock(true);
  tell(() => t("choose.busy"));
  try {
    const device = await deviceFor(persona);
    await ask("POST", "login", { persona, device: device.jwk });
    location.assign("/phone/certificates");
  } catch (problem) {
    lock(false);
    tell(() => (problem instanceof Failure ? problem.sentence + " " + problem.next : t("choose.insecure")));
  }
}

ready().then(() => {
  onLook(() => tell(say));
  if (!possible()) {
    lock(true);
    tell(() => t("choose.insecure"));
    return;
  }
  for (const each of people) each.addEventListener("click", () => signIn(each.dataset.persona));
  lock(false);
});

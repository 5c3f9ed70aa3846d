// The device: a P-256 key for each persona, made here, not extractable, kept in this browser's IndexedDB. The server
// sees the public half only, so nobody but this browser can write an approval.
//
// An approval is a compact JWS (RFC 7515) of type approval+jwt with exactly the members that consent/approval.py reads; an
// answer before the scan is a standing+jwt as consent/standing.py reads it.

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING = { name: "ECDSA", hash: "SHA-256" };
const APPROVAL_LIFE_S = 120;
const STANDING_LIFE_S = 900;
const DATABASE = "huzheng-phone";
const STORE = "devices";

/** Whether this browser can keep a key here: WebCrypto wants https or a loopback address. */
export function possible() {
  return Boolean(window.isSecureContext && window.crypto && window.crypto.subtle && window.indexedDB);
}

/** The device of a persona, made at the first call: {privateKey, jwk, kid}. */
export async function deviceFor(persona) {
  const known = await deviceOf(persona);
  if (known) return known;
  const pair = await crypto.subtle.generateKey(ALGORITHM, false, ["sign"]);
  const whole = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const jwk = { crv: whole.crv, kty: whole.kty, x: whole.x, y: whole.y };
  const device = { privateKey: pair.privateKey, jwk, kid: await thumbprint(jwk) };
  await inStore("readwrite", (store) => store.put(device, persona));
  return device;
}

/** The device of a persona, or undefined if this browser has none. */
export function deviceOf(persona) {
  return inStore("readonly", (store) => store.get(persona));
}

/**
 * A signed answer. `who` is {sub, province}; `answer` is {req, decision, certificate, digits, declarations};
 * `nowMs` is the server's time.
 */
export function signApproval(device, who, answer, nowMs) {
  const { req, decision, certificate, digits, declarations } = answer;
  return sign(device, "approval+jwt", who, { req, decision, certificate, digits, declarations }, APPROVAL_LIFE_S, nowMs);
}

/** The same for an answer before the scan: {showing, unit, matter, certificate, declarations, offer}. */
export function signStanding(device, who, answer, nowMs) {
  const { showing, unit, matter, certificate, declarations, offer } = answer;
  return sign(device, "standing+jwt", who, { showing, unit, matter, certificate, declarations, offer }, STANDING_LIFE_S, nowMs);
}

/** The digest of an offer, over its canonical JSON (members sorted, no blanks, UTF-8): what was read is what is signed. */
export async function offerDigest(offer) {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes(canonical(offer)))));
}

function canonical(value) {
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return "{" + members.map((name) => JSON.stringify(name) + ":" + canonical(value[name])).join(",") + "}";
}

async function sign(device, typ, who, claims, life, nowMs) {
  const issued = Math.floor(nowMs / 1000);
  const header = { alg: "ES256", kid: device.kid, typ };
  const jti = base64url(crypto.getRandomValues(new Uint8Array(16)));
  const payload = Object.assign({ iss: who.sub, aud: who.province, iat: issued, exp: issued + life, jti }, claims);
  const text = base64url(bytes(JSON.stringify(header))) + "." + base64url(bytes(JSON.stringify(payload)));
  // WebCrypto gives r and s as two numbers of 32 bytes, which is what JWS wants (RFC 7518 §3.4).
  const signature = await crypto.subtle.sign(SIGNING, device.privateKey, bytes(text));
  return text + "." + base64url(new Uint8Array(signature));
}

/** RFC 7638: SHA-256 over the required members in the order of their names. */
async function thumbprint(jwk) {
  const text = JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y });
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes(text))));
}

function bytes(text) {
  return new TextEncoder().encode(text);
}

function base64url(raw) {
  return btoa(String.fromCharCode(...raw)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function inStore(mode, act) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => {
        database.close();
        resolve(request.result);
      };
      transaction.onabort = () => {
        database.close();
        reject(transaction.error);
      };
    };
  });
}

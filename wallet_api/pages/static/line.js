// The line to the app's server: JSON both ways, a time limit, and the server's clock.

import { side, t } from "/phone/static/look.js";

const PATIENCE_MS = 8000;
let ahead = -Infinity; // server's milliseconds minus performance.now()

/** What a person reads when something did not work. `offline` tells a silent line from an answer. */
export class Failure extends Error {
  constructor(problem, status) {
    super(problem ? problem.code : "offline");
    this.problem = problem;
    this.status = status || 0;
    this.offline = !problem;
  }

  get sentence() {
    return this.offline ? t("error.line") : side(this.problem.sentences);
  }

  get next() {
    return this.offline ? "" : side(this.problem.next);
  }
}

/** Ask the server. Returns {status, body, tag}; 304 has no body. Throws Failure; without a session the page leaves. */
export async function ask(method, path, body, tag) {
  const headers = { Accept: "application/json, application/problem+json" };
  if (tag) headers["If-None-Match"] = tag;
  if (method !== "GET") headers["Content-Type"] = "application/json";
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), PATIENCE_MS);
  let answer = null;
  let read = null;
  try {
    answer = await fetch("/phone/api/" + path, {
      method,
      headers,
      body: method === "GET" ? undefined : JSON.stringify(body || {}),
      cache: "no-store",
      signal: limit.signal,
    });
    if (answer.status !== 304) read = await answer.json();
  } catch (problem) {
    throw new Failure(null);
  } finally {
    clearTimeout(timer);
  }
  hear(answer.headers.get("Server-Time"));
  if (answer.status === 401 && path !== "login") {
    location.assign("/phone/");
    await new Promise(() => {}); // the page is leaving
  }
  if (answer.status >= 400) throw new Failure(read && read.sentences ? read : null, answer.status);
  return { status: answer.status, body: read, tag: answer.headers.get("ETag") };
}

/** The server's time in milliseconds since 1970. The phone's own clock is never asked. */
export function serverNow() {
  return ahead + performance.now();
}

// The header is cut to whole seconds and comes late, so every reading is too early and the latest one is the best.
function hear(time) {
  const instant = time ? Date.parse(time) : NaN;
  if (!Number.isNaN(instant)) ahead = Math.max(ahead, instant - performance.now());
}

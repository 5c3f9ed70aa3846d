// Types of huzheng-code.js. Members are only ever added.

/** The same in both languages. */
export interface Both {
  zh: string;
  en: string;
}

/** A public P-256 key. */
export interface DeviceJwk {
  crv: "P-256";
  kty: "EC";
  x: string;
  y: string;
}

/** A device key. `privateKey` is not extractable and never leaves this browser. */
export interface Device {
  privateKey: CryptoKey;
  jwk: DeviceJwk;
  kid: string;
}

/** Whom the device speaks for: the app's pseudonym for the person, and the province's code. */
export interface Who {
  sub: string;
  province: string;
}

/** What the citizen says to a request. `req` is the sheet's `request`. */
export interface Answer {
  req: string;
  decision: "agree" | "decline" | "withdraw";
  certificate: string | null;
  digits: string | null;
  declarations: string[];
}

/** What the citizen agrees to before a scan. `offer` is `offerDigest` of the offer that was read. */
export interface StandingAnswer {
  showing: string;
  unit: string;
  matter: string;
  certificate: string;
  declarations: string[];
  offer: string;
}

/** One entry of the history, as GET /v1/history/lookups/{id} tells it. */
export interface PastEntry {
  entry: string;
  way: "app" | "card";
  unit: string;
  unit_zh: string | null;
  unit_en: string | null;
  window: string;
  window_name: string | null;
  matter: string;
  matter_zh: string | null;
  matter_en: string | null;
  type: string;
  fields: { name: string; label_zh: string; label_en: string }[];
  cause: string;
  outcome: "ASKED" | "PASSED" | "REFUSED" | "DECLINED" | "TIMED_OUT" | "WITHDRAWN" | "UNDETERMINED";
  reason: string | null;
  sentence: Both | null;
  receipt: string | null;
  objection: string | null;
  asked_at: string;
  ended_at: string | null;
}

/** What your server answers to GET /history. */
export interface PastAnswer {
  done: boolean;
  entries: PastEntry[];
  silent: string[];
  earlier: string | null;
}

/** A thing that a unit does with a certificate of a type, and a unit that takes an answer before the scan. */
export interface Matter {
  slug: string;
  type: string;
  name: Both;
}

export interface Unit {
  unit: string;
  name: Both;
  place: Both;
  matters: Matter[];
}

/** What your server answers to GET /offer: `units` or `offer`, once `done`. `offer` is as GET /v1/offers/{id} tells it. */
export interface OfferAnswer {
  done: boolean;
  units: Unit[] | null;
  offer: Record<string, unknown> | null;
}

/** What your server answers to GET /certificates. */
export interface CertificatesAnswer {
  holdings: {
    certificates: { certificate: string; type: string; number: string; authority: string; status: string }[];
    silent: string[];
  } | null;
}

/** What your server answers to GET, PUT and DELETE /standing. `until` is when the signed answer itself ends. */
export type StandingState = { stands: false } | { stands: true; until: string; unit?: Both; matter?: Both };

export type State =
  | "OPEN"
  | "CLAIMED"
  | "ANSWERED"
  | "CONSENTED"
  | "WITHDRAWING"
  | "DELIVERED"
  | "REFUSED"
  | "DECLINED"
  | "TIMED_OUT"
  | "UNDETERMINED"
  | "WITHDRAWN"
  | "EXPIRED"
  | "SUPERSEDED";

export interface Result {
  outcome: "PASSED" | "REFUSED" | "UNDETERMINED";
  reason: string | null;
  receipt: string | null;
  given: string[];
  ended_at: string;
}

/** The showing of GET /v1/showings/{id}, and `who`, which your server adds. */
export interface Showing {
  showing_id: string;
  state: State;
  version: number;
  opened_at: string;
  expires_at: string;
  changed_at: string;
  asked: boolean;
  reason: string | null;
  sentence: Both | null;
  next: Both | null;
  result: Result | null;
  who: Who;
  server_time?: string;
}

/** What `fetcher` must give back; a `Response` is one. */
export interface Reply {
  status: number;
  headers: { get(name: string): string | null };
  json(): Promise<unknown>;
}

/** What `fetcher` is given beside the path. */
export interface Ask {
  method: string;
  headers: Record<string, string>;
  body?: string;
  signal: AbortSignal;
}

export type Fetcher = (path: string, init: Ask) => Promise<Reply>;

export interface StateDetail {
  state: State;
  version: number;
  reason: string | null;
  result: Result | null;
}

/** `code` is a problem's, or NO_ANSWER, NO_KEY, NO_KEYSTORE, CLOCK_SKEW (facts.minutes: positive is fast). */
export interface ErrorDetail {
  code: string;
  sentence: string;
  next: string;
  requestId: string | null;
  offline: boolean;
  facts: Record<string, unknown>;
}

export function possible(): boolean;
export function deviceFor(account: string): Promise<Device>;
export function deviceOf(account: string): Promise<Device | undefined>;
export function forgetDevice(account: string): Promise<void>;
export function signApproval(device: Device, who: Who, answer: Answer, nowMs: number): Promise<string>;
export function signStanding(device: Device, who: Who, answer: StandingAnswer, nowMs: number): Promise<string>;
export function offerDigest(offer: Record<string, unknown>): Promise<string>;
export function httpFetcher(base: string, headers?: Record<string, string>): Fetcher;
export function define(name: string): void;

export class HuzhengCode extends HTMLElement {
  fetcher: Fetcher;
  readonly showing: Showing | null;
  show(): Promise<void>;
  stop(): Promise<void>;
}

declare global {
  interface HTMLElementTagNameMap {
    "huzheng-code": HuzhengCode;
  }
  interface HTMLElementEventMap {
    "huzheng-state": CustomEvent<StateDetail>;
    "huzheng-error": CustomEvent<ErrorDetail>;
  }
}

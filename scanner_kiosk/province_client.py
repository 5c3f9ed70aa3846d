"""Talking to the desk of this window's own province, and to nobody else.

A call is proved by the window's key (`Window-Proof`, see `consent.window`): method, path and body, used once. What is
asked stands in bytes that are made once, when the code is scanned; asking again sends the same bytes under a new proof,
so that a lost reply costs nothing and an answer is never fetched twice.

The ID number of the person at the counter leaves this machine only inside an envelope to the desk, closed for this one
request id.

Two ways to fail, as everywhere: a problem document becomes the Refusal or Unavailable that it names; a desk that does
not answer, or answers with something else than the agreed JSON, is Unavailable(OFFLINE). Offline, nothing is passed and
nothing is refused (T32).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import urllib3

from consent.clock import Clock
from consent.envelope import Recipient, close_envelope
from consent.errors import UNAVAILABLE, Outcome, Reason, Refusal, Unavailable
from consent.keys import SigningKey
from consent.people import CitizenId
from consent.sentences import PLACEHOLDERS
from consent.window import HEADER, seal_window
from scanner_kiosk.visit import Asked, Said, View

MOST_REPLY: Final = 262_144  # bytes; a register of forty matters has 60 kB
WAIT_S: Final = 1  # how long the desk may hold a poll; the counter cannot see a new phone meanwhile
_CONNECT_S, _READ_S = 2.0, 6.0


# --- the port -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Line(Protocol):
    """The way to one HTTP service.

    `call` sends one request and returns whatever the service answered, also problems; `path` begins with a slash and may
    carry a query. It does not follow redirects and does not repeat by itself. Raises Unavailable(OFFLINE) when no whole
    answer came: the service may then have acted on the request or not, and only the same request sent again can tell.
    Safe to use from several threads.
    """

    def call(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """One request, one answer."""
        ...


class HttpLine:
    """The line over the network. `ca_file` and `certificate` (PEM with key) are for mutual TLS inside a province."""

    def __init__(self, base_url: str, *, ca_file: str | None = None, certificate: str | None = None) -> None:
        self._base_url = base_url.rstrip("/")
        self._pool = urllib3.PoolManager(
            maxsize=4,
            retries=False,
            timeout=urllib3.Timeout(connect=_CONNECT_S, read=_READ_S),
            ca_certs=ca_file or None,
            cert_file=certificate or None,
        )

    def call(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """One request, one answer."""
        try:
            answer = self._pool.request(
                method,
                self._base_url + path,
                body=body or None,
                headers=dict(headers),
                redirect=False,
                preload_content=False,
            )
            try:
                raw = answer.read(MOST_REPLY + 1)
                if len(raw) > MOST_REPLY:
                    raise _offline("an endless answer")
            finally:
                answer.close()
        except urllib3.exceptions.HTTPError as problem:
            raise _offline(type(problem).__name__) from problem
        return Reply(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=raw,
        )


def _offline(detail: str) -> Unavailable:
    return Unavailable(Reason.OFFLINE, "desk", detail=detail)


# --- what comes back ------------------------------------------------------------------------------


TEXTS: Final = ("sentence_zh", "sentence_en", "next_zh", "next_en")


def read_view(reply: Reply) -> View:
    """The visit in a reply's body; Unavailable(OFFLINE) where it is none. Members that we do not know are passed over."""
    found = _json(reply.body)
    try:
        return View(
            request_id=_text(found, "request_id"),
            state=_text(found, "state"),
            version=int(found["version"]),
            etag=reply.headers.get("etag", ""),
            digits=_text(found, "digits"),
            outcome=None if found["outcome"] is None else Outcome(found["outcome"]),
            said=Said(
                reason=None if found["reason"] is None else Reason(found["reason"]),
                clause=_text(found, "clause"),
                **{name: found[name] or "" for name in TEXTS},
            ),
            holder_province=_text(found, "holder_province"),
            library=found["library"],
            copy=None if found["copy"] is None else dict(found["copy"]),
            receipt=None if found.get("receipt") is None else _text(found, "receipt"),
            officer=_text(found, "officer"),
            asked_at=_text(found, "asked_at"),
            answer_by=_text(found, "answer_by"),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise _offline(f"not a visit: {type(problem).__name__}") from problem


def failure_of(reply: Reply) -> Refusal | Unavailable:
    """What a problem document (RFC 9457) says, as our own kind of failure, with the facts that it lists.

    A body that is no problem of ours gives Unavailable(OFFLINE): something answered that is not the service.
    """
    try:
        found = json.loads(reply.body)
        reason, facts = Reason(found["code"]), _facts(found.get("facts"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        return _offline(f"status {reply.status}, {type(problem).__name__}")
    detail = f"status {reply.status}"
    if reason not in UNAVAILABLE:
        return Refusal(reason, detail=detail, **facts)
    what = str(facts.pop("what", ""))
    return Unavailable(reason, what, retry_after_s=_seconds(reply), detail=detail, **facts)


def _facts(found: Any) -> dict[str, str | int]:
    """The facts that sentences know; a stranger's names never become arguments."""
    if not isinstance(found, dict):
        return {}
    known = {name for word in PLACEHOLDERS for name in (word, f"{word}_en", f"{word}_zh")}
    return {name: value for name, value in found.items() if name in known and type(value) in (str, int)}


def _seconds(reply: Reply) -> int:
    given = reply.headers.get("retry-after", "")
    return min(int(given), 3600) if given.isascii() and given.isdigit() and len(given) < 9 else 5


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise _offline("not JSON") from problem
    if not isinstance(found, dict):
        raise _offline("not a JSON object")
    return found


def _text(found: Mapping[str, Any], name: str) -> str:
    if not isinstance(found[name], str):
        raise TypeError(name)
    return str(found[name])


# --- asking ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvinceClient:
    """The desk of one province, as one of its windows sees it. `recipient` is the desk's own envelope key."""

    line: Line
    province: str
    window: str
    key: SigningKey
    recipient: Recipient
    clock: Clock

    def ask(
        self,
        *,
        request_id: str,
        code: str | None,
        matter: str,
        type_: str,
        case_number: str,
        cause: str,
        person: CitizenId | None,
        preconditions: tuple[str, ...],
        couple: str | None = None,
        other: CitizenId | None = None,
    ) -> Asked:
        """The bytes of one presentation, or of an invitation where there is no code yet. Of two people for one visit each
        is presented with the same `couple` (128 bits) and the `other` one's number.

        `request_id` is 128 bits in base64url (`consent.b64.new_id`).
        """
        match = None
        if person is not None:
            payload = json.dumps({"id": person.number}).encode()
            match = close_envelope(self.recipient, payload, info=request_id)
        body: dict[str, Any] = {
            "request_id": request_id,
            "code": code,
            "matter": matter,
            "case_number": case_number,
            "type": type_,
            "cause": cause,
            "match": match,
            "preconditions": list(preconditions),
        }
        if couple is not None and other is not None:
            number = json.dumps({"id": other.number}).encode()
            body["together"] = {"couple": couple, "other": close_envelope(self.recipient, number, info=request_id)}
        if code is None:
            del body["code"]
        return Asked(request_id=request_id, body=json.dumps(body, ensure_ascii=False).encode())

    def ask_with_card(
        self,
        *,
        request_id: str,
        card: str,
        matter: str,
        type_: str,
        case_number: str,
        cause: str,
        preconditions: tuple[str, ...],
    ) -> Asked:
        """The bytes of a presentation for somebody without a phone; `card` is the reader's word (`consent.card`)."""
        body = {
            "request_id": request_id,
            "card": card,
            "matter": matter,
            "type": type_,
            "case_number": case_number,
            "cause": cause,
            "preconditions": list(preconditions),
        }
        return Asked(request_id=request_id, body=json.dumps(body, ensure_ascii=False).encode())

    def present(self, asked: Asked) -> View:
        """Hand a presentation in, or ask again for what became of it."""
        return read_view(self._call("POST", "/counter/visits", asked.body))

    def present_card(self, asked: Asked) -> View:
        """Hand in what the reader says, in place of a code; `asked` comes from `ask_with_card`."""
        return read_view(self._call("POST", "/counter/cards", asked.body))

    def sheet(self, request_id: str) -> Mapping[str, Any]:
        """What the person at the counter reads before signing."""
        found: Mapping[str, Any] = _json(self._call("GET", f"/counter/visits/{request_id}/sheet", b"").body)["sheet"]
        return found

    def answer(self, request_id: str, pad: str, *, officer: str | None = None) -> View:
        """Hand in what the pad has signed, and where the sheet wants a second officer, what the staff card says (`attest+jwt`).

        Refusal SECOND_OFFICER_MISSING ends nothing: the same answer may be handed in with the card's word, in time.
        """
        body = json.dumps({"pad": pad, "officer": officer}).encode()
        return read_view(self._call("POST", f"/counter/visits/{request_id}/answer", body))

    def invite(self, asked: Asked) -> str:
        """A code for the counter's own screen; the visit under the same request id begins when a phone has read it."""
        return str(_json(self._call("POST", "/counter/invitations", asked.body).body)["counter"])

    def uninvite(self, request_id: str) -> None:
        """Take the code back that `invite` gave, because it is shown no more: no phone begins a visit with it from now on.

        Refusal STATE_FORBIDS where a phone was first; then there is a visit to watch or to clear.
        """
        self._call("DELETE", f"/counter/invitations/{request_id}", b"")

    def visit(self, request_id: str, *, known: View | None = None, wait_s: int = WAIT_S) -> View:
        """The visit as it stands. With `known`, the desk waits up to `wait_s` seconds for something newer."""
        headers = {"If-None-Match": known.etag} if known is not None and known.etag else {}
        query = f"?wait={wait_s}" if known is not None and wait_s else ""
        reply = self._call("GET", f"/counter/visits/{request_id}", b"", query=query, headers=headers)
        if reply.status == 304 and known is not None:
            return known
        return read_view(reply)

    def clear(self, request_id: str) -> None:
        """Tell the desk that the screen is empty, so that it forgets the key to the copy."""
        self._call("DELETE", f"/counter/visits/{request_id}", b"")

    def register(self) -> Mapping[str, Any]:
        """What this window may do today: its unit, and the matters with their words in both languages."""
        return _json(self._call("GET", "/counter/register", b"").body)

    def _call(
        self, method: str, path: str, body: bytes, *, query: str = "", headers: Mapping[str, str] | None = None
    ) -> Reply:
        proof = seal_window(self.key, province=self.province, method=method, path=path, body=body, now=self._now())
        sent = {HEADER: proof, "Accept": "application/json, application/problem+json", **(headers or {})}
        if body:
            sent["Content-Type"] = "application/json"
        reply = self.line.call(method, path + query, body, sent)
        if reply.status >= 400:
            raise failure_of(reply)
        return reply

    def _now(self) -> datetime:
        return self.clock.now()

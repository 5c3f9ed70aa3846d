"""One province's wallet_api, as a vendor's server uses it.

Reading order: open, look, close · the code · the counter's code · before the scan · request, answers, receipt · lookups ·
history · events · webhooks · the sandbox · asking.

A `Wallet` may be shared by all threads of a process; make one at the start and keep it.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import urllib3

from . import express, history, reading
from .answers import (
    Code,
    Deliveries,
    Delivery,
    Event,
    Events,
    Form,
    Lookup,
    Persona,
    Request,
    Showing,
    Taken,
    Twin,
    instant,
)
from .errors import not_understood
from .express import Offered
from .history import Objection, Past
from .keys import Key, load_key
from .line import Line, Question, Reply, Times
from .tokens import Tokens

T = TypeVar("T")

_JSON = "application/json"
_KEPT = 1024  # answers whose ETag is remembered


class Wallet:
    """A client of one wallet_api.

    `url` is its address, https except on this machine. `key` is your private key in PEM, whose public half is registered for
    `client_id`. `audience` is what wallet_api calls itself where that is not `url`. `patience_s` bounds every call with all
    its repetitions. `pool` is yours where you need a proxy or your own certificates.

    All verbs raise Refused (no), Unavailable (no answer) or TokenRefused (your key or client id), and nothing else.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        key: str | bytes | Key,
        *,
        audience: str | None = None,
        scope: str = "",
        patience_s: float = 20.0,
        pool: urllib3.PoolManager | None = None,
        times: Times | None = None,
    ) -> None:
        times = times or Times()
        self._line = Line(url, patience_s=patience_s, pool=pool, times=times)
        self._tokens = Tokens(
            client_id,
            key if isinstance(key, Key) else load_key(key),
            line=self._line,
            audience=audience or url.rstrip("/"),
            scope=scope,
            times=times,
        )
        self._seen: OrderedDict[tuple[str, str], tuple[str, bytes]] = OrderedDict()
        self._lock = Lock()

    @property
    def clock_skew_s(self) -> float | None:
        """Seconds by which this machine is ahead of wallet_api (negative: behind); None before the first answer."""
        return self._line.skew_s

    def server_now(self) -> datetime:
        """wallet_api's time. Use it for whatever you sign. Asks for it where nothing was heard yet."""
        if self._line.skew_s is None:
            self._line.ask(lambda: Question(method="GET", path="/health/live", headers={"Accept": _JSON}))
        return self._line.server_now()

    # Open, look, close --------------------------------------------------------------------------------------

    def open_showing(self, holder: str, *, idempotency_key: str | None = None) -> Showing:
        """Open a showing with a login assertion (`Login.assertion`); the person's earlier one ends.

        Give an `idempotency_key` of your own (1 to 64 visible ASCII characters) where you may have to repeat the call
        yourself, for instance after a crash; the same key gives the same showing for 24 hours.
        """
        return self._post("/v1/showings", {"holder": holder}, reading.showing, key=idempotency_key)

    def showing(self, showing_id: str) -> Showing:
        """The showing now. Poll it every second or two; where nothing changed, little is sent."""
        return self._get(f"/v1/showings/{_part(showing_id)}", reading.showing)

    def close(self, showing_id: str) -> None:
        """Put the code away. Refused(STATE_FORBIDS) once a counter has asked: that one is answered, not closed."""
        self._ask(Question(method="DELETE", path=f"/v1/showings/{_part(showing_id)}", headers={"Accept": _JSON}))

    # The code -----------------------------------------------------------------------------------------------

    def code(self, showing_id: str, form: Form = Form.TEXT, *, simple: bool = False) -> Code:
        """The code to show now, as text or drawn. Ask again after `refresh_in` seconds.

        `simple` gives a smaller symbol that only works online: for scanners that do not read the usual one.
        """
        path = f"/v1/showings/{_part(showing_id)}/code" + ("?form=simple" if simple else "")
        reply, content = self._read(path, str(form))

        def build(body: bytes) -> Code:
            return Code(
                content=body,
                form=form,
                server_time=instant(reply.headers["Server-Time"]),
                refresh_in=int(reply.headers["Refresh-In"]),
            )

        return _understood(reply, lambda: build(content))

    def twin(self, showing_id: str) -> Twin:
        """Twelve digits instead of the code, good for 60 s. Ask only when the citizen says that scanning does not work."""
        return self._post(f"/v1/showings/{_part(showing_id)}/twin", None, reading.twin)

    # The counter's code -------------------------------------------------------------------------------------

    def read_counter(self, showing_id: str, counter: str, *, idempotency_key: str | None = None) -> str:
        """Hand in the code that the phone has read off the counter's screen (`YRDC:…`); returns the id of the errand.

        The first phone that reads a counter's code has the counter. What it asks then appears in the showing.
        """
        path = f"/v1/showings/{_part(showing_id)}/counter"
        return self._post(path, {"counter": counter}, lambda told: str(told["come_id"]), key=idempotency_key)

    def counter_taken(self, showing_id: str, come_id: str) -> bool:
        """Whether the counter has taken the phone. Poll it until it has; Refused where another phone was first
        (CODE_ALREADY_USED) or its code is over (CODE_EXPIRED)."""
        path = f"/v1/showings/{_part(showing_id)}/counter/{_part(come_id)}"
        return self._get(path, lambda told: told["state"] == "TAKEN")

    # Before the scan ----------------------------------------------------------------------------------------

    def ask_offer(
        self,
        desk: str,
        *,
        unit: str | None = None,
        matter: str | None = None,
        type: str | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Ask the register of the province `desk` (its code); returns the offer's id, and the answer is there after a moment.

        Without `unit`, `matter` and `type`: which units take an answer before the scan, and in what. With all three: the
        words that the citizen reads before giving one.
        """
        body = {"desk": desk, "unit": unit, "matter": matter, "type": type}
        return self._post("/v1/offers", body, lambda told: str(told["offer_id"]), key=idempotency_key)

    def offer(self, offer_id: str) -> Offered:
        """The register's answer, once `done`. Words that are not those of their digest are Unavailable(NOT_UNDERSTOOD)."""
        return self._get(f"/v1/offers/{_part(offer_id)}", express.offered)

    def stand(self, showing_id: str, standing: str) -> Taken:
        """Hand in an agreement given before the scan (standing+jwt), which the phone's device key signed over the offer.
        If the counter asks for exactly that, the consent is given at once; for anything else the sheet comes as always."""
        path = f"/v1/showings/{_part(showing_id)}/standing"
        return self._send("PUT", path, {"standing": standing}, reading.taken)

    def take_back(self, showing_id: str) -> None:
        """Take that agreement back, before any counter has asked."""
        path = f"/v1/showings/{_part(showing_id)}/standing"
        self._ask(Question(method="DELETE", path=path, headers={"Accept": _JSON}))

    # Request, answers, receipt ------------------------------------------------------------------------------

    def request_to_approve(self, showing_id: str) -> Request:
        """What the counter asks; Refused(REQUEST_UNKNOWN) while `showing.asked` is false."""
        return self._get(f"/v1/showings/{_part(showing_id)}/request", reading.request)

    def approve(self, showing_id: str, approval: str) -> Taken:
        """Hand in an agreement that the phone's device key signed. The same one may be handed in again."""
        _must_say(approval, "agree")
        return self.answer(showing_id, approval)

    def decline(self, showing_id: str, approval: str) -> Taken:
        """Hand in a signed no."""
        _must_say(approval, "decline")
        return self.answer(showing_id, approval)

    def answer(self, showing_id: str, approval: str) -> Taken:
        """Hand in whatever the citizen signed, agreement or no."""
        return self._post(f"/v1/showings/{_part(showing_id)}/approval", {"approval": approval}, reading.taken)

    def withdraw(self, showing_id: str, approval: str) -> Taken:
        """Take a consent back. It is withdrawn once the showing says WITHDRAWN; WITHDRAWING until then."""
        _must_say(approval, "withdraw")
        return self._post(f"/v1/showings/{_part(showing_id)}/withdrawal", {"approval": approval}, reading.taken)

    def receipt(self, showing_id: str) -> str:
        """The citizen's receipt (receipt+jwt); Refused(RECEIPT_UNKNOWN) while there is none."""
        return self._get(f"/v1/showings/{_part(showing_id)}/receipt", lambda told: str(told["receipt"]))

    # Lookups ------------------------------------------------------------------------------------------------

    def look_up(self, holder: str, *, idempotency_key: str | None = None) -> Lookup:
        """Ask all four provinces which certificates a person has; the answer is there after some seconds."""
        return self._post("/v1/certificates/lookups", {"holder": holder}, reading.lookup, key=idempotency_key)

    def lookup(self, lookup_id: str) -> Lookup:
        """The answer so far; kept for ten minutes."""
        return self._get(f"/v1/certificates/lookups/{_part(lookup_id)}", reading.lookup)

    # History ------------------------------------------------------------------------------------------------

    def look_back(self, holder: str, *, earlier: str | None = None, idempotency_key: str | None = None) -> str:
        """Ask all four provinces who saw a person's certificates; returns the id of the look. The login must be fresh."""
        body = {"holder": holder, **({"earlier": earlier} if earlier else {})}
        return self._post("/v1/history/lookups", body, lambda told: str(told["look_id"]), key=idempotency_key)

    def history(self, look_id: str, *, cursor: str | None = None, limit: int = 20) -> Past:
        """The history, part by part (1 to 50 entries), once `done`."""
        query = urlencode({"limit": limit, **({"cursor": cursor} if cursor else {})})
        return self._get(f"/v1/history/lookups/{_part(look_id)}?{query}", history.past)

    def whole_history(self, look_id: str) -> Past:
        """All parts of a look as one; not `done`, and empty, while the provinces are being asked."""
        whole = self.history(look_id, limit=50)
        while whole.next is not None:
            part = self.history(look_id, cursor=whole.next, limit=50)
            whole = replace(part, entries=(*whole.entries, *part.entries))
        return whole

    def object_to(
        self, entry: str, holder: str, *, kind: str, text: str = "", idempotency_key: str | None = None
    ) -> Objection:
        """Object to an entry ("something is wrong"). `kind` is as the interface lists them, for instance DATA_WRONG."""
        body = {"holder": holder, "kind": kind, "text": text}
        return self._post(f"/v1/history/{_part(entry)}/objections", body, history.objection, key=idempotency_key)

    def objection(self, objection_id: str) -> Objection:
        """An objection, with its number once it has arrived."""
        return self._get(f"/v1/history/objections/{_part(objection_id)}", history.objection)

    # Events -------------------------------------------------------------------------------------------------

    def events(self, after: str | None = None, limit: int = 50) -> Events:
        """All events of your app behind `after` (`next` of the page before), at most `limit` (1 to 100). Nothing is left
        out, however long you were away; webhooks bring the same events sooner."""
        query = urlencode({"limit": limit, **({"after": after} if after else {})})
        return self._get(f"/v1/events?{query}", reading.events)

    def pages(self, after: str | None = None, limit: int = 100) -> Iterator[Events]:
        """All there is behind `after`, page after page, until nothing is left for now. Keep each page's `next` once you are
        done with its events, and begin there the next time: so nothing is lost where you stop in the middle."""
        while True:
            page = self.events(after, limit)
            yield page
            if not page.more:
                return
            after = page.next

    def timeline(self, showing_id: str) -> tuple[Event, ...]:
        """What happened to one showing, oldest first: for your support and your logs."""
        return self._get(f"/v1/showings/{_part(showing_id)}/events", reading.timeline)

    # Webhooks -----------------------------------------------------------------------------------------------

    def deliveries(self, after: str | None = None, limit: int = 50) -> Deliveries:
        """What was sent to your endpoints, newest first, with every try: at most `limit` (1 to 100) behind `after`."""
        query = urlencode({"limit": limit, **({"after": after} if after else {})})
        return self._get(f"/v1/webhooks/deliveries?{query}", reading.deliveries)

    def resend(self, delivery_id: str, *, idempotency_key: str | None = None) -> Delivery:
        """Send an event again, under the same `webhook-id`. Refused(STATE_FORBIDS) while it is still being tried."""
        path = f"/v1/webhooks/deliveries/{_part(delivery_id)}/resend"
        return self._post(path, None, reading.delivery, key=idempotency_key)

    # The sandbox --------------------------------------------------------------------------------------------

    def personas(self) -> tuple[Persona, ...]:
        """Who can be shown in a sandbox; Refused(ROUTE_UNKNOWN) in live, where there is no such thing."""
        return self._get("/v1/sandbox/personas", reading.personas)

    # Asking -------------------------------------------------------------------------------------------------

    def _get(self, path: str, build: Callable[[Mapping[str, Any]], T]) -> T:
        reply, body = self._read(path, _JSON)
        return _understood(reply, lambda: build(json.loads(body)))

    def _post(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        build: Callable[[Mapping[str, Any]], T],
        *,
        key: str | None = None,
    ) -> T:
        once = {"Idempotency-Key": key or secrets.token_urlsafe(16)}  # one for all tries
        return self._send("POST", path, body, build, headers=once)

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        build: Callable[[Mapping[str, Any]], T],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        whole = {"Accept": _JSON, **(headers or {}), **({"Content-Type": _JSON} if body is not None else {})}
        sent = b"" if body is None else json.dumps(body).encode()
        reply = self._ask(Question(method=method, path=path, headers=whole, body=sent))
        return _understood(reply, lambda: build(json.loads(reply.body)))

    def _read(self, path: str, accept: str) -> tuple[Reply, bytes]:
        """A reply to a read and its body: of now, or of the last time where nothing is new."""
        with self._lock:
            tag, kept = self._seen.get((path, accept), ("", b""))
        headers = {"Accept": accept, **({"If-None-Match": tag} if tag else {})}
        reply = self._ask(Question(method="GET", path=path, headers=headers))
        if reply.status == 304:
            return reply, kept
        if told := reply.headers.get("ETag"):
            with self._lock:
                self._seen[path, accept] = (told, reply.body)
                self._seen.move_to_end((path, accept))
                while len(self._seen) > _KEPT:
                    self._seen.popitem(last=False)
        return reply, reply.body

    def _ask(self, question: Question) -> Reply:
        """Ask as ourselves; a token that is refused is renewed once."""
        token = self._tokens.bearer()
        reply = self._line.ask(lambda: _signed(question, token))
        if reply.status == 401:
            self._tokens.drop(token)
            renewed = self._tokens.bearer()
            reply = self._line.ask(lambda: _signed(question, renewed))
        if reply.status >= 400:
            raise reply.problem()
        if reply.status >= 300 and reply.status != 304:
            raise not_understood(reply.status, reply.request_id)
        return reply


def _signed(question: Question, token: str) -> Question:
    return Question(
        method=question.method,
        path=question.path,
        headers={**question.headers, "Authorization": f"Bearer {token}"},
        body=question.body,
    )


def _understood(reply: Reply, build: Callable[[], T]) -> T:
    try:
        return build()
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise not_understood(reply.status, reply.request_id) from problem


def _part(value: str) -> str:
    return quote(value, safe="")


def _must_say(approval: str, decision: str) -> None:
    """ValueError where a document says something else than the verb that hands it in: a "no" must never go in as a "yes".
    Its signature is wallet_api's to check."""
    try:
        payload = approval.split(".")[1]
        said = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["decision"]
    except (IndexError, KeyError, TypeError, ValueError) as problem:
        raise ValueError("not an approval+jwt") from problem
    if said != decision:
        raise ValueError(f"the citizen signed {said!r}, not {decision!r}")

"""Who may call what: every operation, by every kind of caller, against the verdicts of tests/authorisation.json.

The file is written by hand and reads like a table: a row for each operation, a letter for each caller. An operation that
is not in it fails the test, and so does a verdict that is another one than the file's. After all who must not get in have
tried, nothing has changed: the showing, the visit and the register are as they were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from joserfc.jwk import ECKey
from werkzeug.test import Client, TestResponse

from consent.approval import Decision
from consent.b64 import new_id
from consent.clock import MovableClock
from consent.errors import Reason
from consent.keys import jwk_of, load_key, new_key
from consent.telling import PROBLEM_TYPE
from consent.transport import Letter, Topic
from consent.window import HEADER, issuer_of, seal_window
from scanner_kiosk.country.people import pair
from scanner_kiosk.country.units import window_for
from tests.country import MATTER_OF, Scene, Stage, ask
from tests.outer import START
from tests.phone_stage import set_stage
from verifier.doors.guards import PEER
from verifier.doors.guards import guards_of as verifier_guards
from verifier.stores import inner
from wallet_api.doors.guards import guards_of as wallet_guards
from wallet_api.vendors import SCOPES, Vendors
from wallet_api.webhooks.deliver import spread
from wallet_api.webhooks.endpoints import Endpoints

TABLE: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "authorisation.json").read_text(encoding="utf-8"))
DESK, OTHER_DESK, HOME = "32", "33", "31"

# What an answer says about its caller, by code. Everything else is about the request: the caller was let in.
LETTERS: Final[Mapping[Reason, str]] = {
    Reason.UNAUTHENTICATED: "U",
    Reason.FORBIDDEN: "F",
    Reason.SENDER_UNKNOWN: "S",
    Reason.SESSION_EXPIRED: "X",
    Reason.WINDOW_UNKNOWN: "W",
    Reason.DOCUMENT_CLAIMS: "D",
    Reason.DOCUMENT_EXPIRED: "D",
    Reason.DOCUMENT_KEY_UNKNOWN: "D",
    Reason.DOCUMENT_REPLAYED: "D",
    Reason.DOCUMENT_SIGNATURE: "D",
    Reason.KEY_NOT_ALLOWED: "D",
    Reason.SHOWING_UNKNOWN: "N",
    Reason.REQUEST_UNKNOWN: "N",
    Reason.ENTRY_UNKNOWN: "N",
    Reason.DELIVERY_UNKNOWN: "N",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request of one operation: everything but who sends it."""

    method: str
    path: str
    body: bytes = b""
    kind: str = "application/json"

    def send(self, app: Any, headers: Mapping[str, str], *, peer: str = "", cookie: str = "") -> str:
        """The letter of the answer."""
        client = Client(app)
        if cookie:
            name, _, value = cookie.partition("=")
            client.set_cookie(name, value, path="/")
        answer = client.open(
            self.path,
            method=self.method,
            data=self.body or None,
            content_type=self.kind if self.method in ("POST", "PUT") else None,
            headers={"Idempotency-Key": new_id(), "Accept": "*/*", **headers},
            environ_overrides={PEER: peer} if peer else {},
        )
        return letter_of(answer)


def letter_of(answer: TestResponse) -> str:
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    if answer.content_type == PROBLEM_TYPE:
        return LETTERS.get(Reason(answer.json["code"]), ".")
    lists = [answer.json[name] for name in ("events", "deliveries") if name in answer.json] if answer.is_json else []
    if lists and not any(lists):
        return "0"  # let in, and nothing of anybody there
    return {401: "X", 403: "F"}.get(answer.status_code, ".")  # a page for people


def judged(section: str, operations: set[str], ask: Callable[[str, str], str], untouched: Callable[[], None]) -> None:
    """Compare `ask(operation, caller)` with a section of the table, caller by caller, those who may at the end.

    `untouched` looks whether nothing has changed; it is asked before the first one who may change something.
    """
    table = TABLE[section]
    callers, expected = table["callers"], table["operations"]
    assert set(expected) == operations, "an operation is missing in tests/authorisation.json, or is gone"
    wrong = [
        f"{name}: {len(row.split())} verdicts" for name, row in expected.items() if len(row.split()) != len(callers)
    ]
    for number, caller in enumerate(callers):
        if caller == table["first_who_may"]:
            untouched()
        for operation, row in expected.items():
            wanted = row.split()[number : number + 1]
            found = ask(operation, caller)
            if [found] != wanted:
                wrong.append(f"{operation} by {caller}: {found}, not {''.join(wanted)}")
    assert wrong == []


def guarded(guards: Mapping[str, str | None]) -> set[str]:
    """Operations with a guard; the open ones are reviewed in tests/open_routes.txt."""
    return {route for route, guard in guards.items() if guard != "nothing"}


# Vendors ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Market:
    """A citizen who was asked, and all the vendors around."""

    stage: Stage
    scene: Scene
    tokens: dict[str, str]
    ids: dict[str, str]
    walked: str
    calls: dict[str, Callable[[], Any]]
    shown: dict[str, Any]

    def ask(self, operation: str, caller: str) -> str:
        method, _, rule = operation.partition(" ")
        # Only one showing of the app has been at a counter by its own choice.
        path = rule.replace("<showing_id>/counter/<come_id>", f"{self.walked}/counter/<come_id>")
        for name, value in self.ids.items():
            path = path.replace(f"<{name}>", value)
        make = self.calls.get(operation)
        body = b"" if method not in ("POST", "PUT") else json.dumps(make() if make else {}).encode()
        call, app = Call(method, path, body), self.stage.country.wallets[HOME]
        if caller == "a counter's window key":
            return call.send(app, {HEADER: proof_of(self.stage, call)})
        if caller == "a peer's certificate":
            return call.send(app, {}, peer="exchange")
        if caller == "a citizen's session cookie":
            return call.send(app, {}, cookie=f"huzheng-phone-31={'x' * 43}")
        token = self.tokens.get(caller)
        return call.send(app, {} if token is None else {"Authorization": f"Bearer {token}"})

    def untouched(self) -> None:
        assert self.scene.showing() == self.shown
        assert self.scene.view().state == "ASKED"


def proof_of(stage: Stage, call: Call, *, code: str = DESK, window: str = "", **changes: Any) -> str:
    """A window's proof for a call, right in everything but `changes`; "none" for a call that no proof can name."""
    window = window or window_for(code, MATTER_OF["marriage"])
    uri = stage.country.founded.keys.uri(code, f"window-{window}")
    given = {
        "key": load_key(uri, issuer=issuer_of(code, window), sandbox=True),
        "province": DESK,
        "method": call.method,
        "path": call.path,
        "body": call.body,
        "now": stage.clock.now(),
    }
    try:
        return seal_window(**{**given, **changes})
    except ValueError:
        return "none"


@pytest.fixture
def market(stage: Stage) -> Market:
    wallet = stage.country.wallets[HOME]
    engine, now = wallet.extensions["wallet_api"].engine, stage.clock.now()
    here, live = Vendors(engine, profile="sandbox", by="test"), Vendors(engine, profile="live", by="test")
    tokens: dict[str, str] = {"a made-up token": new_id() * 2}

    def vendor(caller: str, *, app: str = "suishenban", scopes: tuple[str, ...] = SCOPES, into: Vendors = here) -> str:
        client_id, token = f"v{len(tokens):02d}-{new_id()[:4].lower().strip('_-')}x", new_id() * 2
        jwk = ECKey.generate_key("P-256").as_dict(private=False)
        into.add(client_id, name=caller, app=app, jwk=jwk, scopes=scopes, now=now)
        into.keep_token(token, client_id, " ".join(scopes), now=now)
        tokens[caller] = token
        return client_id

    own = vendor("the vendor")
    Endpoints(engine, profile="sandbox").add(own, "https://vendor.example/hook", now=now)
    stage.scene(HOME, DESK, "34", who=pair(HOME, "34"), type_="divorce").whole()  # something for the history
    scene = stage.scene(HOME, DESK, "34", who=pair(HOME, "34"), type_="divorce")
    lookup_id = scene.phone.look_up()
    scene.asked_and_shown()
    vendor("another vendor of the app")
    vendor("another app's vendor", app="sufuban")
    for scope in SCOPES:
        vendor(f"only {scope}", scopes=(scope,))
    vendor("a token of live", into=live)
    out = vendor("a disabled vendor")
    here.disable(out, now=now)
    here.keep_token(tokens["a disabled vendor"], out, " ".join(SCOPES), now=now)  # one that was being given out
    vendor("an expired token")
    here.keep_token(
        tokens["an expired token"] + "x", "suishenban-sandbox", "showings:read", now=now - timedelta(hours=1)
    )
    tokens["an expired token"] += "x"
    tokens["another province's token"] = stage.country.app("32").token
    tokens["a login assertion"] = scene.phone.assertion(now)

    reader = scene.phone
    look = reader._post("/v1/history/lookups", {"holder": reader.assertion(now)})["look_id"]
    offer = reader.ask_offer(DESK)
    stage.pump()
    entry = reader._at(f"/v1/history/lookups/{look}")["entries"][0]["entry"]
    objecting = {"kind": "DATA_WRONG", "text": "不对"}
    objection = reader._post(f"/v1/history/{entry}/objections", {"holder": reader.assertion(now), **objecting})
    stage.pump()
    walker = stage.country.phone_of(pair(HOME, "32"))
    walker.show()
    invitation = ask(stage, scene.client, pair(HOME, "32"), code=None, matter=MATTER_OF["divorce"], type_="divorce")
    counter = scene.client.invite(invitation)
    come = walker.read_counter(counter)
    spread(engine, now=now, profile="sandbox")
    deliveries = Client(wallet).get(
        "/v1/webhooks/deliveries", headers={"Authorization": f"Bearer {tokens['the vendor']}"}
    )
    ids = {
        "showing_id": scene.phone.showing_id,
        "lookup_id": lookup_id,
        "look_id": look,
        "offer_id": offer,
        "entry": entry,
        "objection_id": objection["objection_id"],
        "delivery_id": deliveries.json["deliveries"][0]["id"],
        "come_id": come,
    }
    sheet = scene.sheet()["sheet"]

    def holder() -> dict[str, str]:
        return {"holder": reader.assertion(now)}

    def signed(decision: Decision) -> Callable[[], dict[str, str]]:
        return lambda: reader._signed(decision, sheet, None, None, True)

    calls: dict[str, Callable[[], Any]] = {
        "POST /v1/showings": holder,
        "POST /v1/certificates/lookups": holder,
        "POST /v1/history/lookups": holder,
        "POST /v1/history/<entry>/objections": lambda: holder() | objecting,
        "POST /v1/offers": lambda: {"desk": DESK},
        "POST /v1/showings/<showing_id>/approval": signed(Decision.DECLINE),
        "POST /v1/showings/<showing_id>/withdrawal": signed(Decision.WITHDRAW),
        "POST /v1/showings/<showing_id>/counter": lambda: {"counter": counter},
        "PUT /v1/showings/<showing_id>/standing": lambda: {"standing": "e.y.J"},
    }
    return Market(
        stage=stage, scene=scene, tokens=tokens, ids=ids, walked=walker.showing_id, calls=calls, shown=scene.showing()
    )


def test_vendors_reach_what_is_theirs_and_nothing_else(market: Market) -> None:
    judged("wallet_api", guarded(wallet_guards(market.stage.country.wallets[HOME])), market.ask, market.untouched)


# Counters, peers --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Hall:
    """A visit at one window, and everybody else who might like to have it."""

    stage: Stage
    scene: Scene

    def ask(self, operation: str, caller: str) -> str:
        method, _, rule = operation.partition(" ")
        body = b"{}" if method == "POST" else b""
        if rule == "/peer/letters":
            body = letter("31", DESK)
        if rule.endswith("/answer"):
            body = b'{"pad": "e.y.J"}'
        call = Call(method, rule.replace("<request_id>", self.scene.asked.request_id), body)
        headers, peer = self._as(caller, call)
        return call.send(self.stage.country.verifiers[DESK], headers, peer=peer)

    def _as(self, caller: str, call: Call) -> tuple[dict[str, str], str]:
        own = self.scene.client.window
        proofs: dict[str, Callable[[], str]] = {
            "the window": lambda: proof_of(self.stage, call, window=own),
            "another window": lambda: proof_of(self.stage, call, window=f"{own[:-1]}2"),
            "another unit's window": lambda: proof_of(self.stage, call, window="32-B1"),
            "another province's window": lambda: proof_of(self.stage, call, code=OTHER_DESK),
            "a window that nobody enrolled": lambda: proof_of(
                self.stage, call, key=new_key("ES256", issuer=issuer_of(DESK, own))
            ),
            "the window for another province": lambda: proof_of(self.stage, call, window=own, province=OTHER_DESK),
            "the window for another path": lambda: proof_of(self.stage, call, window=own, path="/counter/other"),
            "the window for another body": lambda: proof_of(self.stage, call, window=own, body=b"other"),
            "the window, too late": lambda: proof_of(
                self.stage, call, window=own, now=self.stage.clock.now() - timedelta(seconds=75)
            ),
            "the window, twice": lambda: self._used(call, own),
        }
        if caller in proofs:
            return {HEADER: proofs[caller]()}, ""
        if caller == "a vendor's token":
            return {"Authorization": f"Bearer {self.stage.country.app(DESK).token}"}, ""
        return {}, {"the exchange": "exchange", "a province": "31", "a stranger": "99"}.get(caller, "")

    def _used(self, call: Call, window: str) -> str:
        proof = proof_of(self.stage, call, window=window)
        call.send(self.stage.country.verifiers[DESK], {HEADER: proof})
        return proof


def letter(sender: str, to: str) -> bytes:
    """A letter whose envelope nobody can open."""
    made = Letter(sender=sender, to=to, topic=Topic.ASK, unit=None, matter=None, request_id=new_id(), body="AAAA")
    return json.dumps(made.to_json()).encode()


@pytest.fixture
def hall(stage: Stage) -> Hall:
    scene = stage.scene(HOME, DESK, "34", who=pair(HOME, "34"), type_="divorce")
    scene.asked_and_shown()
    return Hall(stage=stage, scene=scene)


def test_a_window_reaches_its_own_visits_and_no_one_else_does(hall: Hall) -> None:
    def untouched() -> None:
        (row,) = hall.stage.rows(DESK, inner.visits)
        assert row.state == "ASKED"

    judged("verifier", guarded(verifier_guards(hall.stage.country.verifiers[DESK])), hall.ask, untouched)


def test_a_province_posts_its_own_letters_and_no_one_elses(hall: Hall) -> None:
    def send(operation: str, caller: str) -> str:
        call = Call("POST", "/exchange/letters", letter("31", DESK))
        peers = {
            "the province of the letter": "31",
            "another province": "33",
            "the exchange": "exchange",
            "a stranger": "99",
        }
        headers, _ = hall._as(caller, call) if caller not in peers else ({}, "")
        return call.send(hall.stage.country.exchange, headers, peer=peers.get(caller, ""))

    judged("exchange", guarded(verifier_guards(hall.stage.country.exchange)), send, lambda: None)


# The simulated phone ----------------------------------------------------------------------------------------


def test_a_phone_page_is_its_citizens_alone(tmp_path: Path) -> None:
    """Another site may make a browser read with the cookie only where the browser ignores SameSite=Strict, and then cannot
    see the answer; so the door refuses it what changes something, and no more."""
    clock = MovableClock(START)
    stage = set_stage(tmp_path, clock)
    own_page = {"Sec-Fetch-Site": "same-origin"}
    device = jwk_of(new_key("ES256", issuer="d").public)

    def signed_in() -> str:
        client = Client(stage.app)
        answer = client.post("/phone/api/login", json={"persona": "zhang-wei", "device": device}, headers=own_page)
        assert answer.status_code == 200, answer.text
        return answer.headers["Set-Cookie"].partition(";")[0]

    cookie, over = signed_in(), signed_in()
    assert Call("POST", "/phone/api/show", b"{}").send(stage.app, own_page, cookie=cookie) == "."
    assert Call("POST", "/phone/api/logout", b"{}").send(stage.app, own_page, cookie=over) == "."

    def send(operation: str, caller: str) -> str:
        method, _, path = operation.partition(" ")
        form = path == "/phone/show"
        call = Call(
            method,
            path,
            b"{}" if method == "POST" and not form else b"",
            "application/x-www-form-urlencoded" if form else "application/json",
        )
        headers = own_page
        cookies = {"a made-up cookie": f"huzheng-phone-31={'x' * 43}", "a session that is over": over}
        if caller in ("another site", "the citizen"):
            cookies[caller] = cookie
        if caller == "a vendor's token":
            headers = own_page | {"Authorization": f"Bearer {'x' * 43}"}
        if caller == "another site":
            headers = {"Sec-Fetch-Site": "cross-site"}
        return call.send(stage.app, headers, cookie=cookies.get(caller, ""))

    guards = {route for route, guard in wallet_guards(stage.app).items() if guard in ("phone session", "own page")}
    judged("phone", guards, send, lambda: None)
    stage.engine.dispose()

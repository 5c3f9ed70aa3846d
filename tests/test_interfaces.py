"""The doors of verifier and exchange under whatever their own description allows, by callers who are who they say.

A wrapper around each application plays the honest caller: it signs window proofs over the very bytes that come along, and
puts the peer's name where TLS would. So strange bodies reach the use cases, and none may end in a fault.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from schemathesis import GenerationMode

from consent.enrolment import GRANT_TYPE, applicant, seal_enrolment
from consent.keys import SigningKey, jwk_of, load_key, new_key, signing_key
from consent.window import issuer_of, seal_window
from scanner_kiosk.country.people import pair
from tests.counter_without_phone import counter
from tests.country import MATTER_OF, Stage, ask
from tests.counts import count
from tests.described import CALLS, Tally, hold_to_its_description
from verifier.doors.guards import PEER
from verifier.doors.guards import guards_of as verifier_guards
from verifier.enrolment import Enrolments
from wallet_api.doors.guards import guards_of as wallet_guards

OPEN_ROUTES = Path(__file__).parent / "open_routes.txt"

Start = Callable[..., Any]


class Honest:
    """A WSGI application in front of another one; see the top of this file. Counts operations that were answered 2xx."""

    def __init__(self, app: Any, stage: Stage, *, peer: str = "", window: SigningKey | None = None) -> None:
        self._app, self._stage, self._peer, self._window = app, stage, peer, window
        self.answered: Counter[str] = Counter()
        self.faults: list[str] = []

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if self._peer:
            environ[PEER] = self._peer
        if self._window is not None and environ["PATH_INFO"].startswith("/counter"):
            environ["HTTP_WINDOW_PROOF"] = self._proof(environ, body)

        def note(status: str, headers: Any, *rest: Any) -> Any:
            rule = self._rule(environ)
            if status.startswith("2") and rule is not None:
                self.answered[rule] += 1
            if status.startswith("5") and not status.startswith("503"):
                self.faults.append(f"{status} {rule}")
            return start(status, headers, *rest)

        return self._app(environ, note)  # type: ignore[no-any-return]

    def _rule(self, environ: dict[str, Any]) -> str | None:
        try:
            rule, _ = self._app.url_map.bind_to_environ(environ).match(return_rule=True)
        except Exception:
            return None
        return f"{environ['REQUEST_METHOD']} {rule.rule}"

    def _proof(self, environ: dict[str, Any], body: bytes) -> str:
        path = environ["PATH_INFO"]
        assert self._window is not None
        try:
            return seal_window(
                self._window,
                province="32",
                method=environ["REQUEST_METHOD"],
                path=path,
                body=body,
                now=self._stage.clock.now(),
            )
        except ValueError:  # a path or method that no proof can name; the door must refuse by itself
            return "none"


def _window(stage: Stage, window: str = "32-R1") -> SigningKey:
    uri = stage.country.founded.keys.uri("32", f"window-{window}")
    return load_key(uri, issuer=issuer_of("32", window), sandbox=True)


def _alive_at_a_counter(stage: Stage) -> Callable[[Any], None]:
    """Of two visits, one that is asked and one that passed, what a counter knows; and a new code for a new one."""
    passed, asked = stage.scene("31", "32", "33"), stage.scene("33", "32", "33")
    assert passed.whole().state == "PASSED"
    asked.asked_and_shown()
    at = counter(stage)
    at.begin()
    free = stage.scene("34", "32", "33")
    ids = cycle((passed.asked.request_id, asked.asked.request_id, at.asked.request_id))
    what = {"matter": "realestate.register", "type_": "marriage"}  # what this window may ask for
    kiosk = _Enrolling(stage)

    def alive(case: Any) -> None:
        if "request_id" in case.path_parameters:
            case.path_parameters["request_id"] = next(ids)
        body = case.body if isinstance(case.body, dict) else {}
        if case.operation.label == "POST /counter/visits":
            fresh = ask(stage, free.client, free.who, code=free.phone.code(), **what)
            case.body = json.loads(fresh.body)
        elif case.operation.label == "POST /counter/invitations":
            fresh = ask(stage, free.client, free.who, code=None, **what)
            case.body = json.loads(fresh.body)
        elif case.operation.label == "POST /counter/cards":
            case.body = json.loads(counter(stage, pair("31", "32"), **what).asked.body)
        elif case.operation.label == "POST /windows/device_authorization":
            case.body = kiosk.asking()
        elif case.operation.label == "POST /windows/token":
            case.body = kiosk.fetching()
        elif "pad" in body:
            case.path_parameters["request_id"] = at.asked.request_id
            case.body = {**body, "pad": at.signed()}

    return alive


def test_the_calls_of_all_doors_together_are_as_many_as_promised() -> None:
    assert sum(CALLS.values()) >= count(20_000, 160)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", GenerationMode)
def test_a_counter_may_send_what_it_likes(stage: Stage, mode: GenerationMode) -> None:
    alive = _alive_at_a_counter(stage)
    app = Honest(stage.country.verifiers["32"], stage, window=_window(stage))
    tally = hold_to_its_description(app, mode, alive=alive)
    assert app.faults == []
    assert tally.calls >= CALLS["counters", mode]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", GenerationMode)
def test_a_peer_may_send_what_it_likes(stage: Stage, mode: GenerationMode) -> None:
    scene = stage.scene("31", "32", "33")
    assert scene.whole().state == "PASSED"
    sent = [letter for wire in stage.wires.values() for letter in wire.sent]
    letters = {
        "/peer/letters": cycle([letter.to_json() for letter in sent if letter.to == "32"]),
        "/exchange/letters": cycle([letter.to_json() for letter in sent if letter.sender == "31"]),
    }

    def alive(case: Any) -> None:
        if case.operation.path in letters:
            case.body = next(letters[case.operation.path])

    mailbox = Honest(stage.country.verifiers["32"], stage, peer="exchange")
    exchange = Honest(stage.country.exchange, stage, peer="31")
    both = Tally()
    for app, below in ((mailbox, "/peer"), (exchange, "/")):
        tally = hold_to_its_description(app, mode, below=below, alive=alive)
        assert app.faults == []
        both = Tally(calls=both.calls + tally.calls, answered=both.answered + tally.answered)
    assert both.calls >= CALLS["peers", mode]
    assert {"POST /peer/letters", "POST /exchange/letters"} <= set(both.answered)


def test_every_operation_of_the_inner_doors_can_be_answered_well(stage: Stage) -> None:
    country = stage.country
    scene = stage.scene("31", "32", "33")
    desk = Honest(country.verifiers["32"], stage, window=_window(stage))
    exchange = Honest(country.exchange, stage, peer="31")
    seen: Counter[str] = Counter()
    for door in (country.verifiers["32"], country.exchange):
        door.after_request_funcs.setdefault(None, []).append(_noting(seen))
    try:
        _walk_all_doors(stage, scene, desk, exchange)
    finally:
        for door in (country.verifiers["32"], country.exchange):
            door.after_request_funcs[None].pop()
    wanted = {*verifier_guards(country.verifiers["32"]), *verifier_guards(country.exchange)}
    assert wanted - set(seen) == set()


def _noting(seen: Counter[str]) -> Callable[[Any], Any]:
    def note(answer: Any) -> Any:
        from flask import request

        if answer.status_code < 300 and request.url_rule is not None:
            seen[f"{request.method} {request.url_rule.rule}"] += 1
        return answer

    return note


def _walk_all_doors(stage: Stage, scene: Any, desk: Honest, exchange: Honest) -> None:
    from werkzeug.test import Client

    scene.client.register()
    view = scene.client.present(scene.asked)
    stage.pump()
    sheet = scene.phone.sheet()
    from consent.approval import Decision

    picked = next(
        each["certificate"]
        for each in sheet["holdings"]["certificates"]
        if each["certificate"].startswith("33") and each["type"] == scene.who.stories[0].type
    )
    scene.phone.answer(Decision.AGREE, sheet["sheet"], digits=view.digits, certificate=picked)
    stage.pump()
    assert scene.client.visit(view.request_id).state == "PASSED"
    scene.client.clear(view.request_id)
    type_ = scene.who.stories[0].type
    asked = ask(stage, scene.client, scene.who, code=None, matter=MATTER_OF[type_], type_=type_)
    scene.client.invite(asked)
    scene.client.uninvite(asked.request_id)
    _enrol(stage, desk)
    at = counter(stage)
    at.begin()
    assert at.answer().state == "PASSED"
    for app in (desk, exchange):
        for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json"):
            assert Client(app).get(path).status_code == 200, path


def _enrol(stage: Stage, desk: Honest) -> None:
    from werkzeug.test import Client

    calls = _Enrolling(stage)
    assert Client(desk).post("/windows/device_authorization", json=calls.asking()).status_code == 200
    assert Client(desk).post("/windows/token", json=calls.fetching()).status_code == 200


class _Enrolling:
    """A kiosk that is no window yet, at 32: what it sends, each time with a new proof."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._desk = stage, Enrolments(office=stage.province("32").office)
        made = new_key("ES256", issuer="new")
        self._key = signing_key(made.private, issuer=applicant(made.public))

    def asking(self) -> dict[str, Any]:
        proof = seal_enrolment(self._key, province="32", device_code=None, now=self._stage.clock.now())
        return {"jwk": jwk_of(self._key.public), "proof": proof}

    def fetching(self) -> dict[str, Any]:
        """For a device code that an administrator has approved."""
        now, unit = self._stage.clock.now(), self._desk.office.scope("32").unit_of_window("32-R1").uscc
        code = self._desk.ask(**self.asking(), address="here", now=now)
        row = self._desk.look_up(code.user_code, unit=unit, now=now)
        self._desk.approve(row, unit=unit, window="32-R1", now=now)
        proof = seal_enrolment(self._key, province="32", device_code=code.device_code, now=now)
        return {"grant_type": GRANT_TYPE, "device_code": code.device_code, "proof": proof}


def test_the_open_routes_are_the_reviewed_ones(stage: Stage) -> None:
    country = stage.country
    found = {
        f"{service} {route}"
        for service, guards in (
            ("wallet_api", wallet_guards(country.wallets["31"])),
            ("verifier", verifier_guards(country.verifiers["31"])),
            ("exchange", verifier_guards(country.exchange)),
        )
        for route, guard in guards.items()
        if guard == "nothing"
    }
    reviewed = {
        line for line in OPEN_ROUTES.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    }
    assert found == reviewed

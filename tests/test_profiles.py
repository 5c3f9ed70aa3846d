"""The four apps as they are used to working: their logins, their own counter strings, and whole visits that begin with them.

Visits run on the staged country, where each province has its app's simulator and the adapter that belongs to it. The
simulators are invented, so nothing here shows that a real app works; it shows that an app which works like this does.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import pytest

from consent.errors import Outcome, Reason, Unavailable
from consent.keys import jwk_of
from consent.provinces import provinces
from consent.request import Request
from consent.showing import Person
from consent.transport import Letter, Topic
from scanner_kiosk.country.people import Persona, pair
from scanner_kiosk.phone import Phone
from tests.country import Scene, Stage
from tests.counts import count
from verifier.scanned import NoResolver, Resolver
from verifier.stores import inner
from wallet_api.profiles.port import AppProfile
from wallet_api.profiles.simulators import Simulator
from wallet_api.profiles.simulators.wanshitong import WanshitongServer

pytestmark = pytest.mark.full  # visits and processes: each takes seconds

CODES = tuple(provinces())
EVERY_APP = pytest.mark.parametrize("code", CODES)
SOME_APP = pytest.mark.parametrize("code", count(CODES, CODES[-1:]))  # where the apps differ in nothing that matters


# A whole visit, as each app begins it -----------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class AppPhone(Phone):
    """A phone whose owner is logged in as this app does it, and whose counter page draws what this app draws."""

    simulator: Simulator
    profile: AppProfile
    drawn: Callable[[str], str] | None = None

    def assertion(self, now: datetime) -> str:
        """The app's login, through its adapter."""
        return self.profile.log_in(self.simulator.unlock(self.person), jwk_of(self.device.public), now=now)

    @property
    def sub(self) -> str:
        """The pseudonym that the app's side chose."""
        return self._sub

    _sub: str = field(default="", init=False)

    def show(self) -> str:
        """Open a showing, and learn our own pseudonym from the assertion, as a page would from its server."""
        text = self.assertion(self.app.clock.now())
        self._sub = str(_claims(text)["sub"])
        body = self._post("/v1/showings", {"holder": text})
        self.showing_id = str(body["showing_id"])
        return self.showing_id

    def code(self) -> str:
        """The app's own string instead of our code."""
        return (self.drawn or self.simulator.hold_up)(self.showing_id)


def _claims(jws: str) -> dict[str, Any]:
    payload = jws.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def _phone(stage: Stage, who: Persona) -> AppPhone:
    simulator = stage.country.simulators[who.province]
    return AppPhone(
        app=stage.country.app(who.province),
        person=Person(id_number=who.id_number, name=who.name),
        simulator=simulator,
        profile=simulator.profile(),
    )


def _scene(stage: Stage, app: str, desk: str, library: str, **attack: Any) -> Scene:
    """A citizen who opened the app as it is done there, and a counter that scanned what this app draws."""
    who = pair(app, library)
    phone = _phone(stage, who)
    phone.drawn = attack.pop("drawn", None)
    phone.show()
    return stage.scanned(who, phone, desk, **attack)


@EVERY_APP
def test_a_visit_begins_with_the_apps_own_login_and_string_and_passes(stage: Stage, code: str) -> None:
    others = [each for each in CODES if each != code]
    scene = _scene(stage, code, others[0], others[1])
    view = scene.whole()
    assert (view.state, view.outcome) == ("PASSED", Outcome.PASSED)
    assert scene.row().holder_province == code
    assert scene.claim().named == "app"
    assert scene.showing()["state"] == "DELIVERED"
    stage.books()


@pytest.mark.parametrize("code", count(CODES, CODES[:1]))  # 31 asks another interface for its own counters
def test_a_counter_of_the_apps_own_province_takes_it_too(stage: Stage, code: str) -> None:
    assert _scene(stage, code, code, code).whole().outcome is Outcome.PASSED
    stage.books()


def test_line_ends_and_blanks_of_a_scanner_that_poses_as_a_keyboard_do_no_harm(stage: Stage) -> None:
    simulator = stage.country.simulators["31"]
    scene = _scene(stage, "31", "34", "31", drawn=lambda showing: f" {simulator.counter_string(showing)}\r\n")
    assert scene.whole().outcome is Outcome.PASSED


def test_the_request_is_bound_to_the_string_and_the_string_stays_in_envelopes(stage: Stage) -> None:
    scene = _scene(stage, "31", "32", "31")
    scene.asked_and_shown()
    claim = scene.claim()
    assert "s.sh.gov.cn" not in claim.request
    assert all("s.sh.gov.cn" not in json.dumps(each.to_json()) for wire in stage.wires.values() for each in wire.sent)


# No is said as the app says it ------------------------------------------------------------------------------


def _second(stage: Stage, first: Scene) -> Scene:
    """Another counter scans the very text that the first one has scanned."""
    text = json.loads(first.asked.body)["code"]
    return stage.scanned(first.who, first.phone, "33", code=text)


@SOME_APP
def test_a_string_that_was_used_is_refused_as_used(stage: Stage, code: str) -> None:
    first = _scene(stage, code, "32", code)
    first.asked_and_shown()
    second = _second(stage, first)
    second.present()
    view = second.finish()
    assert (view.state, view.said.reason) == ("REFUSED", Reason.CODE_ALREADY_USED)
    stage.books()


@SOME_APP
def test_a_string_that_is_too_old_is_refused_as_expired(stage: Stage, code: str) -> None:
    scene = _scene(stage, code, "32", code)
    stage.clock.advance(60)
    scene.present()
    view = scene.finish()
    assert (view.state, view.said.reason) == ("REFUSED", Reason.CODE_EXPIRED)
    assert scene.showing()["state"] == "OPEN"
    stage.books()


@pytest.mark.parametrize("desk", ["31", "34"])  # by the scan interface, and by the one for the delta
def test_shanghais_two_messages_stay_apart_from_its_server_to_the_officers_screen(stage: Stage, desk: str) -> None:
    simulator = stage.country.simulators["31"]

    def replaced(showing_id: str) -> str:
        text = simulator.counter_string(showing_id)
        simulator.counter_string(showing_id)  # the page has drawn a newer one
        return text

    used = _scene(stage, "31", desk, "31", drawn=replaced)
    used.asked_and_shown()
    old = _scene(stage, "31", desk, "32")
    stage.clock.advance(61)
    old.present()
    said = {}
    for name, scene in (("used", used), ("old", old)):
        view = scene.finish()
        said[name] = (view.said.reason, view.said.sentence_zh)
    assert said["used"][0] is Reason.CODE_ALREADY_USED
    assert said["old"][0] is Reason.CODE_EXPIRED
    assert "已失效" in said["used"][1]
    assert "已过期" not in said["used"][1]
    assert "已过期" in said["old"][1]
    assert "已失效" not in said["old"][1]


def test_a_pending_token_gives_nothing_until_its_holder_authorises_it(stage: Stage) -> None:
    simulator = cast(WanshitongServer, stage.country.simulators["34"])
    early = _scene(stage, "34", "31", "34", drawn=simulator.counter_string)
    early.present()
    view = early.finish()
    assert (view.state, view.said.reason) == ("REFUSED", Reason.NOT_AUTHORISED)
    assert early.showing()["state"] == "OPEN"
    assert early.claim() is None
    text = json.loads(early.asked.body)["code"]
    simulator.authorise(text)
    later = stage.scanned(early.who, early.phone, "31", code=text)  # asking did not use it up
    assert later.whole().outcome is Outcome.PASSED
    stage.books()


def test_a_token_that_another_page_drew_is_refused(stage: Stage) -> None:
    simulator = cast(WanshitongServer, stage.country.simulators["34"])

    def elsewhere(showing_id: str) -> str:
        text = simulator.counter_string(showing_id, by_app=False)
        simulator.authorise(text)
        return text

    scene = _scene(stage, "34", "31", "34", drawn=elsewhere)
    scene.present()
    assert scene.finish().said.reason is Reason.APPROVAL_METHOD_NOT_ALLOWED


def test_another_person_at_the_counter_is_refused_whatever_the_app_says(stage: Stage) -> None:
    scene = _scene(stage, "33", "32", "33", number=pair("31", "31").id_number)
    scene.present()
    assert scene.finish().said.reason is Reason.HOLDER_MISMATCH
    assert scene.claim() is None


def test_a_showing_that_the_app_invented_looks_expired(stage: Stage) -> None:
    simulator = stage.country.simulators["32"]
    scene = _scene(stage, "32", "31", "32", drawn=lambda _: simulator.counter_string("0" * 24))
    scene.present()
    assert scene.finish().said.reason is Reason.CODE_EXPIRED


# Letters that come twice, apps that say nothing -------------------------------------------------------------


@SOME_APP
def test_a_letter_that_arrives_again_after_a_crash_finds_its_showing_again(stage: Stage, code: str) -> None:
    """The app's server knows each string once; between its answer and our commit the province may die."""
    scene = _scene(stage, code, next(each for each in CODES if each != code), code)
    scene.present()
    arrived: list[Letter] = []

    def listen(letter: Letter) -> Letter:
        if letter.topic is Topic.ASK:
            arrived.append(letter)
        return letter

    stage.rule(listen)
    broken = _Breaking(stage.province(code).peers.consents.resolver)
    with _resolving(stage, code, broken):
        stage.pass_time(5, step=1)
    assert (broken.calls, len(arrived)) == (2, 2)
    scene.agree()
    assert scene.finish().outcome is Outcome.PASSED
    stage.books()


@contextmanager
def _resolving(stage: Stage, code: str, resolver: Resolver) -> Iterator[None]:
    """Another resolver for a while."""
    consents = stage.province(code).peers.consents
    whole = consents.resolver
    object.__setattr__(consents, "resolver", resolver)  # it is frozen, and the stage lives for a whole session
    try:
        yield
    finally:
        object.__setattr__(consents, "resolver", whole)


@dataclass
class _Breaking:
    """Asks, and then fails once, as a database does that goes away in between."""

    resolver: Any
    calls: int = 0

    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        found: str = self.resolver.resolve(text, request, now=now)
        self.calls += 1
        if self.calls == 1:
            raise Unavailable(Reason.STORE_UNAVAILABLE, what="database")
        return found


def test_a_letter_that_arrives_twice_at_once_claims_once_and_is_not_refused(stage: Stage) -> None:
    """While the app is still asked, the exchange may lose patience and deliver the letter again."""
    scene = _scene(stage, "31", "32", "31")
    scene.present()
    letters: list[Letter] = []

    def hold(letter: Letter) -> Letter | None:
        if letter.topic is not Topic.ASK:
            return letter
        letters.append(letter)
        return None

    stage.rule(hold)
    stage.pump()
    stage.rule(None)
    peers = stage.province("31").peers
    whole = peers.consents.resolver

    class Impatient:
        def resolve(self, text: str, request: Request, *, now: datetime) -> str:
            showing = whole.resolve(text, request, now=now)
            with _resolving(stage, "31", whole):
                peers.receive(letters[0], now=now)
            return showing

    with _resolving(stage, "31", Impatient()):
        peers.receive(letters[0], now=stage.clock.now())
    stage.pump()
    assert scene.view().state == "ASKED"
    assert len(stage.rows("31", inner.claims)) == 1
    scene.agree()
    assert scene.finish().outcome is Outcome.PASSED
    stage.books()


class _Dead:
    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        raise Unavailable(Reason.APP_UNREACHABLE, detail="dead")


@pytest.mark.parametrize("resolver", [_Dead(), NoResolver()], ids=["a silent app", "no adapter"])
def test_an_app_that_says_nothing_leaves_the_visit_undetermined_and_blames_no_library(
    stage: Stage, resolver: Resolver
) -> None:
    with _resolving(stage, "31", resolver):
        scene = _scene(stage, "31", "32", "31")
        scene.present()
        view = scene.finish()
    assert (view.state, view.said.reason) == ("UNDETERMINED", Reason.APP_UNREACHABLE)
    assert scene.showing()["state"] == "OPEN"
    stage.books()


def test_a_store_that_says_nothing_is_not_taken_for_the_app(stage: Stage) -> None:
    scene = _scene(stage, "31", "32", "31")
    scene.present()
    with _resolving(stage, "31", _Breaking(stage.province("31").peers.consents.resolver)):
        stage.pump()
        assert scene.view().state == "ASKED"

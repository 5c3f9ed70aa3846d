"""The four apps' servers and our adapters to them, one pair at a time: logins, strings, signatures, recorded answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, cast

import pytest
from werkzeug.test import Client

from consent.b64 import digest_of
from consent.clock import MovableClock
from consent.envelope import new_envelope_key
from consent.errors import Reason, Unavailable
from consent.keys import KeyRing, jwk_of, new_key
from consent.people import synthetic_id
from consent.provinces import province, provinces
from consent.request import Request
from consent.showing import Person, open_holder
from tests.country import START, refused
from tests.counts import count, outcome
from wallet_api.profiles import sufuban, suishenban, wanshitong, zheliban
from wallet_api.profiles.gateway import AccessKey
from wallet_api.profiles.port import Answer, AppProfile, Read, Remembering
from wallet_api.profiles.simulators import Simulator, open_simulator
from wallet_api.profiles.simulators.backroom import LABEL
from wallet_api.profiles.simulators.zheliban import ZhelibanServer
from wallet_api.profiles.ways import InProcess

CODES = tuple(provinces())
READS: Mapping[str, Mapping[str, Read]] = {each.APP: each.READS for each in (suishenban, sufuban, zheliban, wanshitong)}
PERSON = Person(id_number=synthetic_id("310199", date(1990, 2, 3), 17), name="欧阳伟")
SHOWING = "6f1b0a9c3d5e7f8091a2b3c4"
DEVICE = jwk_of(new_key("ES256", issuer="device").public)
EVERY_APP = pytest.mark.parametrize("code", CODES)


@dataclass
class Rig:
    """One simulator."""

    clock: MovableClock
    simulator: Simulator
    code: str

    @property
    def profile(self) -> AppProfile:
        return self.simulator.profile()

    def resolve(self, text: str, *, desk: str = "32", tag: str = "a") -> Any:
        return outcome(self.profile.resolve, text, _request(desk, tag), now=self.clock.now())


def _rig(code: str) -> Rig:
    clock = MovableClock(START)
    key = new_key("ES256", issuer=province(code).app_id)
    simulator = open_simulator(code, login_key=key, inner=new_envelope_key().recipient, clock=clock)
    return Rig(clock=clock, simulator=simulator, code=code)


def _request(desk: str, tag: str) -> Request:
    """What an adapter looks at in a request; no adapter checks a seal."""

    @dataclass
    class Asked:
        window: str = "32-R1"
        officer: str = "not-verified"
        type: str = "marriage"

    @dataclass
    class Bare:
        desk: str
        id: str
        digest: str
        ask: Asked

    return cast(Request, Bare(desk=desk, id=digest_of(tag.encode())[:22], digest=digest_of(tag.encode()), ask=Asked()))


@EVERY_APP
def test_a_login_gives_an_assertion_that_our_own_room_takes(code: str) -> None:
    clock = MovableClock(START)
    key, inner = new_key("ES256", issuer=province(code).app_id), new_envelope_key()
    simulator = open_simulator(code, login_key=key, inner=inner.recipient, clock=clock)
    text = simulator.profile().log_in(simulator.unlock(PERSON), DEVICE, now=clock.now())
    day = timedelta(days=1)
    ring = KeyRing([key.published("holder+jwt", not_before=START - day, not_after=START + day)])
    holder = open_holder(text, ring, province=code, now=clock.now())
    assert (holder.app, holder.person(inner)) == (province(code).app_id, PERSON)
    again = simulator.profile().log_in(simulator.unlock(PERSON), DEVICE, now=clock.now())
    assert open_holder(again, ring, province=code, now=clock.now()).sub == holder.sub
    assert PERSON.id_number not in text


@EVERY_APP
def test_a_login_counts_once_and_lives_five_minutes(code: str) -> None:
    rig = _rig(code)
    once = rig.simulator.unlock(PERSON)
    rig.profile.log_in(once, DEVICE, now=START)
    late = rig.simulator.unlock(PERSON)
    rig.clock.advance(300)
    for credential in (once, late, "nobody's", ""):
        assert refused(rig.profile.log_in, credential, DEVICE, now=rig.clock.now()) is Reason.INVALID_GRANT


@EVERY_APP
def test_a_login_for_a_device_key_that_is_none_is_refused(code: str) -> None:
    rig = _rig(code)
    for device in ({}, {**DEVICE, "x": "A" * 43}, {**DEVICE, "crv": "P-521"}, {**DEVICE, "d": "A" * 43}):
        credential = rig.simulator.unlock(PERSON)
        assert refused(rig.profile.log_in, credential, device, now=START) is Reason.INVALID_GRANT


@EVERY_APP
def test_a_string_counts_once_and_a_newer_one_replaces_it(code: str) -> None:
    rig = _rig(code)
    first = rig.simulator.hold_up(SHOWING)
    second = rig.simulator.hold_up(SHOWING)
    assert first != second
    assert rig.resolve(first) is Reason.CODE_ALREADY_USED
    assert rig.resolve(second, tag="b") == SHOWING
    assert rig.resolve(second, tag="c") is Reason.CODE_ALREADY_USED
    third = rig.simulator.hold_up(SHOWING)
    rig.clock.advance(59)
    fourth = rig.simulator.hold_up("0" * 24)
    rig.clock.advance(1)
    assert rig.resolve(third) is Reason.CODE_EXPIRED
    assert rig.resolve(fourth) == "0" * 24
    assert rig.resolve("nobody's") is Reason.CODE_EXPIRED


def test_a_one_shot_token_buys_one_answer() -> None:
    """Jiangsu's second step by hand, twice, with the same validate token."""
    rig = _rig("32")
    way = _Overhearing(InProcess(rig.simulator.wsgi))
    adapter = replace(cast(sufuban.Sufuban, rig.profile), way=way)
    assert adapter.resolve(rig.simulator.hold_up(SHOWING), _request("31", "a"), now=START) == SHOWING
    last = way.calls[-1]
    assert last[1] == sufuban.RETRIEVE_PATH
    assert outcome(sufuban.read_retrieve, way.again(last)) is Reason.CODE_ALREADY_USED


def test_a_validate_token_needs_its_own_extra_id_and_its_bearer() -> None:
    rig = _rig("32")
    way = _Overhearing(InProcess(rig.simulator.wsgi))
    adapter = replace(cast(sufuban.Sufuban, rig.profile), way=way)
    text = rig.simulator.hold_up(SHOWING)
    bearer = adapter._bearer()
    asked = {"qrcode": text, "case": "c", "operator": "o", "equipment": "e", "items": ["结婚证"]}
    token, _ = sufuban.read_validation(adapter._call(sufuban.VALIDATE_PATH, bearer, asked))
    wrong = adapter._call(sufuban.RETRIEVE_PATH, bearer, {"validatetoken": token, "extraid": "guessed"})
    assert outcome(sufuban.read_retrieve, wrong) is Reason.CODE_ALREADY_USED
    with pytest.raises(Unavailable):
        adapter._call(sufuban.RETRIEVE_PATH, "guessed", {})
    unlisted = adapter._call(sufuban.VALIDATE_PATH, bearer, {**asked, "items": ["房产证"]})
    with pytest.raises(Unavailable):
        sufuban.read_validation(unlisted)


@dataclass
class _Overhearing:
    """A way on which somebody listens, and may say again what was said."""

    way: InProcess
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def call(self, method: str, path: str, **more: Any) -> Answer:
        self.calls.append((method, path, more))
        return self.way.call(method, path, **more)

    def again(self, call: tuple[str, str, dict[str, Any]]) -> Answer:
        return self.way.call(call[0], call[1], **call[2])


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("31", {"secret": "guessed"}),
        ("31", {"app_id": "another"}),
        ("32", {"client_secret": "guessed"}),
        ("33", {"key": AccessKey(id="another", secret=b"k")}),
        ("34", {"apply_id": "another"}),
    ],
)
def test_an_app_that_does_not_know_us_says_nothing_about_the_citizen(code: str, changes: dict[str, Any]) -> None:
    rig = _rig(code)
    adapter = replace(rig.profile, **changes)  # type: ignore[type-var]
    text = rig.simulator.hold_up(SHOWING)
    with pytest.raises(Unavailable) as silent:
        adapter.resolve(text, _request(code, "a"), now=START)  # type: ignore[attr-defined]
    assert silent.value.reason is Reason.APP_UNREACHABLE
    assert text not in silent.value.detail
    assert rig.resolve(text) == SHOWING  # and nothing was used up


def test_the_same_request_hears_the_same_showing_again_for_two_minutes_and_no_other_does() -> None:
    rig = _rig("31")
    remembering = Remembering(rig.profile)
    text = rig.simulator.hold_up(SHOWING)
    for _ in range(3):
        assert remembering.resolve(text, _request("32", "a"), now=rig.clock.now()) == SHOWING
    assert refused(remembering.resolve, text, _request("32", "b"), now=rig.clock.now()) is Reason.CODE_ALREADY_USED
    rig.clock.advance(120)
    assert refused(remembering.resolve, text, _request("32", "a"), now=rig.clock.now()) is Reason.CODE_ALREADY_USED


def test_who_asks_for_a_request_waits_for_who_asks_already() -> None:
    inside, onward, calls = threading.Event(), threading.Event(), []

    class Slow:
        def log_in(self, credential: str, device: Mapping[str, str], *, now: datetime) -> str:
            raise NotImplementedError

        def resolve(self, text: str, request: Request, *, now: datetime) -> str:
            calls.append(text)
            inside.set()
            assert onward.wait(10)
            return SHOWING

    remembering, found = Remembering(Slow()), []

    def ask() -> None:
        found.append(remembering.resolve("text", _request("32", "a"), now=START))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert inside.wait(10)
    onward.set()
    for thread in threads:
        thread.join(10)
    assert (found, calls) == ([SHOWING] * 3, ["text"])


def test_what_is_remembered_has_an_end() -> None:
    rig = _rig("31")
    remembering = Remembering(rig.profile)
    for number in range(40):
        remembering.resolve(rig.simulator.hold_up(SHOWING), _request("32", str(number)), now=rig.clock.now())
        rig.clock.advance(10)
    assert len(remembering._found) <= 13


def test_each_of_the_gateways_words_reaches_our_log_and_never_the_citizen() -> None:
    rig = _rig("33")
    server = cast(ZhelibanServer, rig.simulator)
    text = rig.simulator.hold_up(SHOWING)
    cases: dict[str, Callable[[], object]] = {
        "Invalid signature": lambda: _asked(rig, text, key=AccessKey(id=server.key.id, secret=b"guessed")),
        "Invalid access key": lambda: _asked(rig, text, key=AccessKey(id="another", secret=server.key.secret)),
        "Clock skew exceeded": lambda: rig.profile.resolve(
            text, _request("32", "a"), now=START - timedelta(seconds=91)
        ),
    }
    for message, call in cases.items():
        with pytest.raises(Unavailable) as silent:
            call()
        assert silent.value.detail == f"zheliban gateway: {message}"
        assert silent.value.facts == {}
    assert rig.resolve(text) == SHOWING


def _asked(rig: Rig, text: str, *, key: AccessKey) -> str:
    adapter = replace(cast(zheliban.Zheliban, rig.profile), key=key)
    return adapter.resolve(text, _request("32", "a"), now=START)


def test_a_call_overheard_at_the_gateway_is_refused_when_it_is_said_again() -> None:
    rig = _rig("33")
    way = _Overhearing(InProcess(rig.simulator.wsgi))
    adapter = replace(cast(zheliban.Zheliban, rig.profile), way=way)
    adapter.log_in(rig.simulator.unlock(PERSON), DEVICE, now=START)
    for call in list(way.calls):
        assert way.again(call).json() == {"message": "Signature already used"}


# Simulators say so ------------------------------------------------------------------------------------------

PATHS = {
    "31": ("/gateway/token", "/gateway/scan", "/changjiangDelta/loginByQrCodeForCSJ.do", "/login/getAccessToken"),
    "32": ("/oauth/token", "/sfm/validate", "/sfm/retrieve", "/sso/user"),
    "33": ("/uc/sso/access_token", "/uc/sso/getUserInfo", "/zzm/resolve"),
    "34": ("/user/info", "/material/queryMaterial"),
}


@EVERY_APP
def test_every_answer_of_a_simulator_is_labelled_and_none_is_a_fault(code: str) -> None:
    client = Client(_rig(code).simulator.wsgi)
    for path in (*PATHS[code], "/", "/nowhere", "/%ff"):
        for method in count(("GET", "POST", "PUT", "DELETE"), ("GET", "POST")):
            for body in (b"", b"{}", b"[]", b"\xff", b'{"device": 1, "items": [[]]}', b"x" * 20_000):
                for kind in ("application/json", "application/x-www-form-urlencoded"):
                    answer = client.open(path, method=method, data=body, content_type=kind)
                    assert answer.headers[LABEL].startswith(province(code).app_id)
                    assert answer.status_code < 500

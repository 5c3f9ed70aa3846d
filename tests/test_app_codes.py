"""The codes that the four apps draw themselves, as they run in `./dev serve`: camera, adapter over the network, phone page.

`test_profiles` shows what the desk makes of such a text; here is what carries it: a kiosk that recognises its shape in a
camera frame, the adapters' door between inner network and app, and the page that draws it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import zxingcpp
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from consent.clock import MovableClock
from consent.code import PREFIX, SIMPLE_PREFIX
from consent.counter_strings import drawn_by, known_as
from consent.errors import Reason, Refusal, Unavailable
from consent.keys import write_private
from consent.provinces import provinces
from consent.sentences import Audience
from consent.telling import PROBLEM_TYPE, new_log, problem_of
from scanner_kiosk.counter import SAME_SCAN, Guidance, sight
from scanner_kiosk.country.people import pair
from scanner_kiosk.glance import Glance
from scanner_kiosk.look import look
from scanner_kiosk.picture import read_picture
from tests.counter_rig import Rig, png
from tests.country import START, Scene, Stage
from tests.counts import count
from tests.phone_stage import Stage as PhoneStage
from tests.phone_stage import serving, set_stage
from tests.test_kiosk import Counted, here, rig  # noqa: F401 - fixtures
from tests.test_phone_pages import Browser, code_of
from tests.test_scanned import DRAWN
from verifier.adapter import Adapter, judge
from verifier.settings import read_settings as read_verifier_settings
from wallet_api.__main__ import assembled
from wallet_api.profiles.__main__ import door_of
from wallet_api.profiles.__main__ import main as adapters
from wallet_api.profiles.accounts import adapter, new_account, read_account
from wallet_api.profiles.door import create_door
from wallet_api.profiles.port import Remembering
from wallet_api.profiles.settings import read_settings
from wallet_api.profiles.simulators import SIMULATED
from wallet_api.profiles.simulators.backroom import LABEL
from wallet_api.profiles.ways import OverNetwork
from wallet_api.settings import read_settings as read_wallet_settings

CODES = tuple(provinces())
NOT_THEIRS = (
    "https://example.com/pay?to=me",
    "https://s.sh.gov.cn/",
    "https://s.sh.gov.cn/" + "0" * 44,
    "https://s.sh.gov.cn.example.cn/" + "0" * 43,
    "wxp://f2f0" + "0" * 40,
    "SFM" + "0" * 31,
    " " + DRAWN["32"],
)


def outcome(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a call returns, or the reason of its no or its silence."""
    try:
        return call(*arguments, **named)
    except (Refusal, Unavailable) as no:
        return no.reason


# What a camera may do with them -----------------------------------------------------------------------------


def test_a_text_without_a_signature_counts_at_its_second_sighting() -> None:
    first, new = sight("a", None, now=START, signed=False)
    assert not new
    second, new = sight("a", first, now=START + timedelta(milliseconds=40), signed=False)
    assert new
    third, new = sight("a", second, now=START + SAME_SCAN, signed=False)
    assert (third, new) == (second, False)
    assert not sight("b", first, now=START, signed=False)[1]
    assert not sight("a", first, now=START + SAME_SCAN, signed=False)[1]  # too long ago to be the same look
    later, new = sight("a", second, now=START + 2 * SAME_SCAN, signed=False)
    assert not new
    assert sight("a", later, now=START + 2 * SAME_SCAN, signed=False)[1]


def test_the_camera_takes_the_four_apps_texts_and_leaves_everybody_elses(rig: Rig) -> None:  # noqa: F811
    glance = Glance(rig.keylist.ring, rig.clock.now())
    assert all(glance(text) for text in DRAWN.values())
    assert glance.unsigned == set(DRAWN.values())
    assert (glance.foreign, glance.bad) == (False, None)
    for text in NOT_THEIRS:
        fresh = Glance(rig.keylist.ring, rig.clock.now())
        assert not fresh(text), text
        assert fresh.foreign
        assert (fresh.bad, fresh.unsigned) == (None, set())


def test_a_code_of_ours_in_the_same_frame_goes_before_an_apps(rig: Rig) -> None:  # noqa: F811
    glance = Glance(rig.keylist.ring, rig.clock.now())
    code = rig.code()
    texts = [DRAWN["31"], code, DRAWN["34"]]
    assert all(glance(text) for text in texts)
    assert glance.first(texts) == code
    assert glance.first([DRAWN["34"], DRAWN["31"]]) == DRAWN["34"]


@pytest.mark.parametrize("code", count(CODES, CODES[:1]))
def test_an_apps_code_is_read_off_two_frames_and_goes_to_the_desk_as_it_is(here: Counted, code: str) -> None:  # noqa: F811
    text = DRAWN[code]
    here.begin()
    here.show(text)
    here.kiosk.step()
    assert here.state == "WAITING"
    assert here.rig.desk.visits == {}
    here.show(text)
    here.until("CONFIRMING")
    (asked,) = here.rig.desk.bodies
    assert json.loads(asked)["code"] == text
    (scan,) = (line for line in here.log if line["event"] == "scan")
    assert scan["signed"] is False
    assert text not in here.lines.getvalue()


def test_a_pay_code_before_the_camera_is_never_sent_anywhere(here: Counted) -> None:  # noqa: F811
    here.begin()
    for text in NOT_THEIRS[:3]:
        for _ in range(2):
            here.show(text)
            here.kiosk.step()
    assert here.state == "WAITING"
    assert here.rig.desk.visits == {}
    assert here.kiosk.seen()[1] is Guidance.NOT_OURS


@pytest.mark.parametrize(
    ("reason", "word", "never"),
    [(Reason.CODE_ALREADY_USED, "已失效", "已过期"), (Reason.CODE_EXPIRED, "已过期", "已失效")],
)
def test_the_apps_two_messages_stay_apart_on_the_counters_screen(
    here: Counted,  # noqa: F811
    reason: Reason,
    word: str,
    never: str,
) -> None:
    here.begin()
    for _ in range(2):
        here.show(DRAWN["31"])
        here.kiosk.step()
    here.until("CONFIRMING")
    here.rig.desk.move("REFUSED", reason)
    here.until("REFUSED")
    said = here.kiosk.counter().said
    assert said is not None
    assert said.reason is reason
    assert word in said.sentence_zh
    assert never not in said.sentence_zh


def test_the_preview_calls_an_apps_code_ours() -> None:
    for text, ours in ((DRAWN["33"], True), (NOT_THEIRS[0], False)):
        (symbol,) = look(read_picture(png(text)))
        assert symbol.ours is ours


# The adapters' door -----------------------------------------------------------------------------------------


@dataclass
class Wired:
    """The staged country's four apps behind addresses, as in `./dev serve`: simulators, adapters, and a way to them."""

    base: str
    lines: io.StringIO
    door: Flask


@pytest.fixture
def wired(stage: Stage, tmp_path: Path) -> Iterator[Wired]:
    apps, accounts, lines = Flask("apps"), {}, io.StringIO()
    mounted = {}
    for code in CODES:
        simulator = stage.country.simulators[code]
        accounts[code] = cast(Any, simulator)._account
        mounted[f"/{code}{SIMULATED}"] = simulator.wsgi
    apps.wsgi_app = DispatcherMiddleware(apps.wsgi_app, mounted)  # type: ignore[method-assign]
    with ExitStack() as held:
        base = held.enter_context(serving(apps))
        adapting = {
            code: Remembering(adapter(code, OverNetwork(f"{base}/{code}{SIMULATED}"), accounts[code])) for code in CODES
        }
        log = new_log("adapters", stage.clock, stream=lines)
        door = create_door(adapting, stage.province("31").office.ring, clock=stage.clock, log=log)
        url = held.enter_context(serving(door))
        for code in CODES:
            consents = stage.province(code).peers.consents
            held.callback(object.__setattr__, consents, "resolver", consents.resolver)
            object.__setattr__(consents, "resolver", Adapter(url, code))
        yield Wired(base=url, lines=lines, door=door)


def shown(stage: Stage, code: str, desk: str) -> Scene:
    """A counter that has scanned what a province's app draws for its citizen."""
    who = pair(code, code)
    phone = stage.country.phone_of(who)
    text = stage.country.simulators[code].hold_up(phone.show())
    return stage.scanned(who, phone, desk, code=text)


@pytest.mark.network
@pytest.mark.parametrize("code", count(CODES, CODES[:1]))
def test_a_visit_passes_with_the_adapter_behind_a_door_and_the_app_behind_another(
    stage: Stage, wired: Wired, code: str
) -> None:
    scene = shown(stage, code, "32" if code != "32" else "33")
    view = scene.whole()
    assert (view.state, scene.claim().named) == ("PASSED", "app")
    stage.books()


@pytest.mark.network
def test_used_and_expired_stay_apart_through_both_doors(stage: Stage, wired: Wired) -> None:
    used, old = shown(stage, "31", "32"), shown(stage, "34", "33")
    stage.country.simulators["31"].counter_string(used.phone.showing_id)  # the page has drawn a newer one
    used.present()
    assert used.finish().said.reason is Reason.CODE_ALREADY_USED
    stage.clock.advance(60)
    old.present()
    assert old.finish().said.reason is Reason.CODE_EXPIRED
    text = json.loads(used.asked.body)["code"]
    assert text not in wired.lines.getvalue()
    assert {json.loads(line)["code"] for line in wired.lines.getvalue().splitlines()} == {
        "CODE_ALREADY_USED",
        "CODE_EXPIRED",
    }


def sealed(stage: Stage, code: str = "31") -> tuple[str, str]:
    """A text of an app and the request that a desk has sealed for it."""
    scene = shown(stage, code, "32")
    seen = []

    class Listening:
        def resolve(self, text: str, request: Any, *, now: Any) -> str:
            seen.append((text, request.sealed.text))
            raise Unavailable(Reason.APP_UNREACHABLE, detail="only listening")

    consents = stage.province(code).peers.consents
    whole = consents.resolver
    object.__setattr__(consents, "resolver", Listening())
    try:
        scene.present()
        stage.pump()
    finally:
        object.__setattr__(consents, "resolver", whole)
    return seen[0]


@pytest.mark.network
def test_the_door_answers_none_but_a_desks_living_request_about_its_own_text(stage: Stage, wired: Wired) -> None:
    text, request = sealed(stage)
    client = wired.door.test_client()

    def said(path: str = "/adapters/31/showing", **body: Any) -> tuple[int, Any]:
        answer = client.post(path, json={"text": text, "request": request, **body})
        assert answer.is_json or answer.content_type == PROBLEM_TYPE
        return answer.status_code, answer.get_json(force=True)

    refused = {
        "another text": said(text="https://s.sh.gov.cn/" + "f" * 43),
        "another province": said("/adapters/32/showing"),
        "no province": said("/adapters/99/showing"),
        "a seal that does not hold": said(request=request[:-8] + "AAAAAAAA"),
        "no seal": said(request="x"),
        "another member": said(extra="x"),
        "too long": said(text="x" * 601),
    }
    assert {each: found["code"] for each, (_, found) in refused.items()} == {
        "another text": "CODE_MALFORMED",
        "another province": "DOCUMENT_CLAIMS",
        "no province": "ROUTE_UNKNOWN",
        "a seal that does not hold": "DOCUMENT_SIGNATURE",
        "no seal": "DOCUMENT_MALFORMED",
        "another member": "BODY_MALFORMED",
        "too long": "BODY_INVALID",
    }
    for raw, kind in ((b"", 400), (b"\xff", 400), (b"[]", 422), (b"x" * 100_000, 413)):
        assert client.post("/adapters/31/showing", data=raw).status_code == kind
    assert client.get("/adapters/31/showing").status_code == 405
    assert client.get("/health/ready").json == {"ready": True}
    first, second = said(), said()  # none of that has used the text up, and asking again says the same
    assert first == second
    assert first[0] == 200
    stage.clock.advance(400)
    assert said()[1]["code"] == "DOCUMENT_EXPIRED"


def test_an_answer_is_a_showing_a_no_of_the_apps_or_none() -> None:
    found = "6f1b0a9c3d5e7f8091a2b3c4"
    yes = json.dumps({"showing_id": found}).encode()
    assert judge(200, "application/json; charset=utf-8", yes) == found
    for reason in (
        Reason.CODE_ALREADY_USED,
        Reason.CODE_EXPIRED,
        Reason.NOT_AUTHORISED,
        Reason.APPROVAL_METHOD_NOT_ALLOWED,
    ):
        told = problem_of(Refusal(reason), audience=Audience.VENDOR, request_id="r")
        body = json.dumps(told.body).encode()
        assert outcome(judge, told.status, PROBLEM_TYPE, body) is reason
        assert outcome(judge, 200, PROBLEM_TYPE, body) is Reason.APP_UNREACHABLE
        assert outcome(judge, told.status, "application/json", body) is Reason.APP_UNREACHABLE
    other = problem_of(Refusal(Reason.DOCUMENT_SIGNATURE), audience=Audience.VENDOR, request_id="r")
    for status, kind, raw in (
        (other.status, PROBLEM_TYPE, json.dumps(other.body).encode()),
        (404, "text/html", b"<h1>nothing</h1>"),
        (200, "application/json", b"[]"),
        (200, "application/json", b'{"showing_id": "' + b"f" * 25 + b'"}'),
        (409, PROBLEM_TYPE, b'{"code": []}'),
        (302, "application/json", yes),
    ):
        assert outcome(judge, status, kind, raw) is Reason.APP_UNREACHABLE


@pytest.mark.network
def test_an_adapter_or_an_app_that_is_not_there_is_no_answer(stage: Stage) -> None:
    nobody = "http://127.0.0.1:9"
    request = cast(Any, type("Bare", (), {"sealed": type("Seal", (), {"text": "x"})}))
    assert outcome(Adapter(nobody, "31").resolve, "text", request, now=START) is Reason.APP_UNREACHABLE
    assert outcome(OverNetwork(nobody).call, "GET", "/") is Reason.APP_UNREACHABLE


@pytest.mark.parametrize("address", ["", "127.0.0.1:1", "ftp://a", "http://", "http://a/"])
def test_an_address_that_cannot_be_used_is_said_at_the_start(address: str) -> None:
    for make in (lambda: Adapter(address, "31"), lambda: OverNetwork(address)):
        with pytest.raises(ValueError, match="http"):
            make()


def environment(folder: Path, **changes: str) -> Mapping[str, str]:
    """Settings of adapters for one app; others may not read the account."""
    path = folder / "account.json"
    if not path.exists():
        write_private(path, new_account().text())
    return {
        "HUZHENG_PROFILE": "sandbox",
        "HUZHENG_ADAPTERS_APPS": "31=http://127.0.0.1:1/app",
        "HUZHENG_ADAPTERS_ACCOUNTS": f"31=file:{path}",
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"HUZHENG_ADAPTERS_APP": "x"}, "did you mean HUZHENG_ADAPTERS_APPS"),
        ({"HUZHENG_ADAPTERS_APPS": ""}, "the same provinces"),
        ({"HUZHENG_ADAPTERS_APPS": "31=http://a,32=http://b"}, "the same provinces"),
        ({"HUZHENG_ADAPTERS_APPS": "99=http://a", "HUZHENG_ADAPTERS_ACCOUNTS": "99=file:x"}, "no province"),
        ({"HUZHENG_PROFILE": "live"}, "https"),
        ({"HUZHENG_PROFILE": "play"}, "sandbox or live"),
        ({"HUZHENG_ADAPTERS_THREADS": "0"}, "at least 1"),
        ({"HUZHENG_ADAPTERS_THREADS": "many"}, "whole number"),
    ],
)
def test_settings_that_cannot_hold_stop_the_start(
    tmp_path: Path,
    changes: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment(tmp_path, **changes).items():
        monkeypatch.setenv(name, value)
    assert adapters(["serve"]) == 2
    assert said in capsys.readouterr().err


def test_an_account_is_read_from_a_file_of_ones_own_or_not_at_all(tmp_path: Path, rig: Rig) -> None:  # noqa: F811
    given = environment(
        tmp_path, HUZHENG_KEYLIST=str(rig.folder / "keylist.json"), HUZHENG_KEYLIST_SHA256=rig.keylist_sha256
    )
    path = tmp_path / "account.json"
    account = read_account(f"file:{path}", sandbox=True)
    assert account.secret not in repr(account)
    assert "showing" in str(door_of(read_settings(given)).url_map)
    path.chmod(0o644)
    with pytest.raises(ValueError, match="others may read it"):
        door_of(read_settings(given))
    path.chmod(0o600)
    for text in ("", "[]", "{}", '{"client": "a", "secret": 1, "access_key": ""}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"account\.json"):
            read_account(f"file:{path}", sandbox=True)


def test_live_reaches_its_adapter_by_https_or_on_its_own_machine() -> None:
    def read(url: str) -> str:
        return read_verifier_settings({"HUZHENG_VERIFIER_ADAPTER_URL": url}).adapter_url

    assert read("https://adapters.example") == "https://adapters.example"
    assert read("http://127.0.0.1:8461") == "http://127.0.0.1:8461"
    with pytest.raises(ValueError, match="https in live"):
        read("http://adapters.example")


# The phone's page -------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(START)


@pytest.fixture
def home(tmp_path: Path, clock: MovableClock) -> Iterator[PhoneStage]:
    made = set_stage(tmp_path, clock, code="34")
    yield made
    made.engine.dispose()


def _seen(stage: PhoneStage) -> str:
    answer = stage.app.test_client().get("/phone/current.png")
    assert answer.status_code == 200, answer.text
    return zxingcpp.read_barcodes(read_picture(answer.data))[0].text


def test_the_phone_shows_the_apps_own_code_and_the_simulated_camera_sees_what_it_shows(
    home: PhoneStage, clock: MovableClock
) -> None:
    browser = Browser(home)
    assert browser.sign_in()["own_code"] == dict(zip(("zh", "en"), known_as("34"), strict=True))
    browser.show()
    assert _seen(home).startswith(PREFIX)
    answer = browser.post("own-code")
    assert answer.status_code == 200, answer.text
    assert answer.json["refresh_in"] < answer.json["good_for"]
    text = _seen(home)
    assert drawn_by(text) == "34"
    assert text not in answer.text
    assert text not in home.lines.getvalue()
    browser.post("own-code")
    assert _seen(home) != text
    clock.advance(60)
    assert _seen(home).startswith(PREFIX)  # a text that is over is not on a screen
    browser.post("own-code")
    assert browser.get("code").status_code == 200
    assert _seen(home).startswith(PREFIX)


def test_the_phone_shows_the_simple_code_and_the_simulated_camera_sees_that(
    home: PhoneStage, clock: MovableClock
) -> None:
    browser = Browser(home)
    browser.sign_in()
    browser.show()
    answer = browser.get("code?form=simple")
    assert answer.status_code == 200, answer.text
    text = _seen(home)
    assert text.startswith(f"{SIMPLE_PREFIX}34")
    assert text not in home.lines.getvalue()
    clock.advance(60)
    assert _seen(home).startswith(PREFIX)  # a text that is over is not on a screen
    browser.get("code?form=simple")
    browser.post("own-code")
    assert drawn_by(_seen(home)) == "34"
    browser.get("code?form=simple")
    assert browser.get("code").status_code == 200
    assert _seen(home).startswith(PREFIX)
    assert code_of(browser.get("code?form=twin")) == "BODY_INVALID"


def test_an_own_code_is_drawn_for_a_showing_that_is_open_and_for_no_other(
    home: PhoneStage, clock: MovableClock
) -> None:
    browser = Browser(home)
    browser.sign_in()
    assert code_of(browser.post("own-code")) == "SHOWING_UNKNOWN"
    home.ask(browser.show())
    assert code_of(browser.post("own-code")) == "SHOWING_CLOSED"
    browser.show()
    clock.advance(600)
    assert code_of(browser.post("own-code")) == "CODE_EXPIRED"


def test_a_wallet_with_an_account_answers_as_the_app_too_and_says_on_every_answer_that_it_is_none(
    stage: Stage, tmp_path: Path
) -> None:
    founded = stage.country.founded
    account = new_account()
    write_private(tmp_path / "account.json", account.text())
    given = {name: value for name, value in founded.environment("31").items() if "_VERIFIER_" not in name} | {
        "HUZHENG_WALLET_PERSONAS": str(founded.folder / "personas.json"),
        "HUZHENG_WALLET_LOGIN_KEY": founded.keys.uri("31", "login"),
        "HUZHENG_WALLET_APP_ACCOUNT": f"file:{tmp_path}/account.json",
    }
    wallet = assembled(read_wallet_settings(given), stage.clock)
    client = wallet.test_client()
    form = {"appId": account.client, "appSecret": account.secret}
    answer = client.post(f"{SIMULATED}/gateway/token", data=form)
    assert (answer.status_code, answer.json["code"]) == (200, "0")
    assert answer.headers[LABEL].startswith("suishenban")
    assert client.post(f"{SIMULATED}/gateway/token", data={**form, "appSecret": "x"}).json["code"] != "0"
    assert client.get("/phone/").status_code == 200
    assert client.get("/v1/nowhere").status_code == 404
    wallet.extensions["wallet_api"].engine.dispose()
    with pytest.raises(ValueError, match="sandbox only"):
        read_wallet_settings({**given, "HUZHENG_PROFILE": "live"})
    with pytest.raises(ValueError, match="_LOGIN_KEY"):
        read_wallet_settings({k: v for k, v in given.items() if k[15:] not in ("PERSONAS", "LOGIN_KEY")})

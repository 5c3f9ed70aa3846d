"""The phone's two other ways to a counter, from the server: digits to read out, and a counter's code that the phone reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from consent.b64 import new_id
from consent.clock import Clock, MovableClock
from consent.code import open_code
from consent.invitation import LENGTH, seal_invitation
from consent.keylist import write_key_list
from consent.keys import SigningKey, new_key
from consent.stores import handover
from consent.stores.base import writing
from consent.stores.queue import finish, take
from consent.twin import read_twin
from tests.phone_stage import Stage, set_stage
from tests.test_phone_pages import START, Browser, code_of

REQUEST_KEY: SigningKey = new_key("EdDSA", issuer="32")


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(START)


def stage_with_desk(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A phone whose key list knows one desk, Jiangsu's."""

    def with_desk(path: Path, *, keys: list[object], **more: object) -> str:
        term = {"not_before": clock.now() - timedelta(days=1), "not_after": clock.now() + timedelta(days=30)}
        return write_key_list(path, keys=[*keys, REQUEST_KEY.published("counter+jwt", **term)], **more)  # type: ignore

    monkeypatch.setattr("tests.phone_stage.write_key_list", with_desk)
    return set_stage(folder, clock)


@pytest.fixture
def stage(tmp_path: Path, clock: MovableClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = stage_with_desk(tmp_path, clock, monkeypatch)
    yield made
    made.engine.dispose()


@pytest.fixture
def browser(stage: Stage) -> Browser:
    made = Browser(stage)
    made.sign_in()
    return made


def invitation(stage: Stage, key: SigningKey = REQUEST_KEY) -> str:
    return seal_invitation(key, window="32-R1", request_id=new_id(), now=stage.clock.now())


def counter_says(stage: Stage, reason: str | None) -> None:
    """The inner network finishes the errand "come"."""
    now = stage.clock.now()
    with writing(stage.engine) as connection:
        for item in take(connection, handover.errands, now=now, lease=timedelta(seconds=5), limit=100):
            if item.kind == "come":
                finish(connection, handover.errands, item, now=now, answer=json.dumps({"reason": reason}))


def test_digits_are_made_for_the_showing_on_the_phone_and_for_a_minute(browser: Browser) -> None:
    assert code_of(browser.post("twin")) == "SHOWING_UNKNOWN"
    browser.show()
    answer = browser.post("twin")
    assert answer.status_code == 201
    assert answer.json is not None
    assert read_twin(answer.json["twin"].replace(" ", "")) == "31"
    assert answer.json["good_for"] == 60
    assert browser.post("twin").json != answer.json
    browser.post("close")
    assert code_of(browser.post("twin")) in ("CODE_EXPIRED", "SHOWING_CLOSED")


def test_a_counters_code_goes_inwards_with_the_present_code_and_its_answer_comes_back(
    browser: Browser, stage: Stage
) -> None:
    showing_id = browser.show()
    assert code_of(browser.get("counter")) == "REQUEST_UNKNOWN"
    text = invitation(stage)
    assert browser.post("counter", {"counter": text}).status_code == 202
    ((_, ref, body),) = stage.errands_of("come")
    assert (ref, body["counter"]) == (showing_id, text)
    assert open_code(body["code"], stage.app.extensions["wallet_api"].keys, now=stage.clock.now()).province == "31"
    assert browser.get("counter").json == {"state": "PENDING"}
    counter_says(stage, None)
    assert browser.get("counter").json == {"state": "TAKEN"}


@pytest.mark.parametrize("reason", ["CODE_ALREADY_USED", "CODE_EXPIRED", "EXCHANGE_UNREACHABLE"])
def test_a_counter_that_did_not_take_the_phone_is_told_in_both_languages(
    browser: Browser, stage: Stage, reason: str
) -> None:
    browser.show()
    browser.post("counter", {"counter": invitation(stage)})
    counter_says(stage, reason)
    answer = browser.get("counter")
    assert code_of(answer) == reason
    assert answer.json is not None
    assert set(answer.json["sentences"]) == {"zh", "en"}


def test_what_is_no_counters_code_or_a_dead_or_forged_one_is_refused_at_once(browser: Browser, stage: Stage) -> None:
    browser.show()
    text = invitation(stage)
    forged = invitation(stage, new_key("EdDSA", issuer="32"))
    for given, reason in (
        ("https://example.org/", "CODE_MALFORMED"),
        ("YRD1:" + text[5:], "CODE_MALFORMED"),
        ("", "BODY_INVALID"),
        ("Y" * (LENGTH + 1), "BODY_INVALID"),
        (forged, "DOCUMENT_KEY_UNKNOWN"),
    ):
        assert code_of(browser.post("counter", {"counter": given})) == reason
    stage.clock.advance(61)  # type: ignore[attr-defined]
    assert code_of(browser.post("counter", {"counter": text})) == "CODE_EXPIRED"
    assert stage.errands_of("come") == []


def test_nobody_else_sees_whether_a_counter_took_this_phone(browser: Browser, stage: Stage) -> None:
    browser.show()
    browser.post("counter", {"counter": invitation(stage)})
    counter_says(stage, None)
    other = Browser(stage, "zhou-ming")
    other.sign_in()
    assert code_of(other.get("counter")) == "REQUEST_UNKNOWN"


@pytest.mark.full
def test_the_camera_may_be_asked_for_on_the_show_page_only(browser: Browser) -> None:
    for path, may in (("show", "camera=(self)"), ("certificates", "camera=()"), ("history", "camera=()")):
        assert may in browser.client.get(f"/phone/{path}").headers["Permissions-Policy"]

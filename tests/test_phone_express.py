"""Agreeing beforehand on the phone, from the server: what is asked of the register, what the device signs, and what the page
may say about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from consent.approval import Decision
from consent.clock import MovableClock, rfc3339
from consent.keys import SigningKey, new_key
from consent.standing import offer_digest, seal_standing
from consent.stores import standings
from consent.stores.base import reading
from tests.phone_stage import Stage, certificate, set_stage, sheet_of
from tests.test_phone_pages import OWN_PAGE, START, Browser, code_of

UNIT = "12320102MB9999113A"
ROW = {
    "unit": UNIT,
    "name_zh": "南京市玄武区不动产登记中心",
    "name_en": "Xuanwu, Nanjing Real Estate Registration Centre",
    "place_zh": "江苏省南京市玄武区",
    "place_en": "Xuanwu, Nanjing, Jiangsu",
    "matters": [
        {"slug": "realestate.register", "type": each, "name_zh": "不动产登记", "name_en": "Real-estate registration"}
        for each in ("marriage", "divorce")
    ],
}
QUESTION = {"desk": "32", "unit": UNIT, "matter": "realestate.register", "type": "marriage"}


def offer_of(row: dict[str, Any] = ROW, *, matter: int = 0) -> dict[str, Any]:
    """An answer of the register as `verifier.offers` writes it."""
    sheet = sheet_of("", START)
    chosen = row["matters"][matter]
    words = {name: sheet[name] for name in ("fields", "not_given", "declarations", "clause")}
    words |= {f"{name}_{lang}": sheet[f"{name}_{lang}"] for name in ("basis", "retention") for lang in ("zh", "en")}
    words |= {
        "desk": "32",
        "unit": {"uscc": row["unit"], "name_zh": row["name_zh"], "name_en": row["name_en"]},
        "place_zh": row["place_zh"],
        "place_en": row["place_en"],
        "matter": {name: chosen[name] for name in ("slug", "name_zh", "name_en")},
        "type": chosen["type"],
    }
    return {"offer": words, "digest": offer_digest(words)}


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(START)


@pytest.fixture
def stage(tmp_path: Path, clock: MovableClock) -> Iterator[Stage]:
    made = set_stage(tmp_path, clock)
    yield made
    made.engine.dispose()


@pytest.fixture
def browser(stage: Stage) -> Browser:
    made = Browser(stage)
    made.sign_in()
    return made


def offered(browser: Browser, found: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask for an offer and read it; returns what the page reads."""
    assert browser.post("offer", QUESTION).status_code == 202
    assert browser.get("offer").json == {"state": "PENDING"}
    browser.stage.answer("offer", found or offer_of())
    return dict(browser.get("offer").json)


def signed(browser: Browser, offer: dict[str, Any], key: SigningKey | None = None, **changes: Any) -> str:
    """What the device signs over an offer, right in everything but `changes`."""
    me, signing = browser.get("me").json, key or browser.device
    words = {
        "showing_id": browser.get("state").json["showing"],
        "unit": UNIT,
        "matter": "realestate.register",
        "certificate": certificate()["certificate"],
        "offer": offer["digest"],
        "now": browser.stage.clock.now(),
        "declarations": ("marital_status",),
    }
    key = SigningKey(issuer=me["sub"], alg=signing.alg, kid=signing.kid, private=signing.private)
    return seal_standing(key, province=me["province"], **{**words, **changes})


def kept(stage: Stage, showing_id: str) -> str | None:
    with reading(stage.engine) as connection:
        return standings.find(connection, showing_id)


def test_units_are_asked_for_first_and_then_the_words_of_one(browser: Browser, stage: Stage) -> None:
    assert code_of(browser.get("offer")) == "REQUEST_UNKNOWN"
    whole = {"desk": "32", "unit": None, "matter": None, "type": None}
    browser.post("offer", whole)
    assert stage.errands_of("offer")[-1][2] == whole
    stage.answer("offer", {"units": [ROW]})
    assert browser.get("offer").json["units"] == [ROW]
    found = offered(browser)
    assert found["offer"] == offer_of()["offer"]
    assert found["digest"] == offer_digest(found["offer"])
    assert found["good_for"] == 600
    assert stage.errands_of("offer")[-1][2] == QUESTION


def test_what_the_device_signed_stands_and_is_said_in_the_words_that_were_read(browser: Browser, stage: Stage) -> None:
    showing_id = browser.show()
    assert browser.get("standing").json == {"stands": None}
    text = signed(browser, offered(browser))
    answer = browser.post("standing", {"standing": text})
    assert answer.status_code == 202
    assert kept(stage, showing_id) == text
    stands = answer.json["stands"]
    assert stands == browser.get("standing").json["stands"]
    assert (stands["unit"]["name_zh"], stands["matter"]["name_en"]) == (ROW["name_zh"], "Real-estate registration")
    # The standing answer lives for fifteen minutes, and the showing under it for ten.
    assert stands["until"] == rfc3339(START + timedelta(minutes=10))
    assert UNIT not in browser.get("state").text


def test_it_is_taken_back_until_a_counter_has_asked(browser: Browser, stage: Stage) -> None:
    showing_id = browser.show()
    offer = offered(browser)
    browser.post("standing", {"standing": signed(browser, offer)})
    gone = browser.client.delete("/phone/api/standing", headers=OWN_PAGE)
    assert (gone.status_code, gone.json) == (200, {"stands": None})
    assert kept(stage, showing_id) is None
    assert browser.get("standing").json == {"stands": None}
    browser.post("standing", {"standing": signed(browser, offer)})
    stage.ask(showing_id)
    assert browser.get("standing").json["stands"] is not None, "the sheet can say that it did not cover the request"
    assert code_of(browser.client.delete("/phone/api/standing", headers=OWN_PAGE)) == "STATE_FORBIDS"
    assert code_of(browser.post("standing", {"standing": signed(browser, offer)})) == "STATE_FORBIDS"


def test_another_site_takes_nothing_back(browser: Browser, stage: Stage) -> None:
    showing_id = browser.show()
    browser.post("standing", {"standing": signed(browser, offered(browser))})
    away = browser.client.delete("/phone/api/standing", headers={"Sec-Fetch-Site": "cross-site"})
    assert code_of(away) == "FORBIDDEN"
    assert kept(stage, showing_id) is not None


def test_what_the_page_could_not_say_does_not_stand(browser: Browser, stage: Stage) -> None:
    showing_id = browser.show()
    other = offer_of(matter=1)
    offered(browser)
    assert code_of(browser.post("standing", {"standing": signed(browser, other)})) == "APPROVAL_MISMATCH"
    stranger = new_key("ES256", issuer="device")
    assert code_of(browser.post("standing", {"standing": signed(browser, offer_of(), stranger)})).startswith(
        "DOCUMENT_"
    )
    elsewhere = signed(browser, offer_of(), showing_id="0" * 24)
    assert code_of(browser.post("standing", {"standing": elsewhere})) == "APPROVAL_MISMATCH"
    for wrong in ({}, {"standing": ""}, {"standing": 7}, {"standing": "x" * 1401}, {"standing": "e.y.J", "more": 1}):
        assert code_of(browser.post("standing", wrong)) == "BODY_INVALID"
    assert code_of(browser.post("standing", {"standing": "e.y.J"})).startswith("DOCUMENT_")
    assert kept(stage, showing_id) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {**QUESTION, "desk": "99"},
        {**QUESTION, "unit": "1"},
        {**QUESTION, "matter": "../x"},
        {**QUESTION, "type": "birth"},
        {**QUESTION, "who": "zhang-wei"},
    ],
)
def test_a_question_of_another_shape_is_refused_and_asks_nobody(
    browser: Browser, stage: Stage, wrong: dict[str, Any]
) -> None:
    assert code_of(browser.post("offer", wrong)) == "BODY_INVALID"
    assert stage.errands_of("offer") == []


@pytest.mark.parametrize("reason", ["APPROVAL_METHOD_NOT_ALLOWED", "SCOPE_NOT_LISTED", "COMMERCIAL_USER"])
def test_why_a_unit_may_not_ask_is_told_in_both_languages(browser: Browser, stage: Stage, reason: str) -> None:
    browser.post("offer", QUESTION)
    stage.answer("offer", {"reason": reason})
    answer = browser.get("offer")
    assert code_of(answer) == reason
    assert set(answer.json["sentences"]) == {"zh", "en"}


def test_a_new_showing_has_nothing_standing_and_an_old_answer_dies_with_its_time(
    browser: Browser, clock: MovableClock
) -> None:
    browser.show()
    offer = offered(browser)
    browser.post("standing", {"standing": signed(browser, offer)})
    browser.show()
    assert browser.get("standing").json == {"stands": None}
    browser.post("standing", {"standing": signed(browser, offer, now=clock.now() - timedelta(minutes=14))})
    assert browser.get("standing").json["stands"] is not None
    clock.advance(61)
    assert browser.get("standing").json == {"stands": None}


def test_nobody_else_reads_an_offer_or_an_answer(browser: Browser, stage: Stage) -> None:
    browser.show()
    browser.post("standing", {"standing": signed(browser, offered(browser))})
    other = Browser(stage, "zhou-ming")
    other.sign_in()
    assert code_of(other.get("offer")) == "REQUEST_UNKNOWN"
    assert other.get("standing").json == {"stands": None}
    assert code_of(other.client.delete("/phone/api/standing", headers=OWN_PAGE)) == "SHOWING_UNKNOWN"


def test_the_state_says_whether_the_citizen_has_tapped(browser: Browser, stage: Stage) -> None:
    """Without a tap, what was given was agreed to beforehand, and the last page says so."""
    showing_id = browser.show()
    sheet = stage.ask(showing_id)
    assert browser.get("state").json["answered"] is False
    browser.post("approval", {"approval": browser.approval(sheet, Decision.AGREE)})
    assert browser.get("state").json["answered"] is True


def test_without_script_nothing_is_offered_that_needs_it(browser: Browser) -> None:
    browser.client.post("/phone/show", data={"go": "1"}, headers=OWN_PAGE)
    page = browser.client.get("/phone/show").text
    assert "beforehand" not in page
    assert "提前同意" not in page

"""Clocks that are off: judged by ours, told in minutes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from consent.approval import Decision
from consent.b64 import new_id
from consent.clock import rfc3339
from consent.errors import Reason, Refusal
from consent.seal import SKEW
from consent.sentences import sentences
from tests.country import light_folder
from tests.country import refused as refusal
from tests.outer import Outer, Phone, found_outer
from wallet_api.skew import naming_skew, read_client_time, skew_seconds

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def outer() -> Iterator[Outer]:
    with light_folder() as folder:
        made = found_outer(folder)
        yield made
        made.close()


def opening(outer: Outer, off: timedelta, *, tells: bool = True) -> Any:
    """A phone whose clock is off by so much opens a showing with an assertion that it made just now."""
    its_time = outer.clock.now() + off
    body = {"holder": outer.login(Phone(), now=its_time, auth_time=its_time)}
    headers = {"Client_Time": rfc3339(its_time)} if tells else {}
    return outer.call("POST", "/v1/showings", body, Idempotency_Key=new_id(), **headers)


@pytest.mark.parametrize("minutes", [1, 3, 10, 24 * 60])
def test_a_phone_that_is_slow_is_told_by_how_many_minutes(outer: Outer, minutes: int) -> None:
    answer = opening(outer, -timedelta(minutes=minutes, seconds=2))
    assert answer.status_code == 422
    assert answer.json["code"] == Reason.CLOCK_SKEW
    assert answer.json["facts"]["n"] == minutes
    assert f"慢{minutes}分钟" in answer.json["sentences"]["zh"]
    assert f"{minutes} minutes slow" in answer.json["sentences"]["en"]
    facts = answer.json["facts"]
    assert f"慢{minutes}分钟" in sentences(Reason.CLOCK_SKEW, "zh-CN", "citizen", **facts)
    assert f"{minutes} minutes slow" in sentences(Reason.CLOCK_SKEW, "en", "citizen", **facts)


def test_a_phone_that_is_fast_is_told_so_too(outer: Outer) -> None:
    answer = opening(outer, timedelta(minutes=3))
    assert answer.json["code"] == Reason.CLOCK_SKEW
    assert "快3分钟" in answer.json["sentences"]["zh"]
    assert "3 minutes fast" in answer.json["sentences"]["en"]


def test_without_its_own_time_a_phone_hears_what_it_always_heard(outer: Outer) -> None:
    assert opening(outer, -timedelta(minutes=3), tells=False).json["code"] == Reason.DOCUMENT_EXPIRED
    assert opening(outer, timedelta(minutes=3), tells=False).json["code"] == Reason.DOCUMENT_NOT_YET_VALID


@pytest.mark.parametrize("seconds", [-40, -1, 0, 1])
def test_a_small_skew_is_said_and_does_no_harm(outer: Outer, seconds: int) -> None:
    answer = opening(outer, timedelta(seconds=seconds))
    assert answer.status_code == 201
    # What is sent has no fractions of a second, and the server's clock has.
    assert answer.json["clock_skew_seconds"] == seconds


def test_nobody_who_tells_no_time_is_told_a_skew(outer: Outer) -> None:
    answer = opening(outer, timedelta(0), tells=False)
    assert answer.json["clock_skew_seconds"] is None
    code = outer.call("GET", f"/v1/showings/{answer.json['showing_id']}/code")
    assert code.json["clock_skew_seconds"] is None
    assert "Clock-Skew-Seconds" not in code.headers


@pytest.mark.parametrize("query", ["", "?form=simple"])
def test_every_code_says_the_skew_and_is_issued_on_our_time(outer: Outer, query: str) -> None:
    showing_id = outer.open(Phone())
    path = f"/v1/showings/{showing_id}/code{query}"
    slow = rfc3339(outer.clock.now() - timedelta(minutes=3))
    told = outer.call("GET", path, Client_Time=slow)
    untold = outer.call("GET", path)
    assert told.json["clock_skew_seconds"] == -180
    assert told.headers["Clock-Skew-Seconds"] == "-180"
    assert {**dict(told.json), "clock_skew_seconds": None} == untold.json
    picture = outer.call("GET", path, Accept="image/png", Client_Time=slow)
    assert picture.headers["Clock-Skew-Seconds"] == "-180"
    made = outer.call("POST", f"/v1/showings/{showing_id}/twin", Idempotency_Key=new_id(), Client_Time=slow)
    assert made.json["clock_skew_seconds"] == -180


def test_an_answer_signed_by_a_slow_phone_says_how_slow_it_is(outer: Outer) -> None:
    phone = Phone()
    showing_id = outer.open(phone)
    request = outer.ask(showing_id)
    slow = outer.clock.now() - timedelta(minutes=3)
    body = {"approval": outer.approval(phone, request, now=slow)}
    path = f"/v1/showings/{showing_id}/approval"
    answer = outer.call("POST", path, body, Client_Time=rfc3339(slow))
    assert (answer.json["code"], answer.json["facts"]["n"]) == (Reason.CLOCK_SKEW, 3)
    assert outer.row(showing_id).state == "CLAIMED"
    right = outer.approval(phone, request)
    assert outer.call("POST", path, {"approval": right}, Client_Time=rfc3339(slow)).status_code == 202
    outer.move(showing_id, "consent")
    body = {"approval": outer.approval(phone, request, Decision.WITHDRAW, now=slow)}
    late = outer.call("POST", f"/v1/showings/{showing_id}/withdrawal", body, Client_Time=rfc3339(slow))
    assert late.json["code"] == Reason.CLOCK_SKEW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1764000000",
        "2026-11-24",
        "2026-11-24T12:00:00",
        "2026-11-24 12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-11-24T12:00:60Z",
        "0000-11-24T12:00:00Z",
        "2026-11-24T12:00:00+25:00",
        "2026-11-24T12:00:00Z\n",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    assert refusal(read_client_time, text) is Reason.BODY_INVALID


def test_a_wrong_header_is_a_problem_and_no_fault(outer: Outer) -> None:
    path = f"/v1/showings/{outer.open(Phone())}/code"
    assert outer.call("GET", path, Client_Time="yesterday").json["code"] == Reason.BODY_INVALID
    for edge in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert outer.call("GET", path, Client_Time=edge).status_code == 200


def test_any_zone_and_fraction_is_the_same_instant() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=8)))
    for text in (rfc3339(NOON), there.isoformat(), "2026-11-24T12:00:00.250Z"):
        told = read_client_time(text)
        assert told is not None
        assert abs(told - NOON) < timedelta(seconds=1)
    assert read_client_time(None) is None


def test_skew_is_positive_for_a_phone_that_is_ahead() -> None:
    assert skew_seconds(NOON + timedelta(minutes=3), now=NOON) == 180
    assert skew_seconds(NOON - timedelta(seconds=90), now=NOON) == -90
    assert skew_seconds(None, now=NOON) is None


def refused_as(reason: Reason, off: timedelta | None) -> Refusal:
    told = None if off is None else NOON + off
    with pytest.raises(Refusal) as caught, naming_skew(told, now=NOON):
        raise Refusal(reason, detail="x")
    return caught.value


def test_only_a_refusal_for_time_by_a_clock_beyond_the_tolerance_is_renamed() -> None:
    beyond = SKEW + timedelta(seconds=1)
    assert refused_as(Reason.DOCUMENT_EXPIRED, -beyond).reason is Reason.CLOCK_SKEW
    assert refused_as(Reason.DOCUMENT_NOT_YET_VALID, beyond).facts == {"n": 1, "what": "快", "what_en": "fast"}
    assert refused_as(Reason.DOCUMENT_EXPIRED, SKEW).reason is Reason.DOCUMENT_EXPIRED
    assert refused_as(Reason.DOCUMENT_EXPIRED, None).reason is Reason.DOCUMENT_EXPIRED
    assert refused_as(Reason.DOCUMENT_SIGNATURE, beyond).reason is Reason.DOCUMENT_SIGNATURE

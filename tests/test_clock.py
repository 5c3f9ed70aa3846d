"""Time is an argument; the one file that looks at a clock keeps its promises."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from threading import Thread

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from consent.clock import SHANGHAI, MovableClock, SystemClock, from_epoch, rfc3339, shanghai_date, to_epoch
from consent.errors import Reason, Refusal

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def test_the_system_clock_stands_still_when_the_machine_goes_back() -> None:
    clock = SystemClock()
    with time_machine.travel(NOON, tick=False) as machine:
        assert clock.now() == NOON
        machine.move_to(NOON - timedelta(hours=1))
        assert clock.now() == NOON
        machine.move_to(NOON + timedelta(seconds=1))
        assert clock.now() == NOON + timedelta(seconds=1)


def test_the_system_clock_says_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_a_movable_clock_moves_only_when_told_to() -> None:
    clock = MovableClock(NOON.astimezone(SHANGHAI))
    assert clock.now() == clock.now() == NOON
    assert clock.now().tzinfo is UTC
    assert clock.advance(30.5) == clock.now() == NOON + timedelta(seconds=30.5)
    assert clock.set(NOON) == clock.now() == NOON


def test_a_movable_clock_refuses_to_advance_backwards_or_to_a_time_without_a_zone() -> None:
    clock = MovableClock(NOON)
    with pytest.raises(ValueError):
        clock.advance(-1)
    with pytest.raises(ValueError):
        clock.set(datetime(2026, 1, 1))
    with pytest.raises(ValueError):
        MovableClock(datetime(2026, 1, 1))
    assert clock.now() == NOON


def test_many_threads_advance_one_clock_without_losing_a_second() -> None:
    clock = MovableClock(NOON)
    threads = [Thread(target=lambda: [clock.advance(1) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now() == NOON + timedelta(seconds=4000)


@given(st.integers(0, 253_402_300_799))
def test_epoch_seconds_go_there_and_back(seconds: int) -> None:
    assert to_epoch(from_epoch(seconds)) == seconds


@pytest.mark.parametrize("seconds", [-1, 253_402_300_800, 10**30, -(10**30)])
def test_seconds_that_no_date_can_hold_are_refused(seconds: int) -> None:
    with pytest.raises(Refusal) as caught:
        from_epoch(seconds)
    assert caught.value.reason is Reason.DOCUMENT_CLAIMS


def test_fractions_are_rounded_down() -> None:
    almost = NOON + timedelta(microseconds=999_999)
    assert from_epoch(to_epoch(almost)) == NOON
    assert rfc3339(almost) == "2026-11-24T12:00:00Z"
    assert rfc3339(datetime(999, 1, 1, tzinfo=UTC)) == "0999-01-01T00:00:00Z"


@pytest.mark.parametrize("convert", [to_epoch, rfc3339, shanghai_date])
def test_a_time_without_a_zone_is_never_guessed(convert: object) -> None:
    with pytest.raises(ValueError):
        convert(datetime(2026, 1, 1))  # type: ignore[operator]


def test_the_day_begins_in_shanghai_eight_hours_before_utc() -> None:
    assert shanghai_date(datetime(2026, 11, 24, 15, 59, 59, tzinfo=UTC)) == date(2026, 11, 24)
    assert shanghai_date(datetime(2026, 11, 24, 16, 0, tzinfo=UTC)) == date(2026, 11, 25)

"""The counter's table: what may follow what, what is one scan, and when a screen is wiped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest

from consent.errors import Outcome, Reason, Refusal
from consent.people import CitizenId
from scanner_kiosk.counter import (
    ASKING,
    CLEAR_AFTER,
    COUNTER,
    ENDED,
    KEEP,
    MOST_KEPT,
    SAME_SCAN,
    Case,
    Counter,
    Invited,
    sight,
)
from scanner_kiosk.visit import Asked, View, say
from tests.counter_rig import COPY, PERSON, START

CASE = Case(
    matter="divorce.apply",
    type="marriage",
    case_number="2026-1",
    cause="离婚登记申请",
    preconditions=("both_lost",),
    person=CitizenId.parse(PERSON, today=START.date()),
)
ASKED = Asked(request_id="AAAAAAAAAAAAAAAAAAAAAA", body=b"{}")
NO = say(Reason.CODE_EXPIRED)
OLD, NEW = (
    Invited(
        asked=Asked(request_id=letter * 22, body=b"{}"), text=f"YRDC:{letter}", expires_at=START + timedelta(minutes=1)
    )
    for letter in "BC"
)


def view(state: str, *, version: int = 1) -> View:
    return View(
        request_id=ASKED.request_id,
        state=state,
        version=version,
        etag=f'"{version}"',
        digits="47",
        outcome=None,
        said=NO,
        holder_province="31",
        library=None,
        copy=COPY if state == "PASSED" else None,
        officer="not-verified",
        asked_at="2026-06-01T02:00:00Z",
        answer_by="2026-06-01T02:02:00Z",
    )


def passed() -> Counter:
    return Counter().started(CASE).scanned(ASKED).judged(view("PASSED"), now=START)


def test_a_whole_visit_goes_from_empty_to_empty() -> None:
    counter = Counter()
    seen = [counter.state]
    steps: tuple[Callable[[Counter], Counter], ...] = (
        lambda it: it.started(CASE),
        lambda it: it.scanned(ASKED),
        lambda it: it.judged(view("ASKED"), now=START),
        lambda it: it.judged(view("FETCHING", version=2), now=START),
        lambda it: it.judged(view("PASSED", version=3), now=START),
        lambda it: it.cleared(),
    )
    for step in steps:
        counter = step(counter)
        seen.append(counter.state)
    assert seen == ["IDLE", "WAITING", "CHECKING", "CONFIRMING", "FETCHING", "PASSED", "IDLE"]


def test_every_event_leads_to_one_state_and_every_state_can_be_wiped() -> None:
    for event in {event for events in COUNTER.moves.values() for event in events}:
        assert COUNTER.target(event) in COUNTER.states
    assert COUNTER.sources("clear") == set(COUNTER.states) - {"IDLE"}
    assert ASKING | ENDED | {"IDLE", "WAITING", "INVITING", "READING"} == set(COUNTER.states)


def test_the_diagram_is_drawn_from_the_table() -> None:
    drawn = COUNTER.diagram()
    assert "    [*] --> IDLE\n" in drawn
    for state, events in COUNTER.moves.items():
        for event, to in events.items():
            assert f"    {state} --> {to}: {event}\n" in drawn


@pytest.mark.parametrize("state", sorted(COUNTER.states))
def test_what_the_table_does_not_allow_is_refused_and_nothing_changes(state: str) -> None:
    counter = dataclasses.replace(passed(), state=state)
    moves: dict[str, Callable[[], Counter]] = {
        "start": lambda: counter.started(CASE),
        "scan": lambda: counter.scanned(ASKED),
        "invite": lambda: counter.inviting(NEW),
        "again": lambda: counter.rescan(),
        "retry": lambda: counter.retried(),
        "refuse": lambda: counter.failed(NO, Outcome.REFUSED, now=START),
        "undetermine": lambda: counter.failed(NO, Outcome.UNDETERMINED, now=START),
    }
    for event, move in moves.items():
        if event in COUNTER.moves[state]:
            assert move().state == COUNTER.moves[state][event]
        else:
            with pytest.raises(Refusal) as refused:
                move()
            assert refused.value.reason is Reason.STATE_FORBIDS
    assert counter.state == state


def test_the_wipe_takes_person_case_and_answer_with_it() -> None:
    assert passed().cleared() == Counter(version=passed().version + 1)
    assert Counter().cleared() == Counter()


def test_a_result_is_wiped_after_a_minute_and_not_before() -> None:
    counter = passed()
    assert not counter.due(now=START + CLEAR_AFTER - timedelta(microseconds=1))
    assert counter.due(now=START + CLEAR_AFTER)
    assert not Counter().started(CASE).due(now=START + timedelta(days=1))


def test_keep_gives_half_a_minute_more_but_never_beyond_five_minutes() -> None:
    once = passed().kept(now=START)
    assert once.clears_at == START + CLEAR_AFTER + KEEP
    counter = passed()
    for _ in range(50):
        counter = counter.kept(now=START)
    assert counter.clears_at == START + MOST_KEPT
    assert Counter().kept(now=START) == Counter()


def test_the_same_answer_twice_changes_nothing_and_a_newer_one_of_the_same_state_is_taken() -> None:
    counter = Counter().started(CASE).scanned(ASKED).judged(view("ASKED"), now=START)
    assert counter.judged(counter.view or view("ASKED"), now=START) is counter
    newer = counter.judged(view("ASKED", version=2), now=START)
    assert (newer.state, newer.version) == ("CONFIRMING", counter.version + 1)
    assert counter.judged(view("CLEARED", version=9), now=START) is counter


def test_another_scan_and_another_try_forget_the_last_answer() -> None:
    waiting = Counter().started(CASE)
    refused = waiting.failed(NO, Outcome.REFUSED, now=START)
    assert (refused.state, refused.said) == ("REFUSED", NO)
    again = refused.rescan()
    assert (again.state, again.case, again.asked, again.said, again.clears_at) == ("WAITING", CASE, None, None, None)
    silent = waiting.scanned(ASKED).failed(NO, Outcome.UNDETERMINED, now=START)
    once_more = silent.retried()
    assert (once_more.state, once_more.asked, once_more.view) == ("CHECKING", ASKED, None)


def test_a_phone_that_reads_our_code_leads_to_the_digits_and_takes_the_code_off_the_screen() -> None:
    inviting = Counter().started(CASE).inviting()
    assert (inviting.state, inviting.own_code) == ("INVITING", None)
    shown = inviting.inviting(OLD).inviting(OLD, NEW)
    assert shown.own_code is NEW
    assert shown.inviting(OLD, NEW) is shown
    claimed = shown.claimed(OLD.asked, view("ASKED"), now=START)
    assert (claimed.state, claimed.asked, claimed.came, claimed.invited) == ("CONFIRMING", OLD.asked, True, ())
    assert shown.claimed(OLD.asked, view("REFUSED"), now=START).state == "REFUSED"


@pytest.mark.parametrize("leave", ["again", "clear", "refuse", "undetermine"])
def test_our_code_is_shown_in_one_state_only(leave: str) -> None:
    shown = Counter().started(CASE).inviting(OLD, NEW)
    left = {
        "again": lambda: shown.rescan(),
        "clear": lambda: shown.cleared(),
        "refuse": lambda: shown.failed(NO, Outcome.REFUSED, now=START),
        "undetermine": lambda: shown.failed(NO, Outcome.UNDETERMINED, now=START),
    }[leave]()
    assert (left.state, left.invited, left.asked) == (COUNTER.moves["INVITING"][leave], (), None)


def test_what_our_code_began_can_be_asked_again_only_where_the_desk_could_not_be_reached() -> None:
    claimed = Counter().started(CASE).inviting(NEW).claimed(NEW.asked, view("ASKED"), now=START)
    offline = claimed.failed(say(Reason.OFFLINE), Outcome.UNDETERMINED, now=START)
    assert offline.can_retry
    assert offline.retried().state == "CHECKING"
    silent = claimed.failed(say(Reason.LIBRARY_UNREACHABLE, {"province": "33"}), Outcome.UNDETERMINED, now=START)
    assert not silent.can_retry
    with pytest.raises(Refusal):
        silent.retried()
    again = silent.rescan()
    assert (again.state, again.came) == ("WAITING", False)
    scanned = again.scanned(ASKED).failed(say(Reason.OFFLINE), Outcome.UNDETERMINED, now=START)
    assert scanned.can_retry


def test_the_same_text_within_three_seconds_is_one_scan() -> None:
    first, new = sight("a", None, now=START)
    assert new
    second, new = sight("a", first, now=START + SAME_SCAN - timedelta(microseconds=1))
    assert (second, new) == (first, False)
    assert sight("a", second, now=START + SAME_SCAN)[1]
    assert sight("b", second, now=START)[1]


def test_nothing_prints_the_person() -> None:
    assert PERSON not in repr(passed())
    assert "J330106" not in repr(passed())
    assert OLD.text not in repr(Counter().started(CASE).inviting(OLD))

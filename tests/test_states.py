"""The tables: what is not in them does not happen, and the picture in the docs is the program."""

from __future__ import annotations

import runpy
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import states
from consent.errors import Reason, Refusal
from consent.states import CLAIM, CONSENT, MACHINES, SHOWING, VISIT, Machine, page
from tests.counts import count

PAGE = Path(states.__file__).parents[1] / "docs" / "states.md"
EVERY_MACHINE = pytest.mark.parametrize("machine", MACHINES, ids=[each.name for each in MACHINES])


def events(machine: Machine) -> list[str]:
    """All events of a table, in its order."""
    return list(dict.fromkeys(event for row in machine.moves.values() for event in row))


@EVERY_MACHINE
def test_what_is_in_the_table_happens_and_what_is_not_is_refused(machine: Machine) -> None:
    before = {state: dict(row) for state, row in machine.moves.items()}
    for state, event in product([*machine.states, "", "NO_SUCH_STATE"], [*events(machine), "", "no_such_event"]):
        following = machine.moves.get(state, {}).get(event)
        if following is not None:
            assert machine.after(state, event) == following
            continue
        with pytest.raises(Refusal) as no:
            machine.after(state, event)
        assert no.value.reason is Reason.STATE_FORBIDS
        assert no.value.detail == f"{machine.name}: {event} in {state}"
    assert {state: dict(row) for state, row in machine.moves.items()} == before


@EVERY_MACHINE
def test_every_event_leads_to_one_state_from_every_state_that_it_may_start_in(machine: Machine) -> None:
    for event in events(machine):
        assert machine.sources(event)
        assert {machine.after(state, event) for state in machine.sources(event)} == {machine.target(event)}
        for state in set(machine.states) - machine.sources(event):
            with pytest.raises(Refusal):
                machine.after(state, event)


@EVERY_MACHINE
def test_an_event_that_no_table_knows_has_no_source_and_no_target(machine: Machine) -> None:
    assert machine.sources("no_such_event") == frozenset()
    with pytest.raises(ValueError):
        machine.target("no_such_event")


def reachable(machine: Machine, state: str) -> set[str]:
    seen, ahead = set[str](), [state]
    while ahead:
        here = ahead.pop()
        if here not in seen:
            seen.add(here)
            ahead += machine.moves.get(here, {}).values()
    return seen


@EVERY_MACHINE
def test_every_state_can_be_reached_and_can_end(machine: Machine) -> None:
    assert reachable(machine, machine.start) == set(machine.states)
    assert machine.ends
    for state in machine.states:
        assert reachable(machine, state) & machine.ends, state


@EVERY_MACHINE
def test_nothing_leads_out_of_an_end(machine: Machine) -> None:
    for state in machine.ends:
        assert not any(state in machine.sources(event) for event in events(machine))


@settings(max_examples=count(500, 60), deadline=None)
@given(st.sampled_from(MACHINES), st.data())
def test_whatever_happens_in_whatever_order_a_life_stays_in_its_table(machine: Machine, data: st.DataObject) -> None:
    state, ended = machine.start, False
    for event in data.draw(st.lists(st.sampled_from(events(machine)), max_size=12)):
        try:
            following = machine.after(state, event)
        except Refusal:
            continue
        assert not ended
        assert following in machine.states
        state, ended = following, following in machine.ends


def test_a_consent_is_spent_or_withdrawn_and_never_both() -> None:
    assert CONSENT.target("spend") not in CONSENT.sources("withdraw")
    assert CONSENT.target("withdraw") not in CONSENT.sources("spend")
    assert CONSENT.sources("spend") == CONSENT.sources("withdraw") == {CONSENT.start}


def test_a_showing_is_claimed_once() -> None:
    assert SHOWING.sources("claim") == {SHOWING.start}
    assert SHOWING.start not in {to for row in SHOWING.moves.values() for to in row.values()}
    assert CLAIM.sources("consent") == {CLAIM.start}


def test_nothing_is_delivered_that_was_not_consented_to() -> None:
    without = {state: row for state, row in SHOWING.moves.items() if state != "CONSENTED"}
    # From ANSWERED a silent library's UNDETERMINED leads to DELIVERED and to WITHDRAWN; before an answer nothing does.
    unanswered = Machine(name="", about="", start="", moves={**without, "ANSWERED": {}})
    assert not {"DELIVERED", "WITHDRAWING", "WITHDRAWN"} & reachable(unanswered, SHOWING.start)


def test_a_consent_can_be_taken_back_as_long_as_it_may_be_used() -> None:
    assert SHOWING.sources("deliver") - {"WITHDRAWING"} == SHOWING.sources("withdraw")


def test_a_visit_passes_only_by_being_admitted() -> None:
    assert {event for row in VISIT.moves.values() for event, to in row.items() if to == "PASSED"} == {"admit"}
    assert VISIT.sources("admit") == {"FETCHING", "HELD"}


def test_the_page_in_the_docs_is_what_the_tables_draw() -> None:
    """To redraw it: python -m consent.states > docs/states.md."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_module_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(states.__file__, run_name="__main__")
    assert capsys.readouterr().out == page()


@EVERY_MACHINE
def test_a_diagram_has_every_arrow_and_no_other(machine: Machine) -> None:
    drawn = {line.strip() for line in machine.diagram().splitlines()[1:]}
    arrows = {f"{state} --> {to}: {event}" for state, row in machine.moves.items() for event, to in row.items()}
    assert drawn == arrows | {f"[*] --> {machine.start}"} | {f"{end} --> [*]" for end in machine.ends}
    assert len(machine.diagram().splitlines()) == 1 + len(drawn)
    assert machine.about in page()

"""The events of showings: written with the change, read in order, missed by nobody, about no person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from consent.errors import Reason, Refusal
from consent.showing import new_showing_id
from consent.states import SHOWING
from consent.stores import handover, timeline
from consent.stores.base import open_engine, reading, writing
from consent.stores.handover import OWNER, showing_events
from consent.stores.migrations import migrate
from tests.country import Stage, rows
from tests.counts import count, outcome
from tests.outer import PERSON, START, Outer, Phone, found_outer
from tests.postgres import fresh_database, postgres_cluster
from tests.receiver import Rig

pytestmark = pytest.mark.full  # visits and processes: each takes seconds

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture
def outer(tmp_path: Path) -> Iterator[Outer]:
    made = found_outer(tmp_path / "31")
    yield made
    made.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with postgres_cluster() as url:
        yield url


@pytest.fixture(params=BOTH)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A hand-over store alone, on both databases."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/handover.db"
    else:
        url = fresh_database(request.getfixturevalue("cluster"))
    engine = open_engine(url, must_exist=False)
    migrate(engine, OWNER)
    made = Rig(engine)
    yield made
    made.close()


def events_of(engine: Engine, showing_id: str) -> list[tuple[int, str, str | None]]:
    with reading(engine) as connection:
        return [(each.version, each.state, each.reason) for each in timeline.of_showing(connection, showing_id)]


def numbered(engine: Engine) -> list[timeline.EventRow]:
    with writing(engine) as connection:
        return timeline.number(connection)


# Written with the change ------------------------------------------------------------------------------------


def test_every_change_of_a_state_is_an_event_and_nothing_else_is(rig: Rig) -> None:
    showing_id = rig.show()
    rig.move(showing_id, "claim", "answer", "consent", "undetermine")
    with writing(rig.engine) as connection:
        assert handover.note(connection, showing_id, now=START, holdings="[]")
        assert not handover.move(connection, showing_id, to="CLAIMED", frm=("OPEN",), now=START)
        assert not handover.move(connection, "0" * 24, to="CLAIMED", frm=("OPEN",), now=START)
    rig.move(showing_id, "refuse", reason="NOT_FOUND")
    assert events_of(rig.engine, showing_id) == [
        (1, "OPEN", None),
        (2, "CLAIMED", None),
        (3, "ANSWERED", None),
        (4, "CONSENTED", None),
        (5, "UNDETERMINED", None),
        (7, "REFUSED", "NOT_FOUND"),  # holdings made version 6, which nobody outside needs to hear of
    ]


def test_a_superseded_showing_has_its_event_too(outer: Outer) -> None:
    earlier, later = outer.open(Phone()), outer.open(Phone())
    assert events_of(outer.engine, earlier) == [(1, "OPEN", None), (2, "SUPERSEDED", "CODE_SUPERSEDED")]
    assert events_of(outer.engine, later) == [(1, "OPEN", None)]


def test_a_move_and_its_event_are_both_there_or_neither(rig: Rig) -> None:
    showing_id = rig.show()

    def breaks_off() -> None:
        with writing(rig.engine) as connection:
            assert handover.move(connection, showing_id, to="CLAIMED", frm=("OPEN",), now=START)
            raise Refusal(Reason.STATE_FORBIDS)

    assert outcome(breaks_off) is Reason.STATE_FORBIDS
    assert events_of(rig.engine, showing_id) == [(1, "OPEN", None)]
    with reading(rig.engine) as connection:
        assert handover.find(connection, showing_id).version == 1

    with writing(rig.engine) as connection:  # the place of the next event is taken: it cannot be written
        row = {"showing_id": showing_id, "app": "x", "version": 2, "state": "OPEN", "at": START}
        connection.execute(insert(showing_events), row)
    with pytest.raises(IntegrityError):
        rig.move(showing_id, "claim")
    with reading(rig.engine) as connection:
        assert handover.find(connection, showing_id).state == "OPEN"


def test_of_moves_at_once_each_version_has_one_event(rig: Rig) -> None:
    shown = [rig.show() for _ in range(4)]

    def claim(n: int) -> bool:
        with writing(rig.engine) as connection:
            return handover.move(connection, shown[n % 4], to="CLAIMED", frm=("OPEN",), now=START)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(16))) == 4
    for each in shown:
        assert [state for _, state, _ in events_of(rig.engine, each)] == ["OPEN", "CLAIMED"]


# Missed by nobody -------------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.parametrize("rig", ["postgresql"], indirect=True)
def test_an_event_that_is_committed_late_comes_later_and_is_not_missed(rig: Rig) -> None:
    with writing(rig.engine) as slow:
        late = new_showing_id()
        handover.open_showing(
            slow,
            showing_id=late,
            province="31",
            app="suishenban",
            sub="late",
            holder_jwt="a.b.c",
            device_jwk="{}",
            device_kid="kid",
            now=START,
            expires_at=START,
        )
        early = rig.show()  # begun later, committed first: its id is the higher one
        assert [each.showing_id for each in numbered(rig.engine)] == [early]
        with reading(rig.engine) as connection:
            (read,) = timeline.after(connection, "suishenban", 0, limit=10)
    numbered(rig.engine)
    with reading(rig.engine) as connection:
        ids = {row.showing_id: row.id for row in connection.execute(select(showing_events))}
        found = timeline.after(connection, "suishenban", read.number, limit=10)
    assert ids[late] < ids[early]
    assert [each.showing_id for each in found] == [late]


def test_readers_who_number_at_once_give_each_number_once(rig: Rig) -> None:
    shown = [rig.show() for _ in range(count(200, 24))]
    for each in shown:
        rig.move(each, "claim")
    with ThreadPoolExecutor(4) as pool:
        many = list(pool.map(lambda _: numbered(rig.engine), range(8)))
    given: list[Any] = [event.number for events in many for event in events]
    assert sorted(given) == list(range(1, 2 * len(shown) + 1))
    with reading(rig.engine) as connection:
        found = timeline.after(connection, "suishenban", 0, limit=1000)
        assert not timeline.waiting(connection)
    assert [each.number for each in found] == list(range(1, 2 * len(shown) + 1))
    for showing_id in shown:
        assert [each.version for each in found if each.showing_id == showing_id] == [1, 2]


# Over the door ----------------------------------------------------------------------------------------------


def test_a_vendor_reads_the_timeline_of_a_showing(outer: Outer) -> None:
    showing_id = outer.open(Phone())
    outer.clock.advance(3)
    outer.ask(showing_id)
    outer.clock.advance(130)
    outer.move(showing_id, "time_out", reason="TIMED_OUT")
    answer = outer.call("GET", f"/v1/showings/{showing_id}/events", scope="showings:read")
    assert answer.status_code == 200
    opened, claimed, over = answer.json["events"]
    assert opened == {
        "id": f"{showing_id}.1",
        "type": "showing.opened",
        "showing_id": showing_id,
        "version": 1,
        "state": "OPEN",
        "at": "2026-11-24T09:00:00Z",
        "reason": None,
        "sentence": None,
    }
    assert (claimed["type"], claimed["at"]) == ("showing.claimed", "2026-11-24T09:00:03Z")
    assert (over["type"], over["version"], over["reason"]) == ("showing.timed_out", 3, "TIMED_OUT")
    assert set(over["sentence"]) == {"zh", "en"}
    assert over["sentence"]["en"]


def test_a_code_that_nobody_scanned_expires_in_its_timeline(outer: Outer) -> None:
    showing_id = outer.open(Phone())
    outer.clock.advance(601)
    outer.tokens.clear()  # as old as the showing
    events = outer.call("GET", f"/v1/showings/{showing_id}/events").json["events"]
    assert [each["type"] for each in events] == ["showing.opened", "showing.expired"]


def test_a_vendor_who_was_away_reads_on_where_it_stopped(outer: Outer) -> None:
    def read(after: str | None, limit: int = 2) -> dict[str, Any]:
        answer = outer.call("GET", f"/v1/events?limit={limit}" + (f"&after={after}" if after else ""))
        assert answer.status_code == 200, answer.text
        return dict(answer.json)

    nothing = read(None)
    assert (nothing["events"], nothing["more"]) == ([], False)
    shown = [outer.open(Phone(sub=f"pairwise-{n}")) for n in range(5)]
    place, seen = nothing["next"], []
    while True:
        page = read(place)
        seen += [each["id"] for each in page["events"]]
        place = page["next"]
        if not page["more"]:
            break
    assert seen == [f"{each}.1" for each in shown]
    assert read(place) == {"events": [], "next": place, "more": False}
    outer.ask(shown[0])
    assert [each["id"] for each in read(place)["events"]] == [f"{shown[0]}.2"]
    assert [each["id"] for each in read(None, limit=100)["events"]] == [*seen, f"{shown[0]}.2"]


def test_a_reader_numbers_no_more_than_it_needs(outer: Outer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "AT_ONCE", 2)
    shown = [outer.open(Phone(sub=f"pairwise-{n}")) for n in range(6)]
    page = outer.call("GET", "/v1/events?limit=1").json
    assert ([each["showing_id"] for each in page["events"]], page["more"]) == (shown[:1], True)
    with reading(outer.engine) as connection:
        assert len(timeline.after(connection, "suishenban", 0, limit=10)) == 2
    assert [each["showing_id"] for each in outer.call("GET", "/v1/events").json["events"]] == shown


@pytest.mark.parametrize(
    "query",
    [
        "after=",
        "after=x",
        "after=AAAAAAAAAAAA",
        "after=ZAAAAAAAAAAB",  # a place among deliveries
        "after=Zf________8_",
        "after=ZQAAAAAAAA%00A",
        "after=%ED%A0%80AAAAAAAAA",
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=many",
        "limit=1.5",
        "limit=99999999999999999999999",
    ],
)
def test_a_cursor_or_limit_that_is_none_is_refused(outer: Outer, query: str) -> None:
    answer = outer.call("GET", f"/v1/events?{query}")
    assert (answer.status_code, answer.json["code"]) == (422, "BODY_INVALID")
    assert answer.json["errors"][0]["pointer"] == f"/{query.partition('=')[0]}"
    assert outer.call("GET", f"/v1/webhooks/deliveries?{query}").status_code in (422, 200)


def test_another_apps_vendor_sees_none_of_it(outer: Outer) -> None:
    Rig(outer.engine, clock=outer.clock).vendor("stranger-server", app="sufuban")
    outer.vendors.keep_token("s" * 43, "stranger-server", "showings:read webhooks", now=START)
    stranger = {"Authorization": f"Bearer {'s' * 43}"}
    showing_id = outer.open(Phone())
    theirs = outer.client.get(f"/v1/showings/{showing_id}/events", headers=stranger)
    assert (theirs.status_code, theirs.json["code"]) == (404, "SHOWING_UNKNOWN")
    assert outer.client.get("/v1/events", headers=stranger).json["events"] == []
    mine = outer.call("GET", "/v1/events").json
    assert len(mine["events"]) == 1
    with_my_cursor = outer.client.get(f"/v1/events?after={mine['next']}", headers=stranger)
    assert with_my_cursor.json["events"] == []


def test_each_of_these_operations_wants_its_scope(outer: Outer) -> None:
    showing_id = outer.open(Phone())
    for method, path, scope in (
        ("GET", f"/v1/showings/{showing_id}/events", "showings:read"),
        ("GET", "/v1/events", "showings:read"),
        ("GET", "/v1/webhooks/deliveries", "webhooks"),
        ("POST", "/v1/webhooks/deliveries/msg_x/resend", "webhooks"),
    ):
        other = "webhooks" if scope != "webhooks" else "showings:read"
        assert outer.call(method, path, scope=other).json["code"] == "FORBIDDEN"
        assert outer.call(method, path, scope=scope, Idempotency_Key="k").json.get("code") in (None, "DELIVERY_UNKNOWN")


# A whole visit ----------------------------------------------------------------------------------------------


def test_a_whole_visit_is_in_the_timeline_and_no_person_is(stage: Stage) -> None:
    scene = stage.scene("31", "32", "33")
    scene.whole()
    (showing,) = rows(stage.province("31").office.handover, handover.showings)
    events = rows(stage.province("31").office.handover, showing_events)
    assert [row.state for row in sorted(events, key=lambda row: row.version)] == [
        "OPEN",
        "CLAIMED",
        "ANSWERED",
        "CONSENTED",
        "DELIVERED",
    ]
    text = json.dumps([[str(value) for value in row] for row in events], ensure_ascii=False)
    known = (PERSON.name, PERSON.id_number, scene.who.name, scene.who.id_number, showing.sub, showing.holder_jwt)
    for personal in (*known, showing.sheet, showing.result, showing.device_kid):
        assert personal not in text


def test_every_event_of_the_states_table_is_recorded(rig: Rig) -> None:
    walked: set[str] = set()
    for state, moves in SHOWING.moves.items():
        for event, following in moves.items():
            showing_id = rig.show()
            with writing(rig.engine) as connection:
                for to, frm in ((state, "OPEN"), (following, state)):
                    assert to == frm or handover.move(connection, showing_id, to=to, frm=(frm,), now=START), event
            assert events_of(rig.engine, showing_id)[-1][1] == following
            walked.add(following)
    assert walked == set(SHOWING.states) - {"OPEN"}

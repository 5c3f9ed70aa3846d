"""Webhooks: each event at least once, in order, signed, and to nobody else."""

from __future__ import annotations

import json
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import time_machine
from sqlalchemy import select
from standardwebhooks import WebhookVerificationError

from consent.errors import Reason, Unavailable
from consent.states import SHOWING
from consent.stores.base import open_engine, reading, writing
from consent.stores.migrations import migrate
from tests.counts import count, outcome
from tests.outer import START, Phone, found_outer
from tests.postgres import fresh_database, postgres_cluster
from tests.receiver import CLIENT, Got, Receiver, Rig, check, receiving, rig_in, status
from wallet_api.__main__ import main
from wallet_api.app import OWNERS
from wallet_api.vendors import Vendors
from wallet_api.vendors.tables import webhook_endpoints, webhook_secrets
from wallet_api.webhooks import deliveries
from wallet_api.webhooks.deliveries import LEASE, NOT_ACCEPTED, ROUND, SILENT
from wallet_api.webhooks.endpoints import RETIRES_AFTER
from wallet_api.webhooks.events import TYPES
from wallet_api.webhooks.sending import Failure

pytestmark = pytest.mark.network


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def log_of(rig: Rig, client_id: str = CLIENT) -> list[deliveries.Entry]:
    with reading(rig.engine) as connection:
        return deliveries.log_of(connection, client_id, before=None, limit=1000)


def in_order(events: list[tuple[str, int]]) -> bool:
    """Whether each showing's events came in the order of its versions, repetitions aside."""
    seen: dict[str, list[int]] = defaultdict(list)
    for showing_id, version in events:
        seen[showing_id].append(version)
    return all(a <= b for versions in seen.values() for a, b in pairwise(versions))


# Coming through ---------------------------------------------------------------------------------------------


@pytest.mark.full
def test_a_receiver_that_was_dead_for_ten_minutes_gets_each_event_once_and_in_order(rig: Rig) -> None:
    receiver = Receiver().start()
    secret = rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    deliverer = rig.deliverer()
    receiver.stop()
    shown: list[str] = []
    for _ in range(count(120, 20)):  # one every five seconds, or every thirty
        shown.append(rig.show())
        rig.move(shown[-1], "claim")
        if len(shown) > 1:
            rig.move(shown[-2], "answer", "consent", "deliver")
        rig.clock.advance(600 / count(120, 20))
        deliverer.run_once(rig.clock.now())
    assert receiver.got == []
    receiver.start()
    for _ in range(30):  # five minutes, in which nothing new happens
        rig.clock.advance(10)
        while deliverer.run_once(rig.clock.now()):
            pass
    receiver.stop()
    expected = {(each, version) for each in shown[:-1] for version in range(1, 6)} | {(shown[-1], 1), (shown[-1], 2)}
    assert sorted(receiver.events) == sorted(expected)  # none lost, none twice
    assert in_order(receiver.events)
    assert len({got.id for got in receiver.got}) == len(expected)
    for got in receiver.got[:: count(1, 10)]:
        check(got, secret, datetime.fromtimestamp(int(got.headers["webhook-timestamp"]), UTC))
    assert {entry.state for entry in log_of(rig)} == {"ACCEPTED"}


def test_a_crash_between_a_delivery_and_its_note_only_repeats_the_same_id(
    rig: Rig, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    showing_id, other = rig.show(), rig.show()
    rig.move(showing_id, "claim")

    def dies(*_: Any, **__: Any) -> bool:
        raise Unavailable(Reason.STORE_UNAVAILABLE, what="database")

    with monkeypatch.context() as broken:
        broken.setattr(deliveries, "note", dies)
        rig.deliverer().run_once(rig.clock.now())
    assert receiver.events == [(showing_id, 1)]
    survivor = rig.deliverer()
    rig.clock.advance(LEASE.total_seconds() - 1)
    survivor.run_once(rig.clock.now())
    assert receiver.events == [(showing_id, 1), (other, 1)]  # the leased one holds up its own showing alone
    rig.clock.advance(1)
    survivor.run_once(rig.clock.now())
    assert receiver.events == [(showing_id, 1), (other, 1), (showing_id, 1), (showing_id, 2)]
    assert receiver.got[0].id == receiver.got[2].id
    assert receiver.got[0].body == receiver.got[2].body


def test_a_late_deliverer_decides_nothing(rig: Rig, receiver: Receiver) -> None:
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    rig.show()
    rig.deliverer(dial=_refuses).run_once(rig.clock.now())
    (entry,) = log_of(rig)
    rig.clock.advance(5)
    with reading(rig.engine) as connection:
        (endpoint_id,) = connection.execute(select(webhook_endpoints.c.endpoint_id)).scalars()
    with writing(rig.engine) as connection:
        slow = deliveries.take(connection, endpoint_id, now=rig.clock.now())
    assert slow is not None
    rig.clock.advance(LEASE.total_seconds())
    rig.deliverer().run_once(rig.clock.now())
    failed = deliveries.Outcome(status=500, failure=Failure.NOT_ACCEPTED)
    with writing(rig.engine) as connection:
        assert not deliveries.note(connection, slow, failed, now=rig.clock.now())
    (entry,) = log_of(rig)
    assert entry.state == "ACCEPTED"
    assert [(each.attempt, each.failure) for each in entry.attempts] == [
        (1, "NO_CONNECTION"),
        (2, "NOT_ACCEPTED"),
        (3, None),
    ]


def test_an_event_that_is_not_accepted_holds_up_its_own_showing_alone(rig: Rig, receiver: Receiver) -> None:
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    bad, good = rig.show(), rig.show()
    receiver.answer = lambda handler, got: status(500 if got.event == (bad, 1) else 200)(handler, got)
    for each in (bad, good):
        rig.move(each, "claim", "answer")
    deliverer = rig.deliverer()
    deliverer.run_once(rig.clock.now())
    assert sorted(receiver.events) == sorted([(bad, 1), (good, 1), (good, 2), (good, 3)])
    receiver.answer = status(202)
    rig.clock.advance(NOT_ACCEPTED[0].total_seconds())
    deliverer.run_once(rig.clock.now())
    assert receiver.events[4:] == [(bad, 1), (bad, 2), (bad, 3)]


def test_pauses_grow_for_24_hours_and_then_it_is_given_up(rig: Rig, receiver: Receiver) -> None:
    receiver.answer = status(400)
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    showing_id, deliverer = rig.show(), rig.deliverer()
    rig.move(showing_id, "claim")
    tried = [rig.clock.now()]
    deliverer.run_once(rig.clock.now())
    while (entry := log_of(rig)[-1]).next_try_at is not None:
        rig.clock.set(entry.next_try_at - timedelta(microseconds=1))
        assert deliverer.run_once(rig.clock.now()) == 0
        tried.append(rig.clock.set(entry.next_try_at))
        deliverer.run_once(rig.clock.now())
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses[:-1] == [*NOT_ACCEPTED, NOT_ACCEPTED[-1]]  # the last one is what was left of the day
    assert tried[-1] - tried[0] == ROUND
    assert (entry.state, len(entry.attempts)) == ("GIVEN_UP", len(tried))
    assert receiver.events[-1] == (showing_id, 2)  # the later one no longer waits for it


def test_a_silent_endpoint_is_looked_at_again_within_five_minutes_for_24_hours(rig: Rig) -> None:
    rig.endpoints.add(CLIENT, "http://127.0.0.1:9/", now=rig.clock.now())
    for _ in range(3):
        rig.show()
    deliverer, calls = rig.deliverer(dial=_refuses), 0
    rounds, end = 0, rig.clock.now() + ROUND + timedelta(hours=1)
    while rig.clock.now() < end:
        rounds += 1
        calls += deliverer.run_once(rig.clock.now())
        due = [entry.next_try_at for entry in log_of(rig) if entry.next_try_at is not None]
        assert all(each - rig.clock.now() <= SILENT[-1] for each in due)
        rig.clock.advance(count(SILENT[-1].total_seconds(), 3600))
    assert {entry.state for entry in log_of(rig)} == {"GIVEN_UP"}
    assert calls <= rounds  # one look at the endpoint, and not one for each event


def test_a_deliverer_that_is_told_to_end_takes_no_more(rig: Rig, receiver: Receiver) -> None:
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    rig.show(), rig.show()
    deliverer, closing = rig.deliverer(), ThreadPoolExecutor(1)

    def answer(handler: BaseHTTPRequestHandler, got: Got) -> None:
        closing.submit(deliverer.close)
        assert deliverer._ending.wait(10)
        status(200)(handler, got)

    receiver.answer = answer
    assert deliverer.run_once(rig.clock.now()) == 1
    closing.shutdown()
    assert sorted(entry.state for entry in log_of(rig)) == ["ACCEPTED", "WAITING"]


def test_more_events_than_one_round_takes_come_in_the_next(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consent.stores.timeline.AT_ONCE", 3)
    rig.endpoints.add(CLIENT, "http://127.0.0.1:9/", now=rig.clock.now())
    shown = [rig.show() for _ in range(7)]
    deliverer = rig.deliverer(dial=_refuses)
    for expected in (3, 6, 7, 7):
        deliverer.run_once(rig.clock.now())
        assert len(log_of(rig)) == expected
    assert {entry.showing_id for entry in log_of(rig)} == set(shown)


def test_nothing_is_sent_to_an_endpoint_that_rests(rig: Rig, receiver: Receiver) -> None:
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    receiver.answer = status(503)
    for _ in range(5):
        rig.show()
    deliverer = rig.deliverer()
    assert deliverer.run_once(rig.clock.now()) == 1
    assert deliverer.run_once(rig.clock.now()) == 0
    receiver.answer = status(200)
    rig.clock.advance(SILENT[0].total_seconds())
    assert deliverer.run_once(rig.clock.now()) == 5


def test_410_ends_an_endpoint_for_good(rig: Rig, receiver: Receiver) -> None:
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    receiver.answer = status(410)
    rig.show(), rig.show()
    deliverer = rig.deliverer()
    assert deliverer.run_once(rig.clock.now()) == 1
    assert [entry.state for entry in log_of(rig)] == ["GIVEN_UP", "GIVEN_UP"]
    (ended,) = rig.endpoints.all(CLIENT)
    assert ended.ended_why == "GONE"
    rig.clock.advance(1)
    rig.show()
    assert deliverer.run_once(rig.clock.now()) == 0
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())  # registered anew it is another endpoint
    assert [each.ended_why for each in rig.endpoints.all(CLIENT)] == ["GONE", None]


def test_an_endpoint_hears_nothing_from_before_it_was_registered_nor_after_it_was_removed(
    rig: Rig, receiver: Receiver
) -> None:
    before = rig.show()
    rig.clock.advance(1)
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    deliverer, showing_id = rig.deliverer(), rig.show()
    deliverer.run_once(rig.clock.now())
    rig.show()
    rig.endpoints.remove(CLIENT, receiver.url, now=rig.clock.now())
    deliverer.run_once(rig.clock.now())
    assert receiver.events == [(showing_id, 1)]
    assert before not in {entry.showing_id for entry in log_of(rig)}


def test_a_vendor_hears_of_its_own_app_and_a_disabled_one_of_nothing(rig: Rig) -> None:
    with receiving() as one, receiving() as two, receiving() as off:
        rig.vendor("vendor-two", app="sufuban")
        rig.vendor("vendor-off")
        for client_id, each in ((CLIENT, one), ("vendor-two", two), ("vendor-off", off)):
            rig.endpoints.add(client_id, each.url, now=rig.clock.now())
        Vendors(rig.engine, profile="sandbox", by="test").disable("vendor-off", now=rig.clock.now())
        mine, theirs = rig.show(), rig.show(app="sufuban")
        rig.deliverer().run_once(rig.clock.now())
        assert (one.events, two.events, off.events) == ([(mine, 1)], [(theirs, 1)], [])
        assert {entry.showing_id for entry in log_of(rig, "vendor-two")} == {theirs}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with postgres_cluster() as url:
        yield url


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_deliverers_at_once_bring_each_event_once_and_in_order(
    database: str, request: pytest.FixtureRequest, tmp_path: Path, receiver: Receiver
) -> None:
    if database == "sqlite":
        url = f"sqlite:///{tmp_path}/handover.db"
    else:
        url = fresh_database(request.getfixturevalue("cluster"))
    engine = open_engine(url, must_exist=False)
    for owner in OWNERS:
        migrate(engine, owner)
    rig = Rig(engine)
    rig.vendor()
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    workers = [rig.deliverer() for _ in range(3)]
    shown = [rig.show() for _ in range(count(60, 8))]
    for each in shown:
        rig.move(each, "claim", "answer")

    def work(worker: Any) -> None:
        idle = 0
        while idle < 3:
            idle = 0 if worker.run_once(rig.clock.now()) else idle + 1

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, workers))
    assert sorted(receiver.events) == sorted((each, version) for each in shown for version in (1, 2, 3))
    assert in_order(receiver.events)
    rig.close()


# What is sent -----------------------------------------------------------------------------------------------


def test_every_state_has_an_event_and_every_event_a_state() -> None:
    assert set(TYPES) == set(SHOWING.states)
    assert len(set(TYPES.values())) == len(TYPES)
    assert all(each.startswith("showing.") for each in TYPES.values())


def test_a_webhook_says_what_happened_and_nothing_about_a_person(rig: Rig, receiver: Receiver) -> None:
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    showing_id = rig.show()
    rig.move(showing_id, "claim", sheet='{"unit":"徐汇区"}', request_digest="d", asked_at=rig.clock.now())
    rig.move(showing_id, "time_out", reason="TIMED_OUT")
    rig.deliverer().run_once(rig.clock.now())
    assert json.loads(receiver.got[-1].body) == {
        "type": "showing.timed_out",
        "timestamp": "2026-11-24T09:00:00Z",
        "data": {"showing_id": showing_id, "state": "TIMED_OUT", "version": 3, "reason": "TIMED_OUT"},
    }
    for got in receiver.got:
        assert set(got.data) == {"showing_id", "state", "version", "reason"}
        assert b"pairwise" not in got.body
        assert got.headers["content-type"] == "application/json"


def test_the_standards_own_library_accepts_the_signature_and_no_other_body(rig: Rig, receiver: Receiver) -> None:
    secret = rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    rig.show()
    rig.deliverer().run_once(rig.clock.now())
    (got,) = receiver.got
    assert check(got, secret, rig.clock.now())["type"] == "showing.opened"
    for changed in (got.body + b" ", got.body.replace(b"OPEN", b"OPEM"), b"{}", b""):
        with pytest.raises(WebhookVerificationError):
            check(got, secret, rig.clock.now(), body=changed)
    with pytest.raises(WebhookVerificationError):  # another message under this signature
        check(Got(got.headers | {"webhook-id": "msg_x"}, got.body), secret, rig.clock.now())
    with pytest.raises(WebhookVerificationError):  # kept for later
        check(got, secret, rig.clock.now() + timedelta(minutes=6))


def test_two_secrets_sign_until_the_older_one_retires(rig: Rig, receiver: Receiver) -> None:
    first = rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    second = rig.endpoints.rotate(CLIENT, receiver.url, now=rig.clock.now())
    deliverer = rig.deliverer()

    def signed_by(*secrets: str) -> list[bool]:
        rig.show()
        deliverer.run_once(rig.clock.now())
        return [outcome_of_check(receiver.got[-1], each, rig.clock.now()) for each in secrets]

    assert signed_by(first, second) == [True, True]
    third = rig.endpoints.rotate(CLIENT, receiver.url, now=rig.clock.now())
    assert signed_by(first, second, third) == [False, True, True]  # never three
    rig.clock.advance(RETIRES_AFTER.total_seconds())
    assert signed_by(first, second, third) == [False, False, True]
    assert len({first, second, third}) == 3
    with reading(rig.engine) as connection:
        assert len(connection.execute(select(webhook_secrets)).all()) == 2


def outcome_of_check(got: Got, secret: str, at: datetime) -> bool:
    try:
        check(got, secret, at)
    except WebhookVerificationError:
        return False
    return True


# Receivers that misbehave -----------------------------------------------------------------------------------


def _refuses(*_: Any) -> Any:
    raise ConnectionRefusedError


def _never_ends(handler: BaseHTTPRequestHandler, got: Got) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65_536)


def _drips(handler: BaseHTTPRequestHandler, got: Got) -> None:
    rests = Event()
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X: y\r\n")
        rests.wait(0.02)


def _says_nothing(handler: BaseHTTPRequestHandler, got: Got) -> None:
    Event().wait(1)


def _no_http(handler: BaseHTTPRequestHandler, got: Got) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n")


MISBEHAVIOURS: dict[str, tuple[Callable[..., None], int | None, Failure | None]] = {
    "an answer that never ends": (_never_ends, 200, None),
    "headers that never end": (_drips, None, Failure.TIMEOUT),
    "silence": (_says_nothing, None, Failure.TIMEOUT),
    "another protocol": (_no_http, None, Failure.NO_HTTP),
    "not now": (status(429), 429, Failure.BUSY),
    "nobody behind the proxy": (status(502), 502, Failure.BUSY),
    "its own fault": (status(500), 500, Failure.NOT_ACCEPTED),
    "not found": (status(404), 404, Failure.NOT_ACCEPTED),
    "created": (status(201), 201, None),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_whatever_a_receiver_does_is_one_line_in_the_log(rig: Rig, receiver: Receiver, name: str) -> None:
    receiver.answer, code, failure = MISBEHAVIOURS[name]
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    rig.show()
    # 0.3 s stands for ten: what is tested is that the whole has an end, however often a byte comes.
    assert rig.deliverer(total_s=0.3).run_once(rig.clock.now()) == 1
    (entry,) = log_of(rig)
    (attempt,) = entry.attempts
    assert (attempt.status, attempt.failure) == (code, failure)
    assert (entry.state == "ACCEPTED") == (failure is None)


# The vendor's side ------------------------------------------------------------------------------------------


def test_a_vendor_reads_its_log_page_by_page_and_has_an_event_sent_again(tmp_path: Path, receiver: Receiver) -> None:
    outer = found_outer(tmp_path / "31")
    rig = Rig(outer.engine, clock=outer.clock)
    rig.endpoints.add("suishenban-server", receiver.url, now=START)
    showing_id, other = outer.open(Phone()), outer.open(Phone(sub="pairwise-other"))
    deliverer = rig.deliverer()
    deliverer.run_once(START)

    first = outer.call("GET", "/v1/webhooks/deliveries?limit=1", scope="webhooks").json
    second = outer.call("GET", f"/v1/webhooks/deliveries?limit=1&after={first['next']}").json
    assert [each["event_id"] for each in first["deliveries"] + second["deliveries"]] == [
        f"{other}.1",
        f"{showing_id}.1",
    ]
    assert second["next"] is None
    (entry,) = second["deliveries"]
    assert entry == {
        "id": receiver.got[0].id,
        "event_id": f"{showing_id}.1",
        "type": "showing.opened",
        "url": receiver.url,
        "state": "ACCEPTED",
        "attempts": [{"attempt": 1, "at": "2026-11-24T09:00:00Z", "status": 204, "failure": None}],
        "next_try_at": None,
    }

    path = f"/v1/webhooks/deliveries/{entry['id']}/resend"
    assert outer.call("POST", path, scope="webhooks").json["code"] == "IDEMPOTENCY_KEY_MISSING"
    again = [outer.call("POST", path, Idempotency_Key="k") for _ in range(2)]
    assert [each.status_code for each in again] == [202, 202]
    assert again[1].headers["Idempotency-Replayed"] == "true"
    assert (again[0].json["state"], again[0].json["next_try_at"]) == ("WAITING", "2026-11-24T09:00:00Z")
    deliverer.run_once(START)
    assert [got.id for got in receiver.got].count(entry["id"]) == 2
    assert len(receiver.got) == 3

    rig.endpoints.remove("suishenban-server", receiver.url, now=START)
    assert outer.call("POST", path, Idempotency_Key="l").json["code"] == "STATE_FORBIDS"
    rig.close()
    outer.close()


def test_another_vendor_sees_and_resends_none_of_it(tmp_path: Path, receiver: Receiver) -> None:
    outer = found_outer(tmp_path / "31")
    rig = Rig(outer.engine, clock=outer.clock)
    rig.vendor("nosy-server")  # of the same app
    rig.endpoints.add("suishenban-server", receiver.url, now=START)
    outer.open(Phone())
    rig.deliverer().run_once(START)
    entry = outer.call("GET", "/v1/webhooks/deliveries").json["deliveries"][0]
    outer.vendors.keep_token("n" * 43, "nosy-server", "webhooks", now=START)
    nosy = {"Authorization": f"Bearer {'n' * 43}", "Idempotency-Key": "k"}
    assert outer.client.get("/v1/webhooks/deliveries", headers=nosy).json == {"deliveries": [], "next": None}
    answer = outer.client.post(f"/v1/webhooks/deliveries/{entry['id']}/resend", headers=nosy)
    assert (answer.status_code, answer.json["code"]) == (404, "DELIVERY_UNKNOWN")
    rig.close()
    outer.close()


def test_the_register_says_no_with_its_reason(rig: Rig) -> None:
    now, endpoints = rig.clock.now(), rig.endpoints
    assert outcome(endpoints.add, "nobody-here", "https://a.example/", now=now) is Reason.INVALID_CLIENT
    assert outcome(endpoints.all, "nobody-here") is Reason.INVALID_CLIENT
    assert outcome(endpoints.remove, CLIENT, "https://a.example/", now=now) is Reason.BODY_INVALID
    endpoints.add(CLIENT, "https://a.example/", now=now)
    assert outcome(endpoints.add, CLIENT, "HTTPS://A.Example:443", now=now) is Reason.BODY_INVALID  # the same address
    for n in range(4):
        endpoints.add(CLIENT, f"https://a.example/{n}", now=now)
    assert outcome(endpoints.add, CLIENT, "https://a.example/more", now=now) is Reason.BODY_INVALID


def test_settled_deliveries_are_forgotten_after_thirty_days_and_waiting_ones_are_not(
    rig: Rig, receiver: Receiver
) -> None:
    rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    rig.show()
    rig.deliverer().run_once(rig.clock.now())
    rig.clock.advance(deliveries.KEPT.total_seconds() + 1)
    waits = rig.show()
    rig.deliverer(dial=_refuses).run_once(rig.clock.now())
    assert [entry.showing_id for entry in log_of(rig)] == [waits]


# The commands -----------------------------------------------------------------------------------------------


def test_the_operator_registers_rotates_lists_and_removes_and_the_process_delivers(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outer = found_outer(tmp_path / "31")
    monkeypatch.setenv("HUZHENG_PROFILE", "sandbox")
    monkeypatch.setenv("HUZHENG_WALLET_STORE", outer.settings.store)

    def command(*arguments: str) -> tuple[int, str]:
        return main(arguments), "".join(capsys.readouterr())

    def webhook(verb: str, url: str = receiver.url) -> tuple[int, str]:
        return command("vendors", "webhook", verb, "suishenban-server", *([url] if url else []))

    assert webhook("add")[1].startswith("whsec_")
    assert webhook("rotate")[1].startswith("whsec_")
    assert webhook("list", "")[1].startswith(f"{receiver.url}\tlive\t0\t")
    assert webhook("add", "https://10.0.0.1/") == (
        1,
        "wallet-api: WEBHOOK_ADDRESS_NOT_ALLOWED: a number in place of a name\n",
    )

    def answer(handler: BaseHTTPRequestHandler, got: Got) -> None:
        status(200)(handler, got)
        os.kill(os.getpid(), signal.SIGTERM)  # the process ends when it is told to, its note written

    receiver.answer = answer
    outer.clock.set(datetime.now(UTC) + timedelta(seconds=1))  # the process goes by the machine's clock
    rig = Rig(outer.engine, clock=outer.clock)
    showing_id = rig.show()
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        ended, said = command("deliver")
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert (ended, "work_begins" in said, "work_ends" in said) == (0, True, True)
    assert receiver.events == [(showing_id, 1)]
    assert [entry.state for entry in log_of(rig, "suishenban-server")] == ["ACCEPTED"]
    assert webhook("remove") == (0, "")
    assert "\tremoved\t" in webhook("list", "")[1]
    rig.close()
    outer.close()


def test_the_sample_receiver_of_the_handbook_works(rig: Rig, receiver: Receiver) -> None:
    handbook = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    sample = handbook.partition("## Webhooks")[2].partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(sample, names)
    secret = rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
    rig.show()
    rig.deliverer().run_once(rig.clock.now())
    (got,), seen = receiver.got, set()
    with time_machine.travel(rig.clock.now(), tick=False):
        assert [names["receive"](got.headers, got.body, secret, seen) for _ in range(2)] == [204, 204]
        assert seen == {got.id}
        with pytest.raises(WebhookVerificationError):
            names["receive"](got.headers, got.body + b" ", secret, seen)
    for event_type in TYPES.values():
        assert event_type.removeprefix("showing") in handbook

"""The library database: one consent is spent once or withdrawn, and the ledger tells which. Both databases, one law book."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, select, update
from sqlalchemy.exc import IntegrityError

from consent.envelope import new_envelope_key
from consent.errors import Reason, Refusal, Unavailable
from consent.failpoint import reach
from consent.holding import MOST, STATUSES, holder_index, holdings_from
from consent.ledger import Act, Entry, check
from consent.people import synthetic_id
from consent.receipt import open_receipt
from consent.seal import Sealed, signed_digest
from consent.stores.base import reading, writing
from consent.stores.migrations import check_schema, migrate, schema_differences
from tests.counts import count
from tests.postgres import fresh_database, postgres_cluster
from tests.shelf import (
    DATA_KEY,
    HERE,
    HUSBAND,
    INDEX_KEY,
    NOW,
    SECOND,
    SOME,
    WIFE,
    Shelf,
    Visit,
    certificate,
    fields,
    make_keys,
    open_shelf,
    reopened,
)
from tests.test_card_quotas import rush
from verifier.library.certificate import Certificate, Party
from verifier.library.issuing import issue, issued_same_day, new_handle, note_paper_file, set_status
from verifier.library.vault import Vault
from verifier.stores import library as tables
from verifier.stores.ledger import append, entries

INDEX = holder_index(HUSBAND.id_number, INDEX_KEY)
THREADS, PROCESSES = 8, 2
# A fork server imports the libraries once; forking the tests themselves would copy locks and connections.
PROCESSES_OF_THEIR_OWN = multiprocessing.get_context("forkserver")
PROCESSES_OF_THEIR_OWN.set_forkserver_preload(["pytest", "tests.shelf", "psycopg"])


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One database for all tests here: making a new one for each would take longer than they do."""
    with postgres_cluster() as cluster:
        yield fresh_database(cluster)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'library-33.db'}"
    found = str(request.getfixturevalue("postgres_url"))
    engine = create_engine(found, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return found


@pytest.fixture
def shelf(tmp_path: Path, url: str) -> Iterator[Shelf]:
    """An empty library with its keys in `tmp_path`."""
    make_keys(tmp_path)
    found = open_shelf(tmp_path, url)
    migrate(found.library.engine, tables.OWNER)
    yield found
    found.library.engine.dispose()


@pytest.fixture
def engine(shelf: Shelf) -> Engine:
    return shelf.library.engine


@pytest.fixture
def held(shelf: Shelf) -> Certificate:
    """The husband's certificate, in the library."""
    it = certificate()
    issue(shelf.library, it, now=NOW)
    return it


def reason_of(call: Callable[[], object]) -> Reason | None:
    """Why it was refused; None where it was not."""
    try:
        call()
    except Refusal as no:
        return no.reason
    return None


def acts(engine: Engine) -> list[Act]:
    """The ledger's words, after it has been checked from end to end."""
    with reading(engine) as conn:
        lines = list(entries(conn, tables.ledger))
    assert check(lines).entries == len(lines)
    return [line.act for line in lines]


# The schema -----------------------------------------------------------------------------------------------


def test_the_migrations_make_what_the_program_declares(engine: Engine) -> None:
    check_schema(engine, tables.OWNER)
    assert schema_differences(engine, tables.OWNER) == []


# The ledger -----------------------------------------------------------------------------------------------


def test_positions_follow_and_each_names_the_one_before(engine: Engine) -> None:
    with writing(engine) as conn:
        places = [append(conn, tables.ledger, Act.LOOKED, {"n": n}, now=NOW) for n in range(5)]
    assert [each.position for each in places] == [1, 2, 3, 4, 5]
    with reading(engine) as conn:
        lines = list(entries(conn, tables.ledger))
    assert [line.digest for line in lines] == [each.entry for each in places]
    assert check(lines).last == places[-1].entry


def test_writers_at_once_queue_and_make_one_chain(engine: Engine) -> None:
    def write(n: int) -> int:
        with writing(engine) as conn:
            return append(conn, tables.ledger, Act.LOOKED, {"n": n}, now=NOW).position

    with ThreadPoolExecutor(THREADS) as pool:
        places = sorted(pool.map(write, range(40)))
    assert places == list(range(1, 41))
    assert acts(engine) == [Act.LOOKED] * 40


def test_what_is_rolled_back_leaves_no_gap(engine: Engine) -> None:
    with suppress(LookupError), writing(engine) as conn:
        append(conn, tables.ledger, Act.LOOKED, {}, now=NOW)
        raise LookupError
    with writing(engine) as conn:
        assert append(conn, tables.ledger, Act.LOOKED, {}, now=NOW).position == 1


@pytest.fixture
def five(engine: Engine) -> Engine:
    """A ledger of five entries."""
    with writing(engine) as conn:
        for n in range(5):
            append(conn, tables.ledger, Act.LOOKED, {"n": n}, now=NOW)
    return engine


def test_the_database_itself_refuses_a_fork(five: Engine) -> None:
    """Somebody writes a second entry after the third, past every lock of ours."""
    with reading(five) as conn:
        third = list(entries(conn, tables.ledger))[2]
    fork = Entry(position=9, previous=third.digest, at=third.at, act=Act.SPENT, body="{}")
    row = {"position": 9, "previous": fork.previous, "digest": fork.digest, "at": fork.at, "act": "SPENT", "body": "{}"}
    with pytest.raises(IntegrityError), writing(five) as conn:
        conn.execute(tables.ledger.entries.insert().values(row))


_TAMPERINGS = {
    "UPDATE ledger SET body = '{}' WHERE position = 3": 3,
    "UPDATE ledger SET at = '2026-03-02T01:02:04Z' WHERE position = 2": 2,
    "UPDATE ledger SET act = 'SPENT' WHERE position = 4": 4,
    "UPDATE ledger SET act = 'BRIBED' WHERE position = 4": 4,
    "UPDATE ledger SET digest = previous WHERE position = 1": 1,
    "UPDATE ledger SET previous = digest WHERE position = 5": 5,
    "UPDATE ledger SET position = 9 WHERE position = 5": 9,  # found where it is now
    "UPDATE ledger_head SET digest = 'x'": 5,
    "DELETE FROM ledger WHERE position = 1": 1,
    "DELETE FROM ledger WHERE position = 3": 3,
    "DELETE FROM ledger WHERE position = 5": 5,
    "DELETE FROM ledger": 1,
}


def test_every_change_to_the_ledger_is_found_and_located(five: Engine) -> None:
    for statement, position in _TAMPERINGS.items():
        with suppress(LookupError), writing(five) as conn:
            conn.exec_driver_sql(statement)
            with pytest.raises(Refusal) as caught:
                check(entries(conn, tables.ledger))
            assert caught.value.reason is Reason.STATE_FORBIDS
            assert caught.value.detail == f"the ledger breaks at position {position}", statement
            raise LookupError  # undone, for the next one
    assert acts(five) == [Act.LOOKED] * 5


# Issuing --------------------------------------------------------------------------------------------------


def test_a_certificate_with_errors_stays_out_with_all_of_them_named(shelf: Shelf) -> None:
    with pytest.raises(Refusal) as caught:
        issue(shelf.library, certificate(status="?", holder="?", identifier="no"), now=NOW)
    assert caught.value.reason is Reason.BODY_INVALID
    assert str(caught.value.detail).count(";") == 2
    assert acts(shelf.library.engine) == []


def test_a_certificate_is_never_written_over(shelf: Shelf, held: Certificate) -> None:
    again = replace(held, authority="另一登记处")
    assert reason_of(lambda: issue(shelf.library, again, now=NOW)) is Reason.STATE_FORBIDS
    foreign = certificate(handle=new_handle("34"))
    assert reason_of(lambda: issue(shelf.library, foreign, now=NOW)) is Reason.WRONG_PROVINCE
    (holding,) = shelf.held(INDEX).certificates
    assert holding.authority == held.authority


def test_a_status_changes_once_and_is_in_the_ledger(shelf: Shelf, held: Certificate) -> None:
    for _ in range(2):
        set_status(shelf.library, held.handle, "ANNULLED", now=NOW)
    assert acts(shelf.library.engine) == [Act.ISSUED, Act.ISSUED]
    (holding,) = shelf.held(INDEX).certificates
    assert (holding.status, holding.status_as_of) == ("ANNULLED", "2026-03-02T01:02:03Z")
    unknown = reason_of(lambda: set_status(shelf.library, new_handle(HERE), "VALID", now=NOW))
    assert unknown is Reason.CERTIFICATE_UNKNOWN
    assert reason_of(lambda: set_status(shelf.library, held.handle, "GONE", now=NOW)) is Reason.STATE_FORBIDS


def test_the_share_that_came_in_on_the_day_of_registration_is_counted_by_days_in_shanghai(shelf: Shelf) -> None:
    day = date(2026, 3, 2)
    registered = {"registration_date": day, "number": "J330106-2026-000001"}
    midnight = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)  # 00:00 in Shanghai
    for at in (
        midnight,
        midnight + timedelta(hours=1),
        midnight + timedelta(days=1) - SECOND,
        midnight + timedelta(days=1),
    ):
        issue(shelf.library, certificate(handle=new_handle(HERE), **registered), now=at)
    issue(shelf.library, certificate(), now=NOW)  # the old stock does not count
    found = issued_same_day(shelf.library, first=day, last=day)
    assert (found.registered, found.same_day) == (4, 3)
    assert issued_same_day(shelf.library, first=date(2026, 3, 3), last=day).registered == 0


# Holdings -------------------------------------------------------------------------------------------------


def test_a_holder_sees_their_own_certificates_masked_and_newest_first(shelf: Shelf, held: Certificate) -> None:
    issue(shelf.library, certificate(holder="wife"), now=NOW)
    later = certificate(registration_date=date(2020, 5, 20), number="J330106-2020-000456")
    issue(shelf.library, later, now=NOW)
    found = shelf.held(INDEX)
    assert [each.certificate for each in found.certificates] == [later.handle, held.handle]
    assert [each.number for each in found.certificates] == ["J******-****-**0456", "J******-****-**0123"]
    assert holdings_from(found.to_bytes()) == found
    assert acts(shelf.library.engine)[-1] is Act.LOOKED


def test_nobody_sees_more_certificates_than_an_answer_holds(shelf: Shelf) -> None:
    for _ in range(MOST + 1):
        issue(shelf.library, certificate(), now=NOW)
    assert len(shelf.held(INDEX).certificates) == MOST


def test_a_question_that_comes_twice_gets_the_same_bytes_and_is_one_look(shelf: Shelf, held: Certificate) -> None:
    question, other = shelf.question(INDEX), shelf.question(INDEX)

    def ask(which: Sealed, *, now: datetime = NOW) -> str:
        return shelf.library.holdings(which, shelf.inner.recipient, now=now)

    first = ask(question)
    set_status(shelf.library, held.handle, "VOID", now=NOW)  # the second look would see another library
    assert ask(question, now=NOW + 50 * SECOND) == first
    assert acts(shelf.library.engine).count(Act.LOOKED) == 1
    assert ask(other) != first
    assert acts(shelf.library.engine).count(Act.LOOKED) == 2


def test_a_question_that_comes_many_times_at_once_is_one_look(shelf: Shelf, held: Certificate) -> None:
    """The primary key decides; whoever loses gives out the winner's answer."""
    question, start = shelf.question(INDEX), Barrier(THREADS)

    def ask(_: int) -> str:
        start.wait(timeout=30)
        return shelf.library.holdings(question, shelf.inner.recipient, now=NOW)

    with ThreadPoolExecutor(THREADS) as pool:
        assert len(set(pool.map(ask, range(THREADS)))) == 1
    assert acts(shelf.library.engine).count(Act.LOOKED) == 1


def test_an_answer_without_its_entry_in_the_ledger_does_not_exist(
    shelf: Shelf, held: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = shelf.question(INDEX)

    def silent(*_: Any, **__: Any) -> None:
        raise Unavailable(Reason.STORE_UNAVAILABLE, what="database")

    with monkeypatch.context() as broken, pytest.raises(Unavailable):
        broken.setattr("verifier.library.register.append", silent)
        shelf.library.holdings(question, shelf.inner.recipient, now=NOW)
    assert kept_answers(shelf) == []
    answer = shelf.library.holdings(question, shelf.inner.recipient, now=NOW)
    assert kept_answers(shelf) == [(question.digest, answer)]
    assert acts(shelf.library.engine).count(Act.LOOKED) == 1


def test_an_answer_is_forgotten_when_nobody_can_ask_for_it_any_more(shelf: Shelf) -> None:
    old, later = shelf.question(INDEX), NOW + timedelta(seconds=121)
    shelf.library.holdings(old, shelf.inner.recipient, now=NOW)
    for at, left in ((later - 2 * SECOND, 2), (later, 2)):  # at `later` the old one goes, and a new one comes
        shelf.library.holdings(shelf.question(INDEX, now=at), shelf.inner.recipient, now=at)
        assert len(kept_answers(shelf)) == left
    assert old.digest not in dict(kept_answers(shelf))


def kept_answers(shelf: Shelf) -> list[tuple[str, str]]:
    """What the library keeps for questions that come again."""
    with reading(shelf.library.engine) as conn:
        return [(row.question, row.answer) for row in conn.execute(select(tables.answers))]


def test_a_paper_file_under_an_old_number_is_found_under_the_new_one(shelf: Shelf) -> None:
    born_1958 = synthetic_id("310199", date(1958, 3, 4), 701)
    old = born_1958[:6] + born_1958[8:17]
    for number in (old, old, born_1958):
        note_paper_file(shelf.library, number, now=NOW)
    found = shelf.held(holder_index(born_1958, INDEX_KEY))
    assert (found.certificates, found.undigitised) == ((), True)
    assert not shelf.held(INDEX).undigitised
    for wrong in ("", "31019958030470", "310199199001010019"):
        with pytest.raises(Refusal) as caught:
            note_paper_file(shelf.library, wrong, now=NOW)
        assert caught.value.reason is Reason.ID_NUMBER_MALFORMED


# L1 -------------------------------------------------------------------------------------------------------


def test_the_desk_gets_the_allowed_fields_and_the_library_a_receipt(shelf: Shelf, held: Certificate) -> None:
    visit = shelf.visit(held)
    copy = shelf.release(visit)
    body = shelf.body(visit, copy)
    assert [(each.name, each.disclosure) for each in body.fields] == [(each.name, each.disclosure) for each in SOME]
    assert (body.status, body.status_as_of) == ("VALID", "2026-03-02T01:02:03Z")
    (row,) = shelf.spends()
    assert (row.state, row.copy, row.certificate) == ("SPENT", copy, held.handle)
    receipt = open_receipt(row.receipt, shelf.ring, side="library", now=NOW).claims
    assert (receipt["req"], receipt["copy"]) == (visit.request.digest, signed_digest(copy))
    with reading(shelf.library.engine) as conn:
        lines = list(entries(conn, tables.ledger))
    assert receipt["ledger"] == {"position": 2, "entry": lines[-1].digest}
    assert [line.act for line in lines] == [Act.ISSUED, Act.SPENT]


def test_a_retry_gets_the_same_bytes(shelf: Shelf, held: Certificate) -> None:
    visit = shelf.visit(held)
    copy = shelf.release(visit)
    assert shelf.release(visit, now=NOW + SECOND) == copy
    shelf.library.acknowledge(visit.consent.issuer, visit.consent.jti, now=NOW, receipt="a.b.c")
    assert shelf.release(visit, now=NOW + SECOND) == copy
    assert acts(shelf.library.engine).count(Act.SPENT) == 1


def test_a_consent_serves_one_request_and_no_other(shelf: Shelf, held: Certificate) -> None:
    visit = shelf.visit(held)
    copy = shelf.release(visit)
    other = shelf.ask("marriage", new_envelope_key())
    assert reason_of(lambda: shelf.release(visit, request=other)) is Reason.CONSENT_SPENT
    assert shelf.release(visit) == copy


def test_another_provinces_consent_with_the_same_id_is_another_consent(shelf: Shelf, held: Certificate) -> None:
    visit = shelf.visit(held)
    shelf.release(visit)
    sealed = visit.consent.sealed
    other = replace(visit.consent, sealed=replace(sealed, key=replace(sealed.key, issuer="34")))
    shelf.library.withdraw(visit.request, other, now=NOW)
    assert sorted((row.consent_issuer, row.state) for row in shelf.spends()) == [("31", "SPENT"), ("34", "WITHDRAWN")]


def test_only_the_holders_own_certificate_is_given(shelf: Shelf, held: Certificate) -> None:
    other_dot = Party(name="测试•甲", id_number=HUSBAND.id_number)  # the same name, written by another keyboard
    for person in (HUSBAND, other_dot):
        assert shelf.release(shelf.visit(held, person=person))
    for person in (
        Party(name="测试·乙", id_number=HUSBAND.id_number),
        Party(name=HUSBAND.name, id_number=WIFE.id_number),
        WIFE,  # a spouse's consent does not unlock the other spouse's certificate
    ):
        visit = shelf.visit(held, person=person)
        assert reason_of(partial(shelf.release, visit)) is Reason.HOLDER_MISMATCH
    assert len(shelf.spends()) == 2


def test_what_is_refused_leaves_the_consent_unspent(shelf: Shelf, held: Certificate) -> None:
    missing = shelf.visit(certificate())
    assert reason_of(lambda: shelf.release(missing)) is Reason.NOT_FOUND
    other = shelf.visit(held, type_="divorce")
    assert reason_of(lambda: shelf.release(other)) is Reason.CERTIFICATE_TYPE_NOT_ALLOWED
    visit = shelf.visit(held)
    plain = fields(other_party_id="PLAIN")
    assert reason_of(lambda: shelf.release(visit, plain)) is Reason.FIELD_NOT_ALLOWED
    assert shelf.spends() == []
    assert acts(shelf.library.engine) == [Act.ISSUED]
    assert shelf.release(visit)


INVALID = [each for each in STATUSES if each != "VALID"]


def test_the_copy_of_a_certificate_that_is_not_valid_says_so_and_nothing_else(shelf: Shelf) -> None:
    for status in INVALID:
        it = certificate(status=status)
        issue(shelf.library, it, now=NOW)
        visit = shelf.visit(it)
        body = shelf.body(visit, shelf.release(visit))
        assert (body.status, body.fields) == (status, ())


def test_a_retry_after_the_certificate_has_lost_its_validity_is_refused(shelf: Shelf, held: Certificate) -> None:
    for status in INVALID:
        visit = shelf.visit(held)
        copy = shelf.release(visit)
        set_status(shelf.library, held.handle, status, now=NOW + SECOND)
        with pytest.raises(Refusal) as caught:
            shelf.release(visit, now=NOW + 2 * SECOND)
        assert caught.value.reason is Reason.CERTIFICATE_NOT_VALID
        assert caught.value.facts == {"status": status, "as_of": "2026-03-02T01:02:05Z"}
        set_status(shelf.library, held.handle, "VALID", now=NOW + 3 * SECOND)
        assert shelf.release(visit, now=NOW + 4 * SECOND) == copy


def test_a_retry_after_a_suspension_ended_still_gets_the_bytes_that_name_their_own_time(shelf: Shelf) -> None:
    it = certificate(status="SUSPENDED")
    issue(shelf.library, it, now=NOW)
    visit = shelf.visit(it)
    copy = shelf.release(visit)
    set_status(shelf.library, it.handle, "VALID", now=NOW + SECOND)
    assert shelf.release(visit, now=NOW + SECOND) == copy
    set_status(shelf.library, it.handle, "VOID", now=NOW + SECOND)
    assert reason_of(lambda: shelf.release(visit)) is Reason.CERTIFICATE_NOT_VALID


# Withdrawal and acknowledgement ---------------------------------------------------------------------------


def test_a_withdrawn_consent_releases_nothing(shelf: Shelf, held: Certificate) -> None:
    visit = shelf.visit(held)
    shelf.withdraw(visit)
    shelf.withdraw(visit)
    assert reason_of(lambda: shelf.release(visit)) is Reason.WITHDRAWN
    assert acts(shelf.library.engine) == [Act.ISSUED, Act.WITHDRAWN]
    (row,) = shelf.spends()
    receipt = open_receipt(row.receipt, shelf.ring, side="library", now=NOW).claims
    assert (receipt["req"], receipt["consent"]) == (visit.request.digest, visit.consent.sealed.digest)
    assert (receipt["copy"], receipt["reason"]) == (None, Reason.WITHDRAWN)


def test_a_spent_consent_can_no_longer_be_withdrawn(shelf: Shelf, held: Certificate) -> None:
    visit = shelf.visit(held)
    copy = shelf.release(visit)
    assert reason_of(lambda: shelf.withdraw(visit)) is Reason.CONSENT_SPENT
    shelf.library.acknowledge(visit.consent.issuer, visit.consent.jti, now=NOW, receipt="a.b.c")
    assert reason_of(lambda: shelf.withdraw(visit)) is Reason.CONSENT_SPENT
    assert shelf.release(visit) == copy


def test_a_delivery_is_acknowledged_once(shelf: Shelf, held: Certificate) -> None:
    visit = shelf.visit(held)
    shelf.release(visit)
    for receipt in ("first.receipt.x", "second.receipt.x"):
        shelf.library.acknowledge(visit.consent.issuer, visit.consent.jti, now=NOW, receipt=receipt)
    (row,) = shelf.spends()
    assert (row.state, row.unit_receipt) == ("DELIVERED", "first.receipt.x")
    assert acts(shelf.library.engine).count(Act.DELIVERED) == 1


def test_nothing_is_acknowledged_that_was_not_released(shelf: Shelf, held: Certificate) -> None:
    visit = shelf.visit(held)

    def acknowledge() -> None:
        shelf.library.acknowledge(visit.consent.issuer, visit.consent.jti, now=NOW, receipt="a.b.c")

    assert reason_of(acknowledge) is Reason.CONSENT_UNKNOWN
    shelf.withdraw(visit)
    assert reason_of(acknowledge) is Reason.CONSENT_UNKNOWN
    (row,) = shelf.spends()
    assert row.state == "WITHDRAWN"


# Personal data at rest ------------------------------------------------------------------------------------


def _everything(engine: Engine) -> str:
    with reading(engine) as conn:
        return "\n".join(str(row) for table in tables.metadata.sorted_tables for row in conn.execute(select(table)))


def test_neither_names_nor_numbers_lie_open_in_the_database(shelf: Shelf, held: Certificate, tmp_path: Path) -> None:
    """A canary: every act of the library is done, then its tables and its very files are searched."""
    note_paper_file(shelf.library, WIFE.id_number, now=NOW)
    shelf.held(INDEX)
    visit, other = shelf.visit(held), shelf.visit(held)
    shelf.release(visit)
    shelf.library.acknowledge(visit.consent.issuer, visit.consent.jti, now=NOW, receipt="a.b.c")
    shelf.withdraw(other)
    reason_of(lambda: shelf.release(shelf.visit(held, person=WIFE)))
    set_status(shelf.library, held.handle, "VOID", now=NOW)
    rows = _everything(shelf.library.engine)
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("library-33.db*"))
    assert held.handle in rows  # the search does find what is there
    assert not raw or held.handle.encode() in raw
    for canary in (
        HUSBAND.id_number,
        WIFE.id_number,
        HUSBAND.name,
        WIFE.name,
        held.number,
        held.identifier,
        INDEX_KEY.hex(),
    ):
        assert canary not in rows
        assert canary.encode() not in raw


def test_a_face_that_was_moved_to_another_row_does_not_open_there(shelf: Shelf, held: Certificate) -> None:
    other = certificate(holder="wife")
    issue(shelf.library, other, now=NOW)
    c = tables.certificates.c
    with writing(shelf.library.engine) as conn:
        face = conn.execute(select(c.face).where(c.handle == held.handle)).scalar_one()
        conn.execute(update(tables.certificates).where(c.handle == other.handle).values(face=face))
    with pytest.raises(Unavailable):
        shelf.release(shelf.visit(other, person=WIFE))
    assert shelf.spends() == []


def test_a_library_with_another_data_key_is_silent_and_spends_nothing(shelf: Shelf, held: Certificate) -> None:
    wrong = replace(shelf, library=replace(shelf.library, vault=Vault(DATA_KEY[::-1])))
    visit = shelf.visit(held)
    with pytest.raises(Unavailable):
        wrong.release(visit)
    assert shelf.release(visit)


# Races ----------------------------------------------------------------------------------------------------


def _outcome(call: Callable[[], object]) -> str:
    """What came of it, as a word: a copy's digest, a reason, or "done"."""
    try:
        found = call()
    except Refusal as no:
        return no.reason
    return "done" if found is None else signed_digest(str(found))


def _at_once(calls: list[Callable[[], object]]) -> list[str]:
    """Start all together; what came of each, in order."""
    gate = Barrier(len(calls))

    def run(call: Callable[[], object]) -> str:
        gate.wait(timeout=30)
        return _outcome(call)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_of_many_requests_at_once_one_gets_the_copy(shelf: Shelf, held: Certificate) -> None:
    for _ in range(count(20, 3)):
        visit = shelf.visit(held)
        asked = [visit.request, *(shelf.ask("marriage", new_envelope_key()) for _ in range(THREADS - 1))]
        found = _at_once([partial(shelf.release, visit, request=request) for request in asked])
        assert found.count(Reason.CONSENT_SPENT) == THREADS - 1
        (row,) = (row for row in shelf.spends() if row.jti == visit.consent.jti)
        assert signed_digest(row.copy) in found
    assert acts(shelf.library.engine).count(Act.SPENT) == len(shelf.spends())


def test_one_request_sent_many_times_at_once_gets_one_answer(shelf: Shelf, held: Certificate) -> None:
    for _ in range(count(20, 3)):
        visit = shelf.visit(held)
        assert len(set(_at_once([partial(shelf.release, visit)] * THREADS))) == 1
    assert acts(shelf.library.engine).count(Act.SPENT) == len(shelf.spends())


def test_withdrawal_and_release_never_both(shelf: Shelf, held: Certificate) -> None:
    for _ in range(count(60, 8)):
        visit = shelf.visit(held)
        gone, copy = _at_once([partial(shelf.withdraw, visit), partial(shelf.release, visit)])
        (row,) = (row for row in shelf.spends() if row.jti == visit.consent.jti)
        if gone == "done":
            assert (copy, row.state, row.copy) == (Reason.WITHDRAWN, "WITHDRAWN", None)
        else:
            assert (gone, copy, row.state) == (Reason.CONSENT_SPENT, signed_digest(row.copy), "SPENT")
    written = acts(shelf.library.engine)
    assert written.count(Act.SPENT) + written.count(Act.WITHDRAWN) == len(shelf.spends())


def test_a_copy_never_calls_valid_what_the_ledger_had_ended_before(shelf: Shelf) -> None:
    """The status in the copy and the order in the ledger agree, whoever was first."""
    for _ in range(count(40, 6)):
        it = certificate()
        issue(shelf.library, it, now=NOW)
        visit = shelf.visit(it)
        void = partial(set_status, shelf.library, it.handle, "VOID", now=NOW)
        _at_once([void, partial(shelf.release, visit)])
        (row,) = (row for row in shelf.spends() if row.jti == visit.consent.jti)
        with reading(shelf.library.engine) as conn:
            ending = [line.act for line in entries(conn, tables.ledger)][-2:]
        assert (row.status == "VALID") == (ending == [Act.SPENT, Act.ISSUED])


def test_an_acknowledgement_sent_many_times_at_once_is_one(shelf: Shelf, held: Certificate) -> None:
    visit = shelf.visit(held)
    shelf.release(visit)

    def acknowledge() -> None:
        shelf.library.acknowledge(visit.consent.issuer, visit.consent.jti, now=NOW, receipt="a.b.c")

    assert _at_once([acknowledge] * THREADS) == ["done"] * THREADS
    assert acts(shelf.library.engine).count(Act.DELIVERED) == 1


_starting_gun: Any = None


def _take_gun(gun: Any) -> None:
    global _starting_gun  # how a pool hands a barrier to its processes
    _starting_gun = gun


def _race_in_a_process(folder: str, url: str, texts: list[tuple[str, str, str]], withdraws: bool) -> list[str]:
    """All visits, one after the other, together with the other process; each releases or withdraws."""
    shelf = open_shelf(Path(folder), url)
    found = []
    for each in texts:
        visit = reopened(shelf, each, HUSBAND)
        _starting_gun.wait(timeout=60)
        found.append(_outcome(partial(shelf.withdraw if withdraws else shelf.release, visit)))
    shelf.library.engine.dispose()
    return found


def _race(folder: Path, url: str, visits: list[Visit], *, withdraws: tuple[bool, bool]) -> list[list[str]]:
    gun = PROCESSES_OF_THEIR_OWN.Barrier(PROCESSES)
    texts = [visit.texts for visit in visits]
    with ProcessPoolExecutor(
        PROCESSES, mp_context=PROCESSES_OF_THEIR_OWN, initializer=_take_gun, initargs=(gun,)
    ) as pool:
        running = [pool.submit(_race_in_a_process, str(folder), url, texts, each) for each in withdraws]
        return [each.result(timeout=120) for each in running]


@pytest.mark.full
def test_two_processes_that_release_the_same_get_the_same(
    shelf: Shelf, held: Certificate, tmp_path: Path, url: str
) -> None:
    visits = [shelf.visit(held) for _ in range(count(100, 10))]
    one, other = _race(tmp_path, url, visits, withdraws=(False, False))
    assert one == other == [signed_digest(row.copy) for visit in visits for row in _rows_of(shelf, visit)]
    assert acts(shelf.library.engine).count(Act.SPENT) == len(visits)


@pytest.mark.full
def test_two_processes_withdraw_and_release_never_both(
    shelf: Shelf, held: Certificate, tmp_path: Path, url: str
) -> None:
    visits = [shelf.visit(held) for _ in range(count(100, 10))]
    gone, copies = _race(tmp_path, url, visits, withdraws=(True, False))
    for visit, went, copy in zip(visits, gone, copies, strict=True):
        (row,) = _rows_of(shelf, visit)
        if row.state == "WITHDRAWN":
            assert (went, copy) == ("done", Reason.WITHDRAWN)
        else:
            assert (went, copy) == (Reason.CONSENT_SPENT, signed_digest(row.copy))
    written = acts(shelf.library.engine)
    assert written.count(Act.SPENT) + written.count(Act.WITHDRAWN) == len(visits)


def _rows_of(shelf: Shelf, visit: Visit) -> list[Any]:
    return [row for row in shelf.spends() if row.jti == visit.consent.jti]


# Crashes --------------------------------------------------------------------------------------------------

_RELEASE = """
import sys
from pathlib import Path
from tests.shelf import HUSBAND, open_shelf, reopened
shelf = open_shelf(Path(sys.argv[1]), sys.argv[2])
shelf.release(reopened(shelf, tuple(sys.argv[3:6]), HUSBAND))
"""


@pytest.mark.parametrize(("point", "kept"), [("L1.before_commit", False), ("L1.after_commit", True)])
def test_a_library_killed_in_the_middle_has_spent_and_sealed_or_neither(
    shelf: Shelf, held: Certificate, tmp_path: Path, url: str, point: str, kept: bool
) -> None:
    visit = shelf.visit(held)
    environment = {**os.environ, "HUZHENG_FAILPOINT": f"{point}:kill", "HUZHENG_PROFILE": "sandbox"}
    died = subprocess.run(
        [sys.executable, "-c", _RELEASE, str(tmp_path), url, *visit.texts],
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    rows = shelf.spends()
    assert len(rows) == kept
    copy = shelf.release(visit)  # the desk asks again
    assert not kept or copy == rows[0].copy
    assert shelf.body(visit, copy).fields
    assert acts(shelf.library.engine) == [Act.ISSUED, Act.SPENT]


def test_a_fail_point_that_nobody_chose_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUZHENG_FAILPOINT", raising=False)
    reach("L1.before_commit")
    monkeypatch.setenv("HUZHENG_FAILPOINT", "C1.before_commit:kill")
    reach("L1.before_commit")
    monkeypatch.setenv("HUZHENG_FAILPOINT", "L1.before_commit")  # no word about killing
    reach("L1.before_commit")


@pytest.mark.parametrize("profile", [None, "live"])
def test_a_live_process_is_not_killed_by_a_variable(monkeypatch: pytest.MonkeyPatch, profile: str | None) -> None:
    monkeypatch.setenv("HUZHENG_FAILPOINT", "L1.before_commit:kill")
    if profile is None:
        monkeypatch.delenv("HUZHENG_PROFILE", raising=False)
    else:
        monkeypatch.setenv("HUZHENG_PROFILE", profile)
    assert reason_of(lambda: reach("L1.before_commit")) is Reason.FORBIDDEN


# The card route ---------------------------------------------------------------------------------------------


def test_however_many_come_at_once_without_a_phone_there_is_never_one_too_many(shelf: Shelf, held: Certificate) -> None:
    rush(shelf, held, left=2)

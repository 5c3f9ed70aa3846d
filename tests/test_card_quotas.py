"""A library gives no more on the card route than people can be served, whatever a desk's province says."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import insert

from consent.errors import Reason, Refusal
from consent.stores.base import reading, writing
from consent.stores.migrations import migrate
from scanner_kiosk.country.people import pair
from scanner_kiosk.visit import View
from tests.counter_without_phone import counter
from tests.country import Stage
from tests.shelf import DESK, NOW, SECOND, Shelf, Visit, certificate, make_keys, open_shelf
from verifier.library import quota
from verifier.library.certificate import Certificate
from verifier.library.evidence import AtCounter
from verifier.library.issuing import issue
from verifier.stores import library as tables

HERE, UNIT = AtCounter(second_officer=None), "11320000MB99991100"
ATTEMPTS = 6


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    make_keys(tmp_path)
    found = open_shelf(tmp_path, f"sqlite:///{tmp_path / 'library-33.db'}")
    migrate(found.library.engine, tables.OWNER)
    yield found
    found.library.engine.dispose()


@pytest.fixture
def held(shelf: Shelf) -> Certificate:
    it = certificate()
    issue(shelf.library, it, now=NOW)
    return it


def given(shelf: Shelf, visit: Visit, *, now: datetime = NOW) -> Reason | None:
    """Why this visit without a phone gets nothing; None: it got its copy."""
    try:
        shelf.release(visit, now=now, at_counter=HERE)
    except Refusal as no:
        return no.reason
    return None


def counted(shelf: Shelf) -> list[Any]:
    with reading(shelf.library.engine) as conn:
        return list(conn.execute(tables.card_fetches.select()).all())


def before(
    shelf: Shelf, n: int, *, window: str = "32-R1", unit: str = UNIT, at: datetime = NOW, desk: str = DESK
) -> None:
    """So many were given there before."""
    rows = [
        {
            "request_digest": f"{window}{unit}{desk}{number}{at:%d%H%M}"[-43:],
            "desk": desk,
            "window": window,
            "unit": unit,
            "at": at,
        }
        for number in range(n)
    ]
    with writing(shelf.library.engine) as conn:
        conn.execute(insert(tables.card_fetches), rows)


def test_a_copy_is_given_with_its_count_and_a_retry_is_not_counted_again(shelf: Shelf, held: Certificate) -> None:
    visit = shelf.visit(held)
    first = shelf.release(visit, at_counter=HERE)
    assert shelf.release(visit, at_counter=HERE) == first
    (row,) = counted(shelf)
    assert (row.request_digest, row.desk, row.window, row.unit) == (visit.request.digest, DESK, "32-R1", UNIT)


def test_a_visit_with_a_phone_is_not_counted(shelf: Shelf, held: Certificate) -> None:
    before(shelf, quota.WINDOW_IN_AN_HOUR)
    shelf.release(shelf.visit(held))
    assert len(counted(shelf)) == quota.WINDOW_IN_AN_HOUR


def test_a_window_gets_so_many_in_an_hour_and_then_waits(shelf: Shelf, held: Certificate) -> None:
    before(shelf, quota.WINDOW_IN_AN_HOUR - 1)
    assert given(shelf, shelf.visit(held)) is None
    refused = shelf.visit(held)
    assert given(shelf, refused) is Reason.QUOTA_EXHAUSTED
    assert len(counted(shelf)) == quota.WINDOW_IN_AN_HOUR
    assert [row.jti for row in shelf.spends() if row.jti == refused.consent.jti] == [], "a refused consent is not spent"
    assert given(shelf, shelf.visit(held, window="32-R2")) is None, "the next window has its own count"
    later = NOW + quota.HOUR - SECOND
    assert given(shelf, shelf.visit(held, now=later), now=later) is Reason.QUOTA_EXHAUSTED
    later = NOW + quota.HOUR
    assert given(shelf, shelf.visit(held, now=later), now=later) is None


def test_a_unit_gets_so_many_in_a_day_over_all_its_windows(shelf: Shelf, held: Certificate) -> None:
    share, early = quota.UNIT_IN_A_DAY // 6, NOW - timedelta(hours=20)
    for n in range(6):
        before(shelf, share, window=f"32-X{n}", at=early + timedelta(minutes=n))
    assert given(shelf, shelf.visit(held)) is Reason.QUOTA_EXHAUSTED
    assert given(shelf, shelf.visit(held, unit="12320000MB99991200", window="32-P1")) is None
    later = early + quota.DAY
    assert given(shelf, shelf.visit(held, now=later), now=later) is None, "the first twenty are a day old"


def test_another_provinces_window_of_the_same_name_has_its_own_count(shelf: Shelf, held: Certificate) -> None:
    before(shelf, quota.UNIT_IN_A_DAY, desk="34")
    assert given(shelf, shelf.visit(held)) is None


def test_one_request_opens_one_certificate_however_many_consents_a_province_seals(
    shelf: Shelf, held: Certificate
) -> None:
    """The evidence names a request and no person: a province that has been taken over could seal it to any number of them."""
    first = shelf.visit(held)
    other = shelf.agreed(first.request, held, person=held.own, answer_key=first.answer_key)
    assert given(shelf, first) is None
    assert given(shelf, other) is Reason.CONSENT_SPENT
    assert len(shelf.spends()) == 1


def test_the_count_is_forgotten_when_nothing_counts_it_any_more(shelf: Shelf, held: Certificate) -> None:
    before(shelf, 3, at=NOW - timedelta(days=3))
    assert given(shelf, shelf.visit(held)) is None
    assert len(counted(shelf)) == 1


def rush(shelf: Shelf, held: Certificate, *, left: int) -> None:
    """More come in one moment than are left: each gets a copy or a no, and never one too many a copy. On both databases, see
    test_library."""
    before(shelf, quota.WINDOW_IN_AN_HOUR - left)
    visits, start = [shelf.visit(held) for _ in range(ATTEMPTS)], Barrier(ATTEMPTS)

    def come(visit: Visit) -> Reason | None:
        start.wait(timeout=30)
        return given(shelf, visit)

    with ThreadPoolExecutor(ATTEMPTS) as pool:
        ends = list(pool.map(come, visits))
    assert sorted(map(str, ends)) == sorted(["None"] * left + ["QUOTA_EXHAUSTED"] * (ATTEMPTS - left))
    assert len(counted(shelf)) == quota.WINDOW_IN_AN_HOUR
    assert len(shelf.spends()) == left


def whole(stage: Stage) -> View:
    """A visit without a phone, as it should go."""
    at = counter(stage, pair("31", "33"))
    at.begin()
    return at.answer()


def test_at_the_counter_it_is_a_no_that_says_so_and_the_phone_still_works(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota, "WINDOW_IN_AN_HOUR", 1)
    assert whole(stage).state == "PASSED"
    view = whole(stage)
    assert (view.state, view.said.reason) == ("REFUSED", Reason.QUOTA_EXHAUSTED)
    assert view.said.next_en == "Use another way to authorise, or contact the authority"
    assert len(stage.rows("33", tables.card_fetches)) == len(stage.rows("33", tables.spends)) == 1
    assert stage.scene("31", "32", "33").whole().state == "PASSED"
    stage.books()

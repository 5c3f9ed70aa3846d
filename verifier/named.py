"""Showings that a counter named by a typed twin or a simple code: who may try, and which showing it is.

At the desk, for a twin (`begin`, `end`):
 1. the window has a try left: five in ten minutes, counted by the database before anything is sent
 2. when the answer comes, a try that found its showing is given back; one that did not stays, and is told

At the citizen's province, for both (`find_showing`), judged at the instant at which the desk sealed its request:
 1. the text is the one that the request is bound to
 2. a twin comes with the person at the counter, and its desk has tries left
 3. the name is known, alive, its showing open and unclaimed: otherwise CODE_EXPIRED, for all of these alike
Whoever finds the showing and then proves to be somebody else (HOLDER_MISMATCH) has failed like one who guessed.

A twin is bound to its request by the salt of the envelope beside it: a plain digest of ten digits would be read by trying
them all. Failures are log events (`twin_failed`, and `twin_locked` when no try is left) and totals on /metrics.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from consent.b64 import digest_of
from consent.code import Form, Name, read_name
from consent.errors import Reason, Refusal, Unavailable
from consent.request import Aside, Request
from consent.states import SHOWING
from consent.stores import handover, names
from consent.stores.base import attempt, reading
from consent.twin import NameKey
from verifier.office import Office
from verifier.stores import inner, tries

LOOKED_UP: Final = frozenset({Form.SIMPLE, Form.TWIN})
TRIES_OF_A_WINDOW: Final = 5
TRIES_OF_A_DESK: Final = 100  # at one citizen's province; a whole province's windows seldom mistype at once
FAILURES: Final = frozenset({Reason.CODE_EXPIRED, Reason.HOLDER_MISMATCH, Reason.TWIN_LOCKED})
_TRAVEL: Final = timedelta(seconds=60)  # as for codes, see `verifier.consents`
_DESK, _HOLDER = "desk", "holder"


def binding(name: Name, aside: Aside) -> str:
    """What a request says about the text that it came from."""
    return aside.commit("code", name.text) if name.form is Form.TWIN else digest_of(name.text.encode())


# At the desk ----------------------------------------------------------------------------------------------


def begin(conn: Connection, request: Request, *, now: datetime) -> None:
    """Take one of the window's tries, in the transaction that stores the request; Refusal(TWIN_LOCKED) where none is left."""
    whose = request.ask.window
    if not tries.take(conn, inner.tries, whose, request.digest, most=TRIES_OF_A_WINDOW, now=now):
        raise _locked(conn, whose, now=now)


def end(office: Office, request: Request, reason: Reason | None) -> None:
    """What became of a request; nothing for one that took no try."""
    whose = request.ask.window
    with reading(office.inner) as conn:
        if not tries.waits(conn, inner.tries, whose, request.digest):
            return
    if reason in FAILURES:
        _failed(office, request, side=_DESK, reason=reason)
    else:
        attempt(office.inner, lambda conn: tries.give_back(conn, inner.tries, whose, request.digest))


# At the citizen's province --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The showing that a text names. `number` is the slice, None where a name was looked up."""

    showing_id: str
    number: int | None
    form: Form

    def gone(self, reason: Reason) -> Reason:
        """Why it cannot be had (any more): of a code that may be said, of a name that is looked up nothing."""
        return reason if self.form in (Form.CODE, Form.APP) else Reason.CODE_EXPIRED


def find_showing(office: Office, request: Request, aside: Aside, text: str, *, now: datetime) -> Shown:
    """The showing that a name stands for, in the order above; Refusal CODE_MALFORMED, HOLDER_MATCH_MISSING,
    TWIN_LOCKED, CODE_EXPIRED."""
    name = read_name(text)
    if name.text != text or binding(name, aside) != request.ask.code:  # 1
        raise Refusal(Reason.CODE_MALFORMED, detail="not the name that the request is bound to")
    if name.province != office.province:
        raise Refusal(Reason.WRONG_PROVINCE, detail="a name of another province")
    if name.form is Form.TWIN:
        _may_try(office, request, aside, now=now)  # 2
    shown = _look_up(office, request, name, now=now)  # 3
    if shown is None:
        if name.form is Form.TWIN:
            _failed(office, request, side=_HOLDER, reason=Reason.CODE_EXPIRED)
        raise Refusal(Reason.CODE_EXPIRED, detail="no such name")
    if name.form is Form.TWIN:
        attempt(office.inner, lambda conn: tries.give_back(conn, inner.tries, _desk(request), request.digest))
    return shown


def claimed(office: Office, shown: Shown) -> None:
    """The showing is claimed. Its names are dead already, because a claim stands against them; now their rows go."""
    if shown.form in LOOKED_UP:
        attempt(office.handover, lambda conn: names.take_back(conn, handover.names, shown.showing_id))


def mismatched(office: Office, request: Request, shown: Shown, *, now: datetime) -> None:
    """The person at the counter is not the one of the phone: for a twin, one try less after all."""
    if shown.form is Form.TWIN:
        attempt(office.inner, lambda conn: _take(conn, request, now=now))
        _failed(office, request, side=_HOLDER, reason=Reason.HOLDER_MISMATCH)


def _may_try(office: Office, request: Request, aside: Aside, *, now: datetime) -> None:
    if aside.id_number is None:
        raise Refusal(Reason.HOLDER_MATCH_MISSING, detail="a twin without a person")

    def take(conn: Connection) -> None:
        if not _take(conn, request, now=now):
            raise _locked(conn, _desk(request), now=now)

    attempt(office.inner, take)


def _desk(request: Request) -> str:
    return f"desk {request.desk}"  # no window is called so: their ids have no blank


def _take(conn: Connection, request: Request, *, now: datetime) -> bool:
    return tries.take(conn, inner.tries, _desk(request), request.digest, most=TRIES_OF_A_DESK, now=now)


def _look_up(office: Office, request: Request, name: Name, *, now: datetime) -> Shown | None:
    judged_at = request.sealed.issued_at
    digest = NameKey(office.showing_key).digest(name.text)
    with reading(office.handover) as conn:
        found = names.look_up(conn, handover.names, digest, name.form)
        showing = None if found is None else handover.find(conn, found.showing_id)
    if found is None or showing is None or showing.state != SHOWING.start:
        return None
    if found.expires_at <= judged_at or now - judged_at > _TRAVEL:
        return None
    with reading(office.inner) as conn:
        if inner.find_claim(conn, found.showing_id) is not None:
            return None
    return Shown(showing_id=found.showing_id, number=None, form=name.form)


# Telling --------------------------------------------------------------------------------------------------


class FailedTries(Collector):
    """The totals as a metric. They stand in the store, so that all processes of a province tell the same."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def collect(self) -> Iterable[Metric]:
        """`huzheng_twin_failures_total` by side, unit and the other province; empty while the store is silent."""
        family = CounterMetricFamily(
            "huzheng_twin_failures", "Typed twins that named nobody's showing", labels=("side", "unit", "province")
        )
        try:
            with reading(self._office.inner) as conn:
                for side, unit, province, total in tries.totals(conn, inner.tries):
                    family.add_metric((side, unit, province), total)
        except Unavailable:
            return []  # /metrics has more to tell
        return [family]


def _failed(office: Office, request: Request, *, side: str, reason: Reason) -> None:
    ask, at_desk = request.ask, side == _DESK
    whose, most = (ask.window, TRIES_OF_A_WINDOW) if at_desk else (_desk(request), TRIES_OF_A_DESK)
    other = request.holder_province if at_desk else request.desk

    def fail(conn: Connection) -> int | None:
        return tries.fail(conn, inner.tries, whose, request.digest, side=side, unit=ask.unit, province=other)

    taken = attempt(office.inner, fail)
    if taken is None:
        return  # the same letter once more
    log = office.log.bind(side=side, unit=ask.unit, window=ask.window, other=other)
    log.warning("twin_failed", code=reason, request_id=request.id)
    if taken >= most:
        log.error("twin_locked", whose=whose)


def _locked(conn: Connection, whose: str, *, now: datetime) -> Refusal:
    free = tries.free_at(conn, inner.tries, whose) or now
    minutes = max(1, -((now - free) // timedelta(minutes=1)))
    return Refusal(Reason.TWIN_LOCKED, detail=f"{whose} has used its tries", n=minutes)

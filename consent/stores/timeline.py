"""The events of showings, as their readers see them: one showing's timeline, and everything of an app in one row.

Writers only insert (`handover.move`). They get no place in a common row, because whoever gave it to them would make all
of them wait for each other's commits. The place, `number`, is given afterwards to what has been committed:

1. Lock the one row of `event_numbers`; readers queue there, writers never do.
2. Take events without a number in the order of their ids.
3. Number them from the last number given, and remember the new last one.

An event that is committed later gets a higher number, so that a reader who asks for what comes after a number misses
nothing. The events of one showing come in the order of its versions: the next move waits for the commit of the one
before, and its event gets a higher id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Integer, Row, Select, Update, bindparam, select, update

from consent.errors import Reason, Unavailable
from consent.stores.handover import event_numbers, showing_events

AT_ONCE: Final = 500  # events that `number` numbers in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """A showing came to `state` at an instant. `number` is None while nobody has read on that far."""

    showing_id: str
    app: str
    version: int
    state: str
    reason: str | None
    at: datetime
    number: int | None


def of_showing(connection: Connection, showing_id: str) -> list[EventRow]:
    """Everything that happened to a showing, oldest first."""
    c = showing_events.c
    query = select(showing_events).where(c.showing_id == showing_id).order_by(c.version)
    return [_event(row) for row in connection.execute(query)]


def after(connection: Connection, app: str, number: int, *, limit: int) -> list[EventRow]:
    """Numbered events of an app with a higher number, lowest first."""
    c = showing_events.c
    query = select(showing_events).where(c.app == app, c.number > number).order_by(c.number).limit(limit)
    return [_event(row) for row in connection.execute(query)]


def waiting(connection: Connection) -> bool:
    """Whether there is an event without a number."""
    return connection.execute(_unnumbered(), {"most": 1}).first() is not None


def number(connection: Connection) -> list[EventRow]:
    """Number up to `AT_ONCE` events and return them, lowest first. Whoever must act on each event exactly once does so
    in this transaction."""
    last = connection.execute(_locking()).scalar_one_or_none()
    if last is None:
        raise Unavailable(Reason.STORE_UNAVAILABLE, what="database", detail="event_numbers is empty")
    rows: Sequence[Row[Any]] = connection.execute(_unnumbered(), {"most": AT_ONCE}).all()
    if not rows:
        return []
    places = [{"event": row.id, "place": last + n} for n, row in enumerate(rows, 1)]
    connection.execute(_numbering(), places)
    connection.execute(update(event_numbers).values(last=last + len(rows)))
    return [_event(row, number=last + n) for n, row in enumerate(rows, 1)]


@cache
def _locking() -> Select[Any]:
    return select(event_numbers.c.last).with_for_update()


@cache
def _unnumbered() -> Select[Any]:
    c = showing_events.c
    return select(showing_events).where(c.number.is_(None)).order_by(c.id).limit(bindparam("most", type_=Integer))


@cache
def _numbering() -> Update:
    c = showing_events.c
    return update(showing_events).where(c.id == bindparam("event")).values(number=bindparam("place", type_=BigInteger))


def _event(row: Row[Any], **changed: Any) -> EventRow:
    found = {field.name: getattr(row, field.name) for field in fields(EventRow)}
    return EventRow(**found | changed)

"""Work that must be done at least once, kept as rows.

A row is put in the same transaction as the fact that causes it, so that neither exists without the other.
Workers *take* rows under a lease. A lease is no lock: it ends by time, so that the work of a worker that
died is taken by another.

    NEW ──take──▶ NEW, leased ──finish──▶ DONE
                     │  ├──again──▶ NEW, due later
                     │  └──park───▶ PARKED        somebody must look; the others flow on
                     └──lease ends──▶ NEW

A worker that slept past its lease (a paused machine) may wake while another does the same work. The number
of the attempt is its token: each `take` raises it, and `finish`, `again` and `park` change the row only
while it is still the worker's own. They say False to the late one, which then must not act on its result.

Work may be done twice, so whoever does it keys its effects; answers are written once. Rows hold references
and sealed documents, never a plain name or ID number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    CursorResult,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    Update,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from consent.stores.base import UtcDateTime, forgiving


class ItemState(StrEnum):
    """NEW waits or is being worked on, DONE has its answer, PARKED waits for a person."""

    NEW = "NEW"
    DONE = "DONE"
    PARKED = "PARKED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One leased row. `attempts` is 1 at the first take, and is the token of this lease.

    A worker that dies over a row never calls `again`; therefore look at `attempts` first and park a row
    that killed too many.
    """

    id: int
    kind: str
    ref: str
    body: Mapping[str, Any]
    attempts: int
    created_at: datetime
    lease_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a row ended: DONE with `text` (whatever was given to `finish`), or PARKED with `error`."""

    state: ItemState
    text: str | None
    error: str | None
    at: datetime


@cache
def _free(table: Table) -> Select[Any]:
    """The ids that may be leased at `:now`. Workers ask this all day long, so the statement is built once."""
    now = bindparam("now", type_=UtcDateTime)
    c = table.c
    return select(c.id).where(
        c.state == ItemState.NEW, c.due_at <= now, or_(c.lease_until.is_(None), c.lease_until <= now)
    )


@cache
def _one_free(table: Table) -> Select[Any]:
    """Any one of them."""
    return _free(table).limit(1)


@cache
def _taking(table: Table) -> ReturningUpdate[Any]:
    """Lease `:most` of them until `:lease`."""
    free = (
        _free(table)
        .order_by(table.c.due_at, table.c.id)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
        # A CTE is evaluated once. As a plain subquery PostgreSQL may run it again and lock more than `:most` rows.
        .cte("free")
    )
    return (
        update(table)
        .where(table.c.id.in_(select(free.c.id)))
        .values(lease_until=bindparam("lease", type_=UtcDateTime), attempts=table.c.attempts + 1)
        .returning(table)
    )


@cache
def _putting(table: Table, dialect: str) -> ReturningInsert[Any]:
    """Add one row, unless its `once_key` is there; a row without one never is."""
    return forgiving(dialect, insert(table), table.c.once_key).returning(table.c.id)


@cache
def _changing(table: Table, columns: tuple[str, ...]) -> Update:
    """Set these columns to `:to_…` while the row is still the worker's own."""
    c = table.c
    own = (c.id == bindparam("item"), c.state == ItemState.NEW, c.attempts == bindparam("token"))
    return update(table).where(*own).values({c[name]: bindparam(f"to_{name}", type_=c[name].type) for name in columns})


def queue_table(name: str, metadata: MetaData) -> Table:
    """A queue called `name`. The owner's migration must make the same table."""
    return Table(
        name,
        metadata,
        # SQLite counts only "INTEGER PRIMARY KEY" by itself; AUTOINCREMENT keeps it from giving a number
        # twice.
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("kind", String(64), nullable=False),
        Column("ref", String(200), nullable=False),
        Column("body", Text, nullable=False),
        Column("state", String(8), nullable=False),
        Column("created_at", UtcDateTime, nullable=False),
        Column("due_at", UtcDateTime, nullable=False),
        Column("lease_until", UtcDateTime, nullable=True),
        Column("attempts", Integer, nullable=False),
        Column("answer", Text, nullable=True),
        Column("error", Text, nullable=True),
        Column("answered_at", UtcDateTime, nullable=True),
        Column("once_key", String(200), nullable=True),
        CheckConstraint("state IN ('NEW', 'DONE', 'PARKED')", name=f"ck_{name}_state"),
        Index(f"uq_{name}_once_key", "once_key", unique=True),
        Index(f"ix_{name}_due", "state", "due_at", "id"),
        Index(f"ix_{name}_ref", "ref"),
        sqlite_autoincrement=True,
    )


def put(
    connection: Connection,
    table: Table,
    *,
    kind: str,
    ref: str,
    body: Mapping[str, Any],
    now: datetime,
    once_key: str | None = None,
    due_at: datetime | None = None,
) -> int | None:
    """Add one row, due at once unless `due_at` says later, and return its id.

    None when `once_key` was put before, whatever became of that row: find it with `put_before`.
    """
    row = {
        "kind": kind,
        "ref": ref,
        "body": json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        "state": ItemState.NEW,
        "created_at": now,
        "due_at": due_at or now,
        "attempts": 0,
        "once_key": once_key,
    }
    return connection.execute(_putting(table, connection.dialect.name), row).scalar_one_or_none()


def put_before(connection: Connection, table: Table, once_key: str) -> int | None:
    """The id of the row that was put under `once_key`."""
    return connection.execute(select(table.c.id).where(table.c.once_key == once_key)).scalar_one_or_none()


def take(connection: Connection, table: Table, *, now: datetime, lease: timedelta, limit: int) -> list[Item]:
    """Lease up to `limit` due rows until `now + lease`, the longest due first.

    Workers that take at the same time get different rows and never wait for each other (PostgreSQL: SKIP
    LOCKED; SQLite has one writer at a time). The caller commits before it starts to work.
    """
    values = {"now": now, "lease": now + lease, "most": limit}
    rows = connection.execute(_taking(table), values).all()
    return [
        Item(
            id=row.id,
            kind=row.kind,
            ref=row.ref,
            body=json.loads(row.body),
            attempts=row.attempts,
            created_at=row.created_at,
            lease_until=row.lease_until,
        )
        for row in sorted(rows, key=lambda row: (row.due_at, row.id))
    ]


def due(connection: Connection, table: Table, *, now: datetime) -> bool:
    """Whether there is a row that `take` would lease now."""
    return connection.execute(_one_free(table), {"now": now}).first() is not None


def finish(connection: Connection, table: Table, item: Item, *, now: datetime, answer: str | None = None) -> bool:
    """The work is done, with `answer` for whoever waits. False when the row is no longer this worker's."""
    return settle(connection, table, item.id, item.attempts, now=now, answer=answer)


def settle(
    connection: Connection, table: Table, item: int, attempts: int, *, now: datetime, answer: str | None
) -> bool:
    """`finish` for somebody who knows only the row's number and the token of its lease."""
    columns = {"state": ItemState.DONE, "answer": answer, "error": None, "answered_at": now}
    return _change(connection, table, item, attempts, **columns)


def again(connection: Connection, table: Table, item: Item, *, due_at: datetime, error: str) -> bool:
    """Not this time; due again at `due_at`. False when the row is no longer this worker's."""
    return _change(connection, table, item.id, item.attempts, due_at=due_at, lease_until=None, error=error)


def park(connection: Connection, table: Table, item: Item, *, now: datetime, error: str) -> bool:
    """Give up; a person must look. False when the row is no longer this worker's."""
    return _change(connection, table, item.id, item.attempts, state=ItemState.PARKED, error=error, answered_at=now)


def answer_of(connection: Connection, table: Table, item_id: int) -> Answer | None:
    """How the row ended; None while it has not, and for an id that was never given."""
    c = table.c
    row = connection.execute(
        select(c.state, c.answer, c.error, c.answered_at).where(c.id == item_id, c.state != ItemState.NEW)
    ).one_or_none()
    if row is None:
        return None
    return Answer(state=ItemState(row.state), text=row.answer, error=row.error, at=row.answered_at)


def asked(connection: Connection, table: Table, kind: str, ref: str) -> dict[int, tuple[ItemState, Mapping[str, Any]]]:
    """State and body of every row of this kind and ref."""
    c = table.c
    rows = connection.execute(select(c.id, c.state, c.body).where(c.kind == kind, c.ref == ref)).all()
    return {row.id: (ItemState(row.state), json.loads(row.body)) for row in rows}


def amend(connection: Connection, table: Table, item_id: int, answer: str) -> None:
    """Another answer for a row that is done: what it said first has turned out otherwise."""
    done = (table.c.id == item_id, table.c.state == ItemState.DONE)
    connection.execute(update(table).where(*done).values(answer=answer))


def counts(connection: Connection, table: Table) -> dict[ItemState, int]:
    """How many rows are in each state, for the health page."""
    rows = connection.execute(select(table.c.state, func.count()).group_by(table.c.state)).all()
    found = {ItemState(state): int(n) for state, n in rows}
    return {state: found.get(state, 0) for state in ItemState}


def forget(connection: Connection, table: Table, *, answered_before: datetime) -> int:
    """Delete DONE rows answered before that instant and return how many. Parked ones stay."""
    done = delete(table).where(table.c.state == ItemState.DONE, table.c.answered_at < answered_before)
    return _count(connection.execute(done))


def _change(connection: Connection, table: Table, item: int, attempts: int, **columns: Any) -> bool:
    values = {"item": item, "token": attempts} | {f"to_{name}": value for name, value in columns.items()}
    return _count(connection.execute(_changing(table, tuple(columns)), values)) == 1


def _count(result: CursorResult[Any]) -> int:
    return result.rowcount

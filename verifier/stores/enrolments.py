"""Enrolments of windows' keys, part of the inner store. One row is one key from its first call to its end.

The device code is not here, only its digest: who reads the database cannot poll with it. Rows that ended before the key was
a window's are forgotten; a row that was a window's key stays, so that its kid is never anybody else's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from consent.states import Machine
from consent.stores.base import UtcDateTime, inserted


def enrolment_table(metadata: MetaData) -> Table:
    """Declare the table in the inner store's metadata; migration 0008 makes the same."""
    return Table(
        "enrolments",
        metadata,
        Column("device_digest", String(43), primary_key=True),
        Column("user_code", String(9), nullable=False, unique=True),
        Column("kid", String(43), nullable=False),
        Column("jwk", Text, nullable=False),
        Column("address", String(43), nullable=False),  # digest of where the call came from, for the limit alone
        Column("state", String(16), nullable=False),
        Column("unit", String(18), nullable=True),
        Column("window", String(64), nullable=True),
        Column("interval_s", Integer, nullable=False),
        Column("next_poll_at", UtcDateTime, nullable=False),
        Column("asked_at", UtcDateTime, nullable=False),
        Column("expires_at", UtcDateTime, nullable=False),
        Index("ix_enrolments_kid", "kid", "state"),
        Index("ix_enrolments_state", "state", "expires_at"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRow:
    """One row, as it stood when it was read."""

    device_digest: str
    user_code: str
    kid: str
    jwk: str
    address: str
    state: str
    unit: str | None
    window: str | None
    interval_s: int
    next_poll_at: datetime
    asked_at: datetime
    expires_at: datetime


def add(conn: Connection, table: Table, row: EnrolmentRow) -> bool:
    """Whether the row went in; False when the user code is taken."""
    return inserted(conn, insert(table).values({each.name: getattr(row, each.name) for each in fields(row)}))


def of_device(conn: Connection, table: Table, device_digest: str) -> EnrolmentRow | None:
    """The enrolment of a device code, locked until this transaction ends."""
    return _one(conn, select(table).where(table.c.device_digest == device_digest).with_for_update())


def of_user_code(conn: Connection, table: Table, user_code: str) -> EnrolmentRow | None:
    """The enrolment that an administrator names."""
    return _one(conn, select(table).where(table.c.user_code == user_code))


def enrolled(conn: Connection, table: Table, kid: str, *, state: str) -> EnrolmentRow | None:
    """The newest enrolment of a key in this state."""
    c = table.c
    query = select(table).where(c.kid == kid, c.state == state).order_by(c.asked_at.desc()).limit(1)
    return _one(conn, query)


def of_window(conn: Connection, table: Table, window: str, *, states: Collection[str]) -> list[EnrolmentRow]:
    """The enrolments of a window in these states."""
    query = select(table).where(table.c.window == window, table.c.state.in_(sorted(states)))
    return [EnrolmentRow(**row._mapping) for row in conn.execute(query)]


def every(conn: Connection, table: Table) -> list[EnrolmentRow]:
    """All of them, the oldest first."""
    return [EnrolmentRow(**row._mapping) for row in conn.execute(select(table).order_by(table.c.asked_at))]


def waiting(conn: Connection, table: Table, *, state: str, address: str, now: datetime) -> tuple[int, int]:
    """How many wait for an administrator, and how many of them came from this address."""
    c, count = table.c, func.count()
    query = select(count, count.filter(c.address == address)).where(c.state == state, c.expires_at > now)
    whole, own = conn.execute(query).one()
    return whole, own


def move(conn: Connection, table: Table, device_digest: str, machine: Machine, event: str, **columns: Any) -> bool:
    """Move by an event of its table, together with other columns; one conditional UPDATE."""
    c = table.c
    mine = update(table).where(c.device_digest == device_digest, c.state.in_(sorted(machine.sources(event))))
    return conn.execute(mine.values(state=machine.target(event), **columns)).rowcount == 1


def polled(conn: Connection, table: Table, device_digest: str, *, next_poll_at: datetime, interval_s: int) -> None:
    """When the kiosk may ask again."""
    mine = update(table).where(table.c.device_digest == device_digest)
    conn.execute(mine.values(next_poll_at=next_poll_at, interval_s=interval_s))


def forget(conn: Connection, table: Table, *, states: Collection[str], expired_before: datetime) -> int:
    """Delete those in these states whose time is over; returns how many."""
    c = table.c
    return conn.execute(delete(table).where(c.state.in_(sorted(states)), c.expires_at < expired_before)).rowcount


def _one(conn: Connection, query: Any) -> EnrolmentRow | None:
    row = conn.execute(query).one_or_none()
    return None if row is None else EnrolmentRow(**row._mapping)

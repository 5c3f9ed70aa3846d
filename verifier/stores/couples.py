"""Couples: the two requests of one visit, part of the inner store.

`slot` is 1 or 2 and part of the primary key: the database itself lets no third person in. `own` and `other` are HMACs of the
two ID numbers, so that the second request can be compared with the first, crosswise, without keeping either number.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, delete, insert, select

from consent.stores.base import UtcDateTime, inserted


def couple_table(metadata: MetaData) -> Table:
    """Declare the table in the inner store's metadata; migration 0006 makes the same."""
    return Table(
        "couples",
        metadata,
        Column("window", String(64), primary_key=True),
        Column("couple", String(22), primary_key=True),
        Column("slot", Integer, primary_key=True, autoincrement=False),
        Column("request_digest", String(43), nullable=False, unique=True),
        Column("own", String(43), nullable=False),
        Column("other", String(43), nullable=False),
        Column("at", UtcDateTime, nullable=False),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """One of the two."""

    window: str
    couple: str
    slot: int
    request_digest: str
    own: str
    other: str
    at: datetime


def add(conn: Connection, table: Table, half: Half) -> bool:
    """Whether the slot was free."""
    return inserted(conn, insert(table).values({each.name: getattr(half, each.name) for each in fields(half)}))


def halves(conn: Connection, table: Table, window: str, couple: str) -> list[Half]:
    """One or two, by slot; locked, so that whoever comes second waits and then sees the first."""
    c = table.c
    query = select(table).where(c.window == window, c.couple == couple).order_by(c.slot).with_for_update()
    return [Half(**row._mapping) for row in conn.execute(query)]


def half_of(conn: Connection, table: Table, request_digest: str) -> Half | None:
    """The half that a request is; None for a visit of one person."""
    row = conn.execute(select(table).where(table.c.request_digest == request_digest)).one_or_none()
    return None if row is None else Half(**row._mapping)


def forget(conn: Connection, table: Table, *, before: datetime) -> int:
    """Delete old rows; returns how many."""
    return conn.execute(delete(table).where(table.c.at < before)).rowcount

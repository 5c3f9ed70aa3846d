"""The ledger's tables, and the one way to write them: append.

`head` is a single row that every writer locks first, so that writers queue up (SQLite's BEGIN IMMEDIATE has done it
already). Should two ever get past it, `previous` is unique: the database itself refuses a fork. There is no UPDATE and no
DELETE of entries anywhere, and in production the role that serves has no right to either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Insert,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    Update,
    bindparam,
    insert,
    select,
    update,
)

from consent.errors import Reason, Refusal
from consent.ledger import Act, Entry, following
from consent.receipt import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTables:
    """The two tables of one ledger."""

    entries: Table
    head: Table


def ledger_tables(metadata: MetaData) -> LedgerTables:
    """Declare a ledger in an owner's metadata; its migration must make the same tables and the head's one row."""
    entries = Table(
        "ledger",
        metadata,
        Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
        Column("previous", String(43), nullable=False, unique=True),  # the database refuses a fork
        Column("digest", String(43), nullable=False, unique=True),
        Column("at", String(20), nullable=False),
        Column("act", String(16), nullable=False),
        Column("body", Text, nullable=False),
    )
    head = Table(
        "ledger_head",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("position", BigInteger, nullable=False),
        Column("digest", String(43), nullable=False),
    )
    return LedgerTables(entries=entries, head=head)


@cache
def _appending(tables: LedgerTables) -> tuple[Select[Any], Insert, Update]:
    """The three statements of `append`, built once: building them again costs more than running them."""
    c = tables.head.c
    return (
        select(tables.head).where(c.id == 1).with_for_update(),
        insert(tables.entries),
        update(tables.head).where(c.id == 1).values(position=bindparam("to_position"), digest=bindparam("to_digest")),
    )


def append(conn: Connection, tables: LedgerTables, act: Act, body: Mapping[str, Any], *, now: datetime) -> Position:
    """Write the next entry, in the caller's transaction; returns its place for a receipt."""
    locked, added, moved = _appending(tables)
    head = conn.execute(locked).one()
    entry = following(head.position, head.digest, act, body, now=now)
    row = {
        "position": entry.position,
        "previous": entry.previous,
        "digest": entry.digest,
        "at": entry.at,
        "act": entry.act,
        "body": entry.body,
    }
    conn.execute(added, row)
    conn.execute(moved, {"to_position": entry.position, "to_digest": entry.digest})
    return Position(position=entry.position, entry=entry.digest)


def entries(conn: Connection, tables: LedgerTables) -> Iterator[Entry]:
    """The whole ledger, first entry first, for `consent.ledger.check`.

    Refusal(STATE_FORBIDS) names the first position where the tables contradict themselves in a way that `check` cannot see:
    an act that does not exist, a digest that is not the line's own, a head that is not there any more.
    """
    head = conn.execute(select(tables.head).where(tables.head.c.id == 1)).one()  # first: rows may follow meanwhile
    c, last = tables.entries.c, 0
    for row in conn.execute(select(tables.entries).order_by(c.position)):
        if row.act not in Act.__members__:
            raise _broken(row.position)
        entry = Entry(position=row.position, previous=row.previous, at=row.at, act=Act(row.act), body=row.body)
        if entry.digest != row.digest or (row.position == head.position and row.digest != head.digest):
            raise _broken(row.position)
        last = row.position
        yield entry
    if last < head.position:
        raise _broken(last + 1)


def _broken(position: int) -> Refusal:
    return Refusal(Reason.STATE_FORBIDS, detail=f"the ledger breaks at position {position}")

"""Tries at typed twins, in the inner store: how many are left, and how many have failed.

tries          one row for each try that failed or is not judged yet. `whose` is a window (at the desk) or a desk (at the
               citizen's province); it has so many slots, and a slot is free again ten minutes after it was taken. The
               primary key (whose, slot) is what counts: a thousand tries at once take as many slots as there are.
failed_tries   totals by side, unit and the other province, for the metrics. They only rise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from consent.stores.base import UtcDateTime, inserted

MEMORY: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """The two tables of one store."""

    tries: Table
    failed: Table


def tries_tables(metadata: MetaData) -> Tries:
    """The tables, for the store that keeps them."""
    return Tries(
        tries=Table(
            "tries",
            metadata,
            Column("whose", String(64), primary_key=True),
            Column("slot", Integer, primary_key=True),
            Column("ref", String(43), nullable=False),  # digest of the request
            Column("at", UtcDateTime, nullable=False),
            Column("failed", Boolean, nullable=False),
            Index("ix_tries_ref", "ref"),
        ),
        failed=Table(
            "failed_tries",
            metadata,
            Column("side", String(8), primary_key=True),  # desk or holder
            Column("unit", String(18), primary_key=True),
            Column("province", String(2), primary_key=True),
            Column("total", Integer, nullable=False),
        ),
    )


def take(conn: Connection, tables: Tries, whose: str, ref: str, *, most: int, now: datetime) -> bool:
    """Take a slot for this request; False where all `most` are taken. The same request keeps the slot that it has."""
    asked = {"whose": whose, "ref": ref, "since": now - MEMORY}
    standing, slots, _ = _questions(tables.tries)
    stands = conn.execute(standing, asked).one()
    if stands.own:
        return True
    if stands.every > stands.live:
        c = tables.tries.c
        conn.execute(delete(tables.tries).where(c.whose == whose, c.at <= now - MEMORY))
    if stands.live >= most:
        return False  # whoever goes on guessing is told by the count alone
    taken = set(conn.scalars(slots, asked))
    row = {"whose": whose, "ref": ref, "at": now, "failed": False}
    return any(
        inserted(conn, insert(tables.tries).values(slot=slot, **row)) for slot in range(most) if slot not in taken
    )


@cache
def _questions(table: Table) -> tuple[Select[int, int, int], Select[int], Select[datetime]]:
    """How many slots are taken (`every`), how many of them still count (`live`), whether one of those is this request's
    (`own`); which are taken; and when the oldest was. Every guess asks this, so the statements are built once
    for each store."""
    c, rows = table.c, func.count()
    live = c.at > bindparam("since")
    whose = c.whose == bindparam("whose")
    standing = select(
        rows.label("every"),
        rows.filter(live).label("live"),
        rows.filter(live, c.ref == bindparam("ref")).label("own"),
    ).where(whose)
    return standing, select(c.slot).where(whose), select(c.at).where(whose).order_by(c.at).limit(1)


def free_at(conn: Connection, tables: Tries, whose: str) -> datetime | None:
    """When the oldest of its slots is free again; None where none is taken."""
    _, _, times = _questions(tables.tries)
    oldest = conn.execute(times, {"whose": whose}).scalar_one_or_none()
    return None if oldest is None else oldest + MEMORY


def waits(conn: Connection, tables: Tries, whose: str, ref: str) -> bool:
    """Whether this request took a try that is not judged yet."""
    c = tables.tries.c
    query = select(c.slot).where(c.whose == whose, c.ref == ref, c.failed.is_(False))
    return conn.execute(query).first() is not None


def give_back(conn: Connection, tables: Tries, whose: str, ref: str) -> None:
    """This try is no failure, unless it is one already."""
    c = tables.tries.c
    conn.execute(delete(tables.tries).where(c.whose == whose, c.ref == ref, c.failed.is_(False)))


def fail(conn: Connection, tables: Tries, whose: str, ref: str, *, side: str, unit: str, province: str) -> int | None:
    """This try was one: it keeps its slot, and the total of the unit rises. Returns how many slots are taken now, None
    for a try that has failed already. `province` is the other side's."""
    c, total = tables.tries.c, tables.failed.c
    first = update(tables.tries).where(c.whose == whose, c.ref == ref, c.failed.is_(False)).values(failed=True)
    if not conn.execute(first).rowcount:
        return None
    one_more = (
        update(tables.failed)
        .where(total.side == side, total.unit == unit, total.province == province)
        .values(total=total.total + 1)
    )
    if not conn.execute(one_more).rowcount:
        fresh = insert(tables.failed).values(side=side, unit=unit, province=province, total=1)
        if not inserted(conn, fresh):  # a neighbour was first
            conn.execute(one_more)
    return conn.execute(select(func.count()).where(c.whose == whose)).scalar_one()


def totals(conn: Connection, tables: Tries) -> Iterator[tuple[str, str, str, int]]:
    """(side, unit, province, failures so far)."""
    c = tables.failed.c
    for row in conn.execute(select(c.side, c.unit, c.province, c.total)):
        yield row.side, row.unit, row.province, row.total

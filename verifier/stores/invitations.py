"""Invitations: counter codes that wait for a phone, part of the inner store.

One row for each (window, request id). `body` is what the kiosk sent, the ID number in its envelope; without it nobody can
come any more: it goes when the counter takes its code back. `code` is written once: the first phone's. Which of the two was
first, the one row decides.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Column, Connection, Index, MetaData, String, Table, Text, delete, insert, or_, select, update

from consent.stores.base import UtcDateTime, inserted


def invitation_table(metadata: MetaData) -> Table:
    """Declare the table in the inner store's metadata; migration 0004 makes the same."""
    return Table(
        "invitations",
        metadata,
        Column("window", String(64), primary_key=True),
        Column("request_id", String(22), primary_key=True),
        Column("body_digest", String(43), nullable=False),
        Column("body", Text, nullable=True),
        Column("counter_jwt", Text, nullable=False),
        Column("code", Text, nullable=True),
        Column("expires_at", UtcDateTime, nullable=False),
        Index("ix_invitations_expires_at", "expires_at"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationRow:
    """One row, as it stood when it was read."""

    window: str
    request_id: str
    body_digest: str
    body: str | None
    counter_jwt: str
    code: str | None
    expires_at: datetime


def add(conn: Connection, table: Table, row: InvitationRow) -> bool:
    """Whether the row went in; False when this window has used the request id before."""
    return inserted(conn, insert(table).values({each.name: getattr(row, each.name) for each in fields(row)}))


def find(conn: Connection, table: Table, window: str, request_id: str) -> InvitationRow | None:
    """The invitation of a window under this request id."""
    c = table.c
    row = conn.execute(select(table).where(c.window == window, c.request_id == request_id)).one_or_none()
    return None if row is None else InvitationRow(**row._mapping)


def take(conn: Connection, table: Table, window: str, request_id: str, code: str) -> bool:
    """Whether this code is the invitation's: the first one is, and the same again, unless it was taken back."""
    c = table.c
    mine = update(table).where(
        c.window == window, c.request_id == request_id, c.body.is_not(None), or_(c.code.is_(None), c.code == code)
    )
    return conn.execute(mine.values(code=code)).rowcount == 1


def take_back(conn: Connection, table: Table, window: str, request_id: str) -> bool:
    """Whether nobody comes with it any more: False for one that a phone has come with, and for none at all."""
    c = table.c
    free = update(table).where(c.window == window, c.request_id == request_id, c.code.is_(None))
    return conn.execute(free.values(body=None)).rowcount == 1


def forget(conn: Connection, table: Table, *, expired_before: datetime) -> int:
    """Delete those whose time is over; returns how many."""
    return conn.execute(delete(table).where(table.c.expires_at < expired_before)).rowcount

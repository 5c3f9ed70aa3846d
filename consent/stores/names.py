"""Names of showings that are looked up: typed twins and simple codes, in the hand-over store.

wallet_api writes a row when a phone asks for a name; the inner network reads it when a counter presents one. Only keyed
digests stand here (`consent.twin.NameKey`), so that whoever reads the store learns no name that works at a counter.

A showing has at most one twin, and that is a partial unique index. It may have two simple codes, because the one on the
screen changes while a scanner reads. A name dies with its time, and with the first claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Column, Connection, Index, MetaData, String, Table, delete, insert, select, text

from consent.code import Form
from consent.stores.base import UtcDateTime, inserted

KEPT: Final = timedelta(minutes=5)  # after its end; a request that was sealed in time may still be on its way


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The showing that a name stands for, and until when."""

    showing_id: str
    expires_at: datetime


def names_table(metadata: MetaData) -> Table:
    """The table, for the store that keeps it."""
    return Table(
        "names",
        metadata,
        Column("digest", String(43), primary_key=True),
        Column("form", String(8), nullable=False),  # consent.code.Form
        Column("showing_id", String(24), nullable=False),
        Column("expires_at", UtcDateTime, nullable=False),
        Index("ix_names_showing", "showing_id"),
        Index("ix_names_expires_at", "expires_at"),
        Index(
            "uq_names_one_twin",
            "showing_id",
            unique=True,
            sqlite_where=text("form = 'twin'"),
            postgresql_where=text("form = 'twin'"),
        ),
    )


def give(
    connection: Connection,
    table: Table,
    digest: str,
    form: Form,
    showing_id: str,
    *,
    expires_at: datetime,
    now: datetime,
) -> bool:
    """Give a showing a name; False where the name, or for a twin the showing, is taken. The same simple code for the same
    showing may be given again and again. Names long dead go."""
    c = table.c
    connection.execute(delete(table).where(c.expires_at < now - KEPT))
    row = {"digest": digest, "form": form.value, "showing_id": showing_id, "expires_at": expires_at}
    if inserted(connection, insert(table).values(**row)):
        return True
    found = look_up(connection, table, digest, form)
    return form is Form.SIMPLE and found is not None and found.showing_id == showing_id


def take_back(connection: Connection, table: Table, showing_id: str, form: Form | None = None) -> None:
    """Forget the names of a showing, or those of one form."""
    chosen = delete(table).where(table.c.showing_id == showing_id)
    connection.execute(chosen if form is None else chosen.where(table.c.form == form.value))


def look_up(connection: Connection, table: Table, digest: str, form: Form) -> Named | None:
    """What this name stands for, alive or not; None where nobody has it."""
    c = table.c
    query = select(c.showing_id, c.expires_at).where(c.digest == digest, c.form == form.value)
    row = connection.execute(query).one_or_none()
    return None if row is None else Named(showing_id=row.showing_id, expires_at=row.expires_at)

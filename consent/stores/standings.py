"""Standing answers beside their showings, in the hand-over store.

wallet_api writes what the phone signed; the inner network reads it when a counter claims the showing, and believes the
device's signature, never the row. One showing has one standing answer; a later one takes the place of the earlier.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Column, Connection, String, Table, Text, delete, insert, select

from consent.stores.base import UtcDateTime
from consent.stores.handover import metadata

standings: Final = Table(
    "standings",
    metadata,
    Column("showing_id", String(24), primary_key=True),
    Column("standing_jwt", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)


def put(connection: Connection, showing_id: str, standing_jwt: str, *, now: datetime) -> None:
    """Keep it; what stood there before is gone."""
    take_back(connection, showing_id)
    connection.execute(insert(standings), {"showing_id": showing_id, "standing_jwt": standing_jwt, "at": now})


def take_back(connection: Connection, showing_id: str) -> bool:
    """Forget it; whether there was one."""
    return connection.execute(delete(standings).where(standings.c.showing_id == showing_id)).rowcount == 1


def find(connection: Connection, showing_id: str) -> str | None:
    """The document, or None."""
    query = select(standings.c.standing_jwt).where(standings.c.showing_id == showing_id)
    return connection.execute(query).scalar_one_or_none()

"""The exchange's tables: which channels are closed, and what was carried. No personal data, no content.

channels   one row for each pair (desk's province, library's province) that was ever closed; no row means open.
carried    one row for each letter: from, to, topic, unit, matter, request id, size, outcome. Supervision counts these.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table

from consent.stores.base import UtcDateTime
from consent.stores.migrations import Owner

metadata: Final = MetaData()

channels: Final = Table(
    "channels",
    metadata,
    Column("desk", String(2), primary_key=True),
    Column("library", String(2), primary_key=True),
    Column("state", String(16), nullable=False),  # OPEN or SUSPENDED
    Column("notice", String(64), nullable=False),  # number of the notice that says why
    Column("since", UtcDateTime, nullable=False),
)

carried: Final = Table(
    "carried",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("sender", String(2), nullable=False),
    Column("to", String(2), nullable=False),
    Column("topic", String(16), nullable=False),
    Column("unit", String(18), nullable=True),
    Column("matter", String(64), nullable=True),
    Column("request_id", String(22), nullable=False),
    Column("size", Integer, nullable=False),  # characters of the envelope
    Column("outcome", String(64), nullable=False),  # "carried", or the reason why not
    Index("ix_carried_at", "at"),
    sqlite_autoincrement=True,
)

OWNER: Final = Owner(name="exchange", script_location_package="verifier.stores.exchange_migrations", metadata=metadata)

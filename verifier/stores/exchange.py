"""The exchange's tables: which channels are closed, and what went through.

channels  one row for each pair (desk, library) that supervision has ever decided about; the primary key keeps it one. A
          pair without a row was never closed.
letters   one row for each letter that was brought here, as counted: from, to, topic, unit, matter, request id, size,
          what became of it, when. No body, no digest of a body, nothing about a person (T13). A letter that is sent again
          is counted again: these rows say what happened on the line, the ledgers of the provinces say what it meant.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, MetaData, String, Table

from consent.stores.base import UtcDateTime
from consent.stores.migrations import Owner

metadata: Final = MetaData()

channels: Final = Table(
    "channels",
    metadata,
    Column("desk", String(2), primary_key=True),
    Column("library", String(2), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("notice", String(60), nullable=False),  # number of the notice that closed or opened it
    Column("since", UtcDateTime, nullable=False),
    CheckConstraint("state IN ('OPEN', 'SUSPENDED')", name="ck_channels_state"),
)

letters: Final = Table(
    "letters",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("sender", String(2), nullable=False),
    Column("to", String(2), nullable=False),
    Column("topic", String(16), nullable=False),
    Column("unit", String(18), nullable=True),
    Column("matter", String(64), nullable=True),
    Column("request_id", String(22), nullable=False),
    Column("size", Integer, nullable=False),  # characters of the envelope
    Column("outcome", String(40), nullable=False),  # TAKEN (on its way, or nobody knows), DELIVERED, or a Reason
    Column("at", UtcDateTime, nullable=False),
    Index("ix_letters_at", "at"),
    Index("ix_letters_request_id", "request_id"),
)

OWNER: Final = Owner(name="exchange", script_location_package="verifier.stores.exchange_migrations", metadata=metadata)
"""The history of the exchange's database, see `consent.stores.migrations`."""

"""The vendors' tables: who may call, with which keys, and what they were answered.

They stand in the hand-over database beside its own tables, with a history of their own, and no foreign key
crosses. Secrets are not kept: a token is stored as its SHA-256, a vendor's key is the public half.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from consent.stores.base import UtcDateTime
from consent.stores.migrations import Owner

metadata: Final = MetaData()

vendors: Final = Table(
    "vendors",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("app", String(64), nullable=False),
    Column("scopes", String(200), nullable=False),  # separated by single spaces
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime, nullable=True),
)

vendor_keys: Final = Table(
    "vendor_keys",
    metadata,
    Column("client_id", String(64), ForeignKey("vendors.client_id"), primary_key=True),
    # Two places, so that a new key can be brought in before the old one goes; the database refuses a third.
    Column("place", SmallInteger, primary_key=True),
    Column("kid", String(64), nullable=False),
    Column("jwk", Text, nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    CheckConstraint("place IN (0, 1)", name="ck_vendor_keys_place"),
    UniqueConstraint("kid", name="uq_vendor_keys_kid"),  # one key speaks for one vendor
)

vendor_tokens: Final = Table(
    "vendor_tokens",
    metadata,
    Column("digest", String(43), primary_key=True),
    Column("client_id", String(64), ForeignKey("vendors.client_id"), nullable=False),
    Column("scopes", String(200), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("ix_vendor_tokens_expires_at", "expires_at"),
)

vendor_assertions: Final = Table(
    "vendor_assertions",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("jti", String(128), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("ix_vendor_assertions_expires_at", "expires_at"),
)

vendor_answers: Final = Table(
    "vendor_answers",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("digest", String(43), nullable=False),
    Column("turn", String(22), nullable=False),  # whose turn it is to write the answer
    Column("status", Integer, nullable=True),  # null while the first request is being answered
    Column("body", Text, nullable=True),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_vendor_answers_created_at", "created_at"),
)

lookups: Final = Table(
    "lookups",
    metadata,
    Column("lookup_id", String(22), primary_key=True),
    Column("app", String(64), nullable=False),
    Column("errand", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_lookups_created_at", "created_at"),
)

OWNER: Final = Owner(name="vendors", script_location_package="wallet_api.vendor_migrations", metadata=metadata)

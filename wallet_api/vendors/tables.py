"""The vendors' tables: who may call, with which keys, and what they were answered.

They stand in the hand-over database beside its own tables, with a history of their own, and no foreign key
crosses. A token is stored as its SHA-256, a vendor's key is the public half. One kind of secret is kept as it is: that
of a webhook's endpoint, because each delivery is signed with it. Whoever reads this database can send false webhooks,
and nothing else: what a webhook says is only that there is something to ask us about.
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
    text,
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
    # Whom it was entered for. A store that got from a sandbox into live holds no vendor there, and the reverse.
    Column("profile", String(8), nullable=False, server_default="sandbox"),
    Column("per_minute", Integer, nullable=True),  # null: the setting's limit
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
    Column("retires_at", UtcDateTime, nullable=True),  # null: until the next one comes
    CheckConstraint("place IN (0, 1)", name="ck_vendor_keys_place"),
    UniqueConstraint("kid", name="uq_vendor_keys_kid"),  # one key speaks for one vendor
)

# Append-only: triggers of the database refuse to change or remove a line (migration 0003).
vendor_log: Final = Table(
    "vendor_log",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("client_id", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("who", String(100), nullable=False),
    Column("what", String(16), nullable=False),
    Column("facts", Text, nullable=False),  # JSON object
    Index("ix_vendor_log_client_id", "client_id", "id"),
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

webhook_endpoints: Final = Table(
    "webhook_endpoints",
    metadata,
    Column("endpoint_id", String(26), primary_key=True),
    Column("client_id", String(64), ForeignKey("vendors.client_id"), nullable=False),
    Column("url", String(500), nullable=False),  # normalised, see wallet_api.webhooks.address
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, nullable=True),
    Column("ended_why", String(8), nullable=True),  # REMOVED by the operator, GONE by its own 410
    Column("failures", Integer, nullable=False),  # in a row; each makes the next rest longer
    Column("rests_until", UtcDateTime, nullable=True),
    Index(
        "uq_webhook_endpoints_live",
        "client_id",
        "url",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)

webhook_secrets: Final = Table(
    "webhook_secrets",
    metadata,
    Column("endpoint_id", String(26), ForeignKey("webhook_endpoints.endpoint_id"), primary_key=True),
    Column("place", SmallInteger, primary_key=True),  # two places, as for keys
    Column("secret", String(100), nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    Column("retires_at", UtcDateTime, nullable=True),  # null: until the next one comes
    CheckConstraint("place IN (0, 1)", name="ck_webhook_secrets_place"),
)

webhook_deliveries: Final = Table(
    "webhook_deliveries",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("delivery_id", String(26), nullable=False),  # the receiver's webhook-id
    Column("endpoint_id", String(26), ForeignKey("webhook_endpoints.endpoint_id"), nullable=False),
    Column("client_id", String(64), nullable=False),
    Column("showing_id", String(24), nullable=False),
    Column("version", Integer, nullable=False),
    Column("showing_state", String(16), nullable=False),
    Column("reason", String(64), nullable=True),
    Column("at", UtcDateTime, nullable=False),  # of the event
    Column("state", String(8), nullable=False),
    Column("round_began_at", UtcDateTime, nullable=False),  # a round of tries; a resend begins another
    Column("round_tries", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),  # of all rounds; the token of the lease
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime, nullable=True),
    UniqueConstraint("delivery_id", name="uq_webhook_deliveries_delivery_id"),
    UniqueConstraint("endpoint_id", "showing_id", "version", name="uq_webhook_deliveries_event"),
    CheckConstraint("state IN ('WAITING', 'ACCEPTED', 'GIVEN_UP')", name="ck_webhook_deliveries_state"),
    Index(
        "ix_webhook_deliveries_due",
        "endpoint_id",
        "due_at",
        "number",
        sqlite_where=text("state = 'WAITING'"),
        postgresql_where=text("state = 'WAITING'"),
    ),
    Index("ix_webhook_deliveries_log", "client_id", "number"),
    sqlite_autoincrement=True,
)

webhook_attempts: Final = Table(
    "webhook_attempts",
    metadata,
    Column("delivery_id", String(26), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("status", Integer, nullable=True),  # null: no answer
    Column("failure", String(24), nullable=True),  # null: accepted
)

OWNER: Final = Owner(name="vendors", script_location_package="wallet_api.vendor_migrations", metadata=metadata)

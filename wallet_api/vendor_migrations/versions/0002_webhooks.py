"""Webhooks: endpoints, their secrets, deliveries and attempts."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("endpoint_id", sa.String(26), primary_key=True),
        sa.Column("client_id", sa.String(64), sa.ForeignKey("vendors.client_id"), nullable=False),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime, nullable=True),
        sa.Column("ended_why", sa.String(8), nullable=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("rests_until", UtcDateTime, nullable=True),
    )
    op.create_index(
        "uq_webhook_endpoints_live",
        "webhook_endpoints",
        ["client_id", "url"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "webhook_secrets",
        sa.Column("endpoint_id", sa.String(26), sa.ForeignKey("webhook_endpoints.endpoint_id"), primary_key=True),
        sa.Column("place", sa.SmallInteger, primary_key=True),
        sa.Column("secret", sa.String(100), nullable=False),
        sa.Column("added_at", UtcDateTime, nullable=False),
        sa.Column("retires_at", UtcDateTime, nullable=True),
        sa.CheckConstraint("place IN (0, 1)", name="ck_webhook_secrets_place"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("delivery_id", sa.String(26), nullable=False),
        sa.Column("endpoint_id", sa.String(26), sa.ForeignKey("webhook_endpoints.endpoint_id"), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("showing_id", sa.String(24), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("showing_state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("round_began_at", UtcDateTime, nullable=False),
        sa.Column("round_tries", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("lease_until", UtcDateTime, nullable=True),
        sa.UniqueConstraint("delivery_id", name="uq_webhook_deliveries_delivery_id"),
        sa.UniqueConstraint("endpoint_id", "showing_id", "version", name="uq_webhook_deliveries_event"),
        sa.CheckConstraint("state IN ('WAITING', 'ACCEPTED', 'GIVEN_UP')", name="ck_webhook_deliveries_state"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["endpoint_id", "due_at", "number"],
        sqlite_where=sa.text("state = 'WAITING'"),
        postgresql_where=sa.text("state = 'WAITING'"),
    )
    op.create_index("ix_webhook_deliveries_log", "webhook_deliveries", ["client_id", "number"])
    op.create_table(
        "webhook_attempts",
        sa.Column("delivery_id", sa.String(26), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("status", sa.Integer, nullable=True),
        sa.Column("failure", sa.String(24), nullable=True),
    )

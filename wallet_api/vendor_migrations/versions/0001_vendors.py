"""Vendors, their keys, tokens, assertions and answers; lookups."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vendors",
        sa.Column("client_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("scopes", sa.String(200), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("disabled_at", UtcDateTime, nullable=True),
    )
    op.create_table(
        "vendor_keys",
        sa.Column("client_id", sa.String(64), sa.ForeignKey("vendors.client_id"), primary_key=True),
        sa.Column("place", sa.SmallInteger, primary_key=True),
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("jwk", sa.Text, nullable=False),
        sa.Column("added_at", UtcDateTime, nullable=False),
        sa.CheckConstraint("place IN (0, 1)", name="ck_vendor_keys_place"),
        sa.UniqueConstraint("kid", name="uq_vendor_keys_kid"),
    )
    op.create_table(
        "vendor_tokens",
        sa.Column("digest", sa.String(43), primary_key=True),
        sa.Column("client_id", sa.String(64), sa.ForeignKey("vendors.client_id"), nullable=False),
        sa.Column("scopes", sa.String(200), nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_vendor_tokens_expires_at", "vendor_tokens", ["expires_at"])
    op.create_table(
        "vendor_assertions",
        sa.Column("client_id", sa.String(64), primary_key=True),
        sa.Column("jti", sa.String(128), primary_key=True),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_vendor_assertions_expires_at", "vendor_assertions", ["expires_at"])
    op.create_table(
        "vendor_answers",
        sa.Column("client_id", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(43), nullable=False),
        sa.Column("turn", sa.String(22), nullable=False),
        sa.Column("status", sa.Integer, nullable=True),
        sa.Column("body", sa.Text, nullable=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_vendor_answers_created_at", "vendor_answers", ["created_at"])
    op.create_table(
        "lookups",
        sa.Column("lookup_id", sa.String(22), primary_key=True),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("errand", sa.BigInteger, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_lookups_created_at", "lookups", ["created_at"])

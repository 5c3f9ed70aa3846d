"""The events of showings, and the numbers that their readers go by."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "showing_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("showing_id", sa.String(24), nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=True),
        sa.UniqueConstraint("showing_id", "version", name="uq_showing_events_version"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_showing_events_feed", "showing_events", ["app", "number"])
    op.create_index(
        "ix_showing_events_unnumbered",
        "showing_events",
        ["id"],
        sqlite_where=sa.text("number IS NULL"),
        postgresql_where=sa.text("number IS NULL"),
    )
    numbers = op.create_table(
        "event_numbers",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(numbers, [{"id": 1, "last": 0}])

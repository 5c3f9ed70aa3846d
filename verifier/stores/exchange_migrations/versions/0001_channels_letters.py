"""Channels and counted letters."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "channels",
        sa.Column("desk", sa.String(2), primary_key=True),
        sa.Column("library", sa.String(2), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("notice", sa.String(60), nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.CheckConstraint("state IN ('OPEN', 'SUSPENDED')", name="ck_channels_state"),
    )
    op.create_table(
        "letters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("sender", sa.String(2), nullable=False),
        sa.Column("to", sa.String(2), nullable=False),
        sa.Column("topic", sa.String(16), nullable=False),
        sa.Column("unit", sa.String(18), nullable=True),
        sa.Column("matter", sa.String(64), nullable=True),
        sa.Column("request_id", sa.String(22), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_letters_at", "letters", ["at"])
    op.create_index("ix_letters_request_id", "letters", ["request_id"])

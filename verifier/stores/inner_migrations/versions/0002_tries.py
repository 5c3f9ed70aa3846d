"""Tries at typed twins, what became of them, and how a claim named its showing."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("claims", sa.Column("named", sa.String(8), nullable=False, server_default="code"))
    op.create_table(
        "tries",
        sa.Column("whose", sa.String(64), primary_key=True),
        sa.Column("slot", sa.Integer, primary_key=True),
        sa.Column("ref", sa.String(43), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("failed", sa.Boolean, nullable=False),
    )
    op.create_index("ix_tries_ref", "tries", ["ref"])
    op.create_table(
        "failed_tries",
        sa.Column("side", sa.String(8), primary_key=True),
        sa.Column("unit", sa.String(18), primary_key=True),
        sa.Column("province", sa.String(2), primary_key=True),
        sa.Column("total", sa.Integer, nullable=False),
    )

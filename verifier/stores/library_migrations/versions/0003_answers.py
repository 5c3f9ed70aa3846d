"""Answers to questions about holdings, kept for a question that comes again."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answers",
        sa.Column("question", sa.String(43), primary_key=True),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_answers_expires_at", "answers", ["expires_at"])

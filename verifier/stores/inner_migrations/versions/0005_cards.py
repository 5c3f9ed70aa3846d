"""The card route: cards that were read, and what the libraries say about their holders."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cards",
        sa.Column("request_digest", sa.String(43), primary_key=True),
        sa.Column("card_jwt", sa.Text, nullable=False),
        sa.Column("pad_jwt", sa.Text, nullable=True),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "card_questions",
        sa.Column("request_digest", sa.String(43), primary_key=True),
        sa.Column("library", sa.String(2), primary_key=True),
        sa.Column("question", sa.String(43), nullable=False, unique=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("found", sa.Text, nullable=True),
        sa.Column("asked_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_card_questions_state", "card_questions", ["state", "asked_at"])

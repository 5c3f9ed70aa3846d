"""What was given on the card route, counted."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "card_fetches",
        sa.Column("request_digest", sa.String(43), primary_key=True),
        sa.Column("desk", sa.String(2), nullable=False),
        sa.Column("window", sa.String(64), nullable=False),
        sa.Column("unit", sa.String(18), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_card_fetches_window", "card_fetches", ["desk", "window", "at"])
    op.create_index("ix_card_fetches_unit", "card_fetches", ["desk", "unit", "at"])
    op.create_index("ix_card_fetches_at", "card_fetches", ["at"])

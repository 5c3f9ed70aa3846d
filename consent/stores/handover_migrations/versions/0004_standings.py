"""Standing answers, given before the scan."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "standings",
        sa.Column("showing_id", sa.String(24), primary_key=True),
        sa.Column("standing_jwt", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
    )

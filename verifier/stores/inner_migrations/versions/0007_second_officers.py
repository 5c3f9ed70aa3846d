"""A second officer's word beside the pad's, and who it was in the holder's history."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cards", sa.Column("officer_jwt", sa.Text, nullable=True))
    op.add_column("cards", sa.Column("officer", sa.String(48), nullable=True))
    op.add_column("history", sa.Column("second_officer", sa.String(48), nullable=True))

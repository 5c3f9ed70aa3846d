"""Two people for one visit."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "couples",
        sa.Column("window", sa.String(64), primary_key=True),
        sa.Column("couple", sa.String(22), primary_key=True),
        sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("request_digest", sa.String(43), nullable=False, unique=True),
        sa.Column("own", sa.String(43), nullable=False),
        sa.Column("other", sa.String(43), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    op.add_column("claims", sa.Column("aside", sa.Text, nullable=True))

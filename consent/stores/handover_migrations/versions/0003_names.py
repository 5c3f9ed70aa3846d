"""Names of showings: typed twins and simple codes."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "names",
        sa.Column("digest", sa.String(43), primary_key=True),
        sa.Column("form", sa.String(8), nullable=False),
        sa.Column("showing_id", sa.String(24), nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_names_showing", "names", ["showing_id"])
    op.create_index("ix_names_expires_at", "names", ["expires_at"])
    op.create_index(
        "uq_names_one_twin",
        "names",
        ["showing_id"],
        unique=True,
        sqlite_where=sa.text("form = 'twin'"),
        postgresql_where=sa.text("form = 'twin'"),
    )

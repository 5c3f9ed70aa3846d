"""Counter codes that wait for a phone."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("window", sa.String(64), primary_key=True),
        sa.Column("request_id", sa.String(22), primary_key=True),
        sa.Column("body_digest", sa.String(43), nullable=False),
        sa.Column("body", sa.Text, nullable=True),
        sa.Column("counter_jwt", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=True),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_invitations_expires_at", "invitations", ["expires_at"])

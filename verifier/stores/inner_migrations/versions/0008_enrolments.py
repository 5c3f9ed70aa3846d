"""Windows' keys that were made on kiosks and approved by administrators."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "enrolments",
        sa.Column("device_digest", sa.String(43), primary_key=True),
        sa.Column("user_code", sa.String(9), nullable=False, unique=True),
        sa.Column("kid", sa.String(43), nullable=False),
        sa.Column("jwk", sa.Text, nullable=False),
        sa.Column("address", sa.String(43), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("unit", sa.String(18), nullable=True),
        sa.Column("window", sa.String(64), nullable=True),
        sa.Column("interval_s", sa.Integer, nullable=False),
        sa.Column("next_poll_at", UtcDateTime, nullable=False),
        sa.Column("asked_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_enrolments_kid", "enrolments", ["kid", "state"])
    op.create_index("ix_enrolments_state", "enrolments", ["state", "expires_at"])

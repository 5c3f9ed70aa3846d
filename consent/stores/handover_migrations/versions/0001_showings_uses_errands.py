"""Showings, once-documents and errands."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "showings",
        sa.Column("showing_id", sa.String(24), primary_key=True),
        sa.Column("province", sa.String(2), nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("sub", sa.String(128), nullable=False),
        sa.Column("holder_jwt", sa.Text, nullable=False),
        sa.Column("device_jwk", sa.Text, nullable=False),
        sa.Column("device_kid", sa.String(64), nullable=False),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("sheet", sa.Text, nullable=True),
        sa.Column("request_digest", sa.String(64), nullable=True),
        sa.Column("asked_at", UtcDateTime, nullable=True),
        sa.Column("holdings", sa.Text, nullable=True),
        sa.Column("holdings_errand", sa.BigInteger, nullable=True),
        sa.Column("result", sa.Text, nullable=True),
        sa.Column("approval_jwt", sa.Text, nullable=True),
    )
    op.create_index(
        "uq_showings_one_open",
        "showings",
        ["app", "sub"],
        unique=True,
        sqlite_where=sa.text("state = 'OPEN'"),
        postgresql_where=sa.text("state = 'OPEN'"),
    )
    op.create_index("ix_showings_holder", "showings", ["app", "sub", "opened_at"])
    op.create_index("ix_showings_state", "showings", ["state", "expires_at"])
    op.create_index("ix_showings_request", "showings", ["request_digest"])
    op.create_table(
        "assertion_uses",
        sa.Column("issuer", sa.String(128), primary_key=True),
        sa.Column("jti", sa.String(128), primary_key=True),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_assertion_uses_expires_at", "assertion_uses", ["expires_at"])
    op.create_table(
        "errands",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("ref", sa.String(200), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("lease_until", UtcDateTime, nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("answer", sa.Text, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("answered_at", UtcDateTime, nullable=True),
        sa.Column("once_key", sa.String(200), nullable=True),
        sa.CheckConstraint("state IN ('NEW', 'DONE', 'PARKED')", name="ck_errands_state"),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_errands_once_key", "errands", ["once_key"], unique=True)
    op.create_index("ix_errands_due", "errands", ["state", "due_at", "id"])
    op.create_index("ix_errands_ref", "errands", ["ref"])

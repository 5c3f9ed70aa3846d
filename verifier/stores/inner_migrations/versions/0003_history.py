"""The citizens' history, questions about it that are under way, and objections."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_OPEN = sa.text("state = 'OPEN'")


def upgrade() -> None:
    _history()
    _looks()
    _objections()


def _history() -> None:
    op.create_table(
        "history",
        sa.Column("entry", sa.String(22), primary_key=True),
        sa.Column("holder", sa.String(43), nullable=False),
        sa.Column("showing_id", sa.String(24), nullable=False),
        sa.Column("desk", sa.String(2), nullable=False),
        sa.Column("window", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(22), nullable=False),
        sa.Column("request_digest", sa.String(43), nullable=True),
        sa.Column("unit", sa.String(18), nullable=False),
        sa.Column("matter", sa.String(64), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("cause", sa.String(200), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("receipt", sa.Text, nullable=True),
        sa.Column("asked_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime, nullable=True),
        sa.UniqueConstraint("desk", "window", "request_id", "showing_id", name="uq_history_visit"),
    )
    op.create_index("ix_history_holder", "history", ["holder", "asked_at", "entry"])
    op.create_index("ix_history_request", "history", ["request_digest"])


def _looks() -> None:
    op.create_table(
        "looks",
        sa.Column("errand", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("province", sa.String(2), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("ref", sa.String(200), nullable=False),
        sa.Column("question", sa.String(43), nullable=False, unique=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("found", sa.Text, nullable=True),
        sa.Column("asked_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_looks_state", "looks", ["state", "asked_at"])


def _objections() -> None:
    op.create_table(
        "objections",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("entry", sa.String(22), nullable=False),
        sa.Column("holder", sa.String(43), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("question", sa.String(43), nullable=False, unique=True),
        sa.Column("content", sa.String(43), nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("request_digest", sa.String(43), nullable=True),
        sa.Column("receipt_digest", sa.String(43), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_objections_one_open", "objections", ["entry"], unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN
    )

"""Visits, claims, once-documents, lookups, outbox and ledger."""

import sqlalchemy as sa
from alembic import op

from consent.ledger import GENESIS
from consent.stores.base import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _visits()
    _claims()
    _uses_and_lookups()
    _outbox()
    _ledger()


def _visits() -> None:
    op.create_table(
        "visits",
        sa.Column("window", sa.String(64), primary_key=True),
        sa.Column("request_id", sa.String(22), primary_key=True),
        sa.Column("body_digest", sa.String(43), nullable=False),
        sa.Column("request_digest", sa.String(43), nullable=False, unique=True),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("answer_secret", sa.Text, nullable=True),
        sa.Column("digits", sa.String(2), nullable=False),
        sa.Column("holder_province", sa.String(2), nullable=False),
        sa.Column("library", sa.String(2), nullable=True),
        sa.Column("consent", sa.Text, nullable=True),
        sa.Column("copy", sa.Text, nullable=True),
        sa.Column("receipt", sa.Text, nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("asked_at", UtcDateTime, nullable=False),
        sa.Column("answer_by", UtcDateTime, nullable=False),
    )
    op.create_index("ix_visits_state", "visits", ["state", "answer_by"])


def _claims() -> None:
    op.create_table(
        "claims",
        sa.Column("showing_id", sa.String(24), primary_key=True),
        sa.Column("desk", sa.String(2), nullable=False),
        sa.Column("window", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(22), nullable=False),
        sa.Column("request_digest", sa.String(43), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("digits", sa.String(2), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("approval_digest", sa.String(43), nullable=True),
        sa.Column("consent", sa.Text, nullable=True),
        sa.Column("reply", sa.Text, nullable=True),
        sa.Column("claimed_at", UtcDateTime, nullable=False),
        sa.Column("answer_by", UtcDateTime, nullable=False),
        sa.UniqueConstraint("request_digest", name="uq_claims_request"),
    )
    op.create_index("ix_claims_state", "claims", ["state", "answer_by"])


def _uses_and_lookups() -> None:
    op.create_table(
        "uses",
        sa.Column("issuer", sa.String(128), primary_key=True),
        sa.Column("jti", sa.String(22), primary_key=True),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_uses_expires_at", "uses", ["expires_at"])
    op.create_table(
        "lookups",
        sa.Column("errand", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("library", sa.String(2), primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("ref", sa.String(64), nullable=False),
        sa.Column("showing_id", sa.String(24), nullable=True),
        sa.Column("question", sa.String(43), nullable=False, unique=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("found", sa.Text, nullable=True),
        sa.Column("asked_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_lookups_state", "lookups", ["state", "asked_at"])


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
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
        sa.CheckConstraint("state IN ('NEW', 'DONE', 'PARKED')", name="ck_outbox_state"),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_outbox_once_key", "outbox", ["once_key"], unique=True)
    op.create_index("ix_outbox_due", "outbox", ["state", "due_at", "id"])
    op.create_index("ix_outbox_ref", "outbox", ["ref"])


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("position", _BIG, primary_key=True, autoincrement=False),
        sa.Column("previous", sa.String(43), nullable=False, unique=True),
        sa.Column("digest", sa.String(43), nullable=False, unique=True),
        sa.Column("at", sa.String(20), nullable=False),
        sa.Column("act", sa.String(16), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    head = op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(43), nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "position": 0, "digest": GENESIS}])

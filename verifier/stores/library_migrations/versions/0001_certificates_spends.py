"""Certificates, paper files, spends and the ledger."""

import sqlalchemy as sa
from alembic import op

from consent.ledger import GENESIS
from consent.stores.base import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "certificates",
        sa.Column("handle", sa.String(25), primary_key=True),
        sa.Column("holder", sa.String(43), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("status_since", UtcDateTime, nullable=False),
        sa.Column("registration_date", sa.Date, nullable=False),
        sa.Column("authority", sa.String(80), nullable=False),
        sa.Column("number_masked", sa.String(60), nullable=False),
        sa.Column("face", sa.Text, nullable=False),
        sa.Column("issued_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_certificates_holder", "certificates", ["holder"])
    op.create_table("undigitised", sa.Column("holder", sa.String(43), primary_key=True))
    op.create_table(
        "spends",
        sa.Column("consent_issuer", sa.String(2), primary_key=True),
        sa.Column("jti", sa.String(22), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("request_digest", sa.String(43), nullable=True),
        sa.Column("certificate", sa.String(25), nullable=True),
        sa.Column("status", sa.String(32), nullable=True),
        sa.Column("copy", sa.Text, nullable=True),
        sa.Column("receipt", sa.Text, nullable=True),
        sa.Column("unit_receipt", sa.Text, nullable=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
    )
    _ledger()


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column(
            "position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
        ),
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

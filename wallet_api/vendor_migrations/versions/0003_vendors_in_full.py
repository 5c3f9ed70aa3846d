"""Profiles, limits and retiring keys of vendors; the log of who changed what."""

import sqlalchemy as sa
from alembic import op

from consent.stores.base import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STANDS = {
    "sqlite": """
        CREATE TRIGGER vendor_log_{event} BEFORE {EVENT} ON vendor_log
        BEGIN SELECT RAISE(ABORT, 'vendor_log is append-only'); END
        """,
    "postgresql": """
        CREATE TRIGGER vendor_log_{event} BEFORE {EVENT} ON vendor_log
        FOR EACH STATEMENT EXECUTE FUNCTION vendor_log_stands()
        """,
}
_FUNCTION = """
    CREATE FUNCTION vendor_log_stands() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'vendor_log is append-only' USING ERRCODE = 'restrict_violation'; END $$
    """


def upgrade() -> None:
    # Vendors of before were entered without a profile. They become the sandbox's: what is live is entered anew.
    op.add_column("vendors", sa.Column("profile", sa.String(8), nullable=False, server_default="sandbox"))
    op.add_column("vendors", sa.Column("per_minute", sa.Integer, nullable=True))
    op.add_column("vendor_keys", sa.Column("retires_at", UtcDateTime, nullable=True))
    op.create_table(
        "vendor_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("who", sa.String(100), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
    )
    op.create_index("ix_vendor_log_client_id", "vendor_log", ["client_id", "id"])
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        op.execute(_FUNCTION)
    for event in ("update", "delete"):
        op.execute(_STANDS[dialect].format(event=event, EVENT=event.upper()))

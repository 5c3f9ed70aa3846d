"""Alembic enters here."""

from consent.stores.migrations import inside_alembic

inside_alembic()

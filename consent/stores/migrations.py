"""Schemas that grow: one Alembic history and one version table for each owner.

An owner is a set of tables that one room writes ("handover", "library", …). Several owners may live in one
database, as in a province whose inner network has a single PostgreSQL; none has a foreign key into
another's tables, so each moves on alone and can move out.

`migrate` is a command that an operator gives. The embedded default gives it at start, where several
processes may start at once: they queue on a lock (a file lock next to the SQLite file, an advisory lock in
PostgreSQL) and the second one finds nothing to do. The whole way to the newest revision is one transaction
on both databases: a crash leaves the old schema.

`check_schema` is what a server does instead: it refuses to serve on an old schema, and on one that is newer
than the program.

An owner's folder is a Python package, so that it travels in a wheel without any packaging rule:

    handover_migrations/
        __init__.py env.py                two lines: from consent.stores.migrations import inside_alembic;
        inside_alembic() versions/__init__.py versions/0001_….py    revision = "0001", down_revision = None,
        upgrade()

Revisions use the types of `base` and spell out every column: a released revision is never changed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any, Final

from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, text
from sqlalchemy.exc import IntegrityError

from consent.errors import Reason, Unavailable
from consent.stores.base import reading, sqlite_path, writing

_VERSION_PREFIX: Final = "alembic_version_"
_ADVISORY_KEY: Final = 0x485A_4D49  # "HZMI": one number for all owners, so that migrations of a database queue
_MIGRATION_MS: Final = 600_000

# alembic.context and alembic.op are global in the process; two threads must not migrate at once.
_one_at_a_time: Final = Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A set of tables with a history. `script_location_package` is the dotted name of the folder described
    above."""

    name: str
    script_location_package: str
    metadata: MetaData

    @property
    def version_table(self) -> str:
        """Where this owner's revision stands."""
        return f"{_VERSION_PREFIX}{self.name}"


def migrate(engine: Engine, owner: Owner) -> None:
    """Bring the owner's tables to the newest revision. Does nothing when they are there.

    Raises Unavailable: STORE_UNAVAILABLE without an answer, SCHEMA_OUTDATED when the database is newer than
    the program.
    """
    config = _config(owner)
    with _one_at_a_time, _file_lock(sqlite_path(engine)), writing(engine) as connection:
        _prepare(connection)
        _refuse_unknown(connection, owner)
        config.attributes["connection"] = connection
        config.attributes["owner"] = owner
        command.upgrade(config, "head")
        _check_foreign_keys(connection)


def check_schema(engine: Engine, owner: Owner) -> None:
    """Raises Unavailable(SCHEMA_OUTDATED) unless the owner's tables are at exactly the program's revision."""
    with reading(engine) as connection:
        found = _heads(connection, owner)
    expected = ScriptDirectory.from_config(_config(owner)).get_heads()
    if set(found) != set(expected):
        raise Unavailable(
            Reason.SCHEMA_OUTDATED,
            what=owner.name,
            detail=f"revision {', '.join(found) or 'none'}, the program needs {', '.join(expected)}",
        )


def schema_differences(engine: Engine, owner: Owner, *, others: Collection[Owner] = ()) -> list[Any]:
    """What Alembic would change to make the database equal to the owner's metadata; empty when they agree.

    Name the `others` that share the database, or their tables count as left over.
    """
    foreign = {name for other in others for name in other.metadata.tables}

    def ours(name: str | None, kind: str, parents: Any) -> bool:
        return kind != "table" or (name not in foreign and not str(name).startswith(_VERSION_PREFIX))

    with reading(engine) as connection:
        migration = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "include_name": ours, "version_table": owner.version_table},
        )
        return list(compare_metadata(migration, owner.metadata))


def inside_alembic() -> None:
    """Called by an owner's env.py, which Alembic runs inside `migrate`."""
    owner: Owner = context.config.attributes["owner"]
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=owner.metadata,
        version_table=owner.version_table,
        render_as_batch=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _config(owner: Owner) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files(owner.script_location_package)).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _heads(connection: Connection, owner: Owner) -> tuple[str, ...]:
    return MigrationContext.configure(connection, opts={"version_table": owner.version_table}).get_current_heads()


def _refuse_unknown(connection: Connection, owner: Owner) -> None:
    script = ScriptDirectory.from_config(_config(owner))
    known = {revision.revision for revision in script.walk_revisions()}
    if newer := set(_heads(connection, owner)) - known:
        raise Unavailable(
            Reason.SCHEMA_OUTDATED,
            what=owner.name,
            detail=f"revision {', '.join(sorted(newer))} is newer than the program",
        )


def _prepare(connection: Connection) -> None:
    """Queue on PostgreSQL, with patience; on SQLite let a batch rebuild a table that others refer to."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL statement_timeout = {_MIGRATION_MS}"))
        connection.execute(text(f"SET LOCAL lock_timeout = {_MIGRATION_MS}"))
        connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = {_MIGRATION_MS}"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})
    else:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise IntegrityError("PRAGMA foreign_key_check", None, ValueError(f"{len(broken)} rows"))


@contextmanager
def _file_lock(path: Path | None) -> Iterator[None]:
    """Other processes wait here. BEGIN IMMEDIATE alone would let them fail after the busy timeout."""
    if path is None:
        yield
        return
    try:
        lock = os.open(f"{path}.migrating", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Unavailable(Reason.STORE_UNAVAILABLE, what="database", detail=f"cannot lock: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)

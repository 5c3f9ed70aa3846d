"""Two databases that behave as one, and the only two ways in which they fail.

Embedded: SQLite, one file for each owner and province. In production: PostgreSQL. What follows is equal on
both:

* An answered commit survives a power cut (`synchronous=FULL`; `synchronous_commit` never off).
* A write transaction sees no half-done neighbour. On SQLite it starts with BEGIN IMMEDIATE, because a
  transaction that reads first and writes later dies there with "database is locked" instead of waiting.
* Instants are aware datetimes in UTC with microseconds.
* A missing or deleted SQLite file is "no answer". It is never created in passing: an empty library that
  answers "no such certificate" is worse than one that does not answer. The file is looked at on every
  checkout, since a Unix process could go on reading and writing a deleted file for days.
* A driver's error never leaves this room. `IntegrityError` does: it is how the database refuses, and
  callers ask for it. Its text may quote the row, so it is never logged.

PostgreSQL waits one second for a statement or a lock: a counter that hears "no answer" can ask again, a
thread that hangs cannot. Such limits are settings of the connection and hold for every query of the
program.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Insert,
    String,
    Table,
    TextClause,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.types import TypeDecorator, TypeEngine

from consent.errors import Reason, Unavailable
from consent.stores.engines import MODE, open_engine, sqlite_path

__all__ = [
    "UtcDateTime",
    "attempt",
    "forgiving",
    "inserted",
    "open_engine",
    "reading",
    "sqlite_path",
    "writing",
]

_RETRY_BUDGET_S: Final = 3.0

T = TypeVar("T")


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware in, aware and UTC out, microseconds kept.

    PostgreSQL: `timestamptz`. SQLite has no such type and would drop the zone; there it is text of fixed
    width (`2026-01-02T03:04:05.000006Z`), which sorts and compares as time does and which a person can
    read. A naive datetime raises ValueError.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone is not an instant")
        utc = value.astimezone(UTC)
        if dialect.name == "sqlite":
            return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        return utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        if not isinstance(value, datetime):
            raise TypeError("the database holds something else than an instant")
        return value.astimezone(UTC)


# Transactions -----------------------------------------------------------------------------------------------


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction. It is committed when the with-block is left, and rolled back when that raises.

    Raises Unavailable when the database gives no answer. If that happens in the commit itself, nobody knows
    whether it was kept: callers find out by their key (`put(once_key=…)`, `inserted`), never by doing it
    again blindly. Lets IntegrityError through.
    """
    with _answering(), engine.connect() as connection:
        connection.execution_options(**{MODE: "write"})
        with connection.begin():
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One read transaction; on SQLite it sees one snapshot. A write inside it fails. Raises Unavailable."""
    with _answering(), engine.connect() as connection:
        connection.execution_options(**{MODE: "read"})
        if engine.dialect.name == "postgresql":
            connection.execution_options(postgresql_readonly=True)
        with connection.begin() as transaction:
            yield connection
            transaction.rollback()


def attempt(engine: Engine, fn: Callable[[Connection], T], *, tries: int = 5) -> T:
    """Run `fn` in a write transaction; again when the database itself undid it for a neighbour's sake.

    That means a serialisation failure, a deadlock, a lock not had in time, or a busy SQLite: in each the
    database has kept nothing. `fn` may therefore run several times and must touch nothing but its
    connection. At most `tries` times, and no new try starts later than three seconds after the first.
    """
    started = time.monotonic()
    for n in range(1, tries + 1):
        try:
            with writing(engine) as connection:
                return fn(connection)
        except Unavailable as silence:
            if n == tries or not _undone(silence.__cause__) or time.monotonic() - started > _RETRY_BUDGET_S:
                raise
        time.sleep(random.uniform(0, 0.01 * 2**n))  # noqa: S311 - spreads neighbours, guards no secret
    raise ValueError("tries must be at least 1")


def inserted(connection: Connection, statement: Insert) -> bool:
    """Whether this one row went in; False when a unique key was already taken. Atomic on both databases.

    Takes a plain `insert(table).values(…)` of a table with a primary key. Only unique keys are forgiven: a
    missing value or a failed CHECK is still an IntegrityError.
    """
    table = statement.table
    if not isinstance(table, Table):
        raise TypeError("rows go into tables")
    returning = forgiving(connection.dialect.name, statement).returning(*table.primary_key.columns)
    return connection.execute(returning).first() is not None


def forgiving(
    dialect: str,
    statement: Insert,
    *columns: ColumnElement[Any],
    where: ColumnElement[bool] | TextClause | None = None,
) -> Insert:
    """The statement with ON CONFLICT DO NOTHING: for any unique key, or the one on `columns` and `where`."""
    conflict: sqlite.dml.OnConflictDoNothing | postgresql.dml.OnConflictDoNothing
    if dialect == "sqlite":
        conflict = sqlite.dml.OnConflictDoNothing(columns or None, where)
    else:
        conflict = postgresql.dml.OnConflictDoNothing(index_elements=columns or None, index_where=where)
    return statement.ext(conflict)


# The two ways to fail ---------------------------------------------------------------------------------------


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except StatementError as error:
        if not isinstance(error, DBAPIError) and error.orig is not None:
            raise error.orig  # noqa: B904 - our own mistake (a naive time), not the database's
        raise _silence(error) from error
    except SQLAlchemyError as error:
        raise _silence(error) from error


def _silence(error: SQLAlchemyError) -> Unavailable:
    """No text of the driver goes on: PostgreSQL quotes values in its messages. Its codes say enough."""
    code = _code(error)
    reason = Reason.SCHEMA_OUTDATED if _schema_is_old(error, code) else Reason.STORE_UNAVAILABLE
    return Unavailable(reason, what="database", detail=f"{type(error).__name__} {code}".strip())


def _code(error: BaseException | None) -> str:
    orig = getattr(error, "orig", None)
    return str(getattr(orig, "sqlstate", None) or getattr(orig, "sqlite_errorname", None) or "")


def _schema_is_old(error: SQLAlchemyError, code: str) -> bool:
    if code in ("42P01", "42703"):  # undefined table, undefined column
        return True
    return code == "SQLITE_ERROR" and str(getattr(error, "orig", "")).startswith(("no such table", "no such column"))


def _undone(error: BaseException | None) -> bool:
    code = _code(error)
    return code in ("40001", "40P01", "55P03") or code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))

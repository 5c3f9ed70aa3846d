"""How the two databases are opened: every setting that makes them behave as `base` promises stands here."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DataError, DisconnectionError

from consent.errors import Reason, Refusal, Unavailable

POOL_SIZE: Final = 20  # connections; more than the 16 threads of a worker, so that none waits for another
_POOL_WAIT_S: Final = 1.0
_SQLITE_BUSY_MS: Final = 5000
_CONNECT_S: Final = 2
_STATEMENT_MS: Final = 1000
_LOCK_MS: Final = 800  # before the statement's limit, because a lock not had may be tried again
_IDLE_MS: Final = 10_000  # an abandoned transaction would hold its locks for ever

MODE: Final = "huzheng_mode"  # execution option: "read" or "write"


def open_engine(url: str, *, must_exist: bool = True, pool_size: int = POOL_SIZE) -> Engine:
    """An engine for `sqlite:///path` or `postgresql+psycopg://…`. Opens no connection yet.

    A SQLite file that is missing is noticed by the first transaction (`Unavailable`, STORE_UNAVAILABLE),
    and a file that was put back is used again. `must_exist=False` is for whoever founds a database: it
    creates the empty file (mode 0600) now, and never later. Another kind of URL raises ValueError: a wrong
    setting must stop the start.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError("the database URL cannot be read") from error
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return _open_sqlite(parsed, must_exist=must_exist, pool_size=pool_size)
    if parsed.drivername == "postgresql+psycopg":
        return _open_postgresql(parsed, pool_size=pool_size)
    raise ValueError(f"{parsed.drivername} is not a database that this program knows")


def sqlite_path(engine: Engine) -> Path | None:
    """The database file, or None on PostgreSQL."""
    return Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None


# SQLite -----------------------------------------------------------------------------------------------------


def _open_sqlite(url: URL, *, must_exist: bool, pool_size: int) -> Engine:
    if not url.database or url.database == ":memory:" or url.query:
        raise ValueError("a SQLite database is a file here: sqlite:///path")
    path = Path(url.database).absolute()
    if not must_exist:
        _create(path)
    address = f"file:{quote(str(path))}?mode=rw"

    def connect() -> sqlite3.Connection:
        # isolation_level=None: the driver's own idea of when a transaction starts is off, see _begin_sqlite.
        return sqlite3.connect(
            address, uri=True, isolation_level=None, timeout=_SQLITE_BUSY_MS / 1000, check_same_thread=False
        )

    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_POOL_WAIT_S,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, record: Any) -> None:
        for pragma in (
            f"busy_timeout={_SQLITE_BUSY_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        record.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def _still_there(connection: sqlite3.Connection, record: Any, proxy: Any) -> None:
        # Also catches a file that was replaced, as a restore does. The pool then connects anew.
        if record.info.get("file") != _identity(path):
            raise DisconnectionError("the database file is gone or another one")

    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "handle_error", _unfit_value)
    return engine


def _create(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unavailable(
            Reason.STORE_UNAVAILABLE, what="database", detail=f"cannot create: {error.strerror}"
        ) from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(MODE) == "write"
    # query_only makes a write inside reading() fail loudly instead of being rolled back in silence.
    if connection.info.get("writes") is not writes:
        connection.exec_driver_sql(f"PRAGMA query_only={0 if writes else 1}")
        connection.info["writes"] = writes
    if writes:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # Touches no file and so cannot fail; past SQLAlchemy, which would take as long over it as over a query.
        connection.connection.execute("BEGIN")


# PostgreSQL -------------------------------------------------------------------------------------------------


def _open_postgresql(url: URL, *, pool_size: int) -> Engine:
    limits = (
        f"-c statement_timeout={_STATEMENT_MS} -c lock_timeout={_LOCK_MS} "
        f"-c idle_in_transaction_session_timeout={_IDLE_MS} -c timezone=UTC"
    )
    engine = create_engine(
        url,
        connect_args={"options": limits, "connect_timeout": _CONNECT_S, "application_name": "huzheng"},
        isolation_level="READ COMMITTED",  # conditional UPDATEs wait for a neighbour and then look again
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_POOL_WAIT_S,
        pool_pre_ping=True,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        # A server set to synchronous_commit=off lost 2,821 of 28,520 acknowledged rows in a power cut.
        # Stronger settings than "on" (remote_apply) stay.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
        connection.commit()

    event.listen(engine, "handle_error", _unfit_value)
    return engine


def _unfit_value(context: ExceptionContext) -> None:
    """A value that no database can hold (NUL, half a surrogate pair, 65 bits) came from outside: a no."""
    error = context.original_exception
    if isinstance(context.sqlalchemy_exception, DataError) or isinstance(error, UnicodeError | OverflowError):
        raise Refusal(Reason.BODY_INVALID, detail=f"cannot be stored: {type(error).__name__}")

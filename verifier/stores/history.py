"""The history's tables: who asked about a citizen of this province, and how it ended. Part of the inner store.

entries     one row for each visit that concerned a citizen whose app is this province's. The database keeps it to one:
            (desk, window, request id, showing) is unique. `holder` is an HMAC under a key of this province alone, so that
            a copy of the database names nobody and compares with no other province's.
looks       questions that are under way to other provinces, and to ourselves: a look at the history, an objection. One
            row for each province that was asked.
objections  what citizens objected to. One open objection for each entry, by a partial unique index.

An entry is written once by whoever comes first. A report of a desk never changes what is there; a claim may take over a
report of the same request, because a claim knows more; an end is written once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    delete,
    insert,
    or_,
    select,
    text,
    update,
)

from consent.stores.base import UtcDateTime, forgiving, inserted


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryTables:
    """The three tables."""

    entries: Table
    looks: Table
    objections: Table


def history_tables(metadata: MetaData) -> HistoryTables:
    """Declare them in an owner's metadata; its migration must make the same."""
    entries = Table(
        "history",
        metadata,
        Column("entry", String(22), primary_key=True),
        Column("holder", String(43), nullable=False),
        Column("showing_id", String(24), nullable=False),
        Column("desk", String(2), nullable=False),
        Column("window", String(64), nullable=False),
        Column("request_id", String(22), nullable=False),
        Column("request_digest", String(43), nullable=True),  # null: refused at the desk, nothing was sealed
        Column("unit", String(18), nullable=False),
        Column("matter", String(64), nullable=False),
        Column("type", String(64), nullable=False),
        Column("fields", Text, nullable=False),  # JSON: names
        Column("cause", String(200), nullable=False),
        Column("words", Text, nullable=False),  # JSON: names in zh and en as the registers had them on that day
        Column("outcome", String(16), nullable=False),
        Column("reason", String(64), nullable=True),
        Column("receipt", Text, nullable=True),
        Column("asked_at", UtcDateTime, nullable=False),
        Column("ended_at", UtcDateTime, nullable=True),
        Column("second_officer", String(48), nullable=True),  # opaque id; see consent.attest
        UniqueConstraint("desk", "window", "request_id", "showing_id", name="uq_history_visit"),
        Index("ix_history_holder", "holder", "asked_at", "entry"),
        Index("ix_history_request", "request_digest"),
    )
    looks = Table(
        "looks",
        metadata,
        Column("errand", BigInteger, primary_key=True, autoincrement=False),
        Column("province", String(2), primary_key=True),
        Column("kind", String(16), nullable=False),
        Column("attempt", Integer, nullable=False),  # the lease token of the errand, see consent.stores.queue
        Column("ref", String(200), nullable=False),
        Column("question", String(43), nullable=False, unique=True),
        Column("state", String(8), nullable=False),  # WAITING, ANSWERED, SILENT
        Column("found", Text, nullable=True),
        Column("asked_at", UtcDateTime, nullable=False),
        Index("ix_looks_state", "state", "asked_at"),
    )
    objections = Table(
        "objections",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("entry", String(22), nullable=False),
        Column("holder", String(43), nullable=False),
        Column("kind", String(32), nullable=False),
        Column("text", Text, nullable=False),  # encrypted: citizens write names
        Column("question", String(43), nullable=False, unique=True),
        Column("content", String(43), nullable=False),  # digest of kind and text: the same again is the same objection
        Column("step", String(16), nullable=False),
        Column("reason", String(64), nullable=True),
        Column("request_digest", String(43), nullable=True),
        Column("receipt_digest", String(43), nullable=True),
        Column("state", String(16), nullable=False),
        Column("at", UtcDateTime, nullable=False),
        Index(
            "uq_objections_one_open",
            "entry",
            unique=True,
            sqlite_where=text("state = 'OPEN'"),
            postgresql_where=text("state = 'OPEN'"),
        ),
        sqlite_autoincrement=True,
    )
    return HistoryTables(entries=entries, looks=looks, objections=objections)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """One row of `history`. JSON columns are text here."""

    entry: str
    holder: str
    showing_id: str
    desk: str
    window: str
    request_id: str
    request_digest: str | None
    unit: str
    matter: str
    type: str
    fields: str
    cause: str
    words: str
    outcome: str
    reason: str | None
    receipt: str | None
    asked_at: datetime
    ended_at: datetime | None
    second_officer: str | None = None


def add_report(conn: Connection, tables: HistoryTables, row: EntryRow) -> bool:
    """Whether the row went in; what is known of this visit already stays as it is."""
    return inserted(conn, insert(tables.entries).values(_values(row)))


def add_visit(conn: Connection, tables: HistoryTables, row: EntryRow) -> bool:
    """The same for a sealed request, which takes over a report of the same request id, and nothing else."""
    if add_report(conn, tables, row):
        return True
    c = tables.entries.c
    visit = (
        c.desk == row.desk,
        c.window == row.window,
        c.request_id == row.request_id,
        c.showing_id == row.showing_id,
    )
    values = {name: value for name, value in _values(row).items() if name != "entry"}
    return conn.execute(update(tables.entries).where(*visit, c.request_digest.is_(None)).values(values)).rowcount == 1


def settle(
    conn: Connection,
    tables: HistoryTables,
    request_digest: str,
    *,
    outcome: str,
    reason: str | None,
    receipt: str | None,
    ended_at: datetime | None,
) -> bool:
    """Write how a visit stands. Once it has an end nothing changes it; False then."""
    c = tables.entries.c
    values = {"outcome": outcome, "reason": reason, "receipt": receipt, "ended_at": ended_at}
    statement = update(tables.entries).where(c.request_digest == request_digest, c.ended_at.is_(None)).values(values)
    return conn.execute(statement).rowcount == 1


def confirm(conn: Connection, tables: HistoryTables, request_digest: str, officer: str) -> None:
    """Write which second officer has confirmed a visit."""
    c = tables.entries.c
    conn.execute(update(tables.entries).where(c.request_digest == request_digest).values(second_officer=officer))


def holder_of(conn: Connection, tables: HistoryTables, request_digest: str) -> str | None:
    """Whose entry a request has; None for one that has none."""
    c = tables.entries.c
    return conn.execute(select(c.holder).where(c.request_digest == request_digest)).scalar_one_or_none()


def find_entry(conn: Connection, tables: HistoryTables, entry: str, holder: str) -> EntryRow | None:
    """The holder's own entry of that id; None for another's, as for one that never was."""
    c = tables.entries.c
    row = conn.execute(select(tables.entries).where(c.entry == entry, c.holder == holder)).one_or_none()
    return None if row is None else _entry(row)


def page(
    conn: Connection, tables: HistoryTables, holder: str, *, before: tuple[datetime, str] | None, limit: int
) -> list[tuple[EntryRow, int | None]]:
    """The holder's entries, newest first, each with the id of its open objection. `before` is (asked_at, entry)."""
    c, o = tables.entries.c, tables.objections.c
    joined = tables.entries.outerjoin(tables.objections, and_(o.entry == c.entry, o.state == "OPEN"))
    query = select(tables.entries, o.id.label("objection")).select_from(joined).where(c.holder == holder)
    if before is not None:
        at, entry = before
        query = query.where(or_(c.asked_at < at, and_(c.asked_at == at, c.entry < entry)))
    query = query.order_by(c.asked_at.desc(), c.entry.desc()).limit(limit)
    return [(_entry(row), row.objection) for row in conn.execute(query)]


# Questions that are under way -------------------------------------------------------------------------------


def recent(conn: Connection, tables: HistoryTables, holder: str, *, since: datetime) -> Sequence[Any]:
    """(unit, outcome, request_digest, asked_at) of what a holder was asked since then."""
    c = tables.entries.c
    query = select(c.unit, c.outcome, c.request_digest, c.asked_at).where(c.holder == holder, c.asked_at > since)
    return conn.execute(query).all()


def add_look(conn: Connection, tables: HistoryTables, **columns: Any) -> bool:
    """A question to one province; False where its errand asked that province before, then the lease token is renewed."""
    looks = tables.looks
    if inserted(conn, insert(looks).values(state="WAITING", **columns)):
        return True
    conn.execute(update(looks).where(looks.c.errand == columns["errand"]).values(attempt=columns["attempt"]))
    return False


def look_of(conn: Connection, tables: HistoryTables, question: str) -> Row[Any] | None:
    """The question with this digest."""
    return conn.execute(select(tables.looks).where(tables.looks.c.question == question)).one_or_none()


def note_look(conn: Connection, tables: HistoryTables, question: str, state: str, found: str | None) -> bool:
    """Write what became of a question, once."""
    c = tables.looks.c
    statement = update(tables.looks).where(c.question == question, c.state == "WAITING")
    return conn.execute(statement.values(state=state, found=found)).rowcount == 1


def looks_of_errand(conn: Connection, tables: HistoryTables, errand: int) -> Sequence[Any]:
    """All questions of one errand, by province."""
    c = tables.looks.c
    return conn.execute(select(tables.looks).where(c.errand == errand).order_by(c.province)).all()


def overdue_looks(conn: Connection, tables: HistoryTables, *, asked_before: datetime, limit: int) -> list[str]:
    """The digests of questions that still wait for an answer."""
    c = tables.looks.c
    query = select(c.question).where(c.state == "WAITING", c.asked_at < asked_before).limit(limit)
    return list(conn.execute(query).scalars())


def forget_looks(conn: Connection, tables: HistoryTables, *, asked_before: datetime) -> int:
    """Delete old questions with their answers; returns how many."""
    return conn.execute(delete(tables.looks).where(tables.looks.c.asked_at < asked_before)).rowcount


# Objections -------------------------------------------------------------------------------------------------


def add_objection(conn: Connection, tables: HistoryTables, **columns: Any) -> int | None:
    """The id of a new open objection; None where its entry has one, or the question was answered before."""
    statement = forgiving(conn.dialect.name, insert(tables.objections).values(state="OPEN", **columns))
    found: int | None = conn.execute(statement.returning(tables.objections.c.id)).scalar_one_or_none()
    return found


def open_objection(conn: Connection, tables: HistoryTables, entry: str) -> Row[Any] | None:
    """The open objection to an entry."""
    c = tables.objections.c
    return conn.execute(select(tables.objections).where(c.entry == entry, c.state == "OPEN")).one_or_none()


def _values(row: EntryRow) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(EntryRow)}


def _entry(row: Row[Any]) -> EntryRow:
    return EntryRow(**{field.name: getattr(row, field.name) for field in fields(EntryRow)})

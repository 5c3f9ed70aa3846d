"""The hand-over store: all that the outer and the inner network of a province share.

`wallet_api` (outer) opens showings, reads them for the phone, and writes errands. The verifier's workers
(inner) take the errands, check every signature in them, and move showings on. A row alone is never a
consent: whatever counts is a sealed document in the row, checked by whoever acts on it.

showings         one row for each time that a citizen showed a code. Which state may follow which is decided
in
                 `consent.states`; here the database compares and swaps. At most one showing of a holder
                 (app, sub) is OPEN, and that is a partial unique index, so that two phones opening at once
                 cannot both win.
showing_events   every change of a showing's state, written by the statement pair that makes the change and in
                 its transaction: neither exists without the other. Read by `consent.stores.timeline`.
assertion_uses   documents that count once, by (issuer, jti) and never by their text: one token has several
                 spellings.
errands          a queue (`consent.stores.queue`).

No column holds a plain name or ID number. `sub` is pairwise, `holder_jwt` carries the ID number in an
envelope that only the verifier opens, `sheet`, `holdings` and `result` are the phone's view: units,
matters, masked certificate labels, receipts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    CursorResult,
    Index,
    Insert,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    delete,
    insert,
    select,
    text,
    true,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from consent.errors import Reason, Unavailable
from consent.stores.base import UtcDateTime, forgiving, inserted
from consent.stores.migrations import Owner
from consent.stores.names import names_table
from consent.stores.queue import queue_table

metadata: Final = MetaData()

showings: Final = Table(
    "showings",
    metadata,
    Column("showing_id", String(24), primary_key=True),  # 24 hexadecimal characters, random
    Column("province", String(2), nullable=False),
    Column("app", String(64), nullable=False),
    Column("sub", String(128), nullable=False),
    Column("holder_jwt", Text, nullable=False),
    Column("device_jwk", Text, nullable=False),
    Column("device_kid", String(64), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),  # rises with every change; the phone's ETag
    Column("reason", String(64), nullable=True),
    Column("sheet", Text, nullable=True),  # JSON: what the phone shows about the request
    Column("request_digest", String(64), nullable=True),
    Column("asked_at", UtcDateTime, nullable=True),
    Column("holdings", Text, nullable=True),  # JSON: the holder's certificates to choose from
    Column("holdings_errand", BigInteger, nullable=True),
    Column("result", Text, nullable=True),  # JSON: what was given, and the receipt
    Column("approval_jwt", Text, nullable=True),
    Index(
        "uq_showings_one_open",
        "app",
        "sub",
        unique=True,
        sqlite_where=text("state = 'OPEN'"),
        postgresql_where=text("state = 'OPEN'"),
    ),
    Index("ix_showings_holder", "app", "sub", "opened_at"),
    Index("ix_showings_state", "state", "expires_at"),
    Index("ix_showings_request", "request_digest"),
)

showing_events: Final = Table(
    "showing_events",
    metadata,
    # On PostgreSQL ids are given before the commit, so a lower one may appear after a higher one. Readers therefore
    # go by `number`, which is given to what has been committed (`timeline.number`). For one showing both rise alike.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("showing_id", String(24), nullable=False),
    Column("app", String(64), nullable=False),
    Column("version", Integer, nullable=False),  # the showing's, after the change
    Column("state", String(16), nullable=False),  # entered; the same again where only the result was added
    Column("reason", String(64), nullable=True),
    Column("at", UtcDateTime, nullable=False),
    Column("number", BigInteger, nullable=True),
    UniqueConstraint("showing_id", "version", name="uq_showing_events_version"),
    Index("ix_showing_events_feed", "app", "number"),
    Index(
        "ix_showing_events_unnumbered",
        "id",
        sqlite_where=text("number IS NULL"),
        postgresql_where=text("number IS NULL"),
    ),
    sqlite_autoincrement=True,
)

event_numbers: Final = Table(  # one row: the last number given, and the lock of whoever gives the next
    "event_numbers",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
)

assertion_uses: Final = Table(
    "assertion_uses",
    metadata,
    Column("issuer", String(128), primary_key=True),
    Column("jti", String(128), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("ix_assertion_uses_expires_at", "expires_at"),
)

names: Final = names_table(metadata)
errands: Final = queue_table("errands", metadata)

OWNER: Final = Owner(
    name="handover",
    script_location_package="consent.stores.handover_migrations",
    metadata=metadata,
)

_FIXED: Final = frozenset({"showing_id", "state", "version", "changed_at"})
_OPENING_TRIES: Final = 40  # each neighbour that opens meanwhile costs one


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowingRow:
    """One row of `showings`, as it stood when it was read. JSON columns are text here; their shape is the
    writer's."""

    showing_id: str
    province: str
    app: str
    sub: str
    holder_jwt: str
    device_jwk: str
    device_kid: str
    opened_at: datetime
    expires_at: datetime
    changed_at: datetime
    state: str
    version: int
    reason: str | None
    sheet: str | None
    request_digest: str | None
    asked_at: datetime | None
    holdings: str | None
    holdings_errand: int | None
    result: str | None
    approval_jwt: str | None


def open_showing(
    connection: Connection,
    *,
    showing_id: str,
    province: str,
    app: str,
    sub: str,
    holder_jwt: str,
    device_jwk: str,
    device_kid: str,
    now: datetime,
    expires_at: datetime,
    holdings_errand: int | None = None,
) -> tuple[str, ...]:
    """Open a showing and end the holder's earlier open one as SUPERSEDED; returns the ids of those ended.

    When two phones of a holder open at once the later commit wins and the other is superseded. An id that
    was used before raises IntegrityError.
    """
    statement = insert(showings).values(
        showing_id=showing_id,
        province=province,
        app=app,
        sub=sub,
        holder_jwt=holder_jwt,
        device_jwk=device_jwk,
        device_kid=device_kid,
        opened_at=now,
        expires_at=expires_at,
        changed_at=now,
        state="OPEN",
        version=1,
        holdings_errand=holdings_errand,
    )
    unless_open = forgiving(
        connection.dialect.name, statement, showings.c.app, showings.c.sub, where=text("state = 'OPEN'")
    ).returning(showings.c.showing_id)
    ended: list[str] = []
    # On PostgreSQL a neighbour may open between the two statements; then the index refuses and we end that
    # one too.
    for _ in range(_OPENING_TRIES):
        ended += _supersede(connection, app=app, sub=sub, now=now)
        if connection.execute(unless_open).first() is not None:
            _record(connection, showing_id=showing_id, app=app, version=1, state="OPEN", reason=None, at=now)
            return tuple(ended)
    raise Unavailable(Reason.STORE_UNAVAILABLE, what="database", detail="showings of one holder keep opening")


def _supersede(connection: Connection, *, app: str, sub: str, now: datetime) -> list[str]:
    c = showings.c
    earlier = (
        update(showings)
        .where(c.app == app, c.sub == sub, c.state == "OPEN")
        .values(state="SUPERSEDED", version=c.version + 1, changed_at=now, reason=Reason.CODE_SUPERSEDED.value)
        .returning(c.showing_id, c.app, c.version, c.state, c.reason, c.changed_at.label("at"))
    )
    ended = connection.execute(earlier).all()
    for row in ended:
        _record(connection, **row._mapping)
    return [row.showing_id for row in ended]


@cache
def _recording() -> Insert:
    return insert(showing_events).inline()


def _record(connection: Connection, **row: Any) -> None:
    """Every change of a state passes here, in the transaction that makes it."""
    connection.execute(_recording(), row)


def move(
    connection: Connection,
    showing_id: str,
    *,
    to: str,
    frm: Collection[str],
    now: datetime,
    unsettled: bool = False,
    **columns: Any,
) -> bool:
    """Set the state to `to` if it is one of `frm`, together with other columns, and raise the version. `unsettled`: only
    where there is no result, which is what tells a pause (UNDETERMINED, the counter may ask again) from an end.

    One conditional UPDATE: of two that move at once, one gets True. False also for an unknown id. `to` may
    be in `frm`: that is how `sheet` or `result` change without a change of state. Every move writes its event
    beside it. ValueError for columns
    that only this file sets.
    """
    if fixed := _FIXED & set(columns):
        raise ValueError(f"move() sets {', '.join(sorted(fixed))} itself")
    values = {"showing": showing_id, "to": to, "frm": sorted(frm), "now": now}
    statement = _moving(tuple(sorted(columns)), unsettled)
    moved = connection.execute(statement, values | {f"to_{name}": value for name, value in columns.items()}).first()
    if moved is None:
        return False
    _record(connection, **moved._mapping)
    return True


@cache
def _moving(columns: tuple[str, ...], unsettled: bool) -> ReturningUpdate[Any]:
    """Set the state and these columns where the state is one of `:frm`. Every step of a visit asks this, so each
    statement is built once."""
    c = showings.c
    return (
        update(showings)
        .where(c.showing_id == bindparam("showing"), c.state.in_(bindparam("frm", expanding=True)))
        .where(c.result.is_(None) if unsettled else true())
        .values(
            {
                c.state: bindparam("to"),
                c.version: c.version + 1,
                c.changed_at: bindparam("now", type_=UtcDateTime),
                **{c[name]: bindparam(f"to_{name}", type_=c[name].type) for name in columns},
            }
        )
        .returning(c.showing_id, c.app, c.version, c.state, c.reason, c.changed_at.label("at"))
    )


def note(connection: Connection, showing_id: str, *, now: datetime, **columns: Any) -> bool:
    """Set columns of a showing in whatever state it is, and raise the version. False for an unknown id."""
    if fixed := _FIXED & set(columns):
        raise ValueError(f"note() does not set {', '.join(sorted(fixed))}")
    c = showings.c
    statement = (
        update(showings).where(c.showing_id == showing_id).values(version=c.version + 1, changed_at=now, **columns)
    )
    return _count(connection.execute(statement)) == 1


# Phones and workers ask these all day long: each statement is built once, not at every call.
_FIND: Final = select(showings).where(showings.c.showing_id == bindparam("showing_id"))
_PAST: Final = (
    select(showings)
    .where(showings.c.state.in_(bindparam("states", expanding=True)), showings.c.expires_at <= bindparam("expired_by"))
    .order_by(showings.c.expires_at, showings.c.showing_id)
    .limit(bindparam("most", type_=Integer))
)


def find(connection: Connection, showing_id: str) -> ShowingRow | None:
    """The showing of that id."""
    row = connection.execute(_FIND, {"showing_id": showing_id}).one_or_none()
    return None if row is None else _showing(row)


def find_by_request(connection: Connection, request_digest: str) -> ShowingRow | None:
    """The showing that carries this request; the newest if there are several."""
    query = (
        select(showings)
        .where(showings.c.request_digest == request_digest)
        .order_by(showings.c.opened_at.desc(), showings.c.showing_id)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _showing(row)


def of_holder(
    connection: Connection, *, app: str, sub: str, limit: int, before: datetime | None = None
) -> list[ShowingRow]:
    """The holder's showings, newest first, opened before an instant: one page of the history."""
    query = select(showings).where(showings.c.app == app, showings.c.sub == sub)
    if before is not None:
        query = query.where(showings.c.opened_at < before)
    query = query.order_by(showings.c.opened_at.desc(), showings.c.showing_id).limit(limit)
    return [_showing(row) for row in connection.execute(query)]


def past(connection: Connection, *, states: Collection[str], expired_by: datetime, limit: int) -> list[ShowingRow]:
    """Showings in one of `states` with `expires_at` ≤ `expired_by`, oldest first: the sweep ends them."""
    found = connection.execute(_PAST, {"states": sorted(states), "expired_by": expired_by, "most": limit})
    return [_showing(row) for row in found]


def use_once(connection: Connection, issuer: str, jti: str, expires_at: datetime) -> bool:
    """True for the first use of (issuer, jti), False for every other, whoever asks from wherever.

    Call it only after the signature held: strangers must not fill the table. Keep `expires_at` at or after
    the end of the document's life including the allowed skew, because `forget_uses` goes by it.
    """
    return inserted(connection, insert(assertion_uses).values(issuer=issuer, jti=jti, expires_at=expires_at))


def forget_uses(connection: Connection, *, expired_before: datetime) -> int:
    """Delete uses of documents that have expired anyway, and return how many."""
    old = delete(assertion_uses).where(assertion_uses.c.expires_at < expired_before)
    return _count(connection.execute(old))


def _showing(row: Row[Any]) -> ShowingRow:
    return ShowingRow(**{field.name: getattr(row, field.name) for field in fields(ShowingRow)})


def _count(result: CursorResult[Any]) -> int:
    return result.rowcount

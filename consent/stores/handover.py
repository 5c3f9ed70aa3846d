"""The hand-over store: all that the outer and the inner network of a province share.

`wallet_api` (outer) opens showings, reads them for the phone, and writes errands. The verifier's workers
(inner) take the errands, check every signature in them, and move showings on. A row alone is never a
consent: whatever counts is a sealed document in the row, checked by whoever acts on it.

showings         one row for each time that a citizen showed a code. Which state may follow which is decided
in
                 `consent.states`; here the database compares and swaps. At most one showing of a holder
                 (app, sub) is OPEN, and that is a partial unique index, so that two phones opening at once
                 cannot both win.
assertion_uses   documents that count once, by (issuer, jti) and never by their text: one token has several
spellings. errands          a queue (`consent.stores.queue`).

No column holds a plain name or ID number. `sub` is pairwise, `holder_jwt` carries the ID number in an
envelope that only the verifier opens, `sheet`, `holdings` and `result` are the phone's view: units,
matters, masked certificate labels, receipts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    CursorResult,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    text,
    update,
)

from consent.errors import Reason, Unavailable
from consent.stores.base import UtcDateTime, forgiving, inserted
from consent.stores.migrations import Owner
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

assertion_uses: Final = Table(
    "assertion_uses",
    metadata,
    Column("issuer", String(128), primary_key=True),
    Column("jti", String(128), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("ix_assertion_uses_expires_at", "expires_at"),
)

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
            return tuple(ended)
    raise Unavailable(Reason.STORE_UNAVAILABLE, what="database", detail="showings of one holder keep opening")


def _supersede(connection: Connection, *, app: str, sub: str, now: datetime) -> list[str]:
    c = showings.c
    earlier = (
        update(showings)
        .where(c.app == app, c.sub == sub, c.state == "OPEN")
        .values(state="SUPERSEDED", version=c.version + 1, changed_at=now, reason=Reason.CODE_SUPERSEDED.value)
        .returning(c.showing_id)
    )
    return list(connection.execute(earlier).scalars())


def move(
    connection: Connection, showing_id: str, *, to: str, frm: Collection[str], now: datetime, **columns: Any
) -> bool:
    """Set the state to `to` if it is one of `frm`, together with other columns, and raise the version.

    One conditional UPDATE: of two that move at once, one gets True. False also for an unknown id. `to` may
    be in `frm`: that is how `sheet` or `holdings` change without a change of state. ValueError for columns
    that only this file sets.
    """
    if fixed := _FIXED & set(columns):
        raise ValueError(f"move() sets {', '.join(sorted(fixed))} itself")
    c = showings.c
    statement = (
        update(showings)
        .where(c.showing_id == showing_id, c.state.in_(sorted(frm)))
        .values(state=to, version=c.version + 1, changed_at=now, **columns)
    )
    return _count(connection.execute(statement)) == 1


def note(connection: Connection, showing_id: str, *, now: datetime, **columns: Any) -> bool:
    """Set columns of a showing in whatever state it is, and raise the version. False for an unknown id."""
    if fixed := _FIXED & set(columns):
        raise ValueError(f"note() does not set {', '.join(sorted(fixed))}")
    c = showings.c
    statement = (
        update(showings).where(c.showing_id == showing_id).values(version=c.version + 1, changed_at=now, **columns)
    )
    return _count(connection.execute(statement)) == 1


def find(connection: Connection, showing_id: str) -> ShowingRow | None:
    """The showing of that id."""
    row = connection.execute(select(showings).where(showings.c.showing_id == showing_id)).one_or_none()
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
    query = (
        select(showings)
        .where(showings.c.state.in_(sorted(states)), showings.c.expires_at <= expired_by)
        .order_by(showings.c.expires_at, showings.c.showing_id)
        .limit(limit)
    )
    return [_showing(row) for row in connection.execute(query)]


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

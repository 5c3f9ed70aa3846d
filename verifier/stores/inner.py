"""The inner store: what only the verifier of a province may open.

visits    what this province's counters asked (desk). One row for each (window, request id): the retry of a kiosk finds
          its row, anything else under that id is refused. The private half of the answer key lives here until the
          counter has cleared; then nobody can open the copy again.
claims    what counters anywhere asked of this province's citizens. The primary key is the showing: the database itself
          lets one counter in, whatever Redis, a restart or four processes at once may think.
uses      documents that count once, by (issuer, jti).
lookups   the questions to the four libraries that are under way, one row for each library.
outbox    letters to other provinces and changes to the hand-over store, written in the same transaction as the fact that
          causes them and carried out by `work`.
ledger    see `verifier.stores.ledger`.
tries     see `verifier.stores.tries`.
invitations   see `verifier.stores.invitations`.
cards, card_questions   see `verifier.stores.cards`.
couples   see `verifier.stores.couples`.
history, looks, objections   see `verifier.stores.history`.
enrolments    see `verifier.stores.enrolments`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

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
    bindparam,
    delete,
    insert,
    select,
    update,
)

from consent.states import Machine
from consent.stores.base import UtcDateTime, inserted
from consent.stores.migrations import Owner
from consent.stores.queue import put, queue_table
from consent.transport import Letter
from verifier.stores.cards import card_tables
from verifier.stores.couples import couple_table
from verifier.stores.enrolments import enrolment_table
from verifier.stores.history import history_tables
from verifier.stores.invitations import invitation_table
from verifier.stores.ledger import ledger_tables
from verifier.stores.tries import tries_tables

metadata: Final = MetaData()

visits: Final = Table(
    "visits",
    metadata,
    Column("window", String(64), primary_key=True),
    Column("request_id", String(22), primary_key=True),
    Column("body_digest", String(43), nullable=False),  # of the bytes that the kiosk sent: a retry has the same
    Column("request_digest", String(43), nullable=False, unique=True),
    Column("request", Text, nullable=False),
    Column("answer_secret", Text, nullable=True),
    Column("digits", String(2), nullable=False),
    Column("holder_province", String(2), nullable=False),
    Column("library", String(2), nullable=True),
    Column("consent", Text, nullable=True),
    Column("copy", Text, nullable=True),
    Column("receipt", Text, nullable=True),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("reason", String(64), nullable=True),
    Column("facts", Text, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("answer_by", UtcDateTime, nullable=False),
    Index("ix_visits_state", "state", "answer_by"),
)

claims: Final = Table(
    "claims",
    metadata,
    Column("showing_id", String(24), primary_key=True),
    Column("desk", String(2), nullable=False),
    Column("window", String(64), nullable=False),
    Column("request_id", String(22), nullable=False),
    Column("request_digest", String(43), nullable=False),
    Column("request", Text, nullable=False),
    Column("digits", String(2), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(64), nullable=True),
    Column("approval_digest", String(43), nullable=True),
    Column("consent", Text, nullable=True),
    Column("reply", Text, nullable=True),  # the letter that answered the desk, resent as the same bytes
    Column("claimed_at", UtcDateTime, nullable=False),
    Column("answer_by", UtcDateTime, nullable=False),
    Column("named", String(8), nullable=False, server_default="code"),  # consent.code.Form: how the counter named it
    Column("aside", Text, nullable=True),  # of two people for one visit: the envelope with the other's number
    UniqueConstraint("request_digest", name="uq_claims_request"),
    Index("ix_claims_state", "state", "answer_by"),
)

uses: Final = Table(
    "uses",
    metadata,
    Column("issuer", String(128), primary_key=True),
    Column("jti", String(22), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("ix_uses_expires_at", "expires_at"),
)

lookups: Final = Table(
    "lookups",
    metadata,
    Column("errand", BigInteger, primary_key=True, autoincrement=False),
    Column("library", String(2), primary_key=True),
    Column("attempt", Integer, nullable=False),  # the lease token of the errand, see consent.stores.queue
    Column("ref", String(64), nullable=False),
    Column("showing_id", String(24), nullable=True),
    Column("question", String(43), nullable=False, unique=True),
    Column("state", String(8), nullable=False),  # WAITING, ANSWERED, SILENT
    Column("found", Text, nullable=True),
    Column("asked_at", UtcDateTime, nullable=False),
    Index("ix_lookups_state", "state", "asked_at"),
)

outbox: Final = queue_table("outbox", metadata)
ledger: Final = ledger_tables(metadata)
tries: Final = tries_tables(metadata)
invitations: Final = invitation_table(metadata)
card_visits: Final = card_tables(metadata)
couples: Final = couple_table(metadata)
history: Final = history_tables(metadata)
enrolments: Final = enrolment_table(metadata)

OWNER: Final = Owner(name="inner", script_location_package="verifier.stores.inner_migrations", metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitRow:
    """One row of `visits`, as it stood when it was read."""

    window: str
    request_id: str
    body_digest: str
    request_digest: str
    request: str
    answer_secret: str | None
    digits: str
    holder_province: str
    library: str | None
    consent: str | None
    copy: str | None
    receipt: str | None
    state: str
    version: int
    reason: str | None
    facts: str
    asked_at: datetime
    answer_by: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRow:
    """One row of `claims`, as it stood when it was read."""

    showing_id: str
    desk: str
    window: str
    request_id: str
    request_digest: str
    request: str
    digits: str
    state: str
    reason: str | None
    approval_digest: str | None
    consent: str | None
    reply: str | None
    claimed_at: datetime
    answer_by: datetime
    named: str
    aside: str | None = None


# Kiosks and workers ask these all day long: each statement is built once, not at every call.
_FIND_VISIT: Final = select(visits).where(
    visits.c.window == bindparam("window"), visits.c.request_id == bindparam("request_id")
)
_VISIT_OF_REQUEST: Final = select(visits).where(visits.c.request_digest == bindparam("request_digest"))
_LOCKED_VISIT: Final = _VISIT_OF_REQUEST.with_for_update()
_OVERDUE_VISITS: Final = (
    select(visits)
    .where(visits.c.state.in_(bindparam("states", expanding=True)), visits.c.answer_by < bindparam("before"))
    .limit(bindparam("most", type_=Integer))
)
_OVERDUE_CLAIMS: Final = (
    select(claims)
    .where(claims.c.state == bindparam("state"), claims.c.answer_by < bindparam("before"))
    .limit(bindparam("most", type_=Integer))
)


def find_visit(conn: Connection, window: str, request_id: str) -> VisitRow | None:
    """The visit of a window under this request id."""
    return _visit(conn.execute(_FIND_VISIT, {"window": window, "request_id": request_id}).one_or_none())


def visit_of_request(conn: Connection, request_digest: str, *, lock: bool = False) -> VisitRow | None:
    """The visit that sealed this request; with `lock` nobody else moves it before this transaction ends."""
    query = _LOCKED_VISIT if lock else _VISIT_OF_REQUEST
    return _visit(conn.execute(query, {"request_digest": request_digest}).one_or_none())


def set_receipt(conn: Connection, request_digest: str, receipt: str) -> None:
    """Keep the unit's receipt with its visit, in the transaction that ends it."""
    conn.execute(update(visits).where(visits.c.request_digest == request_digest).values(receipt=receipt))


def set_answer_by(conn: Connection, request_digest: str, answer_by: datetime) -> None:
    """From now on somebody else is waited for."""
    conn.execute(update(visits).where(visits.c.request_digest == request_digest).values(answer_by=answer_by))


def overdue_visits(conn: Connection, *, states: tuple[str, ...], before: datetime, limit: int) -> list[VisitRow]:
    """Visits in one of these states whose time ran out before that instant."""
    found = conn.execute(_OVERDUE_VISITS, {"states": states, "before": before, "most": limit})
    return [row for row in map(_visit, found) if row is not None]


def forget_answer_keys(conn: Connection, machine: Machine, *, answered_before: datetime) -> int:
    """Throw away the keys of visits that nobody cleared, so that their copies stay closed for ever; returns how many."""
    c = visits.c
    old = (c.answer_secret.is_not(None), c.answer_by < answered_before)
    shown = c.state.in_(sorted(machine.sources("clear")))
    cleared = update(visits).where(*old, shown)
    cleared = cleared.values(state=machine.target("clear"), version=c.version + 1, answer_secret=None)
    return conn.execute(cleared).rowcount + conn.execute(update(visits).where(*old).values(answer_secret=None)).rowcount


def add_visit(conn: Connection, row: VisitRow) -> bool:
    """D1: whether the row went in; False when this window has used the request id before."""
    return inserted(conn, insert(visits).values({field.name: getattr(row, field.name) for field in fields(VisitRow)}))


def move_visit(conn: Connection, request_digest: str, machine: Machine, event: str, **columns: Any) -> bool:
    """Move a visit by an event of its table, together with other columns; one conditional UPDATE."""
    c = visits.c
    statement = (
        update(visits)
        .where(c.request_digest == request_digest, c.state.in_(sorted(machine.sources(event))))
        .values(state=machine.target(event), version=c.version + 1, **columns)
    )
    return conn.execute(statement).rowcount == 1


def find_claim(conn: Connection, showing_id: str) -> ClaimRow | None:
    """The claim on a showing."""
    return _claim(conn.execute(select(claims).where(claims.c.showing_id == showing_id)).one_or_none())


def claim_of_request(conn: Connection, request_digest: str) -> ClaimRow | None:
    """The claim that this request made."""
    return _claim(conn.execute(select(claims).where(claims.c.request_digest == request_digest)).one_or_none())


def claims_under(conn: Connection, request_id: str) -> list[ClaimRow]:
    """The claims under a request id. Kiosks choose the ids, each for itself, so there may be several."""
    query = select(claims).where(claims.c.request_id == request_id)
    return [row for row in map(_claim, conn.execute(query)) if row is not None]


def note_claim(conn: Connection, showing_id: str, machine: Machine, *, reason: str) -> None:
    """Remember about a claim that goes on why something did not happen to it; of one that has ended nothing changes."""
    c = claims.c
    goes_on = c.state.in_(sorted(machine.sources("end")))
    conn.execute(update(claims).where(c.showing_id == showing_id, goes_on).values(reason=reason))


def lookups_for(conn: Connection, showing_id: str) -> list[tuple[str, str, str | None]]:
    """What the libraries said to the holder of a showing: (library, state, found) of each."""
    c = lookups.c
    query = select(c.library, c.state, c.found).where(c.showing_id == showing_id).order_by(c.library)
    return [(row.library, row.state, row.found) for row in conn.execute(query)]


def forget_lookups(conn: Connection, *, asked_before: datetime) -> int:
    """Delete old answers to "who holds what": the phone has them, and we need not know; returns how many."""
    return conn.execute(delete(lookups).where(lookups.c.asked_at < asked_before)).rowcount


def overdue_claims(conn: Connection, *, state: str, before: datetime, limit: int) -> list[ClaimRow]:
    """Claims in this state whose time ran out before that instant."""
    found = conn.execute(_OVERDUE_CLAIMS, {"state": state, "before": before, "most": limit})
    return [row for row in map(_claim, found) if row is not None]


def add_claim(conn: Connection, row: ClaimRow) -> bool:
    """C1: whether this counter got the showing; False when any counter got it before."""
    return inserted(conn, insert(claims).values({field.name: getattr(row, field.name) for field in fields(ClaimRow)}))


def move_claim(conn: Connection, showing_id: str, machine: Machine, event: str, **columns: Any) -> bool:
    """Move a claim by an event of its table, together with other columns; one conditional UPDATE."""
    c = claims.c
    statement = (
        update(claims)
        .where(c.showing_id == showing_id, c.state.in_(sorted(machine.sources(event))))
        .values(state=machine.target(event), **columns)
    )
    return conn.execute(statement).rowcount == 1


def use_once(conn: Connection, issuer: str, jti: str, expires_at: datetime) -> bool:
    """True for the first use of a document. Call it only after its seal held."""
    return inserted(conn, insert(uses).values(issuer=issuer, jti=jti, expires_at=expires_at))


def forget_uses(conn: Connection, *, expired_before: datetime) -> int:
    """Delete the uses of documents that have expired anyway; returns how many."""
    return conn.execute(delete(uses).where(uses.c.expires_at < expired_before)).rowcount


def post(conn: Connection, letter: Letter, *, ref: str, now: datetime, once_key: str | None = None) -> bool:
    """Put a letter into the outbox, in the transaction of what caused it; False when `once_key` was posted before.

    `ref` is the digest of the document that the letter is about, so that a letter which nobody accepts finds its cause.
    """
    body = letter.to_json()
    return put(conn, outbox, kind="letter", ref=ref, body=body, now=now, once_key=once_key) is not None


def hand_over(
    conn: Connection, kind: str, showing_id: str, body: Mapping[str, Any], *, now: datetime, once_key: str
) -> None:
    """Put a change of the hand-over store ("sheet" or "settle") into the outbox. The two databases share no transaction."""
    put(conn, outbox, kind=kind, ref=showing_id, body=body, now=now, once_key=once_key)


def facts_text(facts: Mapping[str, str | int]) -> str:
    """The public facts of a reason as a column."""
    return json.dumps(dict(facts), ensure_ascii=False)


def _visit(row: Row[Any] | None) -> VisitRow | None:
    return None if row is None else VisitRow(**row._mapping)


def _claim(row: Row[Any] | None) -> ClaimRow | None:
    return None if row is None else ClaimRow(**row._mapping)

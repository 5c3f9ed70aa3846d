"""The card route's tables, part of the inner store.

cards            one row for each visit that began with a card: the reader's word, and the pad's once it is there, with a
                 second officer's where one has confirmed
card_questions   who holds what, asked after the holder has agreed: one row for each library. WAITING, ANSWERED or SILENT
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Index, MetaData, Row, String, Table, Text, delete, insert, select, update

from consent.stores.base import UtcDateTime, inserted


@dataclass(frozen=True, slots=True, kw_only=True)
class CardTables:
    """Both tables."""

    cards: Table
    questions: Table


def card_tables(metadata: MetaData) -> CardTables:
    """Declare the tables in the inner store's metadata; migrations 0005 and 0007 make the same."""
    cards = Table(
        "cards",
        metadata,
        Column("request_digest", String(43), primary_key=True),
        Column("card_jwt", Text, nullable=False),
        Column("pad_jwt", Text, nullable=True),
        Column("at", UtcDateTime, nullable=False),
        Column("officer_jwt", Text, nullable=True),
        Column("officer", String(48), nullable=True),  # the opaque id in it
    )
    questions = Table(
        "card_questions",
        metadata,
        Column("request_digest", String(43), primary_key=True),
        Column("library", String(2), primary_key=True),
        Column("question", String(43), nullable=False, unique=True),
        Column("state", String(8), nullable=False),
        Column("found", Text, nullable=True),
        Column("asked_at", UtcDateTime, nullable=False),
        Index("ix_card_questions_state", "state", "asked_at"),
    )
    return CardTables(cards=cards, questions=questions)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """One row of `cards`, as it stood when it was read."""

    request_digest: str
    card_jwt: str
    pad_jwt: str | None
    at: datetime
    officer_jwt: str | None
    officer: str | None


def add(conn: Connection, tables: CardTables, request_digest: str, card_jwt: str, *, now: datetime) -> None:
    """Keep the reader's word, in the transaction that begins the visit."""
    conn.execute(insert(tables.cards), {"request_digest": request_digest, "card_jwt": card_jwt, "at": now})


def answer(
    conn: Connection,
    tables: CardTables,
    request_digest: str,
    pad_jwt: str,
    *,
    officer_jwt: str | None = None,
    officer: str | None = None,
) -> bool:
    """Keep the pad's word and a second officer's (with the id in it); False where there is one already, or no card."""
    c = tables.cards.c
    free = update(tables.cards).where(c.request_digest == request_digest, c.pad_jwt.is_(None))
    words = {"pad_jwt": pad_jwt, "officer_jwt": officer_jwt, "officer": officer}
    return conn.execute(free.values(words)).rowcount == 1


def find(conn: Connection, tables: CardTables, request_digest: str) -> CardRow | None:
    """The card of a visit, or None for one that began with a code."""
    c = tables.cards.c
    row = conn.execute(select(tables.cards).where(c.request_digest == request_digest)).one_or_none()
    return None if row is None else CardRow(**row._mapping)


def evidence_of(conn: Connection, tables: CardTables, request_digest: str) -> dict[str, str | None] | None:
    """The words behind a consent, for the library (reader, pad, second officer); None for a visit with a phone."""
    found = find(conn, tables, request_digest)
    if found is None or found.pad_jwt is None:
        return None
    return {"card": found.card_jwt, "pad": found.pad_jwt, "officer": found.officer_jwt}


def second_officer(conn: Connection, tables: CardTables, request_digest: str) -> str | None:
    """The opaque id of the second officer who has confirmed a visit; None where nobody has."""
    c = tables.cards.c
    return conn.execute(select(c.officer).where(c.request_digest == request_digest)).scalar_one_or_none()


def ask(
    conn: Connection, tables: CardTables, request_digest: str, library: str, question: str, *, now: datetime
) -> bool:
    """Note that a library is asked; False where it was before."""
    row = {"request_digest": request_digest, "library": library, "question": question, "state": "WAITING"}
    return inserted(conn, insert(tables.questions).values(**row, asked_at=now))


def asked(conn: Connection, tables: CardTables, question: str) -> Row[Any, Any] | None:
    """(request_digest, library) of a question by its digest."""
    c = tables.questions.c
    return conn.execute(select(c.request_digest, c.library).where(c.question == question)).one_or_none()


def note(conn: Connection, tables: CardTables, question: str, state: str, found: str | None) -> bool:
    """What a library said; the first word counts."""
    c = tables.questions.c
    waiting = update(tables.questions).where(c.question == question, c.state == "WAITING")
    return conn.execute(waiting.values(state=state, found=found)).rowcount == 1


def said(conn: Connection, tables: CardTables, request_digest: str) -> Sequence[Row[Any, Any, Any]]:
    """(library, state, found) of every library that was asked for this visit."""
    c = tables.questions.c
    query = select(c.library, c.state, c.found).where(c.request_digest == request_digest).order_by(c.library)
    return conn.execute(query).all()


def overdue(conn: Connection, tables: CardTables, *, before: datetime, limit: int) -> list[str]:
    """Questions (digests) that have waited since before that instant."""
    c = tables.questions.c
    query = select(c.question).where(c.state == "WAITING", c.asked_at < before).limit(limit)
    return list(conn.execute(query).scalars())


def forget(conn: Connection, tables: CardTables, *, before: datetime) -> None:
    """Delete what is about persons, long after the visits have ended."""
    conn.execute(delete(tables.cards).where(tables.cards.c.at < before))
    conn.execute(delete(tables.questions).where(tables.questions.c.asked_at < before))

"""The card route's tables, part of the inner store.

cards            one row for each visit that began with a card: the reader's word, and the pad's once it is there
card_questions   who holds what, asked after the holder has agreed: one row for each library. WAITING, ANSWERED or SILENT
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Connection, Index, MetaData, Row, String, Table, Text, delete, insert, select, update

from consent.stores.base import UtcDateTime, inserted


@dataclass(frozen=True, slots=True, kw_only=True)
class CardTables:
    """Both tables."""

    cards: Table
    questions: Table


def card_tables(metadata: MetaData) -> CardTables:
    """Declare the tables in the inner store's metadata; migration 0005 makes the same."""
    cards = Table(
        "cards",
        metadata,
        Column("request_digest", String(43), primary_key=True),
        Column("card_jwt", Text, nullable=False),
        Column("pad_jwt", Text, nullable=True),
        Column("at", UtcDateTime, nullable=False),
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


_TABLES: Final = card_tables(MetaData())  # statements need names and types only


def add(conn: Connection, request_digest: str, card_jwt: str, *, now: datetime) -> None:
    """Keep the reader's word, in the transaction that begins the visit."""
    conn.execute(insert(_TABLES.cards), {"request_digest": request_digest, "card_jwt": card_jwt, "at": now})


def answer(conn: Connection, request_digest: str, pad_jwt: str) -> bool:
    """Keep the pad's word; False where there is one already, or no card."""
    c = _TABLES.cards.c
    free = update(_TABLES.cards).where(c.request_digest == request_digest, c.pad_jwt.is_(None))
    return conn.execute(free.values(pad_jwt=pad_jwt)).rowcount == 1


def find(conn: Connection, request_digest: str) -> Row[Any, Any, Any] | None:
    """(card_jwt, pad_jwt, at) of a visit, or None for one that began with a code."""
    c = _TABLES.cards.c
    query = select(c.card_jwt, c.pad_jwt, c.at).where(c.request_digest == request_digest)
    return conn.execute(query).one_or_none()


def evidence_of(conn: Connection, request_digest: str) -> dict[str, str] | None:
    """The words of reader and pad behind a consent, for the library; None for a visit with a phone."""
    found = find(conn, request_digest)
    if found is None or found.pad_jwt is None:
        return None
    return {"card": found.card_jwt, "pad": found.pad_jwt}


def ask(conn: Connection, request_digest: str, library: str, question: str, *, now: datetime) -> bool:
    """Note that a library is asked; False where it was before."""
    row = {"request_digest": request_digest, "library": library, "question": question, "state": "WAITING"}
    return inserted(conn, insert(_TABLES.questions).values(**row, asked_at=now))


def asked(conn: Connection, question: str) -> Row[Any, Any] | None:
    """(request_digest, library) of a question by its digest."""
    c = _TABLES.questions.c
    return conn.execute(select(c.request_digest, c.library).where(c.question == question)).one_or_none()


def note(conn: Connection, question: str, state: str, found: str | None) -> bool:
    """What a library said; the first word counts."""
    c = _TABLES.questions.c
    waiting = update(_TABLES.questions).where(c.question == question, c.state == "WAITING")
    return conn.execute(waiting.values(state=state, found=found)).rowcount == 1


def said(conn: Connection, request_digest: str) -> Sequence[Row[Any, Any, Any]]:
    """(library, state, found) of every library that was asked for this visit."""
    c = _TABLES.questions.c
    query = select(c.library, c.state, c.found).where(c.request_digest == request_digest).order_by(c.library)
    return conn.execute(query).all()


def overdue(conn: Connection, *, before: datetime, limit: int) -> list[str]:
    """Questions (digests) that have waited since before that instant."""
    c = _TABLES.questions.c
    query = select(c.question).where(c.state == "WAITING", c.asked_at < before).limit(limit)
    return list(conn.execute(query).scalars())


def forget(conn: Connection, *, before: datetime) -> None:
    """Delete what is about persons, long after the visits have ended."""
    conn.execute(delete(_TABLES.cards).where(_TABLES.cards.c.at < before))
    conn.execute(delete(_TABLES.questions).where(_TABLES.questions.c.asked_at < before))

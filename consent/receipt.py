"""Receipts (`receipt+jwt`): each side keeps a signed paper about what happened, checkable for years and by anybody.

A receipt holds digests, an outcome, a time and a place in its issuer's ledger. It holds no personal data, so it can be
shown, stored and sent on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consent.errors import Outcome, Reason, outcome_of
from consent.keys import Keys, Kind, SigningKey
from consent.request import REQUEST, Ask
from consent.seal import Sealed, open_sealed, seal
from consent.shapes import DIGEST, Maybe, Members, Number, choice

LIFE: Final = timedelta(days=3660)  # processing records are kept for at least three years, archives for longer
SIDES: Final = ("citizen", "unit", "library")

RECEIPT: Final = Kind(
    typ="receipt+jwt",
    claims={
        "req": DIGEST,
        "consent": Maybe(DIGEST),
        "copy": Maybe(DIGEST),
        "outcome": choice(*Outcome),
        "reason": Maybe(choice(*Reason)),
        "unit": REQUEST.claims["unit"],
        "window": REQUEST.claims["window"],
        "officer": REQUEST.claims["officer"],
        "matter": REQUEST.claims["matter"],
        "type": REQUEST.claims["type"],
        "fields": REQUEST.claims["fields"],
        "ledger": Members({"position": Number(1, 2**53), "entry": DIGEST}),
    },
    life=LIFE,
    max_length=3600,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a ledger: the entry's number and digest."""

    position: int
    entry: str


def seal_receipt(
    key: SigningKey,
    *,
    side: str,
    ask: Ask,
    request_digest: str,
    consent_digest: str | None,
    copy_digest: str | None,
    reason: Reason | None,
    ledger: Position,
    now: datetime,
) -> str:
    """The receipt of one side: "citizen", "unit" or "library"."""
    claims = {
        "req": request_digest,
        "consent": consent_digest,
        "copy": copy_digest,
        "outcome": outcome_of(reason),
        "reason": reason,
        "unit": ask.unit,
        "window": ask.window,
        "officer": ask.officer,
        "matter": ask.matter,
        "type": ask.type,
        "fields": list(ask.fields),
        "ledger": {"position": ledger.position, "entry": ledger.entry},
    }
    return seal(RECEIPT, claims, key, audience=side, now=now)


def open_receipt(text: str, keys: Keys, *, side: str, now: datetime) -> Sealed:
    """A receipt of that side, checked with public keys alone; Refusal DOCUMENT_…"""
    return open_sealed(RECEIPT, text, keys, audience=side, now=now)

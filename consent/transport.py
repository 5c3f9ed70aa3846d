"""Between provinces there is only the exchange; this is the letter it carries and the port that carries it.

A letter shows from, to, topic, unit, matter and request id, because the exchange counts and may close a channel; all
else is enveloped to the destination. Documents inside are signed by whoever vouches for them, so a letter needs no
signature of its own: the sender of the wire is known by mTLS, the sender of the words by their seal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from consent.envelope import EnvelopeKey, Recipient, belongs_to, close_envelope
from consent.errors import Reason, Refusal
from consent.seal import strict_json
from consent.shapes import BASE64URL, ID128, PROVINCE, SLUG, USCC, Maybe, Members, Text, choice

LETTER_LENGTH: Final = 200_000  # characters of a letter's envelope


class Topic(StrEnum):
    """What a letter is about; the exchange routes all alike and checks the channel for FETCH."""

    ASK = "ask"  # desk → code's province: a request
    CONSENT = "consent"  # code's province → desk: a consent, or a refusal
    FETCH = "fetch"  # desk → library: request and consent
    COPY = "copy"  # library → desk: a copy, or a refusal
    ACKNOWLEDGE = "acknowledge"  # desk → library: the copy was admitted
    OUTCOME = "outcome"  # desk → code's province: how the visit ended
    WITHDRAW = "withdraw"  # code's province → library
    WITHDRAWN = "withdrawn"  # library → code's province: withdrawn, or too late
    HOLDINGS = "holdings"  # code's province → library: who holds what
    HELD = "held"  # library → code's province
    COME = "come"  # a phone's province → desk: it has read the counter's code, and here is its own
    REPORT = "report"  # desk → code's province: refused before anything was asked
    HISTORY = "history"  # an app's province → all: what has its citizen's history there
    HISTORIED = "historied"  # and what it has
    OBJECT = "object"  # an app's province → the entry's: an objection
    OBJECTED = "objected"  # and its number


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message between two provinces. `sender` and `to` are province codes; `body` is an envelope."""

    sender: str
    to: str
    topic: Topic
    unit: str | None
    matter: str | None
    request_id: str
    body: str

    def to_json(self) -> dict[str, Any]:
        """As the body of an HTTP call."""
        return asdict(self)


_LETTER: Final = Members(
    {
        "sender": PROVINCE,
        "to": PROVINCE,
        "topic": choice(*Topic),
        "unit": Maybe(USCC),
        "matter": Maybe(SLUG),
        "request_id": ID128,
        "body": Text(LETTER_LENGTH, 1, BASE64URL),
    }
)


def letter_from(raw: bytes) -> Letter:
    """A letter off the wire; Refusal(DOCUMENT_MALFORMED) where it is none."""
    found = strict_json(raw, depth=1, members=7)
    if not _LETTER.fits(found):
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail="letter")
    return Letter(**{**found, "topic": Topic(found["topic"])})


def write_letter(
    content: Mapping[str, Any],
    *,
    sender: str,
    to: str,
    topic: Topic,
    request_id: str,
    recipient: Recipient,
    unit: str | None = None,
    matter: str | None = None,
) -> Letter:
    """A letter whose content (JSON) only `recipient`, the inner network of `to`, can read."""
    info = belongs_to(sender, to, topic, request_id)
    body = close_envelope(recipient, json.dumps(dict(content), ensure_ascii=False).encode(), info=info)
    return Letter(sender=sender, to=to, topic=topic, unit=unit, matter=matter, request_id=request_id, body=body)


def read_letter(letter: Letter, key: EnvelopeKey, *, content: Members) -> dict[str, Any]:
    """The content of a letter to us, in exactly the shape that its topic has; Refusal ENVELOPE_… or DOCUMENT_…"""
    info = belongs_to(letter.sender, letter.to, letter.topic, letter.request_id)
    found: dict[str, Any] = strict_json(key.open(letter.body, info=info), depth=4, members=12)
    if not content.fits(found):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail=f"content of a letter about {letter.topic}")
    return found


class Transport(Protocol):
    """Carries letters to the exchange.

    `send` returns when the exchange says that the destination has the letter in its database; the letter may then arrive
    again, never be lost. Refusal: the exchange or the destination will not take it, ever (a closed channel, a wrong
    sender). Unavailable: nobody knows; sending the same letter again is right, and receivers bear it.
    """

    def send(self, letter: Letter) -> None:
        """Hand one letter over."""
        ...

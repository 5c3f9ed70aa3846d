"""What the device signed: the citizen's answer to one request (`approval+jwt`), life 2 minutes, once.

The key lives in the phone (WebCrypto, not extractable); wallet_api passes the answer on and could not write one. It
names the request by digest, so it is an answer to these fields for this matter at this window and to nothing else. A
withdrawal is the same document with another decision.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from consent.errors import Reason, Refusal
from consent.keys import Kind, OneKey, PublicKey, SigningKey
from consent.seal import Sealed, open_sealed, seal
from consent.shapes import DIGEST, SLUG, Listing, Maybe, Text, choice

LIFE: Final = timedelta(minutes=2)


class Decision(StrEnum):
    """The three things that a citizen can say to a request."""

    AGREE = "agree"
    DECLINE = "decline"
    WITHDRAW = "withdraw"


HANDLE: Final = Text(25, 25, re.compile(r"[1-9][0-9]\.[A-Za-z0-9_-]{21}[AQgw]"))  # library's province "." 128 bits

APPROVAL: Final = Kind(
    typ="approval+jwt",
    claims={
        "req": DIGEST,
        "decision": choice(*Decision),
        "certificate": Maybe(HANDLE),
        "digits": Maybe(Text(2, 2, re.compile(r"[0-9]{2}"))),
        "declarations": Listing(SLUG, most=8),
    },
    life=LIFE,
    max_length=1400,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An answer whose seal held. `certificate` is the handle "33.…" that was picked, or None for "none of mine"."""

    sealed: Sealed
    request_digest: str
    decision: Decision
    certificate: str | None
    digits: str | None
    declarations: tuple[str, ...]


def seal_approval(
    key: SigningKey,
    *,
    province: str,
    request_digest: str,
    decision: Decision,
    now: datetime,
    certificate: str | None = None,
    digits: str | None = None,
    declarations: tuple[str, ...] = (),
) -> str:
    """The answer as a phone writes it. Browsers do this with WebCrypto; devices in tests and simulators use this."""
    claims = {
        "req": request_digest,
        "decision": decision,
        "certificate": certificate,
        "digits": digits,
        "declarations": list(declarations),
    }
    return seal(APPROVAL, claims, key, audience=province, now=now)


def open_approval(text: str, device: PublicKey, *, province: str, request_digest: str, now: datetime) -> Approval:
    """An answer of this device to this request; Refusal DOCUMENT_… or APPROVAL_MISMATCH."""
    sealed = open_sealed(APPROVAL, text, OneKey(device), audience=province, now=now)
    if sealed.claims["req"] != request_digest:
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="answers another request")
    return Approval(
        sealed=sealed,
        request_digest=request_digest,
        decision=Decision(sealed.claims["decision"]),
        certificate=sealed.claims["certificate"],
        digits=sealed.claims["digits"],
        declarations=tuple(sealed.claims["declarations"]),
    )

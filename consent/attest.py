"""A second officer's word at a counter without a phone (`attest+jwt`), life 2 minutes, once.

"I have seen this person agree to this very request": an officer's staff card says so, with a key of its own. On the key ring
it is "PROVINCE:UNIT:officer:ID": a card is its unit's, so a colleague may come over from the next window, and nobody from
another house can. The id is opaque; whose it is the unit knows.

What that proves: a key that was enrolled for an officer of this unit, and that is neither the window's nor a device's, has
signed this request at this window. What it does not prove, as long as officers do not sign in: that the holder of the card
is somebody else than the officer of the window, whom nobody has verified. A card that was lent says nothing but its number.

The consent commits to both words, the pad's and the officer's (`evidence_of`), so that none of the two can be exchanged
afterwards; the library opens them again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consent.b64 import digest_of
from consent.card import CARD, PAD
from consent.errors import Reason, Refusal
from consent.keys import Keys, Kind, SigningKey
from consent.request import REQUEST, Request
from consent.seal import Sealed, open_sealed, seal
from consent.shapes import DIGEST, Text
from consent.window import WINDOW

# At most 48, because an issuer has 80 characters, and province and unit stand before it.
OFFICER: Final = Text(48, 1, re.compile(r"[A-Za-z0-9._-]+"))

ATTEST: Final = Kind(
    typ="attest+jwt",
    claims={"req": DIGEST, "officer": OFFICER, "window": REQUEST.claims["window"]},
    life=timedelta(minutes=2),
    max_length=900,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attest:
    """A second officer's word about one request, whose seal held. `officer` is the opaque id."""

    sealed: Sealed
    officer: str


def staff_of(province: str, unit: str, officer: str) -> str:
    """How the key ring calls an officer's staff card; `unit` is the USCC."""
    return f"{province}:{unit}:officer:{officer}"


def seal_attest(
    key: SigningKey, *, province: str, window: str, officer: str, request_digest: str, now: datetime
) -> str:
    """What a staff card says. Written by the simulated card; a real one holds its key in its chip."""
    claims = {"req": request_digest, "officer": officer, "window": window}
    return seal(ATTEST, claims, key, audience=province, now=now)


def open_attest(text: str, keys: Keys, *, request: Request, now: datetime) -> Attest:
    """The word of a second officer of the request's unit about this request at its window.

    Refusal DOCUMENT_…; DOCUMENT_CLAIMS also for another unit's card, another window, the officer who has asked, or a key that
    speaks for a window or a device as well; APPROVAL_MISMATCH for another request.
    """
    ask = request.ask
    sealed = open_sealed(ATTEST, text, keys, audience=request.desk, now=now)
    officer = sealed.claims["officer"]
    if sealed.issuer != staff_of(request.desk, ask.unit, officer):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="not a staff card of this unit")
    if sealed.claims["window"] != ask.window:
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="seen at another window")
    if sealed.claims["req"] != request.digest:
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="saw another request")
    if officer == ask.officer:
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="the officer who has asked is not a second one")
    if _is_a_devices(sealed.key.kid, keys, now=now):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="a machine is no second officer")
    return Attest(sealed=sealed, officer=officer)


def _is_a_devices(kid: str, keys: Keys, *, now: datetime) -> bool:
    """Whether the ring has this key for a window, a reader or a pad too. Whoever enrols one key twice has one word, not two."""
    for kind in (WINDOW, CARD, PAD):
        try:
            keys.find(kind.typ, kid, now=now)
        except Refusal:
            continue
        return True
    return False


def evidence_of(pad: Sealed, attest: Attest | None) -> str:
    """What the consent commits to: the digest of the pad's word, or of both words where a second officer has confirmed."""
    if attest is None:
        return pad.digest
    return digest_of(f"{pad.digest}.{attest.sealed.digest}".encode("ascii"))

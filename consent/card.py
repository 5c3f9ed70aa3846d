"""The card route: somebody without a phone shows an ID card, and signs at the counter (A29, A30).

`card+jwt` is the card reader's word: this window, this request id, this person, read now. The person is in an envelope to the
desk's province; life 60 s, once. `pad+jwt` is the word of the signature pad or of the person-ID matcher: this person has
answered this very request, and here is the salted digest of the evidence (pen strokes, or the matcher's result), which
stays with the unit's file; life 2 minutes, once.

Both devices are enrolled with keys of their own, one of each for a window, so that neither the kiosk nor the officer can
read a card that was not there or sign for somebody. On the key ring they are "PROVINCE:WINDOW:reader" and "…:pad".

A face match is never the only way: whoever does not want it signs, and a matter that is sensitive says in the catalogue
which of the two it takes, and whether a second officer has to confirm (`consent.attest`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consent.approval import Decision
from consent.b64 import new_id
from consent.envelope import EnvelopeKey, Recipient, belongs_to, close_envelope
from consent.errors import Reason, Refusal
from consent.keys import Keys, Kind, SigningKey
from consent.seal import Sealed, open_sealed, seal
from consent.shapes import BASE64URL, DIGEST, ID128, SLUG, Listing, Text, choice
from consent.showing import Person
from consent.window import issuer_of

METHODS: Final = ("pad", "face")

CARD: Final = Kind(
    typ="card+jwt",
    claims={"window": Text(64, 1), "request": ID128, "env": Text(2600, 1, BASE64URL)},
    life=timedelta(seconds=60),
    max_length=4600,
)

PAD: Final = Kind(
    typ="pad+jwt",
    claims={
        "req": DIGEST,
        "decision": choice(Decision.AGREE, Decision.DECLINE),
        "method": choice(*METHODS),
        "evidence": DIGEST,
        "declarations": Listing(SLUG, most=8),
    },
    life=timedelta(minutes=2),
    max_length=1400,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRead:
    """A card that was read at a window. The person is still in the envelope."""

    sealed: Sealed
    envelope: str

    def person(self, key: EnvelopeKey) -> Person:
        """Open the envelope, which only the desk's province can."""
        claims = self.sealed.claims
        info = belongs_to(CARD.typ, claims["iss"], claims["aud"], claims["jti"])
        return Person.from_bytes(key.open(self.envelope, info=info))


@dataclass(frozen=True, slots=True, kw_only=True)
class PadAnswer:
    """An answer that was given at the counter."""

    sealed: Sealed
    decision: Decision
    method: str
    declarations: tuple[str, ...]


def device_of(province: str, window: str, device: str) -> str:
    """How the key ring calls a device of a window: `reader` or `pad`."""
    return f"{issuer_of(province, window)}:{device}"


def seal_card(
    person: Person, key: SigningKey, *, province: str, window: str, request_id: str, inner: Recipient, now: datetime
) -> str:
    """What a card reader says. Written by the simulated reader; a real one holds its key in a secure element."""
    jti = new_id()
    info = belongs_to(CARD.typ, key.issuer, province, jti)
    claims = {
        "window": window,
        "request": request_id,
        "env": close_envelope(inner, person.to_bytes(), info=info),
    }
    return seal(CARD, claims, key, audience=province, now=now, jti=jti)


def open_card(text: str, keys: Keys, *, province: str, window: str, request_id: str, now: datetime) -> CardRead:
    """A card read at this very window for this very request; Refusal DOCUMENT_…"""
    sealed = open_sealed(CARD, text, keys, audience=province, now=now)
    claims = sealed.claims
    if sealed.issuer != device_of(province, window, "reader"):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="another window's reader")
    if (claims["window"], claims["request"]) != (window, request_id):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="a card read for another request")
    return CardRead(sealed=sealed, envelope=claims["env"])


def seal_pad(
    key: SigningKey,
    *,
    province: str,
    request_digest: str,
    decision: Decision,
    method: str,
    evidence: str,
    now: datetime,
    declarations: tuple[str, ...] = (),
) -> str:
    """What the pad says; `evidence` is the salted digest of the strokes or of the matcher's result."""
    claims = {
        "req": request_digest,
        "decision": decision,
        "method": method,
        "evidence": evidence,
        "declarations": list(declarations),
    }
    return seal(PAD, claims, key, audience=province, now=now)


def open_pad(text: str, keys: Keys, *, province: str, window: str, request_digest: str, now: datetime) -> PadAnswer:
    """An answer to this request, given at this window; Refusal DOCUMENT_… or APPROVAL_MISMATCH."""
    sealed = open_sealed(PAD, text, keys, audience=province, now=now)
    if sealed.issuer != device_of(province, window, "pad"):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="another window's pad")
    if sealed.claims["req"] != request_digest:
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="answers another request")
    return PadAnswer(
        sealed=sealed,
        decision=Decision(sealed.claims["decision"]),
        method=sealed.claims["method"],
        declarations=tuple(sealed.claims["declarations"]),
    )

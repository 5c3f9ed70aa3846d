"""The consent token (`consent+jwt`): a citizen's agreement, checked and sealed by the citizen's province. 5 minutes, once.

It belongs to one request (by digest) and to one library, carries how the agreement was given and the digest of its
evidence, and one envelope for that library with the holder and the chosen certificate. The desk that carries it learns
neither; the library that opens it spends it. Single use is kept there on (iss, jti).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from consent.approval import HANDLE
from consent.envelope import EnvelopeKey, Recipient, close_envelope
from consent.errors import Reason, Refusal
from consent.keys import Keys, Kind, SigningKey
from consent.request import Request
from consent.seal import Sealed, open_sealed, seal, strict_json
from consent.shapes import BASE64URL, DIGEST, PROVINCE, Maybe, Members, Text, choice
from consent.showing import Person

LIFE: Final = timedelta(minutes=5)
METHODS: Final = ("app", "express", "pad", "face")  # how the holder agreed, whatever had opened the showing

CONSENT: Final = Kind(
    typ="consent+jwt",
    claims={
        "req": DIGEST,
        "library": PROVINCE,
        "env": Text(2800, 1, BASE64URL),
        "method": choice(*METHODS),
        "evidence": DIGEST,
    },
    life=LIFE,
    max_length=4800,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A consent token whose seal held and that belongs to the request at hand."""

    sealed: Sealed
    library: str
    method: str
    evidence: str
    envelope: str

    @property
    def issuer(self) -> str:
        """The province that vouches for the citizen's agreement."""
        return self.sealed.issuer

    @property
    def jti(self) -> str:
        """Spent once, under its issuer."""
        return self.sealed.jti


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What the library finds in the envelope: whose certificate, and which. `other` is the ID number of the person who came
    along as the other party; the library says whether that is so."""

    person: Person
    certificate: str
    other: str | None = None


_GRANT: Final = Members({"id": Text(18, 15), "name": Text(50), "certificate": HANDLE, "other": Maybe(Text(18, 15))})


def seal_consent(
    grant: Grant,
    key: SigningKey,
    *,
    request: Request,
    method: str,
    evidence: str,
    library: Recipient,
    now: datetime,
) -> str:
    """The consent token as text; its library is the one that the certificate's handle names."""
    payload = {
        "id": grant.person.id_number,
        "name": grant.person.name,
        "certificate": grant.certificate,
        "other": grant.other,
    }
    claims = {
        "req": request.digest,
        "library": grant.certificate.partition(".")[0],
        "env": close_envelope(library, json.dumps(payload, ensure_ascii=False).encode(), info=request.digest),
        "method": method,
        "evidence": evidence,
    }
    return seal(CONSENT, claims, key, audience=request.desk, now=now)


def open_consent(text: str, keys: Keys, *, request: Request, now: datetime) -> Consent:
    """A consent for this very request, from the very province that sealed the code.

    Refusal DOCUMENT_…, or CONSENT_MISMATCH when it belongs to another request or another province gave it (T14, T8).
    """
    sealed = open_sealed(CONSENT, text, keys, audience=request.desk, now=now)
    if sealed.claims["req"] != request.digest or sealed.issuer != request.holder_province:
        raise Refusal(Reason.CONSENT_MISMATCH, detail="for another request")
    return Consent(
        sealed=sealed,
        library=sealed.claims["library"],
        method=sealed.claims["method"],
        evidence=sealed.claims["evidence"],
        envelope=sealed.claims["env"],
    )


def open_grant(consent: Consent, key: EnvelopeKey) -> Grant:
    """The envelope in a consent, for the library that it names."""
    found: Any = strict_json(key.open(consent.envelope, info=consent.sealed.claims["req"]), depth=1, members=4)
    if not _GRANT.fits(found):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="grant")
    if found["certificate"].partition(".")[0] != consent.library:
        raise Refusal(Reason.CONSENT_MISMATCH, detail="certificate of another library")
    person = Person(id_number=found["id"], name=found["name"])
    return Grant(person=person, certificate=found["certificate"], other=found["other"])

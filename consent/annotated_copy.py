"""The annotated copy (加注件, `copy+jwt`): what a library gives out for one request, and no more.

The disclosed fields travel in an envelope to the key that the desk made for this request. A field says how it was
disclosed: MATCH answers yes or no, MASKED hides the middle, PLAIN shows the value, AT_LEAST_DATE compares. Status and
`status_as_of` always go along: a certificate proves a registration, never that somebody is married today.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from consent.b64 import digest_of
from consent.envelope import EnvelopeKey, close_envelope, recipient
from consent.errors import Reason, Refusal
from consent.holding import STATUSES
from consent.keys import Keys, Kind, SigningKey
from consent.request import CERTIFICATE_TYPES, Request
from consent.seal import Sealed, open_sealed, seal, strict_json
from consent.shapes import BASE64URL, DIGEST, ID128, PROVINCE, SLUG, Listing, Members, Text, choice

LIFE: Final = timedelta(minutes=15)
DISCLOSURES: Final = ("MATCH", "AT_LEAST_DATE", "MASKED", "PLAIN")

COPY: Final = Kind(
    typ="copy+jwt",
    claims={
        "req": DIGEST,
        "consent_issuer": PROVINCE,
        "consent": ID128,
        "env": Text(50_000, 1, BASE64URL),
    },
    life=LIFE,
    max_length=68_000,  # 24 fields of 200 characters, each written as an escape, fit
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One disclosed field: its name in the catalogue, how it was disclosed, and the text to show."""

    name: str
    disclosure: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyBody:
    """What the counter sees. Times are RFC 3339, dates ISO; `cause` and `expires` are the annotation (加注事由, 有效期)."""

    type: str
    status: str
    status_as_of: str
    library: str
    authority: str
    cause: str
    expires: str
    fields: tuple[Field, ...]

    def to_bytes(self) -> bytes:
        """As the payload of the envelope."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()


_BODY: Final = Members(
    {
        "type": choice(*CERTIFICATE_TYPES),
        "status": choice(*STATUSES),
        "status_as_of": Text(20, 20),
        "library": PROVINCE,
        "authority": Text(80),
        "cause": Text(200),
        "expires": Text(20, 20),
        "fields": Listing(
            Members({"name": SLUG, "disclosure": choice(*DISCLOSURES), "value": Text(200, 0)}),
            most=24,
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedCopy:
    """A copy whose seal held and that answers the request at hand."""

    sealed: Sealed

    @property
    def digest(self) -> str:
        """The name of this copy in receipts."""
        return self.sealed.digest

    def body(self, key: EnvelopeKey) -> CopyBody:
        """Open it with the key made for the request; Refusal ENVELOPE_UNREADABLE or DOCUMENT_CLAIMS."""
        claims = self.sealed.claims
        found: Mapping[str, Any] = strict_json(key.open(claims["env"], info=claims["req"]), depth=3, members=8)
        if not _BODY.fits(found):
            raise Refusal(Reason.DOCUMENT_CLAIMS, detail="copy")
        fields = tuple(Field(**each) for each in found["fields"])
        return CopyBody(**{**found, "fields": fields})


def seal_copy(
    body: CopyBody, key: SigningKey, *, request: Request, consent_issuer: str, consent_jti: str, now: datetime
) -> str:
    """The copy as text, readable only by the desk that asked."""
    to = recipient(request.ask.answer_key)
    claims = {
        "req": request.digest,
        "consent_issuer": consent_issuer,
        "consent": consent_jti,
        "env": close_envelope(to, body.to_bytes(), info=request.digest, pad=2048),
    }
    return seal(COPY, claims, key, audience=request.desk, now=now)


def open_copy(text: str, keys: Keys, *, request: Request, library: str, now: datetime) -> AnnotatedCopy:
    """A copy for this request from that library; Refusal DOCUMENT_…"""
    sealed = open_sealed(COPY, text, keys, audience=request.desk, now=now)
    if sealed.claims["req"] != request.digest or sealed.issuer != library:
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="answers another request")
    return AnnotatedCopy(sealed=sealed)


def declared_digest(statements: Mapping[str, str]) -> str:
    """The digest of declarations by slug and text, as evidence."""
    return digest_of(json.dumps(dict(sorted(statements.items())), ensure_ascii=False).encode())

"""Where is the certificate? There is no directory: the citizen's province asks all four libraries (`holding+jwt`).

The question names the holder by an HMAC under a key that only the inner networks share, and the login (or the request)
under which it is asked. Answers are padded to one length, whether somebody has none, one or three certificates.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from consent.approval import HANDLE
from consent.b64 import to_b64
from consent.errors import Reason, Refusal
from consent.keys import Keys, Kind, SigningKey
from consent.request import CERTIFICATE_TYPES
from consent.seal import Sealed, open_sealed, seal, strict_json
from consent.shapes import DIGEST, Listing, Members, Text, choice

HOLDING: Final = Kind(typ="holding+jwt", claims={"holder": DIGEST, "under": DIGEST}, life=timedelta(seconds=60))
STATUSES: Final = (
    "VALID",
    "SUPERSEDED",
    "INVALIDATED_BY_DIVORCE",
    "ANNULLED",
    "VOID",
    "REVOKED_ADMIN",
    "SUSPENDED",
)
MOST: Final = 8  # certificates in one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One certificate as its holder may see it in a list. `number` is masked; dates are ISO."""

    certificate: str
    type: str
    number: str
    authority: str
    registration_date: str
    status: str
    status_as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What one library says. `undigitised` is true where it only has a paper file (A33)."""

    certificates: tuple[Holding, ...]
    undigitised: bool

    def to_bytes(self) -> bytes:
        """As the payload of an answer."""
        found = {
            "certificates": [asdict(each) for each in self.certificates],
            "undigitised": self.undigitised,
        }
        return json.dumps(found, ensure_ascii=False).encode()


class _Bool:
    def fits(self, value: Any) -> bool:
        return isinstance(value, bool)


_HOLDINGS: Final = Members(
    {
        "certificates": Listing(
            Members(
                {
                    "certificate": HANDLE,
                    "type": choice(*CERTIFICATE_TYPES),
                    "number": Text(60),
                    "authority": Text(80),
                    "registration_date": Text(10, 10),
                    "status": choice(*STATUSES),
                    "status_as_of": Text(20, 20),
                }
            ),
            most=MOST,
        ),
        "undigitised": _Bool(),
    }
)


def holdings_from(raw: bytes) -> Holdings:
    """Read `Holdings.to_bytes`; Refusal(DOCUMENT_CLAIMS) where it is something else."""
    found = strict_json(raw, depth=3, members=8)
    if not _HOLDINGS.fits(found):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="holdings")
    certificates = tuple(Holding(**each) for each in found["certificates"])
    return Holdings(certificates=certificates, undigitised=found["undigitised"])


def holder_index(id_number: str, key: bytes) -> str:
    """The name of a person in every library: HMAC-SHA256 of the ID number under the shared index key (T19)."""
    return to_b64(hmac.digest(key, id_number.encode(), sha256))


def seal_holding(key: SigningKey, *, library: str, holder: str, under: str, now: datetime) -> str:
    """The question to one library. `under` is the digest of the login assertion or request that allows it."""
    return seal(HOLDING, {"holder": holder, "under": under}, key, audience=library, now=now)


def open_holding(text: str, keys: Keys, *, library: str, now: datetime) -> Sealed:
    """The question, at the library that it is for; Refusal DOCUMENT_…"""
    return open_sealed(HOLDING, text, keys, audience=library, now=now)

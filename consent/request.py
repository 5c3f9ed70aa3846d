"""What is asked: a counter's request, sealed by the desk of its province (`request+jwt`), life 5 minutes.

It names unit, window, officer, matter, case, certificate type, fields and cause, and carries the key to which the answer
will be enveloped; that key is made for this one request, so that an answer recorded on the way stays closed for ever
once the desk has thrown the private half away.

The person at the counter and the two digits travel beside it, in an envelope to the province of the code (`Aside`). The
request carries salted commitments to them: nobody can change them afterwards, nobody can read them out of the request.
"""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from consent.b64 import from_b64, to_b64
from consent.envelope import PUBLIC_LENGTH, EnvelopeKey, Recipient, close_envelope
from consent.errors import Reason, Refusal
from consent.keys import Keys, Kind, SigningKey
from consent.seal import Sealed, open_sealed, seal, strict_json
from consent.shapes import BASE64URL, DIGEST, ID128, SLUG, USCC, Listing, Maybe, Members, Text, choice

LIFE: Final = timedelta(minutes=5)
CERTIFICATE_TYPES: Final = ("marriage", "divorce")
NO_OFFICER: Final = "not-verified"  # sign-in of officers is not built yet, and the receipt says so

_WINDOW: Final = Text(64, 1, re.compile(r"[A-Za-z0-9._-]+"))
_FREE: Final = re.compile(r"[^\x00-\x1f\x7f]+")  # free text without control characters

REQUEST: Final = Kind(
    typ="request+jwt",
    claims={
        "unit": USCC,
        "window": _WINDOW,
        "officer": Text(64, 1, re.compile(r"[A-Za-z0-9._-]+")),
        "matter": SLUG,
        "case": Text(64, 1, _FREE),
        "type": choice(*CERTIFICATE_TYPES),
        "fields": Listing(SLUG, most=24, least=1),
        "cause": Text(200, 1, _FREE),
        "code": DIGEST,
        "match": Maybe(DIGEST),
        "other": Maybe(DIGEST),
        "digits": DIGEST,
        "declarations": Listing(SLUG, most=8),
        "answer_key": Text(PUBLIC_LENGTH, PUBLIC_LENGTH, BASE64URL),
    },
    life=LIFE,
    max_length=7800,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a desk puts into a request; see `REQUEST` for the shapes.

    `code` is the digest of the code's text (of a typed twin a commitment, see `Aside.commit`), `declarations` the slugs of
    what the citizen must declare.
    """

    unit: str
    window: str
    officer: str
    matter: str
    case: str
    type: str
    fields: tuple[str, ...]
    cause: str
    code: str
    declarations: tuple[str, ...]
    answer_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose seal held. `desk` is the province that asks, `holder_province` the one that sealed the code."""

    sealed: Sealed
    ask: Ask
    match: str | None
    digits: str
    other: str | None = None

    @property
    def digest(self) -> str:
        """The name of this request in every later document."""
        return self.sealed.digest

    @property
    def id(self) -> str:
        """The request id that the kiosk chose (128 bits)."""
        return self.sealed.jti

    @property
    def desk(self) -> str:
        """Province code of the desk."""
        return self.sealed.issuer

    @property
    def holder_province(self) -> str:
        """Province code of the app."""
        return str(self.sealed.claims["aud"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """What only the code's province may see: the person at the counter and the digits on its screen.

    `id_number` is None where the matter asks for no holder match. `other` is the ID number of the other party where two
    people have come for one visit, None otherwise. `salt` is 16 bytes.
    """

    salt: bytes
    id_number: str | None
    digits: str
    other: str | None = None

    def match(self) -> str | None:
        """The commitment to the ID number."""
        return None if self.id_number is None else _commitment(self.salt, "id", self.id_number)

    def other_commitment(self) -> str | None:
        """The commitment to the other party's ID number."""
        return None if self.other is None else _commitment(self.salt, "other", self.other)

    def digits_commitment(self) -> str:
        """The commitment to the digits."""
        return _commitment(self.salt, "digits", self.digits)

    def commit(self, what: str, value: str) -> str:
        """A commitment to something else that the request came from, under the same salt."""
        return _commitment(self.salt, what, value)

    def close(self, to: Recipient, *, request_digest: str) -> str:
        """The envelope that goes with the request."""
        payload = {"salt": to_b64(self.salt), "id": self.id_number, "digits": self.digits, "other": self.other}
        return close_envelope(to, json.dumps(payload).encode(), info=request_digest)


_ASIDE: Final = Members(
    {
        "salt": ID128,
        "id": Maybe(Text(18, 15)),
        "digits": Text(2, 2, re.compile(r"[0-9]{2}")),
        "other": Maybe(Text(18, 15)),
    }
)


def open_aside(text: str, key: EnvelopeKey, request: Request) -> Aside:
    """The envelope beside a request; refused (DOCUMENT_CLAIMS) unless it is what the request commits to."""
    found: Any = strict_json(key.open(text, info=request.digest), depth=1, members=4)
    if not _ASIDE.fits(found):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="aside")
    aside = Aside(salt=from_b64(found["salt"]), id_number=found["id"], digits=found["digits"], other=found["other"])
    committed = (request.match, request.digits, request.other)
    if (aside.match(), aside.digits_commitment(), aside.other_commitment()) != committed:
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="not what the request commits to")
    return aside


def seal_request(
    ask: Ask, aside: Aside, key: SigningKey, *, request_id: str, holder_province: str, now: datetime
) -> str:
    """The request as text, sealed with the desk's request key."""
    claims = {
        "unit": ask.unit,
        "window": ask.window,
        "officer": ask.officer,
        "matter": ask.matter,
        "case": ask.case,
        "type": ask.type,
        "fields": list(ask.fields),
        "cause": ask.cause,
        "code": ask.code,
        "match": aside.match(),
        "other": aside.other_commitment(),
        "digits": aside.digits_commitment(),
        "declarations": list(ask.declarations),
        "answer_key": ask.answer_key,
    }
    return seal(REQUEST, claims, key, audience=holder_province, now=now, jti=request_id)


def open_request(text: str, keys: Keys, *, holder_province: str, now: datetime) -> Request:
    """A request to the province that sealed the code, or a Refusal (DOCUMENT_…)."""
    sealed = open_sealed(REQUEST, text, keys, audience=holder_province, now=now)
    claims = sealed.claims
    ask = Ask(
        unit=claims["unit"],
        window=claims["window"],
        officer=claims["officer"],
        matter=claims["matter"],
        case=claims["case"],
        type=claims["type"],
        fields=tuple(claims["fields"]),
        cause=claims["cause"],
        code=claims["code"],
        declarations=tuple(claims["declarations"]),
        answer_key=claims["answer_key"],
    )
    return Request(sealed=sealed, ask=ask, match=claims["match"], digits=claims["digits"], other=claims["other"])


def _commitment(salt: bytes, what: str, value: str) -> str:
    return to_b64(hmac.digest(salt, f"{what}\n{value}".encode(), sha256))

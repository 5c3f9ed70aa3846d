"""How a key that was made on a kiosk becomes a window's key: RFC 8628, bound to that key. What both sides share.

The kiosk proves with each call that it holds the private half (`enrolment+jwt`): the device code alone, read on the way or
in a file, enrols nothing. The issuer of these documents is the key itself, under the name "new:KID"; nobody vouches for it
before an administrator has compared the first eight letters of its thumbprint (RFC 7638) with those on the kiosk's screen.

A user code has eight of twenty letters: no vowels, so no words, and none that is taken for a digit (RFC 8628 §6.1).
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final

from consent.b64 import digest_of, to_b64
from consent.errors import Reason, Refusal
from consent.keys import Kind, OneKey, Public, SigningKey, public_key, thumbprint
from consent.seal import Sealed, open_sealed, seal
from consent.shapes import DIGEST, Maybe, choice

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:device_code"
ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
LIFE: Final = timedelta(minutes=10)
INTERVAL_S: Final = 5
SLOWER_S: Final = 5  # RFC 8628 §3.5: what slow_down adds to the interval, for good

ENROLMENT: Final = Kind(
    typ="enrolment+jwt",
    claims={"step": choice("authorize", "token"), "code": Maybe(DIGEST)},
    life=timedelta(seconds=60),
)


def applicant(public: Public) -> str:
    """How a key that nobody has enrolled yet calls itself."""
    return f"new:{to_b64(thumbprint(public))}"


def short(kid: str) -> str:
    """The letters of a key's thumbprint that people compare."""
    return kid[:8]


def new_user_code() -> str:
    """Eight letters in two groups, 34 bits."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def read_user_code(typed: str) -> str:
    """A user code as somebody typed it, in the form in which it is kept."""
    letters = "".join(each for each in typed.upper() if each in ALPHABET)
    return f"{letters[:4]}-{letters[4:]}"


def seal_enrolment(key: SigningKey, *, province: str, device_code: str | None, now: datetime) -> str:
    """The kiosk's proof for asking (no device code yet) or for a poll with its device code."""
    step = "authorize" if device_code is None else "token"
    claims = {"step": step, "code": None if device_code is None else digest_of(device_code.encode())}
    return seal(ENROLMENT, claims, key, audience=province, now=now)


def open_enrolment(text: str, public: Public, *, province: str, device_code: str | None, now: datetime) -> Sealed:
    """The proof by exactly this key for exactly this step, or Refusal DOCUMENT_… . The caller keeps (issuer, jti)."""
    day = timedelta(days=1)
    key = public_key(public, issuer=applicant(public), kinds=[ENROLMENT.typ], not_before=now - day, not_after=now + day)
    sealed = open_sealed(ENROLMENT, text, OneKey(key), audience=province, now=now)
    wanted = ("authorize", None) if device_code is None else ("token", digest_of(device_code.encode()))
    if (sealed.claims["step"], sealed.claims["code"]) != wanted:
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="proof for another step or device code")
    return sealed

"""A window's proof (`window+jwt`): this call, with this body, comes from the kiosk that holds this window's key (T6).

Bound to method, path and body, and used once, as DPoP binds a token to its sender (RFC 9449); a proof that was seen on
the way opens nothing else. The issuer on the ring is "PROVINCE:WINDOW".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consent.b64 import digest_of
from consent.errors import Reason, Refusal
from consent.keys import Keys, Kind, SigningKey
from consent.seal import Sealed, open_sealed, seal
from consent.shapes import DIGEST, Text, choice

HEADER: Final = "Window-Proof"

WINDOW: Final = Kind(
    typ="window+jwt",
    claims={
        "method": choice("GET", "POST", "DELETE"),
        "path": Text(300, 1, re.compile(r"/[A-Za-z0-9._~/-]*")),
        "body": DIGEST,
    },
    life=timedelta(seconds=60),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof that held. `window` is the window's id inside its province."""

    sealed: Sealed
    window: str


def issuer_of(province: str, window: str) -> str:
    """How the key ring calls a window."""
    return f"{province}:{window}"


def seal_window(key: SigningKey, *, province: str, method: str, path: str, body: bytes, now: datetime) -> str:
    """The proof for one call, as the value of the `Window-Proof` header."""
    claims = {"method": method, "path": path, "body": digest_of(body)}
    return seal(WINDOW, claims, key, audience=province, now=now)


def open_window(text: str, keys: Keys, *, province: str, method: str, path: str, body: bytes, now: datetime) -> Proof:
    """The proof of this call, or Refusal DOCUMENT_… . The caller keeps (issuer, jti) for single use."""
    sealed = open_sealed(WINDOW, text, keys, audience=province, now=now)
    claims = sealed.claims
    if (claims["method"], claims["path"], claims["body"]) != (method, path, digest_of(body)):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="proof of another call")
    return Proof(sealed=sealed, window=sealed.issuer.partition(":")[2])

"""The typed twin of a code: twelve digits that a person can read out and another can type.

    3 1234567890 5      province · ten random digits · check digit

It stands for a showing while no camera can read the code. The first digit names the province (`provinces.json`), so that
a desk knows whom to ask; the last is Damm's check digit (H. M. Damm, 2004), which finds every single wrong digit and every
swap of two neighbours, so that a slip of the finger is told at the counter and is not taken for a guess.

Ten digits are few. What keeps a stranger from guessing one is not here: it lives for seconds, a window has five tries in
ten minutes, unknown looks like expired, and the person at the counter must be the person of the phone.

Nobody keeps a twin in the clear: `NameKey` turns it into a keyed digest that whoever reads the store cannot try out.
"""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent.b64 import from_b64, to_b64
from consent.errors import Reason, Refusal
from consent.provinces import province, provinces

LENGTH: Final = 12
_RANDOM: Final = 10
_DIGITS: Final = re.compile(r"[0-9]{12}")
_NONCE: Final = 12  # bytes

# A totally anti-symmetric quasigroup of order 10 with zeros on its diagonal (Damm 2004, p. 111). A test proves both.
_DAMM: Final = (
    "0317598642",
    "7092154863",
    "4206871359",
    "1750983426",
    "6123045978",
    "3674209581",
    "5869720134",
    "8945362017",
    "9438617205",
    "2581436790",
)


def check_digit(digits: str) -> str:
    """The digit that makes `digits` whole; "0" for digits that are whole already."""
    found = "0"
    for digit in digits:
        found = _DAMM[int(found)][int(digit)]
    return found


def new_twin(code: str) -> str:
    """Twelve digits of a province (its two-digit code)."""
    body = province(code).twin_digit + f"{secrets.randbelow(10**_RANDOM):0{_RANDOM}d}"
    return body + check_digit(body)


def read_twin(text: str) -> str:
    """The province of a twin, by its two-digit code; Refusal(TWIN_MISTYPED) for what cannot be one."""
    if _DIGITS.fullmatch(text) is None:
        raise Refusal(Reason.TWIN_MISTYPED, detail="not twelve digits")
    if check_digit(text) != "0":
        raise Refusal(Reason.TWIN_MISTYPED, detail="check digit")
    for code, found in provinces().items():
        if found.twin_digit == text[0]:
            return code
    raise Refusal(Reason.TWIN_MISTYPED, detail="no province has this digit")


def spaced(twin: str) -> str:
    """A twin as people read it: in groups of four."""
    return " ".join(twin[at : at + 4] for at in range(0, LENGTH, 4))


class NameKey:
    """What the two rooms of a province make of names (twins and simple codes). From the secret that they share already.

    The three uses have a key each, so that no output of one is an input of another.
    """

    def __init__(self, showing_key: bytes) -> None:
        self._mac, self._text, self._seal = (
            hmac.digest(showing_key, f"huzheng names {use}".encode(), sha256) for use in ("mac", "text", "seal")
        )

    def digest(self, name: str) -> str:
        """How a store knows a name: 43 characters that say nothing without the key."""
        return to_b64(hmac.digest(self._mac, name.encode(), sha256))

    def opaque(self, showing_id: str, number: int) -> bytes:
        """16 bytes for a slice of a showing. They look random to all who lack the key, and all who ask within a slice
        get the same."""
        return hmac.digest(self._text, f"{showing_id} {number}".encode(), sha256)[:16]

    def close(self, text: str, *, about: str) -> str:
        """Hide a text that must be kept for a retry. `about` is what it belongs to; it is bound and not hidden."""
        nonce = secrets.token_bytes(_NONCE)
        return to_b64(nonce + AESGCM(self._seal).encrypt(nonce, text.encode(), about.encode()))

    def open(self, closed: str, *, about: str) -> str:
        """The text again; Refusal(ENVELOPE_UNREADABLE) for what this key did not close about this."""
        raw = from_b64(closed)
        try:
            return AESGCM(self._seal).decrypt(raw[:_NONCE], raw[_NONCE:], about.encode()).decode()
        except (InvalidTag, ValueError) as problem:
            raise Refusal(Reason.ENVELOPE_UNREADABLE, detail="a kept answer") from problem

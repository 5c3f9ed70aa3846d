"""The presentation code: what stands in the QR symbol.

A CWT in COSE_Sign1 (RFC 8392, RFC 9052), base45 (RFC 9285), behind the prefix `YRD1:`; 173 characters, QR version 7 at
level M, where a JWT of the same claims would need version 12 (65 modules instead of 45, two thirds of the distance).

    18([ <<{1: alg, 4: kid}>>, {}, <<{4: exp, 6: iat, 7: cti}>>, signature ])

It says when it was made and which showing it belongs to (`cti`, readable only inside that province), and nothing else:
no person, no certificate, no type. The province follows from the key id.

Every code has the same length and the same bytes at the same places, so there is no parser to attack: fields are cut
out at fixed places, the whole is written again from them, and only equality passes. That leaves one spelling for each
code, which is what single use needs.

Reading, in this order: 1. shape · 2. key, by its four bytes · 3. signature. `fresh` then judges the time: a kiosk whose
clock is off must still be able to say whether a code is genuine.

Two fallbacks name a showing where this code cannot be read. Both are only names, looked up at the province that they
give, and prove nothing by themselves; `read_name` tells the three apart.

    YRD2:31AAAA…      the simple code: 128 opaque bits in base32, capitals and digits only, because a desk scanner that
                      poses as a keyboard mangles the rest; QR version 2 (25 modules), read at twice the distance
    312345678905      the typed twin (`consent.twin`)
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import base45
import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from consent.clock import from_epoch, to_epoch
from consent.errors import Reason, Refusal
from consent.keys import ALGORITHMS, KeyRing, Private, Public, SigningKey
from consent.provinces import provinces
from consent.seal import SKEW
from consent.twin import read_twin

TYP: Final = "YRD1"  # how the key ring calls this kind
PREFIX: Final = "YRD1:"
SIMPLE_PREFIX: Final = "YRD2:"
LENGTH: Final = 173  # characters, prefix included; the budget is 178, the most that version 7 at level M takes
LIFE: Final = timedelta(seconds=60)

# 128 bits are 25.6 characters: the last one carries three bits, and only these spell them.
_SIMPLE: Final = re.compile(SIMPLE_PREFIX + r"([0-9]{2})[A-Z2-7]{25}[AEIMQUY4]")
_IDLE: Final = re.compile(r"[\s\-\u2010-\u2015\u2212]")  # what people and their input methods put between digits
_NUMBER: Final = re.compile(r"[0-9]+")

_SIGNATURE = 64  # bytes: Ed25519, or r and s of P-256
_KID, _EXP, _IAT, _CTI = slice(8, 12), slice(18, 22), slice(24, 28), slice(30, 46)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A code whose signature held. Only `open_code` makes one. `cti` is 16 bytes."""

    province: str
    cti: bytes
    issued_at: datetime
    expires_at: datetime


class Form(StrEnum):
    """How a counter named a showing."""

    CODE = "code"
    SIMPLE = "simple"
    TWIN = "twin"
    CARD = "card"  # no text at all: an ID card that was read at the counter (`consent.card`)
    APP = "app"  # a string that an app draws in its own way; only that app knows what it stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A text that can name a showing, in its one spelling. `province` is None for a code: there, the key says it."""

    form: Form
    text: str
    province: str | None


def is_ours(text: str) -> bool:
    """Whether a scanned text is meant for us: what a camera looks for, and nothing about whether it holds."""
    return text.startswith((PREFIX, SIMPLE_PREFIX)) and len(text) <= 2 * LENGTH


def read_name(text: str) -> Name:
    """What was scanned or typed, told apart. Spaces, dashes, small letters and full-width forms are forgiven where a
    person may have typed; a code (`YRD1:`) has one spelling. Refusal CODE_MALFORMED, or TWIN_MISTYPED for digits."""
    if text.startswith(PREFIX):
        return Name(form=Form.CODE, text=text, province=None)
    tidy = _IDLE.sub("", unicodedata.normalize("NFKC", text)).upper()
    if _NUMBER.fullmatch(tidy) is not None:
        return Name(form=Form.TWIN, text=tidy, province=read_twin(tidy))
    found = _SIMPLE.fullmatch(tidy)
    if found is None or found[1] not in provinces():
        raise Refusal(Reason.CODE_MALFORMED, detail="length or prefix")
    return Name(form=Form.SIMPLE, text=tidy, province=found[1])


def simple_code(province: str, opaque: bytes) -> str:
    """The text of a simple code. `opaque` is exactly 16 bytes (ValueError otherwise)."""
    if len(opaque) != 16:
        raise ValueError("a simple code has 16 bytes")
    return SIMPLE_PREFIX + province + b32encode(opaque).rstrip(b"=").decode("ascii")


def mint(cti: bytes, key: SigningKey, *, now: datetime) -> str:
    """The text of a code for one slice of a showing. `cti` is exactly 16 bytes (ValueError otherwise)."""
    if len(cti) != 16:
        raise ValueError("a cti has 16 bytes")
    issued = to_epoch(now)
    protected = _protected(key.alg, key.kid4)
    payload = _payload(issued + int(LIFE.total_seconds()), issued, cti)
    return _text(protected, payload, _sign(key.private, _signed(protected, payload)))


def open_code(text: str, ring: KeyRing, *, now: datetime) -> Code:
    """A genuine code, or Refusal: CODE_MALFORMED, CODE_UNKNOWN_KEY, CODE_BAD_SIGNATURE. Says nothing about its age."""
    raw = _raw(text)  # 1
    key = ring.find_code_key(TYP, raw[_KID], now=now)  # 2
    protected = _protected(key.alg, raw[_KID])
    expires, issued = int.from_bytes(raw[_EXP], "big"), int.from_bytes(raw[_IAT], "big")
    payload, signature = _payload(expires, issued, raw[_CTI]), raw[-_SIGNATURE:]
    if _text(protected, payload, signature) != text:
        raise Refusal(Reason.CODE_MALFORMED, detail="not the one spelling of a code")
    if not _holds(key.public, signature, _signed(protected, payload)):  # 3
        raise Refusal(Reason.CODE_BAD_SIGNATURE, detail=f"key {key.kid}")
    return Code(province=key.issuer, cti=raw[_CTI], issued_at=from_epoch(issued), expires_at=from_epoch(expires))


def fresh(code: Code, *, now: datetime) -> Code:
    """The same code, if it lives at `now`; Refusal CODE_NOT_YET_VALID (with `n`, the minutes) or CODE_EXPIRED."""
    if code.issued_at > now + SKEW:
        ahead = code.issued_at - now
        raise Refusal(Reason.CODE_NOT_YET_VALID, n=max(1, round(ahead / timedelta(minutes=1))))
    if now >= code.expires_at or code.expires_at - code.issued_at > LIFE:
        raise Refusal(Reason.CODE_EXPIRED)
    return code


def _raw(text: str) -> bytes:
    if not isinstance(text, str) or len(text) != LENGTH or not text.startswith(PREFIX):
        raise Refusal(Reason.CODE_MALFORMED, detail="length or prefix")
    try:
        # As bytes: from a str, base45 would forgive a line end. 168 characters are then 112 bytes, no more and no fewer.
        return base45.b45decode(text.removeprefix(PREFIX).encode("ascii"))
    except ValueError as problem:  # also UnicodeEncodeError
        raise Refusal(Reason.CODE_MALFORMED, detail="not base45") from problem


def _protected(alg: str, kid4: bytes) -> bytes:
    return cbor2.dumps({1: ALGORITHMS[alg].cose, 4: kid4}, canonical=True)


def _payload(expires: int, issued: int, cti: bytes) -> bytes:
    return cbor2.dumps({4: expires, 6: issued, 7: cti}, canonical=True)


def _signed(protected: bytes, payload: bytes) -> bytes:
    # Sig_structure of RFC 9052 §4.4.
    return cbor2.dumps(["Signature1", protected, b"", payload], canonical=True)


def _text(protected: bytes, payload: bytes, signature: bytes) -> str:
    whole = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]), canonical=True)
    return PREFIX + base45.b45encode(whole).decode("ascii")


def _sign(private: Private, message: bytes) -> bytes:
    if isinstance(private, EllipticCurvePrivateKey):
        r, s = decode_dss_signature(private.sign(message, ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return private.sign(message)


def _holds(public: Public, signature: bytes, message: bytes) -> bool:
    try:
        if isinstance(public, EllipticCurvePublicKey):
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            public.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
        else:
            public.verify(signature, message)
    except InvalidSignature:
        return False
    return True

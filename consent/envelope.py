"""Sealed to one recipient: what only the addressee may read, wrapped so that the exchange in between cannot.

HPKE (RFC 9180) in base mode with the hybrid KEM MLKEM768-X25519, HKDF-SHA256 and AES-256-GCM, all from `cryptography`:
an answer recorded today stays closed even to a quantum computer of tomorrow. An envelope says nothing about who closed
it; that is the signature's work on the document around it or inside it.

`info` ties an envelope to the document that it belongs to (its digest, or the digest of the request that it answers).
Put into any other document it does not open. Payloads are padded, because lengths talk: whether somebody has a
certificate must not be readable off the size of an answer (T18).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from consent.b64 import digest_of, from_b64, to_b64
from consent.errors import Reason, Refusal
from consent.keys import SANDBOX_MARK, secret_text

_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_LATTICE, _CURVE, _SEED = 1184, 32, 64  # bytes: ML-KEM-768 public key, X25519 key, ML-KEM seed
PUBLIC_LENGTH: Final = 1622  # characters of a recipient's public key in base64url
PAD: Final = 256  # bytes: every payload is filled up to a multiple of it
_LENGTH = 4  # bytes in front of the payload that say how long it really is


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody's public envelope key. `kid` is the digest of its bytes."""

    text: str
    public: MLKEM768X25519PublicKey = field(repr=False, compare=False)

    @property
    def kid(self) -> str:
        """SHA-256 of the key, base64url."""
        return digest_of(self.text.encode("ascii"))


@dataclass(frozen=True, slots=True)
class EnvelopeKey:
    """A private envelope key. It never prints its secret."""

    _lattice: MLKEM768PrivateKey = field(repr=False)
    _curve: X25519PrivateKey = field(repr=False)

    @property
    def recipient(self) -> Recipient:
        """The public half, for those who write to us."""
        raw = self._lattice.public_key().public_bytes_raw() + self._curve.public_key().public_bytes_raw()
        return recipient(to_b64(raw))

    def secret(self) -> str:
        """The private bytes as text, for a key file or the row of one visit."""
        return to_b64(self._lattice.private_bytes_raw() + self._curve.private_bytes_raw())

    def open(self, text: str, *, info: str) -> bytes:
        """The payload of an envelope closed for this key and this `info`; Refusal(ENVELOPE_UNREADABLE) otherwise."""
        private = MLKEM768X25519PrivateKey(self._lattice, self._curve)
        try:
            padded = _SUITE.decrypt(from_b64(text), private, info=info.encode())
        except (InvalidTag, ValueError, Refusal) as problem:
            raise Refusal(Reason.ENVELOPE_UNREADABLE, detail="not closed for us") from problem
        length = int.from_bytes(padded[:_LENGTH], "big")
        if len(padded) < _LENGTH + length:
            raise Refusal(Reason.ENVELOPE_UNREADABLE, detail="length")
        return padded[_LENGTH : _LENGTH + length]


def recipient(text: str) -> Recipient:
    """The recipient whose public key this text is (1,622 characters); Refusal(KEY_NOT_ALLOWED) where it is none."""
    raw = from_b64(text)
    if len(raw) != _LATTICE + _CURVE:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail="not an envelope key")
    try:
        lattice = MLKEM768PublicKey.from_public_bytes(raw[:_LATTICE])
    except ValueError as problem:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail="not an ML-KEM-768 key") from problem
    curve = X25519PublicKey.from_public_bytes(raw[_LATTICE:])
    try:
        # A point of low order agrees on the same secret with everybody; better to hear of it before there is a payload.
        X25519PrivateKey.generate().exchange(curve)
    except ValueError as problem:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail="an X25519 key of low order") from problem
    return Recipient(text, MLKEM768X25519PublicKey(lattice, curve))


def new_envelope_key() -> EnvelopeKey:
    """A fresh key: for one request's answer, or for a province's key file."""
    return EnvelopeKey(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())


def envelope_key(secret: str) -> EnvelopeKey:
    """The key that `secret()` wrote; Refusal(KEY_NOT_ALLOWED) where the text is none."""
    raw = from_b64(secret)
    if len(raw) != _SEED + _CURVE:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail="not an envelope key")
    lattice = MLKEM768PrivateKey.from_seed_bytes(raw[:_SEED])
    return EnvelopeKey(lattice, X25519PrivateKey.from_private_bytes(raw[_SEED:]))


def load_envelope_key(uri: str, *, sandbox: bool) -> EnvelopeKey:
    """The key at a `file:`, `env:` or (sandbox only) `new:` URI."""
    if uri == "new:" and sandbox:
        return new_envelope_key()
    return envelope_key(secret_text(uri, sandbox=sandbox).removeprefix(SANDBOX_MARK).strip())


def close_envelope(to: Recipient, payload: bytes, *, info: str, pad: int = PAD) -> str:
    """An envelope in base64url that only `to` can open, and only for this `info`."""
    framed = len(payload).to_bytes(_LENGTH, "big") + payload
    return to_b64(_SUITE.encrypt(framed + bytes(-len(framed) % pad), to.public, info=info.encode()))


def belongs_to(*parts: Any) -> str:
    """The `info` of an envelope inside a document that cannot name its own digest: kind, issuer, audience, jti."""
    return digest_of("\n".join(str(part) for part in parts).encode())

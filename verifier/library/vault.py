"""Personal data at rest: AES-256-GCM for each field, bound to the very place where it stands.

The associated data name table, column and row, so that a ciphertext moved to another row does not open there. The data key
comes from the settings by URI and is never in the database or its backup.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent.b64 import from_b64, to_b64
from consent.errors import Reason, Refusal, Unavailable

_NONCE: Final = 12  # bytes


@dataclass(frozen=True, slots=True)
class Vault:
    """Encrypts and decrypts fields under one key of 32 bytes."""

    key: bytes = field(repr=False)

    def close(self, raw: bytes, *, place: str) -> str:
        """The field as base64url; `place` is "table|column|row"."""
        nonce = secrets.token_bytes(_NONCE)
        return to_b64(nonce + AESGCM(self.key).encrypt(nonce, raw, place.encode()))

    def open(self, text: str, *, place: str) -> bytes:
        """The field again; Unavailable where key and data do not belong together: that is our fault, not a no."""
        try:
            raw = from_b64(text)
            return AESGCM(self.key).decrypt(raw[:_NONCE], raw[_NONCE:], place.encode())
        except (InvalidTag, ValueError, Refusal) as problem:
            raise Unavailable(
                Reason.STORE_UNAVAILABLE, what="library", detail=f"{place}: wrong key or damaged"
            ) from problem

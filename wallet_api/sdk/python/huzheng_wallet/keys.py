"""Your keys: P-256 or Ed25519, private halves in PEM (PKCS 8), public halves as JWK with the RFC 7638 thumbprint as kid.

wallet_api takes no passwords. Make a pair with `new_key`, keep the PEM where only your server reads it, and hand in the JWK.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt import encode
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

_BEGIN = "-----BEGIN"


@dataclass(frozen=True, slots=True)
class Key:
    """A private key that signs compact JWS. It never prints its secret."""

    private: EllipticCurvePrivateKey | Ed25519PrivateKey = field(repr=False)

    @property
    def alg(self) -> str:
        """ES256 or EdDSA, which the key decides and nobody else."""
        return "EdDSA" if isinstance(self.private, Ed25519PrivateKey) else "ES256"

    @property
    def jwk(self) -> dict[str, str]:
        """The public half."""
        if isinstance(self.private, Ed25519PrivateKey):
            whole: dict[str, Any] = OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            whole = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {name: str(whole[name]) for name in ("crv", "kty", "x", "y") if name in whole}

    @property
    def kid(self) -> str:
        """RFC 7638: SHA-256 over the required members in the order of their names."""
        text = json.dumps(self.jwk, separators=(",", ":"), sort_keys=True)
        return to_b64(hashlib.sha256(text.encode()).digest())

    def sign(self, typ: str, claims: dict[str, Any]) -> str:
        """Claims as a compact JWS."""
        return encode(claims, self.private, algorithm=self.alg, headers={"typ": typ, "kid": self.kid})

    def pem(self) -> str:
        """PKCS 8 without a password; write it to a file that only your server reads."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def new_key() -> Key:
    """A new P-256 key."""
    return Key(generate_private_key(SECP256R1()))


def load_key(pem: str | bytes) -> Key:
    """The key of a PEM text; ValueError where it is none, has a password, or is of another kind. Whatever stands in front
    of the PEM (the sandbox writes a word of warning there) is skipped."""
    text = pem.decode("ascii") if isinstance(pem, bytes) else pem
    if _BEGIN not in text:
        raise ValueError("not a PEM text")
    try:
        private = load_pem_private_key(text[text.index(_BEGIN) :].encode(), password=None)
    except TypeError as problem:
        raise ValueError("a key with a password: decrypt it first") from problem
    if isinstance(private, Ed25519PrivateKey):
        return Key(private)
    if isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1):
        return Key(private)
    raise ValueError("wallet_api takes P-256 and Ed25519 keys")


def to_b64(raw: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")

"""Which key may seal which kind of document for whom: the ring decides, the document never chooses.

A `SigningKey` is loaded from a URI, lives in one process and can only sign. A `PublicKey` stands in a `KeyRing` under
(kind, kid) and carries what the ring says about it: issuer, algorithm, the kinds that it may seal and from when to when.
A document's own `alg`, `iss` and `typ` are compared with that row, never believed (RFC 8725 §3.1, T1, T8).

URIs of private keys
`file:PATH`   a PEM file, owner-readable only. A key made by the sandbox says so in its first line and is refused in live.
`env:NAME`    the same PEM text in an environment variable.
`new:ALG`     made now, forgotten at exit. Sandbox only.

Algorithms are a table: EdDSA (Ed25519) and ES256 today; SM2 with SM3 gets a row when a vetted library has it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from jwt.exceptions import PyJWTError

from consent.b64 import from_b64, to_b64
from consent.clock import from_epoch, to_epoch
from consent.errors import Reason, Refusal
from consent.shapes import Shape

SANDBOX_MARK: Final = "huzheng sandbox key: opens nothing real\n"

Private = Ed25519PrivateKey | EllipticCurvePrivateKey
Public = Ed25519PublicKey | EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of sealed document: its `typ`, its exact claims and its limits.

    `claims` are the members besides iss, aud, iat, exp and jti, which every kind has. `life` bounds exp − iat. `depth`
    and `members` bound the JSON, `max_length` the compact text in characters: all are checked before anything is parsed.
    """

    typ: str
    claims: Mapping[str, Shape]
    life: timedelta
    max_length: int = 1200
    depth: int = 4
    members: int = 20


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One row of the algorithm table: JOSE name, COSE number (RFC 9053) and the key type."""

    jose: str
    cose: int
    key_type: type[Public]


ALGORITHMS: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {
        "EdDSA": Algorithm("EdDSA", -8, Ed25519PublicKey),
        "ES256": Algorithm("ES256", -7, EllipticCurvePublicKey),
    }
)


def algorithm_of(public: object) -> str:
    """The JOSE name for a public key; a key of any other type or curve is refused (KEY_NOT_ALLOWED)."""
    if isinstance(public, Ed25519PublicKey):
        return "EdDSA"
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        return "ES256"
    raise Refusal(Reason.KEY_NOT_ALLOWED, detail="not an Ed25519 or P-256 key")


def jwk_of(public: Public) -> dict[str, str]:
    """The public JWK with exactly its required members (RFC 7517, RFC 8037), in the order of RFC 7638."""
    if isinstance(public, Ed25519PublicKey):
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"crv": "Ed25519", "kty": "OKP", "x": to_b64(raw)}
    numbers = public.public_numbers()
    return {
        "crv": "P-256",
        "kty": "EC",
        "x": to_b64(numbers.x.to_bytes(32, "big")),
        "y": to_b64(numbers.y.to_bytes(32, "big")),
    }


def public_from_jwk(jwk: Mapping[str, Any]) -> Public:
    """The key of a JWK that has exactly its required members; anything else is refused (KEY_NOT_ALLOWED)."""
    try:
        loader = OKPAlgorithm if jwk.get("kty") == "OKP" else ECAlgorithm
        public = loader.from_jwk(dict(jwk))
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError) as problem:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"jwk: {type(problem).__name__}") from problem
    algorithm_of(public)
    if not isinstance(public, Ed25519PublicKey | EllipticCurvePublicKey) or jwk_of(public) != dict(jwk):
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail="jwk with other members than its own public ones")
    return public


def thumbprint(public: Public) -> bytes:
    """SHA-256 thumbprint of the JWK (RFC 7638), 32 bytes."""
    members = ",".join(f'"{name}":"{value}"' for name, value in sorted(jwk_of(public).items()))
    return sha256(f"{{{members}}}".encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A public key with what the ring says about it. `kid` is the RFC 7638 thumbprint in base64url."""

    kid: str
    issuer: str
    alg: str
    kinds: frozenset[str]
    public: Public = field(hash=False)  # its objects cannot be hashed; the kid stands for it
    not_before: datetime
    not_after: datetime

    @property
    def kid4(self) -> bytes:
        """The four bytes by which the QR code names this key."""
        return from_b64(self.kid)[:4]

    def to_row(self) -> dict[str, Any]:
        """The key as a row of the key list."""
        return {
            "issuer": self.issuer,
            "kinds": sorted(self.kinds),
            "jwk": jwk_of(self.public),
            "not_before": to_epoch(self.not_before),
            "not_after": to_epoch(self.not_after),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> PublicKey:
        """A row of the key list as a key; KeyError, TypeError or a Refusal where it is none."""
        return public_key(
            public_from_jwk(row["jwk"]),
            issuer=row["issuer"],
            kinds=row["kinds"],
            not_before=from_epoch(row["not_before"]),
            not_after=from_epoch(row["not_after"]),
        )


def public_key(
    public: Public, *, issuer: str, kinds: Iterable[str], not_before: datetime, not_after: datetime
) -> PublicKey:
    """A `PublicKey` with its kid and algorithm taken from the key itself."""
    return PublicKey(
        kid=to_b64(thumbprint(public)),
        issuer=issuer,
        alg=algorithm_of(public),
        kinds=frozenset(kinds),
        public=public,
        not_before=not_before,
        not_after=not_after,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key of one issuer. It never prints its secret."""

    issuer: str
    alg: str
    kid: str
    private: Private = field(repr=False)

    @property
    def public(self) -> Public:
        """The public half."""
        return self.private.public_key()

    @property
    def kid4(self) -> bytes:
        """The four bytes by which the QR code names this key."""
        return from_b64(self.kid)[:4]

    def published(self, *kinds: str, not_before: datetime, not_after: datetime) -> PublicKey:
        """The row for the ring: this key, for these kinds, in this time."""
        return public_key(self.public, issuer=self.issuer, kinds=kinds, not_before=not_before, not_after=not_after)

    def pem(self, *, mark: str = SANDBOX_MARK) -> str:
        """PKCS 8 text for a key file. Only the founder of a sandbox writes keys, so the mark is the default."""
        text = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return mark + text.decode("ascii")


def signing_key(private: object, *, issuer: str) -> SigningKey:
    """A `SigningKey` around a private key object; other key types are refused (KEY_NOT_ALLOWED)."""
    if not isinstance(private, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail="not a private key that signs")
    public = private.public_key()
    return SigningKey(issuer=issuer, alg=algorithm_of(public), kid=to_b64(thumbprint(public)), private=private)


def new_key(alg: str, *, issuer: str) -> SigningKey:
    """A fresh key: "EdDSA" or "ES256"."""
    if alg not in ALGORITHMS:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"no algorithm {alg!r}")
    private = Ed25519PrivateKey.generate() if alg == "EdDSA" else generate_private_key(SECP256R1())
    return signing_key(private, issuer=issuer)


def load_key(uri: str, *, issuer: str, sandbox: bool) -> SigningKey:
    """The private key at a URI (see the top of this file). Refused with KEY_NOT_ALLOWED and the cause in `detail`."""
    if uri.startswith("new:"):
        if not sandbox:
            raise Refusal(Reason.KEY_NOT_ALLOWED, detail="new: keys exist in the sandbox only")
        return new_key(uri.removeprefix("new:"), issuer=issuer)
    text = secret_text(uri, sandbox=sandbox)
    begin = text.find("-----BEGIN")
    try:
        private = load_pem_private_key(text[max(begin, 0) :].encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{uri}: not a PEM private key") from problem
    return signing_key(private, issuer=issuer)


def secret_text(uri: str, *, sandbox: bool) -> str:
    """The text behind a `file:` or `env:` URI, refused where it is missing, open to others, or of the sandbox in live."""
    scheme, _, rest = uri.partition(":")
    if scheme == "file":
        text = _private_file(Path(rest))
    elif scheme == "env" and rest in os.environ:
        text = os.environ[rest]
    else:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{uri}: no such key; use file:, env: or new:")
    if not sandbox and SANDBOX_MARK.strip() in text:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{uri}: a sandbox key opens nothing in live")
    return text


def _private_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:  # ValueError: not UTF-8, or a NUL in the path
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{path}: cannot be read") from problem
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{path}: others may read it; chmod 600")
    return text


def write_private(path: Path, text: str) -> None:
    """Write a secret so that no moment exists in which others can read it. FileExistsError where one is already."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


class Keys(Protocol):
    """Where `seal.open_sealed` finds keys: by kind and kid, at an instant.

    Raises Refusal(DOCUMENT_KEY_UNKNOWN) where there is none. `issued_after` is the floor after a restore from backup.
    """

    @property
    def issued_after(self) -> datetime | None:
        """Documents issued before this instant are refused; None when nothing was restored."""
        ...

    def find(self, typ: str, kid: str, *, now: datetime) -> PublicKey:
        """The key that may seal this kind under this kid, at this instant."""
        ...


@dataclass(frozen=True, slots=True)
class OneKey:
    """A ring of a single key that another document vouches for, as a login assertion does for a device key."""

    key: PublicKey
    issued_after: datetime | None = None

    def find(self, typ: str, kid: str, *, now: datetime) -> PublicKey:
        """That key, if it is the one named, may seal this kind, and is valid at `now`."""
        if kid != self.key.kid or typ not in self.key.kinds:
            raise Refusal(Reason.DOCUMENT_KEY_UNKNOWN, detail=f"{typ} under another key")
        return _valid(self.key, now, Reason.DOCUMENT_KEY_UNKNOWN)


RECEIPTS: Final = "receipt+jwt"


@dataclass(frozen=True, slots=True)
class ReceiptKeys:
    """A ring for receipts alone, as it was `at` an instant: a receipt is checked for years, its key retires long before.

    Whoever steals a retired key could write receipts of its time; their place in a ledger is what they cannot write.
    """

    ring: KeyRing
    at: datetime
    issued_after: datetime | None = None

    def find(self, typ: str, kid: str, *, now: datetime) -> PublicKey:
        """The key that could seal receipts then, whether it may today or not; Refusal(DOCUMENT_KEY_UNKNOWN)."""
        if typ != RECEIPTS:
            raise Refusal(Reason.DOCUMENT_KEY_UNKNOWN, detail=f"{typ} is judged by today's keys")
        return self.ring.find(typ, kid, now=self.at)


class KeyRing:
    """All keys that a room trusts. Empty rings and two keys under one name are refused, not papered over."""

    def __init__(self, keys: Collection[PublicKey], *, issued_after: datetime | None = None) -> None:
        if not keys:
            raise Refusal(Reason.KEY_NOT_ALLOWED, detail="a ring without keys trusts nobody")
        self.issued_after = issued_after
        self._by_kid: dict[tuple[str, str], PublicKey] = {}
        self._by_kid4: dict[tuple[str, bytes], PublicKey] = {}
        for key in keys:
            for typ in key.kinds:
                if (typ, key.kid) in self._by_kid or (typ, key.kid4) in self._by_kid4:
                    raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"two keys for {typ} under {key.kid}")
                self._by_kid[typ, key.kid] = key
                self._by_kid4[typ, key.kid4] = key

    def __iter__(self) -> Iterator[PublicKey]:
        return iter({key.kid: key for key in self._by_kid.values()}.values())

    def find(self, typ: str, kid: str, *, now: datetime) -> PublicKey:
        """The key for this kind and kid, valid at `now`; Refusal(DOCUMENT_KEY_UNKNOWN) otherwise."""
        return _valid(self._by_kid.get((typ, kid)), now, Reason.DOCUMENT_KEY_UNKNOWN)

    def find_code_key(self, typ: str, kid4: bytes, *, now: datetime) -> PublicKey:
        """The key that a QR code names by four bytes; Refusal(CODE_UNKNOWN_KEY) otherwise."""
        return _valid(self._by_kid4.get((typ, kid4)), now, Reason.CODE_UNKNOWN_KEY)


def _valid(key: PublicKey | None, now: datetime, reason: Reason) -> PublicKey:
    if key is None:
        raise Refusal(reason, detail="no key of this kind under this name")
    if not key.not_before <= now < key.not_after:
        raise Refusal(reason, detail=f"key {key.kid} is not valid now")
    return key


def load_secret(uri: str, *, sandbox: bool, length: int = 32) -> bytes:
    """A shared secret of `length` bytes, base64url behind a `file:` or `env:` URI; Refusal(KEY_NOT_ALLOWED)."""
    text = secret_text(uri, sandbox=sandbox).removeprefix(SANDBOX_MARK).strip()
    try:
        secret = from_b64(text)
    except (Refusal, UnicodeEncodeError) as problem:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{uri}: not base64url") from problem
    if len(secret) != length:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{uri}: not {length} bytes")
    return secret

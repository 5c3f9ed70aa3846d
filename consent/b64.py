"""base64url without padding, the one spelling that every document here uses (RFC 4648 §5), and digests in it.

Reading is canonical: text that does not come out again as it went in is refused, because two spellings of one value
would be two keys for one single use.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from consent.errors import Reason, Refusal


def to_b64(raw: bytes) -> str:
    """Bytes as unpadded base64url."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def from_b64(text: str) -> bytes:
    """The bytes of canonical unpadded base64url; anything else is refused (DOCUMENT_MALFORMED)."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as problem:
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail="not base64url") from problem
    if to_b64(raw) != text:
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail="base64url with two spellings")
    return raw


def digest_of(raw: bytes) -> str:
    """SHA-256 in base64url, 43 characters."""
    return to_b64(sha256(raw).digest())


def new_id() -> str:
    """128 random bits, 22 characters: a jti, a request id, a handle."""
    return to_b64(secrets.token_bytes(16))

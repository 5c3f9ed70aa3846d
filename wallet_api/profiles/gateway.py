"""The signature of 浙里办's gateway (IRS): four headers, HMAC-SHA256, a clock that may be 90 s off.

    X-BG-HMAC-ACCESS-KEY   whose secret it is
    X-BG-HMAC-ALGORITHM    hmac-sha256
    X-BG-DATE-TIME         RFC 1123, GMT, whole seconds
    X-BG-HMAC-SIGNATURE    base64(HMAC(secret, METHOD \\n PATH \\n sorted query \\n access key \\n date \\n))

As published it covers neither the body nor a nonce, so whoever overhears a call may repeat it for 90 s, with another body.
We stay within the scheme and close both holes: every call that we sign carries a random `nonce` and, where it has a body,
the body's digest as ordinary query members, which the signature does cover; and a `Gate` takes each signature once and no
body that its digest does not speak for.

A `Gate` checks in this order: 1. access key · 2. algorithm · 3. date · 4. signature · 5. body · 6. first use. Only what a
holder of the secret has signed is ever remembered, so strangers cannot fill the memory.
"""

from __future__ import annotations

import hmac
import threading
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha256
from typing import Final, Protocol
from urllib.parse import urlencode

from consent.b64 import digest_of, new_id
from consent.errors import Reason, Refusal

SKEW: Final = timedelta(seconds=90)
ALGORITHM: Final = "hmac-sha256"
NONCE, DIGEST = "nonce", "digest"  # our two members of the query

_KEY, _SIGNATURE = "X-BG-HMAC-ACCESS-KEY", "X-BG-HMAC-SIGNATURE"
_ALGORITHM, _DATE = "X-BG-HMAC-ALGORITHM", "X-BG-DATE-TIME"

Query = Sequence[tuple[str, str]]


class HeadersLike(Protocol):
    """Headers by name: a mapping, or a web framework's own."""

    def get(self, name: str, default: str, /) -> str:
        """The header's value, or `default`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A key of the gateway: its public id and its secret."""

    id: str
    secret: bytes = field(repr=False)


def covered(query: Query, body: bytes) -> list[tuple[str, str]]:
    """A query with our nonce, and the digest of the body where there is one."""
    found = [*query, (NONCE, new_id())]
    return [*found, (DIGEST, digest_of(body))] if body else found


def signed(method: str, path: str, query: Query, key: AccessKey, *, now: datetime) -> dict[str, str]:
    """The four headers."""
    date = format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True)
    return {
        _KEY: key.id,
        _ALGORITHM: ALGORITHM,
        _DATE: date,
        _SIGNATURE: _sign(method, path, query, key.id, key.secret, date),
    }


@dataclass(slots=True, kw_only=True)
class Gate:
    """Takes calls that one of `keys` (secret by id) has signed, each once."""

    keys: Mapping[str, bytes] = field(repr=False)
    _used: dict[str, datetime] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def admit(self, method: str, path: str, query: Query, headers: HeadersLike, body: bytes, *, now: datetime) -> None:
        """Return for a call that may pass.

        Refusal DOCUMENT_KEY_UNKNOWN, DOCUMENT_WRONG_KIND, DOCUMENT_MALFORMED (no date), DOCUMENT_EXPIRED or
        DOCUMENT_NOT_YET_VALID (the clock is more than 90 s behind or ahead), DOCUMENT_SIGNATURE, DOCUMENT_CLAIMS (a body
        that nobody has signed), DOCUMENT_REPLAYED.
        """
        key_id, date = headers.get(_KEY, ""), headers.get(_DATE, "")
        secret = self.keys.get(key_id)
        if secret is None:  # 1
            raise Refusal(Reason.DOCUMENT_KEY_UNKNOWN, detail="access key")
        if headers.get(_ALGORITHM, "") != ALGORITHM:  # 2
            raise Refusal(Reason.DOCUMENT_WRONG_KIND, detail="algorithm")
        sent = _date(date)  # 3
        if now - sent > SKEW:
            raise Refusal(Reason.DOCUMENT_EXPIRED, detail="clock skew")
        if sent - now > SKEW:
            raise Refusal(Reason.DOCUMENT_NOT_YET_VALID, detail="clock skew")
        signature = _sign(method, path, query, key_id, secret, date)
        if not hmac.compare_digest(signature.encode(), headers.get(_SIGNATURE, "").encode()):  # 4
            raise Refusal(Reason.DOCUMENT_SIGNATURE, detail="gateway")
        if body and [value for name, value in query if name == DIGEST] != [digest_of(body)]:  # 5
            raise Refusal(Reason.DOCUMENT_CLAIMS, detail="the signature does not speak for the body")
        if not self._first(signature, until=sent + SKEW, now=now):  # 6
            raise Refusal(Reason.DOCUMENT_REPLAYED, detail="gateway signature")

    def _first(self, signature: str, *, until: datetime, now: datetime) -> bool:
        with self._lock:
            for old in [each for each, end in self._used.items() if end < now]:
                del self._used[old]
            if signature in self._used:
                return False
            self._used[signature] = until
            return True


def _date(text: str) -> datetime:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError) as problem:
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail="date") from problem
    # The one spelling: dates without a zone and with a fancied weekday parse, too.
    if found.tzinfo is None or format_datetime(found.astimezone(UTC), usegmt=True) != text:
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail="date")
    return found


def _sign(method: str, path: str, query: Query, key_id: str, secret: bytes, date: str) -> str:
    members = urlencode(sorted(query), errors="surrogatepass")
    text = f"{method}\n{path}\n{members}\n{key_id}\n{date}\n"
    return b64encode(hmac.digest(secret, text.encode("utf-8", "surrogatepass"), sha256)).decode()

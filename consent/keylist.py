"""The key list: whose keys are trusted for what, and to whom envelopes are closed. One file, pinned by its digest.

First trust comes from the settings (`HUZHENG_KEYLIST` with `HUZHENG_KEYLIST_SHA256`), never from the first list that
somebody sends. Signatures of the four roots over it, rising versions and freshness notes are the exchange's later work;
the file already has its version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from consent.b64 import to_b64
from consent.envelope import Recipient, recipient
from consent.errors import Reason, Refusal
from consent.keys import KeyRing, PublicKey
from consent.provinces import province


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """All that a room trusts: signing keys by kind and issuer, and one envelope key for each province."""

    version: int
    ring: KeyRing
    recipients: Mapping[str, Recipient]

    def recipient(self, code: str) -> Recipient:
        """The envelope key of a province; Refusal(KEY_NOT_ALLOWED) where the list has none."""
        found = self.recipients.get(code)
        if found is None:
            raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"no envelope key for {code}")
        return found


def write_key_list(path: Path, *, version: int, keys: Iterable[PublicKey], recipients: Mapping[str, Recipient]) -> str:
    """Write a list and return the digest by which the rooms pin it."""
    rows = {
        "version": version,
        "keys": [key.to_row() for key in keys],
        "envelopes": {code: found.text for code, found in recipients.items()},
    }
    raw = json.dumps(rows, indent=1, ensure_ascii=False).encode()
    path.write_bytes(raw)
    return to_b64(sha256(raw).digest())


def read_key_list(path: Path, *, pinned: str, issued_after: datetime | None = None) -> KeyList:
    """The list at `path`, if it is the one that the settings pin; Refusal(KEY_NOT_ALLOWED) otherwise."""
    try:
        raw = path.read_bytes()
        if to_b64(sha256(raw).digest()) != pinned:
            raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{path}: not the pinned key list")
        rows = json.loads(raw)
        ring = KeyRing([PublicKey.from_row(row) for row in rows["keys"]], issued_after=issued_after)
        recipients = {province(code).code: recipient(text) for code, text in rows["envelopes"].items()}
        return KeyList(version=int(rows["version"]), ring=ring, recipients=MappingProxyType(recipients))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{path}: {type(problem).__name__}") from problem

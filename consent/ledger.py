"""The ledger: what happened, in an order that nobody can change unseen. Pure; stores keep it, this file judges it.

Each entry names the digest of the one before, so an edit, an insertion, a reordering or a deletion breaks the chain at
the place where it was made. A cut tail breaks nothing by itself; that is what heads are for (RFC 6962 Merkle trees over
the entries), which the other provinces will co-sign. Entries hold digests, codes and times, never personal data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from consent.b64 import digest_of, from_b64, to_b64
from consent.clock import rfc3339
from consent.errors import Reason, Refusal

GENESIS: Final = digest_of(b"huzheng ledger")


class Act(StrEnum):
    """What can happen, one word each."""

    ASKED = "ASKED"  # D1: a desk sealed a request
    CLAIMED = "CLAIMED"  # C1: a counter claimed a showing
    CONSENTED = "CONSENTED"  # C2: an approval held, a consent was sealed
    DECLINED = "DECLINED"
    TIMED_OUT = "TIMED_OUT"
    REFUSED = "REFUSED"
    UNDETERMINED = "UNDETERMINED"
    WITHDRAWN = "WITHDRAWN"
    SPENT = "SPENT"  # L1: a library spent a consent and sealed a copy
    DELIVERED = "DELIVERED"  # the desk acknowledged the copy
    ADMITTED = "ADMITTED"  # D2: a desk admitted a copy
    REPORTED = "REPORTED"  # a desk told the code's province that it refused before asking
    OBJECTED = "OBJECTED"  # a citizen objected to an entry of the history
    LOOKED = "LOOKED"  # a holder looked at holdings or history
    ISSUED = "ISSUED"  # a certificate came into the library
    INVITED = "INVITED"  # a counter showed a code of its own
    CHANNEL = "CHANNEL"  # a channel was closed or opened
    WINDOW = "WINDOW"  # a key asked to be a window's, was approved, denied, enrolled or disabled


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line. `position` counts from 1, `previous` is the digest of the line before, `at` is RFC 3339 in UTC."""

    position: int
    previous: str
    at: str
    act: Act
    body: str

    @property
    def digest(self) -> str:
        """SHA-256 over the whole line, base64url."""
        return to_b64(sha256(b"\x00" + self.line()).digest())

    def line(self) -> bytes:
        """The bytes that the digest covers: one JSON array, so that no two entries run into each other."""
        return json.dumps(
            [self.position, self.previous, self.at, self.act, self.body],
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()


def following(position: int, digest: str, act: Act, body: Mapping[str, Any], *, now: datetime) -> Entry:
    """The entry after the one at `position` with that digest; 0 and GENESIS where there is none yet."""
    return Entry(
        position=position + 1,
        previous=digest,
        at=rfc3339(now),
        act=act,
        body=json.dumps(dict(body), ensure_ascii=False, separators=(",", ":"), sort_keys=True),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A ledger that was read from its first entry to its last and held. `root` is the Merkle tree hash."""

    entries: int
    last: str
    root: str


def check(entries: Iterable[Entry]) -> Head:
    """Read a whole ledger; Refusal(STATE_FORBIDS) names the first position that does not follow from the one before."""
    last, leaves = GENESIS, []
    for expected, entry in enumerate(entries, start=1):
        if entry.position != expected or entry.previous != last:
            raise Refusal(Reason.STATE_FORBIDS, detail=f"the ledger breaks at position {expected}")
        last = entry.digest
        leaves.append(from_b64(last))
    return Head(entries=len(leaves), last=last, root=to_b64(merkle_root(leaves)))


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash over leaf hashes (RFC 6962 §2.1; the leaf prefix 0x00 is already in an entry's digest)."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + merkle_root(leaves[:split]) + merkle_root(leaves[split:])).digest()

"""SIMULATORS of a card reader and of a signature pad or person-ID matcher: no card, no pen, no face; real keys and documents.

They stand where the drivers of real devices would, behind the same two verbs. Text comes and goes as Unicode: real readers
hand out the chip's UTF-16, and what goes through GBK on the way loses rare characters.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from consent.approval import Decision
from consent.b64 import to_b64
from consent.card import seal_card, seal_pad
from consent.envelope import Recipient
from consent.keys import SigningKey
from consent.showing import Person


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedReader:
    """An ID-card reader at one window. `inner` is the desk's province: nobody else can open what was read."""

    key: SigningKey
    province: str
    window: str
    inner: Recipient

    def read(self, card: Person, *, request_id: str, now: datetime) -> str:
        """What the reader says about the card that lies on it (`card+jwt`)."""
        return seal_card(
            card,
            self.key,
            province=self.province,
            window=self.window,
            request_id=request_id,
            inner=self.inner,
            now=now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What stays with the unit's file: the pen strokes or the matcher's result, and the salt that hides them."""

    salt: bytes
    raw: bytes

    @property
    def digest(self) -> str:
        """What goes into the signed answer; nobody reads the strokes out of it."""
        return to_b64(hmac.digest(self.salt, self.raw, sha256))


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPad:
    """A signature pad (`pad`) or a person-ID matcher (`face`) at one window."""

    key: SigningKey
    province: str

    def sign(
        self,
        request_digest: str,
        decision: Decision,
        *,
        raw: bytes,
        now: datetime,
        method: str = "pad",
        declarations: Sequence[str] = (),
    ) -> tuple[str, Evidence]:
        """The answer (`pad+jwt`), and the evidence to file with it. `raw` is what the sensor gave."""
        evidence = Evidence(salt=secrets.token_bytes(16), raw=raw)
        text = seal_pad(
            self.key,
            province=self.province,
            request_digest=request_digest,
            decision=decision,
            method=method,
            evidence=evidence.digest,
            declarations=tuple(declarations),
            now=now,
        )
        return text, evidence

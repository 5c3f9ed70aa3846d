"""SIMULATORS of a card reader, of a signature pad or person-ID matcher, and of an officer's staff card: no card, no pen, no
face; real keys and documents.

They stand where the drivers of real devices would, behind the same three verbs. Text comes and goes as Unicode: real readers
hand out the chip's UTF-16, and what goes through GBK on the way loses rare characters.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from consent.approval import Decision
from consent.attest import seal_attest
from consent.b64 import to_b64
from consent.card import seal_card, seal_pad
from consent.envelope import Recipient
from consent.errors import Reason, Refusal
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMatcher:
    """A person-ID matcher: a real one compares the face before its camera with the picture on the card's chip; this one is
    told who stands there. The window's pad signs its result (`method="face"`)."""

    def match(self, card: Person, standing: Person) -> bytes:
        """The result as the device gives it out; Refusal FACE_NOT_MATCHED."""
        if card != standing:
            raise Refusal(Reason.FACE_NOT_MATCHED, detail="somebody else stands there")
        return json.dumps({"method": "face", "matcher": "simulated", "matched": True}).encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedStaffCard:
    """The staff card of an officer (`officer` is the opaque id), held to the reader of a window of the officer's unit."""

    key: SigningKey
    province: str
    window: str
    officer: str

    def attest(self, request_digest: str, *, now: datetime) -> str:
        """What a second officer says who has seen the person agree to this request (`attest+jwt`)."""
        return seal_attest(
            self.key,
            province=self.province,
            window=self.window,
            officer=self.officer,
            request_digest=request_digest,
            now=now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What stands at one window, and the staff cards of its unit."""

    reader: SimulatedReader
    pad: SimulatedPad
    matcher: SimulatedMatcher
    staff: tuple[SimulatedStaffCard, ...] = ()

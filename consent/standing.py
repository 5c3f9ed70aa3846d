"""A standing answer: the citizen agrees before the scan (express), sealed by the device key (`standing+jwt`).

It names one showing, one unit, one matter, one certificate and the declarations that were ticked, and the digest of the
offer that the citizen read: the register's own words for that unit and matter. The request that comes must be exactly
what was offered; for any other the ordinary sheet appears, and the standing answer is worth nothing.

Life 15 minutes, once: the showing that it names is claimed once. After the claim it becomes an ordinary consent token
with method `express`, and everything later is as always.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from consent.approval import HANDLE
from consent.b64 import digest_of
from consent.errors import Reason, Refusal
from consent.keys import Kind, OneKey, PublicKey, SigningKey
from consent.seal import Sealed, open_sealed, seal
from consent.shapes import DIGEST, SLUG, USCC, Listing, Text

LIFE: Final = timedelta(minutes=15)

STANDING: Final = Kind(
    typ="standing+jwt",
    claims={
        "showing": Text(24, 24, re.compile(r"[0-9a-f]{24}")),
        "unit": USCC,
        "matter": SLUG,
        "certificate": HANDLE,
        "declarations": Listing(SLUG, most=8),
        "offer": DIGEST,
    },
    life=LIFE,
    max_length=1400,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A standing answer whose seal held and that belongs to the showing at hand."""

    sealed: Sealed
    unit: str
    matter: str
    certificate: str
    declarations: tuple[str, ...]
    offer: str


def offer_digest(offer: Mapping[str, Any]) -> str:
    """The digest of an offer, whoever computes it: over its canonical JSON (sorted keys, no blanks, UTF-8)."""
    return digest_of(json.dumps(offer, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())


def seal_standing(
    key: SigningKey,
    *,
    province: str,
    showing_id: str,
    unit: str,
    matter: str,
    certificate: str,
    offer: str,
    now: datetime,
    declarations: tuple[str, ...] = (),
) -> str:
    """The standing answer as a phone writes it; `offer` is the digest that came with the offer's words."""
    claims = {
        "showing": showing_id,
        "unit": unit,
        "matter": matter,
        "certificate": certificate,
        "declarations": list(declarations),
        "offer": offer,
    }
    return seal(STANDING, claims, key, audience=province, now=now)


def open_standing(text: str, device: PublicKey, *, province: str, showing_id: str, now: datetime) -> Standing:
    """A standing answer of this device for this showing; Refusal DOCUMENT_… or APPROVAL_MISMATCH."""
    sealed = open_sealed(STANDING, text, OneKey(device), audience=province, now=now)
    claims = sealed.claims
    if claims["showing"] != showing_id:
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="stands for another showing")
    return Standing(
        sealed=sealed,
        unit=claims["unit"],
        matter=claims["matter"],
        certificate=claims["certificate"],
        declarations=tuple(claims["declarations"]),
        offer=claims["offer"],
    )

"""Agreeing before the scan: what a unit may ask for, in the register's words.

An offer is what the citizen reads; the phone signs its digest. `offered` computes that digest itself from the words that came,
so that nobody on the way can show one thing and have another one signed.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from .answers import Both, Declaration, Field, both
from .reading import asked_fields, declarations, pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """One thing that a unit does with a certificate of a type. Ask for its offer with `slug` and `type`."""

    slug: str
    type: str
    name: Both


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit that takes an answer before the scan. `unit` is its code (USCC)."""

    unit: str
    name: Both
    place: Both
    matters: tuple[Matter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the citizen reads before agreeing. Every word is the register's: show every part, in the order of these members.

    `digest` is what the device signs; `raw` is what the phone's page reads.
    """

    desk: str
    unit: str
    unit_name: Both
    place: Both
    matter: str
    matter_name: Both
    type: str
    fields: tuple[Field, ...]
    not_given: tuple[Both, ...]
    basis: Both
    clause: str
    retention: Both
    declarations: tuple[Declaration, ...]
    digest: str
    raw: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """The register's answer, once `done`: the `units` of a province, or the `offer` of one unit in one matter."""

    offer_id: str
    done: bool
    units: tuple[Unit, ...] | None
    offer: Offer | None


def offered(told: Mapping[str, Any]) -> Offered:
    """An OfferedSchema; ValueError where the words have another digest than the one that came with them."""
    units, offer = told["units"], told["offer"]
    return Offered(
        offer_id=told["offer_id"],
        done=told["state"] == "DONE",
        units=None if units is None else tuple(_unit(each) for each in units),
        offer=None if offer is None else _offer(offer, told["digest"]),
    )


def digest_of(offer: Mapping[str, Any]) -> str:
    """SHA-256 of an offer as canonical JSON (members sorted, no blanks, UTF-8), base64url."""
    text = json.dumps(offer, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()


def _offer(told: Mapping[str, Any], digest: str) -> Offer:
    if digest_of(told) != digest:
        raise ValueError("these are not the words that the digest is of")
    return Offer(
        desk=told["desk"],
        unit=told["unit"]["uscc"],
        unit_name=pair(told["unit"], "name"),
        place=pair(told, "place"),
        matter=told["matter"]["slug"],
        matter_name=pair(told["matter"], "name"),
        type=told["type"],
        fields=asked_fields(told),
        not_given=tuple(both(each) for each in told["not_given"]),
        basis=pair(told, "basis"),
        clause=told["clause"],
        retention=pair(told, "retention"),
        declarations=declarations(told),
        digest=digest,
        raw=told,
    )


def _unit(told: Mapping[str, Any]) -> Unit:
    return Unit(
        unit=told["unit"],
        name=pair(told, "name"),
        place=pair(told, "place"),
        matters=tuple(
            Matter(slug=each["slug"], type=each["type"], name=pair(each, "name")) for each in told["matters"]
        ),
    )

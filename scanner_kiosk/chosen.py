"""What an officer chooses before a citizen comes, and what must be filled in for each: judged here, before any scan.

The register of the desk says what a window may ask for today. The desk judges all of it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consent.errors import Reason, Refusal
from consent.people import CitizenId
from scanner_kiosk.devices.simulated import Devices
from scanner_kiosk.province_client import ProvinceClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window that this kiosk may stand for. The names are for choosing; the desk's register has the official ones."""

    name: str
    unit_zh: str
    unit_en: str
    client: ProvinceClient
    devices: Devices | None = None  # card reader, pad, matcher

    @property
    def id(self) -> tuple[str, str]:
        """Province and window."""
        return self.client.province, self.client.window


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What the officer has chosen: a window, and what is being done there."""

    window: Window
    register: Mapping[str, Any] | None = None
    matter: str | None = None
    type: str | None = None

    def row(self) -> Mapping[str, Any]:
        """The matter's row in the register; Refusal MATTER_UNKNOWN, or CERTIFICATE_TYPE_NOT_ALLOWED for another type."""
        for each in (self.register or {}).get("matters", ()):
            if each["slug"] == self.matter:
                if self.type not in each["types"]:
                    raise Refusal(Reason.CERTIFICATE_TYPE_NOT_ALLOWED, detail="type")
                return dict(each)
        raise Refusal(Reason.MATTER_UNKNOWN, detail="not offered at this window")


def case_number_of(text: str) -> str:
    """A case number as typed, without blanks around it; Refusal(BODY_INVALID) where it is none."""
    case = text.strip()
    if not 1 <= len(case) <= 64 or not case.isprintable():
        raise Refusal(Reason.BODY_INVALID, detail="case_number")
    return case


def ticked(matter: Mapping[str, Any], by_officer: Sequence[str]) -> tuple[str, ...]:
    """The preconditions, all of them; the desk would refuse later what is missing now."""
    for each in matter["preconditions"]:
        if each["slug"] not in by_officer:
            raise Refusal(
                Reason.PRECONDITION_MISSING, detail=each["slug"], what=each["text_zh"], what_en=each["text_en"]
            )
    return tuple(each["slug"] for each in matter["preconditions"])


def two_people(matter: Mapping[str, Any], person: CitizenId | None, partner: CitizenId) -> CitizenId:
    """The partner, if two people may come together for this matter; STATE_FORBIDS, or COUPLE_MISMATCH for one person twice."""
    if not matter.get("couple"):
        raise Refusal(Reason.STATE_FORBIDS, detail="a matter for one person")
    if person is None or person.compare_key == partner.compare_key:
        raise Refusal(Reason.COUPLE_MISMATCH, detail="one person twice")
    return partner

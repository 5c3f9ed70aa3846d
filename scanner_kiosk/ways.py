"""What the two longer ways to an answer carry along, as values: the card on the reader, and the first of two people.

All of it belongs to the case on the screen and is wiped with it. What names or shows a person is left out of every `repr`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consent.approval import Decision
from scanner_kiosk.devices.simulated import Evidence
from scanner_kiosk.visit import Asked, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """The first of two people: what was asked, and what the desk last said of it."""

    asked: Asked
    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody without a phone has answered: the device's word (`pad+jwt`), the staff card's where the matter wants
    one, and the evidence for the unit's file."""

    decision: Decision
    method: str
    pad: str = field(repr=False)
    evidence: Evidence = field(repr=False)
    officer: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCard:
    """The card that lies on the reader (its id at the simulator, name and number masked), the sheet that its holder reads,
    and the answer. `handed_in` once the desk has taken that."""

    card: str = field(repr=False)
    name: str
    number: str
    sheet: Mapping[str, Any] | None = field(default=None, repr=False)
    answer: Answer | None = None
    handed_in: bool = False

    @property
    def wants_officer(self) -> bool:
        """Whether somebody of the staff has yet to confirm what was agreed."""
        answer = self.answer
        agreed = answer is not None and answer.decision is Decision.AGREE and answer.officer is None
        return agreed and bool((self.sheet or {}).get("second_officer"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the desk said to one look: of the visit, of the first of two people, and the sheet for somebody without a phone.
    `answered` where the look handed an answer in."""

    view: View
    first: View | None = None
    sheet: Mapping[str, Any] | None = field(default=None, repr=False)
    answered: bool = False

"""The ID cards of the sandbox, for a card reader that is simulated: invented people, from the file that founding wrote.

The page learns masked names and numbers only; what stands on the card goes from here into an envelope to the desk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from consent.errors import Refusal
from consent.people import CitizenId, Flag, Name
from consent.showing import Person


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card. `name` is masked already."""

    id: str
    province: str
    name: str
    note_zh: str
    note_en: str
    person: CitizenId = field(repr=False)
    holder: Person = field(repr=False)  # what the chip says, whole


def read_cards(path: Path, *, today: date) -> tuple[Card, ...]:
    """All cards of a list of {id, province, name, id_number, note_zh, note_en}.

    ValueError names the row that cannot stand, never its content. A number of a county that exists might be a real
    person's and cannot stand.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ValueError(f"{path}: {type(problem).__name__}") from problem
    cards = []
    for at, each in enumerate(rows, start=1):
        try:
            person = CitizenId.parse(each["id_number"], today=today)
            if Flag.DIVISION_UNKNOWN not in person.flags:
                raise ValueError("might be a real person's number")
            card = Card(
                id=each["id"],
                province=each["province"],
                name=Name.parse(each["name"]).masked(),
                note_zh=each["note_zh"],
                note_en=each["note_en"],
                person=person,
                holder=Person(id_number=each["id_number"], name=each["name"]),
            )
        except (Refusal, KeyError, TypeError, ValueError):
            raise ValueError(f"{path}: row {at} is no sandbox card") from None
        cards.append(card)
    return tuple(cards)

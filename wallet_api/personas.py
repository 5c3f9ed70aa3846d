"""The people of the sandbox, as the app's login knows them: read from one file, shown by masked names only.

The file is a JSON list of {id, province, app, name, id_number, note_zh, note_en}, and for vendors who try things out
`certificates` (of {province, type, status}) and `reason`, which is how a visit ends although the person agrees (null: it
passes). Other members are somebody else's.
It is read once, at the start, and a row that might be about a real person stops the start: an ID number is taken
only when its county never existed (`consent.people.synthetic_id` makes such numbers).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from consent.errors import Reason, Refusal
from consent.holding import STATUSES
from consent.people import CitizenId, Flag, Name
from consent.provinces import province
from consent.shapes import SLUG, Members, Text, choice
from consent.showing import Person

_ID: Final = Text(40, 1)
_NOTE: Final = Text(80, 0)
_CERTIFICATE: Final = Members(
    {"province": Text(2, 2), "type": choice("marriage", "divorce"), "status": choice(*STATUSES)}
)
_MEMBERS: Final = {
    "id": _ID,
    "province": Text(2, 2),
    "app": SLUG,
    "name": Text(50, 1),
    "id_number": Text(18, 18),
    "note_zh": _NOTE,
    "note_en": _NOTE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A certificate that this person has: in which province's library, marriage or divorce, and what it is worth."""

    province: str
    type: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """One invented citizen and the app in which that citizen is logged in. Prints neither name nor number."""

    id: str
    province: str
    app: str
    name: Name = field(repr=False)
    id_number: CitizenId = field(repr=False)
    note_zh: str
    note_en: str
    certificates: tuple[Owned, ...] = ()
    reason: Reason | None = None

    @property
    def person(self) -> Person:
        """What the login puts into an envelope."""
        return Person(id_number=self.id_number.number, name=self.name.raw)


def load_personas(path: Path, *, today: date) -> Mapping[str, Persona]:
    """Everybody in the file by id, in its order; ValueError names the row that cannot stand, never its content."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ValueError(f"{path}: {type(problem).__name__}") from problem
    if not isinstance(rows, list):
        raise ValueError(f"{path}: not a list")
    found: dict[str, Persona] = {}
    for number, row in enumerate(rows, start=1):
        try:
            persona = _persona(row, today=today)
        except Refusal as problem:
            raise ValueError(f"{path}: row {number}: {problem.reason}") from None
        except ValueError as problem:
            raise ValueError(f"{path}: row {number}: {problem}") from None
        if persona.id in found:
            raise ValueError(f"{path}: row {number}: an id for the second time")
        found[persona.id] = persona
    return MappingProxyType(found)


def _persona(row: Any, *, today: date) -> Persona:
    if not isinstance(row, dict):
        raise ValueError("not an object")
    for member, shape in _MEMBERS.items():
        if not shape.fits(row.get(member)):
            raise ValueError(f"member {member}")
    if province(row["province"]).app_id != row["app"]:
        raise ValueError("member app: not the app of that province")
    number = CitizenId.parse(row["id_number"], today=today)
    if Flag.DIVISION_UNKNOWN not in number.flags:
        raise ValueError("member id_number: might be a real person's")
    return Persona(
        id=row["id"],
        province=row["province"],
        app=row["app"],
        name=Name.parse(row["name"]),
        id_number=number,
        note_zh=row["note_zh"],
        note_en=row["note_en"],
        certificates=_owned(row.get("certificates", [])),
        reason=_reason(row.get("reason")),
    )


def _owned(rows: Any) -> tuple[Owned, ...]:
    if not isinstance(rows, list) or not all(_CERTIFICATE.fits(each) for each in rows):
        raise ValueError("member certificates")
    return tuple(Owned(**each) for each in rows)


def _reason(name: Any) -> Reason | None:
    if name is None:
        return None
    try:
        return Reason(name)
    except ValueError as problem:
        raise ValueError("member reason") from problem

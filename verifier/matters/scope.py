"""The use scope of one province (用证范围) as a sealed, dated document (`scope+jwt`).

It lists the province's using units with their windows and listed matters, what the province as a library lets out, and the
matters that it wants a second officer for on top of the catalogue's, at its counters and for its certificates. The desk
checks it before it asks, the citizen's province and the library check it again: a desk cannot widen its own rights without
its province's seal. A unit of kind "commercial" is refused whatever is listed for it (A23).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from consent.errors import Reason, Refusal
from consent.keys import Keys, Kind, SigningKey
from consent.provinces import provinces
from consent.request import CERTIFICATE_TYPES
from consent.seal import open_sealed, seal
from consent.shapes import SLUG, USCC, Listing, Maybe, Members, Number, Text, choice
from verifier.matters.catalogue import Matter

_DAY: Final = Text(10, 10, re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"))
_NAME: Final = Text(80)

SCOPE: Final = Kind(
    typ="scope+jwt",
    claims={
        "version": Number(1, 2**31),
        "units": Listing(
            Members(
                {
                    "uscc": USCC,
                    "name_zh": _NAME,
                    "name_en": _NAME,
                    "kind": choice("government", "commercial"),
                    "place_zh": _NAME,
                    "place_en": _NAME,
                    "division": Text(6, 6, re.compile(r"[0-9]{6}")),
                    "windows": Listing(
                        Members({"id": Text(64, 1, re.compile(r"[A-Za-z0-9._-]+")), "name": _NAME}), most=200, least=1
                    ),
                    "listed": Listing(
                        Members(
                            {
                                "matter": SLUG,
                                "types": Listing(choice(*CERTIFICATE_TYPES), most=2, least=1),
                                "fields": Listing(SLUG, most=24, least=1),
                                "valid_from": _DAY,
                                "valid_to": Maybe(_DAY),
                            }
                        ),
                        most=50,
                    ),
                }
            ),
            most=500,
        ),
        "narrowed": Listing(Members({"matter": SLUG, "fields": Listing(SLUG, most=24)}), most=50),
        "second_officer": Listing(SLUG, most=50),
    },
    life=timedelta(days=400),
    max_length=600_000,
    depth=6,
    members=12,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A matter on a unit's list: for which certificate types and fields, from which day to which."""

    matter: str
    types: tuple[str, ...]
    fields: tuple[str, ...]
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A using unit (用证单位). `windows` maps a window's id to its name."""

    uscc: str
    name_zh: str
    name_en: str
    kind: str
    place_zh: str
    place_en: str
    division: str
    windows: Mapping[str, str]
    listed: tuple[Listed, ...]

    @property
    def matters(self) -> tuple[str, ...]:
        """The slugs on the unit's list."""
        return tuple(dict.fromkeys(each.matter for each in self.listed))

    def window(self, window: str) -> str:
        """The name of one of its windows; Refusal(WINDOW_UNKNOWN) otherwise."""
        name = self.windows.get(window)
        if name is None:
            raise Refusal(Reason.WINDOW_UNKNOWN, detail="not a window of this unit")
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A province's scope whose seal held. `narrowed` is what it lets out as a library, by matter; `second_officer` has the
    matters that it wants a second officer for."""

    province: str
    version: int
    units: Mapping[str, Unit]
    narrowed: Mapping[str, frozenset[str]]
    second_officer: frozenset[str] = frozenset()

    def unit(self, uscc: str) -> Unit:
        """The unit; Refusal(UNIT_UNKNOWN) where it is not on the list."""
        found = self.units.get(uscc)
        if found is None:
            raise Refusal(Reason.UNIT_UNKNOWN, detail="not a unit of this province's scope")
        return found

    def unit_of_window(self, window: str) -> Unit:
        """The unit that a window belongs to; Refusal(WINDOW_UNKNOWN) where it belongs to none."""
        for unit in self.units.values():
            if window in unit.windows:
                return unit
        raise Refusal(Reason.WINDOW_UNKNOWN, detail="no unit has this window")

    def listing(self, uscc: str, matter: str, day: date) -> Listed:
        """What the unit may ask in this matter on that day; Refusal COMMERCIAL_USER or SCOPE_NOT_LISTED."""
        unit = self.unit(uscc)
        if unit.kind == "commercial":
            raise Refusal(Reason.COMMERCIAL_USER, detail=uscc)
        for each in unit.listed:
            if each.matter == matter and each.valid_from <= day and (each.valid_to is None or day <= each.valid_to):
                return each
        raise Refusal(Reason.SCOPE_NOT_LISTED, detail=f"{matter} for {uscc}")

    def narrow(self, matter: str, fields: tuple[str, ...]) -> tuple[str, ...]:
        """The fields that this province lets out as a library; all of them unless it has narrowed the matter."""
        allowed = self.narrowed.get(matter)
        return fields if allowed is None else tuple(name for name in fields if name in allowed)


def seal_scope(
    units: Iterable[Unit],
    key: SigningKey,
    *,
    version: int,
    now: datetime,
    narrowed: Mapping[str, Iterable[str]] | None = None,
    second_officer: Iterable[str] = (),
) -> str:
    """The scope as text, sealed by its province's request key."""
    claims = {
        "version": version,
        "units": [_unit_row(unit) for unit in units],
        "narrowed": [{"matter": slug, "fields": sorted(names)} for slug, names in (narrowed or {}).items()],
        "second_officer": sorted(second_officer),
    }
    return seal(SCOPE, claims, key, audience="all", now=now)


def open_scope(text: str, keys: Keys, *, province: str, now: datetime) -> Scope:
    """The scope of that province, or Refusal DOCUMENT_…; two units with one window are DOCUMENT_CLAIMS."""
    sealed = open_sealed(SCOPE, text, keys, audience="all", now=now)
    if sealed.issuer != province:
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="the scope of another province")
    rows = sealed.claims["units"]
    for names in (
        [row["uscc"] for row in rows],
        [window["id"] for row in rows for window in row["windows"]],
        [row["matter"] for row in sealed.claims["narrowed"]],
        sealed.claims["second_officer"],
    ):
        if len(set(names)) != len(names):
            raise Refusal(Reason.DOCUMENT_CLAIMS, detail="scope: a unit, window or matter twice")
    units = [_unit(row) for row in rows]
    return Scope(
        province=province,
        version=sealed.claims["version"],
        units=MappingProxyType({unit.uscc: unit for unit in units}),
        narrowed=MappingProxyType({row["matter"]: frozenset(row["fields"]) for row in sealed.claims["narrowed"]}),
        second_officer=frozenset(sealed.claims["second_officer"]),
    )


def second_officer(matter: Matter, scopes: Iterable[Scope]) -> bool:
    """Whether a visit without a phone wants a second officer: by the catalogue, or because one of these provinces adds it."""
    return matter.second_officer or any(matter.slug in scope.second_officer for scope in scopes)


def load_scopes(folder: Path, keys: Keys, *, now: datetime) -> Mapping[str, Scope]:
    """All provinces' scopes from `scope-PP.jwt` in a folder; Refusal where one is missing or does not hold."""
    found = {}
    for code in provinces():
        path = folder / f"scope-{code}.jwt"
        try:
            text = path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as problem:
            raise Refusal(Reason.SCOPE_NOT_LISTED, detail=f"{path}: cannot be read") from problem
        found[code] = open_scope(text, keys, province=code, now=now)
    return MappingProxyType(found)


def _unit_row(unit: Unit) -> dict[str, Any]:
    row = {
        name: getattr(unit, name) for name in ("uscc", "name_zh", "name_en", "kind", "place_zh", "place_en", "division")
    }
    row["windows"] = [{"id": window, "name": name} for window, name in unit.windows.items()]
    row["listed"] = [
        {
            **asdict(each),
            "types": list(each.types),
            "fields": list(each.fields),
            "valid_from": each.valid_from.isoformat(),
            "valid_to": None if each.valid_to is None else each.valid_to.isoformat(),
        }
        for each in unit.listed
    ]
    return row


def _unit(row: Mapping[str, Any]) -> Unit:
    return Unit(
        **{
            **row,
            "windows": MappingProxyType({each["id"]: each["name"] for each in row["windows"]}),
            "listed": tuple(_listed(each) for each in row["listed"]),
        }
    )


def _listed(row: Mapping[str, Any]) -> Listed:
    try:
        first = date.fromisoformat(row["valid_from"])
        last = None if row["valid_to"] is None else date.fromisoformat(row["valid_to"])
    except ValueError as problem:
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="scope: not a date") from problem
    return Listed(
        matter=row["matter"], types=tuple(row["types"]), fields=tuple(row["fields"]), valid_from=first, valid_to=last
    )

"""The catalogue of matters: dated rows, read once, judged by date and by nothing else.

A slug may have several rows for different times; no two of them overlap. What a row does not name is not given: `fields`
is the whole list, and `never` says in plain words what the citizen can rely on staying hidden.

Disclosure of a field: MATCH (yes or no), MASKED (the middle hidden), PLAIN (the value). AT_LEAST_DATE is a word of the
documents that no row uses: a request carries no date to compare with. For the same reason MATCH answers for the holder
alone; of the other party, who did not consent, every row gives only what is masked.

`second_officer` is for visits without a phone alone: nobody there holds a key of the citizen's, so that where an act changes
somebody's marital status itself, two officers answer for who stood at the counter. A province may add it (`scope`).

`couple` says that the two people of one registration may come together for it, each with their own consent (A13).

The file is checked as a whole when it is read. A fault is a ValueError that names row and member, because it must stop the
start of the program and somebody has to find it among a hundred rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Final

from consent.annotated_copy import DISCLOSURES
from consent.errors import Reason, Refusal
from consent.grant import METHODS
from consent.request import CERTIFICATE_TYPES
from consent.shapes import SLUG, Listing, Maybe, Members, Shape, Text, choice


@dataclass(frozen=True, slots=True, kw_only=True)
class MatterField:
    """One field that a matter gets, and how."""

    name: str
    disclosure: str
    label_zh: str
    label_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Precondition:
    """What the officer must have established before asking (A12 to A15)."""

    slug: str
    text_zh: str
    text_en: str
    clause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What the citizen must declare besides authorising (声明承诺, A20)."""

    slug: str
    text_zh: str
    text_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """One row of the catalogue. `valid_to` is the last day, None for "until replaced"."""

    slug: str
    name_zh: str
    name_en: str
    types: tuple[str, ...]
    fields: tuple[MatterField, ...]
    never: tuple[tuple[str, str], ...]
    preconditions: tuple[Precondition, ...]
    declarations: tuple[Declaration, ...]
    holder_match: bool
    methods: tuple[str, ...]
    second_officer: bool
    couple: bool
    basis_zh: str
    basis_en: str
    clause: str
    retention_zh: str
    retention_en: str
    valid_from: date
    valid_to: date | None

    def covers(self, day: date) -> bool:
        """Whether the row holds on that day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All rows."""

    rows: tuple[Matter, ...]

    def on(self, slug: str, day: date) -> Matter:
        """The matter as it stands on that day in Shanghai.

        Refusal MATTER_UNKNOWN for a slug that never was or is no more, PHASE_NOT_BEGUN (with `date`) for one to come.
        """
        rows = [row for row in self.rows if row.slug == slug]
        for row in rows:
            if row.covers(day):
                return row
        if coming := [row.valid_from for row in rows if row.valid_from > day]:
            raise Refusal(Reason.PHASE_NOT_BEGUN, detail=slug, date=min(coming).isoformat())
        raise Refusal(Reason.MATTER_UNKNOWN, detail=slug)


@cache
def load_catalogue() -> Catalogue:
    """The catalogue that ships with the program; ValueError with the row and the fault where it is not sound."""
    text = files("verifier.matters").joinpath("catalogue.json").read_text(encoding="utf-8")
    return read_catalogue(json.loads(text))


def read_catalogue(found: Mapping[str, Any]) -> Catalogue:
    """Rows as data into a checked catalogue. Labels of fields stand once, under `fields`."""
    if not _CATALOGUE.fits(found):
        raise ValueError("catalogue: notes, fields with their labels, matters, and nothing else")
    labels: Mapping[str, Mapping[str, str]] = found["fields"]
    rows = tuple(_row(n, row, labels) for n, row in enumerate(found["matters"], start=1))
    _check_overlap(rows)
    return Catalogue(rows)


class _Flag:
    def fits(self, value: Any) -> bool:
        return isinstance(value, bool)


class _Day:
    def fits(self, value: Any) -> bool:
        try:
            return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
        except ValueError:
            return False


class _Anything:
    def fits(self, value: Any) -> bool:
        return True  # judged row by row, with a message for each


@dataclass(frozen=True, slots=True)
class _ByName:
    """An object from field names to values of one shape, at least one."""

    of: Shape

    def fits(self, value: Any) -> bool:
        if not isinstance(value, dict) or not value:
            return False
        return all(SLUG.fits(name) and self.of.fits(each) for name, each in value.items())


_TEXT: Final = Members({"zh": Text(400), "en": Text(400)})
_CATALOGUE: Final = Members(
    {
        "notes": Listing(Text(400), most=20),
        "fields": _ByName(_TEXT),
        "matters": Listing(_Anything(), most=1000, least=1),
    }
)
_ROW: Final[Mapping[str, Shape]] = {
    "slug": SLUG,
    "name": _TEXT,
    "from": _Day(),
    "to": Maybe(_Day()),
    "types": Listing(choice(*CERTIFICATE_TYPES), most=2, least=1),
    "fields": _ByName(choice(*DISCLOSURES)),
    "never": Listing(_TEXT, most=12, least=1),
    "preconditions": Listing(Members({"slug": SLUG, "zh": Text(400), "en": Text(400), "clause": Text(120)}), most=8),
    "declarations": Listing(Members({"slug": SLUG, "zh": Text(400), "en": Text(400)}), most=8),
    "holder_match": _Flag(),
    "methods": Listing(choice(*METHODS), most=len(METHODS), least=1),
    "second_officer": _Flag(),
    "couple": _Flag(),
    "basis": _TEXT,
    "clause": Text(120),
    "retention": _TEXT,
}


def _row(n: int, row: Mapping[str, Any], labels: Mapping[str, Mapping[str, str]]) -> Matter:
    where = _check(n, row, labels)
    matter = _built(row, labels)
    _check_rules(where, matter)
    return matter


def _check(n: int, row: Mapping[str, Any], labels: Mapping[str, Mapping[str, str]]) -> str:
    """Judge the shape of one row; returns what to call it in a message."""
    if not isinstance(row, dict) or row.keys() != _ROW.keys():
        wrong = sorted(_ROW.keys() ^ row.keys()) if isinstance(row, dict) else ["all"]
        raise ValueError(f"row {n}: missing or unknown: {', '.join(wrong)}")
    where = f"row {n} ({row['slug']} from {row['from']})"
    for name, shape in _ROW.items():
        if not shape.fits(row[name]):
            raise ValueError(f"{where}: {name}")
    if unknown := sorted(set(row["fields"]) - set(labels)):
        raise ValueError(f"{where}: no label for {', '.join(unknown)}")
    return where


def _built(row: Mapping[str, Any], labels: Mapping[str, Mapping[str, str]]) -> Matter:
    return Matter(
        slug=row["slug"],
        name_zh=row["name"]["zh"],
        name_en=row["name"]["en"],
        types=tuple(row["types"]),
        fields=tuple(
            MatterField(name=name, disclosure=how, label_zh=labels[name]["zh"], label_en=labels[name]["en"])
            for name, how in row["fields"].items()
        ),
        never=tuple((each["zh"], each["en"]) for each in row["never"]),
        preconditions=tuple(
            Precondition(slug=each["slug"], text_zh=each["zh"], text_en=each["en"], clause=each["clause"])
            for each in row["preconditions"]
        ),
        declarations=tuple(
            Declaration(slug=each["slug"], text_zh=each["zh"], text_en=each["en"]) for each in row["declarations"]
        ),
        holder_match=row["holder_match"],
        methods=tuple(row["methods"]),
        second_officer=row["second_officer"],
        couple=row["couple"],
        basis_zh=row["basis"]["zh"],
        basis_en=row["basis"]["en"],
        clause=row["clause"],
        retention_zh=row["retention"]["zh"],
        retention_en=row["retention"]["en"],
        valid_from=date.fromisoformat(row["from"]),
        valid_to=None if row["to"] is None else date.fromisoformat(row["to"]),
    )


OTHER_PARTY: Final = "other_party_"
"""How the names of all fields about the other party begin."""


def _check_rules(where: str, row: Matter) -> None:
    if any(field.name.startswith(OTHER_PARTY) and field.disclosure != "MASKED" for field in row.fields):
        raise ValueError(f"{where}: the other party did not consent and is only shown masked")
    if any(field.disclosure == "AT_LEAST_DATE" for field in row.fields):
        raise ValueError(f"{where}: no request carries a date to compare with")
    if not row.holder_match and any(field.name == "holder_match" for field in row.fields):
        raise ValueError(f"{where}: discloses holder_match and does not ask for one")
    for slugs in ([each.slug for each in row.preconditions], [each.slug for each in row.declarations]):
        if len(set(slugs)) != len(slugs):
            raise ValueError(f"{where}: a precondition or declaration twice")
    if row.valid_to is not None and row.valid_to < row.valid_from:
        raise ValueError(f"{where}: ends before it begins")


def _check_overlap(rows: Sequence[Matter]) -> None:
    ordered = sorted(rows, key=lambda row: (row.slug, row.valid_from))
    for earlier, later in pairwise(ordered):
        if earlier.slug == later.slug and earlier.covers(later.valid_from):
            raise ValueError(f"{later.slug}: two rows hold on {later.valid_from}")

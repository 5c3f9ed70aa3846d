"""The catalogue of matters: dated rows, read once, judged by date and by nothing else.

A slug may have several rows for different times; no two of them overlap. What a row does not name is not given: `fields`
is the whole list, and `never` says in plain words what the citizen can rely on staying hidden.

Disclosure of a field: MATCH (yes or no), MASKED (the middle hidden), PLAIN (the value).
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
from consent.shapes import SLUG


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
    labels: Mapping[str, Mapping[str, str]] = found["fields"]
    rows = tuple(_row(row, labels) for row in found["matters"])
    for row in rows:
        _check(row)
    _check_overlap(rows)
    return Catalogue(rows)


def _row(row: Mapping[str, Any], labels: Mapping[str, Mapping[str, str]]) -> Matter:
    slug = row["slug"]
    if unknown := set(row["fields"]) - set(labels):
        raise ValueError(f"{slug}: no label for {', '.join(sorted(unknown))}")
    return Matter(
        slug=slug,
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
        basis_zh=row["basis"]["zh"],
        basis_en=row["basis"]["en"],
        clause=row["clause"],
        retention_zh=row["retention"]["zh"],
        retention_en=row["retention"]["en"],
        valid_from=date.fromisoformat(row["from"]),
        valid_to=None if row["to"] is None else date.fromisoformat(row["to"]),
    )


_ID_OF_OTHERS: Final = "other_party_id"


def _check(row: Matter) -> None:
    where = f"{row.slug} from {row.valid_from}"
    if not SLUG.fits(row.slug) or not row.types or not set(row.types) <= set(CERTIFICATE_TYPES):
        raise ValueError(f"{where}: slug or certificate types")
    if not row.fields or any(field.disclosure not in DISCLOSURES for field in row.fields):
        raise ValueError(f"{where}: no fields, or a disclosure that does not exist")
    if not row.methods or not set(row.methods) <= set(METHODS):
        raise ValueError(f"{where}: approval methods")
    if any(field.name == _ID_OF_OTHERS and field.disclosure == "PLAIN" for field in row.fields):
        raise ValueError(f"{where}: the other party's ID number is never plain")
    if row.valid_to is not None and row.valid_to < row.valid_from:
        raise ValueError(f"{where}: ends before it begins")


def _check_overlap(rows: Sequence[Matter]) -> None:
    ordered = sorted(rows, key=lambda row: (row.slug, row.valid_from))
    for earlier, later in pairwise(ordered):
        if earlier.slug == later.slug and earlier.covers(later.valid_from):
            raise ValueError(f"{later.slug}: two rows hold on {later.valid_from}")

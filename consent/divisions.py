"""Administrative division codes (GB/T 2260) of the four provinces: current, retired, and never real.

A code in an ID number stays for life, and a certificate number keeps the code of the year in which it was
written, so a retired code is ordinary and never a reason to refuse anybody. The table says where a code
stands; what follows from it is for the caller. Codes of development zones (xx71 to xx78) come from statistics
and are not in GB/T 2260: nobody was ever born there, officially.

We keep a table of our own four provinces only. Of all other codes we say ELSEWHERE and judge nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from consent.provinces import provinces


class Standing(StrEnum):
    """Where a county code stands."""

    CURRENT = "current"
    RETIRED = "retired"
    STATISTICAL = "statistical"
    UNKNOWN = "unknown"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """One county. `last_year` is the last year in which a retired code was valid, None if current or not
    known."""

    code: str
    name: str
    standing: Standing
    last_year: int | None = None


@cache
def divisions() -> Mapping[str, Division]:
    """Every county code of the four provinces that we know of, by code. Read once; cannot be changed."""
    table = json.loads(files("consent").joinpath("divisions.json").read_text(encoding="utf-8"))
    found = [Division(code=code, name=name, standing=Standing.CURRENT) for code, name in table["current"].items()]
    found += [
        Division(code=code, name=old["name"], standing=Standing.RETIRED, last_year=old["last_year"])
        for code, old in table["retired"].items()
    ]
    found += [
        Division(code=code, name=name, standing=Standing.STATISTICAL) for code, name in table["statistical"].items()
    ]
    return MappingProxyType({division.code: division for division in sorted(found, key=lambda d: d.code)})


def standing_of(code: str) -> Standing:
    """Where a six-digit code stands; UNKNOWN if it should be ours and is not in the table."""
    division = divisions().get(code)
    if division is not None:
        return division.standing
    return Standing.UNKNOWN if code[:2] in provinces() else Standing.ELSEWHERE


def stood_in(code: str, year: int) -> bool:
    """Whether nothing that we know speaks against `code` having been in force in `year`.

    True for codes elsewhere and for retired codes whose last year is not known: we do not accuse on a guess.
    """
    division = divisions().get(code)
    if division is None:
        return standing_of(code) is Standing.ELSEWHERE
    if division.standing is Standing.STATISTICAL:
        return False
    return division.last_year is None or year <= division.last_year

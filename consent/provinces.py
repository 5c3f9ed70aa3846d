"""The four provinces and their apps, as data (A27).

No code anywhere asks "is this Shanghai?". A province is a row of provinces.json: a two-digit code (the first
two digits of GB/T 2260, also used in key ids and addresses), its names, the app in which its citizens show
certificates, and the department that answers for them. A fifth province would be a fifth row.

上海市民政局 is a bureau, the other three are departments (厅); 皖事通 is the citizens' app of Anhui, 皖政通
would be the officials' one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from consent.errors import Reason, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Province:
    """One province. `code` is "31", `division` its GB/T 2260 code "310000", `twin_digit` the first digit of its typed
    twins; names are for people to read."""

    code: str
    name_zh: str
    name_en: str
    app_id: str
    app_name_zh: str
    app_name_en: str
    civil_affairs_zh: str
    division: str
    twin_digit: str


@cache
def provinces() -> Mapping[str, Province]:
    """All provinces by code, in the order of the codes. Read once; the mapping cannot be changed."""
    rows = json.loads(files("consent").joinpath("provinces.json").read_text(encoding="utf-8"))
    found = {entry["code"]: Province(**entry) for entry in rows}
    return MappingProxyType(dict(sorted(found.items())))


def province(code: str) -> Province:
    """The province with this code. Anything else, whatever it is, is refused as WRONG_PROVINCE."""
    found = provinces().get(code)
    if found is None:
        raise Refusal(Reason.WRONG_PROVINCE, detail="no province has this code")
    return found


def province_of_division(division_code: str) -> Province:
    """The province that a six-digit administrative division code (GB/T 2260) belongs to.

    Only the shape and the first two digits are looked at: a retired or unknown county still has its province.
    """
    if len(division_code) != 6 or not (division_code.isascii() and division_code.isdigit()):
        raise Refusal(Reason.WRONG_PROVINCE, detail="not a six-digit division code")
    return province(division_code[:2])

"""The using units of the sandbox, four in each province, and their windows. Invented; USCCs carry the body MB9999….

A registry, a real-estate centre, a provident fund, and a bank that is a commercial user and must always be refused.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from consent.people import organisation_check_character, uscc_check_character
from consent.provinces import provinces
from verifier.matters.catalogue import Catalogue
from verifier.matters.scope import Listed, Unit

_CITIES: Final = {
    "31": ("黄浦区", "Huangpu", "310101"),
    "32": ("南京市玄武区", "Xuanwu, Nanjing", "320102"),
    "33": ("杭州市上城区", "Shangcheng, Hangzhou", "330102"),
    "34": ("合肥市瑶海区", "Yaohai, Hefei", "340102"),
}
# letter of the window, first two USCC characters, zh, en, kind, matters
_KINDS: Final = (
    ("M", "11", "婚姻登记处", "Marriage Registry", "government", ("marriage.register", "divorce.apply")),
    ("R", "12", "不动产登记中心", "Real Estate Registration Centre", "government", ("realestate.register",)),
    ("P", "12", "住房公积金管理中心", "Housing Provident Fund Centre", "government", ("provident.withdraw_spouse",)),
    ("B", "91", "示例银行营业部", "Example Bank Branch", "commercial", ("realestate.register",)),
)
OPENED: Final = date(2024, 6, 1)


def sandbox_uscc(prefix: str, division: str, number: int) -> str:
    """A unified social credit code with right check characters and an organisation that cannot exist."""
    body = f"MB9999{number:02d}"
    first_17 = prefix + division + body + organisation_check_character(body)
    return first_17 + uscc_check_character(first_17)


def units_of(code: str, catalogue: Catalogue) -> tuple[Unit, ...]:
    """The four units of a province, each with two windows."""
    place_zh, place_en, division = _CITIES[code]
    return tuple(
        Unit(
            uscc=sandbox_uscc(prefix, division, number),
            name_zh=f"{place_zh}{zh}",
            name_en=f"{place_en} {en}",
            kind=kind,
            place_zh=f"{provinces()[code].name_zh}{place_zh}",
            place_en=f"{place_en}, {provinces()[code].name_en}",
            division=division,
            windows={f"{code}-{letter}{n}": f"{n}号窗口" for n in (1, 2)},
            listed=tuple(_listed(slug, catalogue) for slug in matters),
        )
        for number, (letter, prefix, zh, en, kind, matters) in enumerate(_KINDS, start=10)
    )


def _listed(slug: str, catalogue: Catalogue) -> Listed:
    rows = [row for row in catalogue.rows if row.slug == slug]
    return Listed(
        matter=slug,
        types=rows[-1].types,
        fields=tuple(dict.fromkeys(field.name for row in rows for field in row.fields)),
        valid_from=OPENED,
        valid_to=None,
    )


def window_for(code: str, matter: str) -> str:
    """The first window of the province at which a matter is handled."""
    letter = next(letter for letter, *_, kind, matters in _KINDS if kind == "government" and matter in matters)
    return f"{code}-{letter}1"


def officers_at(window: str) -> tuple[str, ...]:
    """The opaque ids of the officers with a staff card in the unit that has this window."""
    house = window.rstrip("0123456789")
    return (f"{house}-01", f"{house}-02")


def windows_of(code: str) -> list[str]:
    """Every window of a province."""
    return [f"{code}-{letter}{n}" for letter, *_ in _KINDS for n in (1, 2)]

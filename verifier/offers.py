"""Offers: what units may ask for, in the register's words, before anybody has asked.

A citizen who wants to agree before the scan (express) must read the same words as on the sheet. They stand in the signed
scopes and the catalogue, which the inner network holds, so wallet_api asks by errand: for the list of a province's units,
or for the offer of one unit in one matter. Nothing here concerns a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from consent.clock import shanghai_date
from consent.errors import Reason, Refusal
from consent.request import CERTIFICATE_TYPES
from consent.shapes import PROVINCE, SLUG, USCC, Maybe, Members, choice
from consent.standing import offer_digest
from verifier.admit import Permitted, permitted
from verifier.matters.scope import Unit
from verifier.office import Office
from verifier.sheet import write_offer

METHOD: Final = "express"
QUESTION: Final = Members(
    {"desk": PROVINCE, "unit": Maybe(USCC), "matter": Maybe(SLUG), "type": Maybe(choice(*CERTIFICATE_TYPES))}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """The offers of all provinces, as one province's citizens read them."""

    office: Office

    def answer(self, question: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
        """`{"units": […]}` for a province, `{"offer": …, "digest": …}` for a unit and matter in it.

        Refusal BODY_INVALID, and whatever forbids the unit to ask (SCOPE_NOT_LISTED, COMMERCIAL_USER, …);
        APPROVAL_METHOD_NOT_ALLOWED for a matter that wants an answer after the scan.
        """
        if not QUESTION.fits(question) or len({each is None for each in _chosen(question)}) != 1:
            raise Refusal(Reason.BODY_INVALID, detail="offer")
        today = shanghai_date(now)
        unit, matter, type_ = _chosen(question)
        if unit is None or matter is None or type_ is None:
            return {"units": self._units(question["desk"], today)}
        may = self._permitted(question["desk"], unit, matter, type_, today)
        if METHOD not in may.matter.methods:
            raise Refusal(Reason.APPROVAL_METHOD_NOT_ALLOWED, detail=f"{METHOD} for {matter}")
        offer = write_offer(question["desk"], may, [field.name for field in may.fields])
        return {"offer": offer, "digest": offer_digest(offer)}

    def _permitted(self, desk: str, uscc: str, matter: str, type_: str, today: date) -> Permitted:
        scope = self.office.scope(desk)
        window = next(iter(scope.unit(uscc).windows), "")  # any window of the unit: all may ask the same
        return permitted(
            unit=uscc,
            window=window,
            matter=matter,
            type_=type_,
            scope=scope,
            catalogue=self.office.catalogue,
            on=today,
        )

    def _units(self, desk: str, today: date) -> list[dict[str, Any]]:
        units = self.office.scope(desk).units.values()
        rows = [(unit, self._matters(desk, unit, today)) for unit in units]
        return [
            {
                "unit": unit.uscc,
                "name_zh": unit.name_zh,
                "name_en": unit.name_en,
                "place_zh": unit.place_zh,
                "place_en": unit.place_en,
                "matters": matters,
            }
            for unit, matters in rows
            if matters
        ]

    def _matters(self, desk: str, unit: Unit, today: date) -> list[dict[str, Any]]:
        found = []
        for slug in unit.matters:
            for type_ in CERTIFICATE_TYPES:
                try:
                    matter = self._permitted(desk, unit.uscc, slug, type_, today).matter
                except Refusal:
                    continue  # not today, not for this type, or never: not offered
                if METHOD in matter.methods:
                    found.append({"slug": slug, "type": type_, "name_zh": matter.name_zh, "name_en": matter.name_en})
        return found


def _chosen(question: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    return question["unit"], question["matter"], question["type"]

"""What the page shows, as JSON: a view of the kiosk in which nobody's ID number stands whole.

Both languages go along, so that the page can change its language without asking again.

While the screen is covered, everything about the person at the counter is left out here, not hidden there: also how the
visit stands, for a word such as "refused" is about somebody. What is left is the room: place, camera, network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from consent.card import METHODS
from consent.clock import rfc3339
from consent.errors import outcome_of, row
from consent.people import CitizenId
from consent.provinces import provinces
from consent.request import NO_OFFICER
from scanner_kiosk.chosen import Chosen
from scanner_kiosk.counter import ENDED, Counter, Guidance, Invited
from scanner_kiosk.kiosk import Kiosk
from scanner_kiosk.officers import Officer
from scanner_kiosk.own_code import RENEW
from scanner_kiosk.visit import Said, View

MOST_LISTED: Final = 50  # of the codes shown to a silent desk; the page polls them


def state_of(kiosk: Kiosk, *, guidance: Guidance, has_picture: bool, officer: Officer | None = None) -> dict[str, Any]:
    """The counter as its page polls it. Holds no passing time: what counts down is given as an instant."""
    covered = kiosk.covered  # before the counter: a wipe uncovers, and may come between the two
    counter, chosen = kiosk.counter(), kiosk.chosen
    heard_at, silent = kiosk.heard
    return {
        "version": counter.version,
        "covered": covered,
        "camera": {"name": kiosk.camera_name, "picture": has_picture},
        "scanner": scanner_of(kiosk),
        "on_duty": None if officer is None else asdict(officer),
        "place": _place(chosen),
        "network": {"silent": silent, "heard_at": _instant(heard_at), "since": _instant(kiosk.offline.since)},
        "keylist": kiosk.keylist.version,
        **({**_COVERED, **_NO_ATTEMPTS} if covered else {**_served(counter, chosen, guidance), **_attempts(kiosk)}),
    }


def scanner_of(kiosk: Kiosk) -> str:
    """How the desk scanner stands: "none", "ok" or "gone"."""
    if kiosk.scanner is None:
        return "none"
    return "ok" if kiosk.scanner.failure is None else "gone"


# What a covered screen receives in place of `_served`. "COVERED" is the page's word, no state of the counter.
_COVERED: Final[Mapping[str, Any]] = {
    "state": "COVERED",
    "guidance": Guidance.PAUSED.value,
    "chosen": None,
    "case": None,
    "visit": None,
    "said": None,
    "check": None,
    "request_id": None,
    "own_code": None,
    "ways": {"invite": False, "no_phone": False},
    "on_card": None,
    "sheet": None,
    "staff": [],
    "two": None,
    "evidence": False,
    "receipts": 0,
    "can_retry": False,
    "clears_at": None,
}


def _served(counter: Counter, chosen: Chosen, guidance: Guidance) -> dict[str, Any]:
    """All that is about the person at the counter."""
    return {
        "state": counter.state,
        "guidance": guidance.value,
        "chosen": _chosen(counter, chosen),
        "case": _case(counter),
        "visit": _visit(counter),
        "said": _said(counter.said) if counter.state in ENDED else None,
        "check": counter.check,
        "request_id": None if counter.asked is None else counter.asked.request_id,
        "own_code": _own_code(counter.own_code),
        "ways": _ways(counter, chosen),
        "on_card": _on_card(counter),
        "sheet": _sheet(counter, chosen),
        "staff": _staff(counter, chosen),
        "two": _two(counter),
        "evidence": counter.on_card is not None and counter.on_card.answer is not None,
        "receipts": len(receipts_of(counter)),
        "can_retry": counter.can_retry,
        "clears_at": _instant(counter.clears_at),
    }


_NO_ATTEMPTS: Final[Mapping[str, Any]] = {"attempts": [], "attempts_in_all": 0}


def _attempts(kiosk: Kiosk) -> dict[str, Any]:
    """Which codes were shown while the desk was silent: the newest of them, and how many in all."""
    found = kiosk.offline.attempts()
    register = kiosk.chosen.register or {"matters": []}
    matters = {each["slug"]: each for each in register["matters"]}
    return {
        "attempts": [_attempt(each, kiosk, matters.get(each["matter"])) for each in found[-MOST_LISTED:]],
        "attempts_in_all": len(found),
    }


def _attempt(found: Mapping[str, Any], kiosk: Kiosk, matter: Mapping[str, Any] | None) -> dict[str, Any]:
    window = kiosk.windows.get((found["province"], found["window"]))
    return {
        "at": found["at"],
        "window_name": found["window"] if window is None else window.name,
        "matter_zh": found["matter"] if matter is None else matter["name_zh"],
        "matter_en": found["matter"] if matter is None else matter["name_en"],
        "check": found["check"],
    }


def choices_of(kiosk: Kiosk) -> dict[str, Any]:
    """What may be chosen: windows, the matters of the chosen one, the cards of the simulated reader."""
    return {
        "provinces": [
            {"code": code, "name_zh": each.name_zh, "name_en": each.name_en}
            for code, each in provinces().items()
            if any(window.client.province == code for window in kiosk.windows.values())
        ],
        "windows": [
            {
                "province": province,
                "window": window,
                "name": each.name,
                "unit_zh": each.unit_zh,
                "unit_en": each.unit_en,
            }
            for (province, window), each in kiosk.windows.items()
        ],
        "register": kiosk.chosen.register,
        "cards": [
            {
                "id": card.id,
                "province": card.province,
                "name": card.name,
                "number": card.person.masked(),
                "note_zh": card.note_zh,
                "note_en": card.note_en,
            }
            for card in kiosk.cards.values()
        ],
    }


def _place(chosen: Chosen) -> dict[str, Any]:
    client, register = chosen.window.client, chosen.register or {}
    province, unit = provinces()[client.province], register.get("unit", {})
    return {
        "province": client.province,
        "province_zh": province.name_zh,
        "province_en": province.name_en,
        "unit_zh": unit.get("name_zh", chosen.window.unit_zh),
        "unit_en": unit.get("name_en", chosen.window.unit_en),
        "window": client.window,
        "window_name": register.get("window_name", chosen.window.name),
    }


def _chosen(counter: Counter, chosen: Chosen) -> dict[str, Any] | None:
    if chosen.matter is None:
        return None
    matter: Mapping[str, Any] = chosen.row()
    return {
        "matter": chosen.matter,
        "name_zh": matter["name_zh"],
        "name_en": matter["name_en"],
        "type": chosen.type,
        "clause": matter["clause"],
        "second_officer": _second_told(counter, chosen, matter),
        "fields": [{"name": each["name"], "zh": each["label_zh"], "en": each["label_en"]} for each in matter["fields"]],
    }


def _second_told(counter: Counter, chosen: Chosen, matter: Mapping[str, Any]) -> bool:
    """Whether the officer reads now that going on without a phone will want a colleague: before the citizen is led that way,
    and while the card is waited for. A desk of before this member says it with the sheet."""
    ahead = counter.state == "READING" or _ways(counter, chosen)["no_phone"]
    return ahead and bool(matter.get("second_officer"))


def _case(counter: Counter) -> dict[str, Any] | None:
    case = counter.case
    if case is None:
        return None
    person = None if case.person is None else case.person.masked()
    return {"case_number": case.case_number, "person": person, "matter": case.matter, "type": case.type}


def _ways(counter: Counter, chosen: Chosen) -> dict[str, bool]:
    """What else than a phone that is held in leads on from here. Of two people each answers on the own phone."""
    alone = counter.state == "WAITING" and counter.case is not None and counter.case.couple is None
    return {"invite": alone, "no_phone": alone and chosen.window.devices is not None and bool(_methods(chosen))}


def _methods(chosen: Chosen) -> list[str]:
    """How somebody without a phone may answer; a desk that does not say so takes no such answer."""
    return [each for each in chosen.row().get("methods", ()) if each in METHODS]


def _on_card(counter: Counter) -> dict[str, Any] | None:
    on_card = counter.on_card
    if on_card is None:
        return None
    method = None if on_card.answer is None else on_card.answer.method
    return {"name": on_card.name, "number": on_card.number, "method": method}


def _sheet(counter: Counter, chosen: Chosen) -> dict[str, Any] | None:
    """What somebody without a phone reads, in the register's words, and how it may be answered."""
    on_card = counter.on_card
    if counter.state != "SIGNING" or on_card is None or on_card.sheet is None:
        return None
    answer_by = None if counter.view is None else counter.view.answer_by
    return {**on_card.sheet, "methods": _methods(chosen), "answer_by": answer_by}


def _staff(counter: Counter, chosen: Chosen) -> list[str]:
    """The staff cards that the simulated reader knows, while one is waited for."""
    devices = chosen.window.devices
    return [] if counter.state != "ATTESTING" or devices is None else [each.officer for each in devices.staff]


def _two(counter: Counter) -> dict[str, Any] | None:
    """Of two people, whose turn it is and how each stands. A copy is given only where both are."""
    case = counter.case
    if case is None or case.couple is None:
        return None
    views = (counter.view, None) if counter.first is None else (counter.first.view, counter.view)
    people = zip((case.person, case.partner), views, strict=True)
    return {
        "turn": 2 if counter.second else 1,
        "people": [_one(person, view, shown=counter.state == "PASSED") for person, view in people],
    }


def _one(person: CitizenId | None, view: View | None, *, shown: bool) -> dict[str, Any]:
    said = None if view is None or view.said.reason is None else _said(view.said)
    return {
        "person": None if person is None else person.masked(),
        "state": None if view is None else view.state,
        "said": said,
        "library": None if view is None else view.library,
        "copy": view.copy if shown and view is not None else None,
        "receipt": view is not None and view.receipt is not None,
        "request_id": None if view is None else view.request_id,
        "answer_by": None if view is None else view.answer_by,
    }


def receipts_of(counter: Counter) -> list[str]:
    """The unit's receipts of the visits that have ended here: one, or one for each of two people. Without personal data."""
    if counter.state not in ENDED:
        return []
    views = (None if counter.first is None else counter.first.view, counter.view)
    return [view.receipt for view in views if view is not None and view.receipt is not None]


def _own_code(shown: Invited | None) -> dict[str, Any] | None:
    """Which code of our own is shown, not what it says: the picture has an address of its own."""
    if shown is None:
        return None
    return {
        "id": shown.asked.request_id,
        "renews_at": _instant(shown.expires_at - RENEW),
        "expires_at": _instant(shown.expires_at),
    }


def _visit(counter: Counter) -> dict[str, Any] | None:
    view = counter.view
    if view is None:
        return None
    return {
        "digits": view.digits if counter.state == "CONFIRMING" else None,
        "answer_by": view.answer_by if counter.state == "CONFIRMING" else None,
        "holder_province": view.holder_province,
        "library": view.library,
        "officer": view.officer or NO_OFFICER,
        "asked_at": view.asked_at,
        "copy": view.copy if counter.state == "PASSED" else None,
    }


def _said(said: Said | None) -> dict[str, Any] | None:
    if said is None:
        return None
    return {
        "reason": said.reason,
        "outcome": outcome_of(said.reason),
        "retry": said.reason is not None and row(said.reason).retry,
        "sentence_zh": said.sentence_zh,
        "sentence_en": said.sentence_en,
        "next_zh": said.next_zh,
        "next_en": said.next_en,
        "clause": said.clause,
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)

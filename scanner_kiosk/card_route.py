"""Somebody without a phone, at the counter: an ID card on the reader, and an answer on the pad or before the matcher (A29).

 1. lay      the reader reads the card for one new request id. Who is read must be who the case is about
 2. answer   to the very sheet that the page shows: agreed with a signature or a face match, or declined. Every declaration
             was ticked; the matcher is used where the matter takes it and only when the citizen has chosen it
 3. attest   where the matter wants a second officer, that officer's staff card says so

What reader, pad, matcher and staff card say goes to the desk as it is. The strokes, or the matcher's result, stay here with
their salt as long as the case is on the screen, and leave as a file for the unit (`pen`) when the officer asks for it.

These are the keys of the page; each changes the counter and waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from consent.approval import Decision
from consent.b64 import new_id
from consent.clock import Clock
from consent.errors import Reason, Refusal
from scanner_kiosk.cards import Card
from scanner_kiosk.chosen import Window
from scanner_kiosk.counter import Case, Counter
from scanner_kiosk.devices.simulated import Devices
from scanner_kiosk.pen import evidence_file, no_strokes, strokes_of
from scanner_kiosk.visit import Asked
from scanner_kiosk.ways import Answer, OnCard

PAD: Final = "pad"
FACE: Final = "face"

Press = Callable[[Callable[[Counter, Window], Counter]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the page says somebody has done: `strokes` on the pad, or `standing` before the matcher's camera (a card's id)."""

    decision: Decision
    method: str
    sheet: str
    declarations: tuple[str, ...]
    strokes: Any = None
    standing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRoute:
    """The keys. `press` lets a change happen to the kiosk's counter, under its lock."""

    press: Press
    cards: Mapping[str, Card]
    clock: Clock

    def no_phone(self) -> None:
        """A card is to be laid on the reader. Refusal STATE_FORBIDS where no code is waited for, DEVICE_UNKNOWN where this
        window has no reader."""

        def change(counter: Counter, window: Window) -> Counter:
            _devices(window)
            return counter if counter.state == "READING" else counter.without_phone()  # the key was pressed twice

        self.press(change)

    def lay(self, card: str) -> None:
        """Step 1. Refusal HOLDER_MISMATCH for another person's card, STATE_FORBIDS where no card is waited for."""
        now = self.clock.now()

        def change(counter: Counter, window: Window) -> Counter:
            if counter.state != "READING" or counter.case is None:
                raise Refusal(Reason.STATE_FORBIDS, detail="no card is waited for")
            return counter.laid(*_read(window, counter.case, self._card(card), now=now))

        self.press(change)

    def answer(self, given: Given) -> None:
        """Step 2. Refusal STATE_FORBIDS for another sheet than the one that is shown, DECLARATION_MISSING,
        FACE_NOT_MATCHED, APPROVAL_METHOD_NOT_ALLOWED, BODY_INVALID for no signature; the sheet stays as it is."""
        now = self.clock.now()

        def change(counter: Counter, window: Window) -> Counter:
            on_card = counter.on_card
            if counter.state != "SIGNING" or on_card is None or on_card.sheet is None:
                raise Refusal(Reason.STATE_FORBIDS, detail="nobody reads a sheet")
            if given.sheet != on_card.sheet["request"]:
                raise Refusal(Reason.STATE_FORBIDS, detail="another sheet")
            return counter.answered(self._answer(_devices(window), on_card, on_card.sheet, given, now=now))

        self.press(change)

    def attest(self, officer: str) -> None:
        """Step 3. Refusal OFFICER_UNKNOWN for a staff card that is none of this unit's."""
        now = self.clock.now()

        def change(counter: Counter, window: Window) -> Counter:
            sheet = None if counter.on_card is None else counter.on_card.sheet
            if counter.state != "ATTESTING" or sheet is None:
                raise Refusal(Reason.STATE_FORBIDS, detail="no staff card is waited for")
            for each in _devices(window).staff:
                if each.officer == officer:
                    return counter.attested(each.attest(sheet["request"], now=now))
            raise Refusal(Reason.OFFICER_UNKNOWN, detail="no such staff card")

        self.press(change)

    def _answer(
        self, devices: Devices, on_card: OnCard, sheet: Mapping[str, Any], given: Given, *, now: datetime
    ) -> Answer:
        if given.decision is Decision.DECLINE:
            return _signed(devices, sheet, given, PAD, no_strokes(), now=now)
        if missing := {each["slug"] for each in sheet["declarations"]} - set(given.declarations):
            raise Refusal(Reason.DECLARATION_MISSING, detail=", ".join(sorted(missing)))
        if given.method == FACE:
            raw = devices.matcher.match(self._card(on_card.card).holder, self._card(given.standing or "").holder)
        elif given.method == PAD:
            raw = strokes_of(given.strokes)
        else:
            raise Refusal(Reason.APPROVAL_METHOD_NOT_ALLOWED, detail="pad or face")
        return _signed(devices, sheet, given, given.method, raw, now=now)

    def _card(self, card: str) -> Card:
        if card not in self.cards:
            raise Refusal(Reason.ID_NUMBER_MALFORMED, detail="no such card in the reader")
        return self.cards[card]


def _devices(window: Window) -> Devices:
    if window.devices is None:
        raise Refusal(Reason.DEVICE_UNKNOWN, detail="no card reader at this window")
    return window.devices


def _read(window: Window, case: Case, card: Card, *, now: datetime) -> tuple[Asked, OnCard]:
    if case.person is not None and case.person.compare_key != card.person.compare_key:
        raise Refusal(Reason.HOLDER_MISMATCH, detail="another person's card")
    request_id = new_id()
    asked = window.client.ask_with_card(
        request_id=request_id,
        card=_devices(window).reader.read(card.holder, request_id=request_id, now=now),
        matter=case.matter,
        type_=case.type,
        case_number=case.case_number,
        cause=case.cause,
        preconditions=case.preconditions,
    )
    return asked, OnCard(card=card.id, name=card.name, number=card.person.masked())


def _signed(
    devices: Devices, sheet: Mapping[str, Any], given: Given, method: str, raw: bytes, *, now: datetime
) -> Answer:
    declarations: Sequence[str] = ()
    if given.decision is Decision.AGREE:
        declarations = [each["slug"] for each in sheet["declarations"]]
    pad, evidence = devices.pad.sign(
        sheet["request"], given.decision, raw=raw, now=now, method=method, declarations=declarations
    )
    return Answer(decision=given.decision, method=method, pad=pad, evidence=evidence)


def file_of(counter: Counter) -> bytes:
    """The evidence file of the case on the screen; Refusal STATE_FORBIDS while nothing was signed."""
    on_card = counter.on_card
    if counter.asked is None or on_card is None or on_card.answer is None:
        raise Refusal(Reason.STATE_FORBIDS, detail="nothing was signed")
    return evidence_file(counter.asked, on_card.answer)

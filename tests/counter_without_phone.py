"""A counter with a card reader and a signature pad, and somebody with an ID card before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from consent.approval import Decision
from consent.attest import staff_of
from consent.b64 import new_id
from consent.card import device_of
from consent.keys import SigningKey, load_key
from consent.showing import Person
from scanner_kiosk.country.people import Persona, pair
from scanner_kiosk.country.units import officers_at, window_for
from scanner_kiosk.devices.simulated import SimulatedPad, SimulatedReader, SimulatedStaffCard
from scanner_kiosk.province_client import ProvinceClient
from scanner_kiosk.visit import Asked, View
from tests.country import MATTER_OF, TICKS, Stage


@dataclass(slots=True, kw_only=True)
class Counter:
    """A counter with a reader and a pad, and somebody with a card before it."""

    stage: Stage
    who: Persona
    desk: str
    window: str
    client: ProvinceClient
    asked: Asked

    def reader(self, window: str | None = None) -> SimulatedReader:
        """The reader of this window, or of another."""
        recipient = self.stage.province(self.desk).office.keylist.recipient(self.desk)
        return SimulatedReader(
            key=device(self.stage, self.desk, window or self.window, "reader"),
            province=self.desk,
            window=window or self.window,
            inner=recipient,
        )

    def view(self) -> View:
        """What the counter sees."""
        return self.client.visit(self.asked.request_id)

    def begin(self) -> View:
        """The card was read; the desk has asked its own province."""
        self.client.present_card(self.asked)
        self.stage.pump()
        return self.view()

    def signed(self, decision: Decision = Decision.AGREE, **changes: Any) -> str:
        """What the pad says to the sheet."""
        sheet = self.client.sheet(self.asked.request_id)
        pad = SimulatedPad(
            key=device(self.stage, self.desk, changes.pop("window", self.window), "pad"), province=self.desk
        )
        changes.setdefault("declarations", [each["slug"] for each in sheet["declarations"]])
        text, _ = pad.sign(
            changes.pop("request", sheet["request"]), decision, raw=b"strokes", now=self.stage.clock.now(), **changes
        )
        return text

    def attested(self, **changes: Any) -> str:
        """What a second officer's staff card says to the sheet: of this window, or right in everything but `changes`."""
        window = changes.pop("window", self.window)
        officer = changes.pop("officer", officers_at(self.window)[1])
        card = SimulatedStaffCard(
            key=changes.pop("key", None) or staff_key(self.stage, self.desk, officer),
            province=self.desk,
            window=window,
            officer=officer,
        )
        request = changes.pop("request", None) or self.client.sheet(self.asked.request_id)["request"]
        return card.attest(request, now=self.stage.clock.now())

    def answer(self, decision: Decision = Decision.AGREE, **changes: Any) -> View:
        """Signed and handed in, where it is wanted with a second officer's word, and everybody works."""
        wanted = self.client.sheet(self.asked.request_id)["second_officer"]
        officer = changes.pop("officer", self.attested() if wanted else None)
        self.client.answer(self.asked.request_id, self.signed(decision, **changes), officer=officer)
        self.stage.pump()
        return self.view()


def device(stage: Stage, province: str, window: str, name: str) -> SigningKey:
    """The key of a device of a window."""
    path = stage.country.founded.keys.device(province, window, name)
    return load_key(f"file:{path}", issuer=device_of(province, window, name), sandbox=True)


def staff_key(stage: Stage, province: str, officer: str) -> SigningKey:
    """The key of an officer's staff card."""
    (unit,) = (
        unit
        for unit in stage.province(province).office.scope(province).units.values()
        if officer in officers_at(next(iter(unit.windows)))
    )
    path = stage.country.founded.keys.officer(province, officer)
    return load_key(f"file:{path}", issuer=staff_of(province, unit.uscc, officer), sandbox=True)


def counter(stage: Stage, who: Persona | None = None, desk: str = "32", **changes: Any) -> Counter:
    """A counter in `desk` at which somebody's card was read."""
    who = who or pair("31", "33")
    type_ = changes.pop("type_", None) or (who.stories[0].type if who.stories else "marriage")
    matter = changes.pop("matter", None) or MATTER_OF[type_]
    window = window_for(desk, matter)
    found = Counter(
        stage=stage,
        who=who,
        desk=desk,
        window=window,
        client=stage.country.window_client(desk, window),
        asked=Asked(request_id="", body=b""),
    )
    request_id = changes.pop("request_id", None) or new_id()
    reader = found.reader(changes.pop("reader", None))
    card = reader.read(
        Person(id_number=who.id_number, name=who.name),
        request_id=changes.pop("read_for", request_id),
        now=stage.clock.now(),
    )
    found.asked = found.client.ask_with_card(
        request_id=request_id,
        card=changes.pop("card", card),
        matter=matter,
        type_=type_,
        case_number="沪房2026-0001",
        cause="办理业务",
        preconditions=TICKS,
    )
    return found

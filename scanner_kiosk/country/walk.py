"""Walking visits through the country, from camera frames to the certificate: what demo, bench and tests share.

A `Walk` is one visit in steps that can be taken apart: `scan` (the phone's picture in camera frames until the decoder reads
it), `present`, `sheet`, `agree`, `ended`. Whoever breaks something does it between two of them. Waiting is done on the same
hints as everywhere: woken by Redis, or looking twice a second.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import numpy as np
from sqlalchemy import select

from consent.approval import Decision
from consent.b64 import digest_of, new_id
from consent.clock import shanghai_date
from consent.code import is_ours
from consent.counter_strings import drawn_by
from consent.errors import Reason, Refusal
from consent.people import CitizenId
from consent.seal import signed_digest
from consent.stores.base import reading
from scanner_kiosk.camera import Simulated
from scanner_kiosk.country import Country
from scanner_kiosk.country.people import Persona, Story
from scanner_kiosk.country.units import window_for
from scanner_kiosk.decode import Reader
from scanner_kiosk.phone import Phone
from scanner_kiosk.province_client import ProvinceClient
from scanner_kiosk.scene import Camera
from scanner_kiosk.visit import View
from verifier.desk import Visit
from verifier.stores.exchange import letters
from verifier.stores.inner import find_visit
from verifier.stores.library import spends
from wallet_api.picture import png

PATIENCE_S: Final = 15.0  # real seconds that any step of a demo may take
MOST_FRAMES: Final = 90  # three seconds before the camera
SWIFT: Final = Camera(arrival=2)  # a phone that is held out without hesitating; drawing frames is most of a scan's time
_TICKS: Final = {
    "marriage.register": ("online_check_differs_or_offered",),
    "divorce.apply": ("both_booklets_lost", "loss_statement_signed"),
}
_UNDER_WAY: Final = ("ASKED", "FETCHING")


def matter_of(story: Story) -> str:
    """A matter for which such a certificate is asked."""
    return "realestate.register" if story.type == "marriage" else "marriage.register"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A code read off camera frames: its text, how many frames it took, and the frame that it was read from."""

    text: str
    frames: int
    image: np.ndarray[Any, np.dtype[np.uint8]] = field(repr=False)


def scan(
    picture: Callable[[], bytes], *, seed: int, accept: Callable[[str], bool] = is_ours, sightings: int = 1
) -> Scan:
    """Hold a picture before the camera until the decoder has read one text so many times, one of our codes unless `accept`
    says otherwise; TimeoutError after three seconds."""
    source, reader, seen = Simulated(picture, seed=seed, camera=SWIFT, interval_s=0), Reader(), Counter[str]()
    source.open()
    try:
        for number in range(1, MOST_FRAMES + 1):
            frame = source.read(1)
            if frame is None:
                continue
            seen.update(texts := reader.read(frame.image, accept=accept))
            if texts and seen[texts[0]] >= sightings:
                return Scan(text=texts[0], frames=number, image=frame.image)
    finally:
        source.close()
    raise TimeoutError("the camera saw no code")


@dataclass(slots=True, kw_only=True)
class Walk:
    """One visit of a persona at a desk. `matter`, `type` and `window` follow from the persona's first story."""

    country: Country
    persona: Persona
    desk: str
    matter: str
    type: str
    window: str
    phone: Phone
    client: ProvinceClient
    request_id: str = field(default_factory=new_id)
    scanned: Scan | None = None
    view: View | None = None

    @classmethod
    def of(
        cls,
        country: Country,
        persona: Persona,
        desk: str,
        *,
        matter: str | None = None,
        type_: str | None = None,
        window: str | None = None,
    ) -> Walk:
        """A visit ready to begin. A persona without a certificate asks for a marriage certificate all the same."""
        story = persona.stories[0] if persona.stories else None
        matter = matter or (matter_of(story) if story else "realestate.register")
        window = window or window_for(desk, matter)
        return cls(
            country=country,
            persona=persona,
            desk=desk,
            matter=matter,
            type=type_ or (story.type if story else "marriage"),
            window=window,
            phone=country.phone_of(persona),
            client=country.window_client(desk, window),
        )

    def show(self, *, seed: int = 0) -> Scan:
        """The phone opens a showing and is held before the camera."""
        self.phone.show()
        shown = self.phone.picture()
        self.scanned = scan(lambda: shown, seed=seed)
        return self.scanned

    def show_own(self, *, seed: int = 0) -> Scan:
        """The same with the text that the app's own server draws. Nothing in it is signed: two frames must say the same."""
        app = self.persona.province
        shown = png(self.country.simulators[app].hold_up(self.phone.show()))
        self.scanned = scan(lambda: shown, seed=seed, accept=lambda text: drawn_by(text) == app, sightings=2)
        return self.scanned

    def present(
        self,
        *,
        code: str | None = None,
        client: ProvinceClient | None = None,
        person: str | None = None,
        ticked: bool = True,
    ) -> View:
        """The counter presents the scanned text (or another one); Refusal where the desk says no at once."""
        text = code if code is not None else self.scanned.text if self.scanned is not None else ""
        asking = client or self.client
        asked = asking.ask(
            request_id=self.request_id,
            code=text,
            matter=self.matter,
            type_=self.type,
            case_number=f"SB-{self.request_id[:8]}",
            cause="办理业务",
            person=CitizenId.parse(person or self.persona.id_number, today=shanghai_date(self.country.clock.now())),
            preconditions=_TICKS.get(self.matter, ()) if ticked else (),
        )
        self.view = asking.present(asked)
        return self.view

    def sheet(self) -> dict[str, Any]:
        """Wait until the phone has the sheet and knows what its holder has."""

        def there() -> dict[str, Any] | None:
            try:
                found = self.phone.sheet()
            except Refusal as no:
                if no.reason is not Reason.REQUEST_UNKNOWN:
                    raise
                return None
            return found if found["holdings"] is not None else None

        return self._wait(there)

    def pick(self, sheet: Mapping[str, Any], library: str | None = None) -> str | None:
        """The holder's certificate of the asked type, in this library where one is named."""
        for each in sheet["holdings"]["certificates"]:
            if each["type"] == self.type and library in (None, each["certificate"].partition(".")[0]):
                return str(each["certificate"])
        return None

    def agree(self, sheet: Mapping[str, Any], *, digits: str | None = None, certificate: str | None = None) -> None:
        """The citizen taps the digits of the counter's screen, picks, declares and agrees."""
        shown = self.view.digits if self.view is not None else ""
        self.phone.answer(Decision.AGREE, sheet["sheet"], digits=digits or shown, certificate=certificate)

    def decline(self, sheet: Mapping[str, Any]) -> None:
        """The citizen says no."""
        self.phone.answer(Decision.DECLINE, sheet["sheet"])

    def ended(self) -> View:
        """Wait at the counter until the visit has an outcome."""
        deadline = time.monotonic() + PATIENCE_S
        view = self.view or self.client.visit(self.request_id)
        while view.state in _UNDER_WAY:
            if time.monotonic() > deadline:
                raise TimeoutError(f"still {view.state} after {PATIENCE_S} s")
            view = self.client.visit(self.request_id, known=view)
        self.view = view
        return view

    def whole(self, *, seed: int = 0, library: str | None = None) -> View:
        """All steps of a visit that passes."""
        self.show(seed=seed)
        self.present()
        sheet = self.sheet()
        self.agree(sheet, certificate=self.pick(sheet, library))
        return self.ended()

    def phone_state(self, *states: str) -> dict[str, Any]:
        """Wait until the phone's showing is in one of these states."""

        def there() -> dict[str, Any] | None:
            found = self.phone.state()
            return found if found["state"] in states else None

        return self._wait(there)

    def desk_visit(self) -> Visit:
        """The visit as the desk keeps it, with its receipt."""
        desk = self.country.provinces[self.desk].desk
        return desk.visit(self.window, self.request_id, now=self.country.clock.now())

    def receipts(self) -> dict[str, str | None]:
        """The digests of the three sides' receipts."""
        unit = self.desk_visit()
        result = self.phone_state("DELIVERED", "REFUSED", "UNDETERMINED", "DECLINED", "TIMED_OUT", "WITHDRAWN")[
            "result"
        ]
        return {
            "citizen": _digest(result["receipt"] if result else None),
            "unit": _digest(unit.receipt),
            "library": _digest(self._library_receipt(unit.library)),
        }

    def _library_receipt(self, library: str | None) -> str | None:
        if library is None:
            return None
        with reading(self.country.provinces[self.desk].office.inner) as conn:
            row = find_visit(conn, self.window, self.request_id)
        with reading(self.country.provinces[library].library.engine) as conn:
            query = select(spends.c.receipt).where(spends.c.request_digest == (row.request_digest if row else ""))
            return conn.execute(query).scalar_one_or_none()

    def hops(self) -> list[str]:
        """The letters that the exchange carried for this visit, in order: "32>31 ask"."""
        query = (
            select(letters.c.sender, letters.c.to, letters.c.topic)
            .where(letters.c.request_id == self.request_id)
            .order_by(letters.c.id)
        )
        with reading(self.country.channels.engine) as conn:
            return [f"{row.sender}>{row.to} {row.topic}" for row in conn.execute(query)]

    def _wait(self, there: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        signals = self.country.signals[self.persona.province]
        with signals.listen(f"showing:{self.phone.showing_id}") as ear:
            while True:
                if (found := there()) is not None:
                    return found
                if time.monotonic() > deadline:
                    raise TimeoutError(f"nothing came to the phone within {PATIENCE_S} s")
                ear.wait(0.5)


def text_digest(text: str) -> str:
    """The digest of a decoded text, for a report that must not hold the text."""
    return digest_of(text.encode())


def _digest(document: str | None) -> str | None:
    return None if document is None else signed_digest(document)


def pass_time(country: Country, seconds: float) -> None:
    """Put the clock ahead; vendors then need new tokens, which live ten minutes."""
    country.clock.advance(seconds)
    if seconds > timedelta(minutes=5).total_seconds():
        country.forget_tokens()

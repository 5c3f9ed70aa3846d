"""The kiosk as it is served, in the whole country: real desk, libraries and phones, and the simulated devices of its windows.

Everything comes from where `serve` takes it: the plan writes the list of windows with their devices, the settings read it, the
parts list puts the kiosk together. Only the line goes into the country's own process, and nothing moves unless `until` lets
it: the workers first, then one step of the kiosk's thread.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flask import Flask

from consent.approval import Decision
from consent.telling import new_log
from scanner_kiosk.app import create_app
from scanner_kiosk.card_route import Given
from scanner_kiosk.country.lines import WsgiLine
from scanner_kiosk.country.people import Persona, pair
from scanner_kiosk.country.plan import COUNTER, PORTS, draw_plan
from scanner_kiosk.country.units import window_for
from scanner_kiosk.kiosk import Kiosk
from scanner_kiosk.phone import Phone
from scanner_kiosk.province_client import Line
from scanner_kiosk.settings import read_settings
from tests.country import TICKS, Stage

STEPS = 60  # only ever used up by a failing test
SIGNATURE = [
    [[1000 + 400 * n, 2000 + (n % 3) * 300, 12 * n] for n in range(12)],
    [[6000, 1800, 200], [6100, 2900, 260]],
]


@contextmanager
def kiosk_app(
    stage: Stage,
    *,
    people: list[Mapping[str, Any]] | None = None,
    port: int = 8441,
    camera: str = "posted:",
    desk: Line | None = None,
    practice: bool = False,
) -> Iterator[tuple[Flask, io.StringIO]]:
    """The kiosk's page over the country of `stage`, and its log. `people` are more cards for the reader; `desk` is
    another way to the desks than the one inside this process."""
    plan = draw_plan(
        stage.country.founded, ports=range(20_000, 20_000 + PORTS), redis_url="", certificates=None, tuned={}
    )
    settings = read_settings(
        {
            **plan.service(COUNTER).environment,
            "HUZHENG_KIOSK_CAMERA": camera,
            "HUZHENG_KIOSK_PRACTICE": str(int(practice)),
            "HUZHENG_KIOSK_LISTEN": f"127.0.0.1:{port}",
        }
    )
    if people:
        listed = json.loads(Path(settings.personas).read_text(encoding="utf-8"))
        path = stage.folder / "personas-here.json"
        path.write_text(json.dumps([*listed, *people], ensure_ascii=False), encoding="utf-8")
        settings = replace(settings, personas=str(path))
    lines = io.StringIO()
    app = create_app(
        settings,
        clock=stage.clock,
        log=new_log("scanner_kiosk", stage.clock, stream=lines),
        line=lambda each: desk or WsgiLine(stage.country.verifiers[each.province]),
        start=False,
    )
    try:
        yield app, lines
    finally:
        app.extensions["kiosk"].stop()


@dataclass(slots=True, kw_only=True)
class Here:
    """One kiosk at a window in Jiangsu, driven step by step."""

    stage: Stage
    kiosk: Kiosk
    log: io.StringIO

    @property
    def state(self) -> str:
        """Where the counter stands."""
        return self.kiosk.counter().state

    @property
    def reason(self) -> Any:
        """Why it ended, if it did."""
        said = self.kiosk.counter().said
        return None if said is None else said.reason

    def until(self, reached: Callable[[], bool] | str) -> None:
        """Everybody works until that is so."""
        for _ in range(STEPS):
            self.stage.pump()
            if self.state == reached if isinstance(reached, str) else reached():
                return
            self.kiosk.step()
        raise AssertionError(f"still {self.state}: {self.reason}, {self.log.getvalue()[-600:]}")

    def begin(
        self, person: Persona | None, *, matter: str = "realestate.register", type_: str = "marriage", **more: Any
    ) -> None:
        """A case at the window for this matter."""
        self.kiosk.choose(province="32", window=window_for("32", matter))
        self.kiosk.choose(matter=matter, type_=type_)
        self.kiosk.start(
            case_number="2026-宁-1", id_number=None if person is None else person.id_number, preconditions=TICKS, **more
        )

    def read(self, person: Persona, **more: Any) -> dict[str, Any]:
        """Up to the sheet that somebody without a phone reads."""
        self.begin(person, **more)
        self.kiosk.card_route.no_phone()
        self.kiosk.card_route.lay(person.id)
        self.until("SIGNING")
        return self.sheet()

    def sheet(self) -> dict[str, Any]:
        """The sheet on the screen."""
        on_card = self.kiosk.counter().on_card
        assert on_card is not None
        assert on_card.sheet is not None
        return dict(on_card.sheet)

    def answer(self, decision: Decision = Decision.AGREE, **changes: Any) -> None:
        """What the page sends when somebody has answered."""
        sheet = self.sheet()
        given: dict[str, Any] = {
            "decision": decision,
            "method": "pad",
            "sheet": sheet["request"],
            "declarations": tuple(each["slug"] for each in sheet["declarations"]),
            "strokes": SIGNATURE,
        }
        self.kiosk.card_route.answer(Given(**{**given, **changes}))

    def hold_in(self, who: Persona) -> Phone:
        """A phone shows its code and the counter takes it, up to the two digits."""
        phone = self.stage.country.phone_of(who)
        phone.show()
        self.kiosk.typed(phone.code())
        self.until("CONFIRMING")
        self.stage.pump()
        return phone

    def agree(self, phone: Phone) -> None:
        """The citizen taps the counter's digits, picks the certificate, agrees."""
        view = self.kiosk.counter().view
        assert view is not None
        sheet = phone.sheet()
        type_ = sheet["sheet"]["type"]
        found = [each for each in sheet["holdings"]["certificates"] if each["type"] == type_]
        phone.answer(Decision.AGREE, sheet["sheet"], digits=view.digits, certificate=found[0]["certificate"])


__all__ = ["SIGNATURE", "Here", "kiosk_app", "pair"]

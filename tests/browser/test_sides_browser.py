"""Every way to a certificate, with phone and counter side by side, and what each side keeps of it.

    way                 the counter learns of the citizen     the citizen answers               receipts
    tap                 its camera reads the phone            on the phone, after the scan      three
    simple code         its camera reads the coarser code     as above                          three
    typed twin          twelve digits are typed               as above                          three
    counter-presented   the phone reads the counter's code    as above                          three
    express             its camera reads the phone            beforehand                        three
    two-party           two phones, one after the other       each on the own phone             three for each
    card route          an ID card on the reader              by signature on the turned screen three; the citizen's is in
                                                                                                the history on the phone
    withdrawal          its camera reads the phone            yes, and then no                  three, and no copy
    decline             its camera reads the phone            no                                two: no library was asked

The country is that of `serve`, with all its processes. `HUZHENG_PICTURES=1` also renews the screenshots that the documentation
keeps (docs/pictures).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from consent.code import PREFIX, SIMPLE_PREFIX
from consent.invitation import LENGTH
from scanner_kiosk.country.people import Persona, pair, personas
from tests.browser.chromium import ARGUMENTS, CHROMIUM, MARKS
from tests.browser.sides import (
    COUNTERS,
    DESK,
    Kept,
    agree,
    begin,
    clear,
    counter_of,
    fill_in,
    look_at,
    open_counter,
    open_phone,
    passed,
    phone_of,
    printed,
    put_away,
    qr_on,
    read_sheet,
    saved,
    saved_from_history,
    shot,
    show,
    sign_in,
    usable,
)
from tests.country import light_folder
from tests.counts import FULL
from tests.test_serve import Served, served, until

pytestmark = [
    pytest.mark.full,
    *MARKS,
    pytest.mark.timeout(280),
    pytest.mark.skipif(not FULL, reason="belongs to the full run"),
]

LOOKS = [("zh-CN", COUNTERS[0]), ("en", COUNTERS[1])]


@pytest.fixture(scope="module")
def country() -> Iterator[Served]:
    with light_folder() as folder, served(folder / "state") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The two screens' makers, and where the receipts of a test are put."""

    browser: Any
    country: Served
    folder: Path

    def phone(self, persona: Persona, lang: str = "zh-CN") -> Any:
        """A phone that shows its code."""
        return phone_of(self.browser, self.country, persona, lang)

    def watching(self, persona: Persona, **more: Any) -> Any:
        """A counter that has taken up this person's case, with its camera where the person's phone is held."""
        counter = open_counter(self.browser, self.country)
        look_at(counter, self.country, persona.province)
        begin(counter, persona, **more)
        return counter

    def counter(self, persona: Persona, lang: str = "zh-CN", **more: Any) -> Any:
        """A counter without a camera that has taken up this person's case."""
        return counter_of(self.browser, self.country, persona, lang, **more)

    def kept(self, persona: Persona, citizen: str, unit: str) -> Kept:
        """Everything that is kept of the visit with these two receipts."""
        return Kept(country=self.country, persona=persona, citizen=citizen, unit=unit, folder=self.folder)

    def ends_well(self, phone: Any, counter: Any, persona: Persona) -> None:
        """The certificate at the counter, three receipts that agree, and nobody there any more."""
        passed(phone, counter, persona)
        (unit,) = printed(counter)
        self.kept(persona, saved(phone), unit).passed()
        clear(counter)


@pytest.fixture
def sides(browser: Any, country: Served, tmp_path: Path) -> Iterator[Sides]:
    yield Sides(browser=browser, country=country, folder=tmp_path)
    put_away(browser)


# --- one phone, one counter -----------------------------------------------------------------------


@pytest.mark.parametrize(("lang", "size"), LOOKS)
def test_tap(sides: Sides, lang: str, size: tuple[int, int]) -> None:
    """The usual way, with every page looked at, the history and an objection at the end."""
    persona, mark = pair("31", "33"), f"{lang}-{size[0]}"
    phone = open_phone(sides.browser, sides.country, persona, lang)
    counter = open_counter(sides.browser, sides.country, lang, size)
    usable(phone)
    shot(phone, f"phone-choose-{lang}")
    usable(counter)
    shot(counter, f"counter-case-{mark}")

    sign_in(phone, persona)
    usable(phone)
    shot(phone, f"phone-certificates-{lang}")
    show(phone)
    (first,) = until(lambda: qr_on(phone) or None)
    assert first.startswith(PREFIX)
    usable(phone)
    shot(phone, f"phone-show-{lang}")
    # It renews on the server's time, at most thirty seconds later.
    until(lambda: ((found := qr_on(phone)) and found != [first]) or None, within_s=50)

    look_at(counter, sides.country, persona.province)
    begin(counter, persona)
    digits = read_sheet(phone, counter)
    usable(counter)
    shot(counter, f"counter-digits-{mark}")
    usable(phone)
    shot(phone, f"phone-sheet-{lang}")
    fill_in(phone, digits)
    phone.locator("#agree").scroll_into_view_if_needed()
    shot(phone, f"phone-sheet-end-{lang}")
    phone.click("#agree")

    passed(phone, counter, persona)
    assert "J330106-2021-000003" in counter.inner_text("#copy-fields")
    usable(counter)
    shot(counter, f"counter-passed-{mark}")
    usable(phone)
    shot(phone, f"phone-result-{lang}")
    (unit,) = printed(counter)
    citizen = saved(phone)
    sides.kept(persona, citizen, unit).passed()
    clear(counter)

    assert saved_from_history(phone) == citizen
    usable(phone)
    shot(phone, f"phone-entry-{lang}")
    phone.go_back()
    phone.wait_for_selector(".entry")
    usable(phone)
    shot(phone, f"phone-history-{lang}")
    phone.go_forward()
    phone.click(".result a.button >> nth=0")
    phone.check("[value=DATA_WRONG]")
    usable(phone)
    shot(phone, f"phone-wrong-{lang}")
    phone.click("form button.button")
    phone.wait_for_selector(".outcome.pass")
    assert "31-000001" in phone.inner_text(".outcome") or "31-000002" in phone.inner_text(".outcome")


def test_simple_code(sides: Sides) -> None:
    persona = pair("32", "31")
    phone = sides.phone(persona)
    phone.click(".help summary")
    phone.click("#simple")
    phone.wait_for_selector(".code img:visible")
    (text,) = until(lambda: [each for each in qr_on(phone) if each.startswith(SIMPLE_PREFIX)] or None)
    assert text.startswith(f"{SIMPLE_PREFIX}32")
    usable(phone)
    shot(phone, "phone-simple-zh-CN")
    counter = sides.watching(persona)
    agree(phone, counter)
    sides.ends_well(phone, counter, persona)


def test_typed_twin(sides: Sides) -> None:
    persona = pair("33", "31")
    counter, phone = sides.counter(persona), sides.phone(persona)
    phone.click(".help summary")
    phone.click("#twin")
    phone.wait_for_selector(".twin:not(:empty)")
    phone.locator(".twin").scroll_into_view_if_needed()
    shot(phone, "phone-digits-zh-CN")
    counter.keyboard.type(phone.inner_text(".twin"))
    counter.keyboard.press("Enter")
    agree(phone, counter)
    sides.ends_well(phone, counter, persona)


@pytest.mark.parametrize(("lang", "size"), LOOKS)
def test_counter_presented(sides: Sides, lang: str, size: tuple[int, int]) -> None:
    """The first phone has the counter; a second one that reads the same code is told so."""
    persona, late = pair("34", "33"), pair("33", "34")
    counter, phone = sides.counter(persona, lang, size=size), sides.phone(persona, lang)
    shot(counter, f"counter-waiting-{lang}-{size[0]}")
    counter.keyboard.press("F4")
    counter.wait_for_selector("#own-code-picture:visible")
    (text,) = until(lambda: qr_on(counter) or None)
    assert len(text) <= LENGTH
    usable(counter)
    shot(counter, f"counter-code-{lang}-{size[0]}")
    phone.click("#scan")
    phone.wait_for_selector("#counter-text")
    usable(phone)
    shot(phone, f"phone-scan-{lang}")
    read_off(phone, "https://example.org/")
    assert phone.inner_text(".paste .error") in ("这不是窗口的码。", "That is not a counter's code.")
    read_off(phone, text)
    counter.wait_for_selector("#digits-box:visible")
    if lang == "zh-CN":
        other = sides.phone(late)
        other.click("#scan")
        read_off(other, text)
        other.wait_for_selector(".paste .error:not(:empty)")
        assert other.inner_text(".paste .error") == "另一部手机先扫了这个码。请扫窗口的下一个码。"
    agree(phone, counter)
    sides.ends_well(phone, counter, persona)


def read_off(phone: Any, text: str) -> None:
    """The counter's code, as a phone without a camera takes it."""
    phone.fill("#counter-text", text)
    phone.click(".paste button")


def test_express(sides: Sides) -> None:
    """Read and signed before the counter is reached; there, nobody taps anything."""
    persona = pair("31", "31")
    phone = sides.phone(persona)
    phone.click("#beforehand")
    phone.click(".option >> nth=1")  # Jiangsu
    phone.locator(".option", has_text="不动产").click()
    phone.locator(".option", has_text="结婚证").click()
    phone.wait_for_selector("[name=certificate]")
    phone.locator("[name=certificate]").first.check()
    phone.check("[name=declaration]")
    phone.click("#agree")
    phone.wait_for_selector("#stands")
    phone.wait_for_selector(".code img:visible")
    counter = sides.watching(persona)
    sides.ends_well(phone, counter, persona)


# --- two people, and nobody's phone ---------------------------------------------------------------


def test_two_party(sides: Sides) -> None:
    """Neither certificate is shown before both have agreed, and each of the two has three receipts."""
    two = pair("31", "33"), next(each for each in personas() if each.id == "zhao-lei")
    first = sides.phone(two[0])
    counter = sides.watching(two[0], matter="divorce.apply", card=True, partner=two[1])
    agree(first, counter)
    counter.wait_for_selector("#ways:visible")
    first.wait_for_selector("#withdraw")
    assert counter.locator("#copies section").count() == 0
    second = sides.phone(two[1])
    agree(second, counter)
    counter.wait_for_selector("#banner[data-tone=pass]")
    assert counter.locator("#copies section").count() == 2
    units = printed(counter)
    for persona, phone, unit in zip(two, (first, second), units, strict=True):
        phone.wait_for_selector(".outcome.pass")
        sides.kept(persona, saved(phone), unit).passed()
    assert len(set(units)) == 2
    clear(counter)


def test_card_route(sides: Sides) -> None:
    """The citizen comes without a phone, signs on the turned screen, and finds the receipt at home."""
    persona = pair("34", "32")
    counter = sides.counter(persona, card=True)
    counter.keyboard.press("F8")
    counter.click("#lay")
    counter.wait_for_selector("#sheet[open]")
    counter.check("[name=declaration]")
    counter.click("#pad-simulate")
    counter.click("#sheet-agree")
    counter.wait_for_selector("#banner[data-tone=pass]")
    (unit,) = printed(counter)
    clear(counter)
    phone = open_phone(sides.browser, sides.country, persona)
    sign_in(phone, persona)
    sides.kept(persona, saved_from_history(phone), unit).passed()


# --- without a certificate ------------------------------------------------------------------------


def test_decline(sides: Sides) -> None:
    persona = pair("32", "33")
    phone, counter = sides.phone(persona), sides.watching(persona)
    read_sheet(phone, counter)
    phone.click("#decline")
    counter.wait_for_selector("#banner[data-tone=refuse]")
    assert counter.inner_text("#sentence") == "未获授权"
    phone.wait_for_selector(".outcome.own")
    (unit,) = printed(counter)
    sides.kept(persona, saved(phone), unit).declined()
    clear(counter)


def test_withdrawal(sides: Sides) -> None:
    """Agreed, and taken back while the desk has not yet fetched: its worker stands still meanwhile, as in a slow minute."""
    persona = pair("34", "34")
    phone, counter = sides.phone(persona), sides.watching(persona)
    digits = read_sheet(phone, counter)
    with paused(sides.country.told["processes"][f"{DESK}-work"]):
        fill_in(phone, digits)
        phone.click("#agree")
        phone.click("#withdraw")
        phone.wait_for_selector(".outcome.own")
    counter.wait_for_selector("#banner[data-tone=refuse]")
    assert counter.locator("#copy-fields dd").count() == 0
    (unit,) = printed(counter)
    sides.kept(persona, saved(phone), unit).withdrawn()
    clear(counter)


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """A process that does nothing for a while, and then goes on."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_code_of_somebody_else_is_refused_in_large_type(sides: Sides) -> None:
    persona, other = pair("31", "32"), pair("34", "34")
    phone = phone_of(sides.browser, sides.country, persona, size="big")
    usable(phone)
    shot(phone, "phone-show-large")
    counter = open_counter(sides.browser, sides.country)
    look_at(counter, sides.country, persona.province)
    begin(counter, other)
    counter.wait_for_selector("#banner[data-tone=refuse]")
    usable(counter)
    shot(counter, "counter-refused-zh-CN-1280")

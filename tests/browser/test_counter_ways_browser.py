"""The counter's two longer ways, as people use them: a citizen without a phone reads and signs on the turned screen, and two
people come together. The page, the kiosk and the whole country behind it are those of `serve`, in one process.

`HUZHENG_PICTURES=1` also renews the screenshots that the documentation keeps (docs/pictures).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from werkzeug.serving import make_server

from consent.approval import Decision
from consent.errors import Refusal
from scanner_kiosk.country.people import Persona, pair
from scanner_kiosk.country.units import window_for
from scanner_kiosk.kiosk import Kiosk
from scanner_kiosk.phone import Phone
from scanner_kiosk.screen import words
from tests.browser import test_counter_browser as counter_browser
from tests.browser.chromium import MARKS
from tests.browser.sides import shot
from tests.browser.test_counter_browser import OVERFLOW, SIZES, SOON, Quiet, Screen
from tests.country import Stage
from tests.kiosk_stage import kiosk_app
from tests.test_couples import spouse_of

playwright, browser = counter_browser.playwright, counter_browser.browser  # fixtures

pytestmark = MARKS

MARRIED, DIVORCED = pair("31", "33"), pair("31", "32")
NO_PHONE = "sim:http://127.0.0.1:9/phone/current.png"  # the simulated camera, and nobody who holds a phone in
LOOKS = [("zh-CN", SIZES[0]), ("en", SIZES[1])]
# The sheet and what stands on it; the words may be scrolled in a language that needs more room, the answer may not.
SHEET_OVERFLOW = OVERFLOW.replace("'body, ", "'.sheet-page, .sheet-answer, .sheet-words, .copies section, .two, body, ")


@dataclass(slots=True, kw_only=True)
class Served:
    """The page's address, the kiosk behind it and the country behind that."""

    stage: Stage
    kiosk: Kiosk
    address: str
    two: tuple[Persona, Persona]

    def phone(self, who: Persona) -> Phone:
        """A phone that shows its code, and the counter takes it."""
        phone = self.stage.country.phone_of(who)
        phone.show()
        self.kiosk.typed(phone.code())
        return phone


@pytest.fixture
def served(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Served]:
    practice = getattr(request, "param", False)
    two = MARRIED, spouse_of(stage, MARRIED, province="34", library="31")
    cards = [
        {
            "id": "spouse",
            "province": "34",
            "name": two[1].name,
            "id_number": two[1].id_number,
            "note_zh": "对方",
            "note_en": "other party",
        }
    ]
    holder: list[Any] = []
    http = make_server("127.0.0.1", 0, lambda e, s: holder[0](e, s), threaded=True, request_handler=Quiet)
    ended = Event()

    def work() -> None:
        while not ended.wait(0.05):
            stage.pump()

    with kiosk_app(stage, people=cards, port=http.server_port, camera=NO_PHONE, practice=practice) as (app, _):
        holder.append(app)
        kiosk: Kiosk = app.extensions["kiosk"]
        threads = [Thread(target=each, daemon=True) for each in (http.serve_forever, kiosk.run, work)]
        for thread in threads:
            thread.start()
        yield Served(stage=stage, kiosk=kiosk, address=f"http://127.0.0.1:{http.server_port}/counter/", two=two)
        kiosk.stop()
        http.shutdown()
        ended.set()
        for thread in threads:
            thread.join(SOON)
        http.server_close()


def begin(screen: Screen, matter: str, who: Persona, *, type_: str = "marriage", partner: str | None = None) -> None:
    """A case of this person at Jiangsu's window for this matter."""
    page = screen.page
    window = window_for("32", matter)
    page.click("#place summary")
    page.select_option("#province", "32")
    screen.until(lambda: page.locator(f"#window option[value='{window}']").count() > 0)
    page.select_option("#window", window)
    screen.until(lambda: page.locator(f"#matter option[value='{matter}']").count() > 0)
    if page.locator("#place[open]").count():
        page.click("#place summary")
    page.select_option("#matter", matter)
    if page.is_enabled("#type"):
        page.select_option("#type", type_)
    page.fill("#case-number", "2026-宁-000319")
    page.select_option("#card", who.id)
    if partner is not None:
        page.check("#two")
        page.select_option("#partner-card", partner)
    for box in page.locator("#ticks input").all():
        box.check()


def fits(screen: Screen) -> None:
    assert screen.page.evaluate(SHEET_OVERFLOW) == []


def to_the_sheet(screen: Screen, matter: str, who: Persona, *, type_: str = "marriage") -> None:
    page = screen.page
    begin(screen, matter, who, type_=type_)
    page.click("#start")
    screen.until(lambda: page.is_visible("#no-phone"))
    page.keyboard.press("F8")
    screen.until(lambda: page.is_visible("#reading"))
    assert page.evaluate("document.activeElement.id") == "laid"
    assert page.input_value("#laid") == who.id


def sign(page: Any) -> None:
    """With the mouse, as with a finger."""
    box = page.locator("#pad").bounding_box()
    left, top, wide, high = (box[name] for name in ("x", "y", "width", "height"))
    for stroke in range(3):
        page.mouse.move(left + wide * (0.2 + stroke * 0.2), top + high * 0.3)
        page.mouse.down()
        for n in range(1, 7):
            page.mouse.move(left + wide * (0.2 + stroke * 0.2 + n * 0.02), top + high * (0.3 + 0.08 * (n % 4)))
        page.mouse.up()


@pytest.mark.full
@pytest.mark.parametrize(("lang", "size"), LOOKS)
def test_a_citizen_without_a_phone_reads_declares_and_signs(
    browser: Any, served: Served, lang: str, size: tuple[int, int]
) -> None:
    mark = f"{lang}-{size[0]}"
    with Screen(browser, served, lang=lang, size=size) as screen:  # type: ignore[arg-type]
        page = screen.page
        to_the_sheet(screen, "realestate.register", MARRIED)
        fits(screen)
        screen.usable()
        shot(page, f"counter-card-{mark}")
        page.click("#lay")
        screen.until(lambda: page.is_visible("#sheet"))
        fits(screen)
        screen.usable()
        assert not page.is_checked("[name=declaration]")
        assert not page.is_visible("#sheet-face")
        agree, decline = (page.locator(f"#sheet-{name}").bounding_box() for name in ("agree", "decline"))
        assert (agree["width"], agree["height"]) == (decline["width"], decline["height"])
        page.click("#sheet-agree")
        assert page.is_visible("#sheet-fault")  # the declaration
        page.check("[name=declaration]")
        page.click("#sheet-agree")
        assert page.is_visible("#sheet-fault")  # the signature
        fits(screen)
        sign(page)
        fits(screen)
        screen.usable()
        shot(page, f"counter-sheet-{mark}")
        page.click("#sheet-agree")
        screen.tone("pass")
        fits(screen)
        screen.usable()
        shot(page, f"counter-card-passed-{mark}")
        with page.expect_download() as download:
            page.click("#evidence")
        found = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
        assert len(json.loads(found["raw"])["strokes"]) == 3
        page.evaluate(
            "() => { window.print = () => { window.printed = document.getElementById('paper').textContent; }; }"
        )
        page.keyboard.press("p")
        screen.until(lambda: page.evaluate("window.printed || ''") != "")
        page.emulate_media(media="print")
        assert page.is_visible("#paper section")
        assert not page.is_visible(".panes")
        shot(page, f"counter-receipt-{mark}")
        paper = page.inner_text("#paper")
        assert "2026-宁-000319" in paper
        assert page.inner_text("#word") in paper  # passed
        assert "J330106" not in paper  # which fields were read, and not what they say
        assert page.locator("#paper img").count() == 1
        page.emulate_media(media="screen")
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.locator("#paper section").count() == 0
        page.keyboard.press("Escape")
        screen.until(lambda: page.is_visible("#case-form"))
        assert "J330106" not in page.content()
        assert MARRIED.id_number not in page.content()
        assert screen.faults == []


@pytest.mark.full
@pytest.mark.parametrize("served", [True], indirect=True)
def test_practice_is_written_over_the_sheet_that_is_signed_and_over_the_paper(browser: Any, served: Served) -> None:
    with Screen(browser, served) as screen:  # type: ignore[arg-type]
        page = screen.page
        to_the_sheet(screen, "realestate.register", MARRIED)
        page.click("#lay")
        screen.until(lambda: page.is_visible("#sheet .practice"))
        mark = page.locator("#sheet .practice").bounding_box()
        assert mark["width"] >= SIZES[0][0] * 0.9
        assert page.evaluate("getComputedStyle(document.querySelector('#sheet .practice')).pointerEvents") == "none"
        page.check("[name=declaration]")
        page.click("#pad-simulate")
        page.click("#sheet-agree")
        screen.tone("pass")
        page.evaluate("() => { window.print = () => { window.printed = true; }; }")
        page.keyboard.press("p")
        screen.until(lambda: page.evaluate("window.printed === true"))
        page.emulate_media(media="print")
        assert page.is_visible("#paper section .practice")
        size = page.evaluate("getComputedStyle(document.querySelector('#paper .practice')).fontSize")
        assert float(size.removesuffix("px")) > 100


@pytest.mark.full
def test_the_whole_way_without_a_phone_goes_by_keyboard(browser: Any, served: Served) -> None:
    """A face match, chosen by the citizen; then another visit that is declined."""
    with Screen(browser, served, lang="en") as screen:  # type: ignore[arg-type]
        page = screen.page
        to_the_sheet(screen, "realestate.register", MARRIED)
        page.keyboard.press("Tab")  # the card lies there already
        assert page.evaluate("document.activeElement.id") == "lay"
        page.keyboard.press("Enter")
        screen.until(lambda: page.is_visible("#sheet"))
        assert page.evaluate("document.activeElement.id") == "sheet-title"
        tab_to(page, "[name=declaration]")
        page.keyboard.press("Space")
        tab_to(page, "#to-face")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "face-standing"
        assert page.input_value("#face-standing") == ""
        fits(screen)
        screen.usable()
        page.select_option("#face-standing", "zhang-wei")
        tab_to(page, "#sheet-agree")
        page.keyboard.press("Enter")
        screen.until(lambda: page.is_visible("#sheet-fault"))
        assert served.kiosk.counter().state == "SIGNING"
        page.select_option("#face-standing", MARRIED.id)
        page.focus("#sheet-agree")
        page.keyboard.press("Enter")
        screen.tone("pass")
        page.keyboard.press("Escape")
        screen.until(lambda: page.is_visible("#case-form"))


@pytest.mark.full
def test_to_decline_takes_one_press_and_escape_clears_the_sheet(browser: Any, served: Served) -> None:
    with Screen(browser, served) as screen:  # type: ignore[arg-type]
        page = screen.page
        to_the_sheet(screen, "realestate.register", MARRIED)
        page.click("#lay")
        screen.until(lambda: page.is_visible("#sheet"))
        page.keyboard.press("Escape")
        screen.until(lambda: page.is_visible("#case-form"))
        assert not page.is_visible("#sheet")
        assert page.locator("#sheet-rows div").count() == 0
        to_the_sheet(screen, "realestate.register", DIVORCED, type_="divorce")
        page.click("#lay")
        screen.until(lambda: page.is_visible("#sheet"))
        tab_to(page, "#sheet-decline")
        page.keyboard.press("Enter")
        screen.tone("refuse")
        assert page.inner_text("#sentence") == "未获授权"


def tab_to(page: Any, selector: str) -> None:
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("(at) => document.activeElement.matches(at)", selector):
            return
    raise AssertionError(selector)


@pytest.mark.full
@pytest.mark.parametrize(("lang", "size"), LOOKS)
def test_a_sensitive_matter_ends_only_after_a_second_officers_staff_card(
    browser: Any, served: Served, lang: str, size: tuple[int, int]
) -> None:
    with Screen(browser, served, lang=lang, size=size) as screen:  # type: ignore[arg-type]
        page = screen.page
        begin(screen, "marriage.register", DIVORCED, type_="divorce")
        page.click("#start")
        screen.until(lambda: page.is_visible("#no-phone"))
        assert page.inner_text("#second-ahead") == words(lang)["no_phone.second"]  # before that way begins
        fits(screen)
        screen.usable()
        shot(page, f"counter-second-ahead-{lang}-{size[0]}")
        page.click("#no-phone")
        screen.until(lambda: page.is_visible("#reading"))
        assert page.is_visible("#second-ahead")
        fits(screen)
        page.click("#lay")
        screen.until(lambda: page.is_visible("#sheet"))
        assert not page.is_visible("#second-ahead")
        fits(screen)
        page.click("#pad-simulate")
        page.click("#sheet-agree")
        screen.until(lambda: page.is_visible("#attesting"))
        assert not page.is_visible("#sheet")
        assert page.input_value("#officer") == ""
        fits(screen)
        screen.usable()
        shot(page, f"counter-second-officer-{lang}-{size[0]}")
        page.click("#attest")
        assert page.is_visible("#fault-visit")
        page.select_option("#officer", "32-M-02")
        page.click("#attest")
        screen.tone("pass")
        fits(screen)
        assert screen.faults == []


@pytest.mark.full
@pytest.mark.parametrize(("lang", "size"), LOOKS)
def test_two_people_are_served_one_after_the_other_and_shown_together(
    browser: Any, served: Served, lang: str, size: tuple[int, int]
) -> None:
    mark = f"{lang}-{size[0]}"
    with Screen(browser, served, lang=lang, size=size) as screen:  # type: ignore[arg-type]
        page, (one, two) = screen.page, served.two
        begin(screen, "divorce.apply", one, partner="spouse")
        fits(screen)
        screen.usable()
        shot(page, f"counter-two-case-{mark}")
        page.click("#start")
        screen.until(lambda: page.is_visible("#two-people"))
        assert not page.is_visible("#no-phone")
        assert not page.is_visible("#invite")
        first = served.phone(one)
        screen.until(lambda: page.is_visible("#digits-box"))
        fits(screen)
        agree(first, screen)
        screen.until(lambda: page.is_visible("#ways") and page.locator("#two-people li.now").count() == 1)
        assert page.inner_text("#two-people li.now b").endswith(two.id_number[-4:])
        fits(screen)
        screen.usable()
        shot(page, f"counter-two-second-{mark}")
        second = served.phone(two)
        screen.until(lambda: page.is_visible("#digits-box"))
        fits(screen)
        shot(page, f"counter-two-digits-{mark}")
        agree(second, screen)
        screen.tone("pass")
        screen.until(lambda: page.locator("#copies section").count() == 2)
        fits(screen)
        screen.usable()
        shot(page, f"counter-two-passed-{mark}")
        page.evaluate("() => { window.print = () => { window.printed = true; }; }")
        page.click("#print")
        screen.until(lambda: page.evaluate("window.printed === true"))
        assert page.locator("#paper section").count() == 2
        page.keyboard.press("Escape")
        screen.until(lambda: page.is_visible("#case-form"))
        assert page.locator("#copies section").count() == page.locator("#paper section").count() == 0
        for who in served.two:
            assert who.id_number not in page.content()
        assert screen.faults == []


def read(phone: Phone, screen: Screen) -> dict[str, Any]:
    """The sheet, once it is on the phone and every library has said what it holds."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        try:
            found.append(phone.sheet())
        except Refusal:
            return False
        return found[-1]["holdings"] is not None

    screen.until(there)
    return found[-1]


def agree(phone: Phone, screen: Screen) -> None:
    """The citizen taps the digits of the counter's screen."""
    sheet, page = read(phone, screen), screen.page
    found = [each for each in sheet["holdings"]["certificates"] if each["type"] == "marriage"]
    digits = page.inner_text("#digits").strip()
    phone.answer(Decision.AGREE, sheet["sheet"], digits=digits, certificate=found[0]["certificate"])


@pytest.mark.full
def test_the_form_for_two_people_fits_the_smaller_screen_in_english(browser: Any, served: Served) -> None:
    with Screen(browser, served, lang="en") as screen:  # type: ignore[arg-type]
        page = screen.page
        begin(screen, "divorce.apply", MARRIED)
        page.check("#two")
        fits(screen)
        ticks = page.locator("#ticks").bounding_box()
        assert ticks["y"] + ticks["height"] <= page.locator("#start").bounding_box()["y"]
        page.click("#start")
        screen.until(lambda: page.inner_text("#fault") == "Fill in the second person's ID number")
        fits(screen)
        page.uncheck("#two")
        assert not page.is_visible("#partner-row")


@pytest.mark.full
def test_when_one_declines_the_page_says_how_each_stands_and_shows_neither(browser: Any, served: Served) -> None:
    with Screen(browser, served) as screen:  # type: ignore[arg-type]
        page, (one, two) = screen.page, served.two
        begin(screen, "divorce.apply", one, partner="spouse")
        page.click("#start")
        screen.until(lambda: page.is_visible("#two-people"))
        first = served.phone(one)
        screen.until(lambda: page.is_visible("#digits-box"))
        agree(first, screen)
        screen.until(lambda: page.is_visible("#ways"))
        second = served.phone(two)
        screen.until(lambda: page.is_visible("#digits-box"))
        second.answer(Decision.DECLINE, read(second, screen)["sheet"])
        screen.tone("refuse")
        rows = page.locator("#two-people li").all_inner_texts()
        assert "两份证照均不显示" in rows[0]
        assert "未获授权" in rows[1]
        assert page.locator("#copies section").count() == 0
        fits(screen)
        screen.usable()
        shot(page, "counter-two-declined-zh-CN-1280")
        page.click("#again")
        screen.until(lambda: page.locator("#two-people li.now").count() == 1)
        assert "1" in page.inner_text("#two-people li.now")

"""How many touches the counter's three everyday tasks take, counted in the page itself and not by the test.

What counts. A listener on the document sees every trusted press of a finger, a mouse or a key before anything else does.
What is written into one field, a number or a signature, counts as one touch however many keys or strokes it has, and so does
going into that field first. Everything that a person does after the case is filled in is counted, the start too, and on the
turned screen also what the citizen does.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from scanner_kiosk.screen import words
from tests.browser import test_counter_browser as counter_browser
from tests.browser import test_counter_ways_browser as ways
from tests.browser.chromium import MARKS
from tests.browser.test_counter_browser import Screen
from tests.counter_rig import png

playwright, browser = counter_browser.playwright, counter_browser.browser  # fixtures
desk, country = counter_browser.served, ways.served  # fixtures: a rehearsed province, and all of them

pytestmark = MARKS

SCAN_TO_COPY: Final = 2
CARD_ROUTE: Final = 6
SHIFT_CHANGE: Final = 3

# Each touch is named by what was pressed; a field written into (a text field, the signature's pad) is named once.
COUNTER: Final = """() => {
  window.touches = [];
  const seen = (event) => {
    if (!event.isTrusted || event.repeat) return;
    const at = event.target.closest("[id], [name]");
    const name = at ? at.id || at.name : event.target.tagName;
    const field = event.target.matches("input:not([type=checkbox]):not([type=radio]), #pad");
    const written = field && (event.type === "pointerdown" || event.key.length === 1);
    const touch = written ? `write ${name}` : `${event.key || "press"} ${name}`;
    if (!(written && window.touches.at(-1) === touch)) window.touches.push(touch);
  };
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, seen, true);
}"""


def count(page: Any) -> None:
    page.evaluate(COUNTER)


def touches(page: Any) -> list[str]:
    found: list[str] = page.evaluate("window.touches")
    return found


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_from_the_scan_to_the_copy(browser: Any, desk: counter_browser.Served, lang: str) -> None:
    with Screen(browser, desk, lang=lang) as screen:
        page = screen.page
        page.fill("#case-number", "2026-浦-000317")
        page.select_option("#card", "wang")
        page.check("#ticks input")
        count(page)
        page.click("#start")
        screen.until(lambda: page.is_visible("#visit"))
        desk.picture = png(desk.rig.code())
        screen.until(lambda: page.is_visible("#digits-box"))
        desk.rig.desk.move("PASSED")
        screen.tone("pass")
        assert "J330106-2021-000003" in page.inner_text("#copy-fields")
        assert page.inner_text("#word") == words(lang)["state.PASSED"]
        found = touches(page)
        assert found[0] == "press start"
        assert len(found) <= SCAN_TO_COPY, found
        assert screen.faults == []


def test_the_way_without_a_phone(browser: Any, country: ways.Served) -> None:
    with Screen(browser, country) as screen:  # type: ignore[arg-type]
        page = screen.page
        ways.begin(screen, "realestate.register", ways.MARRIED)
        count(page)
        page.click("#start")
        screen.until(lambda: page.is_visible("#no-phone"))
        page.keyboard.press("F8")
        screen.until(lambda: page.is_visible("#reading"))
        page.click("#lay")
        screen.until(lambda: page.is_visible("#sheet"))
        page.check("[name=declaration]")
        ways.sign(page)
        page.click("#sheet-agree")
        screen.tone("pass")
        found = touches(page)
        assert {"press start", "press lay", "write pad", "press sheet-agree"} <= set(found)
        assert len(found) <= CARD_ROUTE, found
        assert screen.faults == []


def test_a_change_of_shift(browser: Any, desk: counter_browser.Served) -> None:
    """Between two visits; ending one that is still open is a touch of its own."""
    with Screen(browser, desk) as screen:
        page = screen.page
        count(page)
        page.click("#duty")
        screen.until(lambda: page.is_visible("#shift-form"))
        page.keyboard.type("sh0317")
        page.click("#shift-take")
        screen.until(lambda: not page.is_visible("#shift"))
        assert "SH0317" in page.inner_text("#duty-name")
        found = touches(page)
        assert "write shift-number" in found
        assert len(found) <= SHIFT_CHANGE, found
        assert screen.faults == []

"""The page while the desk is silent and after: the bar, what is said of a code, and the list that is taken away."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from consent.errors import Outcome, Reason
from scanner_kiosk.offline import Check
from scanner_kiosk.screen import words
from scanner_kiosk.visit import say
from tests.browser import test_counter_browser as counter_browser
from tests.browser.chromium import MARKS
from tests.browser.test_counter_browser import SIZES, Screen, Served

playwright, browser, served = counter_browser.playwright, counter_browser.browser, counter_browser.served  # fixtures

pytestmark = MARKS


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
@pytest.mark.parametrize("size", SIZES)
def test_a_silent_desk_is_said_a_code_is_never_a_pass_and_the_list_is_taken_away(
    browser: Any,
    served: Served,
    lang: str,
    size: tuple[int, int],
) -> None:
    said = words(lang)
    with Screen(browser, served, lang=lang, size=size) as screen:
        page = screen.page
        screen.start()
        screen.until(lambda: page.is_visible("#ways"))
        assert not page.is_visible("#offline")
        place = page.locator("#banner").bounding_box()
        served.rig.lines["31"].silent = 1_000_000
        page.keyboard.type(served.rig.code())
        page.keyboard.press("Enter")
        screen.tone("check")
        assert page.inner_text("#word") == said["offline.genuine"]
        assert said["offline.genuine.text"] in page.inner_text("#sentence")
        assert page.is_visible("#offline")
        assert not page.is_visible("#attempts-away")
        assert not page.is_visible("#copy")
        assert page.locator("#banner").bounding_box() == place
        screen.fits()
        screen.usable()
        page.keyboard.press("Escape")
        screen.until(lambda: page.is_visible("#case-form"))
        served.rig.lines["31"].silent = 0
        screen.until(lambda: page.is_visible("#attempts-away"))
        assert page.inner_text("#offline-text") == said["offline.back"].replace("{n}", "1")
        page.click("#attempts summary")
        assert said["offline.was.genuine"] in page.inner_text("#attempts-list")
        screen.fits()
        screen.usable()
        page.click("#attempts-away")
        screen.until(lambda: not page.is_visible("#offline"))
        assert screen.faults == []


def says(screen: Screen, *texts: str) -> bool:
    """Whether the banner says all of it."""
    sentence = screen.page.inner_text("#sentence")
    return all(text in sentence for text in texts)


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_whatever_is_said_without_the_desk_fits_the_banner(browser: Any, served: Served, lang: str) -> None:
    kiosk = served.kiosk
    cases = (
        (Check.GENUINE, Reason.OFFLINE),
        (Check.UNTOLD, Reason.OFFLINE),
        (Check.KEYS_OLD, Reason.KEY_LIST_STALE),
        (Check.REFUSED, Reason.CODE_EXPIRED),
        (Check.REFUSED, Reason.CODE_NOT_YET_VALID),
        (Check.REFUSED, Reason.CODE_UNKNOWN_KEY),
        (Check.REFUSED, Reason.CODE_BAD_SIGNATURE),
        (Check.REFUSED, Reason.CODE_MALFORMED),
    )
    with Screen(browser, served, lang=lang) as screen:
        screen.start()
        empty = kiosk.counter()
        for n, (check, reason) in enumerate(cases):
            said = say(reason, {"n": 10})
            outcome = Outcome.REFUSED if check is Check.REFUSED else Outcome.UNDETERMINED
            ended = empty.failed(said, outcome, now=served.rig.clock.now(), check=check)
            with kiosk._changed:
                kiosk._put(replace(ended, version=ended.version + 2 * n))
            told = words(lang)[f"offline.{check}.text"]
            own = said.sentence_zh if lang == "zh-CN" else said.sentence_en
            shown = told if check is not Check.REFUSED else own
            screen.until(partial(says, screen, told, shown))
            screen.fits()

"""The two other ways to a showing, as people use them: the twelve digits that are typed, and the code that the counter shows.

The counter's page beside the documented desk of `counter_rig`, and the phone's beside an inner network that is the tester's
hand. Both side by side, with everything behind them, stand in test_sides_browser.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consent.clock import ShiftedClock
from consent.invitation import PREFIX
from consent.twin import new_twin, read_twin, spaced
from scanner_kiosk.screen import words
from tests import test_phone_codes as phone_codes
from tests.browser import test_counter_browser as counter_browser
from tests.browser.chromium import ARGUMENTS, BLIND, CHROMIUM, MARKS, OTHER_KINDS, UNMAKEABLE
from tests.browser.sides import PATIENCE_MS, PHONE, qr_on, usable
from tests.browser.test_counter_browser import SIZES, Screen, Served
from tests.phone_stage import Stage, certificate, holdings, serving
from tests.test_serve import until

playwright, browser, served = counter_browser.playwright, counter_browser.browser, counter_browser.served  # fixtures

pytestmark = MARKS


def mistyped(twin: str) -> str:
    """The same digits with two neighbours swapped."""
    at = next(n for n in range(1, 11) if twin[n] != twin[n + 1])
    return twin[:at] + twin[at + 1] + twin[at] + twin[at + 2 :]


# --- typed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
@pytest.mark.parametrize("size", SIZES)
def test_digits_are_grouped_judged_at_once_and_sent_by_enter(
    browser: Any,
    served: Served,
    lang: str,
    size: tuple[int, int],
) -> None:
    with Screen(browser, served, lang=lang, size=size) as screen:
        page, desk, twin = screen.page, served.rig.desk, new_twin("31")
        screen.start()
        screen.until(lambda: page.is_visible("#ways"))
        screen.fits()
        screen.usable()
        calls = len(desk.log)
        page.keyboard.type(mistyped(twin))  # nothing was clicked: what is typed goes to the field
        assert page.input_value("#typed") == spaced(mistyped(twin))
        assert page.inner_text("#typed-note") != ""
        assert page.get_attribute("#typed", "aria-invalid") == "true"
        screen.fits()
        screen.usable()
        page.keyboard.press("Enter")
        assert len(desk.log) == calls
        assert served.kiosk.counter().state == "WAITING"
        page.fill("#typed", "")
        assert page.inner_text("#typed-note") == ""
        page.keyboard.type(twin[:11])
        page.keyboard.press("Enter")
        assert "1" in page.inner_text("#typed-note")
        assert len(desk.log) == calls
        page.keyboard.type(twin)  # what was wrong is selected, and gone with the next key
        assert page.input_value("#typed") == spaced(twin)
        page.keyboard.press("Enter")
        screen.until(lambda: page.is_visible("#digits-box"))
        assert json.loads(desk.bodies[-1])["code"] == twin
        assert page.input_value("#typed") == ""
        assert screen.faults == []


def test_full_width_digits_blanks_and_dashes_are_taken(browser: Any, served: Served) -> None:
    twin = new_twin("33")
    wide = twin.translate({ord(str(n)): 0xFF10 + n for n in range(10)})
    with Screen(browser, served) as screen:
        page = screen.page
        screen.start()
        page.focus("#typed")
        page.keyboard.insert_text(f"{wide[:4]}　{wide[4:8]}-{wide[8:]}")
        assert page.input_value("#typed") == spaced(twin)
        page.keyboard.press("Enter")
        screen.until(lambda: page.is_visible("#digits-box"))
        assert json.loads(served.rig.desk.bodies[-1])["code"] == twin


def test_a_slip_in_the_middle_is_mended_where_it_is(browser: Any, served: Served) -> None:
    twin = new_twin("31")
    with Screen(browser, served) as screen:
        page = screen.page
        screen.start()
        page.keyboard.type(twin[:5] + twin[6:])
        for _ in range(7):  # behind the sixth digit: six digits and a blank from the end
            page.keyboard.press("ArrowLeft")
        page.keyboard.type(twin[5])
        assert page.input_value("#typed") == spaced(twin)
        assert page.inner_text("#typed-note") == ""


def test_a_desk_scanner_that_types_a_whole_code_is_a_scan(browser: Any, served: Served) -> None:
    with Screen(browser, served) as screen:
        page = screen.page
        screen.start()
        code = served.rig.code()
        page.keyboard.type(code)
        page.keyboard.press("Enter")
        screen.until(lambda: page.is_visible("#digits-box"))
        assert json.loads(served.rig.desk.bodies[-1])["code"] == code


def test_a_desk_scanner_with_swapped_capitals_is_told_so_and_asks_nobody(browser: Any, served: Served) -> None:
    with Screen(browser, served) as screen:
        page = screen.page
        screen.start()
        calls = len(served.rig.desk.log)
        page.keyboard.type(served.rig.code().swapcase())
        page.keyboard.press("Enter")
        assert page.inner_text("#typed-note") == "大小写颠倒了，请关闭大写锁定和输入法后再扫"
        assert page.input_value("#typed") == ""
        assert len(served.rig.desk.log) == calls
        assert served.kiosk.counter().state == "WAITING"
        page.keyboard.type("https://zwdt.example/q/9f2c")  # an app's own string is the desk's to judge
        page.keyboard.press("Enter")
        screen.until(lambda: page.is_visible("#digits-box"))
        assert json.loads(served.rig.desk.bodies[-1])["code"] == "https://zwdt.example/q/9f2c"


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_an_input_method_is_warned_of_at_once_and_nothing_it_made_is_sent(
    browser: Any, served: Served, lang: str
) -> None:
    with Screen(browser, served, lang=lang) as screen:
        page, told = screen.page, words(lang)["typed.ime"]
        screen.start()
        calls = len(served.rig.desk.log)
        keys = page.context.new_cdp_session(page)
        page.focus("#typed")
        keys.send("Input.imeSetComposition", {"text": "yi", "selectionStart": 2, "selectionEnd": 2})
        assert page.inner_text("#typed-note") == told  # while it still composes
        keys.send("Input.insertText", {"text": "YRD1"})
        page.keyboard.press("Enter")
        screen.until(lambda: page.input_value("#typed") == "")
        assert page.inner_text("#typed-note") == told
        page.keyboard.insert_text("ＹＲＤ１：ＡＢ")
        page.keyboard.press("Enter")
        screen.until(lambda: page.input_value("#typed") == "")
        assert page.inner_text("#typed-note") == told
        assert len(served.rig.desk.log) == calls
        code = served.rig.code()  # switched off
        page.keyboard.type(code)
        page.keyboard.press("Enter")
        screen.until(lambda: page.is_visible("#digits-box"))
        assert json.loads(served.rig.desk.bodies[-1])["code"] == code


def strike(page: Any, text: str, *, apart_ms: int, end: str = "Enter") -> None:
    """Real keys and the one at the end, each with the time at which it was pressed: how busy this machine is does not count."""
    keys, now = page.context.new_cdp_session(page), page.evaluate("Date.now()")
    for n, sign in enumerate([*text, *[end] * bool(end)]):
        enter = {"key": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}
        given = {
            **(enter if sign == "Enter" else {"key": sign, "text": sign}),
            "timestamp": (now + n * apart_ms) / 1000,
        }
        keys.send("Input.dispatchKeyEvent", {"type": "keyDown", **given})
        keys.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": given["key"], "timestamp": given["timestamp"]})


def test_a_scanner_that_types_into_the_form_leaves_nothing_there_and_fingers_do(browser: Any, served: Served) -> None:
    with Screen(browser, served) as screen:
        page = screen.page
        page.fill("#case-number", "2026-")
        page.focus("#case-number")
        strike(page, served.rig.code(), apart_ms=5)
        assert page.input_value("#case-number") == "2026-"
        screen.until(lambda: page.inner_text("#fault") == words("zh-CN")["typed.astray"])
        page.focus("#case-number")
        page.keyboard.press("End")
        strike(page, "YRD1", apart_ms=80, end="")  # by hand
        assert page.input_value("#case-number") == "2026-YRD1"
        assert served.kiosk.counter().state == "IDLE"
        assert screen.faults == []


def test_the_page_finds_the_same_slips_as_the_kiosk(browser: Any, served: Served) -> None:
    """Every single wrong digit and every swap of neighbours of one twin."""
    twin = new_twin("32")
    wrong = {twin[:n] + str(digit) + twin[n + 1 :] for n in range(12) for digit in range(10)} - {twin}
    wrong |= {twin[:n] + twin[n + 1] + twin[n] + twin[n + 2 :] for n in range(11)} - {twin}
    with Screen(browser, served) as screen:
        screen.start()
        passed = screen.page.evaluate(
            """(texts) => texts.filter((text) => {
              const field = document.getElementById("typed");
              field.value = text;
              field.dispatchEvent(new InputEvent("input"));
              return document.getElementById("typed-note").textContent === "";
            })""",
            [twin, *sorted(wrong)],
        )
        assert passed == [twin]


# --- the counter's own code -----------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
@pytest.mark.parametrize("size", SIZES)
def test_the_counters_code_is_large_readable_and_ends_in_the_digits(
    browser: Any,
    served: Served,
    lang: str,
    size: tuple[int, int],
) -> None:
    with Screen(browser, served, lang=lang, size=size) as screen:
        page, desk = screen.page, served.rig.desk
        screen.start()
        place = page.locator("#banner").bounding_box()
        page.keyboard.press("F4")
        screen.until(lambda: page.is_visible("#own-code-picture"))
        assert page.locator("#banner").bounding_box() == place
        screen.until(lambda: qr_on(page) == desk.codes[-1:])
        assert desk.codes[-1].startswith(PREFIX)
        assert page.inner_text("#invite-window") == "1号窗口"
        left = re.search(r"\d+", page.inner_text("#invite-left"))
        assert left is not None
        assert 30 < int(left[0]) <= 45
        screen.fits()
        screen.usable()
        # Four white modules around it, wherever the picture ends.
        modules, side = page.evaluate(
            """() => { const picture = document.getElementById("own-code-picture");
              return [picture.naturalWidth, Math.min(picture.clientWidth, picture.clientHeight)]; }"""
        )
        assert side > size[1] * 0.55
        assert modules > 0
        desk.come(list(desk.invited)[-1])
        screen.until(lambda: page.is_visible("#digits-box"))
        assert not page.is_visible("#own-code")
        assert page.locator("#own-code-picture").get_attribute("src") is None
        desk.move("PASSED")
        screen.tone("pass")
        assert screen.faults == []


def test_f4_leads_back_to_scanning_and_the_camera_is_read_again(browser: Any, served: Served) -> None:
    from tests.counter_rig import png

    with Screen(browser, served) as screen:
        page = screen.page
        screen.start()
        page.click("#invite")
        screen.until(lambda: page.is_visible("#own-code-picture"))
        page.keyboard.press("F4")
        screen.until(lambda: page.is_visible("#ways"))
        assert not page.is_visible("#own-code")
        served.picture = png(served.rig.code())
        screen.until(lambda: page.is_visible("#digits-box"))


def test_without_a_network_the_code_stays_until_it_is_over_and_the_page_says_why(
    browser: Any,
    served: Served,
) -> None:
    with Screen(browser, served) as screen:
        page = screen.page
        screen.start()
        served.rig.lines["31"].silent = 1_000_000
        page.keyboard.press("F4")
        screen.until(lambda: page.inner_text("#own-code-none") == "网络中断，恢复后自动出新码")
        screen.fits()
        screen.usable()
        served.rig.lines["31"].silent = 0
        screen.until(lambda: page.is_visible("#own-code-picture"))
        page.keyboard.press("Escape")
        screen.until(lambda: page.is_visible("#case-form"))


def test_the_sandbox_lets_the_text_be_copied(browser: Any, served: Served) -> None:
    with Screen(browser, served) as screen:
        page = screen.page
        screen.context.grant_permissions(["clipboard-read", "clipboard-write"])
        screen.start()
        page.keyboard.press("F4")
        screen.until(lambda: page.is_visible("#own-code-picture"))
        page.click("#copy-code")
        screen.until(lambda: page.inner_text("#copy-code") == "已复制")
        assert page.evaluate("navigator.clipboard.readText()") == served.rig.desk.codes[-1]


# --- the phone's page -----------------------------------------------------------------------------


@pytest.fixture
def phone_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Stage, str]]:
    """A phone whose inner network is the tester's hand."""
    stage = phone_codes.stage_with_desk(tmp_path, ShiftedClock(), monkeypatch)
    with serving(stage.app) as url:
        yield stage, url
    stage.engine.dispose()


def showing(browser: Any, url: str, *, script: str = "") -> Any:
    """A phone that shows its code."""
    context = browser.new_context(viewport=PHONE, locale="zh-CN")
    context.set_default_timeout(PATIENCE_MS)
    if script:
        context.add_init_script(script)
    page = context.new_page()
    page.goto(f"{url}/phone/")
    page.click("[data-persona=zhang-wei]")
    page.wait_for_url("**/phone/certificates")
    page.click("main a.button")
    page.wait_for_selector(".code img:visible")
    return page


def test_the_digits_on_the_phone_are_gone_after_a_minute(browser: Any, phone_stage: tuple[Stage, str]) -> None:
    _, url = phone_stage
    page = showing(browser, url)
    page.clock.install()
    page.click(".help summary")
    page.click("#twin")
    page.wait_for_selector(".twin:not(:empty)")
    first = page.inner_text(".twin")
    assert read_twin(first.replace(" ", "")) == "31"
    assert not page.is_visible("#twin")
    usable(page)
    page.clock.run_for(61_000)
    page.wait_for_selector("#twin:visible")
    assert page.locator(".twin").text_content() == ""
    page.click("#twin")
    page.wait_for_selector(".twin:not(:empty)")
    assert page.inner_text(".twin") != first
    page.context.close()


def test_a_browser_with_a_scanner_reads_the_counters_code(playwright: Any, phone_stage: tuple[Stage, str]) -> None:
    stage, url = phone_stage
    detector = """window.seen = "";
      window.BarcodeDetector = class { async detect() { return window.seen ? [{ rawValue: window.seen }] : []; } };
      const own = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      window.streams = [];
      navigator.mediaDevices.getUserMedia = async (wish) => {
        const got = await own(wish);
        window.streams.push(got);
        return got;
      };
    """
    fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *fake])
    page = showing(started, url, script=detector)
    page.click("#scan")
    page.wait_for_selector("video")
    until(lambda: page.evaluate("document.querySelector('video').readyState >= 2") or None)
    usable(page)
    page.evaluate("() => { window.seen = 'https://example.org/'; }")
    for reason, told in (("CODE_ALREADY_USED", "另一部手机先扫了"), ("CODE_EXPIRED", "已经过期"), (None, "")):
        text = phone_codes.invitation(stage)
        page.evaluate("(text) => { window.seen = text; }", text)
        until(lambda: [each for each in stage.errands_of("come") if each[2]["counter"] == text] or None)  # noqa: B023
        page.evaluate("() => { window.seen = ''; }")
        assert page.locator(".paste button").is_disabled()
        phone_codes.counter_says(stage, reason)
        if reason:
            page.wait_for_selector(".paste .error:not(:empty)")
            assert told in page.inner_text(".paste .error")
    showing_id = stage.newest().showing_id
    stage.ask(showing_id, found=holdings(certificate()))
    page.wait_for_selector(".sheet .choice")
    assert page.evaluate("window.streams.map((each) => each.getTracks()[0].readyState)") == ["ended"]
    started.close()


@pytest.mark.parametrize("script", ["delete window.BarcodeDetector;", OTHER_KINDS, UNMAKEABLE, BLIND])
def test_a_phone_whose_browser_reads_no_codes_says_so_and_takes_the_text(
    browser: Any, phone_stage: tuple[Stage, str], script: str
) -> None:
    _, url = phone_stage
    page = showing(browser, url, script=script)
    page.click("#scan")
    page.wait_for_selector("text=这个浏览器不能用摄像头扫码。")
    assert page.locator("video").count() == 0
    if script == BLIND:
        assert page.evaluate("window.camera.getTracks()[0].readyState") == "ended"
    usable(page)
    page.fill("#counter-text", "https://example.org/")
    page.click(".paste button")
    page.wait_for_selector("text=这不是窗口的码。")
    page.context.close()


def test_going_back_from_reading_shows_the_code_again_and_lets_go_of_the_camera(
    browser: Any, phone_stage: tuple[Stage, str]
) -> None:
    _, url = phone_stage
    page = showing(browser, url)  # a browser without a scanner: only the field is there
    page.click("#scan")
    page.wait_for_selector("#counter-text")
    assert page.locator("video").count() == 0
    assert page.evaluate("document.activeElement.tagName") == "H1"
    page.click("text=改为出示我的码")
    page.wait_for_selector(".code img:visible")
    assert page.evaluate("document.activeElement.id") == "scan"
    page.context.close()

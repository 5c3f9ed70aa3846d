"""The counter's page in a real browser: nothing scrolls, nothing is cut off, everybody can use it, and the words fit.

The desk is the documented one of `counter_rig`; the phone's picture goes through the simulated camera, or as a video file
through the browser's own camera.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from consent.clock import SystemClock
from consent.errors import Outcome, Reason, outcome_of
from consent.telling import new_log
from scanner_kiosk import app as parts
from scanner_kiosk import scene
from scanner_kiosk.camera import open_source
from scanner_kiosk.devices.desk_scanner import DeskScanner, named
from scanner_kiosk.kiosk import Kiosk
from scanner_kiosk.picture import read_picture
from scanner_kiosk.reports import Reports
from scanner_kiosk.visit import say
from tests.browser.chromium import ARGUMENTS, CHROMIUM, MARKS
from tests.counter_rig import PERSON, Rig, new_rig, png
from tests.test_desk_scanner import Plug

SIZES = ((1280, 800), (1920, 1080))
SOON = 30.0  # seconds; only ever used up by a failing test

pytestmark = MARKS

# Elements whose content is larger than they are; watermarks are meant to be cut.
OVERFLOW = """() => [...document.querySelectorAll(
  'body, .top, .bottom, .panes, .left, .under, .guidance, .banner, .stage, .case-form, .visit, .copy-status, .keys, '
  + 'dialog[open]'
)].filter((n) => n === document.body || n.getClientRects().length)
  .filter((n) => n.scrollHeight > n.clientHeight + 1 || n.scrollWidth > n.clientWidth + 1)
  .map((n) => `${n.tagName}.${n.className} ${n.scrollWidth}x${n.scrollHeight} in ${n.clientWidth}x${n.clientHeight}`)"""


class Quiet(WSGIRequestHandler):
    """No line for each request."""

    def log_request(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""


class Served:
    """A kiosk that runs and is served."""

    def __init__(self, rig: Rig, kiosk: Kiosk, address: str) -> None:
        self.rig, self.kiosk, self.address = rig, kiosk, address
        self.picture = b""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    rig = new_rig(tmp_path, SystemClock())
    pictures: dict[str, Served] = {}
    own = parts.open_camera

    def open_camera(name: str) -> Any:
        return open_source("sim:", picture=lambda: pictures["here"].picture) if name == "sim:" else own(name)

    monkeypatch.setattr(parts, "open_camera", open_camera)
    holder: list[Any] = []
    http = make_server("127.0.0.1", 0, lambda e, s: holder[0](e, s), threaded=True, request_handler=Quiet)
    settings = rig.settings(camera="sim:", listen=f"127.0.0.1:{http.server_port}")
    log = new_log("scanner_kiosk", rig.clock, stream=io.StringIO())
    app = parts.create_app(settings, clock=rig.clock, log=log, line=rig.line, start=False)
    holder.append(app)
    kiosk: Kiosk = app.extensions["kiosk"]
    here = pictures["here"] = Served(rig, kiosk, f"http://127.0.0.1:{http.server_port}/counter/")
    threads = [Thread(target=http.serve_forever, daemon=True), Thread(target=kiosk.run, daemon=True)]
    for thread in threads:
        thread.start()
    yield here
    kiosk.stop()
    http.shutdown()
    for thread in threads:
        thread.join(SOON)
    http.server_close()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Any) -> Iterator[Any]:
    started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield started
    started.close()


class Screen:
    """The page, and what went wrong in it."""

    def __init__(self, browser: Any, served: Served, *, lang: str = "zh-CN", size: tuple[int, int] = SIZES[0]) -> None:
        self.context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda line: self.faults.append(line.text) if line.type == "error" else None)
        self.page.goto(f"{served.address}?lang={lang}")
        self.until(lambda: self.page.locator("#matter option").count() > 0)

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()

    def until(self, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + SOON
        while not reached():
            assert time.monotonic() < end, (self.page.inner_text("body"), self.faults)
            self.page.evaluate("() => new Promise((done) => requestAnimationFrame(done))")

    def tone(self, tone: str) -> None:
        self.until(lambda: self.page.get_attribute("#banner", "data-tone") == tone)

    def start(self, *, card: str | None = "wang") -> None:
        self.page.fill("#case-number", "2026-浦-000317")
        if card:
            self.page.select_option("#card", card)
        else:
            self.page.fill("#id-number", PERSON)
        self.page.check("#ticks input")
        self.page.click("#start")
        self.until(lambda: self.page.is_visible("#visit"))

    def fits(self) -> None:
        assert self.page.evaluate(OVERFLOW) == []

    def usable(self) -> None:
        from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

        found = Axe().run(self.page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
@pytest.mark.parametrize("size", SIZES)
def test_a_whole_visit_fits_the_screen_and_can_be_used_by_everybody(
    browser: Any, served: Served, lang: str, size: tuple[int, int]
) -> None:
    with Screen(browser, served, lang=lang, size=size) as screen:
        page, desk = screen.page, served.rig.desk
        screen.fits()
        screen.usable()
        screen.start()
        screen.fits()
        served.picture = png(served.rig.code())
        screen.until(lambda: page.is_visible("#digits-box"))
        assert page.inner_text("#digits") == "47"
        assert page.evaluate("parseFloat(getComputedStyle(document.getElementById('digits')).fontSize)") >= 120
        screen.fits()
        screen.usable()
        place = page.locator("#banner").bounding_box()
        desk.move("PASSED")
        screen.tone("pass")
        assert page.locator("#banner").bounding_box() == place
        assert "J330106-2021-000003" in page.inner_text("#copy-fields")
        assert page.evaluate(
            "() => { const n = document.getElementById('copy'); return n.querySelector('.watermark')"
            ".getBoundingClientRect().bottom <= n.getBoundingClientRect().bottom + 1; }"
        )
        assert "31-M1" in page.inner_text("#watermark")
        screen.fits()
        screen.usable()
        page.keyboard.press("Escape")
        screen.tone("calm")
        assert "J330106" not in page.content()
        assert screen.faults == []


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_every_key_of_an_unclear_end_can_be_pressed(browser: Any, served: Served, lang: str) -> None:
    with Screen(browser, served, lang=lang) as screen:
        page, desk = screen.page, served.rig.desk
        served.picture = png(served.rig.code())
        screen.start()
        screen.until(lambda: page.is_visible("#digits-box"))
        desk.move("UNDETERMINED", Reason.LIBRARY_UNREACHABLE, province="33")
        screen.tone("check")
        screen.fits()
        screen.usable()
        boxes = [page.locator(f"#{name}").bounding_box() for name in ("clears", "keep", "again", "clear", "retry")]
        for at, one in enumerate(boxes):
            for other in boxes[:at]:
                apart = one["x"] >= other["x"] + other["width"] or other["x"] >= one["x"] + one["width"]
                assert apart or one["y"] >= other["y"] + other["height"] or other["y"] >= one["y"] + one["height"]
        page.click("#keep")
        screen.until(lambda: page.evaluate("document.getElementById('clears-bar').max > 60"))
        desk.move("FETCHING")
        page.click("#retry")
        screen.tone("busy")
        assert len(desk.visits) == 1


def test_the_picture_of_the_page_holds_no_code(browser: Any, served: Served, tmp_path: Path) -> None:
    import zxingcpp

    with Screen(browser, served) as screen:
        served.picture = png(served.rig.code())
        screen.until(lambda: screen.page.is_visible("#preview"))
        screen.start()
        screen.until(lambda: screen.page.is_visible("#digits-box"))
        screen.page.screenshot(path=str(tmp_path / "page.png"))
        assert (
            zxingcpp.read_barcodes(
                cv2.imread(str(tmp_path / "page.png"), cv2.IMREAD_GRAYSCALE), formats=zxingcpp.BarcodeFormat.QRCode
            )
            == []
        )


def test_a_typed_number_is_hidden_when_the_field_is_left(browser: Any, served: Served) -> None:
    with Screen(browser, served) as screen:
        page = screen.page
        page.fill("#id-number", PERSON)
        page.focus("#case-number")
        assert page.input_value("#id-number") == f"{PERSON[:6]}********{PERSON[-4:]}"
        page.focus("#id-number")
        assert page.input_value("#id-number") == ""
        page.focus("#case-number")
        screen.start(card=None)
        assert PERSON not in page.content()
        case = served.kiosk.counter().case
        assert case is not None
        assert case.person is not None
        assert case.person.number == PERSON


def test_f2_covers_the_screen_and_uncovers_it_and_escape_clears(browser: Any, served: Served) -> None:
    with Screen(browser, served) as screen:
        page = screen.page
        screen.start()
        page.keyboard.press("F2")
        screen.until(lambda: page.is_visible("#cover"))
        screen.until(lambda: page.locator("#case").inner_text() == "")
        screen.usable()
        page.keyboard.press("F2")
        screen.until(lambda: not page.is_visible("#cover"))
        page.keyboard.press("F1")
        assert page.is_visible("#help")
        screen.fits()
        screen.usable()
        page.keyboard.press("Escape")
        assert not page.is_visible("#help")
        assert served.kiosk.counter().state == "WAITING"
        page.keyboard.press("Escape")
        screen.until(lambda: served.kiosk.counter().state == "IDLE")


def test_behind_the_cover_no_end_is_told_and_a_half_filled_form_stays(browser: Any, served: Served) -> None:
    with Screen(browser, served) as screen:
        page = screen.page
        page.fill("#case-number", "2026-half")
        page.keyboard.press("F2")
        screen.until(lambda: page.is_visible("#cover"))
        page.keyboard.press("F2")
        screen.until(lambda: page.is_visible("#case-form") and not page.is_visible("#cover"))
        assert page.input_value("#case-number") == "2026-half"
        served.picture = png(served.rig.code())
        screen.start()
        screen.until(lambda: page.is_visible("#digits-box"))
        page.keyboard.press("F2")
        screen.until(lambda: page.is_visible("#cover"))
        served.rig.desk.move("REFUSED", Reason.DECLINED)
        screen.until(lambda: served.kiosk.counter().state == "REFUSED")
        with page.expect_response(lambda answer: answer.url.endswith("/state")):
            pass  # the page has asked once more
        assert "已遮挡" in page.inner_text("#banner")
        said = say(Reason.DECLINED)
        assert said.sentence_zh not in page.content()
        assert "2026-浦-000317" not in page.content()
        assert "不通过" not in page.title()
        assert page.get_attribute("#banner", "data-tone") == "calm"
        page.keyboard.press("F2")
        screen.tone("refuse")
        assert said.sentence_zh in page.inner_text("#banner")
        assert screen.faults == []


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
@pytest.mark.parametrize("size", SIZES)
def test_a_problem_is_reported_while_waiting_and_at_every_end_in_two_touches(
    browser: Any, served: Served, lang: str, size: tuple[int, int]
) -> None:
    journal = Reports(served.rig.folder / "state")
    ends = [
        ("WAITING", None),
        ("PASSED", None),
        ("REFUSED", Reason.DECLINED),
        ("UNDETERMINED", Reason.LIBRARY_UNREACHABLE),
    ]
    with Screen(browser, served, lang=lang, size=size) as screen:
        page = screen.page
        for n, (state, reason) in enumerate(ends, start=1):
            served.picture = b"" if state == "WAITING" else png(served.rig.code())
            screen.start()
            if state != "WAITING":
                screen.until(lambda: page.is_visible("#digits-box"))
                served.rig.desk.move(state, reason, **({"province": "33"} if reason else {}))
                screen.tone({"PASSED": "pass", "REFUSED": "refuse", "UNDETERMINED": "check"}[state])
            page.click("#report-key")
            screen.fits()
            screen.usable()
            if n % 2:
                page.click("#report-causes button[value='slow']")
            else:
                page.keyboard.press("3")
            screen.until(lambda: page.is_visible("#report-number"))
            told = journal.all()
            assert page.inner_text("#report-number") == told[-1]["number"]
            assert (len(told), told[-1]["cause"], told[-1]["state"]) == (n, "slow", state)
            screen.fits()
            screen.usable()
            page.keyboard.press("Escape")
            assert not page.is_visible("#report")
            assert served.kiosk.counter().state == state  # Esc has closed the dialog and wiped nothing
            page.keyboard.press("Escape")
            screen.until(lambda: page.is_visible("#case-form"))
        assert screen.faults == []


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_a_change_of_shift_takes_three_touches_and_leaves_nothing_of_the_last_officer(
    browser: Any, served: Served, lang: str
) -> None:
    touches: list[str] = []

    def touch(name: str) -> None:
        screen.page.click(name)
        touches.append(name)

    with Screen(browser, served, lang=lang) as screen:
        page = screen.page
        screen.start()
        touch("#duty")
        screen.until(lambda: page.is_visible("#shift-busy"))
        assert not page.is_visible("#shift-form")
        screen.fits()
        screen.usable()
        touch("#shift-end")
        screen.until(lambda: page.is_visible("#shift-form"))
        page.keyboard.type("sh0317")
        touch("#shift-take")
        screen.until(lambda: not page.is_visible("#shift"))
        assert len(touches) <= 3
        assert "SH0317" in page.inner_text("#duty-name")
        assert {"zh-CN": "未经核验", "en": "not verified"}[lang] in page.inner_text("#duty-name")
        assert served.kiosk.counter().state == "IDLE"
        screen.fits()
        screen.usable()
        # Nobody is served: two touches, and what was half filled in is gone.
        page.fill("#case-number", "2026-half")
        page.keyboard.press("F7")
        page.keyboard.type("12")
        page.click("#shift-take")
        assert page.is_visible("#shift-fault")
        screen.usable()
        page.keyboard.type("34")
        page.keyboard.press("Enter")
        screen.until(lambda: not page.is_visible("#shift"))
        assert page.input_value("#case-number") == ""
        screen.until(lambda: "1234" in page.inner_text("#duty-name"))
        # What is shown and printed names the officer, and that nobody has checked it.
        served.picture = png(served.rig.code())
        screen.start()
        screen.until(lambda: page.is_visible("#digits-box"))
        served.rig.desk.move("PASSED")
        screen.tone("pass")
        assert {"zh-CN": "1234（未经核验）", "en": "1234 (not verified)"}[lang] in page.inner_text("#watermark")
        screen.fits()
        assert screen.faults == []


def test_an_unplugged_scanner_is_said_on_the_screen_and_cured_by_plugging_in(
    browser: Any, served: Served, tmp_path: Path
) -> None:
    plug = Plug(tmp_path / "usb-box")
    log = new_log("scanner_kiosk", served.rig.clock, stream=io.StringIO())
    with Screen(browser, served) as screen:
        page = screen.page
        served.kiosk.listen_to(DeskScanner(named(f"serial:{tmp_path}/usb-*"), deliver=served.kiosk.typed, log=log))
        assert not page.is_visible("#scanner-gone")
        plug.pull()
        page.wait_for_selector("#scanner-gone", state="visible", timeout=3000)
        screen.fits()
        screen.usable()
        plug = Plug(tmp_path / "usb-other")
        page.wait_for_selector("#scanner-gone", state="hidden", timeout=3000)
        served.kiosk.stop()
        plug.pull()


def test_the_officer_is_told_what_is_missing(browser: Any, served: Served) -> None:
    with Screen(browser, served) as screen:
        screen.page.fill("#case-number", "1")
        screen.page.click("#start")
        screen.until(lambda: screen.page.is_visible("#fault"))
        assert "双方的结婚证均已遗失" in screen.page.inner_text("#fault")
        screen.fits()
        screen.usable()


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
@pytest.mark.parametrize("size", SIZES)
def test_what_the_counter_says_about_any_reason_fits_the_banner(
    browser: Any, served: Served, lang: str, size: tuple[int, int]
) -> None:
    facts: dict[str, str | int] = {
        "n": 10,
        "date": "2027-01-01",
        "status": "INVALIDATED_BY_DIVORCE",
        "as_of": "2026-06-01T02:00:05Z",
    }
    facts |= {"no": "〔2026〕123", "time": "2026-06-01T02:00:05Z", "province": "33"}
    facts |= {
        "what": "联网核对结果与声明不一致，或当事人主动出示",
        "what_en": "The online check differs, or the citizen offers it",
    }
    short = "zh" if lang == "zh-CN" else "en"
    with Screen(browser, served, lang=lang, size=size) as screen:
        screen.page.evaluate("() => document.querySelectorAll('.banner p').forEach((n) => { n.hidden = false; })")
        for reason in Reason:
            said = say(reason, facts)
            tone = "check" if outcome_of(reason) is Outcome.UNDETERMINED else "refuse"
            words = [getattr(said, f"sentence_{short}"), getattr(said, f"next_{short}"), said.clause, tone]
            over = screen.page.evaluate(
                """([sentence, next, clause, tone]) => {
                  const banner = document.getElementById("banner");
                  banner.dataset.tone = tone;
                  document.getElementById("sentence").textContent = sentence;
                  document.getElementById("next-step").textContent = next;
                  document.getElementById("clause").textContent = clause;
                  banner.dataset.dense = "true";
                  return banner.scrollHeight - banner.clientHeight;
                }""",
                words,
            )
            assert over <= 1, (reason, words, over)


def test_the_browsers_own_camera_is_read(playwright: Any, served: Served, tmp_path: Path) -> None:
    drawing = read_picture(png(served.rig.code()))
    frames = [scene.frame(drawing, seed=5, t=40 + t) for t in range(5)]
    video = b"".join(cv2.imencode(".jpg", each, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes() for each in frames)
    (tmp_path / "camera.mjpeg").write_bytes(video)
    fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    fake += [f"--use-file-for-fake-video-capture={tmp_path}/camera.mjpeg"]
    started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *fake])
    with Screen(started, served) as screen:
        screen.page.click("#camera summary")
        screen.page.select_option("#camera-kind", "posted:")
        screen.page.click("#camera-form button")
        screen.start()
        screen.until(lambda: screen.page.is_visible("#digits-box"))
    started.close()

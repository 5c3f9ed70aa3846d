"""The phone in a real browser: the key in WebCrypto, the code on the screen, the sheet, and nothing for axe to find.

The inner network is the tester's hand (tests/phone_stage.py). Timers are the browser's own unless a test installs
Playwright's clock; the server's clock can be put ahead beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright  # noqa: E402

from consent.approval import Decision, open_approval  # noqa: E402
from consent.b64 import from_b64  # noqa: E402
from consent.clock import ShiftedClock, to_epoch  # noqa: E402
from consent.code import PREFIX, SIMPLE_PREFIX  # noqa: E402
from consent.counter_strings import drawn_by, known_as  # noqa: E402
from consent.sentences import Lang  # noqa: E402
from consent.showing import open_holder  # noqa: E402
from tests.browser.chromium import ARGUMENTS, CHROMIUM, MARKS  # noqa: E402
from tests.phone_stage import Stage, certificate, holdings, past_entry, serving, set_stage  # noqa: E402
from wallet_api.pages.words import texts  # noqa: E402

PHONE = {"width": 390, "height": 844}
ZH, EN = texts(Lang.ZH_CN), texts(Lang.EN)
expect.set_options(timeout=20_000)  # ms; a busy machine is no fault of the page

pytestmark = MARKS


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, str]]:
    stage = set_stage(tmp_path_factory.mktemp("phone"), ShiftedClock())
    with serving(stage.app) as url:
        yield stage, url
    stage.engine.dispose()


class Phone:
    """One browser in somebody's hand."""

    def __init__(self, stage: Stage, url: str, context: BrowserContext) -> None:
        self.stage = stage
        self.url = url
        self.context = context
        self.trouble: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.trouble.append(text)

    def look(self, value: str) -> None:
        """Language and size, as the cookie remembers them."""
        self.context.add_cookies([{"name": "huzheng-look", "value": value, "url": f"{self.url}/phone"}])

    def sign_in(self, persona: str = "zhang-wei") -> Page:
        self.page.goto(f"{self.url}/phone/")
        self.page.click(f"[data-persona={persona}]")
        self.page.wait_for_url("**/phone/certificates")
        return self.page

    def show(self) -> str:
        """Open a showing from the certificates' page and wait for the code; returns its id."""
        self.page.goto(f"{self.url}/phone/certificates")
        self.page.click("main a.button")
        self.page.wait_for_selector(".code img:visible")
        return self.stage.newest().showing_id

    def asked(self, found: str | None = None, **sheet: Any) -> tuple[str, dict[str, Any]]:
        """Show, and be asked by a counter; returns the showing's id and the sheet."""
        showing_id = self.show()
        written = self.stage.ask(showing_id, found=found or holdings(certificate()), **sheet)
        self.page.wait_for_selector(".sheet .choice")
        return showing_id, written

    def look_back(self, *entries: dict[str, Any], silent: tuple[str, ...] = (), earlier: str | None = None) -> None:
        """Open the history, where the provinces answer with these entries."""
        self.page.goto(f"{self.url}/phone/history")
        self.provinces_answer(*entries, silent=silent, earlier=earlier)

    def provinces_answer(
        self, *entries: dict[str, Any], silent: tuple[str, ...] = (), earlier: str | None = None
    ) -> None:
        """Answer the look that the page has asked for, and wait until it is drawn."""
        self.page.wait_for_selector(".busy")
        self.until(lambda: self.stage.answer("history", {"entries": entries, "silent": silent, "earlier": earlier}))
        self.page.wait_for_selector(".busy", state="detached")

    def until(self, done: Callable[[], int]) -> None:
        """What the page asks for comes with its request; look for it until it is there."""
        for _ in range(100):
            if done():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("the page asks for nothing")

    def fill_in(self) -> None:
        self.page.click("label.digit >> nth=0")
        self.page.check("[name=declaration]")


@pytest.fixture
def pick_up(chromium: Browser, served: tuple[Stage, str]) -> Iterator[Callable[..., Phone]]:
    """Makes phones, and asserts at the end that their browsers complained about nothing."""
    phones: list[Phone] = []

    def make(**options: Any) -> Phone:
        stage, url = served
        context = chromium.new_context(**{"viewport": PHONE, "locale": "zh-CN", **options})
        phones.append(Phone(stage, url, context))
        return phones[-1]

    yield make
    trouble = [each for phone in phones for each in phone.trouble]
    for phone in phones:
        phone.context.close()
    assert trouble == []


@pytest.fixture
def phone(pick_up: Callable[..., Phone]) -> Phone:
    made = pick_up()
    made.sign_in()
    return made


def read_screen(page: Page) -> str:
    """What a scanner reads off the screen, as it looks."""
    pixels = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    (found,) = zxingcpp.read_barcodes(pixels, formats=zxingcpp.BarcodeFormat.QRCode)
    return str(found.text)


def box(page: Page, selector: str) -> dict[str, float]:
    found = page.locator(selector).first.bounding_box()
    assert found is not None, selector
    return dict(found)


# A visit ------------------------------------------------------------------------------------------------------


def test_a_visit_from_the_choice_to_the_receipt(pick_up: Callable[..., Phone]) -> None:
    phone = pick_up()
    posted: list[tuple[str, str]] = []
    phone.page.on("request", lambda sent: posted.append((sent.url, sent.post_data or "")))
    page = phone.sign_in()
    stage = phone.stage
    stage.libraries_answer(holdings(certificate(), certificate("31", "divorce", n=2)))
    expect(page.locator(".certificate")).to_have_count(2)
    expect(page.locator(".certificate >> nth=0")).to_contain_text("浙江省")
    expect(page.locator("#holder")).to_have_text("张*")

    showing_id = phone.show()
    assert read_screen(page).startswith(PREFIX)

    found = holdings(certificate(), certificate("34", status="SUPERSEDED", n=3), certificate("31", "divorce", n=2))
    sheet = stage.ask(showing_id, found=found)
    expect(page.locator("#sheet-title")).to_be_focused()
    expect(page.locator("#says")).to_have_text(ZH["sheet.title"])
    expect(page.locator("[name=certificate]")).to_have_count(2)  # of the kind that is asked for
    page.check("[name=certificate] >> nth=0")
    page.click("label.digit >> nth=1")
    page.check("[name=declaration]")
    page.click("#agree")
    expect(page.locator("h1")).to_have_text(ZH["wait.title"])

    row = stage.row(showing_id)
    assert row.state == "ANSWERED"
    assert row.approval_jwt is not None
    holder = open_holder(row.holder_jwt, stage.app.extensions["wallet_api"].keys, province="31", now=row.opened_at)
    now = stage.clock.now()
    approval = open_approval(row.approval_jwt, holder.device, province="31", request_digest=sheet["request"], now=now)
    assert (approval.decision, approval.certificate) == (Decision.AGREE, certificate()["certificate"])
    assert (approval.digits, approval.declarations) == (sheet["digits"][1], ("marital_status",))
    claims = json.loads(from_b64(row.approval_jwt.split(".")[1]))
    assert claims["exp"] - claims["iat"] == 120
    assert abs(claims["iat"] - to_epoch(now)) < 10

    stage.move(showing_id, "consent")
    expect(page.locator("#withdraw")).to_be_visible()
    stage.end(showing_id, "deliver", given=("holder_match", "registration_date"))
    expect(page.locator(".outcome.pass h1")).to_have_text(ZH["result.DELIVERED"])
    expect(page.locator(".facts")).to_contain_text("登记日期")
    expect(page.locator(".facts")).to_contain_text("徐汇区不动产登记中心")
    expect(page.locator(".facts")).not_to_contain_text("证照字号")
    with page.expect_download() as download:
        page.click(".receipt a")
    assert Path(download.value.path()).read_text() == "eyJhbGciOiJFZERTQSJ9.e30.c2ln"

    assert all(url.startswith(phone.url) for url, _ in posted)
    (login,) = [json.loads(body) for url, body in posted if url.endswith("/api/login")]
    assert set(login["device"]) == {"crv", "kty", "x", "y"}  # the public half and nothing else


def test_the_sheet_reads_in_the_order_of_the_law(phone: Phone) -> None:
    phone.asked()
    headings = phone.page.locator(".sheet h2, .sheet legend, .sheet h3").all_inner_texts()
    keys = ["who", "what", "which", "fields", "never", "why", "kept", "digits", "declare"]
    assert headings == [ZH[f"sheet.{key}"] for key in keys]
    sheet = phone.page.locator(".sheet")
    for text in (
        "徐汇区不动产登记中心",
        "徐汇区南宁路999号",
        "7号窗口",
        "不动产登记",
        "沪民婚发〔2024〕4号",
        "随登记档案保存",
    ):
        expect(sheet).to_contain_text(text)


def test_text_from_a_counter_stays_text(phone: Phone) -> None:
    phone.asked()
    assert phone.page.locator(".cause b").count() == 0
    expect(phone.page.locator(".cause q")).to_have_text("核对共有人 <b>婚姻状况</b>")


def test_nothing_is_ticked_beforehand_but_the_only_certificate(phone: Phone) -> None:
    phone.asked()
    assert phone.page.locator("[name=declaration]:checked, [name=digits]:checked").count() == 0
    assert phone.page.locator("[name=certificate]:checked").count() == 1


def test_agreeing_and_declining_are_equally_large(phone: Phone) -> None:
    phone.asked()
    agree, decline = box(phone.page, "#agree"), box(phone.page, "#decline")
    assert (agree["width"], agree["height"], agree["y"]) == (decline["width"], decline["height"], decline["y"])


def test_an_agreement_that_lacks_something_is_not_sent_and_says_what(phone: Phone) -> None:
    found = holdings(certificate(), certificate("31", n=2))
    showing_id, _ = phone.asked(found)
    page = phone.page
    for missing, then in (
        ("sheet.error.certificate", "[name=certificate] >> nth=1"),
        ("sheet.error.digits", "label.digit >> nth=2"),
        ("sheet.error.declare", "[name=declaration]"),
    ):
        page.click("#agree")
        expect(page.locator("#sheet-error")).to_have_text(ZH[missing])
        page.click(then)
    assert phone.stage.row(showing_id).state == "CLAIMED"
    page.click("#agree")
    expect(page.locator("h1")).to_have_text(ZH["wait.title"])


def test_declining_needs_nothing_and_gives_nothing(phone: Phone) -> None:
    showing_id, _ = phone.asked()
    phone.page.click("#decline")
    expect(phone.page.locator("h1")).to_have_text(ZH["wait.title"])
    row = phone.stage.row(showing_id)
    assert row.approval_jwt is not None
    claims = json.loads(from_b64(row.approval_jwt.split(".")[1]))
    assert claims["decision"] == "decline"
    assert (claims["certificate"], claims["digits"], claims["declarations"]) == (None, None, [])
    phone.stage.end(showing_id, "decline", "DECLINED")
    expect(phone.page.locator(".outcome.own h1")).to_have_text(ZH["result.DECLINED"])
    expect(phone.page.locator(".facts")).to_contain_text(ZH["result.nothing"])


def test_somebody_without_a_certificate_may_answer_all_the_same(phone: Phone) -> None:
    showing_id = phone.show()
    phone.stage.ask(showing_id, found=holdings(certificate("31", "divorce")))
    phone.page.wait_for_selector(".sheet .note")
    expect(phone.page.locator("#which")).to_contain_text("没有查到")
    phone.fill_in()
    phone.page.click("#agree")
    expect(phone.page.locator("h1")).to_have_text(ZH["wait.title"])
    claims = json.loads(from_b64(str(phone.stage.row(showing_id).approval_jwt).split(".")[1]))
    assert (claims["decision"], claims["certificate"]) == ("agree", None)


def test_certificates_that_are_found_later_appear_on_the_sheet_and_keep_what_was_chosen(phone: Phone) -> None:
    showing_id = phone.show()
    phone.stage.ask(showing_id)
    expect(phone.page.locator("#which .busy")).to_be_visible()
    phone.fill_in()
    phone.page.click("#agree")
    expect(phone.page.locator("#sheet-error")).to_have_text(ZH["sheet.error.busy"])
    phone.stage.note(showing_id, holdings=holdings(certificate()))
    expect(phone.page.locator("[name=certificate]:checked")).to_have_count(1)
    expect(phone.page.locator("[name=declaration]:checked")).to_have_count(1)
    expect(phone.page.locator("[name=digits]:checked")).to_have_count(1)


def test_a_consent_is_withdrawn_from_the_phone(phone: Phone) -> None:
    showing_id, _ = phone.asked()
    phone.fill_in()
    phone.page.click("#agree")
    expect(phone.page.locator("h1")).to_have_text(ZH["wait.title"])
    phone.stage.move(showing_id, "consent")
    phone.page.click("#withdraw")
    expect(phone.page.locator("h1")).to_have_text(ZH["withdrawing.title"])
    assert phone.stage.errands_of("withdrawal")[-1][1] == showing_id
    phone.stage.end(showing_id, "withdrawn", "WITHDRAWN")
    expect(phone.page.locator("h1")).to_have_text(ZH["result.WITHDRAWN"])


def test_a_refusal_tells_the_citizen_why_and_what_now(phone: Phone) -> None:
    showing_id, _ = phone.asked()
    phone.stage.end(showing_id, "refuse", "HOLDER_MISMATCH")
    expect(phone.page.locator(".outcome.refuse")).to_contain_text("证件与出示人不一致，未提供任何信息")
    expect(phone.page.locator(".outcome.refuse")).to_contain_text(ZH["step.officer"])


def test_another_browser_of_the_same_person_has_another_key_and_takes_over(pick_up: Callable[..., Phone]) -> None:
    first, second = pick_up(), pick_up()
    first.sign_in("zhou-ming")
    second.sign_in("zhou-ming")
    one = first.show()
    first.stage.clock.advance(1)  # type: ignore[attr-defined]
    two = second.show()
    expect(first.page.locator("h1")).to_have_text(ZH["result.SUPERSEDED"])
    assert first.stage.row(one).device_kid != first.stage.row(two).device_kid


# The device ---------------------------------------------------------------------------------------------------

KEYS_OF_THE_BROWSER = """async () => {
  const database = await new Promise((done) => {
    const opening = indexedDB.open("huzheng-phone", 1);
    opening.onsuccess = () => done(opening.result);
  });
  const rows = await new Promise((done) => {
    const asking = database.transaction("devices").objectStore("devices").getAll();
    asking.onsuccess = () => done(asking.result);
  });
  database.close();
  let taken = "taken out";
  try { await crypto.subtle.exportKey("jwk", rows[0].privateKey); } catch (problem) { taken = problem.name; }
  return {count: rows.length, extractable: rows[0].privateKey.extractable, usages: rows[0].privateKey.usages, taken};
}"""


def test_the_key_stays_in_the_browser_and_is_the_same_after_signing_in_again(phone: Phone) -> None:
    kid = phone.stage.row(phone.show()).device_kid
    found = phone.page.evaluate(KEYS_OF_THE_BROWSER)
    assert found == {"count": 1, "extractable": False, "usages": ["sign"], "taken": "InvalidAccessError"}
    phone.page.goto(f"{phone.url}/phone/certificates")
    phone.page.click("#out")
    phone.page.wait_for_selector(".person")
    phone.sign_in()
    phone.stage.clock.advance(1)  # type: ignore[attr-defined]
    assert phone.stage.row(phone.show()).device_kid == kid


def test_a_browser_that_has_lost_its_key_says_so_instead_of_failing(phone: Phone) -> None:
    showing_id, _ = phone.asked()
    phone.page.evaluate("() => new Promise((done) => { indexedDB.deleteDatabase('huzheng-phone').onsuccess = done; })")
    phone.fill_in()
    phone.page.click("#agree")
    expect(phone.page.locator("#sheet-error")).to_have_text(ZH["sheet.error.key"])
    assert phone.stage.row(showing_id).state == "CLAIMED"


def test_an_answer_whose_reply_was_lost_is_sent_again_as_it_was(phone: Phone) -> None:
    showing_id, _ = phone.asked()
    sent: list[str] = []

    def lose_the_reply(route: Any) -> None:
        sent.append(route.request.post_data)
        if len(sent) == 1:
            route.fetch()  # it arrives
            route.abort()  # and its answer does not
        else:
            route.continue_()

    phone.page.route("**/phone/api/approval", lose_the_reply)
    phone.page.route("**/phone/api/state", lambda route: route.abort())
    phone.fill_in()
    phone.page.click("#agree")
    expect(phone.page.locator("#sheet-error")).to_contain_text(ZH["error.line"])
    phone.page.click("#agree")
    expect(phone.page.locator("#line")).to_have_text(ZH["show.offline"])
    phone.page.unroute("**/phone/api/state")
    expect(phone.page.locator("h1")).to_have_text(ZH["wait.title"])
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert phone.stage.row(showing_id).state == "ANSWERED"
    phone.trouble.clear()  # the browser names the requests that we broke


# The code -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_code_is_wide_black_on_white_and_readable_off_the_screen(
    pick_up: Callable[..., Phone], scheme: str
) -> None:
    phone = pick_up(color_scheme=scheme)
    phone.sign_in()
    phone.show()
    frame = box(phone.page, ".code img")
    assert frame["width"] >= 0.6 * PHONE["width"]
    assert read_screen(phone.page).startswith(PREFIX)
    pixels = cv2.imdecode(np.frombuffer(phone.page.locator(".code img").screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    dark = np.argwhere(pixels < 128)
    top, left = dark.min(axis=0)
    bottom, right = np.array(pixels.shape) - 1 - dark.max(axis=0)
    module = (pixels.shape[1] - left - right) / 45  # version 7
    # The picture brings four modules, cut to whole pixels; around it the frame adds eight white pixels.
    assert min(top, left, bottom, right) >= 4 * module - 1
    assert box(phone.page, ".code")["width"] - frame["width"] >= 16
    assert pixels[int(2 * module), int(pixels.shape[1] / 2)] == 255


def test_a_tap_makes_the_code_as_wide_as_the_phone(phone: Phone) -> None:
    phone.show()
    phone.page.click(".code")
    assert box(phone.page, ".code img")["width"] >= 0.95 * PHONE["width"]
    assert read_screen(phone.page).startswith(PREFIX)
    phone.page.click(".code")
    assert box(phone.page, ".code img")["width"] < 0.9 * PHONE["width"]


def test_no_name_stands_beside_the_code(phone: Phone) -> None:
    phone.show()
    assert "张" not in phone.page.locator("body").inner_text()


def test_the_code_is_renewed_when_the_server_says_so(phone: Phone) -> None:
    phone.page.clock.install()
    phone.show()
    first = read_screen(phone.page)
    phone.stage.clock.advance(31)  # type: ignore[attr-defined]
    with phone.page.expect_response("**/phone/api/code"):
        phone.page.clock.fast_forward(31_000)
    expect(phone.page.locator(".dial b")).not_to_have_text("0")
    phone.page.wait_for_selector(".code img:visible")
    assert read_screen(phone.page) != first


HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_coming_back_to_the_page_renews_the_code_at_once(phone: Phone) -> None:
    phone.show()
    phone.page.evaluate(HIDE, True)
    with phone.page.expect_response("**/phone/api/code"):
        phone.page.evaluate(HIDE, False)


def test_without_a_network_the_code_is_covered_once_it_is_no_longer_good(phone: Phone) -> None:
    phone.page.clock.install()
    phone.show()
    phone.context.set_offline(True)
    phone.page.clock.fast_forward(31_000)
    expect(phone.page.locator("#line")).to_have_text(ZH["show.offline"])
    expect(phone.page.locator(".code img")).to_be_visible()  # the counter still takes it
    phone.page.clock.fast_forward(31_000)
    expect(phone.page.locator(".code .covered:visible")).to_have_text(ZH["show.stale"])
    expect(phone.page.locator(".code img")).to_be_hidden()
    phone.context.set_offline(False)
    phone.page.clock.fast_forward(3_000)
    expect(phone.page.locator(".code img")).to_be_visible()
    phone.trouble.clear()  # the browser names the requests that went nowhere


def test_the_screen_is_kept_lit_while_the_code_shows_and_not_longer(pick_up: Callable[..., Phone]) -> None:
    phone = pick_up()
    phone.page.add_init_script(
        "window.lit = []; Object.defineProperty(navigator, 'wakeLock', {value: {request: async (kind) => {"
        " lit.push(kind); return {release: async () => { lit.push('released'); }}; }}});"
    )
    phone.sign_in()
    phone.asked()
    assert phone.page.evaluate("() => lit") == ["screen", "released"]


def test_polling_is_by_tag_and_stops_at_the_end(phone: Phone) -> None:
    phone.page.clock.install()
    answers: list[int] = []
    phone.page.on("response", lambda got: answers.append(got.status) if got.url.endswith("/api/state") else None)
    showing_id = phone.show()
    for _ in range(3):
        with phone.page.expect_response("**/phone/api/state"):
            phone.page.clock.run_for(1000)
    assert 304 in answers
    phone.stage.move(showing_id, "expire", reason="CODE_EXPIRED")
    phone.page.clock.run_for(2000)
    expect(phone.page.locator("h1")).to_have_text(ZH["result.EXPIRED"])
    before = len(answers)
    phone.page.clock.run_for(20_000)
    expect(phone.page.locator("h1")).to_have_text(ZH["result.EXPIRED"])
    assert len(answers) == before


def test_a_reload_comes_back_to_where_it_was(phone: Phone) -> None:
    showing_id, _ = phone.asked()
    phone.page.reload()
    expect(phone.page.locator("#sheet-title")).to_be_visible()
    assert phone.stage.newest().showing_id == showing_id


def test_stopping_ends_the_showing(phone: Phone) -> None:
    showing_id = phone.show()
    phone.page.click("main .button.quiet")
    expect(phone.page.locator("h1")).to_have_text(ZH["result.EXPIRED"])
    assert phone.stage.row(showing_id).state == "EXPIRED"


# Reading ------------------------------------------------------------------------------------------------------


def test_a_change_of_language_or_size_keeps_what_was_chosen_and_is_remembered(phone: Phone) -> None:
    phone.asked()
    phone.fill_in()
    phone.page.click("#switch-lang")
    expect(phone.page.locator("#sheet-title")).to_have_text(EN["sheet.title"])
    expect(phone.page.locator(".sheet")).to_contain_text("Xuhui Real Estate Registry")
    expect(phone.page.locator("[name=digits]:checked")).to_have_count(1)
    expect(phone.page.locator("[name=declaration]:checked")).to_have_count(1)
    phone.page.click("#switch-big")
    expect(phone.page.locator("[name=digits]:checked")).to_have_count(1)
    phone.page.goto(f"{phone.url}/phone/history")
    expect(phone.page.locator("html.big[lang=en]")).to_have_count(1)
    expect(phone.page.locator("h1")).to_have_text(EN["history.title"])


def test_english_pages_hold_chinese_only_where_a_register_does(pick_up: Callable[..., Phone]) -> None:
    phone = pick_up()
    phone.look("en.normal")
    phone.sign_in()
    phone.stage.libraries_answer(holdings(certificate(), undigitised=True, silent=("34",)))
    phone.page.wait_for_selector(".certificate")
    words = phone.page.locator("main").inner_text().replace(certificate()["authority"], "").replace("张*", "")
    assert not any("\u4e00" <= each <= "\u9fff" for each in words)


SIZES = """(least) => Array.from(document.querySelectorAll("a, button, summary, label.choice, label.digit"))
  .filter((each) => each.offsetParent !== null && !each.classList.contains("skip"))
  .map((each) => ({what: each.className || each.tagName + " " + each.id, box: each.getBoundingClientRect()}))
  .filter((each) => each.box.height < least || each.box.width < least)
  .map((each) => each.what + " " + each.box.width + "x" + each.box.height)"""
TYPE = """() => Array.from(document.querySelectorAll("main *"))
  .filter((each) => each.offsetParent !== null)
  .filter((each) => Array.from(each.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim()))
  .map((each) => getComputedStyle(each))
  .map((style) => [parseFloat(style.fontSize), parseFloat(style.lineHeight) / parseFloat(style.fontSize)])"""


@pytest.mark.parametrize(
    ("size", "touch", "main", "least", "largest"), [("normal", 44, 17, 15, 28), ("big", 60, 24, 20, 40)]
)
def test_type_and_touch_areas_are_as_large_as_the_norm_wants(
    pick_up: Callable[..., Phone], size: str, touch: int, main: int, least: int, largest: int
) -> None:
    """The elder view of the 2021 norm: largest type ≥ 30, main text ≥ 18, line height ≥ 1.3, touch areas 60×60."""
    phone = pick_up()
    phone.look(f"zh-CN.{size}")
    phone.page.goto(f"{phone.url}/phone/")
    assert phone.page.evaluate(SIZES, touch) == []
    phone.sign_in()
    phone.stage.libraries_answer(holdings(certificate()))
    phone.page.wait_for_selector(".certificate")
    pages = [phone.page.evaluate(TYPE)]
    assert phone.page.evaluate(SIZES, touch) == []
    phone.asked()
    pages.append(phone.page.evaluate(TYPE))
    assert phone.page.evaluate(SIZES, touch) == []
    phone.look_back(past_entry())
    pages.append(phone.page.evaluate(TYPE))
    assert phone.page.evaluate(SIZES, touch) == []
    phone.page.click(".entry a")
    phone.page.wait_for_selector(".facts")
    pages.append(phone.page.evaluate(TYPE))
    assert phone.page.evaluate(SIZES, touch) == []
    phone.page.click(".result a.button >> nth=0")
    phone.page.wait_for_selector(".wrong")
    pages.append(phone.page.evaluate(TYPE))
    assert phone.page.evaluate(SIZES, touch) == []
    for found in pages:
        sizes = [each for each, _ in found]
        assert min(sizes) >= least
        assert max(sizes) >= largest
        assert main in sizes
        assert min(height for _, height in found) >= 1.2999
    assert phone.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("look", "scheme"),
    [
        ("zh-CN.normal", "light"),
        ("zh-CN.big", "dark"),
        ("en.normal", "dark"),
        ("en.big", "light"),
        pytest.param("zh-CN.normal", "dark", marks=pytest.mark.full),
        pytest.param("zh-CN.big", "light", marks=pytest.mark.full),
        pytest.param("en.normal", "light", marks=pytest.mark.full),
        pytest.param("en.big", "dark", marks=pytest.mark.full),
    ],
)
def test_axe_finds_nothing_on_any_page(pick_up: Callable[..., Phone], look: str, scheme: str) -> None:
    # So tall that no bar at the bottom covers anything: what can be scrolled free is no fault, but axe does not scroll.
    tall = {"width": PHONE["width"], "height": 3600}
    phone = pick_up(bypass_csp=True, color_scheme=scheme, reduced_motion="reduce", viewport=tall)
    phone.look(look)
    page, stage = phone.page, phone.stage
    axe = axe_module.Axe()
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}

    def check(where: str) -> None:
        found = axe.run(page, options=options)
        assert found.violations_count == 0, f"{where}: {found.generate_report()}"

    page.goto(f"{phone.url}/phone/")
    page.wait_for_selector("#switches:visible")
    check("choose")
    phone.sign_in()
    silent = holdings(certificate(), certificate("31", status="SUSPENDED", n=2), silent=("34",), undigitised=True)
    stage.libraries_answer(silent)
    page.wait_for_selector(".certificate")
    check("certificates")
    phone.show()
    page.click("summary")
    check("code")
    showing_id, _ = phone.asked(silent)
    page.click("#agree")
    check("sheet")
    page.check("[name=certificate] >> nth=0")
    phone.fill_in()
    page.click("#agree")
    expect(page.locator(".outcome.wait")).to_be_visible()
    check("waiting")
    stage.move(showing_id, "consent")
    page.wait_for_selector("#withdraw")
    check("consented")
    stage.end(showing_id, "deliver", given=("holder_match",))
    page.wait_for_selector(".outcome.pass")
    page.click("summary")
    check("result")
    stage.clock.advance(1)  # type: ignore[attr-defined]
    showing_id, _ = phone.asked()
    stage.end(showing_id, "refuse", "DIGITS_WRONG")
    page.wait_for_selector(".outcome.refuse")
    check("refused")
    page.goto(f"{phone.url}/phone/nowhere")
    check("error")
    phone.trouble = [each for each in phone.trouble if "404" not in each]  # the page that is not there


@pytest.mark.parametrize(
    ("look", "scheme"), [("zh-CN.normal", "light"), ("zh-CN.big", "dark"), ("en.normal", "dark"), ("en.big", "light")]
)
def test_axe_finds_nothing_in_the_history(pick_up: Callable[..., Phone], look: str, scheme: str) -> None:
    tall = {"width": PHONE["width"], "height": 3600}
    phone = pick_up(bypass_csp=True, color_scheme=scheme, reduced_motion="reduce", viewport=tall)
    phone.look(look)
    page, stage, axe = phone.page, phone.stage, axe_module.Axe()
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}

    def check(where: str) -> None:
        found = axe.run(page, options=options)
        assert found.violations_count == 0, f"{where}: {found.generate_report()}"

    phone.sign_in()
    last = past_entry(2, "REFUSED", "COMMERCIAL_USER", receipt=None, receipt_digest=None)
    outcomes = ("ASKED", "DECLINED", "TIMED_OUT", "WITHDRAWN", "UNDETERMINED")
    middle = [past_entry(n + 10, outcome) for n, outcome in enumerate(outcomes)]
    phone.look_back(past_entry(30), *middle, last, silent=("34",), earlier=last["cursor"])
    check("history")
    page.click(".entry a >> nth=0")
    expect(page.locator(".facts")).to_be_visible()
    check("entry")
    page.click(".result a.button >> nth=0")
    page.wait_for_selector(".wrong")
    page.click("form .button >> nth=0")
    check("something is wrong")
    page.check("[name=kind] >> nth=0")
    page.click("form .button >> nth=0")
    phone.until(lambda: stage.answer("objection", {"number": "31-000042"}))
    page.wait_for_selector(".outcome.pass")
    check("objection")


def test_the_sheet_can_be_answered_with_the_keyboard_alone(phone: Phone) -> None:
    showing_id, _ = phone.asked()
    page = phone.page
    expect(page.locator("#sheet-title")).to_be_focused()
    for key in (
        "Tab",
        "Tab",
        "Space",
        "Tab",
        "Space",
        "Tab",
        "Tab",
        "Enter",
    ):  # certificate, digits, tick, decline, agree
        page.keyboard.press(key)
    expect(page.locator("h1")).to_have_text(ZH["wait.title"])
    claims = json.loads(from_b64(str(phone.stage.row(showing_id).approval_jwt).split(".")[1]))
    assert (claims["decision"], claims["digits"]) == ("agree", "47")


def test_the_history_lists_what_happened_and_who_was_silent(phone: Phone) -> None:
    phone.look_back(past_entry(3, "TIMED_OUT", "TIMED_OUT"), past_entry(2), silent=("34",))
    first, second = phone.page.locator(".entry >> nth=0"), phone.page.locator(".entry >> nth=1")
    expect(first).to_contain_text("不动产登记")
    expect(first).to_contain_text(ZH["outcome.TIMED_OUT"])
    expect(first).to_contain_text(ZH["result.nothing"])
    expect(second).to_contain_text("证照字号、登记日期")
    expect(phone.page.locator(".note.warn")).to_contain_text("安徽")
    phone.page.click("#switch-lang")
    expect(second).to_contain_text("Xuanwu, Nanjing Real Estate Registration Centre")


def test_an_empty_history_says_so(phone: Phone) -> None:
    phone.look_back()
    expect(phone.page.locator("#view")).to_have_text(ZH["history.none"])


def test_older_entries_come_with_a_look_of_their_own(phone: Phone) -> None:
    newest = past_entry(9)
    phone.look_back(newest, earlier=newest["cursor"])
    phone.page.click(f"text={ZH['history.earlier']}")
    phone.provinces_answer(past_entry(4, "DECLINED", "DECLINED"))
    expect(phone.page.locator(".entry")).to_have_count(2)
    bodies = [body["earlier"] for _, _, body in phone.stage.errands_of("history")][-2:]
    assert bodies == [None, newest["cursor"]]


def test_an_entry_shows_everything_and_gives_its_receipt(phone: Phone) -> None:
    entry = past_entry(5, way="card", second_officer="32-R-02")
    phone.look_back(entry, past_entry(4, "REFUSED", "COMMERCIAL_USER", request=None, receipt=None, receipt_digest=None))
    page = phone.page
    page.click(".entry >> nth=0 >> a")
    expect(page.locator("h1:visible")).to_have_text(ZH["outcome.PASSED"])
    expect(page.locator("h1:visible")).to_be_focused()
    for word in (
        "南京市玄武区不动产登记中心",
        "32-R1",
        "不动产登记",
        "证照字号",
        "登记日期",
        "case 2026-0001",
        ZH["history.card"],
        "第二名工作人员",
        "编号 32-R-02",
    ):
        expect(page.locator(".facts")).to_contain_text(word)
    with page.expect_download() as download:
        page.click(".receipt a")
    assert download.value.suggested_filename == f"huzheng-receipt-{entry['receipt_digest'][:8]}.jwt"
    assert Path(download.value.path()).read_text(encoding="ascii") == entry["receipt"]
    page.go_back()
    page.click(".entry >> nth=1 >> a")
    expect(page.locator(".outcome")).to_contain_text("不能调取婚姻电子证照")
    expect(page.locator(".facts")).to_contain_text("随申办")
    expect(page.locator(".facts")).not_to_contain_text(ZH["history.second"])
    expect(page.locator(".receipt")).to_have_count(0)
    expect(page.locator(".note")).to_have_text(ZH["history.receipt.none"])
    assert "#" in page.url
    assert not [line for line in phone.stage.lines.getvalue().splitlines() if entry["entry"] in line]


def test_something_is_wrong_in_three_taps_and_there_is_a_number(phone: Phone) -> None:
    entry = past_entry(6)
    phone.look_back(entry)
    page = phone.page
    page.click(".entry a")
    page.click(f"text={ZH['wrong.open']}")
    expect(page.locator("h1:visible")).to_have_text(ZH["wrong.title"])
    expect(page.locator("[name=kind]:checked")).to_have_count(0)
    page.click("form .button >> nth=0")
    expect(page.locator("#wrong-error")).to_have_text(ZH["wrong.error.kind"])
    page.check("[value=DATA_WRONG]")
    page.fill("#words", "登记日期不是这一天 <b>👨‍👩‍👧</b>")
    page.click("#switch-lang")
    expect(page.locator("[value=DATA_WRONG]")).to_be_checked()
    expect(page.locator("#words")).to_have_value("登记日期不是这一天 <b>👨‍👩‍👧</b>")
    page.click("form .button >> nth=0")
    phone.until(lambda: phone.stage.answer("objection", {"number": "31-000042"}))
    expect(page.locator("h1:visible")).to_have_text(EN["wrong.done"])
    expect(page.locator(".outcome")).to_contain_text("31-000042")
    page.click(".outcome .button")
    expect(page.locator(".note")).to_contain_text("31-000042")
    expect(page.locator(f"text={EN['wrong.open']}")).to_have_count(0)


def test_a_refused_objection_says_why_and_keeps_what_was_written(phone: Phone) -> None:
    phone.look_back(past_entry(7))
    page = phone.page
    page.click(".entry a")
    page.click(f"text={ZH['wrong.open']}")
    page.check("[value=CITIZEN_CANNOT_SHOW]")
    page.fill("#words", "字" * 500)
    expect(page.locator("#left")).to_have_text(ZH["wrong.left"].format(n=0))
    page.click("form .button >> nth=0")
    phone.until(lambda: phone.stage.answer("objection", {"reason": "OBJECTION_OPEN"}))
    expect(page.locator("#wrong-error")).to_contain_text("已有一份异议正在处理")
    expect(page.locator("#words")).to_have_value("字" * 500)
    phone.trouble = [each for each in phone.trouble if "409" not in each]


def test_without_scripts_a_still_code_is_shown(pick_up: Callable[..., Phone], phone: Phone) -> None:
    before = phone.show()
    still = pick_up(java_script_enabled=False, storage_state=phone.context.storage_state()).page
    still.goto(f"{phone.url}/phone/show")
    assert read_screen(still).startswith(PREFIX)
    expect(still.locator("noscript p.centre")).to_have_text(ZH["show.static"])
    phone.stage.clock.advance(1)  # type: ignore[attr-defined]
    still.click("noscript button")
    still.wait_for_selector(".still img")
    assert phone.stage.newest().showing_id != before


def test_on_a_desk_the_phone_is_a_column_in_the_middle(pick_up: Callable[..., Phone]) -> None:
    phone = pick_up(viewport={"width": 1280, "height": 900})
    phone.page.goto(f"{phone.url}/phone/")
    column = box(phone.page, ".phone")
    assert column["width"] <= 480
    assert abs(column["x"] * 2 + column["width"] - 1280) <= 2


# The app's own code --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_the_app_can_show_the_code_that_it_shows_already_today(pick_up: Callable[..., Phone], lang: str) -> None:
    phone = pick_up()
    phone.look(lang)
    phone.sign_in()
    phone.show()
    words = EN if lang == "en" else ZH
    name = known_as("31")[1 if lang == "en" else 0]
    link = phone.page.locator("#own")
    expect(link).to_have_text(words["show.own.link"].replace("{name}", name))
    link.focus()
    with phone.page.expect_response("**/phone/api/own-code"):
        phone.page.keyboard.press("Enter")
    expect(phone.page.locator("main")).to_contain_text(words["show.own.lead"].replace("{name}", name))
    expect(link).to_be_focused()
    phone.page.wait_for_selector(".code img:visible")
    phone.page.evaluate("scrollTo(0, 0)")
    assert drawn_by(read_screen(phone.page)) == "31"
    assert axe_module.Axe().run(phone.page).response["violations"] == []
    with phone.page.expect_response("**/phone/api/code"):
        link.click()
    phone.page.wait_for_selector(".code img:visible")
    phone.page.evaluate("scrollTo(0, 0)")
    assert read_screen(phone.page).startswith(PREFIX)


@pytest.mark.full
def test_a_simpler_code_is_one_key_away_and_comes_into_sight(pick_up: Callable[..., Phone]) -> None:
    phone = pick_up()
    phone.look("en.big")
    phone.sign_in()
    phone.show()
    page = phone.page
    page.click(".help summary")
    button = page.locator("#simple")
    expect(button).to_have_text(EN["show.simple"])
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_text(EN["show.own.back"])
    expect(button).to_be_focused()
    page.wait_for_selector(".code img:visible")
    assert read_screen(page).startswith(SIMPLE_PREFIX)
    assert axe_module.Axe().run(page).response["violations"] == []
    page.keyboard.press("Enter")
    page.wait_for_selector(".code img:visible")
    assert read_screen(page).startswith(PREFIX)

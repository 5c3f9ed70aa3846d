"""<huzheng-code> in a real browser, inside the sample app, against the real wallet_api.

The page runs under `default-src 'self'; style-src 'self'`: whatever that forbids would be heard on the console, and every
test ends with a silent console. The server's clock starts at a fixed instant; the browser's is set beside it.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import segno
import zxingcpp

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

from huzheng_wallet import Login, Times, Wallet  # noqa: E402
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright  # noqa: E402

from consent.approval import Decision, open_approval  # noqa: E402
from consent.b64 import new_id  # noqa: E402
from consent.code import PREFIX  # noqa: E402
from consent.invitation import seal_invitation  # noqa: E402
from consent.keys import new_key  # noqa: E402
from consent.receipt import open_receipt  # noqa: E402
from consent.showing import open_holder  # noqa: E402
from consent.standing import offer_digest, open_standing  # noqa: E402
from consent.stores import standings  # noqa: E402
from consent.stores.base import reading  # noqa: E402
from scanner_kiosk.country import wallet_url  # noqa: E402
from scanner_kiosk.country.people import Persona, pair  # noqa: E402
from tests.browser.chromium import ARGUMENTS, BLIND, CHROMIUM, MARKS, OTHER_KINDS, UNMAKEABLE  # noqa: E402
from tests.country import MATTER_OF, Scene, Stage, ask  # noqa: E402
from tests.counts import count  # noqa: E402
from tests.outer import PERSON, START  # noqa: E402
from tests.phone_stage import certificate, holdings, past_entry  # noqa: E402
from tests.sdk_stage import SDK, SECRET, RunningClock, Shop, listening, open_shop, sample_module  # noqa: E402
from tests.test_phone_express import ROW, offer_of  # noqa: E402

PHONE = {"width": 390, "height": 844}
PICTURES = os.environ.get("ELEMENT_PICTURES")  # a folder: keep a picture of each view

pytestmark = MARKS

RIGHT_CLOCK = "{ const real = Date.now; const off = %d; Date.now = () => real() + off; }"
LAMP = """{
  window.lamps = {taken: 0, released: 0};
  const lock = () => Object.assign(new EventTarget(), {release: async () => { window.lamps.released += 1; }});
  const request = async () => { window.lamps.taken += 1; return lock(); };
  Object.defineProperty(navigator, "wakeLock", {value: {request}});
}"""
EVENTS = """{
  window.heard = [];
  for (const name of ["huzheng-state", "huzheng-error"])
    document.addEventListener(name, (event) => window.heard.push([name, event.detail]));
}"""
# Chromium on Linux knows no BarcodeDetector: this one hands the camera's own picture to the test, which reads it.
DETECTOR = """{
  window.streams = [];
  const own = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => {
    const got = await own(wish);
    window.streams.push(got);
    return got;
  };
  window.BarcodeDetector = class {
    async detect(video) {
      const sheet = Object.assign(document.createElement("canvas"), {width: video.videoWidth, height: video.videoHeight});
      sheet.getContext("2d").drawImage(video, 0, 0);
      return (await window.readPicture(sheet.toDataURL("image/png"))).map((rawValue) => ({rawValue}));
    }
  };
}"""
CLOSED = """{
  window.BarcodeDetector = class {};
  navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("not allowed", "NotAllowedError"); };
}"""
DESK_KEY = new_key("EdDSA", issuer="32")
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, str]]:
    """wallet_api, and the sample app in front of it, each on a socket of its own."""
    term = {"not_before": START - timedelta(days=1), "not_after": START + timedelta(days=30)}
    desk = DESK_KEY.published("counter+jwt", **term)
    with (
        open_shop(
            tmp_path_factory.mktemp("element"), RunningClock(), vendor_per_minute=100_000, listed=(desk,)
        ) as shop,
        socket.create_server(("127.0.0.1", 0)) as bound,
        listening(shop.sample(), bound),
    ):
        yield shop, f"http://127.0.0.1:{bound.getsockname()[1]}"


class Hand:
    """A phone in somebody's hand, with the sample app open."""

    def __init__(self, shop: Shop, url: str, context: BrowserContext, skew_ms: int) -> None:
        self.shop = shop
        self.url = url
        self.context = context
        self.trouble: list[str] = []
        self.asked: list[tuple[str, str, str, dict[str, str]]] = []
        self.page: Page = context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("request", self._see)
        machine = self.page.evaluate("Date.now()")
        off = int(shop.outer.clock.now().timestamp() * 1000) - machine + skew_ms
        for script in (RIGHT_CLOCK % off, LAMP, EVENTS):
            context.add_init_script(script)

    def _hear(self, said: Any) -> None:
        if said.type in ("error", "warning"):
            self.trouble.append(f"{said.text} {said.location.get('url')}")

    def _see(self, sent: Any) -> None:
        self.asked.append((sent.method, sent.url, sent.post_data or "", sent.headers))

    def open(self, look: str = "lang=zh-CN") -> Page:
        """Sign in, and wait for the code."""
        self.page.goto(f"{self.url}/?{look}")
        self.page.click("form button")
        self.page.wait_for_selector("huzheng-code .code svg")
        return self.page

    @property
    def showing_id(self) -> str:
        return str(self.page.evaluate("document.querySelector('huzheng-code').showing.showing_id"))

    def claimed(self, found: str | None = None, look: str = "lang=zh-CN", **sheet: Any) -> dict[str, Any]:
        """Show, and be asked by a counter."""
        self.open(look)
        written = self.shop.ask(self.showing_id, found=found, **sheet)
        self.page.wait_for_selector("huzheng-code .two")
        return written

    def fill_in(self) -> None:
        self.page.click("label.digit >> nth=0")
        self.page.check("[name=declaration]")

    def press(self, key: str) -> None:
        self.page.click(f"[data-key={key}]")

    def count(self, what: str) -> int:
        return sum(f"{method} {url}".startswith(what.replace("/", f"{self.url}/", 1)) for method, url, *_ in self.asked)

    def title(self) -> Any:
        return self.page.locator("huzheng-code .title")

    def heard(self, name: str) -> list[dict[str, Any]]:
        return [detail for told, detail in self.page.evaluate("window.heard") if told == name]

    def picture(self, name: str) -> None:
        if PICTURES:
            self.page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


@pytest.fixture
def pick_up(chromium: Browser, served: tuple[Shop, str]) -> Iterator[Callable[..., Hand]]:
    """Makes phones, and asserts at the end that their browsers complained about nothing."""
    hands: list[Hand] = []

    def make(skew_ms: int = 0, **options: Any) -> Hand:
        shop, url = served
        context = chromium.new_context(**{"viewport": PHONE, "locale": "zh-CN", "device_scale_factor": 2, **options})
        hands.append(Hand(shop, url, context, skew_ms))
        return hands[-1]

    yield make
    trouble = [each for hand in hands for each in hand.trouble]
    for hand in hands:
        hand.context.close()
    assert trouble == []


@pytest.fixture
def hand(pick_up: Callable[..., Hand]) -> Hand:
    return pick_up()


def read_screen(page: Page) -> str:
    pixels = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    (found,) = zxingcpp.read_barcodes(pixels, formats=zxingcpp.BarcodeFormat.QRCode)
    return str(found.text)


def usable(page: Page) -> None:
    found = axe_module.Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


# A visit ------------------------------------------------------------------------------------------------------


def test_a_visit_from_the_code_to_the_receipt(hand: Hand) -> None:
    page, shop = hand.open(), hand.shop
    assert read_screen(page).startswith(PREFIX)
    showing_id = hand.showing_id
    row = shop.outer.row(showing_id)
    holder = open_holder(row.holder_jwt, shop.outer.app.extensions["wallet_api"].keys, province="31", now=row.opened_at)
    assert holder.person(shop.outer.envelope_key) == PERSON

    found = holdings(certificate(), certificate("34", status="SUPERSEDED", n=3), certificate("31", "divorce", n=2))
    sheet = shop.ask(showing_id, found=found)
    expect(hand.title()).to_have_text("有窗口请求查看您的证照")
    expect(hand.title()).to_be_focused()
    expect(page.locator("huzheng-code .says")).to_have_text("有窗口请求查看您的证照")
    expect(page.locator("[name=certificate]")).to_have_count(2)  # of the kind that is asked for
    page.check("[name=certificate] >> nth=0")
    page.click("label.digit >> nth=1")
    page.check("[name=declaration]")
    hand.press("agree")
    expect(hand.title()).to_have_text("已提交，正在核验")

    answered = shop.outer.row(showing_id)
    approval = open_approval(
        answered.approval_jwt,
        holder.device,
        province="31",
        request_digest=sheet["request"],
        now=shop.outer.clock.now(),
    )
    assert (approval.decision, approval.certificate) == (Decision.AGREE, certificate()["certificate"])
    assert (approval.digits, approval.declarations) == (sheet["digits"][1], ("marital_status",))

    assert shop.outer.move(showing_id, "consent")
    expect(page.locator("[data-key=withdraw]")).to_be_visible()
    shop.deliver(showing_id, "holder_match", "registration_date")
    expect(hand.title()).to_have_text("已提供")
    expect(page.locator(".facts")).to_contain_text("登记日期")
    expect(page.locator(".facts")).to_contain_text("徐汇区不动产登记中心")
    expect(page.locator(".facts")).not_to_contain_text("证照字号")
    with page.expect_download() as download:
        hand.press("receipt")
    assert Path(download.value.path()).read_text() == "eyJhbGciOiJFZERTQSJ9.e30.c2ln"
    states = [each["state"] for each in hand.heard("huzheng-state")]
    assert states == ["OPEN", "CLAIMED", "ANSWERED", "CONSENTED", "DELIVERED"]
    assert hand.heard("huzheng-error") == []

    # Only our own server was asked, only for JSON, and it saw the public half of the key.
    assert all(url.startswith((hand.url, "blob:")) for _, url, *_ in hand.asked)
    (shown,) = [body for method, url, body, _ in hand.asked if url.endswith("/wallet/show")]
    assert set(json.loads(shown)["device"]) == {"crv", "kty", "x", "y"}
    before = hand.count("GET /wallet/state")
    with pytest.raises(playwright_api.TimeoutError), page.expect_request("**/wallet/**", timeout=1500):
        pass
    assert hand.count("GET /wallet/state") == before  # what has ended is not polled


def test_a_reloaded_page_goes_on_where_it_was(hand: Hand) -> None:
    hand.claimed()
    showing_id = hand.showing_id
    hand.page.reload()
    hand.page.wait_for_selector("huzheng-code .two")
    assert hand.showing_id == showing_id
    hand.fill_in()
    hand.press("agree")
    expect(hand.title()).to_have_text("已提交，正在核验")


def test_declining_needs_nothing_and_is_as_easy_as_agreeing(hand: Hand) -> None:
    hand.claimed()
    agree, decline = (hand.page.locator(f"[data-key={key}]").bounding_box() for key in ("agree", "decline"))
    assert (agree["width"], agree["height"], agree["y"]) == (decline["width"], decline["height"], decline["y"])
    showing_id = hand.showing_id
    hand.press("decline")
    expect(hand.title()).to_have_text("已提交，正在核验")
    assert hand.shop.outer.move(showing_id, "decline", reason="DECLINED")
    expect(hand.title()).to_have_text("您没有同意")
    expect(hand.page.locator("huzheng-code")).to_contain_text("没有提供任何信息")


def test_a_consent_is_withdrawn_and_the_page_says_withdrawing_first(hand: Hand) -> None:
    hand.claimed()
    showing_id = hand.showing_id
    hand.fill_in()
    hand.press("agree")
    expect(hand.title()).to_have_text("已提交，正在核验")
    assert hand.shop.outer.move(showing_id, "consent")
    hand.press("withdraw")
    expect(hand.title()).to_have_text("正在撤回")
    assert hand.shop.outer.move(showing_id, "withdrawn", reason="WITHDRAWN")
    expect(hand.title()).to_have_text("授权已撤回")
    hand.press("again")
    hand.page.wait_for_selector("huzheng-code .code svg")
    assert hand.showing_id != showing_id


@contextmanager
def in_front_of(stage: Stage, who: Persona) -> Iterator[str]:
    """The sample app for one citizen, as a vendor of the real country; gives its address."""
    code = who.province
    vendor = json.loads((stage.folder / "vendors.json").read_text(encoding="utf-8"))[code]
    with (
        socket.create_server(("127.0.0.1", 0)) as front,
        socket.create_server(("127.0.0.1", 0)) as back,
        listening(stage.country.wallets[code], back),
    ):
        wallet = Wallet(
            f"http://127.0.0.1:{back.getsockname()[1]}",
            vendor["client_id"],
            Path(vendor["key"]).read_text(encoding="utf-8"),
            audience=wallet_url(code),
            times=Times(wall=lambda: stage.clock.now().timestamp()),
        )
        app = stage.country.app(code)
        login = Login(app.login_key.issuer, code, app.login_key.pem(), app.inner.text)
        module = sample_module()
        citizen = module.Citizen(sub="pairwise-element", name=who.name, id_number=who.id_number)
        sample = module.create_app(wallet, login, {"someone": citizen}, webhook_secret=SECRET)
        with listening(sample, front):
            yield f"http://127.0.0.1:{front.getsockname()[1]}"


def agree(page: Page, scene: Scene) -> None:
    """Compare the digits, pick, declare, agree; the country does the rest."""
    page.check("[name=certificate] >> nth=0")
    page.check(f"[data-key=digits-{scene.view().digits}]")
    for box in page.locator("[name=declaration]").all():
        box.check()
    page.click("[data-key=agree]")
    expect(page.locator("huzheng-code .title")).to_have_text("已提交，正在核验")
    assert scene.finish().state == "PASSED"
    expect(page.locator("huzheng-code .title")).to_have_text("已提供")


def test_a_visit_through_three_provinces_ends_with_a_receipt_on_every_side(chromium: Browser, stage: Stage) -> None:
    """Shanghai's app, Jiangsu's counter, Zhejiang's library: the element in the middle of the real country."""
    who, code = pair("31", "33"), "31"
    with in_front_of(stage, who) as url, chromium.new_context(viewport=PHONE, locale="zh-CN") as context:
        page = context.new_page()
        page.goto(f"{url}/?lang=zh-CN")
        page.click("form button")
        page.wait_for_selector("huzheng-code .code svg")
        scene = stage.scanned(who, cast(Any, None), "32", code=read_screen(page))
        scene.asked_and_shown()
        agree(page, scene)
        with page.expect_download() as download:
            page.click("[data-key=receipt]")
        receipt = Path(download.value.path()).read_text(encoding="utf-8")
    stage.books()
    row, ring = scene.row(), stage.province(code).office.ring
    ours = open_receipt(receipt, ring, side="citizen", now=stage.clock.now()).claims
    theirs = open_receipt(row.receipt, ring, side="unit", now=stage.clock.now()).claims
    assert ours["req"] == theirs["req"] == row.request_digest
    assert ours["outcome"] == theirs["outcome"] == "PASSED"
    assert ours["consent"] is not None
    assert [ours[each] for each in ("consent", "unit", "fields")] == [
        theirs[each] for each in ("consent", "unit", "fields")
    ]


# The sheet ----------------------------------------------------------------------------------------------------


def test_the_sheet_reads_in_the_order_of_the_law_and_in_the_registers_words(hand: Hand) -> None:
    hand.claimed()
    headings = hand.page.locator("huzheng-code h3, huzheng-code legend").all_inner_texts()
    assert headings == [
        "谁在请求",
        "办什么事",
        "哪一份证照",
        "会提供这些信息",
        "不会提供",
        "为什么可以",
        "保存多久",
        "核对数字",
        "声明",
    ]
    for text in ("徐汇区不动产登记中心", "徐汇区南宁路999号", "7号窗口", "沪民婚发〔2024〕4号", "随登记档案保存"):
        expect(hand.page.locator("huzheng-code")).to_contain_text(text)
    assert hand.page.locator(".cause b").count() == 0
    expect(hand.page.locator(".cause q")).to_have_text("核对共有人 <b>婚姻状况</b>")
    expect(hand.page.locator(".digit")).to_have_count(3)
    assert hand.page.locator("[name=declaration]:checked, [name=digits]:checked").count() == 0
    assert hand.page.locator("[name=certificate]:checked").count() == 1  # the only one


def test_a_sheet_without_declaration_or_digits_shows_no_empty_box(hand: Hand) -> None:
    hand.claimed(declare=False)
    expect(hand.page.locator("[name=declaration]")).to_have_count(0)
    hand.page.click("label.digit >> nth=0")
    hand.press("agree")
    expect(hand.title()).to_have_text("已提交，正在核验")


def test_an_agreement_that_lacks_something_is_not_sent_and_says_what(hand: Hand) -> None:
    hand.claimed(holdings(certificate(), certificate("31", n=2)))
    for said, then in (
        ("请先选择一份证照", "[name=certificate] >> nth=1"),
        ("请先点选窗口屏幕上的两位数字", "label.digit >> nth=2"),
        ("请先勾选声明", "[name=declaration]"),
    ):
        hand.press("agree")
        expect(hand.page.locator("huzheng-code .error")).to_have_text(said)
        hand.page.click(then)
    assert hand.shop.outer.row(hand.showing_id).state == "CLAIMED"
    hand.press("agree")
    expect(hand.title()).to_have_text("已提交，正在核验")


def test_a_change_of_language_keeps_what_was_chosen(hand: Hand) -> None:
    hand.claimed()
    hand.fill_in()
    hand.page.evaluate("document.querySelector('huzheng-code').setAttribute('lang', 'en')")
    expect(hand.title()).to_have_text("A counter asks to see your certificate")
    expect(hand.page.locator("huzheng-code .window")).to_have_text("7号窗口")
    expect(hand.page.locator("huzheng-code")).to_contain_text("Xuhui Real Estate Registry")
    assert hand.page.locator("[name=declaration]:checked, [name=digits]:checked").count() == 2


def test_the_whole_answer_can_be_given_from_the_keyboard(hand: Hand) -> None:
    hand.claimed()
    page = hand.page
    expect(hand.title()).to_be_focused()
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        key = page.evaluate("document.querySelector('huzheng-code').shadowRoot.activeElement.getAttribute('data-key')")
        reached.append(key.split("-")[0])
        if reached[-1] in ("digits", "declare"):
            page.keyboard.press("Space")
        if reached[-1] == "agree":
            page.keyboard.press("Enter")
    assert reached == ["certificate", "digits", "declare", "decline", "agree"]
    expect(hand.title()).to_have_text("已提交，正在核验")


def test_an_answer_whose_reply_was_lost_is_sent_again_as_it_was(hand: Hand) -> None:
    hand.claimed()
    sent: list[str] = []

    def lose_the_reply(route: Any) -> None:
        sent.append(route.request.post_data)
        if len(sent) == 1:
            route.fetch()  # it arrives
            route.abort()  # and its answer does not
        else:
            route.continue_()

    hand.page.route("**/wallet/answer", lose_the_reply)
    hand.page.route("**/wallet/state", lambda route: route.abort())
    hand.fill_in()
    hand.press("agree")
    expect(hand.page.locator("huzheng-code .error")).to_contain_text("网络不通")
    hand.press("agree")
    hand.page.unroute("**/wallet/state")
    expect(hand.title()).to_have_text("已提交，正在核验")
    assert len(sent) == 2
    assert sent[0] == sent[1]
    hand.trouble.clear()  # the browser names the requests that we broke


def test_a_refused_answer_is_told_in_the_registers_sentence(hand: Hand) -> None:
    hand.claimed()
    hand.fill_in()
    told = {"zh": "暂时不能处理。", "en": "Not now."}
    problem = {"code": "STATE_FORBIDS", "sentences": told, "next": told, "request_id": "r-1", "facts": {}}
    hand.page.route("**/wallet/answer", lambda route: route.fulfill(status=409, body=json.dumps(problem)))
    hand.press("agree")
    expect(hand.page.locator("huzheng-code .error")).to_have_text("暂时不能处理。 暂时不能处理。")
    (detail,) = hand.heard("huzheng-error")
    assert (detail["code"], detail["requestId"], detail["offline"]) == ("STATE_FORBIDS", "r-1", False)
    hand.trouble.clear()


# The key ------------------------------------------------------------------------------------------------------

KEYS = """async () => {
  const code = await import("/static/huzheng-code.js");
  const [one, again, other] = [await code.deviceFor("zhang-wei"), await code.deviceOf("zhang-wei"), await code.deviceFor("b")];
  let taken = "taken out";
  try { await crypto.subtle.exportKey("jwk", one.privateKey); } catch (problem) { taken = problem.name; }
  await code.forgetDevice("b");
  return {
    taken, extractable: again.privateKey.extractable, usages: again.privateKey.usages, kid: one.kid,
    same: one.kid === again.kid, other: one.kid !== other.kid, forgotten: (await code.deviceOf("b")) === undefined,
  };
}"""


def test_the_key_cannot_be_taken_out_and_each_account_has_its_own(hand: Hand) -> None:
    hand.open()
    found = hand.page.evaluate(KEYS)
    assert found.pop("kid") == hand.shop.outer.row(hand.showing_id).device_kid
    assert found == {
        "taken": "InvalidAccessError",
        "extractable": False,
        "usages": ["sign"],
        "same": True,
        "other": True,
        "forgotten": True,
    }
    assert hand.page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0


def test_a_phone_that_has_lost_its_key_cannot_answer_and_says_so(hand: Hand) -> None:
    hand.claimed()
    hand.fill_in()
    hand.page.evaluate("async () => (await import('/static/huzheng-code.js')).forgetDevice('zhang-wei')")
    hand.press("agree")
    expect(hand.page.locator("huzheng-code .error")).to_have_text("本机没有登录时的签名钥匙，请重新出示。")
    assert [each["code"] for each in hand.heard("huzheng-error")] == ["NO_KEY"]
    assert hand.shop.outer.row(hand.showing_id).state == "CLAIMED"


# The code -----------------------------------------------------------------------------------------------------


def test_the_code_is_renewed_when_the_server_says_so(hand: Hand) -> None:
    hand.page.clock.install()
    hand.open()
    first = read_screen(hand.page)
    hand.shop.outer.clock.advance(31)  # type: ignore[attr-defined]
    with hand.page.expect_response("**/wallet/code"):
        hand.page.clock.fast_forward(31_000)
    expect(hand.page.locator(".countdown span")).to_have_text(re.compile(r"^(2\d|30)秒后更新$"))
    assert read_screen(hand.page) != first
    assert 20 <= hand.page.locator("progress").evaluate("(bar) => bar.value") <= 30


def test_a_hidden_page_asks_nothing_and_renews_at_once_when_it_is_seen_again(hand: Hand) -> None:
    hand.page.clock.install()
    page = hand.open()
    assert page.evaluate("window.lamps") == {"taken": 1, "released": 0}
    with page.expect_response("**/wallet/state"):
        page.clock.run_for(1500)
    page.evaluate(HIDE, True)
    assert page.evaluate("window.lamps") == {"taken": 1, "released": 1}
    asked = len(hand.asked)
    page.clock.run_for(45_000)
    assert len(hand.asked) == asked
    with page.expect_response("**/wallet/code"), page.expect_response("**/wallet/state"):
        page.evaluate(HIDE, False)
    assert page.evaluate("window.lamps")["taken"] == 2


def test_the_light_goes_out_with_the_code(hand: Hand) -> None:
    hand.claimed()
    assert hand.page.evaluate("window.lamps") == {"taken": 1, "released": 1}


def test_without_a_network_the_code_is_covered_once_it_is_no_longer_good(hand: Hand) -> None:
    hand.page.clock.install()
    hand.open()
    hand.context.set_offline(True)
    hand.page.clock.fast_forward(31_000)
    expect(hand.page.locator("huzheng-code .note")).to_have_text("网络不通，正在重试。")
    expect(hand.page.locator("huzheng-code .code")).to_be_visible()  # the counter still takes it
    hand.page.clock.fast_forward(31_000)
    expect(hand.page.locator("huzheng-code .cover")).to_have_text("二维码已过期，联网后自动更新。")
    expect(hand.page.locator("huzheng-code .code")).to_be_hidden()
    hand.context.set_offline(False)
    hand.page.clock.fast_forward(3_000)
    expect(hand.page.locator("huzheng-code .code")).to_be_visible()
    expect(hand.page.locator("huzheng-code .note")).to_have_text("")
    hand.trouble.clear()


@pytest.mark.parametrize(("minutes", "word"), [(3, "快3分钟"), (-12, "慢12分钟")])
def test_a_phone_whose_clock_is_wrong_is_told_by_how_much_and_its_code_still_works(
    pick_up: Callable[..., Hand], minutes: int, word: str
) -> None:
    hand = pick_up(skew_ms=minutes * 60_000)
    page = hand.open()
    expect(page.locator("huzheng-code .clock")).to_contain_text(word)
    assert [each["facts"] for each in hand.heard("huzheng-error")] == [{"minutes": minutes}]
    hand.shop.ask(hand.showing_id)
    page.wait_for_selector("huzheng-code .two")
    hand.fill_in()
    hand.press("agree")
    expect(hand.title()).to_have_text("已提交，正在核验")  # signed on the server's time


def test_a_right_clock_is_not_spoken_of(hand: Hand) -> None:
    hand.open()
    expect(hand.page.locator("huzheng-code .clock")).to_have_text("")


def test_a_picture_that_is_more_than_a_picture_is_drawn_without_the_rest(hand: Hand) -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="window.bad=1"><script>window.bad=2</script>'
        '<style>*{}</style><image href="//evil.example/x"/><foreignObject><p>x</p></foreignObject>'
        '<a href="javascript:0"><rect/></a><path d="M0 0h9v9z" style="fill:red" onclick="bad()"/></svg>'
    )
    body = json.dumps({"svg": svg, "refresh_in": 20, "server_time": "2026-11-24T09:00:00Z"})
    hand.page.route("**/wallet/code", lambda route: route.fulfill(status=200, body=body))
    hand.open()
    assert hand.page.locator(".code svg").evaluate("(node) => node.outerHTML") == (
        '<svg viewBox="0 0 9 9"><path d="M0 0h9v9z"></path></svg>'
    )
    assert hand.page.evaluate("window.bad") is None
    hand.trouble.clear()  # the browser says what its policy kept away even while it was only read


def test_who_cannot_be_scanned_gets_twelve_digits_for_a_minute(hand: Hand) -> None:
    hand.page.clock.install()
    page = hand.open()
    assert hand.count("POST /wallet/twin") == 0  # only when the citizen asks
    page.click("huzheng-code summary")
    hand.press("twin")
    expect(page.locator("huzheng-code .twin")).to_have_text(re.compile(r"^\d{4} \d{4} \d{4}$"))
    expect(page.locator("huzheng-code details")).to_contain_text(re.compile(r"请让窗口输入这12位数字，[56]\d秒内有效"))
    hand.picture("twin")
    page.clock.fast_forward(61_000)
    expect(page.locator("huzheng-code .twin")).to_have_count(0)
    expect(page.locator("[data-key=twin]")).to_be_visible()


def test_stopping_ends_the_showing_and_offers_another(hand: Hand) -> None:
    hand.open()
    showing_id = hand.showing_id
    hand.press("close")
    expect(hand.title()).to_have_text("出示已结束")
    assert hand.shop.outer.row(showing_id).state == "EXPIRED"


# The page around it -------------------------------------------------------------------------------------------


def test_the_readmes_script_runs_and_its_header_goes_along(hand: Hand) -> None:
    (block,) = re.findall(r"^```js\n(.*?)^```", (SDK / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    (html,) = re.findall(r"^```html\n(.*?)^```", (SDK / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    page = f"<!doctype html><title>x</title>{html}<script type='module' src='/readme.js'></script>"
    hand.open()
    hand.page.route("**/readme", lambda route: route.fulfill(status=200, content_type="text/html", body=page))
    script = block.replace("…", "token-17")
    hand.page.route(
        "**/readme.js", lambda route: route.fulfill(status=200, content_type="text/javascript", body=script)
    )
    said: list[str] = []
    hand.page.on("console", lambda message: said.append(message.text))
    hand.page.goto(f"{hand.url}/readme")
    hand.page.wait_for_selector("huzheng-code .code svg")
    assert said[0].startswith("OPEN ")
    sent = [headers.get("x-csrf-token") for _, url, _, headers in hand.asked if url.endswith("/wallet/code")]
    assert sent[-1] == "token-17"


def test_a_browser_that_cannot_construct_style_sheets_gets_the_linked_one(hand: Hand) -> None:
    hand.context.add_init_script("delete ShadowRoot.prototype.adoptedStyleSheets")
    hand.open()
    expect(hand.page.locator("huzheng-code link[rel=stylesheet]")).to_have_attribute(
        "href", f"{hand.url}/static/huzheng-code.css"
    )
    expect(hand.page.locator("[data-key=close]")).to_have_css("border-radius", "12px")


def test_it_waits_where_it_was_told_to_wait(hand: Hand) -> None:
    hand.open()
    hand.press("close")
    expect(hand.title()).to_have_text("出示已结束")
    page = "<!doctype html><title>x</title><script type='module' src='/static/huzheng-code.js'></script>"
    body = f"{page}<huzheng-code base='/wallet' account='zhang-wei' lang='en' manual></huzheng-code>"
    hand.page.route("**/manual", lambda route: route.fulfill(status=200, content_type="text/html", body=body))
    hand.page.goto(f"{hand.url}/manual")
    hand.press("show")
    hand.page.wait_for_selector("huzheng-code .code svg")


def test_who_is_not_signed_in_is_told_so(hand: Hand) -> None:
    page = "<!doctype html><title>x</title><script type='module' src='/static/huzheng-code.js'></script>"
    body = f"{page}<huzheng-code base='/wallet' account='zhang-wei' lang='en'></huzheng-code>"
    hand.page.route("**/stranger", lambda route: route.fulfill(status=200, content_type="text/html", body=body))
    hand.page.goto(f"{hand.url}/stranger")
    expect(hand.title()).to_have_text("That did not work")
    expect(hand.page.locator("huzheng-code")).to_contain_text("Please sign in again.")
    assert [each["code"] for each in hand.heard("huzheng-error")] == ["HTTP_401"]
    hand.trouble.clear()


def styles(page: Page, selector: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = page.locator(selector).evaluate_all(
        """(nodes) => nodes.filter((node) => node.offsetParent && node.innerText.trim()).map((node) => {
             const style = getComputedStyle(node);
             const box = node.getBoundingClientRect();
             const size = parseFloat(style.fontSize);
             return {size, line: parseFloat(style.lineHeight) / size, width: box.width, height: box.height};
           })"""
    )
    return found


LOOKS = [("zh-CN", "normal"), ("en", "large"), ("zh-CN", "large"), ("en", "normal")]


@pytest.mark.parametrize(("lang", "size"), count(LOOKS, LOOKS[:2]))
def test_every_view_is_legible_and_axe_finds_nothing(pick_up: Callable[..., Hand], lang: str, size: str) -> None:
    hand = pick_up()
    look = f"lang={lang}" + ("&large=1" if size == "large" else "")
    touch, text, largest = (60, 18, 30) if size == "large" else (44, 15, 20)

    def legible(name: str) -> None:
        usable(hand.page)
        hand.picture(f"{name}-{lang}-{size}")
        read = styles(
            hand.page, "huzheng-code p, huzheng-code li, huzheng-code h3, huzheng-code legend, huzheng-code dd"
        )
        assert min(each["size"] for each in read) >= text
        assert min(each["line"] for each in read) >= 1.29
        assert max(each["size"] for each in styles(hand.page, "huzheng-code .title")) >= largest
        for each in styles(hand.page, "huzheng-code button, huzheng-code .choice, huzheng-code .digit, summary"):
            assert min(each["width"], each["height"]) >= touch
        wide = hand.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE["width"]

    hand.open(look)
    frame = hand.page.locator("huzheng-code .code svg").bounding_box()
    assert frame["width"] >= 0.6 * PHONE["width"]
    assert read_screen(hand.page).startswith(PREFIX)
    legible("code")
    showing_id = hand.showing_id
    hand.shop.ask(showing_id, found=holdings(certificate(), certificate("34", status="SUPERSEDED", n=3)))
    hand.page.wait_for_selector("huzheng-code .two")
    hand.page.check("[name=certificate] >> nth=0")
    hand.fill_in()
    legible("sheet")
    hand.press("agree")
    hand.page.wait_for_selector("huzheng-code .outcome")
    assert hand.shop.outer.move(showing_id, "consent")
    hand.page.wait_for_selector("[data-key=withdraw]")
    legible("consented")
    hand.shop.deliver(showing_id, "holder_match", "registration_date")
    hand.page.wait_for_selector("huzheng-code .facts")
    legible("result")


# The history, and the counter's code ---------------------------------------------------------------------------


def looking_back(hand: Hand, look: str, *entries: dict[str, Any], silent: tuple[str, ...] = ()) -> Page:
    """Sign in with the history in view, and let the provinces answer."""
    hand.page.goto(f"{hand.url}/?view=history&{look}")
    hand.page.click("form button")
    answered(hand, "history", {"entries": entries, "silent": silent, "earlier": None})
    hand.page.wait_for_selector("huzheng-code [role=status].part", state="detached")
    return hand.page


def answered(hand: Hand, kind: str, found: dict[str, Any]) -> None:
    """Answer what the element has asked the provinces; its question comes with its request."""
    for _ in range(200):
        if hand.shop.answer(kind, found):
            return
        hand.page.wait_for_timeout(50)
    raise AssertionError("the element asks for nothing")


def test_who_saw_my_certificates_is_read_and_objected_to(pick_up: Callable[..., Hand]) -> None:
    hand = pick_up()
    given = past_entry(2)
    refused = past_entry(1, "REFUSED", "HOLDER_MISMATCH", unit_zh=None, unit_en=None, receipt=None)
    page = looking_back(hand, "lang=zh-CN", given, refused, silent=("34",))
    expect(hand.title()).to_have_text("谁看过我的证照")
    expect(page.locator("huzheng-code .note >> nth=1")).to_contain_text("有省份暂时没有答复")
    first, second = page.locator("huzheng-code .past").all()
    expect(first.locator("summary")).to_contain_text("已提供")
    expect(first.locator("summary")).to_contain_text("南京市玄武区不动产登记中心")
    expect(second.locator("summary")).to_contain_text("没有提供")
    expect(second.locator("summary")).to_contain_text(given["unit"])  # a name that no register knew is not made up
    hand.picture("history")
    usable(page)
    first.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(first).to_contain_text("证照字号")
    expect(first).to_contain_text("case 2026-0001")
    with page.expect_download() as download:
        hand.press(f"'receipt-{given['entry']}'")
    assert Path(download.value.path()).read_text(encoding="utf-8") == given["receipt"]
    hand.press(f"'wrong-{given['entry']}'")
    hand.press("object")
    expect(first.locator(".error")).to_have_text("请先选择一种情况")
    page.check("[value=DATA_WRONG]")
    page.fill("[data-key=words]", "登记日期不对")
    hand.picture("history-objection")
    usable(page)
    hand.press("object")
    answered(hand, "objection", {"number": "31-000017"})
    expect(first).to_contain_text("您的异议31-000017正在处理")
    sent = [
        json.loads(body)
        for method, url, body, _ in hand.asked
        if (method, url) == ("POST", f"{hand.url}/wallet/objection")
    ]
    assert [(each["entry"], each["kind"], each["text"]) for each in sent] == [
        (given["entry"], "DATA_WRONG", "登记日期不对")
    ]
    assert not any(given["entry"] in url for _, url, *_ in hand.asked)


def test_an_empty_history_says_so_in_large_english(pick_up: Callable[..., Hand]) -> None:
    hand = pick_up()
    page = looking_back(hand, "lang=en&large=1")
    expect(hand.title()).to_have_text("Who saw my certificates")
    expect(page.locator("huzheng-code .view")).to_contain_text("No counter has asked about your certificates yet.")
    expect(page.locator("huzheng-code .note >> nth=0")).to_be_empty()
    page.evaluate("document.querySelector('huzheng-code').removeAttribute('view')")  # from the history to the code
    page.wait_for_selector("huzheng-code .code svg")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_what_is_no_counters_code_is_said_on_the_phone(pick_up: Callable[..., Hand]) -> None:
    hand = pick_up()
    page = hand.open("lang=en")
    hand.press("scan")
    expect(hand.title()).to_have_text("Scan the counter's code")
    page.fill("[data-key=counter]", "https://example.com/pay")
    hand.press("send")
    expect(page.locator("huzheng-code .error")).to_have_text("That is not a counter's code.")
    hand.picture("scan")
    usable(page)
    assert hand.count("POST /wallet/counter") == 0
    hand.press("back")
    page.wait_for_selector("huzheng-code .code svg")
    assert page.evaluate("document.querySelector('huzheng-code').shadowRoot.activeElement.dataset.key") == "scan"


# Agreeing beforehand ------------------------------------------------------------------------------------------


def reading_an_offer(hand: Hand, look: str = "lang=zh-CN", offer: dict[str, Any] | None = None) -> Page:
    """Show, choose Jiangsu, one of its units and a matter, and read what the register says."""
    page = hand.open(f"express=1&{look}")
    hand.press("before")
    hand.press("province-32")
    answered(hand, "offer", {"units": [ROW]})
    hand.press(f"unit-{ROW['unit']}")
    with page.expect_response("**/wallet/certificates"):
        hand.press("'matter-realestate.register-marriage'")
    answered(hand, "offer", offer or offer_of())
    answered(hand, "holdings", json.loads(holdings(certificate(), certificate("31", "divorce", n=2))))
    page.wait_for_selector("huzheng-code [name=certificate]")
    return page


def agreed_beforehand(hand: Hand, look: str = "lang=zh-CN") -> str:
    """All of it; returns the showing for which it stands."""
    page = reading_an_offer(hand, look)
    page.check("[name=declaration]")
    hand.press("agree")
    page.wait_for_selector("huzheng-code .stands")
    return hand.showing_id


def standing_of(hand: Hand, showing_id: str) -> str | None:
    with reading(hand.shop.outer.engine) as connection:
        return standings.find(connection, showing_id)


def focused(page: Page) -> Any:
    return page.evaluate("document.querySelector('huzheng-code').shadowRoot.activeElement.getAttribute('data-key')")


def test_what_was_read_beforehand_is_signed_and_is_taken_back_with_one_tap(hand: Hand) -> None:
    page = reading_an_offer(hand)
    before, view = hand.showing_id, page.locator("huzheng-code .view")
    expect(hand.title()).to_have_text("请看清后再决定")
    for text in (
        ROW["name_zh"],
        "不动产登记",
        "登记日期",
        "沪民婚发〔2024〕4号",
        "随登记档案保存",
        "10分钟内扫一次有效",
    ):
        expect(view).to_contain_text(text)
    assert page.locator("[name=declaration]:checked").count() == 0
    expect(page.locator("[name=certificate]")).to_have_count(1)  # of the kind that is offered
    usable(page)
    hand.picture("before-offer")
    hand.press("agree")
    expect(page.locator("huzheng-code .error")).to_have_text("请先勾选声明")
    assert hand.count("PUT /wallet/standing") == 0
    page.check("[name=declaration]")
    hand.press("agree")
    expect(page.locator("huzheng-code .stands")).to_contain_text(f"已提前同意：{ROW['name_zh']} · 不动产登记")
    expect(page.locator("huzheng-code .stands-left")).to_have_text(re.compile(r"还剩(9|10):\d\d"))
    assert focused(page) == "take-back"
    page.wait_for_selector("huzheng-code .code svg")
    usable(page)
    hand.picture("before-stands")

    showing_id, shop = hand.showing_id, hand.shop
    assert showing_id != before, "a fresh code, so that it has its full time"
    row, text = shop.outer.row(showing_id), standing_of(hand, showing_id)
    assert text is not None
    holder = open_holder(row.holder_jwt, shop.outer.app.extensions["wallet_api"].keys, province="31", now=row.opened_at)
    found = open_standing(text, holder.device, province="31", showing_id=showing_id, now=shop.outer.clock.now())
    assert (found.unit, found.matter) == (ROW["unit"], "realestate.register")
    assert (found.certificate, found.declarations) == (certificate()["certificate"], ("marital_status",))
    assert found.offer == offer_digest(offer_of()["offer"])

    page.reload()
    expect(page.locator("huzheng-code .stands")).to_contain_text(ROW["name_zh"])
    assert hand.showing_id == showing_id
    expect(page.locator("[data-key=before]")).to_have_count(0)
    hand.press("take-back")
    expect(page.locator("huzheng-code .stands")).to_have_count(0)
    expect(page.locator("huzheng-code .says")).to_have_text("已取消。扫码之后会再问您。")
    assert focused(page) == "before"
    assert standing_of(hand, showing_id) is None
    assert hand.heard("huzheng-error") == []


def test_what_was_agreed_to_beforehand_is_over_when_its_time_is(hand: Hand) -> None:
    agreed_beforehand(hand)
    page = hand.page
    # The showing under it ends as well; what is asked here is what the element says by itself.
    page.route("**/wallet/state", lambda route: route.fulfill(status=304))
    hand.shop.outer.clock.advance(585)
    with page.expect_response("**/wallet/code"):
        page.evaluate(HIDE, False)  # the server's time comes with the next code
    expect(page.locator("huzheng-code .stands-left")).to_have_text(re.compile(r"还剩0:\d\d"))
    expect(page.locator("huzheng-code .says")).to_have_text("提前同意已过时。扫码之后会再问您。", timeout=30_000)
    expect(page.locator("huzheng-code .stands")).to_have_count(0)
    hand.trouble.clear()  # the code that is over


def test_another_request_than_the_one_agreed_to_brings_the_sheet_and_says_so(hand: Hand) -> None:
    hand.shop.ask(agreed_beforehand(hand, "lang=en&large=1"))
    expect(hand.title()).to_be_focused()
    said = "What you agreed to beforehand does not cover this request. You decide."
    expect(hand.page.locator("huzheng-code .view .note")).to_have_text(said)
    usable(hand.page)
    assert hand.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    hand.press("decline")
    expect(hand.title()).to_have_text("Sent. Being checked")


def test_going_back_from_agreeing_beforehand_is_as_near_as_going_on(pick_up: Callable[..., Hand]) -> None:
    hand = pick_up()
    page = reading_an_offer(hand, "lang=en&large=1")
    showing_id = hand.showing_id
    agree, decline = (page.locator(f"[data-key={key}]").bounding_box() for key in ("agree", "decline"))
    assert (agree["width"], agree["height"], agree["y"]) == (decline["width"], decline["height"], decline["y"])
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    usable(page)
    hand.picture("before-offer-en-large")
    hand.press("decline")
    page.wait_for_selector("huzheng-code .code svg")
    assert (focused(page), hand.showing_id, standing_of(hand, showing_id)) == ("before", showing_id, None)
    hand.press("before")
    usable(page)
    hand.press("province-34")
    answered(hand, "offer", {"units": []})
    expect(page.locator("huzheng-code .view")).to_contain_text("No unit in Anhui takes an answer beforehand.")
    hand.press("back")
    expect(hand.title()).to_have_text("Agree beforehand")
    assert focused(page) == "title"
    hand.press("province-33")
    answered(hand, "offer", {"reason": "SCOPE_NOT_LISTED"})
    expect(page.locator("huzheng-code .error")).not_to_be_empty()
    hand.press("retry")
    answered(
        hand,
        "offer",
        {"units": [{**ROW, "unit": f"12330102MB99991{n:02d}X", "name_en": f"Centre {n}."} for n in range(12)]},
    )
    page.fill("[data-key=find]", "centre 7.")
    expect(page.locator("huzheng-code .options button")).to_have_count(1)
    usable(page)
    hand.press("back")
    hand.press("back")
    page.wait_for_selector("huzheng-code .code svg")
    hand.trouble = [each for each in hand.trouble if "/wallet/offer" not in each]  # the refusal


def test_a_counter_that_asks_meanwhile_ends_agreeing_beforehand(hand: Hand) -> None:
    reading_an_offer(hand)
    hand.shop.ask(hand.showing_id)
    expect(hand.title()).to_have_text("有窗口请求查看您的证照")
    expect(hand.page.locator("huzheng-code .view .note")).to_have_count(0)


def test_agreeing_beforehand_goes_by_keyboard_alone(hand: Hand) -> None:
    page = hand.open("lang=zh-CN&express=1")

    def press(wanted: str, key: str = "Enter") -> None:
        """Tab until it has the focus, as somebody without a pointer does."""
        for _ in range(40):
            if (focused(page) if page.evaluate("document.activeElement.localName") == "huzheng-code" else "") == wanted:
                page.keyboard.press(key)
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{wanted} is not reached by Tab")

    press("before")
    expect(hand.title()).to_be_focused()
    expect(page.locator("huzheng-code .says")).to_have_text("提前同意")
    press("province-32")
    expect(page.locator("huzheng-code .says")).to_have_text("哪个单位？")
    answered(hand, "offer", {"units": [{**ROW, "matters": ROW["matters"][:1]}]})  # one matter: nothing to choose
    page.wait_for_selector("huzheng-code .options")
    with page.expect_response("**/wallet/certificates"):
        press(f"unit-{ROW['unit']}")
    answered(hand, "offer", offer_of())
    answered(hand, "holdings", json.loads(holdings(certificate())))
    page.wait_for_selector("huzheng-code [name=certificate]")
    assert focused(page) == "title"  # what came later took nobody's place away
    press("declare-marital_status", "Space")
    press("agree")
    page.wait_for_selector("huzheng-code .stands")
    assert focused(page) == "take-back"
    page.keyboard.press("Enter")
    expect(page.locator("huzheng-code .stands")).to_have_count(0)


def test_without_a_certificate_there_is_nothing_to_agree_to_beforehand(hand: Hand) -> None:
    page = hand.open("lang=zh-CN&express=1")
    hand.press("before")
    hand.press("province-32")
    answered(hand, "offer", {"units": [{**ROW, "matters": ROW["matters"][:1]}]})
    with page.expect_response("**/wallet/certificates"):
        hand.press(f"unit-{ROW['unit']}")
    answered(hand, "offer", offer_of())
    answered(hand, "holdings", json.loads(holdings(certificate("31", "divorce"))))
    expect(page.locator("huzheng-code .view")).to_contain_text("没有查到可用的结婚证，不能提前同意")
    expect(page.locator("[data-key=agree]")).to_have_count(0)
    expect(page.locator("[data-key=back]")).to_be_visible()


def film(path: Path, text: str) -> None:
    """What a phone's camera sees in front of a counter's screen that shows `text`."""
    code = np.array(
        [[0 if dark else 255 for dark in row] for row in segno.make_qr(text).matrix_iter(border=4)], np.uint8
    )
    scale = 700 // len(code)
    drawn = np.kron(code, np.ones((scale, scale), np.uint8))
    frame = np.full((720, 1280), 200, np.uint8)
    top, left = (720 - len(drawn)) // 2, (1280 - len(drawn)) // 2
    frame[top : top + len(drawn), left : left + len(drawn)] = drawn
    picture = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    path.write_bytes(picture.tobytes() * 5)


def read_picture(address: str) -> list[str]:
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(address.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    return [found.text for found in zxingcpp.read_barcodes(pixels, formats=zxingcpp.BarcodeFormat.QRCode)]


def test_the_phones_camera_reads_the_counters_code(chromium: Browser, served: tuple[Shop, str], tmp_path: Path) -> None:
    shop, url = served
    camera = tmp_path / "camera.mjpeg"
    fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    fake += [f"--use-file-for-fake-video-capture={camera}"]
    started = chromium.browser_type.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *fake], chromium_sandbox=False)
    hand = Hand(shop, url, started.new_context(viewport=PHONE, locale="zh-CN"), 0)
    hand.page.expose_function("readPicture", read_picture)
    hand.context.add_init_script(DETECTOR)
    page = hand.open("lang=en")
    # Written only now: a counter's code lives for a minute, and the browser opens the file with the camera.
    seen = seal_invitation(DESK_KEY, window="32-R1", request_id=new_id(), now=shop.outer.clock.now())
    film(camera, seen)
    with page.expect_response(lambda got: f"{got.request.method} {got.url}" == f"POST {url}/wallet/counter") as read:
        hand.press("scan")
        expect(page.get_by_label("Hold the counter's code inside the frame")).to_be_visible()
    assert json.loads(read.value.request.post_data or "") == {"counter": seen}
    expect(page.locator("[data-key=send]")).to_have_text("Contacting the counter…")
    assert shop.answer("come", {"reason": None}) == 1
    shop.ask(hand.showing_id)
    page.wait_for_selector("huzheng-code .two")
    assert page.evaluate("window.streams.map((each) => each.getTracks()[0].readyState)") == ["ended"]
    assert hand.count("POST /wallet/counter") == 1
    assert hand.trouble == []
    started.close()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("delete window.BarcodeDetector;", "This browser cannot scan codes with the camera."),
        (OTHER_KINDS, "This browser cannot scan codes with the camera."),
        (UNMAKEABLE, "This browser cannot scan codes with the camera."),
        (BLIND, "This browser cannot scan codes with the camera."),
        (CLOSED, "The camera did not open; perhaps it was not allowed."),
    ],
)
def test_a_phone_that_cannot_scan_says_why_and_takes_the_text(
    pick_up: Callable[..., Hand], script: str, told: str
) -> None:
    hand = pick_up()
    hand.context.add_init_script(script)
    page = hand.open("lang=en")
    hand.press("scan")
    expect(page.locator("huzheng-code .view .note")).to_have_text(told, timeout=20_000)
    if script == BLIND:
        assert page.evaluate("window.camera.getTracks()[0].readyState") == "ended"
    expect(page.locator("huzheng-code video")).to_have_count(0)
    usable(page)
    seen = seal_invitation(DESK_KEY, window="32-R1", request_id=new_id(), now=hand.shop.outer.clock.now())
    page.fill("[data-key=counter]", seen)
    with page.expect_response("**/wallet/counter"):
        hand.press("send")
    expect(page.locator("[data-key=send]")).to_have_text("Contacting the counter…")


@pytest.mark.full
def test_a_phone_that_reads_the_counters_code_ends_in_the_real_countrys_history(
    chromium: Browser, stage: Stage
) -> None:
    scene = stage.scene("31", "32", "33")
    type_ = scene.who.stories[0].type
    asked = ask(stage, scene.client, scene.who, code=None, matter=MATTER_OF[type_], type_=type_)
    scene = replace(scene, asked=asked)
    with in_front_of(stage, scene.who) as url, chromium.new_context(viewport=PHONE, locale="zh-CN") as context:
        page = context.new_page()
        page.goto(f"{url}/?lang=zh-CN")
        page.click("form button")
        page.click("[data-key=scan]")
        page.fill("[data-key=counter]", scene.client.invite(asked))
        with page.expect_response("**/wallet/counter"):
            page.click("[data-key=send]")
        stage.pump()
        page.wait_for_selector("huzheng-code .digits")
        agree(page, scene)
        with page.expect_response("**/wallet/history"):
            page.goto(f"{url}/?lang=zh-CN&view=history")
        stage.pump()
        expect(page.locator("huzheng-code .past summary b")).to_have_text("已提供")

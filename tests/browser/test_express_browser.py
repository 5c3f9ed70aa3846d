"""Agreeing beforehand, two people for one visit, and taking a consent back, in a real browser.

The inner network is the tester's hand (tests/phone_stage.py); the tests at the end have the whole country behind one phone,
and with `HUZHENG_PICTURES=1` renew the screenshots of these pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

from playwright.sync_api import Page, expect  # noqa: E402

from consent.b64 import new_id  # noqa: E402
from consent.receipt import open_receipt  # noqa: E402
from consent.seal import signed_digest  # noqa: E402
from consent.showing import open_holder  # noqa: E402
from consent.standing import offer_digest, open_standing  # noqa: E402
from consent.stores import standings  # noqa: E402
from consent.stores.base import reading  # noqa: E402
from consent.telling import new_log  # noqa: E402
from consent.transport import Topic  # noqa: E402
from scanner_kiosk.country.people import pair  # noqa: E402
from tests.browser import test_phone_browser as phone_browser  # noqa: E402
from tests.browser.chromium import MARKS  # noqa: E402
from tests.browser.sides import shot, usable  # noqa: E402
from tests.browser.test_phone_browser import (  # noqa: E402
    EN,
    PHONE,
    SIZES,
    TYPE,
    ZH,
    Phone,
    box,
    read_screen,
)
from tests.country import Scene  # noqa: E402
from tests.country import Stage as Country  # noqa: E402
from tests.phone_stage import Stage, certificate, holdings, serving  # noqa: E402
from tests.test_couples import number, spouse_of  # noqa: E402
from tests.test_couples import scanned as scanned_of_two  # noqa: E402
from tests.test_phone_express import ROW, offer_of  # noqa: E402
from wallet_api.__main__ import phone_pages  # noqa: E402
from wallet_api.app import create_app  # noqa: E402
from wallet_api.settings import read_settings  # noqa: E402

chromium, served, pick_up, phone = (  # fixtures
    phone_browser.chromium,
    phone_browser.served,
    phone_browser.pick_up,
    phone_browser.phone,
)

pytestmark = MARKS

AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
ONE_MATTER = {**ROW, "unit": "12320102MB9999114B", "name_zh": "住房公积金中心", "name_en": "Provident Fund Centre"}
ONE_MATTER["matters"] = ROW["matters"][:1]


def register_says(phone: Phone, found: dict[str, Any]) -> None:
    """The inner network answers the question that the page has asked."""
    phone.until(lambda: phone.stage.answer("offer", found))


def begin(phone: Phone, found: str | None = None) -> str:
    """Show, and open "agree beforehand"; returns the id of the showing."""
    phone.stage.libraries_answer(found or holdings(certificate()))
    showing_id = phone.show()
    phone.page.click("#beforehand")
    expect(phone.page.locator(".option")).to_have_count(4)
    return showing_id


def choose_unit(phone: Phone, *rows: dict[str, Any], name: str = ROW["name_zh"]) -> None:
    """Jiangsu, and one of its units."""
    phone.page.click(".option >> nth=1")
    register_says(phone, {"units": list(rows) or [ROW, ONE_MATTER]})
    phone.page.locator(".option", has_text=name).first.click()


def read(phone: Phone, found: str | None = None) -> str:
    """Everything up to the words; returns the id of the showing."""
    showing_id = begin(phone, found)
    choose_unit(phone)
    phone.page.click(".option >> nth=0")
    register_says(phone, offer_of())
    phone.page.wait_for_selector("#which .choice, #which .note")
    return showing_id


def agreed(phone: Phone) -> str:
    """All of it; returns the id of the showing for which it stands."""
    read(phone)
    phone.page.check("[name=declaration]")
    phone.page.click("#agree")
    phone.page.wait_for_selector("#stands")
    return phone.stage.newest().showing_id


def standing_of(stage: Stage, showing_id: str) -> str | None:
    with reading(stage.engine) as connection:
        return standings.find(connection, showing_id)


def test_what_was_read_is_what_the_device_signs(phone: Phone) -> None:
    before = read(phone)
    page, stage = phone.page, phone.stage
    assert page.locator("[name=declaration]:checked").count() == 0
    sheet = page.locator(".sheet")
    for text in ("登记日期", "双方出生日期、民族、户籍地址和照片", "沪民婚发〔2024〕4号", "随登记档案保存", "10分钟内"):
        expect(sheet).to_contain_text(text)
    page.click("#agree")
    expect(page.locator("#sheet-error")).to_have_text(ZH["sheet.error.declare"])
    assert standing_of(stage, before) is None
    page.check("[name=declaration]")
    page.click("#agree")
    expect(page.locator("#stands")).to_contain_text(ROW["name_zh"])
    expect(page.locator("#stands")).to_contain_text("不动产登记")
    expect(page.locator("#take-back")).to_be_focused()
    expect(page.locator("#beforehand")).to_have_count(0)
    expect(page.locator(".code img")).to_be_visible()
    row = stage.newest()
    assert row.showing_id != before, "a fresh code, so that it has its full time"
    text = standing_of(stage, row.showing_id)
    assert text is not None
    holder = open_holder(row.holder_jwt, stage.app.extensions["wallet_api"].keys, province="31", now=row.opened_at)
    now = stage.clock.now()
    found = open_standing(text, holder.device, province="31", showing_id=row.showing_id, now=now)
    assert (found.unit, found.matter) == (ROW["unit"], "realestate.register")
    assert found.certificate == certificate()["certificate"]
    assert found.declarations == ("marital_status",)
    assert found.offer == offer_digest(offer_of()["offer"])


def test_it_is_taken_back_with_one_tap_and_is_still_known_after_a_reload(phone: Phone) -> None:
    showing_id = agreed(phone)
    page = phone.page
    line = page.locator("#stands p").inner_text()
    page.reload()
    expect(page.locator("#stands p")).to_have_text(line)
    page.click("#switch-lang")
    expect(page.locator("#stands")).to_contain_text("Real-estate registration")
    page.click("#switch-lang")
    page.click("#take-back")
    expect(page.locator("#stands")).to_have_count(0)
    expect(page.locator("#beforehand")).to_be_focused()
    expect(page.locator("#says")).to_have_text(ZH["stands.gone"])
    assert standing_of(phone.stage, showing_id) is None


@pytest.mark.full
def test_it_is_no_longer_said_to_stand_when_its_time_is_over(phone: Phone) -> None:
    agreed(phone)
    # The showing under it would end as well; what is asked here is what the page says by itself.
    phone.page.route("**/phone/api/state", lambda route: route.abort())
    phone.stage.clock.advance(601)  # type: ignore[attr-defined]
    with phone.page.expect_response("**/phone/api/code"):
        phone.page.evaluate(phone_browser.HIDE, False)  # the server's time comes with any answer
    expect(phone.page.locator("#stands")).to_have_count(0)
    expect(phone.page.locator("#says")).to_have_text(ZH["stands.over"])
    phone.trouble.clear()  # the requests that we broke, and the code that is over


def test_going_back_is_as_near_as_going_on(phone: Phone) -> None:
    read(phone)
    page = phone.page
    decline, agree = box(page, "#decline"), box(page, "#agree")
    assert (agree["width"], agree["height"], agree["y"]) == (decline["width"], decline["height"], decline["y"])
    page.go_back()  # the phone's own button: one step
    expect(page.locator("h1")).to_have_text(ZH["beforehand.matter"])
    page.click("#back")
    expect(page.locator("h1")).to_have_text(ZH["beforehand.unit"])
    page.locator(".option", has_text=ONE_MATTER["name_zh"]).click()  # one matter: nothing to choose
    register_says(phone, offer_of(ONE_MATTER))
    page.wait_for_selector("#which .choice")
    expect(page.locator(".sheet")).to_contain_text(ONE_MATTER["name_zh"])
    page.click("#decline")
    expect(page.locator("#beforehand")).to_be_focused()
    expect(page.locator(".code img")).to_be_visible()
    assert standing_of(phone.stage, phone.stage.newest().showing_id) is None
    page.go_forward()  # leads nowhere
    expect(page.locator(".code img")).to_be_visible()
    page.click("#beforehand")
    page.click("#back")
    expect(page.locator("#beforehand")).to_be_focused()


@pytest.mark.full
def test_a_counter_that_asks_meanwhile_brings_the_sheet(phone: Phone) -> None:
    showing_id = begin(phone)
    phone.stage.ask(showing_id, found=holdings(certificate()))
    expect(phone.page.locator("#sheet-title")).to_be_focused()
    expect(phone.page.locator(".sheet .warn")).to_have_count(0)


def test_a_request_that_is_not_covered_brings_the_sheet_and_says_so(phone: Phone) -> None:
    phone.stage.ask(agreed(phone), found=holdings(certificate()))
    expect(phone.page.locator(".sheet .warn")).to_have_text(ZH["sheet.other"])
    phone.page.click("#decline")
    expect(phone.page.locator("h1")).to_have_text(ZH["wait.title"])


def test_what_was_given_by_it_says_so_at_the_end(phone: Phone) -> None:
    showing_id, page, stage = agreed(phone), phone.page, phone.stage
    seen: list[str] = []
    page.on("response", lambda got: seen.append(got.url) if got.url.endswith("/sheet") else None)
    stage.ask(showing_id, found=holdings(certificate()))
    stage.move(showing_id, "consent")
    expect(page.locator("h1")).to_have_text(ZH["consented.title"])
    stage.end(showing_id, "deliver", given=("registration_date",))
    expect(page.locator(".outcome.pass h1")).to_have_text(ZH["result.DELIVERED"])
    expect(page.locator(".facts")).to_contain_text(ZH["result.how.beforehand"])
    expect(page.locator(".receipt a")).to_be_visible()


@pytest.mark.full
def test_without_a_certificate_there_is_nothing_to_agree_to(phone: Phone) -> None:
    read(phone, holdings(certificate("31", "divorce")))
    expect(phone.page.locator("#which")).to_contain_text("没有查到可用的结婚证")
    expect(phone.page.locator("#agree")).to_have_count(0)
    expect(phone.page.locator("#back")).to_be_visible()


@pytest.mark.full
def test_words_that_are_not_what_the_digest_says_are_not_signed(phone: Phone) -> None:
    begin(phone)
    choose_unit(phone, ONE_MATTER, name=ONE_MATTER["name_zh"])
    found = offer_of(ONE_MATTER)
    register_says(phone, {**found, "offer": {**found["offer"], "clause": "别的"}})
    phone.page.check("[name=declaration]")
    phone.page.click("#agree")
    expect(phone.page.locator("#sheet-error")).to_have_text(ZH["beforehand.error.words"])
    assert standing_of(phone.stage, phone.stage.newest().showing_id) is None


@pytest.mark.full
def test_of_many_units_one_is_found_by_its_name_and_a_refusal_can_be_tried_again(phone: Phone) -> None:
    begin(phone)
    page = phone.page
    page.click(".option >> nth=1")
    register_says(phone, {"reason": "SCOPE_NOT_LISTED"})
    expect(page.locator("#view .warn")).to_be_visible()
    page.click("main .button >> nth=0")
    many = [{**ROW, "unit": f"12320102MB99991{n:02d}X", "name_zh": f"第{n}登记中心"} for n in range(12)]
    register_says(phone, {"units": many})
    expect(page.locator(".option")).to_have_count(12)
    page.fill("#find", "第7")
    expect(page.locator(".option")).to_have_count(1)
    page.fill("#find", "没有的")
    expect(page.locator("#units")).to_have_text(ZH["beforehand.nothing"])
    phone.trouble = [each for each in phone.trouble if "403" not in each and "422" not in each]


@pytest.mark.full
def test_it_goes_by_keyboard_alone(phone: Phone) -> None:
    page = phone.page
    phone.stage.libraries_answer(holdings(certificate()))
    phone.show()

    def press(selector: str, key: str = "Enter") -> None:
        """Tab until the element has the focus, as somebody without a pointer does."""
        for _ in range(40):
            if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
                page.keyboard.press(key)
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{selector} is not reached by Tab")

    press("#beforehand")
    expect(page.locator("h1")).to_be_focused()
    expect(page.locator("#says")).to_have_text(ZH["beforehand.title"])
    press("li:nth-child(2) > .option")
    expect(page.locator("h1")).to_have_text(ZH["beforehand.unit"])
    register_says(phone, {"units": [ONE_MATTER]})
    page.wait_for_selector(".option")
    press(".option")
    register_says(phone, offer_of(ONE_MATTER))
    page.wait_for_selector("#which .choice")
    press("[name=declaration]", "Space")
    press("#agree")
    expect(page.locator("#take-back")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#stands")).to_have_count(0)


# Two people ---------------------------------------------------------------------------------------------------


def test_of_two_people_each_reads_so_and_waits_for_the_other(phone: Phone) -> None:
    showing_id, _ = phone.asked(together=True)
    page, stage = phone.page, phone.stage
    expect(page.locator(".sheet")).to_contain_text(ZH["sheet.two.note"])
    phone.fill_in()
    page.click("#agree")
    expect(page.locator("h1")).to_have_text(ZH["wait.title"])
    stage.move(showing_id, "consent")
    expect(page.locator("h1")).to_have_text(ZH["consented.two.title"])
    expect(page.locator("#withdraw")).to_be_visible()
    stage.end(showing_id, "undetermine", "PARTNER_MISSING")
    expect(page.locator(".outcome.own h1")).to_have_text(ZH["result.PARTNER_MISSING"])
    expect(page.locator(".outcome")).to_contain_text("因对方未完成，本次未出示任何证照")
    expect(page.locator(".outcome")).to_contain_text(ZH["step.both"])
    expect(page.locator(".facts")).to_contain_text(ZH["result.nothing"])


@pytest.mark.full
def test_two_who_are_not_the_parties_read_why(phone: Phone) -> None:
    showing_id, _ = phone.asked(together=True)
    phone.fill_in()
    phone.page.click("#agree")
    expect(phone.page.locator("h1")).to_have_text(ZH["wait.title"])
    phone.stage.move(showing_id, "consent")
    phone.stage.end(showing_id, "refuse", "COUPLE_MISMATCH")
    expect(phone.page.locator(".outcome.refuse h1")).to_have_text(ZH["result.REFUSED"])
    expect(phone.page.locator(".outcome")).to_contain_text("窗口前的两人不是该证照的双方当事人")
    expect(phone.page.locator(".outcome")).to_contain_text(ZH["step.officer"])


# Taking it back -----------------------------------------------------------------------------------------------


def consented(phone: Phone) -> str:
    showing_id, _ = phone.asked()
    phone.fill_in()
    phone.page.click("#agree")
    expect(phone.page.locator("h1")).to_have_text(ZH["wait.title"])
    phone.stage.move(showing_id, "consent")
    phone.page.wait_for_selector("#withdraw")
    return showing_id


def test_a_withdrawal_that_came_too_late_is_said_to_be(phone: Phone) -> None:
    showing_id, page = consented(phone), phone.page
    page.click("#withdraw")
    expect(page.locator("h1")).to_have_text(ZH["withdrawing.title"])
    phone.stage.end(showing_id, "deliver", "WITHDRAWAL_TOO_LATE", given=("registration_date",))
    expect(page.locator(".outcome.pass h1")).to_have_text(ZH["result.WITHDRAWAL_TOO_LATE"])
    expect(page.locator(".outcome")).to_contain_text(ZH["result.WITHDRAWAL_TOO_LATE.note"])
    expect(page.locator(".facts")).to_contain_text("登记日期")
    expect(page.locator(".receipt a")).to_be_visible()
    page.reload()
    expect(page.locator("h1")).to_have_text(ZH["result.WITHDRAWAL_TOO_LATE"])


@pytest.mark.full
def test_so_is_one_that_found_everything_given_already(phone: Phone) -> None:
    showing_id, page = consented(phone), phone.page
    page.route("**/phone/api/state", lambda route: route.abort())
    phone.stage.end(showing_id, "deliver", given=("registration_date",))
    page.click("#withdraw")
    expect(page.locator(".error")).to_contain_text("不能再撤回")
    page.unroute("**/phone/api/state")
    expect(page.locator("h1")).to_have_text(ZH["result.WITHDRAWAL_TOO_LATE"])
    phone.trouble.clear()  # the requests that we broke, and the refusal that was wanted


# Looks --------------------------------------------------------------------------------------------------------


def every_view(phone: Phone, check: Callable[[str], None]) -> None:
    """Walk through all views of this file."""
    page, stage = phone.page, phone.stage
    begin(phone)
    check("province")
    page.click(".option >> nth=1")
    many = [{**ROW, "unit": f"12320102MB99991{n:02d}X"} for n in range(9)]
    register_says(phone, {"units": many})
    page.wait_for_selector("#find")
    check("unit")
    page.click(".option >> nth=0")
    check("matter")
    page.click(".option >> nth=0")
    register_says(phone, offer_of())
    page.wait_for_selector("#which .choice")
    page.click("#agree")
    check("words")
    page.check("[name=declaration]")
    page.click("#agree")
    page.wait_for_selector("#stands")
    check("stands")
    showing_id = stage.newest().showing_id
    stage.ask(showing_id, found=holdings(certificate()), together=True)
    page.wait_for_selector(".sheet .warn")
    check("sheet")
    phone.fill_in()
    page.click("#agree")
    expect(page.locator(".outcome.wait")).to_be_visible()
    stage.move(showing_id, "consent")
    page.wait_for_selector("#withdraw")
    check("waiting for the other")
    stage.end(showing_id, "undetermine", "PARTNER_MISSING")
    page.wait_for_selector(".outcome.own")
    check("end")


@pytest.mark.parametrize(
    ("look", "scheme"),
    [
        ("zh-CN.big", "light"),
        pytest.param("zh-CN.normal", "light", marks=pytest.mark.full),
        pytest.param("en.big", "dark", marks=pytest.mark.full),
        pytest.param("en.normal", "dark", marks=pytest.mark.full),
    ],
)
def test_axe_finds_nothing_and_type_and_touch_are_large_enough(
    pick_up: Callable[..., Phone], look: str, scheme: str
) -> None:
    tall = {"width": PHONE["width"], "height": 3600}  # as in test_phone_browser: axe does not scroll
    phone = pick_up(bypass_csp=True, color_scheme=scheme, reduced_motion="reduce", viewport=tall)
    phone.look(look)
    phone.sign_in()
    axe, big = axe_module.Axe(), look.endswith("big")
    touch, main, least, largest = (60, 24, 20, 40) if big else (44, 17, 15, 28)

    def check(where: str) -> None:
        found = axe.run(phone.page, options=AXE)
        assert found.violations_count == 0, f"{where}: {found.generate_report()}"
        assert phone.page.evaluate(SIZES, touch) == [], where
        types = phone.page.evaluate(TYPE)
        sizes = [size for size, _ in types]
        assert min(sizes) >= least, where
        assert max(sizes) >= largest, where
        assert main in sizes, where
        assert min(height for _, height in types) >= 1.2999, where
        assert phone.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), where

    every_view(phone, check)


@pytest.mark.full
def test_english_pages_hold_chinese_only_where_a_register_does(pick_up: Callable[..., Phone]) -> None:
    phone = pick_up()
    phone.look("en.normal")
    phone.sign_in()

    def check(where: str) -> None:
        words = phone.page.locator("main").inner_text()
        for own in (certificate()["authority"], offer_of()["offer"]["clause"], "核对共有人 <b>婚姻状况</b>", "7号窗口"):
            words = words.replace(own, "")
        assert not any("\u4e00" <= each <= "\u9fff" for each in words), (where, words)

    every_view(phone, check)
    assert EN["result.PARTNER_MISSING"] in phone.page.inner_text("main")


# In the whole country -----------------------------------------------------------------------------------------


class Shanghai:
    """Shanghai's app with its pages on a port, in the country of the tests: real desks, libraries and letters behind it."""

    def __init__(self, country: Country, url: str, page: Page) -> None:
        self.country = country
        self.url = url
        self.page = page
        self.who = pair("31", "33")

    def wait(self, selector: str) -> None:
        """Let everybody work until the page shows it."""
        for _ in range(200):
            self.country.pump()
            if self.page.locator(selector).first.is_visible():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{selector} does not come")

    def show(self) -> None:
        self.page.goto(f"{self.url}/phone/")
        self.page.click(f"[data-persona={self.who.id}]")
        self.wait(".certificate")
        self.page.click("main a.button")
        self.wait(".code img")

    def scanned(self, matter: str = "realestate.register") -> Scene:
        """A counter in Jiangsu has read the code off the screen."""
        code, unused = read_screen(self.page), self.country.country.phone_of(self.who)
        scene = self.country.scanned(self.who, unused, "32", code=code, matter=matter, type_="marriage")
        scene.present()
        return scene

    def agree(self, scene: Scene) -> None:
        """The sheet, answered as it should be."""
        self.wait(".sheet [name=certificate]")
        self.page.locator("[name=certificate]").first.check()
        self.page.locator("label.digit", has_text=scene.view().digits).click()
        self.page.check("[name=declaration]")
        self.page.click("#agree")

    def receipt(self) -> dict[str, Any]:
        """What the receipt says that the page hands out."""
        with self.page.expect_download() as download:
            self.page.click(".receipt a")
        text = Path(download.value.path()).read_text(encoding="utf-8")
        ring, now = self.country.province("31").office.ring, self.country.clock.now()
        return dict(open_receipt(text, ring, side="citizen", now=now).claims)


@pytest.fixture
def shanghai(stage: Country, chromium: Any) -> Iterator[Callable[..., Shanghai]]:
    founded = stage.country.founded
    environment = founded.environment("31") | {
        "HUZHENG_WALLET_PERSONAS": str(founded.folder / "personas.json"),
        "HUZHENG_WALLET_LOGIN_KEY": founded.keys.uri("31", "login"),
    }
    settings, log = read_settings(environment), new_log("wallet_api", stage.clock, stream=StringIO())
    app = create_app(settings, clock=stage.clock, pages=phone_pages(settings, stage.clock), log=log)
    contexts: list[Any] = []

    with serving(app) as url:

        def make(lang: str = "zh-CN", size: str = "normal") -> Shanghai:
            contexts.append(chromium.new_context(viewport=PHONE, locale=lang, device_scale_factor=2))
            contexts[-1].add_cookies([{"name": "huzheng-look", "value": f"{lang}.{size}", "url": f"{url}/phone"}])
            return Shanghai(stage, url, contexts[-1].new_page())

        yield make
        for each in contexts:
            each.close()
    app.extensions["wallet_api"].engine.dispose()


LARGE = ("phone-beforehand-read-large", "phone-beforehand-stands-large")  # of large type the docs show two


def picture(page: Page, name: str) -> None:
    """axe has nothing to say, and the documentation gets its picture."""
    usable(page)
    if name in LARGE or not name.endswith("-large"):
        shot(page, name)


@pytest.mark.parametrize(
    ("lang", "size"),
    [
        ("zh-CN", "normal"),
        pytest.param("en", "normal", marks=pytest.mark.full),
        pytest.param("zh-CN", "big", marks=pytest.mark.full),
    ],
)
def test_what_was_agreed_beforehand_needs_no_tap_at_the_counter(
    shanghai: Callable[..., Shanghai], lang: str, size: str
) -> None:
    phone, mark = shanghai(lang, size), lang if size == "normal" else "large"
    page = phone.page
    phone.show()
    page.click("#beforehand")
    picture(page, f"phone-beforehand-{mark}")
    page.click(".option >> nth=1")  # Jiangsu
    phone.wait("#units .option")
    assert "Bank" not in page.inner_text("#units")
    assert "银行" not in page.inner_text("#units")
    assert "婚姻登记处" not in page.inner_text("#units")
    picture(page, f"phone-beforehand-unit-{mark}")
    page.locator(".option", has_text="不动产" if lang == "zh-CN" else "Real Estate").click()
    page.locator(".option", has_text="结婚证" if lang == "zh-CN" else "Marriage certificate").click()
    phone.wait("#which .choice")
    picture(page, f"phone-beforehand-read-{mark}")
    page.locator("[name=certificate]").first.check()
    page.check("[name=declaration]")
    page.click("#agree")
    phone.wait("#stands")
    phone.wait(".code img")
    picture(page, f"phone-beforehand-stands-{mark}")
    scene = phone.scanned()
    phone.wait(".outcome.pass")
    assert scene.view().state == "PASSED"
    assert scene.claim().approval_digest is not None
    assert (ZH if lang == "zh-CN" else EN)["result.how.beforehand"] in page.inner_text(".facts")
    picture(page, f"phone-beforehand-result-{mark}")
    claims, row = phone.receipt(), scene.row()
    assert (claims["req"], claims["copy"]) == (row.request_digest, signed_digest(row.copy))
    phone.country.books()


@pytest.mark.full
def test_another_matter_than_was_agreed_to_brings_the_sheet(shanghai: Callable[..., Shanghai]) -> None:
    phone = shanghai()
    page = phone.page
    phone.show()
    page.click("#beforehand")
    page.click(".option >> nth=1")
    phone.wait("#units .option")
    page.locator(".option", has_text="公积金").click()
    phone.wait("#which .choice")
    page.check("[name=declaration]")
    page.click("#agree")
    phone.wait("#stands")
    phone.wait(".code img")
    scene = phone.scanned()
    phone.wait(".sheet .warn")
    assert scene.view().state == "ASKED"
    assert scene.claim().consent is None


def agreed_without(topic: Topic, phone: Shanghai) -> tuple[Shanghai, Scene]:
    """Somebody has agreed on that phone, and letters of one topic are lost."""
    phone.show()
    scene = phone.scanned()
    phone.country.rule(lambda letter: None if letter.topic is topic else letter)
    phone.agree(scene)
    phone.wait("#withdraw")
    return phone, scene


@pytest.mark.full
@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_a_consent_taken_back_before_the_fetch_ends_with_a_receipt(
    shanghai: Callable[..., Shanghai], lang: str
) -> None:
    phone, scene = agreed_without(Topic.FETCH, shanghai(lang))
    page, country = phone.page, phone.country
    picture(page, f"phone-consented-{lang}")
    page.click("#withdraw")
    expect(page.locator("h1")).to_have_text((ZH if lang == "zh-CN" else EN)["withdrawing.title"])
    picture(page, f"phone-withdrawing-{lang}")
    phone.wait(".outcome.own")
    picture(page, f"phone-withdrawn-{lang}")
    claims = phone.receipt()
    assert (claims["reason"], claims["copy"]) == ("WITHDRAWN", None)
    country.rule(None)
    country.pass_time(40)
    scene.present()
    assert scene.finish().state == "REFUSED"


@pytest.mark.full
@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_a_consent_taken_back_too_late_says_that_all_had_been_given(
    shanghai: Callable[..., Shanghai], lang: str
) -> None:
    phone, scene = agreed_without(Topic.OUTCOME, shanghai(lang))
    page, country = phone.page, phone.country
    assert scene.finish().state == "PASSED"
    country.rule(None)
    page.click("#withdraw")
    expect(page.locator("h1")).to_have_text((ZH if lang == "zh-CN" else EN)["withdrawing.title"])
    (outcome,) = [each for each in country.wires["32"].sent if each.topic is Topic.OUTCOME]  # it was lost on the way
    country.province("31").peers.receive(outcome, now=country.clock.now())
    phone.wait(".outcome.pass")
    assert (ZH if lang == "zh-CN" else EN)["result.WITHDRAWAL_TOO_LATE.note"] in page.inner_text(".outcome")
    picture(page, f"phone-withdrawn-late-{lang}")
    assert phone.receipt()["copy"] == signed_digest(scene.row().copy)


@pytest.mark.full
@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_two_people_at_one_counter(shanghai: Callable[..., Shanghai], lang: str) -> None:
    phone = shanghai(lang)
    page, country, name = phone.page, phone.country, new_id()
    spouse = spouse_of(country, phone.who, province="34", library="31")
    words = ZH if lang == "zh-CN" else EN
    phone.show()
    code, unused = read_screen(page), country.country.phone_of(phone.who)
    other = number(country, spouse)
    one = country.scanned(phone.who, unused, "32", code=code, couple=name, other=other)
    two = scanned_of_two(country, spouse, phone.who, name)
    one.present()
    two.present()
    phone.wait(".sheet [name=certificate]")
    assert words["sheet.two.note"] in page.inner_text(".sheet")
    picture(page, f"phone-two-sheet-{lang}")
    phone.agree(one)
    phone.wait("#withdraw")
    assert words["consented.two.title"] in page.inner_text("h1")
    picture(page, f"phone-two-waiting-{lang}")
    if lang == "en":
        two.agree()
        phone.wait(".outcome.pass")
        assert (one.view().state, two.view().state) == ("PASSED", "PASSED")
        country.books()
        return
    two.decline()
    phone.wait(".outcome.own")
    assert words["result.PARTNER_MISSING"] in page.inner_text("h1")
    picture(page, f"phone-two-end-{lang}")
    assert phone.receipt()["reason"] == "PARTNER_MISSING"

"""The whole country with its pages, as people use them: a phone in one browser, the counter in another, nothing between them
but what `serve` started. `HUZHENG_PICTURES=1` also renews the screenshots that the documentation keeps (docs/pictures).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from consent.code import PREFIX
from scanner_kiosk.country.people import pair
from scanner_kiosk.decode import read_codes
from tests.counts import FULL
from tests.test_serve import Served, served, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PHONE = {"width": 390, "height": 844}
COUNTERS = ((1280, 800), (1920, 1080))
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
PATIENCE_MS = 60_000

pytestmark = [
    pytest.mark.full,
    pytest.mark.browser,
    pytest.mark.network,
    pytest.mark.skipif(not FULL, reason="belongs to the full run"),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("serve") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


def shot(page: Any, name: str) -> None:
    """Keep a picture of a page for the documentation, when that is wanted."""
    if os.environ.get("HUZHENG_PICTURES") == "1":
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(PICTURES / f"{name}.png"))


def usable(page: Any) -> None:
    """axe has nothing to say."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def codes_on(page: Any) -> list[str]:
    """What the kiosk's own decoder reads off a screenshot."""
    pixels = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    return read_codes(pixels, budget_ms=500, accept=lambda text: text.startswith(PREFIX))


def open_phone(browser: Any, country: Served, lang: str, *, size: str = "normal") -> Any:
    """A phone at the choice of personas, in this language and type size."""
    context = browser.new_context(viewport=PHONE, locale=lang, device_scale_factor=2)
    context.set_default_timeout(PATIENCE_MS)
    base = country.told["phone"]["31"].split("/phone")[0]
    context.add_cookies([{"name": "huzheng-look", "value": f"{lang}.{size}", "url": f"{base}/phone"}])
    page = context.new_page()
    page.goto(f"{base}/phone/")
    return page


def open_counter(browser: Any, country: Served, lang: str, size: tuple[int, int]) -> Any:
    """The counter's page with its register loaded."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, locale=lang)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{country.told['counter']}?lang={lang}")
    until(lambda: page.locator("#matter option").count() or None)
    return page


def choose(page: Any, persona: Any) -> None:
    """Jiangsu's real-estate centre takes up a case of this person."""
    page.click("#place summary")
    page.select_option("#province", "32")
    until(lambda: page.locator("#window option[value='32-R1']").count() or None)
    page.select_option("#window", "32-R1")
    if page.locator("#place[open]").count():
        page.click("#place summary")
    until(lambda: page.locator("#matter option[value='realestate.register']").count() or None)
    page.select_option("#matter", "realestate.register")
    page.select_option("#type", "marriage")
    page.fill("#case-number", "2026-宁-000317")
    page.fill("#id-number", persona.id_number)
    page.click("#start")


@pytest.mark.timeout(280)
@pytest.mark.parametrize(("lang", "size"), [("zh-CN", COUNTERS[0]), ("en", COUNTERS[1])])
def test_a_visit_in_two_browsers(browser: Any, country: Served, lang: str, size: tuple[int, int]) -> None:
    persona = pair("31", "33")
    phone, counter = open_phone(browser, country, lang), open_counter(browser, country, lang, size)
    mark = f"{lang}-{size[0]}"
    usable(phone)
    shot(phone, f"phone-choose-{lang}")
    usable(counter)
    shot(counter, f"counter-case-{mark}")

    phone.click(f"[data-persona={persona.id}]")
    phone.wait_for_selector(".certificate")
    usable(phone)
    shot(phone, f"phone-certificates-{lang}")
    phone.click("main a.button")
    phone.wait_for_selector(".code img:visible")
    first = until(lambda: codes_on(phone) or None)
    assert len(first) == 1
    usable(phone)
    shot(phone, f"phone-show-{lang}")
    # It renews on the server's time, at most thirty seconds later.
    until(lambda: ((found := codes_on(phone)) and found != first) or None, within_s=50)

    choose(counter, persona)
    counter.wait_for_selector("#digits-box:visible")
    digits = counter.inner_text("#digits").strip()
    usable(counter)
    shot(counter, f"counter-digits-{mark}")

    phone.wait_for_selector(".sheet .choice")
    phone.wait_for_selector("[name=certificate]")
    usable(phone)
    shot(phone, f"phone-sheet-{lang}")
    phone.locator("[name=certificate]").first.check()
    phone.locator("label.digit", has_text=digits).click()
    phone.check("[name=declaration]")
    phone.locator("#agree").scroll_into_view_if_needed()
    shot(phone, f"phone-sheet-end-{lang}")
    phone.click("#agree")

    counter.wait_for_selector("#banner[data-tone=pass]")
    assert "J330106-2021-000003" in counter.inner_text("#copy-fields")
    assert persona.stories[0].partner_id not in counter.content()
    usable(counter)
    shot(counter, f"counter-passed-{mark}")
    phone.wait_for_selector(".outcome.pass")
    usable(phone)
    shot(phone, f"phone-result-{lang}")

    counter.keyboard.press("Escape")
    counter.wait_for_selector("#banner[data-tone=calm]")
    assert "J330106" not in counter.content()
    phone.goto(phone.url.split("/phone/")[0] + "/phone/history")
    phone.wait_for_selector("main li, main .entry, main article")
    usable(phone)
    shot(phone, f"phone-history-{lang}")
    phone.click(".entry a >> nth=0")
    phone.wait_for_selector(".facts")
    usable(phone)
    shot(phone, f"phone-entry-{lang}")
    phone.click(".result a.button >> nth=0")
    phone.check("[value=DATA_WRONG]")
    usable(phone)
    shot(phone, f"phone-wrong-{lang}")
    phone.click("form button.button")
    phone.wait_for_selector(".outcome.pass")
    assert "31-000001" in phone.inner_text(".outcome") or "31-000002" in phone.inner_text(".outcome")
    for page in (phone, counter):
        page.context.close()


@pytest.mark.timeout(120)
def test_a_refusal_in_large_type(browser: Any, country: Served) -> None:
    persona, other = pair("31", "31"), pair("34", "34")
    phone = open_phone(browser, country, "zh-CN", size="large")
    counter = open_counter(browser, country, "zh-CN", COUNTERS[0])
    phone.click(f"[data-persona={persona.id}]")
    phone.click("main a.button")
    phone.wait_for_selector(".code img:visible")
    usable(phone)
    shot(phone, "phone-show-large")
    choose(counter, other)
    counter.wait_for_selector("#banner[data-tone=refuse]")
    usable(counter)
    shot(counter, "counter-refused-zh-CN-1280")
    for page in (phone, counter):
        page.context.close()

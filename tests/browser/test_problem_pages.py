"""The pages behind the codes in a real browser: nothing for axe to find, nothing asked of the outside, no wide scroll."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from consent.clock import ShiftedClock  # noqa: E402
from consent.errors import Reason  # noqa: E402
from tests.browser.chromium import ARGUMENTS, CHROMIUM, MARKS  # noqa: E402
from tests.counts import count  # noqa: E402
from tests.phone_stage import serving, set_stage  # noqa: E402

SOME = (Reason.SCOPE_NOT_LISTED, Reason.TOO_MANY, Reason.DOCUMENT_REPLAYED)

pytestmark = MARKS


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    stage = set_stage(tmp_path_factory.mktemp("pages"), ShiftedClock())
    with serving(stage.app) as base:
        yield base
    stage.engine.dispose()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_on_the_pages_and_they_fit_every_screen(
    chromium: Browser, url: str, width: int, scheme: str
) -> None:
    trouble: list[str] = []
    page = chromium.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    page.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: None if request.url.startswith(url) else trouble.append(request.url))
    for path in ("", *(f"/{reason}" for reason in count(tuple(Reason)[::8], SOME))):
        page.goto(f"{url}/problems{path}")
        found = axe_module.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()
    assert trouble == []


def test_swagger_ui_leads_to_the_codes(chromium: Browser, url: str) -> None:
    page = chromium.new_page()
    page.goto(f"{url}/docs")
    with page.expect_popup() as opened:
        page.click('a[href="/problems"]')
    opened.value.wait_for_load_state()
    assert opened.value.locator("h1").inner_text().startswith("全部代码")
    page.context.close()

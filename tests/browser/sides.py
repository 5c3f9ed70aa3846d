"""Phone and counter side by side in the whole country that `serve` has started, and what each side keeps of a visit.

Both are real pages in real browsers, and nothing is between them but what a counter has: its simulated camera (it sees what
the phone of one app shows), its keyboard, and two people who look at each other's screens. Afterwards the receipts are
fetched where each side finds its own:

    citizen   the phone's page: "save the receipt", or an entry of "who asked for my certificates"
    unit      the counter's paper: the code on the page that goes to the printer
    library   its database, beside the copy that it gave out

`Kept` opens all of them with the key list alone, and holds their digests against the documents that desk and library store.
"""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zxingcpp
from sqlalchemy import Table

from consent.keylist import read_key_list
from consent.provinces import provinces
from consent.receipt import open_receipt
from consent.seal import signed_digest
from consent.stores.base import open_engine
from scanner_kiosk.country.people import Persona
from scanner_kiosk.country.units import window_for
from tests.country import rows
from tests.test_serve import CLOCK, Served, until
from verifier.stores import inner
from verifier.stores import library as library_tables
from wallet_api.__main__ import main as wallet_api

PHONE = {"width": 390, "height": 844}
COUNTERS = ((1280, 800), (1920, 1080))
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
PATIENCE_MS = 60_000
DESK = "32"  # all counters here are Jiangsu's
CASE = "2026-宁-000318"
REAL_ESTATE = "realestate.register"
# A code as the printer draws it, finer than a screen.
PRINTED = """(image) => { const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1200;
  const ink = canvas.getContext("2d"); ink.fillStyle = "white"; ink.fillRect(0, 0, 1200, 1200);
  ink.drawImage(image, 0, 0, 1200, 1200); return canvas.toDataURL("image/png").split(",")[1]; }"""


# --- looking --------------------------------------------------------------------------------------

# A sheet fades in for 150 ms, and half faded its words are as pale as axe says. What turns for ever is not waited for.
ARRIVED = """() => Promise.all(document.getAnimations()
  .filter((one) => one.effect.getComputedTiming().endTime < 1000)
  .map((one) => one.finished.catch(() => null))).then(() => null)"""


def shot(page: Any, name: str) -> None:
    """Keep a picture of a page for the documentation, when that is wanted."""
    if os.environ.get("HUZHENG_PICTURES") == "1":
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(PICTURES / f"{name}.png"))


def usable(page: Any) -> None:
    """axe has nothing to say."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(ARRIVED)
    found = Axe().run(page).response["violations"]
    told = [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
    assert told == [], told  # said by itself: pytest explains the asserts of test files only


def codes_in(png: bytes) -> list[str]:
    """What any reader reads off a picture."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    found = zxingcpp.read_barcodes(np.asarray(pixels, np.uint8), formats=zxingcpp.BarcodeFormat.QRCode)
    return [each.text for each in found]


def qr_on(page: Any) -> list[str]:
    """What any reader reads off a screen."""
    return codes_in(page.screenshot())


# --- the phone ------------------------------------------------------------------------------------


def page_of(browser: Any, address: str, lang: str, size: Mapping[str, int], *, look: str = "") -> Any:
    """A page in a browser of its own."""
    context = browser.new_context(viewport=size, locale=lang, device_scale_factor=2 if size == PHONE else 1)
    context.set_default_timeout(PATIENCE_MS)
    if look:
        context.add_cookies([{"name": "huzheng-look", "value": look, "url": address}])
    page = context.new_page()
    page.goto(address)
    return page


def open_phone(browser: Any, country: Served, persona: Persona, lang: str = "zh-CN", *, size: str = "normal") -> Any:
    """A phone at the choice of personas, in this language and type size."""
    return page_of(browser, country.told["phone"][persona.province], lang, PHONE, look=f"{lang}.{size}")


def sign_in(phone: Any, persona: Persona) -> None:
    """This person's phone, with the certificates on it."""
    phone.click(f"[data-persona={persona.id}]")
    phone.wait_for_selector(".certificate")


def show(phone: Any) -> None:
    """The code is on the screen."""
    phone.click("main a.button")
    phone.wait_for_selector(".code img:visible")


def phone_of(browser: Any, country: Served, persona: Persona, lang: str = "zh-CN", *, size: str = "normal") -> Any:
    """A phone that shows its code."""
    phone = open_phone(browser, country, persona, lang, size=size)
    sign_in(phone, persona)
    show(phone)
    return phone


def put_away(browser: Any) -> None:
    """Everybody goes, and no camera sees a code of theirs any more."""
    for context in browser.contexts:
        for page in context.pages:
            if page.locator(".code").count():
                page.click("#view > .button.quiet")
                page.wait_for_selector(".code", state="detached")
        context.close()


# --- the counter ----------------------------------------------------------------------------------


def open_counter(browser: Any, country: Served, lang: str = "zh-CN", size: tuple[int, int] = COUNTERS[0]) -> Any:
    """The counter's page with its register loaded, and between two citizens whatever became of the visit before."""
    address = f"{country.told['counter']}?lang={lang}"
    page = page_of(browser, address, lang, {"width": size[0], "height": size[1]})
    until(lambda: page.locator("#matter option").count() or None)
    if page.is_visible("#visit"):
        page.keyboard.press("Escape")
    page.wait_for_selector("#case-form:visible")
    return page


def look_at(counter: Any, country: Served, province: str, *, glass: str = "current.png") -> None:
    """Turn the simulated camera to the phones of this province's app."""
    counter.click("#camera summary")
    counter.select_option("#camera-kind", "sim:")
    counter.fill("#camera-address", country.told["phone"][province] + glass)
    counter.click("#camera-form button")
    counter.wait_for_selector("#camera:not([open])")


def look_away(counter: Any, country: Served) -> None:
    """Turn it to where no phone ever is: this counter is told everything otherwise."""
    look_at(counter, country, DESK, glass="nobody.png")


def begin(
    counter: Any, persona: Persona, *, matter: str = REAL_ESTATE, card: bool = False, partner: Persona | None = None
) -> None:
    """Take up a case of this person at the window for this matter, with the number typed or the card read."""
    window = window_for(DESK, matter)
    counter.click("#place summary")
    counter.select_option("#province", DESK)
    until(lambda: counter.locator(f"#window option[value='{window}']").count() or None)
    counter.select_option("#window", window)
    counter.wait_for_selector("#start:enabled")  # this window's matters are there, and not those of the one before
    counter.wait_for_selector("#place:not([open])")
    counter.select_option("#matter", matter)
    if counter.is_enabled("#type"):
        counter.select_option("#type", persona.stories[0].type)
    counter.fill("#case-number", CASE)
    if card:
        counter.select_option("#card", persona.id)
    else:
        counter.fill("#id-number", persona.id_number)
    if partner is not None:
        counter.check("#two")
        counter.select_option("#partner-card", partner.id)
    for box in counter.locator("#ticks input").all():
        box.check()
    counter.click("#start")
    counter.wait_for_selector("#visit:visible")


def counter_of(browser: Any, country: Served, persona: Persona, lang: str = "zh-CN", **more: Any) -> Any:
    """A counter without a camera that has taken up this person's case."""
    counter = open_counter(browser, country, lang, more.pop("size", COUNTERS[0]))
    look_away(counter, country)
    begin(counter, persona, **more)
    return counter


# --- between the two ------------------------------------------------------------------------------


def read_sheet(phone: Any, counter: Any) -> str:
    """Wait until the citizen has the sheet with the certificates on it; returns the counter's digits."""
    counter.wait_for_selector("#digits-box:visible")
    phone.wait_for_selector("[name=certificate]")
    return str(counter.inner_text("#digits").strip())


def fill_in(phone: Any, digits: str) -> None:
    """The citizen compares the digits, picks the certificate and declares."""
    phone.locator("[name=certificate]").first.check()
    phone.locator("label.digit", has_text=digits).click()
    if phone.locator("[name=declaration]").count():
        phone.check("[name=declaration]")


def agree(phone: Any, counter: Any) -> None:
    """The citizen reads, and agrees."""
    fill_in(phone, read_sheet(phone, counter))
    phone.click("#agree")


def passed(phone: Any, counter: Any, persona: Persona) -> None:
    """The certificate is on the counter, and the phone says what was given."""
    counter.wait_for_selector("#banner[data-tone=pass]")
    home = provinces()[persona.stories[0].library]
    assert any(name in counter.inner_text("#copy-as-of") for name in (home.name_zh, home.name_en))
    assert counter.locator("#copy-fields dd").count() >= 3
    assert persona.stories[0].partner_id not in counter.content()
    phone.wait_for_selector(".outcome.pass")


def clear(counter: Any) -> None:
    """The counter is empty again."""
    counter.keyboard.press("Escape")
    counter.wait_for_selector("#case-form:visible")
    assert counter.locator("#copy-fields dd").count() == counter.locator("#paper section").count() == 0


# --- receipts -------------------------------------------------------------------------------------


def saved(phone: Any) -> str:
    """The citizen saves the receipt."""
    with phone.expect_download() as download:
        phone.click(".receipt a")
    return Path(download.value.path()).read_text(encoding="ascii").strip()


def saved_from_history(phone: Any) -> str:
    """The newest entry of "who asked for my certificates", and its receipt."""
    phone.goto(phone.url.partition("/phone/")[0] + "/phone/history")
    phone.click(".entry a >> nth=0")
    phone.wait_for_selector(".facts")
    return saved(phone)


def printed(counter: Any) -> list[str]:
    """The unit prints the visit; what a reader reads off the paper, a sheet for each person."""
    counter.evaluate("() => { window.print = () => { window.printed = true; }; }")
    counter.click("#print")
    until(lambda: counter.evaluate("window.printed === true") or None)
    counter.emulate_media(media="print")
    assert CASE in counter.inner_text("#paper")
    pictures = counter.locator("#paper img:visible")
    found = [codes_in(b64decode(each.evaluate(PRINTED))) for each in pictures.all()]
    counter.emulate_media(media="screen")
    counter.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert all(len(each) == 1 for each in found), found
    return [each[0] for each in found]


@dataclass(kw_only=True)
class Kept:
    """What the country keeps of a visit of this persona, beside the receipts that two sides took away."""

    country: Served
    persona: Persona
    citizen: str
    unit: str
    folder: Path
    claims: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        told = self.country.told
        self.keys = read_key_list(Path(told["keylist_file"]), pinned=told["keylist_sha256"])
        self._open("citizen", self.citizen)
        self._open("unit", self.unit)

    def passed(self) -> None:
        """Three receipts of one visit: the same request, consent and copy, each the digest of the document that desk or
        library has stored; and the library has the unit's receipt, as the unit printed it."""
        spend = until(lambda: self._spend("DELIVERED"))
        self._open("library", spend.receipt)
        visit = self._visit()
        assert visit.copy == spend.copy
        assert spend.unit_receipt == self.unit
        self._name(req=visit.request, consent=visit.consent, copy=spend.copy)
        assert {each["outcome"] for each in self.claims.values()} == {"PASSED"}
        self._verified(self.citizen, self.unit, spend.receipt)

    def withdrawn(self) -> None:
        """Three receipts again: the consent was there, and the library lets nothing go under it."""
        spend = until(lambda: self._spend("WITHDRAWN"))
        self._open("library", spend.receipt)
        visit = self._visit()
        assert (visit.copy, spend.copy) == (None, None)
        self._name(req=visit.request, consent=visit.consent, copy=None)
        assert {each["reason"] for each in self.claims.values()} == {"WITHDRAWN"}
        self._verified(self.citizen, self.unit, spend.receipt)

    def declined(self) -> None:
        """Two receipts: without a consent no library is asked, and so none has heard of it. The unit's does not tell a no
        from silence."""
        visit = self._visit()
        assert (visit.consent, visit.copy) == (None, None)
        self._name(req=visit.request, consent=None, copy=None)
        assert {side: each["reason"] for side, each in self.claims.items()} == {
            "citizen": "DECLINED",
            "unit": "NOT_AUTHORISED",
        }
        for code in provinces():
            spends = self._rows(f"library-{code}", library_tables.spends)
            assert visit.request_digest not in [each.request_digest for each in spends]
        self._verified(self.citizen, self.unit)

    # --- how it is judged -------------------------------------------------------------------------

    def _open(self, side: str, text: str) -> None:
        """Its seal holds, by the key list alone."""
        self.claims[side] = open_receipt(text, self.keys.ring, side=side, now=CLOCK.now()).claims

    def _name(self, **documents: str | None) -> None:
        """Every side names these documents, by their digests."""
        digests = {claim: None if text is None else signed_digest(text) for claim, text in documents.items()}
        assert self.claims == {side: {**each, **digests} for side, each in self.claims.items()}

    def _verified(self, *texts: str) -> None:
        """They hold and agree, by the command that anybody can run."""
        files = [self.folder / f"receipt-{n}.jwt" for n in range(len(texts))]
        for path, text in zip(files, texts, strict=True):
            path.write_text(text, encoding="ascii")
        told = self.country.told
        arguments = ["--keys", told["keylist_file"], "--pin", told["keylist_sha256"]]
        assert wallet_api(["receipt", "verify", *map(str, files), *arguments]) == 0

    # --- where it lies ----------------------------------------------------------------------------

    def _visit(self) -> Any:
        request = self.claims["unit"]["req"]
        (found,) = (each for each in self._rows(f"inner-{DESK}", inner.visits) if each.request_digest == request)
        return found

    def _spend(self, state: str) -> Any:
        """The library's row of this request, once it is in that state."""
        request = self.claims["unit"]["req"]
        rows_ = self._rows(f"library-{self.persona.stories[0].library}", library_tables.spends)
        return next((each for each in rows_ if (each.request_digest, each.state) == (request, state)), None)

    def _rows(self, name: str, table: Table) -> list[Any]:
        engine = open_engine(f"sqlite:///{self.country.folder}/{name}.db")
        try:
            return rows(engine, table)
        finally:
            engine.dispose()

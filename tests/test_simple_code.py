"""The simple code: 128 opaque bits that only their province can read, for scanners and screens that cannot manage more."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import select

from consent.code import PREFIX, SIMPLE_PREFIX, Form, Name, is_ours, mint, read_name, simple_code
from consent.errors import Reason
from consent.keys import new_key
from consent.provinces import provinces
from consent.stores import handover, names
from consent.stores.base import reading
from scanner_kiosk.country.people import pair
from scanner_kiosk.glance import Glance
from tests.country import START, Scene, Stage, light_folder
from tests.country import refused as refusal
from tests.outer import Outer, Phone, found_outer
from verifier.stores import inner
from wallet_api import picture

pytestmark = pytest.mark.full  # visits and processes: each takes seconds

CODES = list(provinces())


@given(st.binary(min_size=16, max_size=16), st.sampled_from(CODES))
def test_it_has_one_spelling_and_names_its_province(opaque: bytes, code: str) -> None:
    text = simple_code(code, opaque)
    assert len(text) == 33
    assert read_name(text) == Name(form=Form.SIMPLE, text=text, province=code)
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:")


@pytest.mark.parametrize("opaque", [b"", bytes(15), bytes(17)])
def test_it_has_sixteen_bytes(opaque: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        simple_code("31", opaque)


SIMPLE = simple_code("31", bytes(range(16)))


@pytest.mark.parametrize(
    "typed",
    [SIMPLE.lower(), SIMPLE.replace(":", "\uff1a"), f" {SIMPLE[:10]} {SIMPLE[10:20]}-{SIMPLE[20:]}\r\n"],
)
def test_what_keyboards_and_input_methods_make_of_it_is_undone(typed: str) -> None:
    assert read_name(typed).text == SIMPLE


@pytest.mark.parametrize(
    "text",
    [
        SIMPLE[:-1],
        SIMPLE + "A",
        SIMPLE[:-1] + "B",  # a second spelling of the same bits
        SIMPLE.replace("YRD2:31", "YRD2:11"),
        SIMPLE.replace("YRD2:31", "YRD3:31"),
        SIMPLE[:10] + "1" + SIMPLE[11:],
        SIMPLE_PREFIX,
        "",
        "https://example.org/",
    ],
)
def test_nothing_else_is_one(text: str) -> None:
    assert refusal(read_name, text) is Reason.CODE_MALFORMED


def test_the_camera_looks_for_both_kinds_and_for_no_digits() -> None:
    ours = (PREFIX + "ABC", SIMPLE)
    assert all(is_ours(text) for text in ours)
    assert not any(is_ours(text) for text in ("123456789012", "YRD1", "HTTPS://YRD2:", "", PREFIX + "A" * 400))


def test_the_kiosk_takes_a_simple_code_as_it_is_and_says_what_is_wrong_with_a_broken_one(stage: Stage) -> None:
    ring = stage.province("31").office.ring
    glance = Glance(ring, stage.clock.now())
    assert glance(SIMPLE)
    assert (glance.foreign, glance.bad) == (False, None)
    assert not glance(SIMPLE[:-1])
    assert glance.bad is not None
    assert glance.bad[1] is Reason.CODE_MALFORMED
    assert not glance("https://example.org/")
    assert glance.foreign


# From end to end ------------------------------------------------------------------------------------------


def scanned(stage: Stage, app: str = "31", desk: str = "32", library: str = "33") -> Scene:
    """A counter that has scanned the simple code of a citizen's phone."""
    who = pair(app, library)
    phone = stage.country.phone_of(who)
    phone.show()
    return stage.scanned(who, phone, desk, code=phone.simple_code())


@pytest.mark.parametrize("app", CODES)
def test_a_simple_code_of_each_province_leads_to_the_certificate(stage: Stage, app: str) -> None:
    desk, library = CODES[(CODES.index(app) + 1) % 4], CODES[(CODES.index(app) + 3) % 4]
    scene = scanned(stage, app, desk, library)
    assert scene.whole().state == "PASSED"
    assert scene.claim().named == "simple"
    assert stage.rows(desk, inner.tries.tries) == []
    with reading(stage.province(app).office.handover) as conn:
        assert conn.execute(select(handover.names)).all() == []
    stage.books()


def unknown(stage: Stage) -> Scene:
    scene = stage.scene()
    return stage.scanned(scene.who, scene.phone, "32", code=SIMPLE)


def expired(stage: Stage) -> Scene:
    scene = scanned(stage)
    stage.pump()
    stage.clock.advance(61)
    return scene


def used(stage: Stage) -> Scene:
    scene = scanned(stage)
    assert scene.whole().state == "PASSED"
    return stage.scanned(scene.who, scene.phone, "32", code=scene_code(scene))


def never_asked_for(stage: Stage) -> Scene:
    """The right bits of a live showing, from somebody who has the key but never asked the phone."""
    scene = stage.scene()
    key = stage.country.wallets["31"].extensions["wallet_api"].names
    return stage.scanned(scene.who, scene.phone, "32", code=simple_code("31", key.opaque(scene.phone.showing_id, 0)))


def scene_code(scene: Scene) -> str:
    import json

    return str(json.loads(scene.asked.body)["code"])


@pytest.mark.parametrize("dead", [unknown, expired, used, never_asked_for])
def test_unknown_looks_like_expired_and_like_used(stage: Stage, dead: Any) -> None:
    scene = dead(stage)
    scene.present()
    view = scene.finish()
    assert (view.state, view.said.reason) == ("REFUSED", Reason.CODE_EXPIRED)


def test_two_counters_that_scan_at_once_do_not_both_get_it(stage: Stage) -> None:
    first = scanned(stage)
    second = stage.scanned(first.who, first.phone, "34", code=scene_code(first))
    first.present()
    second.present()
    stage.pump()
    states = sorted((each.view().state, each.view().said.reason) for each in (first, second))
    assert states == [("ASKED", None), ("REFUSED", Reason.CODE_EXPIRED)]


# The vendors' door ----------------------------------------------------------------------------------------


@pytest.fixture
def outer() -> Iterator[Outer]:
    with light_folder() as folder:
        made = found_outer(folder)
        yield made
        made.close()


def test_it_changes_with_the_slice_and_the_one_before_still_passes(outer: Outer) -> None:
    showing_id = outer.open(Phone())
    path = f"/v1/showings/{showing_id}/code?form=simple"
    first = outer.call("GET", path).json
    outer.clock.advance(29)
    assert outer.call("GET", path).json["code"] == first["code"]
    outer.clock.advance(1)
    second = outer.call("GET", path).json
    assert second["code"] != first["code"]
    key = outer.app.extensions["wallet_api"].names
    with reading(outer.engine) as connection:
        kept = {row.digest: row.expires_at for row in connection.execute(select(handover.names))}
        found = names.look_up(connection, handover.names, key.digest(first["code"]), Form.SIMPLE)
    assert set(kept) == {key.digest(each["code"]) for each in (first, second)}
    assert found is not None
    assert found.showing_id == showing_id
    assert found.expires_at > outer.clock.now()


def test_it_is_given_as_text_png_and_svg(outer: Outer) -> None:
    path = f"/v1/showings/{outer.open(Phone())}/code?form=simple"
    text = outer.call("GET", path, Accept="text/plain")
    assert read_name(text.text).form is Form.SIMPLE
    png = outer.call("GET", path, Accept="image/png")
    drawn = Image.open(BytesIO(png.data)).convert("L")
    assert drawn.width == (25 + 2 * picture.BORDER) * picture.PIXELS
    (found,) = zxingcpp.read_barcodes(drawn, formats=zxingcpp.BarcodeFormat.QRCode)
    assert found.text == text.text
    assert outer.call("GET", path, Accept="image/svg+xml").text.count("<path") == 1
    again = outer.call("GET", path, Accept="image/png", If_None_Match=png.headers["ETag"])
    assert again.status_code == 304
    full = outer.call("GET", path.removesuffix("?form=simple"), Accept="image/png", If_None_Match=png.headers["ETag"])
    assert full.status_code == 200


@pytest.mark.parametrize("form", ["twin", "", "SIMPLE", "code,simple"])
def test_there_is_no_third_form(outer: Outer, form: str) -> None:
    answer = outer.call("GET", f"/v1/showings/{outer.open(Phone())}/code?form={form}")
    assert answer.status_code == 422
    assert answer.json["code"] == Reason.BODY_INVALID


def test_the_full_code_is_what_it_was(outer: Outer) -> None:
    path = f"/v1/showings/{outer.open(Phone())}/code"
    assert outer.call("GET", path).json["code"] == outer.call("GET", f"{path}?form=code").json["code"]
    with reading(outer.engine) as connection:
        assert connection.execute(select(handover.names)).all() == []
    assert read_name(mint(bytes(16), new_key("EdDSA", issuer="31"), now=START)).form is Form.CODE

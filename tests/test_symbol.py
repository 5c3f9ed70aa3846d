"""Drawn from the table or by `qrcode`: the same modules, and cameras read them."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp
from PIL import Image
from qrcode import util
from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode

from consent.code import LENGTH, PREFIX, mint, simple_code
from consent.keys import new_key
from tests.counts import count
from wallet_api import picture, symbol
from wallet_api.symbol import ALPHABET, SIDE, draw

CHANCE = random.Random(20261124)
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def any_text() -> str:
    return PREFIX + "".join(CHANCE.choice(ALPHABET) for _ in range(LENGTH - len(PREFIX)))


def by_qrcode(text: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    drawn: QRCode[Any] = QRCode(version=None, error_correction=ERROR_CORRECT_M)
    drawn.add_data(text, optimize=0)
    drawn.make(fit=True)
    return np.array(drawn.modules, dtype=bool)


def read(image: bytes) -> str:
    grey = np.array(Image.open(BytesIO(image)).convert("L"))
    (found,) = zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormat.QRCode)
    return str(found.text)


def test_the_table_draws_what_qrcode_draws() -> None:
    key = new_key("EdDSA", issuer="31")
    codes = [mint(CHANCE.randbytes(16), key, now=NOW) for _ in range(count(120, 20))]
    for text in [*codes, *(any_text() for _ in range(count(120, 20)))]:
        drawn = draw(text)
        assert drawn is not None
        assert np.array_equal(drawn, by_qrcode(text)), text


def test_the_plainest_texts_are_drawn_alike_too() -> None:
    for text in ("A" * LENGTH, ":" * LENGTH, " " * LENGTH, PREFIX + "1" * (LENGTH - len(PREFIX))):
        drawn = draw(text)
        assert drawn is not None
        assert np.array_equal(drawn, by_qrcode(text)), text


def test_penalties_are_counted_as_qrcode_counts_them() -> None:
    symbols = np.array([[[CHANCE.random() < share for _ in range(SIDE)] for _ in range(SIDE)] for share in SHARES])
    symbols[0] = True
    symbols[1] = False
    counted = symbol.penalties(symbol._packed(symbols))
    assert counted.tolist() == [util.lost_point(each.tolist()) for each in symbols]


SHARES = (1.0, 0.0, 0.03, 0.1, 0.3, 0.5, 0.5, 0.5, 0.7, 0.9, 0.97)


@pytest.mark.parametrize(
    "text",
    [
        "A" * (LENGTH - 1),
        "A" * (LENGTH + 1),
        "a" * LENGTH,
        "é" * LENGTH,
        "码" * LENGTH,
        "7" * LENGTH,
        "",
        simple_code("31", bytes(16)),
    ],
)
def test_every_other_text_is_left_to_qrcode(text: str) -> None:
    assert draw(text) is None


def test_without_a_table_qrcode_draws_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    text = any_text()
    with_table = picture.png.__wrapped__(text)
    monkeypatch.setattr(symbol, "_table", lambda: None)
    assert picture.png.__wrapped__(text) == with_table


def test_a_table_that_draws_one_module_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = symbol._plain

    def crooked(codewords: list[int], mask: int, *, test: bool) -> symbol.Modules:
        modules = honest(codewords, mask, test=test)
        modules[0, 0] ^= not test
        return modules

    monkeypatch.setattr(symbol, "_plain", crooked)
    assert symbol._table.__wrapped__() is None


def test_the_drawn_pictures_are_read_as_what_they_say() -> None:
    for _ in range(count(200, 10)):
        text = any_text()
        assert read(picture.png.__wrapped__(text)) == text
    for text in (simple_code("33", CHANCE.randbytes(16)), "YRD1:SHORT"):
        assert read(picture.png(text)) == text


def test_an_svg_has_the_modules_of_the_png() -> None:
    for text in (any_text(), simple_code("33", CHANCE.randbytes(16))):
        shown = picture.svg(text).decode()
        dark = np.zeros((53, 53), dtype=np.uint8)
        for run in shown.partition('<path d="')[2].partition('"')[0].split("z")[:-1]:
            start, _, rest = run.removeprefix("M").partition("h")
            x, y = (int(each) for each in start.split())
            dark[y, x : x + int(rest.partition("v")[0])] += 1
        assert dark.max() == 1
        png = np.array(Image.open(BytesIO(picture.png(text))))
        side = png.shape[0] // picture.PIXELS
        assert np.array_equal(
            cv2.resize(png.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST) == 0,
            dark[:side, :side] == 1,
        )

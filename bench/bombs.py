"""Pictures that are built to do harm, and what a counter's own pictures lose while somebody posts them.

Both are measured in one run: the same picture is posted again and again through the reader of posted pictures, first alone,
then while another thread posts one bomb after another as fast as they are answered. Waiting is what counts here, so these are
wall times, beside whatever else the machine has to do; their ratio says what a bomb costs whoever stands at the counter.
"""

from __future__ import annotations

import io
import struct
import time
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from itertools import cycle
from threading import Event, Thread
from typing import Any, Final

import numpy as np
from PIL import Image

import wallet_api.picture
from consent.code import mint
from consent.errors import Refusal
from consent.keys import new_key
from scanner_kiosk import scene
from scanner_kiosk.picture import POSTED_BYTES, Grey, read_picture
from scanner_kiosk.pictures_apart import PicturesApart

_POSTS: Final = 200
_EVERY_S: Final = 0.04  # a browser's camera posts at most 25 pictures a second


def bombs(good: bytes) -> dict[str, bytes]:
    """By name. `good` is a PNG that can be read."""
    return {
        "wide, one bit a pixel": png(2**31 - 1, 60, depth=1, colour=0, data=zlib.compress(bytes(50_000_000))),
        "wide and within the pixels": png(2_000_000, 1, depth=1, colour=0, data=zlib.compress(bytes(250_001))),
        "giant with transparency": png(13_000, 13_000, depth=8, colour=6, data=zlib.compress(bytes(40_000_000))),
        "small, unpacks to much more than it says": png(
            9, 9, depth=8, colour=6, data=zlib.compress(bytes(300_000_000))
        ),
        "a thousand scans": scans(1000, height=480, width=640),
        "as many scans as are let through": scans(45, height=1080, width=1920),
        "cut in half": good[: len(good) // 2],
        "another kind": packed(np.zeros((9, 9), np.uint8), "GIF"),
        "a page that is a picture as well": b"<!doctype html><script>1</script>" + good,
        "too many bytes": good + bytes(POSTED_BYTES),
        **{f"a wall of finders, {module} a module": packed(finders(module)) for module in (1, 2, 3)},
    }


def harm() -> dict[str, float]:
    """Milliseconds that a good picture takes, half of them and 99 of 100, alone and beside bombs; and the ratio."""
    text = mint(bytes(16), new_key("EdDSA", issuer="31"), now=datetime.now(UTC))
    good, apart, over = picture(text), PicturesApart(), Event()
    try:
        _took(apart, good, text)  # the children come up
        alone = [_took(apart, good, text) for _ in range(_POSTS)]
        thread = Thread(target=_post, args=(apart, [*bombs(good).values()], over))
        thread.start()
        try:
            beside = [_took(apart, good, text) for _ in range(_POSTS)]
        finally:
            over.set()
            thread.join()
    finally:
        apart.close()
    found = {"alone, median": _at(alone, 0.5), "alone, p99": _at(alone, 0.99)}
    found |= {"beside bombs, median": _at(beside, 0.5), "beside bombs, p99": _at(beside, 0.99)}
    return found | {"p99, ratio": found["beside bombs, p99"] / found["alone, p99"]}


def picture(text: str) -> bytes:
    """A code before a camera at 1280x720, as a browser posts it."""
    drawn = read_picture(wallet_api.picture.png(text))
    return packed(scene.frame(drawn, seed=1, t=30, camera=scene.Camera(width=1280, height=720)), "JPEG", quality=85)


def _took(apart: PicturesApart, good: bytes, text: str) -> float:
    began = time.perf_counter()
    if text not in apart.read(good).texts:
        raise AssertionError("the picture was not read")
    took = time.perf_counter() - began
    time.sleep(max(0.0, _EVERY_S - took))
    return took * 1000


def _post(apart: PicturesApart, pictures: list[bytes], over: Event) -> None:
    for each in cycle(pictures):
        if over.is_set():
            return
        with suppress(Refusal):
            apart.read(each)


def _at(times: list[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)]


def png(width: int, height: int, *, depth: int, colour: int, data: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def packed(grey: Grey, kind: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(grey).save(out, kind, **more)
    return out.getvalue()


def scans(times: int, *, height: int, width: int) -> bytes:
    """A progressive JPEG whose first scan comes `times` times."""
    grey = np.full((height, width), 90, np.uint8)
    head, first, *rest = packed(grey, "JPEG", progressive=True).split(b"\xff\xda")
    return b"\xff\xda".join([head, *[first] * times, *rest])


def finders(module: int) -> Grey:
    """As many finder patterns as two million pixels hold."""
    one = np.pad(np.zeros((7, 7), np.uint8), 1, constant_values=255)
    one[2:7, 2:7], one[3:6, 3:6] = 255, 0
    one = np.kron(one, np.ones((module, module), np.uint8))
    high, wide = 1080 // len(one), 1920 // len(one)
    return np.asarray(np.tile(one, (high, wide)), np.uint8)

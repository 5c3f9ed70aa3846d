"""What the counter can read, and that nothing a picture does goes beyond being read or refused.

Recall is measured on public photographs (env HUZHENG_VECTORS) with CPU time as the budget, so that a busy
machine changes it little. The gates stand a little below what was measured when they were written.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import base45
import cv2
import numpy as np
import pytest
import qrcode
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from consent.errors import Reason, Refusal
from scanner_kiosk import scene
from scanner_kiosk.decode import Costs, Reader, decode_files, read_codes, read_picture
from scanner_kiosk.picture import POSTED_BYTES, Grey, load_file
from scanner_kiosk.repairs import NEAR, WHOLE, Part, Repair

FULL = bool(os.environ.get("HUZHENG_FULL"))
VECTORS = Path(os.environ.get("HUZHENG_VECTORS", "../shared/vectors")) / "qr"
UNLIMITED = 1e9
QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)

RELABELLED = {
    # The label says "photograph"; two independent decoders read "photography" with 58 % of the error
    # correction unused.
    "img/zxing__0017.png": "The 2005 USGS aerial photography of the Washington Monument is censored.",
}


def presentation(seed: int) -> tuple[str, Grey]:
    """A text like a presentation code (178 characters, version 7, level M) and its drawing, to be kept or
    spoilt."""
    text, drawing = drawn(seed)
    return text, drawing.copy()


@lru_cache(maxsize=64)
def drawn(seed: int) -> tuple[str, Grey]:
    chance = np.random.default_rng(seed)
    text = ("YRD1:" + base45.b45encode(chance.bytes(116)).decode())[:178]
    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=4, box_size=8)
    code.add_data(text)
    code.make(fit=True)
    assert code.version == 7
    return text, np.array(code.make_image().get_image().convert("L"), np.uint8)


def encoded(image: Grey, suffix: str, *options: int) -> bytes:
    good, data = cv2.imencode(suffix, image, list(options))
    assert good
    return data.tobytes()


def plain_texts(image: Grey) -> set[str]:
    found = zxingcpp.read_barcodes(image, formats=QR, text_mode=zxingcpp.TextMode.Plain)
    return {spaced(code.text) for code in found}


def spaced(text: str) -> str:
    """The manifest writes line ends as spaces."""
    return " ".join(text.split())


# --- public photographs ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    file: str
    expected: frozenset[str]
    plain: frozenset[str]
    cascade: frozenset[str]


@lru_cache(maxsize=1)
def photographs() -> tuple[Row, ...]:
    manifest = VECTORS / "manifest.jsonl"
    if not manifest.exists():
        pytest.skip(f"no photographs: HUZHENG_VECTORS={VECTORS.parent} has no qr/manifest.jsonl")
    rows = []
    for line in manifest.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        image = load_file(VECTORS / entry["file"])
        expected = [RELABELLED[entry["file"]]] if entry["file"] in RELABELLED else entry["expected"]
        rows.append(
            Row(
                file=entry["file"],
                expected=frozenset(map(spaced, expected)),
                plain=frozenset(plain_texts(image)),
                cascade=frozenset(map(spaced, read_codes(image, budget_ms=33))),
            )
        )
    return tuple(rows)


@pytest.mark.full
def test_the_cascade_loses_no_text_that_plain_zxing_reads() -> None:
    assert [row.file for row in photographs() if not row.plain <= row.cascade] == []


def test_the_cascade_reads_more_photographs_than_plain_zxing() -> None:
    """Of 147: 124 by zxing-cpp alone, 137 in 33 ms and 139 without a budget were measured."""
    with_code = [row for row in photographs() if row.expected]
    plain = sum(bool(row.plain & row.expected) for row in with_code)
    cascade = sum(bool(row.cascade & row.expected) for row in with_code)
    assert len(with_code) == 147
    assert cascade >= plain + 7
    assert cascade >= 131


def test_no_photograph_gives_a_text_that_is_not_in_it() -> None:
    assert {row.file: row.cascade - row.expected for row in photographs() if row.cascade - row.expected} == {}


def test_photographs_without_a_code_give_no_text() -> None:
    empty = [row for row in photographs() if not row.expected]
    assert len(empty) == 18
    assert [row.file for row in empty if row.cascade] == []


# --- the phone before the camera ---


@pytest.mark.parametrize("seed", range(200 if FULL else 8))
def test_a_phone_that_arrives_is_read_within_fifteen_frames(seed: int) -> None:
    text, drawing = presentation(seed)
    reader = Reader()
    for t in range(4, 15):  # before, the code is still below the edge
        texts = reader.read(scene.frame(drawing, seed=seed, t=t), budget_ms=8)
        assert texts in ([], [text])
        if texts:
            return
    pytest.fail("unread after 15 frames")


@pytest.mark.parametrize(
    "camera",
    [
        scene.Camera(gain=0.02, noise=3),
        scene.Camera(gain=12),
        scene.Camera(side=140),
        scene.Camera(blur=2.4),
        scene.Camera(tilt=50),
        scene.Camera(noise=50),
        scene.Camera(jpeg=10),
        scene.Camera(width=1920, height=1080),
    ],
    ids=["dark", "over-exposed", "far", "blurred", "tilted", "noisy", "poor cable", "full HD"],
)
def test_a_resting_phone_is_read_at_a_bad_counter(camera: scene.Camera) -> None:
    seeds = range(40 if FULL else 6)
    read = 0
    for seed in seeds:
        text, drawing = presentation(seed)
        texts = read_codes(scene.frame(drawing, seed=seed, t=20, camera=camera))
        assert texts in ([], [text])
        read += texts == [text]
    assert read >= 0.8 * len(seeds)


def test_a_phone_that_is_too_far_for_plain_zxing_is_read() -> None:
    """1.7 pixels a module, steady hands. Of 40: none by zxing-cpp alone, 34 in one frame of 33 ms, all in
    more."""
    far = scene.Camera(side=88, blur=0.7, tremble=0)
    plain, cascade = 0, 0
    seeds = range(40 if FULL else 8)
    for seed in seeds:
        text, drawing = presentation(seed)
        frame = scene.frame(drawing, seed=seed, t=20, camera=far)
        plain += plain_texts(frame) == {text}
        cascade += read_codes(frame, budget_ms=UNLIMITED) == [text]
    assert plain <= 0.2 * len(seeds)
    assert cascade >= 0.8 * len(seeds)


@pytest.mark.parametrize("name", [repair.name for repair in (*NEAR, *WHOLE)])
def test_every_repair_keeps_a_good_picture_readable_and_leaves_the_original_alone(name: str) -> None:
    """A step that could read nothing would only cost time. A quarter is for pictures four times as large."""
    repair = next(repair for repair in (*NEAR, *WHOLE) if repair.name == name)
    text, drawing = presentation(3)
    size = 4 if name == "quarter" else 1
    drawing = np.pad(drawing, 100, constant_values=255).repeat(size, axis=0).repeat(size, axis=1)
    before = drawing.copy()
    low, high = 132 * size, drawing.shape[0] - 132 * size
    corners = np.array([[low, low], [high, low], [high, high], [low, high]], np.float32)
    repaired = repair.apply(Part(grey=drawing, corners=corners))
    assert plain_texts(repaired) == {text}
    assert np.array_equal(before, drawing)


# --- budget and gate ---


class Ticking:
    """`time.thread_time` in its place: every look at it costs a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all pictures that were given to zxing-cpp, in order."""
    sizes: list[int] = []
    real = zxingcpp.read_barcodes

    def read(image: Grey, **options: Any) -> Any:
        sizes.append(image.size)
        return real(image, **options)

    monkeypatch.setattr("scanner_kiosk.decode.zxingcpp.read_barcodes", read)
    return sizes


def test_without_a_budget_only_the_frame_itself_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = counted(monkeypatch)
    assert read_codes(scene.frame(None, seed=1, t=0), budget_ms=0) == []
    assert sizes == [1280 * 720]


def test_a_repair_that_has_become_too_dear_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = scene.frame(None, seed=1, t=0)
    costs = Costs()
    for repair in WHOLE[1:]:
        for _ in range(200):
            costs.add(repair, frame.size, 500)
    assert costs.expected(WHOLE[1], frame.size) > 400
    sizes = counted(monkeypatch)
    assert Reader(costs=costs).read(frame, budget_ms=100) == []
    assert len(sizes) == 2  # the frame itself and the one cheap repair


def test_the_next_frame_goes_on_where_the_last_one_had_no_more_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("scanner_kiosk.decode.time.thread_time", Ticking())
    tried: list[str] = []
    real = Costs.add

    def add(costs: Costs, repair: Repair, pixels: int, ms: float) -> None:
        tried.append(repair.name)
        real(costs, repair, pixels, ms)

    monkeypatch.setattr(Costs, "add", add)
    reader = Reader()
    frame = scene.frame(None, seed=1, t=0)
    frames: list[list[str]] = []
    for _ in range(8):
        tried.clear()
        assert reader.read(frame, budget_ms=33) == []
        frames.append(list(tried))
    assert 0 < len(frames[0]) < len(WHOLE)
    assert frames[1][0] not in frames[0]
    assert {name for names in frames for name in names} == {repair.name for repair in WHOLE}
    assert frames[-1] == []  # all failed on this frame, and nothing has changed


def test_an_empty_counter_costs_one_look_a_frame_until_something_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = Reader()
    for t in range(4):
        assert reader.read(scene.frame(None, seed=2, t=t), budget_ms=UNLIMITED) == []
    sizes = counted(monkeypatch)
    for t in range(4, 14):
        assert reader.read(scene.frame(None, seed=2, t=t), budget_ms=UNLIMITED) == []
    assert len(sizes) == 10
    _, drawing = presentation(2)
    arriving = scene.frame(drawing, seed=2, t=4)
    assert reader.read(arriving, budget_ms=UNLIMITED) == []
    assert len(sizes) > 11


def test_patience_with_a_symbol_that_stays_unreadable_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner_kiosk.decode._PATIENCE", 5)
    _, drawing = presentation(4)
    drawing[100:320, 100:320] = np.random.default_rng(1).choice(np.array([0, 255], np.uint8), (220, 220))
    sizes = counted(monkeypatch)
    reader = Reader()
    looks = []
    for _ in range(7):
        sizes.clear()
        assert reader.read(drawing, budget_ms=UNLIMITED) == []
        looks.append(len(sizes))
    assert looks == [1 + len(NEAR) + len(WHOLE)] * 5 + [1 + len(NEAR)] * 2


def test_light_that_changes_everywhere_is_not_taken_for_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    frame = scene.frame(None, seed=2, t=0)
    reader.read(frame, budget_ms=UNLIMITED)
    sizes = counted(monkeypatch)
    brighter = cv2.add(frame, np.full_like(frame, 20)).astype(np.uint8)
    assert reader.read(brighter, budget_ms=UNLIMITED) == []
    assert len(sizes) == 1


# --- accept ---


def two_codes() -> tuple[str, str, Grey]:
    """A poster's address and a presentation code side by side."""
    ours, drawing = presentation(5)
    poster = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=4, box_size=8)
    poster.add_data("https://example.org/poster")
    poster.make(fit=True)
    other = np.array(poster.make_image().get_image().convert("L"), np.uint8)
    page = np.full((600, 1000), 255, np.uint8)
    page[50 : 50 + other.shape[0], 50 : 50 + other.shape[1]] = other
    page[80 : 80 + drawing.shape[0], 500 : 500 + drawing.shape[1]] = drawing
    return ours, "https://example.org/poster", page


def test_all_codes_of_a_picture_are_found() -> None:
    ours, poster, page = two_codes()
    assert sorted(read_codes(page)) == sorted([ours, poster])


def test_only_what_is_accepted_is_returned() -> None:
    ours, _, page = two_codes()
    assert read_codes(page, accept=lambda text: text.startswith("YRD1:")) == [ours]


def test_after_a_text_that_is_not_accepted_the_search_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, poster, page = two_codes()
    sizes = counted(monkeypatch)
    asked: set[str] = set()

    def no(text: str) -> bool:
        asked.add(text)
        return False

    assert read_codes(page, budget_ms=UNLIMITED, accept=no) == []
    assert len(sizes) > 5
    assert asked == {ours, poster}


def test_a_text_that_is_twice_in_the_picture_is_one_text() -> None:
    text, drawing = presentation(6)
    assert read_codes(np.hstack([drawing, drawing])) == [text]


def test_other_symbols_are_not_read() -> None:
    kinds = zxingcpp.BarcodeFormat
    for kind in (kinds.MicroQRCode, kinds.RMQRCode, kinds.EAN13, kinds.Aztec):
        symbol = zxingcpp.create_barcode("5901234123457" if kind.name == "EAN13" else "12345", kind)
        image = np.pad(np.array(zxingcpp.write_barcode_to_image(symbol, scale=6)), 40, constant_values=255)
        assert zxingcpp.read_barcodes(image)
        assert read_codes(image, budget_ms=UNLIMITED) == []


# --- any array: read or refused ---


@pytest.mark.parametrize(
    "shape", [(0, 0), (0, 7), (7, 0), (0, 0, 3), (0, 9, 3), (1, 1), (1, 1, 3), (2, 3), (1, 70_000)]
)
def test_a_picture_of_any_size_has_no_text_when_it_has_no_code(shape: tuple[int, ...]) -> None:
    assert read_codes(np.zeros(shape, np.uint8), budget_ms=UNLIMITED) == []


def test_every_memory_layout_is_read() -> None:
    text, drawing = presentation(7)
    colour = np.dstack([drawing] * 3)
    wide = np.repeat(drawing, 2, axis=1)
    read_only = drawing.copy()
    read_only.flags.writeable = False
    for image in (
        drawing,
        colour,
        colour[..., 0],
        colour[..., ::-1],
        colour[::2, ::2],
        wide[:, ::2],
        drawing[::-1, ::-1],
        np.rot90(drawing),
        np.asfortranarray(drawing),
        read_only,
    ):
        assert read_codes(image, budget_ms=UNLIMITED) == [text]


SHAPES = st.lists(st.integers(0, 40), min_size=0, max_size=4).map(tuple) | st.tuples(
    st.integers(0, 40), st.integers(0, 40), st.just(3)
)


@settings(max_examples=2000 if FULL else 100, deadline=None)
@given(
    image=arrays.arrays(
        dtype=st.sampled_from([np.uint8] * 4 + [np.bool_, np.int8, np.uint16, np.float32, np.complex64]),
        shape=SHAPES,
        elements=None,
        fill=st.just(0),
    )
)
def test_any_array_is_read_or_refused(image: Any) -> None:
    is_picture = image.dtype == np.uint8 and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
    if is_picture:
        assert isinstance(read_codes(image, budget_ms=UNLIMITED), list)
    else:
        with pytest.raises(Refusal) as refused:
            read_codes(image)
        assert refused.value.reason is Reason.PICTURE_UNREADABLE


@settings(max_examples=500 if FULL else 60, deadline=None)
@given(st.none() | st.integers() | st.binary() | st.text() | st.lists(st.integers(0, 255)))
def test_what_is_not_an_array_is_refused(thing: object) -> None:
    with pytest.raises(Refusal) as refused:
        read_codes(thing)
    assert refused.value.reason is Reason.PICTURE_UNREADABLE


@settings(max_examples=1000 if FULL else 40, deadline=None)
@given(seed=st.integers(0, 2**32), strokes=st.integers(1, 40), blur=st.floats(0.3, 6))
def test_a_damaged_code_gives_its_own_text_or_none(seed: int, strokes: int, blur: float) -> None:
    text, drawing = presentation(seed % 4)
    chance = np.random.default_rng(seed)
    for _ in range(strokes):
        ends = chance.integers(0, drawing.shape[0], (2, 2)).tolist()
        cv2.line(drawing, ends[0], ends[1], int(chance.integers(0, 256)), int(chance.integers(1, 12)))
    image = cv2.GaussianBlur(drawing, (0, 0), blur).astype(np.uint8)
    assert read_codes(image, budget_ms=UNLIMITED) in ([], [text])


def test_a_wall_of_finder_patterns_ends_with_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = np.full((9, 9), 255, np.uint8)
    finder[1:8, 1:8], finder[2:7, 2:7], finder[3:6, 3:6] = 0, 255, 0
    wall = np.tile(finder, (40, 60))
    monkeypatch.setattr("scanner_kiosk.decode.time.thread_time", iter(range(10_000)).__next__)
    sizes = counted(monkeypatch)
    assert read_codes(wall) == []
    assert sizes == [wall.size]


# --- posted pictures ---


def png(width: int, height: int, *chunks: tuple[bytes, bytes], colour: int = 0) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(name, body) for name, body in ((b"IHDR", header), *chunks, (b"IEND", b""))
    )


def scan_bomb(image: Grey, times: int) -> bytes:
    """A progressive JPEG whose first scan comes `times` times: legal to decoders, which draw the picture each
    time."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", progressive=True)
    head, first, *rest = out.getvalue().split(b"\xff\xda")
    return b"\xff\xda".join([head, *[first] * times, *rest])


def hostile_pictures() -> Iterator[tuple[str, bytes]]:
    _, drawing = presentation(8)
    good_png, good_jpeg = encoded(drawing, ".png"), encoded(drawing, ".jpg")
    zeros = zlib.compress(bytes(40_000))
    yield "nothing", b""
    yield "text", b"YRD1:NOT A PICTURE"
    yield "html", b"<!doctype html><title>x</title>"
    for kind in ("GIF", "BMP", "WEBP", "TIFF", "PPM"):
        out = io.BytesIO()
        Image.fromarray(drawing).save(out, kind)
        yield kind, out.getvalue()
    yield "PNG cut in half", good_png[: len(good_png) // 2]
    yield "PNG signature only", good_png[:8]
    yield "PNG with a wrong checksum", good_png[:60] + bytes([good_png[60] ^ 1]) + good_png[61:]
    yield "JPEG cut in half", good_jpeg[: len(good_jpeg) // 2]
    yield "JPEG cut at the last kilobyte", good_jpeg[:-1024]
    yield "JPEG signature only", good_jpeg[:3]
    yield "PNG bomb, header of 13,000 squared", png(13_000, 13_000, (b"IDAT", zeros))
    yield "PNG bomb, header beyond Pillow's own limit", png(60_000, 60_000, (b"IDAT", zeros))
    yield "PNG bomb, header of 2 to the 31", png(2**31 - 1, 2**31 - 1, (b"IDAT", zeros))
    yield "PNG just too large", encoded(np.zeros((1081, 1920), np.uint8), ".png")
    yield "PNG without a size", png(0, 0, (b"IDAT", zeros))
    yield "PNG with too little data", png(400, 400, (b"IDAT", zlib.compress(bytes(100))))
    yield "PNG text bomb", png(9, 9, (b"zTXt", b"k\0\0" + zlib.compress(bytes(80_000_000))), (b"IDAT", zeros))
    yield "JPEG with a thousand scans", scan_bomb(drawing, 1000)
    yield "too many bytes", good_png + bytes(POSTED_BYTES)


HOSTILE = dict(hostile_pictures())


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_posted_picture_that_is_not_a_whole_small_png_or_jpeg_is_refused(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_picture(HOSTILE[name])
    assert refused.value.reason is Reason.PICTURE_UNREADABLE


def test_a_jpeg_with_a_few_scans_more_than_usual_is_read() -> None:
    """So that the bomb above is refused for its number of scans, and not for being built wrongly."""
    text, drawing = presentation(8)
    assert read_codes(read_picture(scan_bomb(drawing, 20))) == [text]


@pytest.mark.parametrize("thing", [None, "text", 7, ["bytes"]])
def test_what_is_not_bytes_is_refused_as_a_posted_picture(thing: Any) -> None:
    with pytest.raises(Refusal):
        read_picture(thing)


def test_posted_pictures_are_read_in_every_mode_that_browsers_and_phones_write() -> None:
    text, drawing = presentation(9)
    grey = Image.fromarray(drawing)
    transparent = Image.new("RGBA", grey.size, (0, 0, 0, 0))
    transparent.paste((0, 0, 0, 255), mask=Image.fromarray(255 - drawing))
    sixteen = Image.fromarray(drawing.astype(np.uint16) * 257)
    cases: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (grey, "PNG", {}),
        (grey.convert("1"), "PNG", {}),
        (grey.convert("P"), "PNG", {}),
        (grey.convert("RGB"), "PNG", {}),
        (transparent, "PNG", {}),
        (sixteen, "PNG", {}),
        (grey, "JPEG", {}),
        (grey.convert("RGB"), "JPEG", {"quality": 60}),
        (grey.convert("RGB"), "JPEG", {"progressive": True}),
        (grey.convert("CMYK"), "JPEG", {}),
    ]
    for image, kind, options in cases:
        out = io.BytesIO()
        image.save(out, kind, **options)
        picture = read_picture(out.getvalue())
        assert picture.dtype == np.uint8
        assert picture.shape == drawing.shape
        assert read_codes(picture) == [text], (image.mode, kind, options)


def test_a_full_hd_frame_may_be_posted() -> None:
    frame = scene.frame(None, seed=1, t=0, camera=scene.Camera(width=1920, height=1080))
    assert read_picture(encoded(frame, ".jpg")).shape == (1080, 1920)


@settings(max_examples=3000 if FULL else 60, deadline=None)
@given(data=st.data(), start=st.sampled_from([".png", ".jpg"]))
def test_any_bytes_are_a_picture_or_refused(data: st.DataObject, start: str) -> None:
    packed = bytearray(encoded(presentation(1)[1][::4, ::4].copy(), start))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(packed) - 1))
        packed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        picture = read_picture(bytes(packed))
    except Refusal as refusal:
        reason = refusal.reason
    else:
        assert (picture.dtype.name, picture.ndim) == ("uint8", 2)
        return
    assert reason is Reason.PICTURE_UNREADABLE


# --- files ---


def test_files_give_one_row_each_in_order(tmp_path: Path) -> None:
    text, drawing = presentation(10)
    names = ["a.png", "b.jpg", "c.webp", "d.bmp", "no such.png", "text.png", "blank.png"]
    for name in names[:4]:
        (tmp_path / name).write_bytes(encoded(drawing, name[name.index(".") :]))
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "blank.png").write_bytes(encoded(np.full((90, 90), 255, np.uint8), ".png"))
    rows = list(decode_files([tmp_path / name for name in names]))
    assert [row["file"] for row in rows] == [str(tmp_path / name) for name in names]
    assert [row["texts"] for row in rows] == [[text]] * 4 + [[]] * 3
    assert [row.get("error") for row in rows] == [None] * 4 + ["PICTURE_UNREADABLE"] * 2 + [None]
    assert [json.loads(json.dumps(row)) for row in rows] == rows


def test_files_on_the_own_disk_may_be_larger_than_posted_ones_but_not_endless(tmp_path: Path) -> None:
    text, drawing = presentation(11)
    page = np.full((4000, 4000), 255, np.uint8)
    page[1000 : 1000 + drawing.shape[0], 900 : 900 + drawing.shape[1]] = drawing
    (tmp_path / "large.png").write_bytes(encoded(page, ".png"))
    (tmp_path / "endless.png").write_bytes(encoded(np.full((7200, 7000), 255, np.uint8), ".png"))
    large, endless = decode_files([tmp_path / "large.png", tmp_path / "endless.png"])
    assert large["texts"] == [text]
    assert endless["error"] == "PICTURE_UNREADABLE"


# --- the drawn counter ---


def test_the_same_phone_seed_and_time_give_the_same_frame() -> None:
    _, drawing = presentation(12)
    for t in (0, 4, 9, 30):
        one, other = (scene.frame(drawing, seed=5, t=t) for _ in range(2))
        assert one.shape == (720, 1280)
        assert one.dtype == np.uint8
        assert np.array_equal(one, other)


def test_another_seed_or_time_gives_another_frame() -> None:
    _, drawing = presentation(12)
    frames = [scene.frame(drawing, seed=seed, t=t) for seed in (1, 2) for t in (2, 3, 20, 21)]
    assert len({frame.tobytes() for frame in frames}) == len(frames)


def test_an_empty_counter_shows_no_code() -> None:
    for seed in range(4):
        assert read_codes(scene.frame(None, seed=seed, t=0), budget_ms=UNLIMITED) == []


@settings(max_examples=200 if FULL else 15, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    t=st.integers(0, 10_000),
    camera=st.builds(
        scene.Camera,
        width=st.integers(16, 400),
        height=st.integers(16, 400),
        side=st.floats(8, 300),
        tilt=st.floats(0, 70),
        blur=st.floats(0, 4),
        gain=st.floats(0.01, 20),
        noise=st.floats(0, 60),
        tremble=st.floats(0, 20),
        arrival=st.integers(0, 30),
        jpeg=st.integers(0, 100),
    ),
)
def test_every_camera_gives_a_frame_of_its_size(seed: int, t: int, camera: scene.Camera) -> None:
    frame = scene.frame(presentation(0)[1], seed=seed, t=t, camera=camera)
    assert frame.shape == (camera.height, camera.width)
    assert frame.dtype == np.uint8

"""Posted pictures are read in a process of their own: bombs, its end, its queue, and nothing lost on the way.

Bombs are built here. Each must be refused in words that are documented or be read, within the limits of one picture, and
the next picture must be read. Time is held by the reader's own limit, not by a clock in the test.
"""

from __future__ import annotations

import io
import os
import signal
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from consent.errors import Reason, Refusal, Unavailable
from scanner_kiosk.decode import Reader
from scanner_kiosk.picture import POSTED_BYTES, Grey, read_picture
from scanner_kiosk.pictures_apart import MOST_AT_ONCE, PicturesApart, Seen
from tests.counter_rig import png as code
from tests.counts import is_refused, outcome

TEXT = "YRD1:A PICTURE LIKE ANY OTHER"
MOST_KIB = 256 << 10
PHOTOGRAPHS = Path(os.environ.get("HUZHENG_VECTORS", "/nowhere")) / "qr"


@pytest.fixture(scope="module")
def apart() -> Iterator[PicturesApart]:
    reader = PicturesApart()
    yield reader
    reader.close()


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


GOOD = code(TEXT)
BOMBS: dict[str, bytes] = {
    "wide, one bit a pixel": png(2**31 - 1, 60, depth=1, colour=0, data=zlib.compress(bytes(50_000_000))),
    "wide and within the pixels": png(2_000_000, 1, depth=1, colour=0, data=zlib.compress(bytes(250_001))),
    "giant with transparency": png(13_000, 13_000, depth=8, colour=6, data=zlib.compress(bytes(40_000_000))),
    "small, unpacks to much more than it says": png(9, 9, depth=8, colour=6, data=zlib.compress(bytes(300_000_000))),
    "a thousand scans": scans(1000, height=480, width=640),
    "as many scans as are let through": scans(45, height=1080, width=1920),
    "cut in half": GOOD[: len(GOOD) // 2],
    "another kind": packed(np.zeros((9, 9), np.uint8), "GIF"),
    "a page that is a picture as well": b"<!doctype html><script>1</script>" + GOOD,
    "too many bytes": GOOD + bytes(POSTED_BYTES),
    **{f"a wall of finders, {module} a module": packed(finders(module)) for module in (1, 2, 3)},
}
# The others may be read: what they hold beyond the picture is never unpacked, or it is only much work.
REFUSED = [name for name in BOMBS if not any(word in name for word in ("wall", "within", "let through", "unpacks"))]


@pytest.mark.parametrize("name", list(BOMBS))
def test_a_bomb_is_answered_within_the_limits_and_the_next_picture_is_read(apart: PicturesApart, name: str) -> None:
    found = outcome(apart.read, BOMBS[name])
    assert found is Reason.PICTURE_UNREADABLE or (name not in REFUSED and not is_refused(found))
    assert apart.peak_kib <= MOST_KIB
    assert apart.read(GOOD).texts == (TEXT,)


def test_a_picture_with_too_long_a_side_costs_no_child(apart: PicturesApart) -> None:
    apart.read(GOOD)
    before = apart.pid
    outcome(apart.read, BOMBS["wide and within the pixels"])
    assert apart.read(GOOD).texts == (TEXT,)
    assert apart.pid == before


def test_a_picture_with_something_behind_it_is_read_as_the_picture(apart: PicturesApart) -> None:
    assert apart.read(GOOD + b"PK\x03\x04<script>1</script>").texts == (TEXT,)


def test_a_child_that_was_killed_is_replaced_and_no_dead_one_is_left() -> None:
    apart = PicturesApart()
    try:
        assert apart.read(GOOD).texts == (TEXT,)
        first = apart.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        try:
            again = apart.read(GOOD)
        except Refusal:  # it was not yet dead when the picture was sent
            again = apart.read(GOOD)
        assert again.texts == (TEXT,)
        assert apart.pid != first
        assert not os.path.exists(f"/proc/{first}")
    finally:
        apart.close()


def test_a_child_that_hangs_is_killed_at_the_wall_limit_and_the_next_picture_is_read() -> None:
    apart = PicturesApart()
    try:
        assert apart.read(GOOD).texts == (TEXT,)
        hung = apart.pid
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        with pytest.raises(Refusal) as no:
            apart.read(GOOD)
        assert no.value.reason is Reason.PICTURE_UNREADABLE
        assert not os.path.exists(f"/proc/{hung}")
        assert apart.read(GOOD).texts == (TEXT,)
    finally:
        apart.close()


def test_closing_ends_the_child_and_leaves_no_dead_one() -> None:
    apart = PicturesApart()
    apart.read(GOOD)
    pid = apart.pid
    apart.close()
    assert apart.pid is None
    assert not os.path.exists(f"/proc/{pid}")


def test_the_child_has_limits_and_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUZHENG_SECRET", "of-the-parent")
    apart = PicturesApart()
    try:
        apart.read(GOOD)
        limits = Path(f"/proc/{apart.pid}/limits").read_text(encoding="ascii")
        rows = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()}
        assert (rows["Max core file size"], rows["Max file size"], rows["Max open files"]) == ("0", "0", "16")
        assert rows["Max address space"] != "unlimited"
        assert rows["Max cpu time"] != "unlimited"
        assert b"of-the-parent" not in Path(f"/proc/{apart.pid}/environ").read_bytes()
    finally:
        apart.close()


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false"])
def test_where_no_child_starts_there_is_no_answer_and_no_hang(python: str) -> None:
    apart = PicturesApart(python=python)
    with pytest.raises(Unavailable) as silent:
        apart.read(GOOD)
    assert silent.value.reason is Reason.DEVICE_UNAVAILABLE
    assert apart.pid is None


class Held(PicturesApart):
    """Reads nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.go = Event()

    def _ask(self, data: bytes) -> Seen:
        assert self.go.wait(60)
        return super()._ask(data)


def test_one_is_read_two_wait_and_a_fourth_is_told_to_come_again() -> None:
    apart, ends = Held(), SimpleQueue[object]()

    def post() -> None:
        try:
            ends.put(apart.read(GOOD).texts)
        except Refusal as no:
            ends.put((no.reason, no.facts["n"]))

    threads = [Thread(target=post) for _ in range(MOST_AT_ONCE + 1)]
    for thread in threads:
        thread.start()
    assert ends.get(timeout=60) == (Reason.TOO_MANY, 1)
    apart.go.set()
    assert [ends.get(timeout=60) for _ in range(MOST_AT_ONCE)] == [(TEXT,)] * MOST_AT_ONCE
    for thread in threads:
        thread.join()
    apart.close()


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="HUZHENG_VECTORS names no photographs")
def test_nothing_is_lost_that_is_read_in_this_process() -> None:
    # A budget in which every repair fits, so that a busy machine changes nothing.
    apart, compared = PicturesApart(budget_ms=60_000, wall_s=60), 0
    try:
        for path in sorted((PHOTOGRAPHS / "img").iterdir())[::8]:
            try:
                here = Reader().read(read_picture(path.read_bytes()), budget_ms=60_000)
            except Refusal:
                continue
            compared += bool(here)
            assert set(here) <= set(apart.read(path.read_bytes()).texts), path.name
    finally:
        apart.close()
    assert compared >= 10

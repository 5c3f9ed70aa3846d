"""Picture in, texts out.

zxing-cpp alone is fast and reads most pictures. What it fails on has, in three of four cases, been *found*
and only the checksum was wrong; so the cheap thing is to ask it for the places of its failures, and to try
again there with a repaired picture. Only then is the whole frame repaired and read again:

0. The frame as it is. Any text that is accepted ends the search; the steps below only cost when this one
   fails.
1. For at most two symbols that were found but not read: a crop with its surroundings, repaired in each way of NEAR.
2. The whole frame, repaired in each way of WHOLE.

**The budget** is CPU time of the calling thread, never wall time: on a busy machine a wall clock would take
away the repairs exactly when frames are late anyway. A repair is skipped when it would not fit, judged by
what it has cost so far per million pixels. Step 0 always runs.

**Between frames** a `Reader` remembers which whole-frame repair was next, and whether the picture has changed
since all of them failed. A counter with nobody at it shows the same frame for hours, and must not cost a
core.

**False texts** are rarer than unread ones and worse. Only model 1 and 2 symbols are asked for: Micro QR and
rMQR have so little redundancy that the modules of a mangled symbol pass for one. `accept` lets the caller say
what a text must look like; the search goes on when it says no. What is returned is still only what a picture
says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any, Final

import cv2
import numpy as np
import zxingcpp

from consent.errors import Refusal
from scanner_kiosk.picture import Grey, as_grey, load_file, read_picture
from scanner_kiosk.repairs import NEAR, WHOLE, Part, Repair

__all__ = ["BUDGET_MS", "Accept", "Costs", "Grey", "Reader", "decode_files", "read_codes", "read_picture"]

Accept = Callable[[str], bool]
"""Says whether a text has the shape that is looked for."""

BUDGET_MS: Final = 33.0
"""One frame of a camera at 30 frames a second."""

_FORMATS: Final = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel1, zxingcpp.BarcodeFormat.QRCodeModel2])
_SYMBOLS_RETRIED: Final = 2
_SURROUNDINGS: Final = 0.35  # of the symbol's side: the quiet zone, and corners that were guessed wrong
_ENLARGE_UP_TO: Final = 4_000_000  # pixels; beyond it, enlarging costs memory and reads nothing more
_SIDE_UP_TO: Final = 65_535  # zxing-cpp's limit
_CHANGED: Final = 10  # grey levels, in one cell of the thumbnail; sensor noise stays below 2
_PATIENCE: Final = 60  # frames, for a symbol that is seen and stays unread while nothing moves

# OpenCV's own threads would work outside of the budget, which sees only the calling thread.
cv2.setNumThreads(1)


@dataclass(slots=True)
class Costs:
    """What each repair has cost so far: CPU ms per million pixels, a running mean that slowly forgets.

    Shared between threads at no risk: a lost update is one sample less.
    """

    _means: dict[str, tuple[float, int]] = field(default_factory=dict)

    def expected(self, repair: Repair, pixels: int) -> float:
        """CPU ms that this repair will probably take."""
        mean, _ = self._means.get(repair.name, (repair.cost, 0))
        return mean * pixels / 1e6

    def add(self, repair: Repair, pixels: int, ms: float) -> None:
        """One more sample."""
        # Tiny pictures measure the overhead of the call, which says nothing about the large ones that need
        # judging.
        if pixels < 10_000:
            return
        mean, seen = self._means.get(repair.name, (repair.cost, 4))
        self._means[repair.name] = (mean + (ms * 1e6 / pixels - mean) / (seen + 1), min(seen + 1, 50))


_COSTS: Final = Costs()


def read_codes(image: object, *, budget_ms: float = BUDGET_MS, accept: Accept | None = None) -> list[str]:
    """The texts of the QR symbols in one picture, unique, in the order found.

    `image` is a numpy array of uint8, grey (H, W) or BGR (H, W, 3), in any memory layout, of any size. A
    picture without a pixel or without a symbol gives []. Anything else is refused (PICTURE_UNREADABLE).
    `budget_ms` is CPU time of this thread; 0 means step 0 only. Texts for which `accept` is false are never
    returned.
    """
    return Reader(costs=_COSTS).read(image, budget_ms=budget_ms, accept=accept)


class Reader:
    """Reads the frames of one camera, one after another. Not for two threads at once."""

    def __init__(self, *, costs: Costs | None = None) -> None:
        self._costs = Costs() if costs is None else costs
        self._gate = _Gate()

    def read(self, image: object, *, budget_ms: float = BUDGET_MS, accept: Accept | None = None) -> list[str]:
        """As `read_codes`, with the memory of the frames before."""
        grey = as_grey(image)
        if grey.size == 0 or max(grey.shape) > _SIDE_UP_TO:
            return []
        search = _Search(costs=self._costs, accept=accept, budget_ms=budget_ms)
        # (0) the frame as it is
        seen = _scan(grey, zxingcpp.Binarizer.LocalAverage)
        if texts := _texts(seen, accept):
            return texts
        # (1) around what was found but not read
        broken = _broken(seen, grey)
        for part in broken:
            for repair in NEAR:
                if texts := search.attempt(repair, part):
                    return texts
        # (2) the whole frame, unless all of it failed already and nothing has changed
        if not search.left_ms() > 0 or not self._gate.opens(grey, symbol=bool(broken)):
            return []
        return self._sweep(search, Part(grey=grey))

    def _sweep(self, search: _Search, whole: Part) -> list[str]:
        """Step 2, from where the last frame stopped. What does not fit is passed over: a cheaper one may
        still fit."""
        available = search.left_ms()
        postponed: list[int] = []
        for at in self._gate.order():
            repair = WHOLE[at]
            if search.fits(repair, whole):
                self._gate.untried.discard(at)
                if texts := search.attempt(repair, whole):
                    return texts
            elif search.fits(repair, whole, within_ms=available):
                postponed.append(at)
            else:
                self._gate.untried.discard(at)  # a whole frame's time would not be enough
        self._gate.start = postponed[0] if postponed else 0
        return []


@dataclass(slots=True)
class _Gate:
    """Whether the whole-frame repairs are worth their time on the next frame, and where they go on."""

    start: int = 0
    untried: set[int] = field(default_factory=lambda: set(range(len(WHOLE))))
    _thumbnail: Any = None
    _still: int = 0

    def order(self) -> Iterator[int]:
        return ((self.start + offset) % len(WHOLE) for offset in range(len(WHOLE)))

    def opens(self, grey: Grey, *, symbol: bool) -> bool:
        """True on a changed frame, then until every repair has had its turn, and a while longer for a symbol
        in view."""
        now = np.asarray(cv2.resize(grey, (64, 36), interpolation=cv2.INTER_AREA), np.int16)
        if self._thumbnail is None or _differ(now, self._thumbnail):
            self._thumbnail = now
            self._still = 0
            self.untried = set(range(len(WHOLE)))
        self._still += 1
        return bool(self.untried) or (symbol and self._still <= _PATIENCE)


def _differ(one: Any, other: Any) -> bool:
    difference = one - other
    # A lamp that flickers or a camera that adjusts itself moves all cells together; a hand does not.
    return bool(np.abs(difference - np.median(difference)).max() > _CHANGED)


class _Search:
    """The search in one frame: what it may still cost."""

    def __init__(self, *, costs: Costs, accept: Accept | None, budget_ms: float) -> None:
        self._costs = costs
        self._accept = accept
        self._budget_ms = budget_ms
        self._start = time.thread_time()

    def left_ms(self) -> float:
        return self._budget_ms - (time.thread_time() - self._start) * 1e3

    def fits(self, repair: Repair, part: Part, *, within_ms: float | None = None) -> bool:
        if repair.enlarges and part.grey.size > _ENLARGE_UP_TO:
            return False
        left = self.left_ms() if within_ms is None else within_ms
        return self._costs.expected(repair, part.grey.size) <= left

    def attempt(self, repair: Repair, part: Part) -> list[str]:
        """The accepted texts of the repaired part; none also when there is no time for it."""
        if not self.fits(repair, part):
            return []
        start = time.thread_time()
        try:
            seen = _scan(repair.apply(part), repair.binarizer)
        except (cv2.error, MemoryError):
            seen = []  # a part too thin or too large for this repair
        self._costs.add(repair, part.grey.size, (time.thread_time() - start) * 1e3)
        return _texts(seen, self._accept)


def _scan(grey: Grey, binarizer: zxingcpp.Binarizer) -> Sequence[zxingcpp.Barcode]:
    try:
        return zxingcpp.read_barcodes(
            grey,
            formats=_FORMATS,
            text_mode=zxingcpp.TextMode.Plain,
            binarizer=binarizer,
            return_errors=True,
        )
    except (ValueError, RuntimeError, MemoryError):
        return []  # too small or too large for zxing-cpp


def _texts(seen: Sequence[zxingcpp.Barcode], accept: Accept | None) -> list[str]:
    found: dict[str, None] = {}
    for barcode in seen:
        try:
            text = barcode.text if barcode.valid else ""
        except UnicodeError:
            continue  # bytes in no character set
        if text and (accept is None or accept(text)):
            found[text] = None
    return list(found)


def _broken(seen: Sequence[zxingcpp.Barcode], grey: Grey) -> list[Part]:
    """The surroundings of the first distinct symbols that were found and not read."""
    parts: list[Part] = []
    centres: list[Any] = []
    for barcode in seen:
        if barcode.valid:
            continue
        place = barcode.position
        corners = np.array(
            [(p.x, p.y) for p in (place.top_left, place.top_right, place.bottom_right, place.bottom_left)],
            np.float32,
        )
        low, high = corners.min(axis=0), corners.max(axis=0)
        centre, side = (low + high) / 2, float((high - low).max())
        if side < 8 or any(np.abs(centre - other).max() < side / 2 for other in centres):
            continue
        margin = _SURROUNDINGS * side
        left, top = np.maximum(low - margin, 0).astype(int)
        right, bottom = np.ceil(high + margin).astype(int)
        crop = grey[top:bottom, left:right]
        if min(crop.shape) < 8:
            continue
        centres.append(centre)
        parts.append(Part(grey=crop, corners=corners - np.array([left, top], np.float32)))
        if len(parts) == _SYMBOLS_RETRIED:
            break
    return parts


def decode_files(paths: Iterable[str | PathLike[str]], *, budget_ms: float = 1000) -> Iterator[dict[str, object]]:
    """One row a file: `{"file": …, "texts": […]}`, and `"error": "PICTURE_UNREADABLE"` where it is no
    picture."""
    for path in paths:
        row: dict[str, object] = {"file": fspath(path), "texts": []}
        try:
            row["texts"] = read_codes(load_file(path), budget_ms=budget_ms)
        except Refusal as refusal:
            row["error"] = refusal.reason.value
        yield row

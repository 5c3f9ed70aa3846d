"""What the camera sees, for people: a small picture with every code blurred, and one line of advice.

Separate from reading on purpose. A preview that shows a readable code is a second place from which it can be taken, so
the picture is shrunk, each symbol in it is blurred until nothing is left of its modules, and what is left over is read
once more: if a code still can be read, the whole picture is blurred.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import zxingcpp

from consent.code import is_ours
from consent.counter_strings import drawn_by
from scanner_kiosk.counter import Guidance
from scanner_kiosk.picture import Grey

MODULES: Final = 45  # along a side of our codes: QR version 7
_JPEG_QUALITY: Final = 70
_FORMATS: Final = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel1, zxingcpp.BarcodeFormat.QRCodeModel2])
_SMALL: Final = 2.6  # pixels a module; below it, hands and blur cost most readings
_LARGE: Final = 0.92  # of the picture's height
_SKEW: Final = 1.25  # the longer of two opposite sides, in the shorter
_DARK: Final = 56  # the brightest hundredth of a picture in which nothing stands out
_BRIGHT: Final = 0.75  # of the symbol at full white; half of a code is white by design


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """One QR symbol in a picture: its corners (x, y) clockwise, whether it could be read, and how well.

    `margin` is the unused error correction, 0 to 1. `module` is pixels a module; for an unread symbol it is guessed from
    the size of our codes. `bright` is the share of saturated pixels.
    """

    corners: tuple[tuple[float, float], ...]
    read: bool
    ours: bool
    margin: float
    module: float
    bright: float

    @property
    def sides(self) -> tuple[float, ...]:
        """The four sides in pixels, beginning at the top."""
        return _sides(self.corners)


def look(grey: Grey) -> tuple[Symbol, ...]:
    """All symbols that are found in the picture as it is, without any repair."""
    if grey.size == 0:
        return ()
    try:
        seen = zxingcpp.read_barcodes(grey, formats=_FORMATS, text_mode=zxingcpp.TextMode.Plain, return_errors=True)
    except (ValueError, RuntimeError, MemoryError):
        return ()
    return tuple(_symbol(barcode, grey) for barcode in seen)


def margin_of(grey: Grey, text: str) -> dict[str, float] | None:
    """`uec` and `px_module` of a text as the unrepaired picture shows it; None where only a repair could read it."""
    seen = zxingcpp.read_barcodes(grey, formats=_FORMATS, text_mode=zxingcpp.TextMode.Plain)
    for barcode in seen:
        if barcode.text == text:
            symbol = _symbol(barcode, grey)
            return {"uec": round(symbol.margin, 3), "px_module": round(symbol.module, 2)}
    return None


def dark(grey: Grey) -> bool:
    """Whether nothing in the picture is lit: neither the counter nor a phone's screen."""
    return bool(grey.size) and bool(np.percentile(grey[::8, ::8], 99) < _DARK)


def guide(symbols: Sequence[Symbol], *, height: int, dark: bool = False) -> Guidance:
    """The most useful thing to say about a picture with these symbols in it."""
    if not symbols:
        return Guidance.TOO_DARK if dark else Guidance.HOLD_IN
    if any(symbol.read and not symbol.ours for symbol in symbols):
        return Guidance.NOT_OURS
    if any(symbol.read for symbol in symbols):
        return Guidance.READ
    if dark:
        return Guidance.TOO_DARK
    largest = max(symbols, key=lambda symbol: max(symbol.sides))
    top, right, bottom, left = (max(side, 1e-6) for side in largest.sides)
    if max(largest.sides) > _LARGE * height:
        return Guidance.FARTHER
    if largest.module < _SMALL:
        return Guidance.NEARER
    if max(top / bottom, bottom / top, left / right, right / left) > _SKEW:
        return Guidance.TILT_LESS
    return Guidance.GLARE if largest.bright > _BRIGHT else Guidance.HOLD_STILL


def preview(grey: Grey, symbols: Sequence[Symbol]) -> bytes:
    """A JPEG of a quarter of the pixels, in which no code can be read."""
    if grey.size == 0:
        return b""
    height, width = grey.shape
    small = _bytes(cv2.resize(grey, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA))
    for symbol in symbols:
        small = _blurred(small, np.array(symbol.corners, np.float32) / 2)
    packed = _jpeg(small)
    # Judged as it will be given out: packing alone can turn a code that could not be read into one that can.
    if any(symbol.read for symbol in look(_unpacked(packed))):
        packed = _jpeg(_bytes(cv2.GaussianBlur(small, (0, 0), max(small.shape) / 40)))
    return packed


def _jpeg(picture: Grey) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _unpacked(packed: bytes) -> Grey:
    return _bytes(cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_GRAYSCALE))


def _blurred(small: Grey, corners: Any) -> Grey:
    """The picture with one symbol and its quiet zone blurred away."""
    centre = corners.mean(axis=0)
    wide = centre + (corners - centre) * 1.25
    side = float(np.abs(corners - centre).max()) * 2
    soft = cv2.GaussianBlur(small, (0, 0), max(side / 8, 1))
    cover = np.zeros(small.shape, np.uint8)
    cv2.fillConvexPoly(cover, np.round(wide).astype(np.int32), 255)
    return np.where(cover > 0, _bytes(soft), small)


def _symbol(barcode: zxingcpp.Barcode, grey: Grey) -> Symbol:
    place = barcode.position
    corners = tuple(
        (float(p.x), float(p.y)) for p in (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
    )
    text = _text(barcode)
    extra: Any = barcode.extra or {}
    version = str(extra.get("Version", ""))
    modules = 17 + 4 * int(version) if version.isdigit() and barcode.valid else MODULES
    return Symbol(
        corners=corners,
        read=bool(text),
        ours=is_ours(text) or drawn_by(text) is not None,
        margin=float(extra.get("UEC", 0) or 0) if barcode.valid else 0.0,
        module=sum(_sides(corners)) / 4 / modules,
        bright=_bright(grey, corners),
    )


def _sides(corners: tuple[tuple[float, float], ...]) -> tuple[float, ...]:
    return tuple(math.dist(a, b) for a, b in zip(corners, (*corners[1:], corners[0]), strict=True))


def _text(barcode: zxingcpp.Barcode) -> str:
    try:
        return barcode.text if barcode.valid else ""
    except UnicodeError:
        return "?"  # bytes in no character set: read, and not ours


def _bright(grey: Grey, corners: tuple[tuple[float, float], ...]) -> float:
    xs, ys = [int(x) for x, _ in corners], [int(y) for _, y in corners]
    inside = grey[max(min(ys), 0) : max(ys), max(min(xs), 0) : max(xs)]
    return float((inside >= 250).mean()) if inside.size else 0.0


def _bytes(mat: object) -> Grey:
    return np.asarray(mat, dtype=np.uint8)

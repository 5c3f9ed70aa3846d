"""Ways to make a picture readable, for `decode`.

Each repair answers one fault that was met in photographs: one threshold for even light and fine modules,
lighter for a dark room and bright spots, darker for glare, thicker modules for over-exposure and dots, local
means for shadows, twice the size for far symbols, half and quarter for close ones and moiré. The order is
that of their worth: what reads most for least time comes first. Blur, median and bilateral filters, averages
over frames and inversion were tried elsewhere and add nothing (zxing-cpp inverts by itself; averaging frames
loses more than it gains).

Everything here is pure: a part of a picture in, a new picture out, the part untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from scanner_kiosk.picture import Grey

_LOCAL: Final = zxingcpp.Binarizer.LocalAverage
_GLOBAL: Final = zxingcpp.Binarizer.GlobalHistogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A frame, or the surroundings of a symbol in it. `corners` (4, 2), clockwise from the symbol's own top
    left."""

    grey: Grey
    corners: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """One way to make a picture readable.

    `cost` is the first guess in CPU ms per million pixels of the part, repair and reading together.
    """

    name: str
    apply: Callable[[Part], Grey]
    cost: float
    binarizer: zxingcpp.Binarizer = _LOCAL
    enlarges: bool = False


def _as_is(part: Part) -> Grey:
    return part.grey


def _gamma(exponent: float) -> Callable[[Part], Grey]:
    table = (255 * (np.arange(256) / 255) ** exponent).round().astype(np.uint8)
    return lambda part: _u8(cv2.LUT(part.grey, table))


def _clahe(limit: float) -> Callable[[Part], Grey]:
    return lambda part: _u8(cv2.createCLAHE(clipLimit=limit, tileGridSize=(8, 8)).apply(part.grey))


def _adaptive(block: int) -> Callable[[Part], Grey]:
    return lambda part: _u8(
        cv2.adaptiveThreshold(part.grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, block, 5)
    )


def _weighted(block: int) -> Callable[[Part], Grey]:
    """Nearer pixels count more, and hardly any offset: for blur and glare, where black is only a little darker."""
    return lambda part: _u8(
        cv2.adaptiveThreshold(part.grey, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, block, 2)
    )


def _erode(part: Part) -> Grey:
    return _u8(cv2.erode(part.grey, np.ones((3, 3), np.uint8)))


def _scaled(factor: float, interpolation: int) -> Callable[[Part], Grey]:
    return lambda part: _u8(cv2.resize(part.grey, None, fx=factor, fy=factor, interpolation=interpolation))


def _sharpened(grey: Grey, width: int, amount: float) -> Grey:
    """Unsharp masking. The mean over a square does as well as a Gaussian here, in a third of the time."""
    soft = cv2.boxFilter(grey, -1, (width, width))
    return _u8(cv2.addWeighted(grey, 1 + amount, soft, -amount, 0))


def _up_eroded(part: Part) -> Grey:
    return _erode(Part(grey=_scaled(2, cv2.INTER_CUBIC)(part)))


def _up_sharpened(part: Part) -> Grey:
    """For blur: it is wider than a pixel, so that sharpening comes after enlarging."""
    return _sharpened(_scaled(2, cv2.INTER_CUBIC)(part), 9, 2)


def _sharper(part: Part) -> Grey:
    return _sharpened(part.grey, 3, 3)


def _sharpened_up(part: Part) -> Grey:
    """For far symbols, of two pixels a module: sharpening the few pixels first is as good and cheaper."""
    return _scaled(2, cv2.INTER_CUBIC)(Part(grey=_sharpened(part.grey, 3, 1.5)))


def _half_sharpened(part: Part) -> Grey:
    return _sharpened(_scaled(0.5, cv2.INTER_AREA)(part), 5, 1.5)


def _turned(part: Part) -> Grey:
    """22 degrees: away from every angle at which the rows of modules and the rows of pixels beat."""
    height, width = part.grey.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 22, 1)
    return _u8(cv2.warpAffine(part.grey, turn, (width, height), borderMode=cv2.BORDER_REPLICATE))


def _rectified(part: Part) -> Grey:
    """The symbol seen from straight above, darkened: glare lifts the black modules first."""
    if part.corners is None:
        return part.grey
    side = int(np.clip(1.5 * np.linalg.norm(part.corners[0] - part.corners[2]), 80, 800))
    edge = side * 0.12
    square = np.array([[edge, edge], [side - edge, edge], [side - edge, side - edge], [edge, side - edge]])
    warp = cv2.getPerspectiveTransform(part.corners, square.astype(np.float32))
    flat = cv2.warpPerspective(part.grey, warp, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return _gamma(2)(Part(grey=_u8(flat)))


def _u8(mat: object) -> Grey:
    return np.asarray(mat, dtype=np.uint8)


NEAR: Final = (
    Repair(name="near: one threshold", apply=_as_is, cost=2, binarizer=_GLOBAL),
    Repair(name="near: local contrast", apply=_clahe(3), cost=9),
    Repair(name="near: twice, thicker", apply=_up_eroded, cost=18, enlarges=True),
    Repair(name="near: mean of 51", apply=_adaptive(51), cost=6),
    Repair(name="near: weighted mean of 35", apply=_weighted(35), cost=17),
    Repair(name="near: flat, darker", apply=_rectified, cost=10),
    Repair(name="near: twice, sharper", apply=_up_sharpened, cost=28, enlarges=True),
)
"""Step 1, for the surroundings of one symbol, in this order."""

WHOLE: Final = (
    Repair(name="one threshold", apply=_as_is, cost=1.6, binarizer=_GLOBAL),
    Repair(name="lighter", apply=_gamma(0.5), cost=3.7),
    Repair(name="thicker", apply=_erode, cost=3.2),
    Repair(name="much lighter, one threshold", apply=_gamma(0.35), cost=4, binarizer=_GLOBAL),
    Repair(name="mean of 25", apply=_adaptive(25), cost=6),
    Repair(name="darker", apply=_gamma(2), cost=3.7),
    Repair(name="half, sharper", apply=_half_sharpened, cost=2),
    Repair(name="quarter", apply=_scaled(0.25, cv2.INTER_AREA), cost=1),
    Repair(name="sharper", apply=_sharper, cost=6),
    Repair(name="local contrast", apply=_clahe(8), cost=9.9),
    Repair(name="turned", apply=_turned, cost=9.7),
    Repair(name="twice, sharper", apply=_sharpened_up, cost=20, enlarges=True),
)
"""Step 2, for the whole frame, in this order."""

"""A synthetic counter, seen by a synthetic camera: the phone's own picture becomes camera frames.

The demo and the tests have no camera, and a clean drawing given straight to the decoder would prove nothing.
So the phone's picture goes through what happens at a counter, in the order in which it happens there:

1. the phone: the picture on a white screen in a dark body;
2. the hand: it comes in from below within about ten frames, then holds still as hands do, which is not still;
3. perspective: distance, turn and tilt;
4. the lens: blur, and the smear of a moving phone while the shutter is open;
5. the sensor: exposure in linear light with clipping, and noise;
6. the cable: a JPEG round trip.

Everything is a pure function of (picture, seed, t): the same three give the same frame, byte for byte, in
every process. `seed` chooses the counter, the resting place, the turn and the tremble; `t` counts frames
since the phone appeared, at 30 a second. The limits found with it compare decoders with one another; they are
no promise about a real phone in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from scanner_kiosk.picture import Grey

_Floats = NDArray[np.float64]

FRAMES_A_SECOND: Final = 30
_NOISE_SIDE: Final = 256  # beyond the frame's side: every frame takes another piece of the same noise
_BODY: Final = (1.2, 2.3)  # width and height of the phone, in widths of the picture
_TOP: Final = 0.45  # of the picture's width: from the phone's upper edge down to the picture
_MARGIN: Final = 0.1  # of the picture's width: body and screen to the left of the picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """What stands between the screen and the decoder.

    `width`, `height`: pixels of the frame. `side`: pixels of the picture's side at rest (its quiet zone
    included). `tilt`: degrees out of the glass's plane. `blur`: sigma of the lens in pixels. `gain`:
    exposure, 1 is right, 0.02 a dark room, 10 much too light. `noise`: standard deviation in grey levels.
    `tremble`: pixels. `arrival`: frames until the phone rests. `jpeg`: quality 1 to 100, 0 for a cable that
    changes nothing.
    """

    width: int = 1280
    height: int = 720
    side: float = 320
    tilt: float = 8
    blur: float = 0.8
    gain: float = 1
    noise: float = 4
    tremble: float = 3
    arrival: int = 10
    jpeg: int = 80


PLAIN: Final = Camera()
"""A good counter on a good day."""


def frame(picture: Grey | None, *, seed: int, t: int, camera: Camera = PLAIN) -> Grey:
    """The camera's frame number `t` (from 0) since the phone showing `picture` appeared; None shows the bare
    counter.

    `picture` is (h, w) grey, the drawing with its white border. The result is (camera.height, camera.width)
    grey.
    """
    scene = _counter(seed % 16, camera.width, camera.height).copy()
    if picture is not None and picture.size:
        _put(scene, picture, seed, t, camera)
    if camera.gain != 1:
        scene = _as_bytes(cv2.LUT(scene, _exposure(camera.gain)))
    if camera.noise > 0:
        scene = _noisy(scene, seed, t, camera.noise)
    if camera.jpeg > 0:
        _, packed = cv2.imencode(".jpg", scene, [cv2.IMWRITE_JPEG_QUALITY, camera.jpeg])
        scene = _as_bytes(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE))
    return scene


def _put(scene: Grey, picture: Grey, seed: int, t: int, camera: Camera) -> None:
    """Steps 1 to 4, into `scene`."""
    # (1) drawn at about its final size: a much larger drawing would beat with the pixels of the frame
    front = _phone(picture, max(16, round(1.5 * camera.side)))
    # (2) the hand, (3) perspective
    corners = _corners(seed, t, camera)
    step = corners.mean(axis=0) - _corners(seed, t - 1, camera).mean(axis=0)
    reach = int(3 * camera.blur + np.abs(step).max() + 2)
    left, top = np.maximum(np.floor(corners.min(axis=0)) - reach, 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)) + reach, [camera.width, camera.height]).astype(int)
    if right <= left or bottom <= top:
        return  # still below the lower edge
    size = (int(right - left), int(bottom - top))
    edges = np.array([[0, 0], [front.shape[1], 0], [front.shape[1], front.shape[0]], [0, front.shape[0]]])
    warp = cv2.getPerspectiveTransform(edges.astype(np.float32), (corners - [left, top]).astype(np.float32))
    phone = cv2.warpPerspective(front, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillConvexPoly(cover, np.round((corners - [left, top]) * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    # (4) the lens, and the smear: half of the frame's time the shutter is open
    if camera.blur > 0:
        phone = cv2.GaussianBlur(phone, (0, 0), camera.blur)
    smear = _smear(step / 2)
    if smear is not None:
        phone = _smeared(phone, smear)
        cover = _as_bytes(cv2.blur(cover, (smear.shape[1], smear.shape[0])))
    view = scene[top:bottom, left:right]
    view[:] = _blend(_as_bytes(phone), view, cover)


def _blend(over: Grey, under: Grey, cover: Grey) -> Grey:
    """`over` where `cover` is 255, `under` where it is 0."""
    share = cover.astype(np.float32) / 255
    return _as_bytes(cv2.blendLinear(over, under, share, 1 - share))


def _phone(picture: Grey, side: int) -> Grey:
    """The front of the phone, with the picture `side` pixels wide."""
    drawn = cv2.resize(
        picture, (side, side), interpolation=cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_LINEAR
    )
    front = np.full((round(_BODY[1] * side), round(_BODY[0] * side)), 18, np.uint8)
    bezel = round(0.04 * side)
    front[bezel:-bezel, bezel:-bezel] = 235
    front[3 * bezel : 4 * bezel, 3 * bezel : 12 * bezel] = 90  # the clock in the status line
    top, left = round(_TOP * side), round(_MARGIN * side)
    front[top : top + side, left : left + side] = drawn
    under = top + side + 2 * bezel
    front[under : under + 2 * bezel, 5 * bezel : -5 * bezel] = 120  # the seconds left
    front[under + 4 * bezel : under + 7 * bezel, 3 * bezel : -3 * bezel] = 60  # a button
    return front


def _corners(seed: int, t: int, camera: Camera) -> _Floats:
    """Where the phone's four corners are seen, (4, 2) in pixels, clockwise from its own top left."""
    chance = np.random.default_rng([seed, 1])
    rest = (np.array([0.5, 0.5]) + chance.uniform(-0.08, 0.08, 2)) * [camera.width, camera.height]
    turn, lean = chance.uniform(-20, 20), chance.uniform(0, 2 * np.pi)
    side = camera.side * chance.uniform(0.92, 1.08)
    # Hands tremble in several slow waves at once, 2 to 8 a second; each has its own direction.
    rates, phases = chance.uniform(2, 8, 3), chance.uniform(0, 2 * np.pi, 3)
    ways = chance.normal(size=(3, 3)) / 3
    waves = np.sin(2 * np.pi * rates * t / FRAMES_A_SECOND + phases) @ ways
    away = _still_away(t, camera.arrival)
    centre = rest + camera.tremble * waves[:2] + away * np.array([0.15 * camera.width, camera.height])
    angle = np.radians(turn + waves[2] + 25 * away)
    # The picture's centre, not the phone's, comes to rest in the view.
    half, up = _BODY[0] / 2, _TOP + 0.5
    flat = side * np.array([[-half, -up], [half, -up], [half, _BODY[1] - up], [-half, _BODY[1] - up]])
    turned = flat @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    # Tilted about an axis in the glass's plane: `depth` is how far each corner comes forward.
    axis = np.array([np.cos(lean), np.sin(lean)])
    across = turned @ axis
    tilt = np.radians(camera.tilt)
    depth = 1 + across * np.sin(tilt) / (1.2 * camera.width)
    squeezed = turned + np.outer(across * (np.cos(tilt) - 1), axis)
    seen: _Floats = centre + squeezed / depth[:, None]
    return seen


def _still_away(t: int, arrival: int) -> float:
    """How much of the way in is still to go: 1 at frame 0, then 0; quick first and slow at the end."""
    if arrival <= 0:
        return 0.0
    return float((1 - np.clip(t / arrival, 0, 1)) ** 2)


def _smear(step: _Floats) -> NDArray[np.float32] | None:
    """The kernel of a straight movement of `step` pixels, or None when it is too short to be seen."""
    length = float(np.hypot(*step))
    if length < 1.5:
        return None
    x, y = (int(v) for v in np.round(step / 2))
    kernel = np.zeros((2 * abs(y) + 1, 2 * abs(x) + 1), np.float32)
    cv2.line(kernel, (abs(x) - x, abs(y) - y), (abs(x) + x, abs(y) + y), 1.0)
    whole: NDArray[np.float32] = kernel / kernel.sum()
    return whole


def _smeared(phone: MatLike, kernel: NDArray[np.float32]) -> MatLike:
    """A long smear leaves nothing of half the pixels' detail, and is four times as fast on half of them."""
    height, width = phone.shape[:2]
    if max(kernel.shape) < 15 or min(height, width) < 4:
        return cv2.filter2D(phone, -1, kernel)
    half = cv2.resize(phone, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    short = cv2.resize(kernel, (kernel.shape[1] // 2 | 1, kernel.shape[0] // 2 | 1), interpolation=cv2.INTER_AREA)
    smeared = cv2.filter2D(half, -1, short / short.sum())
    return cv2.resize(smeared, (width, height), interpolation=cv2.INTER_LINEAR)


@lru_cache(maxsize=8)
def _exposure(gain: float) -> Grey:
    """Linear light times `gain`, as a table: the screen clips as a sensor does."""
    light = (np.arange(256) / 255) ** 2.2 * gain
    return (255 * np.clip(light, 0, 1) ** (1 / 2.2)).round().astype(np.uint8)


def _noisy(scene: Grey, seed: int, t: int, level: float) -> Grey:
    height, width = scene.shape
    dy, dx = np.random.default_rng([seed, 2, max(t, 0)]).integers(0, _NOISE_SIDE, 2)
    piece = _noise(width + _NOISE_SIDE, height + _NOISE_SIDE, level)[dy : dy + height, dx : dx + width]
    return _as_bytes(cv2.add(scene, piece, dtype=cv2.CV_8U))


@lru_cache(maxsize=4)
def _noise(width: int, height: int, level: float) -> NDArray[np.int16]:
    return np.random.default_rng(3).normal(0, level, (height, width)).round().astype(np.int16)


@lru_cache(maxsize=4)
def _counter(seed: int, width: int, height: int) -> Grey:
    """A desk with papers on it, one of sixteen. Kept: it is the slowest part, and does not move."""
    chance = np.random.default_rng([seed, 4])
    grain = chance.normal(0, 1, (height // 4 + 1, width // 64 + 1)).astype(np.float32)
    desk = cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC) * 6
    light = np.linspace(-25, 25, width) * chance.choice([-1, 1]) + chance.uniform(95, 130)
    scene = np.clip(desk + light, 0, 255).astype(np.uint8)
    for _ in range(5):
        x, y = chance.integers(0, width), chance.integers(0, height)
        paper = ((int(x), int(y)), (int(width * 0.25), int(height * 0.5)), float(chance.uniform(0, 180)))
        box = cv2.boxPoints(paper)
        cv2.fillConvexPoly(scene, box.astype(np.int32), int(chance.integers(170, 230)), cv2.LINE_AA)
        for line in np.linspace(0.15, 0.85, 12):
            start = box[0] + (box[1] - box[0]) * line + (box[3] - box[0]) * 0.1
            end = start + (box[3] - box[0]) * chance.uniform(0.3, 0.8)
            cv2.line(scene, tuple(map(int, start)), tuple(map(int, end)), 70, 1, cv2.LINE_AA)
    scene = _as_bytes(cv2.GaussianBlur(scene, (0, 0), 1.2))
    scene.flags.writeable = False
    return scene


def _as_bytes(mat: object) -> Grey:
    return np.asarray(mat, dtype=np.uint8)

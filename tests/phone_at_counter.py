"""A phone at a counter, with everything that goes wrong there: ten faults, each in three strengths, at 1280x720.

`scanner_kiosk.scene` puts the phone before the camera. Here each fault is added where it happens in the world:

1. the phone: its distance and tilt, a second phone beside it
2. its glass: cracks, which break and shift what lies behind them
3. its light: the grids of screen and sensor beat (moiré), the backlight flickers against the shutter (banding)
4. the way to the sensor: a lamp mirrored in the glass, a movement while the shutter is open
5. the sensor: too little light, too much, noise; then the cable's JPEG

All is a pure function of (fault, strength, seed); strength 0 is slight, 1 plain, 2 heavy. The numbers were chosen so that
heavy faults lie where decoders differ; they compare decoders, and promise nothing about real phones.

`python -m tests.phone_at_counter` prints the table of `docs/decoder.md`; with `--pictures FOLDER` it draws the pictures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import base45
import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from consent.code import LENGTH, PREFIX
from scanner_kiosk import scene
from scanner_kiosk.decode import Reader
from scanner_kiosk.picture import Grey, read_picture
from wallet_api import picture

FAULTS: Final = (
    "moiré",
    "glare",
    "banding",
    "motion",
    "low light",
    "overexposure",
    "tilt",
    "distance",
    "cracked glass",
    "two phones",
)
STRENGTHS: Final = (0, 1, 2)
_STILL: Final = scene.Camera(gain=1, noise=0, jpeg=0, tilt=6, tremble=0)
_T: Final = 30  # the phone rests
_Floats = NDArray[np.float32]


@lru_cache(maxsize=128)
def code(seed: int) -> tuple[str, Grey]:
    """A text of a presentation code's form and length, and its picture as the phones are given it."""
    chance = np.random.default_rng([seed, 10])
    text = (PREFIX + base45.b45encode(chance.bytes(116)).decode())[:LENGTH]
    return text, read_picture(picture.png(text))


def texts_of(fault: str, seed: int) -> set[str]:
    """What stands in the picture."""
    return {code(seed)[0]} | ({code(seed + 1000)[0]} if fault == "two phones" else set())


def photograph(fault: str, strength: int, seed: int, *, phone: bool = True) -> Grey:
    """What the camera sees; without `phone`, the same counter in the same light."""
    camera = _camera(fault, strength)
    drawing = code(seed)[1] if phone else None
    seen = scene.frame(drawing, seed=seed, t=_T, camera=camera)
    if fault == "two phones" and phone:
        seen = _beside(seen, seed, camera)
    place, side = _place(seed, camera.side)
    chance = np.random.default_rng([seed, FAULTS.index(fault), 11])
    if fault == "cracked glass" and phone:
        seen = _cracked(seen, place, side, cracks=(3, 7, 12)[strength], chance=chance)
    light = _linear(seen)
    if fault == "moiré":
        light *= _beat(light.shape, depth=(0.5, 0.75, 0.9)[strength], chance=chance)
    if fault == "banding":
        light *= _bands(light.shape, depth=(0.6, 0.85, 0.95)[strength], chance=chance)
    if fault == "glare":
        light += _lamp(light.shape, place, side, size=(0.16, 0.3, 0.42)[strength], chance=chance)
    if fault == "motion":
        light = _moved(light, length=(5, 9, 14)[strength], chance=chance)
    exposure = {"low light": (0.03, 0.012, 0.006), "overexposure": (5, 10, 18)}.get(fault, (1, 1, 1))[strength]
    return _sensed(light * exposure, chance)


def _camera(fault: str, strength: int) -> scene.Camera:
    """Step 1."""
    if fault == "tilt":
        return replace(_STILL, tilt=(35, 52, 62)[strength])
    if fault == "distance":
        return replace(_STILL, side=(130, 105, 88)[strength])
    return replace(_STILL, side=(240, 170, 120)[strength]) if fault == "two phones" else _STILL


@lru_cache(maxsize=256)
def _place(seed: int, size: float) -> tuple[tuple[float, float], float]:
    """Centre and side of the symbol, whose drawing is `size` pixels wide: found by zxing-cpp where nothing is wrong."""
    (barcode,) = zxingcpp.read_barcodes(scene.frame(code(seed)[1], seed=seed, t=_T, camera=_STILL))
    spot = barcode.position
    points = np.array([(p.x, p.y) for p in (spot.top_left, spot.top_right, spot.bottom_right, spot.bottom_left)])
    x, y = points.mean(axis=0)
    side = float(np.linalg.norm(points[0] - points[2]) / np.sqrt(2))
    return (float(x), float(y)), side * size / _STILL.side


def _beside(seen: Grey, seed: int, camera: scene.Camera) -> Grey:
    """The right half as another phone's camera sees it: each phone rests in the middle of its own half."""
    other = scene.frame(code(seed + 1000)[1], seed=seed + 1000, t=_T, camera=camera)
    quarter, half = camera.width // 4, camera.width // 2
    return np.hstack([seen[:, quarter : quarter + half], other[:, quarter : quarter + half]])


def _cracked(seen: Grey, place: tuple[float, float], side: float, *, cracks: int, chance: np.random.Generator) -> Grey:
    """Step 2: rays from one blow. Each is a bright edge beside a dark one, and what is beyond it lies a little aside."""
    blow = np.array(place) + chance.uniform(-0.45, 0.45, 2) * side
    broken = seen.copy()
    for angle in np.sort(chance.uniform(0, 2 * np.pi, cracks)):
        bends = angle + np.cumsum(chance.normal(0, 0.12, 5))
        path = blow + np.cumsum(np.column_stack([np.cos(bends), np.sin(bends)]) * side * 0.3, axis=0)
        line = np.round(np.vstack([blow, path])).astype(np.int32)
        wedge = np.zeros(seen.shape, np.uint8)
        cv2.polylines(wedge, [line], False, 255, 9)
        shift = np.array([[1, 0, chance.uniform(-3, 3)], [0, 1, chance.uniform(-3, 3)]], np.float32)
        aside = cv2.warpAffine(broken, shift, (seen.shape[1], seen.shape[0]), borderMode=cv2.BORDER_REPLICATE)
        broken = np.where(wedge > 0, np.asarray(aside, np.uint8), broken)
        cv2.polylines(broken, [line + 1], False, 20, 1, cv2.LINE_AA)
        cv2.polylines(broken, [line], False, 245, 2, cv2.LINE_AA)
    return broken


def _grid(shape: tuple[int, ...], angle: float) -> _Floats:
    """How far each pixel lies along a direction."""
    rows = np.arange(shape[0], dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    return rows + np.arange(shape[1], dtype=np.float32)[None, :] * np.float32(np.cos(angle))


def _beat(shape: tuple[int, ...], *, depth: float, chance: np.random.Generator) -> _Floats:
    """Step 3: two gratings whose beats are about as wide as a module or two."""
    waves = np.zeros(shape, np.float32)
    for period in chance.uniform(7, 18, 2):
        along = _grid(shape, float(chance.uniform(0, np.pi)))
        waves += np.sin(along * np.float32(2 * np.pi / period) + np.float32(chance.uniform(0, 6))) / 4
    return np.asarray(1 - np.float32(depth) * (waves + np.float32(0.5)), np.float32)


def _bands(shape: tuple[int, ...], *, depth: float, chance: np.random.Generator) -> _Floats:
    """Step 3: the backlight is off for a third of the time, and a rolling shutter makes rows of it."""
    phase = np.arange(shape[0]) / chance.uniform(50, 110) + chance.uniform()
    off = np.clip(3 * np.cos(2 * np.pi * phase) - 0.5, 0, 1)
    return (1 - depth * off).astype(np.float32)[:, None]


def _lamp(
    shape: tuple[int, ...], place: tuple[float, float], side: float, *, size: float, chance: np.random.Generator
) -> _Floats:
    """Step 4: a lamp's mirror image on the symbol, white in the middle and soft at its edge."""
    x, y = np.array(place) + chance.uniform(-0.3, 0.3, 2) * side
    rows, columns = np.arange(shape[0])[:, None] - y, np.arange(shape[1])[None, :] - x
    far = (rows / (size * side)) ** 2 + (columns / (0.7 * size * side)) ** 2
    return np.asarray(1.6 * np.exp(-(far**1.5)), np.float32)


def _moved(light: _Floats, *, length: int, chance: np.random.Generator) -> _Floats:
    """Step 4: a straight movement of `length` pixels."""
    kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
    angle = float(chance.uniform(0, np.pi))
    x, y = round(length / 2 * np.cos(angle)), round(length / 2 * np.sin(angle))
    cv2.line(kernel, (length - x, length - y), (length + x, length + y), 1.0, 1, cv2.LINE_AA)
    return np.asarray(cv2.filter2D(light, -1, kernel / kernel.sum()), np.float32)


def _linear(grey: Grey) -> _Floats:
    return np.asarray(cv2.LUT(grey, ((np.arange(256) / 255) ** 2.2).astype(np.float32)), np.float32)


def _sensed(light: _Floats, chance: np.random.Generator) -> Grey:
    """Step 5."""
    levels = np.clip(light, 0, 1) ** np.float32(1 / 2.2) * 255
    levels += chance.normal(0, 4, light.shape).astype(np.float32)
    packed = cv2.imencode(".jpg", np.clip(levels, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)


# --- the table ---

Decoder = Callable[[Grey], set[str]]


def by_zxing(grey: Grey) -> set[str]:
    """zxing-cpp as it comes, asked for QR symbols."""
    return {each.text for each in zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormat.QRCode)}


def _by_opencv(grey: Grey) -> set[str]:
    detector: Any = cv2.QRCodeDetector()
    try:
        return {text for text in detector.detectAndDecodeMulti(grey)[1] if text}
    except cv2.error:  # on dark pictures it fails inside of itself
        return set()


def _by_us(grey: Grey) -> set[str]:
    return set(Reader().read(grey))


DECODERS: Final[dict[str, Decoder]] = {"zxing-cpp": by_zxing, "OpenCV": _by_opencv, "this decoder, 33 ms": _by_us}


def _table(seeds: int) -> None:
    """One row a fault: how many of `seeds` pictures each decoder reads, slight / plain / heavy; then the CPU time."""
    print("| fault | " + " | ".join(DECODERS) + " |\n| --- |" + " --- |" * len(DECODERS))
    sums = {name: [0, 0.0, 0] for name in DECODERS}  # read, CPU ms, false
    for fault in FAULTS:
        cells = {name: [0, 0, 0] for name in DECODERS}
        for strength in STRENGTHS:
            for seed in range(seeds):
                seen, true = photograph(fault, strength, seed), texts_of(fault, seed)
                for name, decoder in DECODERS.items():
                    start = time.thread_time()
                    found = decoder(seen)
                    sums[name][1] += (time.thread_time() - start) * 1e3
                    cells[name][strength] += bool(found & true)
                    sums[name][2] += bool(found - true)
        for name in DECODERS:
            sums[name][0] += sum(cells[name])
        print(f"| {fault} | " + " | ".join(" / ".join(map(str, cells[name])) for name in DECODERS) + " |", flush=True)
    frames = len(FAULTS) * len(STRENGTHS) * seeds
    print(f"| of all {frames} | " + " | ".join(f"{sums[name][0] / frames:.1%}" for name in DECODERS) + " |")
    print("| CPU a picture | " + " | ".join(f"{sums[name][1] / frames:.1f} ms" for name in DECODERS) + " |")
    print("| false texts | " + " | ".join(str(sums[name][2]) for name in DECODERS) + " |")


def _draw(folder: Path) -> None:
    """One small picture a fault, the symbol and its surroundings, at plain strength."""
    for fault in FAULTS:
        seen = photograph(fault, 1, 3)
        (x, y), side = _place(3, _camera(fault, 1).side)
        reach = int(side * 0.75)
        if fault != "two phones":
            seen = seen[max(int(y) - reach, 0) : int(y) + reach, max(int(x) - reach, 0) : int(x) + reach]
        width = 320 if fault == "two phones" else 200
        small = cv2.resize(seen, (width, round(width * seen.shape[0] / seen.shape[1])), interpolation=cv2.INTER_AREA)
        name = fault.replace("é", "e").replace(" ", "-")
        (folder / f"decoder-{name}.png").write_bytes(cv2.imencode(".png", small)[1].tobytes())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=_table.__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--pictures", type=Path)
    asked = parser.parse_args()
    if asked.pictures is not None:
        _draw(asked.pictures)
    else:
        _table(asked.seeds)

"""The ways in which frames come: files, videos, a webcam, a browser, a simulation. All are one port.

None of them keeps a queue, and none of them waits longer than it is told to, but for the webcam, whose driver
has its own limit. What goes wrong inside of a source is `Unavailable`; who owns the source decides when to
try again (see `camera`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Event
from typing import Any, Final, Protocol

import cv2
import numpy as np

from consent.errors import Reason, Refusal, Unavailable
from scanner_kiosk import scene
from scanner_kiosk.picture import Grey, as_grey, load_file, read_picture
from scanner_kiosk.pictures_apart import PicturesApart, Seen, shared

Ticks = Callable[[], float]
"""Seconds of a clock that never goes back; only differences mean anything."""

_PICTURE_INTERVAL_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture from a source. `seq` rises by one with every frame of the source's whole life, also over a
    reopening; `at_ms` is the source's monotonic time when the frame arrived. `seen` is what a posted picture shows: it was
    read where it was unpacked, and is not read again."""

    image: Grey
    seq: int
    at_ms: int
    seen: Seen | None = None


class Source(Protocol):
    """One way in which frames come. All three are called by the one thread that owns the source.

    `open` acquires what is needed, or raises Unavailable (DEVICE_UNAVAILABLE, "camera"). It may be called
    again after `close`. `read` returns the next frame, or None when none came within about `timeout_s`
    seconds: that is no failure. It raises Unavailable when the source is gone; after that, only `close` and
    `open` can help. Frames carry rising numbers. `close` gives back whatever `open` took, may be called at
    any time and any number of times, and never fails.
    """

    def open(self) -> None: ...

    def read(self, timeout_s: float) -> Frame | None: ...

    def close(self) -> None: ...


def gone(detail: str) -> Unavailable:
    """There is no camera, and why."""
    return Unavailable(Reason.DEVICE_UNAVAILABLE, "camera", detail=detail)


class _Stamp:
    """Numbers and times of one source's frames."""

    def __init__(self, ticks: Ticks) -> None:
        self._ticks = ticks
        self._seq = 0

    def __call__(self, image: Grey, seen: Seen | None = None) -> Frame:
        self._seq += 1
        return Frame(image=image, seq=self._seq, at_ms=int(self._ticks() * 1000), seen=seen)


class _Pace:
    """One frame every `interval_s`, for sources that could deliver them at once."""

    def __init__(self, ticks: Ticks, interval_s: float) -> None:
        self.interval_s = interval_s
        self._ticks = ticks
        self._due = ticks()
        self._never = Event()

    def is_due(self, timeout_s: float) -> bool:
        """Waits until the next frame is due, or for `timeout_s`. Missed frames are not made up for."""
        left = self._due - self._ticks()
        if left > 0:
            self._never.wait(min(left, timeout_s))
        if left > timeout_s:
            return False
        self._due = max(self._due, self._ticks() - self.interval_s) + self.interval_s
        return True


class Folder:
    """The pictures of a folder in the order of their names, again and again. Files that are no pictures are
    passed over."""

    def __init__(
        self, path: str | Path, *, interval_s: float = _PICTURE_INTERVAL_S, ticks: Ticks = time.monotonic
    ) -> None:
        self._path = Path(path)
        self._stamp = _Stamp(ticks)
        self._pace = _Pace(ticks, interval_s)
        self._waiting: list[Path] = []

    def open(self) -> None:
        self._waiting = self._round()

    def read(self, timeout_s: float) -> Frame | None:
        if not self._pace.is_due(timeout_s):
            return None
        for _ in range(2):  # the rest of this round, then one whole round
            while self._waiting:
                try:
                    return self._stamp(load_file(self._waiting.pop(0)))
                except Refusal:
                    continue
            self._waiting = self._round()
        raise gone("no picture in the folder")

    def close(self) -> None:
        self._waiting = []

    def _round(self) -> list[Path]:
        try:
            return sorted(path for path in self._path.iterdir() if path.is_file())
        except OSError as error:
            raise gone("the folder cannot be read") from error


class Still:
    """One picture, again and again."""

    def __init__(
        self, path: str | Path, *, interval_s: float = _PICTURE_INTERVAL_S, ticks: Ticks = time.monotonic
    ) -> None:
        self._path = Path(path)
        self._stamp = _Stamp(ticks)
        self._pace = _Pace(ticks, interval_s)
        self._image: Grey | None = None

    def open(self) -> None:
        try:
            self._image = load_file(self._path)
        except Refusal as refusal:
            raise gone(f"the picture file: {refusal.detail}") from refusal

    def read(self, timeout_s: float) -> Frame | None:
        if self._image is None:
            raise gone("not open")
        return self._stamp(self._image) if self._pace.is_due(timeout_s) else None

    def close(self) -> None:
        self._image = None


class Video:
    """A video file at its own speed, again and again."""

    def __init__(self, path: str | Path, *, interval_s: float | None = None, ticks: Ticks = time.monotonic) -> None:
        self._path = Path(path)
        self._interval_s = interval_s
        self._stamp = _Stamp(ticks)
        self._pace = _Pace(ticks, 0)
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        # OpenCV prints to stderr about files that are not there.
        capture = cv2.VideoCapture(os.fspath(self._path)) if self._path.is_file() else None
        if capture is None or not capture.isOpened():
            raise gone("the video cannot be opened")
        self._capture = capture
        rate = capture.get(cv2.CAP_PROP_FPS)
        own = 1 / rate if 1 <= rate <= 240 else 1 / 30  # some containers say 0, or 90000
        self._pace.interval_s = own if self._interval_s is None else self._interval_s

    def read(self, timeout_s: float) -> Frame | None:
        if self._capture is None:
            raise gone("not open")
        if not self._pace.is_due(timeout_s):
            return None
        good, raw = self._capture.read()
        if not good:  # the end: from the beginning
            self.close()
            self.open()
            good, raw = self._capture.read()
        if not good:
            raise gone("the video has no frames")
        return self._stamp(luma(raw))

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class Webcam:
    """A V4L2 camera, by number or by path.

    Format and size stand in the opening call: set afterwards, OpenCV has already started the stream at
    640x480. The camera's own bytes are taken (CONVERT_RGB off): of YUYV only the Y plane is used, without a
    copy, and JPEG is decoded to grey.
    """

    def __init__(
        self, device: int | str, *, width: int = 1280, height: int = 720, ticks: Ticks = time.monotonic
    ) -> None:
        self._device = device
        self._size = (width, height)
        self._stamp = _Stamp(ticks)
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        path = f"/dev/video{self._device}" if isinstance(self._device, int) else self._device
        if not os.path.exists(path):
            raise gone("no such device")
        # by-id names are links, which OpenCV's check of the name does not follow
        capture = cv2.VideoCapture(
            os.path.realpath(path),
            cv2.CAP_V4L2,
            [
                *(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
                *(cv2.CAP_PROP_FRAME_WIDTH, self._size[0]),
                *(cv2.CAP_PROP_FRAME_HEIGHT, self._size[1]),
                *(cv2.CAP_PROP_CONVERT_RGB, 0),
            ],
        )
        if not capture.isOpened():
            raise gone("the device is not a camera, or is in use")
        self._capture = capture

    def read(self, timeout_s: float) -> Frame | None:
        if self._capture is None:
            raise gone("not open")
        # The driver paces; its own time limit, not ours, bounds the wait. False means unplugged or hung: both
        # need a reopening.
        good, raw = self._capture.read()
        if not good:
            raise gone("the device gave no frame")
        return self._stamp(luma(raw))

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def luma(raw: Any) -> Grey:
    """The brightness in whatever a device delivers: grey (H, W), YUYV (H, W, 2), BGR (H, W, 3), or the bytes
    of one JPEG as a row. Anything else, a damaged JPEG too, is Unavailable: a device that sends it needs
    reopening."""
    if isinstance(raw, np.ndarray) and raw.dtype == np.uint8 and raw.size:
        if raw.ndim == 3 and raw.shape[2] == 2:
            return raw[..., 0]
        if raw.ndim == 1 or 1 in raw.shape[:2]:
            if (image := _from_jpeg(raw.reshape(-1))) is not None:
                return image
        elif raw.ndim == 2 or raw.shape[2] == 3:
            return as_grey(raw)
    raise gone("the device sent no picture")


def _from_jpeg(data: Grey) -> Grey | None:
    try:
        image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


class Posted:
    """Pictures that a browser posts, read in another process. Only the newest is kept; `put` may be called from any thread."""

    def __init__(self, *, ticks: Ticks = time.monotonic, apart: PicturesApart | None = None) -> None:
        self._stamp = _Stamp(ticks)
        self._apart = apart or shared()
        self._arrived = Condition()
        self._newest: Frame | None = None

    def put(self, data: bytes) -> None:
        """Take a PNG or JPEG. What `PicturesApart.read` refuses is refused here, to whoever posted it."""
        seen = self._apart.read(data)
        with self._arrived:
            self._newest = self._stamp(seen.image, seen)
            self._arrived.notify()

    def open(self) -> None:
        """Nothing to acquire: the door is the kiosk's own page."""

    def read(self, timeout_s: float) -> Frame | None:
        with self._arrived:
            self._arrived.wait_for(lambda: self._newest is not None, timeout_s)
            frame, self._newest = self._newest, None
            return frame

    def close(self) -> None:
        with self._arrived:
            self._newest = None


class Simulated:
    """A phone before a camera, drawn by `scene`.

    `picture` gives the PNG that the phone shows now, or b"" while no phone is there. A phone that appears
    comes in by hand; when its code changes, it stays where it is.
    """

    def __init__(
        self,
        picture: Callable[[], bytes],
        *,
        seed: int = 0,
        camera: scene.Camera = scene.PLAIN,
        interval_s: float = 1 / scene.FRAMES_A_SECOND,
        ticks: Ticks = time.monotonic,
    ) -> None:
        self._picture = picture
        self._seed = seed
        self._camera = camera
        self._stamp = _Stamp(ticks)
        self._pace = _Pace(ticks, interval_s)
        self._shown: tuple[bytes, Grey | None] = (b"", None)
        self._t = 0

    def open(self) -> None:
        self._shown = (b"", None)

    def read(self, timeout_s: float) -> Frame | None:
        if not self._pace.is_due(timeout_s):
            return None
        png = self._picture()
        before = self._shown[0]
        if png != before:
            try:
                self._shown = (png, read_picture(png) if png else None)
            except Refusal as refusal:
                raise gone(f"the phone's picture: {refusal.detail}") from refusal
        self._t = 0 if bool(png) != bool(before) else self._t + 1
        return self._stamp(scene.frame(self._shown[1], seed=self._seed, t=self._t, camera=self._camera))

    def close(self) -> None:
        """Nothing was taken."""

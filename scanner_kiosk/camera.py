"""Where frames come from, and how only the newest one is kept.

One thread owns the device: it opens it, reads from it as fast as frames come, and overwrites a single slot.
Whoever decodes takes the newest frame and never sees those in between. A queue would do the opposite: after
two seconds without a reader it hands out two seconds of the past, in which a code on a phone has expired.

Devices disappear: a cable is pulled, a driver hangs, a file is moved. The thread then closes, says why
(`Latest.failure`), waits 0.5, 1, 2 and then always 5 seconds, and opens again. Nobody has to restart a
counter.

A driver that hangs inside of its own call says nothing at all. So after three seconds without a frame whoever asks is told
of a failure, and the old frame is not given out any more; the next frame ends it. Only a browser may be still for as long
as it likes.

A source is chosen by its name:

`file:PATH`     one picture, again and again
`folder:PATH`   the pictures of a folder in the order of their names, again and again
`video:PATH`    a video at its own speed, again and again
`webcam:0`      a V4L2 device by number, or better by path, which does not change when another camera is
                plugged in:
                `webcam:/dev/v4l/by-id/…`
`mjpeg:http://HOST/PATH`
                a camera on the network that sends one JPEG after another; https as well
`posted:`       pictures that a browser on this machine posts to the kiosk's page
`sim:`          a simulated phone before a simulated camera
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Final, Self

from consent.errors import Unavailable
from scanner_kiosk import scene
from scanner_kiosk.mjpeg import Mjpeg
from scanner_kiosk.sources import (
    Folder,
    Frame,
    Posted,
    Simulated,
    Source,
    Still,
    Ticks,
    Video,
    Webcam,
    gone,
)

__all__ = [
    "BACKOFF_S",
    "SILENT_S",
    "Folder",
    "Frame",
    "Latest",
    "Mjpeg",
    "Posted",
    "Simulated",
    "Source",
    "Still",
    "Video",
    "Webcam",
    "open_source",
]

BACKOFF_S: Final = (0.5, 1.0, 2.0, 5.0)
SILENT_S: Final = 3.0  # without a frame from an opened camera, after which it counts as gone
_PATIENCE_S: Final = 0.25  # how long one read may wait, and so how long stopping may take


class Latest:
    """The one slot and the thread that fills it.

    `with Latest(source) as latest: frame = latest.newest(after=frame.seq, timeout_s=1)`.
    """

    def __init__(
        self, source: Source, *, backoff_s: Sequence[float] = BACKOFF_S, ticks: Ticks = time.monotonic
    ) -> None:
        self._source = source
        self._ticks = ticks
        self._since: float | None = None  # when the last frame came, or the opening began; None: nothing is waited for
        self._backoff_s = backoff_s
        self._changed = Condition()
        self._frame: Frame | None = None
        self._failure: Unavailable | None = None
        self._stopping = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to capture. A second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = Thread(target=self._capture, name="camera", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop and close the source. A driver that hangs is left to its daemon thread after five seconds."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None

    def newest(self, *, after: int = 0, timeout_s: float = 0) -> Frame | None:
        """The newest frame if its number is above `after`; waits for one up to `timeout_s`. None: nothing
        newer, see `failure`."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_newer(after) or self._stopping.is_set(), timeout_s)
            return self._frame if self._is_newer(after) else None

    @property
    def failure(self) -> Unavailable | None:
        """Why there are no frames now; None while they come, and before the first attempt has ended."""
        with self._changed:
            return self._failure or self._silence()

    def _silence(self) -> Unavailable | None:
        if self._since is None or isinstance(self._source, Posted) or self._ticks() - self._since <= SILENT_S:
            return None
        return gone("no frame")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _is_newer(self, after: int) -> bool:
        return self._frame is not None and self._frame.seq > after and self._silence() is None

    def _capture(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            self._since = self._ticks()
            try:
                self._source.open()
                while not self._stopping.is_set():
                    if frame := self._source.read(_PATIENCE_S):
                        attempt = 0
                        self._publish(frame, None)
            except Unavailable as failure:
                self._publish(None, failure)
            except Exception as error:
                # Drivers raise what they like. A thread that dies silently would leave a counter that looks
                # alive.
                self._publish(None, gone(type(error).__name__))
            finally:
                self._source.close()
            if self._stopping.wait(self._backoff_s[min(attempt, len(self._backoff_s) - 1)]):
                break
            attempt += 1
        self._publish(None, None)

    def _publish(self, frame: Frame | None, failure: Unavailable | None) -> None:
        """A failure also empties the slot: an old frame must not pass for what the camera sees now."""
        with self._changed:
            self._frame, self._failure = frame, failure
            self._since = None if frame is None else self._ticks()
            self._changed.notify_all()


def open_source(
    uri: str,
    *,
    picture: Callable[[], bytes] | None = None,
    seed: int = 0,
    width: int = 1280,
    height: int = 720,
    ticks: Ticks = time.monotonic,
) -> Source:
    """The source that a setting names; it is not opened yet. `picture` is what the phone of `sim:` shows.

    ValueError for a name that is none: a setting is refused at the start, not at the counter.
    """
    scheme, colon, rest = uri.partition(":")
    match scheme if colon else "", rest:
        case "file", path if path:
            return Still(path, ticks=ticks)
        case "folder", path if path:
            return Folder(path, ticks=ticks)
        case "video", path if path:
            return Video(path, ticks=ticks)
        case "webcam", device if device:
            number = int(device) if device.isascii() and device.isdigit() else device
            return Webcam(number, width=width, height=height, ticks=ticks)
        case "mjpeg", address if address:
            return Mjpeg(address, ticks=ticks)
        case "posted", "":
            return Posted(ticks=ticks)
        case "sim", "":
            camera = scene.Camera(width=width, height=height)
            return Simulated(picture or (lambda: b""), seed=seed, camera=camera, ticks=ticks)
    raise ValueError(
        "a camera is file:PATH, folder:PATH, video:PATH, webcam:NUMBER, webcam:PATH, mjpeg:ADDRESS, posted: or sim:"
    )

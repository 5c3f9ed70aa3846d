"""Posted pictures, read in a process of their own.

A picture that anybody may post can make a decoder run for ever, take all memory, or find a fault in it. Whatever it does,
it does in `picture_child`: a fresh interpreter (no fork of a process with threads), with limits, an empty environment and
no key. Here, nothing looks inside of a picture:

1. Length and first bytes are judged (`picture.judged`); the rest of the header is judged there, before any pixel.
2. Two pictures are read at once, each by a child of its own, so that one that takes long stands in nobody's way; two more
   wait, first come first served, and the next is TOO_MANY. So is one whose turn does not come within ANSWER_S.
3. The children are started at the first picture and kept. One that does not come up in time is Unavailable.
4. One that does not answer within WALL_S, dies, or answers nonsense is killed, its picture is PICTURE_UNREADABLE, and the
   next one is started at once. Whoever posted the picture waits for it (ANSWER_S), so that nobody else has to.
5. `close`, the end of this object and the end of the process end the children. They also end by themselves when nobody
   holds the other end of their line.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Condition
from typing import Any, Final

import numpy as np

from consent.errors import Reason, Refusal, Unavailable
from scanner_kiosk.decode import BUDGET_MS
from scanner_kiosk.look import Symbol
from scanner_kiosk.picture import POSTED_PIXELS, Grey, judged

WALL_S: Final = 2.0  # reading
ANSWER_S: Final = 3.0  # waiting and reading; only the very first picture may wait longer, for START_S
START_S: Final = 20.0  # importing OpenCV and numpy takes half a second on an idle machine
LANES: Final = 2
WAITING: Final = 2
_MOST_JSON: Final = 4 << 20  # a wall of symbols has thousands of them; a quarter of the pixels as JPEG in hex
_ROOT: Final = str(Path(__file__).resolve().parent.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a picture shows, said by the child: texts, how easily each was read, symbols, and a preview without codes."""

    image: Grey
    texts: tuple[str, ...]
    margins: Mapping[str, dict[str, float] | None]
    symbols: tuple[Symbol, ...]
    dark: bool
    preview: bytes


class _Lost(Exception):  # noqa: N818
    """The child did not answer as it should."""


class _Late(_Lost):
    """It did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a picture and a child may take: milliseconds of decoding, and seconds."""

    budget_ms: float = BUDGET_MS
    wall_s: float = WALL_S
    answer_s: float = ANSWER_S
    start_s: float = START_S


class PicturesApart:
    """The children and their queue. `read` may be called from any thread."""

    def __init__(self, limits: Limits | None = None, *, lanes: int = LANES, python: str = sys.executable) -> None:
        self._limits = limits or Limits()
        self._lanes = [_Lane(self._limits, python) for _ in range(lanes)]
        self._idle = [*self._lanes]
        self._waiting: deque[object] = deque()
        self._moved = Condition()

    def read(self, data: bytes) -> Seen:
        """What the picture shows. Refusal PICTURE_UNREADABLE or TOO_MANY; Unavailable where no child can be had."""
        data = judged(data)  # (1)
        until = time.monotonic() + self._limits.answer_s
        with self._turn(until) as lane:  # (2)
            return lane.read(data, until=until)

    def close(self) -> None:
        """End the children, after the pictures that are being read. A later picture starts others."""
        with self._moved:
            self._moved.wait_for(lambda: len(self._idle) == len(self._lanes), self._limits.answer_s)
            for lane in self._lanes:
                lane.end()

    @property
    def pids(self) -> tuple[int, ...]:
        """The children's process ids."""
        return tuple(lane.child.process.pid for lane in self._lanes if lane.child is not None)

    @property
    def peak_kib(self) -> int:
        """The largest that any child has been."""
        return max(lane.peak_kib for lane in self._lanes)

    @contextmanager
    def _turn(self, until: float) -> Iterator[_Lane]:
        with self._moved:
            for other in self._lanes:
                other.begin()  # (3): all at once, since the second picture should not wait for a child of its own
            if len(self._waiting) >= WAITING + len(self._idle):
                raise _too_many()
            me = object()
            self._waiting.append(me)
            try:
                if not self._moved.wait_for(lambda: self._idle and self._waiting[0] is me, until - time.monotonic()):
                    raise _too_many()
                lane = self._idle.pop()
            finally:
                self._waiting.remove(me)
                self._moved.notify_all()
        try:
            yield lane
        finally:
            with self._moved:
                self._idle.append(lane)
                self._moved.notify_all()


class _Lane:
    """One child at a time, and what becomes of it. Used by one thread at a time."""

    def __init__(self, limits: Limits, python: str) -> None:
        self._limits, self._python = limits, python
        self.child: _Child | None = None
        self._came_up = False
        self.peak_kib = 0

    def begin(self) -> None:
        """Start a child where there was none yet; whoever reads is told why there is none."""
        if self.child is None and not self._came_up:
            with suppress(Unavailable):
                self._start()

    def read(self, data: bytes, *, until: float) -> Seen:
        """One picture, until that instant at the latest."""
        child = self._ready(until)
        try:
            found, pixels = child.ask(data, until=min(until, time.monotonic() + self._limits.wall_s))
            if "refused" in found:
                raise Refusal(Reason.PICTURE_UNREADABLE, detail=str(found["refused"]))
            return _seen(found, pixels)
        except (_Lost, OSError, ValueError, LookupError, TypeError) as problem:  # (4)
            self.end()
            with suppress(Unavailable, Refusal):
                self._ready(until)
            raise Refusal(
                Reason.PICTURE_UNREADABLE, detail=f"the reader was stopped: {type(problem).__name__}"
            ) from problem
        finally:
            self._measure()

    def end(self) -> None:
        """End the child, if there is one."""
        self._measure()
        child, self.child = self.child, None
        if child is not None:
            child.end()

    def _ready(self, until: float) -> _Child:
        if self.child is not None and self.child.process.poll() is not None:
            self.end()  # it was killed while it had nothing to do
        child = self.child or self._start()  # (3)
        try:
            child.wait(until=until if self._came_up else time.monotonic() + self._limits.start_s)
        except _Lost as problem:
            if self._came_up and isinstance(problem, _Late):
                raise _too_many() from problem  # it replaces one that was killed, and goes on coming up
            self.end()
            raise _no_child(type(problem).__name__) from problem
        self._came_up = True
        return child

    def _start(self) -> _Child:
        try:
            self.child = _Child(self._python, self._limits.budget_ms)
        except OSError as problem:
            raise _no_child(type(problem).__name__) from problem
        return self.child

    def _measure(self) -> None:
        if self.child is not None:
            self.peak_kib = max(self.peak_kib, self.child.peak_kib())


@cache
def shared() -> PicturesApart:
    """The one of this process: a limit for each of several kiosks would be no limit."""
    return PicturesApart()


class _Child:
    """The process and this end of its line."""

    def __init__(self, python: str, budget_ms: float) -> None:
        self._ready = False
        self._line, theirs = socket.socketpair()
        with theirs:
            try:
                self.process = subprocess.Popen(
                    [python, "-m", "scanner_kiosk.picture_child", str(theirs.fileno()), str(budget_ms)],
                    pass_fds=[theirs.fileno()],
                    cwd="/",
                    # Nothing of our own environment: it may hold passwords. One thread: memory for each is memory lost.
                    env={"PYTHONPATH": _ROOT, "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except OSError:
                self._line.close()
                raise
        self.end = weakref.finalize(self, _end, self.process, self._line, os.getpid())  # (5)

    def peak_kib(self) -> int:
        """The largest it has been; 0 where it is no more."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return 0
        sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(sizes[0]) if sizes else 0

    def wait(self, *, until: float) -> None:
        """Until the child has said that it is ready."""
        if not self._ready:
            if self._message(8, until) != b"ready":
                raise _Lost
            self._ready = True

    def ask(self, data: bytes, *, until: float) -> tuple[dict[str, Any], bytes]:
        """The child's answer to one picture."""
        self._patience(until)
        self._line.sendall(len(data).to_bytes(4, "big") + data)
        found = json.loads(self._message(_MOST_JSON, until))
        if not isinstance(found, dict):
            raise _Lost
        return found, self._message(POSTED_PIXELS, until)

    def _message(self, most: int, until: float) -> bytes:
        length = int.from_bytes(self._exactly(4, until), "big")
        if length > most:
            raise _Lost
        return bytes(self._exactly(length, until))

    def _exactly(self, count: int, until: float) -> bytearray:
        parts = bytearray()
        while len(parts) < count:
            self._patience(until)
            try:
                part = self._line.recv(min(count - len(parts), 1 << 20))
            except TimeoutError as problem:
                raise _Late from problem
            except OSError as problem:
                raise _Lost from problem
            if not part:
                raise _Lost
            parts += part
        return parts

    def _patience(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise _Late
        self._line.settimeout(left)


def _end(process: subprocess.Popen[bytes], line: socket.socket, owner: int) -> None:
    line.close()
    if os.getpid() == owner:  # a fork of the owner must not end the owner's child
        process.kill()
        process.wait()


def _too_many() -> Refusal:
    return Refusal(Reason.TOO_MANY, detail="pictures waiting", n=1)


def _no_child(detail: str) -> Unavailable:
    return Unavailable(Reason.DEVICE_UNAVAILABLE, "camera", detail=f"the reader of pictures does not start: {detail}")


def _seen(found: dict[str, Any], pixels: bytes) -> Seen:
    """The answer as what it must be; anything else raises, as a child that was taken over may say what it likes."""
    height, width = (int(side) for side in found["shape"])
    return Seen(
        image=np.frombuffer(pixels, np.uint8).reshape(height, width),
        texts=tuple(str(text) for text in found["texts"]),
        margins={text: _margin(found["margins"][text]) for text in found["texts"]},
        symbols=tuple(_symbol(each) for each in found["symbols"]),
        dark=found["dark"] is True,
        preview=bytes.fromhex(found["preview"]),
    )


def _margin(found: Any) -> dict[str, float] | None:
    return None if found is None else {name: float(found[name]) for name in ("uec", "px_module")}


def _symbol(found: Any) -> Symbol:
    return Symbol(
        corners=tuple((float(x), float(y)) for x, y in found["corners"]),
        read=found["read"] is True,
        ours=found["ours"] is True,
        margin=float(found["margin"]),
        module=float(found["module"]),
        bright=float(found["bright"]),
    )

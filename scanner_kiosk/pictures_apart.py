"""Posted pictures, read in a process of their own.

A picture that anybody may post can make a decoder run for ever, take all memory, or find a fault in it. Whatever it does,
it does in `picture_child`: a fresh interpreter (no fork of a process with threads), with limits, an empty environment and
no key. Here, nothing looks inside of a picture:

1. Length and first bytes are judged (`picture.judged`); the rest of the header is judged there, before any pixel.
2. At most one picture is read and two wait; a fourth is TOO_MANY.
3. The child is started at the first picture and kept. One that does not come up in time is Unavailable.
4. One that does not answer within WALL_S, dies, or answers nonsense is killed, its picture is PICTURE_UNREADABLE, and the
   next one is started at once, so that whoever comes next waits less.
5. `close`, the end of this object and the end of the process end the child. It also ends by itself when nobody holds the
   other end of its line.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any, Final

import numpy as np

from consent.errors import Reason, Refusal, Unavailable
from scanner_kiosk.decode import BUDGET_MS
from scanner_kiosk.look import Symbol
from scanner_kiosk.picture import POSTED_PIXELS, Grey, judged

WALL_S: Final = 2.0
START_S: Final = 20.0  # importing OpenCV and numpy takes half a second on an idle machine
MOST_AT_ONCE: Final = 3  # one is read, two wait
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
    peak_kib: int


class _Lost(Exception):  # noqa: N818
    """The child did not answer as it should."""


class PicturesApart:
    """One child and its queue. `read` may be called from any thread."""

    def __init__(
        self,
        *,
        budget_ms: float = BUDGET_MS,
        wall_s: float = WALL_S,
        start_s: float = START_S,
        python: str = sys.executable,
    ) -> None:
        self._budget_ms, self._wall_s, self._start_s, self._python = budget_ms, wall_s, start_s, python
        self._places = BoundedSemaphore(MOST_AT_ONCE)
        self._turn = Lock()
        self._child: _Child | None = None
        self.peak_kib = 0  # the child's largest size, as it said itself with its last answer

    def read(self, data: bytes) -> Seen:
        """What the picture shows. Refusal PICTURE_UNREADABLE or TOO_MANY; Unavailable where no child can be had."""
        data = judged(data)  # (1)
        if not self._places.acquire(blocking=False):  # (2)
            raise Refusal(Reason.TOO_MANY, detail="pictures waiting", n=1)
        try:
            with self._turn:
                return self._ask(data)
        finally:
            self._places.release()

    def close(self) -> None:
        """End the child. A later picture starts another one."""
        with self._turn:
            self._end()

    @property
    def pid(self) -> int | None:
        """The child's process id, if there is one."""
        return None if self._child is None else self._child.process.pid

    def _ask(self, data: bytes) -> Seen:
        child = self._ready()
        try:
            found, pixels = child.ask(data, until=time.monotonic() + self._wall_s)
            self.peak_kib = int(found["peak_kib"])
            if "refused" in found:
                raise Refusal(Reason.PICTURE_UNREADABLE, detail=str(found["refused"]))
            return _seen(found, pixels)
        except (_Lost, OSError, ValueError, LookupError, TypeError) as problem:  # (4)
            self._end()
            self._start()
            raise Refusal(
                Reason.PICTURE_UNREADABLE, detail=f"the reader was stopped: {type(problem).__name__}"
            ) from problem

    def _ready(self) -> _Child:
        if self._child is not None and self._child.process.poll() is not None:
            self._end()  # it was killed while it had nothing to do
        child = self._child or self._start()  # (3)
        try:
            child.wait(until=time.monotonic() + self._start_s)
        except (_Lost, OSError) as problem:
            self._end()
            raise _no_child(type(problem).__name__) from problem
        return child

    def _start(self) -> _Child:
        try:
            self._child = _Child(self._python, self._budget_ms)
        except OSError as problem:
            raise _no_child(type(problem).__name__) from problem
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


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
            if not (part := self._line.recv(min(count - len(parts), 1 << 20))):
                raise _Lost
            parts += part
        return parts

    def _patience(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise _Lost
        self._line.settimeout(left)


def _end(process: subprocess.Popen[bytes], line: socket.socket, owner: int) -> None:
    line.close()
    if os.getpid() == owner:  # a fork of the owner must not end the owner's child
        process.kill()
        process.wait()


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
        peak_kib=int(found["peak_kib"]),
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

"""A desk scanner: its device, and the thread that listens to it.

A scanner is chosen by its name; a path may be a pattern, and then the first that fits it:

`serial:PATH`   USB serial mode, `serial:/dev/serial/by-id/…`
`keys:PATH`     keyboard mode, `keys:/dev/input/by-id/…-event-kbd`; taken for us alone (EVIOCGRAB), so that what is scanned
                reaches no other window and no input method

The thread

1. opens the device, and throws away what was scanned while nobody listened
2. hands each line to `deliver`, where a camera's text goes too; what was refused is logged by its reason, never by its text
3. closes it when it is gone, says why (`failure`), and looks again after a second: a cable may be put back at any time
"""

from __future__ import annotations

import fcntl
import glob
import os
import select
import termios
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Final, Protocol

from consent.errors import Reason, Refusal, Unavailable
from consent.telling import Log
from scanner_kiosk.devices.scanned_lines import PAUSE_S, Keyboard, Lines

AGAIN_S: Final = 1.0  # between two looks for a device that is not there
_EVIOCGRAB: Final = 0x40044590
_READ: Final = 4096


class Device(Protocol):
    """How one kind of scanner is opened and understood. `open` returns a descriptor that does not block, or raises OSError;
    `decode` gives the lines that some bytes complete."""

    def open(self) -> int: ...

    def decode(self, data: bytes, lines: Lines) -> list[str]: ...


class Serial:
    """A scanner in serial mode: 9600 baud, 8N1, no flow control. USB ones ignore the speed."""

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self) -> int:
        fd = _opened(self._path, os.O_RDONLY | os.O_NOCTTY)
        try:
            _make_raw(fd)
        except (OSError, termios.error) as error:
            os.close(fd)
            raise OSError(*error.args) from error
        return fd

    def decode(self, data: bytes, lines: Lines) -> list[str]:
        return lines.feed(data)


class Keys:
    """A scanner in keyboard mode."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._keyboard = Keyboard()

    def open(self) -> int:
        fd = _opened(self._path, os.O_RDONLY)
        self._keyboard = Keyboard()
        try:
            fcntl.ioctl(fd, _EVIOCGRAB, 1)
        except OSError:
            os.close(fd)
            raise
        return fd

    def decode(self, data: bytes, lines: Lines) -> list[str]:
        return self._keyboard.decode(data, lines)


def named(name: str) -> Device:
    """The scanner that a setting names; ValueError for a name that is none."""
    kind, _, path = name.partition(":")
    if kind == "serial" and path:
        return Serial(path)
    if kind == "keys" and path:
        return Keys(path)
    raise ValueError("a scanner is serial:PATH or keys:PATH")


class DeskScanner:
    """One scanner and its thread."""

    def __init__(self, device: Device, *, deliver: Callable[[str], Any], log: Log) -> None:
        self._device, self._deliver, self._log = device, deliver, log
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="desk scanner", daemon=True)
        self.failure: Unavailable | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and give the device back."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                fd = self._device.open()  # 1
                try:
                    self.failure = None
                    self._listen(fd)
                finally:
                    os.close(fd)
            except OSError as error:
                self._failed(os.strerror(error.errno) if error.errno else "gone")  # 3
            except Exception as fault:
                # A thread that dies silently would leave a counter that looks alive.
                self._log.error("fault", exc_info=fault)
                self._failed(type(fault).__name__)
            self._stopping.wait(AGAIN_S)

    def _listen(self, fd: int) -> None:
        lines = Lines()
        while not self._stopping.is_set():
            if not select.select([fd], [], [], PAUSE_S)[0]:
                lines.pause()
                continue
            data = os.read(fd, _READ)
            if not data:
                raise OSError
            for text in self._device.decode(data, lines):
                self._hand_in(text)

    def _hand_in(self, text: str) -> None:
        try:
            self._deliver(text)  # 2
        except (Refusal, Unavailable) as no:
            self._log.info("scanner", code=no.reason)

    def _failed(self, why: str) -> None:
        if self.failure is None or self.failure.detail != why:
            self._log.warning("scanner", code=Reason.DEVICE_UNAVAILABLE, why=why)
        self.failure = Unavailable(Reason.DEVICE_UNAVAILABLE, "scanner", detail=why)


def _opened(pattern: str, flags: int) -> int:
    path = pattern if os.path.exists(pattern) else next(iter(sorted(glob.glob(pattern))), pattern)
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _make_raw(fd: int) -> None:
    mode = termios.tcgetattr(fd)
    mode[0] = mode[1] = mode[3] = 0  # no translation of CR, no flow control, no echo, no lines
    mode[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
    mode[4] = mode[5] = termios.B9600
    termios.tcsetattr(fd, termios.TCSANOW, mode)
    fcntl.ioctl(fd, termios.TIOCEXCL)  # a second reader would take every other character
    termios.tcflush(fd, termios.TCIFLUSH)

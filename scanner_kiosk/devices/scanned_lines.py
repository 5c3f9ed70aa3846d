"""From what a desk scanner sends, bytes or key events, to the lines that it means. Nothing here touches a device.

A line ends at CR, LF, both, or TAB: makers deliver their boxes with any of them. Nothing else is cut off, for a code of ours
may end in a space. A line is dropped whole, up to its end, when it is

1. longer than `LONGEST`: no code is
2. not UTF-8: the cable or the speed is wrong
3. broken off by a pause of `PAUSE_S`: somebody pulled the cable, and the next scan must not be glued to half a code
4. read from key events of which the kernel has lost some
"""

from __future__ import annotations

import struct
from typing import Final

LONGEST: Final = 512  # bytes; our longest code has 178
PAUSE_S: Final = 0.2
_ENDS: Final = frozenset(b"\r\n\t")

EVENT: Final = struct.Struct("@llHHi")
"""`struct input_event` of linux/input.h: seconds, microseconds, type, code, value."""
_EV_SYN, _EV_KEY, _SYN_DROPPED, _DOWN = 0, 1, 3, 1
_SHIFTS: Final = frozenset({42, 54})
_ROWS: Final = (  # first key code of a row, its keys, and the same with shift; the US layout, linux/input-event-codes.h
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (15, "\tqwertyuiop[]\n", "\tQWERTYUIOP{}\n"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (55, "*", "*"),
    (57, " ", " "),
    (71, "789-456+1230.", "789-456+1230."),
    (96, "\n", "\n"),
    (98, "/", "/"),
)
_KEYS: Final = {
    first + place: pair
    for first, plain, shifted in _ROWS
    for place, pair in enumerate(zip(plain, shifted, strict=True))
}


class Lines:
    """The lines of one device, kept apart from those of any other."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._spoilt = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes; empty ones are none."""
        found = []
        for byte in data:
            if byte not in _ENDS:
                if len(self._held) < LONGEST:
                    self._held.append(byte)
                else:
                    self._spoilt = True  # 1
            elif (line := self._end()) is not None:
                found.append(line)
        return found

    def pause(self) -> None:
        """Nothing has come for `PAUSE_S`."""
        self._held.clear()  # 3
        self._spoilt = False

    def spoil(self) -> None:
        """Part of what is being sent was lost."""
        self._spoilt = True  # 4

    def _end(self) -> str | None:
        held, spoilt = bytes(self._held), self._spoilt
        self.pause()
        try:
            return None if spoilt else held.decode() or None
        except UnicodeDecodeError:
            return None  # 2


class Keyboard:
    """The keys of one scanner that calls itself a keyboard, by its own map: no layout and no input method of the machine
    stands between. Caps Lock is not looked at; the machine's is not this device's."""

    def __init__(self) -> None:
        self._held = b""
        self._shifts: set[int] = set()

    def decode(self, data: bytes, lines: Lines) -> list[str]:
        """The lines that `data`, whole or part events, completes."""
        data = self._held + data
        whole = len(data) - len(data) % EVENT.size
        self._held = data[whole:]
        found: list[str] = []
        for _, _, kind, code, value in EVENT.iter_unpack(data[:whole]):
            if kind == _EV_SYN and code == _SYN_DROPPED:
                self._shifts.clear()
                lines.spoil()
            elif kind == _EV_KEY and code in _SHIFTS:
                (self._shifts.add if value else self._shifts.discard)(code)
            elif kind == _EV_KEY and value == _DOWN and code in _KEYS:
                found += lines.feed(_KEYS[code][bool(self._shifts)].encode())
        return found

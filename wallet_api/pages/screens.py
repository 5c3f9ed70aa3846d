"""What phones show now in place of our code, in the memory of one process: the simple code, or the app's own text.

The simulated camera (`current`) sees what a person would see. A text is kept only as long as it lives.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

LIFE: Final = timedelta(seconds=60)  # of every app's text, as far as is known
_MOST: Final = 10_000


@dataclass(slots=True, kw_only=True)
class Screens:
    """The texts on the phones of one app that show another code than ours."""

    _shown: dict[str, tuple[str, datetime]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def put(self, showing_id: str, text: str, *, until: datetime, now: datetime) -> None:
        """This text is on the screen from now on, and good until then."""
        with self._lock:
            kept = {each: found for each, found in self._shown.items() if now < found[1]}
            self._shown = kept if len(kept) < _MOST else {}
            self._shown[showing_id] = (text, until)

    def put_away(self, showing_id: str) -> None:
        """The screen shows something else."""
        with self._lock:
            self._shown.pop(showing_id, None)

    def on_screen(self, showing_id: str, *, now: datetime) -> str | None:
        """The text that the phone with this showing shows; None where it shows our code."""
        with self._lock:
            found = self._shown.get(showing_id)
        return None if found is None or now >= found[1] else found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCodes:
    """The app's own texts. `draw` has the app make one for a showing and returns it."""

    draw: Callable[[str], str] = field(repr=False)
    screens: Screens

    def show(self, showing_id: str, *, now: datetime) -> str:
        """Another text, which is on the screen from now on."""
        text = self.draw(showing_id)
        self.screens.put(showing_id, text, until=now + LIFE, now=now)
        return text

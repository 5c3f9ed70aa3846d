"""The machine's time, and wallet_api's, which may be ahead of it."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Protocol

from consent.clock import Clock, SystemClock


class Pace(Protocol):
    """The machine's time, and a way to let some of it pass: `Sleeping` in life, a clock that is moved in tests."""

    def now(self) -> datetime:
        """The present instant."""
        ...

    def advance(self, seconds: float) -> datetime:
        """Come back when so many seconds have passed."""
        ...


class Sleeping:
    """Real time."""

    def __init__(self) -> None:
        self._clock = SystemClock()

    def now(self) -> datetime:
        """The machine's time."""
        return self._clock.now()

    def advance(self, seconds: float) -> datetime:
        """Sleep."""
        threading.Event().wait(seconds)
        return self.now()


class Ahead:
    """wallet_api's clock: another clock plus a shift that only grows while a back end is under test."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._shift = timedelta(0)

    def now(self) -> datetime:
        """The shifted time."""
        return self._base.now() + self._shift

    def put_ahead(self, seconds: float) -> None:
        """Grow the shift."""
        self._shift += timedelta(seconds=max(0.0, seconds))

    def level(self) -> None:
        """As the machine's clock again, for the next back end."""
        self._shift = timedelta(0)

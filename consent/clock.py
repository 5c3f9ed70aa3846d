"""Time is an argument. This file is the only one that may look at a clock.

Everything that judges takes `now: datetime` (aware, UTC); the composition root owns one `Clock` and asks it
once for each decision, so that all checks of one presentation are judged at one instant.

`SystemClock` never goes back: when the machine's clock is set back by its time service, the clock stands
still until real time has caught up. A code that has expired must not come alive again because somebody
corrected a clock. `MovableClock` is the clock of tests; it moves only when told to.
`ShiftedClock` is the demo's: it runs, and can be put ahead.

Epoch seconds are whole seconds, rounded down (RFC 8392 and RFC 7519 `NumericDate`). Dates are dates in
Shanghai; the whole of China keeps UTC+8 without summer time since 1991, so that a fixed offset is exact for
every instant that we handle, and no time zone database has to be installed.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from threading import Lock
from typing import Final, Protocol

from consent.errors import Reason, Refusal

SHANGHAI: Final = timezone(timedelta(hours=8), "Asia/Shanghai")

_LAST_EPOCH: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a datetime can hold


class Clock(Protocol):
    """Says what time it is.

    `now` returns an aware datetime in UTC, may be called from any thread, and never returns an instant before
    one that the same clock has returned (a `MovableClock` that is `set` back by a test is the one exception).
    """

    def now(self) -> datetime:
        """The present instant."""
        ...


class SystemClock:
    """The machine's clock with a floor under it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._floor = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """The machine's time, or the last time returned if the machine's clock went back."""
        with self._lock:
            self._floor = max(self._floor, datetime.now(UTC))
            return self._floor


class MovableClock:
    """A clock that stands still until moved. For the demo and for tests."""

    def __init__(self, start: datetime) -> None:
        self._lock = Lock()
        self._now = _aware(start)

    def now(self) -> datetime:
        """The time that the clock was last moved to."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> datetime:
        """Move forward by `seconds` and return the new time. Negative values raise ValueError."""
        if seconds < 0:
            raise ValueError("a clock advances; use set() to go back")
        with self._lock:
            self._now += timedelta(seconds=seconds)
            return self._now

    def set(self, to: datetime) -> datetime:
        """Jump to any aware instant, also backwards, and return it."""
        with self._lock:
            self._now = _aware(to)
            return self._now


class ShiftedClock:
    """The machine's time plus a shift that only grows. For the demo, where threads really wait but minutes must pass."""

    def __init__(self) -> None:
        self._base = SystemClock()
        self._lock = Lock()
        self._shift = timedelta(0)

    def now(self) -> datetime:
        """The shifted time."""
        with self._lock:
            return self._base.now() + self._shift

    def advance(self, seconds: float) -> datetime:
        """Let `seconds` pass at once and return the new time. Negative values raise ValueError."""
        if seconds < 0:
            raise ValueError("a clock advances")
        with self._lock:
            self._shift += timedelta(seconds=seconds)
        return self.now()


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("a time without a zone is not an instant")
    return instant.astimezone(UTC)


def to_epoch(instant: datetime) -> int:
    """Whole seconds since 1970, rounded down. A naive datetime raises ValueError."""
    return (_aware(instant) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


def from_epoch(seconds: int) -> datetime:
    """The instant of `seconds` since 1970, which may come from a stranger's document: outside of 1970 to 9999
    it is refused as DOCUMENT_CLAIMS."""
    if not 0 <= seconds <= _LAST_EPOCH:
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="epoch seconds out of range")
    return datetime.fromtimestamp(seconds, UTC)


def rfc3339(instant: datetime) -> str:
    """`2026-01-02T03:04:05Z`: UTC, whole seconds, rounded down (RFC 3339)."""
    return _aware(instant).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def shanghai_date(instant: datetime) -> date:
    """The date on the wall calendar of all four provinces at that instant."""
    return _aware(instant).astimezone(SHANGHAI).date()

"""The phone's clock against ours.

We judge every time by our own clock. A phone that tells its time (`Client-Time`) learns how far off it is, in seconds with
its answer; and when a document that it signed is refused for its time, the refusal names the minutes instead of saying
"expired". What a phone tells is believed for the sentence and for nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from consent.errors import Reason, Refusal
from consent.seal import SKEW

HEADER: Final = "Client-Time"

_TIMED: Final = frozenset({Reason.DOCUMENT_EXPIRED, Reason.DOCUMENT_NOT_YET_VALID})
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def read_client_time(text: str | None) -> datetime | None:
    """The time that a phone told (RFC 3339), None where it told none; Refusal(BODY_INVALID) for anything else."""
    if text is None:
        return None
    try:
        if _RFC3339.fullmatch(text) is None:
            raise ValueError("not RFC 3339")
        return datetime.fromisoformat(text)
    except ValueError as problem:
        raise Refusal(Reason.BODY_INVALID, detail=HEADER) from problem


def skew_seconds(told: datetime | None, *, now: datetime) -> int | None:
    """How many seconds the phone is ahead; negative for one that is slow, None where it did not tell."""
    return None if told is None else round((told - now) / timedelta(seconds=1))


@contextmanager
def naming_skew(told: datetime | None, *, now: datetime) -> Iterator[None]:
    """Turn a document's "expired" or "not valid yet" into CLOCK_SKEW where the phone's clock is off by more than the
    tolerance. `n` is in minutes, at least 1."""
    try:
        yield
    except Refusal as no:
        if no.reason not in _TIMED or told is None or abs(told - now) <= SKEW:
            raise
        minutes = max(1, round(abs(told - now) / timedelta(minutes=1)))
        zh, en = ("快", "fast") if told > now else ("慢", "slow")
        raise Refusal(Reason.CLOCK_SKEW, detail=f"{no.reason}, {no.detail}", n=minutes, what=zh, what_en=en) from no

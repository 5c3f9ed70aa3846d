"""Problems that officers report at the counter: a journal on this machine, which needs no network.

A report says what the screen showed when the key was pressed, and which of five causes the officer saw. Nothing can be
typed, and nothing in it is about the citizen: a request id leads to a visit only for those who may look into the desk.

 1. open    the key is pressed: what the screen shows now is noted, for an end may clear itself while a cause is chosen
 2. file    a cause is chosen: one JSON line is appended and on the disk before the number is given out
 3. number  "261201-04": day and how manieth of that day at this kiosk, short enough to be read out over the telephone

The journal (`journal`) holds at most `MOST` reports; the oldest give way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib import metadata
from pathlib import Path
from threading import Lock
from typing import Any, Final

import jwt

from consent.clock import rfc3339, shanghai_date
from consent.errors import Reason, Unavailable
from scanner_kiosk.counter import Counter
from scanner_kiosk.journal import Journal

JOURNAL: Final = "reports.jsonl"
MOST: Final = 2_000


class Cause(StrEnum):
    """What the officer saw. The words stand in the dictionaries of the page."""

    UNREADABLE = "unreadable"
    MISMATCH = "mismatch"
    SLOW = "slow"
    DEVICE = "device"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What the screen showed when the key was pressed."""

    state: str
    reason: str | None
    request_id: str | None
    second_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which counter it was, who was on duty there, and how its devices stood."""

    province: str
    window: str
    officer: str
    version: str
    devices: Mapping[str, str]


def problem_at(counter: Counter) -> Problem:
    """Step 1. Of a second officer's word only the id of its key: what it signed names a request."""
    answer = None if counter.on_card is None else counter.on_card.answer
    word = None if answer is None else answer.officer
    return Problem(
        state=counter.state,
        reason=None if counter.said is None or counter.said.reason is None else counter.said.reason.value,
        request_id=None if counter.asked is None else counter.asked.request_id,
        second_key=None if word is None else str(jwt.get_unverified_header(word)["kid"]),
    )


@cache
def version() -> str:
    """Of this program; "source" where it runs without having been installed."""
    try:
        return metadata.version("huzheng")
    except metadata.PackageNotFoundError:
        return "source"


class Reports:
    """The journal of one kiosk. All verbs may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._journal = Journal(folder / JOURNAL)
        self._lock = Lock()

    def file(self, cause: Cause, problem: Problem, where: Where, *, now: datetime) -> str:
        """Steps 2 and 3. Returns the number; Unavailable STORE_UNAVAILABLE where the disk does not take it."""
        with self._lock:
            try:
                before = self.all()
                number = _number(before, now)
                report = {
                    "number": number,
                    "time": rfc3339(now),
                    "cause": cause.value,
                    **asdict(problem),
                    **asdict(where),
                }
                self._journal.add(before, report, most=MOST)
            except OSError as problem:
                raise Unavailable(Reason.STORE_UNAVAILABLE, "reports", detail=type(problem).__name__) from problem
        return number

    def all(self) -> list[dict[str, Any]]:
        """Every report, the oldest first; none where there is no journal yet."""
        return [each for each in self._journal.all() if _numbered(each)]


def _number(before: list[dict[str, Any]], now: datetime) -> str:
    day = f"{shanghai_date(now):%y%m%d}-"
    taken = [str(each["number"]).removeprefix(day) for each in before if str(each["number"]).startswith(day)]
    return f"{day}{max((int(each) for each in taken), default=0) + 1:02}"


def _numbered(found: Mapping[str, Any]) -> bool:
    day, _, n = str(found.get("number")).partition("-")
    return day.isdigit() and n.isdigit()

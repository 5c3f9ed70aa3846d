"""The desk cannot be reached: what a kiosk may say about a code by itself, and what it keeps of that.

Without the desk a counter concludes nothing. Whether a code is the newest, unused and agreed to is known in the province only;
what can be told here is whether a phone of the four apps made it just now.

 1. trust   the keys are those of the pinned list, and only as long as some desk has answered within `TRUST_FOR`: on a machine
            that was cut off for longer, a key may have been withdrawn without its learning of it. The time of the last answer
            outlives a restart (`heard.json`); another list, or a clock that stands before that instant, begins without trust
 2. judge   signature and time of the code, by the kiosk's clock: GENUINE, REFUSED with the reason that it always has, KEYS_OLD
            where there is no trust, UNTOLD for a name that only its province can look up. None of them passes anything
 3. keep    one line in the journal, on the disk, before the screen says so. A request that is asked once more keeps what was
            said of it first: its code has become old meanwhile, which proves nothing
 4. return  the desk answers again. Nothing goes on by itself: the officer reads which attempts there were, asks whoever still
            waits to show a new code, and takes the list away

A line names window, matter, time and what was said, and no person, case or code. The digest in it is keyed with the line's own
random id and is taken of signed codes only: of twelve typed digits, a digest would be those digits. `showing` is the digest of
the 128 bits by which a genuine code names its slice of a showing; two kiosks that saw the same code have the same.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import Any, Final

from consent.b64 import digest_of, to_b64
from consent.clock import rfc3339
from consent.code import PREFIX, fresh, open_code
from consent.errors import Reason, Refusal
from consent.keys import KeyRing
from consent.seal import SKEW
from consent.telling import Log
from scanner_kiosk.journal import Journal

JOURNAL: Final = "offline.jsonl"
HEARD: Final = "heard.json"
MOST: Final = 10_000
TRUST_FOR: Final = timedelta(hours=24)
_HEARD_EVERY: Final = timedelta(minutes=1)  # a disk need not take every answer of the desk


class Check(StrEnum):
    """What was found out here. The words stand in the dictionaries of the page."""

    GENUINE = "genuine"
    REFUSED = "refused"
    KEYS_OLD = "keys_old"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What may be said about a code without the desk, and the reason that the banner shows."""

    check: Check
    reason: Reason
    facts: Mapping[str, str | int] = field(default_factory=dict)
    showing: str | None = None


def trusted(heard_at: datetime | None, *, now: datetime) -> bool:
    """Step 1."""
    return heard_at is not None and heard_at - SKEW <= now < heard_at + TRUST_FOR


def judge(text: str, ring: KeyRing, *, heard_at: datetime | None, now: datetime) -> Finding:
    """Step 2."""
    if not trusted(heard_at, now=now):
        return Finding(check=Check.KEYS_OLD, reason=Reason.KEY_LIST_STALE)
    if not text.startswith(PREFIX):
        return Finding(check=Check.UNTOLD, reason=Reason.OFFLINE)
    try:
        code = fresh(open_code(text, ring, now=now), now=now)
    except Refusal as no:
        return Finding(check=Check.REFUSED, reason=no.reason, facts=no.facts)
    return Finding(check=Check.GENUINE, reason=Reason.OFFLINE, showing=digest_of(code.cti))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a code was shown, and for what."""

    province: str
    window: str
    matter: str


class Offline:
    """What one kiosk remembers of its desk's silence. All verbs may be called from any thread.

    `keylist` is the digest of the pinned list. A disk that takes nothing is told to the log and stops nobody.
    """

    def __init__(self, folder: Path, *, keylist: str, log: Log) -> None:
        self._folder, self._keylist, self._log = folder, keylist, log
        self._lock = Lock()
        self._journal = Journal(folder / JOURNAL)
        self._lines = self._read()
        self._heard_at = self._kept_at = self._last_heard()
        self._since: datetime | None = None

    @property
    def since(self) -> datetime | None:
        """Since when the desk has been silent; None while it answers."""
        return self._since

    def attempts(self) -> list[dict[str, Any]]:
        """Those that nobody has taken away yet, the oldest first."""
        with self._lock:
            return _open(self._lines)

    def heard(self, now: datetime) -> None:
        """A desk has answered."""
        with self._lock:
            self._heard_at, self._since = now, None
            if self._kept_at is None or not timedelta(0) <= now - self._kept_at < _HEARD_EVERY:
                self._keep_heard(now)

    def lost(self, now: datetime) -> None:
        """The desk has not answered."""
        with self._lock:
            self._since = self._since or now

    def check(self, id_: str, text: str, ring: KeyRing, place: Place, *, now: datetime) -> Finding:
        """Steps 2 and 3 for the code of one request; `id_` is that of the request."""
        with self._lock:
            before = next((each for each in reversed(self._lines) if each.get("id") == id_), None)
            if before is not None:
                return Finding(check=Check(before["check"]), reason=Reason(before["reason"]), facts=before["facts"])
            found = judge(text, ring, heard_at=self._heard_at, now=now)
            self._add(_line(id_, text, found, place, now))
        return found

    def refused(self, id_: str, reason: Reason, place: Place, *, now: datetime) -> Finding:
        """Step 3 for a text that no key speaks for; it was never asked about. Without trust, that may be a new key."""
        found = Finding(check=Check.REFUSED, reason=reason)
        with self._lock:
            if not trusted(self._heard_at, now=now):
                found = Finding(check=Check.KEYS_OLD, reason=Reason.KEY_LIST_STALE)
            self._add(_line(id_, "", found, place, now))
        return found

    def take_away(self, now: datetime) -> None:
        """The officer has read the list: it is kept on the disk, and shown no more."""
        with self._lock:
            if _open(self._lines):
                self._add({"taken_away": rfc3339(now)})

    # Under the lock, all that follows.

    def _read(self) -> list[dict[str, Any]]:
        try:
            return self._journal.all()
        except OSError as problem:
            self._log.error("offline", why=type(problem).__name__)
            return []

    def _add(self, line: Mapping[str, Any]) -> None:
        try:
            self._journal.add(self._lines, line, most=MOST)
        except OSError as problem:
            self._log.error("offline", why=type(problem).__name__)
        self._lines = [*self._lines[-(MOST - 1) :], dict(line)]

    def _keep_heard(self, now: datetime) -> None:
        path = self._folder / HEARD
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps({"at": now.isoformat(), "keylist": self._keylist}), encoding="ascii")
            os.replace(fresh, path)
        except OSError as problem:
            self._log.error("offline", why=type(problem).__name__)
        self._kept_at = now

    def _last_heard(self) -> datetime | None:
        try:
            found = json.loads((self._folder / HEARD).read_bytes())
            at = datetime.fromisoformat(found["at"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return at if found["keylist"] == self._keylist and at.tzinfo is not None else None


def _line(id_: str, text: str, found: Finding, place: Place, now: datetime) -> dict[str, Any]:
    keyed = to_b64(hmac.digest(id_.encode(), text.encode(), sha256)) if text.startswith(PREFIX) else None
    return {
        "id": id_,
        "at": rfc3339(now),
        "province": place.province,
        "window": place.window,
        "matter": place.matter,
        "check": found.check.value,
        "reason": found.reason.value,
        "facts": dict(found.facts),
        "code": keyed,
        "showing": found.showing,
    }


def _open(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What stands after the last time that the list was taken away. The page polls this: the lines before are not looked at."""
    unread = takewhile(lambda line: "taken_away" not in line, reversed(lines))
    return [line for line in unread if "check" in line][::-1]

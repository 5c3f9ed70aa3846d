"""Who is on duty at this window, and how the next officer takes over.

`OfficerSignIn` is the port behind which accounts will stand. Today's `TypedNumber` checks nothing but the form of what is
typed; so what it gives is never `verified`, and every place that shows the officer says so.

A change of shift

 1. is refused while somebody is being served: one officer would go on with what another began. The officer clears first
 2. wipes what is left on the screen, together with the officer's own name
 3. lets the next officer sign in; whoever fails to leaves the window with nobody on duty
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol

from consent.errors import Reason, Refusal
from consent.request import NO_OFFICER
from scanner_kiosk.counter import ENDED, Counter

# Digits and capitals as on a staff badge, no name: it stands in reports and on paper.
_NUMBER: Final = re.compile(r"[A-Z]{0,4}[0-9]{3,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Officer:
    """Somebody of the staff. `verified` where somebody has checked that it is them."""

    number: str
    verified: bool


class OfficerSignIn(Protocol):
    """How an officer says who they are. `sign_in` returns the officer; Refusal OFFICER_UNKNOWN."""

    def sign_in(self, given: str) -> Officer: ...


class TypedNumber:
    """A number that was typed, and checked for its form only."""

    def sign_in(self, given: str) -> Officer:
        number = given.strip().upper()
        if not _NUMBER.fullmatch(number):
            raise Refusal(Reason.OFFICER_UNKNOWN, detail="not the form of a staff number")
        return Officer(number=number, verified=False)


class Duty:
    """Who is on duty. `counter` is the counter now, `clear` wipes it."""

    def __init__(self, sign_in: OfficerSignIn, *, counter: Callable[[], Counter], clear: Callable[[], None]) -> None:
        self._sign_in, self._counter, self._clear = sign_in, counter, clear
        self._lock = Lock()
        self._officer: Officer | None = None

    @property
    def officer(self) -> Officer | None:
        """Nobody after a start and after a change that broke off."""
        return self._officer

    @property
    def named(self) -> str:
        """The officer as a report names them."""
        return NO_OFFICER if self._officer is None else self._officer.number

    def change(self, given: str) -> Officer:
        """The three steps. Refusal STATE_FORBIDS while somebody is being served, OFFICER_UNKNOWN."""
        with self._lock:
            if self._counter().state not in ENDED | {"IDLE"}:  # 1
                raise Refusal(Reason.STATE_FORBIDS, detail="somebody is being served")
            self._clear()  # 2
            self._officer = None
            self._officer = self._sign_in.sign_in(given)  # 3
            return self._officer

"""The counter as a table: what the screen says, what may happen next, and when it is wiped. Pure; no clock, no device.

    IDLE         填写办件      nobody is being served; matter, case and person are filled in
    WAITING      待扫码        a phone may be held in, or its digits typed
    INVITING     等待手机扫码   the counter shows a code of its own, and a phone may read that
    CHECKING     核验中        a code was read, the desk was asked
    CONFIRMING   等待当事人确认  the citizen compares the two digits and decides
    FETCHING     正在调取      agreed; the copy is on its way
    PASSED       通过          ┐
    REFUSED      不通过        ├ the banner, always at the same place
    UNDETERMINED 需人工核对    ┘

Rules that keep a counter from showing more than it should:

1. *One text is one scan.* A phone held still is read thirty times a second; the same text counts again only after three
   seconds.
2. *An end clears itself* after a minute; "keep" gives half a minute more, and no number of keeps holds a certificate on
   the screen for longer than five minutes.
3. *Only the wipe leads back to IDLE*, and it takes everything with it: person, case, answer.
4. *A code of our own stands on the screen in INVITING only.* It is replaced before it dies, each time under another
   request id (`invite` again); `invited` holds all that may still be read by a phone, the one on the screen last.

`again` goes back to WAITING for the same case with a new request (a code that had expired); `retry` asks the same
question again (a library that did not answer). The desk began a visit by our own code itself, with a text that was never
here; so all that can be asked again is what became of it, and that only where the desk could not be reached.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from consent.errors import Outcome, Reason, Refusal
from consent.people import CitizenId
from consent.states import Machine
from scanner_kiosk.visit import Asked, Said, View

SAME_SCAN: Final = timedelta(seconds=3)
CLEAR_AFTER: Final = timedelta(seconds=60)
KEEP: Final = timedelta(seconds=30)
MOST_KEPT: Final = timedelta(minutes=5)

COUNTER: Final = Machine(
    name="counter",
    about="Kept by the kiosk in memory; what the screen at the window shows.",
    start="IDLE",
    moves={
        "IDLE": {"start": "WAITING"},
        "WAITING": {"scan": "CHECKING", "invite": "INVITING", "refuse": "REFUSED", "clear": "IDLE"},
        "INVITING": {
            "invite": "INVITING",
            "confirm": "CONFIRMING",
            "fetch": "FETCHING",
            "admit": "PASSED",
            "refuse": "REFUSED",
            "undetermine": "UNDETERMINED",
            "again": "WAITING",
            "clear": "IDLE",
        },
        "CHECKING": {
            "confirm": "CONFIRMING",
            "fetch": "FETCHING",
            "admit": "PASSED",
            "refuse": "REFUSED",
            "undetermine": "UNDETERMINED",
            "clear": "IDLE",
        },
        "CONFIRMING": {
            "fetch": "FETCHING",
            "admit": "PASSED",
            "refuse": "REFUSED",
            "undetermine": "UNDETERMINED",
            "clear": "IDLE",
        },
        "FETCHING": {"admit": "PASSED", "refuse": "REFUSED", "undetermine": "UNDETERMINED", "clear": "IDLE"},
        "PASSED": {"clear": "IDLE"},
        "REFUSED": {"again": "WAITING", "clear": "IDLE"},
        "UNDETERMINED": {"retry": "CHECKING", "again": "WAITING", "clear": "IDLE"},
    },
)

ASKING: Final = frozenset({"CHECKING", "CONFIRMING", "FETCHING"})
ENDED: Final = frozenset({"PASSED", "REFUSED", "UNDETERMINED"})


class Guidance(StrEnum):
    """The one line under the picture. The words stand in the dictionaries of the page."""

    NO_CAMERA = "no_camera"
    HOLD_IN = "hold_in"
    NEARER = "nearer"
    FARTHER = "farther"
    TILT_LESS = "tilt_less"
    GLARE = "glare"
    HOLD_STILL = "hold_still"
    NOT_OURS = "not_ours"
    READ = "read"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the officer filled in. `person` never leaves this machine but inside an envelope."""

    matter: str
    type: str
    case_number: str
    cause: str
    preconditions: tuple[str, ...]
    person: CitizenId | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """A code of our own that a phone may read: its text, and the request that begins when one has."""

    asked: Asked
    text: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """One counter at one instant. `version` rises with every change, so that a page can see that something changed."""

    state: str = COUNTER.start
    version: int = 0
    case: Case | None = None
    asked: Asked | None = None
    came: bool = False  # the phone came to us: `asked` began with a code of our own
    invited: tuple[Invited, ...] = ()
    view: View | None = None
    said: Said | None = None
    ended_at: datetime | None = None
    clears_at: datetime | None = None

    def started(self, case: Case) -> Counter:
        """A case is ready; a phone may be held in."""
        return self._to("start", case=case)

    def scanned(self, asked: Asked) -> Counter:
        """A code was read and `asked` is on its way to the desk."""
        return self._to("scan", asked=asked)

    def inviting(self, *invited: Invited) -> Counter:
        """These codes may be read by a phone, and the last of them is shown."""
        return self if self.state == "INVITING" and invited == self.invited else self._to("invite", invited=invited)

    def claimed(self, asked: Asked, view: View, *, now: datetime) -> Counter:
        """A phone has read our code, and the desk has begun this visit."""
        return replace(self, asked=asked, came=True).judged(view, now=now)

    @property
    def own_code(self) -> Invited | None:
        """The code that stands on the screen."""
        return self.invited[-1] if self.invited else None

    @property
    def can_retry(self) -> bool:
        """Whether the same question may be asked again."""
        if self.state not in COUNTER.sources("retry") or self.asked is None:
            return False
        return not self.came or (self.said is not None and self.said.reason is Reason.OFFLINE)

    def retried(self) -> Counter:
        """The same question once more; Refusal STATE_FORBIDS where it cannot be asked."""
        if not self.can_retry:
            raise Refusal(Reason.STATE_FORBIDS, detail="nothing can be asked again")
        return self._to("retry", view=None, said=None, ended_at=None, clears_at=None)

    def rescan(self) -> Counter:
        """Another code for the same case."""
        return self._to("again", asked=None, came=False, view=None, said=None, ended_at=None, clears_at=None)

    def judged(self, view: View, *, now: datetime) -> Counter:
        """The desk has said something: the state that it means here, or the same counter where nothing changed."""
        event = _EVENTS.get(view.state)
        if event is None or view == self.view:
            return self
        if COUNTER.target(event) == self.state:
            return replace(self, view=view, version=self.version + 1)
        if COUNTER.target(event) in ENDED:
            return self._end(event, view.said, now=now, view=view)
        return self._to(event, view=view)

    def failed(self, said: Said, outcome: Outcome, *, now: datetime) -> Counter:
        """A no, or no answer, from anybody on the way."""
        return self._end("undetermine" if outcome is Outcome.UNDETERMINED else "refuse", said, now=now)

    def kept(self, *, now: datetime) -> Counter:
        """Half a minute more, never beyond `MOST_KEPT` after the end."""
        if self.clears_at is None or self.ended_at is None:
            return self
        until = min(max(self.clears_at, now) + KEEP, self.ended_at + MOST_KEPT)
        return replace(self, clears_at=until, version=self.version + 1)

    def cleared(self) -> Counter:
        """An empty counter. Where nothing was begun, nothing changes."""
        if self.state == COUNTER.start:
            return self
        return Counter(state=COUNTER.after(self.state, "clear"), version=self.version + 1)

    def due(self, *, now: datetime) -> bool:
        """Whether the screen must be wiped now."""
        return self.clears_at is not None and now >= self.clears_at

    def _end(self, event: str, said: Said | None, *, now: datetime, view: View | None = None) -> Counter:
        return self._to(event, said=said, view=view or self.view, ended_at=now, clears_at=now + CLEAR_AFTER)

    def _to(self, event: str, **changes: object) -> Counter:
        following = COUNTER.after(self.state, event)
        changes.setdefault("invited", ())  # (rule 4)
        return replace(self, state=following, version=self.version + 1, **changes)  # type: ignore[arg-type]


# The desk's state, and what it means for the counter's table.
_EVENTS: Final = {
    "ASKED": "confirm",
    "FETCHING": "fetch",
    "PASSED": "admit",
    "REFUSED": "refuse",
    "UNDETERMINED": "undetermine",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """The text that was last scanned, by digest, and when."""

    digest: str
    at: datetime


def sight(digest: str, before: Sighting | None, *, now: datetime) -> tuple[Sighting, bool]:
    """What is now remembered, and whether the text with this digest counts as a new scan."""
    if before is not None and before.digest == digest and now - before.at < SAME_SCAN:
        return before, False
    return Sighting(digest=digest, at=now), True

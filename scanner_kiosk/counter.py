"""The counter as a table: what the screen says, what may happen next, and when it is wiped. Pure; no clock, no device.

    IDLE         填写办件      nobody is being served; matter, case and person are filled in
    WAITING      待扫码        a phone may be held in, or its digits typed
    INVITING     等待手机扫码   the counter shows a code of its own, and a phone may read that
    READING      请放身份证     nobody holds out a phone; an ID card is to be laid on the reader
    CHECKING     核验中        a code or a card was read, the desk was asked
    CONFIRMING   等待当事人确认  the citizen compares the two digits and decides
    SIGNING      请本人签字     without a phone: the page shows the sheet to the citizen, who signs or declines on it
    ATTESTING    请第二人确认   signed; the matter wants a second officer's staff card
    SEARCHING    正在查找      answered at the counter; the libraries are asked who holds the certificate
    FETCHING     正在调取      agreed; the copy is on its way
    PASSED       通过          ┐
    REFUSED      不通过        ├ the banner, always at the same place
    UNDETERMINED 需人工核对    ┘

Rules that keep a counter from showing more than it should:

1. *One text is one scan.* A phone held still is read thirty times a second; the same text counts again only after three
   seconds. A text that no signature speaks for counts at its second sighting: a symbol is never misread twice in the same
   way.
2. *An end clears itself* after a minute; "keep" gives half a minute more, and no number of keeps holds a certificate on
   the screen for longer than five minutes.
3. *Only the wipe leads back to IDLE*, and it takes everything with it: person, case, answer.
4. *A code of our own stands on the screen in INVITING only.* It is replaced before it dies, each time under another
   request id (`invite` again); `invited` holds all that may still be read by a phone, the one on the screen last.

5. *What was signed stays with its case.* Strokes, salt and the sheet are wiped with everything else; until then they can
   be handed out for the unit's file.
6. *Two people come together, and both are shown or none.* The first agrees (AGREED at the desk), and the counter waits for
   the second's phone; `first` holds what became of the first. A copy of one alone ends as PARTNER_MISSING.

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
from scanner_kiosk.offline import Check
from scanner_kiosk.visit import Asked, Said, View, say
from scanner_kiosk.ways import Answer, Half, Heard, OnCard

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
        "WAITING": {
            "scan": "CHECKING",
            "invite": "INVITING",
            "no_phone": "READING",
            "refuse": "REFUSED",
            "undetermine": "UNDETERMINED",
            "clear": "IDLE",
        },
        "READING": {"scan": "CHECKING", "again": "WAITING", "clear": "IDLE"},
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
            "agree": "WAITING",
            "turn": "SIGNING",
            "answer": "SEARCHING",
            "fetch": "FETCHING",
            "admit": "PASSED",
            "refuse": "REFUSED",
            "undetermine": "UNDETERMINED",
            "clear": "IDLE",
        },
        "CONFIRMING": {
            "agree": "WAITING",
            "fetch": "FETCHING",
            "admit": "PASSED",
            "refuse": "REFUSED",
            "undetermine": "UNDETERMINED",
            "clear": "IDLE",
        },
        "SIGNING": {
            "attest": "ATTESTING",
            "answer": "SEARCHING",
            "refuse": "REFUSED",
            "undetermine": "UNDETERMINED",
            "clear": "IDLE",
        },
        "ATTESTING": {
            "answer": "SEARCHING",
            "refuse": "REFUSED",
            "undetermine": "UNDETERMINED",
            "clear": "IDLE",
        },
        "SEARCHING": {
            "attest": "ATTESTING",
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

ASKING: Final = frozenset({"CHECKING", "CONFIRMING", "SIGNING", "ATTESTING", "SEARCHING", "FETCHING"})
ENDED: Final = frozenset({"PASSED", "REFUSED", "UNDETERMINED"})


class Guidance(StrEnum):
    """The one line under the picture. The words stand in the dictionaries of the page."""

    NO_CAMERA = "no_camera"
    HOLD_IN = "hold_in"
    NEARER = "nearer"
    FARTHER = "farther"
    TILT_LESS = "tilt_less"
    GLARE = "glare"
    TOO_DARK = "too_dark"
    HOLD_STILL = "hold_still"
    NOT_OURS = "not_ours"
    READ = "read"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the officer filled in. `person` and `partner` never leave this machine but inside an envelope.

    Where two people have come together, `partner` is the second, and `couple` the name (128 bits, base64url) that links
    their two requests.
    """

    matter: str
    type: str
    case_number: str
    cause: str
    preconditions: tuple[str, ...]
    person: CitizenId | None = field(repr=False)
    partner: CitizenId | None = field(default=None, repr=False)
    couple: str | None = None


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
    on_card: OnCard | None = None
    first: Half | None = None
    view: View | None = None
    said: Said | None = None
    check: Check | None = None  # what was found out without the desk, where it could not be reached
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
        # Of two people nobody asks a library again for one.
        once = self.came or (self.case is not None and self.case.couple is not None)
        return not once or (self.said is not None and self.said.reason is Reason.OFFLINE)

    def retried(self) -> Counter:
        """The same question once more; Refusal STATE_FORBIDS where it cannot be asked."""
        if not self.can_retry:
            raise Refusal(Reason.STATE_FORBIDS, detail="nothing can be asked again")
        return self._to("retry", view=None, said=None, ended_at=None, clears_at=None)

    def rescan(self, couple: str | None = None) -> Counter:
        """Another code for the same case. Two people begin anew under another name, `couple`, unless the first has agreed
        and the desk never took the second's code."""
        case, first = self.case, self.first
        if case is not None and case.couple is not None and not self._first_waits:
            case, first = replace(case, couple=couple), None
        return self._to(
            "again",
            case=case,
            first=first,
            on_card=None,
            asked=None,
            came=False,
            view=None,
            said=None,
            ended_at=None,
            clears_at=None,
        )

    @property
    def second(self) -> bool:
        """Whether it is the second of two people whose phone is wanted or was read."""
        return self.first is not None

    @property
    def _first_waits(self) -> bool:
        return self.first is not None and self.first.view.state == "AGREED" and self.view is None

    def without_phone(self) -> Counter:
        """A card is to be laid on the reader. Of two people each answers on the own phone: Refusal STATE_FORBIDS."""
        if self.case is not None and self.case.couple is not None:
            raise Refusal(Reason.STATE_FORBIDS, detail="two people, two phones")
        return self._to("no_phone")

    def laid(self, asked: Asked, on_card: OnCard) -> Counter:
        """A card was read and `asked` is on its way to the desk."""
        return replace(self, on_card=on_card)._to("scan", asked=asked)

    def answered(self, answer: Answer) -> Counter:
        """The person at the counter has signed, or declined: on its way to the desk, or first to a second officer."""
        if self.on_card is None or self.on_card.sheet is None:
            raise Refusal(Reason.STATE_FORBIDS, detail="nobody reads a sheet")
        on_card = replace(self.on_card, answer=answer)
        return self._to("attest" if on_card.wants_officer else "answer", on_card=on_card)

    def attested(self, officer: str) -> Counter:
        """A second officer has laid the staff card down; `officer` is its word."""
        on_card = self.on_card
        if self.state != "ATTESTING" or on_card is None or on_card.answer is None:
            raise Refusal(Reason.STATE_FORBIDS, detail="no staff card is waited for")
        return self._to("answer", on_card=replace(on_card, answer=replace(on_card.answer, officer=officer)))

    def officer_missing(self) -> Counter:
        """The desk wants a second officer's word with the answer."""
        on_card = self.on_card
        if on_card is None or on_card.answer is None:
            return self
        return self._to("attest", on_card=replace(on_card, answer=replace(on_card.answer, officer=None)))

    def heard(self, heard: Heard, *, now: datetime) -> Counter:
        """All that one look has brought: see `judged` for the visit itself."""
        it = self
        if heard.answered and it.on_card is not None:
            it = replace(it, on_card=replace(it.on_card, handed_in=True), version=it.version + 1)
        if heard.first is not None and it.first is not None:
            it = replace(it, first=replace(it.first, view=heard.first))
        it = it.judged(heard.view, now=now)
        on_card = it.on_card
        if on_card is None or it.state != "CHECKING" or heard.view.state != "ASKED":
            return it
        sheet = heard.sheet or on_card.sheet  # read before, where the desk was lost meanwhile
        return it if sheet is None else it._to("turn", on_card=replace(on_card, sheet=sheet))

    def judged(self, view: View, *, now: datetime) -> Counter:
        """The desk has said something: the state that it means here, or the same counter where nothing changed."""
        if view == self.view or (view.state not in _EVENTS and view.state not in _NEWS):
            return self
        event = self._event(view)
        if event == "agree" and self.asked is not None:
            half = Half(asked=self.asked, view=view)
            return self._to("agree", asked=None, came=False, view=None, first=half)
        if event is None or COUNTER.target(event) == self.state:
            return replace(self, view=view, version=self.version + 1)
        if event == "admit" and self.first is not None and self.first.view.copy is None:  # (rule 6)
            alone = replace(self, view=replace(view, copy=None))
            return alone.failed(say(Reason.PARTNER_MISSING), Outcome.UNDETERMINED, now=now)
        if COUNTER.target(event) in ENDED:
            telling = self._telling(view)
            return self._end(_EVENTS[telling.state], telling.said, now=now, view=view)
        return self._to(event, view=view)

    def _event(self, view: View) -> str | None:
        """What a state of the desk means here; None where the counter goes on waiting."""
        couple = self.case is not None and self.case.couple is not None
        if view.state == "AGREED" and couple and self.first is None:
            return "agree"
        if view.state == "ASKED" and self.on_card is not None:
            # Asked again after the desk was lost: what was signed is handed in once more, and signed only once.
            again = self.state == "CHECKING" and self.on_card.answer is not None
            return "answer" if again else None
        return _EVENTS.get(view.state)

    def _telling(self, view: View) -> View:
        """Of two people, whoever did not end because of the other has the reason that helps."""
        first = None if self.first is None else self.first.view
        because_of_first = first is not None and first.said.reason is not None
        return first if first and because_of_first and view.said.reason is Reason.PARTNER_MISSING else view

    def first_ended(self, view: View, *, now: datetime) -> Counter:
        """What became of the first of two while the second's phone is waited for; an end of the one ends the other."""
        if self.first is None or view == self.first.view:
            return self
        it = replace(self, first=replace(self.first, view=view), version=self.version + 1)
        event = _EVENTS.get(view.state)
        if event not in ("refuse", "undetermine"):
            return it
        return it._end(event, view.said, now=now)

    def failed(self, said: Said, outcome: Outcome, *, now: datetime, check: Check | None = None) -> Counter:
        """A no, or no answer, from anybody on the way. `check`: it was said here, without the desk."""
        ended = self._end("undetermine" if outcome is Outcome.UNDETERMINED else "refuse", said, now=now)
        return replace(ended, check=check)

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
        changes.setdefault("check", None)
        return replace(self, state=following, version=self.version + 1, **changes)  # type: ignore[arg-type]


_NEWS: Final = frozenset({"AGREED", "HELD"})  # of two people: one waits at the desk for the other
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
    """The text that was last seen, by digest, and when; `counted` unless it waits to be seen once more."""

    digest: str
    at: datetime
    counted: bool = True


def sight(digest: str, before: Sighting | None, *, now: datetime, signed: bool = True) -> tuple[Sighting, bool]:
    """What is now remembered, and whether the text with this digest counts as a new scan."""
    known = before is not None and before.digest == digest and now - before.at < SAME_SCAN
    if before is not None and known and before.counted:
        return before, False
    counts = signed or known
    return Sighting(digest=digest, at=now, counted=counts), counts

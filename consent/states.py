"""The lives of a showing, a claim, a consent and a visit, as tables.

Rule 1: everything that decides which state follows which stands in this file; whoever stores a state asks here first.
Rule 2: a table knows nothing of who asks or over which wire; it is the same for both sides of the exchange.
Rule 3: the diagrams in docs/states.md are drawn from these tables, so that picture and program cannot differ:
        python -m consent.states > docs/states.md

A state without a way out is an end. `sources` gives the states that an event may start from, which is what a store needs
for a conditional UPDATE: the database compares and swaps, nobody reads first and writes then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from consent.errors import Reason, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One table: `moves[state][event]` is the next state; `about` says in a sentence who keeps it and what for."""

    name: str
    about: str
    start: str
    moves: Mapping[str, Mapping[str, str]]

    def after(self, state: str, event: str) -> str:
        """The state that follows; Refusal(STATE_FORBIDS), and nothing happened, where none does."""
        following = self.moves.get(state, {}).get(event)
        if following is None:
            raise Refusal(Reason.STATE_FORBIDS, detail=f"{self.name}: {event} in {state}")
        return following

    def sources(self, event: str) -> frozenset[str]:
        """The states in which an event may happen."""
        return frozenset(state for state, events in self.moves.items() if event in events)

    def target(self, event: str) -> str:
        """The one state that an event leads to; every event of these tables leads to just one."""
        (found,) = {events[event] for events in self.moves.values() if event in events}
        return found

    @property
    def states(self) -> tuple[str, ...]:
        """All states, in the order of the table, ends last."""
        named = [*self.moves, *(to for events in self.moves.values() for to in events.values())]
        return tuple(dict.fromkeys(named))

    @property
    def ends(self) -> frozenset[str]:
        """The states that nothing leads out of."""
        return frozenset(state for state in self.states if not self.moves.get(state))

    def diagram(self) -> str:
        """The table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.start}"]
        for state, events in self.moves.items():
            lines += [f"    {state} --> {to}: {event}" for event, to in events.items()]
        lines += [f"    {state} --> [*]" for state in self.states if state in self.ends]
        return "\n".join(lines) + "\n"


SHOWING: Final = Machine(
    name="showing",
    about="Kept by the citizen's province in the hand-over store; what the phone sees.",
    start="OPEN",
    moves={
        "OPEN": {"claim": "CLAIMED", "supersede": "SUPERSEDED", "expire": "EXPIRED", "refuse": "REFUSED"},
        "CLAIMED": {
            "answer": "ANSWERED",
            "consent": "CONSENTED",  # by a standing answer, given before the scan
            "refuse": "REFUSED",
            "time_out": "TIMED_OUT",
        },
        "ANSWERED": {
            "consent": "CONSENTED",
            "decline": "DECLINED",
            "refuse": "REFUSED",
            "undetermine": "UNDETERMINED",
            "time_out": "TIMED_OUT",
        },
        "CONSENTED": {
            "deliver": "DELIVERED",
            "refuse": "REFUSED",
            "undetermine": "UNDETERMINED",
            "withdraw": "WITHDRAWING",
        },
        "WITHDRAWING": {
            "withdrawn": "WITHDRAWN",
            "deliver": "DELIVERED",
            "refuse": "REFUSED",
            "undetermine": "UNDETERMINED",
        },
        # The library did not answer; the counter may ask it again under the same consent, and the citizen may take it back
        # as long as there is no result.
        "UNDETERMINED": {"deliver": "DELIVERED", "refuse": "REFUSED", "withdraw": "WITHDRAWING"},
    },
)

CLAIM: Final = Machine(
    name="claim",
    about="Kept by the citizen's province: one counter has the showing; what became of its request.",
    start="ASKED",
    moves={
        "ASKED": {"consent": "CONSENTED", "end": "ENDED"},
        "CONSENTED": {"end": "ENDED"},
    },
)

CONSENT: Final = Machine(
    name="consent",
    about="Kept by the library: the one row for which spending and withdrawing compete.",
    start="ABSENT",
    moves={
        "ABSENT": {"spend": "SPENT", "withdraw": "WITHDRAWN"},
        "SPENT": {"acknowledge": "DELIVERED"},
    },
)

VISIT: Final = Machine(
    name="visit",
    about="Kept by the desk: what the counter sees.",
    start="ASKED",
    moves={
        "ASKED": {"fetch": "FETCHING", "agree": "AGREED", "refuse": "REFUSED", "undetermine": "UNDETERMINED"},
        # Two people for one visit: nothing is fetched before both agreed, nothing is shown before both copies are here.
        "AGREED": {"fetch": "FETCHING", "refuse": "REFUSED", "undetermine": "UNDETERMINED"},
        "FETCHING": {"admit": "PASSED", "hold": "HELD", "refuse": "REFUSED", "undetermine": "UNDETERMINED"},
        "HELD": {"admit": "PASSED", "refuse": "REFUSED", "undetermine": "UNDETERMINED"},
        "UNDETERMINED": {"retry": "FETCHING"},
        "PASSED": {"clear": "CLEARED"},
    },
)

ENROLMENT: Final = Machine(
    name="enrolment",
    about="Kept by the desk: a key that was made on a kiosk, until it is a window's and after.",
    start="WAITING",
    moves={
        "WAITING": {"approve": "APPROVED", "deny": "DENIED"},
        "APPROVED": {"enrol": "ENROLLED", "deny": "DENIED", "disable": "DISABLED"},
        "ENROLLED": {"disable": "DISABLED"},
    },
)

MACHINES: Final = (SHOWING, CLAIM, CONSENT, VISIT, ENROLMENT)


def page() -> str:
    """docs/states.md as it must read."""
    rooms = [f"## {each.name}\n\n{each.about}\n\n```mermaid\n{each.diagram()}```\n" for each in MACHINES]
    return "\n".join([_TOP, *rooms])


_TOP: Final = """# States

Drawn from the tables in `consent/states.py`; a test compares the two. After a change there:

    python -m consent.states > docs/states.md

An arrow that is not here does not exist: the event is refused and nothing happens.
"""

if __name__ == "__main__":
    print(page(), end="")

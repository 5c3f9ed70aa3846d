"""Parties that go one step at a time, in an order that somebody draws.

A party is a real thread that does its own real work. It stands still before each of its transactions until it is its turn;
so at every instant one of them moves, no lock is ever waited for, and the order of their transactions is the order that was
drawn, the same in every run. What two transactions do to each other while both are open is left to threads that run freely.

A party may be told to die at one of its transactions. What it has committed stays, and nothing else is left of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sqlalchemy import Engine, event

_PATIENCE = 60.0  # seconds; a party that neither steps nor ends is a fault of the test


class Died(BaseException):
    """The end of a party that was told to die. Nothing of ours catches it, as nothing catches a power cut."""


@dataclass(slots=True, kw_only=True)
class Party:
    """One of those who race. `dies_at` counts its transactions from 1; 0 for one that lives."""

    work: Callable[[], None]
    dies_at: int = 0
    steps: int = 0
    over: bool = False
    fault: BaseException | None = None
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def died(self) -> bool:
        """Whether it was told to die and did."""
        return isinstance(self.fault, Died)


class Turns:
    """Whose turn it is at these databases. One for a test; `run` may be called as often as one likes."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._mine = threading.local()
        self._stood = threading.Semaphore(0)

    def run(self, parties: Sequence[Party], luck: Random) -> tuple[int, ...]:
        """Let all of them go to their ends; the order in which they were allowed a step, as indices."""
        for party in parties:
            self._pool.submit(self._play, party)
        order: list[int] = []
        while waiting := [at for at, party in enumerate(parties) if not party.over]:
            chosen = luck.choice(waiting)
            order.append(chosen)
            parties[chosen].go.release()
            assert self._stood.acquire(timeout=_PATIENCE), "a party neither steps nor ends"
        return tuple(order)

    def _play(self, party: Party) -> None:
        self._wait(party)
        self._mine.party = party
        try:
            party.work()
        except BaseException as fault:
            party.fault = fault
        self._mine.party = None
        party.over = True
        self._stood.release()

    def _wait(self, party: Party) -> None:
        assert party.go.acquire(timeout=_PATIENCE), "nobody gave a turn"

    def before_transaction(self, *_: Any) -> None:
        """What the databases call: a party hands the turn on and waits until it has it again."""
        party: Party | None = getattr(self._mine, "party", None)
        if party is None:
            return
        party.steps += 1
        self._stood.release()
        self._wait(party)
        if party.steps == party.dies_at:
            raise Died


@contextmanager
def turns(engines: Sequence[Engine], *, most: int) -> Iterator[Turns]:
    """Turns at these databases, for at most so many parties at once."""
    with ThreadPoolExecutor(most) as pool:
        made = Turns(pool)
        for engine in engines:
            event.listen(engine, "checkout", made.before_transaction)
        try:
            yield made
        finally:
            for engine in engines:
                event.remove(engine, "checkout", made.before_transaction)

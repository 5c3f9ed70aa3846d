"""Letters over the exchange that come twice, late, or in another order: DELIVERIES of them, and nothing happens twice.

A story is one morning of four provinces: a visit that passes, a visit whose citizen takes the consent back while it runs, a
phone that reads a counter's code, a scan that the desk refuses, a look at the history and an objection. So every topic is
on the way. No letter goes straight to its receiver: the exchange's wires end in a bag, and a carrier with a seed draws which
letter goes on next, which one stays in the bag to come again, and which worker works next. What was drawn goes through the
real exchange to the real mailbox.

A story passes if
 1. every letter that comes again while its visit runs is accepted, for its sender may only not have heard
 2. the country ends as the same story ends when each letter comes once, in order: every state, every entry of every
    ledger by its act, every receipt, every line of the histories. A visit that raced with a withdrawal ends in one of its
    two ways, and everybody says the same one
 3. the books agree (`Stage.books`)
 4. all letters of the story once more, in any order, at once and again when everything has expired, change no row; what is
    answered to them is carried and changes none either

One thing does count every arrival, and is no effect: a library counts how often a copy was fetched.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

import pytest

from consent.errors import Outcome, Reason, Refusal, Unavailable
from consent.ledger import Act
from consent.stores import handover
from consent.transport import Letter, Topic
from tests.country import Scene, Stage, read_ledger, refused, rows
from tests.counts import count
from tests.looking import ask, call, part, phone_of, read
from tests.test_invitations import invited
from verifier.stores import inner
from verifier.stores import library as library_tables

pytestmark = pytest.mark.full  # each story takes seconds

STORIES = count(16, 1)
DELIVERIES = count(10_000, 400)
AGAIN = 0.45  # how likely a letter that has arrived stays in the bag
WAYS = ("DELIVERED", "WITHDRAWN")  # how a visit with a withdrawal ends

# What moves whenever anybody works, and says nothing about what happened: queues and their hints, and the exchange's count.
QUEUES = {"outbox", "errands", "letters", "sqlite_sequence"}
LATER = 700  # seconds; by then every document of the story has expired
PHONES = 4  # each asks its own province's library too, and no letter of that passes the exchange


@dataclass(slots=True)
class Carrier:
    """All wires end here. Without `luck` each letter goes on once, in the order in which it came; those about `late` wait
    until nobody has anything else to do."""

    stage: Stage
    luck: Random | None = None
    late: Topic | None = None
    bag: list[Letter] = field(default_factory=list)
    known: list[Letter] = field(default_factory=list)
    carried: Counter[Topic] = field(default_factory=Counter)

    def take(self, letter: Letter) -> None:
        """A rule for all wires: nothing goes straight on."""
        self.bag.append(letter)
        self.known.append(letter)

    def bring(self, letter: Letter) -> None:
        """One delivery through the exchange."""
        self.carried[letter.topic] += 1
        self.stage.wires[letter.sender].way.send(letter)

    def offer(self, letter: Letter) -> None:
        """One delivery of a letter that may be out of date."""
        with suppress(Refusal, Unavailable):  # what counts is that nothing came of it
            self.bring(letter)

    def settle(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Work and carry until nobody has anything to do. `meanwhile` is called before every letter."""
        provinces = list(self.stage.country.provinces.values())
        while True:
            if self.luck is not None:
                self.luck.shuffle(provinces)
            done = sum(province.worker.run_once() for province in provinces)
            if not self.bag and not done:
                return
            for _ in range(self._how_many(done)):
                meanwhile()
                self.bring(self._next())

    def _how_many(self, done: int) -> int:
        if self.luck is not None:
            return self.luck.randint(0, len(self.bag))
        self.bag.sort(key=lambda letter: letter.topic is self.late)
        return len([each for each in self.bag if each.topic is not self.late]) or (0 if done else 1)

    def _next(self) -> Letter:
        if self.luck is None:
            return self.bag.pop(0)
        at = self.luck.randrange(len(self.bag))
        return self.bag[at] if self.luck.random() < AGAIN else self.bag.pop(at)

    def replay(self, until: int) -> None:
        """All letters of the story once more in a drawn order, and what they are answered; as often as it takes until so
        many deliveries were made."""
        assert self.luck is not None
        story = self.known[:]
        while True:
            for letter in self.luck.sample(story, len(story)):
                self.offer(letter)
            while sum(province.worker.run_once() for province in self.stage.country.provinces.values()) or self.bag:
                while self.bag:
                    self.offer(self.bag.pop())
            if self.carried.total() >= until:
                return


# The story ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Story:
    """Who is in it. The withdrawal is handed in before the `withdraw_at`-th letter that is carried while the phone shows the
    consent as given; 0 for never."""

    stage: Stage
    carrier: Carrier
    withdraw_at: int
    visits: list[Scene] = field(default_factory=list)

    def tell(self) -> None:
        """From the first code to the objection."""
        stage, carrier = self.stage, self.carrier
        stage.rule(carrier.take)
        passing, undecided = stage.scene("31", "32", "33"), stage.scene("33", "34", "31")
        inviting, refusing = stage.scene("34", "33", "32"), stage.scene("31", "32", "34", window="32-B1")
        carrier.settle()
        inviting, counter = invited(stage, inviting)
        come = inviting.phone.read_counter(counter)
        for scene in (passing, undecided):
            scene.present()
        assert refused(refusing.present) is Reason.COMMERCIAL_USER
        carrier.settle()
        assert inviting.phone.came(come) == "TAKEN"
        self.visits = [passing, undecided, inviting]
        for scene in self.visits:
            scene.agree()
        carrier.settle(self._withdrawing(undecided))
        self._look_back(refusing)

    def _withdrawing(self, scene: Scene) -> Callable[[], None]:
        sheet, left = scene.sheet()["sheet"], self.withdraw_at

        def meanwhile() -> None:
            nonlocal left
            if left > 0 and self._showing(scene) == "CONSENTED":
                left -= 1
                if left == 0:
                    scene.phone.withdraw(sheet)

        return meanwhile

    def _showing(self, scene: Scene) -> str:
        store = rows(self.stage.province("33").office.handover, handover.showings)
        (found,) = (row.state for row in store if row.showing_id == scene.phone.showing_id)
        return str(found)

    def _look_back(self, scene: Scene) -> None:
        phone = phone_of(self.stage, scene.who, "34")  # not the app that was used
        look_id = ask(self.stage, phone)
        self.carrier.settle()
        (entry,) = part(phone, look_id)["entries"]
        assert (entry["outcome"], entry["reason"]) == ("REFUSED", "COMMERCIAL_USER")
        body = {"holder": phone.assertion(self.stage.clock.now()), "kind": "DATA_WRONG", "text": "不对"}
        taken = read(call(phone, "POST", f"/v1/history/{entry['entry']}/objections", body), 202)["objection_id"]
        self.carrier.settle()
        assert read(call(phone, "GET", f"/v1/history/objections/{taken}"), 200)["state"] == "DONE"

    def way(self) -> str:
        """How the visit with the withdrawal ended, as all who took part say."""
        scene = self.visits[1]
        state, view = self._showing(scene), scene.view()
        (spend,) = self.stage.rows("31", library_tables.spends)
        if state == "WITHDRAWN":
            assert (view.outcome, view.said.reason) == (Outcome.REFUSED, Reason.WITHDRAWN)
            assert (spend.state, spend.copy) == ("WITHDRAWN", None), "a copy left after an acknowledged withdrawal"
        else:
            assert (state, view.state, spend.state) == ("DELIVERED", "PASSED", "DELIVERED")
        return state


# How a country ended --------------------------------------------------------------------------------------


def summary(stage: Stage) -> dict[str, Any]:
    """What happened, without the names and digests that differ from story to story."""
    found: dict[str, Any] = {}
    for code, province in stage.country.provinces.items():
        office = province.office
        book, library = (
            read_ledger(office.inner, inner.ledger),
            read_ledger(province.library.engine, library_tables.ledger),
        )
        found[code] = {
            "ledger": Counter(each.act for each in book),
            "library": Counter(each.act for each in library),
            "visits": Counter(
                (row.state, row.reason, row.receipt is None, row.copy is None)
                for row in rows(office.inner, inner.visits)
            ),
            "claims": Counter((row.state, _without_note(row.reason)) for row in rows(office.inner, inner.claims)),
            "history": Counter(
                (row.outcome, _without_note(row.reason), row.receipt is None)
                for row in rows(office.inner, inner.history.entries)
            ),
            "objections": len(rows(office.inner, inner.history.objections)),
            "spends": Counter(
                (row.state, row.copy is None) for row in rows(province.library.engine, library_tables.spends)
            ),
            "showings": Counter(
                (row.state, _without_note(row.reason), row.result is None)
                for row in rows(office.handover, handover.showings)
            ),
            "events": Counter(
                (row.state, _without_note(row.reason))
                for row in rows(office.handover, handover.showing_events)
                if row.state != "WITHDRAWING"  # an attempt; whether it was one in time stands in how it ended
            ),
        }
    return found


def _without_note(reason: str | None) -> str | None:
    """That a withdrawal came too late is noted beside an end, and is none; how late it came differs from story to story."""
    return None if reason == Reason.WITHDRAWAL_TOO_LATE else reason


def everything(stage: Stage) -> dict[str, Counter[tuple[Any, ...]]]:
    """Every row of every table that remembers what happened; queues do not."""
    found: dict[str, Counter[tuple[Any, ...]]] = {}
    for path in sorted(stage.folder.glob("*.db")):
        with closing(sqlite3.connect(path)) as store:
            tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in set(tables) - QUEUES:
                found[f"{path.stem} {table}"] = Counter(_lasting(table, store))
    return found


def _lasting(table: str, store: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    cursor = store.execute(f'SELECT * FROM "{table}"')
    names = [column[0] for column in cursor.description]
    for row in cursor:
        named = dict(zip(names, row, strict=True))
        named.pop("tries" if table == "spends" else "", None)
        yield tuple(named.values())


def looks(stage: Stage) -> int:
    """How often the four libraries wrote that they had looked."""
    books = [
        read_ledger(province.library.engine, library_tables.ledger) for province in stage.country.provinces.values()
    ]
    return sum(each.act is Act.LOOKED for book in books for each in book)


@pytest.fixture(scope="module")
def plain(_stage: Stage) -> Callable[[str], dict[str, Any]]:
    """How the country ends when each letter comes once and in order, for each way of the undecided visit."""

    @cache
    def told(way: str) -> dict[str, Any]:
        _stage.reset()
        early = way == "WITHDRAWN"
        carrier = Carrier(_stage, late=Topic.FETCH if early else None)
        story = Story(stage=_stage, carrier=carrier, withdraw_at=1 if early else 0)
        story.tell()
        assert story.way() == way
        return summary(_stage)

    return told


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(STORIES))
def test_letters_that_come_twice_late_or_in_another_order_change_nothing(
    stage: Stage, plain: Callable[[str], dict[str, Any]], seed: int
) -> None:
    expected = {way: plain(way) for way in WAYS}
    stage.reset()
    luck, wanted = Random(seed), DELIVERIES // STORIES
    carrier = Carrier(stage, luck)
    story = Story(stage=stage, carrier=carrier, withdraw_at=luck.choice((1, 2, 3, 5, 8)))
    story.tell()  # 1
    assert summary(stage) == expected[story.way()]  # 2
    stage.books()  # 3
    ended = everything(stage)
    carrier.replay((carrier.carried.total() + wanted) // 2)  # 4
    assert everything(stage) == ended
    assert summary(stage) == expected[story.way()]
    assert looks(stage) == sum(letter.topic is Topic.HOLDINGS for letter in carrier.known) + PHONES
    stage.clock.advance(LATER)
    stage.pump()
    ended = everything(stage)
    carrier.replay(wanted)
    assert everything(stage) == ended
    stage.books()
    assert carrier.carried.total() >= wanted
    written = Counter(letter.topic for letter in carrier.known)
    assert set(written) >= set(Topic) - {Topic.WITHDRAW, Topic.WITHDRAWN}
    assert min(carrier.carried[topic] for topic in written) > 2

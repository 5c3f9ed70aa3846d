"""A country for tests: the real one of the sandbox, without threads, with a clock that stands still.

It is founded once in a session. `Stage.reset` puts every database back to the first day, so that a test begins with an
empty country and costs no founding. Nothing moves by itself: `pump` lets all workers work until none has anything to do,
and time passes when a test says so.

Counters and phones speak HTTP to the same applications as everywhere. Between the provinces stand wires, on which a test
may read, lose, repeat, delay or change letters. `check_books` compares what all ledgers, libraries, desks and receipts
say about all visits; every test of a fault ends with it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import Engine, Table, select

from consent.approval import Decision
from consent.b64 import new_id
from consent.clock import MovableClock, ShiftedClock, shanghai_date
from consent.errors import Refusal
from consent.ledger import Act, Entry, check
from consent.people import CitizenId
from consent.receipt import open_receipt
from consent.seal import signed_digest
from consent.stores.base import reading, sqlite_path
from consent.stores.valkey import Valkey
from consent.telling import Log
from consent.transport import Letter, Transport
from scanner_kiosk.country import Country, Founded, found, put_together
from scanner_kiosk.country.people import Persona, pair, personas
from scanner_kiosk.country.units import window_for
from scanner_kiosk.phone import Phone
from scanner_kiosk.province_client import ProvinceClient
from scanner_kiosk.visit import Asked, View
from verifier.library.issuing import set_status
from verifier.province import Province
from verifier.stores import inner
from verifier.stores import library as library_tables
from verifier.stores.ledger import entries

START: Final = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)  # a Monday morning in Shanghai
MATTER_OF: Final = {"marriage": "realestate.register", "divorce": "marriage.register"}
TICKS: Final = ("online_check_differs_or_offered", "both_booklets_lost", "loss_statement_signed")
ROUNDS: Final = 400  # a country that is still busy then goes round in circles

Rule = Callable[[Letter], Letter | None]


def persona(name: str) -> Persona:
    """One of the people of the sandbox."""
    (one,) = (each for each in personas() if each.id == name)
    return one


@dataclass(slots=True)
class Wire:
    """A province's way to the exchange. `rule` may return another letter, or None for one that is lost without a word,
    or raise what a transport may raise; `sent` keeps every letter as it was handed in."""

    way: Transport
    rule: Rule | None = None
    sent: list[Letter] = field(default_factory=list)

    def send(self, letter: Letter) -> None:
        """See `consent.transport.Transport`."""
        self.sent.append(letter)
        carried = letter if self.rule is None else self.rule(letter)
        if carried is not None:
            self.way.send(carried)


@dataclass(slots=True, kw_only=True)
class Stage:
    """The country and everything that a test pulls at."""

    country: Country
    clock: MovableClock
    wires: dict[str, Wire]
    pristine: Path

    @property
    def folder(self) -> Path:
        """The state folder of the running country."""
        return self.country.founded.folder

    def province(self, code: str) -> Province:
        """The inner network of a province."""
        return self.country.provinces[code]

    def reset(self) -> None:
        """Back to the first day."""
        for path in self.pristine.glob("*.db"):
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(self.folder / path.name)) as target:
                target.execute("PRAGMA synchronous=OFF")
                source.backup(target)
        self.clock.set(START)
        for wire in self.wires.values():
            wire.rule, wire.sent = None, []
        for province in self.country.provinces.values():
            province.worker._swept = province.worker._cleaned = None

    def pump(self) -> int:
        """Let all workers work until none has anything to do now; returns how much was done."""
        total = 0
        for _ in range(ROUNDS):
            done = sum(province.worker.run_once() for province in self.country.provinces.values())
            if not done:
                return total
            total += done
        raise AssertionError("the workers go round in circles")

    def pass_time(self, seconds: float, *, step: float = 30) -> None:
        """Let time pass, with the workers at work all along."""
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            seconds -= step
            self.pump()

    def rule(self, rule: Rule | None) -> None:
        """One rule on all wires."""
        for wire in self.wires.values():
            wire.rule = rule

    def scene(self, app: str = "31", desk: str = "32", library: str = "33", **attack: Any) -> Scene:
        """A citizen of `app` who holds out a phone, and a counter in `desk` that has scanned it. `attack` goes to `ask`."""
        who: Persona = attack.pop("who", None) or pair(app, library)
        phone = self.country.phone_of(who)
        phone.show()
        return self.scanned(who, phone, desk, **attack)

    def scanned(self, who: Persona, phone: Phone, desk: str, **attack: Any) -> Scene:
        """The same for a phone that shows a code already."""
        type_ = attack.pop("type_", None) or (who.stories[0].type if who.stories else "marriage")
        matter = attack.pop("matter", None) or MATTER_OF[type_]
        window = attack.pop("window", None) or window_for(desk, matter)
        client = self.country.window_client(desk, window)
        asked = ask(
            self, client, who, code=attack.pop("code", None) or phone.code(), matter=matter, type_=type_, **attack
        )
        return Scene(stage=self, who=who, phone=phone, client=client, asked=asked, desk=desk)

    def set_status(self, scene: Scene, status: str) -> None:
        """Change the status of the certificate that the citizen of a scene picks."""
        handle = scene.picked()
        set_status(self.province(handle[:2]).library, handle, status, now=self.clock.now())

    def rows(self, code: str, table: Table) -> list[Any]:
        """All rows of one table of a province's inner store or library."""
        province = self.province(code)
        engine = province.library.engine if table.metadata is library_tables.metadata else province.office.inner
        return rows(engine, table)

    def engines(self) -> list[Engine]:
        """Every door to a database that this country has."""
        inside = [
            engine
            for province in self.country.provinces.values()
            for engine in (province.office.inner, province.office.handover, province.library.engine)
        ]
        outside = [app.extensions["wallet_api"].engine for app in self.country.wallets.values()]
        return [*inside, *outside, self.country.channels.engine]

    def books(self) -> None:
        """See `check_books`."""
        check_books(self.country.provinces, now=self.clock.now())


def rows(engine: Engine, table: Table) -> list[Any]:
    """All rows of a table."""
    with reading(engine) as conn:
        return list(conn.execute(select(table)).all())


def kept(engine: Engine) -> sqlite3.Connection:
    """A whole database as it is now, in memory."""
    copy = sqlite3.connect(":memory:")
    with closing(sqlite3.connect(str(sqlite_path(engine)))) as source:
        source.backup(copy)
    return copy


def put_back(engine: Engine, copy: sqlite3.Connection) -> None:
    """The database as it was when it was kept; whoever has it open goes on with that."""
    with closing(sqlite3.connect(str(sqlite_path(engine)))) as target:
        target.execute("PRAGMA synchronous=OFF")
        copy.backup(target)


def ask(stage: Stage, client: ProvinceClient, who: Persona, **changes: Any) -> Asked:
    """The bytes of a presentation that is right in everything but `changes`. `number` is the ID number at the counter, or
    None for nobody's."""
    today = shanghai_date(stage.clock.now())
    number = changes.pop("number", who.id_number)
    return client.ask(
        request_id=changes.pop("request_id", None) or new_id(),
        case_number=changes.pop("case_number", "沪房2026-0001"),
        cause=changes.pop("cause", "办理业务"),
        preconditions=changes.pop("preconditions", TICKS),
        person=None if number is None else CitizenId.parse(number, today=today),
        **changes,
    )


@dataclass(slots=True, kw_only=True)
class Scene:
    """One visit from both sides."""

    stage: Stage
    who: Persona
    phone: Phone
    client: ProvinceClient
    asked: Asked
    desk: str

    def present(self) -> View:
        """The counter sends what it scanned, or sends it again."""
        return self.client.present(self.asked)

    def view(self) -> View:
        """The counter looks."""
        return self.client.visit(self.asked.request_id)

    def sheet(self) -> dict[str, Any]:
        """What the phone shows."""
        return self.phone.sheet()

    def asked_and_shown(self) -> View:
        """Presented, and the phone has its sheet."""
        view = self.present()
        self.stage.pump()
        return view

    def picked(self) -> str:
        """The handle of the first certificate of the right type that the phone lists; valid ones come first."""
        sheet = self.sheet()
        type_ = sheet["sheet"]["type"]
        found = [each for each in sheet["holdings"]["certificates"] if each["type"] == type_]
        found.sort(key=lambda each: str(each["status"] != "VALID"))
        return str(found[0]["certificate"])

    def listed(self) -> bool:
        """Whether the phone has a certificate to pick."""
        return bool((self.sheet()["holdings"] or {"certificates": []})["certificates"])

    def agree(self, **changes: Any) -> None:
        """The citizen agrees, with the digits of the counter's screen and the picked certificate."""
        if "digits" not in changes:
            changes["digits"] = self.view().digits
        if "certificate" not in changes:
            changes["certificate"] = self.picked()
        self.phone.answer(Decision.AGREE, self.sheet()["sheet"], **changes)

    def decline(self) -> None:
        """The citizen says no."""
        self.phone.answer(Decision.DECLINE, self.sheet()["sheet"])

    def withdraw(self) -> None:
        """The citizen takes it back."""
        self.phone.withdraw(self.sheet()["sheet"])

    def finish(self) -> View:
        """Everybody works until nothing moves; what the counter then sees."""
        self.stage.pump()
        return self.view()

    def whole(self) -> View:
        """The visit as it should go."""
        self.asked_and_shown()
        self.agree()
        return self.finish()

    def showing(self) -> dict[str, Any]:
        """The showing as the phone polls it."""
        return self.phone.state()

    def row(self) -> Any:
        """The desk's row of this visit."""
        (row,) = (each for each in self.stage.rows(self.desk, inner.visits) if each.request_id == self.asked.request_id)
        return row

    def claim(self) -> Any:
        """The claim that this visit has, or None."""
        digest = self.row().request_digest
        found = [each for each in self.stage.rows(self.who.province, inner.claims) if each.request_digest == digest]
        return found[0] if found else None


@contextmanager
def light_folder() -> Iterator[Path]:
    """A folder for databases whose every commit waits for the disk: in memory where the machine has such a place. What
    these tests ask does not depend on whether a disk keeps its promise."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="hz-", dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@contextmanager
def open_stage(folder: Path, *, log: Log | None = None, redis: Valkey | None = None) -> Iterator[Stage]:
    """Found a country below `folder` and put it together."""
    with staged(found(folder / "state", now=START), folder / "pristine", log=log, redis=redis) as stage:
        yield stage


@contextmanager
def staged(founded: Founded, pristine: Path, *, log: Log | None = None, redis: Valkey | None = None) -> Iterator[Stage]:
    """Put a founded country together; `pristine` is a folder that is not there yet."""
    clock = MovableClock(START)
    # The country says ShiftedClock because its threads really wait; ours do not.
    country = put_together(founded, clock=cast(ShiftedClock, clock), redis=redis, log=log)
    wires = {}
    for code, province in country.provinces.items():
        wires[code] = Wire(way=province.worker.transport)
        province.worker.transport = wires[code]
        country.app(code)  # signs its vendor in; the first day has the token already
    pristine.mkdir()
    for path in founded.folder.glob("*.db"):
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(pristine / path.name)) as target:
            source.backup(target)
    stage = Stage(country=country, clock=clock, wires=wires, pristine=pristine)
    try:
        yield stage
    finally:
        country.stop()
        for engine in stage.engines():
            engine.dispose()


# The books ------------------------------------------------------------------------------------------------


def read_ledger(engine: Engine, tables: Any) -> list[Entry]:
    """A whole ledger whose chain holds."""
    with reading(engine) as conn:
        found = list(entries(conn, tables))
    check(found)
    return found


def check_books(provinces: Mapping[str, Province], *, now: datetime) -> None:
    """What desks, citizens' provinces and libraries have written about all visits says the same (I1 to I3).

    1. every ledger's chain holds
    2. a consent was spent at most once, and every copy has its entry and its receipt
    3. a counter that saw a copy saw the very bytes that the library keeps, under a consent that was never withdrawn
    4. every end has one entry and one receipt at that place of the ledger
    """
    spent: dict[tuple[str, str], Any] = {}
    for province in provinces.values():
        _library_books(province, spent, now=now)
    for province in provinces.values():
        book = read_ledger(province.office.inner, inner.ledger)
        _claims_books(province, book)
        _desk_books(province, book, spent, now=now)


def _library_books(province: Province, spent: dict[tuple[str, str], Any], *, now: datetime) -> None:
    book = read_ledger(province.library.engine, library_tables.ledger)
    copies = [_body(each) for each in book if each.act is Act.SPENT]
    kept = rows(province.library.engine, library_tables.spends)
    given = [each for each in kept if each.state in ("SPENT", "DELIVERED")]
    assert sorted(each["copy"] for each in copies) == sorted(signed_digest(each.copy) for each in given)
    assert sorted(each["request"] for each in copies) == sorted(each.request_digest for each in given)
    assert len({each.request_digest for each in given}) == len(given), "one request, two copies"
    withdrawn = [each for each in kept if each.state == "WITHDRAWN"]
    assert len([each for each in book if each.act is Act.WITHDRAWN]) == len(withdrawn)
    assert all(each.copy is None for each in withdrawn)
    for each in withdrawn:
        receipt = open_receipt(each.receipt, province.office.ring, side="library", now=now)
        assert receipt.claims["req"] == each.request_digest
        _stands(book, receipt.claims, Act.WITHDRAWN)
    for each in given:
        receipt = open_receipt(each.receipt, province.office.ring, side="library", now=now)
        _stands(book, receipt.claims, Act.SPENT)
    spent.update({(each.consent_issuer, each.jti): each for each in kept})


def _claims_books(province: Province, book: list[Entry]) -> None:
    claims = rows(province.office.inner, inner.claims)
    assert sorted(_requests(book, Act.CLAIMED)) == sorted(each.request_digest for each in claims)
    consented = [each.request_digest for each in claims if each.consent is not None]
    assert sorted(_requests(book, Act.CONSENTED)) == sorted(consented)
    assert len({each.showing_id for each in claims}) == len(claims)


def _desk_books(province: Province, book: list[Entry], spent: Mapping[tuple[str, str], Any], *, now: datetime) -> None:
    visits = rows(province.office.inner, inner.visits)
    assert sorted(_requests(book, Act.ASKED)) == sorted(each.request_digest for each in visits)
    admitted = [each for each in visits if each.copy is not None]
    assert sorted(_requests(book, Act.ADMITTED)) == sorted(each.request_digest for each in admitted)
    kept = {signed_digest(each.copy): each for each in spent.values() if each.copy is not None}
    for each in admitted:
        assert each.state in ("PASSED", "CLEARED")
        assert kept[signed_digest(each.copy)].copy == each.copy
        assert kept[signed_digest(each.copy)].request_digest == each.request_digest
    ends = {"PASSED": Act.ADMITTED, "CLEARED": Act.ADMITTED, "REFUSED": Act.REFUSED, "UNDETERMINED": Act.UNDETERMINED}
    for each in visits:
        assert (each.receipt is not None) == (each.state in ends) or each.state == "FETCHING"
        if each.state in ends:
            receipt = open_receipt(each.receipt, province.office.ring, side="unit", now=now)
            assert receipt.claims["req"] == each.request_digest
            _stands(book, receipt.claims, ends[each.state])


def _stands(book: list[Entry], claims: Mapping[str, Any], act: Act) -> None:
    entry = book[claims["ledger"]["position"] - 1]
    assert entry.digest == claims["ledger"]["entry"]
    assert entry.act is act
    assert _body(entry)["request"] == claims["req"]


def _body(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(entry.body)
    return found


def _requests(book: list[Entry], act: Act) -> list[str]:
    return [_body(each)["request"] for each in book if each.act is act]


def refused(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """The Reason for which a call refuses; it must."""
    try:
        call(*arguments, **named)
    except Refusal as no:
        return no.reason
    raise AssertionError("it was not refused")

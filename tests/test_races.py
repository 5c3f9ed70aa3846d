"""Whoever comes at the same time: one showing goes to one counter, one consent is spent or withdrawn, never both.

The databases decide. Redis may be emptied or killed meanwhile and changes nothing. test_postgres_visit runs the same races
on PostgreSQL.

Withdrawing against fetching is raced in three ways, because no single one shows everything:

in turns   RACES times. Genuine letters come to the library's own mailbox over its real databases; each letter is a thread
           that stands still before each of its transactions, and the race's number draws who goes on. So every order of
           the transactions comes many times, letters that arrive twice and machines that die between two transactions
           too. The letters are sealed once and come to a library that remembers nothing of them, round after round:
           sealing and opening documents are functions without memory, and nothing in them can race.
freely     WITHDRAWALS times, with letters sealed anew and threads that nobody holds: here the databases' locks are met.
whole      visits of four provinces, phone and counter, with a citizen who withdraws somewhere in between; see also
           test_deliveries.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from redis import Redis

import verifier.peers
from consent.answer import open_answer
from consent.b64 import digest_of, from_b64, new_id
from consent.envelope import new_envelope_key
from consent.errors import Reason
from consent.grant import Consent, Grant, open_consent, seal_consent
from consent.ledger import Act
from consent.request import NO_OFFICER, Aside, Ask, Request, open_request, seal_request
from consent.seal import strict_json
from consent.showing import Person
from consent.stores.valkey import start_valkey
from consent.transport import Letter, Topic, letter_from, read_letter, write_letter
from scanner_kiosk.country.people import pair
from tests.country import Scene, Stage, kept, put_back, read_ledger, rows
from tests.counts import count
from tests.turns import Party, Turns, turns
from verifier.peers import CONTENTS
from verifier.stores import inner
from verifier.stores import library as library_tables

PROCESSES = 4
PRESENTATIONS = count(200, 16)
WITHDRAWALS = count(250, 20)
RACES = count(10_000, 60)
PARTS = count(4, 1)  # tests that share them
LETTERS = count(250, 20)  # pairs of letters in each; a pair races RACES / PARTS / LETTERS times
INTERLEAVINGS = count(30, 2)


def race_for_a_showing(
    stage: Stage, folder: Path, *, redis_url: str = "", meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Four processes present one code PRESENTATIONS times; afterwards one visit is asked, all others are refused."""
    scene = stage.scene()
    plan = {
        "environments": {code: stage.country.founded.environment(code, redis_url=redis_url) for code in ("31", "32")},
        "now": stage.clock.now().isoformat(),
        "desk": "32",
        "home": "31",
        "window": scene.client.window,
        "code": scene.phone.code(),
        "matter": "realestate.register",
        "type": "marriage",
        "number": scene.who.id_number,
        "presentations": PRESENTATIONS // PROCESSES,
    }
    path = folder / "plan.json"
    path.write_text(json.dumps(plan), encoding="utf-8")
    ids = _run(path, meanwhile)
    assert len(ids) == len(set(ids)) == PRESENTATIONS
    assert len(stage.rows("31", inner.claims)) == 1
    stage.pump()  # every letter is delivered a second time here, and nothing comes of it
    (claim,) = stage.rows("31", inner.claims)
    outcomes = Counter((row.state, row.reason) for row in stage.rows("32", inner.visits))
    assert outcomes == {("ASKED", None): 1, ("REFUSED", "CODE_ALREADY_USED"): PRESENTATIONS - 1}
    winner = scene.client.visit(claim.request_id)
    scene.agree(digits=winner.digits)
    stage.pump()
    assert scene.client.visit(claim.request_id).state == "PASSED"
    assert len(stage.rows("33", library_tables.spends)) == 1
    stage.books()


def _run(plan: Path, meanwhile: Callable[[], None]) -> list[str]:
    command = [sys.executable, "-m", "tests.racing", str(plan)]
    root = Path(__file__).parent.parent
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        for _ in range(PROCESSES)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        meanwhile()
        ends = [racer.communicate(timeout=200)[0] for racer in racers]
        assert [racer.returncode for racer in racers] == [0] * PROCESSES
        return [each for end in ends for each in json.loads(end)]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()


def test_one_showing_goes_to_one_counter_however_many_processes_ask(stage: Stage, tmp_path: Path) -> None:
    race_for_a_showing(stage, tmp_path)


@pytest.mark.full
def test_redis_may_be_emptied_and_killed_in_the_middle_of_it(stage: Stage, tmp_path: Path) -> None:
    valkey = start_valkey(tmp_path)
    client = Redis.from_url(valkey.url)

    def meanwhile() -> None:
        for _ in range(5):
            client.flushall()
        valkey.kill()

    try:
        race_for_a_showing(stage, tmp_path, redis_url=valkey.url, meanwhile=meanwhile)
    finally:
        client.close()
        valkey.stop()


# Withdrawing against fetching, in turns -------------------------------------------------------------------


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_whoever_commits_first_decides_between_withdrawing_and_fetching(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    races = range(part, RACES, PARTS)
    scene = stage.scene()
    scene.asked_and_shown()
    certificate = scene.picked()
    papers = [_visit_on_paper(stage, certificate) for _ in range(LETTERS)]
    library = stage.province("33")
    databases = (library.library.engine, library.office.inner)
    before = [kept(engine) for engine in databases]
    _open_each_document_once(monkeypatch)
    ends, orders = Counter[str](), set[tuple[int, ...]]()
    with turns(databases, most=4) as taking:
        for start in range(0, len(races), LETTERS):
            for race, paper in zip(races[start:], papers, strict=False):
                orders.add(_race_in_turns(stage, taking, paper, Random(race)))
            ends += _books_of_a_round(stage, papers)
            for engine, copy in zip(databases, before, strict=True):
                put_back(engine, copy)
    assert sum(ends.values()) == len(races) == RACES // PARTS
    assert min(ends["spent"], ends["withdrawn"]) > len(races) // 5
    assert len(orders) > count(120, 15), "hardly any order of steps was tried"


def _race_in_turns(stage: Stage, taking: Turns, paper: Paper, luck: Random) -> tuple[int, ...]:
    """The fetch and the withdrawal of one consent: in one race of ten one of them twice, and in one of ten one dies on its
    way. Whoever died is sent again, as its sender does who heard nothing."""
    peers, now = stage.province("33").peers, stage.clock.now()
    letters = [paper.fetch, paper.withdraw]
    if luck.random() < 0.1:
        letters.append(luck.choice(letters))
    parties = [Party(work=partial(peers.receive, letter, now=now)) for letter in letters]
    if luck.random() < 0.1:
        luck.choice(parties).dies_at = luck.choice((1, 2))  # before it has written anything; with half of it written
    order = taking.run(parties, luck)
    for letter, party in zip(letters, parties, strict=True):
        assert party.died == bool(party.dies_at)
        if party.died:
            peers.receive(letter, now=now)
        elif party.fault is not None:
            raise party.fault
    return order


def _open_each_document_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What opens a document is a function of its text, its keys and the instant, and the texts here are few."""
    for name in ("read_letter", "open_request", "open_consent", "open_answer", "open_grant"):
        monkeypatch.setattr(f"verifier.peers.{name}", _remembered(getattr(verifier.peers, name)))


def _remembered(opens: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[Any, Any] = {}

    def opened(document: Any, *keys: Any, **context: Any) -> Any:
        named = {name: getattr(value, "digest", value) for name, value in context.items() if name != "content"}
        key = (document if isinstance(document, (str, Letter)) else document.sealed.digest, *named.items())
        if key not in known:
            known[key] = opens(document, *keys, **context)
        return known[key]

    return opened


def _books_of_a_round(stage: Stage, papers: list[Paper]) -> Counter[str]:
    """What is written and was answered after each pair has raced once: one of two ends each time, all answers say the same,
    and whatever came twice is written once."""
    office, engine = stage.province("33").office, stage.province("33").library.engine
    spends = {row.jti: row for row in rows(engine, library_tables.spends)}
    said: dict[str, list[Letter]] = {}
    for row in rows(office.inner, inner.outbox):
        said.setdefault(row.ref, []).append(letter_from(row.body.encode()))
    book = read_ledger(engine, library_tables.ledger)
    spent = Counter(json.loads(each.body)["consent"] for each in book if each.act is Act.SPENT)
    withdrawn = Counter(json.loads(each.body)["consent"] for each in book if each.act is Act.WITHDRAWN)
    ends: Counter[str] = Counter()
    for paper in papers:
        row, digest = spends.pop(paper.consent.jti), paper.consent.sealed.digest
        copies = _said(stage, said[paper.request.digest], "copy")
        orders = _said(stage, said[digest], "withdrawn")
        if row.state == "WITHDRAWN":
            assert row.copy is None
            assert row.receipt is not None
            assert copies == {"WITHDRAWN"}, "a copy left the library that had acknowledged a withdrawal"
            assert orders == {"WITHDRAWN"}
            assert (spent[digest], withdrawn[digest]) == (0, 1)
        else:
            assert row.state == "SPENT"
            assert copies == {row.copy}, "one consent, one copy, however often it is sent"
            assert orders == {"CONSENT_SPENT"}
            assert (spent[digest], withdrawn[digest]) == (1, 0)
        ends["withdrawn" if row.state == "WITHDRAWN" else "spent"] += 1
    assert spends == {}
    assert spent.total() + withdrawn.total() == len(papers)
    return ends


def _said(stage: Stage, letters: list[Letter], about: str) -> set[str]:
    """What the library said in these letters: copies, or reasons."""
    said = set()
    for letter in letters:
        assert letter.topic == about
        content = read_letter(letter, stage.province(letter.to).office.envelope_key, content=CONTENTS[letter.topic])
        if content.get("copy"):
            said.add(content["copy"])
        else:  # the seals of these answers are looked at where the races run freely
            payload = strict_json(from_b64(content["answer"].split(".")[1]), depth=4, members=16)
            said.add(payload["reason"])
    return said


# Withdrawing against fetching, freely ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A visit on paper: the letters that fetch and withdraw, and what they are about. All of it is genuine; only the phone
    is missing."""

    fetch: Letter
    withdraw: Letter
    request: Request
    consent: Consent


def _visit_on_paper(stage: Stage, certificate: str) -> Paper:
    """A request and a consent as two provinces seal them, in the letters that fetch and withdraw."""
    desk, home, now = stage.province("32").office, stage.province("31").office, stage.clock.now()
    unit = desk.scope("32").unit_of_window("32-R1")
    listed = unit.listed[0]
    ask = Ask(
        unit=unit.uscc,
        window="32-R1",
        officer=NO_OFFICER,
        matter=listed.matter,
        case="1",
        type="marriage",
        fields=listed.fields,
        cause="race",
        code=digest_of(b"code"),
        declarations=tuple(e.slug for e in desk.catalogue.on(listed.matter, now.date()).declarations),
        answer_key=new_envelope_key().recipient.text,
    )
    who = pair("31", "33")
    aside = Aside(salt=bytes(16), id_number=who.id_number, digits="00")
    text = seal_request(ask, aside, desk.request_key, request_id=new_id(), holder_province="31", now=now)
    request = open_request(text, desk.ring, holder_province="31", now=now)
    token = seal_consent(
        Grant(person=Person(id_number=who.id_number, name=who.name), certificate=certificate),
        home.consent_key,
        request=request,
        method="app",
        evidence=digest_of(b"approval"),
        library=home.keylist.recipient("33"),
        now=now,
    )
    consent = open_consent(token, home.ring, request=request, now=now)
    order = home.answer("33", consent.sealed.digest, Reason.WITHDRAWN, now=now)
    contents = {
        Topic.FETCH: (desk, {"request": text, "consent": token, "evidence": None}),
        Topic.WITHDRAW: (home, {"request": text, "consent": token, "answer": order}),
    }
    fetch, withdraw = (
        write_letter(
            content,
            sender=office.province,
            to="33",
            topic=topic,
            request_id=request.id,
            recipient=office.keylist.recipient("33"),
        )
        for topic, (office, content) in contents.items()
    )
    return Paper(fetch=fetch, withdraw=withdraw, request=request, consent=consent)


def race_to_withdraw(stage: Stage, races: int) -> Counter[str]:
    """`races` times, a fetch and a withdrawal reach the library together; how often each came first."""
    scene = stage.scene()
    scene.asked_and_shown()
    certificate = scene.picked()
    ends: Counter[str] = Counter()
    for n in range(races):
        if n % 200 == 0:
            stage.clock.advance(1)
            print(f"race {n} of {races}: {dict(ends)}")
        ends[_one_race(stage, certificate, fetch_first=bool(n % 2))] += 1
    book = read_ledger(stage.province("33").library.engine, library_tables.ledger)
    assert len([each for each in book if each.act == "SPENT"]) == ends["spent"]
    assert len([each for each in book if each.act == "WITHDRAWN"]) == ends["withdrawn"]
    assert ends["spent"] + ends["withdrawn"] == races
    return ends


def _one_race(stage: Stage, certificate: str, *, fetch_first: bool) -> str:
    paper = _visit_on_paper(stage, certificate)
    request, consent = paper.request, paper.consent
    peers, now = stage.province("33").peers, stage.clock.now()
    start, faults = threading.Barrier(2), list[BaseException]()

    def bring(letter: Letter) -> None:
        try:
            start.wait(timeout=30)
            peers.receive(letter, now=now)
        except BaseException as fault:
            faults.append(fault)

    pair_of = (paper.fetch, paper.withdraw) if fetch_first else (paper.withdraw, paper.fetch)
    threads = [threading.Thread(target=bring, args=(letter,)) for letter in pair_of]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert faults == []
    copy, withdrawn = _answers(stage, request, consent)
    with stage.province("33").library.engine.connect() as conn:
        c = library_tables.spends.c
        (row,) = conn.execute(library_tables.spends.select().where(c.jti == consent.jti)).all()
    if withdrawn is Reason.WITHDRAWN:
        assert copy is Reason.WITHDRAWN, "a copy left after a withdrawal was acknowledged"
        assert (row.state, row.copy) == ("WITHDRAWN", None)
        return "withdrawn"
    assert withdrawn is Reason.CONSENT_SPENT
    assert copy == row.copy
    assert row.state == "SPENT"
    return "spent"


def _answers(stage: Stage, request: Any, consent: Any) -> tuple[Any, Any]:
    """What the library answered: the copy (or the reason for none), and the reason in the answer to the withdrawal."""
    with stage.province("33").office.inner.connect() as conn:
        rows = conn.execute(
            inner.outbox.select().where(inner.outbox.c.ref.in_([request.digest, consent.sealed.digest]))
        )
        letters = [letter_from(row.body.encode()) for row in rows]
    assert sorted(letter.topic for letter in letters) == [Topic.COPY, Topic.WITHDRAWN]
    found: dict[Topic, Any] = {}
    for letter in letters:
        office = stage.province(letter.to).office
        content = read_letter(letter, office.envelope_key, content=CONTENTS[letter.topic])
        if content.get("copy") is not None:
            found[letter.topic] = content["copy"]
            continue
        question = content.get("consent") or content["request"]
        found[letter.topic] = open_answer(
            content["answer"], office.ring, issuer="33", audience=letter.to, question=question, now=stage.clock.now()
        ).reason
    return found[Topic.COPY], found[Topic.WITHDRAWN]


@pytest.mark.timeout(900)
def test_a_consent_is_spent_or_withdrawn_and_never_both(stage: Stage) -> None:
    ends = race_to_withdraw(stage, WITHDRAWALS)
    assert min(ends["spent"], ends["withdrawn"]) > 0, "the race was never close"


# Withdrawing while a whole visit runs ---------------------------------------------------------------------


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(INTERLEAVINGS))
def test_a_withdrawal_while_the_visit_runs_ends_in_one_of_two_ways(stage: Stage, seed: int) -> None:
    """All four workers take their turns in an order that the seed draws; the citizen withdraws somewhere in between."""
    luck = Random(seed)
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree()
    workers = [province.worker for province in stage.country.provinces.values()]
    asked = False
    for _ in range(60):
        luck.choice(workers).run_once()
        if not asked and scene.showing()["state"] == "CONSENTED" and luck.random() < 0.5:
            scene.withdraw()
            asked = True
    view = scene.finish()
    end = scene.showing()["state"]
    _agrees(stage, scene, end, view)
    assert end in (("DELIVERED", "WITHDRAWN") if asked else ("DELIVERED",))
    stage.books()


def _agrees(stage: Stage, scene: Scene, end: str, view: Any) -> None:
    (spend,) = stage.rows("33", library_tables.spends)
    if end == "WITHDRAWN":
        assert (view.state, view.said.reason) == ("REFUSED", Reason.WITHDRAWN)
        assert (spend.state, spend.copy) == ("WITHDRAWN", None)
    else:
        assert view.state == "PASSED"
        assert spend.state == "DELIVERED"

"""The typed twin: twelve digits that lead to a certificate like a code does, and that nobody guesses."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from consent.b64 import new_id
from consent.clock import to_epoch
from consent.code import Form, Name, read_name
from consent.errors import Reason, Refusal
from consent.provinces import provinces
from consent.request import Aside, Request, open_request
from consent.states import SHOWING
from consent.stores import handover, names
from consent.stores.base import reading, writing
from consent.stores.signals import Signals
from consent.telling import new_log
from consent.twin import _DAMM, NameKey, check_digit, new_twin, read_twin, spaced
from scanner_kiosk.app import create_app as create_kiosk
from scanner_kiosk.country.people import pair
from scanner_kiosk.phone import Phone
from scanner_kiosk.visit import View
from tests.counter_rig import PERSON, new_rig
from tests.country import Scene, Stage, light_folder
from tests.country import refused as refusal
from tests.counts import count, outcome
from tests.outer import Outer, found_outer
from tests.outer import Phone as OuterPhone
from tests.test_screen import Page
from verifier import named
from verifier.desk import Presentation
from verifier.stores import inner

TEN_MINUTES = 600.0
ID_NUMBER = "310199199002030017"  # whose it is does not matter before the showing is found
CODES = list(provinces())


# The digits -----------------------------------------------------------------------------------------------


def test_the_table_is_totally_anti_symmetric() -> None:
    rows = [[int(digit) for digit in row] for row in _DAMM]
    every = range(10)
    assert all(sorted(row) == list(every) for row in rows)
    assert all(sorted(row[at] for row in rows) == list(every) for at in every)
    assert all(rows[each][each] == 0 for each in every)
    for first in every:
        for one in every:
            for other in every:
                if one != other:  # so a swap is found whatever stands before it, and also at the very beginning
                    assert rows[rows[first][one]][other] != rows[rows[first][other]][one]


def test_every_wrong_digit_and_every_swap_of_neighbours_is_caught() -> None:
    for number in range(count(2_000, 40)):
        twin = new_twin(CODES[number % 4])
        assert read_twin(twin) == CODES[number % 4]
        slips = {twin[:at] + digit + twin[at + 1 :] for at in range(12) for digit in "0123456789"}
        slips |= {twin[:at] + twin[at + 1] + twin[at] + twin[at + 2 :] for at in range(11)}
        slips.discard(twin)
        assert len(slips) >= 12 * 9
        assert {refusal(read_twin, slip) for slip in slips} == {Reason.TWIN_MISTYPED}


def test_twins_are_random_and_their_first_digit_names_the_province() -> None:
    assert len({found.twin_digit for found in provinces().values()}) == 4
    found = [new_twin("33") for _ in range(200)]
    assert len(set(found)) == 200
    assert {twin[0] for twin in found} == {"3"}
    assert all(set(column) == set("0123456789") for column in list(zip(*found, strict=True))[1:11])


@pytest.mark.parametrize(
    "typed",
    [
        "{0} {1} {2}",
        "{0}-{1}-{2}",
        "{0}–{1}—{2}",
        "\u3000{0}{1}\u00a0{2}\r\n",
        "{wide}",
    ],
)
def test_it_may_be_typed_as_people_and_input_methods_write(typed: str) -> None:
    twin = new_twin("34")
    groups = spaced(twin).split()
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in twin)
    assert read_name(typed.format(*groups, wide=wide)) == Name(form=Form.TWIN, text=twin, province="34")


@pytest.mark.parametrize("body", ["51234567890", "01234567890", "3123456789", "312345678901", "", "3"])
def test_digits_that_are_no_twin_are_mistyped_and_not_malformed(body: str) -> None:
    assert refusal(read_name, body + check_digit(body)) is Reason.TWIN_MISTYPED


# From end to end ------------------------------------------------------------------------------------------


def typed(stage: Stage, app: str = "31", desk: str = "32", library: str = "33", **more: Any) -> Scene:
    """A citizen who reads out a live twin, and a counter that has typed it."""
    who = pair(app, library)
    phone = stage.country.phone_of(who)
    phone.show()
    return stage.scanned(who, phone, desk, code=phone.twin(), **more)


def again(stage: Stage, scene: Scene, code: str, **more: Any) -> Scene:
    """The same window tries a text for the same citizen."""
    return stage.scanned(scene.who, scene.phone, scene.desk, code=code, **more)


def tried(scene: Scene) -> View:
    """Presented, and answered."""
    scene.present()
    return scene.finish()


@pytest.mark.full
@pytest.mark.parametrize("app", CODES)
def test_a_live_twin_of_each_province_leads_to_the_certificate(stage: Stage, app: str) -> None:
    desk, library = CODES[(CODES.index(app) + 1) % 4], CODES[(CODES.index(app) + 2) % 4]
    scene = typed(stage, app, desk, library)
    view = scene.whole()
    assert view.state == "PASSED"
    assert view.copy is not None
    assert scene.claim().named == "twin"
    assert scene.showing()["state"] == "DELIVERED"
    stage.books()


def test_a_code_is_claimed_as_a_code(stage: Stage) -> None:
    scene = stage.scene()
    assert scene.whole().state == "PASSED"
    assert scene.claim().named == "code"


def test_the_digits_must_be_tapped(stage: Stage) -> None:
    scene = typed(stage)
    digits = scene.asked_and_shown().digits
    scene.agree(digits=f"{(int(digits) + 1) % 100:02d}")
    assert scene.finish().said.reason is Reason.DIGITS_WRONG


def test_an_answer_given_before_the_scan_is_nothing_beside_a_twin(stage: Stage) -> None:
    from tests.test_express import WEDDED, certificate, offered

    scene = typed(stage, matter=WEDDED)
    scene.phone.stand(offered(stage, scene.phone, scene, WEDDED), certificate(stage, scene.phone))
    view = scene.asked_and_shown()
    assert view.state == "ASKED"
    assert scene.claim().consent is None
    assert scene.showing()["state"] == "CLAIMED"
    scene.agree()
    assert scene.finish().state == "PASSED"


def test_without_the_person_at_the_counter_there_is_no_twin(stage: Stage) -> None:
    scene = typed(stage)
    desk = stage.province("32").desk
    matter = next(matter for matter, _ in desk.register("32-R1", now=stage.clock.now()).matters)
    sent = json.loads(scene.asked.body)
    presentation = Presentation(
        request_id=sent["request_id"],
        code=sent["code"],
        matter=matter.slug,
        case_number="1",
        type=sent["type"],
        cause="办理业务",
        match=None,
        preconditions=(),
        digest="",
    )
    lenient = replace(matter, holder_match=False)
    now = stage.clock.now()
    code, twin = (Name(form=form, text="", province="31") for form in (Form.CODE, Form.TWIN))
    assert desk._aside(presentation, lenient, code, now=now).id_number is None
    assert refusal(desk._aside, presentation, lenient, twin, now=now) is Reason.HOLDER_MATCH_MISSING
    # A desk that lets it pass all the same is told so by the citizen's province.
    assert guess(stage, scene, sent["code"], id_number=None) is Reason.HOLDER_MATCH_MISSING


# Unknown, expired, used -----------------------------------------------------------------------------------


def other_person(stage: Stage) -> Scene:
    """Another citizen of the same app at the same window."""
    return stage.scene("31", "32", "34")


def unknown(stage: Stage) -> Scene:
    return again(stage, stage.scene(), new_twin("31"))


def expired(stage: Stage) -> Scene:
    scene = typed(stage)
    stage.pump()
    stage.clock.advance(60)
    return scene


def used(stage: Stage) -> Scene:
    scene = typed(stage)
    twin = json.loads(scene.asked.body)["code"]
    assert scene.whole().state == "PASSED"
    return again(stage, scene, twin)


def replaced(stage: Stage) -> Scene:
    scene = typed(stage)
    scene.phone.twin()
    return scene


def superseded(stage: Stage) -> Scene:
    scene = typed(stage)
    scene.phone.show()
    return scene


def put_away(stage: Stage) -> Scene:
    scene = typed(stage)
    with writing(stage.province("31").office.handover) as conn:
        ended = handover.move(
            conn, scene.phone.showing_id, to="EXPIRED", frm=SHOWING.sources("expire"), now=stage.clock.now()
        )
    assert ended
    return scene


def scanned_meanwhile(stage: Stage) -> Scene:
    scene = typed(stage)
    by_code = again(stage, scene, scene.phone.code())
    by_code.asked_and_shown()
    return scene


@pytest.mark.full
@pytest.mark.parametrize("dead", [expired, used, replaced, superseded, put_away, scanned_meanwhile])
def test_every_dead_twin_looks_like_one_that_never_was(stage: Stage, dead: Callable[[Stage], Scene]) -> None:
    looked = []
    for make in (unknown, dead):
        view = tried(make(stage))
        assert view.said.reason is Reason.CODE_EXPIRED
        looked.append(replace(view, request_id="", digits="", asked_at="", answer_by="", etag="", receipt=None))
    assert looked[0] == looked[1]
    stage.books()


def test_a_twin_lives_for_sixty_seconds_and_is_renewed_by_asking(stage: Stage) -> None:
    scene = typed(stage)
    stage.pump()
    stage.clock.advance(59)
    assert scene.whole().state == "PASSED"
    scene = expired(stage)
    scene = again(stage, scene, scene.phone.twin())
    assert scene.whole().state == "PASSED"


# Guessing -------------------------------------------------------------------------------------------------


@pytest.fixture
def long(stage: Stage) -> Iterator[Stage]:
    """A country in which so much time may pass that vendors need new tokens; the next test has the first day's again."""
    kept = dict(stage.country._apps)
    yield stage
    stage.country._apps.update(kept)


def pass_time(stage: Stage, seconds: float) -> None:
    """So long that vendors need new tokens."""
    stage.clock.advance(seconds)
    stage.country.forget_tokens()


def fail(stage: Stage, scene: Scene, times: int) -> None:
    """So many wrong twins, typed at one window."""
    for _ in range(times):
        assert tried(again(stage, scene, new_twin("31"))).said.reason is Reason.CODE_EXPIRED


@pytest.mark.full
def test_the_sixth_try_in_ten_minutes_is_refused_even_with_a_right_twin(long: Stage) -> None:
    stage = long
    scene = typed(stage)
    fail(stage, scene, 5)
    right = again(stage, scene, scene.phone.twin())
    with pytest.raises(Refusal) as caught:
        right.present()
    assert caught.value.reason is Reason.TWIN_LOCKED
    assert caught.value.facts["n"] == 10
    assert not [each for each in stage.rows("32", inner.visits) if each.request_id == right.asked.request_id]
    # A code still passes at this window, and a twin at its neighbour's in the other province.
    assert again(stage, scene, scene.phone.code()).whole().state == "PASSED"
    assert typed(stage, "31", "33", "34").whole().state == "PASSED"
    pass_time(stage, TEN_MINUTES - 1)
    assert refusal(typed(stage, "31", "32", "33").present) is Reason.TWIN_LOCKED
    pass_time(stage, 1)
    assert typed(stage, "31", "32", "33").whole().state == "PASSED"


def test_a_thousand_tries_at_once_are_five(stage: Stage) -> None:
    scene = stage.scene()
    went = [outcome(again(stage, scene, new_twin("31")).present) for _ in range(20)]
    assert went.count(Reason.TWIN_LOCKED) == 15
    assert sum(isinstance(each, View) for each in went) == 5


def test_an_honest_counter_never_runs_out_of_tries(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "TRIES_OF_A_WINDOW", 2)
    for library in ("32", "33", "34"):
        scene = typed(stage, "31", "32", library)
        scene.asked_and_shown()
        scene.decline()
        assert scene.finish().said.reason is Reason.NOT_AUTHORISED
    assert stage.rows("32", inner.tries.tries) == []
    assert stage.rows("31", inner.tries.tries) == []


def test_a_slip_of_the_finger_is_no_guess(stage: Stage) -> None:
    scene = typed(stage)
    twin = json.loads(scene.asked.body)["code"]
    slip = twin[:-1] + str((int(twin[-1]) + 1) % 10)
    for _ in range(6):
        assert refusal(again(stage, scene, slip).present) is Reason.TWIN_MISTYPED
    assert scene.whole().state == "PASSED"


def test_whoever_types_another_persons_twin_has_failed_like_one_who_guessed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "TRIES_OF_A_WINDOW", 2)
    scene = typed(stage)
    stranger = pair("31", "34").id_number
    for _ in range(2):
        attempt = again(stage, scene, scene.phone.twin(), number=stranger)
        assert tried(attempt).said.reason is Reason.HOLDER_MISMATCH
    assert refusal(again(stage, scene, scene.phone.twin()).present) is Reason.TWIN_LOCKED


def test_a_desk_that_does_not_count_is_counted_at_the_citizens_province(
    long: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = long
    monkeypatch.setattr(named, "TRIES_OF_A_WINDOW", 10**6)
    monkeypatch.setattr(named, "TRIES_OF_A_DESK", 2)
    scene = stage.scene()
    fail(stage, scene, 2)
    assert tried(again(stage, scene, scene.phone.twin())).said.reason is Reason.TWIN_LOCKED
    pass_time(stage, TEN_MINUTES)
    assert typed(stage).whole().state == "PASSED"


def template(stage: Stage, scene: Scene) -> Request:
    """A request of desk 32 to province 31 that is right in everything."""
    row = scene.row()
    office = stage.province("32").office
    return open_request(row.request, office.archive, holder_province="31", now=row.asked_at)


def asked(like: Request, text: str, *, now: datetime, id_number: str | None = ID_NUMBER) -> tuple[Request, Aside]:
    """The same for another text, as if it had been sealed now."""
    aside = Aside(salt=random.randbytes(16), id_number=id_number, digits="47")
    seal = replace(like.sealed, digest=new_id(), claims={**like.sealed.claims, "iat": to_epoch(now)})
    return replace(like, sealed=seal, ask=replace(like.ask, code=aside.commit("code", text))), aside


def guess(stage: Stage, scene: Scene, text: str, *, id_number: str | None = ID_NUMBER) -> Any:
    """What the citizen's province makes of a text from a desk that checks nothing."""
    now = stage.clock.now()
    scene.present()
    request, aside = asked(template(stage, scene), text, id_number=id_number, now=now)
    try:
        return named.find_showing(stage.province("31").office, request, aside, text, now=now)
    except Refusal as no:
        return no.reason


def test_a_twin_is_bound_to_its_request(stage: Stage) -> None:
    scene = typed(stage)
    scene.present()
    text, now = json.loads(scene.asked.body)["code"], stage.clock.now()
    office = stage.province("31").office
    request, aside = asked(template(stage, scene), text, now=now)
    stranger = new_twin("31")
    assert refusal(named.find_showing, office, request, aside, stranger, now=now) is Reason.CODE_MALFORMED
    assert refusal(named.find_showing, office, request, aside, spaced(text), now=now) is Reason.CODE_MALFORMED
    other = replace(aside, salt=bytes(16))
    assert refusal(named.find_showing, office, request, other, text, now=now) is Reason.CODE_MALFORMED
    elsewhere = stage.province("34").office
    assert refusal(named.find_showing, elsewhere, request, aside, text, now=now) is Reason.WRONG_PROVINCE
    late = now + timedelta(seconds=61)
    assert refusal(named.find_showing, office, request, aside, text, now=late) is Reason.CODE_EXPIRED
    assert named.find_showing(office, request, aside, text, now=now).form is Form.TWIN


GUESSES = count(100_000, 1_200)
LIVE = count(10_000, 300)
EACH = count(20, 5) * named.TRIES_OF_A_DESK  # guesses before a desk waits for its tries
LOOKS = count(20_000, 500)  # with the limits lifted


@pytest.fixture
def crowded(stage: Stage) -> tuple[Scene, set[str]]:
    """A counter that has asked once, and LIVE citizens of its holder's province who all show a twin for days."""
    scene = typed(stage)
    scene.present()
    chance = random.Random(0)
    live: set[str] = set()
    while len(live) < LIVE:
        live.add(numbered(chance))
    give_all(stage, live, expires_at=stage.clock.now() + timedelta(days=60))
    return scene, live


@dataclass(slots=True)
class Guesser:
    """A desk that checks nothing. Every guess of it is another request, of the next of its windows."""

    stage: Stage
    like: Request
    now: datetime
    chance: random.Random
    said: StringIO = field(default_factory=StringIO)
    verdicts: Counter[Any] = field(default_factory=Counter)

    def guess(self, guesses: int, *, pause: timedelta = timedelta(0)) -> None:
        """Hear what `find_showing` says to so many guesses; the desk waits for that long before EACH of them."""
        log = new_log("test", self.stage.clock, stream=self.said)
        office = replace(self.stage.province("31").office, log=log)
        for number in range(guesses):
            if number % EACH == 0:
                self.now += pause
            text = numbered(self.chance)
            like = replace(self.like, ask=replace(self.like.ask, window=f"32-G{number % 40}"))
            request, aside = asked(like, text, now=self.now)
            self.verdicts[outcome(named.find_showing, office, request, aside, text, now=self.now)] += 1

    def events(self) -> Counter[str]:
        """How often the citizen's province told what."""
        return Counter(json.loads(line)["event"] for line in self.said.getvalue().splitlines())


def guesser(stage: Stage, scene: Scene, luck: int) -> Guesser:
    return Guesser(stage=stage, like=template(stage, scene), now=stage.clock.now(), chance=random.Random(luck))


@pytest.mark.full
@pytest.mark.timeout(900)
def test_of_many_guesses_at_many_live_twins_none_is_accepted(stage: Stage, crowded: tuple[Scene, set[str]]) -> None:
    """With all limits in place. A desk that goes on guessing as if there were none, at all its windows, is judged for few of
    them; whenever its tries are used up, that is told as an alarm."""
    (scene, live), pause = crowded, timedelta(minutes=10)
    desk = guesser(stage, scene, 1)
    desk.guess(GUESSES, pause=pause)
    judged = sum(min(named.TRIES_OF_A_DESK, GUESSES - at) for at in range(0, GUESSES, EACH))
    assert desk.verdicts == {Reason.CODE_EXPIRED: judged, Reason.TWIN_LOCKED: GUESSES - judged}
    assert desk.events() == {"twin_failed": judged, "twin_locked": judged // named.TRIES_OF_A_DESK}
    answers_still(stage, scene, live, desk.now + pause)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_without_any_limit_the_space_alone_is_too_wide(
    stage: Stage, crowded: tuple[Scene, set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """LOOKS guesses with the limits lifted: nobody counts, and EVERY guess is looked up among those that live. Ten thousand
    of ten thousand million numbers are alive; whoever met one by chance would still have to bring the person. The numbers
    here are the same in every run."""
    scene, live = crowded
    monkeypatch.setattr(named, "_may_try", lambda *_, **__: None)
    monkeypatch.setattr(named, "_failed", lambda *_, **__: None)
    desk = guesser(stage, scene, 2)
    desk.guess(LOOKS)
    assert desk.verdicts == {Reason.CODE_EXPIRED: LOOKS}
    answers_still(stage, scene, live, desk.now)


def answers_still(stage: Stage, scene: Scene, live: set[str], now: datetime) -> None:
    """And the same question about one that lives is answered; whose it is, the person at the counter must then be."""
    text = min(live)
    request, aside = asked(template(stage, scene), text, now=now)
    assert named.find_showing(stage.province("31").office, request, aside, text, now=now).form is Form.TWIN


def numbered(chance: random.Random) -> str:
    """A twin of province 31, the same in every run."""
    body = "1" + f"{chance.randrange(10**10):010d}"
    return body + check_digit(body)


def give_all(stage: Stage, twins: set[str], *, expires_at: datetime) -> None:
    """An open showing for each of these twins."""
    key, now = NameKey(stage.province("31").office.showing_key), stage.clock.now()
    rows = [
        {"showing_id": f"{at:024x}", "expires_at": expires_at, "digest": key.digest(twin)}
        for at, twin in enumerate(sorted(twins))
    ]
    empty = dict.fromkeys(("holder_jwt", "device_jwk", "device_kid"), "")
    with writing(stage.province("31").office.handover) as conn:
        conn.execute(
            insert(handover.showings),
            [
                {
                    "showing_id": row["showing_id"],
                    "province": "31",
                    "app": "suishenban",
                    "sub": row["showing_id"],
                    "opened_at": now,
                    "expires_at": expires_at,
                    "changed_at": now,
                    "state": "OPEN",
                    "version": 1,
                    **empty,
                }
                for row in rows
            ],
        )
        conn.execute(
            insert(handover.names),
            [{name: row[name] for name in ("digest", "showing_id", "expires_at")} | {"form": "twin"} for row in rows],
        )


# Telling, and not telling ---------------------------------------------------------------------------------


@pytest.fixture
def lines(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """Every line that the inner networks log."""
    written, held = StringIO(), {}
    for code, province in stage.country.provinces.items():
        log = new_log("work", stage.clock, stream=written).bind(province=code)
        held[code] = province.office.log
        object.__setattr__(province.office, "log", log)
        monkeypatch.setattr(province.worker, "log", log)
    yield written
    for code, province in stage.country.provinces.items():
        object.__setattr__(province.office, "log", held[code])


def test_failures_are_told_by_unit_and_province(stage: Stage, lines: StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "TRIES_OF_A_WINDOW", 2)
    scene = typed(stage)
    fail(stage, scene, 2)
    events = [json.loads(line) for line in lines.getvalue().splitlines() if "twin_" in line]
    unit = template(stage, scene_with_row(stage, scene)).ask.unit
    at_desk = [each for each in events if each["side"] == "desk"]
    assert [each["event"] for each in at_desk] == ["twin_failed", "twin_failed", "twin_locked"]
    assert {(each["unit"], each["other"], each["province"]) for each in at_desk} == {(unit, "31", "32")}
    at_home = [each for each in events if each["side"] == "holder"]
    assert [(each["event"], each["other"]) for each in at_home] == [("twin_failed", "32")] * 2
    for code, side, other in (("32", "desk", "31"), ("31", "holder", "32")):
        metrics = stage.country.verifiers[code].test_client().get("/metrics").text
        expected = f'huzheng_twin_failures_total{{province="{other}",side="{side}",unit="{unit}"}} 2.0'
        assert expected in metrics


def scene_with_row(stage: Stage, scene: Scene) -> Scene:
    """The same citizen, presented with a code."""
    found = again(stage, scene, scene.phone.code())
    found.present()
    return found


def test_a_letter_that_comes_twice_is_one_failure(stage: Stage, lines: StringIO) -> None:
    scene = again(stage, stage.scene(), new_twin("31"))
    wire = stage.wires["32"]
    scene.present()
    stage.pump()
    (letter,) = (each for each in wire.sent if each.topic == "ask")
    wire.way.send(letter)
    stage.pump()
    failed = [json.loads(line) for line in lines.getvalue().splitlines() if '"twin_failed"' in line]
    assert sorted(each["side"] for each in failed) == ["desk", "holder"]


def test_a_silent_store_leaves_the_other_metrics(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from consent.errors import Unavailable

    def silent(*_: Any) -> Iterator[Any]:
        raise Unavailable(Reason.STORE_UNAVAILABLE, what="database")

    monkeypatch.setattr("verifier.stores.tries.totals", silent)
    answer = stage.country.verifiers["32"].test_client().get("/metrics")
    assert answer.status_code == 200
    assert "huzheng_twin_failures" not in answer.text
    assert "huzheng_verifier_requests" in answer.text


def test_no_twin_and_no_simple_code_is_written_anywhere(
    stage: Stage, lines: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints: list[str] = []
    honest = Signals.notify

    def notify(self: Signals, topic: str) -> None:
        hints.append(topic)
        honest(self, topic)

    monkeypatch.setattr(Signals, "notify", notify)
    scene = typed(stage)
    secrets = {json.loads(scene.asked.body)["code"]}
    assert scene.whole().state == "PASSED"
    scene = stage.scene("31", "32", "33")
    simple = scene.phone.simple_code()
    scene = again(stage, scene, simple)
    assert scene.whole().state == "PASSED"
    secrets |= {simple, simple.removeprefix("YRD2:31")}
    wrong = new_twin("31")
    assert tried(again(stage, scene, wrong)).said.reason is Reason.CODE_EXPIRED
    secrets |= {wrong, spaced(wrong)}
    written = "\n".join([lines.getvalue(), *hints])
    assert "twin_failed" in written
    assert len(hints) > 10
    assert not [secret for secret in secrets if secret in written]
    for path in stage.folder.glob("*.db"):
        with closing(sqlite3.connect(path)) as store:
            dump = "\n".join(store.iterdump())
        assert not [secret for secret in secrets if secret in dump], path.name


# The vendors' door ----------------------------------------------------------------------------------------


@pytest.fixture
def outer() -> Iterator[Outer]:
    with light_folder() as folder:
        made = found_outer(folder)
        yield made
        made.close()


def twin_of(outer: Outer, showing_id: str, key: str | None = None, **headers: str) -> Any:
    return outer.call("POST", f"/v1/showings/{showing_id}/twin", Idempotency_Key=key or new_id(), **headers)


def test_a_vendor_gets_the_same_twin_for_the_same_key_and_a_new_one_for_a_new_key(outer: Outer) -> None:
    showing_id = outer.open(OuterPhone())
    first = twin_of(outer, showing_id, "once")
    assert first.status_code == 201
    assert read_twin(first.json["twin"]) == "31"
    assert first.json["spaced"].replace(" ", "") == first.json["twin"]
    assert first.json["expires_in"] == 60
    assert first.json["clock_skew_seconds"] is None
    again_ = twin_of(outer, showing_id, "once")
    assert again_.json == first.json
    assert again_.headers["Idempotency-Replayed"] == "true"
    second = twin_of(outer, showing_id)
    assert second.json["twin"] != first.json["twin"]
    with reading(outer.engine) as connection:
        kept = connection.execute(select(handover.names)).all()
    key = outer.app.extensions["wallet_api"].names
    assert [row.digest for row in kept] == [key.digest(second.json["twin"])]


def test_the_database_lets_a_showing_have_one_twin(outer: Outer) -> None:
    showing_id, now = outer.open(OuterPhone()), outer.clock.now()
    with writing(outer.engine) as connection:
        given = [
            names.give(connection, handover.names, digest, Form.TWIN, showing_id, expires_at=now, now=now)
            for digest in ("a" * 43, "b" * 43, "a" * 43)
        ]
    assert given == [True, False, False]


def test_names_long_dead_are_swept_away(outer: Outer) -> None:
    showing_id = outer.open(OuterPhone())
    twin_of(outer, showing_id)
    outer.call("GET", f"/v1/showings/{showing_id}/code?form=simple")
    outer.clock.advance(60 + names.KEPT.total_seconds() + 31)
    twin_of(outer, outer.open(OuterPhone("another-pseudonym")))
    with reading(outer.engine) as connection:
        assert len(connection.execute(select(handover.names)).all()) == 1


@pytest.mark.full
@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda outer, showing_id: "f" * 24, Reason.SHOWING_UNKNOWN),
        (
            lambda outer, showing_id: outer.tokens.clear() or (outer.clock.advance(601) and showing_id),
            Reason.CODE_EXPIRED,
        ),
        (lambda outer, showing_id: outer.ask(showing_id) and showing_id, Reason.SHOWING_CLOSED),
    ],
)
def test_only_an_open_showing_has_a_twin(outer: Outer, prepare: Callable[[Outer, str], str], reason: Reason) -> None:
    answer = twin_of(outer, prepare(outer, outer.open(OuterPhone())))
    assert answer.json["code"] == reason


def test_a_twin_needs_a_key_and_another_app_gets_none(outer: Outer) -> None:
    showing_id = outer.open(OuterPhone())
    missing = outer.call("POST", f"/v1/showings/{showing_id}/twin")
    assert missing.json["code"] == Reason.IDEMPOTENCY_KEY_MISSING
    answer = outer.call("POST", f"/v1/showings/{showing_id}/twin", scope="showings:read", Idempotency_Key=new_id())
    assert answer.json["code"] == Reason.FORBIDDEN


def test_a_kept_answer_opens_for_its_own_showing_only(stage: Stage) -> None:
    key = NameKey(bytes(32))
    closed = key.close("3123", about="vendor 1")
    assert key.open(closed, about="vendor 1") == "3123"
    assert refusal(key.open, closed, about="vendor 2") is Reason.ENVELOPE_UNREADABLE
    assert refusal(NameKey(b"1" * 32).open, closed, about="vendor 1") is Reason.ENVELOPE_UNREADABLE
    assert closed != key.close("3123", about="vendor 1")


def test_a_phone_of_the_demo_can_ask_for_a_twin(stage: Stage) -> None:
    phone: Phone = stage.country.phone_of(pair("34", "31"))
    phone.show()
    assert read_twin(phone.twin()) == "34"


# The kiosk ------------------------------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """The counter's page, a kiosk behind it that is stepped by hand, and a desk behind that."""
    rig = new_rig(tmp_path)
    found = Page(create_kiosk(rig.settings(), clock=rig.clock, line=rig.line, start=False))
    found.app.extensions["rig"] = rig
    yield found
    found.kiosk.stop()


def test_a_typed_twin_goes_to_the_desk_in_place_of_a_scan(page: Page) -> None:
    desk = page.app.extensions["rig"].desk
    twin = new_twin("31")
    assert page.begin().status_code == 200
    answer = page.post("typed", {"text": spaced(twin)})
    assert (answer.status_code, answer.json["state"]) == (200, "CHECKING")
    page.kiosk.step()
    (body,) = desk.bodies
    assert json.loads(body)["code"] == twin
    assert desk.people == [PERSON]


def test_a_slip_is_said_at_the_kiosk_and_other_texts_are_the_desks_to_judge(page: Page) -> None:
    desk = page.app.extensions["rig"].desk
    twin = new_twin("31")
    assert page.begin().status_code == 200
    slip = twin[:-1] + str((int(twin[-1]) + 1) % 10)
    assert page.post("typed", {"text": slip}).json["code"] == Reason.TWIN_MISTYPED
    assert page.post("typed", {"text": " "}).json["code"] == Reason.CODE_MALFORMED
    assert page.post("typed", {}).json["code"] == Reason.CODE_MALFORMED
    assert page.post("typed", {"text": ["1"]}).json["code"] == Reason.BODY_INVALID
    assert page.kiosk.counter().state == "WAITING"
    assert page.post("typed", {"text": "SFM-something of an app"}).status_code == 200
    page.kiosk.step()
    assert json.loads(desk.bodies[0])["code"] == "SFM-something of an app"


def test_nothing_is_typed_before_a_case_is_ready(page: Page) -> None:
    assert page.post("typed", {"text": new_twin("31")}).json["code"] == Reason.STATE_FORBIDS

"""The counter's two longer ways, engine against the real country: an ID card and a signature instead of a phone, and two
people for one visit."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from hashlib import sha256

import pytest

from consent.approval import Decision
from consent.b64 import from_b64, to_b64
from consent.errors import Reason, Refusal, Unavailable
from consent.transport import Letter, Topic
from scanner_kiosk.counter import Guidance
from scanner_kiosk.country.people import Persona, pair
from scanner_kiosk.face import state_of
from tests.country import Stage, persona, refused
from tests.kiosk_stage import SIGNATURE, Here, kiosk_app
from tests.test_couples import spouse_of
from verifier.stores import inner


@pytest.fixture
def here(stage: Stage) -> Iterator[Here]:
    with kiosk_app(stage) as (app, log):
        yield Here(stage=stage, kiosk=app.extensions["kiosk"], log=log)


MARRIED = pair("31", "33")


# --- without a phone ------------------------------------------------------------------------------


def test_a_card_and_a_signature_end_with_the_copy_and_are_wiped_with_it(here: Here) -> None:
    sheet = here.read(MARRIED)
    assert sheet["unit"]["name_zh"] == "南京市玄武区不动产登记中心"
    here.answer()
    assert here.state == "SEARCHING"
    here.until("PASSED")
    counter = here.kiosk.counter()
    assert counter.view is not None
    assert counter.view.copy is not None
    assert counter.view.library == "33"
    here.kiosk.clear()
    here.kiosk.step()
    assert here.kiosk.counter().on_card is None
    assert [row.answer_secret for row in here.stage.rows("32", inner.visits)] == [None]
    for secret in (MARRIED.id_number, MARRIED.name, "strokes", sheet["request"]):
        assert secret not in here.log.getvalue()
    here.stage.books()


@pytest.mark.full
def test_declining_takes_no_signature_and_no_declaration_and_fetches_nothing(here: Here) -> None:
    here.read(MARRIED)
    here.answer(Decision.DECLINE, strokes=None, declarations=())
    here.until("REFUSED")
    assert here.reason is Reason.NOT_AUTHORISED
    assert not [letter for wire in here.stage.wires.values() for letter in wire.sent if letter.topic is Topic.FETCH]


@pytest.mark.full
def test_a_face_match_is_taken_when_it_is_chosen_and_only_of_the_person_on_the_card(here: Here) -> None:
    here.read(MARRIED)
    other = pair("31", "31").id
    for standing in (other, ""):
        with pytest.raises(Refusal):
            here.answer(method="face", strokes=None, standing=standing)
    assert refused(here.answer, method="face", strokes=None, standing=other) is Reason.FACE_NOT_MATCHED
    assert here.state == "SIGNING"
    here.answer(method="face", strokes=None, standing=MARRIED.id)
    here.until("PASSED")
    consented = [row.body for row in here.stage.rows("32", inner.ledger.entries) if row.act == "CONSENTED"]
    assert '"method":"face"' in consented[0]


@pytest.mark.full
def test_what_is_missing_is_said_and_the_sheet_stays(here: Here) -> None:
    here.read(MARRIED)
    dot = [[[500, 500, n] for n in range(20)]]
    line = [[[n, 500, n] for n in range(0, 10_000, 1000)]]
    for changes, reason in (
        ({"declarations": ()}, Reason.DECLARATION_MISSING),
        ({"strokes": None}, Reason.BODY_INVALID),
        ({"strokes": []}, Reason.BODY_INVALID),
        ({"strokes": dot}, Reason.BODY_INVALID),
        ({"strokes": [[[0, 0, 0]]]}, Reason.BODY_INVALID),
        ({"strokes": [*line, [[10_001, 0, 0]]]}, Reason.BODY_INVALID),
        ({"strokes": [*line, [[True, 0, 0]]]}, Reason.BODY_INVALID),
        ({"strokes": [*line, "x"]}, Reason.BODY_INVALID),
        ({"strokes": line * 301}, Reason.BODY_INVALID),
        ({"method": "app"}, Reason.APPROVAL_METHOD_NOT_ALLOWED),
        ({"sheet": "another"}, Reason.STATE_FORBIDS),
    ):
        assert refused(here.answer, **changes) is reason, changes
    assert here.state == "SIGNING"
    assert refused(here.kiosk.evidence) is Reason.STATE_FORBIDS
    here.answer(strokes=line)
    here.until("PASSED")


def test_the_card_of_another_person_is_not_read_for_this_case(here: Here) -> None:
    here.begin(MARRIED)
    assert refused(here.kiosk.card_route.lay, MARRIED.id) is Reason.STATE_FORBIDS
    here.kiosk.card_route.no_phone()
    here.kiosk.card_route.no_phone()  # pressed twice
    assert refused(here.kiosk.card_route.lay, pair("31", "31").id) is Reason.HOLDER_MISMATCH
    assert here.state == "READING"
    here.kiosk.again()
    assert here.state == "WAITING"
    assert here.stage.rows("32", inner.visits) == []


@pytest.mark.full
def test_nobody_who_signs_is_the_end_of_it(here: Here) -> None:
    here.read(MARRIED)
    here.stage.pass_time(180)
    here.until("REFUSED")
    assert here.reason is Reason.NOT_AUTHORISED


@pytest.mark.full
def test_the_evidence_file_holds_the_strokes_that_the_pad_has_signed(here: Here) -> None:
    here.read(MARRIED)
    here.answer()
    found = json.loads(here.kiosk.evidence())
    assert json.loads(found["raw"]) == {"method": "pad", "strokes": SIGNATURE}
    digest = to_b64(hmac.digest(from_b64(found["salt"]), found["raw"].encode(), sha256))
    payload = json.loads(from_b64(found["pad"].split(".")[1]))
    assert found["evidence"] == payload["evidence"] == digest
    assert MARRIED.id_number not in here.kiosk.evidence().decode()
    here.kiosk.clear()
    assert refused(here.kiosk.evidence) is Reason.STATE_FORBIDS


@pytest.mark.full
def test_a_desk_that_is_lost_after_the_signature_is_given_the_same_answer_again(here: Here) -> None:
    here.read(MARRIED)
    here.answer()
    client = here.kiosk.chosen.window.client
    way = client.line
    object.__setattr__(client, "line", Silent(calls=3))
    here.until("UNDETERMINED")
    assert here.reason is Reason.OFFLINE
    object.__setattr__(client, "line", way)
    here.kiosk.retry()
    here.until("PASSED")
    assert len(here.stage.rows("32", inner.visits)) == 1


class Silent:
    """A line on which nothing arrives."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def call(self, *_: object) -> object:
        self.calls -= 1
        assert self.calls >= 0
        raise Unavailable(Reason.OFFLINE, "desk")


def told(here: Here) -> bool:
    """Whether the screen says that a colleague will be needed."""
    found = state_of(here.kiosk, guidance=Guidance.PAUSED, has_picture=False, officer=None)
    return bool(found["chosen"]["second_officer"])


def test_the_officer_is_told_of_the_second_one_before_the_way_without_a_phone_begins(here: Here) -> None:
    divorced = pair("31", "32")
    here.begin(divorced, matter="marriage.register", type_="divorce")
    assert told(here)
    here.kiosk.card_route.no_phone()
    assert (here.state, told(here)) == ("READING", True)
    here.kiosk.card_route.lay(divorced.id)
    here.until("SIGNING")
    assert not told(here)  # the citizen reads; the screen asks for the colleague when the turn comes
    here.kiosk.clear()
    here.begin(MARRIED)
    assert (here.state, told(here)) == ("WAITING", False)
    here.kiosk.card_route.no_phone()
    assert not told(here)


def test_a_desk_of_before_says_it_with_the_sheet_alone(here: Here) -> None:
    here.begin(pair("31", "32"), matter="marriage.register", type_="divorce")
    register = here.kiosk.chosen.register
    assert register is not None
    for each in register["matters"]:
        assert isinstance(each.pop("second_officer"), bool)
    assert (here.state, told(here)) == ("WAITING", False)


def test_a_sensitive_matter_wants_a_second_officers_staff_card(here: Here) -> None:
    divorced = pair("31", "32")
    sheet = here.read(divorced, matter="marriage.register", type_="divorce")
    assert sheet["second_officer"] is True
    assert refused(here.kiosk.card_route.attest, "32-M-01") is Reason.STATE_FORBIDS
    here.answer()
    assert here.state == "ATTESTING"
    here.kiosk.step()
    assert here.state == "ATTESTING"
    assert refused(here.kiosk.card_route.attest, "32-R-01") is Reason.OFFICER_UNKNOWN
    here.kiosk.card_route.attest("32-M-02")
    here.until("PASSED")
    assert json.loads(here.kiosk.evidence())["officer"].startswith("ey")


@pytest.mark.full
def test_declining_a_sensitive_matter_needs_nobody_else(here: Here) -> None:
    here.read(pair("31", "32"), matter="marriage.register", type_="divorce")
    here.answer(Decision.DECLINE)
    here.until("REFUSED")


# --- two people -----------------------------------------------------------------------------------


@pytest.fixture
def two(stage: Stage) -> tuple[Persona, Persona]:
    """Two married people, with apps in 31 and 34, certificates in 33 and 31."""
    return MARRIED, spouse_of(stage, MARRIED, province="34", library="31")


def come(here: Here, two: tuple[Persona, Persona]) -> None:
    here.begin(two[0], matter="divorce.apply", partner=two[1].id_number)


def test_two_phones_one_after_the_other_end_with_both_copies(here: Here, two: tuple[Persona, Persona]) -> None:
    come(here, two)
    assert not told(here)  # each of two people answers on the own phone, which needs nobody else
    first = here.hold_in(two[0])
    one = here.kiosk.counter().view
    here.agree(first)
    here.until("WAITING")
    counter = here.kiosk.counter()
    assert counter.second
    assert counter.view is None
    second = here.hold_in(two[1])
    assert here.kiosk.counter().first is not None
    here.agree(second)
    here.until("PASSED")
    counter = here.kiosk.counter()
    assert counter.first is not None
    assert counter.view is not None
    assert one is not None
    assert counter.first.view.request_id == one.request_id
    assert counter.first.view.copy is not None
    assert counter.view.copy is not None
    assert (counter.first.view.library, counter.view.library) == ("33", "31")
    here.kiosk.clear()
    here.kiosk.step()
    assert [row.answer_secret for row in here.stage.rows("32", inner.visits)] == [None, None]
    assert here.kiosk.counter().first is None
    for who in two:
        assert who.id_number not in here.log.getvalue()
    here.stage.books()


@pytest.mark.full
def test_a_first_who_declines_ends_it_before_the_second_is_asked(here: Here, two: tuple[Persona, Persona]) -> None:
    come(here, two)
    phone = here.hold_in(two[0])
    phone.answer(Decision.DECLINE, phone.sheet()["sheet"])
    here.until("REFUSED")
    assert here.reason is Reason.NOT_AUTHORISED


@pytest.mark.full
def test_a_second_who_declines_is_the_reason_for_both(here: Here, two: tuple[Persona, Persona]) -> None:
    come(here, two)
    here.agree(here.hold_in(two[0]))
    here.until("WAITING")
    phone = here.hold_in(two[1])
    phone.answer(Decision.DECLINE, phone.sheet()["sheet"])
    here.until("REFUSED")
    assert here.reason is Reason.NOT_AUTHORISED
    first = here.kiosk.counter().first
    assert first is not None
    assert first.view.said.reason is Reason.PARTNER_MISSING
    assert first.view.copy is None


@pytest.mark.full
def test_a_second_who_never_comes_ends_the_first(here: Here, two: tuple[Persona, Persona]) -> None:
    come(here, two)
    here.agree(here.hold_in(two[0]))
    here.until("WAITING")
    here.stage.pass_time(200)
    here.until("UNDETERMINED")
    first = here.kiosk.counter().first
    assert first is not None
    assert first.view.copy is None
    here.kiosk.again()
    assert here.state == "WAITING"
    assert not here.kiosk.counter().second


@pytest.mark.full
def test_a_code_that_was_too_old_lets_the_second_show_another_while_the_first_waits(
    here: Here, two: tuple[Persona, Persona]
) -> None:
    come(here, two)
    here.agree(here.hold_in(two[0]))
    here.until("WAITING")
    phone = here.stage.country.phone_of(two[1])
    phone.show()
    old = phone.code()
    here.stage.pass_time(75)
    here.kiosk.typed(old)
    here.until("REFUSED")
    assert here.reason is Reason.CODE_EXPIRED
    here.kiosk.again()
    assert here.kiosk.counter().second
    here.agree(here.hold_in(two[1]))
    here.until("PASSED")


@pytest.mark.full
def test_a_library_that_fails_for_one_shows_neither_and_says_why(here: Here, two: tuple[Persona, Persona]) -> None:
    def no_31(letter: Letter) -> Letter:
        if letter.topic is Topic.FETCH and letter.to == "31":
            raise Unavailable(Reason.EXCHANGE_UNREACHABLE)
        return letter

    come(here, two)
    here.agree(here.hold_in(two[0]))
    here.until("WAITING")
    second = here.hold_in(two[1])
    here.stage.rule(no_31)
    here.agree(second)
    here.stage.pass_time(60, step=5)
    here.until("UNDETERMINED")
    assert here.reason is not Reason.PARTNER_MISSING
    counter = here.kiosk.counter()
    assert not counter.can_retry
    assert counter.view is not None
    assert counter.first is not None
    assert counter.view.copy is counter.first.view.copy is None
    here.kiosk.again()
    assert not here.kiosk.counter().second


@pytest.mark.full
def test_two_strangers_are_told_that_they_are_not_of_one_registration(here: Here) -> None:
    stranger = pair("32", "33")
    come(here, (MARRIED, stranger))
    here.agree(here.hold_in(MARRIED))
    here.until("WAITING")
    here.agree(here.hold_in(stranger))
    here.until("REFUSED")
    assert here.reason is Reason.COUPLE_MISMATCH


def test_who_may_not_come_together_is_told_before_anything_is_scanned(here: Here) -> None:
    for matter, type_, other, reason in (
        ("divorce.apply", "marriage", MARRIED.id_number, Reason.COUPLE_MISMATCH),
        ("marriage.register", "divorce", pair("31", "31").id_number, Reason.STATE_FORBIDS),
    ):
        assert refused(here.begin, MARRIED, matter=matter, type_=type_, partner=other) is reason
    assert refused(here.begin, None, matter="divorce.apply", partner=MARRIED.id_number) is Reason.HOLDER_MATCH_MISSING
    assert here.state == "IDLE"


def test_two_people_have_neither_the_card_route_nor_a_code_of_ours(here: Here, two: tuple[Persona, Persona]) -> None:
    come(here, two)
    assert refused(here.kiosk.card_route.no_phone) is Reason.STATE_FORBIDS
    assert refused(here.kiosk.invite) is Reason.STATE_FORBIDS
    assert here.state == "WAITING"


@pytest.mark.full
def test_somebody_without_a_certificate_hears_it_after_signing(here: Here) -> None:
    here.read(persona("no-certificate"))
    here.answer()
    here.until("UNDETERMINED")
    assert here.reason is Reason.NOT_FOUND

"""Two people for one visit (A13): both certificates or none, whoever comes first, and only the two of one registration."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import Connection

from consent.b64 import new_id
from consent.clock import shanghai_date
from consent.errors import Reason, Refusal, Unavailable
from consent.people import CitizenId
from consent.stores.base import writing
from consent.transport import Letter, Topic
from scanner_kiosk.country.founding import certificate_of
from scanner_kiosk.country.people import Persona, Story, pair
from scanner_kiosk.visit import View
from tests.country import Scene, Stage, refused
from tests.test_express import certificate, offered
from verifier.library.issuing import issue
from verifier.stores import inner

_NUMBERS = count(900_000)


@dataclass(slots=True, kw_only=True)
class Couple:
    """Two scenes at one window under one name."""

    stage: Stage
    name: str
    one: Scene
    two: Scene

    def present(self) -> None:
        """Both are scanned, and both phones have their sheet."""
        self.one.present()
        self.two.present()
        self.stage.pump()

    def views(self) -> tuple[View, View]:
        """What the counter sees of both."""
        return self.one.view(), self.two.view()

    def states(self) -> tuple[str, str]:
        """Their states alone."""
        one, two = self.views()
        return one.state, two.state


def spouse_of(stage: Stage, who: Persona, *, province: str, library: str) -> Persona:
    """The other party of somebody's registration, with a certificate of their own in that library."""
    story = who.stories[0]
    spouse = Persona(
        id="spouse",
        province=province,
        name=story.partner_name,
        id_number=story.partner_id,
        husband=not who.husband,
        note_zh="对方",
        note_en="other party",
        stories=(
            Story(
                library=library,
                type=story.type,
                registered=story.registered,
                partner_name=who.name,
                partner_id=who.id_number,
            ),
        ),
    )
    certificate = certificate_of(spouse, spouse.stories[0], next(_NUMBERS))
    issue(stage.province(library).library, certificate, now=stage.clock.now())
    return spouse


def number(stage: Stage, who: Persona) -> CitizenId:
    """Somebody's ID number as the kiosk reads it."""
    return CitizenId.parse(who.id_number, today=shanghai_date(stage.clock.now()))


def scanned(stage: Stage, who: Persona, other: Persona, name: str, desk: str = "32") -> Scene:
    """One of the two, scanned at the window."""
    phone = stage.country.phone_of(who)
    phone.show()
    return stage.scanned(who, phone, desk, couple=name, other=number(stage, other))


@pytest.fixture
def couple(stage: Stage) -> Couple:
    """Two married people: an app in 31 and one in 34, certificates in 33 and 31, a counter in 32."""
    one = pair("31", "33")
    two = spouse_of(stage, one, province="34", library="31")
    name = new_id()
    return Couple(stage=stage, name=name, one=scanned(stage, one, two, name), two=scanned(stage, two, one, name))


def test_both_agree_and_both_certificates_are_shown(couple: Couple) -> None:
    couple.present()
    couple.one.agree()
    couple.stage.pump()
    assert couple.states() == ("AGREED", "ASKED")
    assert not _letters(couple, Topic.FETCH)
    couple.two.agree()
    couple.stage.pump()
    one, two = couple.views()
    assert (one.state, two.state) == ("PASSED", "PASSED")
    assert one.copy is not None
    assert two.copy is not None
    assert {one.library, two.library} == {"33", "31"}
    couple.stage.books()


def test_the_order_in_which_they_answer_does_not_matter(couple: Couple) -> None:
    couple.present()
    couple.two.agree()
    couple.stage.pump()
    couple.one.agree()
    couple.stage.pump()
    assert couple.states() == ("PASSED", "PASSED")


def test_when_one_declines_nothing_is_fetched_for_either(couple: Couple) -> None:
    couple.present()
    couple.one.agree()
    couple.stage.pump()
    couple.two.decline()
    couple.stage.pump()
    one, two = couple.views()
    assert (one.state, one.said.reason) == ("UNDETERMINED", Reason.PARTNER_MISSING)
    assert (two.state, two.said.reason) == ("REFUSED", Reason.NOT_AUTHORISED)
    assert not _letters(couple, Topic.FETCH)


def test_when_one_says_nothing_the_other_is_not_shown(couple: Couple) -> None:
    couple.present()
    couple.one.agree()
    couple.stage.pass_time(200)
    one, two = couple.views()
    assert one.state == "UNDETERMINED"
    assert two.state in ("REFUSED", "UNDETERMINED")
    assert one.copy is two.copy is None


@pytest.mark.full
def test_when_one_fetch_fails_the_other_copy_is_discarded(couple: Couple) -> None:
    def no_31(letter: Letter) -> Letter:
        if letter.topic is Topic.FETCH and letter.to == "31":
            raise Unavailable(Reason.EXCHANGE_UNREACHABLE)
        return letter

    couple.present()
    couple.stage.rule(no_31)
    couple.one.agree()
    couple.two.agree()
    couple.stage.pass_time(60, step=5)
    one, two = couple.views()
    assert (one.state, one.said.reason) == ("UNDETERMINED", Reason.PARTNER_MISSING)
    assert two.state == "UNDETERMINED"
    assert one.copy is two.copy is None
    rows = couple.stage.rows("32", inner.visits)
    assert [row.answer_secret for row in rows] == [None, None]


def test_two_who_are_not_of_one_registration_are_refused_by_the_library(stage: Stage) -> None:
    one, stranger = pair("31", "33"), pair("32", "33")
    name = new_id()
    found = Couple(
        stage=stage,
        name=name,
        one=scanned(stage, one, stranger, name),
        two=scanned(stage, stranger, one, name),
    )
    found.present()
    found.one.agree()
    found.two.agree()
    stage.pump()
    reasons = {view.said.reason for view in found.views()}
    assert reasons <= {Reason.COUPLE_MISMATCH, Reason.PARTNER_MISSING}
    assert Reason.COUPLE_MISMATCH in reasons
    assert all(view.copy is None for view in found.views())


def test_two_requests_that_name_different_people_are_refused_at_once(stage: Stage) -> None:
    one = pair("31", "33")
    two = spouse_of(stage, one, province="34", library="31")
    name = new_id()
    scanned(stage, one, two, name).present()
    wrong = scanned(stage, two, pair("34", "32"), name)
    assert refused(wrong.present) is Reason.COUPLE_MISMATCH


def test_a_third_person_is_refused(couple: Couple) -> None:
    couple.present()
    third = scanned(couple.stage, pair("31", "33"), couple.two.who, couple.name)
    assert refused(third.present) in (Reason.STATE_FORBIDS, Reason.COUPLE_MISMATCH)


def test_a_matter_for_one_person_takes_no_two(stage: Stage) -> None:
    one, two = pair("31", "32"), pair("32", "34")  # both divorced: each marries somebody new
    phone = stage.country.phone_of(one)
    phone.show()
    scene = stage.scanned(one, phone, "32", couple=new_id(), other=number(stage, two))
    assert refused(scene.present) is Reason.BODY_INVALID
    assert not stage.rows("32", inner.visits)


def test_one_person_is_no_couple(stage: Stage) -> None:
    one = pair("31", "33")
    assert refused(scanned(stage, one, one, new_id()).present) is Reason.COUPLE_MISMATCH


def test_letters_that_arrive_twice_change_nothing(couple: Couple) -> None:
    couple.present()
    couple.one.agree()
    couple.two.agree()
    couple.stage.pump()
    for letter in [*_letters(couple, Topic.CONSENT), *_letters(couple, Topic.COPY)]:
        couple.stage.province(letter.to).peers.receive(letter, now=couple.stage.clock.now())
    couple.stage.pump()
    assert couple.states() == ("PASSED", "PASSED")
    couple.stage.books()


def test_who_came_together_is_forgotten_after_a_day(couple: Couple) -> None:
    couple.present()
    assert len(couple.stage.rows("32", inner.couples)) == 2
    couple.stage.clock.advance(25 * 3600)
    couple.stage.pump()
    assert couple.stage.rows("32", inner.couples) == []


def test_a_second_who_comes_after_the_first_has_ended_is_not_asked(couple: Couple) -> None:
    couple.one.present()
    couple.stage.pump()
    couple.one.decline()
    couple.stage.pump()
    assert couple.one.view().state == "REFUSED"
    for _ in range(2):  # the same bytes again are no way round
        assert refused(couple.two.present) is Reason.PARTNER_MISSING
    couple.stage.pump()
    assert refused(couple.two.view) is Reason.REQUEST_UNKNOWN, "nothing was stored"
    assert couple.two.showing()["state"] == "OPEN", "nothing of the second's showing is used up"
    assert len(couple.stage.rows("32", inner.visits)) == len(couple.stage.rows("32", inner.couples)) == 1
    couple.stage.books()


def test_after_a_first_who_ended_both_may_begin_again(couple: Couple) -> None:
    couple.one.present()
    couple.stage.pump()
    couple.one.agree(digits=None)
    couple.stage.pump()
    assert refused(couple.two.present) is Reason.PARTNER_MISSING
    name, stage = new_id(), couple.stage
    one, two = (
        scanned(stage, a, b, name) for a, b in ((couple.one.who, couple.two.who), (couple.two.who, couple.one.who))
    )
    afresh = Couple(stage=stage, name=name, one=one, two=two)
    afresh.present()
    afresh.one.agree()
    afresh.two.agree()
    stage.pump()
    assert afresh.states() == ("PASSED", "PASSED")
    stage.books()


def _letters(couple: Couple, topic: Topic) -> list[Letter]:
    return [each for wire in couple.stage.wires.values() for each in wire.sent if each.topic is topic]


def test_the_sheet_says_that_it_is_one_of_two_and_for_one_person_that_it_is_not(couple: Couple) -> None:
    couple.present()
    assert couple.one.sheet()["sheet"]["together"] is True
    assert couple.two.sheet()["sheet"]["together"] is True
    alone = couple.stage.scene("32", "32", "34")
    alone.asked_and_shown()
    assert alone.sheet()["sheet"]["together"] is False


def _told(couple: Couple, state: str) -> None:
    """One's phone knows by now that the other will not come, and has it in writing; the digits are of no use any more."""
    showing = couple.one.showing()
    assert (showing["state"], showing["reason"]) == (state, "PARTNER_MISSING")
    assert showing["result"]["receipt"] is not None
    assert (couple.one.claim().state, couple.one.claim().reason) == ("ENDED", "PARTNER_MISSING")
    assert not _letters(couple, Topic.FETCH)
    couple.stage.books()


def test_when_one_declines_the_other_sheet_closes_at_once_and_says_why(couple: Couple) -> None:
    couple.present()
    couple.two.decline()
    couple.stage.pump()
    assert couple.states() == ("UNDETERMINED", "REFUSED")
    _told(couple, "REFUSED")


def test_when_one_is_refused_the_other_sheet_closes_at_once(couple: Couple) -> None:
    couple.present()
    couple.two.agree(digits=None)
    couple.stage.pump()
    assert couple.two.view().said.reason is Reason.DIGITS_WRONG
    _told(couple, "REFUSED")


def test_when_one_withdraws_before_the_other_has_answered_both_are_over_at_once(couple: Couple) -> None:
    couple.present()
    couple.two.agree()
    couple.stage.pump()
    couple.two.withdraw()
    couple.stage.pump()
    assert couple.two.showing()["state"] == "WITHDRAWN"
    one, two = couple.views()
    assert (one.state, one.said.reason) == ("UNDETERMINED", Reason.PARTNER_MISSING)
    assert (two.state, two.said.reason) == ("REFUSED", Reason.WITHDRAWN)
    _told(couple, "REFUSED")


def test_whoever_agrees_in_the_moment_in_which_the_other_declines_is_told_so_at_once(couple: Couple) -> None:
    couple.present()
    couple.stage.rule(lambda letter: None if letter.topic is Topic.OUTCOME else letter)
    couple.two.decline()
    couple.stage.pump()
    (news,) = {letter.body: letter for letter in _letters(couple, Topic.OUTCOME)}.values()
    couple.stage.rule(None)
    couple.one.agree()
    couple.stage.pump()
    _told(couple, "UNDETERMINED")
    couple.stage.province(news.to).peers.receive(news, now=couple.stage.clock.now())
    couple.stage.pump()
    _told(couple, "UNDETERMINED")


def _delayed(couple: Couple, *lost: Topic) -> Letter:
    """Two's question is under way, while one says no. Letters about `lost` are under way too."""
    couple.one.present()
    couple.stage.pump()
    couple.stage.rule(lambda letter: None if letter.topic in (Topic.ASK, *lost) else letter)
    couple.two.present()
    couple.one.decline()
    couple.stage.pump()
    couple.stage.rule(None)
    assert couple.two.view().said.reason is Reason.PARTNER_MISSING
    (question,) = (each for each in _letters(couple, Topic.ASK) if each.to == "34")
    return question


def test_a_question_that_comes_after_the_news_that_the_other_is_missing_opens_no_sheet(couple: Couple) -> None:
    question = _delayed(couple)
    home = couple.stage.province("34")
    assert not [row for row in couple.stage.rows("32", inner.outbox) if row.state != "DONE"], "the news was taken"
    (news,) = (each for each in _letters(couple, Topic.OUTCOME) if each.to == "34")
    for letter in (news, question, question, news):
        home.peers.receive(letter, now=couple.stage.clock.now())
        couple.stage.pump()
    assert couple.two.claim() is None
    assert couple.two.showing()["state"] == "OPEN", "nothing of the showing is used up"
    (entry,) = couple.stage.rows("34", inner.history.entries)
    assert (entry.outcome, entry.reason) == ("UNDETERMINED", "PARTNER_MISSING")
    assert couple.states() == ("REFUSED", "UNDETERMINED")
    couple.stage.books()


def test_another_desk_cannot_say_that_the_other_is_missing(couple: Couple) -> None:
    """Neither before the question comes nor afterwards."""
    stage, now = couple.stage, couple.stage.clock.now()
    couple.one.present()
    request = couple.one.row().request_digest
    rogue, home = stage.province("33"), stage.province("31")
    answer = rogue.office.answer("31", request, Reason.PARTNER_MISSING, now=now)
    lie = rogue.office.letter("31", Topic.OUTCOME, {"request": request, "answer": answer}, request_id=new_id())
    home.peers.receive(lie, now=now)
    stage.pump()
    assert couple.one.sheet()["sheet"]["together"] is True
    assert refused(lambda: home.peers.receive(lie, now=now)) is Reason.REQUEST_UNKNOWN
    stage.pump()
    assert (couple.one.claim().state, couple.one.showing()["state"]) == ("ASKED", "CLAIMED")


def test_the_question_and_the_news_in_one_moment_leave_no_sheet_open(
    couple: Couple, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The news found no claim, and before it is remembered the question has claimed."""
    question = _delayed(couple, Topic.OUTCOME)
    home, now = couple.stage.province("34"), couple.stage.clock.now()
    (news,) = {each.body: each for each in _letters(couple, Topic.OUTCOME) if each.to == "34"}.values()
    find, looks = inner.claim_of_request, iter([True])

    def late(conn: Connection, request_digest: str) -> inner.ClaimRow | None:
        found = find(conn, request_digest)
        if next(looks, False):
            home.peers.receive(question, now=now)
        return found

    monkeypatch.setattr(inner, "claim_of_request", late)
    home.peers.receive(news, now=now)
    couple.stage.pump()
    assert (couple.two.claim().state, couple.two.claim().reason) == ("ENDED", "PARTNER_MISSING")
    assert (couple.two.showing()["state"], couple.two.showing()["reason"]) == ("REFUSED", "PARTNER_MISSING")
    couple.stage.books()


@pytest.mark.parametrize("lost", [Topic.CONSENT, Topic.COPY])
def test_when_the_desk_has_waited_long_enough_both_phones_end_at_once(couple: Couple, lost: Topic) -> None:
    """Of two nobody asks again for one, so that this is an end and no pause."""
    couple.present()
    couple.stage.rule(lambda letter: None if letter.topic is lost and letter.sender == "31" else letter)
    couple.one.agree()
    couple.two.agree()
    couple.stage.pump()
    couple.stage.pass_time(170 if lost is Topic.CONSENT else 40)
    assert couple.states() == ("UNDETERMINED", "UNDETERMINED")
    assert Reason.DEADLINE in {view.said.reason for view in couple.views()}
    told = [couple.two] if lost is Topic.CONSENT else [couple.one, couple.two]  # whose consent was lost is not known
    for each in told:
        showing = each.showing()
        assert (showing["state"], each.claim().state) == ("UNDETERMINED", "ENDED")
        assert showing["reason"] in ("DEADLINE", "PARTNER_MISSING")
        assert showing["result"]["receipt"] is not None
    couple.stage.books()


def test_a_partners_end_is_told_however_late(couple: Couple) -> None:
    """What came first is remembered as long as it can matter, and an end is not mistaken for one that came first."""
    couple.present()
    couple.stage.rule(lambda letter: None if letter.topic is Topic.OUTCOME else letter)
    couple.one.agree()
    couple.stage.pump()
    couple.two.decline()
    couple.stage.pump()
    desk, home = couple.stage.province("32"), couple.stage.province("31")
    couple.stage.clock.advance(280)  # the consent still lives
    couple.stage.rule(None)
    with writing(home.office.inner) as conn:
        inner.forget_uses(conn, expired_before=couple.stage.clock.now() + timedelta(hours=1))
    request = couple.one.row().request_digest
    answer = desk.office.answer("31", request, Reason.PARTNER_MISSING, now=couple.stage.clock.now())
    letter = desk.office.letter("31", Topic.OUTCOME, {"request": request, "answer": answer}, request_id=new_id())
    home.peers.receive(letter, now=couple.stage.clock.now())
    couple.stage.pump()
    _told(couple, "UNDETERMINED")


def test_only_a_missing_partner_closes_a_sheet_that_nobody_has_answered(couple: Couple) -> None:
    """A desk cannot take the question back in any other way, and it cannot say that something was fetched."""
    couple.present()
    desk, home = couple.stage.province("32"), couple.stage.province("31")
    request = couple.one.row().request_digest
    for reason in (None, Reason.NOT_AUTHORISED):
        answer = desk.office.answer("31", request, reason, now=couple.stage.clock.now())
        letter = desk.office.letter(
            "31", Topic.OUTCOME, {"request": request, "answer": answer}, request_id=couple.one.row().request_id
        )
        with pytest.raises(Refusal) as no:
            home.peers.receive(letter, now=couple.stage.clock.now())
        assert no.value.reason is Reason.STATE_FORBIDS
    assert couple.one.claim().state == "ASKED"


def test_an_answer_given_beforehand_spoke_of_one_person_and_stands_for_no_two(stage: Stage) -> None:
    one = pair("31", "33")
    two = spouse_of(stage, one, province="34", library="31")
    scene = scanned(stage, one, two, new_id())
    offer = offered(stage, scene.phone, scene, "realestate.register")
    scene.phone.stand(offer, certificate(stage, scene.phone))
    assert scene.asked_and_shown().state == "ASKED"
    assert scene.claim().consent is None

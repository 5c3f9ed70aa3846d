"""The counter shows a code and the phone reads it: the first phone wins, and the digits are asked for as always."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection, Table

from consent.b64 import new_id
from consent.errors import Reason, Refusal
from consent.invitation import LENGTH, PREFIX, open_invitation, seal_invitation
from consent.keys import new_key
from consent.sentences import sentences
from consent.transport import Letter, Topic
from scanner_kiosk.country.people import pair
from scanner_kiosk.phone import Phone
from tests.country import MATTER_OF, Scene, Stage, ask, refused
from verifier.stores import inner, invitations


def invited(stage: Stage, scene: Scene, **changes: object) -> tuple[Scene, str]:
    """The scene's counter invites a phone instead of scanning one; what stands on its screen."""
    type_ = scene.who.stories[0].type
    asked = ask(stage, scene.client, scene.who, code=None, matter=MATTER_OF[type_], type_=type_, **changes)
    return replace(scene, asked=asked), scene.client.invite(asked)


def seal_invitation_of(stage: Stage, desk: str) -> str:
    """A code that this desk's key sealed and that nobody's kiosk shows."""
    key = stage.province(desk).office.request_key
    return seal_invitation(key, window=f"{desk}-R1", request_id=new_id(), now=stage.clock.now())


def test_a_phone_that_reads_the_counter_ends_with_the_certificate_there(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    assert refused(scene.view) is Reason.REQUEST_UNKNOWN
    come = scene.phone.read_counter(counter)
    assert scene.phone.came(come) == "PENDING"
    stage.pump()
    assert scene.phone.came(come) == "TAKEN"
    assert scene.view().state == "ASKED"
    scene.agree()
    assert scene.finish().state == "PASSED"
    stage.books()


def test_in_the_own_province_it_is_the_same(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("32", "32", "33"))
    scene.phone.read_counter(counter)
    stage.pump()
    scene.agree()
    assert scene.finish().state == "PASSED"


def test_the_digits_are_those_of_the_counter_and_asked_for(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    scene.phone.read_counter(counter)
    stage.pump()
    wrong = next(each for each in scene.sheet()["sheet"]["digits"] if each != scene.view().digits)
    scene.agree(digits=wrong)
    view = scene.finish()
    assert view.state == "REFUSED"
    assert view.said.reason is Reason.DIGITS_WRONG


def test_without_the_person_at_the_counter_nobody_is_invited(stage: Stage) -> None:
    scene = stage.scene("31", "32", "33")
    assert refused(invited, stage, scene, number=None) is Reason.HOLDER_MATCH_MISSING
    assert not stage.rows("32", inner.visits)


def test_what_was_agreed_beforehand_does_not_spare_the_digits(stage: Stage) -> None:
    from tests.test_express import WEDDED, standing

    scene = stage.scene("31", "32", "33", matter=WEDDED)
    standing(stage, scene)
    asked = ask(stage, scene.client, scene.who, code=None, matter=WEDDED, type_="marriage")
    scene, counter = replace(scene, asked=asked), scene.client.invite(asked)
    scene.phone.read_counter(counter)
    stage.pump()
    assert scene.view().state == "ASKED"
    assert scene.claim().consent is None


def test_the_first_phone_wins(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    other = stage.country.phone_of(pair("34", "33"))
    other.show()
    first, second = scene.phone.read_counter(counter), other.read_counter(counter)
    stage.pump()
    outcomes = sorted([_outcome(scene.phone, first), _outcome(other, second)])
    assert outcomes == ["CODE_ALREADY_USED", "TAKEN"]
    assert len([row for row in stage.rows("32", inner.visits) if row.request_id == scene.asked.request_id]) == 1


def test_somebody_else_than_the_person_at_the_counter_is_refused(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    other = stage.country.phone_of(pair("34", "33"))
    other.show()
    other.read_counter(counter)
    stage.pump()
    assert scene.view().said.reason is Reason.HOLDER_MISMATCH


def test_a_phone_that_is_turned_away_before_there_is_a_sheet_hears_why_and_goes_on(stage: Stage) -> None:
    _, counter = invited(stage, stage.scene("31", "32", "33"))
    other = stage.country.phone_of(pair("34", "33"))
    other.show()
    elsewhere = other.read_counter(seal_invitation_of(stage, "33"))
    come = other.read_counter(counter)
    stage.pump()
    stage.pass_time(5, step=1)
    assert refused(other.came, come) is Reason.HOLDER_MISMATCH
    assert refused(other.came, elsewhere) is Reason.CODE_EXPIRED, "another counter's answer stays what it was"
    assert other.state()["state"] == "OPEN", "nothing of the showing is used up"


def test_a_citizen_who_was_asked_too_often_reads_how_many_minutes_the_counter_must_wait(stage: Stage) -> None:
    before = stage.scene("31", "32", "33")
    before.asked_and_shown()
    before.decline()
    stage.pump()
    phone = stage.country.phone_of(before.who)
    phone.show()
    stage.pass_time(150)
    scene, counter = invited(stage, replace(before, phone=phone))
    come = scene.phone.read_counter(counter)
    stage.pump()
    with pytest.raises(Refusal) as no:
        scene.phone.came(come)
    assert (no.value.reason, dict(no.value.facts)) == (Reason.ASKED_TOO_OFTEN, {"n": 8})
    for lang, minutes in (("zh-CN", "须等8分钟"), ("en", "in 8 min")):
        assert minutes in sentences(no.value.reason, lang, "citizen", **no.value.facts)
    assert phone.state()["state"] == "OPEN", "nothing of the showing is used up"


def test_a_phone_that_was_scanned_meanwhile_by_another_counter_keeps_its_answer(stage: Stage) -> None:
    """Only the counter whose code was read can turn the phone away from it."""
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    come = scene.phone.read_counter(counter)
    stage.pump()
    assert scene.phone.came(come) == "TAKEN"
    province, showing = stage.province("31"), scene.phone.showing_id
    turned = province.peers.invitations.turned
    no = {"reason": Reason.HOLDER_MISMATCH}
    turned(showing, "33", scene.asked.request_id, no)
    turned(showing, "32", new_id(), no)
    assert scene.phone.came(come) == "TAKEN"
    turned(showing, "32", scene.asked.request_id, no)
    assert refused(scene.phone.came, come) is Reason.HOLDER_MISMATCH


def test_a_counters_code_is_over_after_a_minute(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    stage.clock.advance(90)
    assert refused(scene.phone.read_counter, counter) is Reason.CODE_EXPIRED
    stage.pump()
    assert refused(scene.view) is Reason.REQUEST_UNKNOWN


def test_an_invitation_that_dies_on_the_way_is_answered_as_over(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    come = scene.phone.read_counter(counter)
    stage.clock.advance(90)
    stage.pump()
    assert refused(scene.phone.came, come) is Reason.CODE_EXPIRED


def test_what_is_no_counters_code_is_refused_at_once(stage: Stage) -> None:
    scene = stage.scene("31", "32", "33")
    assert refused(scene.phone.read_counter, "https://example.org/") is Reason.CODE_MALFORMED
    assert refused(scene.phone.read_counter, scene.phone.code()) is Reason.CODE_MALFORMED
    forged = seal_invitation(new_key("EdDSA", issuer="32"), window="32-R1", request_id=new_id(), now=stage.clock.now())
    assert refused(scene.phone.read_counter, forged) is Reason.DOCUMENT_KEY_UNKNOWN


def test_a_window_cannot_be_invited_to_by_another_province(stage: Stage) -> None:
    office = stage.province("33").office
    text = seal_invitation(office.request_key, window="32-R1", request_id=new_id(), now=stage.clock.now())
    scene = stage.scene("31", "32", "33")
    come = scene.phone.read_counter(text)
    stage.pump()
    assert refused(scene.phone.came, come) is Reason.CODE_EXPIRED


def test_the_letter_that_arrives_twice_begins_one_visit(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    stage.rule(None)
    come = scene.phone.read_counter(counter)
    stage.pump()
    sent: list[Letter] = [each for wire in stage.wires.values() for each in wire.sent if each.topic is Topic.COME]
    for letter in sent:
        stage.province("32").peers.receive(letter, now=stage.clock.now())
    assert scene.phone.came(come) == "TAKEN"
    assert len([row for row in stage.rows("32", inner.visits) if row.request_id == scene.asked.request_id]) == 1


def test_what_may_not_be_asked_invites_nobody(stage: Stage) -> None:
    scene = stage.scene("31", "32", "33")
    asked = ask(stage, scene.client, scene.who, code=None, matter="divorce.apply", type_="marriage")
    assert refused(scene.client.invite, asked) is Reason.SCOPE_NOT_LISTED


def test_the_same_id_for_other_bytes_is_refused_and_the_same_again_is_the_same(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    assert scene.client.invite(scene.asked) == counter
    other = ask(
        stage,
        scene.client,
        scene.who,
        code=None,
        matter=MATTER_OF[scene.who.stories[0].type],
        type_=scene.who.stories[0].type,
        request_id=scene.asked.request_id,
        cause="另一事由",
    )
    assert refused(scene.client.invite, other) is Reason.REQUEST_ID_REUSED


def test_the_code_is_short_and_names_no_person(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    assert counter.startswith(PREFIX)
    assert len(counter) <= LENGTH
    found = open_invitation(counter, stage.province("31").office.ring, now=stage.clock.now())
    assert (found.desk, found.request_id) == ("32", scene.asked.request_id)
    assert set(found.sealed.claims) == {"iss", "aud", "iat", "exp", "jti", "window"}


def test_how_a_phone_fared_is_told_to_its_own_showing_only(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    come = scene.phone.read_counter(counter)
    other = stage.country.phone_of(pair("31", "34"))
    other.show()
    assert refused(other.came, come) is Reason.REQUEST_UNKNOWN


def test_an_invitation_is_forgotten(stage: Stage) -> None:
    invited(stage, stage.scene("31", "32", "33"))
    assert stage.rows("32", inner.invitations)
    stage.pass_time(15 * 60, step=300)
    assert stage.rows("32", inner.invitations) == []


# Taken back -------------------------------------------------------------------------------------------------


def test_nobody_comes_with_a_code_that_was_taken_back(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    for _ in range(2):  # twice is once
        scene.client.uninvite(scene.asked.request_id)
    come = scene.phone.read_counter(counter)
    stage.pump()
    assert refused(scene.phone.came, come) is Reason.CODE_EXPIRED
    assert refused(scene.view) is Reason.REQUEST_UNKNOWN
    assert [row.body for row in stage.rows("32", inner.invitations)] == [None], "whom it was about is forgotten at once"
    assert refused(scene.client.invite, scene.asked) is Reason.STATE_FORBIDS
    assert scene.showing()["state"] == "OPEN", "nothing of the phone's code is used up"


def test_a_phone_that_was_first_is_served(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    scene.phone.read_counter(counter)
    stage.pump()
    assert refused(scene.client.uninvite, scene.asked.request_id) is Reason.STATE_FORBIDS
    scene.agree()
    assert scene.finish().state == "PASSED"


def test_a_code_is_taken_back_by_the_window_that_gave_it(stage: Stage) -> None:
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    neighbour = stage.country.window_client("32", "32-R2")
    assert refused(neighbour.uninvite, scene.asked.request_id) is Reason.REQUEST_UNKNOWN
    assert refused(scene.client.uninvite, new_id()) is Reason.REQUEST_UNKNOWN
    come = scene.phone.read_counter(counter)
    stage.pump()
    assert scene.phone.came(come) == "TAKEN"


def test_in_the_same_moment_the_row_decides(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The phone has been looked up already when the counter takes its code back."""
    scene, counter = invited(stage, stage.scene("31", "32", "33"))
    take = invitations.take

    def late(conn: Connection, table: Table, window: str, request_id: str, code: str) -> bool:
        assert invitations.take_back(conn, table, window, request_id)
        return take(conn, table, window, request_id, code)

    monkeypatch.setattr(invitations, "take", late)
    come = scene.phone.read_counter(counter)
    stage.pump()
    assert refused(scene.phone.came, come) is Reason.CODE_EXPIRED
    assert not stage.rows("32", inner.visits)


def _outcome(phone: Phone, come: str) -> str:
    try:
        return phone.came(come)
    except Refusal as no:
        return no.reason.value

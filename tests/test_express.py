"""Express: the citizen agrees before the scan, to one unit in one matter, and to nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from consent.approval import Decision
from consent.errors import Reason, Refusal, Unavailable
from consent.grant import open_consent
from consent.keys import SigningKey, new_key
from consent.standing import offer_digest, seal_standing
from consent.stores.base import writing
from consent.stores.standings import standings
from consent.transport import Letter, Topic
from scanner_kiosk.country.units import window_for
from scanner_kiosk.phone import Phone
from tests.country import Scene, Stage
from tests.country import refused as refusal

WEDDED = "provident.withdraw_spouse"


def offered(stage: Stage, phone: Phone, scene: Scene, matter: str, type_: str = "marriage") -> dict[str, Any]:
    """The offer of the unit in the scene's province that handles this matter."""
    window = window_for(scene.desk, matter)
    unit = stage.province(scene.desk).office.scope(scene.desk).unit_of_window(window)
    found = phone.ask_offer(scene.desk, unit.uscc, matter, type_)
    stage.pump()
    return phone.offered(found)


def certificate(stage: Stage, phone: Phone, type_: str = "marriage") -> str:
    """The first certificate of that type that the libraries know of."""
    asked = phone.look_up()
    stage.pump()
    holdings = phone.looked_up(asked)
    assert holdings is not None
    return next(str(each["certificate"]) for each in holdings["certificates"] if each["type"] == type_)


@pytest.fixture
def scene(stage: Stage) -> Scene:
    """A married person of 31 with a certificate in 33, before a provident-fund counter in 32."""
    found = stage.scene("31", "32", "33", matter=WEDDED)
    assert WEDDED.encode() in found.asked.body
    return found


def standing(stage: Stage, scene: Scene, **changes: Any) -> dict[str, Any]:
    """The standing answer as it should be."""
    offer = offered(stage, scene.phone, scene, WEDDED)
    return scene.phone.stand(offer, certificate(stage, scene.phone), **changes)


def test_what_was_agreed_before_the_scan_needs_no_tap_after_it(stage: Stage, scene: Scene) -> None:
    taken = standing(stage, scene)
    scene.present()
    view = scene.finish()
    assert view.state == "PASSED"
    assert view.copy is not None
    claim = scene.claim()
    assert claim.approval_digest == taken["document"]
    assert scene.showing()["state"] == "DELIVERED"
    assert scene.showing()["result"]["outcome"] == "PASSED"
    stage.books()


def test_the_token_says_how_it_was_agreed(stage: Stage, scene: Scene) -> None:
    standing(stage, scene)
    scene.present()
    scene.finish()
    office = stage.province("31").office
    claim = scene.claim()
    request = stage.province("31").peers.consents.request_of(claim)
    consent = open_consent(claim.consent, office.archive, request=request, now=stage.clock.now())
    assert consent.method == "express"
    assert consent.evidence == claim.approval_digest


def test_it_can_be_taken_back_before_anybody_asks(stage: Stage, scene: Scene) -> None:
    standing(stage, scene)
    scene.phone.take_back()
    assert scene.asked_and_shown().state == "ASKED"
    assert scene.sheet()["sheet"]["matter"]["slug"] == WEDDED
    with pytest.raises(Refusal) as no:
        scene.phone.take_back()
    assert no.value.reason is Reason.STATE_FORBIDS


def test_without_its_declaration_the_sheet_asks(stage: Stage, scene: Scene) -> None:
    standing(stage, scene, declare=False)
    assert scene.asked_and_shown().state == "ASKED"
    scene.agree()
    assert scene.finish().state == "PASSED"


def test_an_offer_of_another_matter_opens_nothing(stage: Stage, scene: Scene) -> None:
    offer = offered(stage, scene.phone, scene, "realestate.register")
    scene.phone.stand(offer, certificate(stage, scene.phone))
    assert scene.asked_and_shown().state == "ASKED"


def test_words_that_the_register_does_not_say_open_nothing(stage: Stage, scene: Scene) -> None:
    offer = offered(stage, scene.phone, scene, WEDDED)
    offer["offer"]["fields"] = offer["offer"]["fields"][:1]
    assert offer_digest(offer["offer"]) != offer["digest"]
    scene.phone.stand(offer, certificate(stage, scene.phone))
    assert scene.asked_and_shown().state == "ASKED"


def test_a_marriage_registry_is_answered_after_the_scan_only(stage: Stage) -> None:
    scene = stage.scene("31", "32", "33")
    unit = stage.province("32").office.scope("32").unit_of_window("32-M1")
    asked = scene.phone.ask_offer("32", unit.uscc, "divorce.apply", "marriage")
    stage.pump()
    with pytest.raises(Refusal) as no:
        scene.phone.offered(asked)
    assert no.value.reason is Reason.APPROVAL_METHOD_NOT_ALLOWED


def test_at_a_counter_whose_matter_wants_the_tap_the_sheet_asks(stage: Stage, scene: Scene) -> None:
    registry = stage.scanned(scene.who, scene.phone, "32", matter="divorce.apply")
    offer = offered(stage, scene.phone, scene, WEDDED)
    scene.phone.stand(offer, certificate(stage, scene.phone))
    assert registry.asked_and_shown().state == "ASKED"
    assert registry.claim().consent is None


def test_a_province_lists_the_units_that_take_it(stage: Stage, scene: Scene) -> None:
    asked = scene.phone.ask_offer("32")
    assert scene.phone.offered(asked)["state"] == "PENDING"
    stage.pump()
    units = scene.phone.offered(asked)["units"]
    assert units
    assert {each["slug"] for unit in units for each in unit["matters"]} <= {"realestate.register", WEDDED}


def test_another_app_reads_no_offer_of_ours(stage: Stage, scene: Scene) -> None:
    asked = scene.phone.ask_offer("32")
    other = stage.scene("32", "32", "33")
    with pytest.raises(Refusal) as no:
        other.phone.offered(asked)
    assert no.value.reason in (Reason.REQUEST_UNKNOWN,)


def test_half_an_offer_question_is_refused(stage: Stage, scene: Scene) -> None:
    asked = scene.phone.ask_offer("32", None, WEDDED, None)
    stage.pump()
    with pytest.raises(Refusal) as no:
        scene.phone.offered(asked)
    assert no.value.reason is Reason.BODY_INVALID


def test_fifteen_minutes_and_not_longer(stage: Stage, scene: Scene) -> None:
    offer = offered(stage, scene.phone, scene, WEDDED)
    handle = certificate(stage, scene.phone)
    before = scene.phone.app.clock.now() - timedelta(minutes=16)
    text = _sealed(scene, offer, handle, now=before)
    _forge(stage, scene, text)
    assert scene.asked_and_shown().state == "ASKED"


def test_a_row_without_the_devices_signature_is_worth_nothing(stage: Stage, scene: Scene) -> None:
    offer = offered(stage, scene.phone, scene, WEDDED)
    handle = certificate(stage, scene.phone)
    thief = new_key("ES256", issuer=scene.phone.sub)
    _forge(stage, scene, _sealed(scene, offer, handle, key=thief, now=stage.clock.now()))
    assert scene.asked_and_shown().state == "ASKED"
    _forge(stage, scene, "nonsense")
    assert scene.view().state == "ASKED"


def test_what_stood_for_an_earlier_showing_does_not_stand_for_the_next(stage: Stage, scene: Scene) -> None:
    offer = offered(stage, scene.phone, scene, WEDDED)
    text = _sealed(scene, offer, certificate(stage, scene.phone), now=stage.clock.now())
    again = stage.scene("31", "32", "33", matter=WEDDED)
    again.phone.device = scene.phone.device
    _forge(stage, again, text)
    assert again.asked_and_shown().state == "ASKED"


def test_whoever_stands_may_still_withdraw(stage: Stage, scene: Scene) -> None:
    standing(stage, scene)
    stage.rule(_no_fetch)
    scene.asked_and_shown()
    assert scene.showing()["state"] == "CONSENTED"
    scene.withdraw()
    stage.pump()
    assert scene.showing()["state"] == "WITHDRAWN"
    stage.rule(None)
    stage.pass_time(60)
    assert scene.finish().state != "PASSED"


def test_a_standing_answer_is_no_approval_and_the_reverse(stage: Stage, scene: Scene) -> None:
    offer = offered(stage, scene.phone, scene, WEDDED)
    text = _sealed(scene, offer, certificate(stage, scene.phone), now=stage.clock.now())
    scene.asked_and_shown()
    no = refusal(scene.phone._post, f"/v1/showings/{scene.phone.showing_id}/approval", {"approval": text})
    assert no is Reason.DOCUMENT_WRONG_KIND
    assert scene.view().state == "ASKED"
    scene.phone.answer(Decision.DECLINE, scene.sheet()["sheet"])
    assert scene.finish().state == "REFUSED"


def _no_fetch(letter: Letter) -> Letter | None:
    if letter.topic is Topic.FETCH:
        raise Unavailable(Reason.EXCHANGE_UNREACHABLE)
    return letter


def _sealed(scene: Scene, offer: dict[str, Any], handle: str, *, key: SigningKey | None = None, now: Any) -> str:
    return seal_standing(
        key or scene.phone._device(),
        province="31",
        showing_id=scene.phone.showing_id,
        unit=offer["offer"]["unit"]["uscc"],
        matter=WEDDED,
        certificate=handle,
        offer=offer["digest"],
        now=now,
        declarations=tuple(each["slug"] for each in offer["offer"]["declarations"]),
    )


def _forge(stage: Stage, scene: Scene, text: str) -> None:
    """Write a row as somebody would who owns the outer network."""
    with writing(stage.province("31").office.handover) as conn:
        row = {"showing_id": scene.phone.showing_id, "standing_jwt": text, "at": stage.clock.now()}
        if conn.execute(select(standings).where(standings.c.showing_id == row["showing_id"])).first() is None:
            conn.execute(insert(standings), row)

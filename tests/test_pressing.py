"""Nobody is asked until they give in."""

from __future__ import annotations

from consent.errors import Reason
from scanner_kiosk.country.people import pair
from tests.country import Scene, Stage


def again(stage: Stage, scene: Scene, desk: str = "32") -> Scene:
    """The same citizen, with a new code, before a counter."""
    phone = stage.country.phone_of(scene.who)
    phone.show()
    return stage.scanned(scene.who, phone, desk)


def test_a_unit_that_was_declined_waits_ten_minutes(stage: Stage) -> None:
    scene = stage.scene("31", "32", "33")
    scene.asked_and_shown()
    scene.decline()
    stage.pump()
    soon = again(stage, scene)
    soon.asked_and_shown()
    assert soon.view().said.reason is Reason.ASKED_TOO_OFTEN
    stage.pass_time(10 * 60)
    kept = dict(stage.country._apps)
    stage.country.forget_tokens()
    try:
        fresh = again(stage, scene)
        fresh.asked_and_shown()
        assert fresh.view().state == "ASKED"
    finally:
        stage.country._apps.update(kept)  # the next test begins on the first day, with the first day's tokens


def test_another_unit_may_ask(stage: Stage) -> None:
    scene = stage.scene("31", "32", "33")
    scene.asked_and_shown()
    scene.decline()
    stage.pump()
    other = again(stage, scene, desk="33")
    other.asked_and_shown()
    assert other.view().state == "ASKED"


def test_a_refusal_for_another_reason_may_be_put_right_at_once(stage: Stage) -> None:
    scene = stage.scene("31", "32", "33")
    scene.asked_and_shown()
    wrong = next(each for each in scene.sheet()["sheet"]["digits"] if each != scene.view().digits)
    scene.agree(digits=wrong)
    assert scene.finish().said.reason is Reason.DIGITS_WRONG
    assert again(stage, scene).whole().state == "PASSED"


def test_three_wait_for_an_answer_and_no_fourth(stage: Stage) -> None:
    who = pair("31", "33")
    for desk in ("31", "32", "33"):
        scene = stage.scene("31", desk, "33", who=who)
        scene.asked_and_shown()
        assert scene.view().state == "ASKED"
    fourth = stage.scene("31", "34", "33", who=who)
    fourth.asked_and_shown()
    assert fourth.view().said.reason is Reason.ASKED_TOO_OFTEN

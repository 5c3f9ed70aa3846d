"""A consent that is taken back while nobody knows: the library was silent, and the counter may ask it again.

The library's one row decides: whoever is first there, the withdrawal or the counter's next fetch, wins, and every side ends
with the same story. Where nobody reaches the library, the token's own end decides.
"""

from __future__ import annotations

import pytest

from consent.errors import Reason, Refusal
from consent.transport import Letter, Topic
from tests.country import Scene, Stage
from tests.test_visit import silent_library
from verifier.stores import inner
from verifier.stores import library as library_tables


def drop(stage: Stage, *topics: Topic) -> None:
    """Letters about these topics arrive nowhere from now on."""
    stage.rule(lambda letter: None if letter.topic in topics else letter)


def paused(stage: Stage) -> Scene:
    """A visit whose library did not get the counter's question: undetermined, and the consent lives."""
    scene = stage.scene()
    scene.asked_and_shown()
    stage.rule(silent_library("33", Topic.FETCH))
    scene.agree()
    stage.pump()
    stage.pass_time(5, step=1)
    assert scene.view().state == "UNDETERMINED"
    assert (scene.showing()["state"], scene.showing()["result"]) == ("UNDETERMINED", None)
    assert scene.claim().state == "CONSENTED"
    return scene


def spend(stage: Stage) -> tuple[str, bool]:
    """What the library's one row says, and whether a copy went out under it."""
    (row,) = stage.rows("33", library_tables.spends)
    return row.state, row.copy is not None


def letters(stage: Stage, topic: Topic) -> list[Letter]:
    return [each for wire in stage.wires.values() for each in wire.sent if each.topic is topic]


def test_a_withdrawal_that_is_first_at_the_library_wins_and_the_counter_hears_it(stage: Stage) -> None:
    scene = paused(stage)
    scene.withdraw()
    assert scene.showing()["state"] == "WITHDRAWING"
    assert scene.showing()["reason"] is None, "the silence is no longer what there is to say"
    stage.rule(None)
    stage.pump()
    assert (scene.showing()["state"], scene.showing()["result"]["reason"]) == ("WITHDRAWN", "WITHDRAWN")
    assert (scene.claim().state, scene.claim().reason) == ("ENDED", "WITHDRAWN")
    assert scene.present().state == "FETCHING", "the counter does not know yet; the library tells it"
    view = scene.finish()
    assert (view.state, view.said.reason, view.copy) == ("REFUSED", Reason.WITHDRAWN, None)
    assert spend(stage) == ("WITHDRAWN", False)
    assert letters(stage, Topic.COPY)
    assert scene.showing()["state"] == "WITHDRAWN", "what the counter heard afterwards changes no end"
    stage.books()


def test_after_an_acknowledged_withdrawal_no_letter_however_late_brings_anything_out(stage: Stage) -> None:
    scene = paused(stage)
    lost = letters(stage, Topic.FETCH)[-1]
    scene.withdraw()
    stage.rule(None)
    stage.pump()
    assert scene.showing()["state"] == "WITHDRAWN"
    stage.province("33").peers.receive(lost, now=stage.clock.now())
    stage.pump()
    assert spend(stage) == ("WITHDRAWN", False)
    assert scene.view().copy is None
    assert scene.showing()["state"] == "WITHDRAWN"
    stage.books()


def test_a_fetch_that_is_first_at_the_library_wins_and_the_citizen_reads_that_it_was_too_late(stage: Stage) -> None:
    scene = paused(stage)
    drop(stage, Topic.WITHDRAW)
    scene.withdraw()
    stage.pump()
    assert scene.showing()["state"] == "WITHDRAWING"
    assert scene.present().state == "FETCHING"
    view = scene.finish()
    assert (view.state, view.said.reason) == ("PASSED", None)
    assert spend(stage) == ("DELIVERED", True)
    showing = scene.showing()
    assert (showing["state"], showing["reason"]) == ("DELIVERED", "WITHDRAWAL_TOO_LATE")
    assert (showing["result"]["outcome"], showing["result"]["reason"]) == ("PASSED", None)
    (late,) = {letter.body: letter for letter in letters(stage, Topic.WITHDRAW)}.values()
    stage.province("33").peers.receive(late, now=stage.clock.now())
    stage.rule(None)
    stage.pump()
    assert spend(stage) == ("DELIVERED", True)
    assert scene.showing()["state"] == "DELIVERED"
    assert scene.claim().reason is None
    stage.books()


def test_a_copy_that_was_lost_on_the_way_is_too_late_to_withdraw_and_shown_when_asked_again(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    unanswered = silent_library("33", Topic.FETCH)

    def arrived_and_unanswered(letter: Letter) -> Letter | None:
        """What the library got, and nobody was told that it did."""
        if letter.topic is Topic.FETCH:
            stage.province("33").peers.receive(letter, now=stage.clock.now())
        return None if letter.topic is Topic.COPY else unanswered(letter)

    stage.rule(arrived_and_unanswered)
    scene.agree()
    stage.pump()
    stage.pass_time(5, step=1)
    assert scene.showing()["state"] == "UNDETERMINED"
    assert spend(stage) == ("SPENT", True)
    drop(stage, Topic.COPY)
    scene.withdraw()
    stage.pump()
    assert scene.claim().reason == "WITHDRAWAL_TOO_LATE"
    assert scene.showing()["state"] == "WITHDRAWING", "the library has spent it, and nobody has seen anything yet"
    stage.rule(None)
    scene.present()
    assert scene.finish().state == "PASSED"
    assert (scene.showing()["state"], scene.showing()["reason"]) == ("DELIVERED", "WITHDRAWAL_TOO_LATE")
    assert spend(stage) == ("DELIVERED", True)
    stage.books()


def test_the_news_of_a_silence_that_comes_after_the_withdrawal_has_begun_changes_nothing(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    unheard = silent_library("33", Topic.FETCH)
    held = (Topic.OUTCOME, Topic.WITHDRAW)
    stage.rule(lambda letter: None if letter.topic in held else unheard(letter))
    scene.agree()
    stage.pump()
    stage.pass_time(5, step=1)
    assert (scene.view().state, scene.showing()["state"]) == ("UNDETERMINED", "CONSENTED")
    scene.withdraw()
    stage.pump()
    assert scene.showing()["state"] == "WITHDRAWING"
    (news,) = {letter.body: letter for letter in letters(stage, Topic.OUTCOME)}.values()
    stage.province("31").peers.receive(news, now=stage.clock.now())
    stage.pump()
    assert (scene.showing()["state"], scene.showing()["reason"]) == ("WITHDRAWING", None)
    assert not [row for row in stage.rows("31", inner.outbox) if row.state == "NEW"], "nothing waits to say it later"
    stage.pass_time(60 * 8, step=30)
    assert (scene.showing()["state"], scene.showing()["result"]["reason"]) == ("WITHDRAWN", "WITHDRAWN")
    stage.books()


def test_when_the_desk_has_waited_long_enough_the_phone_hears_it_at_once_and_may_still_take_it_back(
    stage: Stage,
) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    drop(stage, Topic.COPY)
    scene.agree()
    stage.pump()
    stage.pass_time(40)
    assert (scene.view().state, scene.view().said.reason) == ("UNDETERMINED", Reason.DEADLINE)
    showing = scene.showing()
    assert (showing["state"], showing["reason"], showing["result"]) == ("UNDETERMINED", "DEADLINE", None)
    assert scene.claim().state == "CONSENTED", "the counter may ask again"
    drop(stage, Topic.FETCH)
    scene.withdraw()
    stage.pump()
    assert scene.showing()["state"] == "WITHDRAWING"
    stage.rule(None)
    scene.present()
    assert scene.finish().state == "PASSED", "the library had given it before"
    assert (scene.showing()["state"], scene.showing()["reason"]) == ("DELIVERED", "WITHDRAWAL_TOO_LATE")
    stage.books()


def test_a_library_that_stays_silent_leaves_it_withdrawing_until_the_token_is_dead(stage: Stage) -> None:
    scene = paused(stage)
    unheard = silent_library("33", Topic.FETCH)
    stage.rule(lambda letter: None if letter.topic is Topic.WITHDRAW else unheard(letter))
    scene.withdraw()
    assert scene.present().state == "FETCHING"
    stage.pass_time(5, step=1)
    assert scene.view().state == "UNDETERMINED"
    assert scene.showing()["state"] == "WITHDRAWING", "another silence is no answer to whoever takes it back"
    stage.pass_time(60 * 4, step=30)
    assert scene.showing()["state"] == "WITHDRAWING", "a token that lives may still be spent"
    stage.pass_time(60 * 4, step=30)
    assert (scene.showing()["state"], scene.showing()["result"]["reason"]) == ("WITHDRAWN", "WITHDRAWN")
    assert stage.rows("33", library_tables.spends) == []
    stage.rule(None)
    for letter in letters(stage, Topic.FETCH):
        with pytest.raises(Refusal) as no:
            stage.province("33").peers.receive(letter, now=stage.clock.now())
        assert no.value.reason is Reason.DOCUMENT_EXPIRED
    sent = len(letters(stage, Topic.FETCH))
    assert scene.present().state == "UNDETERMINED"
    stage.pump()
    assert len(letters(stage, Topic.FETCH)) == sent
    assert scene.view().copy is None
    stage.books()

"""The card route: no phone, the same gates, the same receipts; and nobody but the devices can say what they saw."""

from __future__ import annotations

from typing import Any

import pytest

from consent.approval import Decision
from consent.b64 import digest_of, new_id
from consent.errors import Reason, Refusal, Unavailable
from consent.provinces import provinces
from consent.transport import Letter, Topic
from scanner_kiosk.country.people import pair
from tests.counter_without_phone import counter
from tests.country import Stage, refused
from verifier.cards import the_one
from verifier.stores import inner


@pytest.mark.parametrize("library", ["31", "32", "33", "34"])
def test_somebody_without_a_phone_gets_the_same(stage: Stage, library: str) -> None:
    at = counter(stage, pair("31", library))
    assert at.begin().state == "ASKED"
    view = at.answer()
    assert view.state == "PASSED"
    assert view.library == library
    assert view.copy is not None
    stage.books()


def test_the_consent_says_that_it_was_signed_at_the_counter(stage: Stage) -> None:
    at = counter(stage)
    at.begin()
    text = at.signed()
    at.client.answer(at.asked.request_id, text)
    stage.pump()
    (claim,) = stage.rows("32", inner.claims)
    assert claim.named == "card"
    assert claim.approval_digest is not None
    entries = [row.body for row in stage.rows("32", inner.ledger.entries) if row.act == "CONSENTED"]
    assert '"method":"pad"' in entries[0]


def test_a_face_match_is_an_answer_where_the_matter_takes_it(stage: Stage) -> None:
    at = counter(stage)
    at.begin()
    assert at.answer(method="face").state == "PASSED"


def test_declining_at_the_counter_ends_it(stage: Stage) -> None:
    at = counter(stage)
    at.begin()
    view = at.answer(Decision.DECLINE)
    assert (view.state, view.said.reason) == ("REFUSED", Reason.NOT_AUTHORISED)
    assert not [row for code in provinces() for row in stage.rows(code, inner.ledger.entries) if row.act == "LOOKED"]


def test_nobody_who_signs_is_the_end_of_it(stage: Stage) -> None:
    at = counter(stage)
    at.begin()
    stage.pass_time(180)
    assert at.view().said.reason is Reason.NOT_AUTHORISED


def test_without_its_declaration_nothing_is_fetched(stage: Stage) -> None:
    at = counter(stage)
    at.begin()
    assert at.answer(declarations=[]).said.reason is Reason.DECLARATION_MISSING


def test_the_pad_of_the_next_window_does_not_sign_here(stage: Stage) -> None:
    at = counter(stage)
    at.begin()
    assert refused(at.client.answer, at.asked.request_id, at.signed(window="32-R2")) is Reason.DOCUMENT_CLAIMS
    assert at.view().state == "ASKED"


def test_an_answer_to_another_request_is_none(stage: Stage) -> None:
    at = counter(stage)
    at.begin()
    other = digest_of(b"another request")
    assert refused(at.client.answer, at.asked.request_id, at.signed(request=other)) is Reason.APPROVAL_MISMATCH


def test_the_reader_of_the_next_window_does_not_read_here(stage: Stage) -> None:
    at = counter(stage, reader="32-R2")
    assert refused(at.client.present_card, at.asked) is Reason.DOCUMENT_CLAIMS


def test_a_card_read_for_another_request_opens_nothing(stage: Stage) -> None:
    at = counter(stage, read_for=new_id())
    assert refused(at.client.present_card, at.asked) is Reason.DOCUMENT_CLAIMS


def test_one_card_read_is_one_visit(stage: Stage) -> None:
    at = counter(stage)
    at.begin()
    assert at.client.present_card(at.asked).state == "ASKED"  # a retry
    assert at.answer().state == "PASSED"
    assert len(stage.rows("32", inner.claims)) == 1


def test_a_card_is_old_after_a_minute(stage: Stage) -> None:
    at = counter(stage)
    stage.clock.advance(120)
    assert refused(at.client.present_card, at.asked) is Reason.DOCUMENT_EXPIRED


def test_people_may_take_their_time_to_read(stage: Stage) -> None:
    """The card is read early and the worker is slow; the sheet is long, and the signature comes at last."""
    at = counter(stage)
    stage.clock.advance(55)
    at.client.present_card(at.asked)
    stage.clock.advance(10)
    stage.pump()
    stage.clock.advance(90)
    assert at.answer().state == "PASSED"


def test_two_answers_are_one(stage: Stage) -> None:
    at = counter(stage)
    at.begin()
    first, second = at.signed(), at.signed()
    at.client.answer(at.asked.request_id, first)
    at.client.answer(at.asked.request_id, first)
    assert refused(at.client.answer, at.asked.request_id, second) is Reason.STATE_FORBIDS
    stage.pump()
    assert at.view().state == "PASSED"


def test_a_silent_library_is_undetermined_and_not_none(stage: Stage) -> None:
    def no_34(letter: Letter) -> Letter:
        if letter.topic is Topic.HOLDINGS and letter.to == "34":
            raise Unavailable(Reason.EXCHANGE_UNREACHABLE)
        return letter

    at = counter(stage)
    at.begin()
    stage.rule(no_34)
    at.answer()
    stage.pass_time(10, step=2)
    view = at.view()
    assert (view.state, view.said.reason) == ("UNDETERMINED", Reason.LIBRARY_UNREACHABLE)


def test_two_certificates_of_one_type_are_never_chosen_from(stage: Stage) -> None:
    assert _picked([("31", "31.a", "VALID"), ("33", "33.b", "VALID")]) is Reason.AMBIGUOUS
    assert _picked([("31", "31.a", "VALID"), ("33", "33.b", "REPLACED")]) == "31.a"
    assert _picked([("31", "31.a", "REPLACED")]) == "31.a"
    assert _picked([]) is Reason.NOT_FOUND


def _picked(held: list[tuple[str, str, str]]) -> str | Reason:
    """What is picked from these marriage certificates (library, handle, status), all four libraries having answered."""
    answers: dict[str, Any] = {code: {"certificates": [], "undigitised": False} for code in provinces()}
    for library, handle, status in held:
        found = {"type": "marriage", "certificate": handle, "status": status}
        answers[library]["certificates"].append(found)
    try:
        return the_one("marriage", answers)
    except Refusal as no:
        return no.reason


def test_somebody_without_a_certificate_hears_it_after_signing(stage: Stage) -> None:
    at = counter(stage, type_="divorce")
    assert at.begin().state == "ASKED"
    view = at.answer()
    assert (view.state, view.said.reason) == ("UNDETERMINED", Reason.NOT_FOUND)


def test_the_library_wants_the_words_of_reader_and_pad(stage: Stage) -> None:
    at = counter(stage)
    at.begin()
    stage.rule(_without_evidence(stage))
    assert at.answer().said.reason is Reason.APPROVAL_MISMATCH


def _without_evidence(stage: Stage) -> Any:
    """A desk that keeps the evidence back: the fetch is written anew without it."""
    office = stage.province("32").office

    def rule(letter: Letter) -> Letter:
        if letter.topic is not Topic.FETCH:
            return letter
        row = stage.rows("32", inner.visits)[0]
        content = {"request": row.request, "consent": row.consent, "evidence": None}
        return office.letter("33", Topic.FETCH, content, request_id=letter.request_id)

    return rule


def test_a_visit_with_a_phone_has_no_sheet_at_the_counter(stage: Stage) -> None:
    scene = stage.scene("31", "32", "33")
    scene.asked_and_shown()
    assert refused(scene.client.sheet, scene.asked.request_id) is Reason.REQUEST_UNKNOWN


def test_a_code_is_no_card(stage: Stage) -> None:
    scene = stage.scene("31", "32", "33")
    at = counter(stage, card=scene.phone.code())
    assert refused(at.client.present_card, at.asked) is Reason.DOCUMENT_MALFORMED

"""Somebody without a phone, in a matter that wants two officers: without the second nothing is fetched, and nothing ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from consent.approval import Decision
from consent.attest import ATTEST, seal_attest, staff_of
from consent.b64 import digest_of, new_id
from consent.errors import Reason
from consent.keys import KeyRing, SigningKey, new_key, signing_key
from consent.ledger import Act
from consent.provinces import provinces
from consent.receipt import open_receipt
from consent.request import NO_OFFICER
from consent.seal import seal
from consent.transport import Letter, Topic
from scanner_kiosk.country.people import pair
from tests.counter_without_phone import Counter, counter, device, staff_key
from tests.country import Stage, read_ledger, refused
from tests.looking import entries, phone_of
from verifier.cards import Cards
from verifier.consents import Consents
from verifier.doors.schemas import RegisterView, register_view
from verifier.matters.scope import Scope
from verifier.office import Office
from verifier.stores import inner
from verifier.stores import library as library_tables

FIRST, SECOND, ELSEWHERE = "32-M-01", "32-M-02", "32-R-02"


def begun(stage: Stage, *, sensitive: bool = True) -> Counter:
    """Somebody with an ID card at a marriage registry, or at a matter of every day; the sheet is on the screen."""
    at = counter(stage, pair("31", "32" if sensitive else "33"))
    at.begin()
    return at


def handed_in(at: Counter, officer: str | None, pad: str | None = None) -> Any:
    """Why an answer with this second officer's word is not taken."""
    return refused(at.client.answer, at.asked.request_id, pad or at.signed(), officer=officer)


def acts(stage: Stage, code: str, act: Act, *, library: bool = False) -> list[dict[str, Any]]:
    """What one of a province's ledgers says about an act."""
    province = stage.province(code)
    engine, tables = (
        (province.library.engine, library_tables.ledger) if library else (province.office.inner, inner.ledger)
    )
    return [json.loads(each.body) for each in read_ledger(engine, tables) if each.act is act]


def also(office: Office, code: str, matter: str) -> Office:
    """An office whose list of scopes has one more matter for which that province wants a second officer."""
    scope: Scope = replace(office.scopes[code], second_officer=frozenset({matter}))
    return replace(office, scopes={**office.scopes, code: scope})


def test_with_a_second_officer_it_passes_and_every_book_says_who(stage: Stage) -> None:
    at = begun(stage)
    assert at.client.sheet(at.asked.request_id)["second_officer"] is True
    assert at.answer().state == "PASSED"
    assert [each["second_officer"] for each in acts(stage, "32", Act.CONSENTED)] == [SECOND]
    assert [each["second_officer"] for each in acts(stage, "32", Act.SPENT, library=True)] == [SECOND]
    (entry,) = entries(stage, phone_of(stage, at.who))  # read with the phone at home
    assert (entry["way"], entry["outcome"], entry["second_officer"]) == ("card", "PASSED", SECOND)
    stage.books()


def test_the_units_receipt_names_the_entry_that_names_the_second_officer(stage: Stage) -> None:
    at = begun(stage)
    at.answer()
    (visit,) = stage.rows("32", inner.visits)
    office = stage.province("32").office
    receipt = open_receipt(visit.receipt, office.ring, side="unit", now=stage.clock.now())
    entry = read_ledger(office.inner, inner.ledger)[receipt.claims["ledger"]["position"] - 1]
    assert entry.digest == receipt.claims["ledger"]["entry"]
    assert json.loads(entry.body)["second_officer"] == SECOND


def test_the_register_says_it_before_anybody_comes_and_says_what_the_sheet_will_say(stage: Stage) -> None:
    desk = stage.province("32").desk
    assert desk.register("32-M1", now=stage.clock.now()).second_officer == {"marriage.register", "divorce.apply"}
    assert desk.register("32-R1", now=stage.clock.now()).second_officer == frozenset()
    # A library that will hand out under a second officer's word alone is not known before it is asked: all are heard.
    for code in provinces():
        office = also(desk.office, code, "realestate.register")
        told = register_view(replace(desk, office=office).register("32-R1", now=stage.clock.now()), "32")
        assert {each["slug"]: each["second_officer"] for each in told["matters"]} == {
            each["slug"]: each["slug"] == "realestate.register" for each in told["matters"]
        }
        assert any(each["second_officer"] for each in RegisterView().dump(told)["matters"])


def test_without_one_nothing_ends_and_the_same_answer_is_taken_with_the_word(stage: Stage) -> None:
    at = begun(stage)
    pad = at.signed()
    assert handed_in(at, None, pad) is Reason.SECOND_OFFICER_MISSING
    stage.pump()
    assert at.view().state == "ASKED"
    assert not stage.rows("32", inner.card_visits.questions), "libraries were asked before anybody had agreed"
    stage.clock.advance(40)  # a colleague has to be called
    at.client.answer(at.asked.request_id, pad, officer=at.attested())
    stage.pump()
    assert at.view().state == "PASSED"


def test_declining_needs_nobody_else(stage: Stage) -> None:
    at = begun(stage)
    assert at.answer(Decision.DECLINE, officer=None).said.reason is Reason.NOT_AUTHORISED


def test_a_matter_of_every_day_needs_none_and_says_so(stage: Stage) -> None:
    at = begun(stage, sensitive=False)
    assert at.client.sheet(at.asked.request_id)["second_officer"] is False
    assert at.answer().state == "PASSED"
    assert not any("second_officer" in each for each in acts(stage, "32", Act.CONSENTED))
    (entry,) = entries(stage, phone_of(stage, at.who))
    assert entry["second_officer"] is None


def test_one_who_was_not_asked_for_is_judged_and_remembered_all_the_same(stage: Stage) -> None:
    at = begun(stage, sensitive=False)
    assert handed_in(at, at.attested(window="32-R2")) is Reason.DOCUMENT_CLAIMS
    assert at.answer(officer=at.attested()).state == "PASSED"
    assert [each["second_officer"] for each in acts(stage, "33", Act.SPENT, library=True)] == [ELSEWHERE]


def _another_request(at: Counter) -> str:
    return at.attested(request=digest_of(b"another request"))


def _next_window(at: Counter) -> str:
    return at.attested(window="32-M2")


def _another_house(at: Counter) -> str:
    return at.attested(officer=ELSEWHERE)


def _under_a_colleagues_name(at: Counter) -> str:
    return at.attested(officer=FIRST, key=staff_key(at.stage, "32", SECOND))


def _the_pads_own_key(at: Counter) -> str:
    return at.attested(key=device(at.stage, "32", at.window, "pad"))


def _a_key_that_nobody_enrolled(at: Counter) -> str:
    return at.attested(key=new_key("ES256", issuer=staff_key(at.stage, "32", SECOND).issuer))


def _for_another_province(at: Counter) -> str:
    key = staff_key(at.stage, "32", SECOND)
    digest = at.client.sheet(at.asked.request_id)["request"]
    return seal_attest(
        key, province="33", window=at.window, officer=SECOND, request_digest=digest, now=at.stage.clock.now()
    )


def _the_pads_word(at: Counter) -> str:
    return at.signed()


WORDS: dict[Callable[[Counter], str], Reason] = {
    _another_request: Reason.APPROVAL_MISMATCH,
    _next_window: Reason.DOCUMENT_CLAIMS,
    _another_house: Reason.DOCUMENT_CLAIMS,
    _under_a_colleagues_name: Reason.DOCUMENT_CLAIMS,
    _the_pads_own_key: Reason.DOCUMENT_KEY_UNKNOWN,
    _a_key_that_nobody_enrolled: Reason.DOCUMENT_KEY_UNKNOWN,
    _for_another_province: Reason.DOCUMENT_CLAIMS,
    _the_pads_word: Reason.DOCUMENT_WRONG_KIND,
}


def test_another_word_is_none_and_ends_nothing(stage: Stage) -> None:
    at = begun(stage)
    assert {word.__name__: handed_in(at, word(at)) for word in WORDS} == {
        word.__name__: reason for word, reason in WORDS.items()
    }
    assert at.view().state == "ASKED"
    assert not stage.rows("32", inner.card_visits.questions)
    assert at.answer().state == "PASSED"


def test_a_word_is_old_after_two_minutes(stage: Stage) -> None:
    at = begun(stage)
    early = seal_attest(
        staff_key(stage, "32", SECOND),
        province="32",
        window=at.window,
        officer=SECOND,
        request_digest=at.client.sheet(at.asked.request_id)["request"],
        now=stage.clock.now() - ATTEST.life,
    )
    assert handed_in(at, early) is Reason.DOCUMENT_EXPIRED


def also_enrolled(office: Office, key: SigningKey, typ: str, *, now: datetime) -> Office:
    """An office whose key list has one more key."""
    ring = KeyRing([*office.ring, key.published(typ, not_before=now, not_after=now + ATTEST.life)])
    return replace(office, keylist=replace(office.keylist, ring=ring))


def test_whoever_has_asked_is_no_second_one_and_neither_is_a_machine(stage: Stage) -> None:
    """Officers do not sign in yet, so that each request says "not-verified": a card under that name opens nothing. Nor does
    one that was enrolled with the key of the pad."""
    at = begun(stage)
    now, office = stage.clock.now(), stage.province("32").office
    unit = office.scope("32").unit_of_window(at.window).uscc
    asker = new_key("ES256", issuer=staff_of("32", unit, NO_OFFICER))
    pad = device(stage, "32", at.window, "pad")
    machine = signing_key(pad.private, issuer=staff_of("32", unit, "0042"))
    for officer, key in ((NO_OFFICER, asker), ("0042", machine)):
        knowing = also_enrolled(office, key, ATTEST.typ, now=now)
        desk = Cards(office=knowing, consents=Consents(office=knowing))
        word = at.attested(officer=officer, key=key)
        answer = (at.window, at.asked.request_id, at.signed())
        assert refused(desk.answer, *answer, officer_jwt=word, now=now) is Reason.DOCUMENT_CLAIMS


def test_a_word_counts_once(stage: Stage) -> None:
    def said(at: Counter, jti: str) -> str:
        digest = at.client.sheet(at.asked.request_id)["request"]
        claims = {"req": digest, "officer": SECOND, "window": at.window}
        key: SigningKey = staff_key(stage, "32", SECOND)
        return seal(ATTEST, claims, key, audience="32", now=stage.clock.now(), jti=jti)

    jti = new_id()
    first = begun(stage)
    assert first.answer(officer=said(first, jti)).state == "PASSED"
    second = begun(stage)
    assert handed_in(second, said(second, jti)) is Reason.DOCUMENT_REPLAYED
    assert second.view().state == "ASKED"
    assert second.answer().state == "PASSED"


def test_the_same_words_again_are_one_answer_and_others_are_refused(stage: Stage) -> None:
    at = begun(stage)
    pad, word, other = at.signed(), at.attested(), at.attested(officer=FIRST)
    for _ in range(2):
        at.client.answer(at.asked.request_id, pad, officer=word)
    assert handed_in(at, other, pad) is Reason.STATE_FORBIDS
    stage.pump()
    assert at.view().state == "PASSED"
    assert len(acts(stage, "32", Act.CONSENTED)) == 1


# At the library ---------------------------------------------------------------------------------------------


def with_officer(stage: Stage, officer: Callable[[], str | None]) -> Callable[[Letter], Letter]:
    """A desk that hands the library another second officer's word than the one that the consent stands on."""

    def rule(letter: Letter) -> Letter:
        if letter.topic is not Topic.FETCH:
            return letter
        (row,) = stage.rows("32", inner.visits)
        (kept,) = stage.rows("32", inner.card_visits.cards)
        evidence = {"card": kept.card_jwt, "pad": kept.pad_jwt, "officer": officer()}
        content = {"request": row.request, "consent": row.consent, "evidence": evidence}
        return stage.province("32").office.letter(letter.to, Topic.FETCH, content, request_id=letter.request_id)

    return rule


def elsewhere(stage: Stage) -> Counter:
    """A sensitive matter whose certificate another province has, so that the fetch goes over the exchange."""
    at = counter(stage, pair("31", "34"), type_="divorce")
    at.begin()
    return at


@pytest.mark.parametrize(
    ("officer", "reason"), [(None, Reason.SECOND_OFFICER_MISSING), (FIRST, Reason.APPROVAL_MISMATCH)]
)
def test_the_library_wants_the_very_word_that_the_consent_stands_on(
    stage: Stage, officer: str | None, reason: Reason
) -> None:
    at = elsewhere(stage)
    word = None if officer is None else at.attested(officer=officer)
    stage.rule(with_officer(stage, lambda: word))
    assert at.answer().said.reason is reason
    assert stage.rows("34", library_tables.spends) == []
    assert stage.rows("34", library_tables.card_fetches) == []


def test_a_word_that_was_not_needed_cannot_be_left_out_either(stage: Stage) -> None:
    at = begun(stage, sensitive=False)
    stage.rule(with_officer(stage, lambda: None))
    assert at.answer(officer=at.attested()).said.reason is Reason.APPROVAL_MISMATCH


# What a province adds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["32", "34"])
def test_the_counter_asks_for_one_where_its_own_or_any_librarys_province_does(stage: Stage, code: str) -> None:
    at = begun(stage, sensitive=False)
    office = also(stage.province("32").office, code, "realestate.register")
    desk = Cards(office=office, consents=Consents(office=office))
    now = stage.clock.now()
    assert desk.sheet(at.window, at.asked.request_id, now=now)["second_officer"] is True
    answer = (at.window, at.asked.request_id, at.signed())
    assert refused(desk.answer, *answer, now=now) is Reason.SECOND_OFFICER_MISSING


@pytest.mark.parametrize(("adds", "passes"), [("33", False), ("32", False), ("34", True)])
def test_the_library_holds_to_its_own_province_and_the_desks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, adds: str, passes: bool
) -> None:
    """That the desk does not know of it yet is no excuse. What a third province wants for its certificates is none of ours."""
    worker = stage.province("33").worker
    office = also(worker.peers.office, adds, "realestate.register")
    monkeypatch.setattr(worker, "peers", replace(worker.peers, office=office))
    at = begun(stage, sensitive=False)
    stage.rule(lambda letter: None if letter.topic is Topic.FETCH else letter)
    at.answer()
    (fetch,) = (each for wire in stage.wires.values() for each in wire.sent if each.topic is Topic.FETCH)
    stage.rule(None)
    worker.peers.receive(fetch, now=stage.clock.now())
    stage.pump()
    view = at.view()
    assert (view.state == "PASSED") is passes
    assert passes or view.said.reason is Reason.SECOND_OFFICER_MISSING

"""The law book of a visit: what passes, what is refused, with which reason, and what a refusal leaves behind.

Every visit here goes through the real doors of counters, phones and exchange. Where a test is about somebody who breaks the
rules with right keys in hand, see test_rogues.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from consent.annotated_copy import CopyBody, Field, open_copy
from consent.approval import Decision
from consent.b64 import digest_of, new_id
from consent.clock import rfc3339, shanghai_date
from consent.code import mint
from consent.envelope import close_envelope, envelope_key
from consent.errors import Outcome, Reason, Refusal, Unavailable
from consent.grant import open_consent
from consent.keys import load_key, new_key
from consent.ledger import Act
from consent.provinces import provinces
from consent.receipt import open_receipt
from consent.request import open_request
from consent.seal import signed_digest
from consent.showing import name_slice, new_showing_id
from consent.stores import handover, queue
from consent.stores.base import reading, writing
from consent.transport import Letter, Topic
from consent.window import issuer_of, seal_window
from scanner_kiosk.country.people import pair
from scanner_kiosk.country.units import window_for
from tests.country import START, Scene, Stage, persona, read_ledger, refused
from tests.counts import count
from verifier.admit import admit, permitted, permitted_request, released
from verifier.desk import Presentation
from verifier.matters.scope import Scope
from verifier.stores import inner
from verifier.stores import library as library_tables

CODES = tuple(provinces())


def lose(*topics: Topic) -> Callable[[Letter], Letter | None]:
    """A wire on which letters about these topics meet silence: nobody knows whether they arrived."""

    def rule(letter: Letter) -> Letter | None:
        if letter.topic in topics:
            raise Unavailable(Reason.EXCHANGE_UNREACHABLE, what=letter.to)
        return letter

    return rule


def silent_library(code: str, *topics: Topic) -> Callable[[Letter], Letter | None]:
    """A library that does not answer; the exchange says so."""

    def rule(letter: Letter) -> Letter | None:
        if letter.to == code and letter.topic in topics:
            raise Unavailable(Reason.LIBRARY_UNREACHABLE, what=code)
        return letter

    return rule


# A visit as it should go ----------------------------------------------------------------------------------


@pytest.mark.parametrize("app", count(CODES, CODES[:1]))
@pytest.mark.parametrize("desk", CODES)
def test_a_visit_passes_between_any_three_provinces(stage: Stage, app: str, desk: str) -> None:
    # Four libraries rotate through the sixteen pairs, so that every province plays every part with every other.
    library = CODES[(CODES.index(app) + CODES.index(desk)) % 4]
    scene = stage.scene(app, desk, library)
    view = scene.whole()
    assert (view.state, view.outcome, view.library) == ("PASSED", Outcome.PASSED, library)
    assert view.copy is not None
    assert view.copy["cause"] == "办理业务"
    assert scene.showing()["state"] == "DELIVERED"
    stage.books()


def test_a_citizen_may_take_minutes_to_answer(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    stage.pass_time(110)
    scene.agree()
    assert scene.finish().state == "PASSED"
    stage.pass_time(60)
    assert scene.view().copy is not None, "the copy can still be read a minute later"
    stage.books()


def test_all_three_sides_hold_a_receipt_about_the_same_request(stage: Stage) -> None:
    scene = stage.scene()
    scene.whole()
    ring, now = stage.province("31").office.ring, stage.clock.now()
    row, claim = scene.row(), scene.claim()
    (spend,) = stage.rows("33", library_tables.spends)
    result = scene.showing()["result"]
    papers = {
        "unit": open_receipt(row.receipt, ring, side="unit", now=now),
        "citizen": open_receipt(result["receipt"], ring, side="citizen", now=now),
        "library": open_receipt(spend.receipt, ring, side="library", now=now),
    }
    assert {each.claims["req"] for each in papers.values()} == {row.request_digest}
    (consent,) = {each.claims["consent"] for each in papers.values()}
    assert consent is not None
    assert {each.claims["copy"] for each in papers.values()} == {signed_digest(row.copy)}
    assert spend.unit_receipt == row.receipt, "the library keeps what the unit signed"
    assert spend.state == "DELIVERED"
    assert claim.state == "ENDED"
    assert papers["citizen"].claims["officer"] == "not-verified"


def test_the_sheet_says_what_the_register_says_and_the_cause_alone_is_the_counters(stage: Stage) -> None:
    scene = stage.scene(cause="领取一份礼物")
    view = scene.asked_and_shown()
    sheet = scene.sheet()["sheet"]
    assert sheet["cause"] == "领取一份礼物"
    assert view.digits in sheet["digits"]
    assert len(set(sheet["digits"])) == 3
    assert sheet["unit"]["name_zh"].endswith("不动产登记中心")
    assert [each["name"] for each in sheet["fields"]] == list(_ask_of(stage, scene).fields)
    assert sheet["not_given"]


def test_a_register_offers_what_is_in_force_and_listed_today(stage: Stage) -> None:
    window = window_for("32", "marriage.register")
    offered = stage.province("32").desk.register(window, now=stage.clock.now())
    assert [matter.slug for matter, _ in offered.matters] == ["marriage.register", "divorce.apply"]
    early = stage.province("32").desk.register(window_for("32", "realestate.register"), now=START.replace(year=2024))
    assert early.matters == ()


def test_a_cleared_visit_is_never_opened_again(stage: Stage) -> None:
    scene = stage.scene()
    scene.whole()
    scene.client.clear(scene.asked.request_id)
    view = scene.present()
    assert (view.state, view.copy, view.outcome) == ("CLEARED", None, Outcome.PASSED)
    assert scene.row().answer_secret is None
    scene.client.clear(scene.asked.request_id)  # twice is once
    assert refused(scene.client.clear, new_id()) is Reason.REQUEST_UNKNOWN
    stage.books()


def test_the_key_to_a_copy_dies_with_its_term_although_nobody_cleared(stage: Stage) -> None:
    scene = stage.scene()
    scene.whole()
    stage.clock.advance(60 * 18)
    stage.pump()
    assert scene.row().answer_secret is None
    assert scene.view().state == "CLEARED"
    stage.books()


# What a desk refuses before anything is written -----------------------------------------------------------


def _stranger(stage: Stage) -> str:
    return mint(bytes(16), new_key("EdDSA", issuer="31"), now=stage.clock.now())


def _flipped(stage: Stage) -> str:
    # Another showing's signature under this showing's words: right shape, right key, wrong signature.
    key = stage.country.founded.keys.signing("31", "code")
    one, two = (mint(bytes([n]) * 16, key, now=stage.clock.now()) for n in (1, 2))
    return one[:80] + two[80:]


def _minted(stage: Stage, seconds: float) -> str:
    key = stage.country.founded.keys.signing("31", "code")
    return mint(bytes(16), key, now=stage.clock.now() + timedelta(seconds=seconds))


REFUSED_AT_THE_DESK: dict[str, tuple[Reason, Callable[[Stage], dict[str, Any]]]] = {
    "a text that is no code": (Reason.CODE_MALFORMED, lambda stage: {"code": "https://example.cn/pay"}),
    "a code under a key that nobody knows": (Reason.CODE_UNKNOWN_KEY, lambda stage: {"code": _stranger(stage)}),
    "a code whose signature does not hold": (Reason.CODE_BAD_SIGNATURE, lambda stage: {"code": _flipped(stage)}),
    "a code from the future": (Reason.CODE_NOT_YET_VALID, lambda stage: {"code": _minted(stage, 11)}),
    "a code that is too old": (Reason.CODE_EXPIRED, lambda stage: {"code": _minted(stage, -60)}),
    "a matter that never was": (Reason.MATTER_UNKNOWN, lambda stage: {"matter": "dog.licence", "window": "32-R1"}),
    "a matter that is not on the unit's list": (
        Reason.SCOPE_NOT_LISTED,
        lambda stage: {"matter": "divorce.apply", "window": "32-R1"},
    ),
    "a bank": (Reason.COMMERCIAL_USER, lambda stage: {"window": "32-B1"}),
    "a certificate type that the matter does not take": (
        Reason.CERTIFICATE_TYPE_NOT_ALLOWED,
        lambda stage: {"matter": "divorce.apply", "type_": "divorce"},
    ),
    "a precondition that was not ticked": (
        Reason.PRECONDITION_MISSING,
        lambda stage: {"matter": "divorce.apply", "type_": "marriage", "preconditions": ("both_booklets_lost",)},
    ),
    "nobody's ID number at the counter": (Reason.HOLDER_MATCH_MISSING, lambda stage: {"number": None}),
    "a cause with a control character": (Reason.BODY_INVALID, lambda stage: {"cause": "买房\x07"}),
    "a case number with a line break": (Reason.BODY_INVALID, lambda stage: {"case_number": "2026\n1"}),
    "a matter that is no slug": (
        Reason.BODY_INVALID,
        lambda stage: {"matter": "Realestate Register", "window": "32-R1"},
    ),
}


@pytest.mark.parametrize("name", REFUSED_AT_THE_DESK)
def test_the_desk_refuses_and_nothing_is_written(stage: Stage, name: str) -> None:
    reason, attack = REFUSED_AT_THE_DESK[name]
    scene = stage.scene(**attack(stage))
    assert refused(scene.present) is reason
    _nothing_happened(stage, scene)


def test_a_matter_is_refused_before_its_day(stage: Stage) -> None:
    scene = stage.scene()
    desk, now = stage.province("32").desk, stage.clock.now()
    early = START.replace(year=2024, month=7)
    key = stage.country.founded.keys.signing("31", "code")
    presentation = replace(_presentation(scene), code=mint(bytes(16), key, now=early))
    with pytest.raises(Refusal) as no:
        permitted(
            unit=desk.office.scope("32").unit_of_window(scene.client.window).uscc,
            window=scene.client.window,
            matter=presentation.matter,
            type_=presentation.type,
            scope=desk.office.scope("32"),
            catalogue=desk.office.catalogue,
            on=shanghai_date(early),
        )
    assert no.value.reason is Reason.PHASE_NOT_BEGUN
    assert no.value.facts["date"] == "2025-01-01"
    assert now == START


def _match(stage: Stage, scene: Scene, payload: Any, *, to: str = "32") -> Presentation:
    recipient = stage.province("32").office.keylist.recipient(to)
    request_id = scene.asked.request_id
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return replace(_presentation(scene), match=close_envelope(recipient, raw, info=request_id))


@pytest.mark.parametrize(
    ("payload", "to", "reason"),
    [
        ({"id": "310199199001010018"}, "33", Reason.ENVELOPE_UNREADABLE),
        ({"id": "310199199001010017"}, "32", Reason.ID_NUMBER_MALFORMED),
        ({"id": "310199900101001"}, "32", Reason.ID_NUMBER_MALFORMED),  # 15 digits prove nobody (A33)
        ({"id": 7}, "32", Reason.HOLDER_MATCH_MISSING),
        ({"name": "张伟"}, "32", Reason.HOLDER_MATCH_MISSING),
        (b"\xff", "32", Reason.DOCUMENT_MALFORMED),
    ],
)
def test_an_id_number_that_cannot_be_read_is_refused(stage: Stage, payload: Any, to: str, reason: Reason) -> None:
    scene = stage.scene()
    presentation = _match(stage, scene, payload, to=to)
    desk, now = stage.province("32").desk, stage.clock.now()
    assert refused(desk.present, scene.client.window, presentation, now=now) is reason
    _nothing_happened(stage, scene)


@pytest.mark.parametrize("request_id", ["", "short", "A" * 23, "=" * 22])
def test_a_request_id_is_128_bits(stage: Stage, request_id: str) -> None:
    scene = stage.scene()
    presentation = replace(_presentation(scene), request_id=request_id)
    desk = stage.province("32").desk
    assert refused(desk.present, scene.client.window, presentation, now=stage.clock.now()) is Reason.BODY_INVALID


# Who stands at the window ---------------------------------------------------------------------------------


def _proof(stage: Stage, *, province: str = "32", window: str = "32-R1", key: Any = None, path: str = "/a") -> str:
    uri = stage.country.founded.keys.uri(province, f"window-{window}")
    key = key or load_key(uri, issuer=issuer_of(province, window), sandbox=True)
    return seal_window(key, province="32", method="POST", path=path, body=b"x", now=stage.clock.now())


def test_a_window_proves_itself_once(stage: Stage) -> None:
    desk, now = stage.province("32").desk, stage.clock.now()
    text = _proof(stage)
    assert desk.proof(text, method="POST", path="/a", body=b"x", now=now).window == "32-R1"
    assert refused(desk.proof, text, method="POST", path="/a", body=b"x", now=now) is Reason.DOCUMENT_REPLAYED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": "/b"}, Reason.DOCUMENT_CLAIMS),
        ({"method": "GET"}, Reason.DOCUMENT_CLAIMS),
        ({"body": b"y"}, Reason.DOCUMENT_CLAIMS),
    ],
)
def test_a_proof_is_good_for_one_call(stage: Stage, changes: dict[str, Any], reason: Reason) -> None:
    call = {"method": "POST", "path": "/a", "body": b"x"} | changes
    assert refused(stage.province("32").desk.proof, _proof(stage), now=stage.clock.now(), **call) is reason


def test_a_stranger_and_a_window_of_another_province_are_no_windows_here(stage: Stage) -> None:
    desk, now = stage.province("32").desk, stage.clock.now()
    call = {"method": "POST", "path": "/a", "body": b"x", "now": now}
    stranger = new_key("ES256", issuer="32:32-R1")
    assert refused(desk.proof, _proof(stage, key=stranger), **call) is Reason.WINDOW_UNKNOWN
    elsewhere = _proof(stage, province="31", window="31-R1")
    assert refused(desk.proof, elsewhere, **call) is Reason.WINDOW_UNKNOWN
    assert refused(desk.register, "31-R1", now=now) is Reason.WINDOW_UNKNOWN


# Retries --------------------------------------------------------------------------------------------------


def test_the_same_bytes_get_the_same_visit_at_every_stage(stage: Stage) -> None:
    scene = stage.scene()
    first = scene.present()
    assert scene.present() == first
    stage.pump()
    assert scene.present() == first
    scene.agree()
    passed = scene.finish()
    again = scene.present()
    assert (again.copy, again.version) == (passed.copy, passed.version)
    assert len(stage.rows("32", inner.visits)) == 1
    assert len(stage.rows("31", inner.claims)) == 1
    stage.books()


def test_the_same_id_for_other_bytes_is_refused(stage: Stage) -> None:
    scene = stage.scene()
    scene.present()
    other = replace(scene.asked, body=scene.asked.body.replace("办理业务".encode(), "别的事由".encode()))
    assert refused(scene.client.present, other) is Reason.REQUEST_ID_REUSED
    assert len(stage.rows("32", inner.visits)) == 1


def test_a_presentation_that_lost_the_race_for_its_id_gets_the_winners_visit(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = stage.scene()
    first = scene.present()
    real, blind = inner.find_visit, [True]

    def late(conn: Any, window: str, request_id: str) -> Any:
        # Both looked before either wrote.
        return None if blind and blind.pop() else real(conn, window, request_id)

    monkeypatch.setattr("verifier.desk.inner.find_visit", late)
    assert scene.present() == first
    assert len(stage.rows("32", inner.visits)) == 1
    stage.books()


def test_another_window_neither_sees_the_visit_nor_gets_the_code(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    other = stage.country.window_client("32", "32-R2")
    assert refused(other.visit, scene.asked.request_id) is Reason.REQUEST_UNKNOWN
    assert refused(other.clear, scene.asked.request_id) is Reason.REQUEST_UNKNOWN
    other.present(scene.asked)  # a copy of the very bytes
    stage.pump()
    view = other.visit(scene.asked.request_id)
    assert (view.state, view.said.reason) == ("REFUSED", Reason.CODE_ALREADY_USED)
    scene.agree()
    assert scene.finish().state == "PASSED", "the thief has not hurt the first window"
    stage.books()


def test_a_code_shown_twice_is_refused(stage: Stage) -> None:
    scene = stage.scene()
    code = scene.phone.code()
    scene.whole()
    again = stage.scanned(scene.who, scene.phone, "34", code=code)
    again.present()
    assert again.finish().said.reason is Reason.CODE_ALREADY_USED
    assert again.row().answer_secret is None, "what is refused needs no key"
    stage.books()


@pytest.mark.parametrize(
    "topic",
    count(
        (Topic.ASK, Topic.CONSENT, Topic.FETCH, Topic.COPY, Topic.OUTCOME, Topic.ACKNOWLEDGE),
        (Topic.ASK, Topic.FETCH, Topic.OUTCOME),
    ),
)
def test_every_letter_may_arrive_three_times(stage: Stage, topic: Topic) -> None:
    def thrice(letter: Letter) -> Letter:
        if letter.topic is topic:
            for _ in range(2):
                stage.wires[letter.sender].way.send(letter)
        return letter

    stage.rule(thrice)
    scene = stage.scene()
    assert scene.whole().state == "PASSED"
    assert scene.showing()["state"] == "DELIVERED"
    stage.books()


@pytest.mark.parametrize(
    "topic", count((Topic.CONSENT, Topic.COPY, Topic.OUTCOME, Topic.ACKNOWLEDGE), (Topic.CONSENT, Topic.COPY))
)
def test_a_letter_whose_answer_was_lost_is_sent_again(stage: Stage, topic: Topic) -> None:
    """The other side has it, the sender does not know."""
    lost: list[Letter] = []

    def rule(letter: Letter) -> Letter:
        if letter.topic is topic and not lost:
            lost.append(letter)
            stage.wires[letter.sender].way.send(letter)
            raise Unavailable(Reason.EXCHANGE_UNREACHABLE, what=letter.to)
        return letter

    stage.rule(rule)
    scene = stage.scene()
    scene.whole()
    stage.pass_time(3, step=1)
    assert scene.view().state == "PASSED"
    assert scene.showing()["state"] == "DELIVERED"
    assert lost
    stage.books()


# What the citizen's province refuses ----------------------------------------------------------------------


def test_another_person_at_the_counter_is_refused_and_the_code_stays_good(stage: Stage) -> None:
    scene = stage.scene(number=pair("31", "31").id_number)
    scene.present()
    view = scene.finish()
    assert (view.state, view.said.reason) == ("REFUSED", Reason.HOLDER_MISMATCH)
    assert scene.showing()["state"] == "OPEN"
    assert scene.claim() is None
    right = stage.scanned(scene.who, scene.phone, "32")
    assert right.whole().state == "PASSED"
    stage.books()


def test_an_older_showing_is_superseded(stage: Stage) -> None:
    scene = stage.scene()
    scene.phone.show()
    scene.present()
    assert scene.finish().said.reason is Reason.CODE_SUPERSEDED
    stage.books()


def test_a_showing_that_was_put_away_looks_like_one_that_never_was(stage: Stage) -> None:
    scene = stage.scene()
    line, token = scene.phone.app.line, scene.phone.app.token
    line.call("DELETE", f"/v1/showings/{scene.phone.showing_id}", b"", {"Authorization": f"Bearer {token}"})
    scene.present()
    put_away = scene.finish()
    key, secret = stage.country.founded.keys.signing("31", "code"), stage.province("31").office.showing_key
    never = stage.scanned(
        scene.who, scene.phone, "32", code=mint(name_slice(new_showing_id(), 0, secret), key, now=stage.clock.now())
    )
    never.present()
    unknown = never.finish()
    assert put_away.said.reason is unknown.said.reason is Reason.CODE_EXPIRED
    assert put_away.said == unknown.said


@pytest.mark.parametrize(("number", "reason"), [(2, Reason.CODE_SUPERSEDED), (6, Reason.CODE_NOT_YET_VALID)])
def test_only_the_present_slice_and_the_one_before_it_are_taken(stage: Stage, number: int, reason: Reason) -> None:
    scene = stage.scene()
    stage.clock.advance(125)  # the fifth slice
    key, secret = stage.country.founded.keys.signing("31", "code"), stage.province("31").office.showing_key
    code = mint(name_slice(scene.phone.showing_id, number, secret), key, now=stage.clock.now())
    other = stage.scanned(scene.who, scene.phone, "32", code=code)
    other.present()
    assert other.finish().said.reason is reason
    assert scene.showing()["state"] == "OPEN"


def test_a_request_that_travelled_for_more_than_a_minute_comes_too_late(stage: Stage) -> None:
    scene = stage.scene()
    stage.rule(lambda letter: None)
    scene.present()
    stage.pump()
    (letter,) = (each for each in stage.wires["32"].sent if each.topic is Topic.ASK)
    stage.clock.advance(61)
    stage.province("31").peers.receive(letter, now=stage.clock.now())
    stage.rule(None)
    assert scene.finish().said.reason is Reason.CODE_EXPIRED


def test_a_request_that_has_claimed_gets_its_answer_again_however_late_it_comes_twice(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    (letter,) = (each for each in stage.wires["32"].sent if each.topic is Topic.ASK)
    stage.clock.advance(70)
    stage.province("31").peers.receive(letter, now=stage.clock.now())
    stage.pump()
    assert scene.view().state == "ASKED"
    scene.agree()
    stage.rule(lambda each: None if each.topic is Topic.CONSENT else each)
    stage.pump()
    assert scene.view().state == "ASKED", "the consent is lost on the way"
    stage.rule(None)
    stage.province("31").peers.receive(letter, now=stage.clock.now())
    assert scene.finish().state == "PASSED"
    stage.books()


def test_a_refusal_is_told_once_and_written_once(stage: Stage) -> None:
    scene = stage.scene(number=pair("31", "31").id_number)
    scene.asked_and_shown()
    (letter,) = (each for each in stage.wires["32"].sent if each.topic is Topic.ASK)
    stage.province("31").peers.receive(letter, now=stage.clock.now())
    stage.pump()
    book = read_ledger(stage.province("31").office.inner, inner.ledger)
    assert len([each for each in book if each.act is Act.REFUSED]) == 1


def test_two_counters_that_ask_in_the_same_moment_share_no_showing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both requests pass every look at the tables; the primary key alone decides."""
    scene = stage.scene()
    thief = stage.scanned(scene.who, scene.phone, "34", code=scene.phone.code())
    scene.asked_and_shown()
    monkeypatch.setattr("verifier.consents.inner.find_claim", lambda conn, showing_id: None)
    monkeypatch.setattr("verifier.consents.handover.find", _as_if_open(handover.find))
    thief.present()
    stage.pump()
    monkeypatch.undo()
    assert thief.view().said.reason is Reason.CODE_ALREADY_USED
    stage.books()


def test_a_request_that_arrives_twice_at_once_claims_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    (letter,) = (each for each in stage.wires["32"].sent if each.topic is Topic.ASK)
    real, blind = inner.claim_of_request, [True]

    def late(conn: Any, digest: str) -> Any:
        return None if blind and blind.pop() else real(conn, digest)

    monkeypatch.setattr("verifier.consents.inner.claim_of_request", late)
    monkeypatch.setattr("verifier.consents.inner.find_claim", lambda conn, showing_id: None)
    monkeypatch.setattr("verifier.consents.handover.find", _as_if_open(handover.find))
    stage.province("31").peers.receive(letter, now=stage.clock.now())
    monkeypatch.undo()
    scene.agree()
    assert scene.finish().state == "PASSED"
    stage.books()


def _as_if_open(real: Callable[..., Any]) -> Callable[..., Any]:
    def find(conn: Any, showing_id: str) -> Any:
        row = real(conn, showing_id)
        return None if row is None else replace(row, state="OPEN")

    return find


def test_a_showing_that_closes_between_claim_and_sheet_ends_the_claim(stage: Stage) -> None:
    scene = stage.scene()
    scene.present()
    stage.province("32").worker.run_once()  # the letter is at 31; its sheet still lies in 31's outbox
    assert scene.claim() is not None
    scene.phone.show()
    assert scene.finish().said.reason is Reason.CODE_SUPERSEDED
    assert scene.claim().state == "ENDED"
    stage.books()


# The citizen's answer -------------------------------------------------------------------------------------


def test_declining_and_silence_look_alike_at_the_counter(stage: Stage) -> None:
    declined = stage.scene()
    declined.asked_and_shown()
    declined.decline()
    no = declined.finish()
    silent = stage.scene("33", "32", "31")
    silent.asked_and_shown()
    stage.pass_time(125)
    nothing = silent.view()
    assert no.said.reason is nothing.said.reason is Reason.NOT_AUTHORISED
    assert (no.state, no.outcome, no.said) == (nothing.state, nothing.outcome, nothing.said)
    assert (declined.claim().reason, silent.claim().reason) == ("DECLINED", "TIMED_OUT")
    assert (declined.showing()["state"], silent.showing()["state"]) == ("DECLINED", "TIMED_OUT")
    acts = {
        code: [e.act for e in read_ledger(stage.province(code).office.inner, inner.ledger)] for code in ("31", "33")
    }
    assert Act.DECLINED in acts["31"]
    assert Act.TIMED_OUT in acts["33"]
    stage.books()


def test_the_digits_of_another_screen_end_the_visit_with_one_try(stage: Stage) -> None:
    scene = stage.scene()
    view = scene.asked_and_shown()
    (wrong, *_) = (each for each in scene.sheet()["sheet"]["digits"] if each != view.digits)
    scene.agree(digits=wrong)
    assert scene.finish().said.reason is Reason.DIGITS_WRONG
    assert refused(scene.agree, digits=view.digits) is Reason.STATE_FORBIDS
    stage.books()


def test_an_agreement_without_digits_is_none(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree(digits=None)
    assert scene.finish().said.reason is Reason.DIGITS_WRONG


def test_a_matter_that_needs_a_declaration_is_not_agreed_to_without_it(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree(declare=False)
    view = scene.finish()
    assert (view.state, view.said.reason) == ("REFUSED", Reason.DECLARATION_MISSING)
    stage.books()


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("no-certificate", Reason.NOT_FOUND),
        ("paper-only", Reason.NOT_DIGITISED),
        ("zhang-wei", Reason.AMBIGUOUS),  # has one, but picked none
    ],
)
def test_none_of_mine_is_said_only_after_agreement(stage: Stage, who: str, reason: Reason) -> None:
    someone = persona(who)
    scene = stage.scene(who=someone)
    scene.asked_and_shown()
    waiting = scene.view()
    assert (waiting.state, waiting.said.reason, waiting.library) == ("ASKED", None, None)
    scene.agree(certificate=None)
    view = scene.finish()
    assert (view.state, view.said.reason, view.outcome) == ("UNDETERMINED", reason, Outcome.UNDETERMINED)
    assert scene.showing()["state"] == "UNDETERMINED"
    stage.books()


def test_whether_there_is_a_certificate_does_not_show_before_agreement(stage: Stage) -> None:
    """Somebody with and somebody without: same letters, same sizes, same answers, whatever they say but yes."""
    seen = []
    for who in (persona("no-certificate"), persona("shen-yu")):
        stage.reset()
        scene = stage.scene(who=who)
        first = scene.asked_and_shown()
        shown = scene.view()
        scene.decline()
        last = scene.finish()
        letters = [(e.sender, e.to, e.topic, len(e.body)) for wire in stage.wires.values() for e in wire.sent]
        seen.append((first.state, shown.state, last.state, last.said, sorted(letters)))
    assert seen[0] == seen[1]


def test_one_silent_library_means_nobody_knows(stage: Stage) -> None:
    stage.rule(silent_library("34", Topic.HOLDINGS))
    scene = stage.scene(who=persona("no-certificate"))
    scene.asked_and_shown()
    assert scene.sheet()["holdings"]["silent"] == ["34"]
    scene.agree(certificate=None)
    view = scene.finish()
    assert (view.state, view.said.reason) == ("UNDETERMINED", Reason.LIBRARY_UNREACHABLE)
    assert scene.present().state == "UNDETERMINED", "without a consent there is nobody to ask again"
    stage.books()


def test_a_library_that_answers_late_counts_as_silent_until_it_does(stage: Stage) -> None:
    stage.rule(lambda letter: None if letter.topic is Topic.HELD and letter.sender == "34" else letter)
    scene = stage.scene(who=persona("no-certificate"))
    scene.asked_and_shown()
    assert scene.sheet()["holdings"] is None
    stage.pass_time(6, step=1)
    assert scene.sheet()["holdings"]["silent"] == ["34"]
    (late,) = (each for each in stage.wires["34"].sent if each.topic is Topic.HELD)
    stage.province("33").peers.receive(late, now=stage.clock.now())
    assert scene.sheet()["holdings"]["silent"] == []
    scene.agree(certificate=None)
    assert scene.finish().said.reason is Reason.NOT_FOUND, "all four have spoken"


def test_one_lost_question_silences_no_other_citizens_library(stage: Stage) -> None:
    first = stage.scene(who=persona("no-certificate"))
    stage.rule(lambda letter: None if letter.topic is Topic.HELD else letter)
    stage.pump()
    stage.rule(silent_library("34", Topic.HOLDINGS))
    second = stage.scene(who=persona("shen-yu"))
    stage.pump()
    states = {
        (row.showing_id, row.library): row.state for row in stage.rows("33", inner.lookups) if row.library == "34"
    }
    assert states == {(first.phone.showing_id, "34"): "WAITING", (second.phone.showing_id, "34"): "SILENT"}


def test_an_answer_after_its_time_is_no_answer(stage: Stage) -> None:
    """The worker slept; the approval is genuine, but the counter may have been told already that there was none."""
    scene = stage.scene()
    scene.asked_and_shown()
    stage.pass_time(115)
    scene.agree()
    stage.clock.advance(10)
    view = scene.finish()
    assert view.said.reason is Reason.NOT_AUTHORISED
    assert scene.claim().reason == "TIMED_OUT"
    stage.books()


def test_a_handle_that_names_no_province_is_refused(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree(certificate=f"99.{new_id()}")
    assert scene.finish().said.reason is Reason.WRONG_PROVINCE
    stage.books()


def test_another_persons_certificate_and_one_of_the_other_type_are_not_given(stage: Stage) -> None:
    other = pair("34", "33")
    theirs = stage.scene(who=other)
    theirs.asked_and_shown()
    handle = theirs.picked()
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree(certificate=handle)
    assert scene.finish().said.reason is Reason.HOLDER_MISMATCH
    remarried = stage.scene(who=persona("zhou-ming"), type_="marriage")
    remarried.asked_and_shown()
    divorce = next(e for e in remarried.sheet()["holdings"]["certificates"] if e["type"] == "divorce")
    remarried.agree(certificate=divorce["certificate"])
    assert remarried.finish().said.reason is Reason.CERTIFICATE_TYPE_NOT_ALLOWED
    assert stage.rows("33", library_tables.spends) == []
    stage.books()


def test_a_certificate_that_is_not_there_is_not_found_after_agreement(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree(certificate=f"33.{new_id()}")
    view = scene.finish()
    assert (view.state, view.said.reason) == ("UNDETERMINED", Reason.NOT_FOUND)
    stage.books()


@pytest.mark.parametrize("who", ["under-objection", "superseded"])
def test_a_certificate_that_is_not_valid_shows_its_status_and_nothing_else(stage: Stage, who: str) -> None:
    someone = persona(who)
    scene = stage.scene(who=someone)
    scene.asked_and_shown()
    handle = next(e for e in scene.sheet()["holdings"]["certificates"] if e["status"] != "VALID")["certificate"]
    scene.agree(certificate=handle)
    view = scene.finish()
    assert (view.state, view.said.reason, view.copy) == ("REFUSED", Reason.CERTIFICATE_NOT_VALID, None)
    status = someone.stories[0].status
    assert json.loads(scene.row().facts)["status"] == status
    assert scene.showing()["state"] == "REFUSED"
    assert stage.rows(someone.stories[0].library, library_tables.spends)[0].state == "DELIVERED"
    stage.books()


# Libraries that do not answer -----------------------------------------------------------------------------


def test_a_silent_library_is_asked_again_under_the_same_consent(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    stage.rule(silent_library("33", Topic.FETCH))
    scene.agree()
    stage.pump()
    stage.pass_time(5, step=1)
    view = scene.view()
    assert (view.state, view.said.reason) == ("UNDETERMINED", Reason.LIBRARY_UNREACHABLE)
    assert scene.showing()["state"] == "UNDETERMINED"
    assert scene.claim().state == "CONSENTED"
    consent = scene.row().consent
    stage.rule(None)
    assert scene.present().state == "FETCHING"
    view = scene.finish()
    assert (view.state, view.said.reason) == ("PASSED", None)
    assert scene.row().consent == consent
    assert scene.showing()["state"] == "DELIVERED"
    assert len(stage.rows("33", library_tables.spends)) == 1
    stage.books()


def test_a_library_may_be_asked_again_minutes_after_the_question(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    stage.pass_time(100)
    stage.rule(silent_library("33", Topic.FETCH))
    scene.agree()
    stage.pump()
    stage.pass_time(90)
    assert scene.view().state == "UNDETERMINED"
    stage.rule(lambda letter: None if letter.topic is Topic.COPY else letter)
    scene.present()
    stage.pass_time(20, step=10)
    assert scene.view().state == "FETCHING", "the library has its time again"
    stage.rule(None)
    stage.pass_time(15)
    assert scene.view().state == "UNDETERMINED"
    assert scene.present().state == "FETCHING"
    assert scene.finish().state == "PASSED"
    stage.books()


def test_a_copy_whose_delivery_failed_is_the_same_copy_when_asked_again(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    stage.rule(lambda letter: None if letter.topic is Topic.COPY else letter)
    scene.agree()
    stage.pump()
    (spend,) = stage.rows("33", library_tables.spends)
    stage.pass_time(40)
    assert (scene.view().state, scene.view().said.reason) == ("UNDETERMINED", Reason.DEADLINE)
    (lost,) = (each for each in stage.wires["33"].sent if each.topic is Topic.COPY)
    stage.rule(None)
    stage.province("32").peers.receive(lost, now=stage.clock.now())
    assert scene.view().state == "UNDETERMINED", "late is late: the counter has to ask"
    scene.present()
    assert scene.finish().state == "PASSED"
    assert scene.row().copy == spend.copy
    stage.books()


def test_a_certificate_that_lost_its_validity_meanwhile_is_not_given_again(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    stage.rule(lambda letter: None if letter.topic is Topic.COPY else letter)
    scene.agree()
    stage.pump()
    stage.pass_time(40)
    stage.set_status(scene, "ANNULLED")
    stage.rule(None)
    scene.present()
    view = scene.finish()
    assert (view.state, view.said.reason, view.copy) == ("REFUSED", Reason.CERTIFICATE_NOT_VALID, None)
    assert "{" not in view.said.sentence_zh + view.said.sentence_en
    assert scene.showing()["state"] == "REFUSED"


def test_a_consent_that_is_over_is_not_fetched_with(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    stage.rule(silent_library("33", Topic.FETCH))
    scene.agree()
    stage.pump()
    stage.pass_time(60 * 8)
    stage.rule(None)
    sent = len(stage.wires["32"].sent)
    assert scene.present().state == "UNDETERMINED"
    stage.pump()
    assert len(stage.wires["32"].sent) == sent
    assert scene.claim().state == "ENDED"
    assert scene.showing()["result"]["outcome"] == "UNDETERMINED", "the pause was not the end; now it is"
    stage.books()


def test_a_closed_channel_refuses_and_says_by_which_notice(stage: Stage) -> None:
    stage.country.channels.close(desk="32", library="33", notice="民办〔2026〕7号", now=stage.clock.now())
    scene = stage.scene()
    view = scene.whole()
    assert (view.state, view.said.reason) == ("REFUSED", Reason.CHANNEL_SUSPENDED)
    assert "民办〔2026〕7号" in view.said.sentence_zh + view.said.next_zh
    assert stage.rows("33", library_tables.spends) == []
    at_home = stage.scene("33", "33", "33")
    assert at_home.whole().state == "PASSED", "use at home goes on"
    stage.books()


def test_a_province_that_cannot_reach_the_exchange_serves_its_own(stage: Stage) -> None:
    stage.rule(lose(*Topic))
    home = stage.scene("31", "31", "31")
    assert home.whole().state == "PASSED"
    away = stage.scene("31", "32", "31")
    away.present()
    stage.pass_time(4, step=1)
    assert (away.view().state, away.view().said.reason) == ("UNDETERMINED", Reason.EXCHANGE_UNREACHABLE)
    stage.books()


def test_a_desk_that_hears_nothing_says_so_in_the_end(stage: Stage) -> None:
    stage.rule(lambda letter: None if letter.topic is Topic.CONSENT else letter)
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree()
    stage.pass_time(160)
    assert (scene.view().state, scene.view().said.reason) == ("UNDETERMINED", Reason.DEADLINE)
    stage.pass_time(60 * 6, step=30)
    assert scene.claim().state == "ENDED"
    assert scene.showing()["result"]["reason"] == "DEADLINE"
    stage.books()


# Withdrawing ----------------------------------------------------------------------------------------------


def test_a_consent_withdrawn_before_the_fetch_is_never_spent(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree()
    stage.rule(lambda letter: None if letter.topic is Topic.FETCH else letter)
    stage.pump()
    scene.withdraw()
    assert scene.showing()["state"] == "WITHDRAWING"
    stage.rule(None)
    stage.pump()
    assert scene.showing()["state"] == "WITHDRAWN"
    assert scene.showing()["result"]["reason"] == "WITHDRAWN"
    stage.pass_time(40)
    scene.present()
    view = scene.finish()
    assert (view.state, view.said.reason) == ("REFUSED", Reason.WITHDRAWN)
    (spend,) = stage.rows("33", library_tables.spends)
    assert (spend.state, spend.copy) == ("WITHDRAWN", None)
    stage.books()


def test_a_withdrawal_that_comes_too_late_says_delivered(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree()
    stage.rule(lambda letter: None if letter.topic in (Topic.COPY, Topic.WITHDRAWN) else letter)
    stage.pump()
    scene.withdraw()
    stage.rule(lambda letter: None if letter.topic is Topic.COPY else letter)
    stage.pump()
    assert scene.showing()["state"] == "WITHDRAWING", "the library has spent it; the counter has not said yet"
    stage.rule(None)
    stage.pass_time(40)
    assert scene.showing()["state"] == "WITHDRAWING", "nobody has seen anything yet"
    scene.present()
    assert scene.finish().state == "PASSED"
    assert scene.showing()["state"] == "DELIVERED"
    assert scene.showing()["reason"] == "WITHDRAWAL_TOO_LATE"
    assert scene.showing()["result"]["reason"] is None, "the visit itself passed"
    stage.books()


def test_a_withdrawal_that_the_library_refused_never_ends_as_withdrawn(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree()
    stage.rule(lambda letter: None if letter.topic is Topic.COPY else letter)
    stage.pump()
    scene.withdraw()
    stage.pump()
    assert scene.claim().reason == "WITHDRAWAL_TOO_LATE"
    stage.pass_time(60 * 8, step=30)
    assert scene.showing()["state"] == "UNDETERMINED"
    assert scene.claim().reason == "DEADLINE"
    stage.books()


def test_a_withdrawal_that_no_library_hears_is_done_when_the_token_is_dead(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree()
    stage.rule(lambda letter: None if letter.topic in (Topic.FETCH, Topic.WITHDRAW) else letter)
    stage.pump()
    scene.withdraw()
    stage.pass_time(60 * 5, step=30)
    assert scene.showing()["state"] == "WITHDRAWING", "a token that lives may still be spent"
    stage.pass_time(60 * 3, step=30)
    assert scene.showing()["state"] == "WITHDRAWN"
    fetch = next(each for each in stage.wires["32"].sent if each.topic is Topic.FETCH)
    with pytest.raises(Refusal) as no:
        stage.province("33").peers.receive(fetch, now=stage.clock.now())
    assert no.value.reason is Reason.DOCUMENT_EXPIRED
    stage.books()


# The worker -----------------------------------------------------------------------------------------------


def test_an_errand_that_holds_anything_stops_nobody(stage: Stage) -> None:
    """The outer network is not trusted: whatever it writes, the inner one goes on."""
    province = stage.province("31")
    for n, (kind, body) in enumerate(
        [
            ("approval", {}),
            ("approval", {"approval": 7}),
            ("withdrawal", {"approval": "x" * 10}),
            ("holdings", {}),
            ("?", {}),
        ]
    ):
        with writing(province.office.handover) as conn:
            queue.put(conn, handover.errands, kind=kind, ref=f"{n:024x}", body=body, now=stage.clock.now())
    scene = stage.scene()
    assert scene.whole().state == "PASSED"
    stage.pass_time(600)
    with reading(province.office.handover) as conn:
        left = conn.execute(select(handover.errands.c.state).where(handover.errands.c.state == "NEW")).all()
    assert left == []


def test_an_approval_by_another_phone_changes_nothing(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    own, scene.phone.device = scene.phone.device, new_key("ES256", issuer="device")
    forged = scene.phone._signed(_agree(), scene.sheet()["sheet"], scene.view().digits, scene.picked(), True)
    with writing(stage.province("31").office.handover) as conn:  # as a wallet_api that lies would
        queue.put(
            conn, handover.errands, kind="approval", ref=scene.phone.showing_id, body=forged, now=stage.clock.now()
        )
    stage.pump()
    assert scene.claim().state == "ASKED"
    scene.phone.device = own
    scene.agree()
    assert scene.finish().state == "PASSED"


def _agree() -> Any:
    return Decision.AGREE


def test_old_letters_answers_and_uses_are_forgotten(stage: Stage) -> None:
    scene = stage.scene()
    scene.whole()
    stage.clock.advance(60 * 60 * 25)
    stage.pump()
    for table in (inner.outbox, inner.lookups, inner.uses):
        for code in CODES:
            assert stage.rows(code, table) == [], table.name
    stage.books()


def test_a_retry_is_judged_afresh_by_todays_list(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = stage.scene()
    scene.present()
    office = stage.province("32").office
    emptied = replace(office.scope("32"), units={})
    monkeypatch.setattr(type(office), "scope", lambda self, code: emptied)
    desk = stage.province("32").desk
    monkeypatch.setattr(type(emptied), "unit_of_window", Scope.unit_of_window)
    presentation = _presentation(scene)
    assert refused(desk._again, scene.client.window, presentation, now=stage.clock.now()) is Reason.UNIT_UNKNOWN


# The rules without IO -------------------------------------------------------------------------------------


@pytest.fixture
def admitted(stage: Stage) -> dict[str, Any]:
    """The arguments of `admit` as they were in a visit that passed."""
    scene = stage.scene()
    scene.whole()
    row, office = scene.row(), stage.province("32").office
    request = office_request(stage, scene)
    consent = open_consent(row.consent, office.ring, request=request, now=stage.clock.now())
    copy = open_copy(row.copy, office.ring, request=request, library="33", now=stage.clock.now())
    return {
        "copy": copy,
        "body": copy.body(envelope_key(row.answer_secret)),
        "request": request,
        "consent": consent,
        "may": office.judge(request),
        "now": stage.clock.now(),
    }


def office_request(stage: Stage, scene: Scene) -> Any:
    """The request of a scene, opened by its desk."""
    row = scene.row()
    return open_request(row.request, stage.province("32").office.ring, holder_province="31", now=row.asked_at)


def test_a_copy_is_admitted_that_answers_the_question(admitted: dict[str, Any]) -> None:
    assert admit(**admitted).body == admitted["body"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda body, now: replace(body, library="34"), Reason.CONSENT_MISMATCH),
        (lambda body, now: replace(body, type="divorce"), Reason.CERTIFICATE_TYPE_NOT_ALLOWED),
        (lambda body, now: replace(body, cause="别的"), Reason.CERTIFICATE_TYPE_NOT_ALLOWED),
        (lambda body, now: replace(body, expires=rfc3339(now)), Reason.DOCUMENT_EXPIRED),
        (lambda body, now: replace(body, status="ANNULLED"), Reason.CERTIFICATE_NOT_VALID),
        (lambda body, now: replace(body, fields=(*body.fields, _extra())), Reason.FIELD_NOT_ALLOWED),
        (lambda body, now: replace(body, fields=(_unmasked(body),)), Reason.FIELD_NOT_ALLOWED),
    ],
)
def test_a_copy_that_says_more_or_other_than_was_asked_is_not_admitted(
    admitted: dict[str, Any], change: Callable[..., CopyBody], reason: Reason
) -> None:
    changed = admitted | {"body": change(admitted["body"], admitted["now"])}
    assert refused(admit, **changed) is reason


def _extra() -> Field:
    return Field(name="registration_authority", disclosure="PLAIN", value="某区民政局")


def _unmasked(body: CopyBody) -> Field:
    return replace(next(each for each in body.fields if each.disclosure == "MASKED"), disclosure="PLAIN")


def test_a_copy_under_another_consent_is_not_admitted(stage: Stage, admitted: dict[str, Any]) -> None:
    other = stage.scene("33", "32", "33")
    other.whole()
    row = other.row()
    ring = stage.province("32").office.ring
    request = open_request(row.request, ring, holder_province="33", now=row.asked_at)
    consent = open_consent(row.consent, ring, request=request, now=stage.clock.now())
    assert refused(admit, **admitted | {"consent": consent}) is Reason.CONSENT_MISMATCH


def test_a_unit_whose_list_leaves_no_field_of_a_matter_may_not_ask(stage: Stage) -> None:
    office = stage.province("32").office
    scope = office.scope("32")
    unit = scope.unit_of_window("32-R1")
    listed = tuple(replace(each, fields=("something.else",)) for each in unit.listed)
    bare = replace(scope, units={**scope.units, unit.uscc: replace(unit, listed=listed)})
    no = refused(
        permitted,
        unit=unit.uscc,
        window="32-R1",
        matter="realestate.register",
        type_="marriage",
        scope=bare,
        catalogue=office.catalogue,
        on=shanghai_date(stage.clock.now()),
    )
    assert no is Reason.SCOPE_NOT_LISTED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fields": ("holder_match", "registration_authority")}, Reason.FIELD_NOT_ALLOWED),
        ({"declarations": ()}, Reason.DECLARATION_MISSING),
        ({"window": "32-M1"}, Reason.WINDOW_UNKNOWN),
        ({"unit": "11310000MB2F30019L"}, Reason.UNIT_UNKNOWN),
        ({"matter": "divorce.apply"}, Reason.SCOPE_NOT_LISTED),
    ],
)
def test_a_sealed_request_is_judged_like_the_question_it_came_from(
    stage: Stage, admitted: dict[str, Any], changes: dict[str, Any], reason: Reason
) -> None:
    office, request = stage.province("31").office, admitted["request"]
    asked = replace(request, ask=replace(request.ask, **changes))
    scope, on = office.scope("32"), shanghai_date(stage.clock.now())
    assert refused(permitted_request, asked, scope=scope, catalogue=office.catalogue, on=on) is reason
    unmatched = replace(request, match=None)
    assert (
        refused(permitted_request, unmatched, scope=scope, catalogue=office.catalogue, on=on)
        is Reason.HOLDER_MATCH_MISSING
    )


def test_a_library_lets_out_what_its_own_province_lets_out(stage: Stage, admitted: dict[str, Any]) -> None:
    request, may, scope = admitted["request"], admitted["may"], stage.province("33").office.scope("33")
    narrowed = replace(scope, narrowed={request.ask.matter: frozenset({"holder_match"})})
    assert [each.name for each in released(may, request.ask, library=narrowed)] == ["holder_match"]
    shut = replace(scope, narrowed={request.ask.matter: frozenset()})
    assert refused(released, may, request.ask, library=shut) is Reason.FIELD_NOT_ALLOWED


# Helpers --------------------------------------------------------------------------------------------------


def _presentation(scene: Scene) -> Presentation:
    found = json.loads(scene.asked.body)
    return Presentation(**found | {"preconditions": tuple(found["preconditions"])}, digest=digest_of(scene.asked.body))


def _ask_of(stage: Stage, scene: Scene) -> Any:
    return office_request(stage, scene).ask


def _nothing_happened(stage: Stage, scene: Scene) -> None:
    for code in CODES:
        assert stage.rows(code, inner.visits) == []
        assert stage.rows(code, inner.claims) == []
        book = read_ledger(stage.province(code).office.inner, inner.ledger)
        assert {each.act for each in book} <= {Act.LOOKED}
    assert [letter for wire in stage.wires.values() for letter in wire.sent] == []
    assert scene.showing()["state"] == "OPEN"

"""What comes back: annotated copies, answers, holdings, receipts, window proofs and the letters that carry them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.annotated_copy import AnnotatedCopy, CopyBody, Field, declared_digest, open_copy, seal_copy
from consent.answer import Answer, open_answer, seal_answer
from consent.b64 import digest_of, new_id
from consent.envelope import close_envelope
from consent.errors import Outcome, Reason, Refusal, outcome_of
from consent.holding import MOST, STATUSES, Holding, Holdings, holder_index, holdings_from, open_holding
from consent.receipt import SIDES, Position, open_receipt, seal_receipt
from consent.request import Request, open_request, seal_request
from consent.shapes import DIGEST, Maybe, Members, Text
from consent.transport import Letter, Topic, letter_from, read_letter, write_letter
from consent.window import issuer_of, open_window, seal_window
from tests.counts import count, is_refused, outcome
from tests.papers import (
    AGREED,
    ANSWER_KEY,
    ASIDE,
    ASK,
    ASKED,
    BODY,
    BY_TYP,
    CALL,
    COPY_KEY,
    COPY_TEXT,
    DESK,
    HANDLE,
    HOME,
    INNER,
    LIBRARY,
    NOW,
    OTHERS,
    PERSON,
    RECEIPT_KEY,
    REQUEST_KEY,
    RING,
    UNIT,
    VAULT,
    VISIT,
    WINDOW_ID,
    WINDOW_KEY,
    WINDOW_TEXT,
)
from tests.test_shapes import JSON

CLAIMS, MALFORMED = Reason.DOCUMENT_CLAIMS, Reason.DOCUMENT_MALFORMED
COPY, ANSWER, WINDOW = BY_TYP["copy+jwt"], BY_TYP["answer+jwt"], BY_TYP["window+jwt"]
HOLDING = Holding(
    certificate=HANDLE,
    type="marriage",
    number="J330100-2020-******",
    authority="杭州市某区民政局",
    registration_date="2020-05-20",
    status="VALID",
    status_as_of="2026-03-02T01:02:03Z",
)


def refused(call: Any, *arguments: Any, **named: Any) -> Reason:
    with pytest.raises(Refusal) as no:
        call(*arguments, **named)
    return no.value.reason


def another_request() -> Request:
    text = seal_request(ASK, ASIDE, REQUEST_KEY, request_id=new_id(), holder_province=HOME, now=NOW)
    return open_request(text, RING, holder_province=HOME, now=NOW)


# Copies ---------------------------------------------------------------------------------------------------


def copy(text: str = COPY_TEXT, request: Request = ASKED, library: str = LIBRARY) -> AnnotatedCopy:
    return open_copy(text, RING, request=request, library=library, now=NOW)


def test_a_copy_is_read_by_the_desk_that_asked() -> None:
    assert copy().body(VISIT) == BODY
    assert copy().digest == copy().sealed.digest
    for other in (INNER, VAULT):
        assert refused(copy().body, other) is Reason.ENVELOPE_UNREADABLE


def test_a_copy_answers_one_request_from_one_library() -> None:
    other = another_request()
    assert refused(copy, request=other) is CLAIMS
    assert refused(copy, library="34") is CLAIMS
    foreign = COPY.forged(
        header={**COPY.header, "kid": OTHERS["copy+jwt"].kid, "alg": OTHERS["copy+jwt"].alg},
        key=OTHERS["copy+jwt"],
        iss=OTHERS["copy+jwt"].issuer,
    )
    assert refused(copy, foreign) is CLAIMS


def test_the_fields_of_one_copy_do_not_open_in_another() -> None:
    other = another_request()
    moved = copy(COPY.forged(req=other.digest), request=other)
    assert refused(moved.body, VISIT) is Reason.ENVELOPE_UNREADABLE


def test_short_and_long_copies_are_equally_long() -> None:
    def length(body: CopyBody) -> int:
        text = seal_copy(body, COPY_KEY, request=ASKED, consent_issuer=AGREED.issuer, consent_jti=AGREED.jti, now=NOW)
        assert copy(text).body(VISIT) == body
        return len(text)

    field = BODY.fields[0]
    longer = replace(BODY, fields=tuple(replace(field, name=f"field_{number}") for number in range(12)))
    assert length(BODY) == length(replace(BODY, fields=(replace(field, value=""),))) == length(longer)


@pytest.mark.parametrize("character", ["一", "𬱖", '"', "\x01"])
def test_the_largest_copy_that_a_body_may_be_is_sealed_and_read(character: str) -> None:
    """A library that cannot seal what it may give out would notice it after the consent was spent."""
    fields = tuple(Field(name="f" * 64, disclosure="AT_LEAST_DATE", value=character * 200) for _ in range(24))
    body = replace(BODY, fields=fields, authority=character * 80, cause=character * 200)
    text = seal_copy(body, COPY_KEY, request=ASKED, consent_issuer=AGREED.issuer, consent_jti=AGREED.jti, now=NOW)
    assert copy(text).body(VISIT) == body


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "birth"),
        ("status", "MAYBE"),
        ("status_as_of", "today"),
        ("library", "3"),
        ("authority", ""),
        ("fields", [{"name": "a", "disclosure": "ALL", "value": "x"}]),
        ("fields", [{"name": "a", "disclosure": "PLAIN", "value": 1}]),
        ("fields", [{"name": "a", "disclosure": "PLAIN"}]),
        ("fields", {}),
        ("cause", None),
        ("expires", 5),
    ],
)
def test_a_copy_with_anything_else_in_it_is_refused(name: str, value: Any) -> None:
    content = json.loads(BODY.to_bytes()) | {name: value}
    env = close_envelope(VISIT.recipient, json.dumps(content).encode(), info=ASKED.digest)
    assert refused(copy(COPY.forged(env=env)).body, VISIT) is CLAIMS


@settings(max_examples=count(500, 40), deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_in_a_copy_is_read_or_refused(payload: bytes) -> None:
    env = close_envelope(VISIT.recipient, payload, info=ASKED.digest)
    sealed = replace(copy().sealed, claims={**copy().sealed.claims, "env": env})
    assert refused(AnnotatedCopy(sealed=sealed).body, VISIT) in {CLAIMS, MALFORMED}


def test_a_copy_may_show_no_field_at_all() -> None:
    """Status and its date always go along, and for some matters they are the whole answer."""
    body = replace(BODY, fields=())
    text = seal_copy(body, COPY_KEY, request=ASKED, consent_issuer=AGREED.issuer, consent_jti=AGREED.jti, now=NOW)
    assert copy(text).body(VISIT) == body


def test_declarations_have_one_digest_whatever_their_order() -> None:
    assert declared_digest({"a": "甲", "b": "乙"}) == declared_digest({"b": "乙", "a": "甲"})
    assert declared_digest({"a": "甲"}) != declared_digest({"a": "乙"})
    assert DIGEST.fits(declared_digest({}))


# Answers --------------------------------------------------------------------------------------------------


def answer(text: str, **changes: Any) -> Answer:
    arguments: dict[str, Any] = {"issuer": HOME, "audience": DESK, "question": ASKED.digest, "now": NOW}
    return open_answer(text, RING, **(arguments | changes))


def said(**changes: Any) -> str:
    return seal_answer(ANSWER_KEY, to=DESK, question=ASKED.digest, now=NOW, **changes)


@pytest.mark.parametrize("reason", [None, *Reason])
def test_every_reason_can_be_said_and_read(reason: Reason | None) -> None:
    found = answer(said(reason=reason))
    assert (found.reason, found.outcome, found.envelope) == (reason, outcome_of(reason), None)


def test_an_outcome_that_contradicts_its_reason_is_refused() -> None:
    for wanted, reason in ((Outcome.PASSED, Reason.DECLINED), (Outcome.REFUSED, None), (Outcome.UNDETERMINED, None)):
        assert refused(ANSWER.open, ANSWER.forged(outcome=wanted, reason=reason), NOW) is CLAIMS
    wrong: list[dict[str, Any]] = [{"outcome": "FINE"}, {"reason": "WHY"}, {"reason": ""}, {"outcome": None}]
    for change in wrong:
        assert refused(ANSWER.open, ANSWER.forged(**change), NOW) is CLAIMS


def test_an_answer_is_to_one_question_from_one_province() -> None:
    text = said()
    assert answer(text).outcome is Outcome.PASSED
    assert refused(answer, text, question=another_request().digest) is CLAIMS
    assert refused(answer, text, issuer="34") is CLAIMS
    assert refused(answer, text, audience="34") is CLAIMS


def test_only_the_asker_reads_what_is_in_an_answer() -> None:
    found = answer(said(payload=b"for you", recipient=VISIT.recipient))
    assert found.payload(VISIT) == b"for you"
    assert refused(found.payload, INNER) is Reason.ENVELOPE_UNREADABLE
    assert refused(answer(said()).payload, VISIT) is Reason.ENVELOPE_UNREADABLE


def test_having_none_and_having_many_look_alike() -> None:
    """Whether somebody has a certificate must not be readable off the size of an answer (T18)."""
    lengths = set()
    for number in (0, 1, 3, MOST):
        held = Holdings(certificates=(HOLDING,) * number, undigitised=False)
        lengths.add(len(said(payload=held.to_bytes(), recipient=INNER.recipient)))
    assert len(lengths) == 1


# Holdings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, MOST])
def test_holdings_are_read_as_they_were_written(number: int) -> None:
    held = Holdings(
        certificates=tuple(replace(HOLDING, status=STATUSES[each % len(STATUSES)]) for each in range(number)),
        undigitised=not number,
    )
    assert holdings_from(held.to_bytes()) == held


def test_a_question_is_for_one_library() -> None:
    text = BY_TYP["holding+jwt"].text
    found = open_holding(text, RING, library=LIBRARY, now=NOW)
    assert found.claims["holder"] == holder_index(PERSON.id_number, bytes(32))
    assert refused(open_holding, text, RING, library="34", now=NOW) is CLAIMS


def test_a_holder_is_named_only_under_the_shared_key() -> None:
    one = holder_index(PERSON.id_number, bytes(32))
    assert one == holder_index(PERSON.id_number, bytes(32))
    assert one != holder_index(PERSON.id_number, bytes([1]) * 32)
    assert one != holder_index("310199199001010026", bytes(32))
    assert DIGEST.fits(one)


@pytest.mark.parametrize(
    "change",
    [
        {"undigitised": 1},
        {"undigitised": None},
        {"certificates": None},
        {"certificates": [{}]},
        {"certificates": [1]},
        {"more": 1},
    ],
)
def test_holdings_in_another_shape_are_refused(change: dict[str, Any]) -> None:
    content = json.loads(Holdings(certificates=(HOLDING,), undigitised=False).to_bytes()) | change
    assert refused(holdings_from, json.dumps(content).encode()) is CLAIMS


def test_more_holdings_than_an_answer_takes_are_refused() -> None:
    held = Holdings(certificates=(HOLDING,) * (MOST + 1), undigitised=False)
    assert refused(holdings_from, held.to_bytes()) is CLAIMS


@settings(max_examples=count(500, 50), deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_as_holdings_is_read_or_refused(raw: bytes) -> None:
    assert refused(holdings_from, raw) in {CLAIMS, MALFORMED}


# Receipts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("reason", [None, Reason.DECLINED])
def test_every_side_keeps_a_receipt_that_names_no_person(side: str, reason: Reason | None) -> None:
    text = seal_receipt(
        RECEIPT_KEY,
        side=side,
        ask=ASK,
        request_digest=ASKED.digest,
        consent_digest=None if reason else AGREED.sealed.digest,
        copy_digest=None if reason else copy().digest,
        reason=reason,
        ledger=Position(position=1, entry=digest_of(b"")),
        now=NOW,
    )
    claims = open_receipt(text, RING, side=side, now=NOW).claims
    assert (claims["req"], claims["outcome"], claims["reason"]) == (ASKED.digest, outcome_of(reason), reason)
    assert claims["ledger"] == {"position": 1, "entry": digest_of(b"")}
    assert (claims["unit"], claims["window"], claims["fields"]) == (ASK.unit, ASK.window, list(ASK.fields))
    assert PERSON.id_number not in json.dumps(dict(claims))
    for other in set(SIDES) - {side}:
        assert refused(open_receipt, text, RING, side=other, now=NOW) is CLAIMS


# Windows --------------------------------------------------------------------------------------------------


def test_a_proof_says_which_window_calls() -> None:
    proof = open_window(WINDOW_TEXT, RING, province=DESK, now=NOW, **CALL)
    assert (proof.window, proof.sealed.issuer) == (WINDOW_ID, issuer_of(DESK, WINDOW_ID))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"method": "post"},
        {"path": "/v1/presentations/"},
        {"path": "/v1/other"},
        {"body": b""},
        {"body": b"{} "},
        {"province": "34"},
    ],
)
def test_a_proof_is_for_one_call(change: dict[str, Any]) -> None:
    call = {"province": DESK, **CALL, **change}
    assert refused(open_window, WINDOW_TEXT, RING, now=NOW, **call) is CLAIMS


@pytest.mark.parametrize(
    ("name", "value"),
    [("method", "PUT"), ("path", "v1"), ("path", "/a b"), ("path", "/?q=1"), ("path", "/" * 301), ("body", "")],
)
def test_a_proof_with_a_member_out_of_shape_is_refused(name: str, value: Any) -> None:
    assert refused(WINDOW.open, WINDOW.forged(**{name: value}), NOW) is CLAIMS


def test_a_window_cannot_prove_a_call_that_no_door_has() -> None:
    with pytest.raises(ValueError):
        seal_window(WINDOW_KEY, province=DESK, method="PUT", path="/", body=b"", now=NOW)


# Letters --------------------------------------------------------------------------------------------------

CONTENT = Members({"request": Text(9000), "aside": Maybe(Text(5000))})


def letter(**changes: Any) -> Letter:
    arguments: dict[str, Any] = {
        "sender": DESK,
        "to": HOME,
        "topic": Topic.ASK,
        "request_id": ASKED.id,
        "recipient": INNER.recipient,
        "unit": UNIT,
        "matter": ASK.matter,
    }
    return write_letter({"request": "x", "aside": None}, **(arguments | changes))


def raw(found: Letter, **changes: Any) -> bytes:
    return json.dumps({**found.to_json(), **changes}).encode()


@pytest.mark.parametrize("topic", list(Topic))
def test_a_letter_arrives_as_it_was_written(topic: Topic) -> None:
    sent = letter(topic=topic)
    found = letter_from(raw(sent))
    assert found == sent
    assert found.topic is topic
    assert read_letter(found, INNER, content=CONTENT) == {"request": "x", "aside": None}


def test_a_letter_about_no_unit_and_no_matter_is_one_too() -> None:
    sent = letter(unit=None, matter=None)
    assert letter_from(raw(sent)) == sent


def test_only_the_destination_reads_a_letter() -> None:
    assert refused(read_letter, letter(), VAULT, content=CONTENT) is Reason.ENVELOPE_UNREADABLE


@pytest.mark.parametrize("change", [{"sender": "34"}, {"to": "34"}, {"topic": Topic.FETCH}, {"request_id": "A" * 22}])
def test_the_address_of_a_letter_cannot_be_changed(change: dict[str, Any]) -> None:
    assert refused(read_letter, replace(letter(), **change), INNER, content=CONTENT) is Reason.ENVELOPE_UNREADABLE


def test_a_letter_with_another_content_is_refused() -> None:
    assert refused(read_letter, letter(), INNER, content=Members({"request": Text(9)})) is CLAIMS


@pytest.mark.parametrize(
    "change",
    [
        {"sender": "3"},
        {"sender": None},
        {"to": "上海"},
        {"topic": "gossip"},
        {"topic": None},
        {"unit": ""},
        {"matter": "A"},
        {"request_id": ""},
        {"body": ""},
        {"body": "=="},
        {"body": "A" * 200_001},
        {"more": 1},
        {"unit": ["x"]},
    ],
)
def test_what_is_no_letter_is_refused(change: dict[str, Any]) -> None:
    assert refused(letter_from, raw(letter(), **change)) is MALFORMED


@settings(max_examples=count(500, 50), deadline=None)
@given(
    st.binary(max_size=60)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from([*letter().to_json(), "x"]), JSON, max_size=3).map(lambda v: raw(letter(), **v))
)
def test_whatever_comes_as_a_letter_is_read_or_refused(data: bytes) -> None:
    found = outcome(letter_from, data)
    assert found is MALFORMED or isinstance(found, Letter)
    if not is_refused(found):
        assert outcome(read_letter, found, INNER, content=CONTENT)


@pytest.mark.parametrize("levels", [450, 600, 950, 50_000])
def test_a_letter_nested_without_end_is_refused(levels: int) -> None:
    """Anybody on the wire can send this, before there is a signature to check."""
    assert refused(letter_from, b"[" * levels + b"]" * levels) is MALFORMED

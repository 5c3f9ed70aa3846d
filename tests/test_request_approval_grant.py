"""The three documents of an agreement: what is asked, what the device signed, what the province vouches for.

Each names the one before by digest, so that nothing agreed to can be used for anything else.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.approval import Approval, Decision, open_approval, seal_approval
from consent.b64 import digest_of, new_id
from consent.envelope import close_envelope
from consent.errors import Reason, Refusal
from consent.grant import METHODS, Consent, Grant, open_consent, open_grant, seal_consent
from consent.keys import new_key
from consent.request import Aside, Request, open_aside, open_request, seal_request
from consent.showing import Person
from tests.counts import count
from tests.papers import (
    AGREED,
    APPROVAL_TEXT,
    ASIDE,
    ASK,
    ASKED,
    BY_TYP,
    CONSENT_KEY,
    DESK,
    DEVICE,
    DEVICE_KEY,
    HANDLE,
    HOME,
    INNER,
    LIBRARY,
    NOW,
    OTHERS,
    PERSON,
    REQUEST_KEY,
    REQUEST_TEXT,
    RING,
    VAULT,
    VISIT,
)

REQUEST, APPROVAL, CONSENT = BY_TYP["request+jwt"], BY_TYP["approval+jwt"], BY_TYP["consent+jwt"]
GRANT = Grant(person=PERSON, certificate=HANDLE)
CLAIMS = Reason.DOCUMENT_CLAIMS


def refused(call: Any, *arguments: Any, **named: Any) -> Reason:
    with pytest.raises(Refusal) as no:
        call(*arguments, **named)
    return no.value.reason


def request(aside: Aside = ASIDE, request_id: str | None = None) -> Request:
    text = seal_request(ASK, aside, REQUEST_KEY, request_id=request_id or new_id(), holder_province=HOME, now=NOW)
    return open_request(text, RING, holder_province=HOME, now=NOW)


# The request ----------------------------------------------------------------------------------------------


def test_a_request_says_what_was_asked() -> None:
    found = open_request(REQUEST_TEXT, RING, holder_province=HOME, now=NOW)
    assert found.ask == ASK
    assert (found.desk, found.holder_province) == (DESK, HOME)
    assert found.id == REQUEST.claims["jti"]
    assert found.digest == found.sealed.digest


def test_a_request_keeps_the_id_that_the_kiosk_chose() -> None:
    chosen = new_id()
    assert request(request_id=chosen).id == chosen


def test_a_request_for_another_province_is_refused() -> None:
    assert refused(open_request, REQUEST_TEXT, RING, holder_province=DESK, now=NOW) is CLAIMS


def test_a_request_shows_neither_person_nor_digits() -> None:
    assert PERSON.id_number not in json.dumps(REQUEST.claims)
    assert ASIDE.digits not in (REQUEST.claims["digits"], REQUEST.claims["match"])
    # Salted: the same person and digits look different in every request.
    again = request(replace(ASIDE, salt=bytes(16)))
    assert again.match != ASKED.match
    assert again.digits != ASKED.digits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("unit", "11310000MB2F3001IL"),
        ("unit", "某局"),
        ("window", "hall 1"),
        ("window", "../1"),
        ("officer", "张三"),
        ("matter", "Housing"),
        ("case", "line\nend"),
        ("case", "\x7f"),
        ("case", ""),
        ("case", "x" * 65),
        ("type", "birth"),
        ("fields", []),
        ("fields", ["a"] * 25),
        ("fields", ["A"]),
        ("fields", "holder.name"),
        ("cause", "tab\there"),
        ("cause", "x" * 201),
        ("code", digest_of(b"")[:-1]),
        ("match", ""),
        ("digits", None),
        ("digits", "07"),
        ("declarations", ["a"] * 9),
        ("declarations", None),
        ("answer_key", ""),
        ("answer_key", VISIT.recipient.text[:-1]),
    ],
)
def test_a_request_with_a_member_out_of_shape_is_refused(name: str, value: Any) -> None:
    assert refused(REQUEST.open, REQUEST.forged(**{name: value}), NOW) is CLAIMS


def test_a_request_without_holder_match_commits_to_none() -> None:
    aside = replace(ASIDE, id_number=None)
    found = request(aside)
    assert found.match is None
    text = aside.close(INNER.recipient, request_digest=found.digest)
    assert open_aside(text, INNER, found) == aside


# Beside it ------------------------------------------------------------------------------------------------


def test_what_goes_beside_a_request_is_what_it_commits_to() -> None:
    text = ASIDE.close(INNER.recipient, request_digest=ASKED.digest)
    found = open_aside(text, INNER, ASKED)
    assert found == ASIDE
    assert (found.match(), found.digits_commitment()) == (ASKED.match, ASKED.digits)


@pytest.mark.parametrize(
    "other",
    [
        replace(ASIDE, id_number="310199199001010026"),
        replace(ASIDE, id_number=None),
        replace(ASIDE, digits="08"),
        replace(ASIDE, salt=bytes(16)),
    ],
)
def test_nothing_beside_a_request_can_be_exchanged(other: Aside) -> None:
    text = other.close(INNER.recipient, request_digest=ASKED.digest)
    assert refused(open_aside, text, INNER, ASKED) is CLAIMS


def test_a_match_may_not_be_put_beside_a_request_that_has_none() -> None:
    found = request(replace(ASIDE, id_number=None))
    text = ASIDE.close(INNER.recipient, request_digest=found.digest)
    assert refused(open_aside, text, INNER, found) is CLAIMS


def test_what_goes_beside_one_request_opens_beside_no_other() -> None:
    text = ASIDE.close(INNER.recipient, request_digest=ASKED.digest)
    assert refused(open_aside, text, INNER, request()) is Reason.ENVELOPE_UNREADABLE
    assert refused(open_aside, text, VAULT, ASKED) is Reason.ENVELOPE_UNREADABLE


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"salt": "AAAA", "id": None, "digits": "07"},
        {"salt": "A" * 22, "id": None, "digits": "7"},
        {"salt": "A" * 22, "id": None, "digits": "٠٧"},
        {"salt": "A" * 22, "id": 3, "digits": "07"},
        {"salt": "A" * 22, "digits": "07"},
    ],
)
def test_anything_else_beside_a_request_is_refused(content: Any) -> None:
    text = close_envelope(INNER.recipient, json.dumps(content).encode(), info=ASKED.digest)
    assert refused(open_aside, text, INNER, ASKED) is CLAIMS


@settings(max_examples=count(2000, 40), deadline=None)
@given(st.binary(max_size=80))
def test_whatever_lies_beside_a_request_is_read_or_refused(payload: bytes) -> None:
    text = close_envelope(INNER.recipient, payload, info=ASKED.digest)
    assert refused(open_aside, text, INNER, ASKED) in {CLAIMS, Reason.DOCUMENT_MALFORMED}


# The approval ---------------------------------------------------------------------------------------------


def approval(text: str, **changes: Any) -> Approval:
    arguments: dict[str, Any] = {"province": HOME, "request_digest": ASKED.digest, "now": NOW}
    return open_approval(text, changes.pop("device", DEVICE), **(arguments | changes))


def test_an_approval_says_what_the_citizen_said() -> None:
    found = approval(APPROVAL_TEXT)
    assert found.decision is Decision.AGREE
    assert (found.certificate, found.digits, found.declarations) == (HANDLE, "07", ("not_remarried",))
    assert found.request_digest == ASKED.digest


@pytest.mark.parametrize("decision", list(Decision))
def test_every_decision_can_be_said_and_read(decision: Decision) -> None:
    text = seal_approval(DEVICE_KEY, province=HOME, request_digest=ASKED.digest, decision=decision, now=NOW)
    found = approval(text)
    assert (found.decision, found.certificate, found.digits, found.declarations) == (decision, None, None, ())


def test_an_approval_answers_one_request_only() -> None:
    other = request()
    assert refused(approval, APPROVAL_TEXT, request_digest=other.digest) is Reason.APPROVAL_MISMATCH


def test_an_approval_is_for_one_province_only() -> None:
    assert refused(approval, APPROVAL_TEXT, province=DESK) is CLAIMS


def test_nobody_elses_device_can_approve() -> None:
    other = new_key("ES256", issuer=DEVICE_KEY.issuer)
    text = seal_approval(other, province=HOME, request_digest=ASKED.digest, decision=Decision.AGREE, now=NOW)
    assert refused(approval, text) is Reason.DOCUMENT_KEY_UNKNOWN
    borrowed = APPROVAL.forged(key=other)
    assert refused(approval, borrowed) is Reason.DOCUMENT_SIGNATURE


def test_a_device_that_may_not_approve_cannot() -> None:
    device = replace(DEVICE, kinds=frozenset({"request+jwt"}))
    assert refused(approval, APPROVAL_TEXT, device=device) is Reason.DOCUMENT_KEY_UNKNOWN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decision", "AGREE"),
        ("decision", "maybe"),
        ("decision", None),
        ("certificate", "33"),
        ("certificate", HANDLE + "A"),
        ("certificate", "03." + HANDLE[3:]),
        ("certificate", ""),
        ("digits", "7"),
        ("digits", "007"),
        ("digits", 7),
        ("digits", "0x"),
        ("digits", "０７"),
        ("declarations", ["Not"]),
        ("declarations", "not_remarried"),
        ("req", None),
        ("req", "A" * 42 + "B"),
    ],
)
def test_an_approval_with_a_member_out_of_shape_is_refused(name: str, value: Any) -> None:
    assert refused(APPROVAL.open, APPROVAL.forged(**{name: value}), NOW) is CLAIMS


# The consent ----------------------------------------------------------------------------------------------


def consent(request: Request = ASKED, grant: Grant = GRANT, **changes: Any) -> str:
    arguments: dict[str, Any] = {"method": "app", "evidence": digest_of(b""), "library": VAULT.recipient, "now": NOW}
    return seal_consent(grant, changes.pop("key", CONSENT_KEY), request=request, **(arguments | changes))


def opened(text: str, request: Request = ASKED) -> Consent:
    return open_consent(text, RING, request=request, now=NOW)


@pytest.mark.parametrize("method", METHODS)
def test_a_consent_says_how_it_was_given_and_for_which_library(method: str) -> None:
    found = opened(consent(method=method))
    assert (found.library, found.method, found.evidence) == (LIBRARY, method, digest_of(b""))
    assert (found.issuer, found.jti) == (HOME, found.sealed.claims["jti"])


def test_only_the_library_learns_whose_certificate_and_which() -> None:
    assert open_grant(AGREED, VAULT) == GRANT
    assert refused(open_grant, AGREED, INNER) is Reason.ENVELOPE_UNREADABLE
    assert HANDLE not in json.dumps(CONSENT.claims)
    assert PERSON.id_number not in repr(AGREED)


def test_a_consent_is_for_one_request_only() -> None:
    assert refused(opened, consent(), request()) is Reason.CONSENT_MISMATCH


def test_only_the_province_that_sealed_the_code_can_consent() -> None:
    """Another province with a right consent key of its own, for the right request (T8)."""
    text = consent(key=OTHERS["consent+jwt"])
    assert refused(opened, text) is Reason.CONSENT_MISMATCH


def test_a_consent_for_another_desk_is_refused() -> None:
    assert refused(CONSENT.open, CONSENT.forged(aud="34"), NOW) is CLAIMS


def test_the_envelope_of_one_consent_does_not_open_in_another() -> None:
    other = opened(CONSENT.forged(jti=new_id()))
    assert open_grant(other, VAULT) == GRANT  # the same request: the library spends (iss, jti), and each once
    moved = request()
    text = CONSENT.forged(req=moved.digest)
    assert refused(open_grant, opened(text, moved), VAULT) is Reason.ENVELOPE_UNREADABLE


def test_a_certificate_of_another_library_is_refused() -> None:
    """The handle inside must name the library outside; else one library would be asked for another's certificate."""
    found = opened(CONSENT.forged(library="34"))
    assert refused(open_grant, found, VAULT) is Reason.CONSENT_MISMATCH


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"id": PERSON.id_number, "name": PERSON.name},
        {"id": "1", "name": PERSON.name, "certificate": HANDLE},
        {"id": PERSON.id_number, "name": "", "certificate": HANDLE},
        {"id": PERSON.id_number, "name": PERSON.name, "certificate": "33.x"},
        {"id": PERSON.id_number, "name": None, "certificate": HANDLE},
    ],
)
def test_anything_else_in_a_consent_is_refused(content: Any) -> None:
    env = close_envelope(VAULT.recipient, json.dumps(content).encode(), info=ASKED.digest)
    assert refused(open_grant, opened(CONSENT.forged(env=env)), VAULT) is CLAIMS


@settings(max_examples=count(2000, 40), deadline=None)
@given(st.binary(max_size=80))
def test_whatever_is_in_a_consent_is_read_or_refused(payload: bytes) -> None:
    env = close_envelope(VAULT.recipient, payload, info=ASKED.digest)
    found = replace(AGREED, envelope=env)
    assert refused(open_grant, found, VAULT) in {CLAIMS, Reason.DOCUMENT_MALFORMED}


@pytest.mark.parametrize(
    ("name", "value"),
    [("method", "telepathy"), ("library", "3"), ("library", None), ("env", ""), ("env", "*"), ("evidence", "x")],
)
def test_a_consent_with_a_member_out_of_shape_is_refused(name: str, value: Any) -> None:
    assert refused(CONSENT.open, CONSENT.forged(**{name: value}), NOW) is CLAIMS


def test_the_longest_name_and_number_fit_every_document() -> None:
    """What the people of the country are called may not decide whether the seal works."""
    person = Person(id_number=PERSON.id_number, name="𬱖" * 50)
    found = opened(consent(grant=Grant(person=person, certificate=HANDLE)))
    assert open_grant(found, VAULT).person == person

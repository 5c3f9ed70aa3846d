"""Parties with genuine keys that break the rules: a desk, a citizen's province, a library, an exchange, a wallet_api.

Everything sealed here is sealed with the right key and brought by the right sender, so that only the rule under test can
refuse. Also here: what two workers do to each other that look at the same row at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from consent.annotated_copy import COPY
from consent.approval import Decision
from consent.b64 import digest_of, from_b64, new_id
from consent.code import mint
from consent.envelope import close_envelope, new_envelope_key
from consent.errors import Reason, Refusal, Unavailable
from consent.grant import Grant, open_consent, open_grant, seal_consent
from consent.request import Aside, Request, open_request, seal_request
from consent.seal import seal, strict_json
from consent.showing import Person, name_slice
from consent.stores.base import writing
from consent.transport import Letter, Topic, read_letter, write_letter
from scanner_kiosk.country.people import pair
from tests.country import Scene, Stage, refused
from verifier.matters.catalogue import Catalogue
from verifier.peers import CONTENTS
from verifier.stores import inner
from verifier.stores import library as library_tables

pytestmark = pytest.mark.full  # visits and processes: each takes seconds


def sent(stage: Stage, topic: Topic) -> Letter:
    """The first letter about this that went over a wire."""
    return next(each for wire in stage.wires.values() for each in wire.sent if each.topic is topic)


def opened(stage: Stage, letter: Letter) -> dict[str, Any]:
    """What stands in a letter, with its receiver's key."""
    return read_letter(letter, stage.province(letter.to).office.envelope_key, content=CONTENTS[letter.topic])


def rewritten(stage: Stage, letter: Letter, *, sender: str = "", **changes: Any) -> Letter:
    """The letter with other content or from another sender, in an envelope that its receiver opens."""
    return write_letter(
        opened(stage, letter) | changes,
        sender=sender or letter.sender,
        to=letter.to,
        topic=letter.topic,
        request_id=letter.request_id,
        recipient=stage.province(letter.to).office.keylist.recipient(letter.to),
    )


def brought(stage: Stage, letter: Letter) -> Any:
    """Why the receiver refuses a letter at its door, or None where it took it."""
    try:
        stage.province(letter.to).peers.receive(letter, now=stage.clock.now())
    except Refusal as no:
        return no.reason
    return None


def hold(*topics: Topic) -> Callable[[Letter], Letter | None]:
    """A wire that loses letters about these topics."""
    return lambda letter: None if letter.topic in topics else letter


def stopped(stage: Stage, before: Topic, *, library: str = "33") -> tuple[Scene, Letter]:
    """A visit whose next letter about `before` was written and did not arrive."""
    stage.rule(hold(before))
    scene = stage.scene(library=library)
    scene.asked_and_shown()
    if before is not Topic.ASK:
        scene.agree()
        stage.pump()
    letter = sent(stage, before)
    stage.rule(None)
    return scene, letter


def request_of(stage: Stage, scene: Scene) -> Request:
    """The request of a scene."""
    row = scene.row()
    return open_request(row.request, stage.province("32").office.ring, holder_province="31", now=row.asked_at)


# Letters in general ---------------------------------------------------------------------------------------


def test_a_letter_for_another_province_is_not_taken(stage: Stage) -> None:
    _, letter = stopped(stage, Topic.ASK)
    stray = replace(letter, to="33")
    assert brought(stage, stray) is Reason.ENVELOPE_UNREADABLE, "its envelope is not for 33"
    with pytest.raises(Refusal) as no:
        stage.province("33").peers.receive(letter, now=stage.clock.now())
    assert no.value.reason is Reason.WRONG_PROVINCE


@pytest.mark.parametrize("change", ["sender", "topic", "request_id"])
def test_an_exchange_that_changes_the_address_spoils_the_letter(stage: Stage, change: str) -> None:
    _, letter = stopped(stage, Topic.ASK)
    values: Mapping[str, Any] = {"sender": "34", "topic": Topic.OUTCOME, "request_id": new_id()}
    assert brought(stage, replace(letter, **{change: values[change]})) is Reason.ENVELOPE_UNREADABLE
    assert stage.rows("31", inner.claims) == []


def test_a_letter_whose_content_has_another_shape_is_refused(stage: Stage) -> None:
    _, letter = stopped(stage, Topic.ASK)
    assert brought(stage, rewritten(stage, letter, more=1)) is Reason.DOCUMENT_CLAIMS


# A desk that asks for too much ----------------------------------------------------------------------------


def asked_anew(stage: Stage, scene: Scene, letter: Letter, **changes: Any) -> Letter:
    """The letter ASK with another request, sealed by the same desk: `match` None leaves the holder match out."""
    office, request = stage.province("32").office, request_of(stage, scene)
    number = changes.pop("number", scene.who.id_number)
    aside = Aside(salt=bytes(16), id_number=number, digits="47")
    ask = replace(request.ask, **changes)
    text = seal_request(
        ask, aside, office.request_key, request_id=request.id, holder_province="31", now=stage.clock.now()
    )
    sealed = open_request(text, office.ring, holder_province="31", now=stage.clock.now())
    closed = aside.close(office.keylist.recipient("31"), request_digest=sealed.digest)
    return rewritten(stage, letter, request=text, aside=closed)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fields": ("holder_match", "registration_authority")}, Reason.FIELD_NOT_ALLOWED),
        ({"declarations": ()}, Reason.DECLARATION_MISSING),
        ({"window": "32-M1"}, Reason.WINDOW_UNKNOWN),
        ({"unit": "11310000MB2F30019L"}, Reason.UNIT_UNKNOWN),
        ({"matter": "divorce.apply"}, Reason.SCOPE_NOT_LISTED),
        ({"matter": "dog.licence"}, Reason.MATTER_UNKNOWN),
        ({"number": None}, Reason.HOLDER_MATCH_MISSING),
        ({"code": digest_of(b"another code")}, Reason.CODE_MALFORMED),
        ({"number": pair("31", "31").id_number}, Reason.HOLDER_MISMATCH),
    ],
)
def test_the_citizens_province_lets_no_desk_ask_for_more_than_its_list(
    stage: Stage, changes: dict[str, Any], reason: Reason
) -> None:
    scene, letter = stopped(stage, Topic.ASK)
    assert brought(stage, asked_anew(stage, scene, letter, **changes)) is None, "it is answered, not dropped"
    assert stage.rows("31", inner.claims) == []
    assert scene.showing()["state"] == "OPEN"
    stage.pump()
    told = opened(stage, sent(stage, Topic.CONSENT))
    assert told["consent"] is None
    assert f'"reason":"{reason}"' in _payload(told["answer"])


def _payload(text: str) -> str:
    return from_b64(text.split(".")[1]).decode()


def test_a_request_brought_by_another_desk_is_refused_at_the_door(stage: Stage) -> None:
    _, letter = stopped(stage, Topic.ASK)
    assert brought(stage, rewritten(stage, letter, sender="34")) is Reason.SENDER_UNKNOWN


def test_an_aside_that_is_not_what_the_request_commits_to_is_refused(stage: Stage) -> None:
    scene, letter = stopped(stage, Topic.ASK)
    request = request_of(stage, scene)
    other = Aside(salt=bytes(16), id_number=scene.who.id_number, digits="47")
    closed = other.close(stage.province("31").office.keylist.recipient("31"), request_digest=request.digest)
    assert brought(stage, rewritten(stage, letter, aside=closed)) is None
    stage.pump()
    assert scene.view().said.reason is Reason.DOCUMENT_CLAIMS
    assert stage.rows("31", inner.claims) == []


def test_a_code_of_another_province_claims_nothing_here(stage: Stage) -> None:
    scene, letter = stopped(stage, Topic.ASK)
    secret = stage.province("31").office.showing_key
    key = stage.country.founded.keys.signing("33", "code")
    foreign = mint(name_slice(scene.phone.showing_id, 0, secret), key, now=stage.clock.now())
    changed = asked_anew(stage, scene, letter, code=digest_of(foreign.encode()))
    assert brought(stage, rewritten(stage, changed, code=foreign)) is None
    stage.pump()
    assert f'"reason":"{Reason.WRONG_PROVINCE}"' in _payload(opened(stage, sent(stage, Topic.CONSENT))["answer"])
    assert stage.rows("31", inner.claims) == []


def test_a_matter_without_holder_match_asks_for_nobodys_number(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Catalogue.on
    monkeypatch.setattr(Catalogue, "on", lambda self, slug, day: replace(real(self, slug, day), holder_match=False))
    scene = stage.scene(number=None)
    assert scene.whole().state == "PASSED"
    assert request_of(stage, scene).match is None
    stage.books()


# A citizen's province that answers wrongly ----------------------------------------------------------------


def test_a_consent_for_another_request_is_refused(stage: Stage) -> None:
    first, letter = stopped(stage, Topic.CONSENT)
    second = stage.scene("31", "32", "31")
    second.asked_and_shown()
    moved = rewritten(stage, letter, request=second.row().request_digest)
    assert brought(stage, moved) is Reason.CONSENT_MISMATCH
    assert (first.view().state, second.view().state) == ("ASKED", "ASKED")


def test_a_consent_that_another_province_gives_is_refused(stage: Stage) -> None:
    scene, letter = stopped(stage, Topic.CONSENT)
    request, other = request_of(stage, scene), stage.province("34").office
    token = seal_consent(
        Grant(person=Person(id_number=scene.who.id_number, name=scene.who.name), certificate=f"33.{new_id()}"),
        other.consent_key,
        request=request,
        method="app",
        evidence=digest_of(b"nothing"),
        library=other.keylist.recipient("33"),
        now=stage.clock.now(),
    )
    assert brought(stage, rewritten(stage, letter, consent=token)) is Reason.CONSENT_MISMATCH
    assert brought(stage, rewritten(stage, letter, sender="34", consent=token)) is Reason.REQUEST_UNKNOWN
    assert scene.view().state == "ASKED"


def test_a_no_after_a_yes_changes_nothing(stage: Stage) -> None:
    scene, fetch = stopped(stage, Topic.FETCH)
    office, digest = stage.province("31").office, scene.row().request_digest
    no = office.answer("32", digest, Reason.NOT_AUTHORISED, now=stage.clock.now())
    assert brought(stage, rewritten(stage, sent(stage, Topic.CONSENT), consent=None, answer=no)) is None
    assert scene.view().state == "FETCHING"
    assert brought(stage, fetch) is None
    assert scene.finish().state == "PASSED"


@pytest.mark.parametrize("topic", [Topic.CONSENT, Topic.COPY, Topic.OUTCOME])
def test_an_answer_to_a_question_that_was_never_asked_is_refused(stage: Stage, topic: Topic) -> None:
    scene = stage.scene()
    scene.whole()
    letter = sent(stage, topic)
    assert brought(stage, rewritten(stage, letter, request=digest_of(b"never"))) is Reason.REQUEST_UNKNOWN


# A desk or a province that fetches without right ----------------------------------------------------------


def fetched_anew(stage: Stage, letter: Letter, **changes: Any) -> Letter:
    """The letter FETCH with another consent for the same request, sealed by the citizen's own province."""
    content, now = opened(stage, letter), stage.clock.now()
    home, library = stage.province("31").office, stage.province(letter.to).office
    request = open_request(content["request"], home.ring, holder_province="31", now=now)
    old = open_consent(content["consent"], home.ring, request=request, now=now)
    grant = open_grant(old, library.envelope_key)
    token = seal_consent(
        changes.pop("grant", lambda same: same)(grant),
        home.consent_key,
        request=request,
        method=changes.pop("method", "app"),
        evidence=digest_of(b"evidence"),
        library=home.keylist.recipient(letter.to),
        now=now,
    )
    return rewritten(stage, letter, consent=token)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "pad"}, Reason.APPROVAL_MISMATCH),
        ({"grant": lambda it: replace(it, certificate=f"34.{new_id()}")}, Reason.CONSENT_MISMATCH),
        ({"grant": lambda it: replace(it, certificate=f"33.{new_id()}")}, Reason.NOT_FOUND),
        (
            {"grant": lambda it: replace(it, person=replace(it.person, name="别人"))},
            Reason.HOLDER_MISMATCH,
        ),
        (
            {"grant": lambda it: replace(it, person=replace(it.person, id_number=pair("31", "31").id_number))},
            Reason.HOLDER_MISMATCH,
        ),
    ],
)
def test_the_library_believes_nobody(stage: Stage, changes: dict[str, Any], reason: Reason) -> None:
    scene, letter = stopped(stage, Topic.FETCH)
    assert brought(stage, fetched_anew(stage, letter, **changes)) is None
    view = scene.finish()
    assert view.said.reason is reason
    assert view.copy is None
    assert stage.rows("33", library_tables.spends) == []
    stage.books()


def test_the_library_takes_no_method_that_the_matter_does_not(stage: Stage) -> None:
    """Express does not hold at a marriage registry, whatever the citizen's province has sealed."""
    scene, letter = stopped(stage, Topic.FETCH, library="34")
    assert request_of(stage, scene).ask.matter == "marriage.register"
    assert brought(stage, fetched_anew(stage, letter, method="express")) is None
    assert scene.finish().said.reason is Reason.APPROVAL_METHOD_NOT_ALLOWED
    assert stage.rows("34", library_tables.spends) == []


def test_a_fetch_brought_by_another_desk_or_for_another_library_gets_nothing(stage: Stage) -> None:
    scene, letter = stopped(stage, Topic.FETCH)
    assert brought(stage, rewritten(stage, letter, sender="34")) is Reason.SENDER_UNKNOWN
    elsewhere = write_letter(
        opened(stage, letter),
        sender="32",
        to="34",
        topic=Topic.FETCH,
        request_id=letter.request_id,
        recipient=stage.province("34").office.keylist.recipient("34"),
    )
    assert brought(stage, elsewhere) is None
    stage.rule(lambda each: each)
    stage.province("34").worker.run_once()
    assert stage.rows("34", library_tables.spends) == []
    assert scene.view().state == "FETCHING", "what 34 says is not what was asked of 33"


def test_a_consent_is_spent_once_whatever_request_is_built_around_it(stage: Stage) -> None:
    scene, letter = stopped(stage, Topic.FETCH)
    other = stage.scene("31", "32", "31")
    other.asked_and_shown()
    swapped = rewritten(stage, letter, request=other.row().request)
    brought(stage, swapped)
    stage.pump()
    assert stage.rows("33", library_tables.spends) == []
    assert brought(stage, letter) is None
    assert scene.finish().state == "PASSED"
    stage.books()


# A library that answers wrongly ---------------------------------------------------------------------------


def test_a_copy_from_a_library_that_was_not_asked_is_refused(stage: Stage) -> None:
    scene, letter = stopped(stage, Topic.COPY)
    assert brought(stage, rewritten(stage, letter, sender="34")) is Reason.REQUEST_UNKNOWN
    assert scene.view().state == "FETCHING"


def test_a_copy_of_another_visit_is_refused_and_ends_nothing(stage: Stage) -> None:
    first, letter = stopped(stage, Topic.COPY)
    stage.rule(hold(Topic.COPY))
    second = stage.scene("33", "32", "33")
    second.asked_and_shown()
    second.agree()
    stage.pump()
    moved = rewritten(stage, letter, request=second.row().request_digest)
    assert brought(stage, moved) is Reason.DOCUMENT_CLAIMS
    assert (first.view().state, second.view().state) == ("FETCHING", "FETCHING")


def test_a_copy_that_the_desk_cannot_open_ends_the_visit_without_one(stage: Stage) -> None:
    scene, letter = stopped(stage, Topic.COPY)
    office = stage.province("33")
    consent = open_consent(
        scene.row().consent, stage.province("32").office.ring, request=request_of(stage, scene), now=stage.clock.now()
    )
    claims = {
        "req": scene.row().request_digest,
        "consent_issuer": "31",
        "consent": consent.jti,
        "env": close_envelope(new_envelope_key().recipient, b"{}", info=scene.row().request_digest, pad=2048),
    }
    forged = seal(COPY, claims, office.library.library_key, audience="32", now=stage.clock.now())
    assert brought(stage, rewritten(stage, letter, copy=forged)) is None
    view = scene.finish()
    assert (view.state, view.copy) == ("REFUSED", None)
    assert view.said.reason is Reason.ENVELOPE_UNREADABLE


# Withdrawals and outcomes that lie ------------------------------------------------------------------------


def withdrawing(stage: Stage) -> tuple[Scene, Letter]:
    """A visit whose citizen has withdrawn; the library's answer was written and did not arrive."""
    scene, _ = stopped(stage, Topic.FETCH)
    stage.rule(hold(Topic.WITHDRAWN))
    scene.withdraw()
    stage.pump()
    stage.rule(None)
    return scene, sent(stage, Topic.WITHDRAWN)


def test_only_the_library_that_was_asked_confirms_a_withdrawal(stage: Stage) -> None:
    scene, letter = withdrawing(stage)
    assert brought(stage, rewritten(stage, letter, sender="34")) is Reason.CONSENT_MISMATCH
    assert brought(stage, rewritten(stage, letter, consent=digest_of(b"other"))) is Reason.CONSENT_UNKNOWN
    assert brought(stage, replace(rewritten(stage, letter), request_id=new_id())) is Reason.ENVELOPE_UNREADABLE
    assert scene.showing()["state"] == "WITHDRAWING"
    assert brought(stage, letter) is None
    assert brought(stage, letter) is None  # and again
    stage.pump()
    assert scene.showing()["state"] == "WITHDRAWN"


def test_two_desks_may_choose_one_request_id_and_a_withdrawal_still_finds_its_consent(stage: Stage) -> None:
    scene, letter = withdrawing(stage)
    twin = stage.scene("31", "34", "31", request_id=scene.asked.request_id)
    twin.asked_and_shown()
    assert len(stage.rows("31", inner.claims)) == 2
    assert brought(stage, rewritten(stage, letter, consent=digest_of(b"neither"))) is Reason.CONSENT_UNKNOWN
    assert brought(stage, letter) is None
    stage.pump()
    assert scene.showing()["state"] == "WITHDRAWN"
    twin.agree()
    assert twin.finish().state == "PASSED"


@pytest.mark.parametrize("reason", [None, Reason.NOT_AUTHORISED])
def test_only_the_citizens_own_province_withdraws(stage: Stage, reason: Reason | None) -> None:
    stage.rule(hold(Topic.WITHDRAW, Topic.FETCH))
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree()
    stage.pump()
    scene.withdraw()
    stage.pump()
    stage.rule(None)
    letter = sent(stage, Topic.WITHDRAW)
    consent = open_consent(
        scene.claim().consent, stage.province("31").office.ring, request=request_of(stage, scene), now=stage.clock.now()
    )
    order = stage.province("31").office.answer("33", consent.sealed.digest, reason, now=stage.clock.now())
    assert brought(stage, rewritten(stage, letter, answer=order)) is Reason.CONSENT_MISMATCH
    assert brought(stage, rewritten(stage, letter, sender="34")) is Reason.DOCUMENT_CLAIMS
    assert stage.rows("33", library_tables.spends) == []


def test_a_question_of_another_province_about_holdings_is_refused(stage: Stage) -> None:
    stage.scene()
    stage.pump()
    letter = sent(stage, Topic.HOLDINGS)
    assert brought(stage, rewritten(stage, letter, sender="34")) is Reason.SENDER_UNKNOWN
    held = sent(stage, Topic.HELD)
    assert brought(stage, rewritten(stage, held, sender=_another(held.sender))) is Reason.REQUEST_UNKNOWN


def _another(code: str) -> str:
    return "34" if code != "34" else "33"


def test_an_outcome_says_nothing_where_nothing_was_agreed_to(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    desk, digest = stage.province("32").office, scene.row().request_digest
    said = {"request": digest, "answer": desk.answer("31", digest, None, now=stage.clock.now())}
    letter = desk.letter("31", Topic.OUTCOME, said, request_id=scene.asked.request_id)
    assert brought(stage, letter) is Reason.STATE_FORBIDS
    other = stage.province("34").office
    theirs = other.letter(
        "31",
        Topic.OUTCOME,
        {"request": digest, "answer": other.answer("31", digest, None, now=stage.clock.now())},
        request_id=scene.asked.request_id,
    )
    assert brought(stage, theirs) is Reason.REQUEST_UNKNOWN
    scene.agree()
    assert scene.finish().state == "PASSED"


def test_an_outcome_that_passed_must_name_the_copy(stage: Stage) -> None:
    scene, letter = stopped(stage, Topic.OUTCOME)
    desk, digest = stage.province("32").office, scene.row().request_digest
    without = desk.answer("31", digest, None, now=stage.clock.now())
    assert brought(stage, rewritten(stage, letter, answer=without)) is Reason.DOCUMENT_CLAIMS
    assert scene.showing()["state"] == "CONSENTED"
    assert brought(stage, letter) is None
    stage.pump()
    assert scene.showing()["state"] == "DELIVERED"


# A wallet_api that lies -----------------------------------------------------------------------------------


def signed(stage: Stage, scene: Scene, decision: Decision) -> str:
    """An answer of the right phone, which wallet_api has in hand."""
    found = scene.phone._signed(decision, scene.sheet()["sheet"], scene.view().digits, scene.picked(), True)
    return found["approval"]


def test_errands_about_nothing_are_refused(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    consents, now = stage.province("31").peers.consents, stage.clock.now()
    text = signed(stage, scene, Decision.AGREE)
    assert refused(consents.approve, "0" * 24, text, now=now) is Reason.SHOWING_UNKNOWN
    assert refused(consents.withdraw, "0" * 24, text, now=now) is Reason.CONSENT_UNKNOWN
    assert refused(consents.withdraw, scene.phone.showing_id, text, now=now) is Reason.CONSENT_UNKNOWN
    back = signed(stage, scene, Decision.WITHDRAW)
    assert refused(consents.approve, scene.phone.showing_id, back, now=now) is Reason.STATE_FORBIDS
    consents.approve(scene.phone.showing_id, text, now=now)
    assert refused(consents.withdraw, scene.phone.showing_id, text, now=now) is Reason.APPROVAL_MISMATCH
    assert scene.claim().state == "CONSENTED"


def test_an_approval_that_was_used_is_used_up(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    text, province = signed(stage, scene, Decision.AGREE), stage.province("31")
    consents, now = province.peers.consents, stage.clock.now()
    claims = strict_json(_payload(text).encode(), depth=3, members=16)
    with writing(province.office.inner) as conn:
        inner.use_once(conn, f"{scene.phone.showing_id}:{claims['iss']}", claims["jti"], now)
    assert refused(consents.approve, scene.phone.showing_id, text, now=now) is Reason.DOCUMENT_REPLAYED
    assert scene.claim().state == "ASKED", "and nothing of it is kept"


# Two at once ----------------------------------------------------------------------------------------------


def stale(monkeypatch: pytest.MonkeyPatch, target: str, row: Any) -> None:
    """Whoever looks sees the row as it stood before."""
    monkeypatch.setattr(target, lambda conn, *key: row)


@pytest.mark.parametrize("decision", [Decision.AGREE, Decision.DECLINE])
def test_of_two_workers_with_one_answer_one_writes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, decision: Decision
) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    text, before = signed(stage, scene, decision), scene.claim()
    consents, now = stage.province("31").peers.consents, stage.clock.now()
    consents.approve(scene.phone.showing_id, text, now=now)
    consents.approve(scene.phone.showing_id, text, now=now)  # sees that it is answered
    row = next(iter(stage.rows("31", inner.claims)))
    stale(monkeypatch, "verifier.consents.inner.find_claim", inner._claim(before))
    consents.approve(scene.phone.showing_id, text, now=now)  # does not see it
    monkeypatch.undo()
    assert next(iter(stage.rows("31", inner.claims))) == row
    stage.pump()
    stage.books()


def test_a_sheet_that_is_brought_twice_ends_nothing(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    consents, now = stage.province("31").peers.consents, stage.clock.now()
    consents.overtaken(scene.phone.showing_id, scene.row().request_digest, now=now)
    consents.overtaken("0" * 24, scene.row().request_digest, now=now)
    assert scene.claim().state == "ASKED"


def test_of_two_retries_one_asks_the_library(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, _ = stopped(stage, Topic.FETCH)
    stage.pass_time(40)
    before = inner._visit(scene.row())
    assert before is not None
    assert before.state == "UNDETERMINED"
    scene.present()
    with monkeypatch.context() as patch:
        calls = [before]
        real = inner.find_visit
        patch.setattr("verifier.desk.inner.find_visit", lambda conn, *key: calls.pop() if calls else real(conn, *key))
        scene.present()
    assert len([each for each in stage.rows("32", inner.outbox) if '"topic":"fetch"' in each.body]) == 2
    assert scene.finish().state == "PASSED"
    stage.books()


def test_of_two_answers_to_one_question_one_counts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, consent = stopped(stage, Topic.CONSENT)
    asked = inner._visit(scene.row())
    assert brought(stage, consent) is None
    with monkeypatch.context() as patch:
        stale(patch, "verifier.desk.inner.visit_of_request", asked)
        assert brought(stage, consent) is None
    stage.rule(hold(Topic.COPY))
    stage.pump()
    copy, fetching = sent(stage, Topic.COPY), inner._visit(scene.row())
    assert brought(stage, copy) is None
    no = stage.province("33").office.answer("32", scene.row().request_digest, Reason.WITHDRAWN, now=stage.clock.now())
    with monkeypatch.context() as patch:
        stale(patch, "verifier.desk.inner.visit_of_request", fetching)
        assert brought(stage, copy) is None
        assert brought(stage, rewritten(stage, copy, copy=None, answer=no)) is None
    assert scene.view().state == "PASSED"
    stage.rule(None)
    stage.pump()
    stage.books()


def test_a_worker_that_took_over_an_errand_owns_its_answers(stage: Stage) -> None:
    """The first asked all libraries and died; the second finds them asked, and the answer is still written."""
    scene = stage.scene()
    stage.rule(hold(Topic.HELD))
    stage.pump()
    stage.clock.advance(31)
    held = [each for wire in stage.wires.values() for each in wire.sent if each.topic is Topic.HELD]
    stage.rule(None)
    stage.province("31").worker._swept = stage.clock.now()  # no sweep yet: nobody is called silent
    stage.province("31").worker.run_once()
    for letter in held:
        stage.province("31").peers.receive(letter, now=stage.clock.now())
    stage.pump()
    attempts = {row.attempt for row in stage.rows("31", inner.lookups)}
    assert attempts == {2}
    scene.present()
    stage.pump()
    assert scene.listed()


def test_a_store_that_is_gone_is_no_answer_and_comes_back(stage: Stage) -> None:
    """A library whose file was taken away does not answer "no such certificate"."""
    scene, letter = stopped(stage, Topic.FETCH)
    path = stage.folder / "library-33.db"
    away = path.with_suffix(".away")
    path.rename(away)
    try:
        with pytest.raises(Unavailable):
            stage.province("33").peers.receive(letter, now=stage.clock.now())
    finally:
        away.rename(path)
    assert brought(stage, letter) is None
    assert scene.finish().state == "PASSED"

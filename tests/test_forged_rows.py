"""Somebody who can write into the hand-over database, and has no key: none of what is written there becomes a consent.

The outer network and whoever broke into it may change every column of every row. Forged here, one by one: the errands that
bring an answer, the columns of a showing, standing answers, the names of twins and the errands of counters' codes. What is
genuine in them was taken from elsewhere: another citizen's login and answer, the same citizen's earlier answer, another
showing's. After each forgery all four provinces work until nothing moves; then there is no consent, no copy, nothing spent.
At the end the citizen agrees over the same rows, and it passes: the forgeries used nothing up.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from consent.approval import Decision, seal_approval
from consent.b64 import from_b64, to_b64
from consent.errors import Reason
from consent.keys import SigningKey, new_key
from consent.standing import offer_digest, seal_standing
from consent.stores import handover
from consent.stores.base import reading, writing
from consent.stores.queue import put
from consent.stores.standings import standings
from consent.twin import NameKey
from scanner_kiosk.country.people import pair
from scanner_kiosk.phone import Phone
from tests.country import Scene, Stage, kept, put_back, read_ledger
from tests.test_express import WEDDED, certificate, offered
from tests.test_invitations import invited
from tests.test_rogues import signed
from verifier.stores import inner
from verifier.stores import library as library_tables

HOME = "31"


def write(stage: Stage, *statements: Any) -> None:
    """What a thief writes."""
    with writing(stage.province(HOME).office.handover) as conn:
        for statement in statements:
            conn.execute(statement)


def change(stage: Stage, showing_id: str, **columns: Any) -> None:
    """Other values in the row of a showing."""
    write(stage, update(handover.showings).where(handover.showings.c.showing_id == showing_id).values(**columns))


def row_of(stage: Stage, showing_id: str) -> Any:
    """The row of a showing."""
    with reading(stage.province(HOME).office.handover) as conn:
        return conn.execute(select(handover.showings).where(handover.showings.c.showing_id == showing_id)).one()


def errand(stage: Stage, showing_id: str, body: Any, kind: str = "approval") -> None:
    """An errand that nobody gave."""
    with writing(stage.province(HOME).office.handover) as conn:
        put(conn, handover.errands, kind=kind, ref=showing_id, body=body, now=stage.clock.now())


def device_of(phone: Phone, *, sub: str = "", key: SigningKey | None = None) -> SigningKey:
    """The device key of a phone, or another one under its name."""
    key = key or phone.device
    return SigningKey(issuer=sub or phone.sub, alg=key.alg, kid=key.kid, private=key.private)


def nothing_came_of_it(stage: Stage) -> None:
    """No consent, no copy, nothing spent, anywhere."""
    for code, province in stage.country.provinces.items():
        assert [row.consent for row in stage.rows(code, inner.claims) if row.consent] == []
        assert [row.copy for row in stage.rows(code, inner.visits) if row.consent or row.copy] == []
        assert stage.rows(code, library_tables.spends) == []
        assert not [each for each in read_ledger(province.office.inner, inner.ledger) if each.act == "CONSENTED"]


# The login in the row -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Theft:
    """A counter that has asked the citizen of `scene`, and a thief with a phone, a login and a certificate of their own."""

    stage: Stage
    scene: Scene
    thief: Phone
    handle: str

    @property
    def showing_id(self) -> str:
        """The citizen's showing."""
        return self.scene.phone.showing_id

    def approval(self, key: SigningKey, **changes: Any) -> str:
        """An answer to what the citizen was asked."""
        sheet = self.scene.sheet()["sheet"]
        right: dict[str, Any] = {
            "province": HOME,
            "request_digest": sheet["request"],
            "decision": Decision.AGREE,
            "now": self.stage.clock.now(),
            "certificate": self.scene.picked(),
            "digits": self.scene.view().digits,
            "declarations": tuple(each["slug"] for each in sheet["declarations"]),
        }
        return seal_approval(key, **(right | changes))


@pytest.fixture
def theft(stage: Stage) -> Theft:
    scene = stage.scene(HOME, "32", "33")
    thief = stage.country.phone_of(pair(HOME, "31"))
    thief.show()
    handle = certificate(stage, thief)
    scene.asked_and_shown()
    return Theft(stage=stage, scene=scene, thief=thief, handle=handle)


def with_the_thiefs_login(theft: Theft) -> None:
    other = row_of(theft.stage, theft.thief.showing_id)
    columns = ("holder_jwt", "opened_at", "device_jwk", "device_kid", "sub")
    change(theft.stage, theft.showing_id, **{name: getattr(other, name) for name in columns})


def test_whoever_is_asked_cannot_be_exchanged_for_somebody_who_agrees(theft: Theft) -> None:
    """The holder match was made with the citizen's login. With a willing other's in the row, the certificate of a person
    who is not there would be shown as that of the person at the counter."""
    stage, scene = theft.stage, theft.scene
    agreed = theft.approval(device_of(theft.thief), certificate=theft.handle)
    with_the_thiefs_login(theft)
    errand(stage, theft.showing_id, {"approval": agreed})
    stage.pump()
    nothing_came_of_it(stage)
    assert scene.claim().state == "ASKED"
    with reading(stage.province(HOME).office.handover) as conn:
        answers = [row.answer for row in conn.execute(select(handover.errands)) if row.kind == "approval"]
    assert answers == [json.dumps({"reason": Reason.APPROVAL_MISMATCH})]


@pytest.mark.full
def test_nor_can_the_thief_take_back_what_the_citizen_gave(theft: Theft) -> None:
    stage, scene = theft.stage, theft.scene
    stage.rule(lambda letter: None if letter.topic == "fetch" else letter)
    scene.agree()
    stage.pump()
    back = theft.approval(device_of(theft.thief), decision=Decision.WITHDRAW, certificate=None, digits=None)
    with_the_thiefs_login(theft)
    errand(stage, theft.showing_id, {"approval": back}, kind="withdrawal")
    stage.pump()
    assert scene.claim().state == "CONSENTED"
    assert not [row for row in stage.rows(HOME, inner.outbox) if '"topic":"withdraw"' in row.body]


# Everything else in the rows ------------------------------------------------------------------------------

Forgery = Callable[[Theft], None]


def _errand(text: Callable[[Theft], Any], kind: str = "approval") -> Forgery:
    """An errand with this answer, and a showing that looks answered."""

    def forge(theft: Theft) -> None:
        found = text(theft)
        body = found if isinstance(found, dict) else {"approval": found}
        errand(theft.stage, theft.showing_id, body, kind)
        answer = body.get("approval")
        change(
            theft.stage, theft.showing_id, state="ANSWERED", approval_jwt=answer if isinstance(answer, str) else None
        )

    return forge


def _right(theft: Theft) -> str:
    return theft.approval(device_of(theft.scene.phone))


def _parts(theft: Theft) -> list[str]:
    return _right(theft).split(".")


def _alg_none(theft: Theft) -> str:
    head, payload, _ = _parts(theft)
    header = json.loads(from_b64(head)) | {"alg": "none"}
    return f"{to_b64(json.dumps(header).encode())}.{payload}.AA"


def _other_signature(theft: Theft) -> str:
    head, payload, _ = _parts(theft)
    return f"{head}.{payload}.{theft.approval(device_of(theft.thief)).split('.')[2]}"


def _other_payload(theft: Theft) -> str:
    head, payload, signature = _parts(theft)
    claims = json.loads(from_b64(payload)) | {"certificate": theft.handle}
    return f"{head}.{to_b64(json.dumps(claims).encode())}.{signature}"


def _under_the_citizens_kid(theft: Theft) -> str:
    key = device_of(theft.scene.phone, key=new_key("ES256", issuer="x"))
    return theft.approval(
        SigningKey(issuer=key.issuer, alg=key.alg, kid=theft.scene.phone.device.kid, private=key.private)
    )


def _wrong_digits(theft: Theft) -> str:
    digits = f"{(int(theft.scene.view().digits) + 1) % 100:02d}"
    return theft.approval(device_of(theft.scene.phone), digits=digits)


def _minutes_ago(theft: Theft) -> str:
    return theft.approval(device_of(theft.scene.phone), now=theft.stage.clock.now() - timedelta(minutes=3))


def _of_a_standing(theft: Theft) -> str:
    return _standing(theft, key=device_of(theft.scene.phone))


def _standing(theft: Theft, *, key: SigningKey, showing_id: str = "") -> str:
    return seal_standing(
        key,
        province=HOME,
        showing_id=showing_id or theft.showing_id,
        unit="11320000MB9999113X",
        matter=WEDDED,
        certificate=theft.handle,
        offer=offer_digest({}),
        now=theft.stage.clock.now(),
    )


def _device_columns(theft: Theft) -> None:
    """The columns that wallet_api reads, and the answer of the device that they then name."""
    other = row_of(theft.stage, theft.thief.showing_id)
    change(theft.stage, theft.showing_id, device_jwk=other.device_jwk, device_kid=other.device_kid, sub=other.sub)
    errand(theft.stage, theft.showing_id, {"approval": theft.approval(device_of(theft.thief))})


def _login(text: Callable[[Any], str]) -> Forgery:
    def forge(theft: Theft) -> None:
        change(theft.stage, theft.showing_id, holder_jwt=text(row_of(theft.stage, theft.showing_id).holder_jwt))
        errand(theft.stage, theft.showing_id, {"approval": _right(theft)})

    return forge


def _columns(**columns: Any) -> Forgery:
    return lambda theft: change(theft.stage, theft.showing_id, **columns)


def _another_errands_showing(theft: Theft) -> None:
    """The citizen's own answer, brought for the thief's showing, which nobody has claimed."""
    errand(theft.stage, theft.thief.showing_id, {"approval": _right(theft)})


def _another_claims_answer(theft: Theft) -> None:
    """The thief's genuine answer to what the thief was asked elsewhere."""
    who = pair(HOME, "31")
    other = theft.stage.scanned(who, theft.thief, "34")
    other.asked_and_shown()
    errand(theft.stage, theft.showing_id, {"approval": signed(theft.stage, other, Decision.AGREE)})


def _held(theft: Theft) -> None:
    """A list of certificates that no library sent, and an answer that picks none."""
    none = theft.approval(device_of(theft.scene.phone), certificate=None)
    change(theft.stage, theft.showing_id, holdings=json.dumps({"certificates": [], "undigitised": False, "silent": []}))
    errand(theft.stage, theft.showing_id, {"approval": none})


RESULT = json.dumps({"outcome": "PASSED", "reason": None, "receipt": "e.y.j", "given": [], "ended_at": "x"})

FORGERIES: dict[str, Forgery] = {
    "unsigned": _errand(lambda it: ".".join([*_parts(it)[:2], ""])),
    "two parts": _errand(lambda it: ".".join(_parts(it)[:2])),
    "alg none": _errand(_alg_none),
    "another signature": _errand(_other_signature),
    "another certificate under the old signature": _errand(_other_payload),
    "another device": _errand(lambda it: it.approval(device_of(it.thief))),
    "another device under the citizen's name": _errand(
        lambda it: it.approval(device_of(it.thief, sub=it.scene.phone.sub))
    ),
    "another device under the citizen's name and key id": _errand(_under_the_citizens_kid),
    "an answer to another request": _errand(lambda it: it.approval(device_of(it.scene.phone), request_digest="A" * 43)),
    "an answer for another province": _errand(lambda it: it.approval(device_of(it.scene.phone), province="32")),
    "an answer that has expired": _errand(_minutes_ago),
    "right signature, wrong digits": _errand(_wrong_digits),
    "right signature, no digits": _errand(lambda it: it.approval(device_of(it.scene.phone), digits=None)),
    "a withdrawal as an answer": _errand(lambda it: it.approval(device_of(it.scene.phone), decision=Decision.WITHDRAW)),
    "an answer as a withdrawal": _errand(_right, "withdrawal"),
    "a standing answer as an answer": _errand(_of_a_standing),
    "the login as an answer": _errand(lambda it: row_of(it.stage, it.showing_id).holder_jwt[:2000]),
    "nothing": _errand(lambda it: {}),
    "a number": _errand(lambda it: {"approval": 7}),
    "one member more": _errand(lambda it: {"approval": _right(it), "consent": True}),
    "an errand that does not exist": _errand(_right, "consent"),
    "the answer of another showing": _another_claims_answer,
    "the answer for another showing": _another_errands_showing,
    "another device in the columns": _device_columns,
    "a login that is none": _login(lambda text: "nonsense"),
    "a login without its signature": _login(lambda text: text.rpartition(".")[0] + ".AA"),
    "certificates that no library has": _held,
    "a state that says it": _columns(state="CONSENTED"),
    "a state that says it is over": _columns(state="DELIVERED", result=RESULT),
    "a request that nobody sent": _columns(request_digest="A" * 43, sheet="{}"),
    "an answer in the row alone": lambda it: change(it.stage, it.showing_id, state="ANSWERED", approval_jwt=_right(it)),
}


@pytest.mark.full
def test_no_row_that_is_forged_while_the_citizen_is_asked_becomes_a_consent(theft: Theft) -> None:
    stage = theft.stage
    before = [(engine, kept(engine)) for engine in stage.engines()]
    for name, forge in FORGERIES.items():
        try:
            forge(theft)
            stage.pump()
            nothing_came_of_it(stage)
        except AssertionError as wrong:
            raise AssertionError(f"forged: {name}") from wrong
        for engine, copy in before:
            put_back(engine, copy)
    errand(stage, theft.showing_id, {"approval": _right(theft)})
    change(stage, theft.showing_id, state="ANSWERED")
    assert theft.scene.finish().state == "PASSED", "the same errand with the right answer in it is one"
    stage.books()


@pytest.mark.full
def test_an_earlier_answer_of_the_same_citizen_is_not_one_to_what_is_asked_now(stage: Stage) -> None:
    first = stage.scene(HOME, "32", "33")
    first.asked_and_shown()
    first.agree()
    assert first.finish().state == "PASSED"
    used = row_of(stage, first.phone.showing_id).approval_jwt
    second = stage.scene(HOME, "34", "33")
    second.asked_and_shown()
    errand(stage, second.phone.showing_id, {"approval": used})
    change(stage, second.phone.showing_id, state="ANSWERED", approval_jwt=used)
    stage.pump()
    assert second.claim().consent is None
    assert second.view().copy is None
    assert len(stage.rows("33", library_tables.spends)) == 1
    stage.books()


# Before the scan -------------------------------------------------------------------------------------------

STANDING: dict[str, Callable[[Theft, str], str]] = {
    "unsigned": lambda it, right: right.rpartition(".")[0] + ".AA",
    "nonsense": lambda it, right: "nonsense",
    "of another device": lambda it, right: _standing(it, key=device_of(it.thief)),
    "of another device under the citizen's name": lambda it, right: _standing(
        it, key=device_of(it.thief, sub=it.scene.phone.sub)
    ),
    "for another showing": lambda it, right: _standing(
        it, key=device_of(it.scene.phone), showing_id=it.thief.showing_id
    ),
    "over words that the register does not say": lambda it, right: _standing(it, key=device_of(it.scene.phone)),
}


@pytest.mark.full
def test_no_standing_row_that_is_forged_becomes_a_consent(stage: Stage) -> None:
    scene = stage.scene(HOME, "32", "33", matter=WEDDED)
    thief = stage.country.phone_of(pair(HOME, "31"))
    thief.show()
    theft = Theft(stage=stage, scene=scene, thief=thief, handle=certificate(stage, thief))
    offer = offered(stage, scene.phone, scene, WEDDED)
    scene.phone.stand(offer, certificate(stage, scene.phone))
    with reading(stage.province(HOME).office.handover) as conn:
        right = conn.execute(select(standings.c.standing_jwt)).scalar_one()
    before = [(engine, kept(engine)) for engine in stage.engines()]
    for name, forged in STANDING.items():
        text = forged(theft, right)
        row = {"showing_id": theft.showing_id, "standing_jwt": text, "at": stage.clock.now()}
        write(stage, delete(standings), insert(standings).values(row))
        assert scene.asked_and_shown().state == "ASKED"
        try:
            nothing_came_of_it(stage)
        except AssertionError as wrong:
            raise AssertionError(f"forged: {name}") from wrong
        for engine, copy in before:
            put_back(engine, copy)
    assert scene.asked_and_shown()
    assert scene.finish().state == "PASSED", "and the right one in the same row does"


@pytest.mark.full
def test_a_name_that_is_led_to_another_showing_finds_the_wrong_person(stage: Stage) -> None:
    """The twin that the thief's accomplice reads out leads to the citizen; and the citizen's own leads to the thief."""
    thief = stage.country.phone_of(pair(HOME, "31"))
    thief.show()
    twin = thief.twin()
    scene = stage.scene(HOME, "32", "33")
    digest = NameKey(stage.province(HOME).office.showing_key).digest(twin)
    moved = update(handover.names).where(handover.names.c.digest == digest)
    write(stage, moved.values(showing_id=scene.phone.showing_id))
    attempt = stage.scanned(pair(HOME, "31"), thief, "32", code=twin)
    attempt.present()
    assert attempt.finish().said.reason is Reason.HOLDER_MISMATCH
    own = scene.phone.twin()
    digest = NameKey(stage.province(HOME).office.showing_key).digest(own)
    write(stage, update(handover.names).where(handover.names.c.digest == digest).values(showing_id=thief.showing_id))
    attempt = stage.scanned(scene.who, scene.phone, "32", code=own)
    attempt.present()
    assert attempt.finish().said.reason is Reason.HOLDER_MISMATCH
    assert stage.rows(HOME, inner.claims) == []
    nothing_came_of_it(stage)


@pytest.mark.full
def test_a_row_that_goes_to_a_counter_for_somebody_else_claims_nothing(stage: Stage) -> None:
    """A counter waits for its citizen; the errand that goes there names the thief's showing and code."""
    scene, counter = invited(stage, stage.scene(HOME, "32", "33"))
    thief = stage.country.phone_of(pair(HOME, "31"))
    thief.show()
    bodies = [
        {"counter": counter, "code": thief.code()},
        {"counter": counter[:-1] + ("A" if counter[-1] != "A" else "B"), "code": scene.phone.code()},
        {"counter": counter, "code": "YRD1:NONSENSE"},
        {"counter": counter},
        {"counter": counter, "code": scene.phone.code(), "approval": "yes"},
    ]
    for body in bodies:
        errand(stage, scene.phone.showing_id, body, kind="come")
        stage.pump()
        assert stage.rows(HOME, inner.claims) == [], body.keys()
    nothing_came_of_it(stage)

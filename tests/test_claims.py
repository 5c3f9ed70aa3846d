"""Every member of every document, one by one: taken away, of another type, with another value.

Three times for each change:

signed     sealed again by the very key that may seal it, so that only the check of this member can refuse. TABLE says by hand
           what then happens: `No` with the Reason and the check that said it; `Next` where the seal cannot know and the next
           reader of the opened document refuses; `Taken` where the change is the sealer's own business, and why.
unsigned   the same change under the old signature: DOCUMENT_SIGNATURE, for every one of them.
at work    what `Taken` leaves to the rules of a visit (unit, matter, fields, digits, certificate …) is sealed with the real
           keys of four provinces and brought to the real rooms, in the second half of this file.

A table with a missing row fails: the members of a kind are compared with it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from consent.annotated_copy import COPY
from consent.answer import ANSWER
from consent.approval import APPROVAL, Decision
from consent.attest import ATTEST, staff_of
from consent.b64 import digest_of, from_b64, new_id, to_b64
from consent.card import CARD, PAD, device_of
from consent.enrolment import ENROLMENT, applicant, open_enrolment, seal_enrolment
from consent.envelope import new_envelope_key
from consent.errors import Reason, Refusal
from consent.grant import CONSENT, open_grant
from consent.holding import HOLDING
from consent.invitation import INVITATION, PREFIX, open_invitation, seal_invitation
from consent.keys import KeyRing, Kind, OneKey, SigningKey, new_key, signing_key
from consent.receipt import RECEIPT
from consent.request import REQUEST, open_aside
from consent.seal import COMMON, compact, signed_digest
from consent.showing import HOLDER
from consent.standing import STANDING, open_standing, seal_standing
from consent.transport import Topic, letter_from, read_letter
from consent.window import WINDOW
from tests.country import Stage, kept, put_back, refused
from tests.papers import (
    ASIDE,
    BY_TYP,
    DESK,
    DEVICE_KEY,
    EPOCH_NOW,
    HANDLE,
    HOME,
    INNER,
    LIBRARY,
    NOW,
    REQUEST_KEY,
    UNIT,
    VALIDITY,
    VAULT,
    VISIT,
    WINDOW_ID,
    Paper,
    signed,
)
from tests.test_rogues import brought, opened, request_of, rewritten, stopped
from tests.test_rogues import signed as signed_answer
from verifier.peers import CONTENTS
from verifier.stores import inner
from verifier.stores import library as library_tables

# The two documents that are not in tests.papers.

SHOWING = "0123456789abcdef01234567"
STANDING_DEVICE = DEVICE_KEY.published(STANDING.typ, **VALIDITY)
INVITATIONS = KeyRing([REQUEST_KEY.published(INVITATION.typ, **VALIDITY)])
_MADE = new_key("EdDSA", issuer="new")
KIOSK_KEY = signing_key(_MADE.private, issuer=applicant(_MADE.public))
MORE: tuple[Paper, ...] = (
    Paper(
        kind=ENROLMENT,
        key=KIOSK_KEY,
        keys=OneKey(KIOSK_KEY.published(ENROLMENT.typ, **VALIDITY)),
        audience=DESK,
        text=seal_enrolment(KIOSK_KEY, province=DESK, device_code=None, now=NOW),
        open=lambda text, now: open_enrolment(text, KIOSK_KEY.public, province=DESK, device_code=None, now=now),
    ),
    Paper(
        kind=STANDING,
        key=DEVICE_KEY,
        keys=OneKey(STANDING_DEVICE),
        audience=HOME,
        text=seal_standing(
            DEVICE_KEY,
            province=HOME,
            showing_id=SHOWING,
            unit=UNIT,
            matter="housing.fund_withdrawal",
            certificate=HANDLE,
            offer=digest_of(b"offer"),
            declarations=("not_remarried",),
            now=NOW,
        ),
        open=lambda text, now: open_standing(text, STANDING_DEVICE, province=HOME, showing_id=SHOWING, now=now),
    ),
    Paper(
        kind=INVITATION,
        key=REQUEST_KEY,
        keys=INVITATIONS,
        audience="phone",
        text=seal_invitation(REQUEST_KEY, window=WINDOW_ID, request_id=new_id(), now=NOW).removeprefix(PREFIX),
        open=lambda text, now: open_invitation(PREFIX + text, INVITATIONS, now=now),
    ),
)
PAPERS = {**BY_TYP, **{each.kind.typ: each for each in MORE}}


# The table ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class No:
    """Refused while it is opened, by the check that `said` names."""

    reason: Reason
    said: str


@dataclass(frozen=True, slots=True)
class Next:
    """Opened, and refused by whoever reads on."""

    reason: Reason
    reads: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Taken:
    """Opened, and the change is there to be seen; why that is right."""

    why: str


Verdict = No | Next | Taken
Row = tuple[list[Any], list[tuple[Any, Verdict]]]  # values of another type; other values, and what happens

DIGEST_ = digest_of(b"another")
ID_ = "AAECAwQFBgcICQoLDA0ODw"
SHAPE = No(Reason.DOCUMENT_CLAIMS, "claims")
FLOAT = No(Reason.DOCUMENT_MALFORMED, "json")  # there are no floats in a document, wherever they stand
AUDIENCE = No(Reason.DOCUMENT_CLAIMS, "audience")
LIFE = No(Reason.DOCUMENT_CLAIMS, "life")
EXPIRED = No(Reason.DOCUMENT_EXPIRED, "expired")
FUTURE = No(Reason.DOCUMENT_NOT_YET_VALID, "future")
ANOTHER = Taken("another id is another document; it is used up under this one")
WORDS = Taken("the desk's own words: shown to the citizen as they are, and kept in every receipt")
JUDGED = Taken("judged by the rules of the visit: below, and for a standing answer in test_express")
CITIZEN = Taken("the citizen's own answer, signed by the citizen's device")
OF_A_DESK = Taken("the desk's own signature under its own choice")
DIGITS_ = "97"


def aside(request: Any) -> Any:
    """What the desk really committed to, enveloped for the request that came."""
    return open_aside(ASIDE.close(INNER.recipient, request_digest=request.digest), INNER, request)


def times(life: int) -> dict[str, Row]:
    """Issued now, for `life` seconds."""
    return {
        "iat": (
            [str(EPOCH_NOW), float(EPOCH_NOW), None, True, [EPOCH_NOW]],
            [(EPOCH_NOW + 11, FUTURE), (EPOCH_NOW - 1, LIFE), (-1, SHAPE), (0, LIFE)],
        ),
        "exp": (
            [str(EPOCH_NOW + 9), EPOCH_NOW + 9.5, None, True, {}],
            [(EPOCH_NOW, EXPIRED), (EPOCH_NOW - 1, EXPIRED), (EPOCH_NOW + life + 1, LIFE), (2**63, SHAPE)],
        ),
    }


def common(life: int, *, audience: str, issuer: str, jti: Verdict = ANOTHER) -> dict[str, Row]:
    """The members that all kinds have. `audience` and `issuer` are real ones, of somebody else."""
    return {
        **times(life),
        "iss": ([31, None, True, ["31"], {"iss": "31"}], [(issuer, SHAPE), ("", SHAPE)]),
        "aud": ([31, None, True, ["31"], {"aud": "31"}], [(audience, AUDIENCE), ("", SHAPE)]),
        "jti": ([0, None, False, [ID_], {}], [(ID_, jti), (ID_[:-1] + "x", SHAPE), (ID_ + "A", SHAPE)]),
    }


UNREADABLE = Reason.ENVELOPE_UNREADABLE
WORD = [7, None, True, ["x"], {"x": "x"}]  # what a text is not
LIST = ["not_remarried", 1, None, True, {"0": "x"}, [1], [None], [["x"]]]  # what a list of texts is not
MAYBE = [7, True, ["x"], {"x": "x"}]  # what a text that may be null is not

TABLE: dict[str, dict[str, Row]] = {
    HOLDER.typ: {
        **common(
            60,
            audience=DESK,
            issuer="zheliban",
            jti=Next(UNREADABLE, lambda it: it.person(INNER)),  # the envelope belongs to the id
        ),
        "sub": (WORD, [("pseudonym-2", Taken("a pseudonym of the app's; its device then speaks for that one"))]),
        "env": (WORD, [("AAAA", Next(UNREADABLE, lambda it: it.person(INNER))), ("", SHAPE), ("*", SHAPE)]),
        "dev": (
            ["jwk", 1, None, True, [{}]],
            [
                ({"crv": "P-256", "kty": "EC", "x": "A" * 43, "y": "A" * 43}, No(Reason.KEY_NOT_ALLOWED, "")),
                ({"crv": "P-256", "kty": "EC", "x": "A" * 43}, SHAPE),
                ({"crv": "P-384", "kty": "EC", "x": "A" * 43, "y": "A" * 43}, SHAPE),
                ({"crv": "P-256", "kty": "oct", "x": "A" * 43, "y": "A" * 43}, SHAPE),
            ],
        ),
        "auth_time": (
            [str(EPOCH_NOW), 1.5, None, True, []],
            [
                (EPOCH_NOW - 61, No(Reason.DOCUMENT_EXPIRED, "too old")),
                (EPOCH_NOW + 11, No(Reason.DOCUMENT_EXPIRED, "too old")),
                (EPOCH_NOW - 60, Taken("the person unlocked the app a minute ago, which is allowed")),
            ],
        ),
    },
    REQUEST.typ: {
        **common(300, audience=LIBRARY, issuer=HOME),
        "unit": (WORD, [("91310000132200099D", JUDGED), ("11310000MB2F3001IL", SHAPE)]),
        "window": (WORD, [("hall-1.w08", JUDGED), ("../1", SHAPE), ("", SHAPE)]),
        "officer": (WORD, [("p-7", WORDS), ("张三", SHAPE)]),
        "matter": (WORD, [("marriage.register", JUDGED), ("Marriage", SHAPE)]),
        "case": (WORD, [("2026-0002 号", WORDS), ("two\nlines", SHAPE), ("", SHAPE)]),
        "type": (
            WORD,
            [("divorce", Taken("one of those that its matter lists; the sheet says which")), ("birth", SHAPE)],
        ),
        "fields": (LIST, [(["holder.id_number"], JUDGED), ([], SHAPE), (["A"], SHAPE), (["a"] * 25, SHAPE)]),
        "cause": (WORD, [("别的事", WORDS), ("", SHAPE), ("a\x00b", SHAPE)]),
        "code": (WORD, [(DIGEST_, JUDGED), (DIGEST_[:-1], SHAPE)]),
        "match": (MAYBE, [(DIGEST_, Next(Reason.DOCUMENT_CLAIMS, aside)), (None, Next(Reason.DOCUMENT_CLAIMS, aside))]),
        "other": (MAYBE, [(DIGEST_, Next(Reason.DOCUMENT_CLAIMS, aside)), ("", SHAPE)]),
        "digits": (WORD, [(DIGEST_, Next(Reason.DOCUMENT_CLAIMS, aside)), ("07", SHAPE)]),
        "declarations": (LIST, [([], JUDGED), (["a"] * 9, SHAPE), (["A"], SHAPE)]),
        "answer_key": (WORD, [(new_envelope_key().recipient.text, OF_A_DESK), (VISIT.recipient.text[1:], SHAPE)]),
    },
    APPROVAL.typ: {
        **common(120, audience=DESK, issuer="pseudonym-2"),
        "req": (WORD, [(DIGEST_, No(Reason.APPROVAL_MISMATCH, "another request")), (DIGEST_[1:], SHAPE)]),
        "decision": (WORD, [("decline", CITIZEN), ("withdraw", CITIZEN), ("yes", SHAPE), ("", SHAPE)]),
        "certificate": (MAYBE, [(f"34.{ID_}", JUDGED), (None, CITIZEN), ("33.x", SHAPE), ("", SHAPE)]),
        "digits": (MAYBE, [(DIGITS_, JUDGED), (None, JUDGED), ("7", SHAPE), ("٠٧", SHAPE)]),
        "declarations": (LIST, [([], JUDGED), (["A"], SHAPE), (["a"] * 9, SHAPE)]),
    },
    CONSENT.typ: {
        **common(300, audience=HOME, issuer=LIBRARY),
        "req": (WORD, [(DIGEST_, No(Reason.CONSENT_MISMATCH, "another request")), ("", SHAPE)]),
        "library": (WORD, [("34", Next(Reason.CONSENT_MISMATCH, lambda it: open_grant(it, VAULT))), ("3", SHAPE)]),
        "env": (WORD, [("AAAA", Next(UNREADABLE, lambda it: open_grant(it, VAULT))), ("", SHAPE), ("+", SHAPE)]),
        "method": (WORD, [("pad", JUDGED), ("express", JUDGED), ("telepathy", SHAPE)]),
        "evidence": (
            WORD,
            [(DIGEST_, Taken("the citizen's province vouches for it; of a pad's answer see below")), ("x", SHAPE)],
        ),
    },
    STANDING.typ: {
        **common(900, audience=DESK, issuer="pseudonym-2"),
        "showing": (WORD, [("f" * 24, No(Reason.APPROVAL_MISMATCH, "another showing")), ("F" * 24, SHAPE)]),
        "unit": (WORD, [("91310000132200099D", JUDGED), ("11310000MB2F3001IL", SHAPE)]),
        "matter": (WORD, [("marriage.register", JUDGED), ("", SHAPE)]),
        "certificate": (WORD, [(f"34.{ID_}", CITIZEN), ("33.x", SHAPE)]),
        "declarations": (LIST, [([], JUDGED), (["A"], SHAPE)]),
        "offer": (WORD, [(DIGEST_, JUDGED), (DIGEST_[1:], SHAPE)]),
    },
    INVITATION.typ: {
        **common(60, audience=HOME, issuer=HOME, jti=Taken("another id is another invitation, and that desk has none")),
        "exp": (
            [str(EPOCH_NOW + 9), EPOCH_NOW + 9.5, None, True, {}],
            [(EPOCH_NOW, No(Reason.CODE_EXPIRED, "over")), (EPOCH_NOW + 61, LIFE), (2**63, SHAPE)],
        ),
        "window": (WORD, [("hall-1.w08", Taken("looked up with the id: no such invitation")), ("", SHAPE)]),
    },
    CARD.typ: {
        **common(
            60,
            audience=HOME,
            issuer=device_of(DESK, "hall-1.w08", "reader"),
            jti=Next(UNREADABLE, lambda it: it.person(INNER)),
        ),
        "window": (WORD, [("hall-1.w08", No(Reason.DOCUMENT_CLAIMS, "another request")), ("", SHAPE)]),
        "request": (WORD, [(ID_, No(Reason.DOCUMENT_CLAIMS, "another request")), (ID_[1:], SHAPE)]),
        "env": (WORD, [("AAAA", Next(UNREADABLE, lambda it: it.person(INNER))), ("", SHAPE)]),
    },
    PAD.typ: {
        **common(120, audience=HOME, issuer=device_of(DESK, "hall-1.w08", "pad")),
        "req": (WORD, [(DIGEST_, No(Reason.APPROVAL_MISMATCH, "another request")), ("", SHAPE)]),
        "decision": (WORD, [("decline", CITIZEN), ("withdraw", SHAPE), ("", SHAPE)]),
        "method": (
            WORD,
            [("face", Taken("whether the matter takes it is judged by desk and library")), ("app", SHAPE)],
        ),
        "evidence": (WORD, [(DIGEST_, Taken("stays with the unit's file, which has what it is the digest of"))]),
        "declarations": (LIST, [([], Taken("the sheet needs them: verifier.cards")), (["A"], SHAPE)]),
    },
    ENROLMENT.typ: {
        **common(60, audience=HOME, issuer="new:" + DIGEST_),
        "step": (WORD, [("token", No(Reason.DOCUMENT_CLAIMS, "proof for another step")), ("", SHAPE)]),
        "code": (MAYBE, [(DIGEST_, No(Reason.DOCUMENT_CLAIMS, "proof for another step")), ("", SHAPE)]),
    },
    WINDOW.typ: {
        **common(60, audience=HOME, issuer=f"{DESK}:hall-1.w08"),
        "method": (WORD, [("GET", No(Reason.DOCUMENT_CLAIMS, "another call")), ("PATCH", SHAPE)]),
        "path": (WORD, [("/v1/other", No(Reason.DOCUMENT_CLAIMS, "another call")), ("v1", SHAPE)]),
        "body": (WORD, [(DIGEST_, No(Reason.DOCUMENT_CLAIMS, "another call")), ("", SHAPE)]),
    },
    HOLDING.typ: {
        **common(60, audience=HOME, issuer=DESK),
        "holder": (WORD, [(DIGEST_, Taken("an HMAC under a key of the inner networks: another person, or nobody"))]),
        "under": (WORD, [(DIGEST_, Taken("the asking province vouches for it, and it stands in the ledger"))]),
    },
    COPY.typ: {
        **common(900, audience=HOME, issuer=HOME),
        "req": (WORD, [(DIGEST_, No(Reason.DOCUMENT_CLAIMS, "another request")), ("", SHAPE)]),
        "consent_issuer": (WORD, [("34", Taken("`admit` compares it with the consent that was sent")), ("3", SHAPE)]),
        "consent": (WORD, [(ID_, Taken("`admit` compares it with the consent that was sent")), (ID_[1:], SHAPE)]),
        "env": (WORD, [("AAAA", Next(UNREADABLE, lambda it: it.body(VISIT))), ("", SHAPE)]),
    },
    ANSWER.typ: {
        **common(300, audience=HOME, issuer=LIBRARY),
        "req": (WORD, [(DIGEST_, No(Reason.DOCUMENT_CLAIMS, "another question")), ("", SHAPE)]),
        "outcome": (WORD, [("PASSED", No(Reason.DOCUMENT_CLAIMS, "another question")), ("MAYBE", SHAPE)]),
        "reason": (
            MAYBE,
            [
                (None, No(Reason.DOCUMENT_CLAIMS, "another question")),  # a no that would become a yes
                ("LIBRARY_UNREACHABLE", No(Reason.DOCUMENT_CLAIMS, "another question")),
                ("TIMED_OUT", Taken("another no of the same kind, by whoever may say no")),
                ("BECAUSE", SHAPE),
            ],
        ),
        "copy": (MAYBE, [(None, Taken("of a visit that passed `outcome` refuses that, see test_rogues")), ("", SHAPE)]),
        "env": (MAYBE, [("AAAA", Next(UNREADABLE, lambda it: it.payload(VISIT))), ("", SHAPE)]),
    },
    ATTEST.typ: {
        **common(120, audience=HOME, issuer=staff_of(DESK, UNIT, "0043")),
        "req": (WORD, [(DIGEST_, No(Reason.APPROVAL_MISMATCH, "another request")), ("", SHAPE)]),
        "officer": (WORD, [("0043", No(Reason.DOCUMENT_CLAIMS, "not a staff card")), ("张三", SHAPE), ("", SHAPE)]),
        "window": (WORD, [("hall-1.w08", No(Reason.DOCUMENT_CLAIMS, "another window")), ("../1", SHAPE)]),
    },
    RECEIPT.typ: {
        **common(3660 * 86_400, audience="unit", issuer=HOME),
        "req": (WORD, [(DIGEST_, Taken("its place in the ledger names the request too")), ("", SHAPE)]),
        "consent": (MAYBE, [(DIGEST_, Taken("as above")), ("", SHAPE)]),
        "copy": (MAYBE, [(DIGEST_, Taken("as above")), ("", SHAPE)]),
        "outcome": (WORD, [("REFUSED", Taken("its issuer's statement; the ledger has it too")), ("", SHAPE)]),
        "reason": (MAYBE, [("DECLINED", Taken("as above")), ("BECAUSE", SHAPE)]),
        "unit": (WORD, [("91310000132200099D", Taken("as above")), ("x", SHAPE)]),
        "window": (WORD, [("hall-1.w08", Taken("as above")), ("", SHAPE)]),
        "officer": (WORD, [("p-7", Taken("as above")), ("", SHAPE)]),
        "matter": (WORD, [("marriage.register", Taken("as above")), ("", SHAPE)]),
        "type": (WORD, [("divorce", Taken("as above")), ("birth", SHAPE)]),
        "fields": (LIST, [(["holder.id_number"], Taken("as above")), ([], SHAPE)]),
        "ledger": (
            ["7", 7, None, True, [7]],
            [
                ({"position": 8, "entry": DIGEST_}, Taken("whoever holds the ledger compares it")),
                ({"position": 0, "entry": DIGEST_}, SHAPE),
                ({"position": 8}, SHAPE),
                ({"position": "8", "entry": DIGEST_}, SHAPE),
                ({"position": 8, "entry": DIGEST_, "more": 1}, SHAPE),
            ],
        ),
    },
}

# Of headers the table is one for all kinds. Algorithms: the other one of the two, and the two that every forger tries.
MALFORMED = No(Reason.DOCUMENT_MALFORMED, "")
NO_KEY = No(Reason.DOCUMENT_KEY_UNKNOWN, "")
HEADER: dict[str, Row] = {
    "alg": (
        [256, None, True, ["ES256"], {}],
        [("none", NO_KEY), ("HS256", NO_KEY), ("RS256", NO_KEY), ("", MALFORMED)],
    ),
    "kid": ([1, None, True, ["k"], {}], [("of-nobody", NO_KEY), ("", MALFORMED), ("x" * 65, MALFORMED)]),
    "typ": (
        [1, None, True, ["holder+jwt"], {}],
        [("JWT", No(Reason.DOCUMENT_WRONG_KIND, "expected")), ("", MALFORMED), ("x" * 33, MALFORMED)],
    ),
}
EXTRA = {"jku": "https://a.example/k", "jwk": {}, "x5c": [], "crit": ["exp"], "b64": False, "zip": "DEF", "cty": "JWT"}


def everything(kind: Kind) -> Iterator[tuple[str, Any, Verdict]]:
    """(claim, value, verdict) of each row; the value MISSING for the claim that is taken away."""
    for name, (retyped, altered) in TABLE[kind.typ].items():
        yield name, MISSING, SHAPE
        for value in retyped:
            yield name, value, FLOAT if isinstance(value, float) else SHAPE
        yield from ((name, value, verdict) for value, verdict in altered)


MISSING = object()


def changed(members: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    rest = {each: kept for each, kept in members.items() if each != name}
    return rest if value is MISSING else {**rest, name: value}


def judged(paper: Paper, text: str, verdict: Verdict) -> str:
    """Empty where a text meets its verdict, else what happened."""
    try:
        found = paper.open(text, NOW)
    except Refusal as no:
        if isinstance(verdict, No) and no.reason is verdict.reason and verdict.said in no.detail:
            return ""
        return f"refused as {no.reason}, {no.detail!r}, and not {verdict}"
    if isinstance(verdict, No):
        return f"was taken, and not {verdict}"
    if isinstance(verdict, Next) and (why := refused(verdict.reads, found)) is not verdict.reason:
        return f"was refused afterwards as {why}, and not {verdict}"
    return ""


@pytest.mark.parametrize("typ", TABLE)
def test_the_table_has_every_member(typ: str) -> None:
    kind = PAPERS[typ].kind
    assert set(TABLE[typ]) == {*COMMON, *kind.claims} == set(PAPERS[typ].claims)
    for name, (retyped, altered) in TABLE[typ].items():
        assert len(retyped) >= 4, name
        assert any(value != PAPERS[typ].claims[name] for value, _ in altered), name


def test_every_kind_of_the_vocabulary_is_in_the_table() -> None:
    modules = [module for name, module in sys.modules.items() if name.startswith("consent.")]
    known = {each.typ for module in modules for each in vars(module).values() if isinstance(each, Kind)}
    assert known == set(TABLE) == set(PAPERS)


@pytest.mark.parametrize("typ", TABLE)
def test_each_claim_changed_and_sealed_again(typ: str) -> None:
    paper = PAPERS[typ]
    wrong = []
    for name, value, verdict in everything(paper.kind):
        text = paper.forged(payload=changed(paper.claims, name, value))
        if said := judged(paper, text, verdict):
            wrong.append(f"{name} = {value!r}: {said}")
    assert wrong == []


@pytest.mark.parametrize("typ", TABLE)
def test_each_claim_changed_under_the_old_signature(typ: str) -> None:
    paper = PAPERS[typ]
    header, _, signature = paper.text.split(".")
    for name, value, _ in everything(paper.kind):
        payload = json.dumps(changed(paper.claims, name, value), ensure_ascii=False).encode()
        text = f"{header}.{to_b64(payload)}.{signature}"
        assert refused(paper.open, text, NOW) is Reason.DOCUMENT_SIGNATURE, f"{name} = {value!r}"


@pytest.mark.parametrize("typ", TABLE)
def test_each_header_member_changed(typ: str) -> None:
    """Signed by the right key over the changed header; what the header says is judged before the signature."""
    paper = PAPERS[typ]
    other_alg = {"EdDSA": "ES256", "ES256": "EdDSA"}[paper.key.alg]
    rows = {**HEADER, "alg": (HEADER["alg"][0], [*HEADER["alg"][1], (other_alg, NO_KEY)])}
    wrong = []
    for name, (retyped, altered) in rows.items():
        verdicts = [(MISSING, MALFORMED), *((each, MALFORMED) for each in retyped), *altered]
        for value, verdict in verdicts:
            text = paper.forged(header=changed(paper.header, name, value))
            if said := judged(paper, text, verdict):
                wrong.append(f"{name} = {value!r}: {said}")
    for name, value in EXTRA.items():
        if said := judged(paper, paper.forged(header={**paper.header, name: value}), MALFORMED):
            wrong.append(f"{name}: {said}")
    assert wrong == []


@pytest.mark.parametrize("typ", TABLE)
def test_each_key_of_another_kind_is_refused(typ: str) -> None:
    """The key of every other document, under its own name and under the name of the right one."""
    paper = PAPERS[typ]
    for other in PAPERS.values():
        if other.key.kid == paper.key.kid:
            continue
        own = paper.forged(header={**paper.header, "kid": other.key.kid, "alg": other.key.alg}, key=other.key)
        assert refused(paper.open, own, NOW) is Reason.DOCUMENT_KEY_UNKNOWN, other.kind.typ
        borrowed = signed(json.dumps(paper.header).encode(), json.dumps(paper.claims).encode(), other.key)
        assert refused(paper.open, borrowed, NOW) is Reason.DOCUMENT_SIGNATURE, other.kind.typ


# At work: what a seal cannot know --------------------------------------------------------------------------


def resealed(text: str, key: SigningKey, **claims: Any) -> str:
    """A document with some claims changed, sealed again by the key that sealed it."""
    whole = json.loads(from_b64(text.split(".")[1])) | claims
    kind = json.loads(from_b64(text.split(".")[0]))["typ"]
    return compact(kind, whole, key)


def last_said(stage: Stage, code: str, topic: Topic) -> Any:
    """The reason in the last letter about this that a province wrote; None where it is a yes."""
    rows = [row for row in stage.rows(code, inner.outbox) if f'"topic":"{topic}"' in row.body]
    letter = letter_from(rows[-1].body.encode())
    content = read_letter(letter, stage.province(letter.to).office.envelope_key, content=CONTENTS[topic])
    if content["answer"] is None:
        return None
    return json.loads(from_b64(content["answer"].split(".")[1]))["reason"]


# Of a request, by the desk that may ask: who may ask what of whom is looked up, and the person and digits are committed to.
REQUESTS: list[tuple[str, Any, Reason]] = [
    ("unit", "11310000MB2F30019L", Reason.UNIT_UNKNOWN),
    ("window", "32-M1", Reason.WINDOW_UNKNOWN),
    ("matter", "dog.licence", Reason.MATTER_UNKNOWN),
    ("matter", "divorce.apply", Reason.SCOPE_NOT_LISTED),
    ("fields", ["holder_match", "registration_authority"], Reason.FIELD_NOT_ALLOWED),
    ("declarations", [], Reason.DECLARATION_MISSING),
    ("declarations", ["more"], Reason.DECLARATION_MISSING),
    ("code", DIGEST_, Reason.CODE_MALFORMED),
    ("match", None, Reason.HOLDER_MATCH_MISSING),
    ("match", DIGEST_, Reason.DOCUMENT_CLAIMS),
    ("digits", DIGEST_, Reason.DOCUMENT_CLAIMS),
    ("other", DIGEST_, Reason.DOCUMENT_CLAIMS),
]


@pytest.mark.full
def test_a_request_of_the_right_desk_that_says_something_else_claims_nothing(stage: Stage) -> None:
    scene, letter = stopped(stage, Topic.ASK)
    office, peers, now = stage.province("32").office, stage.province("31").peers, stage.clock.now()
    content = opened(stage, letter)
    asked = request_of(stage, scene)
    beside = open_aside(content["aside"], stage.province("31").office.envelope_key, asked)
    for claim, value, reason in REQUESTS:
        text = resealed(asked.sealed.text, office.request_key, **{claim: value})
        closed = beside.close(office.keylist.recipient("31"), request_digest=signed_digest(text))
        peers.receive(rewritten(stage, letter, request=text, aside=closed), now=now)
        assert stage.rows("31", inner.claims) == [], f"{claim} = {value!r}"
        assert last_said(stage, "31", Topic.CONSENT) == reason, f"{claim} = {value!r}"
    assert scene.showing()["state"] == "OPEN"
    assert brought(stage, letter) is None
    assert len(stage.rows("31", inner.claims)) == 1, "and the request as it was does"


# Of an approval, by the phone that was asked.
APPROVALS: list[tuple[str, Any, Reason]] = [
    ("digits", None, Reason.DIGITS_WRONG),
    ("digits", "wrong", Reason.DIGITS_WRONG),
    ("declarations", [], Reason.DECLARATION_MISSING),
    ("certificate", None, Reason.AMBIGUOUS),
    ("certificate", f"34.{ID_}", Reason.NOT_FOUND),
    ("certificate", "another's", Reason.HOLDER_MISMATCH),
    ("decision", "decline", Reason.NOT_AUTHORISED),
]


@pytest.mark.full
def test_an_approval_of_the_right_phone_that_says_something_else_brings_no_certificate(stage: Stage) -> None:
    somebody = stage.scene("33", "32", "33")
    somebody.asked_and_shown()
    special = {"another's": somebody.picked()}
    scene = stage.scene("31", "32", "33")
    scene.asked_and_shown()
    assert scene.sheet()["sheet"]["declarations"]
    digits = scene.view().digits
    special["wrong"] = f"{(int(digits) + 1) % 100:02d}"
    right = signed_answer(stage, scene, Decision.AGREE)
    before = [(engine, kept(engine)) for engine in stage.engines()]
    for claim, value, reason in APPROVALS:
        text = resealed(right, scene.phone._device(), **{claim: special.get(value, value) if value else value})
        stage.province("31").peers.consents.approve(scene.phone.showing_id, text, now=stage.clock.now())
        view = scene.finish()
        assert (view.copy, view.said.reason) == (None, reason), f"{claim} = {value!r}"
        for engine, copy in before:
            put_back(engine, copy)
    stage.province("31").peers.consents.approve(scene.phone.showing_id, right, now=stage.clock.now())
    assert scene.finish().state == "PASSED", "and the approval as it was does"


# Of a consent, by the province that may give it, at the library.
CONSENTS: list[tuple[str, Any, Reason]] = [
    ("method", "counter-code", Reason.DOCUMENT_CLAIMS),
    ("method", "pad", Reason.APPROVAL_MISMATCH),
    ("method", "face", Reason.APPROVAL_MISMATCH),
    ("library", "34", Reason.CONSENT_MISMATCH),
    ("env", "AAAA", Reason.ENVELOPE_UNREADABLE),
    ("req", DIGEST_, Reason.CONSENT_MISMATCH),
    ("aud", "34", Reason.DOCUMENT_CLAIMS),
]


@pytest.mark.full
def test_a_consent_of_the_right_province_that_says_something_else_is_not_spent(stage: Stage) -> None:
    _, letter = stopped(stage, Topic.FETCH)
    token, key = opened(stage, letter)["consent"], stage.province("31").office.consent_key
    for claim, value, reason in CONSENTS:
        assert brought(stage, rewritten(stage, letter, consent=resealed(token, key, **{claim: value}))) is None
        assert last_said(stage, "33", Topic.COPY) == reason, f"{claim} = {value!r}"
    assert stage.rows("33", library_tables.spends) == []
    assert brought(stage, letter) is None
    assert last_said(stage, "33", Topic.COPY) is None, "and the consent as it was is"

"""One property for every reader: whatever it is given, it reads it or refuses it; there is no third thing.

Half of the examples are strangers' texts, half are right documents with something changed in them: characters of the text,
members of the JSON sealed again with the right key (so that the change gets past the signature), or bytes of the payload.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.b64 import to_b64
from consent.code import Code, mint, open_code
from consent.envelope import close_envelope
from consent.errors import Reason
from consent.grant import open_consent, open_grant
from consent.keys import KeyRing, new_key
from consent.request import open_aside
from consent.seal import open_sealed, strict_json, unverified_issuer
from consent.shapes import Maybe, Members, Text
from consent.showing import open_holder
from consent.transport import Topic, letter_from, read_letter, write_letter
from tests.counts import count, is_refused, outcome
from tests.papers import (
    AGREED,
    ASIDE,
    ASKED,
    BY_TYP,
    DESK,
    HOME,
    INNER,
    NOW,
    PAPERS,
    RING,
    VALIDITY,
    VAULT,
    VISIT,
    Paper,
)

EVERY_PAPER = pytest.mark.parametrize("paper", PAPERS, ids=[each.kind.typ for each in PAPERS])
MANY = settings(max_examples=count(2000, 60), deadline=None)

# Refusals that a reader of a sealed document may give; any other one would be a surprise to its callers.
DOCUMENT = {reason for reason in Reason if reason.name.startswith("DOCUMENT_")} | {
    Reason.KEY_NOT_ALLOWED,
    Reason.APPROVAL_MISMATCH,
    Reason.CONSENT_MISMATCH,
}

CODE_KEY = new_key("EdDSA", issuer=HOME)
CODES = KeyRing([CODE_KEY.published("YRD1", **VALIDITY)])
CODE_TEXT = mint(bytes(16), CODE_KEY, now=NOW)

# Damage is drawn as one number and done by `random`: ten times as many examples in the time, for a little less shrinking.
SEEDS = st.integers(0, 2**64 - 1)
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    1e300,
    "",
    "\0",
    "\ud800",
    "A" * 22,
    "A" * 43,
    "x" * 300,
    [],
    [[]],
    {},
    {"": {}},
)
PART = st.text("ABCDEFGHabcdefgh0123456789-_", max_size=40) | st.binary(max_size=60).map(to_b64)


def some_json(seed: int) -> Any:
    """A small JSON value."""
    rng = Random(seed)
    return rng.choice([rng.choice(ODD), [rng.choice(ODD)] * rng.randrange(4), {rng.choice("abc"): rng.choice(ODD)}])


def unsigned(seed: int) -> str:
    """Some JSON in the shape of a document, with no signature to speak of."""
    return ".".join([*(to_b64(json.dumps(some_json(seed + part)).encode()) for part in (0, 1)), "AAAA"])


STRANGE = st.one_of(
    st.text(max_size=200),
    st.lists(PART, min_size=1, max_size=5).map(".".join),
    SEEDS.map(unsigned),
)


def damage(text: str, rng: Random) -> str:
    """A right text, cut, filled, repeated or with characters changed, up to three times."""
    for _ in range(rng.randint(1, 3)):
        at, until = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
        piece = rng.choice([".", "=", "A", "\n", "\0", "é", "AAAA", chr(rng.randrange(0xD800))])
        text = rng.choice(
            [
                text[:at] + piece + text[at + len(piece) :],
                text[:at] + piece + text[at:],
                text[:at] + text[until:],
                text[:until] + text[at:until] + text[until:],
                text[at:until],
                text.swapcase(),
            ]
        )
    return text


def damaged(text: str) -> st.SearchStrategy[str]:
    return SEEDS.map(lambda seed: damage(text, Random(seed)))


def changed(paper: Paper, seed: int) -> str:
    """A right document with its members or the bytes of its payload changed, and a seal that holds."""
    rng, claims, header = Random(seed), paper.claims, paper.header
    if rng.random() < 0.5:
        raw = bytearray(json.dumps(claims).encode())
        at = rng.randrange(len(raw))
        raw[at : at + rng.randrange(4)] = rng.randbytes(rng.randrange(4))
        return paper.forged(payload=bytes(raw))
    for name in rng.sample([*claims, "x"], rng.randint(1, 3)):
        value = claims.pop(name, None)
        ways = [rng.choice(ODD), some_json(seed)]
        ways += [value + rng.randint(-70, 70)] if isinstance(value, int) else []
        ways += [damage(value, rng)] if isinstance(value, str) else []
        if rng.random() < 0.8:
            claims[name] = rng.choice(ways)
    if rng.random() < 0.2:
        header[rng.choice([*header, "crit"])] = rng.choice(ODD)
    return paper.forged(header=json.dumps(header).encode(), payload=json.dumps(claims).encode())


def about(paper: Paper) -> st.SearchStrategy[str]:
    """Half strangers, half changed documents."""
    return STRANGE | st.one_of(
        damaged(paper.text),
        SEEDS.map(lambda seed: changed(paper, seed)),
        SEEDS.map(lambda seed: changed(paper, seed)),
        st.sampled_from([each.text for each in PAPERS]),
    )


@EVERY_PAPER
def test_every_reader_reads_or_refuses(paper: Paper) -> None:
    seen: set[Reason] = set()

    @MANY
    @given(about(paper))
    def holds(text: str) -> None:
        found = outcome(paper.open, text, NOW)
        if is_refused(found):
            assert found in DOCUMENT
            seen.add(found)
        # The one profile under all readers refuses at least what they read after it.
        profile = outcome(open_sealed, paper.kind, text, paper.keys, audience=paper.audience, now=NOW)
        assert is_refused(found) or not is_refused(profile)
        issuer = outcome(unverified_issuer, paper.kind, text)
        assert is_refused(issuer) or isinstance(issuer, str)

    holds()
    # It got to the first check and past the signature: a fuzz that always ends at the door finds nothing behind it.
    assert {Reason.DOCUMENT_MALFORMED, Reason.DOCUMENT_CLAIMS} <= seen


@MANY
@given(
    STRANGE
    | st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:", max_size=180).map("YRD1:".__add__)
    | damaged(CODE_TEXT)
    | st.binary(min_size=111, max_size=113).map(lambda raw: "YRD1:" + raw.hex()[:168].upper())
)
def test_every_code_is_read_or_refused(text: str) -> None:
    found = outcome(open_code, text, CODES, now=NOW)
    assert isinstance(found, Code) if text == CODE_TEXT else is_refused(found)


@MANY
@given(damaged(BY_TYP["holder+jwt"].claims["env"]) | PART)
def test_the_person_in_a_login_is_read_or_refused(env: str) -> None:
    paper = BY_TYP["holder+jwt"]
    holder = outcome(open_holder, paper.forged(env=env), RING, province=HOME, now=NOW)
    if not is_refused(holder):
        found = outcome(holder.person, INNER)
        assert found is Reason.ENVELOPE_UNREADABLE or env == paper.claims["env"]


@MANY
@given(damaged(AGREED.envelope) | PART)
def test_the_grant_in_a_consent_is_read_or_refused(env: str) -> None:
    consent = outcome(open_consent, BY_TYP["consent+jwt"].forged(env=env), RING, request=ASKED, now=NOW)
    if not is_refused(consent):
        found = outcome(open_grant, consent, VAULT)
        assert found is Reason.ENVELOPE_UNREADABLE or env == AGREED.envelope


@MANY
@given(
    SEEDS.map(some_json) | st.fixed_dictionaries({"salt": st.just("A" * 22), "id": st.text(), "digits": st.just("07")})
)
def test_what_is_inside_an_envelope_is_read_or_refused(content: Any) -> None:
    env = close_envelope(INNER.recipient, json.dumps(content).encode(), info=ASKED.digest)
    assert is_refused(outcome(open_aside, env, INNER, ASKED))


ASIDE_TEXT = ASIDE.close(INNER.recipient, request_digest=ASKED.digest)
OPENERS: dict[str, Callable[[str], Any]] = {
    "aside": lambda text: open_aside(text, INNER, ASKED),
    "envelope": lambda text: INNER.open(text, info=ASKED.digest),
    "another's envelope": lambda text: VISIT.open(text, info=ASKED.digest),
}


@pytest.mark.parametrize("opener", OPENERS)
@MANY
@given(STRANGE | damaged(ASIDE_TEXT))
def test_every_envelope_is_opened_or_refused(opener: str, text: str) -> None:
    found = outcome(OPENERS[opener], text)
    assert found is Reason.ENVELOPE_UNREADABLE or text == ASIDE_TEXT


LETTER = write_letter(
    {"request": "x"}, sender=DESK, to=HOME, topic=Topic.ASK, request_id=ASKED.id, recipient=INNER.recipient
)
LETTER_TEXT = json.dumps(LETTER.to_json())


@MANY
@given(
    STRANGE
    | SEEDS.map(some_json).map(json.dumps)
    | damaged(LETTER_TEXT)
    | st.binary(max_size=99).map(lambda raw: raw.decode("latin-1"))
)
def test_every_letter_is_read_or_refused(text: str) -> None:
    found = outcome(letter_from, text.encode("utf-8", "surrogatepass"))
    if is_refused(found):
        assert found is Reason.DOCUMENT_MALFORMED
        return
    content = outcome(read_letter, found, INNER, content=Members({"request": Maybe(Text(9))}))
    assert content in [{"request": "x"}, Reason.ENVELOPE_UNREADABLE]


@MANY
@given(
    st.binary(max_size=99)
    | SEEDS.map(lambda seed: json.dumps(some_json(seed)).encode())
    | st.integers(1, 3000).map(lambda levels: b"[" * levels + b"]" * levels)
    | damaged('{"a": [1, {"b": "\\ud83d\\ude00"}], "c": null}').map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_all_bytes_are_strict_json_or_refused(raw: bytes) -> None:
    found = outcome(strict_json, raw, depth=4, members=6)
    if not is_refused(found):
        assert json.loads(raw) == found
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()

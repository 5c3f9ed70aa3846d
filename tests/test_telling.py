"""What strangers read and what the log keeps: problems, request ids, masks."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.clock import MovableClock, rfc3339
from consent.errors import ROWS, Reason, Refusal, Unavailable
from consent.people import synthetic_id
from consent.sentences import Audience
from consent.telling import masked, new_log, problem_of, reason_page, request_id
from tests.outer import PERSON, START

# How it speaks ----------------------------------------------------------------------------------------------


@given(st.integers(0, 9999), st.text(max_size=20), st.text(max_size=20))
def test_an_id_number_is_masked_wherever_it_stands(sequence: int, before: str, after: str) -> None:
    number = synthetic_id("310199", datetime(1988, 8, 8, tzinfo=UTC).date(), sequence % 1000)
    apart = f"{before} {number} {after}"
    assert number not in masked(apart)
    assert number not in masked(json.dumps({"x": [apart]}, ensure_ascii=False))


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "YRD1:" + "6BF" * 56,
        "110101900307123",
        "１１０１０１１９９００３０７１２３４",
    ],
)
def test_documents_codes_and_old_numbers_are_masked(secret: str) -> None:
    assert secret not in masked(f"got {secret} here")


def test_a_log_line_is_masked_down_to_its_keys_numbers_and_tracebacks() -> None:
    lines = StringIO()
    log = new_log("test", MovableClock(START), stream=lines)
    number = PERSON.id_number
    try:
        raise ValueError(number)
    except ValueError:
        log.exception("bad", **{number: 1}, deep={"a": [number, {number: (number,)}]}, number=110101199003071234)
    told = lines.getvalue()
    assert number not in told
    assert "110101199003071234" not in told
    assert json.loads(told)["time"] == rfc3339(START)
    assert json.loads(told)["level"] == "error"


def test_a_counter_cannot_tell_declining_from_silence() -> None:
    told = [
        problem_of(Refusal(reason), audience=Audience.COUNTER, request_id="x" * 22).body
        for reason in (Reason.DECLINED, Reason.TIMED_OUT, Reason.NOT_AUTHORISED)
    ]
    assert told[0] == told[1] == told[2]


def test_a_problem_never_tells_its_detail() -> None:
    for reason, row in ROWS.items():
        failure = (
            Unavailable(reason, detail="for the log alone")
            if row.http >= 500
            else Refusal(reason, detail="for the log alone")
        )
        for audience in Audience:
            told = problem_of(failure, audience=audience, request_id="x" * 22)
            assert "for the log alone" not in json.dumps(told.body)
        assert reason_page(reason)["code"] == reason


@pytest.mark.parametrize("brought", [None, "", "short", "x" * 65, "with space and more", "1" * 18, "a\nb" * 8])
def test_a_bad_request_id_is_replaced(brought: str | None) -> None:
    assert request_id(brought) != brought
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", request_id(brought))

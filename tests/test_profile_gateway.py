"""The signature of 浙里办's gateway: whatever is wrong with a call is refused for its own reason, and no call counts twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import Reason
from tests.country import START
from tests.counts import count, outcome
from wallet_api.profiles.gateway import SKEW, AccessKey, Gate, covered, signed

KEY = AccessKey(id="ours", secret=b"a secret of the sandbox")
BODY = b'{"code":"ZJZZM"}'
PATH = "/zzm/resolve"


def _admit(gate: Gate, now: datetime, *, at: timedelta = timedelta(0), **changes: Any) -> Any:
    """One call, right in everything but `changes`: None where it passes."""
    given: dict[str, Any] = {"method": "POST", "path": PATH, "query": covered([("a", "1")], BODY), "body": BODY}
    key = changes.pop("key", KEY)
    headers = signed(given["method"], given["path"], given["query"], key, now=now + at)
    headers |= changes.pop("headers", {})
    given |= changes
    method, path, query = given["method"], given["path"], given["query"]
    return outcome(gate.admit, method, path, query, headers, given["body"], now=now)


def _gate() -> Gate:
    return Gate(keys={KEY.id: KEY.secret})


def test_the_gateway_takes_what_a_key_of_its_own_has_signed() -> None:
    gate = _gate()
    assert _admit(gate, START) is None
    assert _admit(gate, START) is None  # another nonce, another signature


FORGED: dict[str, tuple[Reason, dict[str, Any]]] = {
    "another secret": (Reason.DOCUMENT_SIGNATURE, {"key": AccessKey(id="ours", secret=b"guessed")}),
    "no signature": (Reason.DOCUMENT_SIGNATURE, {"headers": {"X-BG-HMAC-SIGNATURE": ""}}),
    "a signature in Chinese": (Reason.DOCUMENT_SIGNATURE, {"headers": {"X-BG-HMAC-SIGNATURE": "签名"}}),
    "another method": (Reason.DOCUMENT_SIGNATURE, {"method": "PUT"}),
    "another path": (Reason.DOCUMENT_SIGNATURE, {"path": "/uc/sso/getUserInfo"}),
    "another query": (Reason.DOCUMENT_SIGNATURE, {"query": [("a", "2")]}),
    "another date": (
        Reason.DOCUMENT_SIGNATURE,
        {"headers": {"X-BG-DATE-TIME": "Mon, 02 Mar 2026 01:02:04 GMT"}},
    ),
    "another body": (Reason.DOCUMENT_CLAIMS, {"body": b'{"code":"another"}'}),
    "a key that nobody has": (Reason.DOCUMENT_KEY_UNKNOWN, {"key": AccessKey(id="another", secret=KEY.secret)}),
    "no algorithm": (Reason.DOCUMENT_WRONG_KIND, {"headers": {"X-BG-HMAC-ALGORITHM": "none"}}),
    "no date": (Reason.DOCUMENT_MALFORMED, {"headers": {"X-BG-DATE-TIME": ""}}),
    "a date in another spelling": (
        Reason.DOCUMENT_MALFORMED,
        {"headers": {"X-BG-DATE-TIME": "2 Mar 2026 01:02:03 +0000"}},
    ),
    "a clock 91 s behind": (Reason.DOCUMENT_EXPIRED, {"at": timedelta(seconds=-91)}),
    "a clock 91 s ahead": (Reason.DOCUMENT_NOT_YET_VALID, {"at": timedelta(seconds=91)}),
}


@pytest.mark.parametrize("name", FORGED)
def test_the_gateway_refuses_each_forgery_for_its_own_reason(name: str) -> None:
    reason, changes = FORGED[name]
    assert _admit(_gate(), START, **changes) is reason


@pytest.mark.parametrize("seconds", [-90, 90])
def test_a_clock_that_is_off_by_ninety_seconds_passes(seconds: int) -> None:
    assert _admit(_gate(), START, at=timedelta(seconds=seconds)) is None


def test_a_signature_counts_once_although_their_scheme_would_take_it_for_ninety_seconds() -> None:
    gate, query = _gate(), covered([], b"")
    headers = signed("GET", PATH, query, KEY, now=START)
    gate.admit("GET", PATH, query, headers, b"", now=START)
    for after in (0, 1, 89, 90):
        now = START + timedelta(seconds=after)
        assert outcome(gate.admit, "GET", PATH, query, headers, b"", now=now) is Reason.DOCUMENT_REPLAYED
    late = START + SKEW + timedelta(seconds=1)
    assert outcome(gate.admit, "GET", PATH, query, headers, b"", now=late) is Reason.DOCUMENT_EXPIRED


def test_a_signature_from_a_clock_ahead_is_remembered_for_as_long_as_it_would_pass() -> None:
    gate, query = _gate(), covered([], b"")
    headers = signed("GET", PATH, query, KEY, now=START + SKEW)
    gate.admit("GET", PATH, query, headers, b"", now=START)
    now = START + 2 * SKEW
    assert outcome(gate.admit, "GET", PATH, query, headers, b"", now=now) is Reason.DOCUMENT_REPLAYED


def test_only_what_was_signed_is_remembered_and_only_for_its_time() -> None:
    gate = _gate()
    for _ in range(50):
        _admit(gate, START, key=AccessKey(id="ours", secret=b"guessed"))
    assert not gate._used
    for second in range(0, 400, 10):
        assert _admit(gate, START + timedelta(seconds=second)) is None
    assert len(gate._used) <= 10


@given(st.dictionaries(st.sampled_from(sorted(signed("GET", PATH, [], KEY, now=START))), st.text(max_size=60)))
@settings(max_examples=count(500, 50), deadline=None)
def test_whatever_stands_in_the_headers_the_gateway_admits_or_refuses(changes: dict[str, str]) -> None:
    query = covered([], b"")
    right = signed("GET", PATH, query, KEY, now=START)
    found = outcome(_gate().admit, "GET", PATH, query, right | changes, b"", now=START)
    assert (found is None) == ((right | changes) == right)

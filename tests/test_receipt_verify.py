"""Receipts checked offline: the three sides of a visit agree, a retired key still counts, and what was changed is named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consent.b64 import digest_of, from_b64, new_id, to_b64
from consent.clock import MovableClock
from consent.errors import Reason, Refusal
from consent.keylist import read_key_list, write_key_list
from consent.keys import ReceiptKeys, new_key
from consent.receipt import RECEIPT, Position, open_receipt, seal_receipt
from consent.request import Ask
from consent.seal import COMMON
from scanner_kiosk.country.units import sandbox_uscc
from tests.country import Stage, refused
from tests.counts import count
from verifier.stores import library as library_tables
from wallet_api.__main__ import main
from wallet_api.receipts import check, verify

MADE = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
LATER = MADE + timedelta(days=2000)  # every key has retired by then
ISSUERS = {"citizen": "31", "unit": "32", "library": "33"}


def ask(**changes: Any) -> Ask:
    given: dict[str, Any] = {
        "unit": sandbox_uscc("12", "320102", 11),
        "window": "32-R1",
        "officer": "not-verified",
        "matter": "realestate.register",
        "case": "沪房2026-0001",
        "type": "marriage",
        "fields": ("holder_name", "registration_date"),
        "cause": "办理业务",
        "code": digest_of(b"code"),
        "declarations": (),
        "answer_key": "",
    }
    return Ask(**{**given, **changes})


@dataclass
class Papers:
    """A key list whose keys retired after a year, and what was sealed with them."""

    folder: Path

    def __post_init__(self) -> None:
        self.keys = {side: new_key("EdDSA", issuer=issuer) for side, issuer in ISSUERS.items()}
        self.list = self.folder / "keylist.json"
        term = {"not_before": MADE - timedelta(days=1), "not_after": MADE + timedelta(days=365)}
        listed = [key.published("answer+jwt", "receipt+jwt", **term) for key in self.keys.values()]
        self.pin = write_key_list(self.list, version=1, keys=listed, recipients={})

    def receipt(self, side: str = "unit", **changes: Any) -> str:
        given: dict[str, Any] = {
            "ask": ask(),
            "request_digest": digest_of(b"request"),
            "consent_digest": digest_of(b"consent"),
            "copy_digest": None if side == "citizen" else digest_of(b"copy"),
            "reason": None,
            "ledger": Position(position=17, entry=digest_of(side.encode())),
            "now": MADE,
        }
        return seal_receipt(self.keys[side], side=side, **{**given, **changes})

    def put(self, *texts: str) -> list[str]:
        paths = []
        for n, text in enumerate(texts):
            path = self.folder / f"receipt-{n}.jwt"
            path.write_text(text + "\n", encoding="utf-8")
            paths.append(str(path))
        return paths

    def run(self, *texts: str, pin: str | None = None, now: datetime = LATER) -> int:
        from argparse import Namespace

        files = [Path(each) for each in self.put(*texts)]
        return verify(Namespace(files=files, keys=self.list, pin=pin), clock=MovableClock(now))


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


def changed(text: str, **claims: Any) -> str:
    """The same receipt with other claims and the old signature; None takes a claim away."""
    header, payload, signature = text.split(".")
    found = {**json.loads(from_b64(payload)), **claims}
    found = {name: value for name, value in found.items() if value != "-gone-"}
    raw = json.dumps(found, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    return f"{header}.{to_b64(raw)}.{signature}"


def test_the_three_receipts_of_a_visit_hold_and_agree(papers: Papers, capsys: pytest.CaptureFixture[str]) -> None:
    status = papers.run(*(papers.receipt(side) for side in ISSUERS), pin=papers.pin)
    said = capsys.readouterr().out
    assert status == 0, said
    assert said.count("holds     yes") == 3
    assert "agree     3 receipts of one visit" in said
    assert "pinned" in said
    for side, issuer in ISSUERS.items():
        assert f"side      {side}, sealed by {issuer}" in said
    for shown in ("PASSED", "2026-03-02T01:02:03Z", "32-R1", "realestate.register", "17, ", digest_of(b"request")):
        assert shown in said


def test_a_receipt_holds_after_its_key_has_retired(papers: Papers) -> None:
    text, listed = papers.receipt(), read_key_list(papers.list, pinned=papers.pin)
    assert refused(open_receipt, text, listed.ring, side="unit", now=LATER) is Reason.DOCUMENT_KEY_UNKNOWN
    assert check("r", text, listed, now=LATER).faults == ()
    assert open_receipt(text, ReceiptKeys(listed.ring, MADE), side="unit", now=LATER).claims["req"]


def test_the_ring_of_a_past_day_is_for_receipts_alone(papers: Papers) -> None:
    ring, kid = read_key_list(papers.list, pinned=papers.pin).ring, papers.keys["unit"].kid
    assert ReceiptKeys(ring, MADE).find("receipt+jwt", kid, now=LATER).kid == kid
    with pytest.raises(Refusal) as no:
        ReceiptKeys(ring, MADE).find("answer+jwt", kid, now=LATER)
    assert no.value.reason is Reason.DOCUMENT_KEY_UNKNOWN


@pytest.mark.parametrize("days", [-2, 366, 1000])
def test_a_key_that_was_not_valid_when_the_receipt_was_made_is_named(
    papers: Papers, capsys: pytest.CaptureFixture[str], days: int
) -> None:
    assert papers.run(papers.receipt(now=MADE + timedelta(days=days))) == 1
    assert "fault     kid: " in capsys.readouterr().out


def test_a_receipt_from_the_future_or_past_its_ten_years_does_not_hold(
    papers: Papers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert papers.run(papers.receipt(), now=MADE - timedelta(hours=1)) == 1
    assert "DOCUMENT_NOT_YET_VALID" in capsys.readouterr().out
    assert papers.run(papers.receipt(), now=MADE + timedelta(days=3661)) == 1
    assert "DOCUMENT_EXPIRED" in capsys.readouterr().out


# What was changed -------------------------------------------------------------------------------------------

OTHER: dict[str, Any] = {  # each claim with a value that is right by itself and wrong here
    "req": digest_of(b"another"),
    "consent": digest_of(b"another"),
    "copy": digest_of(b"another"),
    "outcome": "REFUSED",
    "reason": "DECLINED",
    "unit": sandbox_uscc("12", "320102", 12),
    "window": "32-R2",
    "officer": "somebody",
    "matter": "marriage.register",
    "type": "divorce",
    "fields": ["holder_name"],
    "iss": "34",
    "exp": 1,
}


@pytest.mark.parametrize("claim", OTHER)
def test_a_changed_claim_is_named_beside_another_receipt_of_the_visit(
    papers: Papers, capsys: pytest.CaptureFixture[str], claim: str
) -> None:
    forged = changed(papers.receipt("unit"), **{claim: OTHER[claim]})
    assert papers.run(forged, papers.receipt("library")) == 1
    said = capsys.readouterr().out
    assert "fault     signature: " in said
    assert any(f"{word}{claim}: " in said for word in ("fault     ", "differ    ")), said


@pytest.mark.parametrize("claim", [*COMMON, *RECEIPT.claims])
@pytest.mark.parametrize("value", ["-gone-", 7.5, [], {"a": 1}, "", "no such thing\x00"])
def test_a_claim_that_cannot_be_is_named_alone(
    papers: Papers, capsys: pytest.CaptureFixture[str], claim: str, value: Any
) -> None:
    text = changed(papers.receipt("unit"), **{claim: value})
    assert papers.run(text) == 1
    said = capsys.readouterr().out
    if value == 7.5:  # no number of a receipt has a point: the text as a whole is none
        assert "fault     text: json" in said
    elif claim == "aud" and isinstance(value, str) and value not in ("-gone-", ""):
        assert "fault     aud: no side" in said
    else:
        assert f"fault     {claim}: " in said, said
    assert "\x00" not in said


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"exp": 1}, "exp: does not follow from iat"),
        ({"iat": 1_700_000_000}, "exp: does not follow from iat"),
        ({"outcome": "UNDETERMINED"}, "outcome: does not follow from reason"),
        ({"reason": "NOT_FOUND"}, "outcome: does not follow from reason"),
        ({"aud": "officer"}, "aud: no side"),
        ({"iss": "34"}, "iss: the key is 32's"),
        ({"fields": ["holder_name", "holder_name"]}, "fields: one twice"),
        ({"unit": "123201020MB9999111"[:17] + "X"}, "unit: "),
        ({"more": 1}, "more: no claim of a receipt"),
        ({"ledger": {"position": 0, "entry": digest_of(b"x")}}, "ledger: "),
    ],
)
def test_claims_that_contradict_each_other_are_named(
    papers: Papers, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], named: str
) -> None:
    assert papers.run(changed(papers.receipt("unit"), **changes)) == 1
    said = capsys.readouterr().out
    assert f"fault     {named}" in said, said
    assert "fault     signature: " in said or "fault     kid: " in said, said


def test_no_change_of_a_single_character_holds(papers: Papers) -> None:
    text, listed = papers.receipt(), read_key_list(papers.list, pinned=papers.pin)
    step = count(1, 7)
    for place in range(0, len(text), step):
        other = "A" if text[place] != "A" else "B"
        forged = text[:place] + other + text[place + 1 :]
        assert check("r", forged, listed, now=LATER).faults, place


def test_genuine_receipts_of_two_visits_do_not_agree(papers: Papers, capsys: pytest.CaptureFixture[str]) -> None:
    other = papers.receipt("library", request_digest=digest_of(b"another"), ask=ask(window="32-R2"))
    assert papers.run(papers.receipt("unit"), other) == 1
    said = capsys.readouterr().out
    assert said.count("holds     yes") == 2
    assert "differ    req: unit " in said
    assert "differ    window: unit 32-R1, library 32-R2" in said


def test_two_receipts_of_one_side_are_no_agreement(papers: Papers, capsys: pytest.CaptureFixture[str]) -> None:
    assert papers.run(papers.receipt("unit"), papers.receipt("unit")) == 1
    assert "differ    aud: two receipts of one side, unit" in capsys.readouterr().out


# The command ------------------------------------------------------------------------------------------------


def test_the_command_says_so_by_its_exit_status(papers: Papers, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = papers.put(papers.receipt(now=datetime.now(UTC)), "no receipt")
    fresh = Papers(papers.folder)  # keys of today, because the command reads the real clock
    term = {"not_before": datetime.now(UTC) - timedelta(days=1), "not_after": datetime.now(UTC) + timedelta(days=1)}
    listed = [papers.keys["unit"].published("receipt+jwt", **term)]
    pin = write_key_list(fresh.list, version=2, keys=listed, recipients={})
    keys = ["--keys", str(fresh.list)]
    assert main(["receipt", "verify", good, *keys]) == 0
    assert "NOT pinned" in capsys.readouterr().out
    assert main(["receipt", "verify", good, *keys, "--pin", pin]) == 0
    assert main(["receipt", "verify", bad, *keys]) == 1
    assert main(["receipt", "verify", good, *keys, "--pin", digest_of(b"another list")]) == 2
    assert main(["receipt", "verify", good, "--keys", str(papers.folder / "nowhere")]) == 2
    assert main(["receipt", "verify", str(papers.folder / "nothing"), *keys]) == 2
    assert main(["receipt", "verify", good, good, good, good, *keys]) == 2
    with pytest.raises(SystemExit) as wrong:
        main(["receipt", "verify", good])
    assert wrong.value.code == 2


def test_the_command_needs_no_settings(papers: Papers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUZHENG_NO_SUCH_SETTING", "1")
    (path,) = papers.put(new_id())
    assert main(["receipt", "verify", path, "--keys", str(papers.list)]) == 1


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", "收据".encode(), b"a.b", b"a.b.c", b"." * 5000, b"e30.e30.e30"])
def test_whatever_a_file_holds_it_is_answered(papers: Papers, capsys: pytest.CaptureFixture[str], raw: bytes) -> None:
    path = papers.folder / "any"
    path.write_bytes(raw)
    assert main(["receipt", "verify", str(path), "--keys", str(papers.list)]) in (1, 2)
    assert "Traceback" not in capsys.readouterr().out


def test_the_receipts_of_a_real_visit_agree(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from argparse import Namespace

    scene = stage.scene()
    assert scene.whole().state == "PASSED"
    (spend,) = stage.rows("33", library_tables.spends)
    texts = [scene.showing()["result"]["receipt"], scene.row().receipt, spend.receipt]
    files = [tmp_path / f"{n}.jwt" for n in range(3)]
    for path, text in zip(files, texts, strict=True):
        path.write_text(text, encoding="ascii")
    keys = stage.folder / "keylist.json"
    pin = stage.country.founded.keylist_sha256
    late = MovableClock(stage.clock.now() + timedelta(days=3000))
    assert verify(Namespace(files=files, keys=keys, pin=pin), clock=late) == 0
    assert "agree     3 receipts of one visit" in capsys.readouterr().out

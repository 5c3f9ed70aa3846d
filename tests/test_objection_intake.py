"""Something is wrong: an objection reaches the province whose history has the entry, once, with what it needs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from consent.b64 import new_id
from consent.errors import Reason
from consent.ledger import Act
from consent.seal import signed_digest
from consent.stores import handover
from consent.stores.base import writing
from consent.stores.queue import put
from consent.transport import Topic
from scanner_kiosk.phone import Phone
from tests.country import Scene, Stage, persona, read_ledger, refused, rows
from tests.counts import count
from tests.looking import call, entries, phone_of, read
from tests.test_history import declined, of_a_bank, passed, refused_at_home, too_late, unclear
from tests.test_visit import silent_library
from verifier.intake import Step, Wrong, failing_step, place
from verifier.stores import inner
from verifier.stores.history import EntryRow
from wallet_api.doors.history import TEXT, WRONG

NAUGHTY = [
    "",
    "查询不到我的结婚证，窗口说“系统没有”。",
    "第一行\n第二行",
    "👨‍👩‍👧 ‏שלום‎ \u202e反\u202c",
    "㐂𠀀\U0002ebf0龘" * 20,
    "买买提·吐尔逊·" * 40,
    "<script>alert(1)</script>'; DROP TABLE history; --",
    "%00 %n ${jndi:ldap://x} {{7*7}} ../../etc/passwd",
    "字" * TEXT,
    "\u2028\ufeff\u200b­",
]
REFUSED = ["\x00", "a\x1bb", "\x7f", "tab\there", "字" * (TEXT + 1), "\ud800", None, 7, ["x"]]


def send(stage: Stage, phone: Phone, entry: str, text: Any = "不对", kind: Any = "DATA_WRONG") -> Any:
    body = {"holder": phone.assertion(stage.clock.now()), "kind": kind, "text": text}
    return call(phone, "POST", f"/v1/history/{entry}/objections", body)


def number(stage: Stage, phone: Phone, entry: str, text: Any = "不对", kind: str = "DATA_WRONG") -> str:
    """Object, let everybody work, read the number."""
    taken = read(send(stage, phone, entry, text, kind), 202)["objection_id"]
    stage.pump()
    found = read(call(phone, "GET", f"/v1/history/objections/{taken}"), 200)
    assert found["state"] == "DONE"
    return str(found["number"])


def problem(stage: Stage, phone: Phone, entry: str, status: int, **said: Any) -> str:
    """The code of the problem that an objection ends in."""
    taken = read(send(stage, phone, entry, **said), 202)["objection_id"]
    stage.pump()
    return str(read(call(phone, "GET", f"/v1/history/objections/{taken}"), status)["code"])


def kept(stage: Stage, code: str = "31") -> list[Any]:
    return stage.rows(code, inner.history.objections)


def said(stage: Stage, row: Any, code: str = "31") -> str:
    """The text of an objection, as its desk will read it."""
    return stage.province(code).library.vault.open(row.text, place=place(row.question)).decode()


def test_an_objection_has_its_step_and_digests_attached(stage: Stage) -> None:
    scene = declined(stage)
    (entry,) = entries(stage, scene.phone)
    assert number(stage, scene.phone, entry["entry"], "我没有拒绝") == "31-000001"
    (row,) = kept(stage)
    assert (row.kind, row.state, row.step, row.reason) == ("DATA_WRONG", "OPEN", "AGREE", "DECLINED")
    assert (row.request_digest, row.receipt_digest) == (entry["request"], signed_digest(entry["receipt"]))
    assert said(stage, row) == "我没有拒绝"
    book = read_ledger(stage.province("31").office.inner, inner.ledger)
    (line,) = (json.loads(each.body) for each in book if each.act is Act.OBJECTED)
    assert line["request"] == entry["request"]
    assert "我没有拒绝" not in json.dumps(line, ensure_ascii=False)
    assert entries(stage, scene.phone)[0]["objection"] == "31-000001"


@pytest.mark.parametrize(
    ("act", "step"),
    [
        (of_a_bank, "ASK"),
        *count([(too_late, "SHOW"), (refused_at_home, "ASK"), (unclear, "FETCH"), (passed, "NONE")], []),
    ],
)
def test_the_failing_step_is_the_visits(stage: Stage, act: Any, step: str) -> None:
    scene: Scene = act(stage)
    (entry,) = entries(stage, scene.phone)
    number(stage, scene.phone, entry["entry"])
    assert [row.step for row in kept(stage)] == [step]


def test_every_reason_has_a_step() -> None:
    base: dict[str, Any] = dict.fromkeys(EntryRow.__dataclass_fields__)
    for reason in Reason:
        row = EntryRow(**{**base, "outcome": "REFUSED", "reason": reason.value, "request_digest": "x"})
        assert failing_step(row) in Step
        assert failing_step(row) is not Step.NONE


def test_a_second_objection_to_an_entry_waits_for_the_first(stage: Stage) -> None:
    scene = of_a_bank(stage)
    (entry,) = entries(stage, scene.phone)
    first = number(stage, scene.phone, entry["entry"], "一")
    assert number(stage, scene.phone, entry["entry"], "一") == first, "the same again is the same"
    assert problem(stage, scene.phone, entry["entry"], 409, text="二") == "OBJECTION_OPEN"
    assert problem(stage, scene.phone, entry["entry"], 409, text="一", kind="CITIZEN_CANNOT_SHOW") == "OBJECTION_OPEN"
    assert len(kept(stage)) == 1


def test_the_kinds_are_those_of_the_notice_and_one_for_wrong_data(stage: Stage) -> None:
    assert list(Wrong) == list(WRONG)
    scene = of_a_bank(stage)
    (entry,) = entries(stage, scene.phone)
    for kind in ("", "data_wrong", "OTHER", 5, None):
        assert read(send(stage, scene.phone, entry["entry"], kind=kind), 422)["code"] == "BODY_INVALID"


def test_naughty_strings_come_out_as_they_went_in(stage: Stage) -> None:
    scene = of_a_bank(stage)
    (entry,) = entries(stage, scene.phone)
    for text in count(NAUGHTY, NAUGHTY[2:6:3]):
        number(stage, scene.phone, entry["entry"], text)
        (row,) = kept(stage)
        assert said(stage, row) == text
        with writing(stage.province("31").office.inner) as conn:
            conn.execute(inner.history.objections.delete())


def test_what_cannot_be_kept_unchanged_is_refused(stage: Stage) -> None:
    scene = stage.scene()
    for text in REFUSED:
        answer = send(stage, scene.phone, f"31.{'0' * 22}", text)
        assert answer.status in (400, 422), answer.body


def test_an_objection_goes_to_the_province_whose_history_has_the_entry(stage: Stage) -> None:
    """Seen in one app, about a visit with another."""
    first = of_a_bank(stage)
    other = phone_of(stage, first.who, "34")
    (entry,) = entries(stage, other)
    assert entry["province"] == "31"
    assert number(stage, other, entry["entry"], "在另一个应用里看到的") == "31-000001"
    assert (len(kept(stage, "31")), kept(stage, "34")) == (1, [])


def test_nobody_objects_to_anothers_entry(stage: Stage) -> None:
    scene = of_a_bank(stage)
    (entry,) = entries(stage, scene.phone)
    stranger = phone_of(stage, persona("no-certificate"), "31")
    assert problem(stage, stranger, entry["entry"], 404) == "ENTRY_UNKNOWN"
    assert problem(stage, scene.phone, f"31.{'0' * 22}", 404) == "ENTRY_UNKNOWN"
    assert problem(stage, scene.phone, f"33.{entry['entry'][3:]}", 404) == "ENTRY_UNKNOWN"
    assert problem(stage, scene.phone, f"99.{entry['entry'][3:]}", 404) == "ENTRY_UNKNOWN"
    assert kept(stage) == []
    for odd in ("x", "31", "31.", f"31.{'G' * 22}", f"31.{'0' * 22}%0a"):
        assert send(stage, scene.phone, odd).status == 404


def test_a_number_is_the_asking_apps_alone(stage: Stage) -> None:
    scene = of_a_bank(stage)
    (entry,) = entries(stage, scene.phone)
    taken = read(send(stage, scene.phone, entry["entry"]), 202)["objection_id"]
    assert read(call(scene.phone, "GET", f"/v1/history/objections/{taken}"), 200)["state"] == "PENDING"
    stage.pump()
    assert call(phone_of(stage, scene.who, "33"), "GET", f"/v1/history/objections/{taken}").status == 404
    assert call(scene.phone, "GET", f"/v1/history/lookups/{taken}").status == 404


def test_an_objection_needs_a_fresh_login_of_its_own(stage: Stage) -> None:
    scene = of_a_bank(stage)
    (entry,) = entries(stage, scene.phone)
    body = {"holder": scene.phone.assertion(stage.clock.now()), "kind": "DATA_WRONG", "text": ""}
    path = f"/v1/history/{entry['entry']}/objections"
    assert call(scene.phone, "POST", path, body).status == 202
    assert read(call(scene.phone, "POST", path, body), 409)["code"] == "DOCUMENT_REPLAYED"


@pytest.mark.full
def test_a_silent_province_is_said_and_the_objection_can_be_sent_again(stage: Stage) -> None:
    first = of_a_bank(stage)
    other = phone_of(stage, first.who, "34")
    (entry,) = entries(stage, other)
    stage.rule(silent_library("31", Topic.OBJECT))
    taken = read(send(stage, other, entry["entry"]), 202)["objection_id"]
    stage.pass_time(8, step=1)
    assert read(call(other, "GET", f"/v1/history/objections/{taken}"), 503)["code"] == "EXCHANGE_UNREACHABLE"
    stage.rule(None)
    assert number(stage, other, entry["entry"]) == "31-000001"


@pytest.mark.full
def test_an_objection_that_comes_twice_is_one(stage: Stage) -> None:
    first = of_a_bank(stage)
    other = phone_of(stage, first.who, "34")
    (entry,) = entries(stage, other)
    number(stage, other, entry["entry"])
    for letter in [
        each for wire in stage.wires.values() for each in wire.sent if each.topic in (Topic.OBJECT, Topic.OBJECTED)
    ]:
        stage.province(letter.to).peers.receive(letter, now=stage.clock.now())
        stage.pump()
    assert len(kept(stage)) == 1
    book = read_ledger(stage.province("31").office.inner, inner.ledger)
    assert [each.act for each in book].count(Act.OBJECTED) == 1


def test_the_text_stands_nowhere_in_plain(stage: Stage) -> None:
    scene = of_a_bank(stage)
    (entry,) = entries(stage, scene.phone)
    number(stage, scene.phone, entry["entry"], "我叫张三丰")
    texts = [str(tuple(row)) for row in rows(stage.province("31").office.handover, handover.errands)]
    texts += [str(tuple(row)) for table in inner.metadata.sorted_tables for row in stage.rows("31", table)]
    assert not [text for text in texts if "张三丰" in text or "\\u5f20\\u4e09" in text]


def test_an_errand_written_by_hand_objects_to_nothing(stage: Stage) -> None:
    """Whoever has the outer network's database has no fresh login, and cannot close a text that belongs to his errand."""
    scene = of_a_bank(stage)
    (entry,) = entries(stage, scene.phone)
    number(stage, scene.phone, entry["entry"])
    (real,) = (
        each for each in rows(stage.province("31").office.handover, handover.errands) if each.kind == "objection"
    )
    forged = {**json.loads(real.body), "kind": "UNIT_CANNOT_VERIFY"}
    for body in (forged, {**forged, "text": "AAAA"}, {**forged, "more": 1}, {}):
        with writing(stage.province("31").office.handover) as conn:
            put(conn, handover.errands, kind="objection", ref=new_id(), body=body, now=stage.clock.now())
    stage.pump()
    assert len(kept(stage)) == 1
    answers = [
        json.loads(each.answer)
        for each in rows(stage.province("31").office.handover, handover.errands)
        if each.kind == "objection" and each.id != real.id
    ]
    assert [each["reason"] for each in answers] == [
        "ENVELOPE_UNREADABLE",
        "ENVELOPE_UNREADABLE",
        "BODY_INVALID",
        "BODY_INVALID",
    ]


def test_a_question_about_another_person_finds_no_entry(stage: Stage) -> None:
    """The inner check that stands behind the doors: the letter's own person, not the one of the entry."""
    scene = of_a_bank(stage)
    (row,) = stage.rows("31", inner.history.entries)
    stranger = phone_of(stage, persona("no-certificate"), "33")
    assert problem(stage, stranger, f"31.{row.entry}", 404) == "ENTRY_UNKNOWN"
    assert refused(scene.present) is Reason.COMMERCIAL_USER

"""Who saw my certificate: every visit once, for its holder alone, from all four provinces."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consent.b64 import new_id
from consent.code import open_code
from consent.errors import Reason, Refusal, Unavailable
from consent.ledger import Act
from consent.receipt import open_receipt
from consent.seal import signed_digest
from consent.stores import handover
from consent.stores.base import writing
from consent.stores.queue import put
from consent.transport import Topic
from scanner_kiosk.country.people import pair
from tests.country import TICKS, Scene, Stage, persona, read_ledger, refused, rows
from tests.counts import count
from tests.looking import ask, call, ended, entries, part, phone_of, read
from tests.test_visit import silent_library
from verifier.history import report
from verifier.looking import merge
from verifier.stores import inner
from verifier.stores import library as library_tables
from verifier.stores.history import EntryRow, add_report
from wallet_api.history import History

pytestmark = pytest.mark.full  # visits and processes: each takes seconds

Ending = tuple[str, str | None]


# Every transaction once ------------------------------------------------------------------------------------


def passed(stage: Stage) -> Scene:
    scene = stage.scene()
    assert scene.whole().state == "PASSED"
    return scene


def refused_before(stage: Stage) -> Scene:
    """The desk itself says no: nothing was ticked."""
    scene = stage.scene(type_="divorce", who=pair("31", "33"), preconditions=())
    assert refused(scene.present) is Reason.PRECONDITION_MISSING
    stage.pump()
    return scene


def of_a_bank(stage: Stage) -> Scene:
    scene = stage.scene(window="32-B1")
    assert refused(scene.present) is Reason.COMMERCIAL_USER
    stage.pump()
    return scene


def out_of_scope(stage: Stage) -> Scene:
    scene = stage.scene(window="32-P1")
    assert refused(scene.present) is Reason.SCOPE_NOT_LISTED
    stage.pump()
    return scene


def too_late(stage: Stage) -> Scene:
    scene = stage.scene()
    stage.clock.advance(61)
    assert refused(scene.present) is Reason.CODE_EXPIRED
    stage.pump()
    return scene


def refused_at_home(stage: Stage) -> Scene:
    """Somebody else's ID card at the counter: the citizen's province refuses before it claims."""
    scene = stage.scene(number=persona("no-certificate").id_number)
    scene.present()
    assert scene.finish().said.reason is Reason.HOLDER_MISMATCH
    return scene


def refused_after(stage: Stage) -> Scene:
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree(digits=f"{(int(scene.view().digits) + 1) % 100:02d}")
    assert scene.finish().said.reason is Reason.DIGITS_WRONG
    return scene


def declined(stage: Stage) -> Scene:
    scene = stage.scene()
    scene.asked_and_shown()
    scene.decline()
    assert scene.finish().said.reason is Reason.NOT_AUTHORISED
    return scene


def unanswered(stage: Stage, desk: str = "32") -> Scene:
    scene = stage.scene(desk=desk)
    scene.asked_and_shown()
    stage.pass_time(125)
    assert scene.view().said.reason is Reason.NOT_AUTHORISED
    return scene


def withdrawn(stage: Stage) -> Scene:
    stage.rule(lambda letter: None if letter.topic is Topic.FETCH else letter)
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree()
    stage.pump()
    scene.withdraw()
    stage.pump()
    stage.rule(None)
    return scene


def unclear(stage: Stage) -> Scene:
    stage.rule(silent_library("33", Topic.FETCH))
    scene = stage.scene()
    scene.asked_and_shown()
    scene.agree()
    scene.finish()
    stage.pass_time(5, step=1)
    stage.rule(None)
    assert scene.view().state == "UNDETERMINED"
    return scene


VISITS: dict[str, tuple[Callable[[Stage], Scene], Ending]] = {
    "passed": (passed, ("PASSED", None)),
    "refused at the desk": (refused_before, ("REFUSED", "PRECONDITION_MISSING")),
    "a bank": (of_a_bank, ("REFUSED", "COMMERCIAL_USER")),
    "out of scope": (out_of_scope, ("REFUSED", "SCOPE_NOT_LISTED")),
    "expired": (too_late, ("REFUSED", "CODE_EXPIRED")),
    "refused at home": (refused_at_home, ("REFUSED", "HOLDER_MISMATCH")),
    "refused after": (refused_after, ("REFUSED", "DIGITS_WRONG")),
    "declined": (declined, ("DECLINED", "DECLINED")),
    "unanswered": (unanswered, ("TIMED_OUT", "TIMED_OUT")),
    "withdrawn": (withdrawn, ("WITHDRAWN", "WITHDRAWN")),
    "unclear": (unclear, ("UNDETERMINED", "LIBRARY_UNREACHABLE")),
}
QUICK = ("refused at the desk", "refused at home", "declined", "withdrawn", "unclear")


@pytest.mark.parametrize("name", count(tuple(VISITS), QUICK))
def test_each_visit_stands_once_with_its_outcome(stage: Stage, name: str) -> None:
    act, ending = VISITS[name]
    scene = act(stage)
    assert ended(stage, scene.phone) == [ending]
    stage.books()


@pytest.mark.parametrize("name", count(tuple(VISITS), ("passed", "a bank")))
def test_letters_that_come_twice_or_the_last_first_change_nothing(stage: Stage, name: str) -> None:
    act, ending = VISITS[name]
    scene = act(stage)
    letters = [letter for wire in stage.wires.values() for letter in wire.sent]
    for letter in [*letters[::-1], *letters]:
        try:
            stage.province(letter.to).peers.receive(letter, now=stage.clock.now())
        except (Refusal, Unavailable):
            continue  # an old document; what counts is that nothing came of it
        stage.pump()
    assert ended(stage, scene.phone) == [ending]
    stage.books()


def test_an_entry_says_who_when_for_what_and_how_it_ended(stage: Stage) -> None:
    scene = passed(stage)
    (entry,) = entries(stage, scene.phone)
    assert (entry["province"], entry["way"], entry["desk"]) == ("31", "app", "32")
    assert entry["window"] == scene.client.window
    assert entry["unit_zh"].endswith("不动产登记中心")
    assert entry["unit_en"].endswith("Real Estate Registration Centre")
    assert entry["window_name"] == "1号窗口"
    assert (entry["matter"], entry["type"]) == ("realestate.register", "marriage")
    assert entry["matter_zh"]
    assert entry["matter_en"]
    assert entry["fields"]
    assert all(each["label_zh"] and each["label_en"] for each in entry["fields"])
    assert entry["cause"] == "办理业务"
    assert entry["request"] == scene.row().request_digest
    assert entry["receipt_digest"] == signed_digest(entry["receipt"])
    assert entry["asked_at"] <= entry["ended_at"]
    assert entry["sentence"] is None


def test_the_receipts_of_the_three_sides_agree(stage: Stage) -> None:
    scene = passed(stage)
    (entry,) = entries(stage, scene.phone)
    ring, now = stage.province("31").office.ring, stage.clock.now()
    (spend,) = stage.rows("33", library_tables.spends)
    unit = open_receipt(scene.row().receipt, ring, side="unit", now=now)
    library = open_receipt(spend.receipt, ring, side="library", now=now)
    citizen = open_receipt(entry["receipt"], ring, side="citizen", now=now)
    assert entry["receipt"] == scene.showing()["result"]["receipt"]
    for claim in ("req", "consent", "unit", "window", "matter", "type", "fields", "outcome"):
        assert citizen.claims[claim] == unit.claims[claim] == library.claims[claim]
    assert unit.claims["copy"] == library.claims["copy"]


def test_a_refusal_at_home_has_a_receipt_at_its_place_in_the_ledger(stage: Stage) -> None:
    scene = refused_at_home(stage)
    (entry,) = entries(stage, scene.phone)
    office = stage.province("31").office
    receipt = open_receipt(entry["receipt"], office.ring, side="citizen", now=stage.clock.now())
    line = read_ledger(office.inner, inner.ledger)[receipt.claims["ledger"]["position"] - 1]
    assert (line.act, line.digest) == (Act.REFUSED, receipt.claims["ledger"]["entry"])


def test_decline_and_silence_look_alike_at_the_counter_and_not_to_the_citizen(stage: Stage) -> None:
    first = declined(stage)
    stage.clock.advance(1)
    second = unanswered(stage, desk="34")  # one unit may not ask twice in ten minutes
    assert first.view().said.reason is second.view().said.reason is Reason.NOT_AUTHORISED
    assert [each for each, _ in ended(stage, second.phone)] == ["TIMED_OUT", "DECLINED"]


def test_a_code_shown_twice_stands_twice_for_its_holder(stage: Stage) -> None:
    scene = stage.scene()
    code = scene.phone.code()
    scene.asked_and_shown()
    again = stage.scanned(scene.who, scene.phone, "34", code=code)
    again.present()
    assert again.finish().said.reason is Reason.CODE_ALREADY_USED
    assert sorted(ended(stage, scene.phone)) == [("ASKED", None), ("REFUSED", "CODE_ALREADY_USED")]
    scene.agree()
    assert scene.finish().state == "PASSED"
    found = entries(stage, scene.phone)
    assert sorted((each["desk"], each["outcome"]) for each in found) == [("32", "PASSED"), ("34", "REFUSED")]


def test_after_silence_and_a_second_try_the_visit_still_stands_once(stage: Stage) -> None:
    scene = unclear(stage)
    scene.present()
    assert scene.finish().state == "PASSED"
    assert ended(stage, scene.phone) == [("PASSED", None)]
    stage.books()


def test_a_visit_under_way_is_seen_already(stage: Stage) -> None:
    scene = stage.scene()
    scene.asked_and_shown()
    (entry,) = entries(stage, scene.phone)
    assert (entry["outcome"], entry["receipt"], entry["ended_at"]) == ("ASKED", None, None)


def test_a_corrected_presentation_takes_over_what_the_desk_reported(stage: Stage) -> None:
    """Same request id: first a precondition was missing, then it was ticked. One visit, one entry."""
    scene = stage.scene(type_="divorce", who=pair("31", "33"), preconditions=())
    assert refused(scene.present) is Reason.PRECONDITION_MISSING
    stage.pump()
    right = stage.scanned(
        scene.who,
        scene.phone,
        "32",
        type_="divorce",
        request_id=scene.asked.request_id,
        code=scene.phone.code(),
        preconditions=TICKS,
    )
    right.present()
    stage.pump()
    assert ended(stage, scene.phone) == [("ASKED", None)]
    (report,) = (each for each in stage.wires["32"].sent if each.topic is Topic.REPORT)
    stage.province("31").peers.receive(report, now=stage.clock.now())
    assert ended(stage, scene.phone) == [("ASKED", None)], "a report never changes what a claim wrote"


# Reports --------------------------------------------------------------------------------------------------


def test_only_genuine_codes_are_reported(stage: Stage) -> None:
    scene = stage.scene()
    code = scene.phone.code()
    for wrong in (code[:-1] + ("0" if code[-1] != "0" else "1"), "YRD1:X", "nothing"):
        forged = stage.scanned(scene.who, scene.phone, "32", code=wrong)
        assert isinstance(refused(forged.present), Reason)
    stage.pump()
    assert not [each for wire in stage.wires.values() for each in wire.sent if each.topic is Topic.REPORT]
    assert entries(stage, scene.phone) == []


def test_a_report_claims_nothing_spends_nothing_and_gets_no_answer(stage: Stage) -> None:
    scene = of_a_bank(stage)
    assert stage.rows("31", inner.claims) == []
    assert scene.showing()["state"] == "OPEN"
    sent = [each for each in stage.wires["31"].sent if each.topic not in (Topic.HOLDINGS, Topic.HELD)]
    assert sent == []
    good = stage.scanned(scene.who, scene.phone, "32")
    assert good.whole().state == "PASSED", "the code still works at another window"


def test_a_report_says_its_reason_to_nobody_on_the_way(stage: Stage) -> None:
    of_a_bank(stage)
    (letter,) = (each for each in stage.wires["32"].sent if each.topic is Topic.REPORT)
    assert (letter.unit, letter.matter) == (None, None)
    assert "COMMERCIAL_USER" not in json.dumps(letter.to_json())


def test_a_desk_reports_for_its_own_windows_only(stage: Stage) -> None:
    """Another desk's words under one's own name: the seal says whose they are."""
    of_a_bank(stage)
    (letter,) = (each for each in stage.wires["32"].sent if each.topic is Topic.REPORT)
    receive = stage.province("31").peers.receive
    forged = replace(letter, sender="34")
    assert isinstance(refused(receive, forged, now=stage.clock.now()), Reason)
    assert len(stage.rows("31", inner.history.entries)) == 1


def test_two_reports_of_one_request_are_one_entry(stage: Stage) -> None:
    scene = of_a_bank(stage)
    refused(scene.present)
    stage.pump()
    stage.clock.advance(30)
    again = stage.scanned(scene.who, scene.phone, "32", window="32-B1", request_id=scene.asked.request_id)
    refused(again.present)
    stage.pump()
    assert len(entries(stage, scene.phone)) == 1
    acts = [each.act for each in read_ledger(stage.province("31").office.inner, inner.ledger)]
    assert acts.count(Act.REPORTED) == 1


def test_a_report_about_no_showing_is_taken_in_silence_like_any_other(stage: Stage) -> None:
    """A desk must not learn by reports which showings there are."""
    scene = of_a_bank(stage)
    desk, home = stage.province("32").office, stage.province("31").office
    code = open_code(scene.phone.code(), desk.ring, now=stage.clock.now())
    report(
        desk,
        replace(code, cti=bytes(16)),
        desk.scope("32").unit_of_window("32-R1"),
        window="32-R1",
        request_id=new_id(),
        matter="realestate.register",
        type_="marriage",
        cause="办理业务",
        reason=Reason.CODE_EXPIRED,
        now=stage.clock.now(),
    )
    stage.pump()
    sent = [each for each in rows(desk.inner, inner.outbox) if '"report"' in each.body]
    assert [each.state for each in sent] == ["DONE", "DONE"]
    assert len(rows(home.inner, inner.history.entries)) == 1


def test_a_typed_twin_at_the_wrong_person_stands_in_the_history_too(stage: Stage) -> None:
    who = pair("31", "33")
    phone = phone_of(stage, who)
    phone.show()
    twin = read(call(phone, "POST", f"/v1/showings/{phone.showing_id}/twin", {}), 201)["twin"]
    scene = stage.scanned(who, phone, "32", code=twin, number=persona("no-certificate").id_number)
    scene.present()
    scene.finish()
    assert ended(stage, phone) == [("REFUSED", "HOLDER_MISMATCH")]


# Whose it is ----------------------------------------------------------------------------------------------


def test_a_person_with_two_apps_sees_both(stage: Stage) -> None:
    first = passed(stage)
    stage.clock.advance(60)
    other = phone_of(stage, first.who, "34")
    other.show()
    second = stage.scanned(first.who, other, "33")
    second.asked_and_shown()
    second.decline()
    second.finish()
    for phone in (first.phone, other):
        found = entries(stage, phone)
        assert [(each["province"], each["desk"], each["outcome"]) for each in found] == [
            ("34", "33", "DECLINED"),
            ("31", "32", "PASSED"),
        ]


def test_another_person_sees_nothing(stage: Stage) -> None:
    of_a_bank(stage)
    for code in ("31", "33"):
        assert entries(stage, phone_of(stage, persona("no-certificate"), code)) == []


def test_a_look_is_the_asking_apps_alone(stage: Stage) -> None:
    scene = of_a_bank(stage)
    look_id = ask(stage, scene.phone)
    stage.pump()
    stranger = phone_of(stage, scene.who, "33")
    assert call(stranger, "GET", f"/v1/history/lookups/{look_id}").status == 404
    assert call(scene.phone, "GET", f"/v1/history/lookups/{new_id()}").status == 404
    assert call(scene.phone, "GET", f"/v1/certificates/lookups/{look_id}").status == 404
    engine = stage.country.wallets["31"].extensions["wallet_api"].engine
    office = stage.province("31").office
    history = History(engine=engine, province="31", inner=scene.phone.app.inner, signals=office.signals)
    app, later = scene.phone.app.login_key.issuer, stage.clock.now() + timedelta(minutes=10)
    assert history.looked(app, look_id, cursor=None, limit=9, now=later - timedelta(seconds=1)) is not None
    assert refused(history.looked, app, look_id, cursor=None, limit=9, now=later) is Reason.REQUEST_UNKNOWN


def test_a_login_opens_one_look_and_only_while_it_is_fresh(stage: Stage) -> None:
    scene = of_a_bank(stage)
    holder = scene.phone.assertion(stage.clock.now())
    read(call(scene.phone, "POST", "/v1/history/lookups", {"holder": holder}), 202)
    problem = read(call(scene.phone, "POST", "/v1/history/lookups", {"holder": holder}), 409)
    assert problem["code"] == "DOCUMENT_REPLAYED"
    stale = scene.phone.assertion(stage.clock.now() - timedelta(seconds=75))
    assert read(call(scene.phone, "POST", "/v1/history/lookups", {"holder": stale}), 410)["code"] == "DOCUMENT_EXPIRED"
    others = phone_of(stage, scene.who, "33").assertion(stage.clock.now())
    assert call(scene.phone, "POST", "/v1/history/lookups", {"holder": others}).status in (403, 422)


def test_the_inner_network_believes_no_errand_without_a_living_login(stage: Stage) -> None:
    """A row written into the hand-over store by hand, with the login of a showing opened earlier."""
    scene = of_a_bank(stage)
    stage.clock.advance(120)
    (row,) = outer(stage, handover.showings)
    look_id = forge(stage, {"holder": row.holder_jwt, "app": scene.phone.app.login_key.issuer, "earlier": None})
    stage.pump()
    problem = read(call(scene.phone, "GET", f"/v1/history/lookups/{look_id}"), 410)
    assert problem["code"] == "DOCUMENT_EXPIRED"
    assert not [each for wire in stage.wires.values() for each in wire.sent if each.topic is Topic.HISTORY]


@pytest.mark.parametrize(
    "body", [{}, {"holder": 1, "app": "x", "earlier": None}, {"holder": "x.y.z", "app": "suishenban"}]
)
def test_an_errand_that_is_nonsense_ends_as_refused(stage: Stage, body: dict[str, Any]) -> None:
    forge(stage, body)
    stage.pump()
    (errand,) = (each for each in outer(stage, handover.errands) if each.kind == "history")
    assert (errand.state, json.loads(errand.answer)) == ("DONE", {"reason": "BODY_INVALID"})


# Silence and ledgers ----------------------------------------------------------------------------------------


def test_a_silent_province_is_named(stage: Stage) -> None:
    scene = of_a_bank(stage)
    stage.rule(silent_library("34", Topic.HISTORY))
    look_id = ask(stage, scene.phone)
    stage.pump()
    found = part(scene.phone, look_id)
    assert (found["state"], found["silent"], len(found["entries"])) == ("DONE", ["34"], 1)


def test_a_province_that_answers_too_late_is_named(stage: Stage) -> None:
    scene = of_a_bank(stage)
    stage.rule(lambda each: None if each.topic is Topic.HISTORIED and each.sender == "33" else each)
    look_id = ask(stage, scene.phone)
    stage.pump()
    assert part(scene.phone, look_id)["state"] == "PENDING"
    stage.pass_time(7, step=1)
    found = part(scene.phone, look_id)
    assert (found["state"], found["silent"]) == ("DONE", ["33"])
    (late,) = (each for each in stage.wires["33"].sent if each.topic is Topic.HISTORIED)
    stage.province("31").peers.receive(late, now=stage.clock.now())
    assert part(scene.phone, look_id) == found


def test_looking_stands_in_the_ledger_of_each_province_that_answers(stage: Stage) -> None:
    scene = of_a_bank(stage)
    before = {code: len(looks(stage, code)) for code in ("31", "32", "33", "34")}
    stage.rule(silent_library("34", Topic.HISTORY))
    entries(stage, scene.phone)
    for code in ("31", "32", "33"):
        found = looks(stage, code)[before[code] :]
        assert [(each["at"], each["for"]) for each in found] == [("history", "31")]
        assert set(found[0]) == {"at", "for", "under"}
    assert len(looks(stage, "34")) == before["34"]
    (asked,) = (each for each in stage.wires["31"].sent if each.topic is Topic.HISTORY and each.to == "32")
    stage.province("32").peers.receive(asked, now=stage.clock.now())
    assert len(looks(stage, "32")) == before["32"] + 1, "the same question again is no second look"


def test_a_question_of_one_province_under_anothers_name_is_refused(stage: Stage) -> None:
    scene = of_a_bank(stage)
    entries(stage, scene.phone)
    (asked,) = (each for each in stage.wires["31"].sent if each.topic is Topic.HISTORY and each.to == "32")
    assert isinstance(
        refused(stage.province("32").peers.receive, replace(asked, sender="33"), now=stage.clock.now()), Reason
    )


def looks(stage: Stage, code: str) -> list[dict[str, Any]]:
    """What the ledger of a province's inner network has about looks at the history."""
    book = read_ledger(stage.province(code).office.inner, inner.ledger)
    found = [json.loads(each.body) for each in book if each.act is Act.LOOKED]
    return [each for each in found if each.get("at") == "history"]


# Parts ------------------------------------------------------------------------------------------------------


def test_a_long_history_comes_in_parts_without_gap_or_double(stage: Stage) -> None:
    """Several entries of one instant among them, and more than one envelope holds."""
    scene = of_a_bank(stage)
    (first,) = stage.rows("31", inner.history.entries)
    visits = count(400, 60)
    with writing(stage.province("31").office.inner) as conn:
        for n in range(visits - 1):
            row = EntryRow(**{**first._mapping, "entry": f"{n:022x}", "request_id": new_id()})
            assert add_report(conn, inner.history, replace(row, asked_at=row.asked_at - timedelta(seconds=n // 3)))
    seen: list[str] = []
    looked = 0
    earlier: str | None = None
    while looked == 0 or earlier is not None:
        look_id = ask(stage, scene.phone, earlier=earlier)
        stage.pump()
        found = part(scene.phone, look_id, "?limit=7")
        seen += [each["entry"] for each in found["entries"]]
        while found["next"] is not None:
            assert len(found["entries"]) == 7
            found = part(scene.phone, look_id, f"?limit=7&cursor={found['next']}")
            seen += [each["entry"] for each in found["entries"]]
        earlier = found["earlier"]
        looked += 1
    assert looked > 1
    assert len(seen) == len(set(seen)) == visits


def test_what_is_no_place_in_a_history_is_refused(stage: Stage) -> None:
    scene = stage.scene()
    look_id = ask(stage, scene.phone)
    stage.pump()
    for query in (
        "limit=0",
        "limit=51",
        "limit=x",
        "limit=-1",
        "limit=1e1",
        "limit=",
        "cursor=x",
        "cursor=%00",
        "cursor=",
    ):
        problem = read(call(scene.phone, "GET", f"/v1/history/lookups/{look_id}?{query}"), 422)
        assert problem["code"] == "BODY_INVALID", query


def test_a_page_ends_where_the_first_province_had_to_stop() -> None:
    def found(province: str, times: range, more: bool) -> dict[str, Any]:
        made = [{"cursor": f"{10**13 + at}.{province}.{at:022x}"} for at in times]
        return {"entries": made, "more": more}

    heard = {"31": found("31", range(90, 50, -2), True), "33": found("33", range(99, 1, -7), False)}
    page = merge(heard, ["34"])
    at = [int(each["cursor"].split(".")[0]) - 10**13 for each in page["entries"]]
    assert at == sorted(at, reverse=True)
    assert min(at) == 52
    assert page["earlier"] == page["entries"][-1]["cursor"]
    assert page["silent"] == ["34"]


# What stands where --------------------------------------------------------------------------------------------


def test_no_row_of_the_history_names_a_person(stage: Stage) -> None:
    scene = passed(stage)
    refused_before(stage)
    entries(stage, scene.phone)
    for code in ("31", "32", "33", "34"):
        for table in (inner.history.entries, inner.history.looks, inner.outbox):
            text = "\n".join(str(tuple(row)) for row in stage.rows(code, table))
            assert scene.who.id_number not in text
            assert scene.who.name not in text
    names = {row.holder for row in stage.rows("31", inner.history.entries)}
    assert len(names) == 1


def test_two_provinces_name_one_person_differently(stage: Stage) -> None:
    first = passed(stage)
    other = phone_of(stage, first.who, "34")
    other.show()
    stage.scanned(first.who, other, "33").asked_and_shown()
    (one,) = stage.rows("31", inner.history.entries)
    (two,) = stage.rows("34", inner.history.entries)
    assert one.holder != two.holder


def test_answers_have_one_length_whatever_is_in_them(stage: Stage) -> None:
    scene = of_a_bank(stage)
    entries(stage, scene.phone)
    entries(stage, phone_of(stage, persona("no-certificate"), "31"))
    letters = [each for wire in stage.wires.values() for each in wire.sent if each.topic is Topic.HISTORIED]
    assert len(letters) == 6
    assert len({len(each.body) for each in letters}) == 1


def outer(stage: Stage, table: Any) -> list[Any]:
    """All rows of a table of Shanghai's hand-over store."""
    return rows(stage.province("31").office.handover, table)


def forge(stage: Stage, body: dict[str, Any]) -> str:
    """An errand written by hand, as somebody does who has the outer network's database."""
    look_id = new_id()
    with writing(stage.province("31").office.handover) as conn:
        put(conn, handover.errands, kind="history", ref=look_id, body=body, now=stage.clock.now())
    return look_id

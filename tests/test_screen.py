"""The counter's page as HTTP: who may ask, what is given, and what a stranger on the same machine gets."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import socket
import subprocess
import sys
import tty
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import urllib3
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from consent.approval import Decision
from consent.attest import seal_attest, staff_of
from consent.b64 import to_b64
from consent.card import device_of
from consent.errors import Reason, Refusal
from consent.keys import SANDBOX_MARK, new_key, write_private
from consent.people import CitizenId
from consent.telling import new_log
from consent.twin import _DAMM, new_twin, spaced
from scanner_kiosk.app import create_app
from scanner_kiosk.counter import COUNTER, ENDED, Case, Counter, Invited
from scanner_kiosk.devices.simulated import Evidence
from scanner_kiosk.kiosk import Kiosk
from scanner_kiosk.pictures_apart import WAITING, PicturesApart
from scanner_kiosk.screen import PAGE_HEADER, words
from scanner_kiosk.settings import read_settings, read_windows
from scanner_kiosk.visit import Asked, View, say
from scanner_kiosk.ways import Answer, Half, OnCard
from tests.counter_rig import COPY, OTHER, PERSON, Rig, new_rig, png

HOST = "127.0.0.1:8441"
ORIGIN = f"http://{HOST}"
STATIC = Path(__file__).parent.parent / "scanner_kiosk" / "static"
PAGE = Path(__file__).parent.parent / "scanner_kiosk" / "templates" / "counter" / "page.html"


class Page:
    """A browser with our page open."""

    def __init__(self, app: Flask) -> None:
        self.app, self.client = app, app.test_client()
        self.kiosk: Kiosk = app.extensions["kiosk"]
        found = re.search(r'name="counter-token" content="([^"]+)"', self.client.get("/counter/", base_url=ORIGIN).text)
        assert found is not None
        self.token = found[1]

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(f"/counter/{path}", base_url=ORIGIN, headers={PAGE_HEADER: self.token, **headers})

    def post(self, path: str, found: Any = None, **more: Any) -> TestResponse:
        headers = {PAGE_HEADER: self.token, "Origin": ORIGIN}
        if "data" not in more:
            more = {"data": json.dumps({} if found is None else found), "content_type": "application/json", **more}
        return self.client.post(f"/counter/{path}", base_url=ORIGIN, headers=headers, **more)

    def begin(self, **more: Any) -> TestResponse:
        assert self.post("choose", {"matter": "divorce.apply", "type": "marriage"}).status_code == 200
        case = {"case_number": "2026-1", "id_number": PERSON, "preconditions": ["both_lost"]}
        return self.post("start", {**case, **more})

    def pass_visit(self, rig: Rig) -> None:
        assert self.begin().status_code == 200
        for _ in range(60):
            if self.kiosk.counter().state == "WAITING":
                self.post("frames", data=png(rig.code()), content_type="image/png")
            elif self.kiosk.counter().state == "CONFIRMING":
                rig.desk.move("PASSED")
            elif self.kiosk.counter().state == "PASSED":
                return
            self.kiosk.step()
        raise AssertionError(self.kiosk.counter().state)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return new_rig(tmp_path)


@pytest.fixture
def page(rig: Rig) -> Iterator[Page]:
    lines = io.StringIO()
    log = new_log("scanner_kiosk", rig.clock, stream=lines)
    app = create_app(rig.settings(), clock=rig.clock, log=log, line=rig.line, start=False)
    yield Page(app)
    app.extensions["kiosk"].stop()
    assert PERSON not in lines.getvalue()
    assert '"level": "error"' not in lines.getvalue()


def code_of(answer: TestResponse) -> str:
    assert answer.mimetype == "application/problem+json"
    return str(json.loads(answer.text)["code"])


# --- who may ask ----------------------------------------------------------------------------------


def test_every_answer_is_never_stored_framed_or_sniffed_and_runs_no_foreign_script(page: Page) -> None:
    for answer in (
        page.client.get("/counter/", base_url=ORIGIN),
        page.client.get("/counter/static/counter.js", base_url=ORIGIN),
        page.get("state"),
        page.get("nothing-here"),
        page.client.get("/elsewhere", base_url=ORIGIN),
    ):
        headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        answer.close()


def test_another_name_for_this_machine_is_refused(page: Page) -> None:
    for host in ("evil.example:8441", "127.0.0.1:9999", "127.0.0.1", "localhost.evil:8441"):
        answer = page.client.get("/counter/", base_url=f"http://{host}")
        assert (answer.status_code, code_of(answer)) == (403, "FORBIDDEN")
    assert page.client.get("/counter/", base_url="http://localhost:8441").status_code == 200


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:9999", "https://127.0.0.1:8441"]
)
def test_what_changes_something_must_come_from_our_own_page(page: Page, origin: str | None) -> None:
    headers = {PAGE_HEADER: page.token, **({"Origin": origin} if origin else {})}
    answer = page.client.post("/counter/clear", base_url=ORIGIN, headers=headers)
    assert (answer.status_code, code_of(answer)) == (403, "FORBIDDEN")


def test_all_but_the_page_and_its_assets_needs_the_token_of_this_start(page: Page) -> None:
    rules = [rule for rule in page.app.url_map.iter_rules() if rule.endpoint not in ("counter.page", "counter.asset")]
    assert len(rules) >= 7
    for rule in rules:
        path = rule.rule.replace("<name>", "clear")
        for method in rule.methods or ():
            if method in ("HEAD", "OPTIONS"):
                continue
            for token in ("", "wrong", page.token + "x"):
                headers = {PAGE_HEADER: token, "Origin": ORIGIN}
                answer = page.client.open(path, method=method, base_url=ORIGIN, headers=headers)
                assert (answer.status_code, code_of(answer)) == (401, "SESSION_EXPIRED")


def test_the_token_is_another_one_after_each_start(page: Page, rig: Rig) -> None:
    again = Page(create_app(rig.settings(), clock=rig.clock, line=rig.line, start=False))
    assert again.token != page.token
    again.kiosk.stop()


# --- what is given --------------------------------------------------------------------------------


def test_the_state_is_given_once_and_then_only_when_it_changed(page: Page) -> None:
    first = page.get("state")
    etag = first.headers["ETag"]
    assert page.get("state", **{"If-None-Match": etag}).status_code == 304
    page.begin()
    changed = page.get("state", **{"If-None-Match": etag})
    assert (changed.status_code, changed.get_json()["state"]) == (200, "WAITING")
    assert changed.headers["Server-Time"].startswith("2026-06-01T02:00:00")


def test_a_visit_is_shown_from_the_digits_to_the_copy_and_the_number_never_whole(page: Page, rig: Rig) -> None:
    page.pass_visit(rig)
    text = page.get("state").text
    found = json.loads(text)
    assert found["state"] == "PASSED"
    assert found["visit"]["copy"]["fields"][1]["value"] == "J330106-2021-000003"
    assert found["visit"]["officer"] == "not-verified"
    assert found["clears_at"] == "2026-06-01T02:01:00Z"
    assert found["case"]["person"] == f"{PERSON[:6]}********{PERSON[-4:]}"
    assert PERSON not in text


def dressed(state: str, rig: Rig) -> Counter:
    """A counter in this state that holds everything it could hold about two people."""
    now = rig.clock.now()
    person, other = (CitizenId.parse(each, today=now.date()) for each in (PERSON, OTHER))
    asked = Asked(request_id="R" * 22, body=b"{}")
    said = say(Reason.HOLDER_MISMATCH)
    view = View(
        request_id="R" * 22,
        state="PASSED",
        version=1,
        etag="1",
        digits="47",
        outcome=None,
        said=said,
        holder_province="31",
        library="33",
        copy=COPY,
        receipt="receipt",
        officer="not-verified",
        asked_at="2026-06-01T02:00:00Z",
        answer_by="2026-06-01T02:02:00Z",
    )
    evidence = Evidence(salt=b"s" * 16, raw=b"strokes")
    answer = Answer(decision=Decision.AGREE, method="pad", pad="pad", evidence=evidence)
    sheet = {"request": "digest", "unit_zh": "x"}
    return Counter(
        state=state,
        version=7,
        case=Case(
            matter="divorce.apply",
            type="marriage",
            case_number="2026-CASE-1",
            cause="x",
            preconditions=(),
            person=person,
            partner=other,
            couple="C" * 22,
        ),
        asked=asked,
        invited=(Invited(asked=asked, text="CODE", expires_at=now + timedelta(minutes=1)),),
        on_card=OnCard(card="wang", name="王小芳", number=person.masked(), sheet=sheet, answer=answer),
        first=Half(asked=asked, view=view),
        view=view,
        said=said,
        ended_at=now,
        clears_at=now + timedelta(minutes=1),
    )


@pytest.mark.parametrize("state", COUNTER.moves)
def test_a_covered_screen_receives_the_same_in_every_state_and_for_everybody(page: Page, rig: Rig, state: str) -> None:
    page.begin()
    page.kiosk._counter = dressed(state, rig)
    shown = page.get("state").get_json()
    assert shown["case"]["case_number"] == "2026-CASE-1"
    assert (shown["said"] is not None) is (state in ENDED)
    covered = page.post("cover").get_json()
    page.kiosk._counter = Counter(version=7)
    assert page.get("state").get_json() == covered  # as if nobody stood there
    assert set(covered) == set(shown)
    page.kiosk._counter = dressed(state, rig)
    assert page.get("preview.jpg").status_code == 204
    assert page.post("uncover").get_json() == shown


def test_behind_a_cover_no_route_says_anything_about_the_person(page: Page, rig: Rig) -> None:
    page.kiosk._counter = dressed("PASSED", rig)
    assert page.get("evidence.json").status_code == page.get("receipts/1.svg").status_code == 200
    page.post("cover")
    room = ("page", "asset", "state", "choices", "preview", "frames")  # what is said whoever stands there
    refused = 0
    for rule in page.app.url_map.iter_rules():
        if rule.endpoint in {f"counter.{each}" for each in room}:
            continue
        names = ("keep", "again", "retry", "invite", "no-phone") if rule.endpoint == "counter.key" else ("1",)
        for name in names:
            path = re.sub(r"<[^>]+>", name, rule.rule).removeprefix("/counter/")
            answer = page.post(path) if "POST" in (rule.methods or ()) else page.get(path)
            assert (answer.status_code, code_of(answer)) == (409, "STATE_FORBIDS"), rule.rule
            refused += 1
    assert refused >= 14
    assert page.kiosk.counter().state == "PASSED"
    assert page.post("clear").get_json()["state"] == "IDLE"


def test_keep_and_clear_are_keys(page: Page, rig: Rig) -> None:
    page.pass_visit(rig)
    assert page.post("keep").get_json()["clears_at"] == "2026-06-01T02:01:30Z"
    assert page.post("clear").get_json()["state"] == "IDLE"
    assert page.get("state").get_json()["case"] is None


def test_a_copy_is_gone_from_the_answer_the_moment_it_is_due(page: Page, rig: Rig) -> None:
    page.pass_visit(rig)
    rig.clock.advance(60)
    assert page.get("state").get_json()["state"] == "IDLE"


def test_choices_name_windows_matters_and_masked_cards(page: Page) -> None:
    found = page.get("choices").get_json()
    assert found["register"] is None
    assert [each["window"] for each in found["windows"]] == ["31-M1", "33-M1"]
    assert [each["name"] for each in found["cards"]] == ["王*芳", "周*"]
    found = page.post("choose", {"province": "33", "window": "33-M1"})
    assert [each["slug"] for each in found.get_json()["register"]["matters"]] == [
        "divorce.apply",
        "realestate.register",
    ]
    assert PERSON not in found.text
    assert OTHER not in found.text


def test_the_simulated_card_reader_gives_the_number_to_the_desk_and_not_to_the_page(page: Page, rig: Rig) -> None:
    assert page.begin(id_number=None, card="zhou").get_json()["case"]["person"] == f"{OTHER[:6]}********{OTHER[-4:]}"


def test_a_live_kiosk_has_neither_card_simulator_nor_foreign_cameras(rig: Rig) -> None:
    rows = json.loads(rig.windows.read_text(encoding="utf-8"))
    for row in rows:
        row["desk_url"] = row["desk_url"].replace("http:", "https:")
        key = Path(row["key_uri"].removeprefix("file:"))
        key.write_text(key.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")  # without the sandbox mark
    rig.windows.write_text(json.dumps(rows), encoding="utf-8")
    app = create_app(rig.settings(profile="live"), clock=rig.clock, line=rig.line, start=False)
    page = Page(app)
    assert page.get("choices").get_json()["cards"] == []
    assert code_of(page.post("choose", {"camera": "sim:http://127.0.0.1:80/x.png"})) == "FORBIDDEN"
    assert code_of(page.begin(id_number=None, card="zhou")) == "HOLDER_MATCH_MISSING"
    page.begin()
    page.post("invite")
    page.kiosk.step()
    assert page.get("code.svg?text").mimetype == "image/svg+xml"
    page.kiosk.stop()


# --- problems and shifts --------------------------------------------------------------------------


def test_a_reported_problem_says_what_the_screen_showed_and_nothing_about_the_person(page: Page, rig: Rig) -> None:
    assert page.post("choose", {"province": "31", "window": "31-M1"}).status_code == 200
    page.post("shift", {"officer": "sh0317"})
    rig.lines["31"].silent = 99  # no network is needed
    counter = dressed("UNDETERMINED", rig)
    assert counter.on_card is not None
    assert counter.on_card.answer is not None
    word = seal_attest(
        new_key("ES256", issuer=staff_of("31", "X", "o1")),
        province="31",
        window="31-M1",
        officer="o1",
        request_digest=to_b64(b"d" * 32),
        now=rig.clock.now(),
    )
    answer = replace(counter.on_card.answer, officer=word)
    page.kiosk._counter = replace(counter, on_card=replace(counter.on_card, answer=answer))
    assert page.post("problem").status_code == 204
    rig.clock.advance(61)  # wiped while the officer chose a cause
    assert page.get("state").get_json()["state"] == "IDLE"
    assert page.post("report", {"cause": "mismatch"}).get_json() == {"number": "260601-01"}
    assert page.post("report", {"cause": "device"}).get_json() == {"number": "260601-02"}
    text = (rig.folder / "state" / "reports.jsonl").read_text(encoding="utf-8")
    first, second = (json.loads(line) for line in text.splitlines())
    assert len(first.pop("second_key")) >= 8
    assert first.pop("version")
    assert first == {
        "number": "260601-01",
        "time": "2026-06-01T02:01:01Z",
        "cause": "mismatch",
        "state": "UNDETERMINED",
        "reason": "HOLDER_MISMATCH",
        "request_id": "R" * 22,
        "province": "31",
        "window": "31-M1",
        "officer": "SH0317",
        "devices": {"kind": "posted", "picture": "no", "scanner": "none", "network": "ok"},
    }
    assert (second["state"], second["reason"], second["request_id"]) == ("IDLE", None, None)
    for personal in (PERSON, PERSON[:6], "王", "CASE", "J330106", word, "divorce"):
        assert personal not in text


@pytest.mark.parametrize("cause", [None, "", "free text", "SLOW"])
def test_a_problem_has_one_of_five_causes(page: Page, rig: Rig, cause: str | None) -> None:
    assert code_of(page.post("report", {"cause": cause})) == "BODY_INVALID"
    assert not (rig.folder / "state").exists()


@pytest.mark.parametrize("state", COUNTER.moves)
def test_an_officer_takes_over_an_empty_or_an_ended_counter_only(page: Page, rig: Rig, state: str) -> None:
    assert page.post("shift", {"officer": "1001"}).get_json()["on_duty"] == {"number": "1001", "verified": False}
    page.begin()
    page.kiosk._counter = Counter() if state == "IDLE" else dressed(state, rig)
    answer = page.post("shift", {"officer": " sh0317 "})
    if state == "IDLE" or state in ENDED:
        found = answer.get_json()
        assert (found["state"], found["case"]) == ("IDLE", None)
        assert found["on_duty"] == {"number": "SH0317", "verified": False}
    else:
        assert code_of(answer) == "STATE_FORBIDS"
        assert page.get("state").get_json()["on_duty"]["number"] == "1001"
        assert page.kiosk.counter().state == state


@pytest.mark.parametrize("number", [None, "", "王小芳", "12", "12345678901", "ABCDE123", "a b", PERSON])
def test_what_is_no_staff_number_leaves_nobody_on_duty(page: Page, number: str | None) -> None:
    page.post("shift", {"officer": "1001"})
    assert code_of(page.post("shift", {"officer": number})) == "OFFICER_UNKNOWN"
    assert page.get("state").get_json()["on_duty"] is None


# --- typed, and the counter's own code ------------------------------------------------------------


def test_typed_digits_are_taken_and_a_slip_is_told_in_both_languages(page: Page, rig: Rig) -> None:
    page.begin()
    slip = page.post("typed", {"text": "3123 4567 8901"})
    assert (slip.status_code, code_of(slip)) == (422, "TWIN_MISTYPED")
    assert set(json.loads(slip.text)["sentences"]) == {"zh", "en"}
    twin = new_twin("31")
    assert page.post("typed", {"text": spaced(twin)}).get_json()["state"] == "CHECKING"
    assert code_of(page.post("typed", {"text": spaced(twin)})) == "STATE_FORBIDS"
    page.kiosk.step()
    assert page.kiosk.counter().state == "CONFIRMING"
    assert json.loads(rig.desk.bodies[-1])["code"] == twin


def test_the_counters_code_is_a_drawing_behind_the_fence_and_the_state_does_not_say_it(page: Page, rig: Rig) -> None:
    assert code_of(page.get("code.svg")) == "STATE_FORBIDS"
    page.begin()
    assert page.post("invite").get_json()["state"] == "INVITING"
    assert page.post("invite").status_code == 200  # pressed twice
    assert page.get("state").get_json()["own_code"] is None
    page.kiosk.step()
    state = page.get("state").get_json()
    assert state["own_code"] == {
        "id": list(rig.desk.invited)[-1],
        "renews_at": "2026-06-01T02:00:45Z",
        "expires_at": "2026-06-01T02:01:00Z",
    }
    drawn = page.get("code.svg")
    assert (drawn.mimetype, drawn.headers["Cache-Control"]) == ("image/svg+xml", "no-store")
    assert "script" not in drawn.text
    assert rig.desk.codes[-1] not in json.dumps(state)
    assert page.get("code.svg?text").text == rig.desk.codes[-1]
    for headers in ({}, {PAGE_HEADER: "wrong"}):
        answer = page.client.get("/counter/code.svg", base_url=ORIGIN, headers=headers)
        assert (answer.status_code, code_of(answer)) == (401, "SESSION_EXPIRED")
    assert page.post("again").get_json()["state"] == "WAITING"
    assert page.get("state").get_json()["own_code"] is None
    assert code_of(page.get("code.svg")) == "STATE_FORBIDS"


def test_a_visit_that_a_phone_began_by_our_code_is_not_asked_again_at_a_silent_library(page: Page, rig: Rig) -> None:
    page.begin()
    page.post("invite")
    page.kiosk.step()
    rig.desk.come(list(rig.desk.invited)[-1])
    page.kiosk.step()
    assert page.get("state").get_json()["visit"]["digits"] == "47"
    rig.desk.move("UNDETERMINED", Reason.LIBRARY_UNREACHABLE, province="33")
    page.kiosk.step()
    found = page.get("state").get_json()
    assert (found["state"], found["can_retry"]) == ("UNDETERMINED", False)
    assert code_of(page.post("retry")) == "STATE_FORBIDS"
    assert page.post("again").get_json()["state"] == "WAITING"


# --- pictures -------------------------------------------------------------------------------------


def test_a_posted_picture_is_taken_and_its_preview_holds_no_code(page: Page, rig: Rig) -> None:
    assert page.get("preview.jpg").status_code == 204
    assert page.post("frames", data=png(rig.code()), content_type="image/png").status_code == 204
    for _ in range(60):
        page.kiosk._camera.newest(timeout_s=0.25)
        answer = page.get("preview.jpg")
        if answer.status_code == 200:
            break
    assert answer.mimetype == "image/jpeg"
    assert answer.data.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (b"", "image/png", "PICTURE_UNREADABLE"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "image/png", "PICTURE_UNREADABLE"),
        (b"GIF89a" + b"\0" * 40, "image/png", "PICTURE_UNREADABLE"),
        (b"{}", "application/json", "MEDIA_TYPE"),
        (b"\0" * 5_000_001, "image/jpeg", "TOO_LARGE"),
    ],
)
def test_what_is_no_small_picture_is_refused(page: Page, data: bytes, kind: str, reason: str) -> None:
    assert code_of(page.post("frames", data=data, content_type=kind)) == reason


def test_a_picture_that_finds_the_queue_full_is_told_when_to_come_again(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = PicturesApart(lanes=0)
    full._waiting.extend(range(WAITING))
    monkeypatch.setattr(page.kiosk._source, "_apart", full)
    answer = page.post("frames", data=png("x"), content_type="image/png")
    assert (answer.status_code, code_of(answer), answer.headers["Retry-After"]) == (429, "TOO_MANY", "1")


def test_pictures_are_refused_while_another_camera_is_chosen(page: Page) -> None:
    assert page.post("choose", {"camera": "sim:http://127.0.0.1:1/current.png"}).status_code == 200
    assert code_of(page.post("frames", data=png("x"), content_type="image/png")) == "STATE_FORBIDS"


@pytest.mark.parametrize("camera", ["file:/etc/passwd", "folder:/", "video:/x", "sim:http://192.0.2.1/", "sim:", "x"])
def test_the_browser_cannot_choose_files_of_this_machine_or_addresses_elsewhere(page: Page, camera: str) -> None:
    assert code_of(page.post("choose", {"camera": camera})) == "FORBIDDEN"


# --- bodies ---------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda it: (
        st.lists(it, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("province", "window", "matter", "type", "camera"),
                    *("case_number", "id_number", "preconditions", "text", "x"),
                    *(
                        "card",
                        "partner",
                        "partner_card",
                        "officer",
                        "decision",
                        "method",
                        "strokes",
                        "standing",
                        "sheet",
                        "cause",
                    ),
                ]
            ),
            it,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    path=st.sampled_from(
        ["choose", "start", "typed", "invite", "no-phone", "lay", "answer", "staff", "report", "shift"]
    ),
    body=st.binary(max_size=80) | JSON.map(lambda it: json.dumps(it).encode()),
)
def test_whatever_the_page_sends_is_done_or_refused(page: Page, path: str, body: bytes) -> None:
    answer = page.post(path, data=body, content_type="application/json")
    assert answer.status_code < 500
    assert answer.status_code == 200 or Reason(code_of(answer))


def test_unknown_keys_and_wrong_bodies_are_problems(page: Page) -> None:
    assert code_of(page.post("explode")) == "ROUTE_UNKNOWN"
    assert code_of(page.get("clear")) == "METHOD_NOT_ALLOWED"
    assert code_of(page.post("start", data=b"x", content_type="text/plain")) == "MEDIA_TYPE"
    assert code_of(page.post("start", data=b" " * 9000, content_type="application/json")) == "TOO_LARGE"
    assert code_of(page.post("start", data=b"[]", content_type="application/json")) == "BODY_MALFORMED"
    assert code_of(page.post("start", {"case_number": 7})) == "BODY_INVALID"
    assert code_of(page.post("retry")) == "STATE_FORBIDS"
    assert page.client.get("/counter/static/../settings.py", base_url=ORIGIN).status_code in (401, 404)
    assert page.client.get("/counter/static/secret", base_url=ORIGIN).status_code == 404


def test_a_window_without_a_reader_offers_no_card_route_and_says_so(page: Page) -> None:
    assert page.begin().get_json()["ways"] == {"invite": True, "no_phone": False}
    assert code_of(page.post("no-phone")) == "DEVICE_UNKNOWN"
    assert code_of(page.post("lay", {"card": "wang"})) == "STATE_FORBIDS"
    assert code_of(page.post("staff", {"officer": "x"})) == "STATE_FORBIDS"
    assert code_of(page.post("answer", {"decision": "withdraw"})) == "BODY_INVALID"
    assert code_of(page.post("answer", {"decision": "decline"})) == "STATE_FORBIDS"
    assert code_of(page.get("evidence.json")) == "STATE_FORBIDS"
    assert code_of(page.get("receipts/1.svg")) == "ROUTE_UNKNOWN"


def test_a_body_with_strokes_may_be_larger_and_has_its_own_bound(page: Page) -> None:
    page.begin()
    strokes = [[[n % 10_000, n, n] for n in range(1500)]]
    assert code_of(page.post("answer", {"decision": "agree", "strokes": strokes})) == "STATE_FORBIDS"
    assert code_of(page.post("answer", {"decision": "agree", "strokes": strokes * 9})) == "TOO_LARGE"
    assert code_of(page.post("answer", {"decision": "agree", "strokes": [[[[[1]]]]]})) == "BODY_MALFORMED"
    assert code_of(page.post("typed", {"text": "x" * 9000})) == "TOO_LARGE"


def test_a_silent_desk_is_a_problem_that_names_it(page: Page, rig: Rig) -> None:
    rig.lines["31"].silent = 1
    answer = page.post("choose", {"province": "31", "window": "31-M1"})
    assert (answer.status_code, code_of(answer)) == (503, "OFFLINE")


# --- words ----------------------------------------------------------------------------------------


def test_both_dictionaries_have_the_same_words_and_placeholders() -> None:
    chinese, english = words("zh-CN"), words("en")
    assert list(chinese) == list(english)
    for key in chinese:
        found = re.findall(r"\{(\w+)\}", chinese[key])
        assert sorted(found) == sorted(re.findall(r"\{(\w+)\}", english[key])), key
        assert chinese[key].strip(), key
        assert english[key].strip(), key


def test_every_word_is_used_and_every_used_word_exists() -> None:
    script = "".join(each.read_text(encoding="utf-8") for each in STATIC.glob("*.js"))
    pages = "".join(each.read_text(encoding="utf-8") for each in PAGE.parent.glob("*.html"))
    used = set(re.findall(r'words\["([^"]+)"\]', pages))
    used |= {word for word in words("en") if f'"{word}"' in script}
    made = ("guidance.", "state.", "type.", "value.", "status.", "network.", "two.1", "two.2")
    used |= {word for word in words("en") if word.startswith(made)}
    assert used == set(words("en"))


def test_the_page_judges_digits_by_the_same_table_as_the_desk() -> None:
    script = (STATIC / "typed.js").read_text(encoding="utf-8")
    assert tuple(re.findall(r'"(\d{10})"', script)) == _DAMM


def test_pages_have_nothing_inline_and_nothing_from_elsewhere(page: Page) -> None:
    for lang in ("zh-CN", "en", "xx"):
        text = page.client.get(f"/counter/?lang={lang}", base_url=ORIGIN).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"\s(style|on\w+)=", text)
        assert "<style" not in text
        assert not re.search(r'(src|href)="(?!/counter/)', text.replace('href="#banner"', ""))
        assert f'<html lang="{"zh-CN" if lang == "xx" else lang}">' in text


# --- practice -------------------------------------------------------------------------------------


def test_practice_is_written_over_the_page_and_takes_sandbox_keys_only(rig: Rig) -> None:
    app = create_app(rig.settings(practice=1), clock=rig.clock, line=rig.line, start=False)
    for lang in ("zh-CN", "en"):
        assert 'id="practice"' in app.test_client().get(f"/counter/?lang={lang}", base_url=ORIGIN).text
    app.extensions["kiosk"].stop()
    key = Path(json.loads(rig.windows.read_text(encoding="utf-8"))[0]["key_uri"].removeprefix("file:"))
    key.write_text(key.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")  # as a live key is
    with pytest.raises(Refusal) as told:
        create_app(rig.settings(practice=1), clock=rig.clock, line=rig.line, start=False)
    assert told.value.reason is Reason.KEY_NOT_ALLOWED


def test_practice_is_written_over_every_dialog_too(rig: Rig) -> None:
    app = create_app(rig.settings(practice=1), clock=rig.clock, line=rig.line, start=False)
    for lang in ("zh-CN", "en"):
        text = app.test_client().get(f"/counter/?lang={lang}", base_url=ORIGIN).text
        dialogs = re.findall(r'<dialog id="([^"]+)"(.*?)</dialog>', text, re.DOTALL)
        assert {name for name, _ in dialogs} >= {"sheet", "cover", "help", "shift", "report"}
        mark = f'<p class="practice" aria-hidden="true">{words(lang)["practice"]}</p>'
        assert [name for name, inside in dialogs if mark not in inside] == []
    app.extensions["kiosk"].stop()


@pytest.mark.parametrize("holder", ["reader", "pad", "31-M-02"])
def test_a_practice_kiosk_refuses_a_live_key_of_a_device_or_of_staff_and_names_its_holder(
    rig: Rig, holder: str
) -> None:
    row, keys = json.loads(rig.windows.read_text(encoding="utf-8"))[0], {}
    for name in ("reader", "pad", "31-M-02"):
        path = rig.folder / f"{name}.pem"
        write_private(
            path,
            new_key("ES256", issuer=device_of("31", row["window"], "x")).pem(
                mark="" if name == holder else SANDBOX_MARK
            ),
        )
        keys[name] = f"file:{path}"
    devices = {"reader_key_uri": keys["reader"], "pad_key_uri": keys["pad"], "staff": {"31-M-02": keys["31-M-02"]}}
    row |= {"unit": "11310000MB2F300001", **devices}
    rig.windows.write_text(json.dumps([row]), encoding="utf-8")
    with pytest.raises(Refusal) as told:
        create_app(rig.settings(practice=1), clock=rig.clock, line=rig.line, start=False)
    assert told.value.reason is Reason.KEY_NOT_ALLOWED
    assert f"{row['window']}, {holder}: a practice kiosk takes sandbox keys only" in (told.value.detail or "")


def test_without_practice_nothing_is_written_over_the_page(page: Page) -> None:
    assert 'class="practice"' not in page.client.get("/counter/", base_url=ORIGIN).text


def test_a_live_kiosk_is_none_for_practice() -> None:
    with pytest.raises(ValueError, match="HUZHENG_KIOSK_PRACTICE"):
        read_settings({"HUZHENG_KIOSK_PRACTICE": "1"})
    with pytest.raises(ValueError, match="HUZHENG_KIOSK_PRACTICE"):
        read_settings({"HUZHENG_KIOSK_PRACTICE": "2", "HUZHENG_PROFILE": "sandbox"})
    assert read_settings({"HUZHENG_KIOSK_PRACTICE": "1", "HUZHENG_PROFILE": "sandbox"}).practice


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.network
def test_a_served_kiosk_that_is_told_to_end_lets_go_of_scanner_camera_and_picture_reader(tmp_path: Path) -> None:
    """The real process, ended by SIGTERM; the far end of the scanner's line hears it hang up."""
    rig = new_rig(tmp_path)
    far, near = pty.openpty()
    tty.setraw(near)
    (tmp_path / "usb-box").symlink_to(os.ttyname(near))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "HUZHENG_PROFILE": "sandbox",
        "HUZHENG_KEYLIST": str(rig.folder / "keylist.json"),
        "HUZHENG_KEYLIST_SHA256": rig.keylist_sha256,
        "HUZHENG_KIOSK_WINDOWS": str(rig.windows),
        "HUZHENG_KIOSK_CAMERA": "posted:",
        "HUZHENG_KIOSK_SCANNER": f"serial:{tmp_path}/usb-*",
        "HUZHENG_KIOSK_STATE": str(tmp_path / "state"),
        "HUZHENG_KIOSK_LISTEN": f"127.0.0.1:{port}",
    }
    log = tmp_path / "log"
    with log.open("wb") as told:
        program = subprocess.Popen(
            [sys.executable, "-m", "scanner_kiosk", "run"], env=environment, stdout=told, stderr=told
        )
    address = f"http://127.0.0.1:{port}/counter/"
    try:
        again = urllib3.Retry(total=None, connect=400, backoff_factor=0.1, backoff_max=0.5)
        with urllib3.PoolManager(retries=again, timeout=60) as web:
            text = web.request("GET", address).data.decode()
            token = re.search(r'name="counter-token" content="([^"]+)"', text)
            assert token is not None
            own = {PAGE_HEADER: token[1], "Origin": address.removesuffix("/counter/")}
            end = monotonic() + 60
            while web.request("GET", f"{address}state", headers=own).json()["scanner"] != "ok":
                assert monotonic() < end
            posted = web.request(
                "POST", f"{address}frames", body=png("x"), headers={**own, "Content-Type": "image/png"}
            )
            assert posted.status == 204
        os.close(near)  # the kiosk alone holds it now
        program.terminate()
        program.wait(60)
        with pytest.raises(OSError, match="Input/output error"):
            while True:
                os.read(far, 64)
    finally:
        program.kill()
        program.wait(60)
        os.close(far)
    assert b'"kiosk_ends"' in log.read_bytes(), log.read_text(encoding="utf-8")[-2000:]


# --- settings -------------------------------------------------------------------------------------


def test_an_unknown_setting_is_refused_with_its_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean HUZHENG_KIOSK_CAMERA"):
        read_settings({"HUZHENG_KIOSK_CAMRA": "webcam:0"})
    assert read_settings({"HUZHENG_KIOSK_CAMERA": "posted:", "HUZHENG_PROFILE": "sandbox"}).sandbox


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HUZHENG_KIOSK_LISTEN", "0.0.0.0:80"),
        ("HUZHENG_KIOSK_LISTEN", "127.0.0.1"),
        ("HUZHENG_KIOSK_LISTEN", "127.0.0.1:99999"),
        ("HUZHENG_KIOSK_LANG", "de"),
        ("HUZHENG_KIOSK_SCANNER", "/dev/ttyUSB0"),
        ("HUZHENG_KIOSK_THREADS", "many"),
        ("HUZHENG_KIOSK_THREADS", "0"),
        ("HUZHENG_PROFILE", "test"),
    ],
)
def test_a_setting_that_cannot_hold_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        read_settings({name: value})


def test_a_windows_file_that_cannot_hold_stops_the_start(rig: Rig) -> None:
    good = json.loads(rig.windows.read_text(encoding="utf-8"))
    for bad in (
        "[",
        "{}",
        "[]",
        [{**good[0], "more": 1}],
        [{**good[0], "province": "99"}],
        [{**good[0], "name": ""}],
        [{**good[0], "desk_url": "ftp://x"}],
        [good[0], good[0]],
        [{**good[0], "reader_key_uri": "new:"}],
        [{**good[0], "staff": {"o": ""}}],
        [{**good[0], "staff": {"o": "new:"}, "unit": "X"}],
    ):
        rig.windows.write_text(bad if isinstance(bad, str) else json.dumps(bad), encoding="utf-8")
        with pytest.raises(ValueError, match=re.escape(str(rig.windows))):
            read_windows(rig.windows, sandbox=True)
    rig.windows.write_text(json.dumps(good), encoding="utf-8")
    with pytest.raises(ValueError, match="https"):
        read_windows(rig.windows, sandbox=False)
    devices = {"reader_key_uri": "new:", "pad_key_uri": "new:", "desk_url": "https://desk.example"}
    rig.windows.write_text(json.dumps([{**good[0], **devices}]), encoding="utf-8")
    assert read_windows(rig.windows, sandbox=True)[0].pad_key_uri == "new:"
    with pytest.raises(ValueError, match="simulated"):
        read_windows(rig.windows, sandbox=False)


def test_a_card_that_might_be_a_real_persons_stops_the_start(rig: Rig) -> None:
    people = json.loads(rig.personas.read_text(encoding="utf-8"))
    people[1]["id_number"] = "110101199003070038"
    rig.personas.write_text(json.dumps(people), encoding="utf-8")
    with pytest.raises(ValueError, match="row 2") as stopped:
        create_app(rig.settings(), clock=rig.clock, line=rig.line, start=False)
    assert "110101199003070038" not in str(stopped.value)

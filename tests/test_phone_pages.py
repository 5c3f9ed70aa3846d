"""The phone of the sandbox, from the server: who gets in, what goes out, and that the server could agree for nobody."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from consent.approval import Decision, seal_approval
from consent.b64 import to_b64
from consent.clock import MovableClock
from consent.code import PREFIX
from consent.envelope import belongs_to
from consent.errors import Reason
from consent.keys import SigningKey, jwk_of, new_key
from consent.people import synthetic_id
from consent.provinces import provinces
from consent.sentences import Lang
from consent.showing import open_holder
from tests.phone_stage import PHONES, Stage, certificate, holdings, past_entry, people, set_stage
from wallet_api.doors.guards import guards_of
from wallet_api.pages import phone_blueprint
from wallet_api.pages.words import step_of, texts, told
from wallet_api.personas import load_personas

START = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
TODAY = date(2026, 11, 24)
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
PAGES = Path(__file__).resolve().parent.parent / "wallet_api" / "pages"
NUMBER = re.compile(r"\d{17}[\dX]")


class Browser:
    """A browser with its cookies and a device key, as far as the server can tell."""

    def __init__(self, stage: Stage, persona: str = "zhang-wei") -> None:
        self.stage = stage
        self.client: FlaskClient = stage.app.test_client()
        self.persona = persona
        self.device = new_key("ES256", issuer="device")

    def post(self, path: str, body: Any = None, **headers: str) -> TestResponse:
        return self.client.post(f"/phone/api/{path}", json={} if body is None else body, headers=headers or OWN_PAGE)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(f"/phone/api/{path}", headers=headers)

    def sign_in(self) -> dict[str, Any]:
        answer = self.post("login", {"persona": self.persona, "device": jwk_of(self.device.public)})
        assert answer.status_code == 200, answer.text
        return dict(answer.json)

    def show(self) -> str:
        answer = self.post("show")
        assert answer.status_code == 201, answer.text
        return self.get("state").headers["ETag"].strip('"').partition("-")[0]

    def approval(self, sheet: dict[str, Any], decision: Decision, key: SigningKey | None = None) -> str:
        signing = key or self.device
        me = self.get("me").json
        agreed = {"certificate": certificate()["certificate"], "digits": "47", "declarations": ("marital_status",)}
        return seal_approval(
            SigningKey(issuer=me["sub"], alg=signing.alg, kid=signing.kid, private=signing.private),
            province=me["province"],
            request_digest=sheet["request"],
            decision=decision,
            now=self.stage.clock.now(),
            **(agreed if decision is Decision.AGREE else {}),
        )


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(START)


@pytest.fixture
def stage(tmp_path: Path, clock: MovableClock) -> Iterator[Stage]:
    made = set_stage(tmp_path, clock)
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """For tests that are refused: a signed-in browser whose showing a counter has claimed, and so it stays."""
    made = set_stage(tmp_path_factory.mktemp("shared"), MovableClock(START))
    found = Browser(made)
    found.sign_in()
    made.ask(found.show())
    yield found
    made.engine.dispose()


@pytest.fixture
def browser(stage: Stage) -> Browser:
    made = Browser(stage)
    made.sign_in()
    return made


def code_of(answer: TestResponse) -> str:
    """The reason of a problem."""
    assert answer.content_type.startswith("application/problem+json"), answer.text
    return str(answer.json["code"])


# The people of the sandbox ------------------------------------------------------------------------------------


def written(folder: Path, rows: Any) -> Path:
    path = folder / "people.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def test_personas_are_read_in_their_order_and_print_nobody(tmp_path: Path) -> None:
    found = load_personas(written(tmp_path, people()), today=TODAY)
    assert list(found) == ["zhang-wei", "ayi-guli", "zhou-ming", "paper-only", "sun-li"]
    person = found["zhang-wei"]
    assert person.person.name == "张伟"
    assert person.person.id_number not in repr(person)
    assert "张伟" not in repr(person)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"id_number": "310101198503040019"}, "ID_NUMBER_MALFORMED"),
        ({"id_number": "11010519491231002X"}, "real person"),
        ({"id_number": 310101198503040019}, "id_number"),
        ({"app": "sufuban"}, "not the app of that province"),
        ({"province": "99"}, "WRONG_PROVINCE"),
        ({"name": ""}, "name"),
        ({"name": "·"}, "NAME_MALFORMED"),
        ({"note_en": None}, "note_en"),
        ({"id": "ayi-guli"}, "second time"),
    ],
)
def test_a_row_that_cannot_stand_stops_the_start_without_being_quoted(
    tmp_path: Path, change: dict[str, Any], what: str
) -> None:
    rows = people()
    rows[0] |= change
    with pytest.raises(ValueError, match=what) as caught:
        load_personas(written(tmp_path, rows), today=TODAY)
    assert NUMBER.search(str(caught.value)) is None


@pytest.mark.parametrize("rows", [{}, [1], "x", [[]]])
def test_a_file_that_is_no_list_of_people_stops_the_start(tmp_path: Path, rows: Any) -> None:
    with pytest.raises(ValueError, match=r"people\.json"):
        load_personas(written(tmp_path, rows), today=TODAY)
    with pytest.raises(ValueError, match="FileNotFoundError"):
        load_personas(tmp_path / "nowhere.json", today=TODAY)


# The blueprint ------------------------------------------------------------------------------------------------


def blueprint_with(stage: Stage, **change: Any) -> Any:
    given = {
        "province": "31",
        "login_key": stage.login_key,
        "inner": stage.envelope_key.recipient,
        "personas": {},
        "phones": PHONES,
        "clock": stage.clock,
        "sandbox": True,
    }
    return phone_blueprint(**{**given, **change})


def test_there_is_no_phone_outside_of_the_sandbox(stage: Stage) -> None:
    with pytest.raises(ValueError, match="sandbox only"):
        blueprint_with(stage, sandbox=False)


def test_another_apps_login_key_is_refused_at_the_start(stage: Stage) -> None:
    with pytest.raises(ValueError, match="another app"):
        blueprint_with(stage, province="32")


def test_every_json_route_but_signing_in_wants_a_session(stage: Stage) -> None:
    guards = {route: guard for route, guard in guards_of(stage.app).items() if "/phone/api/" in route}
    assert guards.pop("POST /phone/api/login") == "own page"
    assert set(guards.values()) == {"phone session"}
    for route in guards:
        method, path = route.split(" ")
        answer = stage.app.test_client().open(path, method=method, json={}, headers=OWN_PAGE)
        assert code_of(answer) == "SESSION_EXPIRED", route
        assert answer.status_code == 401


# Pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
@pytest.mark.parametrize("path", ["", "certificates", "show", "history", "nothing-here"])
def test_every_page_says_sandbox_and_carries_a_strict_policy(shared: Browser, path: str, lang: str) -> None:
    shared.client.set_cookie("huzheng-look", f"{lang}.big")
    answer = shared.client.get(f"/phone/{path}", headers={"Accept": "text/html"})
    assert answer.status_code == (404 if path == "nothing-here" else 200)
    page = answer.text
    assert f'<html lang="{lang}" class="big">' in page
    assert texts(Lang(lang))["sandbox"] in page
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.search(r"<[^>]*\s(style|on\w+)=", page) is None
    assert re.search(r"<script(?![^>]*\ssrc=)", page) is None
    assert re.search(r"""(src|href)=["']?(https?:)?//(?!wallet-3[23]\.sandbox\.example/phone/)""", page) is None


@pytest.mark.parametrize("value", ["", "xx", "en", "en.huge", "zh-CN.big.big", "<script>", "\u00e9"])
def test_any_look_cookie_gives_a_page(shared: Browser, value: str) -> None:
    client = shared.stage.app.test_client()
    client.set_cookie("huzheng-look", value)
    assert client.get("/phone/").status_code == 200


def test_a_tap_before_the_script_listens_cannot_be_lost(shared: Browser) -> None:
    for path, button in (("", r"<button[^>]*data-persona=[^>]*>"), ("certificates", r'<button[^>]*id="out"[^>]*>')):
        found = re.findall(button, shared.client.get(f"/phone/{path}").text)
        assert found
        assert all(" disabled" in each for each in found), path


def test_choosing_shows_masked_names_of_this_app_and_the_way_to_the_others(stage: Stage) -> None:
    page = stage.app.test_client().get("/phone/").text
    assert "张*" in page
    assert "阿***·**提" in page
    assert 'href="http://wallet-32.sandbox.example/phone/"' in page
    assert "sun-li" not in page  # uses another province's app
    assert texts(Lang.ZH_CN)["choose.app.off"] in page  # nobody runs the fourth
    for name in ("张伟", "阿依古丽·买买提", "周明", "顾海"):
        assert name not in page


@pytest.mark.parametrize("path", ["certificates", "show", "history"])
def test_a_page_without_a_session_leads_to_the_choice(shared: Browser, path: str) -> None:
    answer = shared.stage.app.test_client().get(f"/phone/{path}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/phone/")


def test_files_are_served_by_name_and_kept_by_their_tag(stage: Stage) -> None:
    client = stage.app.test_client()
    first = client.get("/phone/static/show.js")
    assert first.content_type == "text/javascript; charset=utf-8"
    again = client.get("/phone/static/show.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    for path in ("static/none.js", "static/..%2fphone.py", "static/phone.py", "texts/fr.json", "texts/..json"):
        assert client.get(f"/phone/{path}").status_code == 404, path


def test_both_dictionaries_are_served_whole(stage: Stage) -> None:
    for lang in Lang:
        assert stage.app.test_client().get(f"/phone/texts/{lang}.json").json == dict(texts(lang))


# Signing in ---------------------------------------------------------------------------------------------------


def test_the_cookie_is_opaque_out_of_reach_for_scripts_and_named_by_province(stage: Stage) -> None:
    browser = Browser(stage)
    device = jwk_of(browser.device.public)
    answer = browser.post("login", {"persona": "zhang-wei", "device": device})
    (cookie,) = answer.headers.getlist("Set-Cookie")
    name, _, rest = cookie.partition("=")
    assert name == "huzheng-phone-31"
    assert re.match(r"[A-Za-z0-9_-]{43};", rest)
    assert {"HttpOnly", "SameSite=Strict", "Path=/phone"} <= set(rest.split("; "))
    assert answer.json["name"] == "张*"
    assert answer.json["persona"] == "zhang-wei"


def test_one_person_has_one_pseudonym_and_two_have_two(stage: Stage) -> None:
    subs = [Browser(stage, who).sign_in()["sub"] for who in ("zhang-wei", "zhang-wei", "zhou-ming")]
    assert subs[0] == subs[1] != subs[2]
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", subs[0])


def test_signing_in_twice_gives_two_sessions(stage: Stage) -> None:
    first, second = Browser(stage), Browser(stage)
    first.sign_in()
    second.sign_in()
    first.post("logout")
    assert code_of(first.get("me")) == "SESSION_EXPIRED"
    assert second.get("me").status_code == 200


@pytest.mark.parametrize("persona", ["nobody", "sun-li"])
def test_only_personas_of_this_app_sign_in(stage: Stage, persona: str) -> None:
    browser = Browser(stage, persona)
    answer = browser.post("login", {"persona": persona, "device": jwk_of(browser.device.public)})
    assert code_of(answer) == "INVALID_GRANT"
    assert answer.headers.getlist("Set-Cookie") == []


def test_a_session_ends_after_two_hours_of_silence_and_not_before(browser: Browser, clock: MovableClock) -> None:
    clock.advance(7199)
    assert browser.get("me").status_code == 200
    clock.advance(7199)
    assert browser.get("me").status_code == 200
    clock.advance(7201)
    assert code_of(browser.get("me")) == "SESSION_EXPIRED"


def test_a_made_up_cookie_is_nobody(stage: Stage) -> None:
    client = stage.app.test_client()
    for value in ("x", to_b64(bytes(32)), "\u00e9", "a" * 4000):
        client.set_cookie("huzheng-phone-31", value, path="/phone")
        assert code_of(client.get("/phone/api/me")) == "SESSION_EXPIRED"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"X-Nothing": "said"},
    ],
)
def test_another_site_changes_nothing(shared: Browser, headers: dict[str, str]) -> None:
    for path in ("show", "close", "approval", "withdraw", "certificates", "logout"):
        assert code_of(shared.post(path, **headers)) == "FORBIDDEN"
    login = {"persona": "zhang-wei", "device": jwk_of(shared.device.public)}
    assert code_of(shared.post("login", login, **headers)) == "FORBIDDEN"
    form = shared.client.post("/phone/show", data={}, headers=headers, content_type="application/x-www-form-urlencoded")
    assert form.status_code == 403
    assert shared.get("state").json["state"] == "CLAIMED"


def test_an_old_browser_is_known_by_its_origin(browser: Browser) -> None:
    assert browser.post("show", Origin="http://localhost").status_code == 201


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_changes_anything(shared: Browser, content_type: str) -> None:
    answer = shared.client.post("/phone/api/show", data="{}", content_type=content_type, headers=OWN_PAGE)
    assert code_of(answer) == "MEDIA_TYPE"


def login_bodies() -> list[Any]:
    device = jwk_of(new_key("ES256", issuer="x").public)
    return [
        {"persona": "zhang-wei"},
        {"persona": "zhang-wei", "device": {**device, "d": "secret"}},
        {"persona": "zhang-wei", "device": {**device, "kty": "OKP"}},
        {"persona": "zhang-wei", "device": {**device, "x": device["x"][:-1]}},
        {"persona": ["zhang-wei"], "device": device},
        {"persona": "zhang-wei", "device": device, "more": 1},
        [],
        None,
        1,
    ]


@pytest.mark.parametrize("body", login_bodies(), ids=range(len(login_bodies())))
def test_a_login_with_another_body_is_refused(shared: Browser, body: Any) -> None:
    raw = json.dumps(body)
    client = shared.stage.app.test_client()
    answer = client.post("/phone/api/login", data=raw, content_type="application/json", headers=OWN_PAGE)
    assert code_of(answer) == "BODY_INVALID"


def test_a_point_that_is_not_on_the_curve_is_refused(stage: Stage) -> None:
    device = {**jwk_of(new_key("ES256", issuer="x").public), "y": to_b64(bytes(31) + b"\x01")}
    answer = Browser(stage).post("login", {"persona": "zhang-wei", "device": device})
    assert code_of(answer) == "KEY_NOT_ALLOWED"


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a":1,"a":1}', b"\xff", b"[" * 500, b"NaN"])
def test_a_body_that_cannot_be_read_is_refused(shared: Browser, raw: bytes) -> None:
    for path in ("login", "show", "approval"):
        answer = shared.client.post(f"/phone/api/{path}", data=raw, content_type="application/json", headers=OWN_PAGE)
        assert code_of(answer) == "BODY_MALFORMED"


# Showing ------------------------------------------------------------------------------------------------------


def test_a_showing_carries_a_login_that_only_the_inner_network_can_open(browser: Browser, stage: Stage) -> None:
    row = stage.row(browser.show())
    keys = stage.app.extensions["wallet_api"].keys
    holder = open_holder(row.holder_jwt, keys, province="31", now=stage.clock.now())
    person = holder.person(stage.envelope_key)
    assert (person.name, person.id_number) == ("张伟", synthetic_id("310199", date(1985, 3, 4), 1))
    assert holder.device.kid == browser.device.kid
    assert (row.app, row.sub) == ("suishenban", browser.get("me").json["sub"])
    assert [kind for kind, _, _ in stage.errands()] == ["holdings", "holdings"]  # one for the list, one for the showing


def test_a_second_showing_ends_the_first(browser: Browser, stage: Stage) -> None:
    first = browser.show()
    stage.clock.advance(1)  # type: ignore[attr-defined]
    second = browser.show()
    assert stage.row(first).state == "SUPERSEDED"
    assert stage.row(second).state == "OPEN"


def test_the_picture_is_the_code_of_this_slice_black_on_white(
    browser: Browser, stage: Stage, clock: MovableClock
) -> None:
    showing_id = browser.show()
    answer = browser.get("code").json
    assert answer["refresh_in"] == 30
    assert answer["good_for"] == 60
    drawing = b64decode(answer["picture"].removeprefix("data:image/svg+xml;base64,")).decode()
    assert 'fill="white"' in drawing or "fill:white" in drawing or "#fff" in drawing.lower()
    still = browser.client.get("/phone/code.png").data
    pixels = cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_GRAYSCALE)
    (read,) = zxingcpp.read_barcodes(pixels, formats=zxingcpp.BarcodeFormat.QRCode)
    expected = stage.app.extensions["wallet_api"].code("suishenban", showing_id, now=clock.now()).text
    assert read.text == expected
    assert expected.startswith(PREFIX)
    clock.advance(12)
    assert browser.get("code").json["refresh_in"] == 18
    assert browser.get("code").json["picture"] == answer["picture"]
    clock.advance(18)
    assert browser.get("code").json["picture"] != answer["picture"]


def test_the_state_is_polled_by_its_tag(browser: Browser, stage: Stage) -> None:
    assert browser.get("state").json == {"state": "NONE", "version": 0}
    showing_id = browser.show()
    first = browser.get("state")
    assert first.json["state"] == "OPEN"
    assert browser.get("state", **{"If-None-Match": first.headers["ETag"]}).status_code == 304
    stage.ask(showing_id)
    second = browser.get("state", **{"If-None-Match": first.headers["ETag"]})
    assert (second.status_code, second.json["state"], second.json["asked"]) == (200, "CLAIMED", True)


def test_closing_ends_an_open_showing_and_not_one_that_a_counter_has(browser: Browser, stage: Stage) -> None:
    assert code_of(browser.post("close")) == "SHOWING_UNKNOWN"
    showing_id = browser.show()
    assert browser.post("close").status_code == 200
    assert stage.row(showing_id).state == "EXPIRED"
    assert code_of(browser.get("code")) == "CODE_EXPIRED"
    stage.clock.advance(1)  # type: ignore[attr-defined]
    stage.ask(browser.show())
    assert code_of(browser.post("close")) == "STATE_FORBIDS"


def test_nothing_is_there_before_the_first_showing(browser: Browser) -> None:
    for path in ("code", "sheet", "receipt"):
        assert code_of(browser.get(path)) == "SHOWING_UNKNOWN"
    assert browser.client.get("/phone/code.png").status_code == 404


# Answering ----------------------------------------------------------------------------------------------------


def test_the_sheet_comes_whole_and_with_the_certificates_once_they_are_found(browser: Browser, stage: Stage) -> None:
    showing_id = browser.show()
    assert code_of(browser.get("sheet")) == "REQUEST_UNKNOWN"
    sheet = stage.ask(showing_id)
    assert browser.get("sheet").json == {"sheet": sheet, "holdings": None}
    before = browser.get("state").headers["ETag"]
    stage.libraries_answer(holdings(certificate()))
    assert browser.get("sheet").json["holdings"]["certificates"] == [certificate()]
    assert browser.get("state", **{"If-None-Match": before}).status_code == 200


def test_what_the_device_signed_is_taken_and_handed_to_the_inner_network(browser: Browser, stage: Stage) -> None:
    showing_id = browser.show()
    approval = browser.approval(stage.ask(showing_id), Decision.AGREE)
    answer = browser.post("approval", {"approval": approval})
    assert answer.status_code == 202, answer.text
    assert stage.row(showing_id).state == "ANSWERED"
    assert stage.errands()[-1] == ("approval", showing_id, {"approval": approval})
    assert browser.post("approval", {"approval": approval}).status_code == 202  # a lost reply


def test_another_device_cannot_answer(browser: Browser, stage: Stage) -> None:
    sheet = stage.ask(browser.show())
    forged = browser.approval(sheet, Decision.AGREE, new_key("ES256", issuer="device"))
    assert code_of(browser.post("approval", {"approval": forged})) == "DOCUMENT_KEY_UNKNOWN"
    assert browser.get("state").json["state"] == "CLAIMED"


@pytest.mark.parametrize(
    "body", [{}, {"approval": 1}, {"approval": ""}, {"approval": "a" * 1401}, {"approval": "a", "b": 1}]
)
def test_an_answer_of_another_shape_is_refused(shared: Browser, body: dict[str, Any]) -> None:
    for path in ("approval", "withdraw"):
        assert code_of(shared.post(path, body)) == "BODY_INVALID"


@given(text=st.text(max_size=200))
@settings(max_examples=30, deadline=None)
def test_any_text_as_an_answer_is_read_or_refused_and_never_a_fault(shared: Browser, text: str) -> None:
    answer = shared.post("approval", {"approval": text})
    assert 400 <= answer.status_code < 500


def test_a_consent_is_withdrawn_until_it_is_delivered(browser: Browser, stage: Stage) -> None:
    showing_id = browser.show()
    sheet = stage.ask(showing_id)
    browser.post("approval", {"approval": browser.approval(sheet, Decision.AGREE)})
    early = browser.post("withdraw", {"approval": browser.approval(sheet, Decision.WITHDRAW)})
    assert code_of(early) == "STATE_FORBIDS"
    stage.move(showing_id, "consent")
    assert browser.post("withdraw", {"approval": browser.approval(sheet, Decision.WITHDRAW)}).status_code == 202
    assert browser.get("state").json["state"] == "WITHDRAWING"
    stage.end(showing_id, "deliver", given=("holder_match",))
    late = browser.post("withdraw", {"approval": browser.approval(sheet, Decision.WITHDRAW)})
    assert code_of(late) == "WITHDRAWAL_TOO_LATE"


def test_a_pause_can_be_withdrawn_from_and_an_end_cannot(browser: Browser, stage: Stage) -> None:
    for ended in (False, True):
        showing_id = browser.show()
        sheet = stage.ask(showing_id)
        browser.post("approval", {"approval": browser.approval(sheet, Decision.AGREE)})
        stage.move(showing_id, "consent")
        if ended:
            stage.end(showing_id, "undetermine", "DEADLINE")
        else:
            stage.move(showing_id, "undetermine", reason="LIBRARY_UNREACHABLE")
        withdrawal = browser.post("withdraw", {"approval": browser.approval(sheet, Decision.WITHDRAW)})
        after = browser.get("state").json
        if ended:
            assert code_of(withdrawal) == "STATE_FORBIDS"
            assert (after["state"], after["reason"]) == ("UNDETERMINED", "DEADLINE")
        else:
            assert withdrawal.status_code == 202
            assert (after["state"], after["reason"]) == ("WITHDRAWING", None), "the silence is no news any more"
        assert len([each for each in stage.errands_of("withdrawal") if each[1] == showing_id]) == (not ended)


def test_a_result_says_what_was_given_and_its_receipt_is_a_file(browser: Browser, stage: Stage) -> None:
    showing_id = browser.show()
    sheet = stage.ask(showing_id)
    assert code_of(browser.get("receipt")) == "RECEIPT_UNKNOWN"
    browser.post("approval", {"approval": browser.approval(sheet, Decision.AGREE)})
    stage.move(showing_id, "consent")
    stage.end(showing_id, "deliver", given=("holder_match",))
    state = browser.get("state").json
    assert (state["ended"], state["result"]["given"], state["result"]["receipt"]) == (True, ["holder_match"], True)
    receipt = browser.get("receipt")
    assert receipt.content_type == "application/jwt"
    assert "attachment" in receipt.headers["Content-Disposition"]
    assert receipt.text.count(".") == 2


@pytest.mark.parametrize("reason", [Reason.DIGITS_WRONG, Reason.HOLDER_MISMATCH, Reason.CHANNEL_SUSPENDED])
def test_a_refusal_is_told_in_the_citizens_words(browser: Browser, stage: Stage, reason: Reason) -> None:
    showing_id = browser.show()
    sheet = stage.ask(showing_id)
    browser.post("approval", {"approval": browser.approval(sheet, Decision.AGREE)})
    stage.end(showing_id, "refuse", reason.value)
    state = browser.get("state").json
    assert {"sentence": state["sentence"], "next": state["next"]} == told(reason)


# Certificates and history -------------------------------------------------------------------------------------


def test_certificates_are_asked_for_at_sign_in_and_come_when_the_libraries_have_answered(
    browser: Browser, stage: Stage, clock: MovableClock
) -> None:
    assert browser.get("certificates").json == {"holdings": None}
    found = holdings(certificate(), silent=("34",))
    assert stage.libraries_answer(found) == 1
    assert browser.get("certificates").json["holdings"] == json.loads(found)
    clock.advance(601)
    assert code_of(browser.get("certificates")) == "REQUEST_UNKNOWN"
    assert browser.post("certificates").status_code == 202
    assert browser.get("certificates").json == {"holdings": None}


def test_the_history_is_asked_for_with_a_login_of_its_own_and_read_when_the_provinces_have_answered(
    browser: Browser, stage: Stage, clock: MovableClock
) -> None:
    assert code_of(browser.get("history")) == "REQUEST_UNKNOWN"
    assert browser.post("history", {"earlier": None}).status_code == 202
    assert browser.get("history").json == {"history": None}
    ((_, _, body),) = stage.errands_of("history")
    assert (body["app"], body["earlier"]) == ("suishenban", None)
    found = {"entries": [past_entry(2, "DECLINED", "DECLINED"), past_entry()], "silent": ["34"], "earlier": None}
    assert stage.answer("history", found) == 1
    read = browser.get("history").json["history"]
    assert [each["outcome"] for each in read["entries"]] == ["DECLINED", "PASSED"]
    assert read["silent"] == ["34"]
    assert read["entries"][0]["sentence"] == told(Reason.DECLINED)["sentence"]
    assert read["entries"][1]["sentence"] is None
    clock.advance(601)
    assert code_of(browser.get("history")) == "REQUEST_UNKNOWN"


@pytest.mark.parametrize("body", [{}, {"earlier": 1}, {"earlier": "x"}, {"earlier": None, "more": 1}])
def test_a_look_back_has_one_member(browser: Browser, body: dict[str, Any]) -> None:
    assert code_of(browser.post("history", body)) == "BODY_INVALID"


def test_an_objection_carries_its_words_closed_and_comes_back_with_a_number(browser: Browser, stage: Stage) -> None:
    entry = past_entry()["entry"]
    said = {"entry": entry, "kind": "DATA_WRONG", "text": "日期不对\n谢谢"}
    assert code_of(browser.get("objection")) == "REQUEST_UNKNOWN"
    assert browser.post("objection", said).status_code == 202
    assert browser.get("objection").json == {"number": None}
    ((_, ref, body),) = stage.errands_of("objection")
    assert "日期不对" not in json.dumps(body, ensure_ascii=False)
    info = belongs_to("objection", "31", ref)
    assert json.loads(stage.envelope_key.open(body["text"], info=info)) == {"text": said["text"]}
    assert stage.answer("objection", {"number": "31-000007"}) == 1
    assert browser.get("objection").json == {"number": "31-000007"}


@pytest.mark.parametrize(
    "changes",
    [{"entry": "31"}, {"kind": "OTHER"}, {"text": "字" * 501}, {"text": "\x00"}, {"text": 1}, {"more": 1}],
)
def test_what_is_no_objection_is_refused(browser: Browser, changes: dict[str, Any]) -> None:
    said = {"entry": past_entry()["entry"], "kind": "DATA_WRONG", "text": "", **changes}
    assert code_of(browser.post("objection", said)) == "BODY_INVALID"


def test_two_people_never_see_each_others_showing(stage: Stage) -> None:
    browser, other = Browser(stage), Browser(stage, "zhou-ming")
    browser.sign_in()
    other.sign_in()
    stage.ask(browser.show())
    assert other.get("state").json["state"] == "NONE"
    assert code_of(other.get("sheet")) == "SHOWING_UNKNOWN"


def test_no_name_and_no_number_leaves_the_server_or_gets_into_a_log(browser: Browser, stage: Stage) -> None:
    showing_id = browser.show()
    sheet = stage.ask(showing_id, found=holdings(certificate()))
    browser.post("approval", {"approval": browser.approval(sheet, Decision.AGREE)})
    said = [browser.get(path).text for path in ("me", "state", "sheet", "certificates", "code")]
    said += [browser.client.get(f"/phone/{page}").text for page in ("", "certificates", "show", "history")]
    said.append(stage.lines.getvalue())
    for person in people():
        for text in said:
            assert person["id_number"] not in text
            assert person["name"] not in text
    assert showing_id not in stage.lines.getvalue()


# Without script -----------------------------------------------------------------------------------------------


def test_without_script_a_still_code_is_left_and_a_button_for_the_next(browser: Browser) -> None:
    assert "code.png" not in browser.client.get("/phone/show").text
    form = browser.client.post("/phone/show", data={"go": "1"}, headers=OWN_PAGE)
    assert (form.status_code, form.headers["Location"]) == (303, "/phone/show")
    page = browser.client.get("/phone/show").text
    noscript = page[page.index("<noscript>") : page.index("</noscript>")]
    assert 'src="/phone/code.png"' in noscript
    assert texts(Lang.ZH_CN)["show.static"] in noscript
    assert '<form method="post" action="/phone/show">' in noscript


def test_a_failure_outside_of_the_json_is_a_page_in_the_citizens_language(stage: Stage) -> None:
    client = stage.app.test_client()
    client.set_cookie("huzheng-look", "en.normal")
    answer = client.get("/phone/code.png", headers={"Accept": "image/png"})
    assert answer.status_code == 401
    assert told(Reason.SESSION_EXPIRED)["sentence"]["en"] in answer.text
    assert told(Reason.SESSION_EXPIRED)["next"]["en"] in answer.text


# Words --------------------------------------------------------------------------------------------------------


def test_both_dictionaries_have_the_same_keys_in_the_same_order() -> None:
    chinese, english = texts(Lang.ZH_CN), texts(Lang.EN)
    assert list(chinese) == list(english)
    for key in chinese:
        holes = [sorted(re.findall(r"\{(\w+)\}", book[key])) for book in (chinese, english)]
        assert holes[0] == holes[1], key


def test_chinese_texts_hold_no_foreign_jargon_and_english_ones_no_chinese() -> None:
    for key, text in texts(Lang.ZH_CN).items():
        assert re.search(r"[A-Za-z]", re.sub(r"\{\w+\}", "", text)) is None, key
    for key, text in texts(Lang.EN).items():
        assert re.search(r"[\u4e00-\u9fff]", text) is None, key


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    sources = [*(PAGES / "static").glob("*.js"), *(PAGES / "templates" / "phone").glob("*.html")]
    written = "".join(each.read_text(encoding="utf-8") for each in sources)
    keys = set(texts(Lang.ZH_CN))
    families = {"status.", "type.", "step.", "nav.", "result.", "outcome.", "kind."}  # looked up by state, kind or tab
    unused = {key for key in keys if f'"{key}"' not in written and not any(key.startswith(each) for each in families)}
    assert unused == set()
    asked = set(re.findall(r'\bt\("([a-z0-9.]+)"\s*[,)]', written)) | set(
        re.findall(r'data-text="([a-z0-9.]+)"', written)
    )
    asked |= set(re.findall(r't\["([a-z0-9.]+)"\]', written)) | set(re.findall(r'part\("([a-z.]+)"', written))
    assert asked - keys == set()
    assert len(asked) > 60


def test_every_reason_has_a_next_step_that_speaks_to_the_citizen() -> None:
    for reason in Reason:
        assert f"step.{step_of(reason)}" in texts(Lang.ZH_CN), reason
        step = told(reason)["next"]
        assert "当事人" not in step["zh"], reason
        assert "citizen" not in step["en"].lower(), reason


def test_every_state_in_which_a_showing_can_end_has_a_heading() -> None:
    from consent.states import SHOWING

    for state in (*SHOWING.ends, "UNDETERMINED"):
        assert f"result.{state}" in texts(Lang.ZH_CN), state


def test_scripts_are_plain_and_local_and_never_write_markup() -> None:
    for each in (PAGES / "static").glob("*.js"):
        code = "\n".join(line.partition("// ")[0] for line in each.read_text(encoding="utf-8").splitlines())
        assert (
            re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", code) is None
        ), each
        assert re.search(r"\?\.[a-zA-Z(\[]|\?\?|\|\|=|&&=|#[a-z]+\s*[=;(]", code.replace('"#i-"', "")) is None, (
            each
        )  # ES2019
        assert re.findall(r"https?://[^\s\"']+", code) in ([], ["http://www.w3.org/2000/svg"]), each


def test_the_key_is_made_in_the_browser_and_cannot_be_taken_out() -> None:
    code = (PAGES / "static" / "device.js").read_text(encoding="utf-8")
    assert 'crypto.subtle.generateKey(ALGORITHM, false, ["sign"])' in code
    assert 'exportKey("jwk", pair.publicKey)' in code
    assert code.count("exportKey") == 1


@pytest.mark.full
def test_all_four_apps_have_a_phone(tmp_path: Path, clock: MovableClock) -> None:
    for code, province in provinces().items():
        folder = tmp_path / code
        folder.mkdir()
        made = set_stage(folder, clock, code=code)
        page = made.app.test_client().get("/phone/").text
        assert province.app_name_zh in page
        browser = Browser(made)
        assert browser.sign_in()["province"] == code
        assert browser.client.get_cookie(f"huzheng-phone-{code}", path="/phone") is not None
        made.engine.dispose()

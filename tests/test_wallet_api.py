"""The service of the apps, over HTTP, with real keys and a real store."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from flask import Blueprint
from joserfc.jwk import ECKey
from openapi_spec_validator import validate as validate_openapi
from PIL import Image
from redis import Redis
from schemathesis import GenerationMode
from werkzeug.test import TestResponse

from consent.approval import Decision
from consent.b64 import new_id
from consent.clock import MovableClock, rfc3339
from consent.code import open_code
from consent.errors import ROWS, Reason, Refusal, Unavailable
from consent.holding import seal_holding
from consent.invitation import seal_invitation
from consent.keylist import read_key_list
from consent.keys import SigningKey, jwk_of, new_key
from consent.showing import read_slice
from consent.standing import seal_standing
from consent.stores import handover
from consent.stores.base import writing
from consent.stores.queue import finish, park, take
from consent.stores.signals import Signals
from consent.stores.valkey import start_valkey
from tests.described import CALLS, hold_to_its_description
from tests.outer import PERSON, START, VENDOR, Outer, Phone, found_outer
from tests.receiver import Rig, receiving
from wallet_api import picture
from wallet_api.app import create_app
from wallet_api.doors.guards import guards_of
from wallet_api.limits import Limits, TooMany
from wallet_api.settings import Settings, checked, read_settings
from wallet_api.showings import Showings

CREATING = ("/v1/showings", "/v1/certificates/lookups")
KNOWN_GUARDS = {
    "nothing",
    "vendor showings:write",
    "vendor showings:read",
    "vendor certificates:read",
    "vendor webhooks",
}
OPEN_ROUTES = {
    "GET /docs",
    "GET /docs/<name>",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "GET /openapi.json",
    "GET /problems",
    "GET /problems/<code>",
    "POST /oauth/token",
}


@pytest.fixture
def outer(tmp_path: Path) -> Iterator[Outer]:
    made = found_outer(tmp_path / "31")
    yield made
    made.close()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outer]:
    """One for all tests whose calls are refused and leave nothing behind."""
    made = found_outer(tmp_path_factory.mktemp("untouched") / "31", vendor_per_minute=10_000)
    yield made
    made.close()


@pytest.fixture
def phone() -> Phone:
    return Phone()


def problem(answer: TestResponse, reason: Reason) -> dict[str, Any]:
    """The problem document of an answer, which must be this one and complete."""
    assert answer.content_type == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json
    assert (body["code"], answer.status_code, body["status"]) == (reason, ROWS[reason].http, ROWS[reason].http)
    assert body["type"] == f"/problems/{reason}"
    assert body["request_id"] == answer.headers["Request-Id"]
    assert body["sentences"]["zh"]
    assert body["next"]["en"]
    return body


def guarded(outer: Outer) -> list[tuple[str, str]]:
    """Every route that wants a token, as (method, an address)."""
    routes = [route.split() for route, guard in guards_of(outer.app).items() if guard != "nothing"]
    return [(method, re.sub(r"<\w+>", "0" * 24, rule)) for method, rule in routes]


# Opening ----------------------------------------------------------------------------------------------------


def test_a_showing_is_opened_and_the_libraries_are_asked(outer: Outer, phone: Phone) -> None:
    holder = outer.login(phone)
    answer = outer.call("POST", "/v1/showings", {"holder": holder}, Idempotency_Key="a-1")
    assert answer.status_code == 201
    showing_id = answer.json["showing_id"]
    assert answer.headers["Location"] == f"/v1/showings/{showing_id}"
    assert answer.json["state"] == "OPEN"
    assert answer.json["expires_at"] == rfc3339(START + timedelta(minutes=10))
    (errand,) = outer.errands()
    assert (errand.kind, errand.ref) == ("holdings", showing_id)
    assert json.loads(errand.body) == {"holder": holder, "showing_id": showing_id}
    assert outer.row(showing_id).holdings_errand == errand.id


def test_opening_again_ends_the_earlier_showing(outer: Outer, phone: Phone) -> None:
    first, second = outer.open(phone), outer.open(phone)
    assert outer.call("GET", f"/v1/showings/{first}").json["state"] == "SUPERSEDED"
    assert outer.call("GET", f"/v1/showings/{second}").json["state"] == "OPEN"
    problem(outer.call("GET", f"/v1/showings/{first}/code"), Reason.SHOWING_CLOSED)


@pytest.mark.parametrize("first", CREATING)
def test_a_login_counts_once_for_showings_and_lookups_together(outer: Outer, phone: Phone, first: str) -> None:
    holder = outer.login(phone)
    assert outer.call("POST", first, {"holder": holder}, Idempotency_Key="a").status_code in (201, 202)
    for path in CREATING:
        answer = outer.call("POST", path, {"holder": holder}, Idempotency_Key=new_id())
        problem(answer, Reason.DOCUMENT_REPLAYED)
    assert len(outer.errands()) == 1


def test_the_same_key_and_body_give_the_same_answer(outer: Outer, phone: Phone) -> None:
    body = {"holder": outer.login(phone)}
    first = outer.call("POST", "/v1/showings", body, Idempotency_Key="k")
    outer.clock.advance(120)  # the login has expired; the answer has not
    again = outer.call("POST", "/v1/showings", body, Idempotency_Key="k")
    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(outer.errands()) == 1


@pytest.mark.parametrize("path", CREATING)
def test_the_same_key_with_another_body_is_refused(outer: Outer, phone: Phone, path: str) -> None:
    outer.call("POST", path, {"holder": outer.login(phone)}, Idempotency_Key="k")
    answer = outer.call("POST", path, {"holder": outer.login(phone)}, Idempotency_Key="k")
    problem(answer, Reason.IDEMPOTENCY_MISMATCH)


@pytest.mark.parametrize("path", CREATING)
def test_a_retry_while_the_first_is_answered_is_told_to_wait(
    outer: Outer, phone: Phone, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, admit, early = {"holder": outer.login(phone)}, Showings.admit, []

    def slow(*given: Any, **named: Any) -> Any:
        early.append(outer.call("POST", path, body, Idempotency_Key="k"))
        return admit(*given, **named)

    monkeypatch.setattr(Showings, "admit", slow)
    first = outer.call("POST", path, body, Idempotency_Key="k")
    problem(early[0], Reason.IDEMPOTENCY_IN_FLIGHT)
    assert first.status_code in (201, 202)
    assert outer.call("POST", path, body, Idempotency_Key="k").json == first.json


@pytest.mark.parametrize("key", ["", "x" * 65, "with space"])
def test_a_post_without_a_usable_key_is_refused(outer: Outer, phone: Phone, key: str) -> None:
    for path in ("/v1/showings", "/v1/certificates/lookups"):
        answer = outer.call("POST", path, {"holder": outer.login(phone)}, Idempotency_Key=key)
        problem(answer, Reason.IDEMPOTENCY_KEY_MISSING)


def test_a_refused_request_gives_its_key_back(outer: Outer, phone: Phone) -> None:
    late = outer.login(phone)
    outer.clock.advance(61)
    problem(outer.call("POST", "/v1/showings", {"holder": late}, Idempotency_Key="k"), Reason.DOCUMENT_EXPIRED)
    answer = outer.call("POST", "/v1/showings", {"holder": outer.login(phone)}, Idempotency_Key="k")
    assert answer.status_code == 201


def test_eight_requests_at_once_under_one_key_open_one_showing(outer: Outer, phone: Phone) -> None:
    body, token = {"holder": outer.login(phone)}, outer.token()
    together = threading.Barrier(8)

    def send(_: int) -> TestResponse:
        together.wait()
        return outer.client.post(
            "/v1/showings", json=body, headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
        )

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(send, range(8)))
    opened = {answer.json["showing_id"] for answer in answers if answer.status_code == 201}
    assert len(opened) == 1
    for answer in answers:
        if answer.status_code != 201:
            problem(answer, Reason.IDEMPOTENCY_IN_FLIGHT)
    assert len(outer.errands()) == 1


def _bad_logins(outer: Outer, phone: Phone) -> dict[Reason, str]:
    good = outer.login(phone)
    head, payload, signature = good.split(".")
    flipped = "A" if signature[0] != "A" else "B"
    stranger, jwk = new_key("ES256", issuer=outer.login_key.issuer), jwk_of(phone.key.public)
    return {
        Reason.DOCUMENT_MALFORMED: "not a document",
        Reason.DOCUMENT_SIGNATURE: f"{head}.{payload}.{flipped}{signature[1:]}",
        Reason.DOCUMENT_KEY_UNKNOWN: outer.login(phone, key=stranger),
        Reason.DOCUMENT_WRONG_KIND: outer.approval(phone, "A" * 43),
        Reason.DOCUMENT_CLAIMS: outer.login(phone, province="32"),
        Reason.DOCUMENT_EXPIRED: outer.login(phone, auth_time=outer.clock.now() - timedelta(hours=1)),
        Reason.DOCUMENT_NOT_YET_VALID: outer.login(phone, now=outer.clock.now() + timedelta(seconds=30)),
        Reason.KEY_NOT_ALLOWED: outer.login(phone, device_jwk={**jwk, "x": jwk["y"]}),  # a point off the curve
    }


def test_every_bad_login_is_refused_by_name(outer: Outer, phone: Phone) -> None:
    for reason, holder in _bad_logins(outer, phone).items():
        for path in ("/v1/showings", "/v1/certificates/lookups"):
            problem(outer.call("POST", path, {"holder": holder}, Idempotency_Key=new_id()), reason)
    assert outer.errands() == []


def test_an_app_cannot_bring_anothers_login(tmp_path: Path, phone: Phone) -> None:
    other = new_key("ES256", issuer="zheliban")
    life = {"not_before": START - timedelta(days=1), "not_after": START + timedelta(days=1)}
    outer = found_outer(tmp_path / "31", listed=(other.published("holder+jwt", **life),))
    answer = outer.call("POST", "/v1/showings", {"holder": outer.login(phone, key=other)}, Idempotency_Key="k")
    problem(answer, Reason.FORBIDDEN)
    outer.close()


# The code ---------------------------------------------------------------------------------------------------


def test_the_code_names_the_showing_and_its_slice(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    outer.clock.advance(42)
    answer = outer.call("GET", f"/v1/showings/{showing_id}/code")
    assert answer.headers["Cache-Control"] == "no-store"
    ring = read_key_list(Path(outer.settings.keylist), pinned=outer.settings.keylist_sha256).ring
    code = open_code(answer.json["code"], ring, now=outer.clock.now())
    assert read_slice(code.cti, b"showing key of a test province..") == (showing_id, 1)
    assert answer.json["server_time"] == rfc3339(outer.clock.now()) == answer.headers["Server-Time"]
    assert (answer.json["issued_at"], answer.json["expires_at"]) == (
        rfc3339(code.issued_at),
        rfc3339(code.expires_at),
    )
    assert answer.json["refresh_in"] == 18 == int(answer.headers["Refresh-In"])


def test_all_who_ask_within_a_slice_get_the_same_code_and_a_new_one_after(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    path = f"/v1/showings/{showing_id}/code"
    first = outer.call("GET", path, Accept="text/plain")
    outer.clock.advance(29.9)
    assert outer.call("GET", path, Accept="text/plain", If_None_Match=first.headers["ETag"]).status_code == 304
    outer.clock.advance(0.2)
    second = outer.call("GET", path, Accept="text/plain", If_None_Match=first.headers["ETag"])
    assert second.status_code == 200
    assert second.text != first.text


@pytest.mark.parametrize("kind", ["image/png", "image/svg+xml", "text/plain"])
def test_the_code_is_drawn_as_asked(outer: Outer, phone: Phone, kind: str) -> None:
    path = f"/v1/showings/{outer.open(phone)}/code"
    text = outer.call("GET", path).json["code"]
    answer = outer.call("GET", path, Accept=kind)
    assert answer.mimetype == kind
    assert answer.headers["Vary"] == "Accept"
    if kind == "text/plain":
        assert answer.text == text
    elif kind == "image/png":
        (found,) = zxingcpp.read_barcodes(
            Image.open(BytesIO(answer.data)).convert("L"), formats=zxingcpp.BarcodeFormat.QRCode
        )
        assert found.text == text
    else:
        assert "<script" not in answer.text
        assert answer.text.count("<path") == 1


def test_a_picture_is_version_7_with_four_white_modules(outer: Outer, phone: Phone) -> None:
    path = f"/v1/showings/{outer.open(phone)}/code"
    image = Image.open(BytesIO(outer.call("GET", path, Accept="image/png").data)).convert("L")
    assert image.size == ((45 + 8) * picture.PIXELS,) * 2
    margin = picture.BORDER * picture.PIXELS
    box = image.point(lambda value: 255 - value).getbbox()
    assert box == (margin, margin, image.width - margin, image.height - margin)


def test_a_text_too_long_for_version_7_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="version"):
        picture.png("YRD1:" + "A" * 200)


def test_what_the_phone_cannot_take_is_not_acceptable(outer: Outer, phone: Phone) -> None:
    path = f"/v1/showings/{outer.open(phone)}/code"
    problem(outer.call("GET", path, Accept="image/webp"), Reason.NOT_ACCEPTABLE)
    problem(outer.call("GET", path.removesuffix("/code"), Accept="text/html"), Reason.NOT_ACCEPTABLE)


def test_a_showing_ends_after_ten_minutes(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    outer.clock.advance(599)
    assert outer.call("GET", f"/v1/showings/{showing_id}/code").status_code == 200
    outer.clock.advance(2)
    outer.tokens.clear()
    problem(outer.call("GET", f"/v1/showings/{showing_id}/code"), Reason.CODE_EXPIRED)
    shown = outer.call("GET", f"/v1/showings/{showing_id}").json
    assert (shown["state"], shown["reason"]) == ("EXPIRED", "CODE_EXPIRED")
    assert shown["sentence"]["zh"]


def test_a_scanned_code_is_shown_no_more(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    outer.ask(showing_id)
    problem(outer.call("GET", f"/v1/showings/{showing_id}/code"), Reason.SHOWING_CLOSED)


def test_a_phone_put_away_shows_no_code(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    assert outer.call("DELETE", f"/v1/showings/{showing_id}").status_code == 204
    assert outer.call("DELETE", f"/v1/showings/{showing_id}").status_code == 204
    problem(outer.call("GET", f"/v1/showings/{showing_id}/code"), Reason.CODE_EXPIRED)


def test_a_showing_that_a_counter_has_is_answered_and_not_closed(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    outer.ask(showing_id)
    problem(outer.call("DELETE", f"/v1/showings/{showing_id}"), Reason.STATE_FORBIDS)
    assert outer.row(showing_id).state == "CLAIMED"


# State ------------------------------------------------------------------------------------------------------


def test_polling_tells_only_news(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    path = f"/v1/showings/{showing_id}"
    first = outer.call("GET", path)
    same = outer.call("GET", path, If_None_Match=first.headers["ETag"])
    assert (same.status_code, same.data) == (304, b"")
    assert same.headers["Server-Time"] == rfc3339(outer.clock.now())
    outer.ask(showing_id)
    news = outer.call("GET", path, If_None_Match=first.headers["ETag"])
    assert (news.status_code, news.json["state"], news.json["asked"]) == (200, "CLAIMED", True)


@pytest.mark.parametrize("showing_id", ["0" * 24, "x", "../../etc/passwd", "%00", "\udcff" * 2, "0" * 400])
def test_a_showing_that_never_was_is_unknown(untouched: Outer, showing_id: str) -> None:
    path = f"/v1/showings/{showing_id.encode('utf-8', 'surrogateescape').decode('latin-1')}"
    answer = untouched.call("GET", path)
    assert answer.json["code"] in (Reason.SHOWING_UNKNOWN, Reason.ROUTE_UNKNOWN)


def test_another_apps_showing_is_like_one_that_never_was(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    key = ECKey.generate_key("P-256")
    outer.vendors.add(
        "zheliban-server",
        name="z",
        app="zheliban",
        jwk=key.as_dict(private=False),
        scopes=("showings:read", "showings:write"),
        now=START,
    )
    answer = outer.ask_token(outer.assertion(key, iss="zheliban-server", sub="zheliban-server"))
    sent = {"Authorization": f"Bearer {answer.json['access_token']}"}
    for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/code"), ("GET", "/request"), ("GET", "/receipt")):
        path = f"/v1/showings/{showing_id}{rest}"
        problem(outer.client.open(path, method=method, headers=sent), Reason.SHOWING_UNKNOWN)
    body = {"approval": outer.approval(phone, "A" * 43)}
    for rest in ("/approval", "/withdrawal"):
        found = outer.client.post(f"/v1/showings/{showing_id}{rest}", json=body, headers=sent)
        problem(found, Reason.SHOWING_UNKNOWN)


# Answering --------------------------------------------------------------------------------------------------


def test_the_sheet_is_there_once_a_counter_has_asked(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    path = f"/v1/showings/{showing_id}/request"
    problem(outer.call("GET", path), Reason.REQUEST_UNKNOWN)
    request = outer.ask(showing_id)
    asked = outer.call("GET", path)
    assert asked.json["sheet"]["request"] == request
    assert asked.json["holdings"] is None
    found = {"certificates": [], "undigitised": True, "silent": ["33"]}
    with writing(outer.engine) as connection:
        handover.move(
            connection,
            showing_id,
            to="CLAIMED",
            frm=["CLAIMED"],
            now=outer.clock.now(),
            holdings=json.dumps(found),
        )
    news = outer.call("GET", path, If_None_Match=asked.headers["ETag"])
    assert news.json["holdings"] == found
    assert outer.call("GET", path, If_None_Match=news.headers["ETag"]).status_code == 304


def test_an_answer_becomes_an_errand_of_the_inner_network(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    approval = outer.approval(phone, outer.ask(showing_id))
    answer = outer.call("POST", f"/v1/showings/{showing_id}/approval", {"approval": approval})
    assert answer.status_code == 202
    assert outer.row(showing_id).state == "ANSWERED"
    assert outer.row(showing_id).approval_jwt == approval
    errand = outer.errands()[-1]
    assert (errand.kind, errand.ref, json.loads(errand.body)) == ("approval", showing_id, {"approval": approval})


def test_the_same_answer_may_come_again_and_another_may_not(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    request = outer.ask(showing_id)
    path = f"/v1/showings/{showing_id}/approval"
    approval = outer.approval(phone, request)
    first = outer.call("POST", path, {"approval": approval})
    outer.move(showing_id, "consent")
    outer.clock.advance(200)  # long after the approval itself has expired
    again = outer.call("POST", path, {"approval": approval})
    assert (again.status_code, again.json) == (202, first.json)
    other = outer.approval(phone, request, Decision.DECLINE)
    problem(outer.call("POST", path, {"approval": other}), Reason.STATE_FORBIDS)
    assert [errand.kind for errand in outer.errands()] == ["holdings", "approval"]


def test_of_two_answers_at_once_one_counts(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    request, token = outer.ask(showing_id), outer.token()
    answers = [outer.approval(phone, request, decision) for decision in (Decision.AGREE, Decision.DECLINE)] * 3
    together = threading.Barrier(len(answers))

    def send(approval: str) -> int:
        together.wait()
        sent = {"Authorization": f"Bearer {token}"}
        path = f"/v1/showings/{showing_id}/approval"
        return outer.client.post(path, json={"approval": approval}, headers=sent).status_code

    with ThreadPoolExecutor(len(answers)) as threads:
        statuses = list(threads.map(send, answers))
    assert sorted(statuses) == [202, 202, 202, 409, 409, 409]
    assert [errand.kind for errand in outer.errands()] == ["holdings", "approval"]


def test_an_answer_that_proves_nothing_changes_nothing(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    request = outer.ask(showing_id)
    good, now = outer.approval(phone, request), outer.clock.now()
    head, payload, signature = good.split(".")
    flipped = "A" if signature[0] != "A" else "B"
    other_kind = seal_holding(phone.key, library=outer.code, holder="A" * 43, under="A" * 43, now=now)
    bad = {
        Reason.DOCUMENT_MALFORMED: "x.y",
        Reason.DOCUMENT_KEY_UNKNOWN: outer.approval(Phone(), request),
        Reason.DOCUMENT_SIGNATURE: f"{head}.{payload}.{flipped}{signature[1:]}",
        Reason.DOCUMENT_WRONG_KIND: other_kind,
        Reason.DOCUMENT_CLAIMS: outer.approval(phone, request, province="32"),
        Reason.DOCUMENT_EXPIRED: outer.approval(phone, request, now=now - timedelta(minutes=3)),
        Reason.DOCUMENT_NOT_YET_VALID: outer.approval(phone, request, now=now + timedelta(seconds=30)),
        Reason.APPROVAL_MISMATCH: outer.approval(phone, "A" * 43),
    }
    for path in (f"/v1/showings/{showing_id}/approval", f"/v1/showings/{showing_id}/withdrawal"):
        for reason, approval in bad.items():
            problem(outer.call("POST", path, {"approval": approval}), reason)
    withdrawal = outer.approval(phone, request, Decision.WITHDRAW)
    answer = outer.call("POST", f"/v1/showings/{showing_id}/approval", {"approval": withdrawal})
    problem(answer, Reason.APPROVAL_MISMATCH)
    assert outer.row(showing_id).state == "CLAIMED"
    assert [errand.kind for errand in outer.errands()] == ["holdings"]


def test_nobody_can_answer_before_a_counter_has_asked(outer: Outer, phone: Phone) -> None:
    showing_id = outer.open(phone)
    for path in (f"/v1/showings/{showing_id}/approval", f"/v1/showings/{showing_id}/withdrawal"):
        problem(outer.call("POST", path, {"approval": outer.approval(phone, "A" * 43)}), Reason.STATE_FORBIDS)


def _consented(outer: Outer, phone: Phone) -> tuple[str, str]:
    showing_id = outer.open(phone)
    request = outer.ask(showing_id)
    path = f"/v1/showings/{showing_id}/approval"
    assert outer.call("POST", path, {"approval": outer.approval(phone, request)}).status_code == 202
    assert outer.move(showing_id, "consent")
    return showing_id, request


def test_a_consent_can_be_withdrawn_and_withdrawing_again_is_the_same(outer: Outer, phone: Phone) -> None:
    showing_id, request = _consented(outer, phone)
    path = f"/v1/showings/{showing_id}/withdrawal"
    agreed = outer.approval(phone, request)
    problem(outer.call("POST", path, {"approval": agreed}), Reason.APPROVAL_MISMATCH)
    withdrawal = outer.approval(phone, request, Decision.WITHDRAW)
    first = outer.call("POST", path, {"approval": withdrawal})
    assert (first.status_code, outer.row(showing_id).state) == (202, "WITHDRAWING")
    assert outer.call("POST", path, {"approval": withdrawal}).json == first.json
    assert [errand.kind for errand in outer.errands()] == ["holdings", "approval", "withdrawal"]


def test_a_withdrawal_after_the_delivery_is_too_late(outer: Outer, phone: Phone) -> None:
    showing_id, request = _consented(outer, phone)
    result = {"outcome": "PASSED", "reason": None, "receipt": "eyJ.r.s", "given": ["status"], "ended_at": "x"}
    path = f"/v1/showings/{showing_id}"
    problem(outer.call("GET", f"{path}/receipt"), Reason.RECEIPT_UNKNOWN)
    assert outer.move(showing_id, "deliver", result=json.dumps(result))
    withdrawal = outer.approval(phone, request, Decision.WITHDRAW)
    problem(outer.call("POST", f"{path}/withdrawal", {"approval": withdrawal}), Reason.WITHDRAWAL_TOO_LATE)
    assert outer.call("GET", f"{path}/receipt").json == {"receipt": "eyJ.r.s"}
    assert outer.call("GET", path).json["result"] == result


# Lookups ----------------------------------------------------------------------------------------------------


def _looked_up(outer: Outer, phone: Phone) -> str:
    body = {"holder": outer.login(phone)}
    answer = outer.call("POST", "/v1/certificates/lookups", body, Idempotency_Key=new_id())
    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(answer.json["lookup_id"])
    return str(answer.json["lookup_id"])


def _answer(outer: Outer, text: str | None) -> None:
    now = outer.clock.now()
    with writing(outer.engine) as connection:
        (item,) = take(connection, handover.errands, now=now, lease=timedelta(seconds=5), limit=1)
        if text is None:
            park(connection, handover.errands, item, now=now, error="nobody answered")
        else:
            finish(connection, handover.errands, item, now=now, answer=text)


def test_a_lookup_is_answered_when_the_libraries_have_spoken(outer: Outer, phone: Phone) -> None:
    lookup_id = _looked_up(outer, phone)
    path = f"/v1/certificates/lookups/{lookup_id}"
    assert outer.call("GET", path).json == {"lookup_id": lookup_id, "state": "PENDING", "holdings": None}
    found = {
        "certificates": [
            {
                "certificate": f"33.{new_id()}",
                "type": "marriage",
                "number": "J330102-****-***123",
                "authority": "杭州市上城区民政局",
                "registration_date": "2019-05-20",
                "status": "VALID",
                "status_as_of": "2026-11-24T09:00:00Z",
            }
        ],
        "undigitised": False,
        "silent": ["34"],
    }
    _answer(outer, json.dumps(found))
    assert outer.call("GET", path).json == {"lookup_id": lookup_id, "state": "DONE", "holdings": found}
    outer.clock.advance(601)
    outer.tokens.clear()
    problem(outer.call("GET", path), Reason.REQUEST_UNKNOWN)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, Reason.LIBRARY_UNREACHABLE),
        ('{"reason": "DOCUMENT_EXPIRED"}', Reason.DOCUMENT_EXPIRED),
        ('{"reason": "LIBRARY_UNREACHABLE"}', Reason.LIBRARY_UNREACHABLE),
    ],
)
def test_a_lookup_without_an_answer_says_why(outer: Outer, phone: Phone, text: str | None, reason: Reason) -> None:
    lookup_id = _looked_up(outer, phone)
    _answer(outer, text)
    answer = outer.call("GET", f"/v1/certificates/lookups/{lookup_id}")
    problem(answer, reason)
    assert ("Retry-After" in answer.headers) == (answer.status_code == 503)


def test_what_the_inner_network_refused_is_said_as_it_said_it(outer: Outer, phone: Phone) -> None:
    named = outer.app.view_functions["showings.get_lookup"].reasons  # type: ignore[attr-defined]
    for reason in sorted(each for each in named if each.startswith(("DOCUMENT", "ENVELOPE"))):
        lookup_id = _looked_up(outer, phone)
        _answer(outer, json.dumps({"reason": reason}))
        problem(outer.call("GET", f"/v1/certificates/lookups/{lookup_id}"), reason)


def test_a_lookup_that_never_was_is_unknown(outer: Outer) -> None:
    for lookup_id in (new_id(), "x" * 300):
        problem(outer.call("GET", f"/v1/certificates/lookups/{lookup_id}"), Reason.REQUEST_UNKNOWN)


# The frame --------------------------------------------------------------------------------------------------


def test_every_route_names_its_guard(outer: Outer) -> None:
    guards = guards_of(outer.app)
    assert set(guards.values()) == KNOWN_GUARDS
    assert {route for route, guard in guards.items() if guard == "nothing"} == OPEN_ROUTES


def test_every_guarded_route_wants_a_token_and_its_scope(outer: Outer) -> None:
    for route, guard in guards_of(outer.app).items():
        if guard == "nothing":
            continue
        method, rule = route.split()
        path = re.sub(r"<\w+>", "0" * 24, rule)
        body = {} if method in ("POST", "PUT") else None
        for bad in ({}, {"Authorization": "Bearer " + "x" * 43}, {"Authorization": "Basic eDp5"}):
            refused = outer.client.open(path, method=method, json=body, headers=bad)
            problem(refused, Reason.UNAUTHENTICATED)
            assert refused.headers["WWW-Authenticate"] == "Bearer"
        scope = (guard or "").removeprefix("vendor ")
        other = "certificates:read" if scope != "certificates:read" else "showings:read"
        answer = outer.call(method, path, body, scope=other)
        problem(answer, Reason.FORBIDDEN)


def test_a_page_without_a_guard_stops_the_start(outer: Outer) -> None:
    pages = Blueprint("pages", __name__)
    pages.add_url_rule("/p/home", view_func=lambda: "hello", endpoint="home")
    with pytest.raises(ValueError, match="GET /p/home"):
        create_app(outer.settings, clock=outer.clock, pages=[pages])


def test_every_door_that_takes_a_body_judges_it_alike(outer: Outer) -> None:
    bad = {
        Reason.MEDIA_TYPE: {"data": "holder=1"},
        Reason.TOO_LARGE: {"json": {"holder": "x" * 20_000}},
        Reason.BODY_MALFORMED: {"data": "{", "content_type": "application/json"},
        Reason.BODY_INVALID: {"json": {"neither": 1}},
    }
    sent = {"Authorization": f"Bearer {outer.token()}", "Idempotency-Key": "k"}
    for method, address in guarded(outer):
        endpoint, _ = outer.app.url_map.bind("").match(address, method)
        if method != "POST" or getattr(outer.app.view_functions[endpoint], "takes", "") is None:
            continue
        for reason, body in bad.items():
            answer = outer.client.post(address, headers=sent, **body)
            problem(answer, reason)
            outer.hold_to_description(method, address, answer)
    assert outer.client.post("/oauth/token", data={"scope": "x" * 20_000}).json["code"] == Reason.TOO_LARGE


def test_strangers_requests_are_answered_with_problems(outer: Outer) -> None:
    client, token = outer.client, outer.token()
    sent = {"Authorization": f"Bearer {token}"}
    problem(client.get("/nowhere"), Reason.ROUTE_UNKNOWN)
    wrong = client.put("/v1/showings", headers=sent)
    problem(wrong, Reason.METHOD_NOT_ALLOWED)
    assert {"POST", "OPTIONS"} <= set(wrong.headers["Allow"].split(", "))
    problem(client.post("/v1/showings", data="holder=1", headers=sent), Reason.MEDIA_TYPE)
    zipped = {**sent, "Content-Encoding": "gzip"}
    problem(client.post("/v1/showings", json={}, headers=zipped), Reason.MEDIA_TYPE)
    problem(client.post("/v1/showings", json={"holder": "x" * 20_000}, headers=sent), Reason.TOO_LARGE)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b'{"holder":"a","holder":"b"}', b'{"holder":1.5}', b"\xff", b"{}" * 2]
)
def test_a_body_that_is_not_one_json_object_is_malformed(untouched: Outer, body: bytes) -> None:
    sent = {"Authorization": f"Bearer {untouched.token()}", "Idempotency-Key": "k"}
    answer = untouched.client.post("/v1/showings", data=body, content_type="application/json", headers=sent)
    problem(answer, Reason.BODY_MALFORMED)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/holder"}),
        ({"holder": 1}, {"/holder"}),
        ({"holder": ""}, {"/holder"}),
        ({"holder": "x" * 4601}, {"/holder"}),
        ({"holder": "x", "a/b": 1}, {"/a~1b"}),
    ],
)
def test_a_body_that_does_not_fit_says_where(untouched: Outer, body: dict[str, Any], pointers: set[str]) -> None:
    answer = untouched.call("POST", "/v1/showings", body, Idempotency_Key="k")
    errors = problem(answer, Reason.BODY_INVALID)["errors"]
    assert {error["pointer"] for error in errors} == pointers


class _Broken(BytesIO):
    def read(self, *_: Any) -> bytes:
        raise OSError("the peer is gone")

    readinto = readline = read  # type: ignore[assignment]


def test_a_body_that_breaks_off_is_the_senders_mistake(outer: Outer) -> None:
    sent = {"Authorization": f"Bearer {outer.token()}"}
    answer = outer.client.post(
        "/v1/showings",
        input_stream=_Broken(),
        content_length=100,
        content_type="application/json",
        headers=sent,
    )
    problem(answer, Reason.BODY_MALFORMED)


def test_every_answer_carries_its_request_id_and_safe_headers(outer: Outer) -> None:
    for path in ("/health/live", "/nowhere", "/v1/showings/x", "/docs", "/metrics"):
        answer = outer.client.get(path, headers={"Request-Id": "vendor-0123456789abc"})
        assert answer.headers["Request-Id"] == "vendor-0123456789abc"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
    assert {line["request_id"] for line in outer.log} == {"vendor-0123456789abc"}


def test_a_fault_of_ours_is_told_without_details(outer: Outer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"secret of {PERSON.id_number}")

    monkeypatch.setattr("consent.stores.handover.find", broken)
    answer = outer.call("GET", f"/v1/showings/{'0' * 24}")
    problem(answer, Reason.INTERNAL)
    assert "secret" not in answer.text
    (fault,) = [line for line in outer.log if line["event"] == "fault"]
    assert "RuntimeError" in fault["exception"]
    assert PERSON.id_number not in outer.lines.getvalue()


def test_no_id_number_name_or_document_gets_into_log_or_metrics(outer: Outer, phone: Phone) -> None:
    showing_id, request = _consented(outer, phone)
    outer.call("POST", f"/v1/showings/{showing_id}/withdrawal", {"approval": outer.approval(phone, request)})
    outer.client.get(f"/v1/showings/{PERSON.id_number}?id={PERSON.id_number}")
    outer.client.get(f"/{PERSON.id_number}", headers={"Request-Id": PERSON.id_number, "User-Agent": PERSON.name})
    told = outer.lines.getvalue() + outer.client.get("/metrics").text
    for secret in (PERSON.id_number, PERSON.name, phone.sub, "eyJ", showing_id, outer.token()):
        assert secret not in told


def test_metrics_count_by_route_and_status(outer: Outer) -> None:
    outer.client.get("/health/live")
    outer.client.get("/nowhere")
    outer.client.open("/nowhere", method="BREW")
    told = outer.client.get("/metrics").text
    assert 'huzheng_wallet_requests_total{method="GET",route="/health/live",status="200"} 1.0' in told
    assert 'huzheng_wallet_requests_total{method="none",route="none",status="404"} 2.0' in told


def test_ready_means_a_store_with_our_schema(outer: Outer) -> None:
    assert outer.client.get("/health/ready").json == {"ready": True, "redis": "off"}
    Path(outer.settings.store.removeprefix("sqlite:///")).rename(
        outer.settings.store.removeprefix("sqlite:///") + ".away"
    )
    problem(outer.client.get("/health/ready"), Reason.STORE_UNAVAILABLE)
    assert outer.client.get("/health/live").status_code == 200


def test_a_store_that_is_gone_is_no_answer_and_never_a_no(outer: Outer) -> None:
    token = outer.token()
    path = Path(outer.settings.store.removeprefix("sqlite:///"))
    path.rename(path.with_suffix(".away"))
    for method, address in guarded(outer):
        body = {} if method in ("POST", "PUT") else None
        answer = outer.client.open(address, method=method, json=body, headers={"Authorization": f"Bearer {token}"})
        problem(answer, Reason.STORE_UNAVAILABLE)
        outer.hold_to_description(method, address, answer)
        assert answer.headers["Retry-After"] == "5"
    assert outer.ask_token().status_code == 503


# Limits -----------------------------------------------------------------------------------------------------


def test_a_holder_opens_six_showings_a_minute(tmp_path: Path) -> None:
    outer, phone = found_outer(tmp_path / "31", openings_per_minute=6), Phone()
    for _ in range(6):
        outer.open(phone)
    for path in CREATING:
        answer = outer.call("POST", path, {"holder": outer.login(phone)}, Idempotency_Key="k")
        problem(answer, Reason.TOO_MANY)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["RateLimit-Policy"] == '"opening";q=6;w=60'
    assert answer.headers["RateLimit"].startswith('"opening";r=0;t=')
    assert outer.open(Phone(sub="pairwise-somebody-else"))
    outer.close()


def test_a_vendor_has_a_limit_and_is_told_what_is_left(tmp_path: Path) -> None:
    outer = found_outer(tmp_path / "31", vendor_per_minute=3)
    path = f"/v1/showings/{'0' * 24}"
    left = [outer.call("GET", path).headers["X-RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    problem(outer.call("GET", path), Reason.TOO_MANY)
    for _ in range(2):
        outer.ask_token()
    problem(outer.ask_token(), Reason.TOO_MANY)
    outer.close()


def test_limits_hold_when_redis_is_away() -> None:
    limits = Limits("redis://127.0.0.1:1/0", room="31", vendor_per_minute=2, openings_per_minute=1)
    assert limits.vendor("v").remaining == 1
    assert limits.vendor("v").remaining == 0
    with pytest.raises(TooMany):
        limits.vendor("v")


@pytest.mark.network
def test_all_processes_count_together_in_redis_and_no_pseudonym_is_a_key(tmp_path: Path) -> None:
    valkey = start_valkey(tmp_path)
    try:
        one, two = (Limits(valkey.url, room="31", vendor_per_minute=9, openings_per_minute=2) for _ in range(2))
        one.opening("suishenban", "pairwise-3f9a2c1d")
        two.opening("suishenban", "pairwise-3f9a2c1d")
        with pytest.raises(TooMany):
            one.opening("suishenban", "pairwise-3f9a2c1d")
        with Redis.from_url(valkey.url) as redis:
            keys = [key.decode() for key in redis.scan_iter()]
        assert keys
        assert not any("pairwise" in key or "suishenban" in key for key in keys)
    finally:
        valkey.stop()


# The interface described ------------------------------------------------------------------------------------


def test_the_description_is_valid_and_complete(outer: Outer) -> None:
    described = outer.client.get("/openapi.json").json
    validate_openapi(described)
    assert described["openapi"] == "3.1.0"
    assert described["servers"][0]["url"] == outer.settings.public_url
    names = []
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            names.append(operation["operationId"])
            assert operation["summary"], path
            assert "application/problem+json" in json.dumps(
                described["components"]["responses"]["DEFAULT_ERROR"]["content"]
            )
            rule = path.replace("{", "<").replace("}", ">")
            guard = guards_of(outer.app)[f"{method.upper()} {rule}"]
            scopes = [] if guard == "nothing" else [{"vendor": [(guard or "").removeprefix("vendor ")]}]
            assert operation.get("security", []) == scopes
    assert len(names) == len(set(names)) == len(guards_of(outer.app))


@dataclass(slots=True)
class Alive:
    """What a vendor knows: showings in five states, everything else that has an id, and what its phones can sign."""

    outer: Outer
    phone: Phone
    showings: dict[str, str]
    approvals: dict[str, str]
    ids: dict[str, str]
    counter: str

    def __call__(self, case: Any) -> None:
        label, fixed = case.operation.label, case.path_parameters
        case.query = {}
        case.headers.pop("If-None-Match", None)
        case.headers.pop("Client-Time", None)
        if "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = new_id()
        for name in fixed:
            fixed[name] = self.ids.get(name, fixed[name])
        if "showing_id" in fixed:
            fixed["showing_id"] = self.showings[label if label in self.showings else ""]
        if label in BODIES:
            case.body = BODIES[label](self)


BODIES: dict[str, Callable[[Alive], dict[str, Any]]] = {
    "POST /oauth/token": lambda it: {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": it.outer.assertion(),
    },
    "POST /v1/showings": lambda it: {"holder": it.outer.login(Phone(sub=f"pairwise-{new_id()}"))},
    "POST /v1/certificates/lookups": lambda it: {"holder": it.outer.login(it.phone)},
    "POST /v1/history/lookups": lambda it: {"holder": it.outer.login(it.phone)},
    "POST /v1/history/{entry}/objections": lambda it: {
        "holder": it.outer.login(it.phone),
        "kind": "DATA_WRONG",
        "text": "不对",
    },
    "POST /v1/offers": lambda it: {"desk": "32", "unit": None, "matter": None, "type": None},
    "POST /v1/showings/{showing_id}/approval": lambda it: {"approval": it.approvals["approval"]},
    "POST /v1/showings/{showing_id}/withdrawal": lambda it: {"approval": it.approvals["withdrawal"]},
    "POST /v1/showings/{showing_id}/counter": lambda it: {"counter": it.counter},
    "PUT /v1/showings/{showing_id}/standing": lambda it: {"standing": it.approvals["standing"]},
}


def _alive(outer: Outer, desk: SigningKey, url: str) -> Alive:
    phones = {name: Phone(sub=f"pairwise-{name}") for name in ("", "closing", "claimed", "consented", "delivered")}
    shown = {name: outer.open(phone) for name, phone in phones.items() if name not in ("consented", "delivered")}
    asked = outer.ask(shown["claimed"])
    requests: dict[str, str] = {}
    for name in ("consented", "delivered"):
        shown[name], requests[name] = _consented(outer, phones[name])
    result = {"outcome": "PASSED", "reason": None, "receipt": "eyJ.r.s", "given": ["status"], "ended_at": "x"}
    assert outer.move(shown["delivered"], "deliver", result=json.dumps(result))
    now, path = outer.clock.now(), "/v1/showings/{showing_id}"
    made = Alive(
        outer=outer,
        phone=phones[""],
        showings={
            "": shown[""],
            f"DELETE {path}": shown["closing"],
            f"GET {path}/request": shown["claimed"],
            f"POST {path}/approval": shown["claimed"],
            f"POST {path}/withdrawal": shown["consented"],
            f"GET {path}/receipt": shown["delivered"],
        },
        approvals={
            "approval": outer.approval(phones["claimed"], asked),
            "withdrawal": outer.approval(phones["consented"], requests["consented"], Decision.WITHDRAW),
            "standing": seal_standing(
                phones[""].key,
                province=outer.code,
                showing_id=shown[""],
                unit="11310000MB2F30019L",
                matter="realestate.register",
                certificate=f"33.{new_id()}",
                offer="A" * 43,
                now=now,
            ),
        },
        ids={"name": "swagger-ui.css", "code": "CODE_EXPIRED", "entry": f"31.{'0' * 22}"},
        counter=seal_invitation(desk, window="32-R1", request_id=new_id(), now=now),
    )
    rig = Rig(outer.engine, clock=outer.clock)
    rig.endpoints.add(VENDOR, url, now=now)
    outer.open(Phone(sub="pairwise-told"))
    deliverer = rig.deliverer()
    deliverer.run_once(now)
    deliverer.close()
    made.ids["delivery_id"] = outer.call("GET", "/v1/webhooks/deliveries").json["deliveries"][0]["id"]
    for name, label in (
        ("lookup_id", "POST /v1/certificates/lookups"),
        ("look_id", "POST /v1/history/lookups"),
        ("objection_id", "POST /v1/history/{entry}/objections"),
        ("offer_id", "POST /v1/offers"),
        ("come_id", "POST /v1/showings/{showing_id}/counter"),
    ):
        where = label.removeprefix("POST ").format(showing_id=shown[""], entry=made.ids["entry"])
        answer = outer.call("POST", where, BODIES[label](made), Idempotency_Key=new_id())
        assert answer.status_code in (200, 201, 202), answer.text
        made.ids[name] = answer.json[name]
    return made


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", GenerationMode)
def test_whatever_comes_in_the_answer_is_as_described(tmp_path: Path, mode: GenerationMode) -> None:
    desk = new_key("EdDSA", issuer="32")
    life = {"not_before": START - timedelta(days=1), "not_after": START + timedelta(days=1)}
    listed = (desk.published("counter+jwt", **life),)
    outer = found_outer(tmp_path / "31", listed=listed, vendor_per_minute=1_000_000)

    def credentials(case: Any) -> None:
        case.headers["Authorization"] = f"Bearer {outer.token()}"

    with receiving() as receiver:
        alive = _alive(outer, desk, receiver.url)
        tally = hold_to_its_description(outer.app, mode, credentials=credentials, alive=alive)
    assert tally.calls >= CALLS["wallet_api", mode]
    assert not [line for line in outer.log if line.get("event") == "fault"]
    if mode is GenerationMode.POSITIVE:
        described = {route.replace("<", "{").replace(">", "}") for route in guards_of(outer.app)}
        read = {"GET /openapi.json"}  # it was, to know what to send
        assert described - set(tally.answered) - read == set(), "never answered well"
    outer.close()


def test_the_docs_page_asks_nothing_of_the_outside(outer: Outer) -> None:
    page = outer.client.get("/docs")
    assert page.content_type == "text/html; charset=utf-8"
    assert "http" not in page.text
    assert re.findall(r"<script(?! src=)", page.text) == []
    for name in re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.text):
        file = outer.client.get(name)
        assert file.status_code == 200
        assert outer.client.get(name, headers={"If-None-Match": file.headers["ETag"]}).status_code == 304
    problem(outer.client.get("/docs/index.css"), Reason.ROUTE_UNKNOWN)


def test_the_type_of_a_problem_can_be_read(outer: Outer) -> None:
    for reason in Reason:
        page = outer.client.get(f"/problems/{reason}").json
        assert page["status"] == ROWS[reason].http
        assert page["sentences"]["citizen"]["zh"]
    problem(outer.client.get("/problems/NOTHING"), Reason.ROUTE_UNKNOWN)


# Settings and start -----------------------------------------------------------------------------------------


def test_an_unknown_setting_is_refused_with_its_nearest_neighbour() -> None:
    with pytest.raises(ValueError, match="HUZHENG_WALLET_PUBLIC_URL"):
        read_settings({"HUZHENG_WALLET_PUBLC_URL": "x"})


def test_settings_come_from_the_environment() -> None:
    settings = read_settings(
        {
            "HUZHENG_WALLET_PROVINCE": "33",
            "HUZHENG_PROFILE": "sandbox",
            "HUZHENG_WALLET_THREADS": "4",
            "HUZHENG_OTHER": "",
            "HUZHENG_WALLET_ISSUED_AFTER": "2026-01-01T00:00:00+00:00",
        }
    )
    assert settings.store == "sqlite:///var/handover-33.db"
    assert (settings.threads, settings.sandbox) == (4, True)
    assert settings.floor == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HUZHENG_WALLET_PROVINCE", "99"),
        ("HUZHENG_PROFILE", "test"),
        ("HUZHENG_WALLET_THREADS", "many"),
        ("HUZHENG_WALLET_THREADS", "0"),
        ("HUZHENG_WALLET_PUBLIC_URL", "https://x/"),
        ("HUZHENG_WALLET_PUBLIC_URL", "http://wallet.example"),
        ("HUZHENG_WALLET_ISSUED_AFTER", "yesterday"),
        ("HUZHENG_WALLET_ISSUED_AFTER", "2026-01-01T00:00:00"),
    ],
)
def test_a_setting_that_cannot_hold_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        read_settings({name: value})


def _with(outer: Outer, **changes: Any) -> Settings:
    values = {name: getattr(outer.settings, name) for name in Settings.__dataclass_fields__}
    return Settings(**{**values, **changes})


def test_wrong_keys_stop_the_start(outer: Outer, tmp_path: Path) -> None:
    short = tmp_path / "short.key"
    short.write_text("AAAA")
    short.chmod(0o600)
    for changes in (
        {"keylist_sha256": ""},
        {"keylist_sha256": "A" * 43},
        {"code_key": "new:EdDSA"},  # not on the key list
        {"code_key": "file:/nowhere"},
        {"showing_key": f"file:{short}"},
        {"profile": "live"},  # sandbox keys open nothing there
    ):
        with pytest.raises(Refusal) as refused:
            create_app(_with(outer, **changes), clock=outer.clock)
        assert refused.value.reason in (Reason.KEY_NOT_ALLOWED, Reason.CODE_UNKNOWN_KEY)


def test_an_old_schema_stops_the_start(outer: Outer, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(Unavailable) as silent:
        create_app(_with(outer, store=f"sqlite:///{empty}"), clock=outer.clock)
    assert silent.value.reason is Reason.SCHEMA_OUTDATED


def test_four_provinces_live_in_one_process(tmp_path: Path) -> None:
    clock = MovableClock(START)
    houses = [found_outer(tmp_path / code, code=code, clock=clock) for code in ("31", "32", "33", "34")]
    showings = [house.open(Phone()) for house in houses]
    for house, showing_id in zip(houses, showings, strict=True):
        assert house.call("GET", f"/v1/showings/{showing_id}").status_code == 200
    problem(houses[0].call("GET", f"/v1/showings/{showings[1]}"), Reason.SHOWING_UNKNOWN)
    first = houses[0].client.get("/metrics").text
    assert 'route="/v1/showings/<showing_id>",status="404"' in first
    for house in houses:
        house.close()


def test_the_worker_is_woken_after_an_opening(outer: Outer, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(Signals, "notify", lambda self, topic: heard.append(topic))
    first = outer.open(phone)
    outer.open(phone)
    assert heard == ["errand:31", "errand:31", f"showing:{first}"]


def test_settings_are_checked_also_when_made_by_hand() -> None:
    with pytest.raises(ValueError, match="PROVINCE"):
        checked(Settings(province="00"))

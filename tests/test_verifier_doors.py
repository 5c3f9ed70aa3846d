"""The verifier's HTTP doors: who may enter, what they take, what they say when the answer is no, and what they never log.

A whole country stands behind the doors: real keys, stores and services in one process, founded once for this file. Its workers
run when a test says so (`settle`), so that a visit stands still wherever a test wants to look at it.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from consent.approval import Decision
from consent.b64 import new_id
from consent.clock import ShiftedClock
from consent.envelope import close_envelope
from consent.errors import ROWS, Reason, Refusal, Unavailable
from consent.holding import seal_holding
from consent.keys import load_key
from consent.telling import PROBLEM_TYPE, new_log
from consent.transport import Topic, write_letter
from consent.window import HEADER, issuer_of, seal_window
from scanner_kiosk.country import Country, found, put_together
from scanner_kiosk.country.people import Persona, pair, personas
from scanner_kiosk.country.units import window_for
from scanner_kiosk.phone import Phone
from verifier.__main__ import main
from verifier.app import create_province_app
from verifier.doors.guards import PEER, check_guards, guards_of
from verifier.exchange.inside import InProcess
from verifier.settings import Settings, checked, read_settings

MATTER = "realestate.register"
WINDOW = window_for("31", MATTER)


DESCRIBED: dict[str, Flask] = {}
"""The applications whose descriptions every answer is held against."""


@dataclass(frozen=True)
class Behind:
    """The country behind the doors and what its services have logged."""

    country: Country
    lines: StringIO

    @property
    def app(self) -> Flask:
        return self.country.verifiers["31"]

    @property
    def clock(self) -> ShiftedClock:
        return self.country.clock

    def proof(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        province: str = "31",
        window: str = WINDOW,
        audience: str | None = None,
        late: float = 0,
    ) -> str:
        key = load_key(
            self.country.founded.keys.uri(province, f"window-{window}"),
            issuer=issuer_of(province, window),
            sandbox=True,
        )
        now = self.clock.now() - timedelta(seconds=late)
        return seal_window(key, province=audience or province, method=method, path=path, body=body, now=now)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        window: str = WINDOW,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """A call of a kiosk, with its proof; bytes are sent as they are, all else as JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {HEADER: self.proof(method, path.partition("?")[0], raw, window=window)}
        if raw:
            sent["Content-Type"] = "application/json"
        return self.app.test_client().open(path, method=method, data=raw, headers={**sent, **(headers or {})})

    def presentation(self, phone: Phone, persona: Persona, **more: Any) -> dict[str, Any]:
        request_id = new_id()
        recipient = self.country.provinces["31"].office.keylist.recipient("31")
        match = close_envelope(recipient, json.dumps({"id": persona.id_number}).encode(), info=request_id)
        return {
            "request_id": request_id,
            "code": phone.code(),
            "matter": MATTER,
            "case_number": "沪房登2026-000117",
            "type": "marriage",
            "cause": "办理不动产登记",
            "match": match,
            "preconditions": [],
            **more,
        }

    def settle(self) -> None:
        """Let every worker do what there is to do."""
        while sum(province.worker.run_once() for province in self.country.provinces.values()):
            pass


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    clock, lines = ShiftedClock(), StringIO()
    founded = found(tmp_path_factory.mktemp("doors") / "country", now=clock.now())
    country = put_together(founded, clock=clock, redis=None, log=new_log("country", clock, stream=lines))
    DESCRIBED.update({"31": country.verifiers["31"], "exchange": country.exchange})
    yield Behind(country, lines)
    country.stop()


@pytest.fixture
def persona() -> Persona:
    """Somebody of Shanghai with a valid marriage certificate."""
    return next(
        each
        for each in personas()
        if each.province == "31" and any((s.type, s.status) == ("marriage", "VALID") for s in each.stories)
    )


@pytest.fixture
def phone(behind: Behind, persona: Persona) -> Iterator[Phone]:
    phone = behind.country.phone_of(persona)
    phone.show()
    yield phone
    behind.settle()
    with suppress(Refusal):  # a request left open would count against the next: three may wait for one citizen
        phone.answer(Decision.AGREE, phone.sheet()["sheet"])
    behind.settle()


OF_THE_FRAME = {Reason.NOT_ACCEPTABLE, Reason.METHOD_NOT_ALLOWED, Reason.ROUTE_UNKNOWN}


def described_noes(method: str, path: str) -> frozenset[Reason] | None:
    """The noes that an operation for counters or peers is described with; None for other routes."""
    if not path.startswith(("/counter", "/peer", "/exchange")):
        return None
    app = DESCRIBED["exchange" if path.startswith("/exchange") else "31"]
    try:
        endpoint, _ = app.url_map.bind("localhost").match(path, method)
    except HTTPException:
        return None
    view: Any = app.view_functions[endpoint]
    found_noes: frozenset[Reason] = view.reasons
    return found_noes


def problem(answer: TestResponse) -> str:
    """The code of an answer that must be a whole problem document, and one that its operation is described with."""
    described = described_noes(answer.request.method, answer.request.path)
    assert described is None or answer.get_json()["code"] in described | OF_THE_FRAME
    assert answer.content_type == PROBLEM_TYPE, answer.text
    body = answer.get_json()
    assert body["status"] == answer.status_code == ROWS[Reason(body["code"])].http
    assert body["type"] == f"/problems/{body['code']}"
    assert body["request_id"] == answer.headers["Request-Id"]
    for texts in (body["sentences"], body["next"]):
        assert set(texts) == {"zh", "en"}
    return str(body["code"])


# --- guards -------------------------------------------------------------------------------------------------


def test_every_route_of_a_province_names_its_guard(behind: Behind) -> None:
    assert guards_of(behind.app) == {
        "GET /counter/register": "window",
        "POST /counter/visits": "window",
        "POST /counter/cards": "window",
        "POST /counter/invitations": "window",
        "DELETE /counter/invitations/<request_id>": "window",
        "GET /counter/visits/<request_id>/sheet": "window",
        "POST /counter/visits/<request_id>/answer": "window",
        "GET /counter/visits/<request_id>": "window",
        "DELETE /counter/visits/<request_id>": "window",
        "POST /windows/device_authorization": "nothing",
        "POST /windows/token": "nothing",
        "POST /peer/letters": "peer exchange",
        "GET /health/live": "nothing",
        "GET /health/ready": "nothing",
        "GET /metrics": "nothing",
        "GET /openapi.json": "nothing",
    }


def test_every_route_of_the_exchange_names_its_guard(behind: Behind) -> None:
    assert guards_of(behind.country.exchange) == {
        "POST /exchange/letters": "peer any",
        "GET /health/live": "nothing",
        "GET /health/ready": "nothing",
        "GET /metrics": "nothing",
        "GET /openapi.json": "nothing",
    }


@pytest.mark.parametrize(("doors", "there"), [(("mailbox",), "/peer"), (("counters",), "/counter")])
def test_counters_and_mailbox_can_stand_apart(behind: Behind, doors: tuple[str, ...], there: str) -> None:
    founded, province = behind.country.founded, behind.country.provinces["31"]
    app = create_province_app(
        read_settings(founded.environment("31")),
        province,
        clock=behind.clock,
        log=new_log("x", behind.clock),
        doors=doors,
    )
    guarded = {route.split(" ")[1] for route, guard in guards_of(app).items() if guard != "nothing"}
    assert guarded
    assert all(route.startswith(there) for route in guarded)


def test_a_route_without_a_guard_stops_the_start(behind: Behind) -> None:
    app = Flask("open", static_folder=None)
    app.add_url_rule("/open", view_func=lambda: "")
    with pytest.raises(ValueError, match="GET /open"):
        check_guards(app)


PATH = "/counter/register"


@pytest.mark.parametrize(
    ("proof", "code"),
    [
        pytest.param(lambda b: None, Reason.UNAUTHENTICATED, id="no proof"),
        pytest.param(lambda b: "", Reason.UNAUTHENTICATED, id="an empty one"),
        pytest.param(lambda b: "x", Reason.DOCUMENT_MALFORMED, id="no document"),
        pytest.param(lambda b: "é" * 30, Reason.DOCUMENT_MALFORMED, id="no ASCII"),
        pytest.param(lambda b: "a" * 9000, Reason.DOCUMENT_TOO_LONG, id="endless"),
        pytest.param(lambda b: b.proof("POST", PATH), Reason.DOCUMENT_CLAIMS, id="another method"),
        pytest.param(lambda b: b.proof("GET", "/counter/visits"), Reason.DOCUMENT_CLAIMS, id="another path"),
        pytest.param(lambda b: b.proof("GET", PATH, b"{}"), Reason.DOCUMENT_CLAIMS, id="another body"),
        pytest.param(lambda b: b.proof("GET", PATH, late=180), Reason.DOCUMENT_EXPIRED, id="an old one"),
        pytest.param(lambda b: b.proof("GET", PATH, late=-180), Reason.DOCUMENT_NOT_YET_VALID, id="of tomorrow"),
        pytest.param(lambda b: b.proof("GET", PATH, audience="32"), Reason.DOCUMENT_CLAIMS, id="for another desk"),
        pytest.param(
            lambda b: b.proof("GET", PATH, province="32", window=window_for("32", MATTER), audience="31"),
            Reason.WINDOW_UNKNOWN,
            id="a window of another province",
        ),
        pytest.param(
            lambda b: b.proof("GET", PATH)[:-8] + "AAAAAAAA", Reason.DOCUMENT_SIGNATURE, id="another signature"
        ),
    ],
)
def test_only_an_enrolled_window_enters_with_a_proof_of_this_very_call(
    behind: Behind, proof: Callable[[Behind], str | None], code: Reason
) -> None:
    text = proof(behind)
    headers = {} if text is None else {HEADER: text}
    answer = behind.app.test_client().get(PATH, headers=headers)
    assert problem(answer) == code


def test_a_proof_is_used_once(behind: Behind) -> None:
    headers = {HEADER: behind.proof("GET", PATH)}
    client = behind.app.test_client()
    assert client.get(PATH, headers=headers).status_code == 200
    assert problem(client.get(PATH, headers=headers)) == Reason.DOCUMENT_REPLAYED


def test_one_proof_used_by_eight_threads_opens_the_door_once(behind: Behind) -> None:
    headers = {HEADER: behind.proof("GET", PATH)}
    start, codes = threading.Barrier(8), []

    def use() -> None:
        start.wait(timeout=10)
        codes.append(behind.app.test_client().get(PATH, headers=headers).status_code)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(codes) == [200] + [409] * 7


# --- the register and visits --------------------------------------------------------------------------------


def test_the_register_says_what_this_window_may_ask_for(behind: Behind) -> None:
    body = behind.call("GET", "/counter/register").get_json()
    assert (body["province"], body["window"]) == ("31", WINDOW)
    assert body["unit"]["kind"] == "government"
    found_matter = {each["slug"]: each for each in body["matters"]}[MATTER]
    assert found_matter["types"]
    assert all(each["label_zh"] and each["label_en"] for each in found_matter["fields"])
    scope = behind.country.provinces["31"].office.scope("31")
    assert {each["slug"] for each in body["matters"]} <= set(scope.unit_of_window(WINDOW).matters)


def test_a_presentation_is_taken_at_once_and_waits_for_the_citizen(
    behind: Behind, phone: Phone, persona: Persona
) -> None:
    sent = behind.presentation(phone, persona)
    answer = behind.call("POST", "/counter/visits", sent)
    assert answer.status_code == 202, answer.text
    body = answer.get_json()
    assert (body["request_id"], body["state"], body["outcome"]) == (sent["request_id"], "ASKED", None)
    assert re.fullmatch(r"[0-9]{2}", body["digits"])
    assert body["copy"] is None
    assert body["officer"] == "not-verified"


def test_a_visit_goes_from_the_scan_to_the_certificate_and_is_cleared(
    behind: Behind, phone: Phone, persona: Persona
) -> None:
    sent = behind.presentation(phone, persona)
    body = behind.call("POST", "/counter/visits", sent).get_json()
    path = f"/counter/visits/{sent['request_id']}"
    behind.settle()
    sheet = phone.sheet()
    certificate = next(each for each in sheet["holdings"]["certificates"] if each["type"] == "marriage")
    phone.answer(
        Decision.AGREE, sheet["sheet"], digits=body["digits"], certificate=certificate["certificate"], declare=True
    )
    behind.settle()
    passed = behind.call("GET", path).get_json()
    assert (passed["state"], passed["outcome"]) == ("PASSED", "PASSED"), passed
    assert passed["copy"]["status"] == "VALID"
    assert all(each["label_zh"] and each["value"] for each in passed["copy"]["fields"])
    assert passed["receipt"]
    assert behind.call("DELETE", path).status_code == 204
    cleared = behind.call("GET", path).get_json()
    assert (cleared["state"], cleared["copy"]) == ("CLEARED", None)
    assert_nobody_is_named(behind.lines.getvalue(), persona, sent)


def assert_nobody_is_named(log: str, persona: Persona, sent: Mapping[str, Any]) -> None:
    assert '"event": "request"' in log
    for secret in (persona.id_number, persona.name, sent["code"], sent["match"], sent["case_number"], sent["cause"]):
        assert str(secret) not in log
    assert sent["request_id"] not in log  # a route is logged by its rule, never by its address


def test_declining_reads_like_silence_at_the_counter(behind: Behind) -> None:
    persona = pair("33", "33")  # nobody else's here: this unit may not ask them again for a while
    phone = behind.country.phone_of(persona)
    phone.show()
    sent = behind.presentation(phone, persona)
    behind.call("POST", "/counter/visits", sent)
    behind.settle()
    phone.answer(Decision.DECLINE, phone.sheet()["sheet"])
    behind.settle()
    body = behind.call("GET", f"/counter/visits/{sent['request_id']}").get_json()
    assert (body["state"], body["outcome"], body["reason"]) == ("REFUSED", "REFUSED", "NOT_AUTHORISED")
    assert body["sentence_zh"]
    assert body["clause"]


def test_the_same_bytes_are_a_retry_and_other_bytes_are_refused(behind: Behind, phone: Phone, persona: Persona) -> None:
    sent = behind.presentation(phone, persona)
    first = behind.call("POST", "/counter/visits", sent)
    again = behind.call("POST", "/counter/visits", sent)
    assert (again.status_code, again.get_json()) == (202, first.get_json())
    other = behind.call("POST", "/counter/visits", {**sent, "cause": "别的事由"})
    assert problem(other) == Reason.REQUEST_ID_REUSED


def test_a_visit_is_seen_by_its_own_window_only(behind: Behind, phone: Phone, persona: Persona) -> None:
    sent = behind.presentation(phone, persona)
    behind.call("POST", "/counter/visits", sent)
    path = f"/counter/visits/{sent['request_id']}"
    scope = behind.country.provinces["31"].office.scope("31")
    other = next(window for unit in scope.units.values() for window in unit.windows if window != WINDOW)
    assert problem(behind.call("GET", path, window=other)) == Reason.REQUEST_UNKNOWN
    assert problem(behind.call("DELETE", path, window=other)) == Reason.REQUEST_UNKNOWN
    assert problem(behind.call("GET", f"/counter/visits/{new_id()}")) == Reason.REQUEST_UNKNOWN
    assert behind.call("GET", path).status_code == 200


# --- watching -----------------------------------------------------------------------------------------------


@pytest.fixture
def asked(behind: Behind, phone: Phone, persona: Persona) -> tuple[str, str]:
    """Path and ETag of a visit that waits for its citizen."""
    sent = behind.presentation(phone, persona)
    behind.call("POST", "/counter/visits", sent)
    behind.settle()
    path = f"/counter/visits/{sent['request_id']}"
    return path, behind.call("GET", path).headers["ETag"]


@pytest.mark.full
def test_nothing_new_is_304_at_once_or_after_the_wait(behind: Behind, asked: tuple[str, str]) -> None:
    path, etag = asked
    for wait, least in (("", 0.0), ("?wait=0", 0.0), ("?wait=1", 0.9)):
        began = time.monotonic()
        answer = behind.call("GET", path + wait, headers={"If-None-Match": etag})
        took = time.monotonic() - began
        assert (answer.status_code, answer.get_data()) == (304, b"")
        assert answer.headers["ETag"] == etag
        assert least <= took < least + 1.5


def test_a_watcher_hears_of_a_change_while_it_waits(behind: Behind, asked: tuple[str, str], phone: Phone) -> None:
    path, etag = asked
    answers: list[TestResponse] = []

    def watch() -> None:
        answers.append(behind.call("GET", f"{path}?wait=2", headers={"If-None-Match": etag}))

    watcher = threading.Thread(target=watch)
    phone.answer(Decision.AGREE, phone.sheet()["sheet"])  # without the digits: refused, and this unit may ask again
    watcher.start()
    behind.settle()
    watcher.join(timeout=30)
    assert answers[0].status_code == 200
    assert answers[0].get_json()["state"] == "REFUSED"
    assert answers[0].headers["ETag"] != etag


def test_a_wait_is_nought_one_or_two_seconds(behind: Behind, asked: tuple[str, str]) -> None:
    client, (path, etag) = behind.app.test_client(), asked
    for wait in ("3", "-1", "1.5", "", "01", "x", "１", "2 ", "99999999999999999999"):
        headers = {HEADER: behind.proof("GET", path), "If-None-Match": etag}
        answer = client.get(path, query_string={"wait": wait}, headers=headers)
        assert problem(answer) == Reason.BODY_INVALID, wait


# --- what cannot be read ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", Reason.BODY_MALFORMED),
        (b"{", Reason.BODY_MALFORMED),
        (b"[]", Reason.BODY_MALFORMED),
        (b"null", Reason.BODY_MALFORMED),
        (b"\xff\xfe", Reason.BODY_MALFORMED),
        (b'{"code": "a", "code": "b"}', Reason.BODY_MALFORMED),
        (b'{"code": 1.5}', Reason.BODY_MALFORMED),
        (b'{"code": NaN}', Reason.BODY_MALFORMED),
        (b'{"code":' + b"[" * 4000 + b"]" * 4000 + b"}", Reason.BODY_MALFORMED),
        (b"{}", Reason.BODY_INVALID),
        (b" " * 250_000, Reason.TOO_LARGE),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(behind: Behind, raw: bytes, code: Reason) -> None:
    answer = behind.call("POST", "/counter/visits", raw, headers={"Content-Type": "application/json"})
    assert problem(answer) == code


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"request_id": "short"}, "/request_id"),
        ({"request_id": "A" * 21 + "B"}, "/request_id"),
        ({"request_id": "A" * 22 + "\n"}, "/request_id"),
        ({"code": ""}, "/code"),
        ({"code": 7}, "/code"),
        ({"type": "birth"}, "/type"),
        ({"preconditions": "both_lost"}, "/preconditions"),
        ({"match": "x" * 4001}, "/match"),
        ({"holder": "x"}, "/holder"),
    ],
)
def test_a_member_that_does_not_fit_is_named(
    behind: Behind, phone: Phone, persona: Persona, change: dict[str, Any], pointer: str
) -> None:
    answer = behind.call("POST", "/counter/visits", behind.presentation(phone, persona, **change))
    assert problem(answer) == Reason.BODY_INVALID
    assert {each["pointer"] for each in answer.get_json()["errors"]} == {pointer}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Type": "text/plain"}, Reason.MEDIA_TYPE),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, Reason.MEDIA_TYPE),
        ({"Accept": "text/html"}, Reason.NOT_ACCEPTABLE),
    ],
)
def test_only_json_is_spoken(behind: Behind, headers: dict[str, str], code: Reason) -> None:
    assert problem(behind.call("POST", "/counter/visits", b"{}", headers=headers)) == code


def test_a_wrong_method_says_which_are_right(behind: Behind) -> None:
    answer = behind.app.test_client().put("/counter/visits")
    assert problem(answer) == Reason.METHOD_NOT_ALLOWED
    assert "POST" in answer.headers["Allow"]


def test_an_unknown_route_is_a_problem_too(behind: Behind) -> None:
    assert problem(behind.app.test_client().get("/counter/nothing")) == Reason.ROUTE_UNKNOWN


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(
        st.sampled_from(
            ["request_id", "code", "matter", "case_number", "type", "cause", "match", "preconditions", "other"]
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=40)
        | st.sampled_from(["marriage", MATTER, "A" * 22, "YRD1:0"])
        | st.lists(st.text(max_size=10), max_size=3),
    )
)
def test_whatever_an_enrolled_window_sends_the_answer_is_a_no_and_never_a_fault(
    behind: Behind, body: dict[str, Any]
) -> None:
    answer = behind.call("POST", "/counter/visits", body)
    assert 400 <= answer.status_code < 500
    problem(answer)


# --- the mailbox and the exchange ---------------------------------------------------------------------------


def letter(behind: Behind, *, sender: str = "31", to: str = "33", topic: Topic = Topic.HOLDINGS) -> Any:
    recipient = behind.country.provinces["31"].office.keylist.recipient(to)
    return write_letter({"question": "x"}, sender=sender, to=to, topic=topic, request_id=new_id(), recipient=recipient)


@contextmanager
def knocking(app: Flask, peer: str | None) -> Iterator[Callable[..., TestResponse]]:
    def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> TestResponse:
        return app.test_client().post(
            path,
            data=body,
            content_type="application/json",
            headers=dict(headers or {}),
            environ_base={} if peer is None else {PEER: peer},
        )

    yield post


@pytest.mark.parametrize(
    ("peer", "headers", "code"),
    [
        (None, {}, Reason.SENDER_UNKNOWN),
        ("", {}, Reason.SENDER_UNKNOWN),
        (None, {"Peer-Token": "of-exchange"}, Reason.SENDER_UNKNOWN),
        (None, {"huzheng.peer": "exchange", "Huzheng-Peer": "exchange", "X-Peer": "exchange"}, Reason.SENDER_UNKNOWN),
        ("31", {}, Reason.FORBIDDEN),
        ("EXCHANGE", {}, Reason.FORBIDDEN),
        ("exchange", {}, Reason.DOCUMENT_MALFORMED),  # it is in, and its letter's content is looked at
    ],
)
def test_a_mailbox_opens_for_the_exchange_alone(
    behind: Behind, peer: str | None, headers: dict[str, str], code: Reason
) -> None:
    raw = json.dumps(letter(behind).to_json()).encode()
    with knocking(behind.country.verifiers["33"], peer) as post:
        assert problem(post("/peer/letters", raw, headers)) == code


def test_in_a_sandbox_without_tls_a_token_names_the_caller(behind: Behind) -> None:
    environment = {
        **behind.country.founded.environment("33"),
        "HUZHENG_VERIFIER_PEER_TOKENS": "exchange=of-exchange,31=of-31",
    }
    app = create_province_app(
        read_settings(environment),
        behind.country.provinces["33"],
        clock=behind.clock,
        log=new_log("x", behind.clock, stream=StringIO()),
    )
    raw = json.dumps(letter(behind).to_json()).encode()
    with knocking(app, None) as post:
        codes = [
            problem(post("/peer/letters", raw, {"Peer-Token": token}))
            for token in ("of-exchange", "of-31", "of-", "", "Of-exchange")
        ]
    unknown = Reason.SENDER_UNKNOWN
    assert codes == [Reason.DOCUMENT_MALFORMED, Reason.FORBIDDEN, unknown, unknown, unknown]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"to": "34"}, Reason.WRONG_PROVINCE),
        ({"sender": "32"}, Reason.ENVELOPE_UNREADABLE),
        ({"request_id": "A" * 22}, Reason.ENVELOPE_UNREADABLE),
        ({"topic": "held"}, Reason.ENVELOPE_UNREADABLE),
        ({"body": "AAAA"}, Reason.ENVELOPE_UNREADABLE),
        ({"sender": "x"}, Reason.DOCUMENT_MALFORMED),
        ({"topic": "gossip"}, Reason.BODY_INVALID),
        ({"body": ""}, Reason.BODY_INVALID),
        ({"copy": "x"}, Reason.BODY_INVALID),
        ({"unit": 7}, Reason.BODY_INVALID),
    ],
)
def test_a_letter_that_somebody_touched_is_refused(behind: Behind, change: dict[str, Any], code: Reason) -> None:
    raw = json.dumps({**letter(behind).to_json(), **change}).encode()
    with knocking(behind.country.verifiers["33"], "exchange") as post:
        assert problem(post("/peer/letters", raw)) == code


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.binary(max_size=60)
    | st.fixed_dictionaries(
        {
            "sender": st.sampled_from(["31", "32", "99", "é", ""]),
            "to": st.sampled_from(["33", "31", "99", "٣٣"]),
            "topic": st.sampled_from([*Topic, "gossip"]),
            "unit": st.none() | st.text(max_size=20),
            "matter": st.none() | st.just(MATTER) | st.text(max_size=20),
            "request_id": st.just("A" * 22) | st.text(max_size=24),
            "body": st.text(max_size=40) | st.just("A" * 4000),
        }
    ).map(lambda found_letter: json.dumps(found_letter).encode())
)
def test_whatever_a_peer_posts_the_answer_is_a_no_and_never_a_fault(behind: Behind, raw: bytes) -> None:
    for which, peer, path in (("33", "exchange", "/peer/letters"), (None, "31", "/exchange/letters")):
        app = behind.country.exchange if which is None else behind.country.verifiers[which]
        with knocking(app, peer) as post:
            answer = post(path, raw)
        assert 400 <= answer.status_code < 500, answer.text
        problem(answer)


def test_a_letter_of_another_sender_stops_at_the_exchange(behind: Behind) -> None:
    raw = json.dumps(letter(behind, sender="32").to_json()).encode()
    with knocking(behind.country.exchange, "31") as post:
        assert problem(post("/exchange/letters", raw)) == Reason.SENDER_UNKNOWN


def test_a_closed_channel_says_no_with_the_number_of_its_notice(behind: Behind) -> None:
    sent = letter(behind, topic=Topic.FETCH)
    behind.country.channels.close(desk="31", library="33", notice="沪数〔2026〕7号", now=behind.clock.now())
    try:
        with knocking(behind.country.exchange, "31") as post:
            answer = post("/exchange/letters", json.dumps(sent.to_json()).encode())
        assert problem(answer) == Reason.CHANNEL_SUSPENDED
        assert "沪数〔2026〕7号" in answer.get_json()["sentences"]["zh"]
        with pytest.raises(Refusal) as caught:
            InProcess.to_exchange(behind.country.exchange, province="31").send(sent)
        assert (caught.value.reason, dict(caught.value.facts)) == (Reason.CHANNEL_SUSPENDED, {"no": "沪数〔2026〕7号"})
    finally:
        behind.country.channels.open(desk="31", library="33", notice="沪数〔2026〕8号", now=behind.clock.now())
    with pytest.raises(Refusal) as caught:
        InProcess.to_exchange(behind.country.exchange, province="31").send(sent)
    assert caught.value.reason is Reason.DOCUMENT_CLAIMS  # now the library looks at it


def test_a_province_that_is_down_is_named_and_its_letters_may_come_again(behind: Behind, tmp_path: Path) -> None:
    store = behind.country.founded.folder / "inner-33.db"
    store.rename(tmp_path / "away.db")
    try:
        with pytest.raises(Unavailable) as caught:
            InProcess.to_exchange(behind.country.exchange, province="31").send(sealed_question(behind))
        assert (caught.value.reason, caught.value.what) == (Reason.LIBRARY_UNREACHABLE, "33")
        ready = behind.country.verifiers["33"].test_client().get("/health/ready")
        assert problem(ready) == Reason.STORE_UNAVAILABLE
        assert ready.headers["Retry-After"]
        assert behind.country.verifiers["33"].test_client().get("/health/live").status_code == 200
    finally:
        (tmp_path / "away.db").rename(store)
    InProcess.to_exchange(behind.country.exchange, province="31").send(sealed_question(behind))


def sealed_question(behind: Behind) -> Any:
    office = behind.country.provinces["31"].office
    question = seal_holding(office.consent_key, library="33", holder="A" * 43, under="A" * 43, now=behind.clock.now())
    return office.letter("33", Topic.HOLDINGS, {"question": question}, request_id=new_id())


# --- for those who run it -----------------------------------------------------------------------------------


def test_health_and_metrics_answer_without_a_name_in_them(behind: Behind, asked: tuple[str, str]) -> None:
    client = behind.app.test_client()
    assert client.get("/health/live").get_json() == {"live": True}
    assert client.get("/health/ready").get_json() == {"ready": True, "redis": "off"}
    text = client.get("/metrics").text
    assert 'route="/counter/visits/<request_id>"' in text
    assert asked[0].rpartition("/")[2] not in text


def test_answers_carry_headers_that_keep_them_where_they_belong(behind: Behind) -> None:
    for answer in (behind.call("GET", "/counter/register"), behind.app.test_client().get("/nowhere")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_request_id_is_kept_if_it_is_one_and_replaced_if_not(behind: Behind) -> None:
    client = behind.app.test_client()
    kept = "9xK2mVb7Qw3nRt5yLp0aZg"
    assert client.get("/health/live", headers={"Request-Id": kept}).headers["Request-Id"] == kept
    assert client.get("/health/live", headers={"Request-Id": "a b"}).headers["Request-Id"] != "a b"


@pytest.mark.parametrize("which", ["31", "exchange"])
def test_the_description_is_openapi_and_names_every_no(behind: Behind, which: str) -> None:
    app = behind.country.exchange if which == "exchange" else behind.country.verifiers[which]
    found_document = app.test_client().get("/openapi.json").get_json()
    assert found_document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(found_document).validate()
    for path, operations in found_document["paths"].items():
        for method in operations.keys() & {"get", "post", "delete"}:
            operation = operations[method]
            if path.startswith(("/counter", "/peer", "/exchange")):
                kinds = {
                    kind
                    for status, answer in operation["responses"].items()
                    if status[0] in "45"
                    for kind in answer.get("content", {})
                }
                assert kinds == {PROBLEM_TYPE}, (method, path)
                assert "401" in operation["responses"]


# --- settings and commands ----------------------------------------------------------------------------------


def test_an_unknown_setting_stops_the_start_and_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUZHENG_VERIFIER_PEER_TOKEN_S", "31=secret")
    assert main(["channel", "list"]) == 2
    told = capsys.readouterr().err
    assert "HUZHENG_VERIFIER_PEER_TOKEN" in told
    assert "secret" not in told


@pytest.mark.parametrize(
    "change",
    [
        {"peer_tokens": "31=x"},
        {"peer_token": "x"},
        {"profile": "test"},
        {"province": "11"},
        {"threads": 0},
        {"tls_certificate": "a.pem"},
        {"peers": "31"},
    ],
)
def test_settings_that_cannot_hold_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        checked(Settings(**change))


def test_the_commands_found_and_describe_a_store_and_close_a_channel(
    behind: Behind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in behind.country.founded.environment("31").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HUZHENG_VERIFIER_EXCHANGE_STORE", f"sqlite:///{tmp_path}/exchange.db")
    assert main(["channel", "list"]) == 1  # there is no store, and looking does not make one
    assert not (tmp_path / "exchange.db").exists()
    assert main(["migrate", "exchange", "--create"]) == 0
    assert main(["channel", "close", "31", "34", "--notice", "1号"]) == 0
    assert main(["channel", "open", "31", "34", "--notice", "2号"]) == 0
    assert main(["channel", "close", "31", "31", "--notice", "3号"]) == 1
    capsys.readouterr()
    assert main(["channel", "list"]) == 0
    assert re.fullmatch(r"31\t34\tOPEN\t[0-9TZ:-]{20}\t2号\n", capsys.readouterr().out)
    for whose in ("province", "exchange"):
        assert main(["openapi", whose]) == 0
        assert json.loads(capsys.readouterr().out)["openapi"].startswith("3.1")
    monkeypatch.setenv("HUZHENG_VERIFIER_KEYLIST_SHA256", "x")
    assert main(["openapi"]) == 2
    monkeypatch.delenv("HUZHENG_VERIFIER_KEYLIST_SHA256")
    monkeypatch.setenv("HUZHENG_KEYLIST_SHA256", "A" * 43)
    assert main(["openapi"]) == 1

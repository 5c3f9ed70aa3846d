"""The kiosk and its desk: proofs, envelopes, retries, and what is said when nobody answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from consent.b64 import new_id
from consent.errors import UNAVAILABLE, Reason, Refusal, Unavailable
from consent.keys import load_key
from consent.people import CitizenId
from consent.sentences import Audience
from consent.telling import problem_of
from consent.window import issuer_of
from scanner_kiosk.province_client import MOST_REPLY, HttpLine, ProvinceClient, Reply, failure_of, read_view
from scanner_kiosk.visit import Asked
from tests.counter_rig import PERSON, START, Rig, new_rig
from tests.country import Stage


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return new_rig(tmp_path)


def client_of(rig: Rig) -> ProvinceClient:
    return ProvinceClient(
        line=rig.lines["31"],
        province="31",
        window="31-M1",
        key=load_key(f"file:{rig.folder}/31-M1.pem", issuer=issuer_of("31", "31-M1"), sandbox=True),
        recipient=rig.keylist.recipient("31"),
        clock=rig.clock,
    )


def ask(client: ProvinceClient, rig: Rig, *, person: str | None = PERSON) -> Asked:
    return client.ask(
        request_id=new_id(),
        code=rig.code(),
        matter="divorce.apply",
        type_="marriage",
        case_number="2026-1",
        cause="离婚登记申请",
        person=None if person is None else CitizenId.parse(person, today=START.date()),
        preconditions=("both_lost",),
    )


def test_a_presentation_is_proved_by_the_window_and_opened_by_the_desk_alone(rig: Rig) -> None:
    client = client_of(rig)
    asked = ask(client, rig)
    view = client.present(asked)
    assert (view.state, view.digits, view.request_id) == ("ASKED", "47", asked.request_id)
    assert rig.desk.people == [PERSON]
    assert PERSON.encode() not in asked.body


def test_a_presentation_without_a_person_sends_no_envelope(rig: Rig) -> None:
    client = client_of(rig)
    client.present(ask(client, rig, person=None))
    assert rig.desk.people == [None]


def test_a_lost_reply_can_be_asked_for_again_with_the_same_bytes_under_a_new_proof(rig: Rig) -> None:
    client = client_of(rig)
    asked = ask(client, rig)
    rig.lines["31"].lost = 1
    with pytest.raises(Unavailable):
        client.present(asked)
    view = client.present(asked)  # the desk asserts that no proof came twice
    assert view.state == "ASKED"
    assert rig.desk.bodies == [asked.body, asked.body]
    assert len(rig.desk.visits) == 1


def test_a_poll_that_finds_nothing_newer_returns_what_was_known(rig: Rig) -> None:
    client = client_of(rig)
    known = client.visit(client.present(ask(client, rig)).request_id)
    assert client.visit(known.request_id, known=known, wait_s=1) is known
    rig.desk.move("FETCHING")
    assert client.visit(known.request_id, known=known).state == "FETCHING"


def test_a_visit_is_cleared_at_the_desk(rig: Rig) -> None:
    client = client_of(rig)
    view = client.present(ask(client, rig))
    client.clear(view.request_id)
    assert rig.desk.cleared == [view.request_id]


def test_the_register_is_what_this_window_may_do(rig: Rig) -> None:
    found = client_of(rig).register()
    assert found["window"] == "31-M1"
    assert [each["slug"] for each in found["matters"]] == ["divorce.apply", "realestate.register"]


def test_a_problem_becomes_the_refusal_that_it_names_with_its_facts(rig: Rig) -> None:
    client = client_of(rig)
    rig.desk.refuse, rig.desk.facts = Reason.PHASE_NOT_BEGUN, {"date": "2027-01-01"}
    with pytest.raises(Refusal) as refused:
        client.present(ask(client, rig))
    assert refused.value.reason is Reason.PHASE_NOT_BEGUN
    assert refused.value.facts == {"date": "2027-01-01"}


@pytest.mark.parametrize("reason", Reason)
def test_every_problem_comes_back_as_the_failure_that_went_out(reason: Reason) -> None:
    facts: dict[str, Any] = {"n": 3, "province": "33"}
    sent = Unavailable(reason, "33", retry_after_s=7, **facts) if reason in UNAVAILABLE else Refusal(reason, **facts)
    told = problem_of(sent, audience=Audience.VENDOR, request_id=new_id())
    headers = {name.lower(): value for name, value in told.headers.items()}
    found = failure_of(Reply(status=told.status, headers=headers, body=json.dumps(dict(told.body)).encode()))
    assert (type(found), found.reason, dict(found.facts)) == (type(sent), reason, dict(sent.facts))
    if isinstance(found, Unavailable):
        assert (found.what, found.retry_after_s) == ("33", 7)


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=8),
        lambda it: st.dictionaries(
            st.sampled_from(["code", "facts", "what", "detail", "self", "reason", "OFFLINE", "n", "state", "version"]),
            it,
        ),
        max_leaves=12,
    ).map(lambda found: json.dumps(found).encode())
)
def test_whatever_a_desk_answers_is_a_failure_or_a_visit_and_nothing_else(body: bytes) -> None:
    reply = Reply(status=500, headers={}, body=body)
    assert isinstance(failure_of(reply), Refusal | Unavailable)
    with pytest.raises(Unavailable) as silent:
        read_view(reply)
    assert silent.value.reason is Reason.OFFLINE


def test_facts_of_a_stranger_never_become_arguments() -> None:
    body = {"code": "TOO_MANY", "facts": {"n": 5, "detail": "x", "self": "y", "what": ["no"], "name": "王"}}
    found = failure_of(Reply(status=429, headers={}, body=json.dumps(body).encode()))
    assert dict(found.facts) == {"n": 5}


# --- over the network -----------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[tuple[str, list[Response], list[Request]]]:
    answers: list[Response] = []
    asked: list[Request] = []

    def app(environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        request.get_data()
        asked.append(request)
        return answers.pop(0)(environ, start_response)

    http = make_server("127.0.0.1", 0, app)
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}", answers, asked
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.mark.network
def test_a_line_carries_method_path_headers_and_body_and_follows_no_redirect(
    server: tuple[str, list[Response], list[Request]],
) -> None:
    address, answers, asked = server
    answers += [Response("gone", 307, {"Location": "http://127.0.0.1:1/", "ETag": '"5"'})]
    reply = HttpLine(address).call("POST", "/counter/visits?wait=1", b"{}", {"Window-Proof": "x"})
    assert (reply.status, reply.headers["etag"], reply.body) == (307, '"5"', b"gone")
    (request,) = asked
    assert (request.method, request.full_path, request.headers["Window-Proof"], request.get_data()) == (
        "POST",
        "/counter/visits?wait=1",
        "x",
        b"{}",
    )


@pytest.mark.network
def test_an_answer_without_end_is_no_answer(server: tuple[str, list[Response], list[Request]]) -> None:
    address, answers, _ = server
    answers += [Response(b"x" * (MOST_REPLY + 1))]
    with pytest.raises(Unavailable) as silent:
        HttpLine(address).call("GET", "/", b"", {})
    assert silent.value.reason is Reason.OFFLINE


@pytest.mark.network
def test_a_desk_that_is_not_there_is_offline() -> None:
    with pytest.raises(Unavailable) as silent:
        HttpLine("http://127.0.0.1:1").call("GET", "/", b"", {})
    assert (silent.value.reason, silent.value.what) == (Reason.OFFLINE, "desk")


# --- with the real desk ---------------------------------------------------------------------------


def test_the_real_desk_takes_what_this_client_sends(stage: Stage) -> None:
    client = stage.country.window_client("31", "31-M1")
    register = client.register()
    assert register["unit"]["kind"] == "government"
    assert {"slug", "name_zh", "types", "fields", "preconditions", "holder_match", "clause"} <= set(
        register["matters"][0]
    )
    asked = client.ask(
        request_id=new_id(),
        code="YRD1:" + "0" * 168,
        matter=register["matters"][0]["slug"],
        type_=register["matters"][0]["types"][0],
        case_number="2026-1",
        cause="办理",
        person=None,
        preconditions=(),
    )
    with pytest.raises(Refusal) as refused:
        client.present(asked)
    assert refused.value.reason is Reason.CODE_UNKNOWN_KEY
    with pytest.raises(Refusal) as unknown:
        client.visit(new_id())
    assert unknown.value.reason is Reason.REQUEST_UNKNOWN

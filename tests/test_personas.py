"""The people of the sandbox as vendors see them: who there is, and that their visits end as the list says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from consent.clock import shanghai_date
from consent.errors import Outcome, Reason, outcome_of
from consent.keys import SANDBOX_MARK
from consent.people import CitizenId, Flag
from consent.telling import new_log
from scanner_kiosk.country import wallet_url
from tests.country import START, Stage, persona
from tests.outer import Outer, found_outer
from wallet_api.__main__ import main
from wallet_api.app import create_app
from wallet_api.personas import load_personas
from wallet_api.vendors.oauth import ASSERTION_TYPE

pytestmark = pytest.mark.full  # visits and processes: each takes seconds

FEARED = ("no-certificate", "paper-only", "under-objection", "superseded")


@pytest.fixture
def listed(stage: Stage, tmp_path: Path) -> Any:
    """A sandbox with everybody in it."""
    outer = found_outer(
        tmp_path / "31",
        personas=str(stage.folder / "personas.json"),
        login_key=f"file:{stage.country.founded.keys.path('31', 'login')}",
    )
    yield outer
    outer.close()


def test_a_vendor_sees_at_least_twelve_people_with_all_that_happens_at_counters(listed: Outer) -> None:
    found = listed.call("GET", "/v1/sandbox/personas").json["personas"]
    assert len(found) >= 12
    assert len({each["id"] for each in found}) == len(found)
    assert {each["app"] for each in found} == {"suishenban", "sufuban", "zheliban", "wanshitong"}
    types = {owned["type"] for each in found for owned in each["certificates"]}
    assert types == {"marriage", "divorce"}
    reasons = {each["ends"]["reason"] for each in found}
    assert reasons == {None, "NOT_FOUND", "NOT_DIGITISED", "CERTIFICATE_NOT_VALID"}
    for each in found:
        reason = each["ends"]["reason"]
        assert each["ends"]["outcome"] == outcome_of(None if reason is None else Reason(reason))
        assert each["note"]["zh"]
        assert each["note"]["en"]
    minority = next(each for each in found if each["id"] == "ayi-guli")
    assert minority["certificates"] == [{"province": "33", "type": "marriage", "status": "VALID"}]


def test_nobody_is_named_or_numbered_in_the_list(listed: Outer, stage: Stage) -> None:
    text = listed.call("GET", "/v1/sandbox/personas").text
    for row in json.loads((stage.folder / "personas.json").read_text(encoding="utf-8")):
        assert row["name"] not in text
        assert row["id_number"] not in text
        number = CitizenId.parse(row["id_number"], today=shanghai_date(START))
        assert Flag.DIVISION_UNKNOWN in number.flags  # can be nobody's


def test_live_has_no_such_operation(tmp_path: Path) -> None:
    outer = found_outer(tmp_path / "31")
    for name in ("code.pem", "showing.key"):
        path = tmp_path / "31" / name
        path.write_text(path.read_text().removeprefix(SANDBOX_MARK))
    live = create_app(replace(outer.settings, profile="live"), clock=outer.clock, log=new_log("x", outer.clock))
    with live.test_client() as client:
        assert "/v1/sandbox/personas" not in client.get("/openapi.json").json["paths"]
        assert client.get("/v1/sandbox/personas").json["code"] == "ROUTE_UNKNOWN"
    assert "/v1/sandbox/personas" in outer.client.get("/openapi.json").json["paths"]
    live.extensions["wallet_api"].engine.dispose()
    outer.close()


@pytest.mark.parametrize("name", [*FEARED, "zhang-wei", "ayi-guli", "zhou-ming", "wu-lei"])
def test_a_visit_ends_as_the_list_says(stage: Stage, name: str) -> None:
    people = load_personas(stage.folder / "personas.json", today=shanghai_date(START))
    reason = people[name].reason
    scene = stage.scene(who=persona(name))
    scene.asked_and_shown()
    scene.agree(**({} if scene.listed() else {"certificate": None}))
    view = scene.finish()
    assert (view.outcome, view.said.reason) == (outcome_of(reason), reason)
    assert (reason is None) == (outcome_of(reason) is Outcome.PASSED)


@pytest.mark.parametrize(
    "members",
    [
        {"certificates": "x"},
        {"certificates": [{"province": "31", "type": "birth", "status": "VALID"}]},
        {"certificates": [{"province": "31", "type": "marriage"}]},
        {"reason": "BECAUSE"},
        {"reason": 7},
    ],
)
def test_a_row_that_says_something_strange_stops_the_start(stage: Stage, tmp_path: Path, members: Any) -> None:
    rows = json.loads((stage.folder / "personas.json").read_text(encoding="utf-8"))
    path = tmp_path / "personas.json"
    path.write_text(json.dumps([rows[0] | members]), encoding="utf-8")
    with pytest.raises(ValueError, match="row 1: member"):
        load_personas(path, today=shanghai_date(START))


# The commands ------------------------------------------------------------------------------------------------


@pytest.fixture
def command(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """`wallet-api sandbox …` beside the running wallet_api of Shanghai: its status, and what it prints or complains."""
    founded = stage.country.founded
    environment = founded.environment("31") | {
        "HUZHENG_WALLET_PUBLIC_URL": wallet_url("31"),
        "HUZHENG_WALLET_PERSONAS": str(stage.folder / "personas.json"),
        "HUZHENG_WALLET_LOGIN_KEY": founded.keys.uri("31", "login"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("wallet_api.sandbox.SystemClock", lambda: stage.clock)

    def run(*arguments: str) -> tuple[int, str]:
        status = main(("sandbox", *arguments))
        told = capsys.readouterr()
        return status, (told.out or told.err).strip()

    return run


def test_what_the_commands_sign_opens_a_showing(
    stage: Stage, command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    vendor = json.loads((stage.folder / "vendors.json").read_text(encoding="utf-8"))["31"]
    _, assertion = command("assertion", vendor["client_id"], "--key", vendor["key"])
    client = Client(stage.country.wallets["31"])
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    token = client.post("/oauth/token", data=form).json["access_token"]
    device = str(tmp_path / "device.pem")
    for _ in range(2):  # the device's key is made once and kept
        _, holder = command("holder", "--persona", "zhang-wei", "--device", device)
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": holder[-20:]}
        answer = client.post("/v1/showings", json={"holder": holder}, headers=headers)
        assert answer.status_code == 201, answer.text
    assert (tmp_path / "device.pem").stat().st_mode & 0o777 == 0o600
    assert command("personas")[1].count("\n") >= 11


def test_the_commands_know_only_people_of_this_app_and_only_a_sandbox(
    command: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for stranger in ("nobody", "shen-yu"):
        status, said = command("holder", "--persona", stranger)
        assert (status, "INVALID_GRANT" in said) == (1, True)
    assert command("assertion", "x", "--key", str(tmp_path / "no.pem"))[0] == 1
    monkeypatch.delenv("HUZHENG_WALLET_PERSONAS")
    monkeypatch.delenv("HUZHENG_WALLET_LOGIN_KEY")
    assert command("personas")[0] == 2
    monkeypatch.setenv("HUZHENG_PROFILE", "live")
    for arguments in (("personas",), ("holder", "--persona", "zhang-wei"), ("assertion", "x", "--key", "k.pem")):
        status, said = command(*arguments)
        assert (status, "sandbox" in said) == (2, True)

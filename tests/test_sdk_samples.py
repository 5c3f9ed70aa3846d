"""What vendors copy: the webhook check, the samples of the READMEs, the sample app, the package that is built.

All of it runs against the real wallet_api on a real socket.
"""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from huzheng_wallet import (
    Refused,
    TokenRefused,
    Unavailable,
    WalletError,
    WebhookRefused,
    webhook,
)
from standardwebhooks.webhooks import Webhook

from consent.approval import Decision
from consent.code import PREFIX
from consent.keys import jwk_of
from consent.standing import offer_digest, seal_standing
from tests.outer import VENDOR, Phone
from tests.phone_stage import certificate, holdings, past_entry
from tests.sdk_stage import SDK, SECRET, Shop, open_shop
from tests.test_phone_express import QUESTION, ROW, offer_of

pytestmark = pytest.mark.network

PACKAGE = SDK / "python" / "huzheng_wallet"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One service for all: every test opens its own showings with its own client. Its clock only goes forward."""
    with open_shop(tmp_path_factory.mktemp("shop"), vendor_per_minute=100_000) as opened:
        yield opened


@pytest.fixture
def phone() -> Phone:
    return Phone()


def holder(shop: Shop, phone: Phone) -> str:
    return shop.outer.login(phone)


# Webhooks -----------------------------------------------------------------------------------------------------

BODY = b'{"type":"showing.claimed","timestamp":"2026-11-24T09:00:00Z","data":%s}' % (
    b'{"showing_id":"6f1b0a9c3d5e7f8091a2b3c4","state":"CLAIMED","version":2,"reason":null}'
)


def signed(body: bytes = BODY, secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return {
        "Webhook-Id": "6f1b0a9c3d5e7f8091a2b3c4.2",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("6f1b0a9c3d5e7f8091a2b3c4.2", at, body.decode()),
    }


def test_a_genuine_webhook_is_believed_also_while_a_secret_is_changed() -> None:
    new = "whsec_YW5vdGhlciBzZWNyZXQgb2YgYSB3ZWJob29r"
    for secrets in ([SECRET], [new, SECRET]):
        message = webhook.verify(signed(), BODY, secrets)
        assert (message.message_id, message.type) == ("6f1b0a9c3d5e7f8091a2b3c4.2", "showing.claimed")
        assert (message.state, message.version, message.reason) == ("CLAIMED", 2, None)
        assert message.at == datetime(2026, 11, 24, 9, tzinfo=UTC)


def test_a_tampered_old_early_or_unsigned_webhook_is_refused() -> None:
    now, genuine = datetime.now(UTC), signed()
    bad: list[tuple[dict[str, str], bytes]] = [
        (genuine, BODY.replace(b"CLAIMED", b"DELIVERED")),
        (genuine, BODY + b" "),
        (signed(at=now - timedelta(minutes=6)), BODY),
        (signed(at=now + timedelta(minutes=6)), BODY),
        (signed(secret="whsec_YW5vdGhlciBzZWNyZXQgb2YgYSB3ZWJob29r"), BODY),
        ({**genuine, "Webhook-Id": "6f1b0a9c3d5e7f8091a2b3c4.3"}, BODY),
        ({**genuine, "Webhook-Timestamp": str(int(now.timestamp()) - 1)}, BODY),
        ({**genuine, "Webhook-Timestamp": "soon"}, BODY),
        ({**genuine, "Webhook-Signature": genuine["Webhook-Signature"].replace("v1,", "v2,")}, BODY),
        ({**genuine, "Webhook-Signature": "v1,%%%"}, BODY),
        ({**genuine, "Webhook-Signature": "v1"}, BODY),
        ({**genuine, "Webhook-Signature": "v1,é"}, BODY),
        (genuine, b"\xff\xfe"),
        ({}, BODY),
        *(({name: text for name, text in genuine.items() if name != left}, BODY) for left in genuine),
    ]
    for headers, body in bad:
        with pytest.raises(WebhookRefused):
            webhook.verify(headers, body, [SECRET])
    for strange in (b"[]", b"{}", b'{"type":1,"timestamp":"x","data":{}}'):
        with pytest.raises(WebhookRefused):
            webhook.verify(signed(strange), strange, [SECRET])


@pytest.mark.parametrize("secrets", [[], [""], ["whsec_"], [SECRET, "whsec_!"], [SECRET, "whsec_A"]])
def test_no_secret_at_all_is_the_vendors_mistake(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        webhook.verify(signed(), BODY, secrets)


def test_what_wallet_api_sends_is_what_the_sdk_reads() -> None:
    events = pytest.importorskip("wallet_api.webhooks.events")
    at = datetime.now(UTC)
    body = events.payload(showing_id="6f1b0a9c3d5e7f8091a2b3c4", state="DELIVERED", version=5, reason=None, at=at)
    message = webhook.verify(signed(body.encode()), body.encode(), [SECRET])
    assert (message.type, message.showing_id, message.version) == ("showing.delivered", "6f1b0a9c3d5e7f8091a2b3c4", 5)


# The samples --------------------------------------------------------------------------------------------------


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", (SDK / "README.md").read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def environment(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "client.pem").write_text(shop.key)
    (tmp_path / "login.pem").write_text(shop.outer.login_key.pem())
    values = {
        "WALLET_URL": shop.url,
        "CLIENT_ID": VENDOR,
        "CLIENT_KEY": str(tmp_path / "client.pem"),
        "APP": "suishenban",
        "PROVINCE": "31",
        "LOGIN_KEY": str(tmp_path / "login.pem"),
        "RECIPIENT": shop.outer.envelope_key.recipient.text,
        "WEBHOOK_SECRET": SECRET,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("environment")
def test_the_readmes_python_runs_from_the_client_to_the_webhook(shop: Shop, phone: Phone) -> None:
    names: dict[str, Any] = {"device": jwk_of(phone.key.public), "headers": signed(), "body": BODY}
    said = []
    for n, block in enumerate(blocks("python")):
        if n == 2:
            request = shop.ask(names["showing"].showing_id)["request"]
            names["approval"] = shop.outer.approval(phone, request)
        if n == 3:
            assert shop.outer.move(names["showing"].showing_id, "consent")
            shop.deliver(names["showing"].showing_id)
        with redirect_stdout(StringIO()) as out:
            exec(compile(block, f"README block {n}", "exec"), names)
        said.append(out.getvalue())
    # The machine's clock is not the server's, and nobody had to care.
    assert said[1].startswith("<")
    assert f"it is {shop.outer.clock.now():%Y-%m-%d %H:%M}" in said[1]
    assert "徐汇区不动产登记中心" in said[2]
    assert said[3] == "eyJhbGciOiJFZERTQSJ9.e30.c2ln\n"
    assert said[5] == "showing.claimed 6f1b0a9c3d5e7f8091a2b3c4 CLAIMED\n"
    assert "('showing.opened', 1)" in said[6]
    assert names["place"]
    assert len(said) == 7


@pytest.mark.usefixtures("environment")
def test_the_packages_own_readme_runs(shop: Shop, phone: Phone) -> None:
    text = (SDK / "python" / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    names: dict[str, Any] = {"holder": holder(shop, phone)}
    exec(compile(block, "README", "exec"), names)
    assert names["code"].text.startswith(PREFIX)


def test_the_readme_says_everything_in_both_languages_and_its_commands_name_files_that_exist() -> None:
    text = (SDK / "README.md").read_text(encoding="utf-8")
    assert text.count("**中文**") == text.count("**English**") >= 8
    commands = "\n".join(blocks("sh"))
    assert re.findall(r"\./python|samples/\S+", commands)
    assert all((SDK / path).exists() for path in re.findall(r"\./python|samples/\S+", commands))


@pytest.mark.usefixtures("environment")
def test_the_sample_starts_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Flask] = []
    monkeypatch.setattr(Flask, "run", lambda app, **_: started.append(app))
    runpy.run_path(str(SDK / "samples" / "vendor_app.py"), run_name="__main__")
    (app,) = started
    assert app.test_client().get("/").status_code == 200


def test_the_sample_carries_a_visit_to_its_receipt_and_hands_problems_through(shop: Shop, phone: Phone) -> None:
    client = shop.sample().test_client()
    assert client.get("/wallet/state").status_code == 401
    client.post("/sign-in", data={"account": "zhang-wei"})
    assert client.get("/wallet/state").json == {"state": "NONE"}
    shown = client.post("/wallet/show", json={"device": jwk_of(phone.key.public)}).json
    assert shown["who"] == {"sub": phone.sub, "province": "31"}
    state = client.get("/wallet/state")
    assert state.json["state"] == "OPEN"
    assert client.get("/wallet/state", headers={"If-None-Match": state.headers["ETag"]}).status_code == 304
    code = client.get("/wallet/code").json
    assert set(code) == {"svg", "refresh_in", "server_time"}
    early = client.get("/wallet/sheet")
    assert (early.status_code, early.json["code"]) == (404, "REQUEST_UNKNOWN")
    assert early.json["sentences"]["zh"]

    shop.ask(shown["showing_id"])
    sheet = client.get("/wallet/sheet").json
    approval = shop.outer.approval(phone, sheet["sheet"]["request"])
    assert client.post("/wallet/answer", json={"approval": approval}).status_code == 200
    assert shop.outer.move(shown["showing_id"], "consent")
    no = shop.outer.approval(phone, sheet["sheet"]["request"], Decision.WITHDRAW)
    assert client.post("/wallet/withdrawal", json={"approval": no}).status_code == 200
    shop.deliver(shown["showing_id"])
    assert client.get("/wallet/receipt").json == {"receipt": "eyJhbGciOiJFZERTQSJ9.e30.c2ln"}
    assert client.get("/wallet/counter").status_code == 404  # nothing was read
    late = client.post("/wallet/counter", json={"counter": "YRDC:x"})
    assert (late.status_code, bool(late.json["sentences"]["zh"])) == (422, True)


def test_the_sample_reads_the_whole_history_and_hands_in_an_objection(shop: Shop, phone: Phone) -> None:
    client = shop.sample().test_client()
    client.post("/sign-in", data={"account": "zhang-wei"})
    device = jwk_of(phone.key.public)
    assert client.get("/wallet/history").status_code == 404
    assert client.post("/wallet/history", json={"device": device, "earlier": None}).json == {}
    assert client.get("/wallet/history").json == {"done": False, "entries": [], "silent": [], "earlier": None}
    entries = [past_entry(n) for n in range(60, 0, -1)]  # more than one part
    assert shop.answer("history", {"entries": entries, "silent": ["34"], "earlier": entries[-1]["cursor"]}) == 1
    found = client.get("/wallet/history").json
    assert [each["entry"] for each in found["entries"]] == [each["entry"] for each in entries]
    assert (found["done"], found["silent"], found["earlier"]) == (True, ["34"], entries[-1]["cursor"])
    said = {"device": device, "entry": entries[0]["entry"], "kind": "DATA_WRONG", "text": ""}
    assert client.post("/wallet/objection", json=said).json == {}
    assert client.get("/wallet/objection").json == {"number": None}
    assert shop.answer("objection", {"number": "31-000017"}) == 1
    assert client.get("/wallet/objection").json == {"number": "31-000017"}


def test_the_sample_asks_for_an_offer_and_says_what_stands_until_it_is_over(shop: Shop, phone: Phone) -> None:
    client = shop.sample().test_client()
    client.post("/sign-in", data={"account": "zhang-wei"})
    assert client.get("/wallet/offer").status_code == client.get("/wallet/certificates").status_code == 404
    shown = client.post("/wallet/show", json={"device": jwk_of(phone.key.public)}).json
    assert client.get("/wallet/standing").json == {"stands": False}
    assert client.post("/wallet/offer", json={"desk": "32", "unit": None, "matter": None, "type": None}).json == {}
    assert client.get("/wallet/offer").json == {"done": False, "units": None, "offer": None}
    assert shop.answer("offer", {"units": [ROW]}) == 1
    (unit,) = client.get("/wallet/offer").json["units"]
    assert (unit["unit"], unit["name"]["zh"], len(unit["matters"])) == (ROW["unit"], ROW["name_zh"], 2)
    client.post("/wallet/offer", json=QUESTION)
    assert shop.answer("offer", offer_of()) == 1
    words = client.get("/wallet/offer").json["offer"]
    assert words == offer_of()["offer"]
    assert client.post("/wallet/certificates", json={"device": jwk_of(phone.key.public)}).json == {}
    assert client.get("/wallet/certificates").json == {"holdings": None}
    shop.answer("holdings", json.loads(holdings(certificate())))
    (mine,) = client.get("/wallet/certificates").json["holdings"]["certificates"]

    def sealed(offer: str) -> dict[str, str]:
        return {
            "standing": seal_standing(
                phone.key,
                province="31",
                showing_id=shown["showing_id"],
                unit=unit["unit"],
                matter="realestate.register",
                certificate=mine["certificate"],
                offer=offer,
                now=shop.outer.clock.now(),
            )
        }

    stands = client.put("/wallet/standing", json=sealed(offer_digest(words))).json
    until = (shop.outer.clock.now().replace(microsecond=0) + timedelta(minutes=15)).isoformat()
    names = {"unit": unit["name"], "matter": {"zh": "不动产登记", "en": "Real-estate registration"}}
    assert stands == client.get("/wallet/standing").json == {"stands": True, "until": until, **names}
    assert client.delete("/wallet/standing").json == client.get("/wallet/standing").json == {"stands": False}
    unread = client.put("/wallet/standing", json=sealed(offer_digest({}))).json
    assert unread == {"stands": True, "until": until}, "words that were not read here are not put to it"
    shop.outer.clock.advance(900)
    assert client.get("/wallet/standing").json == {"stands": False}


def test_the_sample_hears_genuine_webhooks_only(shop: Shop) -> None:
    client = shop.sample().test_client()
    assert client.post("/webhook", data=BODY, headers=signed()).status_code == 204
    assert client.post("/webhook", data=BODY + b" ", headers=signed()).status_code == 400
    assert client.post("/webhook", data=BODY).status_code == 400


# The package --------------------------------------------------------------------------------------------------


def test_the_package_imports_nothing_of_this_repository() -> None:
    allowed = {"cryptography", "jwt", "standardwebhooks", "urllib3"}
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = {each.name.split(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = {str(node.module).split(".")[0]}
            else:
                continue
            assert names <= allowed | sys.stdlib_module_names, path


def test_every_error_is_a_wallet_error_and_every_public_name_is_there() -> None:
    import huzheng_wallet

    assert all(hasattr(huzheng_wallet, name) for name in huzheng_wallet.__all__)
    assert all(issubclass(each, WalletError) for each in (Refused, Unavailable, TokenRefused, WebhookRefused))


@pytest.mark.full
def test_the_wheel_is_built_offline_and_works_alone(tmp_path: Path) -> None:
    source = tmp_path / "python"  # a build leaves its own folders beside the sources
    shutil.copytree(SDK / "python", source, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index"]
    subprocess.run([*pip, "-w", str(tmp_path / "dist"), str(source)], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("huzheng_wallet-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
        archive.extractall(tmp_path / "place")
    assert {f"huzheng_wallet/{path.name}" for path in PACKAGE.iterdir() if path.is_file()} <= packed
    assert any(name.endswith("licenses/LICENSE") for name in packed)
    code = "import huzheng_wallet, sys; print(huzheng_wallet.__file__); assert 'consent' not in sys.modules"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "place")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith(str(tmp_path / "place"))

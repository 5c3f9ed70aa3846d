"""One province's outer network for tests: real keys, a real key list, a real hand-over store, one movable clock.

The inner network is played by hand: `ask` writes what `verifier work` writes when a counter has claimed a
showing. Everything else goes through HTTP.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt as jose
from joserfc.jwk import ECKey, OKPKey
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from consent.approval import Decision, seal_approval
from consent.b64 import new_id, to_b64
from consent.clock import MovableClock, to_epoch
from consent.envelope import EnvelopeKey, new_envelope_key
from consent.keylist import write_key_list
from consent.keys import SANDBOX_MARK, PublicKey, SigningKey, jwk_of, new_key, write_private
from consent.people import synthetic_id
from consent.provinces import province
from consent.showing import Person, seal_holder
from consent.states import SHOWING
from consent.stores import handover
from consent.stores.base import open_engine, reading, writing
from consent.stores.handover import ShowingRow
from consent.telling import PROBLEM_TYPE, new_log
from wallet_api.app import create_app, migrate_store
from wallet_api.doors.says import ALWAYS
from wallet_api.settings import Settings
from wallet_api.vendors import SCOPES, Vendors

START = datetime(2026, 11, 24, 9, 0, 0, 400_000, tzinfo=UTC)
PERSON = Person(id_number=synthetic_id("310199", date(1990, 2, 3), 17), name="张伟")
VENDOR = "suishenban-server"


@dataclass
class Phone:
    """A device key and the pseudonym under which the app knows its owner."""

    sub: str = "pairwise-3f9a2c1d"
    key: SigningKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = new_key("ES256", issuer=self.sub)


@dataclass
class Outer:
    """A running wallet_api and what is around it."""

    app: Flask
    clock: MovableClock
    settings: Settings
    engine: Engine
    login_key: SigningKey
    envelope_key: EnvelopeKey
    vendor_key: ECKey | OKPKey
    lines: StringIO
    code: str
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    @property
    def vendors(self) -> Vendors:
        return Vendors(self.engine, profile="sandbox", by="test")

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]

    def close(self) -> None:
        """Close both pools of connections."""
        self.app.extensions["wallet_api"].engine.dispose()
        self.engine.dispose()

    # The vendor's server ------------------------------------------------------------------------------------

    def assertion(self, key: ECKey | OKPKey | None = None, *, alg: str = "ES256", **claims: Any) -> str:
        now = to_epoch(self.clock.now())
        whole = {
            "iss": VENDOR,
            "sub": VENDOR,
            "aud": self.settings.public_url,
            "exp": now + 60,
            "jti": new_id(),
            **claims,
        }
        signing = key or self.vendor_key
        whole = {name: value for name, value in whole.items() if value is not None}
        return jose.encode({"alg": alg, "kid": signing.thumbprint()}, whole, signing, algorithms=[alg])

    def ask_token(self, assertion: str | None = None, **more: str) -> TestResponse:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion or self.assertion(),
            **more,
        }
        return self.client.post("/oauth/token", data=form)

    def token(self, scope: str = " ".join(SCOPES)) -> str:
        if scope not in self.tokens:
            answer = self.ask_token(scope=scope)
            assert answer.status_code == 200, answer.text
            self.tokens[scope] = answer.json["access_token"]
        return self.tokens[scope]

    def call(
        self, method: str, path: str, body: Any = None, *, scope: str | None = None, **headers: str
    ) -> TestResponse:
        sent = {"Authorization": f"Bearer {self.token(scope) if scope else self.token()}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.client.open(path, method=method, json=body, headers=sent)
        self.hold_to_description(method, path, answer)
        return answer

    def hold_to_description(self, method: str, path: str, answer: TestResponse) -> None:
        """No operation may answer with a reason that its description does not name."""
        if answer.content_type != PROBLEM_TYPE or answer.json["code"] == "ROUTE_UNKNOWN":
            return
        endpoint, _ = self.app.url_map.bind("").match(path.partition("?")[0], method)
        assert answer.json["code"] in ALWAYS | self.app.view_functions[endpoint].reasons, (path, answer.json)

    # The app and the phone ----------------------------------------------------------------------------------

    def login(self, phone: Phone, **more: Any) -> str:
        now = self.clock.now()
        given: dict[str, Any] = {
            "sub": phone.sub,
            "device_jwk": jwk_of(phone.key.public),
            "auth_time": now,
            "key": self.login_key,
            "province": self.code,
            "inner": self.envelope_key.recipient,
            "now": now,
        }
        return seal_holder(PERSON, **{**given, **more})

    def open(self, phone: Phone) -> str:
        answer = self.call("POST", "/v1/showings", {"holder": self.login(phone)}, Idempotency_Key=new_id())
        assert answer.status_code == 201, answer.text
        return str(answer.json["showing_id"])

    def approval(self, phone: Phone, request: str, decision: Decision = Decision.AGREE, **more: Any) -> str:
        given: dict[str, Any] = {"certificate": f"33.{new_id()}", "digits": "47"} if decision is Decision.AGREE else {}
        return seal_approval(
            phone.key,
            request_digest=request,
            decision=decision,
            **{"province": self.code, "now": self.clock.now(), **given, **more},
        )

    # The inner network, by hand -----------------------------------------------------------------------------

    def ask(self, showing_id: str) -> str:
        """A counter has claimed the showing; returns the digest of its request."""
        request = to_b64(b"%-32s" % showing_id[:8].encode())
        sheet = json.dumps({"request": request, "unit": {"name_zh": "徐汇区不动产登记中心"}}, ensure_ascii=False)
        moved = self.move(showing_id, "claim", sheet=sheet, request_digest=request, asked_at=self.clock.now())
        assert moved
        return request

    def move(self, showing_id: str, event: str, **columns: Any) -> bool:
        with writing(self.engine) as connection:
            return handover.move(
                connection,
                showing_id,
                to=SHOWING.target(event),
                frm=SHOWING.sources(event),
                now=self.clock.now(),
                **columns,
            )

    def row(self, showing_id: str) -> ShowingRow:
        with reading(self.engine) as connection:
            found = handover.find(connection, showing_id)
        assert found is not None
        return found

    def errands(self) -> list[Any]:
        with reading(self.engine) as connection:
            return list(connection.execute(handover.errands.select().order_by(handover.errands.c.id)))


@cache
def _empty_store() -> bytes:
    """A migrated store, made once for a run of tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "handover.db"
        migrate_store(Settings(store=f"sqlite:///{path}"), create=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def found_outer(
    folder: Path,
    *,
    code: str = "31",
    clock: MovableClock | None = None,
    listed: tuple[PublicKey, ...] = (),
    **settings: Any,
) -> Outer:
    """Make keys, key list and store in `folder`, and start a wallet_api there. `listed` are keys of others."""
    folder.mkdir(exist_ok=True)
    clock = clock or MovableClock(START)
    app_id = province(code).app_id
    code_key, login_key = new_key("EdDSA", issuer=code), new_key("ES256", issuer=app_id)
    envelope_key = new_envelope_key()
    life = {"not_before": START - timedelta(days=1), "not_after": START + timedelta(days=365)}
    keys = (code_key.published("YRD1", **life), login_key.published("holder+jwt", **life), *listed)
    pinned = write_key_list(folder / "keylist.json", version=1, keys=keys, recipients={code: envelope_key.recipient})
    write_private(folder / "code.pem", code_key.pem())
    write_private(folder / "showing.key", SANDBOX_MARK + to_b64(b"showing key of a test province.."))
    made = Settings(
        **{
            "province": code,
            "profile": "sandbox",
            "store": f"sqlite:///{folder}/handover-{code}.db",
            "keylist": str(folder / "keylist.json"),
            "keylist_sha256": pinned,
            "code_key": f"file:{folder}/code.pem",
            "showing_key": f"file:{folder}/showing.key",
            "public_url": f"https://wallet.{code}.sandbox.example",
            "openings_per_minute": 1000,
            **settings,
        }
    )
    store = folder / f"handover-{code}.db"
    store.write_bytes(_empty_store())
    lines = StringIO()
    app = create_app(made, clock=clock, log=new_log("wallet_api", clock, stream=lines))
    engine = open_engine(made.store)
    vendor_key = ECKey.generate_key("P-256")
    Vendors(engine, profile=made.profile, by="test").add(
        VENDOR, name="随申办 server", app=app_id, jwk=vendor_key.as_dict(private=False), scopes=SCOPES, now=START
    )
    return Outer(
        app=app,
        clock=clock,
        settings=made,
        engine=engine,
        login_key=login_key,
        envelope_key=envelope_key,
        vendor_key=vendor_key,
        lines=lines,
        code=code,
    )

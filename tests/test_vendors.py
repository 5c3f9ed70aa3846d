"""Vendors as OAuth clients: who gets a token, who does not, and one answer for one key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from sqlalchemy import Connection, func, select
from werkzeug.test import TestResponse

from consent.b64 import new_id
from consent.clock import to_epoch
from consent.errors import Reason, Refusal, Unavailable
from consent.stores import handover
from consent.stores.base import open_engine, reading
from consent.stores.migrations import migrate, schema_differences
from tests.outer import START, VENDOR, Outer, found_outer
from tests.postgres import fresh_database, postgres_cluster
from wallet_api.__main__ import main
from wallet_api.vendors import SCOPES, Once, Vendors, tables
from wallet_api.vendors.once import KEPT_FOR, TURN
from wallet_api.vendors.tables import vendor_answers, vendor_assertions, vendor_tokens


@pytest.fixture
def outer(tmp_path: Path) -> Iterator[Outer]:
    made = found_outer(tmp_path / "31")
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outer]:
    """One service for all that leaves no trace in it."""
    made = found_outer(tmp_path_factory.mktemp("shared") / "31", vendor_per_minute=100_000)
    yield made
    made.close()


def oauth_error(answer: TestResponse, error: str, status: int) -> None:
    assert (answer.status_code, answer.json["error"]) == (status, error), answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Request-Id"]


# Getting a token --------------------------------------------------------------------------------------------


def test_a_vendor_with_its_key_gets_a_token_for_ten_minutes(outer: Outer) -> None:
    answer = outer.ask_token()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json["access_token"]
    assert answer.json == {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": " ".join(SCOPES),
    }
    assert outer.vendors.bearer(token, now=outer.clock.now()).app == "suishenban"
    outer.clock.advance(599)
    outer.vendors.bearer(token, now=outer.clock.now())
    with pytest.raises(Refusal) as refused:
        outer.vendors.bearer(token, now=outer.clock.advance(1))
    assert refused.value.reason is Reason.UNAUTHENTICATED


def test_a_token_is_kept_as_a_digest_only(outer: Outer) -> None:
    token = outer.ask_token().json["access_token"]
    with reading(outer.engine) as connection:
        (row,) = connection.execute(select(vendor_tokens)).all()
    assert token not in str(row)
    store = Path(outer.settings.store.removeprefix("sqlite:///"))
    for path in store.parent.glob(store.name + "*"):
        assert token.encode() not in path.read_bytes()


@pytest.mark.parametrize("alg", ["Ed25519", "EdDSA"])
def test_a_vendor_may_use_ed25519_under_both_of_its_names(outer: Outer, alg: str) -> None:
    key = OKPKey.generate_key("Ed25519")
    outer.vendors.rotate(VENDOR, jwk=key.as_dict(private=False), now=START)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc would rather not write the old name
        assertion = outer.assertion(key, alg=alg)
    assert outer.ask_token(assertion).status_code == 200


def test_scopes_are_narrowed_as_asked_and_never_widened(outer: Outer) -> None:
    assert outer.ask_token(scope="showings:read").json["scope"] == "showings:read"
    oauth_error(outer.ask_token(scope="showings:read admin"), "invalid_scope", 400)


def test_an_assertion_counts_once(outer: Outer) -> None:
    assertion = outer.assertion()
    assert outer.ask_token(assertion).status_code == 200
    oauth_error(outer.ask_token(assertion), "invalid_client", 401)


def test_of_eight_equal_assertions_at_once_one_counts(outer: Outer) -> None:
    assertion, together = outer.assertion(), Barrier(8)

    def send(_: int) -> int:
        together.wait()
        return outer.ask_token(assertion).status_code

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(send, range(8))) == [200] + [401] * 7


def test_two_vendors_may_choose_the_same_jti(outer: Outer) -> None:
    key = ECKey.generate_key("P-256")
    outer.vendors.add("other", name="o", app="a", jwk=key.as_dict(private=False), scopes=SCOPES, now=START)
    assert outer.ask_token(outer.assertion(jti="1")).status_code == 200
    assert outer.ask_token(outer.assertion(key, iss="other", sub="other", jti="1")).status_code == 200


def _raw(header: dict[str, Any], claims: Any) -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), b"x" * 64)
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _tampered(outer: Outer) -> str:
    head, payload, signature = outer.assertion().split(".")
    return f"{head}.{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


BAD: dict[str, Callable[[Outer], str]] = {
    "the signature is another's": lambda outer: outer.assertion(ECKey.generate_key("P-256")),
    "it was changed": _tampered,
    "no algorithm": lambda outer: _raw({"alg": "none", "kid": "x"}, {"iss": VENDOR, "sub": VENDOR}),
    "no key": lambda outer: _raw({"alg": "ES256"}, {"iss": VENDOR, "sub": VENDOR}),
    "a key id that is a list": lambda outer: _raw({"alg": "ES256", "kid": [1]}, {"sub": VENDOR}),
    "an algorithm that is a number": lambda outer: _raw({"alg": 7, "kid": "x"}, {"sub": VENDOR}),
    "claims that are a list": lambda outer: _raw({"alg": "ES256"}, [VENDOR]),
    "claims that are a text": lambda outer: _raw({"alg": "ES256"}, VENDOR),
    "the public key used as a secret": lambda outer: outer.assertion(
        OctKey.import_key(urlsafe_b64encode(outer.vendor_key.as_pem(private=False))), alg="HS256"
    ),
    "an RSA key": lambda outer: outer.assertion(RSAKey.generate_key(2048), alg="RS256"),
    "an unknown vendor": lambda outer: outer.assertion(iss="nobody", sub="nobody"),
    "a vendor id with a NUL": lambda outer: outer.assertion(iss="a\0", sub="a\0"),
    "a vendor id that is half a character": lambda outer: _raw({"alg": "ES256", "kid": "x"}, {"sub": "\ud800"}),
    "no subject": lambda outer: outer.assertion(sub=None),
    "a subject that is a number": lambda outer: outer.assertion(sub=7),
    "another issuer": lambda outer: outer.assertion(iss="other"),
    "another audience": lambda outer: outer.assertion(aud="https://wallet.32.sandbox.example"),
    "no audience": lambda outer: outer.assertion(aud=None),
    "expired": lambda outer: outer.assertion(exp=to_epoch(outer.clock.now()) - 11),
    "no end": lambda outer: outer.assertion(exp=None),
    "an end that is a text": lambda outer: outer.assertion(exp=str(to_epoch(outer.clock.now()) + 60)),
    "an end that is true": lambda outer: outer.assertion(exp=True),
    "an end that is a float": lambda outer: outer.assertion(exp=to_epoch(outer.clock.now()) + 60.5),
    "an end beyond all time": lambda outer: outer.assertion(exp=10**18),
    "too long a life": lambda outer: outer.assertion(exp=to_epoch(outer.clock.now()) + 301),
    "not yet": lambda outer: outer.assertion(nbf=to_epoch(outer.clock.now()) + 60),
    "issued later": lambda outer: outer.assertion(iat=to_epoch(outer.clock.now()) + 60),
    "no jti": lambda outer: outer.assertion(jti=None),
    "an empty jti": lambda outer: outer.assertion(jti=""),
    "a long jti": lambda outer: outer.assertion(jti="x" * 129),
    "a jti that is a number": lambda outer: outer.assertion(jti=7),
    "no document": lambda outer: "x",
    "dots": lambda outer: "..",
    "characters of no alphabet": lambda outer: "é.ü.中",
    "too long": lambda outer: "x" * 2001,
}


@pytest.mark.parametrize("why", BAD)
def test_a_bad_assertion_gives_no_token_and_leaves_no_trace(shared: Outer, why: str) -> None:
    oauth_error(shared.ask_token(BAD[why](shared)), "invalid_client", 401)
    with reading(shared.engine) as connection:
        for table in (vendor_tokens, vendor_assertions):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_the_token_endpoints_address_is_an_audience_too(outer: Outer) -> None:
    assertion = outer.assertion(aud=f"{outer.settings.public_url}/oauth/token")
    assert outer.ask_token(assertion).status_code == 200


def test_what_is_no_token_request_is_told_so_in_oauths_words(outer: Outer) -> None:
    client, good = outer.client, {"grant_type": "client_credentials"}
    oauth_error(client.post("/oauth/token", json=good), "invalid_request", 400)
    oauth_error(client.post("/oauth/token", data={}), "invalid_request", 400)
    oauth_error(client.post("/oauth/token?scope=x", data=good), "invalid_request", 400)
    oauth_error(client.post("/oauth/token", data={"grant_type": ["client_credentials"] * 2}), "invalid_request", 400)
    oauth_error(client.post("/oauth/token", data={"grant_type": "password"}), "unsupported_grant_type", 400)
    oauth_error(client.post("/oauth/token", data=good), "invalid_client", 401)
    oauth_error(client.post("/oauth/token", data=good, auth=("x", "y")), "invalid_client", 401)
    secret = {**good, "client_id": VENDOR, "client_secret": "x"}
    oauth_error(client.post("/oauth/token", data=secret), "invalid_client", 401)


# The register -----------------------------------------------------------------------------------------------


def test_a_new_key_comes_in_before_the_old_one_goes(outer: Outer) -> None:
    first, second, third = outer.vendor_key, ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    outer.vendors.rotate(VENDOR, jwk=second.as_dict(private=False), now=START + timedelta(days=1))
    for key in (first, second):
        assert outer.ask_token(outer.assertion(key)).status_code == 200
    outer.vendors.rotate(VENDOR, jwk=third.as_dict(private=False), now=START + timedelta(days=2))
    oauth_error(outer.ask_token(outer.assertion(first)), "invalid_client", 401)
    for key in (second, third):
        assert outer.ask_token(outer.assertion(key)).status_code == 200


def test_a_disabled_vendor_is_out_at_once(outer: Outer) -> None:
    token = outer.token()
    outer.vendors.disable(VENDOR, now=START)
    oauth_error(outer.ask_token(), "invalid_client", 401)
    answer = outer.client.get(f"/v1/showings/{'0' * 24}", headers={"Authorization": f"Bearer {token}"})
    assert answer.json["code"] == Reason.UNAUTHENTICATED
    with pytest.raises(Refusal):
        outer.vendors.disable(VENDOR, now=START)


def test_bad_keys_and_names_do_not_get_into_the_register(outer: Outer) -> None:
    good = ECKey.generate_key("P-256")
    public = good.as_dict(private=False)
    bad_keys: list[dict[str, Any]] = [
        {},
        good.as_dict(private=True),
        ECKey.generate_key("P-384").as_dict(private=False),
        RSAKey.generate_key(2048).as_dict(private=False),
        OctKey.generate_key(256).as_dict(private=True),
        {**public, "x": public["y"]},
        outer.vendor_key.as_dict(private=False),  # another vendor's
    ]
    for jwk in bad_keys:
        with pytest.raises(Refusal) as refused:
            outer.vendors.add("new", name="n", app="a", jwk=jwk, scopes=SCOPES, now=START)
        assert refused.value.reason is Reason.KEY_NOT_ALLOWED
    for client_id, scopes in (("", SCOPES), ("A B", SCOPES), (VENDOR, SCOPES), ("new", ()), ("new", ("root",))):
        with pytest.raises(Refusal) as refused:
            outer.vendors.add(client_id, name="n", app="a", jwk=public, scopes=scopes, now=START)
        assert refused.value.reason is Reason.BODY_INVALID
    assert [vendor.client_id for vendor in outer.vendors.all()] == [VENDOR]
    with pytest.raises(Refusal):
        outer.vendors.rotate("nobody", jwk=public, now=START)
    with pytest.raises(Refusal):
        outer.vendors.rotate(VENDOR, jwk=outer.vendor_key.as_dict(private=False), now=START)


def test_the_tables_are_what_the_history_makes(outer: Outer) -> None:
    assert schema_differences(outer.engine, tables.OWNER, others=[handover.OWNER]) == []


# One answer for one key -------------------------------------------------------------------------------------


def _work(body: str, done: list[str] | None = None) -> Callable[[], Callable[[Connection], str]]:
    def write(_: Connection) -> str:
        if done is not None:
            done.append(body)
        return body

    return lambda: write


def _once(outer: Outer, body: str, *, digest: str = "d", seconds: float = 0, done: list[str] | None = None) -> Any:
    now = START + timedelta(seconds=seconds)
    return Once(outer.engine).answer("v", "k", digest, status=201, prepare=_work(body, done), now=now)


def test_an_answer_is_kept_for_a_day(outer: Outer) -> None:
    assert _once(outer, "first").again is False
    kept = _once(outer, "second", seconds=KEPT_FOR.total_seconds() - 1)
    assert (kept.body, kept.status, kept.again) == ("first", 201, True)
    assert _once(outer, "third", seconds=KEPT_FOR.total_seconds()).body == "third"


@pytest.mark.full
def test_a_second_request_does_not_overtake_the_first(outer: Outer) -> None:
    begun, go = Event(), Event()

    def slow() -> Callable[[Connection], str]:
        begun.set()
        go.wait(10)
        return lambda _: "first"

    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(Once(outer.engine).answer, "v", "k", "d", status=201, prepare=slow, now=START)
        assert begun.wait(10)
        for digest, reason in (("d", Reason.IDEMPOTENCY_IN_FLIGHT), ("other", Reason.IDEMPOTENCY_MISMATCH)):
            with pytest.raises(Refusal) as refused:
                _once(outer, "second", digest=digest)
            assert refused.value.reason is reason
        go.set()
        assert first.result(10).body == "first"
    assert _once(outer, "second").body == "first"


def test_a_key_whose_process_died_is_taken_over_and_the_sleeper_undoes_itself(outer: Outer) -> None:
    begun, go, done = Event(), Event(), []

    def slow() -> Callable[[Connection], str]:
        begun.set()
        go.wait(10)
        return _work("sleeper")()

    with ThreadPoolExecutor(1) as thread:
        sleeper = thread.submit(Once(outer.engine).answer, "v", "k", "d", status=201, prepare=slow, now=START)
        assert begun.wait(10)
        with pytest.raises(Refusal):
            _once(outer, "early", seconds=TURN.total_seconds() - 1)
        assert _once(outer, "taken over", seconds=TURN.total_seconds(), done=done).body == "taken over"
        go.set()
        with pytest.raises(Refusal) as refused:
            sleeper.result(10)
    assert refused.value.reason is Reason.IDEMPOTENCY_IN_FLIGHT
    assert _once(outer, "later", seconds=60).body == "taken over"
    assert done == ["taken over"]


@pytest.mark.parametrize("failure", [Refusal(Reason.CODE_EXPIRED), Unavailable(Reason.STORE_UNAVAILABLE), KeyError()])
def test_work_that_failed_gives_its_key_back(outer: Outer, failure: Exception) -> None:
    def fails() -> Callable[[Connection], str]:
        raise failure

    with pytest.raises(type(failure)):
        Once(outer.engine).answer("v", "k", "d", status=201, prepare=fails, now=START)
    assert _once(outer, "again", digest="corrected").body == "again"


def test_keys_belong_to_their_vendor(outer: Outer) -> None:
    _once(outer, "mine")
    theirs = Once(outer.engine).answer("w", "k", "d", status=201, prepare=_work("theirs"), now=START)
    assert theirs.body == "theirs"


@pytest.mark.postgres
def test_vendors_and_their_answers_on_postgresql() -> None:
    with postgres_cluster() as cluster:
        engine = open_engine(fresh_database(cluster))
        for owner in (handover.OWNER, tables.OWNER):
            migrate(engine, owner)
        assert schema_differences(engine, tables.OWNER, others=[handover.OWNER]) == []
        vendors = Vendors(engine, profile="sandbox")
        key = ECKey.generate_key("P-256").as_dict(private=False)
        vendors.add("vendor", name="n", app="a", jwk=key, scopes=SCOPES, now=START)
        vendors.keep_token("t" * 43, "vendor", " ".join(SCOPES), now=START)
        assert vendors.bearer("t" * 43, now=START).client_id == "vendor"
        together = Barrier(6)

        def send(_: int) -> str:
            together.wait()
            try:
                once = Once(engine)
                return once.answer("v", "k", "d", status=201, prepare=_work(new_id()), now=START).body
            except Refusal as refusal:
                return refusal.reason

        with ThreadPoolExecutor(6) as threads:
            said = set(threads.map(send, range(6))) - {Reason.IDEMPOTENCY_IN_FLIGHT.value}
        assert len(said) == 1
        with reading(engine) as connection:
            (row,) = connection.execute(select(vendor_answers)).all()
        assert row.body in said
        engine.dispose()


# The command ------------------------------------------------------------------------------------------------


def test_an_operator_founds_a_store_and_runs_the_register(
    outer: Outer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = outer.settings
    for name, value in {
        "HUZHENG_PROFILE": "sandbox",
        "HUZHENG_KEYLIST": settings.keylist,
        "HUZHENG_KEYLIST_SHA256": settings.keylist_sha256,
        "HUZHENG_WALLET_CODE_KEY": settings.code_key,
        "HUZHENG_WALLET_SHOWING_KEY": settings.showing_key,
        "HUZHENG_WALLET_STORE": f"sqlite:///{tmp_path}/new.db",
    }.items():
        monkeypatch.setenv(name, value)
    key, other = tmp_path / "vendor.jwk", tmp_path / "no.jwk"
    key.write_text(json.dumps(ECKey.generate_key("P-256").as_dict(private=False)))
    other.write_text("[]")

    def run(*arguments: str, status: int = 0) -> str:
        assert main(arguments) == status, capsys.readouterr().err
        told = capsys.readouterr()
        return told.out if status == 0 else told.err

    assert "STORE_UNAVAILABLE" in run("migrate", status=1)
    run("migrate", "--create")
    run("vendors", "add", "shop", "--name", "Shop", "--app", "suishenban", "--jwk", str(key))
    for bad in (key, other, tmp_path / "nowhere"):
        assert "KEY_NOT_ALLOWED" in run("vendors", "rotate", "shop", "--jwk", str(bad), status=1)
    run("vendors", "disable", "shop")
    assert run("vendors", "list").split("\t")[:3] == ["shop", "suishenban", "disabled"]
    # The floor of time is the machine's here, and the test's keys are valid around START; the clock is no argument.
    monkeypatch.setattr("wallet_api.__main__.SystemClock", lambda: outer.clock)
    assert json.loads(run("openapi"))["openapi"] == "3.1.0"
    monkeypatch.setenv("HUZHENG_WALLET_STOR", "x")
    assert "HUZHENG_WALLET_STORE" in run("openapi", status=2)


@pytest.mark.full
def test_the_command_ends_with_its_status() -> None:
    environment = {"PATH": os.environ["PATH"], "HUZHENG_WALLET_PROVINCE": "99"}
    command = [sys.executable, "-m", "wallet_api", "migrate"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "PROVINCE" in done.stderr) == (2, True)

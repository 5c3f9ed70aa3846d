"""The register as its operator uses it: two living keys, profiles that never cross, limits, and a log that stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from consent.errors import Reason, Refusal
from consent.stores import handover
from consent.stores.base import open_engine, writing
from consent.stores.migrations import migrate
from tests.counts import outcome
from tests.outer import START, VENDOR, Outer, found_outer
from tests.postgres import fresh_database, postgres_cluster
from wallet_api.__main__ import main
from wallet_api.vendors import SCOPES, Vendors, tables
from wallet_api.vendors.register import RETIRES_AFTER
from wallet_api.vendors.tables import vendor_log

pytestmark = pytest.mark.full  # visits and processes: each takes seconds

NOWHERE = f"/v1/showings/{'0' * 24}"


@pytest.fixture
def outer(tmp_path: Path) -> Iterator[Outer]:
    made = found_outer(tmp_path / "31")
    yield made
    made.close()


def public(key: ECKey) -> dict[str, Any]:
    return dict(key.as_dict(private=False))


def new() -> ECKey:
    return ECKey.generate_key("P-256")


def gets_token(outer: Outer, key: ECKey) -> bool:
    return outer.ask_token(outer.assertion(key)).status_code == 200


# Two keys ---------------------------------------------------------------------------------------------------


def test_the_old_key_lives_beside_the_new_one_until_it_retires_and_no_longer(outer: Outer) -> None:
    first, second = outer.vendor_key, new()
    assert isinstance(first, ECKey)
    outer.vendors.rotate(VENDOR, jwk=public(second), now=outer.clock.now())
    assert (gets_token(outer, first), gets_token(outer, second)) == (True, True)
    outer.clock.advance(RETIRES_AFTER.total_seconds() - 1)
    assert (gets_token(outer, first), gets_token(outer, second)) == (True, True)
    outer.clock.advance(1)
    assert (gets_token(outer, first), gets_token(outer, second)) == (False, True)


def test_the_operator_says_when_the_old_key_retires(outer: Outer) -> None:
    first, second, third = outer.vendor_key, new(), new()
    assert isinstance(first, ECKey)
    now = outer.clock.now()
    outer.vendors.rotate(VENDOR, jwk=public(second), now=now, retires_at=now)  # a stolen key
    assert (gets_token(outer, first), gets_token(outer, second)) == (False, True)
    outer.vendors.rotate(VENDOR, jwk=public(third), now=now, retires_at=now + timedelta(seconds=30))
    assert (gets_token(outer, second), gets_token(outer, third)) == (True, True)
    outer.clock.advance(30)
    assert (gets_token(outer, second), gets_token(outer, third)) == (False, True)


def test_however_often_keys_are_rotated_there_is_always_one_and_never_a_third(outer: Outer) -> None:
    for hours in range(12):
        key, now = new(), outer.clock.now()
        outer.vendors.rotate(VENDOR, jwk=public(key), now=now, retires_at=now + timedelta(hours=hours % 3))
        living = outer.vendors.find(VENDOR)
        assert living is not None
        assert key.thumbprint() in living.living(now)
        assert len(living.keys) == 2
        assert living.keys[-1].retires_at is None
        outer.clock.advance(3600)


def test_a_rotation_that_is_refused_leaves_both_keys_as_they_were(outer: Outer) -> None:
    second = new()
    outer.vendors.rotate(VENDOR, jwk=public(second), now=START)
    before = outer.vendors.find(VENDOR)
    for jwk in (public(second), {}, {**public(new()), "profile": "live"}):
        assert outcome(outer.vendors.rotate, VENDOR, jwk=jwk, now=START) is Reason.KEY_NOT_ALLOWED
        assert outer.vendors.find(VENDOR) == before
    assert len(outer.vendors.log(VENDOR)) == 2


# Profiles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("home", "other"), [("sandbox", "live"), ("live", "sandbox")])
def test_what_one_profile_entered_opens_nothing_in_the_other(outer: Outer, home: str, other: str) -> None:
    here, there = (Vendors(outer.engine, profile=profile) for profile in (home, other))
    here.add("shop", name="Shop", app="suishenban", jwk=public(new()), scopes=SCOPES, now=START)
    here.keep_token("t" * 43, "shop", " ".join(SCOPES), now=START)
    assert here.bearer("t" * 43, now=START).client_id == "shop"
    assert outcome(there.bearer, "t" * 43, now=START) is Reason.UNAUTHENTICATED
    assert there.find("shop") is None
    assert "shop" not in [vendor.client_id for vendor in there.all()]
    for change in (
        lambda: there.rotate("shop", jwk=public(new()), now=START),
        lambda: there.change("shop", per_minute=5, now=START),
        lambda: there.disable("shop", now=START),
        lambda: there.enable("shop", now=START),
    ):
        assert outcome(change) is Reason.INVALID_CLIENT


@pytest.mark.parametrize(("home", "other"), [("sandbox", "live"), ("live", "sandbox")])
def test_a_key_made_for_one_profile_is_not_taken_by_the_other(outer: Outer, home: str, other: str) -> None:
    marked = {**public(new()), "profile": home}
    there = Vendors(outer.engine, profile=other)
    found = outcome(there.add, "shop", name="Shop", app="suishenban", jwk=marked, scopes=SCOPES, now=START)
    assert found is Reason.KEY_NOT_ALLOWED
    Vendors(outer.engine, profile=home).add("shop", name="Shop", app="a", jwk=marked, scopes=SCOPES, now=START)


def test_a_sandbox_store_that_is_served_as_live_lets_nobody_in(tmp_path: Path) -> None:
    outer = found_outer(tmp_path / "31")
    token = outer.token()
    live = Vendors(outer.engine, profile="live")
    assert outcome(live.bearer, token, now=outer.clock.now()) is Reason.UNAUTHENTICATED
    assert live.find(VENDOR) is None
    outer.close()


def test_an_assertion_for_the_sandbox_is_for_the_sandbox(outer: Outer) -> None:
    answer = outer.ask_token(outer.assertion(aud="https://wallet.31.example"))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")


# In and out -------------------------------------------------------------------------------------------------


def test_a_disabled_vendor_loses_its_tokens_and_does_not_get_them_back(outer: Outer) -> None:
    token = outer.token()
    assert outer.call("GET", NOWHERE).json["code"] == Reason.SHOWING_UNKNOWN
    outer.vendors.disable(VENDOR, now=START)
    assert outer.call("GET", NOWHERE).json["code"] == Reason.UNAUTHENTICATED
    outer.vendors.enable(VENDOR, now=START)
    assert outer.call("GET", NOWHERE).json["code"] == Reason.UNAUTHENTICATED
    outer.tokens.clear()
    assert outer.token() != token
    assert outer.call("GET", NOWHERE).json["code"] == Reason.SHOWING_UNKNOWN
    assert outcome(outer.vendors.enable, VENDOR, now=START) is Reason.INVALID_CLIENT


def test_a_scope_that_is_taken_is_gone_for_tokens_of_before_too(outer: Outer) -> None:
    outer.token()
    outer.vendors.change(VENDOR, scopes=("certificates:read",), now=START)
    assert outer.call("GET", NOWHERE).json["code"] == Reason.FORBIDDEN
    assert outer.ask_token(scope="showings:read").json["error"] == "invalid_scope"
    outer.vendors.change(VENDOR, scopes=("showings:read",), now=START)
    assert outer.call("GET", NOWHERE).json["code"] == Reason.SHOWING_UNKNOWN


def test_each_vendor_has_its_own_limit_and_only_429_says_when_to_come_back(outer: Outer) -> None:
    outer.vendors.change(VENDOR, per_minute=3, now=START)
    answers = [outer.call("GET", NOWHERE) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429, 429]
    assert [answer.headers["RateLimit-Policy"] for answer in answers] == ['"vendor";q=3;w=60'] * 5
    assert [answer.headers["RateLimit"].partition(";t=")[0] for answer in answers] == [
        f'"vendor";r={left}' for left in (2, 1, 0, 0, 0)
    ]
    assert ["Retry-After" in answer.headers for answer in answers] == [False] * 3 + [True] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    outer.vendors.change(VENDOR, per_minute=0, now=START)  # back to the setting's
    assert outer.call("GET", NOWHERE).headers["RateLimit-Policy"] == '"vendor";q=3000;w=60'


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"name": "\ud800"},
        {"scopes": ()},
        {"scopes": ("root",)},
        {"per_minute": 0},
        {"per_minute": -1},
        {"per_minute": 1_000_001},
    ],
)
def test_what_makes_no_vendor_is_refused(outer: Outer, changes: dict[str, Any]) -> None:
    good = {"name": "n", "app": "suishenban", "jwk": public(new()), "scopes": SCOPES, "now": START}
    assert outcome(outer.vendors.add, "shop", **{**good, **changes}) is Reason.BODY_INVALID
    assert outer.vendors.find("shop") is None
    if changes != {"per_minute": 0} and "name" not in changes:
        assert outcome(outer.vendors.change, VENDOR, now=START, **changes) is Reason.BODY_INVALID


# The log ----------------------------------------------------------------------------------------------------


def _five_changes(register: Callable[[str], Vendors]) -> None:
    register("王").add("shop", name="Shop", app="suishenban", jwk=public(new()), scopes=SCOPES, now=START)
    register("li").rotate("shop", jwk=public(new()), now=START + timedelta(hours=1))
    register("li").change("shop", per_minute=7, now=START + timedelta(hours=2))
    register("王").disable("shop", now=START + timedelta(hours=3))
    register("root").enable("shop", now=START + timedelta(hours=4))


def test_every_change_is_in_the_log_with_who_when_and_what(outer: Outer) -> None:
    _five_changes(lambda who: Vendors(outer.engine, profile="sandbox", by=who))
    lines = outer.vendors.log("shop")
    assert [(line.who, line.what.value) for line in lines] == [
        ("王", "added"),
        ("li", "rotated"),
        ("li", "changed"),
        ("王", "disabled"),
        ("root", "enabled"),
    ]
    assert [line.at - START for line in lines] == [timedelta(hours=n) for n in range(5)]
    vendor = outer.vendors.find("shop")
    assert vendor is not None
    old, newest = vendor.keys
    assert (
        (lines[1].facts["retires"], lines[1].facts["key"])
        == (old.kid, newest.kid)
        == (lines[0].facts["key"], newest.kid)
    )
    assert lines[2].facts == {"before": {"per_minute": None}, "after": {"per_minute": 7}}
    with pytest.raises(Refusal):
        outer.vendors.disable("nobody", now=START)
    assert outer.vendors.log("nobody") == []


def _stands(engine: Any) -> None:
    for statement in (update(vendor_log).values(who="nobody"), delete(vendor_log)):
        with pytest.raises(IntegrityError), writing(engine) as connection:
            connection.execute(statement)


def test_the_database_lets_nobody_change_or_remove_a_line(outer: Outer) -> None:
    _stands(outer.engine)
    assert len(outer.vendors.log(VENDOR)) == 1


@pytest.mark.postgres
def test_register_and_log_on_postgresql() -> None:
    with postgres_cluster() as cluster:
        engine = open_engine(fresh_database(cluster))
        for owner in (handover.OWNER, tables.OWNER):
            migrate(engine, owner)
        _five_changes(lambda who: Vendors(engine, profile="sandbox", by=who))
        assert len(Vendors(engine, profile="sandbox").log("shop")) == 5
        _stands(engine)
        engine.dispose()


# The commands -----------------------------------------------------------------------------------------------


def test_an_operator_makes_keys_and_keeps_the_register(
    outer: Outer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUZHENG_PROFILE", "sandbox")
    monkeypatch.setenv("HUZHENG_WALLET_STORE", outer.settings.store)
    monkeypatch.setattr("wallet_api.vendors.commands.SystemClock", lambda: outer.clock)
    monkeypatch.setattr("getpass.getuser", lambda: "operator")

    def run(*arguments: str, status: int = 0) -> list[str]:
        assert main(arguments) == status, capsys.readouterr().err
        told = capsys.readouterr()
        return (told.out if status == 0 else told.err).splitlines()

    pems = [tmp_path / f"{n}.pem" for n in range(2)]
    kids = [run("vendors", "key", str(pem))[0] for pem in pems]
    assert [pem.stat().st_mode & 0o777 for pem in pems] == [0o600] * 2
    assert "KEY_NOT_ALLOWED" in run("vendors", "key", str(pems[0]), status=1)[0]  # never over another one
    jwks = [str(pem.with_suffix(".jwk")) for pem in pems]
    assert "d" not in json.loads(Path(jwks[0]).read_text())
    entering = ("vendors", "add", "shop", "--name", "Shop", "--jwk", jwks[0], "--per-minute", "90", "--by", "王敏")
    assert "BODY_INVALID" in run(*entering, "--app", "sufuban", status=1)[0]
    run(*entering, "--app", "suishenban", "--scopes", "showings:read showings:write")
    rotated = run("vendors", "rotate", "shop", "--jwk", jwks[1], "--retires-at", "2026-12-01T00:00:00+08:00")
    assert [line.split("\t")[1] for line in rotated] == kids
    assert rotated[0].endswith("retires 2026-11-30T16:00:00Z")
    assert "zone" in run("vendors", "rotate", "shop", "--jwk", jwks[1], "--retires-at", "2026-12-01", status=2)[0]
    run("vendors", "change", "shop", "--per-minute", "0")
    assert "BODY_INVALID" in run("vendors", "change", "shop", status=1)[0]
    run("vendors", "disable", "shop")
    assert "INVALID_CLIENT" in run("vendors", "disable", "shop", status=1)[0]
    run("vendors", "enable", "shop")
    for bad in ("", "a\nb", "x" * 101):
        assert "BODY_INVALID" in run("vendors", "disable", "shop", "--by", bad, status=1)[0]

    shown = run("vendors", "show", "shop")
    assert shown[:3] == [
        "shop\tShop\tsuishenban\tsandbox\tlive",
        "scopes\tshowings:read showings:write",
        "limit\t3000 a minute",
    ]
    log = [line.split("\t") for line in shown if line.startswith("log")]
    assert [(line[2], line[3]) for line in log] == [
        ("王敏", "added"),
        ("operator", "rotated"),
        ("operator", "changed"),
        ("operator", "disabled"),
        ("operator", "enabled"),
    ]
    assert "INVALID_CLIENT" in run("vendors", "show", "nobody", status=1)[0]
    outer.clock.set(datetime(2026, 12, 1, tzinfo=UTC))
    listed = [line.split("\t") for line in run("vendors", "list")]
    assert ["shop", "suishenban", "live", "showings:read showings:write", kids[1]] in listed


def test_a_sandbox_key_file_is_refused_by_live_and_the_reverse(
    outer: Outer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUZHENG_WALLET_STORE", outer.settings.store)
    monkeypatch.setenv("HUZHENG_WALLET_PUBLIC_URL", "https://wallet.example")
    for home, other in (("sandbox", "live"), ("live", "sandbox")):
        pem = tmp_path / f"{home}.pem"
        monkeypatch.setenv("HUZHENG_PROFILE", home)
        assert main(("vendors", "key", str(pem))) == 0
        adding = (
            "vendors",
            "add",
            f"{home}-shop",
            "--name",
            "n",
            "--app",
            "suishenban",
            "--jwk",
            f"{tmp_path}/{home}.jwk",
        )
        monkeypatch.setenv("HUZHENG_PROFILE", other)
        assert main(adding) == 1
        assert "KEY_NOT_ALLOWED" in capsys.readouterr().err
        monkeypatch.setenv("HUZHENG_PROFILE", home)
        assert main(adding) == 0

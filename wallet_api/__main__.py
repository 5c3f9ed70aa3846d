"""wallet-api: serve, migrate, vendors add|list|rotate|disable, openapi.

Settings come from the environment (`settings.Settings`). Exit status 0 is done, 1 is a no with its reason on
standard error, 2 is a wrong command line or setting.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flask import Blueprint

from consent.clock import Clock, SystemClock, shanghai_date
from consent.errors import Reason, Refusal, Unavailable
from consent.keylist import read_key_list
from consent.keys import load_key
from consent.provinces import province
from consent.stores.base import open_engine
from consent.telling import capture_libraries, new_log
from wallet_api.app import create_app, migrate_store
from wallet_api.pages import phone_blueprint
from wallet_api.personas import load_personas
from wallet_api.settings import Settings, pairs, read_settings
from wallet_api.vendors import SCOPES, Vendors


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    asked = _parser().parse_args(arguments)
    try:
        settings = read_settings(os.environ)
        asked.run(settings, asked)
    except ValueError as problem:
        print(f"wallet-api: {problem}", file=sys.stderr)
        return 2
    except (Refusal, Unavailable) as problem:
        print(f"wallet-api: {problem.reason}: {problem.detail}", file=sys.stderr)
        return 1
    return 0


def app() -> Any:
    """What granian calls in its worker: the application of the environment's settings."""
    settings, clock = read_settings(os.environ), SystemClock()
    log = new_log("wallet_api", clock, level=settings.log_level)
    capture_libraries(log)
    return create_app(settings, clock=clock, log=log, pages=phone_pages(settings, clock))


def phone_pages(settings: Settings, clock: Clock) -> tuple[Blueprint, ...]:
    """The simulated phone of the settings' app; nothing where no personas are set. ValueError, or Refusal for a key."""
    if not settings.personas:
        return ()
    listed = read_key_list(Path(settings.keylist), pinned=settings.keylist_sha256)
    phone = phone_blueprint(
        province=settings.province,
        login_key=load_key(settings.login_key, issuer=province(settings.province).app_id, sandbox=settings.sandbox),
        inner=listed.recipient(settings.province),
        personas=load_personas(Path(settings.personas), today=shanghai_date(clock.now())),
        phones=pairs(settings.phones),
        clock=clock,
        sandbox=settings.sandbox,
    )
    return (phone,)


def _serve(settings: Settings, asked: argparse.Namespace) -> None:
    from granian import Granian
    from granian.constants import Interfaces

    clock = SystemClock()
    # Says here, and not in a worker that dies again and again, what is wrong.
    create_app(settings, clock=clock, pages=phone_pages(settings, clock))
    host, _, port = settings.listen.rpartition(":")
    Granian(
        "wallet_api.__main__:app",
        address=host,
        port=int(port),
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,
        blocking_threads=settings.threads,
        log_access=False,
    ).serve()


def _migrate(settings: Settings, asked: argparse.Namespace) -> None:
    migrate_store(settings, create=asked.create)


def _openapi(settings: Settings, asked: argparse.Namespace) -> None:
    app = create_app(settings, clock=SystemClock())
    with app.test_client() as client:
        print(json.dumps(client.get("/openapi.json").get_json(), ensure_ascii=False, indent=2))


def _add(settings: Settings, asked: argparse.Namespace) -> None:
    _vendors(settings).add(
        asked.client_id,
        name=asked.name,
        app=asked.app,
        jwk=_jwk(asked.jwk),
        scopes=tuple(asked.scopes.split()),
        now=SystemClock().now(),
    )


def _rotate(settings: Settings, asked: argparse.Namespace) -> None:
    _vendors(settings).rotate(asked.client_id, jwk=_jwk(asked.jwk), now=SystemClock().now())


def _disable(settings: Settings, asked: argparse.Namespace) -> None:
    _vendors(settings).disable(asked.client_id, now=SystemClock().now())


def _list(settings: Settings, asked: argparse.Namespace) -> None:
    for vendor in _vendors(settings).all():
        state = "disabled" if vendor.disabled_at else "live"
        print(f"{vendor.client_id}\t{vendor.app}\t{state}\t{' '.join(vendor.scopes)}\t{' '.join(vendor.keys)}")


def _vendors(settings: Settings) -> Vendors:
    return Vendors(open_engine(settings.store))


def _jwk(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{path}: {type(problem).__name__}") from problem
    if not isinstance(found, dict):
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{path}: not a JWK")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wallet-api", description="The service behind the four apps.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="answer requests").set_defaults(run=_serve)
    commands.add_parser("openapi", help="print the interface's description").set_defaults(run=_openapi)
    migrating = commands.add_parser("migrate", help="bring the hand-over database to the newest schema")
    migrating.add_argument("--create", action="store_true", help="found the SQLite file where there is none")
    migrating.set_defaults(run=_migrate)

    vendors = commands.add_parser("vendors", help="who may call").add_subparsers(required=True, metavar="VERB")
    vendors.add_parser("list", help="all vendors").set_defaults(run=_list)
    adding = vendors.add_parser("add", help="enter a vendor with its first public key")
    rotating = vendors.add_parser("rotate", help="bring in a new key beside the newest one")
    disabling = vendors.add_parser("disable", help="shut a vendor out at once")
    for command, run in ((adding, _add), (rotating, _rotate), (disabling, _disable)):
        command.add_argument("client_id")
        command.set_defaults(run=run)
    for command in (adding, rotating):
        command.add_argument("--jwk", type=Path, required=True, help="file with the public JWK (P-256 or Ed25519)")
    adding.add_argument("--name", required=True)
    adding.add_argument("--app", required=True, help="the app that it belongs to, as in consent/provinces.json")
    adding.add_argument("--scopes", default=" ".join(SCOPES), help="separated by spaces")
    return parser


if __name__ == "__main__":
    sys.exit(main())

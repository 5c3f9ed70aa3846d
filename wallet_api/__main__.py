"""wallet-api: serve, deliver, migrate, vendors …, sandbox …, receipt verify, conformance, openapi.

Settings come from the environment (`settings.Settings`). Exit status 0 is done, 1 is a no with its reason on
standard error, 2 is a wrong command line or setting.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from consent.clock import Clock, SystemClock, shanghai_date
from consent.keylist import read_key_list
from consent.keys import load_key
from consent.provinces import province
from consent.starting import exit_status, pairs
from consent.telling import Log, capture_libraries, new_log
from wallet_api.app import create_app, migrate_store
from wallet_api.conformance.command import add_conformance_command
from wallet_api.description import canonical, describe
from wallet_api.pages import phone_blueprint
from wallet_api.personas import load_personas
from wallet_api.profiles.accounts import read_account
from wallet_api.profiles.simulators import SIMULATED, Simulator, open_simulator
from wallet_api.receipts import add_receipt_commands
from wallet_api.sandbox import add_sandbox_commands
from wallet_api.serving import serve
from wallet_api.settings import Settings, read_settings
from wallet_api.vendors.commands import add_vendor_commands
from wallet_api.webhooks.commands import add_deliver_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    asked = _parser().parse_args(arguments)
    if "alone" in asked:  # checks a file, and needs no settings of any service
        return int(asked.alone(asked))
    return exit_status("wallet-api", lambda: asked.run(read_settings(os.environ), asked))


def app() -> Any:
    """What granian calls in its worker: the application of the environment's settings."""
    settings, clock = read_settings(os.environ), SystemClock()
    log = new_log("wallet_api", clock, level=settings.log_level)
    capture_libraries(log)
    return assembled(settings, clock, log)


def assembled(settings: Settings, clock: Clock, log: Log | None = None) -> Flask:
    """Everything that the settings name, in one application: the doors, the phone's pages, the app's simulated server
    below `SIMULATED`. ValueError, or Refusal for a key."""
    simulator = simulated_app(settings, clock)
    own_code = None if simulator is None else simulator.hold_up
    flask = create_app(settings, clock=clock, log=log, pages=phone_pages(settings, clock, own_code))
    if simulator is not None:
        flask.wsgi_app = DispatcherMiddleware(flask.wsgi_app, {SIMULATED: simulator.wsgi})  # type: ignore[method-assign]
    return flask


def simulated_app(settings: Settings, clock: Clock) -> Simulator | None:
    """The server of the settings' app, imitated; None where no account at it is set. ValueError, or Refusal for a key."""
    if not settings.app_account:
        return None
    if not settings.sandbox:
        raise ValueError("the app's server is a simulator and exists in the sandbox only")
    listed = read_key_list(Path(settings.keylist), pinned=settings.keylist_sha256)
    return open_simulator(
        settings.province,
        login_key=load_key(settings.login_key, issuer=province(settings.province).app_id, sandbox=True),
        inner=listed.recipient(settings.province),
        clock=clock,
        account=read_account(settings.app_account, sandbox=True),
    )


def phone_pages(
    settings: Settings, clock: Clock, own_code: Callable[[str], str] | None = None
) -> tuple[Blueprint, ...]:
    """The simulated phone of the settings' app; nothing where no personas are set. `own_code` draws the text that the app
    shows for a showing today. ValueError, or Refusal for a key."""
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
        own_code=own_code,
    )
    return (phone,)


def _serve(settings: Settings, asked: argparse.Namespace) -> None:
    assembled(settings, SystemClock())  # says here, and not in a worker that dies again and again, what is wrong
    serve("wallet_api.__main__:app", settings.listen, threads=settings.threads)


def _migrate(settings: Settings, asked: argparse.Namespace) -> None:
    migrate_store(settings, create=asked.create)


def _openapi(settings: Settings, asked: argparse.Namespace) -> None:
    print(canonical(describe(SystemClock())), end="")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wallet-api", description="The service behind the four apps.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="answer requests").set_defaults(run=_serve)
    commands.add_parser("openapi", help="print the interface's description").set_defaults(run=_openapi)
    migrating = commands.add_parser("migrate", help="bring the hand-over database to the newest schema")
    migrating.add_argument("--create", action="store_true", help="found the SQLite file where there is none")
    migrating.set_defaults(run=_migrate)

    add_deliver_command(commands)
    add_vendor_commands(commands)
    add_sandbox_commands(commands)
    add_receipt_commands(commands)
    add_conformance_command(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())

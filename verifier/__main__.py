"""verifier: province, work, exchange, migrate, channel close|open|list, windows list|approve|deny|disable, openapi.

    province   a province's doors: counters and mailbox, or `--only` one of them
    work       a province's worker: letters that wait, errands of wallet_api, expiry
    exchange   the exchange's door
    windows    which kiosks are windows here: approve shows window and key before it asks for a yes

Settings come from the environment (`settings.Settings`). Exit status 0 is done, 1 is a no with its reason on standard
error, 2 is a wrong command line or setting.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from flask import Flask

from consent.clock import SystemClock, rfc3339
from consent.enrolment import short
from consent.errors import Reason, Refusal
from consent.starting import exit_status, pairs
from consent.stores.base import open_engine
from consent.stores.signals import Signals
from consent.telling import capture_libraries, new_log
from consent.transport import Transport
from verifier.adapter import Adapter
from verifier.app import create_exchange_app, create_province_app, migrate_exchange
from verifier.enrolment import Enrolments, line_of
from verifier.exchange.channels import Channels
from verifier.exchange.client import HttpTransport, client_tls
from verifier.province import Province, migrate_stores, open_province
from verifier.serving import serve
from verifier.settings import Settings, read_settings

DOORS = ("counters", "mailbox")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    asked = _parser().parse_args(arguments)
    return exit_status("verifier", lambda: asked.run(read_settings(os.environ), asked))


# What servers call in the process that serves ---------------------------------------------------------------


def province_app() -> Flask:
    """All doors of the environment's province."""
    return _province_app(DOORS)


def counters_app() -> Flask:
    """Its counters' door alone."""
    return _province_app(("counters",))


def mailbox_app() -> Flask:
    """Its mailbox alone."""
    return _province_app(("mailbox",))


def exchange_app() -> Flask:
    """The exchange's door."""
    settings, clock = read_settings(os.environ), SystemClock()
    log = new_log("exchange", clock, level=settings.log_level)
    capture_libraries(log)
    return create_exchange_app(settings, _mailboxes(settings), clock=clock, log=log)


def _province_app(doors: Collection[str]) -> Flask:
    settings, clock = read_settings(os.environ), SystemClock()
    log = new_log("verifier", clock, level=settings.log_level)
    capture_libraries(log)
    return create_province_app(settings, _province(settings, clock), clock=clock, log=log, doors=doors)


# Commands ---------------------------------------------------------------------------------------------------


def _serve_province(settings: Settings, asked: argparse.Namespace) -> None:
    if asked.only != "counters":
        _need_names(settings)
    load = {None: province_app, "counters": counters_app, "mailbox": mailbox_app}[asked.only]
    _province(
        settings, SystemClock()
    ).close()  # says here, and not in a process that dies again and again, what is wrong
    serve(f"verifier.__main__:{load.__name__}", load, settings, peers=asked.only != "counters")


def _serve_exchange(settings: Settings, asked: argparse.Namespace) -> None:
    _need_names(settings)
    for mailbox in _mailboxes(settings).values():
        mailbox.close()
    serve("verifier.__main__:exchange_app", exchange_app, settings, peers=True)


def _work(settings: Settings, asked: argparse.Namespace) -> None:
    _need_names(settings)
    clock, stop = SystemClock(), threading.Event()
    log = new_log("work", clock, level=settings.log_level)
    capture_libraries(log)
    province = _province(settings, clock)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("work_begins", province=settings.province)
    try:
        province.worker.run(stop)
    finally:
        province.office.signals.close()
        province.close()
    log.info("work_ends", province=settings.province)


def _migrate(settings: Settings, asked: argparse.Namespace) -> None:
    if asked.whose == "exchange":
        migrate_exchange(settings, create=asked.create)
    else:
        migrate_stores(settings, create=asked.create)


def _close(settings: Settings, asked: argparse.Namespace) -> None:
    channels = Channels(open_engine(settings.exchange_store))
    channels.close(desk=asked.desk, library=asked.library, notice=asked.notice, now=SystemClock().now())


def _open(settings: Settings, asked: argparse.Namespace) -> None:
    channels = Channels(open_engine(settings.exchange_store))
    channels.open(desk=asked.desk, library=asked.library, notice=asked.notice, now=SystemClock().now())


def _list(settings: Settings, asked: argparse.Namespace) -> None:
    for each in Channels(open_engine(settings.exchange_store)).all():
        print(f"{each.desk}\t{each.library}\t{each.state}\t{rfc3339(each.since)}\t{each.notice}")


def _windows(settings: Settings, asked: argparse.Namespace) -> None:
    clock = SystemClock()
    province = _province(settings, clock)
    try:
        asked.step(Enrolments(office=province.office), asked, clock)
    finally:
        province.close()


def _list_windows(enrolments: Enrolments, asked: argparse.Namespace, clock: SystemClock) -> None:
    for row in enrolments.all():
        print(line_of(row))


def _approve_window(enrolments: Enrolments, asked: argparse.Namespace, clock: SystemClock) -> None:
    row = enrolments.look_up(asked.user_code, unit=asked.unit, now=clock.now())
    office = enrolments.office
    unit = office.scope(office.province).unit(asked.unit)
    print(f"窗口 Window: {asked.window} {unit.window(asked.window)}, {unit.name_zh} {unit.name_en}")
    print(f"密钥 Key: {short(row.kid)}")
    print("密钥与屏幕所示相同时输入 yes 批准 If the kiosk shows the same key, type yes: ", end="", flush=True)
    if sys.stdin.readline().strip() != "yes":
        raise Refusal(Reason.NOT_AUTHORISED, detail="not approved")
    enrolments.approve(row, unit=asked.unit, window=asked.window, now=clock.now())


def _deny_window(enrolments: Enrolments, asked: argparse.Namespace, clock: SystemClock) -> None:
    enrolments.deny(enrolments.look_up(asked.user_code, unit=asked.unit, now=clock.now()), now=clock.now())


def _disable_window(enrolments: Enrolments, asked: argparse.Namespace, clock: SystemClock) -> None:
    enrolments.disable(asked.window, now=clock.now())


def _openapi(settings: Settings, asked: argparse.Namespace) -> None:
    clock = SystemClock()
    if asked.whose == "exchange":
        app = create_exchange_app(settings, {}, clock=clock)
    else:
        app = create_province_app(settings, _province(settings, clock), clock=clock)
    with app.test_client() as client:
        print(json.dumps(client.get("/openapi.json").get_json(), ensure_ascii=False, indent=2))


# Parts ------------------------------------------------------------------------------------------------------


def _province(settings: Settings, clock: SystemClock) -> Province:
    transport: Transport = HttpTransport.to_exchange(settings.exchange_url, **_named(settings))
    resolver = Adapter(settings.adapter_url, settings.province) if settings.adapter_url else None
    signals = Signals(settings.redis_url or None)
    return open_province(settings, clock=clock, transport=transport, signals=signals, resolver=resolver)


def _mailboxes(settings: Settings) -> Mapping[str, HttpTransport]:
    named = _named(settings)
    return {code: HttpTransport.to_province(url, code, **named) for code, url in pairs(settings.peers).items()}


def _need_names(settings: Settings) -> None:
    """Peers know each other by certificate. Only a sandbox may do without."""
    if not settings.sandbox and not settings.tls:
        raise ValueError("live peers speak mTLS: set HUZHENG_VERIFIER_TLS_CERTIFICATE, _KEY and _CA")


def _named(settings: Settings) -> dict[str, Any]:
    """How we name ourselves to peers: by certificate, or in a sandbox by token."""
    if not settings.tls:
        return {"peer_token": settings.peer_token}
    for path in (settings.tls_certificate, settings.tls_key, settings.tls_ca):
        if not Path(path).is_file():
            raise ValueError(f"no file {path}")
    tls = client_tls(certificate=settings.tls_certificate, key=settings.tls_key, authority=settings.tls_ca)
    return {"tls": tls}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="verifier", description="The inner network of a province, and the exchange.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    doors = commands.add_parser("province", help="answer counters and the exchange")
    doors.add_argument("--only", choices=DOORS, help="one kind of doors; callers of counters then need no certificate")
    doors.set_defaults(run=_serve_province)
    commands.add_parser("work", help="do what waits").set_defaults(run=_work)
    commands.add_parser("exchange", help="carry letters between provinces").set_defaults(run=_serve_exchange)
    migrating = commands.add_parser("migrate", help="bring the databases to the newest schema")
    migrating.add_argument("whose", choices=("province", "exchange"), nargs="?", default="province")
    migrating.add_argument("--create", action="store_true", help="found the SQLite files where there are none")
    migrating.set_defaults(run=_migrate)
    describing = commands.add_parser("openapi", help="print the interface's description")
    describing.add_argument("whose", choices=("province", "exchange"), nargs="?", default="province")
    describing.set_defaults(run=_openapi)

    verbs = commands.add_parser("channel", help="who may fetch from whom").add_subparsers(required=True, metavar="VERB")
    verbs.add_parser("list", help="every channel that was ever closed").set_defaults(run=_list)
    closing = verbs.add_parser("close", help="suspend a channel, at once")
    opening = verbs.add_parser("open", help="open it again")
    for command, run in ((closing, _close), (opening, _open)):
        command.add_argument("desk", help="code of the province that asks")
        command.add_argument("library", help="code of the province that holds the certificates")
        command.add_argument("--notice", required=True, help="number of the notice that orders it")
        command.set_defaults(run=run)
    _window_commands(commands.add_parser("windows", help="which kiosks are windows of this province"))
    return parser


def _window_commands(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verbs.add_parser("list", help="user code, key, state, window and unit of each").set_defaults(step=_list_windows)
    approving = verbs.add_parser("approve", help="make a kiosk's key a window's, after a look at both")
    denying = verbs.add_parser("deny", help="refuse a kiosk that waits")
    disabling = verbs.add_parser("disable", help="the window's enrolled key opens nothing any more, at once")
    for command, step in ((approving, _approve_window), (denying, _deny_window)):
        command.add_argument("user_code", help="the code on the kiosk's screen")
        command.add_argument("--unit", required=True, help="USCC of the unit")
        command.set_defaults(step=step)
    approving.add_argument("--window", required=True, help="id of the window")
    disabling.add_argument("window", help="id of the window")
    disabling.set_defaults(step=_disable_window)
    parser.set_defaults(run=_windows)


if __name__ == "__main__":
    sys.exit(main())

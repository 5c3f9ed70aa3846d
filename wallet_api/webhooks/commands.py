"""`wallet-api vendors webhook …` and `wallet-api deliver`: the operator's side of webhooks.

webhook add CLIENT URL       prints the secret, once
webhook rotate CLIENT URL    prints a new secret; the one of before signs beside it for a week
webhook remove CLIENT URL
webhook list CLIENT          tab-separated: URL, state, failures in a row, since when
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from consent.clock import SystemClock, rfc3339
from consent.stores.base import open_engine, reading
from consent.telling import Log, capture_libraries, new_log
from wallet_api.app import check_schemas
from wallet_api.settings import Settings
from wallet_api.webhooks import deliveries
from wallet_api.webhooks.deliver import Deliverer
from wallet_api.webhooks.endpoints import Endpoints
from wallet_api.webhooks.sending import Sender

Command = Callable[[Settings, argparse.Namespace], None]


def add_webhook_commands(verbs: Any) -> None:
    """Hang `webhook` and its verbs below those of `vendors`."""
    webhook = verbs.add_parser("webhook", help="where a vendor is told that a showing has moved")
    under = webhook.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Command, text: str, *, url: bool = True) -> None:
        parser: argparse.ArgumentParser = under.add_parser(name, help=text, description=text)
        parser.set_defaults(run=run)
        parser.add_argument("client_id")
        if url:
            parser.add_argument("url", help="https://…; in the sandbox also http://localhost")

    verb("add", _add, "register an address and print its secret")
    verb("rotate", _rotate, "print a new secret; the one of before signs beside it for a week")
    verb("remove", _remove, "call an address no more")
    verb("list", _list, "a vendor's addresses", url=False)


def add_deliver_command(commands: Any) -> None:
    """Hang `deliver` below a parser's commands."""
    parser = commands.add_parser("deliver", help="send webhooks; any number of these may run")
    parser.set_defaults(run=_deliver)


def new_deliverer(settings: Settings, *, log: Log) -> Deliverer:
    """The deliverer of the settings' province. Unavailable where the store is silent or its schema is old."""
    engine = open_engine(settings.store)
    check_schemas(engine)
    sender = Sender(sandbox=settings.sandbox, ca_file=settings.webhook_ca or None)
    return Deliverer(engine=engine, profile=settings.profile, sender=sender, log=log)


def _deliver(settings: Settings, asked: argparse.Namespace) -> None:
    clock = SystemClock()
    log = new_log("wallet_api", clock, level=settings.log_level).bind(province=settings.province)
    capture_libraries(log)
    deliverer = new_deliverer(settings, log=log)
    stop = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    with reading(deliverer.engine) as connection:
        log.info("work_begins", waiting=deliveries.waiting(connection))
    deliverer.run(stop, clock)
    log.info("work_ends")


def _add(settings: Settings, asked: argparse.Namespace) -> None:
    print(_endpoints(settings).add(asked.client_id, asked.url, now=SystemClock().now()))


def _rotate(settings: Settings, asked: argparse.Namespace) -> None:
    print(_endpoints(settings).rotate(asked.client_id, asked.url, now=SystemClock().now()))


def _remove(settings: Settings, asked: argparse.Namespace) -> None:
    _endpoints(settings).remove(asked.client_id, asked.url, now=SystemClock().now())


def _list(settings: Settings, asked: argparse.Namespace) -> None:
    for each in _endpoints(settings).all(asked.client_id):
        state = "live" if each.ended_why is None else each.ended_why.lower()
        print(f"{each.url}\t{state}\t{each.failures}\t{rfc3339(each.created_at)}")


def _endpoints(settings: Settings) -> Endpoints:
    return Endpoints(open_engine(settings.store), profile=settings.profile)

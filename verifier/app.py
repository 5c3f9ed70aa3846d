"""The parts lists of the two applications: a province's doors and the exchange's door.

Nothing is global, so five applications may live in one process with one clock, as they do in the tests and the demo.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flask import Flask
from sqlalchemy import Engine

from consent.clock import Clock
from consent.sentences import Audience
from consent.starting import pairs
from consent.stores.base import open_engine
from consent.stores.migrations import check_schema, migrate
from consent.stores.signals import Signals
from consent.telling import Log, new_log
from consent.transport import Transport
from verifier.doors.counters import counter_door
from verifier.doors.description import description_door
from verifier.doors.frame import Meters, new_meters, put_in_frame
from verifier.doors.guards import RequiresPeer, RequiresWindow, check_guards
from verifier.doors.letters import exchange_door, mailbox_door
from verifier.doors.operations import operations_door
from verifier.doors.problems import ProblemApi
from verifier.doors.says import show_examples
from verifier.doors.windows import windows_door
from verifier.enrolment import Enrolments
from verifier.exchange.channels import Channels
from verifier.exchange.client import EXCHANGE
from verifier.exchange.relay import Relay
from verifier.named import FailedTries
from verifier.province import Province
from verifier.settings import Settings, checked
from verifier.stores import exchange as exchange_tables


def create_province_app(
    settings: Settings,
    province: Province,
    *,
    clock: Clock,
    log: Log | None = None,
    doors: Collection[str] = ("counters", "mailbox"),
) -> Flask:
    """A province's doors: counters, mailbox or both, and operations. Its parts stand in `app.extensions["verifier"]`."""
    settings = checked(settings)
    app, api, meters = _bare("verifier", settings, clock, log)
    app.extensions["verifier"] = province
    meters.registry.register(FailedTries(province.office))
    window = RequiresWindow(province.desk, clock)
    mailbox = RequiresPeer(_tokens(settings), only=EXCHANGE)
    chosen = {
        "counters": counter_door(
            province.desk, province.peers.cards, province.peers.invitations, window, clock, province.office.signals
        ),
        "windows": windows_door(Enrolments(office=province.office), clock, address=settings.public_url),
        "mailbox": mailbox_door(province.peers, mailbox, clock),
    }
    # Who is to be a window comes to where windows come to.
    served = [*doors, "windows"] if "counters" in doors else doors
    for door in (
        *(chosen[name] for name in served),
        operations_door(province.ready, lambda: _redis(settings, province.office.signals), meters),
        description_door(api.spec.to_dict),
    ):
        api.register_blueprint(door)
    check_guards(app)
    show_examples(api, app)
    return app


def create_exchange_app(
    settings: Settings, mailboxes: Mapping[str, Transport], *, clock: Clock, log: Log | None = None
) -> Flask:
    """The exchange's door. `mailboxes` has a transport to each province."""
    settings = checked(settings)
    log = log or new_log("exchange", clock, level=settings.log_level)
    app, api, meters = _bare("exchange", settings, clock, log)
    engine = open_engine(settings.exchange_store)
    app.extensions["channels"] = Channels(engine)
    relay = Relay(engine=engine, mailboxes=mailboxes, log=log)
    senders = RequiresPeer(_tokens(settings))
    for door in (
        exchange_door(relay, senders, clock),
        operations_door(lambda: check_schema(engine, exchange_tables.OWNER), lambda: "off", meters),
        description_door(api.spec.to_dict),
    ):
        api.register_blueprint(door)
    check_guards(app)
    show_examples(api, app)
    return app


def migrate_exchange(settings: Settings, *, create: bool) -> None:
    """Bring the exchange's store to the newest revision."""
    engine: Engine = open_engine(checked(settings).exchange_store, must_exist=not create)
    try:
        migrate(engine, exchange_tables.OWNER)
    finally:
        engine.dispose()


def _bare(name: str, settings: Settings, clock: Clock, log: Log | None) -> tuple[Flask, ProblemApi, Meters]:
    app = Flask(f"verifier.{name}", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    log = log or new_log(name, clock, level=settings.log_level)
    bound = log if name == "exchange" else log.bind(province=settings.province)
    meters = new_meters(f"huzheng_{name}")
    put_in_frame(app, log=bound, clock=clock, meters=meters, https=settings.tls)
    api = ProblemApi(app, audience=Audience.COUNTER, spec_kwargs=_described(name, settings))
    return app, api, meters


def _tokens(settings: Settings) -> Mapping[str, str]:
    """Whom we believe by a token: nobody in live, and nobody where certificates say who is calling."""
    return pairs(settings.peer_tokens) if settings.sandbox and not settings.tls else {}


def _redis(settings: Settings, signals: Signals) -> str:
    if not settings.redis_url:
        return "off"
    return "on" if signals.connected else "silent"


def _described(name: str, settings: Settings) -> dict[str, Any]:
    try:
        release = version("huzheng")
    except PackageNotFoundError:  # run from a checkout
        release = "0"
    return {
        "title": f"互证 Huzheng {name}",
        "version": release,
        "openapi_version": "3.1.0",
        "info": {
            "description": "Errors are problem documents (RFC 9457). All people in the sandbox are synthetic.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": settings.public_url, "description": settings.profile}],
    }

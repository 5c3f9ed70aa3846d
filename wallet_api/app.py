"""The parts list: open the store, load the keys, build the use cases, hang the doors.

Called once for each province. Nothing is global, so four provinces may live in one process with one movable
clock, as they do in the tests and in the demonstration.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Flask
from sqlalchemy import Engine

from consent.clock import Clock, shanghai_date
from consent.code import TYP
from consent.errors import Reason, Refusal
from consent.keylist import read_key_list
from consent.keys import SigningKey, load_key, load_secret
from consent.sentences import Audience
from consent.stores import handover
from consent.stores.base import open_engine
from consent.stores.migrations import check_schema, migrate
from consent.stores.signals import Signals
from consent.telling import Log, new_log
from wallet_api.counter_codes import CounterCodes
from wallet_api.doors.codes import codes_door
from wallet_api.doors.counter_codes import counter_code_door
from wallet_api.doors.documents import documents_door
from wallet_api.doors.events import events_door
from wallet_api.doors.express import express_door
from wallet_api.doors.frame import new_meters, put_in_frame
from wallet_api.doors.guards import RequiresVendor, check_guards, show_limits
from wallet_api.doors.history import history_door
from wallet_api.doors.once import OnceOnly
from wallet_api.doors.operations import operations_door
from wallet_api.doors.problems import Door, ProblemApi
from wallet_api.doors.sandbox import sandbox_door
from wallet_api.doors.says import show_examples
from wallet_api.doors.vendors import showing_door, token_door
from wallet_api.express import Express
from wallet_api.history import History
from wallet_api.limits import Limits
from wallet_api.personas import load_personas
from wallet_api.settings import Settings, checked
from wallet_api.showings import Showings
from wallet_api.vendors import SCOPES, Once, Vendors, tables
from wallet_api.vendors.oauth import TokenEndpoint
from wallet_api.webhooks.feed import Feed

OWNERS: Final = (handover.OWNER, tables.OWNER)


def create_app(
    settings: Settings,
    *,
    clock: Clock,
    signals: Signals | None = None,
    log: Log | None = None,
    pages: Iterable[Blueprint] = (),
) -> Flask:
    """The WSGI application of one province.

    `pages` are blueprints for people (the phone's pages); their routes name guards like all others. Its use cases
    stand in `app.extensions`, a `Showings` under "wallet_api" and a `History` under "wallet_api_history", for those pages
    and for tests. Raises Refusal where a key or the key list is not what the settings say, Unavailable where the store is
    silent or its schema is old, ValueError for settings that cannot hold.
    """
    settings = checked(settings)
    log = log or new_log("wallet_api", clock, level=settings.log_level)

    # 1. stores
    engine = open_engine(settings.store)
    check_schemas(engine)
    signals = signals or Signals(settings.redis_url or None)

    # 2. keys
    listed = read_key_list(Path(settings.keylist), pinned=settings.keylist_sha256, issued_after=settings.floor)
    code_key = load_key(settings.code_key, issuer=settings.province, sandbox=settings.sandbox)
    _known(code_key, listed.ring.find_code_key(TYP, code_key.kid4, now=clock.now()).issuer)

    # 3. use cases
    showings = Showings(
        engine=engine,
        province=settings.province,
        keys=listed.ring,
        code_key=code_key,
        showing_key=load_secret(settings.showing_key, sandbox=settings.sandbox),
        signals=signals,
    )
    vendors = Vendors(engine, profile=settings.profile)
    history = History(
        engine=engine,
        province=settings.province,
        inner=listed.recipient(settings.province),
        signals=signals,
    )
    codes = CounterCodes(
        engine=engine, province=settings.province, keys=listed.ring, signals=signals, showings=showings
    )
    express = Express(engine=engine, province=settings.province, keys=listed.ring, signals=signals)
    limits = Limits(
        settings.redis_url or None,
        room=settings.province,
        vendor_per_minute=settings.vendor_per_minute,
        openings_per_minute=settings.openings_per_minute,
    )

    # 4. doors
    app = Flask("wallet_api", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.extensions["wallet_api"] = showings
    app.extensions["wallet_api_history"] = history
    meters = new_meters("huzheng_wallet")
    put_in_frame(app, log=log.bind(province=settings.province), clock=clock, meters=meters, https=not settings.sandbox)
    show_limits(app)
    api = ProblemApi(app, audience=Audience.VENDOR, spec_kwargs=_described(settings))
    api.spec.components.security_scheme("vendor", _oauth(settings))
    vendor, once_only = RequiresVendor(vendors, clock, limits), OnceOnly(Once(engine), clock)
    for door in (
        token_door(TokenEndpoint(vendors, clock, issuer=settings.public_url), limits),
        showing_door(showings, once_only, limits, vendor, clock),
        events_door(showings, Feed(engine=engine, profile=settings.profile), once_only, vendor, clock),
        codes_door(showings, once_only, vendor, clock),
        counter_code_door(codes, once_only, vendor, clock),
        express_door(express, showings, once_only, vendor, clock),
        history_door(history, showings, once_only, limits, vendor, clock),
        operations_door(lambda: check_schemas(engine), lambda: _redis(settings, signals), meters),
        documents_door(api.spec.to_dict),
        *_sandbox_only(settings, vendor, clock),
    ):
        api.register_blueprint(door)
    for page in pages:
        app.register_blueprint(page)
    check_guards(app)
    show_examples(api, app)
    return app


def _sandbox_only(settings: Settings, vendor: RequiresVendor, clock: Clock) -> tuple[Door, ...]:
    if not settings.sandbox:
        return ()
    today = shanghai_date(clock.now())
    people = load_personas(Path(settings.personas), today=today) if settings.personas else {}
    return (sandbox_door(people.values(), vendor),)


def migrate_store(settings: Settings, *, create: bool) -> None:
    """Bring both owners' tables to the newest revision; `create` founds the SQLite file where there is none."""
    engine = open_engine(checked(settings).store, must_exist=not create)
    try:
        for owner in OWNERS:
            migrate(engine, owner)
    finally:
        engine.dispose()


def check_schemas(engine: Engine) -> None:
    """Unavailable(SCHEMA_OUTDATED) unless both owners' tables are as this program wants them."""
    for owner in OWNERS:
        check_schema(engine, owner)


def _known(code_key: SigningKey, issuer: str) -> None:
    if issuer != code_key.issuer:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail="the key list knows our code key as another province's")


def _redis(settings: Settings, signals: Signals) -> str:
    if not settings.redis_url:
        return "off"
    return "on" if signals.connected else "silent"


def _described(settings: Settings) -> dict[str, Any]:
    try:
        release = version("huzheng")
    except PackageNotFoundError:  # run from a checkout
        release = "0"
    return {
        "title": "互证 Huzheng wallet_api",
        "version": release,
        "openapi_version": "3.1.0",
        "info": {
            "description": (
                "Show a marriage or divorce certificate by a code that lives for seconds. All people in the "
                "sandbox are synthetic. Errors are problem documents (RFC 9457); the path in `type` explains each, and "
                "[/problems](/problems) lists them all."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": settings.public_url, "description": settings.profile}],
    }


def _oauth(settings: Settings) -> dict[str, Any]:
    flow = {"tokenUrl": f"{settings.public_url}/oauth/token", "scopes": {scope: scope for scope in SCOPES}}
    return {"type": "oauth2", "flows": {"clientCredentials": flow}}

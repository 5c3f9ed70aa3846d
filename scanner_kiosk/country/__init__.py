"""The whole country in one process: four wallet APIs, four verifiers with their workers, the exchange, a real Valkey.

This folder alone imports both services. It founds a sandbox (`founding`), puts all parts together here, and lends out what
demo, bench and tests drive: phones (`phone_of`), windows (`window_client`), and the switches that break things.

Every service is the WSGI application that it is in production, on its own database files; letters go through the exchange's
door, counters through the desks' doors, phones through wallet_api's. One clock, which can be put ahead. Workers are real
threads that sleep until Redis wakes them or half a second has passed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from flask import Flask

from consent.b64 import new_id
from consent.clock import ShiftedClock, to_epoch
from consent.keylist import read_key_list
from consent.keys import load_key
from consent.provinces import provinces
from consent.seal import compact
from consent.showing import Person
from consent.stores.signals import Signals
from consent.stores.valkey import Valkey, start_valkey
from consent.telling import Log, new_log
from consent.transport import Letter, Transport
from consent.window import issuer_of
from scanner_kiosk.country.founding import Founded, found, open_founded
from scanner_kiosk.country.lines import WsgiLine
from scanner_kiosk.country.people import Persona
from scanner_kiosk.phone import App, Phone
from scanner_kiosk.province_client import ProvinceClient
from verifier.app import create_exchange_app, create_province_app
from verifier.exchange.channels import Channels
from verifier.exchange.inside import InProcess
from verifier.province import Province, open_province
from verifier.settings import read_settings as read_verifier_settings
from wallet_api.app import create_app as create_wallet_app
from wallet_api.profiles.port import Remembering
from wallet_api.profiles.simulators import Simulator, open_simulator
from wallet_api.settings import read_settings as read_wallet_settings

__all__ = ["Country", "Founded", "found", "open_country", "open_founded"]

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(slots=True, kw_only=True)
class Country:
    """All parts, wired. `start` begins the workers; `stop` ends everything."""

    founded: Founded
    clock: ShiftedClock
    redis: Valkey | None
    signals: dict[str, Signals]
    provinces: dict[str, Province]
    wallets: dict[str, Flask]
    verifiers: dict[str, Flask]
    exchange: Flask
    simulators: Mapping[str, Simulator]  # of the four apps' own servers, by province
    _stop: threading.Event = field(default_factory=threading.Event)
    _rests: dict[str, threading.Event] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)
    _apps: dict[str, App] = field(default_factory=dict)

    def start(self) -> None:
        """Let every province's worker begin."""
        for code in self.provinces:
            self._rests[code] = threading.Event()
            self._rests[code].set()
            thread = threading.Thread(target=self._work, args=(code,), name=f"work-{code}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End workers, connections and Redis."""
        self._stop.set()
        for rest in self._rests.values():
            rest.set()
        for code in self.provinces:
            self.signals[code].notify(f"outbox:{code}")
        for thread in self._threads:
            thread.join(timeout=5)
        for province in self.provinces.values():
            province.close()
        for wallet in self.wallets.values():
            wallet.extensions["wallet_api"].engine.dispose()
        self.channels.engine.dispose()
        for signals in self.signals.values():
            signals.close()
        if self.redis is not None:
            self.redis.stop()

    @contextmanager
    def resting(self, code: str) -> Iterator[None]:
        """The worker of one province rests: letters to it arrive, its own stay in the outbox."""
        rest = self._rests[code]
        rest.clear()
        try:
            yield
        finally:
            rest.set()
            self.signals[code].notify(f"outbox:{code}")

    def _work(self, code: str) -> None:
        self.provinces[code].worker.run(self._stop, self._rests[code])

    @property
    def wakeups(self) -> dict[str, int]:
        """How often somebody was woken to some purpose, by Redis and by looking."""
        counted = [signals.wakeups for signals in self.signals.values()]
        return {kind: sum(each[kind] for each in counted) for kind in ("redis", "polling")}

    @property
    def channels(self) -> Channels:
        """The exchange's valves."""
        found_channels: Channels = self.exchange.extensions["channels"]
        return found_channels

    def app(self, code: str) -> App:
        """The app of a province with a live vendor token."""
        if code not in self._apps:
            line = WsgiLine(self.wallets[code])
            self._apps[code] = App(
                province=code,
                line=line,
                token=self._token(code, line),
                login_key=self.founded.keys.signing(code, "login"),
                inner=self.provinces[code].office.keylist.recipient(code),
                clock=self.clock,
            )
        return self._apps[code]

    def forget_tokens(self) -> None:
        """Let vendors sign in anew, as they must every ten minutes."""
        self._apps.clear()

    def phone_of(self, persona: Persona) -> Phone:
        """A phone in this persona's hand."""
        person = Person(id_number=persona.id_number, name=persona.name)
        return Phone(app=self.app(persona.province), person=person)

    def window_client(self, code: str, window: str) -> ProvinceClient:
        """The desk of a province, as one of its windows sees it."""
        return ProvinceClient(
            line=WsgiLine(self.verifiers[code]),
            province=code,
            window=window,
            key=load_key(self.founded.keys.uri(code, f"window-{window}"), issuer=issuer_of(code, window), sandbox=True),
            recipient=self.provinces[code].office.keylist.recipient(code),
            clock=self.clock,
        )

    def _token(self, code: str, line: WsgiLine) -> str:
        vendors = json.loads((self.founded.folder / "vendors.json").read_text(encoding="utf-8"))
        vendor = vendors[code]
        key = load_key(f"file:{vendor['key']}", issuer=vendor["client_id"], sandbox=True)
        issued = to_epoch(self.clock.now())
        claims = {
            "iss": key.issuer,
            "sub": key.issuer,
            "aud": f"{wallet_url(code)}/oauth/token",
            "iat": issued,
            "exp": issued + 60,
            "jti": new_id(),
        }
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION,
            "client_assertion": compact("JWT", claims, key),
        }
        reply = line.call(
            "POST", "/oauth/token", urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
        )
        if reply.status != 200:
            raise ValueError(f"no token for {vendor['client_id']}: {reply.body.decode()}")
        return str(json.loads(reply.body)["access_token"])


def wallet_url(code: str) -> str:
    """The public address of a wallet_api inside the one process; it is never resolved."""
    return f"http://127.0.0.1/{code}"


class _Later:
    """A transport that is there before what it leads to: provinces and exchange need each other."""

    def __init__(self) -> None:
        self.to: Transport | None = None

    def send(self, letter: Letter) -> None:
        if self.to is None:
            raise RuntimeError("the country is not put together yet")
        self.to.send(letter)


def put_together(founded: Founded, *, clock: ShiftedClock, redis: Valkey | None, log: Log | None = None) -> Country:
    """Every part of a founded country."""
    log = log or new_log("country", clock, level="error")
    redis_url = "" if redis is None else redis.url
    signals = {code: Signals(redis_url or None) for code in provinces()}
    opened: dict[str, Province] = {}
    wallets: dict[str, Flask] = {}
    verifiers: dict[str, Flask] = {}
    later: dict[str, _Later] = {code: _Later() for code in provinces()}
    simulators = _simulators(founded, clock)
    for code in provinces():
        environment = {
            **founded.environment(code, redis_url=redis_url),
            "HUZHENG_WALLET_PUBLIC_URL": wallet_url(code),
            "HUZHENG_WALLET_OPENINGS_PER_MINUTE": "1000000",
            "HUZHENG_WALLET_VENDOR_PER_MINUTE": "1000000",
        }
        settings = read_verifier_settings(environment)
        opened[code] = open_province(
            settings,
            clock=clock,
            transport=later[code],
            signals=signals[code],
            resolver=Remembering(simulators[code].profile()),
            log=log,
        )
        verifiers[code] = create_province_app(settings, opened[code], clock=clock, log=log)
        wallets[code] = create_wallet_app(
            read_wallet_settings(environment), clock=clock, signals=signals[code], log=log
        )
    exchange = create_exchange_app(
        read_verifier_settings(founded.environment("31")),
        {code: InProcess.to_province(app) for code, app in verifiers.items()},
        clock=clock,
        log=log,
    )
    for code, way in later.items():
        way.to = InProcess.to_exchange(exchange, province=code)
    return Country(
        founded=founded,
        clock=clock,
        redis=redis,
        signals=signals,
        provinces=opened,
        wallets=wallets,
        verifiers=verifiers,
        exchange=exchange,
        simulators=simulators,
    )


def _simulators(founded: Founded, clock: ShiftedClock) -> dict[str, Simulator]:
    listed = read_key_list(founded.folder / "keylist.json", pinned=founded.keylist_sha256)
    return {
        code: open_simulator(
            code, login_key=founded.keys.signing(code, "login"), inner=listed.recipient(code), clock=clock
        )
        for code in provinces()
    }


@contextmanager
def open_country(folder: Path, *, with_redis: bool = True, log: Log | None = None) -> Iterator[Country]:
    """A running country in `folder`, founded there first where there is none."""
    clock = ShiftedClock()
    founded = open_founded(folder) if (folder / "founding.json").exists() else found(folder, now=clock.now())
    redis = start_valkey(folder) if with_redis else None
    country = put_together(founded, clock=clock, redis=redis, log=log)
    country.start()
    try:
        yield country
    finally:
        country.stop()

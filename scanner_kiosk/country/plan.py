"""Which processes a sandbox country is made of, each with its command, its environment and the address that proves it up.

    4 × wallet_api serve      PP-wallet      the apps' door, and the simulated phone
    4 × wallet_api deliver    PP-deliver     webhooks; no door
    4 × verifier province     PP-verifier    counters and mailbox
    4 × verifier work         PP-work        no door
    1 × verifier exchange     exchange
    1 × scanner_kiosk run     counter
    1 × wallet_api.profiles   adapters       to the four apps' servers

Ports stand in the order: four wallets, four verifiers, the exchange, the counter, the adapters (`PORTS` in all). The apps'
servers are simulators; each runs in its province's wallet_api, below SIMULATED, as its phone does.

A process gets the variables of its own room and no other's: wallet_api never learns where an inner store or a request key
lies. Peers name themselves by tokens that are random for each start, or by certificates where there are `certificates`.
Pure but for two things that processes read from files: the counter's list of windows, and the accounts at the apps' servers,
which are new for each start and known to the app and to its adapter.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from consent.keys import new_key, write_private
from consent.provinces import provinces
from scanner_kiosk.country.certificates import CertificateFiles
from scanner_kiosk.country.devices import devices_at
from scanner_kiosk.country.founding import Founded
from wallet_api.profiles.accounts import new_account
from wallet_api.profiles.simulators import SIMULATED

EXCHANGE: Final = "exchange"
COUNTER: Final = "counter"
ADAPTERS: Final = "adapters"
HOST: Final = "127.0.0.1"
PORTS: Final = 2 * len(provinces()) + 3

SHARED: Final = frozenset({"HUZHENG_PROFILE", "HUZHENG_REDIS_URL", "HUZHENG_KEYLIST", "HUZHENG_KEYLIST_SHA256"})
ROOMS: Final = {
    "wallet_api": "HUZHENG_WALLET_",
    "wallet_api.profiles": "HUZHENG_ADAPTERS_",
    "verifier": "HUZHENG_VERIFIER_",
    "scanner_kiosk": "HUZHENG_KIOSK_",
}
# What whoever starts the sandbox may set for all processes of a room; everything else is decided here.
TUNING: Final = frozenset(
    {
        "HUZHENG_WALLET_THREADS",
        "HUZHENG_WALLET_VENDOR_PER_MINUTE",
        "HUZHENG_WALLET_OPENINGS_PER_MINUTE",
        "HUZHENG_WALLET_LOG_LEVEL",
        "HUZHENG_VERIFIER_THREADS",
        "HUZHENG_KIOSK_THREADS",
        "HUZHENG_KIOSK_LANG",
        "HUZHENG_KIOSK_LOG_LEVEL",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process. `url` is its door's address, empty for a worker; `ready` is the path that answers 200 when it is up."""

    name: str
    room: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    url: str = ""
    ready: str = "/health/ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All processes in the order in which they are started, and what their users need to know."""

    founded: Founded
    services: tuple[Service, ...]
    certificates: CertificateFiles | None
    device_key: Path

    def service(self, name: str) -> Service:
        """One of them; KeyError for none."""
        return {each.name: each for each in self.services}[name]

    @property
    def phone(self) -> dict[str, str]:
        """The pages of the four simulated phones."""
        return {code: f"{self.service(f'{code}-wallet').url}/phone/" for code in provinces()}

    @property
    def counter(self) -> str:
        """The counter's page."""
        return f"{self.service(COUNTER).url}/counter/"

    def told(self) -> dict[str, Any]:
        """Everything that a program needs which wants to use the running country."""
        folder, keys = self.founded.folder, self.founded.keys
        vendors = json.loads((folder / "vendors.json").read_text(encoding="utf-8"))
        wallets = {code: self.service(f"{code}-wallet").url for code in provinces()}
        verifiers = {code: self.service(f"{code}-verifier").url for code in provinces()}
        exchange = self.service(EXCHANGE).url
        return {
            "phone": self.phone,
            "counter": self.counter,
            "wallets": {
                code: {"base": base, "openapi": f"{base}/openapi.json", "docs": f"{base}/docs"}
                for code, base in wallets.items()
            },
            "verifiers": {code: {"base": base, "openapi": f"{base}/openapi.json"} for code, base in verifiers.items()},
            "exchange": {"base": exchange, "openapi": f"{exchange}/openapi.json"},
            "adapters": {"base": self.service(ADAPTERS).url},
            "apps": {
                code: {"app": provinces()[code].app_id, "simulated": f"{base}{SIMULATED}"}
                for code, base in wallets.items()
            },
            "vendors": {
                code: {
                    "client_id": row["client_id"],
                    "key_file": str(keys.path(code, "vendor")),
                    "kid": row["kid"],
                    "token_url": f"{wallets[code]}/oauth/token",
                }
                for code, row in vendors.items()
            },
            "login_key_file": {code: str(keys.path(code, "login")) for code in provinces()},
            "device_key_file": str(self.device_key),
            "windows": [
                {"province": row["province"], "window": row["window"], "key_file": row["key"].removeprefix("file:")}
                for row in windows(self.founded)
            ],
            "personas_file": str(folder / "personas.json"),
            "keylist_file": str(folder / "keylist.json"),
            "keylist_sha256": self.founded.keylist_sha256,
            "tls": self._told_of_tls(),
        }

    def _told_of_tls(self) -> dict[str, Any] | None:
        if self.certificates is None:
            return None
        names = (*provinces(), EXCHANGE, COUNTER)
        files = {name: str(self.certificates.of(name)) for name in names}
        return {"ca_file": str(self.certificates.authority), "certificates": files}


def windows(founded: Founded) -> list[dict[str, str]]:
    """The windows of a founded country as the founding listed them, their keys where the folder is now."""
    found: list[dict[str, str]] = json.loads((founded.folder / "windows.json").read_text(encoding="utf-8"))
    return [row | {"key": founded.keys.uri(row["province"], f"window-{row['window']}")} for row in found]


def tuning(environment: Mapping[str, str]) -> dict[str, str]:
    """What the starter's environment sets for the rooms. ValueError for a setting that would be overruled here: it must
    not look as if it held."""
    ours = (*ROOMS.values(), *(SHARED - {"HUZHENG_REDIS_URL"}))
    given = {name: value for name, value in environment.items() if name.startswith(ours)}
    if refused := sorted(given.keys() - TUNING):
        raise ValueError(f"{refused[0]} is decided by serve; it leaves open {', '.join(sorted(TUNING))}")
    return given


def draw_plan(
    founded: Founded,
    *,
    ports: Sequence[int],
    redis_url: str,
    certificates: CertificateFiles | None,
    tuned: Mapping[str, str],
) -> Plan:
    """The plan for `PORTS` ports. Writes the counter's list of windows, and the sample device key where there is none."""
    if len(ports) != PORTS:
        raise ValueError(f"{PORTS} ports are needed")
    codes = tuple(provinces())
    scheme = "http" if certificates is None else "https"
    urls = {f"{code}-wallet": f"http://{HOST}:{port}" for code, port in zip(codes, ports, strict=False)}
    inner = (*(f"{code}-verifier" for code in codes), EXCHANGE)
    urls |= {name: f"{scheme}://{HOST}:{port}" for name, port in zip(inner, ports[len(codes) :], strict=False)}
    urls |= {name: f"http://{HOST}:{port}" for name, port in zip((COUNTER, ADAPTERS), ports[-2:], strict=True)}
    draft = _Draft(
        founded=founded,
        redis_url=redis_url,
        certificates=certificates,
        tuned=tuned,
        urls=urls,
        accounts=_accounts(founded.folder / "accounts"),
    )
    return Plan(
        founded=founded,
        services=(
            draft.exchange(),
            *(draft.door(code) for code in codes),
            *(draft.work(code) for code in codes),
            *(draft.wallet(code) for code in codes),
            *(draft.deliver(code) for code in codes),
            draft.adapters(),
            draft.counter(),
        ),
        certificates=certificates,
        device_key=_device_key(founded),
    )


def _device_key(founded: Founded) -> Path:
    """A P-256 key such as a phone would make for itself, for programs that play one."""
    path = founded.keys.folder / "device.pem"
    if not path.exists():
        write_private(path, new_key("ES256", issuer="device").pem())
    return path


def _accounts(folder: Path) -> dict[str, str]:
    """What each app's server knows its adapter by: the URI of a file, by province."""
    folder.mkdir(exist_ok=True)
    files = {code: folder / f"{code}.json" for code in provinces()}
    for path in files.values():
        path.unlink(missing_ok=True)  # of the last start
        write_private(path, new_account().text())
    return {code: f"file:{path}" for code, path in files.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    founded: Founded
    redis_url: str
    certificates: CertificateFiles | None
    tuned: Mapping[str, str]
    urls: Mapping[str, str]
    accounts: Mapping[str, str]
    tokens: Mapping[str, str] = field(
        default_factory=lambda: {name: secrets.token_urlsafe(24) for name in (*provinces(), EXCHANGE)}, repr=False
    )

    def wallet(self, code: str) -> Service:
        name = f"{code}-wallet"
        phones = {each: self.urls[f"{each}-wallet"] for each in provinces()}
        own = {
            "HUZHENG_WALLET_PUBLIC_URL": self.urls[name],
            "HUZHENG_WALLET_LISTEN": _listen(self.urls[name]),
            "HUZHENG_WALLET_PERSONAS": str(self.founded.folder / "personas.json"),
            "HUZHENG_WALLET_LOGIN_KEY": self.founded.keys.uri(code, "login"),
            "HUZHENG_WALLET_PHONES": _pairs(phones),
            "HUZHENG_WALLET_APP_ACCOUNT": self.accounts[code],
        }
        return self._service(name, "wallet_api", ("serve",), code, own)

    def deliver(self, code: str) -> Service:
        # serve reads in the log that it has begun.
        own = {"HUZHENG_WALLET_LOG_LEVEL": "info"}
        return self._service(f"{code}-deliver", "wallet_api", ("deliver",), code, own)

    def door(self, code: str) -> Service:
        return self._service(f"{code}-verifier", "verifier", ("province",), code, self._province(code))

    def work(self, code: str) -> Service:
        return self._service(f"{code}-work", "verifier", ("work",), code, self._province(code))

    def exchange(self) -> Service:
        mailboxes = {code: self.urls[f"{code}-verifier"] for code in provinces()}
        own = {
            "HUZHENG_VERIFIER_PUBLIC_URL": self.urls[EXCHANGE],
            "HUZHENG_VERIFIER_LISTEN": _listen(self.urls[EXCHANGE]),
            "HUZHENG_VERIFIER_PEERS": _pairs(mailboxes),
            **self._named(EXCHANGE, believes=tuple(provinces())),
        }
        # The exchange holds none of a province's keys; it is told of no store but its own.
        founding = self.founded.environment("31", redis_url=self.redis_url)
        kept = {*SHARED, "HUZHENG_VERIFIER_EXCHANGE_STORE"}
        return self._made(
            EXCHANGE, "verifier", ("exchange",), {key: founding[key] for key in founding.keys() & kept} | own
        )

    def adapters(self) -> Service:
        own = {
            "HUZHENG_ADAPTERS_LISTEN": _listen(self.urls[ADAPTERS]),
            "HUZHENG_ADAPTERS_APPS": _pairs({each: self.urls[f"{each}-wallet"] + SIMULATED for each in provinces()}),
            "HUZHENG_ADAPTERS_ACCOUNTS": _pairs(self.accounts),
        }
        return self._service(ADAPTERS, "wallet_api.profiles", ("serve",), "31", own)

    def counter(self) -> Service:
        listed = self.founded.folder / "counter-windows.json"
        listed.write_text(json.dumps(self._windows(), ensure_ascii=False, indent=1), encoding="utf-8")
        own = {
            "HUZHENG_KIOSK_WINDOWS": str(listed),
            "HUZHENG_KIOSK_PERSONAS": str(self.founded.folder / "personas.json"),
            "HUZHENG_KIOSK_CAMERA": f"sim:{self.urls['31-wallet']}/phone/current.png",
            "HUZHENG_KIOSK_STATE": str(self.founded.folder / COUNTER),
            "HUZHENG_KIOSK_LISTEN": _listen(self.urls[COUNTER]),
        }
        if self.certificates is not None:
            own["HUZHENG_KIOSK_CA_FILE"] = str(self.certificates.authority)
            own["HUZHENG_KIOSK_CERTIFICATE"] = str(self.certificates.of(COUNTER))
        return self._service(COUNTER, "scanner_kiosk", ("run",), "31", own, ready="/counter/")

    def _province(self, code: str) -> dict[str, str]:
        own = self.urls[f"{code}-verifier"]
        return {
            "HUZHENG_VERIFIER_PUBLIC_URL": own,
            "HUZHENG_VERIFIER_LISTEN": _listen(own),
            "HUZHENG_VERIFIER_EXCHANGE_URL": self.urls[EXCHANGE],
            "HUZHENG_VERIFIER_ADAPTER_URL": self.urls[ADAPTERS],
            # serve reads in the log that a worker has begun.
            "HUZHENG_VERIFIER_LOG_LEVEL": "info",
            **self._named(code, believes=(EXCHANGE,)),
        }

    def _named(self, name: str, *, believes: Sequence[str]) -> dict[str, str]:
        """How a process names itself to its peers, and whose names it believes."""
        if self.certificates is None:
            return {
                "HUZHENG_VERIFIER_PEER_TOKEN": self.tokens[name],
                "HUZHENG_VERIFIER_PEER_TOKENS": _pairs({each: self.tokens[each] for each in believes}),
            }
        return {
            "HUZHENG_VERIFIER_TLS_CERTIFICATE": str(self.certificates.of(name)),
            "HUZHENG_VERIFIER_TLS_KEY": str(self.certificates.of(name)),
            "HUZHENG_VERIFIER_TLS_CA": str(self.certificates.authority),
        }

    def _windows(self) -> list[dict[str, Any]]:
        return [
            {
                "province": row["province"],
                "window": row["window"],
                "name": row["name"],
                "unit_zh": row["unit_zh"],
                "unit_en": row["unit_en"],
                "desk_url": self.urls[f"{row['province']}-verifier"],
                "key_uri": row["key"],
                **devices_at(self.founded, row["province"], row["window"]),
            }
            for row in windows(self.founded)
        ]

    def _service(
        self,
        name: str,
        room: str,
        arguments: tuple[str, ...],
        code: str,
        own: Mapping[str, str],
        *,
        ready: str = "/health/ready",
    ) -> Service:
        """A process of one room, with what the founding says of that room."""
        founding = self.founded.environment(code, redis_url=self.redis_url)
        founding.pop("HUZHENG_VERIFIER_EXCHANGE_STORE")
        kept = {key: value for key, value in founding.items() if key in SHARED or key.startswith(ROOMS[room])}
        return self._made(name, room, arguments, kept | dict(own), ready=ready)

    def _made(
        self,
        name: str,
        room: str,
        arguments: tuple[str, ...],
        settings: Mapping[str, str],
        *,
        ready: str = "/health/ready",
    ) -> Service:
        tuned = {key: value for key, value in self.tuned.items() if key.startswith(ROOMS[room])}
        url = self.urls.get(name, "")  # none for those without a door
        return Service(
            name=name, room=room, arguments=arguments, environment=tuned | dict(settings), url=url, ready=ready
        )


def _listen(url: str) -> str:
    return url.partition("://")[2]


def _pairs(values: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in values.items())

"""One province's wallet_api on a real socket, a vendor registered there, and the SDK's sample app in front of it.

The inner network is the tester's hand, as in tests/outer.py; the sheet is the whole one of tests/phone_stage.py.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import urllib3
from flask import Flask
from huzheng_wallet import Login, Times, Wallet
from urllib3.exceptions import ProtocolError

from consent.clock import MovableClock, rfc3339
from consent.provinces import province
from consent.stores import handover
from consent.stores.base import writing
from consent.stores.queue import finish, take
from tests.outer import PERSON, START, VENDOR, Outer, found_outer
from tests.phone_stage import certificate, holdings, sheet_of
from wallet_api.conformance.province import serving as listening

SDK = Path(__file__).parents[1] / "wallet_api" / "sdk"
SECRET = "whsec_c2VjcmV0IG9mIGEgd2ViaG9vayBmb3IgdGVzdHM="


@dataclass
class Patience:
    """Time that passes only when somebody sleeps. The wall is the server's clock plus `ahead` seconds."""

    wall: Callable[[], float]
    ahead: float = 0.0
    ticked: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ticked += seconds

    def times(self, shake: float = 0.0) -> Times:
        return Times(
            wall=lambda: self.wall() + self.ahead, tick=lambda: self.ticked, sleep=self.sleep, shake=lambda: shake
        )


class RunningClock:
    """Starts at START and runs, for what a real browser waits for. It can be put ahead."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._shift = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=time.monotonic() - self._began + self._shift)

    def advance(self, seconds: float) -> None:
        self._shift += seconds


class Rig(urllib3.PoolManager):
    """A connection that obeys: each of `faults` happens to the next request of that kind, in order.

    "lost": the server acts, its answer never comes. "dead": nothing gets there. A tuple is an answer made up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[tuple[str, str | tuple[int, Mapping[str, str], bytes]]] = []
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        path = "/" + url.split("/", 3)[3]
        self.asked.append((method, path, kwargs.get("headers", {})))
        fault = self._fault(f"{method} {path}")
        if fault == "dead":
            raise ProtocolError("dead on arrival")
        if isinstance(fault, tuple):
            status, headers, body = fault
            return urllib3.HTTPResponse(body=body, status=status, headers=headers, preload_content=True)
        answer = super().request(method, url, *args, **kwargs)
        if fault == "lost":
            raise ProtocolError("the answer was lost")
        return answer

    def _fault(self, asked: str) -> str | tuple[int, Mapping[str, str], bytes] | None:
        for n, (what, fault) in enumerate(self.faults):
            if asked.startswith(what):
                del self.faults[n]
                return fault
        return None

    def count(self, what: str) -> int:
        """How many requests of that kind were sent."""
        return sum(f"{method} {path}".startswith(what) for method, path, _ in self.asked)


@dataclass
class Shop:
    """A vendor's whole side, with the server behind it."""

    outer: Outer
    url: str

    @property
    def key(self) -> str:
        return self.outer.vendor_key.as_pem(private=True).decode()

    def wallet(self, rig: Rig | None = None, patience: Patience | None = None, **more: Any) -> Wallet:
        patience = patience or self.patience()
        return Wallet(self.url, VENDOR, self.key, pool=rig, times=more.pop("times", patience.times()), **more)

    def patience(self, **more: Any) -> Patience:
        return Patience(wall=lambda: self.outer.clock.now().timestamp(), **more)

    def login(self) -> Login:
        return Login(
            province(self.outer.code).app_id,
            self.outer.code,
            self.outer.login_key.pem(),
            self.outer.envelope_key.recipient.text,
        )

    def sample(self, wallet: Wallet | None = None) -> Flask:
        """The sample app, for one citizen."""
        module = sample_module()
        zhang = module.Citizen(sub="pairwise-3f9a2c1d", name=PERSON.name, id_number=PERSON.id_number)
        app: Flask = module.create_app(
            wallet or self.wallet(), self.login(), {"zhang-wei": zhang}, webhook_secret=SECRET
        )
        return app

    # The inner network, by hand

    def ask(self, showing_id: str, *, found: str | None = None, **sheet: Any) -> dict[str, Any]:
        """A counter claims the showing; returns the sheet."""
        now = self.outer.clock.now()
        written = sheet_of("R" * 42 + "A", now, **sheet)
        assert self.outer.move(
            showing_id,
            "claim",
            sheet=json.dumps(written, ensure_ascii=False),
            request_digest=written["request"],
            asked_at=now,
            holdings=found or holdings(certificate()),
        )
        return written

    def deliver(self, showing_id: str, *given: str) -> None:
        """The library has sent; the citizen's receipt is there."""
        result = {
            "outcome": "PASSED",
            "reason": None,
            "receipt": "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
            "given": list(given),
            "ended_at": rfc3339(self.outer.clock.now()),
        }
        assert self.outer.move(showing_id, "deliver", result=json.dumps(result))

    def answer(self, kind: str, found: dict[str, Any]) -> int:
        """Finish every waiting errand of one kind with this answer; returns how many there were."""
        now = self.outer.clock.now()
        with writing(self.outer.engine) as connection:
            items = take(connection, handover.errands, now=now, lease=timedelta(microseconds=1), limit=1000)
            mine = [item for item in items if item.kind == kind]
            for item in mine:
                finish(connection, handover.errands, item, now=now, answer=json.dumps(found, ensure_ascii=False))
        return len(mine)


def sample_module() -> ModuleType:
    """The sample, imported from its file as `python vendor_app.py` would."""
    spec = importlib.util.spec_from_file_location("vendor_app", SDK / "samples" / "vendor_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@contextmanager
def open_shop(folder: Path, clock: Any = None, **settings: Any) -> Iterator[Shop]:
    """A wallet_api that calls itself what it is reached by, and a vendor there."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        outer = found_outer(folder / "31", clock=clock or MovableClock(START), public_url=url, **settings)
        with listening(outer.app, bound):
            yield Shop(outer, url)
        outer.close()

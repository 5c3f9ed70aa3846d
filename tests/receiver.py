"""A vendor's webhook receiver on this machine, and the deliverer that calls it: for tests.

The receiver is a real HTTP server that can be stopped and started again on the same port. What it answers is a function
of the request, so that a test can refuse one event, lead elsewhere, drip, or never end.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import time_machine
from joserfc.jwk import ECKey
from sqlalchemy import Engine
from standardwebhooks import Webhook

from consent.b64 import new_id
from consent.clock import MovableClock
from consent.showing import new_showing_id
from consent.states import SHOWING
from consent.stores import handover
from consent.stores.base import open_engine, writing
from consent.telling import new_log
from tests.outer import START, _empty_store
from wallet_api.vendors import SCOPES, Vendors
from wallet_api.webhooks.deliver import Deliverer
from wallet_api.webhooks.endpoints import Endpoints
from wallet_api.webhooks.sending import Sender

CLIENT = "vendor-one"
APP = "suishenban"


@dataclass(frozen=True)
class Got:
    """One request as it came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> dict[str, Any]:
        return dict(json.loads(self.body)["data"])

    @property
    def event(self) -> tuple[str, int]:
        return self.data["showing_id"], self.data["version"]


Answer = Callable[[BaseHTTPRequestHandler, Got], None]


def status(code: int, **headers: str) -> Answer:
    """Always this status."""

    def answer(handler: BaseHTTPRequestHandler, got: Got) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


class Receiver:
    """Listens from `start` to `stop`, on one port; keeps all that came in."""

    def __init__(self, answer: Answer | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.answer = answer or status(204)
        self.got: list[Got] = []
        self.port = 0
        self.connections = 0
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> Receiver:
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                outside.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got = Got({name.lower(): value for name, value in self.headers.items()}, body)
                outside.got.append(got)
                with suppress(OSError):
                    outside.answer(self, got)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    @property
    def events(self) -> list[tuple[str, int]]:
        return [got.event for got in self.got]


@contextmanager
def receiving(answer: Answer | None = None) -> Iterator[Receiver]:
    """A receiver for as long as the block."""
    receiver = Receiver(answer).start()
    try:
        yield receiver
    finally:
        receiver.stop()


def check(got: Got, secret: str, at: datetime, *, body: bytes | None = None) -> Any:
    """What the standard's own library says at that moment; WebhookVerificationError when it does not hold."""
    with time_machine.travel(at, tick=False):
        return Webhook(secret).verify(got.body if body is None else body, got.headers)


@dataclass
class Rig:
    """A hand-over store with a vendor, a clock and a deliverer."""

    engine: Engine
    clock: MovableClock = field(default_factory=lambda: MovableClock(START))
    profile: str = "sandbox"
    lines: StringIO = field(default_factory=StringIO)
    open: list[Deliverer] = field(default_factory=list)

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(self.engine, profile=self.profile)

    def vendor(self, client_id: str = CLIENT, *, app: str = APP) -> None:
        key = ECKey.generate_key("P-256").as_dict(private=False)
        register = Vendors(self.engine, profile=self.profile, by="test")
        register.add(client_id, name="v", app=app, jwk=key, scopes=SCOPES, now=self.clock.now())

    def deliverer(self, **sending: Any) -> Deliverer:
        sender = Sender(sandbox=self.profile == "sandbox", **sending)
        log = new_log("wallet_api", self.clock, stream=self.lines)
        made = Deliverer(engine=self.engine, profile=self.profile, sender=sender, log=log)
        self.open.append(made)
        return made

    def show(self, *, app: str = APP) -> str:
        """A new showing, and its first event."""
        showing_id = new_showing_id()
        with writing(self.engine) as connection:
            handover.open_showing(
                connection,
                showing_id=showing_id,
                province="31",
                app=app,
                sub=f"pairwise-{new_id()}",
                holder_jwt="a.b.c",
                device_jwk="{}",
                device_kid="kid",
                now=self.clock.now(),
                expires_at=self.clock.now(),
            )
        return showing_id

    def move(self, showing_id: str, *events: str, **columns: Any) -> None:
        for event in events:
            with writing(self.engine) as connection:
                assert handover.move(
                    connection,
                    showing_id,
                    to=SHOWING.target(event),
                    frm=SHOWING.sources(event),
                    now=self.clock.now(),
                    **columns,
                )

    def close(self) -> None:
        for each in self.open:
            each.close()
        self.engine.dispose()


@contextmanager
def rig_in(folder: Path, **more: Any) -> Iterator[Rig]:
    """A rig on a store of its own."""
    path = folder / "handover.db"
    path.write_bytes(_empty_store())
    rig = Rig(open_engine(f"sqlite:///{path}"), **more)
    rig.vendor()
    try:
        yield rig
    finally:
        rig.close()

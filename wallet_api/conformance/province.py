"""One province for the run: a real wallet_api on loopback, and its inner network played by hand.

SIMULATOR: everybody here is invented, every key is made for this run, and the inner network is a few methods that write into
the hand-over store what `verifier work` writes there. wallet_api itself is the real one, on its embedded store: its doors,
its checks, its webhooks.

wallet_api's clock is the machine's plus a shift that only grows; so the kit can let it be ahead.
"""

from __future__ import annotations

import json
import logging
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sqlalchemy import Engine, select
from werkzeug.serving import WSGIRequestHandler, make_server

from consent.b64 import digest_of, new_id, to_b64
from consent.clock import Clock, rfc3339
from consent.envelope import EnvelopeKey, new_envelope_key
from consent.errors import Reason, Refusal
from consent.keylist import write_key_list
from consent.keys import SANDBOX_MARK, SigningKey, jwk_of, new_key, write_private
from consent.people import synthetic_id
from consent.provinces import province
from consent.receipt import Position, seal_receipt
from consent.request import Ask
from consent.showing import Person
from consent.states import SHOWING
from consent.stores import handover
from consent.stores.base import open_engine, reading, writing
from consent.stores.handover import ShowingRow
from consent.stores.queue import ItemState, settle
from consent.telling import new_log
from wallet_api.app import create_app, migrate_store
from wallet_api.conformance.pace import Ahead, Pace
from wallet_api.conformance.tap import Tap
from wallet_api.conformance.tape import Tape
from wallet_api.settings import Settings
from wallet_api.showings import Showings, Shown
from wallet_api.vendors import SCOPES, Vendors
from wallet_api.webhooks import deliveries
from wallet_api.webhooks.deliver import Deliverer, signed
from wallet_api.webhooks.deliveries import Entry
from wallet_api.webhooks.endpoints import Endpoints
from wallet_api.webhooks.events import payload
from wallet_api.webhooks.sending import Outcome, Sender

CODE: Final = "31"
VENDOR: Final = "conformance-run"
LIBRARY: Final = "33"

_HERE: Final = Path(__file__).parent
_TERM: Final = timedelta(days=2)
_ANSWER_IN: Final = timedelta(minutes=3)
_GIVEN: Final = ("holder_match", "certificate_number", "other_party_name")


class OutOfStep(Exception):  # noqa: N818 - where a scene ends, not a fault of ours
    """The store is not where the inner network would now act: the back end said that it did something and did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citizen:
    """Somebody who can sign in at the back end. Invented."""

    account: str
    person: Person = field(repr=False)


CITIZENS: Final = (
    Citizen(account="first", person=Person(id_number=synthetic_id("310199", date(1990, 2, 3), 17), name="秦一诺")),
    Citizen(account="second", person=Person(id_number=synthetic_id("310199", date(1988, 7, 9), 24), name="吕双清")),
)


class _Timed(Sender):
    """A sender that also knows how long its slowest delivery took."""

    slowest_s: float = 0.0
    clock: Clock

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Send, and keep the time."""
        began = self.clock.now()
        outcome = super().post(url, headers=headers, body=body)
        self.slowest_s = max(self.slowest_s, (self.clock.now() - began).total_seconds())
        return outcome


@dataclass(slots=True, kw_only=True)
class Province:
    """What runs, and the hands of its inner network. Made by `founded`."""

    url: str
    pace: Pace
    clock: Ahead
    tape: Tape
    tap: Tap
    engine: Engine
    client_key: SigningKey
    login_key: SigningKey
    consent_key: SigningKey
    inner: EnvelopeKey
    sender: _Timed
    deliverer: Deliverer
    showings: Showings
    hook: str = ""
    secret: str = field(default="", repr=False)

    @property
    def app(self) -> str:
        """The app whose back end is under test."""
        return self.login_key.issuer

    @property
    def vendors(self) -> Vendors:
        """The register in which the back end is the only vendor."""
        return Vendors(self.engine, profile="sandbox", by="conformance")

    def told_at_beginning(self) -> dict[str, Any]:
        """What the back end needs to know for this run: addresses, keys, people. Body of /conformance/begin."""
        return {
            "wallet_url": self.url,
            "client_id": VENDOR,
            "client_key": self.client_key.pem(mark=""),
            "app": self.app,
            "province": CODE,
            "login_key": self.login_key.pem(mark=""),
            "recipient": self.inner.recipient.text,
            "webhook_secret": self.secret,
            "citizens": [
                {"account": each.account, "name": each.person.name, "id_number": each.person.id_number}
                for each in CITIZENS
            ],
        }

    def begin_anew(self, hook: str) -> None:
        """A level clock, an empty tape, and the back end's address for webhooks with a new secret.
        Refusal(WEBHOOK_ADDRESS_NOT_ALLOWED) where it may not be called."""
        self.clock.level()
        self.secret = Endpoints(self.engine, profile="sandbox").add(VENDOR, hook, now=self.clock.now())
        self.hook, self.sender.slowest_s = hook, 0.0
        self.tape = self.tap.tape = Tape()

    def forget_hook(self) -> None:
        """No webhook goes to this back end any more."""
        Endpoints(self.engine, profile="sandbox").remove(VENDOR, self.hook, now=self.clock.now())

    # The inner network, by hand -----------------------------------------------------------------------------

    def row(self, showing_id: str) -> ShowingRow:
        """A showing as it stands in the store; OutOfStep for an id that was never opened."""
        with reading(self.engine) as connection:
            found = handover.find(connection, showing_id)
        if found is None:
            raise OutOfStep(showing_id)
        return found

    def row_of_request(self, request: str) -> ShowingRow:
        """The showing that a request belongs to; OutOfStep for an unknown one."""
        with reading(self.engine) as connection:
            found = handover.find_by_request(connection, request)
        if found is None:
            raise OutOfStep(request)
        return found

    def shown(self, showing_id: str) -> Shown:
        """The code that wallet_api would give for a showing at this instant; OutOfStep where it has none."""
        try:
            return self.showings.code(self.app, showing_id, now=self.clock.now())
        except Refusal as no:
            raise OutOfStep(no.reason) from no

    def revoke_tokens(self) -> None:
        """Every token that was given is dead at once, as when an operator shuts a vendor out and lets it in again."""
        self.vendors.disable(VENDOR, now=self.clock.now())
        self.vendors.enable(VENDOR, now=self.clock.now())

    def move(self, showing_id: str, event: str, **columns: Any) -> None:
        """One step of a showing's life; OutOfStep where its state does not allow it."""
        with writing(self.engine) as connection:
            moved = handover.move(
                connection,
                showing_id,
                to=SHOWING.target(event),
                frm=SHOWING.sources(event),
                now=self.clock.now(),
                **columns,
            )
        if not moved:
            raise OutOfStep(f"{event} in {self.row(showing_id).state}")

    def ask(self, showing_id: str) -> dict[str, Any]:
        """A counter has scanned: the showing has a sheet, and the libraries have answered. Returns the sheet."""
        now = self.clock.now()
        written = {
            **json.loads((_HERE / "sheet.json").read_text(encoding="utf-8")),
            "request": digest_of(showing_id.encode()),
            "asked_at": rfc3339(now),
            "answer_by": rfc3339(now + _ANSWER_IN),
        }
        self.move(
            showing_id,
            "claim",
            sheet=json.dumps(written, ensure_ascii=False),
            request_digest=written["request"],
            asked_at=now,
            holdings=json.dumps(self._holdings(), ensure_ascii=False),
        )
        return written

    def _holdings(self) -> dict[str, Any]:
        def certificate(n: int, status: str) -> dict[str, str]:
            return {
                "certificate": f"{LIBRARY}.{to_b64(n.to_bytes(16, 'big'))}",
                "type": "marriage",
                "number": f"J{LIBRARY}0106-20{14 + n}-****{n:02d}",
                "authority": "浙江省婚姻登记处",
                "registration_date": f"20{14 + n}-05-20",
                "status": status,
                "status_as_of": rfc3339(self.clock.now()),
            }

        return {"certificates": [certificate(1, "VALID"), certificate(2, "VOID")], "undigitised": False, "silent": []}

    def end(self, showing_id: str, event: str, reason: Reason | None = None) -> None:
        """The visit ends, with a result and, where something was given, the citizen's receipt."""
        given = event == "deliver"
        result = {
            "outcome": "PASSED" if given else "REFUSED",
            "reason": reason,
            "receipt": self._receipt(showing_id) if given else None,
            "given": list(_GIVEN) if given else [],
            "ended_at": rfc3339(self.clock.now()),
        }
        self.move(showing_id, event, reason=reason, result=json.dumps(result))

    def _receipt(self, showing_id: str) -> str:
        sheet = json.loads(self.row(showing_id).sheet or "{}")
        ask = Ask(
            unit=sheet["unit"]["uscc"],
            window=sheet["window"],
            officer=digest_of(b"officer of a conformance run"),
            matter=sheet["matter"]["slug"],
            case="2026-0001",
            type=sheet["type"],
            fields=_GIVEN,
            cause=sheet["cause"],
            code=digest_of(b"code"),
            declarations=("marital_status",),
            answer_key="",
        )
        return seal_receipt(
            self.consent_key,
            side="citizen",
            ask=ask,
            request_digest=sheet["request"],
            consent_digest=digest_of(b"consent"),
            copy_digest=digest_of(b"copy"),
            reason=None,
            ledger=Position(position=1, entry=digest_of(b"entry")),
            now=self.clock.now(),
        )

    def answer(self, kind: str, found: Mapping[str, Any]) -> int:
        """Every question of one kind that waits is answered with this; returns how many there were."""
        c, text = handover.errands.c, json.dumps(found, ensure_ascii=False)
        waiting = select(c.id, c.attempts).where(c.kind == kind, c.state == ItemState.NEW)
        with writing(self.engine) as connection:
            # By kind, and not by `take`: errands of other kinds, which nobody answers here, would fill its portion.
            rows = connection.execute(waiting).all()
            return sum(
                settle(connection, handover.errands, row.id, row.attempts, now=self.clock.now(), answer=text)
                for row in rows
            )

    def offer(self) -> dict[str, Any]:
        """What a unit may ask for, in the register's words: those of the sheet, without the visit."""
        sheet = json.loads((_HERE / "sheet.json").read_text(encoding="utf-8"))
        visit = ("window", "window_name", "cause", "digits")
        return {name: value for name, value in sheet.items() if name not in visit}

    # Webhooks -----------------------------------------------------------------------------------------------

    def deliver(self) -> list[Entry]:
        """Send everything that is due by the real deliverer, and return the log of this back end, newest first."""
        while self.deliverer.run_once(self.pace.now()):
            pass
        with reading(self.engine) as connection:
            log = deliveries.log_of(connection, VENDOR, before=None, limit=1000)
        return [each for each in log if each.url == self.hook]

    def message(self, showing_id: str, version: int, state: str, *signing: str, **more: Any) -> Outcome:
        """Send one message by hand. `signing` secrets sign it, the registered one by default. `message_id` and `age_s` may be
        given, `unsigned` leaves the signature out, `altered` changes a byte after signing."""
        now = self.pace.now() - timedelta(seconds=more.get("age_s", 0))
        body = payload(showing_id=showing_id, state=state, version=version, reason=None, at=self.clock.now())
        message_id = more.get("message_id") or f"msg_{new_id()}"
        headers = signed(message_id, body, signing or (self.secret,), now)
        if more.get("unsigned"):
            del headers["webhook-signature"]
        if more.get("altered"):
            body += " "
        return self.sender.post(self.hook, headers=headers, body=body.encode())


@contextmanager
def founded(folder: Path, *, pace: Pace) -> Iterator[Province]:
    """Found the province in an empty folder, and serve its wallet_api on a loopback port for as long as the block."""
    clock = Ahead(pace)
    life = {"not_before": pace.now() - _TERM, "not_after": pace.now() + _TERM}
    code_key, consent_key = new_key("EdDSA", issuer=CODE), new_key("EdDSA", issuer=CODE)
    login_key = new_key("ES256", issuer=province(CODE).app_id)
    client_key, inner = new_key("ES256", issuer=VENDOR), new_envelope_key()
    keys = (
        code_key.published("YRD1", **life),
        login_key.published("holder+jwt", **life),
        consent_key.published("receipt+jwt", **life),
    )
    pinned = write_key_list(folder / "keylist.json", version=1, keys=keys, recipients={CODE: inner.recipient})
    write_private(folder / "code.pem", code_key.pem())
    write_private(folder / "showing.key", SANDBOX_MARK + to_b64(secrets.token_bytes(32)))
    (folder / "handover.db").write_bytes(_empty_store())
    with socket.create_server(("127.0.0.1", 0)) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        settings = Settings(
            province=CODE,
            profile="sandbox",
            store=f"sqlite:///{folder}/handover.db",
            keylist=str(folder / "keylist.json"),
            keylist_sha256=pinned,
            code_key=f"file:{folder}/code.pem",
            showing_key=f"file:{folder}/showing.key",
            public_url=url,
            vendor_per_minute=100_000,
            openings_per_minute=10_000,
        )
        log = new_log("wallet_api", clock, stream=StringIO())
        app = create_app(settings, clock=clock, log=log)
        engine = open_engine(settings.store)
        Vendors(engine, profile="sandbox", by="conformance").add(
            VENDOR,
            name="back end under test",
            app=login_key.issuer,
            jwk=jwk_of(client_key.public),
            scopes=SCOPES,
            now=clock.now(),
        )
        sender = _Timed(sandbox=True)
        sender.clock = pace
        tape = Tape()
        made = Province(
            url=url,
            pace=pace,
            clock=clock,
            tape=tape,
            tap=Tap(app, tape, pace=pace, server=clock),
            engine=engine,
            client_key=client_key,
            login_key=login_key,
            consent_key=consent_key,
            inner=inner,
            sender=sender,
            deliverer=Deliverer(engine=engine, profile="sandbox", sender=sender, log=log),
            showings=app.extensions["wallet_api"],
        )
        try:
            with serving(made.tap, bound):
                yield made
        finally:
            made.deliverer.close()
            made.showings.engine.dispose()
            engine.dispose()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing: addresses carry the ids of showings."""


@contextmanager
def serving(app: Callable[..., Any], bound: socket.socket) -> Iterator[None]:
    """A WSGI application behind a socket that is bound already."""
    host, port = bound.getsockname()
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = make_server(host, port, app, threaded=True, request_handler=_Quiet, fd=bound.fileno())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@cache
def _empty_store() -> bytes:
    """A migrated store; migrating is what takes the time."""
    with TemporaryDirectory() as folder:
        migrate_store(Settings(province=CODE, profile="sandbox", store=f"sqlite:///{folder}/empty.db"), create=True)
        return (Path(folder) / "empty.db").read_bytes()

"""No ID number leaves the place that owns it: not plainly, not in base64, not as a hash that anybody could look up.

A whole day at the counters is run with everything that could tell: logs at DEBUG, every request's address, everything that
Redis hears, every error. Then all bytes are searched for the ID numbers of all personas and their partners. The net is
tested too: what is planted in any of these forms is found.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from io import StringIO
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from consent.clock import MovableClock
from consent.stores.valkey import start_valkey
from consent.telling import new_log
from consent.transport import Topic
from scanner_kiosk.country.lines import WsgiLine
from scanner_kiosk.country.people import pair, personas
from tests.country import START, Stage, light_folder, open_stage, persona, refused
from tests.test_visit import silent_library

OWNERS = ("personas.json",)  # who the sandbox's phones are; in a real country the apps know that


def numbers() -> list[str]:
    """Every ID number of the sandbox."""
    people = personas()
    return sorted({each.id_number for each in people} | {story.partner_id for each in people for story in each.stories})


def forms(number: str) -> dict[str, bytes]:
    """The number as it might be written, each under a name. Of base64 the part that no neighbour can change."""
    raw, digest = number.encode(), sha256(number.encode()).digest()
    found = {
        "plain": raw,
        "sha256 hex": digest.hex().encode(),
        "sha256 HEX": digest.hex().upper().encode(),
        "sha256 base64": base64.b64encode(digest).rstrip(b"="),
        "sha256 base64url": base64.urlsafe_b64encode(digest).rstrip(b"="),
        "sha256": digest,
    }
    for ahead in range(3):
        whole = base64.b64encode(bytes(ahead) + raw)
        first = -(-ahead * 8 // 6)  # characters that hold bits of what stands ahead
        last = (ahead + len(raw)) * 8 // 6
        found[f"base64 after {ahead}"] = whole[first:last]
    return found


def hits(text: bytes) -> list[str]:
    """Which forms of which numbers stand in a text; a number is named by its last four characters."""
    return [
        f"{form} of …{number[-4:]}" for number in numbers() for form, needle in forms(number).items() if needle in text
    ]


@dataclass(slots=True)
class Told:
    """Everything that was said aloud."""

    log: StringIO = field(default_factory=StringIO)
    addresses: list[str] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)
    redis: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Witness:
    """Stands before an application and keeps what is asked and every error that is answered."""

    app: Callable[..., Iterable[bytes]]
    told: Told

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.told.addresses.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}")
        failed: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            if status >= "400":
                failed.append(f"{status} {headers}")
            return start_response(status, headers, *more)

        body = list(self.app(environ, start))
        if failed:
            self.told.errors.append(failed[0].encode() + b"".join(body))
        return body


class _Ear(logging.Handler):
    def __init__(self, stream: StringIO) -> None:
        super().__init__(logging.DEBUG)
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        self._stream.write(f"{record.name} {record.getMessage()}\n")


@pytest.fixture(scope="module")
def day() -> Iterator[tuple[Stage, Told]]:
    """A day with every kind of end, and all that was told of it."""
    told = Told()
    ear, root = _Ear(told.log), logging.getLogger()
    level = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    with light_folder() as folder:
        valkey = start_valkey(folder / "redis")
        client = Redis.from_url(
            valkey.url, socket_timeout=None
        )  # silent while the stage is built, and that is no fault
        with client.monitor() as monitor:
            listening = threading.Thread(target=_listen, args=(monitor, told.redis), daemon=True)
            listening.start()
            log = new_log("canary", MovableClock(START), stream=told.log, level="debug")
            try:
                with open_stage(folder, log=log, redis=valkey) as stage:
                    country = stage.country
                    for app in (*country.wallets.values(), *country.verifiers.values(), country.exchange):
                        app.wsgi_app = _Witness(app.wsgi_app, told)  # type: ignore[method-assign]
                    _live(stage)
                    client.publish("hz:end", b"")
                    listening.join(timeout=10)
                    yield stage, told
            finally:
                root.removeHandler(ear)
                root.setLevel(level)
                client.close()
                valkey.stop()


def _listen(monitor: Any, into: list[str]) -> None:
    try:
        for command in monitor.listen():
            into.append(command["command"])
            if "hz:end" in command["command"]:
                return
    except RedisError:
        return


def _live(stage: Stage) -> None:
    for app, desk, library in (("31", "32", "33"), ("34", "34", "34"), ("33", "31", "32")):
        stage.scene(app, desk, library).whole()
    stranger = stage.scene(number=pair("31", "31").id_number)  # HOLDER_MISMATCH
    stranger.present()
    stranger.finish()
    nobody = stage.scene(number=None)
    refused(nobody.present)
    declined = stage.scene("32", "31", "31")
    declined.asked_and_shown()
    declined.decline()
    declined.finish()
    nothing = stage.scene(who=persona("no-certificate"))
    nothing.asked_and_shown()
    nothing.agree(certificate=None)
    nothing.finish()
    suspended = stage.scene(who=persona("under-objection"))
    suspended.whole()
    stage.rule(silent_library("33", Topic.FETCH))
    unheard = stage.scene("32", "34", "33")
    unheard.whole()
    stage.pass_time(5, step=1)
    stage.rule(None)
    withdrawn = stage.scene("34", "32", "33")
    withdrawn.asked_and_shown()
    withdrawn.agree()
    stage.pump()
    # Bodies that do not fit, with a number where none belongs.
    number, app = pair("31", "31").id_number, stage.country.app("31")
    headers = {"Authorization": f"Bearer {app.token}", "Content-Type": "application/json", "Idempotency-Key": "A" * 22}
    app.line.call("POST", "/v1/showings", json.dumps({"holder": number}).encode(), headers)
    app.line.call("POST", "/v1/showings", json.dumps({"person": number}).encode(), headers)
    WsgiLine(stage.country.verifiers["32"]).call(
        "POST", "/counter/visits", json.dumps({"match": number}).encode(), {"Content-Type": "application/json"}
    )
    stage.pass_time(60 * 4, step=60)


@pytest.mark.parametrize("form", forms("310199199001010018"))
def test_the_net_catches_what_is_planted_in_any_form(form: str) -> None:
    for number in numbers()[:3]:
        assert hits(b"before " + forms(number)[form] + b" after") != []


@pytest.mark.parametrize("ahead", range(9))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_the_net_catches_a_number_inside_of_anything_in_base64(ahead: int, encode: Any) -> None:
    number = numbers()[ahead]
    assert hits(encode(b"{" * ahead + number.encode() + b'","name":"\xff'))


def test_the_net_catches_nothing_where_nothing_is() -> None:
    assert hits(b"310199******0018 " * 100) == []


def test_no_log_line_holds_a_number(day: tuple[Stage, Told]) -> None:
    _, told = day
    text = told.log.getvalue()
    assert text.count("\n") > 100, "nothing was logged, so nothing was tested"
    assert hits(text.encode()) == []
    assert hits(text.replace("\\", "").encode()) == []


def test_no_address_holds_a_number(day: tuple[Stage, Told]) -> None:
    _, told = day
    assert len(told.addresses) > 100
    assert hits("\n".join(told.addresses).encode()) == []


def test_no_error_holds_a_number(day: tuple[Stage, Told]) -> None:
    _, told = day
    assert len(told.errors) >= 4
    assert hits(b"\n".join(told.errors)) == []


def test_redis_never_hears_a_number(day: tuple[Stage, Told]) -> None:
    _, told = day
    assert any("PUBLISH" in each for each in told.redis), "Redis heard nothing, so nothing was tested"
    assert hits("\n".join(told.redis).encode()) == []


def test_no_file_of_the_state_holds_a_number_but_its_owner(day: tuple[Stage, Told]) -> None:
    stage, _ = day
    searched = [path for path in stage.folder.parent.rglob("*") if path.is_file() and path.name not in OWNERS]
    names = {path.name for path in searched}
    assert {"exchange.db", "inner-31.db", "library-33.db", "handover-31.db", "valkey.log"} <= names
    assert {path.name: found for path in searched if (found := hits(path.read_bytes()))} == {}
    assert hits((stage.folder / OWNERS[0]).read_bytes()) != [], "the owner has them, so the search can see"


def test_a_number_in_a_file_of_the_state_would_be_found(day: tuple[Stage, Told]) -> None:
    stage, _ = day
    planted = stage.folder / "planted.tmp"
    planted.write_bytes(bytes(5000) + base64.b64encode(b'{"id":"' + numbers()[0].encode()))
    try:
        assert hits(planted.read_bytes()) != []
    finally:
        planted.unlink()


def test_the_exchange_keeps_nothing_about_people(day: tuple[Stage, Told]) -> None:
    """Not only no numbers: no names, no certificates, no bodies."""
    stage, _ = day
    raw = b"".join(path.read_bytes() for path in stage.folder.glob("exchange.db*"))
    assert hits(raw) == []
    assert [each.name for each in personas() if len(each.name) > 1 and each.name.encode() in raw] == []
    assert b"eyJ" not in raw, "a sealed document"

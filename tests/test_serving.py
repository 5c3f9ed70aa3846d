"""The wire: processes as they are started in production, certificates, and who may say what under which name (T6, T8, T13).

One exchange and the mailbox of province 33 run as processes of their own, with mTLS. The test is province 31.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from consent.b64 import new_id
from consent.clock import SystemClock
from consent.errors import Reason, Refusal, Unavailable
from consent.holding import seal_holding
from consent.keylist import read_key_list
from consent.stores.base import open_engine, reading
from consent.transport import Letter, Topic, write_letter
from scanner_kiosk.country.founding import Founded, found
from tests.certificates import Authority, Pem
from verifier.__main__ import main
from verifier.exchange.client import HttpTransport, client_tls
from verifier.serving import common_name
from verifier.settings import read_settings
from verifier.stores import inner
from verifier.stores.exchange import letters

pytestmark = [pytest.mark.network, pytest.mark.full]

READY_TRIES = 600
READY_STEP_S = 0.05


@dataclass(frozen=True)
class Line:
    """A founded country, an authority, and two running processes."""

    founded: Founded
    authority: Authority
    ports: Mapping[str, int]
    processes: Mapping[str, subprocess.Popen[bytes]]

    def address(self, name: str) -> str:
        return f"https://127.0.0.1:{self.ports[name]}"

    def tls(self, pem: Pem) -> ssl.SSLContext:
        return client_tls(certificate=pem.certificate, key=pem.key, authority=self.authority.path)

    def letter(self, *, sender: str = "31", to: str = "33") -> Letter:
        """A question to a library, really sealed by province 31."""
        settings = read_settings(self.founded.environment("31"))
        listed = read_key_list(Path(settings.keylist), pinned=settings.keylist_sha256)
        question = seal_holding(
            self.founded.keys.signing("31", "consent"),
            library=to,
            holder="A" * 43,
            under="A" * 43,
            now=SystemClock().now(),
        )
        return write_letter(
            {"question": question},
            sender=sender,
            to=to,
            topic=Topic.HOLDINGS,
            request_id=new_id(),
            recipient=listed.recipient(to),
        )

    def outcomes(self) -> list[tuple[str, str]]:
        engine = open_engine(read_settings(self.founded.environment("31")).exchange_store)
        with reading(engine) as conn:
            rows = [(row.request_id, row.outcome) for row in conn.execute(select(letters))]
        engine.dispose()
        return rows

    def answers_of_33(self) -> list[str]:
        """Request ids of the letters that wait at province 33."""
        engine = open_engine(read_settings(self.founded.environment("33")).inner_store)
        with reading(engine) as conn:
            rows = [row.body for row in conn.execute(select(inner.outbox))]
        engine.dispose()
        return [str(row) for row in rows]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def get(port: int, path: str, tls: ssl.SSLContext | None, name: str) -> int:
    """The status of a GET from the server that has that name in its certificate, or from one without TLS."""
    with ExitStack() as stack:
        wire: socket.socket = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        if tls is not None:
            wire = stack.enter_context(tls.wrap_socket(wire, server_hostname=name))
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        return int(wire.recv(100).split(b" ")[1])


@contextmanager
def process(
    *command: str, environment: Mapping[str, str], port: int, tls: ssl.SSLContext | None, name: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m verifier …`, once it answers on `port`; ended with SIGTERM, to which it must listen."""
    running = subprocess.Popen(
        [sys.executable, "-m", "verifier", *command],
        env={**{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}, **environment},
    )
    try:
        for _ in range(READY_TRIES):
            with suppress(OSError):
                assert get(port, "/health/ready", tls, name) == 200
                break
            try:
                raise RuntimeError(f"{command} ended with {running.wait(timeout=READY_STEP_S)}")
            except subprocess.TimeoutExpired:
                continue
        else:
            raise RuntimeError(f"{command} did not start")
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(timeout=20)
        except subprocess.TimeoutExpired:
            running.kill()
            raise


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("line")
    founded = found(folder / "country", now=SystemClock().now())
    authority = Authority(folder / "authority")
    ports = {"exchange": free_port(), "33": free_port()}

    def environment(name: str, pem: Pem) -> dict[str, str]:
        return {
            **founded.environment("33"),
            "HUZHENG_VERIFIER_LISTEN": f"127.0.0.1:{ports[name]}",
            "HUZHENG_VERIFIER_EXCHANGE_URL": f"https://127.0.0.1:{ports['exchange']}",
            "HUZHENG_VERIFIER_PEERS": f"33=https://127.0.0.1:{ports['33']}",
            "HUZHENG_VERIFIER_TLS_CERTIFICATE": pem.certificate,
            "HUZHENG_VERIFIER_TLS_KEY": pem.key,
            "HUZHENG_VERIFIER_TLS_CA": authority.path,
            "HUZHENG_VERIFIER_PEER_TOKENS": "31=of-31,32=of-32,exchange=of-exchange",
            "HUZHENG_VERIFIER_THREADS": "4",
        }

    operator = authority.certify("operator")
    tls = client_tls(certificate=operator.certificate, key=operator.key, authority=authority.path)
    with ExitStack() as stack:
        processes = {}
        for name, command in (("exchange", ("exchange",)), ("33", ("province", "--only", "mailbox"))):
            started = process(
                *command,
                environment=environment(name, authority.certify(name)),
                port=ports[name],
                tls=tls,
                name=name,
            )
            processes[name] = stack.enter_context(started)
        yield Line(founded, authority, ports, processes)


def refused(transport: HttpTransport, letter: Letter) -> Reason:
    with pytest.raises(Refusal) as caught:
        transport.send(letter)
    return caught.value.reason


def silent(transport: HttpTransport, letter: Letter) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        transport.send(letter)
    return caught.value


# --- letters ------------------------------------------------------------------------------------------------


def test_a_letter_goes_over_two_wires_into_the_library_and_its_answer_waits_there(line: Line) -> None:
    transport = HttpTransport.to_exchange(line.address("exchange"), tls=line.tls(line.authority.certify("31")))
    sent = line.letter()
    transport.send(sent)
    assert (sent.request_id, "DELIVERED") in line.outcomes()
    assert any(sent.request_id in body for body in line.answers_of_33())


def test_the_certificate_of_31_cannot_send_a_letter_as_32(line: Line) -> None:
    transport = HttpTransport.to_exchange(line.address("exchange"), tls=line.tls(line.authority.certify("31")))
    forged = line.letter(sender="32")
    assert refused(transport, forged) is Reason.SENDER_UNKNOWN
    assert forged.request_id not in dict(line.outcomes())


def test_where_certificates_name_the_caller_no_header_does(line: Line) -> None:
    tls = line.tls(line.authority.certify("31"))
    transport = HttpTransport.to_exchange(line.address("exchange"), tls=tls, peer_token="of-32")
    assert refused(transport, line.letter(sender="32")) is Reason.SENDER_UNKNOWN


def test_a_mailbox_takes_letters_from_the_exchange_alone(line: Line) -> None:
    tls = line.tls(line.authority.certify("31"))
    transport = HttpTransport.to_province(line.address("33"), "33", tls=tls)
    assert refused(transport, line.letter()) is Reason.FORBIDDEN
    tls = line.tls(line.authority.certify("exchange"))
    HttpTransport.to_province(line.address("33"), "33", tls=tls).send(line.letter())


@pytest.mark.parametrize("common", [(), ("31", "32"), ("32", "31"), (" 31",), ("31 ",), ("province 31",)])
def test_a_certificate_without_exactly_one_name_that_fits_names_nobody(line: Line, common: tuple[str, ...]) -> None:
    tls = line.tls(line.authority.certify("odd", common=common))
    transport = HttpTransport.to_exchange(line.address("exchange"), tls=tls)
    assert refused(transport, line.letter()) is Reason.SENDER_UNKNOWN


def test_a_caller_without_a_certificate_does_not_get_past_the_handshake(line: Line) -> None:
    context = ssl.create_default_context(cafile=line.authority.path)
    with (
        socket.create_connection(("127.0.0.1", line.ports["exchange"]), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="exchange") as tls,
    ):
        # In TLS 1.3 the client finishes first; the server's refusal is what it reads next.
        tls.sendall(b"GET /health/live HTTP/1.1\r\nHost: exchange\r\n\r\n")
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate required"):
            tls.recv(1)


@pytest.mark.parametrize("age", [timedelta(days=0), timedelta(days=10)])
def test_a_certificate_of_another_authority_or_out_of_date_is_silence(
    line: Line, tmp_path: Path, age: timedelta
) -> None:
    authority = line.authority if age else Authority(tmp_path)
    pem = authority.certify("31", age=age)
    tls = client_tls(certificate=pem.certificate, key=pem.key, authority=line.authority.path)
    silence = silent(HttpTransport.to_exchange(line.address("exchange"), tls=tls), line.letter())
    assert silence.reason is Reason.EXCHANGE_UNREACHABLE


def test_older_tls_is_not_spoken(line: Line) -> None:
    tls = line.tls(line.authority.certify("31"))
    tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_2
    assert silent(HttpTransport.to_exchange(line.address("exchange"), tls=tls), line.letter())


def test_a_server_with_another_name_is_not_the_exchange(line: Line) -> None:
    """Province 33 has a certificate of the same authority; it is still not the exchange."""
    tls = line.tls(line.authority.certify("31"))
    silence = silent(HttpTransport.to_exchange(line.address("33"), tls=tls), line.letter())
    assert (silence.reason, silence.detail) == (Reason.EXCHANGE_UNREACHABLE, "SSLError")


def test_a_server_of_another_authority_is_not_the_exchange(line: Line, tmp_path: Path) -> None:
    pem = line.authority.certify("31")
    tls = client_tls(certificate=pem.certificate, key=pem.key, authority=Authority(tmp_path).path)
    silence = silent(HttpTransport.to_exchange(line.address("exchange"), tls=tls), line.letter())
    assert silence.detail == "SSLError"


def test_clients_that_say_nothing_hold_up_nobody(line: Line) -> None:
    """More silent connections than threads; a letter passes as if they were not there."""
    transport = HttpTransport.to_exchange(line.address("exchange"), tls=line.tls(line.authority.certify("31")))
    with ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(socket.create_connection(("127.0.0.1", line.ports["exchange"]), timeout=10))
            stack.enter_context(socket.create_connection(("127.0.0.1", line.ports["33"]), timeout=10))
        transport.send(line.letter())


def test_a_closed_channel_holds_in_the_running_exchange_at_once(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in line.founded.environment("31").items():
        monkeypatch.setenv(name, value)
    transport = HttpTransport.to_exchange(line.address("exchange"), tls=line.tls(line.authority.certify("31")))
    fetching = replace(line.letter(), topic=Topic.FETCH)
    assert main(["channel", "close", "31", "33", "--notice", "沪数〔2026〕7号"]) == 0
    with pytest.raises(Refusal) as caught:
        transport.send(fetching)
    assert (caught.value.reason, dict(caught.value.facts)) == (Reason.CHANNEL_SUSPENDED, {"no": "沪数〔2026〕7号"})
    assert main(["channel", "open", "31", "33", "--notice", "沪数〔2026〕8号"]) == 0
    # The envelope belongs to another topic, so now it is the library that refuses.
    assert refused(transport, fetching) is Reason.ENVELOPE_UNREADABLE


# --- processes ----------------------------------------------------------------------------------------------


def test_counters_are_served_without_client_certificates(line: Line) -> None:
    port, pem = free_port(), line.authority.certify("desk")
    environment = {
        **line.founded.environment("31"),
        "HUZHENG_VERIFIER_LISTEN": f"127.0.0.1:{port}",
        "HUZHENG_VERIFIER_TLS_CERTIFICATE": pem.certificate,
        "HUZHENG_VERIFIER_TLS_KEY": pem.key,
        "HUZHENG_VERIFIER_TLS_CA": line.authority.path,
        "HUZHENG_VERIFIER_EXCHANGE_URL": line.address("exchange"),
    }
    context = ssl.create_default_context(cafile=line.authority.path)
    with process("province", "--only", "counters", environment=environment, port=port, tls=context, name="desk"):
        answers = {path: get(port, path, context, "desk") for path in ("/counter/register", "/peer/letters")}
    assert answers == {"/counter/register": 401, "/peer/letters": 404}


def test_a_sandbox_may_do_without_certificates_and_name_peers_by_token(line: Line) -> None:
    port = free_port()
    environment = {
        **line.founded.environment("31"),
        "HUZHENG_VERIFIER_LISTEN": f"127.0.0.1:{port}",
        "HUZHENG_VERIFIER_PEER_TOKENS": "31=of-31,32=of-32",
        "HUZHENG_VERIFIER_PEERS": f"33=http://127.0.0.1:{free_port()}",
    }
    with process("exchange", environment=environment, port=port, tls=None, name="exchange"):
        address = f"http://127.0.0.1:{port}"
        silence = silent(HttpTransport.to_exchange(address, peer_token="of-31"), line.letter())
        assert (silence.reason, silence.what) == (Reason.LIBRARY_UNREACHABLE, "33")
        for token in ("of-32", "of-33", ""):
            transport = HttpTransport.to_exchange(address, peer_token=token)
            assert refused(transport, line.letter()) is Reason.SENDER_UNKNOWN


@pytest.mark.parametrize("command", [["exchange"], ["province"], ["province", "--only", "mailbox"], ["work"]])
def test_in_live_peers_without_certificates_do_not_even_start(
    line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    for name, value in line.founded.environment("31").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HUZHENG_PROFILE", "live")
    assert main(command) == 2
    assert "mTLS" in capsys.readouterr().err


def test_a_worker_ends_when_it_is_told_to(line: Line) -> None:
    environment = {**line.founded.environment("31"), "HUZHENG_VERIFIER_EXCHANGE_URL": "http://127.0.0.1:9"}
    running = subprocess.Popen(
        [sys.executable, "-m", "verifier", "work"],
        env={**{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        assert "work_begins" in running.stderr.readline()
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=20) == 0
        assert "work_ends" in running.stderr.read()
    finally:
        running.kill()
        running.wait()
        if running.stderr is not None:
            running.stderr.close()


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        (None, None),
        ({}, None),
        ({"subject": ()}, None),
        ({"subject": ((("organizationName", "31"),),)}, None),
        ({"subject": ((("commonName", "31"),),)}, "31"),
        ({"subject": ((("commonName", "31"), ("commonName", "32")),)}, None),
        ({"subject": ((("commonName", "31"),), (("commonName", "31"),))}, None),
    ],
)
def test_a_name_is_read_only_where_there_is_one(certificate: object, name: str | None) -> None:
    assert common_name(certificate) == name

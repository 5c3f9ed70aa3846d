"""The exchange: who may bring a letter, which channels are closed, what is counted, and what each answer means.

Stores are real, in a temporary folder (and a real PostgreSQL where there is one); the far ends are real sockets. The wire
itself, with certificates, is tested in test_serving.py.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import IntegrityError

from consent.b64 import new_id
from consent.clock import MovableClock
from consent.envelope import EnvelopeKey, new_envelope_key
from consent.errors import ROWS, UNAVAILABLE, Reason, Refusal, Unavailable
from consent.provinces import provinces
from consent.sentences import Audience
from consent.stores.base import attempt, open_engine, reading
from consent.stores.migrations import check_schema, migrate, schema_differences
from consent.telling import PROBLEM_TYPE, new_log, problem_of
from consent.transport import Letter, Topic, Transport, write_letter
from tests.postgres import fresh_database, postgres_cluster
from verifier.exchange.channels import Channels, ChannelState
from verifier.exchange.client import NO_EXCHANGE, NO_PROVINCE, HttpTransport, Limits, judge
from verifier.exchange.relay import DELIVERED, TAKEN, Relay
from verifier.stores.exchange import OWNER, channels, letters

NOW = datetime(2026, 11, 24, 9, 0, 0, 400_000, tzinfo=UTC)
SECRET = "the content that nobody on the way may read"
KEYS: Mapping[str, EnvelopeKey] = {code: new_envelope_key() for code in provinces()}


def letter(topic: Topic = Topic.FETCH, *, sender: str = "31", to: str = "33") -> Letter:
    return write_letter(
        {"request": SECRET},
        sender=sender,
        to=to,
        topic=topic,
        request_id=new_id(),
        recipient=KEYS[to].recipient if to in KEYS else KEYS["31"].recipient,
        unit="11310000425000000X",
        matter="realestate.register",
    )


@dataclass
class Mailbox:
    """A destination in memory. `fails` is what it answers instead of taking a letter."""

    taken: list[Letter] = field(default_factory=list)
    fails: Exception | None = None
    before: Callable[[], object] = lambda: None

    def send(self, letter: Letter) -> None:
        self.before()
        if self.fails is not None:
            raise self.fails
        self.taken.append(letter)


@dataclass
class Exchange:
    engine: Engine
    mailboxes: dict[str, Mailbox]
    lines: StringIO = field(default_factory=StringIO)

    @property
    def channels(self) -> Channels:
        return Channels(self.engine)

    @property
    def relay(self) -> Relay:
        log = new_log("exchange", MovableClock(NOW), stream=self.lines)
        mailboxes: Mapping[str, Transport] = self.mailboxes
        return Relay(engine=self.engine, mailboxes=mailboxes, log=log)

    def rows(self) -> list[Any]:
        with reading(self.engine) as conn:
            return list(conn.execute(select(letters).order_by(letters.c.id)))

    def outcomes(self) -> list[str]:
        return [row.outcome for row in self.rows()]


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    engine = open_engine(f"sqlite:///{tmp_path}/exchange.db", must_exist=False)
    migrate(engine, OWNER)
    yield Exchange(engine, {code: Mailbox() for code in provinces()})
    engine.dispose()


def refused(do: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        do()
    return caught.value


def silent(do: Callable[[], object]) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        do()
    return caught.value


# --- the relay ----------------------------------------------------------------------------------------------


def test_a_letter_is_carried_and_counted(exchange: Exchange) -> None:
    sent = letter()
    exchange.relay.take(sent, sender="31", now=NOW)
    assert exchange.mailboxes["33"].taken == [sent]
    (row,) = exchange.rows()
    assert (row.sender, row.to, row.topic, row.outcome, row.at) == ("31", "33", "fetch", DELIVERED, NOW)
    assert (row.unit, row.matter, row.request_id) == (sent.unit, sent.matter, sent.request_id)
    assert row.size == len(sent.body)


@pytest.mark.parametrize("sender", sorted(provinces()))
@pytest.mark.parametrize("peer", [*sorted(provinces()), "exchange", ""])
def test_a_province_sends_letters_as_itself_and_as_nobody_else(exchange: Exchange, peer: str, sender: str) -> None:
    to = next(code for code in provinces() if code != sender)
    sent = letter(sender=sender, to=to)
    if peer == sender:
        exchange.relay.take(sent, sender=peer, now=NOW)
        assert exchange.mailboxes[to].taken == [sent]
        return
    no = refused(lambda: exchange.relay.take(sent, sender=peer, now=NOW))
    assert no.reason is Reason.SENDER_UNKNOWN
    assert not any(mailbox.taken for mailbox in exchange.mailboxes.values())
    assert exchange.rows() == []


def test_a_letter_to_no_province_is_refused(exchange: Exchange) -> None:
    no = refused(lambda: exchange.relay.take(letter(to="99"), sender="31", now=NOW))
    assert no.reason is Reason.WRONG_PROVINCE


def test_a_province_without_an_address_is_silent_and_not_wrong(exchange: Exchange) -> None:
    del exchange.mailboxes["33"]
    silence = silent(lambda: exchange.relay.take(letter(), sender="31", now=NOW))
    assert (silence.reason, silence.what) == (Reason.LIBRARY_UNREACHABLE, "33")


def test_a_refusal_of_the_destination_goes_back_with_its_facts(exchange: Exchange) -> None:
    exchange.mailboxes["33"].fails = Refusal(Reason.CONSENT_SPENT, date="2026-11-24")
    no = refused(lambda: exchange.relay.take(letter(), sender="31", now=NOW))
    assert (no.reason, dict(no.facts)) == (Reason.CONSENT_SPENT, {"date": "2026-11-24"})
    assert exchange.outcomes() == ["CONSENT_SPENT"]


def test_a_silent_destination_is_told_and_counted(exchange: Exchange) -> None:
    exchange.mailboxes["33"].fails = Unavailable(Reason.LIBRARY_UNREACHABLE, "33")
    silence = silent(lambda: exchange.relay.take(letter(), sender="31", now=NOW))
    assert (silence.reason, silence.what) == (Reason.LIBRARY_UNREACHABLE, "33")
    assert exchange.outcomes() == ["LIBRARY_UNREACHABLE"]


def test_a_letter_is_counted_before_it_leaves(exchange: Exchange) -> None:
    seen: list[list[str]] = []
    exchange.mailboxes["33"].before = lambda: seen.append(exchange.outcomes())
    exchange.relay.take(letter(), sender="31", now=NOW)
    assert seen == [[TAKEN]]


def test_a_letter_that_cannot_be_counted_does_not_leave(exchange: Exchange, tmp_path: Path) -> None:
    (tmp_path / "exchange.db").unlink()
    silence = silent(lambda: exchange.relay.take(letter(), sender="31", now=NOW))
    assert silence.reason is Reason.STORE_UNAVAILABLE
    assert exchange.mailboxes["33"].taken == []


def test_a_delivered_letter_counts_as_delivered_even_if_that_cannot_be_written(
    exchange: Exchange, tmp_path: Path
) -> None:
    exchange.mailboxes["33"].before = lambda: (tmp_path / "exchange.db").rename(tmp_path / "away.db")
    exchange.relay.take(letter(), sender="31", now=NOW)
    assert len(exchange.mailboxes["33"].taken) == 1
    (tmp_path / "away.db").rename(tmp_path / "exchange.db")
    assert exchange.outcomes() == [TAKEN]
    assert json.loads(exchange.lines.getvalue())["event"] == "letter_outcome_unknown"


def test_what_is_kept_of_a_letter_is_what_stands_outside_its_envelope(exchange: Exchange, tmp_path: Path) -> None:
    sent = letter()
    exchange.relay.take(sent, sender="31", now=NOW)
    exchange.engine.dispose()
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("exchange.db*"))
    assert sent.request_id.encode() in raw
    assert SECRET.encode() not in raw
    assert sent.body[:40].encode() not in raw
    assert set(letters.c.keys()) == {
        *("id", "sender", "to", "topic", "unit", "matter", "request_id", "size", "outcome", "at")
    }


# --- channels -----------------------------------------------------------------------------------------------


def test_a_closed_channel_refuses_to_fetch_and_names_the_notice(exchange: Exchange) -> None:
    exchange.channels.close(desk="31", library="33", notice="民办函〔2026〕12号", now=NOW)
    no = refused(lambda: exchange.relay.take(letter(), sender="31", now=NOW))
    assert (no.reason, dict(no.facts)) == (Reason.CHANNEL_SUSPENDED, {"no": "民办函〔2026〕12号"})
    assert exchange.mailboxes["33"].taken == []
    assert exchange.outcomes() == ["CHANNEL_SUSPENDED"]


@pytest.mark.parametrize("topic", [topic for topic in Topic if topic is not Topic.FETCH])
def test_a_closed_channel_stops_nothing_but_fetching(exchange: Exchange, topic: Topic) -> None:
    exchange.channels.close(desk="31", library="33", notice="1", now=NOW)
    exchange.relay.take(letter(topic), sender="31", now=NOW)
    assert exchange.outcomes() == [DELIVERED]


def test_closing_one_pair_leaves_every_other_pair_open(exchange: Exchange) -> None:
    exchange.channels.close(desk="31", library="33", notice="1", now=NOW)
    pairs = [(desk, library) for desk in provinces() for library in provinces() if desk != library]
    for desk, library in pairs:
        if (desk, library) != ("31", "33"):
            exchange.relay.take(letter(sender=desk, to=library), sender=desk, now=NOW)
    assert exchange.outcomes() == [DELIVERED] * (len(pairs) - 1)


def test_an_opened_channel_carries_again_and_keeps_one_row(exchange: Exchange) -> None:
    later = NOW + timedelta(days=1)
    exchange.channels.close(desk="31", library="33", notice="1", now=NOW)
    exchange.channels.close(desk="31", library="33", notice="2", now=NOW)
    exchange.channels.open(desk="31", library="33", notice="3", now=later)
    (found,) = exchange.channels.all()
    assert (found.state, found.notice, found.since) == (ChannelState.OPEN, "3", later)
    exchange.relay.take(letter(), sender="31", now=NOW)
    assert exchange.outcomes() == [DELIVERED]


@pytest.mark.parametrize(
    ("desk", "library", "notice", "reason"),
    [
        ("31", "31", "1", Reason.WRONG_PROVINCE),
        ("31", "99", "1", Reason.WRONG_PROVINCE),
        ("", "33", "1", Reason.WRONG_PROVINCE),
        ("31", "33", "", Reason.BODY_INVALID),
        ("31", "33", "  ", Reason.BODY_INVALID),
        ("31", "33", "a\nb", Reason.BODY_INVALID),
        ("31", "33", "长" * 61, Reason.BODY_INVALID),
    ],
)
def test_a_channel_is_closed_between_two_provinces_by_a_notice_with_a_number(
    exchange: Exchange, desk: str, library: str, notice: str, reason: Reason
) -> None:
    no = refused(lambda: exchange.channels.close(desk=desk, library=library, notice=notice, now=NOW))
    assert no.reason is reason
    assert exchange.channels.all() == []


def test_the_database_knows_two_states_and_refuses_a_third(exchange: Exchange) -> None:
    exchange.channels.close(desk="31", library="33", notice="1", now=NOW)
    with pytest.raises(IntegrityError):
        attempt(exchange.engine, lambda conn: conn.execute(update(channels).values(state="HALF")))


def no_letter_passes_after_the_closing(exchange: Exchange) -> None:
    """Letters from four threads while the channel is closed: none that was brought afterwards gets through."""
    started, closed = threading.Event(), threading.Event()
    late: list[Letter] = []
    passed: list[Letter] = []
    refusals: set[Reason] = set()

    def bring() -> None:
        for _ in range(15):
            sent, was_closed = letter(), closed.is_set()
            try:
                exchange.relay.take(sent, sender="31", now=NOW)
            except Refusal as no:
                refusals.add(no.reason)
            else:
                passed.append(sent)
                if was_closed:
                    late.append(sent)

    threads = [threading.Thread(target=bring) for _ in range(4)]
    exchange.mailboxes["33"].before = lambda: started.set() if len(passed) >= 8 else None
    for thread in threads:
        thread.start()
    started.wait(timeout=30)
    exchange.channels.close(desk="31", library="33", notice="1", now=NOW)
    closed.set()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert late == []
    assert refusals <= {Reason.CHANNEL_SUSPENDED}
    assert len(exchange.rows()) == 60
    assert exchange.outcomes().count(DELIVERED) == len(passed)


def test_no_letter_passes_a_channel_after_it_was_closed(exchange: Exchange) -> None:
    no_letter_passes_after_the_closing(exchange)


# --- the schema ---------------------------------------------------------------------------------------------


def test_the_migrations_make_the_tables_that_the_program_names(exchange: Exchange) -> None:
    check_schema(exchange.engine, OWNER)
    assert schema_differences(exchange.engine, OWNER) == []


@pytest.mark.postgres
def test_the_exchange_behaves_the_same_on_postgresql() -> None:
    with postgres_cluster() as cluster:
        engine = open_engine(fresh_database(cluster))
        migrate(engine, OWNER)
        assert schema_differences(engine, OWNER) == []
        exchange = Exchange(engine, {code: Mailbox() for code in provinces()})
        no_letter_passes_after_the_closing(exchange)
        exchange.channels.open(desk="31", library="33", notice="2", now=NOW)
        exchange.relay.take(letter(), sender="31", now=NOW)
        with reading(engine) as conn:
            assert conn.execute(select(func.count()).select_from(letters)).scalar_one() == 61
        engine.dispose()


# --- what an answer means -----------------------------------------------------------------------------------


def told(failure: Refusal | Unavailable) -> tuple[int, str, bytes]:
    problem = problem_of(failure, audience=Audience.VENDOR, request_id="9xK2mVb7Qw3nRt5yLp0aZg")
    return problem.status, PROBLEM_TYPE, json.dumps(problem.body, ensure_ascii=False).encode()


def test_202_is_accepted() -> None:
    judge(letter(), 202, "application/json", b"{}", silence=NO_EXCHANGE)


@pytest.mark.parametrize("reason", [*Reason])
def test_every_reason_comes_back_as_the_no_or_the_silence_that_it_is(reason: Reason) -> None:
    said = told(Unavailable(reason) if reason in UNAVAILABLE else Refusal(reason))
    with pytest.raises((Refusal, Unavailable)) as caught:
        judge(letter(), *said, silence=NO_EXCHANGE)
    if reason in UNAVAILABLE or ROWS[reason].retry:
        assert isinstance(caught.value, Unavailable)
        expected = reason if reason is Reason.LIBRARY_UNREACHABLE else Reason.EXCHANGE_UNREACHABLE
        assert (caught.value.reason, caught.value.what) == (expected, "33")
    else:
        assert isinstance(caught.value, Refusal)
        assert caught.value.reason is reason


def test_the_facts_of_a_refusal_come_along_and_nothing_else() -> None:
    status, kind, body = told(Refusal(Reason.CHANNEL_SUSPENDED, no="民办函〔2026〕12号"))
    no = refused(lambda: judge(letter(), status, kind, body, silence=NO_EXCHANGE))
    assert dict(no.facts) == {"no": "民办函〔2026〕12号"}
    stuffed = {
        **json.loads(body),
        "facts": {"no": "1\n2", "detail": "x", "self": "y", "n": True, "what": ["z"], "as_of": "a" * 101, "date": 7},
    }
    no = refused(lambda: judge(letter(), status, kind, json.dumps(stuffed).encode(), silence=NO_EXCHANGE))
    assert dict(no.facts) == {"date": 7}


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "application/json", b"{}"),
        (204, "", b""),
        (302, "text/html", b""),
        (403, "text/html", b"<h1>403 Forbidden</h1>"),
        (403, "application/json", b'{"code": "CHANNEL_SUSPENDED"}'),
        (404, PROBLEM_TYPE, b'{"code": "CHANNEL_SUSPENDED"}'),  # the status is another reason's
        (403, PROBLEM_TYPE, b'{"code": "CHANNEL_SUSPENDED", "code": "CHANNEL_SUSPENDED"}'),
        (403, PROBLEM_TYPE, b'{"code": "NO_SUCH_REASON"}'),
        (403, PROBLEM_TYPE, b'{"code": ["CHANNEL_SUSPENDED"]}'),
        (403, PROBLEM_TYPE, b'["CHANNEL_SUSPENDED"]'),
        (403, PROBLEM_TYPE, b"{" * 5000),
        (403, PROBLEM_TYPE, b"\xff\xfe"),
        (403, PROBLEM_TYPE, b""),
        (502, "text/html", b"<h1>Bad gateway</h1>"),
        (999, "", b""),
    ],
)
def test_an_answer_that_is_not_ours_decides_nothing(status: int, kind: str, body: bytes) -> None:
    for silence in (NO_EXCHANGE, NO_PROVINCE):
        found = silent(lambda silence=silence: judge(letter(), status, kind, body, silence=silence))  # type: ignore[misc]
        assert (found.reason, found.what) == (silence, "33")


# --- the client, on real sockets ----------------------------------------------------------------------------

QUICK = Limits(connect=0.3, read=0.5, together=2, wait=0.05)
ACCEPTED = b"HTTP/1.1 202 ACCEPTED\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def far_end(answer: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads each request of a connection and lets `answer` do what it likes."""
    requests: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()
    lines: list[socket.socket] = []

    def converse(line: socket.socket) -> None:
        with line:
            while (request := read_request(line)) is not None:
                requests.append(request)
                try:
                    answer(line, request)
                except OSError:
                    return

    def accept() -> None:
        while not stop.is_set():
            try:
                line, _ = listener.accept()
            except OSError:
                return
            lines.append(line)
            threading.Thread(target=converse, args=(line,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for line in lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


def read_request(line: socket.socket) -> bytes | None:
    found = b""
    try:
        while b"\r\n\r\n" not in found:
            piece = line.recv(65_536)
            if not piece:
                return None
            found += piece
        head, _, body = found.partition(b"\r\n\r\n")
        (length,) = (
            int(each.partition(b":")[2]) for each in head.split(b"\r\n") if each.lower().startswith(b"content-length:")
        )
        while len(body) < length:
            body += line.recv(65_536)
    except OSError:
        return None
    return head + b"\r\n\r\n" + body


@pytest.mark.network
def test_a_letter_is_posted_once_as_json_with_our_name() -> None:
    sent = letter()
    with far_end(lambda line, _: line.sendall(ACCEPTED)) as (address, requests):
        transport = HttpTransport.to_exchange(address, peer_token="of-31", limits=QUICK)
        transport.send(sent)
        transport.send(sent)
        transport.close()
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /exchange/letters HTTP/1.1\r\n")
    assert b"Peer-Token: of-31" in head
    assert json.loads(body) == sent.to_json()
    assert len(requests) == 2


@pytest.mark.network
def test_connections_are_kept() -> None:
    lines: set[socket.socket] = set()

    def answer(line: socket.socket, _: bytes) -> None:
        lines.add(line)
        line.sendall(ACCEPTED)

    with far_end(answer) as (address, requests):
        transport = HttpTransport.to_exchange(address, limits=QUICK)
        for _ in range(5):
            transport.send(letter())
        transport.close()
    assert (len(requests), len(lines)) == (5, 1)


def drip(line: socket.socket, _: bytes) -> None:
    line.sendall(b"HTTP/1.1 202 ACCEPTED\r\nContent-Length: 10000\r\n\r\n")
    pause = threading.Event()
    while not pause.wait(0.1):
        line.sendall(b" ")


@pytest.mark.network
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda line, _: None, id="silence"),
        pytest.param(lambda line, _: line.shutdown(socket.SHUT_RDWR), id="hanging up"),
        pytest.param(lambda line, _: line.sendall(b"SSH-2.0-OpenSSH\r\n"), id="another protocol"),
        pytest.param(lambda line, _: line.sendall(b"HTTP/1.1 202 ACCEPTED\r\nContent-Length: 9\r\n\r\n{}"), id="half"),
        pytest.param(drip, id="drop by drop"),
        pytest.param(
            lambda line, _: line.sendall(b"HTTP/1.1 202 ACCEPTED\r\nContent-Length: 99999\r\n\r\n" + b" " * 99_999),
            id="too long",
        ),
        pytest.param(
            lambda line, _: line.sendall(
                b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /exchange/letters\r\nContent-Length: 0\r\n\r\n"
            ),
            id="a redirect",
        ),
        pytest.param(
            lambda line, _: line.sendall(b"HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"), id="503"
        ),
    ],
)
def test_a_line_that_fails_is_silence_within_the_limits_and_is_asked_once(
    answer: Callable[[socket.socket, bytes], None],
) -> None:
    with far_end(answer) as (address, requests):
        transport = HttpTransport.to_exchange(address, limits=QUICK)
        began = time.monotonic()
        silence = silent(lambda: transport.send(letter()))
        took = time.monotonic() - began
        transport.close()
    assert (silence.reason, silence.what) == (Reason.EXCHANGE_UNREACHABLE, "33")
    assert took < QUICK.connect + QUICK.read + 1.0
    assert len(requests) == 1


@pytest.mark.network
def test_a_connection_that_broke_off_is_not_used_again() -> None:
    answers = iter([b"HTTP/1.1 202 ACCEPTED\r\nContent-Length: 9\r\n\r\n{}", ACCEPTED])
    with far_end(lambda line, _: line.sendall(next(answers))) as (address, _):
        transport = HttpTransport.to_province(address, "33", limits=QUICK)
        assert silent(lambda: transport.send(letter())).reason is Reason.LIBRARY_UNREACHABLE
        transport.send(letter())
        transport.close()


@pytest.mark.network
def test_a_machine_that_is_off_is_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = HttpTransport.to_province(f"http://127.0.0.1:{port}", "33", limits=QUICK)
    silence = silent(lambda: transport.send(letter()))
    assert (silence.reason, silence.what) == (Reason.LIBRARY_UNREACHABLE, "33")


@pytest.mark.network
def test_a_destination_that_hangs_takes_only_its_own_places() -> None:
    """Two letters hang; the third hears at once that there is no place, instead of hanging too."""
    hanging = threading.Barrier(3)
    release = threading.Event()

    def answer(line: socket.socket, _: bytes) -> None:
        hanging.wait(timeout=10)
        release.wait(timeout=10)
        line.sendall(ACCEPTED)

    limits = Limits(connect=1.0, read=10.0, together=2, wait=0.05)
    with far_end(answer) as (address, _):
        transport = HttpTransport.to_province(address, "33", limits=limits)
        threads = [threading.Thread(target=transport.send, args=(letter(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        hanging.wait(timeout=10)
        began = time.monotonic()
        silence = silent(lambda: transport.send(letter()))
        assert time.monotonic() - began < 1.0
        assert silence.detail == "all places to this address are taken"
        release.set()
        for thread in threads:
            thread.join(timeout=10)
        assert not any(thread.is_alive() for thread in threads)
        transport.close()


@pytest.mark.parametrize(
    "address",
    ["", "exchange", "ftp://exchange", "http://", "http://exchange/path", "http://exchange?x=1", "http://[::"],
)
def test_an_address_is_a_scheme_and_a_host(address: str) -> None:
    with pytest.raises(ValueError, match="an address is"):
        HttpTransport.to_exchange(address)


def test_https_without_a_certificate_of_ours_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="certificate of ours"):
        HttpTransport.to_exchange("https://exchange:8450")


def test_a_token_does_not_show_in_a_representation() -> None:
    assert "of-31" not in repr(HttpTransport.to_exchange("http://exchange:8450", peer_token="of-31"))

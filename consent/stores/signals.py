"""Wake-ups over Redis: "look again". Nothing here decides anything.

How to wait without missing a change:

    with signals.listen("visit:" + digest) as ear:
        while (found := look_in_sql()) is None and time_left():
            kind = ear.wait(time_left())
        ear.useful(kind)                     # for the metrics: which kind of waking found something

1. The ear is open *before* the first look; a change between look and wait is heard.
2. `wait` returns for a hint ("redis"), for a look that is due without one ("polling"), or at the end of the
   time ("timeout"). The caller looks in SQL after each of them.
3. Redis pub/sub forgets whatever nobody received. Therefore every change of the connection, to gone or
   back, makes each ear look once; while it is gone, each ear looks every half second, and every two
   seconds otherwise. A Redis that hangs without closing is given up when it leaves a ping unanswered.

One thread of a `Signals` listens to all topics and hands hints to the ears in this process, so that opening
an ear costs no round trip. Another sends, so that `notify` only puts a word into memory and returns: a
Redis that swallows packets held requests for 59 seconds with the client's defaults. What cannot be sent
soon is dropped.

Topics are opaque: "errand", "visit:<digest>", "showing:<id>". Channels carry the prefix "hz:" and no content.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from queue import Empty, Full, Queue
from threading import Condition, Event, Lock, Thread
from types import TracebackType
from typing import Any, Final, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PREFIX: Final = "hz:"
POLL_S: Final = 0.5  # between two looks while Redis is gone
LOOK_ANYWAY_S: Final = 2.0  # between two looks while it is there: one hint may have been lost

_SOCKET_S: Final = 0.3
_PING_EVERY_S: Final = 0.5
_SILENCE_S: Final = 1.2  # nothing heard for so long in spite of pings: the connection counts as gone
_LISTEN_S: Final = 0.2
_BACKOFF_S: Final = (0.05, 1.0)
_OUTBOX: Final = 1000  # hints that wait to be sent


class Wake(StrEnum):
    """Why `Ear.wait` returned."""

    REDIS = "redis"
    POLLING = "polling"
    TIMEOUT = "timeout"


class Ear:
    """Listens for some topics in one thread. Made by `Signals.listen`."""

    def __init__(self, signals: Signals, topics: tuple[str, ...]) -> None:
        self._signals = signals
        self.topics = topics
        self._changed = Condition(signals.lock)
        self._hint = False
        self._look = False

    def wait(self, timeout_s: float) -> Wake:
        """Sleep until there is a reason to look in SQL, at most `timeout_s` seconds."""
        began = time.monotonic()
        end = began + timeout_s
        with self._changed:
            while True:
                if self._hint:
                    self._hint = self._look = False
                    return Wake.REDIS
                if self._look:
                    self._look = False
                    return Wake.POLLING
                now = time.monotonic()
                if now >= end:
                    return Wake.TIMEOUT
                next_look = began + (LOOK_ANYWAY_S if self._signals.connected else POLL_S)
                if now >= next_look:
                    return Wake.POLLING
                self._changed.wait(min(end, next_look) - now)

    def useful(self, kind: str) -> None:
        """Tell that the look after this waking found what was waited for. A timeout is not counted."""
        if kind in (Wake.REDIS, Wake.POLLING):
            self._signals.count(Wake(kind))

    def hear(self) -> None:
        """A hint came; called with the lock held."""
        self._hint = True
        self._changed.notify_all()

    def look(self) -> None:
        """Hints may have been lost; called with the lock held."""
        self._look = True
        self._changed.notify_all()


class Signals:
    """Hints between the processes of a province.

    `url` is `redis://…`, `rediss://…` or `unix://…`; None means that there is no Redis and everybody polls.
    Opens no connection until it is first used. A URL that cannot be read raises ValueError. Safe to share
    between threads; make one after a fork, not before.
    """

    def __init__(self, url: str | None) -> None:
        self.lock = Lock()
        self.connected = False
        self._client = None if url is None else _client(url)
        self._ears: dict[str, set[Ear]] = {}
        self._outbox: Queue[str | None] = Queue(_OUTBOX)  # None only wakes the thread
        self._closing = Event()
        self._threads: list[Thread] = []
        self._useful: Counter[str] = Counter()

    def notify(self, topic: str) -> None:
        """Hint that something about `topic` changed. Call it after the commit. Never raises, never waits."""
        if self._client is None or self._closing.is_set():
            return
        self._start()
        with suppress(Full):  # then Redis does not take them, and everybody polls by now
            self._outbox.put_nowait(topic)

    @contextmanager
    def listen(self, *topics: str) -> Iterator[Ear]:
        """An ear for these topics, open until the with-block is left."""
        self._start()
        ear = Ear(self, topics)
        with self.lock:
            for topic in topics:
                self._ears.setdefault(topic, set()).add(ear)
        try:
            yield ear
        finally:
            with self.lock:
                for topic in topics:
                    self._ears[topic].discard(ear)
                    if not self._ears[topic]:
                        del self._ears[topic]

    @property
    def wakeups(self) -> dict[str, int]:
        """How many wakings were useful, by kind: {"redis": n, "polling": n}."""
        with self.lock:
            return {kind.value: self._useful[kind.value] for kind in (Wake.REDIS, Wake.POLLING)}

    def count(self, kind: Wake) -> None:
        """Count one useful waking; see `Ear.useful`."""
        with self.lock:
            self._useful[kind.value] += 1

    def close(self) -> None:
        """Stop both threads and drop the connections. Ears that still wait poll until their time is over."""
        self._closing.set()
        with suppress(Full):
            self._outbox.put_nowait(None)
        for thread in self._threads:
            thread.join(timeout=2 * _SOCKET_S + _LISTEN_S)
        if self._client is not None:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        if self._client is None:
            return
        with self.lock:
            if self._threads or self._closing.is_set():
                return
            self._threads = [
                Thread(target=self._listening, args=(self._client,), name="signals-listen", daemon=True),
                Thread(target=self._sending, args=(self._client,), name="signals-send", daemon=True),
            ]
        for thread in self._threads:
            thread.start()

    # The sending thread -------------------------------------------------------------------------------------

    def _sending(self, client: Redis) -> None:
        while not self._closing.is_set():
            topic = self._outbox.get()
            if topic is None:
                continue
            try:
                client.publish(PREFIX + topic, b"")
            except Exception:  # whatever it is, this thread goes on; hints may be lost
                self._drop_waiting()

    def _drop_waiting(self) -> None:
        # Redis is gone and everybody polls already; sending old hints one by one, each with its time limit,
        # helps nobody.
        with suppress(Empty):
            while True:
                self._outbox.get_nowait()

    # The listening thread -----------------------------------------------------------------------------------

    def _listening(self, client: Redis) -> None:
        pause = _BACKOFF_S[0]
        while not self._closing.is_set():
            # Whatever a broken Redis makes of its answers, this thread goes on; whoever waits is told below.
            with suppress(Exception), client.pubsub() as subscription:  # type: ignore[no-untyped-call]
                subscription.psubscribe(PREFIX + "*")
                for heard in self._heard(subscription):
                    if heard["type"] == "psubscribe":
                        pause = _BACKOFF_S[0]
                        self._set_connected(True)
                    elif heard["type"] == "pmessage":
                        self._hand_out(heard["channel"])
            self._set_connected(False)
            # Spread, so that all processes do not come back in the same moment.
            self._closing.wait(random.uniform(pause / 2, pause))  # noqa: S311
            pause = min(2 * pause, _BACKOFF_S[1])

    def _heard(self, subscription: Any) -> Iterator[dict[str, Any]]:
        """Everything that Redis says, until it says nothing for too long."""
        last_heard = last_ping = time.monotonic()
        while not self._closing.is_set():
            message = subscription.get_message(timeout=_LISTEN_S)
            now = time.monotonic()
            if message is not None:
                last_heard = now
                yield message
            if now - last_heard > _SILENCE_S:
                return
            if now - last_ping > _PING_EVERY_S:
                last_ping = now
                subscription.ping()

    def _hand_out(self, channel: bytes) -> None:
        topic = channel.decode("utf-8", "replace").removeprefix(PREFIX)
        with self.lock:
            for ear in self._ears.get(topic, ()):
                ear.hear()

    def _set_connected(self, connected: bool) -> None:
        with self.lock:
            if self.connected == connected:
                return
            self.connected = connected
            for ears in self._ears.values():
                for ear in ears:
                    ear.look()


def _client(url: str) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=_SOCKET_S,
        socket_connect_timeout=_SOCKET_S,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        protocol=2,
    )

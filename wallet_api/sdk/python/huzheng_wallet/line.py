"""One question and its answer: a connection, a time limit, repetition where it is safe, and the server's clock.

Who calls here promises that the question may be asked again. It may, for all of wallet_api: reads change nothing, writes
carry an Idempotency-Key, a signed answer handed in twice is taken once, and closing what is closed does nothing.

    no answer · 5xx · 429 · 409 IDEMPOTENCY_IN_FLIGHT    asked again, while there is patience
    everything else                                      is the answer
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import SystemRandom
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader

from .answers import instant
from .errors import WalletError, problem_of, silence

_CONNECT_S = 3.0
_READ_S = 8.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 4.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Where time comes from. Tests put their own in; `shake` is a random number in 0…1 that spreads those who wait."""

    wall: Callable[[], float] = time.time
    tick: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    shake: Callable[[], float] = SystemRandom().random


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request. Headers are the whole set but for Request-Id."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    request_id: str

    def problem(self) -> WalletError:
        """The reply as an exception; asked of replies ≥ 400 only."""
        return problem_of(
            self.status, self.body, request_id=self.request_id, retry_after_s=_seconds(self.headers.get("Retry-After"))
        )


class Line:
    """The way to one wallet_api. `patience_s` bounds a question with all its repetitions."""

    def __init__(self, url: str, *, patience_s: float, pool: urllib3.PoolManager | None, times: Times) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("wallet_api is reached by https, or by http on this machine")
        self._url = url.rstrip("/")
        self._patience_s = patience_s
        self._pool = pool or urllib3.PoolManager(maxsize=16)
        self._times = times
        self._skew_s: float | None = None

    @property
    def skew_s(self) -> float | None:
        """Seconds by which our clock is ahead of the server's, good to about a second; None before the first answer."""
        return self._skew_s

    def server_now(self) -> datetime:
        """The server's time as well as we know it."""
        return datetime.fromtimestamp(self._times.wall() - (self._skew_s or 0.0), UTC)

    def ask(self, make: Callable[[], Question]) -> Reply:
        """Ask until there is an answer. `make` is called for each try, for what must be fresh each time.

        Raises Unavailable, with the last thing heard, once another try would end after our patience.
        """
        request_id = secrets.token_urlsafe(16)  # one for all tries: both logs tell of one event
        deadline = self._times.tick() + self._patience_s
        pause = _FIRST_PAUSE_S
        while True:
            heard = self._once(make(), request_id, deadline - self._times.tick())
            if isinstance(heard, Reply):
                return heard
            wait = pause if heard.retry_after_s is None else heard.retry_after_s
            wait += wait * self._times.shake() / 4
            if self._times.tick() + wait >= deadline:
                raise heard
            self._times.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _once(self, question: Question, request_id: str, left_s: float) -> Reply | WalletError:
        """One try: the reply, or the failure that may be another one in a moment."""
        sent = self._times.wall()
        try:
            answer = self._pool.request(
                question.method,
                self._url + question.path,
                body=question.body,
                headers={**question.headers, "Request-Id": request_id},
                timeout=urllib3.Timeout(connect=min(_CONNECT_S, max(left_s, 0.1)), read=min(_READ_S, max(left_s, 0.1))),
                retries=False,
                redirect=False,
            )
        except HTTPError:
            return silence(request_id)
        self._hear(answer.headers.get("Server-Time"), (sent + self._times.wall()) / 2)
        told = answer.headers.get("Request-Id", request_id)
        reply = Reply(status=answer.status, headers=answer.headers, body=answer.data, request_id=told)
        return reply.problem() if _passing(reply) else reply

    def _hear(self, server_time: str | None, wall: float) -> None:
        # The header is cut to whole seconds: half a second later is the best guess.
        try:
            told = instant(server_time or "").timestamp()
        except ValueError:
            return
        self._skew_s = wall - (told + 0.5)


def _passing(reply: Reply) -> bool:
    if reply.status >= 500 or reply.status == 429:
        return True
    return reply.status == 409 and code_of(reply) == "IDEMPOTENCY_IN_FLIGHT"


def code_of(reply: Reply) -> str | None:
    """The code of a problem document, or the `error` of OAuth."""
    try:
        told = json.loads(reply.body)
        return str(told.get("code") or told.get("error"))
    except (ValueError, AttributeError):
        return None


def _seconds(retry_after: str | None) -> float | None:
    if retry_after is None:
        return None
    try:
        return urllib3.Retry().parse_retry_after(retry_after)  # seconds, or a date (RFC 9110 §10.2.3)
    except InvalidHeader:
        return None

"""One POST to one address: checked, bounded in time, and never led anywhere else.

1. The URL is judged again (`address.target`): what was allowed when it was registered may not be any more.
2. Its name is resolved once, and all of its addresses are judged (`address.permitted`).
3. The socket opens to one of exactly these addresses; TLS and the Host header carry the name.
4. The answer is its status. A redirect is a failure like any other, and of the body at most 1 KB is read.

The whole takes ten seconds at most. A timeout of a socket counts from its last byte, so that a receiver who sends one
byte each second could hold us for ever; therefore a timer shuts the connection down.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import HTTPException
from threading import Timer
from typing import Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from consent.errors import Refusal
from wallet_api.webhooks.address import Target, permitted, target

CONNECT_S: Final = 2.0
TOTAL_S: Final = 10.0
MOST_BODY: Final = 1024  # bytes

_TRIED: Final = 2  # addresses of one name
_LOOKUPS: Final = 8  # names that are looked up at once

Resolver = Callable[[str, int], Sequence[str]]
"""The addresses of (name, port), as text; OSError or UnicodeError where there are none. May take its time."""

Dial = Callable[[str, int, float], socket.socket]
"""A connected socket to (address, port) within so many seconds; OSError where there is none."""


class Failure(StrEnum):
    """Why a delivery was not accepted. Public: it stands in the vendor's log."""

    ADDRESS_NOT_ALLOWED = "ADDRESS_NOT_ALLOWED"
    NAME_UNKNOWN = "NAME_UNKNOWN"
    NO_CONNECTION = "NO_CONNECTION"
    TLS = "TLS"
    TIMEOUT = "TIMEOUT"
    NO_HTTP = "NO_HTTP"
    BUSY = "BUSY"  # 429, 502, 503, 504: nobody was there to judge
    REDIRECT = "REDIRECT"  # any 3xx
    GONE = "GONE"  # 410: never again
    NOT_ACCEPTED = "NOT_ACCEPTED"  # any other status but 2xx


_JUDGED: Final = frozenset({Failure.REDIRECT, Failure.GONE, Failure.NOT_ACCEPTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a delivery ended. `status` is None where there was no answer, `failure` None where it was accepted."""

    status: int | None
    failure: Failure | None

    @property
    def accepted(self) -> bool:
        """The receiver has it."""
        return self.failure is None

    @property
    def silent(self) -> bool:
        """The endpoint as a whole does not answer; another delivery would fare alike."""
        return self.failure is not None and self.failure not in _JUDGED


def system_resolver(name: str, port: int) -> list[str]:
    """What this machine's resolver says."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def system_dial(address: str, port: int, timeout_s: float) -> socket.socket:
    """A TCP connection. `address` is a literal, so that nothing is resolved here."""
    return socket.create_connection((address, port), timeout_s)


class _Plain(HTTPConnection):
    opened: Callable[[], socket.socket]

    def _new_conn(self) -> socket.socket:
        return self.opened()


class _Secure(HTTPSConnection):
    opened: Callable[[], socket.socket]

    def _new_conn(self) -> socket.socket:
        return self.opened()


@dataclass(slots=True, kw_only=True)
class Sender:
    """Sends. `sandbox` allows this machine itself; `ca_file` (PEM) names the authorities if they are not the system's."""

    sandbox: bool
    resolve: Resolver = system_resolver
    dial: Dial = system_dial
    ca_file: str | None = None
    total_s: float = TOTAL_S
    _tls: ssl.SSLContext = field(init=False)
    _lookups: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._tls = ssl.create_default_context(cafile=self.ca_file)
        self._lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhook-name")

    def close(self) -> None:
        """End the threads that look names up."""
        self._lookups.shutdown(cancel_futures=True)

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Send, and say how it ended. Raises nothing, whatever the other side does."""
        cut = _Cut(self.total_s)
        try:
            called = target(url, sandbox=self.sandbox)  # 1
            addresses = permitted(called, self._addresses(called))  # 2
            return _judged(self._exchange(called, addresses, headers, body, cut))  # 3, 4
        except Refusal:
            failure = Failure.ADDRESS_NOT_ALLOWED
        except _NameUnknown:
            failure = Failure.NAME_UNKNOWN
        except ssl.SSLError:
            failure = Failure.TLS
        except TimeoutError:
            failure = Failure.TIMEOUT
        except OSError:
            failure = Failure.NO_CONNECTION
        except (HTTPException, HTTPError, ValueError):
            failure = Failure.NO_HTTP
        finally:
            cut.end()
        return Outcome(status=None, failure=Failure.TIMEOUT if cut.done else failure)

    def _addresses(self, called: Target) -> Sequence[str]:
        asked = self._lookups.submit(self.resolve, called.host, called.port)
        try:
            return asked.result(CONNECT_S)
        except (OSError, UnicodeError) as problem:  # TimeoutError is an OSError
            raise _NameUnknown from problem

    def _exchange(
        self, called: Target, addresses: Sequence[str], headers: Mapping[str, str], body: bytes, cut: _Cut
    ) -> int:
        connection: _Plain | _Secure
        if called.https:
            connection = _Secure(called.host, called.port, timeout=self.total_s, ssl_context=self._tls)
        else:
            connection = _Plain(called.host, called.port, timeout=self.total_s)
        connection.opened = lambda: self._opened(addresses, called.port, cut)
        try:
            sent = {**headers, "Host": called.authority, "Connection": "close"}
            connection.request(
                "POST", called.path, body=body, headers=sent, preload_content=False, decode_content=False
            )
            answer = connection.getresponse()
            if cut.done:  # a broken line ends the headers like an empty one
                raise TimeoutError
            with suppress(HTTPError, HTTPException, OSError):  # its status is the answer already
                answer.read(MOST_BODY, decode_content=False)
            return answer.status
        finally:
            connection.close()

    def _opened(self, addresses: Sequence[str], port: int, cut: _Cut) -> socket.socket:
        tried = addresses[:_TRIED]
        for last, address in enumerate(tried, 1 - len(tried)):
            try:
                found = self.dial(address, port, CONNECT_S / len(tried))
            except OSError:
                if last == 0:
                    raise
            else:
                found.settimeout(self.total_s)
                cut.watch(found)
                return found
        raise OSError("no address")


class _NameUnknown(Exception):  # noqa: N818
    """The name has no address, or nobody said so in time."""


class _Cut:
    """Shuts a connection down when the time is over. `done` says that it has."""

    def __init__(self, seconds: float) -> None:
        self.done = False
        self._held: socket.socket | None = None
        self._timer = Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, connected: socket.socket) -> None:
        """From now on this one. It is watched by a second handle, because TLS takes the first one away."""
        self._held = connected.dup()
        if self.done:
            self._shut(self._held)

    def end(self) -> None:
        """The exchange is over, in whatever way."""
        self._timer.cancel()
        if self._held is not None:
            self._held.close()

    def _cut(self) -> None:
        self.done = True
        if self._held is not None:
            self._shut(self._held)

    @staticmethod
    def _shut(held: socket.socket) -> None:
        with suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)


def _judged(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome(status=status, failure=None)
    if status == 410:
        failure = Failure.GONE
    elif status in (429, 502, 503, 504):
        failure = Failure.BUSY
    else:
        failure = Failure.REDIRECT if 300 <= status < 400 else Failure.NOT_ACCEPTED
    return Outcome(status=status, failure=failure)

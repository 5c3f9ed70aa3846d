"""What an adapter is (`AppProfile`), the way it speaks to its app's server (`Way`), and how an answer is read.

Answers come from strangers. `Answer` reads them without trust: too long, no JSON, another shape, an unknown word where a
closed list was due, all of these are "no answer" (`APP_UNREACHABLE`), because none of them says yes or no.

A counter string can be exchanged once at the app's server, but a letter between provinces may arrive twice. `Remembering`
stands before an adapter and gives the same request the same showing again, for as long as that can happen. It is memory
of one process: losing it costs one more showing of the phone, and never lets a string count twice.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from consent.errors import Reason, Refusal, Unavailable
from consent.request import Request
from consent.seal import strict_json
from consent.shapes import Shape, Text
from consent.showing import HOLDER

SHOWING_ID: Final = Text(24, 24, re.compile(r"[0-9a-f]{24}"))
HOLDER_TEXT: Final = Text(HOLDER.max_length, 1, re.compile(r"[A-Za-z0-9_.-]+"))
TOKEN: Final = Text(512, 1, re.compile(r"[\x21-\x7e]+"))

LONGEST: Final = 65_536  # bytes of an answer
_REMEMBERED: Final = timedelta(minutes=2)  # a request is no longer taken after that, see verifier.consents
_MOST: Final = 10_000
_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an app's server said. `body` is untrusted."""

    status: int
    body: bytes

    def json(self) -> Mapping[str, Any]:
        """The body as an object, whatever the status; Unavailable(APP_UNREACHABLE) where it is none."""
        if len(self.body) > LONGEST:
            raise silence("the answer is too long")
        try:
            found = strict_json(self.body, depth=6, members=64)
        except Refusal as problem:
            raise silence(f"status {self.status} without JSON") from problem
        if not isinstance(found, dict):
            raise silence(f"status {self.status} without an object")
        return found

    def member(self, *names: str, shape: Shape) -> Any:
        """One member by its path, in its shape; Unavailable(APP_UNREACHABLE) where it is missing or has another."""
        found: Any = self.json()
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        if not shape.fits(found):
            raise silence(f"status {self.status}, member {'.'.join(names)}")
        return found


class Way(Protocol):
    """Carries one call to an app's server, within two seconds.

    `path` begins with a slash; `query` is sent in the order given. Unavailable(APP_UNREACHABLE) where there is no answer;
    every answer, of whatever status, is returned.
    """

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """One call, one answer."""
        ...


class AppProfile(Protocol):
    """One app's habits.

    `log_in` exchanges what the app's login left behind (a ticket, a token; it counts once) for a `holder+jwt` in which the
    app vouches for this person and this device. Refusal(INVALID_GRANT) where the app does not know it, or no longer.

    `resolve` says which showing of ours (its id) a string from the app's counter page stands for, and uses the string up.
    Refusal CODE_ALREADY_USED (已失效), CODE_EXPIRED (已过期), or what else the app says no for. `request` is the sealed
    request of the counter that scanned it.

    Both raise Unavailable(APP_UNREACHABLE) where the app's server gives no answer that can be read.
    """

    def log_in(self, credential: str, device: Mapping[str, str], *, now: datetime) -> str:
        """The login assertion for a device key (a public P-256 JWK)."""
        ...

    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        """The showing that a counter string stands for."""
        ...


@dataclass(slots=True)
class Remembering:
    """An adapter that answers the same request the same way again, also while it is still asking."""

    profile: AppProfile
    _found: OrderedDict[tuple[str, str], tuple[str, datetime]] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    # Whoever asks for a request waits for whoever asks already; a few others may have to wait with it.
    _asking: tuple[threading.Lock, ...] = field(
        default_factory=lambda: tuple(threading.Lock() for _ in range(_AT_ONCE)), repr=False
    )

    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        """See `AppProfile.resolve`."""
        key = (text, request.digest)
        with self._asking[hash(key) % _AT_ONCE]:
            if (known := self._known(key, now=now)) is not None:
                return known
            showing_id = self.profile.resolve(text, request, now=now)
            with self._lock:
                self._found[key] = (showing_id, now + _REMEMBERED)
            return showing_id

    def _known(self, key: tuple[str, str], *, now: datetime) -> str | None:
        with self._lock:
            # The oldest come first; what is over or too much goes.
            while self._found and (len(self._found) >= _MOST or next(iter(self._found.values()))[1] <= now):
                self._found.popitem(last=False)
            found = self._found.get(key)
        return None if found is None else found[0]


def silence(detail: str) -> Unavailable:
    """No answer from the app's server; `detail` is for the log and never quotes what was sent."""
    return Unavailable(Reason.APP_UNREACHABLE, detail=detail)


def as_json(found: Mapping[str, Any]) -> bytes:
    """An object as the body of a call."""
    return json.dumps(dict(found), ensure_ascii=False, separators=(",", ":")).encode()


Read = Callable[[Answer], str]
"""Reads one kind of answer: the value that it is about, a Refusal, or Unavailable."""

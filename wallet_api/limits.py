"""How often somebody may ask. Counted by the `limits` library in Redis, so that all processes count together.

A limit is a hint like everything in Redis: when Redis is silent, each process counts in its own memory, and no
request ever fails or waits for it (T: a Redis that swallows packets is given up after 0.3 s, and asked again
only five seconds later). Names are hashed: no pseudonym stands in a Redis key.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Final, TypeVar

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from consent.errors import Reason, Refusal

_SOCKET_S: Final = 0.3
_AGAIN_S: Final = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """How much of a limit is left: `remaining` of `most` in a window of `window_s` that opens in `reset_s`."""

    name: str
    most: int
    window_s: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """The RateLimit fields of draft-ietf-httpapi-ratelimit-headers, and the older X-RateLimit ones."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.most};w={self.window_s}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={self.reset_s}',
            "X-RateLimit-Limit": str(self.most),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_s),
        }


class TooMany(Refusal):
    """TOO_MANY, with the limit that was met."""

    def __init__(self, limited: Limited) -> None:
        super().__init__(Reason.TOO_MANY, detail=f"limit {limited.name}", n=limited.reset_s)
        self.headers = {**limited.headers(), "Retry-After": str(limited.reset_s)}


class Limits:
    """The limits of one app. `url` as for `consent.stores.signals`; None counts in memory only."""

    def __init__(self, url: str | None, *, room: str, vendor_per_minute: int, openings_per_minute: int) -> None:
        self._near = MovingWindowRateLimiter(MemoryStorage())
        self._shared = None if url is None else MovingWindowRateLimiter(_storage(url, room))
        self._vendor = RateLimitItemPerMinute(vendor_per_minute)
        self._opening = RateLimitItemPerMinute(openings_per_minute)
        self._asked_again_at = -math.inf
        self._lock = Lock()

    def vendor(self, client_id: str, per_minute: int | None = None) -> Limited:
        """Count one request of a vendor, against its own limit if it has one; raises TooMany."""
        item = self._vendor if per_minute is None else RateLimitItemPerMinute(per_minute)
        return self._hit("vendor", item, client_id)

    def token(self, address: str) -> Limited:
        """Count one request for a token from an address, before anybody is known; raises TooMany."""
        return self._hit("token", self._vendor, address)

    def opening(self, app: str, sub: str) -> Limited:
        """Count one showing or lookup of a holder; raises TooMany."""
        return self._hit("opening", self._opening, f"{app} {sub}")

    def _hit(self, name: str, item: RateLimitItem, whose: str) -> Limited:
        key = sha256(f"{name} {whose}".encode()).hexdigest()[:32]

        def ask(limiter: MovingWindowRateLimiter) -> tuple[bool, Limited]:
            taken = limiter.hit(item, key)
            reset_at, remaining = limiter.get_window_stats(item, key)
            left = max(1, math.ceil(reset_at - time.time()))  # the library counts on the machine's clock
            window = item.get_expiry()
            return taken, Limited(
                name=name, most=item.amount, window_s=window, remaining=remaining, reset_s=min(left, window)
            )

        taken, limited = self._ask(ask)
        if not taken:
            raise TooMany(limited)
        return limited

    def _ask(self, ask: Callable[[MovingWindowRateLimiter], T]) -> T:
        if self._shared is not None and self._may_ask_redis():
            try:
                return ask(self._shared)
            except (RedisError, OSError):
                with self._lock:
                    self._asked_again_at = time.monotonic() + _AGAIN_S
        return ask(self._near)

    def _may_ask_redis(self) -> bool:
        with self._lock:
            return time.monotonic() >= self._asked_again_at


def _storage(url: str, room: str) -> RedisStorage:
    # `limits` has its own scheme for sockets, and appends to a key whatever the item is called.
    address = url.replace("unix://", "redis+unix://", 1) if url.startswith("unix://") else url
    return RedisStorage(
        address,
        key_prefix=f"hz:limit:{room}",
        socket_timeout=_SOCKET_S,
        socket_connect_timeout=_SOCKET_S,
        retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # the annotation knows only plain values
    )

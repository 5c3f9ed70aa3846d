"""Who is signed in on which browser. In memory: whoever restarts the sandbox signs everybody out, and loses nothing else.

The cookie is 256 random bits and says nothing; a signature around it would prove what the table already knows. The table
keeps its digest, so that a picture of this process's memory signs nobody in. A session outlives a code by far: a citizen
at the counter must not be sent back to a login (`LIFE`).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final

from consent.b64 import digest_of, to_b64

LIFE: Final = timedelta(hours=2)  # since the last request
MOST: Final = 1000  # the one that was silent longest goes first


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser, signed in as one persona. `device` is the public JWK; `key` is the name in the table."""

    key: str = field(repr=False)
    persona: str
    device: Mapping[str, str]
    seen_at: datetime
    showing_id: str | None = None
    lookup_id: str | None = None
    look_id: str | None = None
    objection_id: str | None = None
    come_id: str | None = None
    offer_id: str | None = None
    stood: Mapping[str, Any] | None = None


class Sessions:
    """The table. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows: dict[str, Session] = {}

    def begin(self, persona: str, device: Mapping[str, str], *, now: datetime) -> tuple[str, Session]:
        """A new session and the value of its cookie, which is never seen again here."""
        cookie = to_b64(secrets.token_bytes(32))
        session = Session(key=digest_of(cookie.encode()), persona=persona, device=dict(device), seen_at=now)
        with self._lock:
            while len(self._rows) >= MOST:
                del self._rows[next(iter(self._rows))]
            self._rows[session.key] = session
        return cookie, session

    def find(self, cookie: str, *, now: datetime) -> Session | None:
        """The session of a cookie, now seen again; None for a cookie that nobody has or that was silent too long."""
        key = digest_of(cookie.encode("utf-8", "replace"))
        with self._lock:
            session = self._rows.pop(key, None)
            if session is None or now - session.seen_at > LIFE:
                return None
            self._rows[key] = session = replace(session, seen_at=now)
            return session

    def note(self, session: Session, **changes: Any) -> None:
        """Set the id of the last showing, lookup, look back, objection, coming to a counter or offer, or the words that were
        agreed to beforehand. A session that has ended meanwhile stays ended."""
        with self._lock:
            if session.key in self._rows:
                self._rows[session.key] = replace(self._rows[session.key], **changes)

    def end(self, session: Session) -> None:
        """Sign out."""
        with self._lock:
            self._rows.pop(session.key, None)

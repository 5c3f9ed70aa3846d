"""What every simulated app's server has behind its interface: people, things that count once, strings of the counter page.

In memory, for one process; a simulator that is started anew has forgotten everything, as a sandbox may.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Protocol
from wsgiref.types import WSGIApplication

from flask import Flask, Response, jsonify

from consent.b64 import new_id, to_b64
from consent.clock import Clock
from consent.envelope import Recipient
from consent.errors import Refusal
from consent.keys import SigningKey, public_from_jwk
from consent.showing import HOLDER, Person, seal_holder
from wallet_api.profiles.port import AppProfile
from wallet_api.profiles.simulators.recorded import recorded

LABEL = "X-Simulator"
STRING_LIFE = timedelta(seconds=60)
GRANT_LIFE = timedelta(minutes=5)


class Simulator(Protocol):
    """The citizen's side of a simulated app, and the adapter that belongs to it.

    `unlock` is the login; what it returns counts once. `counter_string` makes the text that the app's counter page draws
    for a showing; it lives for a minute, counts once, and replaces that showing's earlier one. `hold_up` is that and
    whatever else the citizen has to do in this app before a counter can use the text.
    """

    @property
    def app(self) -> str:
        """The app's id."""
        ...

    @property
    def wsgi(self) -> WSGIApplication:
        """The interface for other servers."""
        ...

    def profile(self) -> AppProfile:
        """The app's adapter, with keys to this simulator."""
        ...

    def unlock(self, person: Person) -> str:
        """Somebody opens the app."""
        ...

    def counter_string(self, showing_id: str) -> str:
        """The app draws its own code."""
        ...

    def hold_up(self, showing_id: str) -> str:
        """The citizen holds it out to a counter."""
        ...


class Gone(StrEnum):
    """Why a counter string gives nothing."""

    USED = "used"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class String:
    """A counter string. `granted` and `by_app` matter to the app that waits for its holder's authorisation."""

    showing_id: str
    expires_at: datetime
    granted: bool = True
    by_app: bool = True
    used: bool = False


@dataclass(slots=True, kw_only=True)
class Backroom:
    """The memory of one simulated server."""

    province: str
    login_key: SigningKey
    inner: Recipient
    clock: Clock
    _grants: dict[str, tuple[str, object, datetime]] = field(default_factory=dict, repr=False)
    _strings: dict[str, String] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def grant(self, kind: str, thing: object) -> str:
        """A random token that stands for a thing, once, for five minutes."""
        token, now = new_id(), self.clock.now()
        with self._lock:
            self._grants = {each: grant for each, grant in self._grants.items() if now < grant[2]}
            self._grants[token] = (kind, thing, now + GRANT_LIFE)
        return token

    def redeem(self, kind: str, token: object) -> Any:
        """What a token of this kind stands for, and it stands for it no more; None for one that is used, old or none."""
        with self._lock:
            grant = self._grants.pop(str(token), None)
        if grant is None or grant[0] != kind or self.clock.now() >= grant[2]:
            return None
        return grant[1]

    def vouch(self, kind: str, token: object, device: object) -> dict[str, str] | None:
        """What a user's answer says: the person behind a token, masked, and the login assertion for a device. None where
        the token is not good, or the device is no P-256 key."""
        person: Person | None = self.redeem(kind, token)
        if person is None or not isinstance(device, dict) or not _is_key(device):
            return None
        now = self.clock.now()
        secret = sha256(b"pseudonyms of a simulator\n" + self.login_key.pem().encode()).digest()
        holder = seal_holder(
            person,
            sub=to_b64(hmac.digest(secret, person.id_number.encode(), sha256)[:16]),
            device_jwk=device,
            auth_time=now,
            key=self.login_key,
            province=self.province,
            inner=self.inner,
            now=now,
        )
        return {"holder": holder, **_masked(person)}

    def draw(self, text: str, showing_id: str, *, granted: bool = True, by_app: bool = True) -> str:
        """Let a text stand for a showing from now on; the texts drawn for it before are used up."""
        now = self.clock.now()
        with self._lock:
            # What expired long ago is forgotten, and still looks expired.
            kept = {old: string for old, string in self._strings.items() if now < string.expires_at + GRANT_LIFE}
            self._strings = {
                old: replace(string, used=True) if string.showing_id == showing_id else string
                for old, string in kept.items()
            }
            self._strings[text] = String(
                showing_id=showing_id, expires_at=now + STRING_LIFE, granted=granted, by_app=by_app
            )
        return text

    def authorise(self, text: str) -> None:
        """The holder says yes to a text that was pending; KeyError for none."""
        with self._lock:
            self._strings[text] = replace(self._strings[text], granted=True)

    def take(self, text: object) -> String | Gone:
        """What a text stands for, used up by this call, unless it is pending. A text that nobody drew looks expired:
        nobody learns which there were."""
        with self._lock:
            string = self._strings.get(str(text))
            if string is None:
                return Gone.EXPIRED
            if string.used:
                return Gone.USED
            if self.clock.now() >= string.expires_at:
                return Gone.EXPIRED
            if string.granted:
                self._strings[str(text)] = replace(string, used=True)
            return string


def labelled(app: str) -> Flask:
    """A web application every answer of which says that it is a simulator's."""
    flask = Flask(f"simulator_of_{app}", static_folder=None)
    flask.config["MAX_CONTENT_LENGTH"] = 16_384

    def label(response: Response) -> Response:
        response.headers[LABEL] = f"{app}; every answer is invented"
        return response

    flask.after_request(label)
    return flask


def says(app: str, name: str, **blanks: str) -> tuple[Response, int]:
    """A recorded answer as Flask's."""
    found = recorded(app, name)
    return jsonify(found.filled(**blanks)), found.status


def sent(body: object) -> Mapping[str, Any]:
    """A JSON body as an object; an empty one for everything else."""
    return body if isinstance(body, dict) else {}


def random_text(length: int, alphabet: str) -> str:
    """Random characters."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _masked(person: Person) -> dict[str, str]:
    """As these servers print a person: 张*, 310199********0017."""
    name, number = person.name, person.id_number
    return {"masked_name": name[:1] + "*" * (len(name) - 1), "masked_number": number[:6] + "*" * 8 + number[-4:]}


def _is_key(device: dict[str, str]) -> bool:
    if not HOLDER.claims["dev"].fits(device):
        return False
    try:
        public_from_jwk(device)
    except Refusal:
        return False
    return True

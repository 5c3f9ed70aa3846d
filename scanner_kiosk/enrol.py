"""scanner-kiosk enrol: this machine makes its window's key, an administrator says which window, the settings are written.

 1. the key is made here, in the state folder, mode 0600, and never leaves it
 2. the desk gives a user code; it stands on the screen with the first eight letters of the key's thumbprint, and the
    administrator compares both before approving
 3. the desk is asked again and again, as seldom as it wishes, until there is an answer
 4. the window's row is written into the list of windows (`scanner_kiosk.settings`)

What is under way is kept beside the key, so that an interrupted enrolment goes on where it was; one whose time is over begins
anew with the same key. A desk that is silent is asked again, it has refused nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from consent.clock import Clock, from_epoch, to_epoch
from consent.enrolment import GRANT_TYPE, SLOWER_S, applicant, seal_enrolment, short
from consent.errors import Reason, Refusal, Unavailable
from consent.keys import SANDBOX_MARK, SigningKey, jwk_of, load_key, new_key, secret_text, signing_key, write_private
from scanner_kiosk.province_client import Line, failure_of
from scanner_kiosk.settings import Settings, WindowSetting

KEY_FILE, PENDING_FILE = "window.pem", "enrolment.json"
_GO_ON: Final = frozenset({Reason.AUTHORIZATION_PENDING, Reason.SLOW_DOWN})
_JSON: Final = {"Accept": "application/json, application/problem+json", "Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An enrolment under way, as it is kept."""

    province: str
    desk_url: str
    device_code: str
    user_code: str
    interval: int
    expires_at: int

    def over(self, now: datetime) -> bool:
        """Whether nobody can approve it any more."""
        return now >= from_epoch(self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolling:
    """The enrolment of one kiosk at one desk. `say` writes a line for people, `wait` lets so many seconds pass."""

    settings: Settings
    desk_url: str
    province: str
    line: Line
    clock: Clock
    say: Callable[[str], None]
    wait: Callable[[float], object]

    def run(self) -> WindowSetting:
        """The four steps; Refusal with the desk's reason where the answer is no."""
        key = self._key()  # 1
        pending = self.resumed() or self._ask(key)  # 2
        self.say(f"用户码 User code: {pending.user_code}")
        self.say(f"密钥 Key: {short(key.kid)}")
        self.say("请管理员核对以上两项后批准 Ask the administrator to compare both and approve")
        found = self._poll(key, pending)  # 3
        row = self._write(found)  # 4
        self._pending_file.unlink(missing_ok=True)
        self.say(f"已登记 Enrolled: {row.window} {row.name}")
        return row

    def resumed(self) -> Pending | None:
        """What an earlier call has left, if it is for the same desk and still alive."""
        try:
            kept = Pending(**json.loads(secret_text(f"file:{self._pending_file}", sandbox=self.settings.sandbox)))
        except (Refusal, ValueError, TypeError):
            return None
        same = (kept.desk_url, kept.province) == (self.desk_url, self.province)
        return kept if same and not kept.over(self.clock.now()) else None

    @property
    def _folder(self) -> Path:
        return Path(self.settings.state)

    @property
    def _pending_file(self) -> Path:
        return self._folder / PENDING_FILE

    def _key(self) -> SigningKey:
        path = self._folder / KEY_FILE
        self._folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            mark = SANDBOX_MARK if self.settings.sandbox else ""
            write_private(path, new_key("ES256", issuer="new").pem(mark=mark))
        made = load_key(f"file:{path}", issuer="new", sandbox=self.settings.sandbox)
        return signing_key(made.private, issuer=applicant(made.public))

    def _ask(self, key: SigningKey) -> Pending:
        now = self.clock.now()
        proof = seal_enrolment(key, province=self.province, device_code=None, now=now)
        told = self._call("/windows/device_authorization", {"jwk": jwk_of(key.public), "proof": proof})
        pending = Pending(
            province=self.province,
            desk_url=self.desk_url,
            device_code=str(told["device_code"]),
            user_code=str(told["user_code"]),
            interval=int(told["interval"]),
            expires_at=to_epoch(now + timedelta(seconds=int(told["expires_in"]))),
        )
        self._pending_file.unlink(missing_ok=True)
        write_private(self._pending_file, json.dumps({name: getattr(pending, name) for name in Pending.__slots__}))
        return pending

    def _poll(self, key: SigningKey, pending: Pending) -> Mapping[str, Any]:
        interval = pending.interval
        while True:
            self.wait(interval)
            code = pending.device_code
            proof = seal_enrolment(key, province=self.province, device_code=code, now=self.clock.now())
            body = {"grant_type": GRANT_TYPE, "device_code": code, "proof": proof}
            try:
                return self._call("/windows/token", body)
            except Unavailable:
                if pending.over(self.clock.now()):
                    raise
            except Refusal as no:
                if no.reason not in _GO_ON or pending.over(self.clock.now()):  # a desk may not keep us waiting for ever
                    self._pending_file.unlink(missing_ok=True)  # this one is over; the next call begins anew
                    raise
                interval += SLOWER_S if no.reason is Reason.SLOW_DOWN else 0

    def _call(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        reply = self.line.call("POST", path, json.dumps(body).encode(), _JSON)
        if reply.status >= 400:
            raise failure_of(reply)
        try:
            found: Mapping[str, Any] = json.loads(reply.body)
        except ValueError as problem:
            raise Unavailable(Reason.OFFLINE, "desk", detail="not JSON") from problem
        return found

    def _write(self, found: Mapping[str, Any]) -> WindowSetting:
        row = {
            "province": found["province"],
            "window": found["window"],
            "name": found["window_name"],
            "desk_url": self.desk_url,
            "key_uri": f"file:{(self._folder / KEY_FILE).resolve()}",
            "unit": found["unit"],
            "unit_zh": found["unit_zh"],
            "unit_en": found["unit_en"],
        }
        path = Path(self.settings.windows)
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        rows = [each for each in kept if (each["province"], each["window"]) != (row["province"], row["window"])]
        # Whole or not at all: a kiosk that is cut off here must start again with the list that it had.
        fresh = path.with_name(path.name + ".new")
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps([*rows, row], ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(fresh, path)
        return WindowSetting(**row)

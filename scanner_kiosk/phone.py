"""A phone without a screen: the sandbox citizen of demo, bench and tests, on the same HTTP that a vendor uses.

It plays three parts that are apart in life and are kept apart here: the app's login (seals `holder+jwt`), the app's backend
(a vendor with a bearer token at wallet_api), and the device (a P-256 key that signs the answer). It knows nothing of the
verifier.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from consent.approval import Decision, seal_approval
from consent.b64 import digest_of, new_id
from consent.clock import Clock
from consent.envelope import Recipient
from consent.keys import SigningKey, jwk_of, new_key
from consent.showing import Person, seal_holder
from scanner_kiosk.province_client import Line, Reply, failure_of


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One province's app: how to reach its wallet_api, as which vendor, and with which login key."""

    province: str
    line: Line
    token: str = field(repr=False)
    login_key: SigningKey
    inner: Recipient
    clock: Clock


@dataclass(slots=True, kw_only=True)
class Phone:
    """One citizen's phone. `show` opens a showing; after that the other verbs are about that showing."""

    app: App
    person: Person
    device: SigningKey = field(default_factory=lambda: new_key("ES256", issuer="device"))
    showing_id: str = ""

    @property
    def sub(self) -> str:
        """The pairwise pseudonym of this person in this app."""
        return digest_of(f"{self.app.province}\n{self.person.id_number}".encode())[:22]

    def assertion(self, now: datetime) -> str:
        """A fresh login assertion."""
        return seal_holder(
            self.person,
            sub=self.sub,
            device_jwk=jwk_of(self.device.public),
            auth_time=now,
            key=self.app.login_key,
            province=self.app.province,
            inner=self.app.inner,
            now=now,
        )

    def show(self) -> str:
        """Open a showing and return its id."""
        body = self._post("/v1/showings", {"holder": self.assertion(self.app.clock.now())})
        self.showing_id = str(body["showing_id"])
        return self.showing_id

    def code(self) -> str:
        """The code's text, as the screen would draw it now."""
        return self._get("code", "text/plain").body.decode()

    def picture(self) -> bytes:
        """The code as PNG: what a camera sees."""
        return self._get("code", "image/png").body

    def state(self) -> dict[str, Any]:
        """The showing as the phone polls it."""
        return self._json(self._get("", "application/json"))

    def sheet(self) -> dict[str, Any]:
        """{"sheet": …, "holdings": … or null}; Refusal(REQUEST_UNKNOWN) before anybody has asked."""
        return self._json(self._get("request", "application/json"))

    def answer(
        self,
        decision: Decision,
        sheet: Mapping[str, Any],
        *,
        digits: str | None = None,
        certificate: str | None = None,
        declare: bool = True,
    ) -> dict[str, Any]:
        """Sign an answer to a sheet and hand it in."""
        return self._post(
            f"/v1/showings/{self.showing_id}/approval", self._signed(decision, sheet, digits, certificate, declare)
        )

    def withdraw(self, sheet: Mapping[str, Any]) -> dict[str, Any]:
        """Take the consent back, as far as that still can be done."""
        signed = self._signed(Decision.WITHDRAW, sheet, None, None, False)
        return self._post(f"/v1/showings/{self.showing_id}/withdrawal", signed)

    def _signed(
        self, decision: Decision, sheet: Mapping[str, Any], digits: str | None, certificate: str | None, declare: bool
    ) -> dict[str, str]:
        key = SigningKey(issuer=self.sub, alg=self.device.alg, kid=self.device.kid, private=self.device.private)
        text = seal_approval(
            key,
            province=self.app.province,
            request_digest=sheet["request"],
            decision=decision,
            now=self.app.clock.now(),
            certificate=certificate,
            digits=digits,
            declarations=tuple(each["slug"] for each in sheet["declarations"]) if declare else (),
        )
        return {"approval": text}

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {
            "Authorization": f"Bearer {self.app.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": new_id(),
        }
        return self._json(_passed(self.app.line.call("POST", path, json.dumps(body).encode(), headers)))

    def _get(self, what: str, accept: str) -> Reply:
        path = f"/v1/showings/{self.showing_id}" + (f"/{what}" if what else "")
        headers = {"Authorization": f"Bearer {self.app.token}", "Accept": accept}
        return _passed(self.app.line.call("GET", path, b"", headers))

    @staticmethod
    def _json(reply: Reply) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(reply.body)
        return found


def _passed(reply: Reply) -> Reply:
    if reply.status >= 400:
        raise failure_of(reply)
    return reply

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
from consent.standing import offer_digest, seal_standing
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

    def simple_code(self) -> str:
        """The simple code's text, for when the screen cannot show the full one."""
        return self._get("code?form=simple", "text/plain").body.decode()

    def twin(self) -> str:
        """A new typed twin."""
        return str(self._post(f"/v1/showings/{self.showing_id}/twin", {})["twin"])

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

    def read_counter(self, counter: str) -> str:
        """Hand in what the app's scanner has read off a counter's screen; returns the id of the answer to come."""
        return str(self._post(f"/v1/showings/{self.showing_id}/counter", {"counter": counter})["come_id"])

    def came(self, come_id: str) -> str:
        """PENDING or TAKEN; Refusal with the counter's reason."""
        return str(self._at(f"/v1/showings/{self.showing_id}/counter/{come_id}")["state"])

    def look_up(self) -> str:
        """Ask which certificates this person has, without a showing; returns the lookup's id."""
        return str(
            self._post("/v1/certificates/lookups", {"holder": self.assertion(self.app.clock.now())})["lookup_id"]
        )

    def looked_up(self, lookup_id: str) -> dict[str, Any] | None:
        """What the libraries said; None while they are asked."""
        found: dict[str, Any] | None = self._at(f"/v1/certificates/lookups/{lookup_id}")["holdings"]
        return found

    def ask_offer(self, desk: str, unit: str | None = None, matter: str | None = None, type_: str | None = None) -> str:
        """Ask what a unit may ask for, or for a province's units; returns the offer's id."""
        question = {"desk": desk, "unit": unit, "matter": matter, "type": type_}
        return str(self._post("/v1/offers", question)["offer_id"])

    def offered(self, offer_id: str) -> dict[str, Any]:
        """{"state", "units", "offer", "digest"}."""
        return self._at(f"/v1/offers/{offer_id}")

    def stand(self, offered: Mapping[str, Any], certificate: str, *, declare: bool = True) -> dict[str, Any]:
        """Agree before the scan to what was offered; the device computes the digest of the words itself."""
        offer = offered["offer"]
        text = seal_standing(
            self._device(),
            province=self.app.province,
            showing_id=self.showing_id,
            unit=offer["unit"]["uscc"],
            matter=offer["matter"]["slug"],
            certificate=certificate,
            offer=offer_digest(offer),
            now=self.app.clock.now(),
            declarations=tuple(each["slug"] for each in offer["declarations"]) if declare else (),
        )
        return self._post(f"/v1/showings/{self.showing_id}/standing", {"standing": text}, method="PUT")

    def take_back(self) -> None:
        """What stood, stands no more."""
        headers = {"Authorization": f"Bearer {self.app.token}"}
        _passed(self.app.line.call("DELETE", f"/v1/showings/{self.showing_id}/standing", b"", headers))

    def _device(self) -> SigningKey:
        return SigningKey(issuer=self.sub, alg=self.device.alg, kid=self.device.kid, private=self.device.private)

    def _signed(
        self, decision: Decision, sheet: Mapping[str, Any], digits: str | None, certificate: str | None, declare: bool
    ) -> dict[str, str]:
        text = seal_approval(
            self._device(),
            province=self.app.province,
            request_digest=sheet["request"],
            decision=decision,
            now=self.app.clock.now(),
            certificate=certificate,
            digits=digits,
            declarations=tuple(each["slug"] for each in sheet["declarations"]) if declare else (),
        )
        return {"approval": text}

    def _at(self, path: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.app.token}", "Accept": "application/json"}
        return self._json(_passed(self.app.line.call("GET", path, b"", headers)))

    def _post(self, path: str, body: Mapping[str, Any], *, method: str = "POST") -> dict[str, Any]:
        headers = {
            "Authorization": f"Bearer {self.app.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": new_id(),
        }
        return self._json(_passed(self.app.line.call(method, path, json.dumps(body).encode(), headers)))

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

"""The citizen's phone, as the back end under test meets it: the addresses of docs/conformance.md, and a device key.

Whatever the back end answers is kept, because a check also looks at what never may be in there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import urllib3
from urllib3.exceptions import HTTPError

from consent.approval import Decision, seal_approval
from consent.clock import Clock
from consent.errors import Reason, Unavailable
from consent.keys import SigningKey, jwk_of, new_key
from consent.standing import LIFE, offer_digest, seal_standing
from wallet_api.conformance.province import CODE
from wallet_api.conformance.tape import object_of

ROOT: Final = "/conformance"
_READ_S: Final = 60.0
_MOST: Final = 2_000_000  # bytes of an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An answer of the back end to the phone. `status` 0 means that there was none. `body` is {} where it was no object."""

    verb: str
    status: int
    body: Mapping[str, Any] = field(repr=False)
    raw: bytes = field(repr=False)

    @property
    def well(self) -> bool:
        """A success."""
        return 200 <= self.status < 300


class BackEnd:
    """The back end at `url`, without a slash at the end."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.heard: list[Heard] = []
        self._pool = urllib3.PoolManager()

    def ask(self, verb: str, body: Mapping[str, Any]) -> Heard:
        """POST to one of the addresses."""
        try:
            answer = self._pool.request(
                "POST",
                f"{self.url}{ROOT}/{verb}",
                body=json.dumps(body, ensure_ascii=False).encode(),
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                timeout=urllib3.Timeout(connect=3.0, read=_READ_S),
                retries=False,
                redirect=False,
            )
        except HTTPError:
            heard = Heard(verb=verb, status=0, body={}, raw=b"")
        else:
            raw = answer.data[:_MOST]
            heard = Heard(verb=verb, status=answer.status, body=object_of(raw), raw=raw)
        self.heard.append(heard)
        return heard

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()


def reach(back_end: BackEnd, body: Mapping[str, Any]) -> None:
    """/conformance/begin, or Unavailable(APP_UNREACHABLE): then nothing can be checked at all."""
    heard = back_end.ask("begin", body)
    if not heard.well:
        said = f"answered {heard.status}" if heard.status else "did not answer"
        raise Unavailable(Reason.APP_UNREACHABLE, what="back end", detail=f"POST {back_end.url}{ROOT}/begin {said}")


class Phone:
    """One citizen's phone. Its device key never leaves it. `sub` is the back end's pseudonym for the citizen, which an answer
    names as its issuer; in life the phone's page is told it by the back end."""

    def __init__(self, back_end: BackEnd, account: str, *, clock: Clock) -> None:
        self._back_end = back_end
        self._clock = clock
        self.account = account
        self.sub = account
        self.device: SigningKey = new_key("ES256", issuer=account)

    @property
    def jwk(self) -> dict[str, str]:
        """The public half of the device key."""
        return jwk_of(self.device.public)

    def ask(self, verb: str, **more: Any) -> Heard:
        """Ask the back end something as this citizen."""
        return self._back_end.ask(verb, {"account": self.account, **more})

    def show(self) -> Heard:
        """Open a showing."""
        return self.ask("show", device=self.jwk)

    def sign(
        self, request: str, decision: Decision, *, key: SigningKey | None = None, certificate: str | None = None
    ) -> str:
        """The citizen's answer, signed in the phone; with another key where one is given."""
        agreed = decision is Decision.AGREE
        return seal_approval(
            replace(key or self.device, issuer=self.sub),
            province=CODE,
            request_digest=request,
            decision=decision,
            now=self._clock.now(),
            certificate=certificate,
            digits="47" if agreed else None,
            declarations=("marital_status",) if agreed else (),
        )

    def stand(self, showing_id: str, offer: Mapping[str, Any], *, certificate: str, left: timedelta = LIFE) -> str:
        """An answer given before the scan, signed; it is good for `left` of its quarter of an hour."""
        return seal_standing(
            replace(self.device, issuer=self.sub),
            province=CODE,
            showing_id=showing_id,
            unit=offer["unit"]["uscc"],
            matter=offer["matter"]["slug"],
            certificate=certificate,
            offer=offer_digest(offer),
            declarations=("marital_status",),
            now=self._clock.now() - (LIFE - left),
        )

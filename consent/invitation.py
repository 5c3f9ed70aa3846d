"""The counter's own code: a counter invites the phone, instead of reading it (`counter+jwt`), life 60 s.

A one-way code on a phone can be relayed: somebody films it and shows it elsewhere. Here the counter shows a code and the
app's scanner reads it, so the phone knows from the first moment which window it talks to. The desk's province seals it; it
names the window and the request id that the kiosk chose, no person and no matter.

On the counter's screen it stands as `YRDC:` and the compact JWS. Who scans it sends it through wallet_api and the own
province to that desk, together with the present code of the showing: from there on everything is as if the counter had
read that code. The first phone wins; the two digits are asked for as always.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consent.errors import Reason, Refusal
from consent.keys import Keys, Kind, SigningKey
from consent.seal import Sealed, open_sealed, seal
from consent.shapes import Text

PREFIX: Final = "YRDC:"
LIFE: Final = timedelta(seconds=60)
LENGTH: Final = 600  # characters, prefix included, at most

INVITATION: Final = Kind(
    typ="counter+jwt",
    claims={"window": Text(64, 1)},
    life=LIFE,
    max_length=LENGTH - len(PREFIX),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A counter's code whose seal held."""

    sealed: Sealed
    window: str

    @property
    def desk(self) -> str:
        """Province of the counter."""
        return self.sealed.issuer

    @property
    def request_id(self) -> str:
        """What the kiosk will ask under."""
        return self.sealed.jti


def seal_invitation(key: SigningKey, *, window: str, request_id: str, now: datetime) -> str:
    """The code's text, sealed with the desk's request key."""
    return PREFIX + seal(INVITATION, {"window": window}, key, audience="phone", now=now, jti=request_id)


def open_invitation(text: str, keys: Keys, *, now: datetime) -> Invitation:
    """A counter's code that is alive; Refusal CODE_MALFORMED for what is none, CODE_EXPIRED for a dead one, else DOCUMENT_…"""
    if not text.startswith(PREFIX) or len(text) > LENGTH:
        raise Refusal(Reason.CODE_MALFORMED, detail="not a counter's code")
    try:
        sealed = open_sealed(INVITATION, text.removeprefix(PREFIX), keys, audience="phone", now=now)
    except Refusal as no:
        if no.reason is Reason.DOCUMENT_EXPIRED:
            raise Refusal(Reason.CODE_EXPIRED, detail="the counter's code is over") from no
        raise
    return Invitation(sealed=sealed, window=sealed.claims["window"])

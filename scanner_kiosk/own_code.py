"""The counter's own code: shown on the screen for a phone to read, instead of the phone being held in.

Nobody tells the counter that a phone has read it. The desk begins the visit by itself, under the request id that was sent
with the invitation; until then that id is unknown there. So the counter looks, twice a second:

1. at each code that a phone may still have read, oldest first; the first visit that is found is the one
2. a code is let go only after a look that the desk has answered when no phone could come with it any more
3. the last code is replaced `RENEW` before it dies, under a new request id, so that whoever has just read it can still come

Where the desk is silent, nothing is let go and nothing replaced: a claim that came meanwhile is found later.

A counter that shows its code no more takes it back (`take_back`), so that nobody comes to a window that does not look.

The code is judged like any document before it is shown. It names this window and this request, or it is not ours.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from qrcode.constants import ERROR_CORRECT_M
from qrcode.image.svg import SvgPathFillImage
from qrcode.main import QRCode

from consent.clock import Clock
from consent.errors import Reason, Refusal
from consent.invitation import open_invitation
from consent.keys import Keys
from consent.seal import SKEW
from scanner_kiosk.counter import Invited
from scanner_kiosk.province_client import ProvinceClient
from scanner_kiosk.visit import Asked, View

RENEW: Final = timedelta(seconds=15)
LATE: Final = SKEW + timedelta(seconds=5)  # after its end: the desk's clock may be behind, and its worker busy
BORDER: Final = 4  # modules; the standard's quiet zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A phone has read one of the codes."""

    asked: Asked
    view: View


def tend(
    client: ProvinceClient, invited: tuple[Invited, ...], ask: Callable[[], Asked], keys: Keys, clock: Clock
) -> tuple[Invited, ...] | Claimed:
    """One look, in the order above: the visit that a phone has begun, or the codes that may be read from now on.

    `ask` makes an invitation's bytes under a new request id. Refusal as the desk says it, Unavailable where it does not
    answer; then all stays as it was.
    """
    kept = []
    for each in invited:  # 1
        looked_at = clock.now()
        view = come(client, each)
        if view is not None:
            return Claimed(asked=each.asked, view=view)
        if looked_at < each.expires_at + LATE:  # 2
            kept.append(each)
    if not kept or clock.now() >= kept[-1].expires_at - RENEW:  # 3
        asked = ask()
        kept.append(opened(client.invite(asked), asked, client, keys, now=clock.now()))
    return tuple(kept)


def come(client: ProvinceClient, invited: Invited) -> View | None:
    """The visit that a phone has begun with this code; None while nobody has."""
    try:
        return client.visit(invited.asked.request_id)
    except Refusal as no:
        if no.reason is Reason.REQUEST_UNKNOWN:
            return None
        raise


def take_back(client: ProvinceClient, request_id: str) -> None:
    """No phone comes with this code any more. Where one was first, its visit is cleared: nobody looks, and its copy must not
    stay openable. Refusal and Unavailable as the desk says."""
    try:
        client.uninvite(request_id)
    except Refusal as no:
        if no.reason is not Reason.STATE_FORBIDS:
            raise
        client.clear(request_id)


def opened(text: str, asked: Asked, client: ProvinceClient, keys: Keys, *, now: datetime) -> Invited:
    """The code that a desk gave out; Refusal where its seal does not hold or it is not for this window and request."""
    invitation = open_invitation(text, keys, now=now)
    if (invitation.desk, invitation.window, invitation.request_id) != (
        client.province,
        client.window,
        asked.request_id,
    ):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="an invitation to somewhere else")
    return Invited(asked=asked, text=text, expires_at=invitation.sealed.expires_at)


def drawing(text: str) -> bytes:
    """The code as an SVG: black on white, level M, four white modules around it."""
    symbol: QRCode[SvgPathFillImage] = QRCode(
        error_correction=ERROR_CORRECT_M, border=BORDER, image_factory=SvgPathFillImage
    )
    symbol.add_data(text, optimize=0)  # one segment: a signature has no runs worth one of their own
    symbol.make(fit=True)
    out = io.BytesIO()
    # Without it, a browser that draws a module at a broken number of pixels leaves hairs of white between two dark ones.
    symbol.make_image(None, **{"shape-rendering": "crispEdges"}).save(out)
    return out.getvalue()

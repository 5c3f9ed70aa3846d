"""Nobody is asked until they give in: limits on requests to one citizen, whichever counters they come from.

 1. at most three requests wait for an answer at a time
 2. a unit whose request was declined, or left without an answer, does not ask again for ten minutes

Counted from the history of the citizen's province, so a counter cannot get around it by another window or another phone of
the same app. The counter hears that it must wait, which it knows already: it was not authorised.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from consent.errors import Reason, Refusal
from consent.request import Request
from consent.stores.base import reading
from verifier.history import End
from verifier.office import Office
from verifier.stores import inner
from verifier.stores.history import recent

MOST_OPEN: Final = 3
AGAIN_AFTER: Final = timedelta(minutes=10)
_NO: Final = frozenset({End.DECLINED, End.TIMED_OUT})


def judge_pressing(office: Office, holder: str, request: Request, *, now: datetime) -> None:
    """Pass a request that may still be put to this citizen (`verifier.history.holder_name`); Refusal(ASKED_TOO_OFTEN) with
    `n` minutes otherwise."""
    with reading(office.inner) as conn:
        rows = recent(conn, inner.history, holder, since=now - AGAIN_AFTER)
    others = [row for row in rows if row.request_digest != request.digest]
    if sum(row.outcome == End.ASKED for row in others) >= MOST_OPEN:
        raise Refusal(Reason.ASKED_TOO_OFTEN, detail="too many wait for an answer", n=1)
    answered = [row.asked_at for row in others if row.unit == request.ask.unit and row.outcome in _NO]
    if answered:
        left = max(answered) + AGAIN_AFTER - now
        raise Refusal(Reason.ASKED_TOO_OFTEN, detail="declined or left unanswered", n=-(-left // timedelta(minutes=1)))

"""Agreeing before the scan: the offer in the register's words, the answer that stands, its end, and taking it back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from consent.b64 import to_b64
from consent.standing import offer_digest
from wallet_api.conformance import judging
from wallet_api.conformance.judging import finding
from wallet_api.conformance.province import LIBRARY
from wallet_api.conformance.run import Run, must, word

_CERTIFICATE: Final = f"{LIBRARY}.{to_b64(bytes(15) + b'1')}"
_LEFT_S: Final = 5.0  # of a quarter of an hour, for the answer whose end is waited for
_PAST_S: Final = 3.0  # beyond the end: a back end knows wallet_api's time to about a second


def express(run: Run) -> None:
    """The citizen reads the offer, agrees, takes it back, agrees again, and waits until it is over."""
    showing_id = run.opened(run.first)
    offer = run.province.offer()
    asked = {"desk": offer["desk"], "unit": offer["unit"]["uscc"], "matter": offer["matter"]["slug"]}
    must(run.first.ask("inquire", type=offer["type"], **asked))
    if not run.province.answer("offer", {"offer": offer, "digest": offer_digest(offer)}):
        return
    shown = must(run.first.ask("offer")).body
    same, ticked = shown.get("offer") == offer, shown.get("ticked")
    run.note(finding("offer-as-worded", same and ticked == [], same=word(same), unticked=word(ticked == [])))

    _stand(run, run.first.stand(showing_id, offer, certificate=_CERTIFICATE))
    before, mark = _stands(run), run.province.tape.here
    must(run.first.ask("takeback"))
    taken = len(run.province.tape.since(mark, "takeBackStanding"))
    back = before is True and taken > 0 and _stands(run) is False
    run.note(finding("standing-taken-back", back, told=taken))

    _stand(run, run.first.stand(showing_id, offer, certificate=_CERTIFICATE, left=timedelta(seconds=_LEFT_S)))
    before = _stands(run)
    run.pace.advance(_LEFT_S + _PAST_S)
    after = _stands(run)
    run.note(finding("standing-ends", before is True and after is False, before=_said(before), after=_said(after)))


def _stand(run: Run, standing: str) -> None:
    """The phone gives a signed answer to the back end, which is to hand it in."""
    mark = run.province.tape.here
    heard = run.first.ask("stand", standing=standing)
    calls = run.province.tape.since(mark, "standForRequest", "closeShowing")
    run.note(
        *judging.judge_handing_in("standing-as-signed", calls, standing, "standForRequest", member="standing"),
    )
    must(heard)


def _stands(run: Run) -> Any:
    return must(run.first.ask("standing")).body.get("stands")


def _said(told: Any) -> str:
    return word(told) if isinstance(told, bool) else "?"

"""The line to wallet_api: an eager phone, answers of the future, silences, dead tokens, a clock that is ahead."""

from __future__ import annotations

from typing import Any, Final

from consent.errors import Reason, Refusal, Unavailable
from wallet_api.conformance import judging
from wallet_api.conformance.judging import finding
from wallet_api.conformance.province import VENDOR
from wallet_api.conformance.run import ANSWERS_IN_S, Run, must
from wallet_api.conformance.tap import Changed, Lost, Said, Slow
from wallet_api.conformance.tape import claims_of

_RETRY_AFTER_S: Final = 2
_SLOW_S: Final = 3.0
_SHORT_LIFE_S: Final = 4
_AHEAD_S: Final = 150.0
_CLOSE_S: Final = 10.0  # how far two clocks that were compared may still be apart
_EAGER: Final = 8  # questions of the eager phone


def poll(run: Run) -> None:
    """An eager phone."""
    showing_id = run.opened(run.first)
    run.state(run.first, showing_id)
    run.pace.advance(ANSWERS_IN_S)
    mark, heard = run.province.tape.here, []
    for _ in range(_EAGER):
        heard.append(must(run.first.ask("state")))
        run.pace.advance(0.4)
    row = run.province.row(showing_id)
    calls = [call for call in run.province.tape.since(mark, "getShowing") if call.showing_id == showing_id]
    run.note(*judging.judge_polling(calls, heard, state=row.state, version=row.version))


def grow(run: Run) -> None:
    """Answers with members that nobody knows yet."""
    run.opened(run.second)  # as it is; what fails now has another reason
    run.province.tap.plan("", Changed(_grown), times=100)
    heard = run.second.show()
    if heard.well:
        heard = run.second.ask("code", form="text")
    if heard.well:
        run.pace.advance(ANSWERS_IN_S)
        heard = run.second.ask("state")
    right = heard.well and heard.body.get("state") == "OPEN"
    run.note(finding("unknown-members", right, status=heard.status))


def _grown(told: dict[str, Any]) -> dict[str, Any]:
    return {"added_later": {"by": "a newer wallet_api"}, **told, "added_too": [1, None, "…"]}


def fail(run: Run) -> None:
    """503, a line that breaks, 409 while the first try is answered, a slow answer, 429, and silence."""
    silent = Said(Unavailable(Reason.STORE_UNAVAILABLE, what="database", retry_after_s=1))
    tape, tap = run.province.tape, run.province.tap
    busy = Said(Refusal(Reason.IDEMPOTENCY_IN_FLIGHT))  # the first try is still being answered
    faults = (("retry-on-503", silent), ("retry-on-broken-line", Lost()), ("retry-while-in-flight", busy))
    for check, fault in faults:
        tap.plan("openShowing", fault)
        mark = tape.here
        run.first.show()
        run.note(*judging.judge_retry(check, tape.since(mark, "openShowing")))
    tap.plan("openShowing", Slow(_SLOW_S))
    mark = tape.here
    heard = run.first.show()
    run.note(*judging.judge_slow(heard, tape.since(mark, "openShowing")))
    showing_id = run.opened(run.first)
    must(run.first.ask("code", form="text"))

    tap.plan("getCode", Said(Refusal(Reason.TOO_MANY), {"Retry-After": str(_RETRY_AFTER_S)}))
    mark = tape.here
    for _ in range(_EAGER):
        if run.first.ask("code", form="text").well:
            break
        run.pace.advance(0.4)
    run.note(*judging.judge_waiting(tape.since(mark, "getCode"), float(_RETRY_AFTER_S)))

    run.state(run.first, showing_id, judged=False)
    run.pace.advance(ANSWERS_IN_S)
    tap.plan("getShowing", silent, times=10_000)
    mark, began = tape.here, run.pace.now()
    heard = run.first.ask("state")
    took = (run.pace.now() - began).total_seconds()
    run.note(*judging.judge_silence(heard, len(tape.since(mark, "getShowing")), took))


def tokens(run: Run) -> None:
    """Dead tokens, short tokens, a lost token, a vendor that is shut out."""
    tape, tap = run.province.tape, run.province.tap
    showing_id = run.opened(run.second)
    run.state(run.second, showing_id)

    run.province.revoke_tokens()
    run.pace.advance(ANSWERS_IN_S)
    mark = tape.here
    heard = run.second.ask("state")
    run.note(*judging.judge_renewal(tape.since(mark)))
    must(heard)

    run.province.revoke_tokens()
    tap.plan("getToken", Changed(lambda told: {**told, "expires_in": _SHORT_LIFE_S}))
    mark = tape.here
    run.state(run.second, showing_id, judged=False)
    run.pace.advance(_SHORT_LIFE_S)
    run.state(run.second, showing_id, judged=False)
    run.note(*judging.judge_short_token(tape.since(mark)))
    tap.clear()

    run.province.revoke_tokens()
    tap.plan("getToken", Lost())  # the assertion is used up, and the token never came
    run.pace.advance(ANSWERS_IN_S)
    run.second.ask("state")
    tap.clear()

    run.province.vendors.disable(VENDOR, now=run.province.clock.now())
    run.pace.advance(ANSWERS_IN_S)
    mark = tape.here
    heard = run.second.ask("state")
    asked = len(tape.since(mark, "getToken"))
    run.province.vendors.enable(VENDOR, now=run.province.clock.now())
    if asked:
        run.note(finding("token-refusal-ends", asked <= 3 and not heard.well, asked=asked))


def clock(run: Run) -> None:
    """wallet_api's clock is ahead of the machine's."""
    showing_id = run.opened(run.first)
    run.province.clock.put_ahead(_AHEAD_S)
    run.state(run.first, showing_id, judged=False)  # by this answer the back end can hear what time it is
    mark = run.province.tape.here
    heard = run.first.show()
    tries = run.province.tape.since(mark, "openShowing")
    if tries:
        dated = claims_of(str(tries[-1].json.get("holder", ""))).get("iat")
        off = abs(dated - tries[-1].server_at.timestamp()) if type(dated) is int else _AHEAD_S
        run.note(finding("server-time", heard.well and off <= _CLOSE_S, off_s=float(off)))

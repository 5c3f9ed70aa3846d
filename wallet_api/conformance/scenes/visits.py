"""Visits as citizens make them: showing, agreeing, declining, receiving, ends, and two citizens at once."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import datetime, timedelta
from typing import Any, Final

from consent.approval import Decision
from consent.code import PREFIX
from consent.errors import Reason
from consent.keys import new_key
from consent.showing import SLICE
from wallet_api import picture
from wallet_api.conformance import judging
from wallet_api.conformance.judging import Finding, finding
from wallet_api.conformance.phone import Heard
from wallet_api.conformance.run import ANSWERS_IN_S, Run, must, name_of, word
from wallet_api.doors.schemas import told as told_of
from wallet_api.showings import Shown

_LEFT_S: Final = 2.6  # of a slice, when the first code is fetched
_SLICES_TRIED: Final = 3
_CLOSE_S: Final = 10.0  # how far two clocks that were compared may still be apart


def show(run: Run) -> None:
    """A showing, its code as text and as a picture, and the next code."""
    showing_id = run.opened(run.first)
    run.state(run.first, showing_id)
    heard, given = _last_code(run, showing_id)
    same = heard.body.get("code") in [each.text for each in given]
    run.note(finding("code-as-given", same, same=word(same)))
    run.note(_times(run, heard, given))

    drawn = must(run.first.ask("code", form="png"))
    due = [picture.png(each.text) for each in (*given, run.province.shown(showing_id))]
    got = _bytes(drawn.body.get("picture"))
    run.note(finding("picture-as-given", got in due, got=len(got), due=len(due[0])))

    run.pace.advance(given[-1].refresh_in + 1.0)  # it is in whole seconds, rounded down
    again, _ = run.code(run.first, showing_id)
    new = again.body.get("code") != heard.body.get("code")
    run.note(finding("code-renewed", new, new=word(new)))


def _last_code(run: Run, showing_id: str) -> tuple[Heard, tuple[Shown, ...]]:
    """A code near the end of its slice, so that nobody waits half a minute for the next. On a slow machine the end may
    have come before the answer; then near the end of the next slice."""
    opened_at = run.province.row(showing_id).opened_at
    for _ in range(_SLICES_TRIED):
        left = SLICE - (run.province.clock.now() - opened_at) % SLICE
        run.province.clock.put_ahead(left.total_seconds() - _LEFT_S)
        heard, given = run.code(run.first, showing_id)
        if given[-1].refresh_in <= _LEFT_S:
            break
    return heard, given


def _times(run: Run, heard: Heard, given: tuple[Shown, ...]) -> Finding:
    told = heard.body.get("refresh_in")
    due = max(each.refresh_in for each in given)
    right = type(told) is int and 1 <= told <= due
    off = _apart(heard.body.get("server_time"), run)
    passed = right and off <= _CLOSE_S
    return finding("code-times-told", passed, told_s=told if type(told) is int else "?", due_s=due, off_s=off)


def _apart(told: Any, run: Run) -> float:
    """Seconds between a told time and wallet_api's."""
    try:
        found = datetime.fromisoformat(str(told))
        return abs((found - run.province.clock.now()) / timedelta(seconds=1))
    except (ValueError, TypeError):
        return 86_400.0


def _bytes(text: Any) -> bytes:
    try:
        return b64decode(str(text), validate=True)
    except ValueError:
        return b""


def agree(run: Run) -> None:
    """A counter asks; a stranger's signature is refused; agreement, consent, withdrawal."""
    showing_id, sheet = run.asked(run.first)
    row = run.province.row(showing_id)
    shown = must(run.first.ask("sheet"))
    run.note(*judging.judge_sheet(shown, sheet=sheet, holdings=json.loads(row.holdings or "null")))

    mark = run.province.tape.here
    forged = run.first.sign(sheet["request"], Decision.DECLINE, key=new_key("ES256", issuer="stranger"))
    heard = run.first.ask("answer", approval=forged)
    run.note(*judging.judge_refusal(heard, run.province.tape.since(mark, "answerRequest")))

    run.hand_in(run.first, "answer", run.agreement(run.first, sheet), "answerRequest")
    run.state(run.first, showing_id)
    run.province.move(showing_id, "consent")
    run.state(run.first, showing_id)
    withdrawal = run.first.sign(sheet["request"], Decision.WITHDRAW)
    run.hand_in(run.first, "withdraw", withdrawal, "withdrawConsent")
    seen = run.state(run.first, showing_id, judged=False).body.get("state")
    run.note(finding("withdrawing-as-told", seen == "WITHDRAWING", state=name_of(seen)))
    run.province.end(showing_id, "withdrawn", Reason.WITHDRAWN)
    run.state(run.first, showing_id)


def decline(run: Run) -> None:
    """A counter asks; the citizen says no."""
    showing_id, sheet = run.asked(run.second)
    must(run.second.ask("sheet"))
    mark = run.province.tape.here
    no = run.second.sign(sheet["request"], Decision.DECLINE)
    heard = run.second.ask("answer", approval=no)
    calls = run.province.tape.since(mark, "answerRequest", "closeShowing", "withdrawConsent")
    run.note(*judging.judge_handing_in("decline-as-signed", calls, no, "answerRequest"))
    must(heard)
    run.province.end(showing_id, "decline", Reason.DECLINED)
    run.state(run.second, showing_id)


def receive(run: Run) -> None:
    """Agreement, delivery, receipt."""
    showing_id = run.agreed(run.second)
    run.province.end(showing_id, "deliver")
    run.state(run.second, showing_id)
    heard = must(run.second.ask("receipt"))
    due = json.loads(run.province.row(showing_id).result or "{}")["receipt"]
    got = heard.body.get("receipt")
    length = len(got) if isinstance(got, str) else 0
    run.note(finding("receipt-as-given", got == due, got=length, due=len(due)))


def end(run: Run) -> None:
    """A showing that expired beside one whose certificate is void."""
    showing_id = run.opened(run.second)
    must(run.second.ask("code", form="text"))
    run.province.move(showing_id, "expire", reason=Reason.CODE_EXPIRED)
    expired = run.state(run.second, showing_id, judged=False)
    heard = run.second.ask("code", form="text")
    shown = str(heard.body.get("code", "")).startswith(PREFIX)  # in a problem, `code` is the reason
    run.note(finding("code-ends-with-showing", not heard.well and not shown, status=heard.status))

    showing_id = run.agreed(run.first)
    run.province.end(showing_id, "refuse", Reason.CERTIFICATE_NOT_VALID)
    void = run.state(run.first, showing_id, judged=False)
    due = (("EXPIRED", Reason.CODE_EXPIRED), ("REFUSED", Reason.CERTIFICATE_NOT_VALID))
    right = [_ending(each) == _told(*told) for each, told in zip((expired, void), due, strict=True)]
    first, second = (
        f"{name_of(each.body.get('state'))}/{name_of(each.body.get('reason'))}" for each in (expired, void)
    )
    run.note(finding("endings-apart", all(right), first=first, second=second))


def _told(state: str, reason: Reason) -> dict[str, Any]:
    return {"state": state, "reason": reason.value, **told_of(reason)}


def _ending(heard: Heard) -> dict[str, Any]:
    return {name: heard.body.get(name) for name in ("state", "reason", "sentence", "next")}


def apart(run: Run) -> None:
    """Two citizens at once."""
    ids = {phone: run.opened(phone) for phone in (run.first, run.second)}
    run.pace.advance(ANSWERS_IN_S)
    mixed = 0
    for (phone, showing_id), other in zip(ids.items(), reversed(ids.values()), strict=True):
        mixed += must(phone.ask("state")).body.get("showing_id") != showing_id
        mixed += _is_of(run, must(phone.ask("code", form="text")), other)
    theirs = ids[run.first]
    for verb in ("state", "code"):
        mixed += _is_of(run, run.second.ask(verb, form="text", showing_id=theirs), theirs)
    run.note(finding("citizens-apart", not mixed, mixed=mixed))


def _is_of(run: Run, heard: Heard, showing_id: str) -> bool:
    """Whether an answer is about this showing: by its id, or by its code."""
    about = heard.body.get("showing_id") == showing_id
    return heard.well and (about or heard.body.get("code") == run.province.shown(showing_id).text)

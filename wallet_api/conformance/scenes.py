"""What is played: one scene after the other, each with showings of its own, so that one that stops leaves the others whole.

 1. show      a showing, its code as text and as a picture, and the next code
 2. agree     a counter asks; a stranger's signature is refused; agreement, consent, withdrawal
 3. hooks     webhooks: genuine, forged, old, twice, out of order, under two secrets
 4. decline   a counter asks; the citizen says no
 5. receive   agreement, delivery, receipt
 6. end       a showing that expired beside one whose certificate is void
 7. poll      an eager phone
 8. grow      answers with members that nobody knows yet
 9. fail      503, a line that breaks, a slow answer, 429, and silence
10. tokens    dead tokens, short tokens, a lost token, a vendor that is shut out
11. apart     two citizens at once
12. clock     wallet_api's clock is ahead of the machine's

A scene stops where the back end gives no usable answer; what it would have shown is then "not run".
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from consent.approval import Decision
from consent.code import PREFIX
from consent.errors import Reason, Refusal, Unavailable
from consent.keys import new_key
from consent.showing import SLICE, open_holder
from wallet_api import picture
from wallet_api.conformance import judging
from wallet_api.conformance.judging import Finding, Opening, finding
from wallet_api.conformance.pace import Pace
from wallet_api.conformance.phone import BackEnd, Heard, Phone
from wallet_api.conformance.province import CITIZENS, CODE, VENDOR, OutOfStep, Province
from wallet_api.conformance.tap import Changed, Lost, Said, Slow
from wallet_api.conformance.tape import claims_of
from wallet_api.doors.schemas import told as told_of
from wallet_api.showings import Shown

_ANSWERS_IN_S: Final = 1.1  # a back end may keep a state for a second
_LEFT_S: Final = 2.6  # of a slice, when the first code is fetched
_SLICES_TRIED: Final = 3
_RETRY_AFTER_S: Final = 2
_SLOW_S: Final = 3.0
_SHORT_LIFE_S: Final = 4
_AHEAD_S: Final = 150.0
_CLOSE_S: Final = 10.0  # how far two clocks that were compared may still be apart
_QUICK_S: Final = 5.0
_OLD_S: Final = 600
_EAGER: Final = 8  # questions of the eager phone
_OTHER_SECRET: Final = "whsec_YSBzZWNyZXQgdGhhdCBub2JvZHkgaGFzIHJlZ2lzdGVyZWQ="  # noqa: S105 - nobody's


class Stopped(Exception):  # noqa: N818 - a scene's end, not a fault of ours
    """The back end gave no usable answer."""

    def __init__(self, heard: Heard) -> None:
        super().__init__(heard.verb)
        self.heard = heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where a scene stopped: what the phone asked last and the status that it got. A good status there means that the back
    end said it had done something and had not."""

    scene: str
    verb: str
    status: int


@dataclass(slots=True, kw_only=True)
class Run:
    """One run against one back end: who plays, and what was found so far."""

    province: Province
    back_end: BackEnd
    first: Phone
    second: Phone
    findings: list[Finding] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    openings: list[Opening] = field(default_factory=list)
    states: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def pace(self) -> Pace:
        """The machine's time."""
        return self.province.pace

    def note(self, *found: Finding) -> None:
        """Keep findings."""
        self.findings += found

    def play(self, say: Callable[[int, int, str], None]) -> None:
        """All scenes, and then what is judged over the whole."""
        for n, (name, scene) in enumerate(SCENES.items(), start=1):
            say(n, len(SCENES), name)
            try:
                scene(self)
            except Stopped as stopped:
                self.stops.append(Stop(scene=name, verb=stopped.heard.verb, status=stopped.heard.status))
            except OutOfStep:
                last = self.back_end.heard[-1]
                self.stops.append(Stop(scene=name, verb=last.verb, status=last.status))
            finally:
                self.province.tap.clear()
        self._judge_whole()

    def _judge_whole(self) -> None:
        calls, heard, province = self.province.tape.since(), self.back_end.heard, self.province
        self.note(*judging.judge_assertions(calls, client_id=VENDOR, issuer=province.url))
        self.note(*judging.judge_tokens(calls))
        keys = (province.client_key.pem(mark=""), province.login_key.pem(mark=""), province.secret)
        inside = [part for key in keys for part in key.splitlines() if not part.startswith("--")]
        self.note(*judging.judge_secrets(calls, heard, keys=inside))
        self.note(*judging.judge_privacy(calls, heard, [each.person for each in CITIZENS]))
        self.note(*judging.judge_keys(calls))
        self.note(*judging.judge_people(self.openings))
        if self.states:
            wrong = [state for state, same in self.states if not same]
            which = ", ".join(dict.fromkeys(wrong)) or "-"
            self.note(finding("states-as-told", not wrong, n=len(self.states), wrong=len(wrong), which=which))

    # Steps that many scenes share ---------------------------------------------------------------------------

    def opened(self, phone: Phone) -> str:
        """A new showing of this citizen; its id is read off wallet_api's own answer."""
        mark = self.province.tape.here
        heard = phone.show()
        made = [call for call in self.province.tape.since(mark, "openShowing") if call.told.get("showing_id")]
        for call in made[:1]:
            self._keep_opening(phone, str(call.json.get("holder", "")))
        if not heard.well or not made:
            raise Stopped(heard)
        return str(made[-1].told["showing_id"])

    def _keep_opening(self, phone: Phone, assertion: str) -> None:
        claims, now = claims_of(assertion), self.province.clock.now()
        phone.sub = str(claims.get("sub", ""))
        due = next(each.person for each in CITIZENS if each.account == phone.account)
        try:
            holder = open_holder(assertion, self.province.showings.keys, province=CODE, now=now)
            person = holder.person(self.province.inner)
        except Refusal:  # wallet_api took the document and cannot see into the envelope; the inner network refuses it
            person = None
        self.openings.append(
            Opening(
                account=phone.account,
                person=person,
                due=due,
                sub=phone.sub,
                device=claims.get("dev") or {},
                device_due=phone.jwk,
            )
        )

    def state(self, phone: Phone, showing_id: str, *, judged: bool = True) -> Heard:
        """The state that the phone sees now, after a pause in which a kept one grew old."""
        self.pace.advance(_ANSWERS_IN_S)
        heard = _must(phone.ask("state"))
        row = self.province.row(showing_id)
        same = heard.body.get("state") == row.state and heard.body.get("version") == row.version
        if judged:
            self.states.append((row.state, same))
        return heard

    def asked(self, phone: Phone) -> tuple[str, dict[str, Any]]:
        """A showing that a counter has asked about: its id and the sheet that was written."""
        showing_id = self.opened(phone)
        sheet = self.province.ask(showing_id)
        self.state(phone, showing_id)
        return showing_id, sheet

    def agreed(self, phone: Phone) -> str:
        """A showing that has its consent, with its agreement handed in by the back end."""
        showing_id, sheet = self.asked(phone)
        _must(phone.ask("sheet"))
        self.hand_in(phone, "answer", self.agreement(phone, sheet), "answerRequest")
        self.province.move(showing_id, "consent")
        return showing_id

    def agreement(self, phone: Phone, sheet: dict[str, Any]) -> str:
        """What the citizen signs who agrees with the first certificate."""
        row = self.province.row_of_request(sheet["request"])
        found = json.loads(row.holdings or "{}")["certificates"][0]["certificate"]
        return phone.sign(sheet["request"], Decision.AGREE, certificate=found)

    def hand_in(self, phone: Phone, verb: str, document: str, operation: str) -> None:
        """The phone gives a signed document to the back end, which is to hand it in."""
        mark = self.province.tape.here
        heard = phone.ask(verb, approval=document)
        calls = self.province.tape.since(mark, "answerRequest", "withdrawConsent", "closeShowing")
        self.note(*judging.judge_handing_in("approval-as-signed", calls, document, operation))
        _must(heard)

    def code(self, phone: Phone, showing_id: str) -> tuple[Heard, tuple[Shown, ...]]:
        """The code on the phone, and what wallet_api gave just before and just after: a slice may end in between."""
        before = self.province.shown(showing_id)
        heard = _must(phone.ask("code", form="text"))
        return heard, (before, self.province.shown(showing_id))


# The scenes ---------------------------------------------------------------------------------------------------


def _show(run: Run) -> None:
    showing_id = run.opened(run.first)
    run.state(run.first, showing_id)
    heard, given = _last_code(run, showing_id)
    same = heard.body.get("code") in [each.text for each in given]
    run.note(finding("code-as-given", same, same=_word(same)))
    run.note(_times(run, heard, given))

    drawn = _must(run.first.ask("code", form="png"))
    due = [picture.png(each.text) for each in (*given, run.province.shown(showing_id))]
    got = _bytes(drawn.body.get("picture"))
    run.note(finding("picture-as-given", got in due, got=len(got), due=len(due[0])))

    run.pace.advance(given[-1].refresh_in + 1.0)  # it is in whole seconds, rounded down
    again, _ = run.code(run.first, showing_id)
    new = again.body.get("code") != heard.body.get("code")
    run.note(finding("code-renewed", new, new=_word(new)))


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


def _agree(run: Run) -> None:
    showing_id, sheet = run.asked(run.first)
    row = run.province.row(showing_id)
    shown = _must(run.first.ask("sheet"))
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
    run.note(finding("withdrawing-as-told", seen == "WITHDRAWING", state=_name(seen)))
    run.province.end(showing_id, "withdrawn", Reason.WITHDRAWN)
    run.state(run.first, showing_id)


def _decline(run: Run) -> None:
    showing_id, sheet = run.asked(run.second)
    _must(run.second.ask("sheet"))
    mark = run.province.tape.here
    no = run.second.sign(sheet["request"], Decision.DECLINE)
    heard = run.second.ask("answer", approval=no)
    calls = run.province.tape.since(mark, "answerRequest", "closeShowing", "withdrawConsent")
    run.note(*judging.judge_handing_in("decline-as-signed", calls, no, "answerRequest"))
    _must(heard)
    run.province.end(showing_id, "decline", Reason.DECLINED)
    run.state(run.second, showing_id)


def _receive(run: Run) -> None:
    showing_id = run.agreed(run.second)
    run.province.end(showing_id, "deliver")
    run.state(run.second, showing_id)
    heard = _must(run.second.ask("receipt"))
    due = json.loads(run.province.row(showing_id).result or "{}")["receipt"]
    got = heard.body.get("receipt")
    length = len(got) if isinstance(got, str) else 0
    run.note(finding("receipt-as-given", got == due, got=length, due=len(due)))


def _end(run: Run) -> None:
    showing_id = run.opened(run.second)
    _must(run.second.ask("code", form="text"))
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
    first, second = (f"{_name(each.body.get('state'))}/{_name(each.body.get('reason'))}" for each in (expired, void))
    run.note(finding("endings-apart", all(right), first=first, second=second))


def _told(state: str, reason: Reason) -> dict[str, Any]:
    return {"state": state, "reason": reason.value, **told_of(reason)}


def _ending(heard: Heard) -> dict[str, Any]:
    return {name: heard.body.get(name) for name in ("state", "reason", "sentence", "next")}


def _poll(run: Run) -> None:
    showing_id = run.opened(run.first)
    run.state(run.first, showing_id)
    run.pace.advance(_ANSWERS_IN_S)
    mark, heard = run.province.tape.here, []
    for _ in range(_EAGER):
        heard.append(_must(run.first.ask("state")))
        run.pace.advance(0.4)
    row = run.province.row(showing_id)
    calls = [call for call in run.province.tape.since(mark, "getShowing") if call.showing_id == showing_id]
    run.note(*judging.judge_polling(calls, heard, state=row.state, version=row.version))


def _grow(run: Run) -> None:
    run.opened(run.second)  # as it is; what fails now has another reason
    run.province.tap.plan("", Changed(_grown), times=100)
    heard = run.second.show()
    if heard.well:
        heard = run.second.ask("code", form="text")
    if heard.well:
        run.pace.advance(_ANSWERS_IN_S)
        heard = run.second.ask("state")
    right = heard.well and heard.body.get("state") == "OPEN"
    run.note(finding("unknown-members", right, status=heard.status))


def _grown(told: dict[str, Any]) -> dict[str, Any]:
    return {"added_later": {"by": "a newer wallet_api"}, **told, "added_too": [1, None, "…"]}


def _fail(run: Run) -> None:
    silent = Said(Unavailable(Reason.STORE_UNAVAILABLE, what="database", retry_after_s=1))
    tape, tap = run.province.tape, run.province.tap
    for check, fault in (("retry-on-503", silent), ("retry-on-broken-line", Lost())):
        tap.plan("openShowing", fault)
        mark = tape.here
        run.first.show()
        run.note(*judging.judge_retry(check, tape.since(mark, "openShowing")))
    tap.plan("openShowing", Slow(_SLOW_S))
    mark = tape.here
    heard = run.first.show()
    run.note(*judging.judge_slow(heard, tape.since(mark, "openShowing")))
    showing_id = run.opened(run.first)
    _must(run.first.ask("code", form="text"))

    tap.plan("getCode", Said(Refusal(Reason.TOO_MANY), {"Retry-After": str(_RETRY_AFTER_S)}))
    mark = tape.here
    for _ in range(_EAGER):
        if run.first.ask("code", form="text").well:
            break
        run.pace.advance(0.4)
    run.note(*judging.judge_waiting(tape.since(mark, "getCode"), float(_RETRY_AFTER_S)))

    run.state(run.first, showing_id, judged=False)
    run.pace.advance(_ANSWERS_IN_S)
    tap.plan("getShowing", silent, times=10_000)
    mark, began = tape.here, run.pace.now()
    heard = run.first.ask("state")
    took = (run.pace.now() - began).total_seconds()
    run.note(*judging.judge_silence(heard, len(tape.since(mark, "getShowing")), took))


def _tokens(run: Run) -> None:
    tape, tap = run.province.tape, run.province.tap
    showing_id = run.opened(run.second)
    run.state(run.second, showing_id)

    run.province.revoke_tokens()
    run.pace.advance(_ANSWERS_IN_S)
    mark = tape.here
    heard = run.second.ask("state")
    run.note(*judging.judge_renewal(tape.since(mark)))
    _must(heard)

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
    run.pace.advance(_ANSWERS_IN_S)
    run.second.ask("state")
    tap.clear()

    run.province.vendors.disable(VENDOR, now=run.province.clock.now())
    run.pace.advance(_ANSWERS_IN_S)
    mark = tape.here
    heard = run.second.ask("state")
    asked = len(tape.since(mark, "getToken"))
    run.province.vendors.enable(VENDOR, now=run.province.clock.now())
    if asked:
        run.note(finding("token-refusal-ends", asked <= 3 and not heard.well, asked=asked))


def _apart(told: Any, run: Run) -> float:
    """Seconds between a told time and wallet_api's."""
    try:
        found = datetime.fromisoformat(str(told))
        return abs((found - run.province.clock.now()) / timedelta(seconds=1))
    except (ValueError, TypeError):
        return 86_400.0


def _two(run: Run) -> None:
    ids = {phone: run.opened(phone) for phone in (run.first, run.second)}
    run.pace.advance(_ANSWERS_IN_S)
    mixed = 0
    for (phone, showing_id), other in zip(ids.items(), reversed(ids.values()), strict=True):
        mixed += _must(phone.ask("state")).body.get("showing_id") != showing_id
        mixed += _is_of(run, _must(phone.ask("code", form="text")), other)
    theirs = ids[run.first]
    for verb in ("state", "code"):
        mixed += _is_of(run, run.second.ask(verb, form="text", showing_id=theirs), theirs)
    run.note(finding("citizens-apart", not mixed, mixed=mixed))


def _is_of(run: Run, heard: Heard, showing_id: str) -> bool:
    """Whether an answer is about this showing: by its id, or by its code."""
    about = heard.body.get("showing_id") == showing_id
    return heard.well and (about or heard.body.get("code") == run.province.shown(showing_id).text)


def _hooks(run: Run) -> None:
    province, phone = run.province, run.second
    showing_id = run.opened(phone)
    entries = province.deliver()
    refused = sum(len(each.attempts) != 1 or each.attempts[0].failure is not None for each in entries)
    believed = _must(phone.ask("heard")).body
    right = not refused and believed.get("showing_id") == showing_id and believed.get("version") == 1
    run.note(finding("webhook-taken", right, n=len(entries), refused=refused))
    run.note(finding("webhook-quick", province.sender.slowest_s <= _QUICK_S, slowest_s=province.sender.slowest_s))
    if not right:
        return

    forgeries: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
        ((), {"unsigned": True}),
        ((), {"altered": True}),
        ((_OTHER_SECRET,), {}),
    )
    for check, forged in (("webhook-signature", forgeries), ("webhook-time", (((), {"age_s": _OLD_S}),))):
        taken = sum(province.message(showing_id, 9, "DELIVERED", *signing, **more).accepted for signing, more in forged)
        fooled = _must(phone.ask("heard")).body.get("version") == 9
        run.note(finding(check, not taken and not fooled, taken=taken))
        showing_id = _fresh(run)

    before = _acted(run)
    taken = sum(province.message(showing_id, 2, "CLAIMED", message_id="msg_twice").accepted for _ in range(2))
    acted = _acted(run) - before
    run.note(finding("webhook-once", taken == 2 and acted == 1, taken=taken, acted=acted))

    showing_id = _fresh(run)
    province.message(showing_id, 3, "CONSENTED")
    late = province.message(showing_id, 2, "CLAIMED")
    version = _must(phone.ask("heard")).body.get("version")
    run.note(finding("webhook-order", version == 3 and late.accepted, version=version if type(version) is int else "?"))

    showing_id = _fresh(run)
    good = province.message(showing_id, 2, "CLAIMED", _OTHER_SECRET, province.secret).accepted
    believed = _must(phone.ask("heard")).body
    run.note(finding("webhook-rotation", good and believed.get("version") == 2, taken=_word(good)))


def _fresh(run: Run) -> str:
    """A showing that is new to the webhooks, too."""
    showing_id = run.opened(run.second)
    run.province.message(showing_id, 1, "OPEN")
    return showing_id


def _acted(run: Run) -> int:
    told = _must(run.second.ask("heard")).body.get("acted")
    return told if type(told) is int else 0


def _clock(run: Run) -> None:
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


SCENES: Final[dict[str, Callable[[Run], None]]] = {
    "show": _show,
    "agree": _agree,
    "hooks": _hooks,
    "decline": _decline,
    "receive": _receive,
    "end": _end,
    "poll": _poll,
    "grow": _grow,
    "fail": _fail,
    "tokens": _tokens,
    "apart": _two,
    "clock": _clock,
}


def _must(heard: Heard) -> Heard:
    if not heard.well:
        raise Stopped(heard)
    return heard


def _word(right: bool) -> str:
    return "✓" if right else "✗"


def _name(value: Any) -> str:
    """A state or reason as told, where it looks like one: what a stranger wrote is not printed."""
    text = str(value)
    return text if text.isascii() and text.replace("_", "").isalnum() and len(text) <= 40 else "?"


def _bytes(text: Any) -> bytes:
    try:
        return b64decode(str(text), validate=True)
    except ValueError:
        return b""

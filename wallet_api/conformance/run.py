"""One run against one back end: who plays in it, what was found, and the steps that many scenes share.

A step that gets no usable answer raises `Stopped`, which ends its scene and no other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from consent.approval import Decision
from consent.errors import Refusal
from consent.showing import open_holder
from wallet_api.conformance import judging
from wallet_api.conformance.judging import Finding, Opening, finding
from wallet_api.conformance.pace import Pace
from wallet_api.conformance.phone import BackEnd, Heard, Phone
from wallet_api.conformance.province import CITIZENS, CODE, VENDOR, Province
from wallet_api.conformance.tape import claims_of
from wallet_api.showings import Shown

ANSWERS_IN_S: Final = 1.1  # a back end may keep a state for a second


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

    def judge_whole(self) -> None:
        """What is judged over everything that was said."""
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
            self.keep_opening(phone, str(call.json.get("holder", "")))
        if not heard.well or not made:
            raise Stopped(heard)
        return str(made[-1].told["showing_id"])

    def keep_opening(self, phone: Phone, assertion: str) -> None:
        """Keep who was in a login assertion, and whose device key."""
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
        self.pace.advance(ANSWERS_IN_S)
        heard = must(phone.ask("state"))
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
        must(phone.ask("sheet"))
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
        must(heard)

    def code(self, phone: Phone, showing_id: str) -> tuple[Heard, tuple[Shown, ...]]:
        """The code on the phone, and what wallet_api gave just before and just after: a slice may end in between."""
        before = self.province.shown(showing_id)
        heard = must(phone.ask("code", form="text"))
        return heard, (before, self.province.shown(showing_id))


def must(heard: Heard) -> Heard:
    """The answer, where it is a success; Stopped where not."""
    if not heard.well:
        raise Stopped(heard)
    return heard


def word(right: bool) -> str:
    """A yes or no as a fact."""
    return "✓" if right else "✗"


def name_of(value: Any) -> str:
    """A state or reason as told, where it looks like one: what a stranger wrote is not printed."""
    text = str(value)
    return text if text.isascii() and text.replace("_", "").isalnum() and len(text) <= 40 else "?"

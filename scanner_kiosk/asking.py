"""What the desk is asked for the counter as it stands: the bytes of a presentation, and the calls of one look.

One look, in this order; every call of it may be repeated, so a look that got no answer is made again as a whole:

 1. the visit: handed in, answered at the counter, or looked at
 2. without a phone, the sheet, as soon as our own province has taken the card up; before that nobody can read anything
 3. of two people, what became of the first when the second's visit has ended: what is shown is shown of both
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from consent.b64 import new_id
from consent.errors import Reason, Refusal
from scanner_kiosk.counter import Case, Counter
from scanner_kiosk.province_client import ProvinceClient
from scanner_kiosk.visit import Asked, View
from scanner_kiosk.ways import Answer, Heard

_ENDS = frozenset({"PASSED", "REFUSED", "UNDETERMINED", "CLEARED"})


def presentation(client: ProvinceClient, case: Case, code: str | None, *, second: bool = False) -> Asked:
    """The bytes of one presentation of a case, or of an invitation to it, under a new request id. Of two people the first's,
    or with `second` the other's."""
    person, partner = (case.partner, case.person) if second else (case.person, case.partner)
    return client.ask(
        request_id=new_id(),
        code=code,
        matter=case.matter,
        type_=case.type,
        case_number=case.case_number,
        cause=case.cause,
        person=person,
        preconditions=case.preconditions,
        couple=case.couple,
        other=partner,
    )


def code_in(asked: Asked) -> str | None:
    """The text that a presentation hands in; None for a card, and for a phone that came to us."""
    text = json.loads(asked.body).get("code") if asked.body else None
    return text if isinstance(text, str) else None


def inquire(client: ProvinceClient, counter: Counter, asked: Asked) -> Heard:
    """One look; Refusal as the desk says it, Unavailable where it does not answer."""
    answer = _to_hand_in(counter)
    if answer is not None:  # 1
        return Heard(view=client.answer(asked.request_id, answer.pad, officer=answer.officer), answered=True)
    view = _view(client, counter, asked)
    if counter.on_card is not None and counter.on_card.sheet is None and view.state == "ASKED":
        return Heard(view=view, sheet=_sheet(client, asked))  # 2
    if counter.first is not None and view.state in _ENDS:
        return Heard(view=view, first=client.visit(counter.first.asked.request_id))  # 3
    return Heard(view=view)


def _to_hand_in(counter: Counter) -> Answer | None:
    on_card = counter.on_card
    if counter.state != "SEARCHING" or on_card is None or on_card.handed_in:
        return None
    return on_card.answer


def _view(client: ProvinceClient, counter: Counter, asked: Asked) -> View:
    if counter.view is not None or counter.came:
        return client.visit(asked.request_id, known=counter.view)
    return client.present(asked) if counter.on_card is None else client.present_card(asked)


def _sheet(client: ProvinceClient, asked: Asked) -> Mapping[str, Any] | None:
    try:
        return client.sheet(asked.request_id)
    except Refusal as no:
        if no.reason is Reason.REQUEST_UNKNOWN:
            return None
        raise

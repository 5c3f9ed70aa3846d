"""The history: who asked about a citizen, and how it ended. Written by the province whose app was shown.

Every visit that concerned a citizen is one entry here, whatever became of it (A31, A45):

    asked           with the claim, in its transaction (C1)
    refused         before a claim, by this province's own checks: `refused`
    reported        before a request, by the desk; its letter REPORT is all that comes of such a visit
    settled         with the claim's end, in its transaction, with the citizen's receipt

Decline and silence look alike at the counter; here they do not, because the citizen reads it.

An entry holds no name and no ID number. The holder is an HMAC over the index by which libraries know a person, under a
key that no other province has: a copy of this database names nobody, and does not even compare with another one. Names of
unit, window and matter are kept as they were on the day, because registers change and the entry stays.

`report` belongs to the desk, all else to the citizen's province. A report can only add an entry. It claims nothing, spends
nothing and gets no answer, so that a desk cannot learn by it which showings there are. Only a genuine code can be
reported: whoever made one up knows no showing.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from sqlalchemy import Connection

from consent.answer import open_answer, seal_answer
from consent.b64 import digest_of, from_b64, to_b64
from consent.clock import shanghai_date
from consent.code import Code, open_code
from consent.errors import Outcome, Reason, Refusal, outcome_of
from consent.holding import holder_index
from consent.ledger import Act
from consent.request import REQUEST, Request
from consent.seal import strict_json
from consent.shapes import ID128, SLUG, USCC, Members, choice
from consent.showing import Holder, Person, open_holder, read_slice
from consent.stores import handover
from consent.stores.base import attempt, reading
from consent.transport import Letter, Topic
from verifier.matters.scope import Unit
from verifier.office import Office
from verifier.stores import inner
from verifier.stores.history import EntryRow, add_report, add_visit, confirm, holder_of, settle
from verifier.stores.ledger import append

APP, CARD = "app", "card"  # how the citizen was there: with a phone, or with an ID card alone
_PAD: Final = 1024  # bytes: a report's length must not tell its matter


class End(StrEnum):
    """How an entry stands. ASKED goes on; all others are ends, except that after UNDETERMINED a counter may ask again."""

    ASKED = "ASKED"
    PASSED = "PASSED"
    REFUSED = "REFUSED"
    DECLINED = "DECLINED"
    TIMED_OUT = "TIMED_OUT"
    WITHDRAWN = "WITHDRAWN"
    UNDETERMINED = "UNDETERMINED"


_ENDS: Final[Mapping[str, End]] = {
    "deliver": End.PASSED,
    "refuse": End.REFUSED,
    "decline": End.DECLINED,
    "time_out": End.TIMED_OUT,
    "withdrawn": End.WITHDRAWN,
    "undetermine": End.UNDETERMINED,
}

_REPORT: Final = Members(
    {
        "slice": ID128,
        "unit": USCC,
        "window": REQUEST.claims["window"],
        "request": ID128,
        "matter": SLUG,
        "type": REQUEST.claims["type"],
        "cause": REQUEST.claims["cause"],
        "reason": choice(*Reason),
    }
)


def history_key(data_key: bytes) -> bytes:
    """The key of the holders' names in the history, from a province's data key (32 bytes each)."""
    return HKDFExpand(algorithm=SHA256(), length=32, info=b"huzheng history holder").derive(data_key)


def holder_name(index: str, key: bytes) -> str:
    """A person in one province's history; `index` is `consent.holding.holder_index` of the ID number."""
    return to_b64(hmac.digest(key, index.encode(), sha256))


# At the citizen's province ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What one province remembers for its app's citizens."""

    office: Office

    def entry(self, showing_id: str, holder: Holder | Person, request: Request, *, now: datetime) -> EntryRow:
        """The entry of a request about a showing, as it begins."""
        ask = request.ask
        try:
            unit = self.office.scope(request.desk).unit(ask.unit)
        except Refusal:  # a desk that asks for a unit of which nobody knows: it is named as it named itself
            unit = None
        return EntryRow(
            entry=_new_entry(),
            holder=self.name_of(holder),
            showing_id=showing_id,
            desk=request.desk,
            window=ask.window,
            request_id=request.id,
            request_digest=request.digest,
            unit=ask.unit,
            matter=ask.matter,
            type=ask.type,
            fields=json.dumps(list(ask.fields)),
            cause=ask.cause,
            words=self._words(
                unit,
                ask.window,
                ask.matter,
                ask.fields,
                way=CARD if isinstance(holder, Person) else APP,
                on=request.sealed.issued_at,
            ),
            outcome=End.ASKED,
            reason=None,
            receipt=None,
            asked_at=now,
            ended_at=None,
        )

    def refusal(self, showing_id: str | None, code_text: str, request: Request, *, now: datetime) -> EntryRow | None:
        """The entry of a request that is refused before it claims. The showing is the one that was found, or else the one
        that a genuine code names; None where there is none of ours."""
        try:
            showing_id = showing_id or self._named(code_text, now=now)
            holder = None if showing_id is None else self._holder(showing_id)
            return None if showing_id is None or holder is None else self.entry(showing_id, holder, request, now=now)
        except Refusal:
            return None  # a row of the outer network that holds no login of anybody

    @staticmethod
    def asked(conn: Connection, entry: EntryRow) -> None:
        """A counter has claimed a showing. In the transaction of the claim."""
        add_visit(conn, inner.history, entry)

    @staticmethod
    def refused(conn: Connection, entry: EntryRow, reason: Reason, *, receipt: str, now: datetime) -> None:
        """A counter's request was refused before it claimed anything."""
        ended = replace(entry, outcome=_refusal(reason), reason=reason.value, receipt=receipt, ended_at=now)
        add_visit(conn, inner.history, ended)

    @staticmethod
    def settled(
        conn: Connection, event: str, request_digest: str, *, reason: Reason | None, receipt: str | None, now: datetime
    ) -> None:
        """The showing's next state, by its event. Without a receipt it is no end: the counter may ask the library again."""
        if event in _ENDS:
            settle(
                conn,
                inner.history,
                request_digest,
                outcome=_ENDS[event],
                reason=None if reason is None else reason.value,
                receipt=receipt,
                ended_at=None if receipt is None else now,
            )

    @staticmethod
    def confirmed(conn: Connection, request_digest: str, officer: str) -> None:
        """A second officer (opaque id) has confirmed a visit without a phone. In the transaction that keeps the word."""
        confirm(conn, inner.history, request_digest, officer)

    def reported(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """A desk says that it refused somebody who held out a code of ours. Accepted in silence, whatever it names.

        Refusal where it is no report of that desk about one of its own windows.
        """
        office = self.office
        answer = open_answer(
            content["report"],
            office.ring,
            issuer=letter.sender,
            audience=office.province,
            question=content["slice"],
            now=now,
        )
        found = strict_json(answer.payload(office.envelope_key), depth=1, members=8)
        if not _REPORT.fits(found) or digest_of(from_b64(found["slice"])) != content["slice"]:
            raise Refusal(Reason.DOCUMENT_CLAIMS, detail="report")
        unit = office.scope(letter.sender).unit(found["unit"])
        unit.window(found["window"])
        showing_id, _ = read_slice(from_b64(found["slice"]), office.showing_key)
        if (holder := self._holder(showing_id)) is None:
            return
        reason = Reason(found["reason"])
        row = EntryRow(
            entry=_new_entry(),
            holder=self.name_of(holder),
            showing_id=showing_id,
            desk=letter.sender,
            window=found["window"],
            request_id=found["request"],
            request_digest=None,
            unit=unit.uscc,
            matter=found["matter"],
            type=found["type"],
            fields="[]",
            cause=found["cause"],
            words=self._words(unit, found["window"], found["matter"], (), way=APP, on=answer.sealed.issued_at),
            outcome=_refusal(reason),
            reason=reason.value,
            receipt=None,
            asked_at=answer.sealed.issued_at,
            ended_at=answer.sealed.issued_at,
        )

        def write(conn: Connection) -> None:
            if add_report(conn, inner.history, row):
                entry = {"report": answer.sealed.digest, "desk": row.desk, "unit": row.unit, "reason": reason}
                append(conn, inner.ledger, Act.REPORTED, entry, now=now)

        attempt(office.inner, write)

    def _named(self, code_text: str, *, now: datetime) -> str | None:
        code = open_code(code_text, self.office.ring, now=now)
        own = code.province == self.office.province
        return read_slice(code.cti, self.office.showing_key)[0] if own else None

    def name_of(self, holder: Holder | Person) -> str:
        """What a person is called in this province's history."""
        person = holder if isinstance(holder, Person) else holder.person(self.office.envelope_key)
        return holder_name(holder_index(person.id_number, self.office.index_key), self.office.history_key)

    def is_of(self, request_digest: str, holder: Holder) -> bool:
        """Whether it was this person who was asked."""
        with reading(self.office.inner) as conn:
            return holder_of(conn, inner.history, request_digest) == self.name_of(holder)

    def _holder(self, showing_id: str) -> Holder | None:
        with reading(self.office.handover) as conn:
            showing = handover.find(conn, showing_id)
        if showing is None:
            return None
        return open_holder(showing.holder_jwt, self.office.ring, province=self.office.province, now=showing.opened_at)

    def _words(
        self, unit: Unit | None, window: str, matter: str, fields: tuple[str, ...], *, way: str, on: datetime
    ) -> str:
        """What the registers called all this on the day; codes stand for what they do not know."""
        try:
            rule = self.office.catalogue.on(matter, shanghai_date(on))
        except Refusal:
            rule = None
        labels = {} if rule is None else {field.name: field for field in rule.fields}
        words = {
            "way": way,
            "unit_zh": unit.name_zh if unit is not None else None,
            "unit_en": unit.name_en if unit is not None else None,
            "window": unit.windows.get(window) if unit is not None else None,
            "matter_zh": rule.name_zh if rule is not None else None,
            "matter_en": rule.name_en if rule is not None else None,
            "fields": [
                {
                    "name": name,
                    "label_zh": labels[name].label_zh if name in labels else name,
                    "label_en": labels[name].label_en if name in labels else name,
                }
                for name in fields
            ],
        }
        return json.dumps(words, ensure_ascii=False)


def _refusal(reason: Reason) -> End:
    return End.REFUSED if outcome_of(reason) is Outcome.REFUSED else End.UNDETERMINED


def _new_entry() -> str:
    # Hexadecimal, because every database sorts that alike.
    return secrets.token_hex(11)


# At the desk ------------------------------------------------------------------------------------------------


def report(
    office: Office,
    code: Code,
    unit: Unit,
    *,
    window: str,
    request_id: str,
    matter: str,
    type_: str,
    cause: str,
    reason: Reason,
    now: datetime,
) -> None:
    """Tell the code's province that this desk refused, once for each request id and slice. `code` held its signature."""
    said = {
        "slice": to_b64(code.cti),
        "unit": unit.uscc,
        "window": window,
        "request": request_id,
        "matter": matter,
        "type": type_,
        "cause": cause,
        "reason": reason,
    }
    question = digest_of(code.cti)
    sealed = seal_answer(
        office.answer_key,
        to=code.province,
        question=question,
        reason=reason,
        payload=json.dumps(said, ensure_ascii=False).encode(),
        recipient=office.keylist.recipient(code.province),
        pad=_PAD,
        now=now,
    )
    letter = office.letter(code.province, Topic.REPORT, {"slice": question, "report": sealed}, request_id=request_id)
    once = f"report:{window}:{request_id}:{said['slice']}"

    def put(conn: Connection) -> None:
        inner.post(conn, letter, ref=question, now=now, once_key=once)

    attempt(office.inner, put)
    office.wake_worker()

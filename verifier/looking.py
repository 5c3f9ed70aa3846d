"""A citizen looks back: the history of all four provinces, newest first (A31, A45; PIPL 45).

A person may use two apps, so every province is asked for what its own history has of the person. The question is
authorised as one about certificates is: by the digest of a fresh login, and it names the person by an HMAC inside an
envelope. Looking is an entry in the ledger of each province that answers.

`asked`, at each province, answers with as many entries as fit into one envelope, which is always filled to the same size:
whether somebody has no entry or many cannot be read off its length (T18).

`merge` puts the answers together. Where a province has more than it could send, nothing older than its last entry is
shown, or a page would leave a gap that nobody sees; `earlier` then says where the next look begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from consent.answer import seal_answer
from consent.attest import OFFICER
from consent.clock import rfc3339
from consent.errors import Reason, Refusal
from consent.holding import holder_index, open_holding
from consent.ledger import Act
from consent.provinces import provinces
from consent.request import REQUEST
from consent.seal import Sealed, signed_digest, strict_json
from consent.shapes import DIGEST, PROVINCE, USCC, Listing, Maybe, Members, Text, choice
from consent.showing import HOLDER, open_holder
from consent.stores.base import attempt
from consent.stores.queue import Item
from consent.transport import Letter, Topic
from verifier.history import APP, CARD, End, holder_name
from verifier.office import Office
from verifier.rounds import Heard, Rounds
from verifier.stores import inner
from verifier.stores.history import EntryRow, page
from verifier.stores.ledger import append

MOST: Final = 40  # entries in one province's answer
ROOM: Final = 40_000  # bytes of entries; with its frame that fills one envelope of PAD
PAD: Final = 40_960
CURSOR: Final = re.compile(r"[1-9][0-9]{12,16}\.[1-9][0-9]\.[0-9a-f]{22}")
ENTRY_ID: Final = re.compile(r"[1-9][0-9]\.[0-9a-f]{22}")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = Text(20, 20)
_NAME: Final = Text(200)
EARLIER: Final = Maybe(Text(60, 1, CURSOR))
_ERRAND: Final = Members({"holder": Text(HOLDER.max_length), "app": Text(64), "earlier": EARLIER})


class _Flag:
    def fits(self, value: Any) -> bool:
        return isinstance(value, bool)


ENTRY: Final = Members(
    {
        "entry": Text(25, 25, ENTRY_ID),
        "cursor": Text(60, 1, CURSOR),
        "province": PROVINCE,
        "way": choice(APP, CARD),
        "desk": PROVINCE,
        "unit": USCC,
        "unit_zh": Maybe(_NAME),
        "unit_en": Maybe(_NAME),
        "window": REQUEST.claims["window"],
        "window_name": Maybe(_NAME),
        "matter": REQUEST.claims["matter"],
        "matter_zh": Maybe(_NAME),
        "matter_en": Maybe(_NAME),
        "type": REQUEST.claims["type"],
        "fields": Listing(Members({"name": Text(64), "label_zh": _NAME, "label_en": _NAME}), most=24),
        "cause": REQUEST.claims["cause"],
        "outcome": choice(*End),
        "reason": Maybe(choice(*Reason)),
        "request": Maybe(DIGEST),
        "receipt": Maybe(Text(3600)),
        "receipt_digest": Maybe(DIGEST),
        "objection": Maybe(Text(40)),
        "second_officer": Maybe(OFFICER),
        "asked_at": _TIME,
        "ended_at": Maybe(_TIME),
    }
)
_ANSWER: Final = Members({"entries": Listing(ENTRY, most=MOST), "more": _Flag()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """Looks at the history, of this province's citizens and at this province's entries."""

    office: Office
    rounds: Rounds

    def look(self, item: Item, *, now: datetime) -> None:
        """Take an errand "history" and ask every province under its login assertion; Refusal where that does not hold."""
        if not _ERRAND.fits(dict(item.body)):
            raise Refusal(Reason.BODY_INVALID, detail="errand")
        office = self.office
        holder = open_holder(item.body["holder"], office.ring, province=office.province, now=now)
        index = holder_index(holder.person(office.envelope_key).id_number, office.index_key)
        content = {"earlier": item.body["earlier"]}
        self.rounds.begin(item, tuple(provinces()), Topic.HISTORY, content, holder=holder, index=index, now=now)

    def asked(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """What this province's history has of a person, for one of the four apps' provinces."""
        office = self.office
        question = question_of(office, content["question"], letter, now=now)
        name = holder_name(question.claims["holder"], office.history_key)
        before = None if content["earlier"] is None else _before(content["earlier"], office.province)

        def tell(conn: Connection) -> None:
            rows = page(conn, inner.history, name, before=before, limit=MOST + 1)
            answer = seal_answer(
                office.answer_key,
                to=letter.sender,
                question=question.digest,
                payload=_fill([entry_view(row, objection, office.province) for row, objection in rows]),
                recipient=office.keylist.recipient(letter.sender),
                pad=PAD,
                now=now,
            )
            reply = office.letter(
                letter.sender,
                Topic.HISTORIED,
                {"question": question.digest, "answer": answer},
                request_id=letter.request_id,
            )
            once = f"historied:{question.digest}"
            if inner.post(conn, reply, ref=question.digest, now=now, once_key=once):
                looked = {"at": "history", "for": letter.sender, "under": question.claims["under"]}
                append(conn, inner.ledger, Act.LOOKED, looked, now=now)

        attempt(office.inner, tell)
        office.wake_worker()

    def told(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """One province's answer to a look of ours."""
        answer = self.rounds.answer(content, letter, now=now)
        found = strict_json(answer.payload(self.office.envelope_key), depth=5, members=32)
        if not _ANSWER.fits(found) or any(each["province"] != letter.sender for each in found["entries"]):
            raise Refusal(Reason.DOCUMENT_CLAIMS, detail="history")
        self.rounds.heard(content["question"], found, now=now)


def merge(heard: Mapping[str, Heard], silent: list[str]) -> Mapping[str, Any]:
    """The answer of an errand "history": entries newest first, who was silent, and where the next look begins."""
    entries = [each for found in heard.values() for each in found["entries"]]
    ends = [_key(found["entries"][-1]["cursor"]) for found in heard.values() if found["more"]]
    shown = sorted(
        (each for each in entries if not ends or _key(each["cursor"]) >= max(ends)),
        key=lambda each: _key(each["cursor"]),
        reverse=True,
    )
    return {"entries": shown, "silent": silent, "earlier": shown[-1]["cursor"] if ends else None}


def question_of(office: Office, text: str, letter: Letter, *, now: datetime) -> Sealed:
    """A question about one of another province's citizens, from that province; Refusal DOCUMENT_…, SENDER_UNKNOWN."""
    question = open_holding(text, office.ring, library=office.province, now=now)
    if question.issuer != letter.sender:
        raise Refusal(Reason.SENDER_UNKNOWN, detail="a question of another province")
    return question


def entry_view(row: EntryRow, objection: int | None, province: str) -> dict[str, Any]:
    """An entry as it travels, and as the citizen's app gets it."""
    words = json.loads(row.words)
    return {
        "entry": f"{province}.{row.entry}",
        "cursor": _cursor(row, province),
        "province": province,
        "way": words["way"],
        "desk": row.desk,
        "unit": row.unit,
        "unit_zh": words["unit_zh"],
        "unit_en": words["unit_en"],
        "window": row.window,
        "window_name": words["window"],
        "matter": row.matter,
        "matter_zh": words["matter_zh"],
        "matter_en": words["matter_en"],
        "type": row.type,
        "fields": words["fields"],
        "cause": row.cause,
        "outcome": row.outcome,
        "reason": row.reason,
        "request": row.request_digest,
        "receipt": row.receipt,
        "receipt_digest": None if row.receipt is None else signed_digest(row.receipt),
        "objection": None if objection is None else objection_number(province, objection),
        "second_officer": row.second_officer,
        "asked_at": rfc3339(row.asked_at),
        "ended_at": None if row.ended_at is None else rfc3339(row.ended_at),
    }


def objection_number(province: str, number: int) -> str:
    """How people quote an objection."""
    return f"{province}-{number:06d}"


def _fill(views: list[dict[str, Any]]) -> bytes:
    """As many entries as there is room for. One alone always fits."""
    taken: list[dict[str, Any]] = []
    size = 0
    for view in views[:MOST]:
        size += len(json.dumps(view, ensure_ascii=False).encode()) + 2
        if size > ROOM:
            break
        taken.append(view)
    return json.dumps({"entries": taken, "more": len(taken) < len(views)}, ensure_ascii=False).encode()


def _cursor(row: EntryRow, province: str) -> str:
    return f"{(row.asked_at - _EPOCH) // timedelta(microseconds=1)}.{province}.{row.entry}"


def _key(cursor: str) -> tuple[int, str, str]:
    at, province, entry = cursor.split(".")
    return int(at), province, entry


def _before(cursor: str, province: str) -> tuple[datetime, str]:
    """Where a province goes on: entries of one instant are ordered by province, then by id."""
    at, shown, entry = _key(cursor)
    if province != shown:
        entry = "g" if province < shown else ""  # ids are hexadecimal: all of them come before "g", none before ""
    return _EPOCH + timedelta(microseconds=at), entry

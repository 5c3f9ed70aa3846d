"""A citizen looks back and objects, through the app: errands to the inner network and their answers. No HTTP here.

Both want a fresh login, because somebody else may hold an unlocked phone (T17). The answer to a look is kept as long as the
errand's answer is readable (`KEPT`), and is the asking app's alone: another app's id looks like one that never was.

The text of an objection is enveloped to the inner network before it is stored: citizens write names, and this network's
database holds none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from consent.b64 import new_id
from consent.envelope import Recipient, belongs_to, close_envelope
from consent.errors import Reason, Refusal
from consent.showing import Holder
from consent.stores import handover
from consent.stores.base import reading
from consent.stores.queue import answer_of, put
from consent.stores.signals import Signals
from wallet_api.errands import KEPT, said, use_login

TEXT_PAD: Final = 2048  # bytes: how much somebody wrote is nobody's business
_LOOK, _OBJECTION = "history", "objection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a look's answer. `next` is the cursor of the following part; None at the end."""

    entries: tuple[Mapping[str, Any], ...]
    next: str | None
    silent: tuple[str, ...]
    earlier: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Looks and objections of one province's apps."""

    engine: Engine
    province: str
    inner: Recipient
    signals: Signals

    def look(self, connection: Connection, holder: Holder, *, earlier: str | None, now: datetime) -> str:
        """Ask for the history of a person and return the look's id. DOCUMENT_REPLAYED for a login that was used.

        Writes into the caller's transaction; call `asked` after its commit.
        """
        use_login(connection, holder)
        look_id = new_id()
        body = {"holder": holder.sealed.text, "app": holder.app, "earlier": earlier}
        put(connection, handover.errands, kind=_LOOK, ref=look_id, body=body, now=now)
        return look_id

    def looked(self, app: str, look_id: str, *, cursor: str | None, limit: int, now: datetime) -> Page | None:
        """A part of what the provinces said; None while they are asked. REQUEST_UNKNOWN for an id that is another app's,
        old, or none; the errand's own reason where the inner network refused it."""
        found = self._answer(_LOOK, app, look_id, now=now)
        if found is None:
            return None
        entries = found["entries"]
        begin = 0
        if cursor is not None:
            places = [n for n, each in enumerate(entries) if each["cursor"] == cursor]
            if not places:
                raise Refusal(Reason.BODY_INVALID, detail="a cursor of another look")
            begin = places[0] + 1
        part = entries[begin : begin + limit]
        more = begin + limit < len(entries)
        return Page(
            entries=tuple(part),
            next=part[-1]["cursor"] if part and more else None,
            silent=tuple(found["silent"]),
            earlier=None if more else found["earlier"],
        )

    def object(self, connection: Connection, holder: Holder, *, entry: str, kind: str, text: str, now: datetime) -> str:
        """Object to an entry of the person's history and return the errand's id; as `look`."""
        use_login(connection, holder)
        objection_id = new_id()
        info = belongs_to("objection", self.province, objection_id)
        note = json.dumps({"text": text}, ensure_ascii=False).encode()
        body = {
            "holder": holder.sealed.text,
            "app": holder.app,
            "entry": entry,
            "kind": kind,
            "text": close_envelope(self.inner, note, info=info, pad=TEXT_PAD),
        }
        put(connection, handover.errands, kind=_OBJECTION, ref=objection_id, body=body, now=now)
        return objection_id

    def objected(self, app: str, objection_id: str, *, now: datetime) -> str | None:
        """The objection's number; None while it is on its way. Refusal ENTRY_UNKNOWN, OBJECTION_OPEN, REQUEST_UNKNOWN;
        Unavailable where the entry's province is silent."""
        found = self._answer(_OBJECTION, app, objection_id, now=now)
        return None if found is None else str(found["number"])

    def asked(self) -> None:
        """Wake the worker, after the commit."""
        self.signals.notify(f"errand:{self.province}")

    def _answer(self, kind: str, app: str, ref: str, *, now: datetime) -> dict[str, Any] | None:
        c = handover.errands.c
        query = select(c.id, c.body).where(c.ref == ref, c.kind == kind, c.created_at > now - KEPT)
        with reading(self.engine) as connection:
            row = connection.execute(query).one_or_none()
            if row is None or json.loads(row.body)["app"] != app:
                raise Refusal(Reason.REQUEST_UNKNOWN, detail="no such errand")
            answer = answer_of(connection, handover.errands, row.id)
        return said(answer, what="history")

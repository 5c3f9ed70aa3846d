"""The use cases of a phone: open a showing, get its code, see what is asked, answer, look back. No HTTP here.

Rule 1: an app sees its own showings. A showing of another app is SHOWING_UNKNOWN, like one that never was.
Rule 2: a move is one conditional UPDATE that `consent.states` allows, in one transaction with the errand that it
        causes. Who comes second moves nothing.
Rule 3: what this room checks, it checks to give a quick answer. The inner network checks the same documents
        again and believes no row.

The device key with which an answer is checked comes from the login assertion that opened the showing, read again
as of that moment; the columns beside it are for people who look into the database.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine

from consent.approval import Approval, Decision, open_approval
from consent.code import LIFE as CODE_LIFE
from consent.code import Form, mint, simple_code
from consent.errors import Reason, Refusal, Unavailable
from consent.keys import KeyRing, SigningKey, jwk_of
from consent.seal import signed_digest
from consent.showing import LIFE, SLICE, Holder, name_slice, new_showing_id, open_holder, refresh_in, slice_at
from consent.states import SHOWING
from consent.stores import handover, names
from consent.stores.base import reading, writing
from consent.stores.handover import ShowingRow
from consent.stores.queue import put
from consent.stores.signals import Signals
from consent.twin import NameKey, new_twin
from wallet_api.errands import answered, ask, use_login

TWIN_LIFE: Final = CODE_LIFE
_TWINS_TRIED: Final = 8  # until one is free; of ten thousand million numbers nearly all are
_SHOWING_ID: Final = re.compile(r"[0-9a-f]{24}")
_WITHDRAWN: Final = frozenset({"WITHDRAWING", "WITHDRAWN"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A showing that was just opened, and the ids of those that it ended."""

    showing: ShowingRow
    superseded: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What stands in the symbol now. `slice` counts from 0; `refresh_in` is in whole seconds."""

    text: str
    slice: int
    issued_at: datetime
    expires_at: datetime
    refresh_in: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Answer to "who holds what": None while the libraries are asked."""

    holdings: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Showings:
    """The showings of one province."""

    engine: Engine
    province: str
    keys: KeyRing
    code_key: SigningKey
    showing_key: bytes
    signals: Signals

    @property
    def names(self) -> NameKey:
        """What turns twins and simple codes into what the store may know of them."""
        return NameKey(self.showing_key)

    # Opening ------------------------------------------------------------------------------------------------

    def admit(self, app: str, holder_jwt: str, *, now: datetime) -> Holder:
        """The login assertion, if it holds and is this app's: Refusal DOCUMENT_…, KEY_NOT_ALLOWED, FORBIDDEN."""
        holder = open_holder(holder_jwt, self.keys, province=self.province, now=now)
        if holder.app != app:
            raise Refusal(Reason.FORBIDDEN, detail="another app's login")
        return holder

    def open(self, connection: Connection, holder: Holder, *, now: datetime) -> Opening:
        """Open a showing and end the holder's earlier one. DOCUMENT_REPLAYED for an assertion that was used.

        Writes into the caller's transaction; call `opened` after its commit.
        """
        use_login(connection, holder)  # 1. once
        showing_id = new_showing_id()
        body = {"holder": holder.sealed.text, "showing_id": showing_id}
        errand = put(connection, handover.errands, kind="holdings", ref=showing_id, body=body, now=now)  # 2
        ended = handover.open_showing(  # 3. the database ends the earlier one
            connection,
            showing_id=showing_id,
            province=self.province,
            app=holder.app,
            sub=holder.sub,
            holder_jwt=holder.sealed.text,
            device_jwk=json.dumps(jwk_of(holder.device.public)),
            device_kid=holder.device.kid,
            now=now,
            expires_at=now + LIFE,
            holdings_errand=errand,
        )
        showing = handover.find(connection, showing_id)
        if showing is None:
            raise Unavailable(Reason.STORE_UNAVAILABLE, what="database", detail="the row just written is gone")
        return Opening(showing=showing, superseded=ended)

    def opened(self, superseded: tuple[str, ...] = ()) -> None:
        """Wake whoever waits, after the commit."""
        self._wake_worker()
        for showing_id in superseded:
            self.signals.notify(f"showing:{showing_id}")

    # Showing ------------------------------------------------------------------------------------------------

    def state(self, app: str, showing_id: str, *, now: datetime) -> ShowingRow:
        """The showing as it is now; an open one whose time is over is ended first."""
        showing = self._find(app, showing_id)
        if showing.state in SHOWING.sources("expire") and now >= showing.expires_at:
            self._expire(showing_id, now=now)
            showing = self._find(app, showing_id)
        return showing

    def shown(self, app: str, showing_id: str, *, now: datetime) -> ShowingRow:
        """The showing, if it has a code now. CODE_EXPIRED when its time is over, SHOWING_CLOSED when it was scanned,
        superseded or ended otherwise."""
        showing = self.state(app, showing_id, now=now)
        if showing.state == SHOWING.target("expire"):
            raise Refusal(Reason.CODE_EXPIRED)
        if showing.state != SHOWING.start:
            raise Refusal(Reason.SHOWING_CLOSED, detail=showing.state)
        return showing

    def code(self, app: str, showing_id: str, *, now: datetime, form: Form = Form.CODE) -> Shown:
        """The code of the present slice, or its simple code; refused as by `shown`.

        It is issued as of the slice's beginning: all who ask within a slice get the same text and picture.
        """
        showing = self.shown(app, showing_id, now=now)
        number = slice_at(showing.opened_at, now)
        issued = (showing.opened_at + number * SLICE).replace(microsecond=0)
        if form is Form.CODE:
            text = mint(name_slice(showing_id, number, self.showing_key), self.code_key, now=issued)
        else:
            text = self._simple(showing_id, number, expires_at=issued + CODE_LIFE, now=now)
        return Shown(
            text=text,
            slice=number,
            issued_at=issued,
            expires_at=issued + CODE_LIFE,
            refresh_in=refresh_in(showing.opened_at, now),
        )

    def _simple(self, showing_id: str, number: int, *, expires_at: datetime, now: datetime) -> str:
        text = simple_code(self.province, self.names.opaque(showing_id, number))
        digest = self.names.digest(text)
        with reading(self.engine) as connection:
            if names.look_up(connection, handover.names, digest, Form.SIMPLE) is not None:
                return text  # the phone asks again and again; only the first time writes
        with writing(self.engine) as connection:
            names.give(connection, handover.names, digest, Form.SIMPLE, showing_id, expires_at=expires_at, now=now)
        return text

    def make_twin(self, connection: Connection, showing_id: str, *, now: datetime) -> str:
        """A new typed twin for a showing that `shown` has let through; an earlier one is dead. Lives `TWIN_LIFE`.

        Writes into the caller's transaction.
        """
        for _ in range(_TWINS_TRIED):
            twin = new_twin(self.province)
            names.take_back(connection, handover.names, showing_id, Form.TWIN)
            digest, expires_at = self.names.digest(twin), now + TWIN_LIFE
            if names.give(connection, handover.names, digest, Form.TWIN, showing_id, expires_at=expires_at, now=now):
                return twin
        raise Unavailable(Reason.STORE_UNAVAILABLE, what="database", detail="no twin is free")

    def close(self, app: str, showing_id: str, *, now: datetime) -> None:
        """The citizen put the phone away. Nothing happens to a showing that has ended; STATE_FORBIDS for one that
        a counter has: that one is answered, not closed."""
        if self._expire(self._find(app, showing_id).showing_id, now=now):
            return
        showing = self._find(app, showing_id)
        if showing.state not in SHOWING.ends:
            raise Refusal(Reason.STATE_FORBIDS, detail=f"close in {showing.state}")

    # Answering ----------------------------------------------------------------------------------------------

    def sheet(self, app: str, showing_id: str, *, now: datetime) -> ShowingRow:
        """A showing with its sheet; REQUEST_UNKNOWN while no counter has asked."""
        showing = self.state(app, showing_id, now=now)
        if showing.sheet is None:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail=showing.state)
        return showing

    def approve(self, app: str, showing_id: str, approval_jwt: str, *, now: datetime) -> str:
        """Take the citizen's answer and return its digest. The same answer again is taken again; another one is
        STATE_FORBIDS. DOCUMENT_… and APPROVAL_MISMATCH where it is no answer of this device to this request."""
        showing = self._find(app, showing_id)
        if (known := _same(showing, approval_jwt)) is not None:
            return known
        SHOWING.after(showing.state, "answer")  # 1. may it be answered at all
        approval = self._opened(showing, approval_jwt, now=now)  # 2. did this device answer this request
        if approval.decision is Decision.WITHDRAW:
            raise Refusal(Reason.APPROVAL_MISMATCH, detail="a withdrawal where an answer was due")
        if self._move(showing_id, "answer", "approval", approval_jwt, now=now, approval_jwt=approval_jwt):  # 3
            return approval.sealed.digest
        if (known := _same(self._find(app, showing_id), approval_jwt)) is not None:
            return known
        raise Refusal(Reason.STATE_FORBIDS, detail="somebody else was first")

    def withdraw(self, app: str, showing_id: str, approval_jwt: str, *, now: datetime) -> str:
        """Take a withdrawal and return its digest. Done is done: while one is under way, another is taken and
        changes nothing. WITHDRAWAL_TOO_LATE after the delivery.

        A library that is silent takes nobody's consent away: until there is a result it can be withdrawn."""
        showing = self._find(app, showing_id)
        if showing.request_digest is None:
            raise Refusal(Reason.STATE_FORBIDS, detail=f"withdraw in {showing.state}")
        approval = self._opened(showing, approval_jwt, now=now)
        if approval.decision is not Decision.WITHDRAW:
            raise Refusal(Reason.APPROVAL_MISMATCH, detail="no withdrawal")
        # The last page must not change back into a wait: what has a result is over, and nobody would end it again.
        if self._move(showing_id, "withdraw", "withdrawal", approval_jwt, now=now, unsettled=True, reason=None):
            return approval.sealed.digest
        state = self._find(app, showing_id).state
        if state in _WITHDRAWN:
            return approval.sealed.digest
        if state == SHOWING.target("deliver"):
            raise Refusal(Reason.WITHDRAWAL_TOO_LATE)
        raise Refusal(Reason.STATE_FORBIDS, detail=f"withdraw in {state}")

    def receipt(self, app: str, showing_id: str) -> str:
        """The citizen's receipt (receipt+jwt); RECEIPT_UNKNOWN while there is none."""
        result = self._find(app, showing_id).result
        receipt = None if result is None else json.loads(result).get("receipt")
        if not isinstance(receipt, str):
            raise Refusal(Reason.RECEIPT_UNKNOWN)
        return receipt

    # Looking up ---------------------------------------------------------------------------------------------

    def look_up(self, connection: Connection, holder: Holder, *, now: datetime) -> str:
        """Ask which certificates a person has, without a showing, and return the lookup's id.

        Writes into the caller's transaction; call `opened` after its commit.
        """
        use_login(connection, holder)
        return ask(connection, holder.app, "holdings", {"holder": holder.sealed.text}, now=now)

    def looked_up(self, app: str, lookup_id: str, *, now: datetime) -> Found:
        """What the libraries said. REQUEST_UNKNOWN for an id that is another app's, old, or none; the errand's own
        reason where the inner network refused it."""
        return Found(
            holdings=answered(self.engine, app, "holdings", lookup_id, now=now, parked=Reason.LIBRARY_UNREACHABLE)
        )

    # Inside -------------------------------------------------------------------------------------------------

    def _find(self, app: str, showing_id: str) -> ShowingRow:
        if _SHOWING_ID.fullmatch(showing_id) is not None:
            with reading(self.engine) as connection:
                showing = handover.find(connection, showing_id)
            if showing is not None and showing.app == app:
                return showing
        raise Refusal(Reason.SHOWING_UNKNOWN)

    def _expire(self, showing_id: str, *, now: datetime) -> bool:
        with writing(self.engine) as connection:
            return handover.move(
                connection,
                showing_id,
                to=SHOWING.target("expire"),
                frm=SHOWING.sources("expire"),
                now=now,
                reason=Reason.CODE_EXPIRED.value,
            )

    def _opened(self, showing: ShowingRow, approval_jwt: str, *, now: datetime) -> Approval:
        holder = open_holder(showing.holder_jwt, self.keys, province=self.province, now=showing.opened_at)
        if showing.request_digest is None:
            raise Refusal(Reason.STATE_FORBIDS, detail=f"{showing.state} without a request")
        return open_approval(
            approval_jwt, holder.device, province=self.province, request_digest=showing.request_digest, now=now
        )

    def _move(
        self,
        showing_id: str,
        event: str,
        kind: str,
        document: str,
        *,
        now: datetime,
        unsettled: bool = False,
        **columns: str | None,
    ) -> bool:
        """The move and its errand, both or neither."""
        target, sources = SHOWING.target(event), SHOWING.sources(event)
        with writing(self.engine) as connection:
            moved = handover.move(
                connection, showing_id, to=target, frm=sources, now=now, unsettled=unsettled, **columns
            )
            if not moved:
                return False
            body = {"approval": document}
            put(connection, handover.errands, kind=kind, ref=showing_id, body=body, now=now)
        self._wake_worker()
        return True

    def _wake_worker(self) -> None:
        self.signals.notify(f"errand:{self.province}")


def _same(showing: ShowingRow, approval_jwt: str) -> str | None:
    """The digest of an answer that is already kept. Texts may differ: an ES256 signature has two spellings."""
    if showing.approval_jwt is None or "." not in approval_jwt or not approval_jwt.isascii():
        return None
    digest = signed_digest(approval_jwt)
    return digest if digest == signed_digest(showing.approval_jwt) else None

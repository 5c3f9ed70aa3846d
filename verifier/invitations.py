"""Counter codes: a counter invites a phone to come, instead of reading it. The desk's side.

`invite`, from the kiosk: everything that can be judged without a code is judged now, so that nobody is invited in vain.
`arrived`, from a phone's province:
 1. the invitation is ours and alive
 2. the code comes from the province that sent the letter
 3. the first phone wins: the row takes one code
 4. the visit begins as if the counter had read that code (`desk.present`)

`uninvite`, from the kiosk: its code is shown no more. Between it and step 3 the row decides, so that either the phone was
first and there is a visit, or nobody comes any more, however late and however often the letter arrives.

`come`, at the phone's own province, from an errand of wallet_api: the invitation's seal is checked and both documents go to
the desk that it names. What the desk says to that becomes the errand's answer.

`turned`, at the phone's own province, when the request that followed was refused before there was a sheet: the errand's
answer becomes that reason, with its facts. The showing stays open, and the phone would otherwise wait for a sheet that
nobody sends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from consent.code import open_code
from consent.errors import Reason, Refusal
from consent.invitation import INVITATION, LIFE, PREFIX, open_invitation, seal_invitation
from consent.ledger import Act
from consent.seal import unverified_issue
from consent.stores import handover, queue
from consent.stores.base import attempt, reading, writing
from consent.stores.queue import Item, ItemState
from consent.transport import Letter, Topic
from verifier.desk import Desk, Presentation
from verifier.office import Office
from verifier.stores import inner, invitations
from verifier.stores.invitations import InvitationRow
from verifier.stores.ledger import append

KEPT: Final = timedelta(minutes=10)  # a letter may be tried again; later nobody needs the row


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitations:
    """The counter codes of one province's desk, and those that its citizens' phones have read."""

    office: Office
    desk: Desk

    def invite(self, window: str, presentation: Presentation, *, now: datetime) -> InvitationRow:
        """A code for the counter's screen; the same request id with the same bytes gets the same one.

        `presentation.code` is empty. Refusal as in `desk.present`, REQUEST_ID_REUSED, and STATE_FORBIDS for one that was taken
        back.
        """
        self.desk.examine(window, presentation, now=now)
        text = seal_invitation(self.office.request_key, window=window, request_id=presentation.request_id, now=now)
        row = InvitationRow(
            window=window,
            request_id=presentation.request_id,
            body_digest=presentation.digest,
            body=json.dumps(asdict(presentation), ensure_ascii=False),
            counter_jwt=text,
            code=None,
            expires_at=now + LIFE,
        )

        def write(conn: Connection) -> None:
            if invitations.add(conn, inner.invitations, row):
                append(conn, inner.ledger, Act.INVITED, {"window": window, "matter": presentation.matter}, now=now)

        attempt(self.office.inner, write)
        kept = self._find(window, presentation.request_id)
        if kept is None or kept.body_digest != presentation.digest:
            raise Refusal(Reason.REQUEST_ID_REUSED, detail="the same id for other bytes")
        if kept.body is None:
            raise Refusal(Reason.STATE_FORBIDS, detail="the invitation was taken back")
        return kept

    def uninvite(self, window: str, request_id: str) -> None:
        """Nobody comes with this code any more; twice is once. Refusal REQUEST_UNKNOWN for a code that this window never had,
        STATE_FORBIDS where a phone was first."""
        table = inner.invitations
        if attempt(self.office.inner, lambda conn: invitations.take_back(conn, table, window, request_id)):
            return
        if self._find(window, request_id) is None:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="nobody was invited")
        raise Refusal(Reason.STATE_FORBIDS, detail="a phone has come")

    def come(self, item: Item, *, now: datetime) -> None:
        """Send a phone to the counter whose code it has read; Refusal where that is no counter's code, or a dead one."""
        invitation = open_invitation(item.body["counter"], self.office.ring, now=now)
        content = {"counter": item.body["counter"], "code": item.body["code"]}
        letter = self.office.letter(invitation.desk, Topic.COME, content, request_id=invitation.request_id)
        once = f"come:{item.id}"
        ref = f"{item.id}:{item.attempts}"
        attempt(self.office.inner, lambda conn: inner.post(conn, letter, ref=ref, now=now, once_key=once))
        self.office.wake_worker()

    def turned(self, showing_id: str, desk: str, request_id: str, answer: Mapping[str, Any]) -> None:
        """A phone that this counter had taken was turned away; `answer` has the reason and its facts. Refusal STATE_FORBIDS
        while the counter's own answer is on its way: the caller comes again."""
        table = handover.errands
        with writing(self.office.handover) as conn:
            for item, (state, body) in queue.asked(conn, table, "come", showing_id).items():
                if self._named(body) != (desk, request_id):
                    continue  # scanned by a camera, or another counter's code
                if state is ItemState.NEW:
                    raise Refusal(Reason.STATE_FORBIDS, detail="turned away is early")
                queue.amend(conn, table, item, json.dumps(dict(answer), ensure_ascii=False))

    def _named(self, body: Mapping[str, Any]) -> tuple[str, str] | None:
        """Desk and request id of the counter's code in an errand; None for what is no counter's code."""
        text = str(body.get("counter"))
        try:
            read_at = unverified_issue(INVITATION, text.removeprefix(PREFIX))  # it may be over by now
            found = open_invitation(text, self.office.archive, now=read_at)
        except Refusal:
            return None
        return found.desk, found.request_id

    def arrived(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """A phone has come, in the order above. CODE_EXPIRED for a dead invitation, CODE_ALREADY_USED for the second phone."""
        invitation = open_invitation(content["counter"], self.office.ring, now=now)  # 1
        if invitation.desk != self.office.province:
            raise Refusal(Reason.WRONG_PROVINCE, detail="another desk's invitation")
        if open_code(content["code"], self.office.ring, now=now).province != letter.sender:  # 2
            raise Refusal(Reason.WRONG_PROVINCE, detail="a code of another province")
        row = self._find(invitation.window, invitation.request_id)
        if row is None or row.body is None:
            raise Refusal(Reason.CODE_EXPIRED, detail="nobody was invited")
        if not self._take(row, content["code"]):  # 3
            raise Refusal(Reason.CODE_ALREADY_USED, detail="another phone was first")
        body = json.loads(row.body)
        presentation = Presentation(**{**body, "preconditions": tuple(body["preconditions"])})
        self.desk.present(row.window, replace(presentation, code=content["code"]), now=now)  # 4

    def _take(self, row: InvitationRow, code: str) -> bool:
        """Whether this phone is the one; Refusal CODE_EXPIRED where the counter took the code back in this very moment."""

        def take(conn: Connection) -> bool:
            if invitations.take(conn, inner.invitations, row.window, row.request_id, code):
                return True
            now_there = invitations.find(conn, inner.invitations, row.window, row.request_id)
            if now_there is None or now_there.body is None:
                raise Refusal(Reason.CODE_EXPIRED, detail="taken back")
            return False

        return attempt(self.office.inner, take)

    def _find(self, window: str, request_id: str) -> InvitationRow | None:
        with reading(self.office.inner) as conn:
            return invitations.find(conn, inner.invitations, window, request_id)

    def forget(self, *, now: datetime) -> None:
        """Forget what nobody came for, and whom it was about."""
        attempt(self.office.inner, lambda conn: invitations.forget(conn, inner.invitations, expired_before=now - KEPT))

"""One answer for one Idempotency-Key: a vendor whose connection broke may ask again and gets the same answer.

1. The key is written first, with the digest of the body and a fresh turn; the database refuses a second writer.
2. The work and its answer are committed in one transaction, and only by whoever still has the turn.
3. A refusal gives the key back: nothing was done, and a corrected request may use it.

A process that dies between 1 and 2 leaves a key without an answer. After `TURN` the next request takes it over:
it swaps the turn in one conditional UPDATE, and if the first process was only asleep, its step 2 finds the turn
gone and undoes itself. Answers are kept for a day. The draft standard (draft-ietf-httpapi-idempotency-key-header)
gives the statuses.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from consent.b64 import new_id
from consent.errors import Reason, Refusal, Unavailable
from consent.stores.base import inserted, writing
from wallet_api.vendors.tables import vendor_answers

KEPT_FOR: Final = timedelta(hours=24)
TURN: Final = timedelta(seconds=30)  # longer than any request may take


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer as it was first given. `again` says that it was given before."""

    status: int
    body: str
    again: bool


class Once:
    """Answers by (vendor, key)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def answer(
        self,
        client_id: str,
        key: str,
        digest: str,
        *,
        status: int,
        prepare: Callable[[], Callable[[Connection], str]],
        now: datetime,
    ) -> Kept:
        """The kept answer, or what `prepare()` and its result do now.

        `prepare` judges, outside of any transaction, and returns what writes and gives the body. Refusals:
        IDEMPOTENCY_MISMATCH for another body under this key, IDEMPOTENCY_IN_FLIGHT while the first is answered,
        and those of `prepare` and the writing.
        """
        turn = new_id()
        if (kept := self._begin(client_id, key, digest, turn, now)) is not None:
            return kept
        try:
            write = prepare()
            with writing(self._engine) as connection:
                body = write(connection)
                self._keep(connection, client_id, key, turn, status, body)
        except Exception:
            with suppress(Unavailable):  # the failure that is already on its way says more
                self._give_back(client_id, key, turn)
            raise
        return Kept(status=status, body=body, again=False)

    def _begin(self, client_id: str, key: str, digest: str, turn: str, now: datetime) -> Kept | None:
        c = vendor_answers.c
        row = {"client_id": client_id, "key": key, "digest": digest, "turn": turn, "created_at": now}
        with writing(self._engine) as connection:
            connection.execute(delete(vendor_answers).where(c.created_at <= now - KEPT_FOR))
            if inserted(connection, insert(vendor_answers).values(**row)):
                return None
            first = connection.execute(
                select(vendor_answers).where(c.client_id == client_id, c.key == key)
            ).one_or_none()
            if first is None or (first.status is None and first.digest == digest):
                abandoned = (
                    update(vendor_answers)
                    .where(c.client_id == client_id, c.key == key, c.status.is_(None), c.created_at <= now - TURN)
                    .values(turn=turn, created_at=now)
                    .returning(c.turn)
                )
                if connection.execute(abandoned).first() is None:
                    raise Refusal(Reason.IDEMPOTENCY_IN_FLIGHT)
                return None
        if first.digest != digest:
            raise Refusal(Reason.IDEMPOTENCY_MISMATCH)
        return Kept(status=first.status, body=first.body, again=True)

    @staticmethod
    def _keep(connection: Connection, client_id: str, key: str, turn: str, status: int, body: str) -> None:
        c = vendor_answers.c
        mine = (
            update(vendor_answers)
            .where(c.client_id == client_id, c.key == key, c.turn == turn)
            .values(status=status, body=body)
            .returning(c.turn)
        )
        if connection.execute(mine).first() is None:
            raise Refusal(Reason.IDEMPOTENCY_IN_FLIGHT, detail="the turn was taken over")

    def _give_back(self, client_id: str, key: str, turn: str) -> None:
        # Only a key without an answer: when nobody knows whether the commit was kept, the row knows.
        c = vendor_answers.c
        with writing(self._engine) as connection:
            connection.execute(
                delete(vendor_answers).where(c.client_id == client_id, c.key == key, c.turn == turn, c.status.is_(None))
            )

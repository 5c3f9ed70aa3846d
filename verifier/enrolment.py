"""Window enrolment: a kiosk makes a key, an administrator of the unit says whose it is, and the desk knows the window.

 1. asked      a kiosk shows that it holds a key and gets a device code, for itself, and a user code, for people. Few may
               wait at once, from one address and in all
 2. looked up  the administrator names the user code; wrong ones are counted for each unit, and five in ten minutes end it
 3. approved   after comparing the key's letters with the kiosk's: for one window of one unit of our own scope
 4. fetched    the kiosk polls, no quicker than it was told, with a proof by the same key; from then on the key is the
               window's, and what the window had before is disabled. Within the ten minutes the same kiosk may fetch its answer
               again, because an answer may be lost; no proof counts twice, and none by another key counts at all
 5. disabled   read at every call, so that it takes effect at once

`verdict` decides and touches nothing. `WindowKeys` is the one place where windows' keys are looked up: first the key list
of the settings, which only a new list changes, then these. Every step stands in the ledger.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from consent.b64 import digest_of
from consent.enrolment import INTERVAL_S, LIFE, SLOWER_S, new_user_code, open_enrolment, read_user_code, short
from consent.errors import Reason, Refusal
from consent.keys import PublicKey, jwk_of, public_from_jwk, public_key
from consent.ledger import Act
from consent.seal import Sealed
from consent.states import ENROLMENT
from consent.stores.base import attempt, reading
from consent.window import WINDOW, issuer_of
from verifier.office import Office
from verifier.stores import enrolments, inner, ledger, tries
from verifier.stores.enrolments import EnrolmentRow

WAITING_OF_AN_ADDRESS: Final = 5
WAITING_IN_ALL: Final = 200
GUESSES_OF_A_UNIT: Final = 5  # in ten minutes; 200 waiting codes among 20^8 are then found once in 100,000 years
KEPT: Final = timedelta(days=1)  # how long an enrolment that came to nothing can still be listed

WAITING, APPROVED, ENROLLED = "WAITING", "APPROVED", "ENROLLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the kiosk is told. The device code exists here and at the kiosk, nowhere else."""

    device_code: str
    user_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """Whose key it is now."""

    province: str
    unit: str
    window: str
    window_name: str
    unit_zh: str
    unit_en: str
    kid: str


def verdict(row: EnrolmentRow, *, now: datetime) -> Reason | None:
    """Why a poll gets no window, by RFC 8628 §3.5; None where it gets one."""
    if row.state not in (WAITING, APPROVED, ENROLLED):
        return Reason.ACCESS_DENIED
    if now >= row.expires_at:
        return Reason.EXPIRED_TOKEN
    if now < row.next_poll_at:
        return Reason.SLOW_DOWN
    return Reason.AUTHORIZATION_PENDING if row.state == WAITING else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolments:
    """The enrolments of one province."""

    office: Office

    def ask(self, jwk: Mapping[str, Any], proof: str, *, address: str, now: datetime) -> Asked:
        """Step 1. Refusal KEY_NOT_ALLOWED, DOCUMENT_… or TOO_MANY."""
        public = public_from_jwk(jwk)
        sealed = open_enrolment(proof, public, province=self.office.province, device_code=None, now=now)
        kid, device_code, table = sealed.key.kid, secrets.token_urlsafe(32), inner.enrolments

        def put(conn: Connection) -> str:
            # First, because it locks: who comes at the same moment counts after us.
            self._note(conn, "asked", kid, now=now)
            _use(conn, sealed)
            enrolments.forget(conn, table, states={WAITING, APPROVED, "DENIED"}, expired_before=now - KEPT)
            every, own = enrolments.waiting(conn, table, state=WAITING, address=digest_of(address.encode()), now=now)
            if own >= WAITING_OF_AN_ADDRESS or every >= WAITING_IN_ALL:
                raise Refusal(Reason.TOO_MANY, detail="enrolments that wait")
            while True:
                row = EnrolmentRow(
                    device_digest=digest_of(device_code.encode()),
                    user_code=new_user_code(),
                    kid=kid,
                    jwk=json.dumps(jwk_of(public)),
                    address=digest_of(address.encode()),
                    state=ENROLMENT.start,
                    unit=None,
                    window=None,
                    interval_s=INTERVAL_S,
                    next_poll_at=now,
                    asked_at=now,
                    expires_at=now + LIFE,
                )
                if enrolments.add(conn, table, row):
                    return row.user_code

        return Asked(device_code=device_code, user_code=attempt(self.office.inner, put))

    def fetch(self, device_code: str, proof: str, *, now: datetime) -> Enrolled:
        """Step 4. Refusal INVALID_GRANT for a device code that is none, DOCUMENT_… for another key, or a `verdict`."""
        table = inner.enrolments

        def poll(conn: Connection) -> tuple[EnrolmentRow, Reason | None]:
            row = enrolments.of_device(conn, table, digest_of(device_code.encode()))
            if row is None:
                raise Refusal(Reason.INVALID_GRANT, detail="no such device code")
            public = public_from_jwk(json.loads(row.jwk))
            _use(conn, open_enrolment(proof, public, province=self.office.province, device_code=device_code, now=now))
            no = verdict(row, now=now)
            interval = row.interval_s + (SLOWER_S if no is Reason.SLOW_DOWN else 0)
            after = now + timedelta(seconds=interval)
            enrolments.polled(conn, table, row.device_digest, next_poll_at=after, interval_s=interval)
            if no is None and row.state == APPROVED:
                self._enrol(conn, row, now=now)
            return row, no  # a no is told after the commit: that the kiosk came too soon must be kept

        row, no = attempt(self.office.inner, poll)
        if no is not None:
            raise Refusal(no, detail="enrolment")
        return self._enrolled(row)

    def look_up(self, user_code: str, *, unit: str, now: datetime) -> EnrolmentRow:
        """Step 2: what waits under this user code. Refusal TOO_MANY after too many that were none, or REQUEST_UNKNOWN."""
        self.office.scope(self.office.province).unit(unit)
        code = read_user_code(user_code)
        whose, ref = f"enrol:{unit}", digest_of(code.encode())

        def look(conn: Connection) -> EnrolmentRow | Reason:
            if not tries.take(conn, inner.tries, whose, ref, most=GUESSES_OF_A_UNIT, now=now):
                return Reason.TOO_MANY
            row = enrolments.of_user_code(conn, inner.enrolments, code)
            if row is None or row.state != WAITING or now >= row.expires_at:
                return Reason.REQUEST_UNKNOWN
            tries.give_back(conn, inner.tries, whose, ref)
            return row

        found = attempt(self.office.inner, look)
        if isinstance(found, Reason):  # after the commit: a wrong code must keep its slot
            raise Refusal(found, detail="user code")
        return found

    def approve(self, row: EnrolmentRow, *, unit: str, window: str, now: datetime) -> None:
        """Step 3, for what `look_up` gave. Refusal WINDOW_UNKNOWN, or STATE_FORBIDS where somebody was quicker."""
        self.office.scope(self.office.province).unit(unit).window(window)
        self._decide(row, "approve", now=now, unit=unit, window=window)

    def deny(self, row: EnrolmentRow, *, now: datetime) -> None:
        """The other answer to step 3."""
        self._decide(row, "deny", now=now)

    def disable(self, window: str, *, now: datetime) -> int:
        """Step 5: no enrolled key is this window's any more; returns how many were. Refusal WINDOW_UNKNOWN for none."""
        count = attempt(self.office.inner, lambda conn: self._disable(conn, window, now=now))
        if not count:
            raise Refusal(Reason.WINDOW_UNKNOWN, detail="no enrolled key")
        return count

    def all(self) -> list[EnrolmentRow]:
        """What waits, what is enrolled, and what was."""
        with reading(self.office.inner) as conn:
            return enrolments.every(conn, inner.enrolments)

    def _decide(self, row: EnrolmentRow, event: str, *, now: datetime, **columns: str) -> None:
        def decide(conn: Connection) -> None:
            if now >= row.expires_at or not enrolments.move(
                conn, inner.enrolments, row.device_digest, ENROLMENT, event, **columns
            ):
                raise Refusal(Reason.STATE_FORBIDS, detail=f"enrolment: {event}")
            self._note(conn, event, row.kid, now=now, **columns)

        attempt(self.office.inner, decide)

    def _enrol(self, conn: Connection, row: EnrolmentRow, *, now: datetime) -> None:
        for old in enrolments.of_window(conn, inner.enrolments, str(row.window), states={ENROLLED}):
            self._end(conn, old, now=now)
        if not enrolments.move(conn, inner.enrolments, row.device_digest, ENROLMENT, "enrol"):
            raise Refusal(Reason.STATE_FORBIDS, detail="enrolment: enrol")
        self._note(conn, "enrol", row.kid, now=now, unit=str(row.unit), window=str(row.window))

    def _disable(self, conn: Connection, window: str, *, now: datetime) -> int:
        rows = enrolments.of_window(conn, inner.enrolments, window, states=ENROLMENT.sources("disable"))
        return sum(self._end(conn, row, now=now) for row in rows)

    def _end(self, conn: Connection, row: EnrolmentRow, *, now: datetime) -> bool:
        ended = enrolments.move(conn, inner.enrolments, row.device_digest, ENROLMENT, "disable")
        if ended:
            self._note(conn, "disable", row.kid, now=now, unit=str(row.unit), window=str(row.window))
        return ended

    def _note(self, conn: Connection, step: str, kid: str, *, now: datetime, **where: str) -> None:
        ledger.append(conn, inner.ledger, Act.WINDOW, {"step": step, "key": kid, **where}, now=now)

    def _enrolled(self, row: EnrolmentRow) -> Enrolled:
        unit = self.office.scope(self.office.province).unit(str(row.unit))
        return Enrolled(
            province=self.office.province,
            unit=unit.uscc,
            window=str(row.window),
            window_name=unit.window(str(row.window)),
            unit_zh=unit.name_zh,
            unit_en=unit.name_en,
            kid=row.kid,
        )


@dataclass(frozen=True, slots=True)
class WindowKeys:
    """Where a desk finds its windows' keys (`consent.keys.Keys`)."""

    office: Office

    @property
    def issued_after(self) -> datetime | None:
        """As for all keys."""
        return self.office.ring.issued_after

    def find(self, typ: str, kid: str, *, now: datetime) -> PublicKey:
        """The key in the key list, or the enrolled one; Refusal(DOCUMENT_KEY_UNKNOWN) otherwise."""
        try:
            return self.office.ring.find(typ, kid, now=now)
        except Refusal as unknown:
            found = self._enrolled(kid, now=now) if typ == WINDOW.typ else None
            if found is None:
                raise
            del unknown
            return found

    def _enrolled(self, kid: str, *, now: datetime) -> PublicKey | None:
        with reading(self.office.inner) as conn:
            row = enrolments.enrolled(conn, inner.enrolments, kid, state=ENROLLED)
        if row is None or row.window is None or row.unit is None:
            return None
        # A window that has left the scope is nobody's, whatever was approved before.
        self.office.scope(self.office.province).unit(row.unit).window(row.window)
        return public_key(
            public_from_jwk(json.loads(row.jwk)),
            issuer=issuer_of(self.office.province, row.window),
            kinds=[WINDOW.typ],
            not_before=row.asked_at,
            not_after=now
            + timedelta(days=1),  # it has no end of its own; every call reads whether it is still enrolled
        )


def line_of(row: EnrolmentRow) -> str:
    """One row of the administrator's list."""
    return "\t".join((row.user_code, short(row.kid), row.state, row.window or "-", row.unit or "-"))


def _use(conn: Connection, sealed: Sealed) -> None:
    if not inner.use_once(conn, sealed.issuer, sealed.jti, sealed.expires_at):
        raise Refusal(Reason.DOCUMENT_REPLAYED, detail="enrolment proof")

"""How certificates come in, and how their status changes. Each in one transaction with its ledger entry.

A certificate with an error in it stays out, with all its errors named. New registrations are issued on the day of
registration (A36); the difference is a figure (`issued_same_day`), not a refusal: a late certificate is still a true one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, insert, select, update

from consent.b64 import new_id
from consent.clock import shanghai_date
from consent.errors import Reason, Refusal
from consent.holding import STATUSES, holder_index
from consent.ledger import Act
from consent.people import CitizenId, expand_legacy
from consent.stores.base import attempt, inserted, reading
from verifier.library.certificate import Certificate, problems
from verifier.library.disclosure import masked_number
from verifier.library.register import Library
from verifier.stores.ledger import append
from verifier.stores.library import certificates, ledger, undigitised


def new_handle(province: str) -> str:
    """A random name for a certificate inside this system; it says only which library has it."""
    return f"{province}.{new_id()}"


def issue(library: Library, certificate: Certificate, *, now: datetime) -> None:
    """Put a certificate into the library.

    Refusal BODY_INVALID with every error in `detail`, WRONG_PROVINCE for the handle of another library, STATE_FORBIDS where
    the handle is taken: a certificate is never written over, only its status changes.
    """
    if errors := [each.text for each in problems(certificate, today=shanghai_date(now)) if each.level == "error"]:
        raise Refusal(Reason.BODY_INVALID, detail="; ".join(errors))
    if certificate.handle.partition(".")[0] != library.province:
        raise Refusal(Reason.WRONG_PROVINCE, detail="the handle names another library")
    row = {
        "handle": certificate.handle,
        "holder": holder_index(certificate.own.id_number, library.index_key),
        "type": certificate.type,
        "status": certificate.status,
        "status_since": now,
        "registration_date": certificate.registration_date,
        "authority": certificate.authority,
        "number_masked": masked_number(certificate.number),
        "face": library.vault.close(certificate.face(), place=f"certificates|face|{certificate.handle}"),
        "issued_at": now,
    }

    def put(conn: Connection) -> None:
        if not inserted(conn, insert(certificates).values(row)):
            raise Refusal(Reason.STATE_FORBIDS, detail="this handle is taken")
        append(conn, ledger, Act.ISSUED, {"certificate": certificate.handle, "status": certificate.status}, now=now)

    attempt(library.engine, put)


def note_paper_file(library: Library, id_number: str, *, now: datetime) -> None:
    """There is a file of this person on paper only (A33); noting it twice changes nothing.

    Such files carry a number of 15 digits; it is found under the 18 that the person has today. Refusal ID_NUMBER_MALFORMED.
    """
    today = shanghai_date(now)
    legacy = len(id_number) == 15
    number = expand_legacy(id_number, today=today) if legacy else CitizenId.parse(id_number, today=today)
    row = {"holder": holder_index(number.number, library.index_key)}
    attempt(library.engine, lambda conn: inserted(conn, insert(undigitised).values(row)))


def set_status(library: Library, handle: str, status: str, *, now: datetime) -> None:
    """Change a certificate's status; to the one that it has already changes nothing.

    Refusal CERTIFICATE_UNKNOWN, or STATE_FORBIDS for a status that does not exist.
    """
    if status not in STATUSES:
        raise Refusal(Reason.STATE_FORBIDS, detail="no such status")
    c = certificates.c

    def change(conn: Connection) -> None:
        changed = conn.execute(
            update(certificates).where(c.handle == handle, c.status != status).values(status=status, status_since=now)
        ).rowcount
        if changed:
            append(conn, ledger, Act.ISSUED, {"certificate": handle, "status": status}, now=now)
        elif conn.execute(select(c.handle).where(c.handle == handle)).first() is None:
            raise Refusal(Reason.CERTIFICATE_UNKNOWN)

    attempt(library.engine, change)


@dataclass(frozen=True, slots=True, kw_only=True)
class SameDay:
    """Of the certificates whose registration lies in a period: how many there are, how many came in on that very day."""

    registered: int
    same_day: int


def issued_same_day(library: Library, *, first: date, last: date) -> SameDay:
    """The figure of A36 for registrations from `first` to `last`, both included, by days in Shanghai.

    The period keeps the digitised stock out of it: old registrations come in years late, and rightly so.
    """
    c = certificates.c
    query = select(c.registration_date, c.issued_at).where(c.registration_date.between(first, last))
    with reading(library.engine) as conn:
        rows = conn.execute(query).all()
    timely = sum(shanghai_date(row.issued_at) == row.registration_date for row in rows)
    return SameDay(registered=len(rows), same_day=timely)

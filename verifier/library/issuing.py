"""How certificates come in, and how their status changes. Each in one transaction with its ledger entry.

A certificate with an error in it stays out, with all its errors named. New registrations are issued on the day of
registration (A36); the difference is a figure, not a refusal.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, update

from consent.b64 import new_id
from consent.clock import shanghai_date
from consent.errors import Reason, Refusal
from consent.holding import STATUSES, holder_index
from consent.ledger import Act
from consent.stores.base import attempt, inserted
from verifier.library.certificate import Certificate, problems
from verifier.library.disclosure import masked
from verifier.library.register import Library
from verifier.stores.ledger import append
from verifier.stores.library import certificates, ledger, undigitised


def new_handle(province: str) -> str:
    """A random name for a certificate inside this system; it says only which library has it."""
    return f"{province}.{new_id()}"


def issue(library: Library, certificate: Certificate, *, now: datetime) -> None:
    """Put a certificate into the library; Refusal(CERTIFICATE_NUMBER_MALFORMED) with every error in `detail`."""
    if errors := [each.text for each in problems(certificate, today=shanghai_date(now)) if each.level == "error"]:
        raise Refusal(Reason.CERTIFICATE_NUMBER_MALFORMED, detail="; ".join(errors))
    row = {
        "handle": certificate.handle,
        "holder": holder_index(certificate.own.id_number, library.index_key),
        "type": certificate.type,
        "status": certificate.status,
        "status_since": now,
        "registration_date": certificate.registration_date,
        "authority": certificate.authority,
        "number_masked": masked("certificate_number", certificate.number),
        "face": library.vault.close(certificate.face(), place=f"certificates|face|{certificate.handle}"),
        "issued_at": now,
    }

    def put(conn: Connection) -> None:
        conn.execute(insert(certificates).values(row))
        append(conn, ledger, Act.ISSUED, {"certificate": certificate.handle, "status": certificate.status}, now=now)

    attempt(library.engine, put)


def note_paper_file(library: Library, id_number: str, *, now: datetime) -> None:
    """There is a file of this person on paper only (A33); noting it twice changes nothing."""
    row = {"holder": holder_index(id_number, library.index_key)}
    attempt(library.engine, lambda conn: inserted(conn, insert(undigitised).values(row)))


def set_status(library: Library, handle: str, status: str, *, now: datetime) -> None:
    """Change a certificate's status; Refusal CERTIFICATE_UNKNOWN, or STATE_FORBIDS for a status that does not exist."""
    if status not in STATUSES:
        raise Refusal(Reason.STATE_FORBIDS, detail=f"no status {status}")

    def change(conn: Connection) -> None:
        done = conn.execute(
            update(certificates).where(certificates.c.handle == handle).values(status=status, status_since=now)
        ).rowcount
        if not done:
            raise Refusal(Reason.CERTIFICATE_UNKNOWN)
        append(conn, ledger, Act.ISSUED, {"certificate": handle, "status": status}, now=now)

    attempt(library.engine, change)

"""The library's tables.

certificates   one row for each certificate instance. The face is one encrypted column; the holder is found by an HMAC.
undigitised    people of whom there is only a paper file, by the same HMAC.
spends         the one row for which spending and withdrawing a consent compete: (issuer, jti) is the primary key, so the
               database decides, whoever comes first and in however many processes.
card_fetches   what was given on the card route, one row for each, to count by (`verifier.library.quota`).
answers        what was answered to a question about holdings, sealed, so that a question that comes again gets the same bytes.
ledger         see `verifier.stores.ledger`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Date, Index, Integer, MetaData, String, Table, Text

from consent.stores.base import UtcDateTime
from consent.stores.migrations import Owner
from verifier.stores.ledger import ledger_tables

metadata: Final = MetaData()

certificates: Final = Table(
    "certificates",
    metadata,
    Column("handle", String(25), primary_key=True),
    Column("holder", String(43), nullable=False),
    Column("type", String(16), nullable=False),
    Column("status", String(32), nullable=False),
    Column("status_since", UtcDateTime, nullable=False),
    Column("registration_date", Date, nullable=False),
    Column("authority", String(80), nullable=False),
    Column("number_masked", String(60), nullable=False),
    Column("face", Text, nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Index("ix_certificates_holder", "holder"),
)

undigitised: Final = Table("undigitised", metadata, Column("holder", String(43), primary_key=True))

spends: Final = Table(
    "spends",
    metadata,
    Column("consent_issuer", String(2), primary_key=True),
    Column("jti", String(22), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("request_digest", String(43), nullable=True),
    Column("certificate", String(25), nullable=True),
    Column("status", String(32), nullable=True),  # of the certificate when the copy was made
    Column("copy", Text, nullable=True),
    Column("receipt", Text, nullable=True),  # the library's own
    Column("unit_receipt", Text, nullable=True),
    Column("at", UtcDateTime, nullable=False),
    Column("tries", Integer, nullable=False),
)

card_fetches: Final = Table(
    "card_fetches",
    metadata,
    Column("request_digest", String(43), primary_key=True),  # one request, one certificate
    Column("desk", String(2), nullable=False),
    Column("window", String(64), nullable=False),
    Column("unit", String(18), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_card_fetches_window", "desk", "window", "at"),
    Index("ix_card_fetches_unit", "desk", "unit", "at"),
    Index("ix_card_fetches_at", "at"),
)

answers: Final = Table(
    "answers",
    metadata,
    Column("question", String(43), primary_key=True),  # its digest
    Column("answer", Text, nullable=False),  # only the asker opens its envelope
    Column("expires_at", UtcDateTime, nullable=False),  # of the question: from then on nobody asks it again
    Index("ix_answers_expires_at", "expires_at"),
)

ledger: Final = ledger_tables(metadata)

OWNER: Final = Owner(name="library", script_location_package="verifier.stores.library_migrations", metadata=metadata)

"""What the inner network remembers: one file per owner, each with its own Alembic history beside it.

inner      of one province: visits at its desks, claims on its showings, outbox, lookups
library    of one province: certificates, paper files, spent and withdrawn consents
exchange   of the exchange: channels, and what was carried
ledger     not an owner but a pair of tables that inner and library both keep, written only by `append`

No foreign key crosses from one owner to another, so that each can move to a database, a machine or a department of its
own. What must hold between two of them is carried by a signed document and never by a join.
"""

-- After the tables are there (see postgresql.sql): what the verifier may do is narrowed to what it does.
--
--     psql -v ON_ERROR_STOP=1 -f docs/postgresql-ledger.sql
--
-- The role that serves adds to a ledger and reads it; it cannot change or take away an entry. What a library counts on the
-- card route, and what it answered, it adds, reads and forgets when it is old, and never rewrites. In the hand-over database the
-- verifier moves showings on, writes the event of each move, and answers errands; it reads standing answers, and reads and
-- takes away names of showings. Vendors and their tokens are not its business.

\connect huzheng_inner_31
REVOKE UPDATE, DELETE ON ledger FROM huzheng_verifier_31;
REVOKE INSERT, DELETE ON ledger_head FROM huzheng_verifier_31;

\connect huzheng_library_31
REVOKE UPDATE, DELETE ON ledger FROM huzheng_verifier_31;
REVOKE INSERT, DELETE ON ledger_head FROM huzheng_verifier_31;
REVOKE UPDATE ON card_fetches, answers FROM huzheng_verifier_31;

\connect huzheng_handover_31
GRANT SELECT, UPDATE ON showings, errands TO huzheng_verifier_31;
GRANT INSERT ON showing_events TO huzheng_verifier_31;
GRANT USAGE ON SEQUENCE showing_events_id_seq TO huzheng_verifier_31;
GRANT SELECT ON standings TO huzheng_verifier_31;
GRANT SELECT, DELETE ON names TO huzheng_verifier_31;
GRANT SELECT ON alembic_version_handover TO huzheng_verifier_31;

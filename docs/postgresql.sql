-- The databases and roles of one province, for PostgreSQL 15 or newer. Run as a superuser:
--
--     psql -v ON_ERROR_STOP=1 -f docs/postgresql.sql
--
-- It is written for Shanghai (31); for another province replace _31 throughout. Give the roles a way to sign in
-- (ALTER ROLE … PASSWORD, or certificates in pg_hba.conf), let the owner migrate (`wallet-api migrate`, `verifier migrate`),
-- then run docs/postgresql-ledger.sql.
--
-- What holds afterwards (内外网隔离): wallet_api can open the hand-over database and no other. It does not get as far as a
-- table of the inner network, because it may not connect to the database that holds it.

CREATE ROLE huzheng_owner_31 LOGIN;     -- migrates; serves nobody
CREATE ROLE huzheng_wallet_31 LOGIN;    -- wallet_api, outer network
CREATE ROLE huzheng_verifier_31 LOGIN;  -- verifier, inner network

CREATE DATABASE huzheng_handover_31 OWNER huzheng_owner_31;
CREATE DATABASE huzheng_inner_31 OWNER huzheng_owner_31;
CREATE DATABASE huzheng_library_31 OWNER huzheng_owner_31;

REVOKE ALL ON DATABASE huzheng_handover_31, huzheng_inner_31, huzheng_library_31 FROM PUBLIC;
GRANT CONNECT ON DATABASE huzheng_handover_31 TO huzheng_wallet_31, huzheng_verifier_31;
GRANT CONNECT ON DATABASE huzheng_inner_31, huzheng_library_31 TO huzheng_verifier_31;

\connect huzheng_handover_31
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO huzheng_owner_31;
GRANT USAGE ON SCHEMA public TO huzheng_wallet_31, huzheng_verifier_31;
ALTER DEFAULT PRIVILEGES FOR ROLE huzheng_owner_31 IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO huzheng_wallet_31;
ALTER DEFAULT PRIVILEGES FOR ROLE huzheng_owner_31 IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO huzheng_wallet_31;

\connect huzheng_inner_31
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO huzheng_owner_31;
GRANT USAGE ON SCHEMA public TO huzheng_verifier_31;
ALTER DEFAULT PRIVILEGES FOR ROLE huzheng_owner_31 IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO huzheng_verifier_31;
ALTER DEFAULT PRIVILEGES FOR ROLE huzheng_owner_31 IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO huzheng_verifier_31;

\connect huzheng_library_31
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO huzheng_owner_31;
GRANT USAGE ON SCHEMA public TO huzheng_verifier_31;
ALTER DEFAULT PRIVILEGES FOR ROLE huzheng_owner_31 IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO huzheng_verifier_31;
ALTER DEFAULT PRIVILEGES FOR ROLE huzheng_owner_31 IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO huzheng_verifier_31;

"""A visit and its races on PostgreSQL, under the roles and databases that docs/postgresql.sql sets up.

wallet_api signs in as a role that can open the hand-over database and nothing else; the verifier as one that cannot change
a ledger. What passes here passes with these rights and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, create_engine, insert, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from consent.ledger import GENESIS
from consent.provinces import provinces
from consent.stores import handover
from consent.stores.base import open_engine, reading
from consent.stores.migrations import migrate
from consent.stores.valkey import start_valkey
from scanner_kiosk.country import Founded, found
from scanner_kiosk.country.people import pair
from tests.counter_without_phone import counter
from tests.country import START, Stage, light_folder, staged
from tests.postgres import postgres_cluster
from tests.test_races import WITHDRAWALS, race_for_a_showing, race_to_withdraw
from tests.test_twin import typed
from verifier.stores import exchange as exchange_tables
from verifier.stores import inner
from verifier.stores import library as library_tables
from wallet_api.app import OWNERS as OUTER

pytestmark = pytest.mark.postgres

DOCS = Path(__file__).parent.parent / "docs"
INNER_TABLES = sorted(inner.metadata.tables) + sorted(library_tables.metadata.tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere(Founded):
    """A founded country whose stores are on a server."""

    stores: Mapping[str, str]

    def environment(self, code: str, *, redis_url: str = "") -> dict[str, str]:
        """As for SQLite, with other addresses."""
        found = Founded.environment(self, code, redis_url=redis_url)
        return found | {
            "HUZHENG_WALLET_STORE": self.stores[f"wallet-{code}"],
            "HUZHENG_VERIFIER_HANDOVER_STORE": self.stores[f"handover-{code}"],
            "HUZHENG_VERIFIER_INNER_STORE": self.stores[f"inner-{code}"],
            "HUZHENG_VERIFIER_LIBRARY_STORE": self.stores[f"library-{code}"],
            "HUZHENG_VERIFIER_EXCHANGE_STORE": self.stores["exchange"],
        }


def address(cluster: str, database: str, role: str) -> str:
    """The URL of a database for a role."""
    return cluster.replace("//huzheng@", f"//{role}@").replace("/postgres?", f"/{database}?")


def run_sql(cluster: str, path: Path, code: str) -> None:
    """A file for psql, for one province: statements end with a semicolon at a line's end, `\\connect` changes the database."""
    script = path.read_text(encoding="utf-8").replace("_31", f"_{code}")
    script = re.sub(r"--[^\n]*", "", script)
    database = "postgres"
    for part in re.split(r"(?m)^(\\connect \w+)$", script):
        if part.startswith("\\connect"):
            database = part.split()[1]
            continue
        engine = create_engine(address(cluster, database, "huzheng"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in filter(str.strip, re.split(r";\s*\n", part)):
                connection.execute(text(statement))
        engine.dispose()


def move(source: str, target: str, metadata: MetaData) -> None:
    """Every row of these tables to another database."""
    old, new = open_engine(source), open_engine(target)
    with reading(old) as rows, new.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            # The head of a ledger comes with the migration. Where nothing came, nothing is asked: one table is append-only.
            if connection.execute(select(table).limit(1)).first() is not None:
                connection.execute(table.delete())
        for table in metadata.sorted_tables:
            found = [dict(row._mapping) for row in rows.execute(select(table))]
            if found:
                connection.execute(insert(table), found)
    old.dispose()
    new.dispose()


def settle(founded: Founded, cluster: str) -> Elsewhere:
    """Move a country that was founded on SQLite to the server, as an operator would set it up."""
    stores = {}
    for code in provinces():
        run_sql(cluster, DOCS / "postgresql.sql", code)
        here = Founded.environment(founded, code)
        plan = (
            ("handover", here["HUZHENG_WALLET_STORE"], OUTER),
            ("inner", here["HUZHENG_VERIFIER_INNER_STORE"], (inner.OWNER,)),
            ("library", here["HUZHENG_VERIFIER_LIBRARY_STORE"], (library_tables.OWNER,)),
        )
        for name, source, owners in plan:
            target = address(cluster, f"huzheng_{name}_{code}", f"huzheng_owner_{code}")
            engine = open_engine(target)
            for owner in owners:
                migrate(engine, owner)
                move(source, target, owner.metadata)
            engine.dispose()
            stores[f"{name}-{code}"] = address(cluster, f"huzheng_{name}_{code}", f"huzheng_verifier_{code}")
        stores[f"wallet-{code}"] = address(cluster, f"huzheng_handover_{code}", f"huzheng_wallet_{code}")
        run_sql(cluster, DOCS / "postgresql-ledger.sql", code)
    stores["exchange"] = cluster
    engine = open_engine(cluster)
    migrate(engine, exchange_tables.OWNER)
    engine.dispose()
    return Elsewhere(folder=founded.folder, keylist_sha256=founded.keylist_sha256, stores=stores)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Stage]]:
    """A cluster with the country on it, and the cluster's URL for its superuser."""
    with postgres_cluster() as cluster, light_folder() as folder:
        elsewhere = settle(found(folder / "state", now=START), cluster)
        with staged(elsewhere, folder / "pristine") as stage:
            yield cluster, stage


@pytest.fixture
def there(server: tuple[str, Stage]) -> Stage:
    """The country, with the rows of visits before taken away."""
    cluster, stage = server
    stage.clock.set(START)
    for wire in stage.wires.values():
        wire.rule, wire.sent = None, []
    for code in provinces():
        stage.province(code).worker._swept = stage.province(code).worker._cleaned = None
        for name, tables in (
            ("inner", ", ".join(sorted(set(inner.metadata.tables) - {"ledger", "ledger_head"}))),
            ("library", "spends, card_fetches"),
            ("handover", ", ".join(sorted(set(handover.metadata.tables) - {"event_numbers"}))),
        ):
            with _superuser(cluster, f"huzheng_{name}_{code}") as engine, engine.begin() as connection:
                connection.execute(text(f"TRUNCATE {tables}"))
                if name != "handover":
                    connection.execute(text("TRUNCATE ledger"))
                    connection.execute(
                        text("UPDATE ledger_head SET position = 0, digest = :genesis"), {"genesis": GENESIS}
                    )
    return stage


@contextmanager
def _superuser(cluster: str, database: str) -> Iterator[Engine]:
    engine = create_engine(address(cluster, database, "huzheng"))
    try:
        yield engine
    finally:
        engine.dispose()


def test_a_visit_passes_on_postgresql(there: Stage) -> None:
    for triple in (("31", "32", "33"), ("34", "34", "34")):
        scene = there.scene(*triple)
        assert scene.whole().state == "PASSED"
        assert scene.present().state == "PASSED"
        assert scene.showing()["state"] == "DELIVERED"
    for province in there.country.provinces.values():
        province.ready()
    there.books()


def test_a_twin_and_a_card_lead_to_the_certificate_on_postgresql(there: Stage) -> None:
    assert typed(there).whole().state == "PASSED"
    at = counter(there, pair("31", "32"))  # where a second officer confirms
    at.begin()
    assert at.answer().state == "PASSED"
    assert len(there.rows("32", library_tables.card_fetches)) == 1
    there.books()


@pytest.mark.full
def test_one_showing_goes_to_one_counter_on_postgresql(there: Stage, tmp_path: Path) -> None:
    valkey = start_valkey(tmp_path)
    try:
        race_for_a_showing(there, tmp_path, redis_url=valkey.url, meanwhile=valkey.kill)
    finally:
        valkey.stop()


@pytest.mark.timeout(900)
def test_a_consent_is_spent_or_withdrawn_on_postgresql(there: Stage) -> None:
    race_to_withdraw(there, WITHDRAWALS)


@pytest.mark.parametrize("database", ["inner", "library"])
def test_the_role_of_wallet_api_does_not_get_into_the_inner_network(server: tuple[str, Stage], database: str) -> None:
    cluster, _ = server
    engine = create_engine(address(cluster, f"huzheng_{database}_31", "huzheng_wallet_31"))
    with pytest.raises(OperationalError, match="permission denied for database"), engine.connect():
        raise AssertionError("it is in")
    engine.dispose()


@pytest.mark.parametrize("table", INNER_TABLES)
def test_no_inner_table_can_be_read_by_wallet_api_even_from_inside(server: tuple[str, Stage], table: str) -> None:
    """Should somebody let the role connect one day, the tables are still shut."""
    cluster, _ = server
    database = "inner" if table in inner.metadata.tables else "library"
    with _superuser(cluster, f"huzheng_{database}_31") as engine, engine.connect() as connection:
        connection.execute(text("SET ROLE huzheng_wallet_31"))
        with pytest.raises(ProgrammingError, match="permission denied"):
            connection.execute(text(f"SELECT 1 FROM public.{table}"))


def test_the_role_of_wallet_api_reads_what_is_its_own(server: tuple[str, Stage]) -> None:
    """Or the two tests above would pass for a role that can do nothing at all."""
    cluster, _ = server
    engine = create_engine(address(cluster, "huzheng_handover_31", "huzheng_wallet_31"))
    with engine.connect() as connection:
        connection.execute(select(handover.showings)).all()
        assert connection.execute(text("SELECT count(*) FROM vendors")).scalar_one() >= 1
    engine.dispose()


@pytest.mark.parametrize("change", ["UPDATE ledger SET act = 'DELIVERED'", "DELETE FROM ledger", "TRUNCATE ledger"])
@pytest.mark.parametrize("database", ["inner", "library"])
def test_the_role_that_serves_cannot_change_a_ledger(server: tuple[str, Stage], database: str, change: str) -> None:
    cluster, _ = server
    engine = create_engine(address(cluster, f"huzheng_{database}_31", "huzheng_verifier_31"))
    with engine.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text(change))
    engine.dispose()


def test_the_role_that_serves_cannot_rewrite_what_was_counted(server: tuple[str, Stage]) -> None:
    cluster, _ = server
    engine = create_engine(address(cluster, "huzheng_library_31", "huzheng_verifier_31"))
    with engine.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text("UPDATE card_fetches SET desk = '99'"))
    engine.dispose()


def test_the_verifier_does_not_read_the_vendors(server: tuple[str, Stage]) -> None:
    cluster, _ = server
    engine = create_engine(address(cluster, "huzheng_handover_31", "huzheng_verifier_31"))
    with engine.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text("SELECT 1 FROM vendors"))
    engine.dispose()

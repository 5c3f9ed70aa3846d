"""The stores: both databases obey the same law book, and the database itself refuses the second one."""

from __future__ import annotations

import multiprocessing
import sqlite3
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from consent.errors import Reason, Refusal, Unavailable
from consent.stores import handover, queue
from consent.stores.base import UtcDateTime, attempt, inserted, open_engine, reading, writing
from consent.stores.migrations import Owner, check_schema, migrate, schema_differences
from consent.stores.queue import Item, ItemState
from tests.postgres import fresh_database, postgres_cluster

NOW = datetime(2026, 3, 2, 1, 2, 3, 456789, tzinfo=UTC)
LEASE = timedelta(seconds=30)
THREADS, PROCESSES = 16, 4
# A fork server imports the libraries once; forking the tests themselves would copy locks and connections.
PROCESSES_OF_THEIR_OWN = multiprocessing.get_context("forkserver")
PROCESSES_OF_THEIR_OWN.set_forkserver_preload(["pytest", "consent.stores.handover", "psycopg"])

scratch = MetaData()
instants = Table(
    "instants",
    scratch,
    Column("id", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("word", String(200), nullable=True, unique=True),
)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    with postgres_cluster() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "postgresql":
        return fresh_database(request.getfixturevalue("cluster"))
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    found = open_engine(url, must_exist=False)
    yield found
    found.dispose()


@pytest.fixture
def store(engine: Engine) -> Engine:
    """The hand-over store, migrated."""
    migrate(engine, handover.OWNER)
    return engine


@pytest.fixture
def words(engine: Engine) -> Engine:
    """One table that belongs to nobody."""
    with writing(engine) as connection:
        scratch.create_all(connection)
    return engine


# What both databases promise ------------------------------------------------------------------------------


def test_an_instant_comes_back_to_the_microsecond_and_in_utc(words: Engine) -> None:
    shanghai = NOW.astimezone(timezone(timedelta(hours=8)))
    with writing(words) as connection:
        connection.execute(insert(instants), [{"id": 1, "at": shanghai}, {"id": 2, "at": NOW.replace(microsecond=0)}])
    with reading(words) as connection:
        found = connection.execute(select(instants.c.at).order_by(instants.c.at)).scalars().all()
        same = connection.execute(select(instants.c.id).where(instants.c.at == shanghai)).scalar_one()
    assert found == [NOW.replace(microsecond=0), NOW]
    assert [at.tzinfo for at in found] == [UTC, UTC]
    assert same == 1


def test_a_time_without_a_zone_is_a_programmers_mistake(words: Engine) -> None:
    with pytest.raises(ValueError, match="zone"), writing(words) as connection:
        connection.execute(insert(instants).values(id=1, at=datetime(2026, 1, 1)))


def test_a_transaction_that_raises_leaves_nothing_behind(words: Engine) -> None:
    with pytest.raises(KeyError), writing(words) as connection:
        connection.execute(insert(instants).values(id=1, at=NOW))
        raise KeyError
    with reading(words) as connection:
        assert connection.execute(select(func.count()).select_from(instants)).scalar_one() == 0


def test_a_write_inside_reading_fails_instead_of_being_forgotten(words: Engine) -> None:
    with pytest.raises(Unavailable), reading(words) as connection:
        connection.execute(insert(instants).values(id=1, at=NOW))
    with writing(words) as connection:  # the connection went back to the pool and can write again
        connection.execute(insert(instants).values(id=1, at=NOW))


def test_only_a_taken_key_is_forgiven(words: Engine) -> None:
    with writing(words) as connection:
        assert inserted(connection, insert(instants).values(id=1, at=NOW, word="a"))
        assert not inserted(connection, insert(instants).values(id=1, at=NOW, word="b"))
        assert not inserted(connection, insert(instants).values(id=2, at=NOW, word="a"))
    with pytest.raises(IntegrityError), writing(words) as connection:
        inserted(connection, insert(instants).values(id=3, at=None))


@pytest.mark.parametrize("word", ["half a pair \ud800", "nul \x00"])
def test_a_value_that_cannot_be_stored_is_a_refusal(words: Engine, word: str) -> None:
    if "\x00" in word and words.dialect.name == "sqlite":
        with writing(words) as connection:  # SQLite keeps a NUL, and gives it back
            connection.execute(insert(instants).values(id=1, at=NOW, word=word))
            assert connection.execute(select(instants.c.word)).scalar_one() == word
        return
    with pytest.raises(Refusal) as refused, writing(words) as connection:
        connection.execute(insert(instants).values(id=1, at=NOW, word=word))
    assert refused.value.reason is Reason.BODY_INVALID
    assert word not in refused.value.detail


def test_a_number_of_65_bits_is_a_refusal(words: Engine) -> None:
    with pytest.raises(Refusal), writing(words) as connection:
        connection.execute(insert(instants).values(id=2**64, at=NOW))


def test_a_missing_table_is_an_outdated_schema(engine: Engine) -> None:
    with pytest.raises(Unavailable) as silent, reading(engine) as connection:
        connection.execute(select(instants))
    assert silent.value.reason is Reason.SCHEMA_OUTDATED


def test_writers_that_read_first_lose_no_update(words: Engine) -> None:
    with writing(words) as connection:
        connection.execute(insert(instants).values(id=1, at=NOW, word="0"))

    def add_one(_: int) -> None:
        def step(connection: Any) -> None:
            value = connection.execute(select(instants.c.word).where(instants.c.id == 1).with_for_update())
            connection.execute(update(instants).values(word=str(int(value.scalar_one()) + 1)))

        attempt(words, step)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(80)))
    with reading(words) as connection:
        assert connection.execute(select(instants.c.word)).scalar_one() == "80"


@pytest.mark.full
def test_an_exhausted_pool_is_no_answer(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'store.db'}", must_exist=False, pool_size=1)
    with reading(engine), pytest.raises(Unavailable) as silent, reading(engine):
        pass
    assert silent.value.reason is Reason.STORE_UNAVAILABLE
    engine.dispose()


@pytest.mark.parametrize(
    "bad",
    ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://localhost/x", "postgresql://localhost/x"],
)
def test_another_kind_of_database_stops_the_start(bad: str) -> None:
    with pytest.raises(ValueError):
        open_engine(bad)


# SQLite alone ---------------------------------------------------------------------------------------------


def test_a_missing_file_is_no_answer_and_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    engine = open_engine(f"sqlite:///{path}")
    for transaction in (reading, writing):
        with pytest.raises(Unavailable) as silent, transaction(engine):
            pass
        assert silent.value.reason is Reason.STORE_UNAVAILABLE
    assert not path.exists()


def test_a_file_deleted_while_the_process_runs_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    engine = open_engine(f"sqlite:///{path}", must_exist=False)
    with writing(engine) as connection:
        scratch.create_all(connection)
    for left_over in tmp_path.glob("library.db*"):
        left_over.unlink()
    for transaction in (reading, writing):
        with pytest.raises(Unavailable) as silent, transaction(engine):
            pass
        assert silent.value.reason is Reason.STORE_UNAVAILABLE
    assert not path.exists()
    engine.dispose()


def test_a_file_that_was_put_back_is_used_again(tmp_path: Path) -> None:
    path, backup = tmp_path / "library.db", tmp_path / "backup.db"
    engine = open_engine(f"sqlite:///{path}", must_exist=False)
    with writing(engine) as connection:
        scratch.create_all(connection)
        connection.execute(insert(instants).values(id=1, at=NOW))
    source, target = sqlite3.connect(path), sqlite3.connect(backup)
    source.backup(target)
    source.close()
    target.close()
    with writing(engine) as connection:
        connection.execute(insert(instants).values(id=2, at=NOW))
    for left_over in tmp_path.glob("library.db*"):
        left_over.unlink()
    with pytest.raises(Unavailable), reading(engine):
        pass
    backup.rename(path)
    with reading(engine) as connection:
        assert connection.execute(select(instants.c.id)).scalars().all() == [1]
    engine.dispose()


def test_a_file_that_is_no_database_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(Unavailable), reading(open_engine(f"sqlite:///{path}")) as connection:
        connection.execute(text("SELECT * FROM sqlite_master"))


def test_sqlite_syncs_every_commit_and_keeps_its_file_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store.db"
    engine = open_engine(f"sqlite:///{path}", must_exist=False)
    with writing(engine) as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    assert path.stat().st_mode & 0o777 == 0o600
    engine.dispose()


# PostgreSQL alone -----------------------------------------------------------------------------------------


@pytest.fixture
def postgres(cluster: str) -> Iterator[Engine]:
    engine = open_engine(fresh_database(cluster))
    with writing(engine) as connection:
        scratch.create_all(connection)
        connection.execute(insert(instants), [{"id": 1, "at": NOW}, {"id": 2, "at": NOW}])
    yield engine
    engine.dispose()


@pytest.mark.postgres
def test_a_slow_statement_is_given_up(postgres: Engine) -> None:
    with pytest.raises(Unavailable), reading(postgres) as connection:
        connection.execute(text("SELECT pg_sleep(30)"))


def test_a_server_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    engine = open_engine(f"postgresql+psycopg://huzheng@/postgres?host={tmp_path}")
    with pytest.raises(Unavailable) as silent, reading(engine):
        pass
    assert silent.value.reason is Reason.STORE_UNAVAILABLE


@pytest.mark.postgres
def test_a_connection_that_the_server_closed_is_replaced(postgres: Engine) -> None:
    with reading(postgres) as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    somebody_else = open_engine(postgres.url.render_as_string(hide_password=False))
    with writing(somebody_else) as connection:
        assert connection.execute(text("SELECT pg_terminate_backend(:pid, 1000)"), {"pid": pid}).scalar_one()
    somebody_else.dispose()
    with reading(postgres) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


@pytest.mark.postgres
def test_of_two_in_a_deadlock_both_end_well(postgres: Engine) -> None:
    both_hold_one = threading.Barrier(2)
    first_time = threading.local()

    def lock_both(first: int, second: int) -> None:
        def step(connection: Any) -> None:
            connection.execute(update(instants).where(instants.c.id == first).values(at=NOW))
            if not hasattr(first_time, "passed"):
                first_time.passed = True
                both_hold_one.wait(timeout=5)
            connection.execute(update(instants).where(instants.c.id == second).values(at=NOW))

        attempt(postgres, step)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(lock_both, 1, 2), pool.submit(lock_both, 2, 1)]:
            done.result(timeout=20)


@pytest.mark.postgres
def test_a_commit_is_never_asynchronous(postgres: Engine) -> None:
    with writing(postgres) as connection:
        connection.execute(text(f"ALTER DATABASE {postgres.url.database} SET synchronous_commit = off"))
    postgres.dispose()  # the setting holds for connections made from now on
    with writing(postgres) as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
        stored = text("SELECT setconfig FROM pg_db_role_setting")
        assert connection.execute(stored).scalar_one() == ["synchronous_commit=off"]


# Schemas --------------------------------------------------------------------------------------------------


def test_the_migrated_schema_is_the_one_the_program_knows(store: Engine) -> None:
    check_schema(store, handover.OWNER)
    assert schema_differences(store, handover.OWNER) == []


def test_a_difference_between_schema_and_program_is_found(store: Engine) -> None:
    with writing(store) as connection:
        connection.execute(text("ALTER TABLE errands DROP COLUMN error"))
        connection.execute(text("CREATE TABLE left_over (id INTEGER PRIMARY KEY)"))
    kinds = {difference[0] for difference in schema_differences(store, handover.OWNER)}
    assert kinds == {"add_column", "remove_table"}


def test_an_empty_database_is_an_outdated_schema(engine: Engine) -> None:
    with pytest.raises(Unavailable) as silent:
        check_schema(engine, handover.OWNER)
    assert silent.value.reason is Reason.SCHEMA_OUTDATED


def test_a_schema_newer_than_the_program_is_refused(store: Engine) -> None:
    with writing(store) as connection:
        connection.execute(text("UPDATE alembic_version_handover SET version_num = '9999'"))
    for step in (check_schema, migrate):
        with pytest.raises(Unavailable) as silent:
            step(store, handover.OWNER)
        assert silent.value.reason is Reason.SCHEMA_OUTDATED


def test_migrating_again_changes_nothing(store: Engine) -> None:
    with writing(store) as connection:
        assert handover.use_once(connection, "app", "jti", NOW)
    migrate(store, handover.OWNER)
    with writing(store) as connection:
        assert not handover.use_once(connection, "app", "jti", NOW)


def _migrate_from_another_process(url: str) -> None:
    engine = open_engine(url, must_exist=False)
    migrate(engine, handover.OWNER)
    check_schema(engine, handover.OWNER)


@pytest.mark.full
def test_processes_that_start_together_migrate_once(url: str) -> None:
    with ProcessPoolExecutor(3, mp_context=PROCESSES_OF_THEIR_OWN) as pool:
        for done in [pool.submit(_migrate_from_another_process, url) for _ in range(3)]:
            done.result(timeout=60)


@pytest.fixture
def neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Owner]:
    """Another owner with a history of its own."""
    folder = tmp_path / "packages" / "neighbour_history"
    (folder / "versions").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "env.py").write_text(
        "from consent.stores.migrations import inside_alembic\ninside_alembic()\n", encoding="utf-8"
    )
    (folder / "versions" / "0001_first.py").write_text(_REVISION.format("0001", None, "notes"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder.parent))
    metadata = MetaData()
    Table("notes", metadata, Column("id", Integer, primary_key=True))
    yield Owner(name="neighbour", script_location_package="neighbour_history", metadata=metadata)
    sys.modules.pop("neighbour_history", None)


_REVISION = textwrap.dedent(
    """
    import sqlalchemy as sa
    from alembic import op

    revision = "{0}"
    down_revision = {1!r}


    def upgrade() -> None:
        op.create_table("{2}", sa.Column("id", sa.Integer, primary_key=True))
    """
)


def test_two_owners_in_one_database_move_apart(store: Engine, neighbour: Owner) -> None:
    with pytest.raises(Unavailable):
        check_schema(store, neighbour)
    migrate(store, neighbour)
    check_schema(store, neighbour)
    check_schema(store, handover.OWNER)
    assert schema_differences(store, neighbour, others=[handover.OWNER]) == []
    assert schema_differences(store, handover.OWNER, others=[neighbour]) == []


def test_a_migration_that_breaks_leaves_the_old_schema(engine: Engine, neighbour: Owner, tmp_path: Path) -> None:
    migrate(engine, neighbour)
    broken = _REVISION.format("0002", "0001", "half_way") + "    raise KeyError('broken')\n"
    (tmp_path / "packages" / "neighbour_history" / "versions" / "0002_broken.py").write_text(broken, encoding="utf-8")
    with pytest.raises(KeyError):
        migrate(engine, neighbour)
    assert schema_differences(engine, neighbour) == []


# Single use -----------------------------------------------------------------------------------------------


def _use_from_another_process(url: str, names: list[str]) -> dict[str, int]:
    """Sixteen threads present the same documents at the same time; counts who was the first."""
    engine = open_engine(url)
    start = threading.Barrier(THREADS)

    def present(_: int) -> list[str]:
        start.wait(timeout=60)
        return [
            name
            for name in names
            if attempt(engine, lambda c, name=name: handover.use_once(c, "app", name, NOW))  # type: ignore[misc]
        ]

    with ThreadPoolExecutor(THREADS) as pool:
        won = [name for mine in pool.map(present, range(THREADS)) for name in mine]
    engine.dispose()
    return {name: won.count(name) for name in names}


def test_of_64_that_use_a_document_at_once_one_wins(store: Engine, url: str) -> None:
    names = [f"document-{n}" for n in range(2)]
    with ProcessPoolExecutor(PROCESSES, mp_context=PROCESSES_OF_THEIR_OWN) as pool:
        counts = [
            done.result(timeout=60)
            for done in [pool.submit(_use_from_another_process, url, names) for _ in range(PROCESSES)]
        ]
    assert {name: sum(count[name] for count in counts) for name in names} == dict.fromkeys(names, 1)


def test_a_document_is_known_by_issuer_and_id(store: Engine) -> None:
    with writing(store) as connection:
        assert handover.use_once(connection, "suishenban", "a", NOW)
        assert handover.use_once(connection, "sufuban", "a", NOW)
        assert handover.use_once(connection, "suishenban", "b", NOW)
        assert not handover.use_once(connection, "suishenban", "a", NOW + LEASE)


def test_uses_are_forgotten_only_after_the_document_expired(store: Engine) -> None:
    with writing(store) as connection:
        handover.use_once(connection, "app", "old", NOW)
        handover.use_once(connection, "app", "young", NOW + LEASE)
        assert handover.forget_uses(connection, expired_before=NOW + LEASE) == 1
        assert not handover.use_once(connection, "app", "young", NOW + LEASE)


# The queue ------------------------------------------------------------------------------------------------


def _put(engine: Engine, ref: str, **more: Any) -> int | None:
    with writing(engine) as connection:
        return queue.put(connection, handover.errands, kind="claim", ref=ref, body={"什": [1]}, now=NOW, **more)


def _take(engine: Engine, now: datetime = NOW, limit: int = 10) -> list[Item]:
    return attempt(engine, lambda c: queue.take(c, handover.errands, now=now, lease=LEASE, limit=limit))


def _ended(engine: Engine, step: Callable[..., bool], item: Item, **more: Any) -> bool:
    with writing(engine) as connection:
        return step(connection, handover.errands, item, **more)


def test_an_errand_is_taken_worked_on_and_answered(store: Engine) -> None:
    errand = _put(store, "showing-1")
    assert errand is not None
    (item,) = _take(store)
    assert (item.id, item.kind, item.ref, item.body) == (errand, "claim", "showing-1", {"什": [1]})
    assert (item.attempts, item.created_at, item.lease_until) == (1, NOW, NOW + LEASE)
    with reading(store) as connection:
        assert queue.answer_of(connection, handover.errands, errand) is None
    assert _ended(store, queue.finish, item, now=NOW, answer='{"ok":true}')
    with reading(store) as connection:
        answer = queue.answer_of(connection, handover.errands, errand)
        assert queue.counts(connection, handover.errands) == {"NEW": 0, "DONE": 1, "PARKED": 0}
    assert answer is not None
    assert (answer.state, answer.text, answer.at) == (ItemState.DONE, '{"ok":true}', NOW)
    assert _take(store, NOW + 10 * LEASE) == []


def test_a_leased_errand_is_given_to_nobody_else_until_the_lease_ends(store: Engine) -> None:
    _put(store, "showing-1")
    assert len(_take(store)) == 1
    assert _take(store, NOW + LEASE - timedelta(microseconds=1)) == []
    assert [item.attempts for item in _take(store, NOW + LEASE)] == [2]


@pytest.mark.parametrize("step", ["finish", "again", "park"])
def test_a_worker_that_lost_its_lease_changes_nothing(store: Engine, step: str) -> None:
    errand = _put(store, "showing-1")
    assert errand is not None
    (late,) = _take(store)
    (owner,) = _take(store, NOW + LEASE)
    more: dict[str, dict[str, Any]] = {
        "finish": {"now": NOW, "answer": "late"},
        "again": {"due_at": NOW, "error": "late"},
        "park": {"now": NOW, "error": "late"},
    }
    assert not _ended(store, getattr(queue, step), late, **more[step])
    assert _ended(store, queue.finish, owner, now=NOW, answer="right")
    assert not _ended(store, getattr(queue, step), late, **more[step])
    with reading(store) as connection:
        answer = queue.answer_of(connection, handover.errands, errand)
    assert answer is not None
    assert (answer.text, answer.error) == ("right", None)


def test_an_errand_put_off_comes_back_when_it_is_due(store: Engine) -> None:
    _put(store, "showing-1")
    (item,) = _take(store)
    assert _ended(store, queue.again, item, due_at=NOW + 5 * LEASE, error="library silent")
    assert _take(store, NOW + 4 * LEASE) == []
    assert [found.attempts for found in _take(store, NOW + 5 * LEASE)] == [2]


def test_a_parked_errand_blocks_nobody(store: Engine) -> None:
    poison = _put(store, "poison")
    assert poison is not None
    _put(store, "good")
    (item,) = _take(store, limit=1)
    assert item.ref == "poison"
    assert _ended(store, queue.park, item, now=NOW, error="unreadable")
    assert [found.ref for found in _take(store, NOW + 9 * LEASE)] == ["good"]
    with reading(store) as connection:
        answer = queue.answer_of(connection, handover.errands, poison)
    assert answer is not None
    assert (answer.state, answer.error) == (ItemState.PARKED, "unreadable")


def test_the_longest_due_is_taken_first(store: Engine) -> None:
    _put(store, "second", due_at=NOW - LEASE)
    _put(store, "third")
    _put(store, "first", due_at=NOW - 2 * LEASE)
    _put(store, "not yet", due_at=NOW + LEASE)
    assert [item.ref for item in _take(store, limit=2)] == ["first", "second"]
    assert [item.ref for item in _take(store)] == ["third"]


def test_the_same_key_puts_one_errand(store: Engine) -> None:
    first = _put(store, "showing-1", once_key="request-1")
    assert first is not None
    assert _put(store, "showing-1", once_key="request-1") is None
    assert _put(store, "showing-1", once_key="request-2") is not None
    assert _put(store, "showing-1") is not None
    with reading(store) as connection:
        assert queue.put_before(connection, handover.errands, "request-1") == first
        assert queue.put_before(connection, handover.errands, "request-9") is None


def test_workers_that_take_together_share_the_errands(store: Engine) -> None:
    with writing(store) as connection:
        for n in range(40):
            queue.put(connection, handover.errands, kind="claim", ref=str(n), body={}, now=NOW)
    with ThreadPoolExecutor(8) as pool:
        taken = [item.id for items in pool.map(lambda _: _take(store, limit=3), range(16)) for item in items]
    assert len(taken) == 40
    assert len(set(taken)) == 40


def test_answered_errands_are_forgotten_and_parked_ones_kept(store: Engine) -> None:
    _put(store, "done")
    _put(store, "parked")
    done, parked = _take(store)
    _ended(store, queue.finish, done, now=NOW)
    _ended(store, queue.park, parked, now=NOW, error="look")
    with writing(store) as connection:
        assert queue.forget(connection, handover.errands, answered_before=NOW) == 0
        assert queue.forget(connection, handover.errands, answered_before=NOW + LEASE) == 1
        assert queue.counts(connection, handover.errands) == {"NEW": 0, "DONE": 0, "PARKED": 1}


# Showings -------------------------------------------------------------------------------------------------


def _open(engine: Engine, showing_id: str, sub: str = "sub-1", now: datetime = NOW) -> tuple[str, ...]:
    return attempt(
        engine,
        lambda c: handover.open_showing(
            c,
            showing_id=showing_id,
            province="31",
            app="suishenban",
            sub=sub,
            holder_jwt="a.b.c",
            device_jwk="{}",
            device_kid="kid",
            now=now,
            expires_at=now + LEASE,
        ),
    )


def _move(engine: Engine, showing_id: str, to: str, *frm: str, **columns: Any) -> bool:
    return attempt(engine, lambda c: handover.move(c, showing_id, to=to, frm=frm, now=NOW, **columns))


def _find(engine: Engine, showing_id: str) -> handover.ShowingRow:
    with reading(engine) as connection:
        found = handover.find(connection, showing_id)
    assert found is not None
    return found


def test_a_new_showing_supersedes_the_holders_earlier_one(store: Engine) -> None:
    assert _open(store, "a" * 24) == ()
    assert _open(store, "f" * 24, sub="somebody else") == ()
    assert _open(store, "b" * 24) == ("a" * 24,)
    earlier, later = _find(store, "a" * 24), _find(store, "b" * 24)
    assert (earlier.state, earlier.version, earlier.reason) == ("SUPERSEDED", 2, "CODE_SUPERSEDED")
    assert (later.state, later.version, later.expires_at) == ("OPEN", 1, NOW + LEASE)
    assert _find(store, "f" * 24).state == "OPEN"


def test_a_claimed_showing_is_not_superseded(store: Engine) -> None:
    _open(store, "a" * 24)
    assert _move(store, "a" * 24, "CLAIMED", "OPEN")
    assert _open(store, "b" * 24) == ()
    assert _find(store, "a" * 24).state == "CLAIMED"


def test_phones_that_open_together_leave_one_open_showing(store: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        ended = [one for many in pool.map(lambda n: _open(store, f"{n:024x}"), range(24)) for one in many]
    with reading(store) as connection:
        rows = handover.of_holder(connection, app="suishenban", sub="sub-1", limit=100)
    assert len(rows) == 24
    (left,) = [row.showing_id for row in rows if row.state == "OPEN"]
    assert sorted([*ended, left]) == sorted(row.showing_id for row in rows)


def test_the_database_itself_refuses_a_second_open_showing(store: Engine) -> None:
    _open(store, "a" * 24)
    _open(store, "b" * 24)
    with pytest.raises(IntegrityError):
        _move(store, "a" * 24, "OPEN", "SUPERSEDED")


def test_an_id_is_used_for_one_showing(store: Engine) -> None:
    _open(store, "a" * 24)
    with pytest.raises(IntegrityError):
        _open(store, "a" * 24, sub="somebody else")


def test_of_counters_that_claim_together_one_wins(store: Engine) -> None:
    _open(store, "a" * 24)
    with ThreadPoolExecutor(8) as pool:
        won = list(
            pool.map(lambda n: _move(store, "a" * 24, "CLAIMED", "OPEN", request_digest=f"digest-{n}"), range(16))
        )
    assert won.count(True) == 1
    found = _find(store, "a" * 24)
    assert (found.version, found.request_digest) == (2, f"digest-{won.index(True)}")
    with reading(store) as connection:
        assert handover.find_by_request(connection, f"digest-{won.index(True)}") == found
        assert handover.find_by_request(connection, "digest of nothing") is None


def test_a_move_keeps_what_it_does_not_name_and_raises_the_version(store: Engine) -> None:
    _open(store, "a" * 24)
    assert _move(store, "a" * 24, "CLAIMED", "OPEN", sheet='{"unit":"x"}', asked_at=NOW)
    assert _move(store, "a" * 24, "CLAIMED", "CLAIMED", holdings="[]")
    assert not _move(store, "a" * 24, "CONSENTED", "ANSWERED", sheet="never")
    assert not _move(store, "a" * 24, "CONSENTED")
    assert not _move(store, "0" * 24, "CLAIMED", "OPEN")
    found = _find(store, "a" * 24)
    assert (found.state, found.version, found.sheet, found.holdings) == ("CLAIMED", 3, '{"unit":"x"}', "[]")
    assert (found.asked_at, found.changed_at) == (NOW, NOW)


def test_a_move_does_not_set_what_this_store_keeps_itself(store: Engine) -> None:
    _open(store, "a" * 24)
    with pytest.raises(ValueError, match="version"):
        _move(store, "a" * 24, "CLAIMED", "OPEN", version=9)


def test_the_sweep_sees_what_has_expired_and_history_the_newest_first(store: Engine) -> None:
    for n in range(3):
        _open(store, f"{n:024x}", now=NOW + n * LEASE)
        if n < 2:
            assert _move(store, f"{n:024x}", "CLAIMED", "OPEN")
    with reading(store) as connection:
        due = handover.past(connection, states={"CLAIMED", "OPEN"}, expired_by=NOW + 2 * LEASE, limit=9)
        newest = handover.of_holder(connection, app="suishenban", sub="sub-1", limit=2)
        older = handover.of_holder(connection, app="suishenban", sub="sub-1", limit=2, before=newest[-1].opened_at)
        nobody = handover.find(connection, "f" * 24)
    assert [int(row.showing_id, 16) for row in due] == [0, 1]
    assert [int(row.showing_id, 16) for row in newest] == [2, 1]
    assert [int(row.showing_id, 16) for row in older] == [0]
    assert nobody is None

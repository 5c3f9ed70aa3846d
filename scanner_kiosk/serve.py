"""serve: the whole sandbox country on this machine, as the processes that it is in production.

1. Found the country in `--state`, if it is not there yet, and hold that folder: two runs over one country are none.
2. Start a Redis (or use the one that HUZHENG_REDIS_URL names).
3. Choose ports: from `--port-base` in the order of `country.plan`, or free ones.
4. With `--mtls`, make certificates; without, peers name themselves by tokens. Both are new at each start.
5. Start all processes, wait until each is up, say so.
6. Print where the phone, the counter and the interface's pages are, or with `--json` all that a program needs. Leave
   each wallet_api's settings in `PP-wallet.env`, for whoever wants to run `wallet-api` commands beside it; that file is
   there while everything is up.
7. Stay until told to end (SIGTERM, SIGINT, SIGHUP): status 0. A process that dies ends everything: status 1.

What is printed for people goes to standard error, but for the addresses themselves.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote
from typing import Final

from consent.clock import Clock, SystemClock
from consent.errors import Refusal, Unavailable
from consent.keys import write_private
from consent.provinces import provinces
from consent.stores.valkey import start_valkey
from scanner_kiosk.country.certificates import CertificateFiles, make_certificates
from scanner_kiosk.country.founding import Founded, found, open_founded
from scanner_kiosk.country.plan import COUNTER, EXCHANGE, HOST, PORTS, Plan, Service, draw_plan, tuning
from scanner_kiosk.processes import Attention, Child, Children, Fell, Told, answers, logs

UP_WITHIN_S: Final = (
    180.0  # a cold start of nineteen interpreters takes ten seconds on two idle cores, on busy ones minutes
)


class Problem(Exception):  # noqa: N818
    """Why nothing was started, for whoever typed the command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to end; returns the exit status."""
    asked = _parser().parse_args(arguments)
    try:
        tuned = tuning(os.environ)
    except ValueError as problem:
        print(f"serve: {problem}", file=sys.stderr)
        return 2
    with Attention() as attention, ExitStack() as held:
        try:
            _serve(asked, tuned, attention, held)
        except Told:
            _say("正在停止 stopping")
        except Fell as fall:
            print(f"serve: {fall}\n{fall.last_words()}\nserve: {fall.log}", file=sys.stderr)
            return 1
        except (Problem, OSError) as problem:
            print(f"serve: {problem}", file=sys.stderr)
            return 1
        except (Refusal, Unavailable) as problem:
            print(f"serve: {problem.reason}: {problem.detail}", file=sys.stderr)
            return 1
    return 0


def _serve(asked: argparse.Namespace, tuned: dict[str, str], attention: Attention, held: ExitStack) -> None:
    """Raises Told in the end, or before that whatever went wrong."""
    clock = SystemClock()
    folder = Path(asked.state).absolute()
    held.enter_context(_alone(folder))
    founded = open_or_found(folder, clock)  # (1)
    attention.check()
    redis = start_valkey(folder / "logs")  # (2)
    held.callback(redis.stop)
    ports = held.enter_context(reserved(asked.port_base))  # (3)
    certificates = _certificates(founded, clock) if asked.mtls else None  # (4)
    plan = draw_plan(founded, ports=ports, redis_url=redis.url, certificates=certificates, tuned=tuned)
    children = Children(logs=folder / "logs", attention=attention)
    held.callback(children.end)
    _say(f"正在启动 {len(plan.services)} 个进程 starting {len(plan.services)} processes · {folder}")
    start_all(plan, children)  # (5)
    children.until_ready(UP_WITHIN_S, lambda name, seconds: _say_up(plan.service(name), seconds))
    held.enter_context(_told_by_files(plan, folder))  # (6)
    if asked.json:
        print(json.dumps(plan.told() | {"processes": children.pids}, ensure_ascii=False), flush=True)
    else:
        print(_addresses(plan, folder), flush=True)
    children.watch()  # (7)


# --- the parts ------------------------------------------------------------------------------------


def open_or_found(folder: Path, clock: Clock) -> Founded:
    """The country in a folder, founded there first where there is none. Half a founding is taken back."""
    if (folder / "founding.json").exists():
        return open_founded(folder)
    if (folder / "keys").exists():
        raise Problem(f"{folder} holds a founding that broke off; remove the folder and start again")
    _say(f"正在建立沙盒 founding a sandbox · {folder}")
    before = set(folder.iterdir())
    try:
        return found(folder, now=clock.now())
    except BaseException:
        for new in set(folder.iterdir()) - before:
            shutil.rmtree(new) if new.is_dir() else new.unlink()
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise Problem(f"{folder} is being served by another process") from held
        yield


@contextmanager
def reserved(base: int | None) -> Iterator[list[int]]:
    """Ports that nobody else gets while this lasts.

    They stay bound here without listening. The servers set SO_REUSEADDR as well and may listen on them; whoever asks the
    system for any free port, as every connection between our own processes does, is given another one.
    """
    with ExitStack() as held:
        places = []
        for number in range(PORTS):
            place = held.enter_context(socket.socket())
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            wanted = 0 if base is None else base + number
            try:
                place.bind((HOST, wanted))
            except (OSError, OverflowError) as taken:
                raise Problem(f"port {wanted} cannot be had: {taken}") from taken
            places.append(place)
        yield [place.getsockname()[1] for place in places]


def _certificates(founded: Founded, clock: Clock) -> CertificateFiles:
    names = (*provinces(), EXCHANGE, COUNTER)
    return make_certificates(founded.folder / "tls", names, now=clock.now())


def start_all(plan: Plan, children: Children, *, only: Sequence[str] = ()) -> None:
    """Start every process of a plan, or those of these names."""
    # HUZHENG_REDIS_URL is in the plan, for those who may have it; what tests and ./dev set is for themselves.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HUZHENG_")}
    for service in plan.services:
        if only and service.name not in only:
            continue
        command = (sys.executable, "-m", service.room, *service.arguments)
        children.start(service.name, command, clean | dict(service.environment), _readiness(service, plan.certificates))


def _readiness(service: Service, certificates: CertificateFiles | None) -> Callable[[Child], bool]:
    if not service.url:
        return logs(b'"work_begins"')
    if certificates is None or not service.url.startswith("https:"):
        return answers(service.url + service.ready)
    return answers(service.url + service.ready, ca_file=certificates.authority, certificate=certificates.of(COUNTER))


@contextmanager
def _told_by_files(plan: Plan, folder: Path) -> Iterator[None]:
    """The settings of each wallet_api, as a shell reads them."""
    written = {folder / f"{code}-wallet.env": plan.service(f"{code}-wallet").environment for code in provinces()}
    for path, environment in written.items():
        path.unlink(missing_ok=True)  # of a run that was killed
        write_private(path, "".join(f"export {name}={quote(value)}\n" for name, value in environment.items()))
    try:
        yield
    finally:
        for path in written:
            path.unlink(missing_ok=True)


# --- words ----------------------------------------------------------------------------------------


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _say_up(service: Service, seconds: float) -> None:
    _say(f"  ✓ {service.name:<12} {service.url:<26} {seconds:5.1f} s")


def _addresses(plan: Plan, folder: Path) -> str:
    home, *others = plan.phone.items()
    lines = [
        "",
        "  互证 Huzheng · 沙盒已就绪，人物均为虚构 · the sandbox is up, all people are invented",
        "",
        f"  手机 Phone     {home[1]}",
        f"  窗口 Counter   {plan.counter}",
        f"  接口 API docs  {plan.service(f'{home[0]}-wallet').url}/docs",
        "",
        "  窗口的模拟摄像头看的是这部手机 · the counter's simulated camera sees this phone",
        "  其他手机 other phones  " + "  ".join(f"{provinces()[code].name_en} {url}" for code, url in others),
        f"  日志 logs  {folder}/logs    停止 stop  Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="serve", description="Four provinces, the exchange and a counter, here.")
    parser.add_argument("--state", metavar="DIR", default="var/serve", help="the country's folder (default var/serve)")
    parser.add_argument("--json", action="store_true", help="print one JSON object for programs")
    parser.add_argument("--mtls", action="store_true", help="peers know each other by certificates, made at the start")
    parser.add_argument(
        "--port-base",
        metavar="N",
        type=int,
        help=f"use ports N to N+{PORTS - 1}: four wallets, four verifiers, exchange, counter, adapters (default: free ones)",
    )
    return parser

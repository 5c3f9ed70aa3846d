"""scanner-kiosk: run, enrol DESK_URL, decode FILE…, doctor, reports, demo, serve.

`enrol` makes this machine a window's (`scanner_kiosk.enrol`).
`run` is the kiosk of one counter. `decode` reads the codes in picture files and prints one JSON row a file. `doctor` says
what this machine has and what it lacks. `reports` lists the problems that were reported here, or writes them to a file.
`demo` and `serve` found the whole country in this process or around it.

Settings come from the environment (`settings.Settings`). Exit status 0 is done, 1 is a no with its reason on standard
error, 2 is a wrong command line or setting.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from consent.clock import SystemClock
from consent.starting import exit_status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    # These two have their own command lines; they import both services, which no other command may.
    if given and given[0] in ("demo", "serve"):
        country: Callable[[Sequence[str]], int] = import_module(f"scanner_kiosk.{given[0]}").main
        return country(given[1:])
    asked = _parser().parse_args(given)
    return exit_status("scanner-kiosk", lambda: asked.run(asked))


def app() -> Any:
    """What granian calls in its worker: the page of the environment's settings, its camera thread inside."""
    from multiprocessing.util import Finalize

    from consent.telling import capture_libraries, new_log
    from scanner_kiosk.app import create_app, let_go
    from scanner_kiosk.settings import read_settings

    settings, clock = read_settings(os.environ), SystemClock()
    log = new_log("scanner_kiosk", clock, level=settings.log_level)
    capture_libraries(log)
    served = create_app(settings, clock=clock, log=log)
    # A worker is a child of multiprocessing, in which atexit is never called; its finalizers are.
    Finalize(None, let_go, args=(served.extensions["kiosk"], log), exitpriority=1)
    return served


def _run(asked: argparse.Namespace) -> int:
    from granian import Granian
    from granian.constants import Interfaces

    from scanner_kiosk.app import create_app
    from scanner_kiosk.settings import read_settings

    settings = read_settings(os.environ)
    # Says here, and not in a worker that dies again and again, what is wrong.
    create_app(settings, clock=SystemClock(), start=False).extensions["kiosk"].stop()
    host, _, port = settings.listen.rpartition(":")
    print(f"http://{settings.listen}/counter/")
    # One worker: the camera has one owner.
    Granian(
        "scanner_kiosk.__main__:app",
        address=host.strip("[]"),
        port=int(port),
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,
        blocking_threads=settings.threads,
        log_access=False,
    ).serve()
    return 0


def _enrol(asked: argparse.Namespace) -> int:
    import time

    from scanner_kiosk.enrol import Enrolling
    from scanner_kiosk.province_client import HttpLine
    from scanner_kiosk.settings import read_settings

    settings, url = read_settings(os.environ), asked.desk_url.rstrip("/")
    if not url.startswith("https://" if not settings.sandbox else ("http://", "https://")):
        raise ValueError("the desk must be https in live")
    line = HttpLine(url, ca_file=settings.ca_file, certificate=settings.certificate)
    try:
        Enrolling(
            settings=settings,
            desk_url=url,
            province=asked.province,
            line=line,
            clock=SystemClock(),
            say=lambda text: print(text, flush=True),
            wait=time.sleep,
        ).run()
    except KeyboardInterrupt:
        print("同一命令可继续 The same command goes on from here", file=sys.stderr)
        return 1
    return 0


def _decode(asked: argparse.Namespace) -> int:
    from scanner_kiosk.decode import decode_files

    found = True
    for line in decode_files(asked.files, budget_ms=asked.budget_ms):
        print(json.dumps(line, ensure_ascii=False))
        found = found and bool(line["texts"])
    return 0 if found else 1


def _doctor(asked: argparse.Namespace) -> int:
    from scanner_kiosk.doctor import examine

    return examine(os.environ, lang=asked.lang)


def _reports(asked: argparse.Namespace) -> int:
    from scanner_kiosk.journal import line_of
    from scanner_kiosk.reports import Reports
    from scanner_kiosk.settings import read_settings

    found = Reports(Path(read_settings(os.environ).state)).all()
    if asked.export is not None:
        try:
            Path(asked.export).write_text("".join(map(line_of, found)), encoding="utf-8")
        except OSError as problem:
            raise ValueError(f"{asked.export}: {problem.strerror}") from problem
        return 0
    columns = ("number", "time", "window", "officer", "cause", "state", "reason", "request_id")
    for each in found:
        print(*(each.get(name) or "-" for name in columns))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scanner-kiosk", description="The counter: sees a code, shows an answer.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("run", help="the kiosk of one counter").set_defaults(run=_run)
    enrolling = commands.add_parser("enrol", help="make a key here and ask an administrator for a window")
    enrolling.add_argument("desk_url", metavar="DESK_URL", help="where the province's desk is found")
    enrolling.add_argument("--province", required=True, help="its two digits")
    enrolling.set_defaults(run=_enrol)
    decoding = commands.add_parser("decode", help="the texts of the codes in picture files, one JSON row a file")
    decoding.add_argument("files", nargs="+", metavar="FILE")
    decoding.add_argument("--budget-ms", type=float, default=1000, help="CPU time for one picture (default 1000)")
    decoding.set_defaults(run=_decode)
    doctor = commands.add_parser("doctor", help="what is here, what is missing, and the command that brings it")
    doctor.add_argument("--lang", choices=("zh-CN", "en", "both"), default="both")
    doctor.set_defaults(run=_doctor)
    reports = commands.add_parser("reports", help="the problems that officers reported at this kiosk, the oldest first")
    reports.add_argument("--export", metavar="FILE", help="write them there, one JSON row a report, and print nothing")
    reports.set_defaults(run=_reports)
    commands.add_parser("demo", help="one whole visit, accepted and refused", add_help=False)
    commands.add_parser("serve", help="four provinces, the exchange and a counter here", add_help=False)
    return parser


if __name__ == "__main__":
    sys.exit(main())

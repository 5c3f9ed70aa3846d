"""`python -m wallet_api.profiles serve`: the adapters of the apps that the settings name, behind one door (`door`).

Exit status 1 is a no with its reason on standard error, 2 a wrong command line or setting.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from flask import Flask

from consent.clock import SystemClock
from consent.keylist import read_key_list
from consent.starting import exit_status, pairs
from consent.telling import capture_libraries, new_log
from wallet_api.profiles.accounts import adapter, read_account
from wallet_api.profiles.door import create_door
from wallet_api.profiles.port import Remembering
from wallet_api.profiles.settings import Settings, read_settings
from wallet_api.profiles.ways import OverNetwork
from wallet_api.serving import serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="wallet_api.profiles", description="The adapters to the apps' servers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="answer the inner networks")
    parser.parse_args(arguments)
    return exit_status("adapters", lambda: _serve(read_settings(os.environ)))


def app() -> Flask:
    """What granian calls in its worker: the door of the environment's settings."""
    return door_of(read_settings(os.environ), said=True)


def door_of(settings: Settings, *, said: bool = False) -> Flask:
    """The door of these settings; ValueError or Refusal where one cannot hold. `said`: other libraries' words go to the log."""
    clock = SystemClock()
    log = new_log("adapters", clock, level=settings.log_level)
    if said:
        capture_libraries(log)
    accounts = {code: read_account(uri, sandbox=settings.sandbox) for code, uri in pairs(settings.accounts).items()}
    adapters = {
        code: Remembering(adapter(code, OverNetwork(url), accounts[code])) for code, url in pairs(settings.apps).items()
    }
    keylist = read_key_list(Path(settings.keylist), pinned=settings.keylist_sha256)
    return create_door(adapters, keylist.ring, clock=clock, log=log)


def _serve(settings: Settings) -> None:
    door_of(settings)  # says here, and not in a worker that dies again and again, what is wrong
    serve("wallet_api.profiles.__main__:app", settings.listen, threads=settings.threads)


if __name__ == "__main__":
    sys.exit(main())

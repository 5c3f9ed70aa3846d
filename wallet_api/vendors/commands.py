"""`wallet-api vendors …`: the operator's side of the register.

    key FILE.pem        make a key pair: FILE.pem stays with the vendor, FILE.jwk goes to the operator
    add, rotate, change, disable, enable
    list, show          tab-separated, for people and for cut(1)

Every change names somebody: `--by`, or the account that runs the command.
"""

from __future__ import annotations

import argparse
import getpass
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from consent.clock import Clock, SystemClock, rfc3339
from consent.errors import Reason, Refusal
from consent.keys import SANDBOX_MARK, jwk_of, new_key, write_private
from consent.provinces import province
from consent.stores.base import open_engine
from wallet_api.settings import Settings
from wallet_api.vendors.register import RETIRES_AFTER, SCOPES, Vendor, Vendors
from wallet_api.webhooks.commands import add_webhook_commands

_BY: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,100}")

Command = Callable[[Settings, argparse.Namespace, Clock], None]


def add_vendor_commands(commands: Any) -> None:
    """Hang `vendors` and its verbs below a parser's commands; `run` of what is parsed takes (settings, asked)."""
    verbs = commands.add_parser("vendors", help="who may call").add_subparsers(required=True, metavar="VERB")

    def verb(
        name: str, run: Command, text: str, *, about: bool = True, changes: bool = True
    ) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
        parser.set_defaults(run=lambda settings, asked: run(settings, asked, SystemClock()))
        if about:
            parser.add_argument("client_id")
        if changes:
            parser.add_argument("--by", default=None, help="who asks for this; the account that runs it by default")
        return parser

    making = verb("key", _key, "make a key pair for a vendor's server", about=False, changes=False)
    making.add_argument("pem", type=Path, help="private key to write; the public JWK gets the same name and .jwk")
    adding = verb("add", _add, "enter a vendor with its first public key")
    rotating = verb("rotate", _rotate, "bring in a new key; the one of before lives on for a while")
    changing = verb("change", _change, "set other scopes or another limit")
    verb("disable", _disable, "shut a vendor out at once, its live tokens too")
    verb("enable", _enable, "let a disabled vendor in again")
    verb("list", _list, "all vendors", about=False, changes=False)
    verb("show", _show, "one vendor: its keys, its limit, and who changed what", changes=False)
    add_webhook_commands(verbs)

    for parser in (adding, rotating):
        parser.add_argument("--jwk", type=Path, required=True, help="file with the public JWK (P-256 or Ed25519)")
    for parser in (adding, changing):
        parser.add_argument("--scopes", default=None, help=f"separated by spaces; known: {' '.join(SCOPES)}")
        parser.add_argument(
            "--per-minute", type=int, default=None, help="requests a minute; change: 0 is the setting's"
        )
    adding.add_argument("--name", required=True)
    adding.add_argument("--app", required=True, help="the app that it belongs to, as in consent/provinces.json")
    rotating.add_argument(
        "--retires-at",
        type=datetime.fromisoformat,
        default=None,
        help=f"RFC 3339, when the key of before stops; {RETIRES_AFTER.days} days from now by default",
    )


def _key(settings: Settings, asked: argparse.Namespace, clock: Clock) -> None:
    key = new_key("ES256", issuer="vendor")
    public = {**jwk_of(key.public), "kid": key.kid, "alg": "ES256", "use": "sig", "profile": settings.profile}
    try:
        write_private(asked.pem, key.pem(mark=SANDBOX_MARK if settings.sandbox else ""))
        asked.pem.with_suffix(".jwk").write_text(json.dumps(public, indent=1) + "\n", encoding="ascii")
    except (OSError, ValueError) as problem:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{asked.pem}: {type(problem).__name__}") from problem
    print(key.kid)


def _add(settings: Settings, asked: argparse.Namespace, clock: Clock) -> None:
    home = province(settings.province).app_id
    if asked.app != home:
        raise Refusal(Reason.BODY_INVALID, detail=f"this province's app is {home}")
    scopes = SCOPES if asked.scopes is None else tuple(asked.scopes.split())
    _register(settings, asked).add(
        asked.client_id,
        name=asked.name,
        app=asked.app,
        jwk=_jwk(asked.jwk),
        scopes=scopes,
        per_minute=asked.per_minute,
        now=clock.now(),
    )


def _rotate(settings: Settings, asked: argparse.Namespace, clock: Clock) -> None:
    until = asked.retires_at
    if until is not None and until.tzinfo is None:
        raise ValueError("--retires-at has no zone")
    register = _register(settings, asked)
    register.rotate(asked.client_id, jwk=_jwk(asked.jwk), now=clock.now(), retires_at=until)
    found = register.find(asked.client_id)
    for line in () if found is None else _keys(found, clock.now()):
        print(line)


def _change(settings: Settings, asked: argparse.Namespace, clock: Clock) -> None:
    scopes = None if asked.scopes is None else tuple(asked.scopes.split())
    _register(settings, asked).change(asked.client_id, scopes=scopes, per_minute=asked.per_minute, now=clock.now())


def _disable(settings: Settings, asked: argparse.Namespace, clock: Clock) -> None:
    _register(settings, asked).disable(asked.client_id, now=clock.now())


def _enable(settings: Settings, asked: argparse.Namespace, clock: Clock) -> None:
    _register(settings, asked).enable(asked.client_id, now=clock.now())


def _list(settings: Settings, asked: argparse.Namespace, clock: Clock) -> None:
    for vendor in _register(settings, asked).all():
        living = " ".join(vendor.living(clock.now()))
        print(f"{vendor.client_id}\t{vendor.app}\t{_state(vendor)}\t{' '.join(vendor.scopes)}\t{living}")


def _show(settings: Settings, asked: argparse.Namespace, clock: Clock) -> None:
    register = _register(settings, asked)
    vendor = register.find(asked.client_id)
    if vendor is None:
        raise Refusal(Reason.INVALID_CLIENT, detail="no such vendor")
    limit = settings.vendor_per_minute if vendor.per_minute is None else vendor.per_minute
    print(f"{vendor.client_id}\t{vendor.name}\t{vendor.app}\t{settings.profile}\t{_state(vendor)}")
    print(f"scopes\t{' '.join(vendor.scopes)}")
    print(f"limit\t{limit} a minute{'' if vendor.per_minute is None else ', its own'}")
    for line in _keys(vendor, clock.now()):
        print(line)
    for change in register.log(vendor.client_id):
        facts = json.dumps(dict(change.facts), ensure_ascii=False, sort_keys=True)
        print(f"log\t{rfc3339(change.at)}\t{change.who}\t{change.what}\t{facts}")


def _state(vendor: Vendor) -> str:
    return "disabled" if vendor.disabled_at else "live"


def _keys(vendor: Vendor, now: datetime) -> list[str]:
    def end(retires_at: datetime | None) -> str:
        if retires_at is None:
            return "newest"
        return f"{'retires' if now < retires_at else 'retired'} {rfc3339(retires_at.astimezone(UTC))}"

    return [f"key\t{key.kid}\tsince {rfc3339(key.added_at)}\t{end(key.retires_at)}" for key in vendor.keys]


def _register(settings: Settings, asked: argparse.Namespace) -> Vendors:
    by = getattr(asked, "by", None)
    if by is None:
        by = "unknown"
        with suppress(KeyError, OSError):  # an account without a name, as in a container
            by = getpass.getuser()
    if _BY.fullmatch(by) is None:
        raise Refusal(Reason.BODY_INVALID, detail="--by is 1 to 100 characters")
    return Vendors(open_engine(settings.store), profile=settings.profile, by=by)


def _jwk(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{path}: {type(problem).__name__}") from problem
    if not isinstance(found, dict):
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"{path}: not a JWK")
    return found

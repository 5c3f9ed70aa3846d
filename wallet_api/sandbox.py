"""`wallet-api sandbox …`: what an app's login and a vendor's server do in life, played by hand.

    personas                     who there is
    assertion CLIENT --key PEM   what a vendor's server sends to /oauth/token (RFC 7523)
    holder --persona ID          what the app's login says of a person: `holder+jwt`, good for a minute, once

It prints what a program would send, so that a newcomer can send it with curl and see the answer. The sandbox only: the
app's login key, which signs for everybody, is nobody's to have in live.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from consent.b64 import new_id
from consent.clock import Clock, SystemClock, shanghai_date, to_epoch
from consent.keylist import read_key_list
from consent.keys import jwk_of, load_key, new_key, write_private
from consent.provinces import province
from consent.seal import compact
from wallet_api.pages.login import Login
from wallet_api.personas import load_personas
from wallet_api.settings import Settings

_LIFE_S = 60


def add_sandbox_commands(commands: Any) -> None:
    """Hang `sandbox` and its verbs below a parser's commands."""
    verbs = commands.add_parser("sandbox", help="play login and vendor by hand; sandbox only")
    verbs = verbs.add_subparsers(required=True, metavar="VERB")
    verbs.add_parser("personas", help="who there is").set_defaults(run=_now(_personas))
    asserting = verbs.add_parser("assertion", help="sign a client assertion for /oauth/token")
    asserting.add_argument("client_id")
    asserting.add_argument("--key", type=Path, required=True, help="private key in PEM, as `vendors key` writes it")
    asserting.set_defaults(run=_now(_assertion))
    holding = verbs.add_parser("holder", help="sign a login assertion (holder+jwt) for a persona")
    holding.add_argument("--persona", required=True)
    holding.add_argument("--device", type=Path, help="PEM of the phone's key; made where there is none; new by default")
    holding.set_defaults(run=_now(_holder))


def _now(run: Callable[[Settings, argparse.Namespace, Clock], None]) -> Callable[[Settings, argparse.Namespace], None]:
    return lambda settings, asked: run(settings, asked, SystemClock())


def _personas(settings: Settings, asked: argparse.Namespace, clock: Clock) -> None:
    for persona in _login(settings, clock).personas.values():
        print(f"{persona.id}\t{persona.province}\t{persona.note_zh}\t{persona.note_en}")


def _assertion(settings: Settings, asked: argparse.Namespace, clock: Clock) -> None:
    _only_sandbox(settings)
    key = load_key(f"file:{asked.key}", issuer=asked.client_id, sandbox=True)
    now = to_epoch(clock.now())
    claims = {
        "iss": asked.client_id,
        "sub": asked.client_id,
        "aud": settings.public_url,
        "iat": now,
        "exp": now + _LIFE_S,
        "jti": new_id(),
    }
    print(compact("JWT", claims, key))


def _holder(settings: Settings, asked: argparse.Namespace, clock: Clock) -> None:
    login = _login(settings, clock)
    device = new_key("ES256", issuer="device")
    if asked.device is not None and asked.device.exists():
        device = load_key(f"file:{asked.device}", issuer="device", sandbox=True)
    elif asked.device is not None:
        write_private(asked.device, device.pem())
    print(login.assertion(login.persona(asked.persona), jwk_of(device.public), now=clock.now()))


def _login(settings: Settings, clock: Clock) -> Login:
    _only_sandbox(settings)
    if not settings.personas:
        raise ValueError("HUZHENG_WALLET_PERSONAS and _LOGIN_KEY are not set; source what ./dev serve wrote")
    listed = read_key_list(Path(settings.keylist), pinned=settings.keylist_sha256)
    return Login(
        province=settings.province,
        key=load_key(settings.login_key, issuer=province(settings.province).app_id, sandbox=True),
        inner=listed.recipient(settings.province),
        personas=load_personas(Path(settings.personas), today=shanghai_date(clock.now())),
    )


def _only_sandbox(settings: Settings) -> None:
    if not settings.sandbox:
        raise ValueError("this exists in the sandbox only (HUZHENG_PROFILE=sandbox)")

"""What an app has given us so that its server knows us, and the adapter that is made of it.

One JSON object for each app, in a file that nobody else may read:

    {"client": "huzheng", "secret": "…", "access_key": "…"}

    client       our id: app id, client id or apply id, as each of them calls it
    secret       随申办's app secret, 苏服办's client secret, the HMAC key of 浙里办's gateway; 皖事通 has none
    access_key   our id at 浙里办's gateway, "" elsewhere
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Final

from consent.errors import Refusal
from consent.keys import secret_text
from consent.provinces import province
from consent.seal import strict_json
from consent.shapes import Members, Text
from wallet_api.profiles.gateway import AccessKey
from wallet_api.profiles.port import AppProfile, Way
from wallet_api.profiles.sufuban import Sufuban
from wallet_api.profiles.suishenban import Suishenban
from wallet_api.profiles.wanshitong import Wanshitong
from wallet_api.profiles.zheliban import Zheliban

_FILE: Final = Members({"client": Text(80, 1), "secret": Text(200), "access_key": Text(80)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who we are to one app's server."""

    client: str
    secret: str = field(repr=False)
    access_key: str = ""

    def text(self) -> str:
        """As it stands in a file."""
        return json.dumps(asdict(self))


def new_account() -> Account:
    """One at a simulator, for as long as that runs."""
    return Account(client="huzheng", secret=secrets.token_urlsafe(32), access_key="BCDSGA_simulator")


def read_account(uri: str, *, sandbox: bool) -> Account:
    """The account behind a `file:` or `env:` URI; ValueError where it is none, Refusal where others may read the file."""
    try:
        found = strict_json(secret_text(uri, sandbox=sandbox).encode(), depth=1, members=8)
    except Refusal as problem:
        raise ValueError(f"{uri}: {problem.detail}") from problem
    if not _FILE.fits(found):
        raise ValueError(f"{uri}: an account has client, secret and access_key")
    return Account(**found)


def adapter(code: str, way: Way, account: Account) -> AppProfile:
    """The adapter of a province's app; Refusal for a province that there is not."""
    client, secret = account.client, account.secret
    match province(code).app_id:
        case "suishenban":
            return Suishenban(way=way, province=code, app_id=client, secret=secret)
        case "sufuban":
            return Sufuban(way=way, client_id=client, client_secret=secret)
        case "zheliban":
            return Zheliban(way=way, app_id=client, key=AccessKey(id=account.access_key, secret=secret.encode()))
        case "wanshitong":
            return Wanshitong(way=way, apply_id=client)
        case other:
            raise ValueError(f"there is no adapter of {other}")

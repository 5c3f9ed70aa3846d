"""SIMULATORS of the four apps' servers. Nothing here is, or talks to, an app of any province.

None of the four publishes an open interface. Each simulator answers like the public descriptions say that its app's server
does (docs/profiles.md tells what is known and what is invented), for invented people only, from the recorded, invented answers
in `fixtures`. Every answer, errors too, carries the header `X-Simulator`.

In a served sandbox each runs in its province's wallet_api, beside the phone that is simulated there, too.

A simulator has two sides. `wsgi` is its interface for other servers. `unlock`, `counter_string` and so on are the citizen's
thumb on the app: what somebody does there has no interface, so these are calls and no routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from consent.clock import Clock
from consent.envelope import Recipient
from consent.keys import SigningKey
from consent.provinces import province
from wallet_api.profiles.accounts import Account, new_account
from wallet_api.profiles.simulators.backroom import Backroom, Simulator
from wallet_api.profiles.simulators.sufuban import SufubanServer
from wallet_api.profiles.simulators.suishenban import SuishenbanServer
from wallet_api.profiles.simulators.wanshitong import WanshitongServer
from wallet_api.profiles.simulators.zheliban import ZhelibanServer

__all__ = ["SIMULATED", "SIMULATORS", "Simulator", "open_simulator"]

SIMULATED: Final = "/simulated-app"
"""Below it, a sandbox's wallet_api answers as the app's own server would."""

SIMULATORS: Final[Mapping[str, type[SuishenbanServer | SufubanServer | ZhelibanServer | WanshitongServer]]] = {
    each.app: each for each in (SuishenbanServer, SufubanServer, ZhelibanServer, WanshitongServer)
}
"""By the app's id in consent/provinces.json."""


def open_simulator(
    code: str, *, login_key: SigningKey, inner: Recipient, clock: Clock, account: Account | None = None
) -> Simulator:
    """The simulator of the app of a province. `login_key` is the app's own; `inner` whom its login envelopes people to;
    `account` what it knows our adapter by, a new one unless given."""
    backroom = Backroom(province=code, login_key=login_key, inner=inner, clock=clock)
    return SIMULATORS[province(code).app_id](backroom, account or new_account())

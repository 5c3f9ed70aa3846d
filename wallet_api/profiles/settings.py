"""The settings of the adapters' process: one frozen value, read once from the environment.

A name that begins with HUZHENG_ADAPTERS_ and is not known stops the start and names its nearest neighbour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from consent.errors import Refusal
from consent.provinces import province
from consent.starting import pairs, settings_in
from wallet_api.settings import PROFILES

OWN: Final = "HUZHENG_ADAPTERS_"
SHARED: Final[Mapping[str, str]] = {
    "profile": "HUZHENG_PROFILE",
    "keylist": "HUZHENG_KEYLIST",
    "keylist_sha256": "HUZHENG_KEYLIST_SHA256",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. Apps and accounts are by province, "31=…,32=…", and name the same provinces."""

    profile: str = "live"  # "sandbox" or "live"
    keylist: str = "var/keylist.json"  # path
    keylist_sha256: str = ""  # digest that pins the key list; base64url, 43 characters
    apps: str = ""  # where the apps' servers are, https://… in live
    accounts: str = ""  # URIs of what each app has given us, see `accounts`
    listen: str = "127.0.0.1:8461"  # host:port
    threads: int = 8  # requests at once
    log_level: str = "info"  # debug, info, warning, error

    @property
    def sandbox(self) -> bool:
        """Whether nothing here is real."""
        return self.profile == "sandbox"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that an environment holds; ValueError names what is wrong, never a value."""
    return checked(Settings(**settings_in(environment, Settings, own=OWN, shared=SHARED)))


def checked(settings: Settings) -> Settings:
    """The settings; ValueError where one cannot hold."""
    if settings.profile not in PROFILES:
        raise ValueError(f"{SHARED['profile']} is sandbox or live")
    if settings.threads < 1:
        raise ValueError("threads are at least 1")
    apps, accounts = pairs(settings.apps), pairs(settings.accounts)
    if not apps or apps.keys() != accounts.keys():
        raise ValueError(f"{OWN}APPS and _ACCOUNTS name the same provinces, at least one")
    for code, url in apps.items():
        try:
            province(code)
        except Refusal as problem:
            raise ValueError(f"{OWN}APPS names no province") from problem
        if not settings.sandbox and not url.startswith("https://"):
            raise ValueError(f"{OWN}APPS must be https in live")
    return settings

"""The settings of one wallet_api: one frozen value, read once from the environment.

Whoever starts several provinces in one process makes the values by hand. A name that begins with
HUZHENG_WALLET_ and is not known stops the start and names its nearest neighbour: a setting with a typing error
would otherwise be a setting that silently does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from consent.errors import Refusal
from consent.provinces import province
from consent.starting import filled, pairs, settings_in

OWN: Final = "HUZHENG_WALLET_"
# These four are the same for all rooms of a province.
SHARED: Final[Mapping[str, str]] = {
    "profile": "HUZHENG_PROFILE",
    "redis_url": "HUZHENG_REDIS_URL",
    "keylist": "HUZHENG_KEYLIST",
    "keylist_sha256": "HUZHENG_KEYLIST_SHA256",
}
PROFILES: Final = ("sandbox", "live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. `{province}` in a default is replaced by the province's code."""

    province: str = "31"  # two digits, a row of consent/provinces.json
    profile: str = "live"  # "sandbox" or "live"; only a sandbox takes `new:` keys and marked ones
    store: str = "sqlite:///var/handover-{province}.db"  # the hand-over database
    redis_url: str = ""  # redis://, rediss:// or unix://; empty: nobody is woken, limits count in memory
    keylist: str = "var/keylist.json"  # path
    keylist_sha256: str = ""  # digest that pins the key list; base64url, 43 characters
    code_key: str = "file:var/keys/code-{province}.pem"  # URI, see consent.keys
    showing_key: str = "file:var/keys/showing-{province}.key"  # URI of 32 bytes in base64url
    public_url: str = "http://127.0.0.1:8431"  # where vendors find us; also the OAuth issuer. No slash at the end
    listen: str = "127.0.0.1:8431"  # host:port
    threads: int = 16  # requests at once
    vendor_per_minute: int = 3000  # requests of one vendor, a minute
    openings_per_minute: int = 6  # showings and lookups of one holder, a minute
    personas: str = ""  # sandbox: path to the people of the simulated phone; empty: this app has no phone pages
    login_key: str = ""  # sandbox: URI of the app's login key, which in life is the app's alone
    phones: str = ""  # sandbox: "31=http://…,32=http://…", where the phones of the four apps are
    app_account: str = (
        ""  # sandbox: URI of an account at the app's simulated server, which then runs here; empty: none does
    )
    webhook_ca: str = ""  # path to PEM: authorities of vendors' endpoints, where they are not the system's
    issued_after: str = ""  # RFC 3339; after a restore from backup, refuse documents from before
    log_level: str = "info"  # debug, info, warning, error

    @property
    def sandbox(self) -> bool:
        """Whether nothing here is real."""
        return self.profile == "sandbox"

    @property
    def floor(self) -> datetime | None:
        """`issued_after` as an instant."""
        return datetime.fromisoformat(self.issued_after) if self.issued_after else None


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that an environment holds; ValueError names what is wrong, never a value."""
    return checked(Settings(**settings_in(environment, Settings, own=OWN, shared=SHARED)))


def checked(settings: Settings) -> Settings:
    """The settings with `{province}` filled in; ValueError where one cannot hold."""
    try:
        code = province(settings.province).code
    except Refusal as problem:
        raise ValueError(f"{OWN}PROVINCE is no province") from problem
    if settings.profile not in PROFILES:
        raise ValueError(f"{SHARED['profile']} is sandbox or live")
    if settings.public_url.endswith("/"):
        raise ValueError(f"{OWN}PUBLIC_URL ends with a slash")
    if not settings.sandbox and not settings.public_url.startswith(("https://", "http://127.0.0.1")):
        raise ValueError(f"{OWN}PUBLIC_URL must be https in live")
    phone = (settings.personas, settings.login_key, settings.phones, settings.app_account)
    if any(phone) and not settings.sandbox:
        raise ValueError(f"{OWN}PERSONAS, _LOGIN_KEY, _PHONES and _APP_ACCOUNT exist in the sandbox only")
    if bool(settings.personas) != bool(settings.login_key):
        raise ValueError(f"{OWN}PERSONAS and _LOGIN_KEY come together")
    if settings.app_account and not settings.login_key:
        raise ValueError(f"{OWN}APP_ACCOUNT needs _LOGIN_KEY: the simulated server vouches for people, too")
    pairs(settings.phones)
    if settings.floor is not None and settings.floor.tzinfo is None:
        raise ValueError(f"{OWN}ISSUED_AFTER has no zone")
    if min(settings.vendor_per_minute, settings.openings_per_minute, settings.threads) < 1:
        raise ValueError("limits and threads are at least 1")
    return filled(settings, code)

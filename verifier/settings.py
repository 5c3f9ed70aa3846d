"""The settings of one verifier process: one frozen value, read once from the environment.

A name that begins with HUZHENG_VERIFIER_ and is not known stops the start and names its nearest neighbour. The settings
that all rooms of a province share have no room in their name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from consent.errors import Refusal
from consent.provinces import province
from consent.starting import filled, pairs, settings_in

OWN: Final = "HUZHENG_VERIFIER_"
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

    province: str = "31"  # two digits; the exchange has none and ignores it
    profile: str = "live"  # "sandbox" or "live"; only a sandbox takes `new:` keys and marked ones
    inner_store: str = "sqlite:///var/inner-{province}.db"
    handover_store: str = "sqlite:///var/handover-{province}.db"
    library_store: str = "sqlite:///var/library-{province}.db"
    exchange_store: str = "sqlite:///var/exchange.db"
    redis_url: str = ""  # redis://, rediss:// or unix://; empty: workers look twice a second
    keylist: str = "var/keylist.json"  # path
    keylist_sha256: str = ""  # digest that pins the key list; base64url, 43 characters
    scopes: str = "var/scopes"  # folder with scope-PP.jwt of every province
    request_key: str = "file:var/keys/{province}-request.pem"  # URIs, see consent.keys
    consent_key: str = "file:var/keys/{province}-consent.pem"
    answer_key: str = "file:var/keys/{province}-answer.pem"
    library_key: str = "file:var/keys/{province}-library.pem"
    envelope_key: str = "file:var/keys/{province}-envelope.pem"
    showing_key: str = "file:var/keys/{province}-showing.pem"  # 32 bytes, shared with wallet_api of the province
    index_key: str = "file:var/keys/{province}-index.pem"  # 32 bytes, shared by the four inner networks
    data_key: str = "file:var/keys/{province}-data.pem"  # 32 bytes, encrypts the library's faces
    public_url: str = "http://127.0.0.1:8441"  # where counters or peers find us. No slash at the end
    exchange_url: str = "http://127.0.0.1:8450"  # where a province finds the exchange
    adapter_url: str = ""  # where the adapter of our app answers (docs/profiles.md); empty: its own codes get no answer
    peers: str = ""  # for the exchange: "31=https://…,32=https://…"
    peer_token: str = ""  # sandbox without mTLS: how this process names itself to its peers
    peer_tokens: str = ""  # sandbox without mTLS: "exchange=…" or "31=…,32=…", whom this process believes
    tls_certificate: str = ""  # PEM path; with key and CA set, peers speak mTLS only
    tls_key: str = ""  # PEM path
    tls_ca: str = ""  # PEM path of the authority that signs all peers
    listen: str = "127.0.0.1:8441"  # host:port
    threads: int = 16  # requests at once
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

    @property
    def tls(self) -> bool:
        """Whether this process speaks mTLS."""
        return bool(self.tls_certificate)


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
    if settings.threads < 1:
        raise ValueError("threads are at least 1")
    if len({bool(settings.tls_certificate), bool(settings.tls_key), bool(settings.tls_ca)}) > 1:
        raise ValueError(f"{OWN}TLS_CERTIFICATE, _KEY and _CA come together")
    if (settings.peer_token or settings.peer_tokens) and not settings.sandbox:
        raise ValueError("peer tokens exist in the sandbox only; live peers speak mTLS")
    near = ("https://", "http://127.0.0.1", "http://[::1]")
    if settings.adapter_url and not settings.sandbox and not settings.adapter_url.startswith(near):
        raise ValueError(f"{OWN}ADAPTER_URL must be https in live, unless the adapter is on this machine")
    pairs(settings.peers), pairs(settings.peer_tokens)
    return filled(settings, code)

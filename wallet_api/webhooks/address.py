"""Which addresses a webhook may go to. Two questions, asked at two moments; both must be answered well.

1. `target`, when an endpoint is registered and again before each delivery: is this URL one of a public server? Names
   only, https only. What two readers could read in two ways is refused: user parts, backslashes, numbers in place of
   names (2130706433, 0x7f.1, 017700000001), fragments, empty labels.
2. `permitted`, when a name has been resolved and before the socket opens: are *all* of its addresses public? The socket
   then connects to an address from this very answer, so that a name cannot mean one thing when it is checked and
   another when it is called (DNS rebinding).

The sandbox also calls http://localhost and http://127.0.0.1, at whatever port, and there only the machine itself.

IPv4 goes by the registry of special addresses (RFC 6890, as `ipaddress` knows it). Of IPv6 only the global unicast
block 2000::/3 is public, without the ranges in it that carry an IPv4 address inside (6to4, Teredo) or are reserved;
thereby mapped, compatible and NAT64 forms of a private IPv4 address are out, whatever they hold.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from consent.errors import Reason, Refusal

MOST: Final = 500  # characters of a URL

_TEXT: Final = re.compile(r"[\x21-\x5b\x5d-\x7e\u00a1-\uffff]{1,500}")  # no space, no control, no backslash
_PATH: Final = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NEAR: Final = (
    "localhost",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "localdomain",
    "home.arpa",
    "onion",
)
_OWN: Final = ("localhost", "127.0.0.1")

_GLOBAL_V6: Final = ipaddress.ip_network("2000::/3")
_NOT_V6: Final = tuple(
    ipaddress.ip_network(each)
    for each in (
        "2001::/23",  # Teredo, ORCHID, benchmarking: IETF protocol assignments
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
_NOT_V4: Final = tuple(
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # behind carriers, and the metadata service of a Chinese cloud (100.100.100.200)
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL that may be called; only `target` makes one. `host` is in lower case and ASCII (RFC 5890 A-labels) without a
    dot at the end. `own` says that it is this machine, which happens in the sandbox only."""

    https: bool
    host: str
    port: int
    path: str
    own: bool

    @property
    def url(self) -> str:
        """The one spelling of this target."""
        scheme, usual = ("https", 443) if self.https else ("http", 80)
        return f"{scheme}://{self.host}{'' if self.port == usual else f':{self.port}'}{self.path}"

    @property
    def authority(self) -> str:
        """What stands in the Host header."""
        return self.host if self.port == (443 if self.https else 80) else f"{self.host}:{self.port}"


def target(url: str, *, sandbox: bool) -> Target:
    """The target that a URL names; Refusal WEBHOOK_ADDRESS_NOT_ALLOWED for every other text."""
    if _TEXT.fullmatch(url) is None:
        raise _no("characters or length")
    try:
        parts = urlsplit(url)
    except ValueError as problem:
        raise _no("not a URL") from problem
    authority = parts.netloc
    if "@" in authority or "%" in authority or "#" in url:
        raise _no("user part, escape in the host, or fragment")
    name, colon, port = authority.partition(":")
    if (colon or port) and _PORT.fullmatch(port) is None:
        raise _no("port")  # also every bracketed IPv6 address
    host = _host(name)
    own = sandbox and host in _OWN
    if not own:
        _judge_name(host)
    if parts.scheme != "https" and not (own and parts.scheme == "http"):
        raise _no("https only")
    number = int(port) if port else (443 if parts.scheme == "https" else 80)
    if not 1 <= number <= 65_535:
        raise _no("port")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if _PATH.fullmatch(path) is None:
        raise _no("path")
    found = Target(https=parts.scheme == "https", host=host, port=number, path=path, own=own)
    if len(found.url) > MOST:  # an international name is longer in ASCII
        raise _no("length")
    return found


def permitted(called: Target, addresses: Sequence[str]) -> tuple[str, ...]:
    """The addresses of a name, if every one may be called; Refusal WEBHOOK_ADDRESS_NOT_ALLOWED if one may not, or if
    there is none."""
    found = []
    for text in addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError as problem:
            raise _no("not an address") from problem
        if not (address.is_loopback if called.own else _is_public(address)):
            raise _no("address")
        found.append(str(address))
    if not found:
        raise _no("no address")
    return tuple(found)


def _host(name: str) -> str:
    try:
        # Maps full-width digits and other dots to plain ones, so that what follows judges what would be looked up.
        host = name.encode("idna").decode("ascii").lower()
    except UnicodeError as problem:
        raise _no("host") from problem
    return host.removesuffix(".")


def _judge_name(host: str) -> None:
    labels = host.split(".")
    if len(host) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _no("host")
    # A name whose last label is a number is an IPv4 address to those who resolve it, in whatever base.
    if _NUMBER.fullmatch(labels[-1]) is not None:
        raise _no("a number in place of a name")
    if any(host == near or host.endswith(f".{near}") for near in _NEAR):
        raise _no("a name of this network")


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not any(address in net for net in _NOT_V4)
    plain = address.scope_id is None and address in _GLOBAL_V6
    return plain and address.is_global and not any(address in net for net in _NOT_V6)


def _no(why: str) -> Refusal:
    return Refusal(Reason.WEBHOOK_ADDRESS_NOT_ALLOWED, detail=why)

"""Where a webhook may go, and that it never goes anywhere else, whatever a name, a number or a receiver says."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.clock import SystemClock
from consent.errors import Reason, Refusal
from scanner_kiosk.country.certificates import make_certificates
from tests.counts import count, outcome
from tests.receiver import CLIENT, Receiver, receiving, rig_in, status
from wallet_api.webhooks.address import Target, permitted, target
from wallet_api.webhooks.sending import CONNECT_S, Failure, Sender

pytestmark = pytest.mark.network

PUBLIC = "93.184.216.34"
NAME = "hooks.vendor.example"
URL = f"https://{NAME}/hooks"

PRIVATE_V4 = (
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
)
PRIVATE_V6 = (
    "::",
    "::1",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
)


def forms_of(address: str) -> list[str]:
    """The ways to write an IPv4 address that some resolver or parser understands."""
    number = int(ipaddress.IPv4Address(address))
    a, b, c, d = address.split(".")
    wide = address.translate({ord("0") + n: 0xFF10 + n for n in range(10)})
    return [
        address,
        f"{address}.",
        str(number),
        hex(number),
        f"0{number:o}",
        f"0x{int(a):x}.0x{int(b):x}.0x{int(c):x}.0x{int(d):x}",
        f"0{int(a):o}.0{int(b):o}.0{int(c):o}.0{int(d):o}",
        f"{a}.{b}.{int(c) * 256 + int(d)}",
        f"{a}.{(int(b) << 16) + int(c) * 256 + int(d)}",
        f"[::ffff:{address}]",
        f"[::{address}]",
        f"[64:ff9b::{address}]",
        f"[64:ff9b:1::{address}]",
        f"[2002:{int(a):02x}{int(b):02x}:{int(c):02x}{int(d):02x}::1]",
        wide,
        address.replace(".", "。"),
    ]


LOCAL = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.100.100.200")
ODD = (
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://a.localhost/",
    "https://ｌｏｃａｌｈｏｓｔ/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://intranet/",
    "https://router.lan/",
    "https://gw.home.arpa/",
    "https://hidden.onion/",
    f"https://user@{NAME}/",
    f"https://user:secret@{NAME}/",
    f"https://{NAME}@127.0.0.1/",
    f"https://127.0.0.1@{NAME}/",
    f"https://{NAME}:0/",
    f"https://{NAME}:65536/",
    f"https://{NAME}:-1/",
    f"https://{NAME}:443443/",
    f"https://{NAME}:/",
    f"https://{NAME}:４４３/",
    f"https://{NAME}:443:443/",
    f"https://{NAME}\\@127.0.0.1/",
    f"https:\\\\{NAME}/",
    f"https://{NAME}/\r\nHost: 127.0.0.1",
    f"https://{NAME}/a b",
    f" https://{NAME}/",
    f"https://{NAME}/\t",
    f"https://{NAME}/#127.0.0.1",
    f"https://127.0.0.1#{NAME}/",
    f"https://127.0.0.1?@{NAME}/",
    "https://127.0.0.1%2f/",
    "https://127.0.0.1%00.vendor.example/",
    "https://%31%32%37.0.0.1/",
    "https://a..example/",
    "https://.example/",
    "https://-a.example/",
    "https://a_b.example/",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 130}example/",
    f"https://{NAME}/{'a' * 500}",
    "https://",
    "https:///hooks",
    "https:hooks",
    "//127.0.0.1/",
    "",
    "https://[::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[::1",
    "https://[v1.fe]/",
    "https://1.1.1.1/",  # certificates are for names
    "https://[2606:4700:4700::1111]/",
    "https://0/",
    "https://0x/",
    "https://1/",
    *(
        f"{scheme}://{NAME}/"
        for scheme in ("http", "file", "ftp", "gopher", "ws", "wss", "unix", "dict", "ldap", "data", "javascript")
    ),
    "file:///etc/passwd",
    "unix:///run/docker.sock",
)
BAD_URLS = [*ODD, *(f"https://{form}/" for address in LOCAL for form in forms_of(address))]


@dataclass
class Wires:
    """A resolver that answers by a script, and a dial that opens nothing and remembers."""

    answers: list[Sequence[str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)

    def resolve(self, name: str, port: int) -> Sequence[str]:
        self.asked.append(name)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]

    def dial(self, address: str, port: int, timeout_s: float) -> socket.socket:
        self.dialled.append(address)
        raise ConnectionRefusedError

    def sender(self, *, sandbox: bool = False) -> Sender:
        return Sender(sandbox=sandbox, resolve=self.resolve, dial=self.dial)


@pytest.fixture
def wires() -> Wires:
    return Wires()


def post(sender: Sender, url: str = URL) -> Any:
    try:
        return sender.post(url, headers={}, body=b"{}")
    finally:
        sender.close()


# As registered ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sandbox", [False, True])
def test_no_written_form_of_a_private_target_can_be_registered_or_reached(sandbox: bool) -> None:
    own = {"https://127.0.0.1/", "https://127.0.0.1./", "https://localhost/", "https://LOCALHOST/"}
    own |= {"https://localhost./", "https://ｌｏｃａｌｈｏｓｔ/", "https://１２７.０.０.１/", "https://127。0。0。1/"}
    own |= {f"https://127.0.0.1?@{NAME}/"}
    wires = Wires(answers=[("127.0.0.1",)])
    sender = wires.sender(sandbox=sandbox)
    tried = 0
    for url in BAD_URLS:
        if sandbox and url in own:
            assert target(url, sandbox=True).own  # this machine, in the sandbox, by its two plain names
            continue
        tried += 1
        assert outcome(target, url, sandbox=sandbox) is Reason.WEBHOOK_ADDRESS_NOT_ALLOWED, url
        assert sender.post(url, headers={}, body=b"").failure is Failure.ADDRESS_NOT_ALLOWED, url
    sender.close()
    assert (wires.asked, wires.dialled) == ([], [])
    assert tried + len(PRIVATE_V4) + len(PRIVATE_V6) + len(REDIRECTS) >= 200


def test_a_live_register_takes_no_address_of_this_machine(tmp_path: Path, wires: Wires) -> None:
    with rig_in(tmp_path, profile="live") as rig:
        for url in ("http://localhost:8080/", "http://127.0.0.1:8080/", "https://localhost/", f"http://{NAME}/"):
            assert outcome(rig.endpoints.add, CLIENT, url, now=rig.clock.now()) is Reason.WEBHOOK_ADDRESS_NOT_ALLOWED
            assert post(wires.sender(), url).failure is Failure.ADDRESS_NOT_ALLOWED
        rig.endpoints.add(CLIENT, URL, now=rig.clock.now())
    assert wires.dialled == []


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("HTTPS://Hooks.Vendor.Example", "https://hooks.vendor.example/"),
        ("https://hooks.vendor.example.:443/a?b=c", "https://hooks.vendor.example/a?b=c"),
        ("https://hooks.vendor.example:8443/", "https://hooks.vendor.example:8443/"),
        ("https://回调.例子/钩", None),
        ("https://回调.例子/", "https://xn--zbss05j.xn--fsqu00a/"),
        ("https://hooks。vendor．example/", "https://hooks.vendor.example/"),
    ],
)
def test_an_address_has_one_spelling(written: str, kept: str | None) -> None:
    if kept is None:
        assert outcome(target, written, sandbox=False) is Reason.WEBHOOK_ADDRESS_NOT_ALLOWED
    else:
        assert target(written, sandbox=False).url == kept
        assert target(kept, sandbox=False).url == kept


@settings(max_examples=count(500, 60), deadline=None)
@given(st.text(max_size=60) | st.from_regex(r"https?://[^/]{0,30}(/.{0,20})?", fullmatch=True))
def test_whatever_is_written_is_a_target_or_a_no(text: str) -> None:
    found = outcome(target, text, sandbox=True)
    if isinstance(found, Target):
        assert target(found.url, sandbox=True) == found
        assert found.own or (found.https and not found.host.replace(".", "").isdigit())
    else:
        assert found is Reason.WEBHOOK_ADDRESS_NOT_ALLOWED


# As resolved ------------------------------------------------------------------------------------------------


def test_a_name_that_leads_to_a_private_address_is_not_called(wires: Wires) -> None:
    sender = wires.sender()
    for address in (*PRIVATE_V4, *PRIVATE_V6, "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"):
        for answer in ((address,), (PUBLIC, address), (address, PUBLIC)):
            wires.answers = [answer]
            assert sender.post(URL, headers={}, body=b"").failure is Failure.ADDRESS_NOT_ALLOWED, answer
    sender.close()
    assert wires.dialled == []


def test_a_name_that_changes_its_meaning_is_called_as_it_was_checked(wires: Wires) -> None:
    wires.answers = [(PUBLIC,), ("127.0.0.1",)]
    assert post(wires.sender()).failure is Failure.NO_CONNECTION
    assert (wires.asked, wires.dialled) == ([NAME], [PUBLIC])  # asked once, and that answer was used
    assert post(wires.sender()).failure is Failure.ADDRESS_NOT_ALLOWED
    assert wires.dialled == [PUBLIC]


def test_two_addresses_of_a_name_are_tried_and_no_third(wires: Wires) -> None:
    wires.answers = [("2606:4700:4700::1111", PUBLIC, "1.1.1.1")]
    assert post(wires.sender()).failure is Failure.NO_CONNECTION
    assert wires.dialled == ["2606:4700:4700::1111", PUBLIC]


@pytest.mark.parametrize("answer", [(), ("not an address",), (f"{PUBLIC}:80",)])
def test_no_address_is_a_no(wires: Wires, answer: Sequence[str]) -> None:
    wires.answers = [answer]
    assert post(wires.sender()).failure is Failure.ADDRESS_NOT_ALLOWED
    assert wires.dialled == []


def test_a_name_that_nobody_knows_or_answers_for_is_silence(wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str, port: int) -> Sequence[str]:
        raise socket.gaierror

    assert post(Sender(sandbox=False, resolve=unknown, dial=wires.dial)).failure is Failure.NAME_UNKNOWN
    hangs = Event()

    def never(name: str, port: int) -> Sequence[str]:
        hangs.wait(30)
        return (PUBLIC,)

    assert CONNECT_S == 2.0
    monkeypatch.setattr("wallet_api.webhooks.sending.CONNECT_S", 0.05)
    sender = Sender(sandbox=False, resolve=never, dial=wires.dial)
    assert sender.post(URL, headers={}, body=b"").failure is Failure.NAME_UNKNOWN
    hangs.set()
    sender.close()
    assert wires.dialled == []


@settings(max_examples=count(500, 60), deadline=None)
@given(st.ip_addresses())
def test_an_address_that_is_not_global_is_never_permitted(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    called = target(URL, sandbox=False)
    try:
        permitted(called, [str(address)])
    except Refusal:
        return
    assert address.is_global
    assert not any((address.is_multicast, address.is_private, address.is_loopback, address.is_link_local))


@settings(max_examples=count(500, 60), deadline=None)
@given(st.ip_addresses(v=4).filter(lambda each: not each.is_global))
def test_no_ipv6_form_hides_a_private_ipv4_address(inside: ipaddress.IPv4Address) -> None:
    number = int(inside)
    called = target(URL, sandbox=False)
    for hidden in (
        0xFFFF << 32 | number,  # mapped
        number,  # compatible
        0x0064_FF9B << 96 | number,  # NAT64
        0x0064_FF9B_0001 << 80 | number,
        0x2002 << 112 | number << 80,  # 6to4
        0x2001 << 112 | number ^ 0xFFFF_FFFF,  # Teredo
    ):
        assert outcome(permitted, called, [str(ipaddress.IPv6Address(hidden))]) is Reason.WEBHOOK_ADDRESS_NOT_ALLOWED


# As answered ------------------------------------------------------------------------------------------------


REDIRECTS = list(
    product(
        (300, 301, 302, 303, 304, 307, 308),
        ("http://127.0.0.1:{port}/trap", "https://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "http://169.254.169.254/"),
    )
)


def test_a_redirect_is_a_failure_and_leads_nowhere(tmp_path: Path) -> None:
    with rig_in(tmp_path) as rig, receiving() as receiver, receiving() as trap:
        rig.endpoints.add(CLIENT, receiver.url, now=rig.clock.now())
        deliverer = rig.deliverer()
        for code, where in REDIRECTS:
            receiver.answer = status(code, Location=where.format(port=trap.port))
            rig.show()
            assert deliverer.run_once(rig.clock.now()) == 1
        assert (len(receiver.got), trap.connections) == (len(REDIRECTS), 0)


# TLS --------------------------------------------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Receiver, Path, Path]]:
    """A receiver that speaks TLS as NAME, the authority to believe, and one that did not sign it."""
    files = make_certificates(tmp_path / "tls", [NAME], now=SystemClock().now())
    other = make_certificates(tmp_path / "other", [NAME], now=SystemClock().now())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.of(NAME))
    receiver = Receiver(tls=context).start()
    yield receiver, files.authority, other.authority
    receiver.stop()


def test_the_socket_goes_to_the_checked_address_and_tls_to_the_name(secure: tuple[Receiver, Path, Path]) -> None:
    receiver, authority, other = secure
    dialled: list[str] = []

    def dial(address: str, port: int, timeout_s: float) -> socket.socket:
        dialled.append(address)  # the public address, played by this machine
        return socket.create_connection(("127.0.0.1", receiver.port), timeout_s)

    def sender(ca_file: Path | None) -> Sender:
        return Sender(
            sandbox=False, resolve=lambda *_: (PUBLIC,), dial=dial, ca_file=None if ca_file is None else str(ca_file)
        )

    assert post(sender(authority)).accepted
    assert receiver.got[0].headers["host"] == NAME
    assert post(sender(authority), "https://other.vendor.example/").failure is Failure.TLS  # another name
    assert post(sender(other)).failure is Failure.TLS
    assert post(sender(None)).failure is Failure.TLS
    assert dialled == [PUBLIC] * 4
    assert len(receiver.got) == 1

"""serve: what it starts, that all of it comes up, works over HTTP alone, and goes down with nothing left behind.

The quick part looks at the plan, the certificates and the supervisor with children that do nothing. The full part starts the
whole country, with and without mTLS, and walks a visit through it as vendors, phones and counters do, over sockets.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import pytest
import urllib3
import zxingcpp
from cryptography import x509

from consent.approval import Decision
from consent.b64 import new_id
from consent.clock import SystemClock, shanghai_date, to_epoch
from consent.code import PREFIX
from consent.counter_strings import drawn_by
from consent.envelope import Recipient
from consent.errors import ROWS, Reason, Refusal
from consent.keylist import read_key_list
from consent.keys import jwk_of, load_key, new_key
from consent.people import CitizenId
from consent.provinces import provinces
from consent.seal import compact
from consent.showing import Person
from consent.transport import Letter, Topic, write_letter
from consent.window import issuer_of
from scanner_kiosk.country.certificates import Authority, make_certificates
from scanner_kiosk.country.founding import Founded, found
from scanner_kiosk.country.people import Persona, pair
from scanner_kiosk.country.plan import ADAPTERS, COUNTER, EXCHANGE, PORTS, Plan, draw_plan, tuning
from scanner_kiosk.country.units import window_for
from scanner_kiosk.phone import App, Phone
from scanner_kiosk.picture import read_picture
from scanner_kiosk.processes import Attention, Child, Children, Fell, Told
from scanner_kiosk.province_client import HttpLine, ProvinceClient
from scanner_kiosk.serve import UP_WITHIN_S, Problem, open_or_found, reserved, start_all
from scanner_kiosk.serve import main as serve
from scanner_kiosk.settings import read_settings as read_kiosk_settings
from scanner_kiosk.settings import read_windows
from scanner_kiosk.visit import View
from verifier.settings import read_settings as read_verifier_settings
from wallet_api.__main__ import phone_pages
from wallet_api.app import create_app
from wallet_api.profiles.accounts import read_account
from wallet_api.profiles.settings import read_settings as read_adapter_settings
from wallet_api.settings import read_settings as read_wallet_settings

T = TypeVar("T")

CLOCK = SystemClock()
PATIENCE_S = 30.0  # for one step of a visit, while everything else on this machine is busy too
NAMES = (*provinces(), EXCHANGE, COUNTER)


def until(there: Callable[[], T | None], *, within_s: float = PATIENCE_S) -> T:
    """What `there` finds in the end; it is asked again, a little later each time."""
    deadline, pause = time.monotonic() + within_s, 0.01
    while (found_it := there()) is None:
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    return found_it


# --- the plan -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    return found(tmp_path_factory.mktemp("founded"), now=CLOCK.now())


def plan_of(founded: Founded, *, mtls: bool = False, tuned: Mapping[str, str] | None = None) -> Plan:
    files = make_certificates(founded.folder / "tls", NAMES, now=CLOCK.now()) if mtls else None
    ports = range(20_000, 20_000 + PORTS)
    return draw_plan(founded, ports=ports, redis_url="unix:///none", certificates=files, tuned=tuned or {})


@pytest.mark.parametrize("mtls", [False, True])
def test_every_process_can_read_its_settings(founded: Founded, mtls: bool) -> None:
    readers: dict[str, Callable[[Mapping[str, str]], object]] = {
        "wallet_api": read_wallet_settings,
        "wallet_api.profiles": read_adapter_settings,
        "verifier": read_verifier_settings,
        "scanner_kiosk": read_kiosk_settings,
    }
    plan = plan_of(founded, mtls=mtls)
    assert len(plan.services) == 4 + 4 + 4 + 4 + 1 + 1 + 1
    for service in plan.services:
        readers[service.room](service.environment)
    listed = read_windows(Path(plan.service(COUNTER).environment["HUZHENG_KIOSK_WINDOWS"]), sandbox=True)
    assert {each.desk_url for each in listed} == {plan.service(f"{code}-verifier").url for code in provinces()}


def test_no_process_is_told_of_what_another_room_keeps(founded: Founded) -> None:
    for service in plan_of(founded).services:
        names = {name for name in service.environment if not name.startswith("HUZHENG_KEYLIST")}
        told = {name.split("_")[1] for name in names} - {"PROFILE", "REDIS"}
        rooms = {
            "wallet_api": "WALLET",
            "wallet_api.profiles": "ADAPTERS",
            "verifier": "VERIFIER",
            "scanner_kiosk": "KIOSK",
        }
        assert told == {rooms[service.room]}
        values = " ".join(service.environment.values())
        if service.room == "wallet_api":
            assert "inner-" not in values
            assert "-request.pem" not in values
        if service.name == EXCHANGE:
            assert "/keys/" not in values
            assert "handover-" not in values
        else:
            assert "exchange.db" not in values


def test_ports_stand_in_the_documented_order(founded: Founded) -> None:
    plan = plan_of(founded)
    order = [*(f"{code}-wallet" for code in provinces()), *(f"{code}-verifier" for code in provinces())]
    assert [plan.service(name).url for name in (*order, EXCHANGE, COUNTER, ADAPTERS)] == [
        f"http://127.0.0.1:{20_000 + n}" for n in range(PORTS)
    ]


def test_peers_believe_each_others_tokens_and_nobody_elses(founded: Founded) -> None:
    plan = plan_of(founded)
    exchange = read_verifier_settings(plan.service(EXCHANGE).environment)
    own = {code: read_verifier_settings(plan.service(f"{code}-verifier").environment) for code in provinces()}
    assert exchange.peer_tokens == ",".join(f"{code}={each.peer_token}" for code, each in own.items())
    assert {each.peer_tokens for each in own.values()} == {f"exchange={exchange.peer_token}"}
    assert len({exchange.peer_token, *(each.peer_token for each in own.values())}) == 5
    again = read_verifier_settings(plan_of(founded).service(EXCHANGE).environment)
    assert again.peer_token != exchange.peer_token


def test_with_certificates_there_are_no_tokens(founded: Founded) -> None:
    for service in plan_of(founded, mtls=True).services:
        assert not [name for name in service.environment if "PEER_TOKEN" in name]
        assert service.url.startswith("https://") == (service.room == "verifier" and service.url != "")


def test_what_is_told_to_programs_can_be_used(founded: Founded) -> None:
    plan = plan_of(founded)
    told = json.loads(json.dumps(plan.told()))
    for code, vendor in told["vendors"].items():
        key = load_key(f"file:{vendor['key_file']}", issuer=vendor["client_id"], sandbox=True)
        assert (key.kid, key.alg) == (vendor["kid"], "ES256")
        app = provinces()[code].app_id
        assert load_key(f"file:{told['login_key_file'][code]}", issuer=app, sandbox=True).alg == "ES256"
    assert load_key(f"file:{told['device_key_file']}", issuer="device", sandbox=True).alg == "ES256"
    assert len(told["windows"]) == 32
    for row in told["windows"]:
        issuer = issuer_of(row["province"], row["window"])
        assert load_key(f"file:{row['key_file']}", issuer=issuer, sandbox=True).alg == "ES256"
    assert read_key_list(Path(told["keylist_file"]), pinned=told["keylist_sha256"]).version == 1
    assert told["device_key_file"] == plan_of(founded).told()["device_key_file"]
    assert told["tls"] is None


def test_every_app_and_its_adapter_know_the_same_account_and_no_other_start_does(founded: Founded) -> None:
    plan = plan_of(founded)
    adapters = read_adapter_settings(plan.service(ADAPTERS).environment)
    files = dict(each.split("=", 1) for each in adapters.accounts.split(","))
    wallets = {code: read_wallet_settings(plan.service(f"{code}-wallet").environment) for code in provinces()}
    assert files == {code: each.app_account for code, each in wallets.items()}
    before = {code: read_account(uri, sandbox=True) for code, uri in files.items()}
    assert len({each.secret for each in before.values()}) == 4
    told = plan.told()
    assert adapters.apps == ",".join(f"{code}={each['simulated']}" for code, each in told["apps"].items())
    for code in provinces():
        verifier = read_verifier_settings(plan.service(f"{code}-verifier").environment)
        assert verifier.adapter_url == told["adapters"]["base"]
        assert before[code].secret not in json.dumps(told)
    plan_of(founded)
    assert all(read_account(uri, sandbox=True) != before[code] for code, uri in files.items())


def test_a_setting_that_serve_decides_itself_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tuning({"HUZHENG_WALLET_THREADS": "4", "HUZHENG_FULL": "1", "PATH": "/bin"}) == {
        "HUZHENG_WALLET_THREADS": "4"
    }
    monkeypatch.setenv("HUZHENG_VERIFIER_INNER_STORE", "sqlite:///elsewhere.db")
    assert serve(["--state", str(tmp_path / "state")]) == 2
    assert "HUZHENG_VERIFIER_INNER_STORE is decided by serve" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_tuning_reaches_the_processes_of_its_room_only(founded: Founded) -> None:
    plan = plan_of(founded, tuned={"HUZHENG_WALLET_OPENINGS_PER_MINUTE": "600"})
    told = [service.room for service in plan.services if "HUZHENG_WALLET_OPENINGS_PER_MINUTE" in service.environment]
    assert told == ["wallet_api"] * 8  # doors and deliverers


# --- the folder and the ports ---------------------------------------------------------------------


def test_a_founding_that_broke_off_is_named_and_not_built_upon(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    with pytest.raises(Problem, match="broke off"):
        open_or_found(tmp_path, CLOCK)


def test_a_founding_that_fails_takes_itself_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.txt").write_text("stays")

    def breaks(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("scanner_kiosk.country.founding._vendors", breaks)
    with pytest.raises(OSError, match="disk full"):
        open_or_found(tmp_path, CLOCK)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_country_that_was_founded_is_opened_again(founded: Founded) -> None:
    assert open_or_found(founded.folder, CLOCK) == founded


def test_reserved_ports_are_given_to_nobody_else_and_can_be_listened_on() -> None:
    with reserved(None) as ports:
        assert len(set(ports)) == PORTS
        with closing(socket.socket()) as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", ports[0]))
        with closing(socket.socket()) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", ports[0]))
            server.listen()
            with closing(socket.create_connection(("127.0.0.1", ports[0]), timeout=5)):
                server.accept()[0].close()


def test_a_port_that_is_taken_is_named() -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Problem, match=str(port)), reserved(port):
            pytest.fail("the port was taken")


# --- certificates ---------------------------------------------------------------------------------


def test_certificates_carry_their_name_twice_and_the_authoritys_key_is_nowhere(tmp_path: Path) -> None:
    files = make_certificates(tmp_path / "tls", ("31", "exchange"), now=CLOCK.now())
    before = files.of("31").read_text()
    for name in ("31", "exchange"):
        certificate = x509.load_pem_x509_certificates(files.of(name).read_bytes())[0]
        assert certificate.subject.rfc4514_string() == f"CN={name}"
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert name in alternatives.get_values_for_type(x509.DNSName)
    for path in (tmp_path / "tls").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "PRIVATE" not in files.authority.read_text()
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["31.pem", "ca.pem", "exchange.pem"]
    make_certificates(tmp_path / "tls", ("31",), now=CLOCK.now())
    assert files.of("31").read_text() != before
    assert not files.of("exchange").exists()


# --- children -------------------------------------------------------------------------------------

IDLE = (sys.executable, "-c", "import signal; signal.pause()")


def at_once(_: Child) -> bool:
    return True


def never(_: Child) -> bool:
    return False


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    with Attention() as attention:
        made = Children(logs=tmp_path / "logs", attention=attention)
        yield made
        made.end()


def test_a_child_that_dies_is_named_with_its_last_words(children: Children) -> None:
    children.start("lives", IDLE, os.environ, at_once)
    children.start("dies", (sys.executable, "-c", "print('no such key'); raise SystemExit(3)"), os.environ, never)
    with pytest.raises(Fell, match="dies ended with status 3") as fall:
        children.until_ready(60, lambda name, seconds: None)
    assert fall.value.last_words() == "no such key"


def test_a_child_that_dies_later_ends_the_watch(children: Children) -> None:
    children.start("lives", IDLE, os.environ, at_once)
    children.until_ready(10, lambda name, seconds: None)
    os.kill(children.pids["lives"], signal.SIGKILL)
    with pytest.raises(Fell, match="lives ended with signal SIGKILL"):
        children.watch()


def test_a_child_that_does_not_come_up_in_time_is_named(children: Children) -> None:
    children.start("slow", IDLE, os.environ, never)
    with pytest.raises(Fell, match="slow is not up after 0 s"):
        children.until_ready(0.3, lambda name, seconds: None)


def test_being_told_to_end_ends_the_waiting(children: Children) -> None:
    children.start("slow", IDLE, os.environ, never)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Told):
        children.until_ready(60, lambda name, seconds: None)


def test_ending_takes_along_what_a_child_has_started(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner_kiosk.processes._END_S", 0.5)
    stubborn = (
        "import os, signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "worker = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(worker.pid, flush=True)\n"
        "signal.pause()\n"
    )
    children.start("stubborn", (sys.executable, "-c", stubborn), os.environ, lambda child: child.written() != b"")
    children.until_ready(60, lambda name, seconds: None)
    worker = int((children.logs / "stubborn.log").read_text())
    pids = (children.pids["stubborn"], worker)
    children.end()
    until(lambda: None if any(alive(pid) for pid in pids) else True)


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_children_do_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    supervisor = (
        "import sys, os\n"
        "from pathlib import Path\n"
        "from scanner_kiosk.processes import Attention, Children\n"
        "with Attention() as attention:\n"
        "    children = Children(logs=Path(sys.argv[1]), attention=attention)\n"
        "    children.start('child', (sys.executable, '-c', 'import signal; print(1, flush=True); signal.pause()'),"
        " os.environ, lambda child: child.written() != b'')\n"
        "    children.until_ready(60, lambda name, seconds: None)\n"
        "    print(children.pids['child'], flush=True)\n"
        "    children.watch()\n"
    )
    with subprocess.Popen([sys.executable, "-c", supervisor, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
    until(lambda: None if alive(pid) else True)


# --- the phone's picture --------------------------------------------------------------------------


def test_the_simulated_camera_sees_the_newest_code_and_only_from_this_machine(founded: Founded) -> None:
    settings = read_wallet_settings({**plan_of(founded).service("33-wallet").environment, "HUZHENG_REDIS_URL": ""})
    app = create_app(settings, clock=CLOCK, pages=phone_pages(settings, CLOCK))
    client = app.test_client()
    home = {"Origin": "http://localhost"}
    assert client.get("/phone/current.png").status_code == 404
    texts = []
    for persona in ("shen-yu", "same-name-1"):
        device = dict(jwk_of(new_key("ES256", issuer="device").public))
        signed_in = client.post("/phone/api/login", json={"persona": persona, "device": device}, headers=home)
        assert signed_in.status_code == 200, signed_in.text
        assert client.post("/phone/api/show", json={}, headers=home).status_code == 201
        answer = client.get("/phone/current.png")
        assert (answer.status_code, answer.content_type) == (200, "image/png")
        (code,) = zxingcpp.read_barcodes(read_picture(answer.data), formats=zxingcpp.BarcodeFormat.QRCode)
        texts.append(code.text)
    assert all(text.startswith(PREFIX) for text in texts)
    assert texts[0] != texts[1]
    away = client.get("/phone/current.png", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert away.status_code == 403


def test_the_phone_exists_in_the_sandbox_only(founded: Founded) -> None:
    environment = dict(plan_of(founded).service("31-wallet").environment)
    with pytest.raises(ValueError, match="sandbox only"):
        read_wallet_settings({**environment, "HUZHENG_PROFILE": "live"})
    del environment["HUZHENG_WALLET_LOGIN_KEY"]
    with pytest.raises(ValueError, match="come together"):
        read_wallet_settings(environment)


# --- names on the wire ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Wire:
    """An exchange that speaks mTLS only."""

    url: str
    folder: Path
    recipient: Recipient

    def letter(self, sender: str, to: str = "33") -> Letter:
        return write_letter(
            {"question": "x"},
            sender=sender,
            to=to,
            topic=Topic.HOLDINGS,
            request_id=new_id(),
            recipient=self.recipient,
        )

    def post(
        self, letter: Letter, *, certificate: Path | None, headers: Mapping[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Hand a letter over under a certificate."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if certificate is not None:
            context.load_cert_chain(certificate)
        with urllib3.PoolManager(retries=False, timeout=10, ssl_context=context) as pool:
            body = json.dumps(letter.to_json()).encode()
            sent = {"Content-Type": "application/json", **(headers or {})}
            return pool.request("POST", f"{self.url}/exchange/letters", body=body, headers=sent)


def check_names_on_the_wire(wire: Wire, *, there: bool) -> None:
    """Who may say what under which name. `there`: whether somebody is at home in province 33."""
    own = wire.folder / "31.pem"
    passed = wire.post(wire.letter("31"), certificate=own)
    # The letter's content is nothing; what province 33 says to that does not matter, only that its sender was believed.
    code = "" if passed.status == 202 else passed.json()["code"]
    assert code not in (Reason.SENDER_UNKNOWN, Reason.FORBIDDEN)
    assert there or code == Reason.LIBRARY_UNREACHABLE

    lied = wire.post(wire.letter("32"), certificate=own)
    assert (lied.status, lied.json()["code"]) == (ROWS[Reason.SENDER_UNKNOWN].http, Reason.SENDER_UNKNOWN)

    counter = wire.post(wire.letter("31"), certificate=wire.folder / "counter.pem")
    assert (counter.status, counter.json()["code"]) == (ROWS[Reason.SENDER_UNKNOWN].http, Reason.SENDER_UNKNOWN)

    for header in ("Huzheng-Peer", "Peer-Token", "X-SSL-Client-CN"):
        lied = wire.post(wire.letter("32"), certificate=own, headers={header: "32"})
        assert lied.json()["code"] == Reason.SENDER_UNKNOWN

    with pytest.raises(urllib3.exceptions.HTTPError) as nameless:
        wire.post(wire.letter("31"), certificate=None)
    assert "certificate required" in str(nameless.value).lower()

    stranger = wire.folder / "stranger.key"
    stranger.write_text(Authority.new(now=CLOCK.now()).sign("31", now=CLOCK.now()))
    with pytest.raises(urllib3.exceptions.HTTPError):
        wire.post(wire.letter("31"), certificate=stranger)


@pytest.mark.full
@pytest.mark.network
def test_the_exchange_knows_its_senders_by_their_certificates(founded: Founded, children: Children) -> None:
    files = make_certificates(founded.folder / "tls", NAMES, now=CLOCK.now())
    with reserved(None) as ports:
        plan = draw_plan(founded, ports=ports, redis_url="", certificates=files, tuned={})
        start_all(plan, children, only=(EXCHANGE,))
        children.until_ready(UP_WITHIN_S, lambda name, seconds: None)
        recipient = read_key_list(founded.folder / "keylist.json", pinned=founded.keylist_sha256).recipient("33")
        wire = Wire(url=plan.service(EXCHANGE).url, folder=files.folder, recipient=recipient)
        check_names_on_the_wire(wire, there=False)


# --- the whole country ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running `serve`, by what it printed."""

    process: subprocess.Popen[bytes]
    told: Mapping[str, Any]
    folder: Path

    @property
    def pids(self) -> list[int]:
        """Everything that runs in the process groups that serve made, and Redis."""
        groups = {str(pid) for pid in self.told["processes"].values()}
        found_pids = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                _, parent, group = path.read_text().rpartition(")")[2].split()[:3]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if group in groups or parent == str(self.process.pid):
                found_pids.append(int(path.parent.name))
        return found_pids

    def line(self, base: str) -> HttpLine:
        tls = self.told["tls"]
        if tls is None or not base.startswith("https:"):
            return HttpLine(base)
        return HttpLine(base, ca_file=tls["ca_file"], certificate=tls["certificates"][COUNTER])

    def token(self, code: str) -> str:
        """A vendor's token, by private_key_jwt."""
        vendor = self.told["vendors"][code]
        key = load_key(f"file:{vendor['key_file']}", issuer=vendor["client_id"], sandbox=True)
        issued = to_epoch(CLOCK.now())
        claims = {"iss": key.issuer, "sub": key.issuer, "aud": vendor["token_url"], "jti": new_id()}
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": compact("JWT", {**claims, "iat": issued, "exp": issued + 60}, key),
        }
        answer = urllib3.request(
            "POST",
            vendor["token_url"],
            body=urlencode(form),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            retries=False,
        )
        assert answer.status == 200, answer.data
        return str(answer.json()["access_token"])

    def phone(self, persona: Persona) -> Phone:
        code = persona.province
        keylist = read_key_list(Path(self.told["keylist_file"]), pinned=self.told["keylist_sha256"])
        app = App(
            province=code,
            line=self.line(self.told["wallets"][code]["base"]),
            token=self.token(code),
            login_key=load_key(
                f"file:{self.told['login_key_file'][code]}", issuer=provinces()[code].app_id, sandbox=True
            ),
            inner=keylist.recipient(code),
            clock=CLOCK,
        )
        device = load_key(f"file:{self.told['device_key_file']}", issuer="device", sandbox=True)
        return Phone(app=app, person=Person(id_number=persona.id_number, name=persona.name), device=device)

    def window(self, code: str, window: str) -> ProvinceClient:
        keylist = read_key_list(Path(self.told["keylist_file"]), pinned=self.told["keylist_sha256"])
        (row,) = (each for each in self.told["windows"] if each["window"] == window)
        return ProvinceClient(
            line=self.line(self.told["verifiers"][code]["base"]),
            province=code,
            window=window,
            key=load_key(f"file:{row['key_file']}", issuer=issuer_of(code, window), sandbox=True),
            recipient=keylist.recipient(code),
            clock=CLOCK,
        )

    def log(self, name: str) -> str:
        return (self.folder / "logs" / f"{name}.log").read_text(encoding="utf-8")


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "scanner_kiosk", "serve", "--json", "--state", str(folder), *options]
    folder.mkdir()
    with (
        (folder / "said.txt").open("wb") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, (folder / "said.txt").read_text()
            yield Served(process=process, told=json.loads(line), folder=folder)
        finally:
            process.terminate()
            process.wait(60)


def visit(country: Served, persona: Persona, desk: str) -> View:
    """One whole visit over HTTP: vendor's token, showing, code, window's proof, sheet, approval, copy."""
    matter = "realestate.register"
    phone, window = country.phone(persona), country.window(desk, window_for(desk, matter))
    phone.show()
    asked = window.ask(
        request_id=new_id(),
        code=phone.code(),
        matter=matter,
        type_="marriage",
        case_number="SB-1",
        cause="核对婚姻状况",
        person=CitizenId.parse(persona.id_number, today=shanghai_date(CLOCK.now())),
        preconditions=(),
    )
    view = window.present(asked)

    def sheet() -> dict[str, Any] | None:
        try:
            shown = phone.sheet()
        except Refusal as no:
            if no.reason is not Reason.REQUEST_UNKNOWN:
                raise
            return None
        return None if shown["holdings"] is None else shown

    shown = until(sheet)
    (certificate,) = (each["certificate"] for each in shown["holdings"]["certificates"] if each["type"] == "marriage")
    phone.answer(Decision.AGREE, shown["sheet"], digits=view.digits, certificate=certificate)

    def ended() -> View | None:
        found_view = window.visit(asked.request_id)
        return None if found_view.state in ("ASKED", "FETCHING") else found_view

    end = until(ended)
    result = until(lambda: phone.state()["result"])
    assert result["outcome"] == "PASSED"
    window.clear(asked.request_id)
    return end


def check_visit(country: Served) -> None:
    """A phone of Shanghai, a counter in Jiangsu, a certificate in Zhejiang; and nobody's name or number in any log."""
    persona = pair("31", "33")
    view = visit(country, persona, "32")
    assert (view.state, view.holder_province, view.library) == ("PASSED", "31", "33")
    assert view.copy is not None
    for name in country.told["processes"]:
        for secret in (persona.name, persona.id_number, persona.stories[0].partner_name, PREFIX):
            assert secret not in country.log(name)


def check_own_code(country: Served) -> None:
    """What Anhui's app draws itself is read off its phone, asked for in Jiangsu, and counts once; no log holds it."""
    persona, desk, matter = pair("34", "34"), "32", "realestate.register"
    phone = f"{country.told['phone']['34'].rstrip('/')}/"
    device = load_key(f"file:{country.told['device_key_file']}", issuer="device", sandbox=True)
    cookie = ""

    def post(path: str, body: Mapping[str, object]) -> urllib3.BaseHTTPResponse:
        headers = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin", "Cookie": cookie}
        answer = urllib3.request("POST", f"{phone}api/{path}", body=json.dumps(body), headers=headers, retries=False)
        assert answer.status < 300, answer.data
        return answer

    cookie = post("login", {"persona": persona.id, "device": jwk_of(device.public)}).headers["Set-Cookie"].split(";")[0]
    post("show", {})
    post("own-code", {})
    seen = urllib3.request("GET", f"{phone}current.png", retries=False)
    (symbol,) = zxingcpp.read_barcodes(read_picture(seen.data))
    assert drawn_by(symbol.text) == "34"
    window = country.window(desk, window_for(desk, matter))

    def ended(*states: str) -> View:
        asked = window.ask(
            request_id=new_id(),
            code=symbol.text,
            matter=matter,
            type_="marriage",
            case_number="SB-2",
            cause="核对婚姻状况",
            person=CitizenId.parse(persona.id_number, today=shanghai_date(CLOCK.now())),
            preconditions=(),
        )
        window.present(asked)

        def there() -> View | None:
            view = window.visit(asked.request_id)
            return view if view.state in states and shown() != "OPEN" else None

        return until(there)

    def shown() -> str:
        headers = {"Cookie": cookie}
        return str(urllib3.request("GET", f"{phone}api/state", headers=headers, retries=False).json()["state"])

    assert ended("ASKED").holder_province == "34"
    assert ended("REFUSED").said.reason is Reason.CODE_ALREADY_USED
    assert all(symbol.text not in country.log(name) for name in country.told["processes"])


def check_addresses(country: Served) -> None:
    """The phones, the counter, the interface's pages and descriptions are where serve says."""
    told = country.told
    for url in (*told["phone"].values(), told["counter"], *(each["docs"] for each in told["wallets"].values())):
        answer = urllib3.request("GET", url, retries=False)
        assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/html"), url
    for row in (*told["wallets"].values(), *told["verifiers"].values(), told["exchange"]):
        path = row["openapi"].removeprefix(row["base"])
        described = json.loads(country.line(row["base"]).call("GET", path, b"", {}).body)
        assert described["openapi"].startswith("3.1")


def check_peers_by_token(country: Served) -> None:
    """Nobody gets a letter in by guessing."""
    keylist = read_key_list(Path(country.told["keylist_file"]), pinned=country.told["keylist_sha256"])
    url = country.told["exchange"]["base"]
    letter = Wire(url=url, folder=country.folder, recipient=keylist.recipient("33")).letter("31")
    for headers in ({}, {"Peer-Token": "31"}, {"Huzheng-Peer": "31"}):
        sent = {"Content-Type": "application/json", **headers}
        body = json.dumps(letter.to_json()).encode()
        answer = urllib3.request("POST", f"{url}/exchange/letters", body=body, headers=sent, retries=False)
        assert answer.json()["code"] == Reason.SENDER_UNKNOWN


def check_alone(country: Served) -> None:
    """A second serve over the same country does not start."""
    command = [sys.executable, "-m", "scanner_kiosk", "serve", "--state", str(country.folder)]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "is being served by another process" in second.stderr


@pytest.mark.full
@pytest.mark.network
@pytest.mark.timeout(600)
def test_the_whole_country_serves_a_visit_and_told_to_end_leaves_no_process(tmp_path: Path) -> None:
    with served(tmp_path / "state") as country:
        check_visit(country)
        check_own_code(country)
        check_addresses(country)
        check_peers_by_token(country)
        check_alone(country)
        pids = country.pids
        assert len(pids) >= 14 + 9  # each service has a worker of its own
        country.process.terminate()
        assert country.process.wait(60) == 0
        assert [pid for pid in pids if alive(pid)] == []


@pytest.mark.full
@pytest.mark.network
@pytest.mark.timeout(600)
def test_over_mtls_a_visit_passes_and_a_process_that_dies_ends_all_and_is_named(tmp_path: Path) -> None:
    with served(tmp_path / "state", "--mtls") as country:
        check_visit(country)
        check_addresses(country)
        keylist = read_key_list(Path(country.told["keylist_file"]), pinned=country.told["keylist_sha256"])
        url, folder = country.told["exchange"]["base"], Path(country.told["tls"]["ca_file"]).parent
        check_names_on_the_wire(Wire(url=url, folder=folder, recipient=keylist.recipient("33")), there=True)
        pids = country.pids
        os.kill(country.told["processes"]["33-work"], signal.SIGKILL)
        assert country.process.wait(60) == 1
        assert "33-work ended with signal SIGKILL" in (country.folder / "said.txt").read_text()
        assert [pid for pid in pids if alive(pid)] == []

"""A kiosk becomes a window: the real desk, the real kiosk, a clock that is moved, and everything that may go wrong."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from consent.enrolment import GRANT_TYPE, applicant, seal_enrolment, short
from consent.errors import Reason, Refusal, Unavailable
from consent.keys import SigningKey, jwk_of, load_key, new_key, signing_key
from consent.ledger import Act
from consent.window import issuer_of
from scanner_kiosk.country.lines import WsgiLine
from scanner_kiosk.enrol import KEY_FILE, PENDING_FILE, Enrolling
from scanner_kiosk.province_client import ProvinceClient, Reply
from scanner_kiosk.settings import Settings, WindowSetting, read_windows
from tests.country import Stage, read_ledger, refused
from verifier import __main__ as verifier_command
from verifier.enrolment import GUESSES_OF_A_UNIT, WAITING_IN_ALL, WAITING_OF_AN_ADDRESS, Enrolments
from verifier.stores import inner

DESK, WINDOW = "32", "32-R1"
JSON = {"Content-Type": "application/json"}


@dataclass(slots=True)
class Kiosk:
    """A machine with a state folder. While it waits, time passes and `then` may happen."""

    stage: Stage
    folder: Path
    then: list[Callable[[], object]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def enrolling(self, line: Any = None) -> Enrolling:
        return Enrolling(
            settings=Settings(
                profile="sandbox", state=str(self.folder / "state"), windows=str(self.folder / "windows.json")
            ),
            desk_url="http://127.0.0.1:1",
            province=DESK,
            line=line or WsgiLine(self.stage.country.verifiers[DESK]),
            clock=self.stage.clock,
            say=self.said.append,
            wait=self._wait,
        )

    def _wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.stage.clock.advance(seconds)
        if self.then:
            self.then.pop(0)()

    def code(self) -> str:
        """The user code on its screen, as an administrator reads it off."""
        return self.said[0].rpartition(" ")[2]

    def client(self, row: WindowSetting) -> ProvinceClient:
        key = load_key(row.key_uri, issuer=issuer_of(row.province, row.window), sandbox=True)
        return ProvinceClient(
            line=WsgiLine(self.stage.country.verifiers[DESK]),
            province=row.province,
            window=row.window,
            key=key,
            recipient=self.stage.province(DESK).office.keylist.recipient(DESK),
            clock=self.stage.clock,
        )


@pytest.fixture
def kiosk(stage: Stage, tmp_path: Path) -> Kiosk:
    return Kiosk(stage, tmp_path)


@pytest.fixture
def admin(stage: Stage) -> Enrolments:
    return Enrolments(office=stage.province(DESK).office)


def unit_of(admin: Enrolments, window: str = WINDOW) -> str:
    return admin.office.scope(DESK).unit_of_window(window).uscc


def approve(admin: Enrolments, kiosk: Kiosk, window: str = WINDOW) -> None:
    now, unit = kiosk.stage.clock.now(), unit_of(admin, window)
    admin.approve(admin.look_up(kiosk.code(), unit=unit, now=now), unit=unit, window=window, now=now)


def nothing() -> None:
    """The administrator has not come yet."""


def steps(stage: Stage) -> list[str]:
    book = read_ledger(stage.province(DESK).office.inner, inner.ledger)
    return [json.loads(each.body)["step"] for each in book if each.act is Act.WINDOW]


# By hand, as somebody else than our own kiosk would ----------------------------------------------------------


def stranger() -> SigningKey:
    made = new_key("EdDSA", issuer="x")
    return signing_key(made.private, issuer=applicant(made.public))


def post(stage: Stage, path: str, body: dict[str, Any]) -> Reply:
    return WsgiLine(stage.country.verifiers[DESK]).call("POST", f"/windows/{path}", json.dumps(body).encode(), JSON)


def begin(stage: Stage, key: SigningKey) -> dict[str, Any]:
    proof = seal_enrolment(key, province=DESK, device_code=None, now=stage.clock.now())
    reply = post(stage, "device_authorization", {"jwk": jwk_of(key.public), "proof": proof})
    assert reply.status == 200, reply.body
    found: dict[str, Any] = json.loads(reply.body)
    return found


def token_body(stage: Stage, key: SigningKey, device_code: str) -> dict[str, Any]:
    proof = seal_enrolment(key, province=DESK, device_code=device_code, now=stage.clock.now())
    return {"grant_type": GRANT_TYPE, "device_code": device_code, "proof": proof}


def poll(stage: Stage, key: SigningKey, device_code: str) -> tuple[int, str, str | None]:
    reply = post(stage, "token", token_body(stage, key, device_code))
    told = json.loads(reply.body)
    return reply.status, told.get("code", ""), told.get("error")


# The whole way ------------------------------------------------------------------------------------------------


def test_a_kiosk_becomes_a_window_and_serves(stage: Stage, kiosk: Kiosk, admin: Enrolments) -> None:
    kiosk.then = [nothing, lambda: approve(admin, kiosk)]
    row = kiosk.enrolling().run()
    assert kiosk.waited == [5, 5]
    (listed,) = read_windows(kiosk.folder / "windows.json", sandbox=True)
    assert listed == row
    assert (row.province, row.window, row.unit) == (DESK, WINDOW, unit_of(admin))
    key_file = kiosk.folder / "state" / KEY_FILE
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    client = kiosk.client(row)
    assert kiosk.said[1].endswith(f" {short(client.key.kid)}")
    assert client.register()["window"] == WINDOW
    assert not (kiosk.folder / "state" / PENDING_FILE).exists()
    assert steps(stage) == ["asked", "approve", "enrol"]


def test_a_disabled_window_is_refused_at_once(stage: Stage, kiosk: Kiosk, admin: Enrolments) -> None:
    kiosk.then = [lambda: approve(admin, kiosk)]
    client = kiosk.client(kiosk.enrolling().run())
    client.register()
    assert admin.disable(WINDOW, now=stage.clock.now()) == 1
    assert refused(client.register) is Reason.WINDOW_UNKNOWN
    assert steps(stage)[-1] == "disable"
    assert refused(admin.disable, WINDOW, now=stage.clock.now()) is Reason.WINDOW_UNKNOWN


def test_a_new_key_of_a_window_ends_the_old_one(stage: Stage, kiosk: Kiosk, admin: Enrolments, tmp_path: Path) -> None:
    kiosk.then = [lambda: approve(admin, kiosk)]
    old = kiosk.client(kiosk.enrolling().run())
    other = Kiosk(stage, tmp_path / "other")
    other.folder.mkdir()

    def hand_over() -> None:
        approve(admin, other)
        old.register()  # until the new one is fetched

    other.then = [hand_over]
    new = other.client(other.enrolling().run())
    assert new.register()["window"] == WINDOW
    assert refused(old.register) is Reason.WINDOW_UNKNOWN


def test_a_key_that_is_only_approved_is_no_window_yet(stage: Stage, kiosk: Kiosk, admin: Enrolments) -> None:
    def look() -> None:
        approve(admin, kiosk)
        uri = f"file:{kiosk.folder / 'state' / KEY_FILE}"
        row = WindowSetting(province=DESK, window=WINDOW, name="x", desk_url="http://x", key_uri=uri)
        assert refused(kiosk.client(row).register) is Reason.WINDOW_UNKNOWN

    kiosk.then = [look]
    assert kiosk.client(kiosk.enrolling().run()).register()["window"] == WINDOW


def test_an_interrupted_enrolment_goes_on_with_the_same_code_and_key(
    stage: Stage, kiosk: Kiosk, admin: Enrolments
) -> None:
    def broken() -> None:
        raise KeyboardInterrupt

    kiosk.then = [broken]
    with pytest.raises(KeyboardInterrupt):
        kiosk.enrolling().run()
    kept = kiosk.folder / "state" / PENDING_FILE
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    first, kiosk.said = list(kiosk.said), []
    kiosk.then = [lambda: approve(admin, kiosk)]
    kiosk.enrolling().run()
    assert kiosk.said[:2] == first[:2]
    assert steps(stage).count("asked") == 1


def test_a_lost_answer_is_fetched_again(stage: Stage, kiosk: Kiosk, admin: Enrolments) -> None:
    way = WsgiLine(stage.country.verifiers[DESK])
    lost: list[int] = []

    class Lossy:
        def call(self, method: str, path: str, body: bytes, headers: Any) -> Reply:
            reply = way.call(method, path, body, headers)
            if path == "/windows/token" and reply.status == 200 and not lost:
                lost.append(1)
                raise Unavailable(Reason.OFFLINE, "desk")
            return reply

    kiosk.then = [lambda: approve(admin, kiosk)]
    row = kiosk.enrolling(Lossy()).run()
    assert lost
    assert kiosk.client(row).register()["window"] == WINDOW
    assert steps(stage) == ["asked", "approve", "enrol"]


# Noes ---------------------------------------------------------------------------------------------------------


def test_denied(stage: Stage, kiosk: Kiosk, admin: Enrolments) -> None:
    def deny() -> None:
        admin.deny(admin.look_up(kiosk.code(), unit=unit_of(admin), now=stage.clock.now()), now=stage.clock.now())

    kiosk.then = [deny]
    assert refused(kiosk.enrolling().run) is Reason.ACCESS_DENIED
    assert not (kiosk.folder / "windows.json").exists()
    assert steps(stage) == ["asked", "deny"]


def test_expired_after_ten_minutes_and_not_before(stage: Stage, kiosk: Kiosk, admin: Enrolments) -> None:
    began = stage.clock.now()
    assert refused(kiosk.enrolling().run) is Reason.EXPIRED_TOKEN
    assert (stage.clock.now() - began).total_seconds() == 600
    with pytest.raises(Refusal) as no:
        approve(admin, kiosk)
    assert no.value.reason is Reason.REQUEST_UNKNOWN


@dataclass
class Forgetful:
    """A desk whose answer to the first poll is all that it ever says."""

    line: WsgiLine
    first: Reply | None = None

    def call(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        if path != "/windows/token":
            return self.line.call(method, path, body, headers)
        self.first = self.first or self.line.call(method, path, body, headers)
        return self.first


def test_a_desk_that_says_pending_for_ever_is_not_asked_for_ever(stage: Stage, kiosk: Kiosk) -> None:
    began = stage.clock.now()
    desk = Forgetful(WsgiLine(stage.country.verifiers[DESK]))
    assert refused(kiosk.enrolling(desk).run) is Reason.AUTHORIZATION_PENDING
    assert (stage.clock.now() - began).total_seconds() == 600


def test_who_polls_too_soon_is_slowed_down_for_good(stage: Stage) -> None:
    key = stranger()
    code = begin(stage, key)["device_code"]
    clock = stage.clock
    pending, slow = (400, "AUTHORIZATION_PENDING", "authorization_pending"), (400, "SLOW_DOWN", "slow_down")
    assert poll(stage, key, code) == pending
    clock.advance(4)
    assert poll(stage, key, code) == slow
    clock.advance(9)
    assert poll(stage, key, code) == slow  # ten seconds by now, and fifteen from here on
    clock.advance(15)
    assert poll(stage, key, code) == pending


def test_a_device_code_is_worth_nothing_without_its_key(stage: Stage, admin: Enrolments) -> None:
    key, thief = stranger(), stranger()
    told = begin(stage, key)
    unit, now = unit_of(admin), stage.clock.now()
    admin.approve(admin.look_up(told["user_code"], unit=unit, now=now), unit=unit, window=WINDOW, now=now)
    assert poll(stage, thief, told["device_code"])[:2] == (403, "DOCUMENT_KEY_UNKNOWN")
    assert "enrol" not in steps(stage)
    assert poll(stage, key, told["device_code"])[0] == 200
    rows = stage.rows(DESK, inner.enrolments)
    assert told["device_code"] not in repr(rows)


def test_a_call_that_was_seen_on_the_way_counts_once(stage: Stage, admin: Enrolments) -> None:
    key = stranger()
    proof = seal_enrolment(key, province=DESK, device_code=None, now=stage.clock.now())
    asked = {"jwk": jwk_of(key.public), "proof": proof}
    told = json.loads(post(stage, "device_authorization", asked).body)
    assert json.loads(post(stage, "device_authorization", asked).body)["code"] == "DOCUMENT_REPLAYED"
    unit, now = unit_of(admin), stage.clock.now()
    admin.approve(admin.look_up(told["user_code"], unit=unit, now=now), unit=unit, window=WINDOW, now=now)
    body = token_body(stage, key, told["device_code"])
    assert post(stage, "token", body).status == 200
    assert json.loads(post(stage, "token", body).body)["code"] == "DOCUMENT_REPLAYED"


def test_proofs_of_another_step_province_key_and_code_are_refused(stage: Stage) -> None:
    key, now = stranger(), stage.clock.now()
    told = begin(stage, key)
    for proof, jwk in (
        (seal_enrolment(key, province=DESK, device_code="other", now=now), key),
        (seal_enrolment(key, province="31", device_code=None, now=now), key),
    ):
        reply = post(stage, "device_authorization", {"jwk": jwk_of(jwk.public), "proof": proof})
        assert json.loads(reply.body)["code"] == "DOCUMENT_CLAIMS"
    proof = seal_enrolment(key, province=DESK, device_code=None, now=now)
    reply = post(stage, "device_authorization", {"jwk": jwk_of(stranger().public), "proof": proof})
    assert json.loads(reply.body)["code"] == "DOCUMENT_KEY_UNKNOWN"
    body = {**token_body(stage, key, told["device_code"]), "proof": proof}
    assert json.loads(post(stage, "token", body).body)["code"] == "DOCUMENT_CLAIMS"
    assert poll(stage, key, "nobody's")[1:] == ("INVALID_GRANT", "invalid_grant")


def test_user_codes_cannot_be_guessed(stage: Stage, admin: Enrolments) -> None:
    told, unit = begin(stage, stranger()), unit_of(admin)
    clock = stage.clock

    def look(code: str) -> Any:
        return refused(admin.look_up, code, unit=unit, now=clock.now())

    for n in range(GUESSES_OF_A_UNIT):
        assert look(f"BBBB-BBB{'BCDFG'[n]}") is Reason.REQUEST_UNKNOWN
    assert look("BBBB-BBBH") is Reason.TOO_MANY
    assert look(told["user_code"]) is Reason.TOO_MANY  # the right one as well: no guess says more than that
    clock.advance(9 * 60)
    again = begin(stage, stranger())
    assert look(again["user_code"]) is Reason.TOO_MANY
    clock.advance(61)
    typed = again["user_code"].lower().replace("-", " ")
    assert admin.look_up(typed, unit=unit, now=clock.now()).user_code == again["user_code"]


def test_few_may_wait_from_one_address_and_in_all(stage: Stage, admin: Enrolments) -> None:
    def ask(address: str) -> None:
        key, now = stranger(), stage.clock.now()
        proof = seal_enrolment(key, province=DESK, device_code=None, now=now)
        admin.ask(jwk_of(key.public), proof, address=address, now=now)

    for _ in range(WAITING_OF_AN_ADDRESS - 1):
        ask("127.0.0.1")
    with stage.country.verifiers[DESK].test_client() as door:  # which calls from 127.0.0.1
        for status in (200, 429):
            key = stranger()
            proof = seal_enrolment(key, province=DESK, device_code=None, now=stage.clock.now())
            body = {"jwk": jwk_of(key.public), "proof": proof}
            assert door.post("/windows/device_authorization", json=body).status_code == status
    for n in range(WAITING_IN_ALL - WAITING_OF_AN_ADDRESS):
        ask(f"10.0.0.{n}")
    assert refused(ask, "10.0.1.1") is Reason.TOO_MANY
    assert steps(stage).count("asked") == WAITING_IN_ALL
    clock = stage.clock
    clock.advance(600)
    ask("127.0.0.1")


def test_an_administrator_approves_for_the_own_unit_once(stage: Stage, admin: Enrolments) -> None:
    told, unit, now = begin(stage, stranger()), unit_of(admin), stage.clock.now()
    row = admin.look_up(told["user_code"], unit=unit, now=now)
    other = next(each for each in admin.office.scope(DESK).units.values() if each.uscc != unit)
    elsewhere = next(iter(other.windows))
    assert refused(admin.approve, row, unit=unit, window=elsewhere, now=now) is Reason.WINDOW_UNKNOWN
    assert refused(admin.look_up, told["user_code"], unit="91310000MA0000000X", now=now) is Reason.UNIT_UNKNOWN
    admin.approve(row, unit=unit, window=WINDOW, now=now)
    assert refused(admin.approve, row, unit=unit, window=WINDOW, now=now) is Reason.STATE_FORBIDS


# The administrator's command ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Command:
    """`verifier windows`, in the running country."""

    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *words: str, typed: str = "") -> tuple[int, str]:
        self.monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        status = verifier_command.main(["windows", *words])
        return status, self.capsys.readouterr().out


@pytest.fixture
def command(stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("HUZHENG_PROFILE", "sandbox")
    monkeypatch.setattr(verifier_command, "_province", lambda settings, clock: stage.province(DESK))
    monkeypatch.setattr(verifier_command, "SystemClock", lambda: stage.clock)
    return Command(capsys, monkeypatch)


def test_the_command_shows_window_and_key_and_wants_a_yes(
    stage: Stage, kiosk: Kiosk, admin: Enrolments, command: Command
) -> None:
    unit = unit_of(admin)
    approving = ("--unit", unit, "--window", WINDOW)

    def no() -> None:
        status, shown = command("approve", kiosk.code(), *approving, typed="\n")
        assert status == 1
        assert kiosk.said[1].rpartition(" ")[2] in shown
        assert WINDOW in shown
        assert steps(stage) == ["asked"]

    def yes() -> None:
        assert command("approve", kiosk.code(), *approving, typed="yes\n")[0] == 0

    kiosk.then = [no, yes]
    client = kiosk.client(kiosk.enrolling().run())
    client.register()
    listed = command("list")[1]
    assert "\t".join((kiosk.code(), short(client.key.kid), "ENROLLED", WINDOW, unit)) in listed
    assert command("disable", WINDOW)[0] == 0
    assert refused(client.register) is Reason.WINDOW_UNKNOWN
    assert command("disable", WINDOW)[0] == 1


def test_the_command_denies(stage: Stage, kiosk: Kiosk, admin: Enrolments, command: Command) -> None:
    kiosk.then = [lambda: command("deny", kiosk.code(), "--unit", unit_of(admin))]
    assert refused(kiosk.enrolling().run) is Reason.ACCESS_DENIED

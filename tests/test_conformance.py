"""The kit for vendors: the reference back end passes every check, and each of many wrong ones is caught by the one check that
is meant for it, and by no other.

Everything runs over real sockets: the kit's wallet_api, the back end, the webhooks. Only time is the tests' own: the kit and
the back end share one clock that moves when one of them would sleep.
"""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import socket
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from huzheng_wallet import Refused, Showing, Times, Wallet, WalletError, load_key, new_key, webhook
from huzheng_wallet.errors import silence
from huzheng_wallet.line import Question, Reply
from PIL import Image
from standardwebhooks import Webhook

from consent.b64 import new_id, to_b64
from consent.clock import MovableClock
from consent.errors import Unavailable
from tests.sdk_stage import SDK, sample_module
from wallet_api.__main__ import main
from wallet_api.conformance import command
from wallet_api.conformance.command import SCENE_NAMES, check_in
from wallet_api.conformance.judging import CHECKS, GROUPS, counts, verdict_of, verdicts
from wallet_api.conformance.province import Province, founded, serving
from wallet_api.conformance.reference import PATIENCE_S, BackEnd, Citizen, create_app
from wallet_api.conformance.report import as_json, as_text, passed
from wallet_api.conformance.run import Run
from wallet_api.conformance.scenes import SCENES

pytestmark = pytest.mark.network

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "conformance.md"


def times_of(clock: MovableClock) -> Times:
    return Times(
        wall=lambda: clock.now().timestamp(),
        tick=lambda: clock.now().timestamp(),
        sleep=lambda seconds: void(clock.advance(seconds)),
        shake=lambda: 0.0,
    )


def void(_: object) -> None:
    return None


@contextmanager
def listening(back_end: BackEnd) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        app = create_app(back_end)
        app.logger.disabled = True  # a wrong back end may fall over; its traceback is its own affair
        with serving(app, bound):
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture(scope="module")
def province(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    """One for all back ends. Founding it takes as long as a run."""
    with founded(tmp_path_factory.mktemp("province"), pace=MovableClock(datetime.now(UTC))) as made:
        yield made


def run_against(province: Province, make: Callable[[Times], BackEnd]) -> tuple[Run, str]:
    clock = province.pace
    assert isinstance(clock, MovableClock)
    clock.set(datetime.now(UTC))  # webhooks are judged by the machine's time, in the SDK's library
    with listening(make(times_of(clock))) as url:
        return check_in(province, url, say=lambda n, of, scene: None), url


def failed(run: Run) -> set[str]:
    return {name for name, found in verdicts(run.findings).items() if verdict_of(found) == "fail"}


# The right one ------------------------------------------------------------------------------------------------


def test_the_reference_back_end_passes_every_check_and_the_report_says_nothing_secret(province: Province) -> None:
    run, url = run_against(province, BackEnd)
    assert failed(run) == set()
    assert run.stops == []
    assert counts(run.findings) == {"pass": len(CHECKS)}
    assert passed(run.findings)

    told = json.loads(as_json(url, run.findings, run.stops, now=datetime.now(UTC)))
    assert told["passed"] is True
    assert [each["id"] for each in told["checks"]] == list(CHECKS)
    texts = [as_text(url, run.findings, run.stops, lang=lang) for lang in ("zh-CN", "en")]
    assert "全部通过。" in texts[0]
    assert "All passed." in texts[1]
    whole = "".join([*texts, json.dumps(told, ensure_ascii=False)])
    for opening in run.openings:
        assert opening.due.id_number not in whole
        assert opening.due.name not in whole
        assert opening.sub not in whole
    assert not re.search(r"eyJ|YRD1:|whsec_|PRIVATE", whole)


def test_the_sample_app_passes_every_check(province: Province) -> None:
    sample_module()  # vendor_test_build.py imports it by its name, as when both are started from their folder
    path = SDK / "samples" / "vendor_test_build.py"
    build = runpy.run_path(str(path), run_name="vendor_test_build")["create_test_build"]
    clock = province.pace
    assert isinstance(clock, MovableClock)
    clock.set(datetime.now(UTC))
    with socket.create_server(("127.0.0.1", 0)) as bound, serving(build(times_of(clock)), bound):
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        run = check_in(province, url, say=lambda n, of, scene: None)
    assert counts(run.findings) == {"pass": len(CHECKS)}, as_text(url, run.findings, run.stops, lang="en")
    assert run.stops == []


# The wrong ones -----------------------------------------------------------------------------------------------


class Pool(urllib3.PoolManager):
    """A connection that does something to each request on its way."""

    def __init__(self, spoil: Callable[[str, str, dict[str, Any]], tuple[str, dict[str, Any]]]) -> None:
        super().__init__()
        self._spoil = spoil

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        kwargs["headers"] = dict(kwargs.get("headers") or {})
        url, kwargs = self._spoil(method, url, kwargs)
        return super().request(method, url, *args, **kwargs)


class Spoiled(BackEnd):
    """Something happens to every request between the SDK and wallet_api."""

    def spoil(self, method: str, url: str, sent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return url, sent

    def new_wallet(self, told: Mapping[str, Any]) -> Wallet:
        pool, key = Pool(self.spoil), load_key(told["client_key"])
        return Wallet(told["wallet_url"], told["client_id"], key, patience_s=PATIENCE_S, pool=pool, times=self.times)


# Tokens


class AssertionForAnother(BackEnd):
    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        self.wallet._tokens._audience = told["wallet_url"] + "/oauth/token"


class Assertions(BackEnd):
    """Signs its client assertions by itself."""

    def claims(self, claims: dict[str, Any]) -> dict[str, Any]:
        return claims

    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        tokens = self.wallet._tokens
        key = tokens._key

        tokens._key = SimpleNamespace(sign=lambda typ, claims: key.sign(typ, self.claims(claims)))


class LongAssertion(Assertions):
    def claims(self, claims: dict[str, Any]) -> dict[str, Any]:
        return {**claims, "exp": claims["exp"] + 3_600}


class SameAssertionId(Assertions):
    def claims(self, claims: dict[str, Any]) -> dict[str, Any]:
        return {**claims, "jti": "always-the-same-one"}


class TokenForEachCall(BackEnd):
    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        tokens, ask = self.wallet._tokens, self.wallet._tokens.bearer

        def bearer() -> str:
            tokens._token = ""
            return ask()

        tokens.bearer = bearer


class TokenForever(BackEnd):
    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        tokens, renew = self.wallet._tokens, self.wallet._tokens._renew

        def renew_once() -> None:
            renew()
            tokens._good_until = float("inf")

        tokens._renew = renew_once


class DeadToken(BackEnd):
    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        self.wallet._tokens.drop = void


class StubbornAboutTokens(BackEnd):
    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        tokens, renew = self.wallet._tokens, self.wallet._tokens._renew

        def again_and_again() -> None:
            for _ in range(9):
                try:
                    return renew()
                except WalletError:
                    continue
            return renew()

        tokens._renew = again_and_again


class TokenInAddress(Spoiled):
    def spoil(self, method: str, url: str, sent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        token = sent["headers"].get("Authorization", "").removeprefix("Bearer ")
        return (f"{url}{'&' if '?' in url else '?'}access_token={token}" if token else url), sent


class TokenToPhone(BackEnd):
    def told(self, showing: Showing) -> dict[str, Any]:
        return {**super().told(showing), "token": self.wallet._tokens.bearer()}


# Asking again


class NoKey(Spoiled):
    def spoil(self, method: str, url: str, sent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        sent["headers"].pop("Idempotency-Key", None)
        return url, sent


class OneKey(Spoiled):
    def spoil(self, method: str, url: str, sent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if "Idempotency-Key" in sent["headers"]:
            sent["headers"]["Idempotency-Key"] = "constant"
        return url, sent


class NewKeyEachTry(Spoiled):
    def spoil(self, method: str, url: str, sent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if "Idempotency-Key" in sent["headers"]:
            sent["headers"]["Idempotency-Key"] = new_id()
        return url, sent


class Line(BackEnd):
    """Another way to ask, and to ask again."""

    def again(self, heard: Reply | WalletError) -> bool:
        return isinstance(heard, WalletError)

    def pause(self, heard: WalletError) -> float:
        return heard.retry_after_s or 0.2

    def tries(self) -> int:
        return 9

    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        line = self.wallet._line

        def ask(make: Callable[[], Question]) -> Reply:
            request_id = new_id()
            for n in range(1, self.tries() + 1):
                heard = line._once(make(), request_id, PATIENCE_S)
                if n == self.tries() or not self.again(heard):
                    break
                self.times.sleep(self.pause(heard) if isinstance(heard, WalletError) else 0.2)
            if isinstance(heard, WalletError):
                raise heard
            return heard

        line.ask = ask


class NoSecondTryAfter503(Line):
    def again(self, heard: Reply | WalletError) -> bool:
        return isinstance(heard, WalletError) and heard.status != 503


class NoSecondTryAfterBreak(Line):
    def again(self, heard: Reply | WalletError) -> bool:
        return isinstance(heard, WalletError) and heard.status != 0


class GivesUpWhileInFlight(Line):
    def again(self, heard: Reply | WalletError) -> bool:
        return isinstance(heard, WalletError) and heard.status != 409


class AnotherKeyWhileInFlight(Spoiled):
    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        line, once = self.wallet._line, self.wallet._line._once
        self.busy = False

        def watched(question: Question, request_id: str, left_s: float) -> Reply | WalletError:
            heard = once(question, request_id, left_s)
            self.busy = isinstance(heard, WalletError) and heard.status == 409
            return heard

        line._once = watched

    def spoil(self, method: str, url: str, sent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if self.busy and "Idempotency-Key" in sent["headers"]:
            sent["headers"]["Idempotency-Key"] = new_id()
        return url, sent


class GivesUpAfterTwoSeconds(BackEnd):
    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        line, once = self.wallet._line, self.wallet._line._once

        def hurried(question: Question, request_id: str, left_s: float) -> Reply | WalletError:
            began = self.times.tick()
            heard = once(question, request_id, left_s)
            return silence(request_id) if self.times.tick() - began > 2 else heard

        line._once = hurried


class Impatient(Line):
    def pause(self, heard: WalletError) -> float:
        return 0.2


class AsksAgainWhenRefused(Line):
    def again(self, heard: Reply | WalletError) -> bool:
        return super().again(heard) or (isinstance(heard, Reply) and 400 <= heard.status < 500 and heard.status != 401)


class PatientForever(Line):
    def tries(self) -> int:
        return 40


class MakesUpStates(BackEnd):
    def state(self, showing_id: str) -> dict[str, Any]:
        try:
            return super().state(showing_id)
        except WalletError as problem:
            if problem.status == 503:
                return {"state": "OPEN", "version": 1, "showing_id": showing_id}
            raise


class OneCodeForAllRefusals(BackEnd):
    def problem(self, problem: WalletError) -> dict[str, Any]:
        same = {"zh": "系统繁忙", "en": "System error"}
        return {"code": "SYSTEM_ERROR", "sentences": same, "next": same, "request_id": "-"}


# The code


class CodeInSmallLetters(BackEnd):
    def code(self, showing_id: str, form: str) -> dict[str, Any]:
        told = super().code(showing_id, form)
        return {**told, "code": told["code"].lower()} if "code" in told else told


class PictureDrawnAgain(BackEnd):
    def code(self, showing_id: str, form: str) -> dict[str, Any]:
        told = super().code(showing_id, form)
        if form == "png":
            found = self.wallet.code(showing_id, form="image/png").content
            drawn = BytesIO()
            Image.open(BytesIO(found)).convert("RGB").save(drawn, "PNG")
            told["picture"] = b64encode(drawn.getvalue()).decode()
        return told


class CodeKeptForMinutes(BackEnd):
    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        self.codes: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}

    def code(self, showing_id: str, form: str) -> dict[str, Any]:
        if (known := self.codes.get((showing_id, form))) and self.wallet.showing(showing_id).state == "OPEN":
            at, told = known
            now = self.wallet.server_now().isoformat()
            return {**told, "server_time": now, "refresh_in": max(1, told["refresh_in"] - int(self.times.tick() - at))}
        told = super().code(showing_id, form)
        self.codes[showing_id, form] = self.times.tick(), told
        return told


class OwnRefresh(BackEnd):
    def code(self, showing_id: str, form: str) -> dict[str, Any]:
        return {**super().code(showing_id, form), "refresh_in": 60}


class LastCodeForEver(BackEnd):
    last: dict[str, Any]

    def code(self, showing_id: str, form: str) -> dict[str, Any]:
        with suppress(Refused):
            self.last = super().code(showing_id, form)
        return self.last


class TwinForEverybody(BackEnd):
    def show(self, account: str, device: Mapping[str, str]) -> dict[str, Any]:
        told = super().show(account, device)
        with suppress(WalletError):
            self.wallet.twin(told["showing_id"])
        return told


class TwinInOnePiece(BackEnd):
    def twin(self, showing_id: str) -> dict[str, Any]:
        told = super().twin(showing_id)
        return {**told, "spaced": told["spaced"].replace(" ", "")}


class TwinKept(BackEnd):
    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        self.twins: dict[str, dict[str, Any]] = {}

    def twin(self, showing_id: str) -> dict[str, Any]:
        if showing_id not in self.twins:
            self.twins[showing_id] = super().twin(showing_id)
        return self.twins[showing_id]


class OwnClock(BackEnd):
    def show(self, account: str, device: Mapping[str, str]) -> dict[str, Any]:
        server_now = self.wallet.server_now
        self.wallet.server_now = lambda: datetime.fromtimestamp(self.times.wall(), UTC)
        try:
            return super().show(account, device)
        finally:
            self.wallet.server_now = server_now


# People


class OneForAll(BackEnd):
    def show(self, account: str, device: Mapping[str, str]) -> dict[str, Any]:
        first = next(iter(self.citizens.values()))
        who = self.citizens[account]
        self.citizens[account] = Citizen(sub=who.sub, name=first.name, id_number=first.id_number)
        return super().show(account, device)


class OwnDeviceKey(BackEnd):
    def show(self, account: str, device: Mapping[str, str]) -> dict[str, Any]:
        return super().show(account, new_key().jwk)


class TellingPseudonym(BackEnd):
    def citizen(self, told: Mapping[str, str]) -> Citizen:
        sub = to_b64(hashlib.sha256(told["id_number"].encode()).digest())[:22]
        return Citizen(sub=sub, name=told["name"], id_number=told["id_number"])


class LastShowingForAll(BackEnd):
    def showing_of(self, account: str, named: str | None = None) -> str:
        return named or list(self.shown.values())[-1]

    def show(self, account: str, device: Mapping[str, str]) -> dict[str, Any]:
        self.shown.pop(account, None)  # the newest comes last
        return super().show(account, device)


class NumberToPhone(BackEnd):
    def show(self, account: str, device: Mapping[str, str]) -> dict[str, Any]:
        return {**super().show(account, device), "who": {"id_number": self.citizens[account].id_number}}


class NumberInHeader(Spoiled):
    def spoil(self, method: str, url: str, sent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        sent["headers"]["X-Customer"] = next(iter(self.citizens.values())).id_number if self.shown else "-"
        return url, sent


class OneLookForAll(BackEnd):
    def history(self, account: str, cursor: str | None) -> dict[str, Any]:
        self.looks = dict.fromkeys(self.citizens, next(iter(self.looks.values())))
        return super().history(account, cursor)


class FirstPartOnly(BackEnd):
    def history(self, account: str, cursor: str | None) -> dict[str, Any]:
        return {**super().history(account, cursor), "next": None}


class FirstPartAgain(BackEnd):
    def history(self, account: str, cursor: str | None) -> dict[str, Any]:
        return super().history(account, None)


# States


class NoTag(Spoiled):
    def spoil(self, method: str, url: str, sent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        sent["headers"].pop("If-None-Match", None)
        return url, sent


class NothingNew(BackEnd):
    def begin(self, told: Mapping[str, Any]) -> None:
        super().begin(told)
        self.said: set[tuple[str, int]] = set()

    def state(self, showing_id: str) -> dict[str, Any]:
        told = super().state(showing_id)
        known = (showing_id, told["version"])
        if known in self.said:
            return {}
        self.said.add(known)
        return told


class Eager(BackEnd):
    def state(self, showing_id: str) -> dict[str, Any]:
        self.kept.clear()
        return super().state(showing_id)


class StrictReader(BackEnd):
    def told(self, showing: Showing) -> dict[str, Any]:
        if "added_too" in showing.raw:
            raise WalletError("MEMBER_UNKNOWN", status=502)
        return super().told(showing)


class OldVersions(BackEnd):
    def told(self, showing: Showing) -> dict[str, Any]:
        return {**super().told(showing), **({"version": 1} if showing.state == "ANSWERED" else {})}


class WithdrawnTooSoon(BackEnd):
    def told(self, showing: Showing) -> dict[str, Any]:
        told = super().told(showing)
        return {**told, "state": "WITHDRAWN"} if told["state"] == "WITHDRAWING" else told


class OneWordForAllEnds(BackEnd):
    def told(self, showing: Showing) -> dict[str, Any]:
        told = super().told(showing)
        void = {"zh": "已失效", "en": "No longer valid"}
        return {**told, "sentence": void} if told["state"] in ("EXPIRED", "REFUSED") else told


# Request and answer


class OwnWords(BackEnd):
    def sheet(self, showing_id: str) -> dict[str, Any]:
        told = super().sheet(showing_id)
        return {**told, "sheet": {**told["sheet"], "matter": {**told["sheet"]["matter"], "name_zh": "快速办理"}}}


class TextOfItsOwn(BackEnd):
    def sheet(self, showing_id: str) -> dict[str, Any]:
        told = super().sheet(showing_id)
        return {**told, "sheet": {**told["sheet"], "advice": "同意后更快"}}


class TickedBox(BackEnd):
    def sheet(self, showing_id: str) -> dict[str, Any]:
        told = super().sheet(showing_id)
        return {**told, "ticked": [each["slug"] for each in told["sheet"]["declarations"]]}


class ChangedApproval(Spoiled):
    def spoil(self, method: str, url: str, sent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if url.endswith("/approval") and b"agree" in decoded(sent["body"]):
            sent["body"] = json.dumps({"approval": json.loads(sent["body"])["approval"] + "="}).encode()
        return url, sent


def decoded(body: bytes) -> bytes:
    payload = json.loads(body)["approval"].split(".")[1]
    return urlsafe_b64decode(payload + "=" * (-len(payload) % 4))


class ClosesInsteadOfDeclining(BackEnd):
    def answer(self, showing_id: str, approval: str) -> None:
        if b"decline" in decoded(json.dumps({"approval": approval}).encode()) and self.kept[showing_id][1].asked:
            self.wallet.close(showing_id)
        else:
            super().answer(showing_id, approval)


class OfferInOtherWords(BackEnd):
    def offer(self, account: str) -> dict[str, Any]:
        told = super().offer(account)
        return {**told, "offer": {**told["offer"], "retention_zh": "不保存"}}


class TickedOffer(BackEnd):
    def offer(self, account: str) -> dict[str, Any]:
        return {**super().offer(account), "ticked": ["marital_status"]}


class StandsInName(BackEnd):
    def stand(self, showing_id: str, standing: str) -> None:
        self.stood[showing_id] = json.loads(decoded(json.dumps({"approval": standing}).encode()))["exp"]


class StandsForever(BackEnd):
    def stands(self, showing_id: str) -> dict[str, Any]:
        return {"stands": showing_id in self.stood}


class StandsAQuarterOfAnHourFromHere(BackEnd):
    def stand(self, showing_id: str, standing: str) -> None:
        super().stand(showing_id, standing)
        self.stood[showing_id] = self.wallet.server_now().timestamp() + 900


class TakesBackInName(BackEnd):
    def take_back(self, showing_id: str) -> None:
        self.stood.pop(showing_id, None)


class CutReceipt(BackEnd):
    def receipt(self, showing_id: str) -> dict[str, Any]:
        return {"receipt": super().receipt(showing_id)["receipt"][:500]}


# Webhooks


class DeafToWebhooks(BackEnd):
    def hear(self, headers: Any, body: bytes) -> None:
        raise Refused("NOT_FOUND", status=404)


class SlowWebhooks(BackEnd):
    def believe(self, message: webhook.Message) -> None:
        if not self.messages:
            self.times.sleep(8)
        super().believe(message)


class UnsignedWebhooks(BackEnd):
    def hear(self, headers: Any, body: bytes) -> None:
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        right = {
            **dict(headers),
            "Webhook-Signature": Webhook(self.secret).sign(headers["webhook-id"], at, body.decode()),
        }
        super().hear(right, body)


class TimelessWebhooks(BackEnd):
    def hear(self, headers: Any, body: bytes) -> None:
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        hook, now = Webhook(self.secret), datetime.now(UTC)
        signature = hook.sign(headers["webhook-id"], at, body.decode())
        if signature not in headers.get("webhook-signature", "").split():
            return super().hear(headers, body)
        again = hook.sign(headers["webhook-id"], now, body.decode())
        stamped = {"Webhook-Timestamp": str(int(now.timestamp())), "Webhook-Signature": again}
        return super().hear({**dict(headers), **stamped}, body)


class FirstSignatureOnly(BackEnd):
    def hear(self, headers: Any, body: bytes) -> None:
        first = headers.get("webhook-signature", "").split()[:1]
        super().hear({**dict(headers), "Webhook-Signature": "".join(first)}, body)


class ActsTwice(BackEnd):
    def believe(self, message: webhook.Message) -> None:
        known = message.message_id in self.messages
        super().believe(message)
        if known:
            self.news[message.showing_id].acted += 1


class LastWordWins(BackEnd):
    def believe(self, message: webhook.Message) -> None:
        known = message.message_id in self.messages
        super().believe(message)
        if not known:
            self.news[message.showing_id].version = message.version


@dataclass(frozen=True)
class Wrong:
    """A wrong back end, what is wrong with it, and the one check that finds it."""

    make: type[BackEnd]
    what: str
    check: str


WRONG = (
    Wrong(AssertionForAnother, "names the token endpoint as audience", "assertion-claims"),
    Wrong(LongAssertion, "assertions that live for an hour", "assertion-life"),
    Wrong(SameAssertionId, "the same jti in every assertion", "assertion-once"),
    Wrong(TokenForEachCall, "fetches a token for each call", "token-kept"),
    Wrong(TokenForever, "uses a token until it is refused", "token-renewed-in-time"),
    Wrong(DeadToken, "goes on with a token that was refused", "token-renewed-on-401"),
    Wrong(StubbornAboutTokens, "asks for a token again and again while shut out", "token-refusal-ends"),
    Wrong(TokenInAddress, "puts the token into the address", "secrets-not-in-urls"),
    Wrong(TokenToPhone, "gives the token to the phone", "secrets-stay"),
    Wrong(NoKey, "sends no Idempotency-Key", "idempotency-key"),
    Wrong(OneKey, "sends one Idempotency-Key for everything", "idempotency-key-new"),
    Wrong(NewKeyEachTry, "makes a new Idempotency-Key for each try", "same-key-on-retry"),
    Wrong(NoSecondTryAfter503, "gives up at the first 503", "retry-on-503"),
    Wrong(NoSecondTryAfterBreak, "gives up when the line breaks", "retry-on-broken-line"),
    Wrong(GivesUpWhileInFlight, "gives up while the first try is answered", "retry-while-in-flight"),
    Wrong(AnotherKeyWhileInFlight, "opens another showing while the first is in flight", "same-key-on-retry"),
    Wrong(GivesUpAfterTwoSeconds, "takes a slow answer for none", "slow-answer"),
    Wrong(Impatient, "does not read Retry-After", "retry-after"),
    Wrong(AsksAgainWhenRefused, "sends a refused document again", "no-retry-on-4xx"),
    Wrong(PatientForever, "lets the phone wait for ever", "patience-ends"),
    Wrong(MakesUpStates, "says OPEN when nobody answers", "silence-said"),
    Wrong(OneCodeForAllRefusals, "calls every refusal a system error", "problem-passed-on"),
    Wrong(CodeInSmallLetters, "writes the code in small letters", "code-as-given"),
    Wrong(PictureDrawnAgain, "draws the picture again", "picture-as-given"),
    Wrong(CodeKeptForMinutes, "keeps a code beyond refresh_in", "code-renewed"),
    Wrong(OwnRefresh, "tells the phone to refresh once a minute", "code-times-told"),
    Wrong(LastCodeForEver, "shows the last code after the end", "code-ends-with-showing"),
    Wrong(TwinForEverybody, "makes digits for whoever shows a code", "twin-on-demand"),
    Wrong(TwinInOnePiece, "writes the digits in one piece", "twin-in-groups"),
    Wrong(TwinKept, "gives the digits of before again", "twin-not-kept"),
    Wrong(OwnClock, "dates login assertions by its own clock", "server-time"),
    Wrong(OneForAll, "puts the same person into every envelope", "holder-is-the-citizen"),
    Wrong(OwnDeviceKey, "names a device key of its own", "device-key-of-the-phone"),
    Wrong(TellingPseudonym, "makes the pseudonym from the ID number", "pseudonym-tells-nothing"),
    Wrong(LastShowingForAll, "answers everybody about the last showing", "citizens-apart"),
    Wrong(NumberToPhone, "sends the ID number to the phone", "no-personal-data"),
    Wrong(NumberInHeader, "sends the ID number in a header", "no-personal-data"),
    Wrong(OneLookForAll, "shows one citizen's visits to the other", "history-own"),
    Wrong(FirstPartOnly, "shows the first part of the visits only", "history-whole"),
    Wrong(FirstPartAgain, "shows the first part again and again", "history-whole"),
    Wrong(NoTag, "polls without If-None-Match", "if-none-match"),
    Wrong(NothingNew, "tells the phone nothing when nothing is new", "not-modified"),
    Wrong(Eager, "asks wallet_api as often as the phone asks", "polling-pace"),
    Wrong(StrictReader, "refuses members that it does not know", "unknown-members"),
    Wrong(OldVersions, "tells the phone an old version", "states-as-told"),
    Wrong(WithdrawnTooSoon, "says withdrawn while it is withdrawing", "withdrawing-as-told"),
    Wrong(OneWordForAllEnds, "says 已失效 of what has expired, too", "endings-apart"),
    Wrong(OwnWords, "renames the matter", "sheet-as-worded"),
    Wrong(TextOfItsOwn, "adds a text of its own to the sheet", "sheet-as-worded"),
    Wrong(TickedBox, "ticks the declaration for the citizen", "declaration-unticked"),
    Wrong(ChangedApproval, "changes what the phone signed", "approval-as-signed"),
    Wrong(ClosesInsteadOfDeclining, "closes the showing when the citizen declines", "decline-as-signed"),
    Wrong(CutReceipt, "cuts the receipt", "receipt-as-given"),
    Wrong(OfferInOtherWords, "words an offer in its own way", "offer-as-worded"),
    Wrong(TickedOffer, "ticks the declaration of an offer", "offer-as-worded"),
    Wrong(StandsInName, "says that an agreement stands and does not hand it in", "standing-as-signed"),
    Wrong(StandsForever, "says that an agreement stands when it is over", "standing-ends"),
    Wrong(StandsAQuarterOfAnHourFromHere, "counts the quarter of an hour from when it came", "standing-ends"),
    Wrong(TakesBackInName, "only forgets an agreement that is taken back", "standing-taken-back"),
    Wrong(DeafToWebhooks, "has no webhook address", "webhook-taken"),
    Wrong(SlowWebhooks, "works for seconds before it answers a webhook", "webhook-quick"),
    Wrong(UnsignedWebhooks, "does not check signatures", "webhook-signature"),
    Wrong(TimelessWebhooks, "does not look at a message's time", "webhook-time"),
    Wrong(FirstSignatureOnly, "checks the first signature only", "webhook-rotation"),
    Wrong(ActsTwice, "acts on a repeated message", "webhook-once"),
    Wrong(LastWordWins, "believes whatever came last", "webhook-order"),
)
QUICK = ("decline-as-signed",)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(each, id=each.make.__name__, marks=() if each.check in QUICK else pytest.mark.full)
        for each in WRONG
    ],
)
def test_each_fault_is_caught_by_its_own_check_and_by_no_other(province: Province, wrong: Wrong) -> None:
    run, url = run_against(province, wrong.make)
    assert failed(run) == {wrong.check}, as_text(url, run.findings, run.stops, lang="en")
    assert not passed(run.findings)


def test_every_check_has_a_fault_that_it_catches() -> None:
    assert {each.check for each in WRONG} == set(CHECKS)


class SaysYesAndDoesNothing(BackEnd):
    def answer(self, showing_id: str, approval: str) -> None:
        pass

    def withdraw(self, showing_id: str, approval: str) -> None:
        pass


@pytest.mark.full
def test_what_was_said_to_be_done_and_was_not_is_found_and_ends_its_scene(province: Province) -> None:
    run, _ = run_against(province, SaysYesAndDoesNothing)
    assert {"approval-as-signed", "decline-as-signed"} <= failed(run)
    assert {(each.scene, each.status) for each in run.stops} == {("agree", 200), ("decline", 200)}


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        ("200 OK", "application/json", b"{}"),
        ("200 OK", "application/json", b"[1, 2]"),
        ("200 OK", "text/html", b"<p>\xff\xfe</p>"),
        ("500 Internal Server Error", "text/html", b""),
        ("302 Found", "text/html", b""),
    ],
)
def test_whatever_a_back_end_answers_there_is_a_report_or_a_reason(
    province: Province, status: str, kind: str, body: bytes
) -> None:
    def anything(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        start(status, [("Content-Type", kind), ("Location", "/elsewhere")])
        return [body]

    with socket.create_server(("127.0.0.1", 0)) as bound, serving(anything, bound):
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        if not status.startswith("200"):
            with pytest.raises(Unavailable, match="APP_UNREACHABLE"):
                check_in(province, url, say=lambda n, of, scene: None)
            return
        run = check_in(province, url, say=lambda n, of, scene: None)
    assert counts(run.findings)["pass"] <= 1  # nothing secret was told, as nothing was
    assert len(run.stops) == len(SCENES)
    assert "0" in as_text(url, run.findings, run.stops, lang="en")


def test_a_body_in_chunks_is_read_whole(province: Province) -> None:
    province.begin_anew("http://127.0.0.1:9/hook")
    try:
        body = iter([b"grant_type=", b"client_credentials"])
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = urllib3.request("POST", f"{province.url}/oauth/token", body=body, headers=form, retries=False)
        assert answer.json()["error"] == "invalid_client"
        assert province.tape.since()[-1].body == b"grant_type=client_credentials"
    finally:
        province.forget_hook()


# The command, the page ----------------------------------------------------------------------------------------


@pytest.mark.full
def test_the_command_checks_prints_and_says_by_its_status_how_it_went(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = MovableClock(datetime.now(UTC))
    monkeypatch.setattr(command, "Sleeping", lambda: clock)
    with listening(BackEnd(times_of(clock))) as url:
        assert main(["conformance", url + "/", "--lang", "zh-CN"]) == 0
        out, err = capsys.readouterr()
        assert out.rstrip().endswith("全部通过。")
        assert len(err.splitlines()) == len(SCENE_NAMES)
        assert err.startswith("1/15 出示二维码")
        assert main(["conformance", url, "--json", "--webhook", url + "/nobody-is-here"]) == 1
        told = json.loads(capsys.readouterr().out)
    verdict = {each["id"]: each["verdict"] for each in told["checks"]}
    assert verdict["webhook-taken"] == "fail"
    assert verdict["webhook-once"] == "not-run"
    assert told["passed"] is False


@pytest.mark.full
def test_without_a_back_end_or_with_an_address_that_may_not_be_called_there_is_no_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    for asked, why in (
        ([f"http://127.0.0.1:{port}"], "APP_UNREACHABLE"),
        ([f"http://127.0.0.1:{port}", "--webhook", "http://10.0.0.1/hook"], "WEBHOOK_ADDRESS_NOT_ALLOWED"),
    ):
        assert main(["conformance", *asked]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert why in err


@pytest.mark.parametrize("url", ["", "back-end", "ftp://127.0.0.1/", "http://"])
def test_what_is_no_address_is_a_wrong_command_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", url]) == 2
    assert capsys.readouterr().out == ""


def test_every_scene_has_its_words_and_every_check_its_group() -> None:
    assert list(SCENE_NAMES) == list(SCENES)
    assert {each.group for each in CHECKS.values()} == set(GROUPS)
    assert all(
        re.search(r"[\u4e00-\u9fff]", each.zh + zh) for each in CHECKS.values() for zh, _ in [GROUPS[each.group]]
    )


def test_the_page_for_vendors_lists_every_check_and_every_address() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \| (.+) \| (.+) \|$", text, re.M)
    assert rows == [(each.id, each.clause, each.zh, each.en) for each in CHECKS.values()]
    assert f"for {len(CHECKS)} checks" in text
    addresses = {rule.rule for rule in create_app(BackEnd()).url_map.iter_rules()}
    assert set(re.findall(r"^\| `(/conformance/[a-z]+)` ", text, re.M)) == addresses
    examples = re.findall(r"^```json\n(.*?)^```", text, re.M | re.S)
    assert len(examples) >= 9
    assert all(isinstance(json.loads(each), dict) for each in examples)
    assert "conformance.md" in (ROOT / "docs" / "vendor-start.md").read_text(encoding="utf-8")

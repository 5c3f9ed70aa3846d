"""The vendors' Python package covers the whole interface, and its verbs do in the real country what they say.

Every verb is called with a line that only listens; what it asked for is looked up in the interface's description. An
operation that no verb reaches must stand in `LEFT_OUT` with the reason, so a new one cannot be forgotten.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import huzheng_wallet
import pytest
import urllib3
from huzheng_wallet import Form, Refused, Unavailable, Wallet, express
from huzheng_wallet.line import Question
from werkzeug.datastructures import Headers
from werkzeug.test import Client, EnvironBuilder

from consent.b64 import to_b64
from consent.standing import offer_digest, seal_standing
from scanner_kiosk.country import wallet_url
from scanner_kiosk.country.people import pair
from scanner_kiosk.phone import Phone
from tests.country import MATTER_OF, Stage, ask
from tests.receiver import Rig, receiving, status
from tests.sdk_stage import Patience

DESCRIPTION = Path(__file__).parents[1] / "docs" / "openapi" / "wallet-api.json"
WEDDED = "provident.withdraw_spouse"

LEFT_OUT: Mapping[str, str] = {
    "readDescription": "a page for people",
    "getDocsFile": "belongs to that page",
    "getDescription": "the description itself, for programs that generate clients",
    "listProblems": "a page for people; a problem that was met is an exception with its sentences",
    "readProblem": "the same",
    "isReady": "for the operators of wallet_api, not for vendors",
    "getMetrics": "the same",
}


def approval(decision: str) -> str:
    """The shape of an approval, for a line that only listens."""
    return f"e30.{to_b64(json.dumps({'decision': decision}).encode())}.x"


VERBS: Mapping[str, Callable[[Wallet], object]] = {
    "open_showing": lambda wallet: wallet.open_showing("h"),
    "showing": lambda wallet: wallet.showing("s"),
    "close": lambda wallet: wallet.close("s"),
    "code": lambda wallet: wallet.code("s", Form.PNG, simple=True),
    "twin": lambda wallet: wallet.twin("s"),
    "read_counter": lambda wallet: wallet.read_counter("s", "YRDC:x"),
    "counter_taken": lambda wallet: wallet.counter_taken("s", "c"),
    "ask_offer": lambda wallet: wallet.ask_offer("32"),
    "offer": lambda wallet: wallet.offer("o"),
    "stand": lambda wallet: wallet.stand("s", "x"),
    "take_back": lambda wallet: wallet.take_back("s"),
    "request_to_approve": lambda wallet: wallet.request_to_approve("s"),
    "approve": lambda wallet: wallet.approve("s", approval("agree")),
    "decline": lambda wallet: wallet.decline("s", approval("decline")),
    "answer": lambda wallet: wallet.answer("s", "x"),
    "withdraw": lambda wallet: wallet.withdraw("s", approval("withdraw")),
    "receipt": lambda wallet: wallet.receipt("s"),
    "look_up": lambda wallet: wallet.look_up("h"),
    "lookup": lambda wallet: wallet.lookup("l"),
    "look_back": lambda wallet: wallet.look_back("h", earlier="e"),
    "history": lambda wallet: wallet.history("l", cursor="c"),
    "whole_history": lambda wallet: wallet.whole_history("l"),
    "object_to": lambda wallet: wallet.object_to("e", "h", kind="DATA_WRONG"),
    "objection": lambda wallet: wallet.objection("o"),
    "events": lambda wallet: wallet.events("a"),
    "pages": lambda wallet: list(wallet.pages("a")),
    "timeline": lambda wallet: wallet.timeline("s"),
    "deliveries": lambda wallet: wallet.deliveries("a"),
    "resend": lambda wallet: wallet.resend("d"),
    "personas": lambda wallet: wallet.personas(),
    "server_now": lambda wallet: wallet.server_now(),
}
BY_ITSELF = {"getToken": "POST /oauth/token"}  # what the client asks without being told, before the first verb


def operations() -> dict[str, tuple[str, str]]:
    """Method and path of each operation, by its id."""
    told = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return {
        each["operationId"]: (method.upper(), path)
        for path, methods in told["paths"].items()
        for method, each in methods.items()
        if method in ("get", "post", "put", "delete", "patch")
    }


def asked_by(verb: Callable[[Wallet], object]) -> str:
    """The operation that a verb asks for, by its id."""
    heard: list[Question] = []

    class Listening:
        skew_s = None

        def ask(self, make: Callable[[], Question]) -> Any:
            heard.append(make())
            raise Unavailable("NO_ANSWER")

    class Bearer:
        def bearer(self) -> str:
            return "token"

    wallet = Wallet("https://wallet.example", "me", KEY)
    wallet._line, wallet._tokens = Listening(), Bearer()  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        verb(wallet)
    (question,) = heard
    path = question.path.partition("?")[0]
    fitting = [
        each
        for each, (method, template) in OPERATIONS.items()
        if method == question.method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
    ]
    # A fixed part goes before a variable one, as in the server's routing.
    return min(fitting, key=lambda each: OPERATIONS[each][1].count("{"), default=f"none: {question.method} {path}")


OPERATIONS = operations()
KEY = huzheng_wallet.new_key()


def test_every_operation_of_the_interface_has_a_verb_or_a_reason_why_not() -> None:
    reached = {asked_by(verb) for verb in VERBS.values()} | BY_ITSELF.keys()
    assert reached | LEFT_OUT.keys() == OPERATIONS.keys()
    assert not reached & LEFT_OUT.keys()
    assert all(OPERATIONS[each] == tuple(asked.split(" ")) for each, asked in BY_ITSELF.items())


def test_every_public_verb_of_the_client_is_looked_at_here_and_described_and_typed() -> None:
    public = dict(
        inspect.getmembers(Wallet, lambda each: inspect.isfunction(each) and not each.__name__.startswith("_"))
    )
    assert public.keys() == VERBS.keys()
    for name, verb in public.items():
        assert inspect.getdoc(verb), name
        assert inspect.signature(verb).return_annotation is not inspect.Signature.empty, name


def test_every_write_under_a_key_can_be_given_the_callers_own() -> None:
    told = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    keyed = {
        each
        for each, (method, path) in OPERATIONS.items()
        if any(
            parameter.get("name") == "Idempotency-Key"
            for parameter in told["paths"][path][method.lower()].get("parameters", ())
        )
    }
    assert keyed
    # A signed answer is the same however often it is handed in, and digits are good for a minute.
    keyed -= {"answerRequest", "withdrawConsent", "makeTwin"}
    for name, verb in VERBS.items():
        taken = "idempotency_key" in inspect.signature(getattr(Wallet, name)).parameters
        assert taken == (asked_by(verb) in keyed), name


# In the real country ---------------------------------------------------------------------------------------


def test_an_offers_digest_is_the_registers_own() -> None:
    offer = {"desk": "32", "名": ["一", None, {"b": 1, "a": 'é\u2028"\\'}], "n": 0}
    assert express.digest_of(offer) == offer_digest(offer)


class Inside(urllib3.PoolManager):
    """A pool whose wire leads straight into a WSGI application. The next `lost` answers never come back."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self.app, self.lost, self.asked = app, 0, list[str]()

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        path, _, query = ("/" + url.split("/", 4)[4]).partition("?")
        builder = EnvironBuilder(
            path=path,
            query_string=query,
            method=method,
            data=kwargs.get("body") or b"",
            headers=Headers(kwargs["headers"]),
        )
        answer = Client(self.app, use_cookies=False).open(builder, buffered=True)
        builder.close()
        self.asked.append(f"{method} {path}")
        if self.lost:
            self.lost -= 1
            raise urllib3.exceptions.ProtocolError("the answer was lost")
        return urllib3.HTTPResponse(
            body=answer.get_data(), status=answer.status_code, headers=answer.headers, preload_content=True
        )


def vendor(stage: Stage, code: str = "31") -> tuple[Wallet, Inside]:
    """The SDK in the hands of a province's registered vendor."""
    row = json.loads((stage.folder / "vendors.json").read_text(encoding="utf-8"))[code]
    pool = Inside(stage.country.wallets[code])
    patience = Patience(wall=lambda: stage.clock.now().timestamp())
    key = Path(row["key"]).read_text(encoding="utf-8")
    return Wallet(wallet_url(code), row["client_id"], key, pool=pool, times=patience.times()), pool


def citizen(stage: Stage) -> Phone:
    """Somebody of Shanghai with a marriage certificate in Zhejiang."""
    return stage.country.phone_of(pair("31", "33"))


def test_a_counters_code_is_read_through_the_sdk_and_a_lost_answer_reads_it_once(stage: Stage) -> None:
    wallet, pool = vendor(stage)
    scene = stage.scene("31", "32", "33")
    showing = wallet.open_showing(scene.phone.assertion(stage.clock.now()))
    type_ = scene.who.stories[0].type
    asked = ask(stage, scene.client, scene.who, code=None, matter=MATTER_OF[type_], type_=type_)
    scene = replace(scene, asked=asked)
    counter = scene.client.invite(asked)
    pool.lost = 1
    come = wallet.read_counter(showing.showing_id, counter)
    assert pool.asked.count(f"POST /v1/showings/{showing.showing_id}/counter") == 2
    assert not wallet.counter_taken(showing.showing_id, come)
    stage.pump()
    assert wallet.counter_taken(showing.showing_id, come)
    assert wallet.showing(showing.showing_id).asked
    with pytest.raises(Refused) as no:
        wallet.read_counter(showing.showing_id, counter)
    assert no.value.code == "SHOWING_CLOSED"
    assert no.value.sentence.zh


def test_an_answer_before_the_scan_is_given_and_taken_back_through_the_sdk(stage: Stage) -> None:
    wallet, _ = vendor(stage)
    phone = citizen(stage)
    showing = wallet.open_showing(phone.assertion(stage.clock.now()))
    asked = wallet.ask_offer("32")
    assert not wallet.offer(asked).done
    stage.pump()
    listed = wallet.offer(asked)
    assert listed.done
    assert listed.units
    unit, matter = next(
        (unit, matter)
        for unit in listed.units
        for matter in unit.matters
        if (matter.slug, matter.type) == (WEDDED, "marriage")
    )
    asked = wallet.ask_offer("32", unit=unit.unit, matter=matter.slug, type=matter.type)
    stage.pump()
    offer = wallet.offer(asked).offer
    assert offer is not None
    assert (offer.unit, offer.unit_name, offer.matter_name) == (unit.unit, unit.name, matter.name)
    assert offer.digest == offer_digest(offer.raw)
    standing = seal_standing(
        replace(phone.device, issuer=phone.sub),
        province="31",
        showing_id=showing.showing_id,
        unit=offer.unit,
        matter=offer.matter,
        certificate="33." + "A" * 22,
        offer=offer.digest,
        now=stage.clock.now(),
        declarations=tuple(each.slug for each in offer.declarations),
    )
    assert wallet.stand(showing.showing_id, standing).showing_id == showing.showing_id
    wallet.take_back(showing.showing_id)
    wallet.close(showing.showing_id)
    with pytest.raises(Refused) as no:
        wallet.stand(showing.showing_id, standing)
    assert (no.value.code, bool(no.value.request_id)) == ("STATE_FORBIDS", True)
    with pytest.raises(Refused) as nobody:
        missing = wallet.ask_offer("32", unit="9" * 18, matter=WEDDED, type="marriage")
        stage.pump()
        wallet.offer(missing)
    assert nobody.value.code == "UNIT_UNKNOWN"


def test_an_offer_whose_words_were_changed_on_the_way_is_not_handed_on(stage: Stage) -> None:
    told = {"offer_id": "o", "state": "DONE", "units": None, "offer": {"desk": "32"}, "digest": "x" * 43}
    with pytest.raises(ValueError, match="not the words"):
        express.offered(told)


def test_history_objection_and_receipts_through_the_sdk(stage: Stage) -> None:
    scene = stage.scene("31", "32", "33")
    assert scene.whole().state == "PASSED"
    stage.clock.advance(60)
    wallet, _ = vendor(stage)
    look = wallet.look_back(scene.phone.assertion(stage.clock.now()))
    assert not wallet.history(look).done
    stage.pump()
    part = wallet.history(look)
    assert (part.done, part.silent) == (True, ())
    assert wallet.whole_history(look) == part
    (entry,) = part.entries
    assert entry.outcome == "PASSED"
    assert entry.receipt == wallet.receipt(scene.phone.showing_id)
    stage.clock.advance(1)
    mine = wallet.object_to(
        entry.entry, scene.phone.assertion(stage.clock.now()), kind="DATA_WRONG", text="", idempotency_key="once"
    )
    assert mine.number is None
    stage.pump()
    number = wallet.objection(mine.objection_id).number
    assert number is not None
    stage.clock.advance(1)
    again = wallet.look_back(scene.phone.assertion(stage.clock.now()))
    stage.pump()
    assert wallet.history(again).entries[0].objection == number


def test_events_come_page_by_page_until_there_are_no_more(stage: Stage) -> None:
    wallet, _ = vendor(stage)
    shown = []
    for library in ("31", "32", "33"):
        phone = stage.country.phone_of(pair("31", library))
        shown.append(wallet.open_showing(phone.assertion(stage.clock.now())).showing_id)
    read = list(wallet.pages(limit=2))
    assert [len(each.events) for each in read] == [2, 1]
    assert [each.showing_id for page in read for each in page.events] == shown
    place = read[-1].next
    (nothing,) = wallet.pages(place)
    assert (nothing.events, nothing.more) == ((), False)
    wallet.close(shown[0])
    ((late,),) = (page.events for page in wallet.pages(place))
    assert (late.showing_id, late.state) == (shown[0], "EXPIRED")


@pytest.mark.network
def test_what_was_sent_to_an_endpoint_is_read_and_sent_again(stage: Stage) -> None:
    wallet, pool = vendor(stage)
    engine, client_id = stage.country.wallets["31"].extensions["wallet_api"].engine, wallet._tokens._client_id
    rig = Rig(engine, clock=stage.clock)
    with receiving(status(503)) as receiver:
        rig.endpoints.add(client_id, receiver.url, now=stage.clock.now())
        late = wallet.open_showing(citizen(stage).assertion(stage.clock.now()))
        rig.deliverer().run_once(stage.clock.now())
    page = wallet.deliveries(limit=1)
    assert page.next is not None or len(page.deliveries) == 1
    (delivery,) = page.deliveries
    assert delivery.event_id.startswith(late.showing_id)
    assert (delivery.state, delivery.url) == ("WAITING", receiver.url)
    assert [(each.attempt, each.status, each.failure) for each in delivery.attempts] == [(1, 503, "BUSY")]
    assert delivery.next_try_at > stage.clock.now()
    pool.lost = 1
    again = wallet.resend(delivery.delivery_id)
    assert (again.delivery_id, again.next_try_at) == (delivery.delivery_id, stage.clock.now())
    with pytest.raises(Refused) as no:
        wallet.resend("msg_x")
    assert no.value.code == "DELIVERY_UNKNOWN"
    for each in rig.open:
        each.close()


def test_a_sandboxs_people_are_listed_masked(stage: Stage) -> None:
    wallet, _ = vendor(stage)
    assert wallet.personas() == ()  # this wallet_api was started without any

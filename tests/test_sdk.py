"""The vendors' Python package against the real wallet_api on a real socket: verbs, repetition, tokens, keys.

Time stands still: the client's clock is the test's, and it sleeps by moving it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from huzheng_wallet import (
    Form,
    Refused,
    TokenRefused,
    Unavailable,
    Wallet,
    history,
)
from huzheng_wallet.keys import load_key, new_key

from consent.approval import Decision
from consent.b64 import new_id
from consent.code import PREFIX
from consent.keys import jwk_of
from consent.keys import new_key as new_signing_key
from consent.showing import open_holder
from tests.outer import PERSON, VENDOR, Phone
from tests.phone_stage import certificate
from tests.sdk_stage import Rig, Shop, open_shop

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One service for all: every test opens its own showings with its own client. Its clock only goes forward."""
    with open_shop(tmp_path_factory.mktemp("shop"), vendor_per_minute=100_000) as opened:
        yield opened


@pytest.fixture
def phone() -> Phone:
    return Phone()


def holder(shop: Shop, phone: Phone) -> str:
    return shop.outer.login(phone)


# Showing and answering ----------------------------------------------------------------------------------------


@pytest.mark.full
def test_a_visit_from_the_login_to_the_receipt(shop: Shop, phone: Phone) -> None:
    wallet, login, now = shop.wallet(), shop.login(), shop.outer.clock.now()
    assertion = login.assertion(
        sub=phone.sub,
        name=PERSON.name,
        id_number=PERSON.id_number,
        device=jwk_of(phone.key.public),
        auth_time=now,
        now=wallet.server_now(),
    )
    showing = wallet.open_showing(assertion)
    assert (showing.state, showing.asked, showing.ended) == ("OPEN", False, False)
    assert showing.expires_at - showing.opened_at == timedelta(minutes=10)
    row = shop.outer.row(showing.showing_id)
    opened = open_holder(row.holder_jwt, shop.outer.app.extensions["wallet_api"].keys, province="31", now=now)
    assert opened.person(shop.outer.envelope_key) == PERSON

    sheet = shop.ask(showing.showing_id)
    assert wallet.showing(showing.showing_id).asked
    request = wallet.request_to_approve(showing.showing_id)
    assert request.raw["sheet"] == sheet
    assert (request.sheet.unit.zh, request.sheet.digits) == ("徐汇区不动产登记中心", ("47", "12", "83"))
    assert [each.name for each in request.sheet.fields] == [each["name"] for each in sheet["fields"]]
    assert request.sheet.declarations[0].slug == "marital_status"
    assert request.holdings is not None
    assert request.holdings.certificates[0].certificate == certificate()["certificate"]

    approval = shop.outer.approval(phone, request.sheet.request)
    taken = wallet.approve(showing.showing_id, approval)
    assert taken == wallet.approve(showing.showing_id, approval)
    assert shop.outer.row(showing.showing_id).approval_jwt == approval
    assert shop.outer.move(showing.showing_id, "consent")
    shop.deliver(showing.showing_id, "registration_date")
    ended = wallet.showing(showing.showing_id)
    assert ended.ended
    assert ended.result is not None
    assert (ended.result.outcome, ended.result.given) == ("PASSED", ("registration_date",))
    assert wallet.receipt(showing.showing_id) == ended.result.receipt


def test_a_no_and_a_withdrawal_are_handed_in_by_their_own_verbs(shop: Shop) -> None:
    wallet, phone = shop.wallet(), Phone()
    showing_id = wallet.open_showing(holder(shop, phone)).showing_id
    request = shop.ask(showing_id)["request"]
    no = shop.outer.approval(phone, request, Decision.DECLINE)
    yes = shop.outer.approval(phone, request)
    for verb, wrong in ((wallet.decline, yes), (wallet.approve, no), (wallet.withdraw, yes), (wallet.approve, "no")):
        with pytest.raises(ValueError, match=r"signed|approval\+jwt"):
            verb(showing_id, wrong)
    wallet.decline(showing_id, no)
    assert shop.outer.row(showing_id).state == "ANSWERED"

    other = Phone(sub="pairwise-another")
    showing_id = wallet.open_showing(holder(shop, other)).showing_id
    request = shop.ask(showing_id)["request"]
    wallet.approve(showing_id, shop.outer.approval(other, request))
    assert shop.outer.move(showing_id, "consent")
    wallet.withdraw(showing_id, shop.outer.approval(other, request, Decision.WITHDRAW))
    assert wallet.showing(showing_id).state == "WITHDRAWING"


def test_a_code_comes_in_three_forms_with_the_servers_time(shop: Shop, phone: Phone) -> None:
    wallet = shop.wallet()
    showing_id = wallet.open_showing(holder(shop, phone)).showing_id
    text, png, svg = (wallet.code(showing_id, form) for form in Form)
    assert text.text.startswith(PREFIX)
    assert png.content.startswith(b"\x89PNG")
    assert svg.text.rstrip().endswith("</svg>")
    assert {each.server_time for each in (text, png, svg)} == {shop.outer.clock.now().replace(microsecond=0)}
    assert 28 <= text.refresh_in <= 30
    shop.outer.clock.advance(12)
    again = wallet.code(showing_id)
    assert again.text == text.text  # 304, and yet it knows how long it is good for
    assert (again.refresh_in, again.server_time) == (text.refresh_in - 12, text.server_time + timedelta(seconds=12))
    simple = wallet.code(showing_id, simple=True).text
    assert len(simple) < len(text.text) / 3
    shop.outer.clock.advance(20)
    assert wallet.code(showing_id).text != text.text


def test_what_has_not_changed_is_not_sent_again(shop: Shop, phone: Phone) -> None:
    rig = Rig()
    wallet = shop.wallet(rig)
    showing_id = wallet.open_showing(holder(shop, phone)).showing_id
    first = wallet.showing(showing_id)
    assert wallet.showing(showing_id) == first
    statuses = [each["status"] for each in shop.outer.log if each.get("route") == "/v1/showings/<showing_id>"]
    assert statuses[-2:] == [200, 304]
    shop.ask(showing_id)
    assert wallet.showing(showing_id).state == "CLAIMED"


def test_a_lookup_is_pending_and_then_done(shop: Shop, phone: Phone) -> None:
    wallet = shop.wallet()
    asked = wallet.look_up(holder(shop, phone))
    assert (asked.done, asked.holdings) == (False, None)
    assert wallet.lookup(asked.lookup_id).done is False
    with pytest.raises(Refused) as no:
        wallet.lookup("another-id")
    assert no.value.code == "REQUEST_UNKNOWN"


def test_events_are_read_page_by_page_and_none_twice(shop: Shop) -> None:
    wallet = shop.wallet()
    ids = [wallet.open_showing(holder(shop, Phone(sub=f"pairwise-events-{n}"))).showing_id for n in range(3)]
    shop.ask(ids[0])
    heard, page = [], wallet.events(limit=2)
    while page.events:
        heard += page.events
        page = wallet.events(page.next, limit=2)
    assert page.more is False
    assert len({each.event_id for each in heard}) == len(heard)
    ours = [(each.showing_id, each.type) for each in heard if each.showing_id in ids]
    assert ours == [(each, "showing.opened") for each in ids] + [(ids[0], "showing.claimed")]
    assert wallet.events(page.next).events == ()
    timeline = wallet.timeline(ids[0])
    assert [(each.state, each.version) for each in timeline] == [("OPEN", 1), ("CLAIMED", 2)]
    with pytest.raises(Refused) as no:
        wallet.events("no cursor")
    assert no.value.code == "BODY_INVALID"


def test_a_twin_is_made_once_though_its_answer_was_lost(shop: Shop, phone: Phone) -> None:
    rig = Rig()
    wallet = shop.wallet(rig)
    showing_id = wallet.open_showing(holder(shop, phone)).showing_id
    rig.faults = [(f"POST /v1/showings/{showing_id}/twin", "lost")]
    twin = wallet.twin(showing_id)
    assert re.fullmatch(r"\d{12}", twin.digits)
    assert twin.spaced.replace(" ", "") == twin.digits
    assert twin.expires_in == 60
    assert twin.digits not in repr(twin)


def test_a_look_at_the_history_and_an_objection_are_taken_and_pending(shop: Shop) -> None:
    wallet, phone = shop.wallet(), Phone(sub="pairwise-history")
    look_id = wallet.look_back(holder(shop, phone))
    past = wallet.history(look_id)
    assert (past.look_id, past.done, past.entries, past.next) == (look_id, False, (), None)
    taken = wallet.object_to(f"31.{'0' * 22}", holder(shop, phone), kind="DATA_WRONG", text="名字不对")
    assert taken.number is None
    assert wallet.objection(taken.objection_id) == taken
    with pytest.raises(Refused) as no:
        wallet.object_to("../events", holder(shop, phone), kind="DATA_WRONG")
    assert no.value.code in ("ENTRY_UNKNOWN", "ROUTE_UNKNOWN")


def test_an_entry_is_read_as_the_interface_writes_it() -> None:
    from wallet_api.doors.history import EntrySchema

    written = dict.fromkeys(EntrySchema().fields, "x") | {"fields_": [], "sentence": None, "ended_at": None}
    told = EntrySchema().dump({**written, "asked_at": "2026-11-24T09:00:00Z", "unit_en": None})
    page = {"look_id": "l", "state": "DONE", "entries": [told], "next": None, "silent": ["34"], "earlier": None}
    (entry,) = history.past(page).entries
    assert (entry.unit, entry.unit_name, entry.ended_at) == ("x", None, None)
    assert entry.raw["matter_zh"] == "x"


def test_a_showing_is_closed_once_and_for_all(shop: Shop, phone: Phone) -> None:
    wallet = shop.wallet()
    showing_id = wallet.open_showing(holder(shop, phone)).showing_id
    wallet.close(showing_id)
    wallet.close(showing_id)
    assert wallet.showing(showing_id).state == "EXPIRED"
    with pytest.raises(Refused) as no:
        wallet.code(showing_id)
    assert no.value.code == "CODE_EXPIRED"


# Failing ------------------------------------------------------------------------------------------------------


def test_a_refusal_carries_its_code_two_sentences_and_the_request_id(shop: Shop) -> None:
    with pytest.raises(Refused) as no:
        shop.wallet().showing("6f1b0a9c3d5e7f8091a2b3c4")
    found = no.value
    assert (found.code, found.status) == ("SHOWING_UNKNOWN", 404)
    assert re.search("[一-鿿]", found.sentence.zh)
    assert found.sentence.en.isascii()
    assert found.request_id in {each["request_id"] for each in shop.outer.log}
    assert found.request_id in str(found)
    assert found.to_json()["sentences"] == {"zh": found.sentence.zh, "en": found.sentence.en}


def test_members_that_do_not_fit_are_named(shop: Shop) -> None:
    with pytest.raises(Refused) as no:
        shop.wallet().open_showing("")
    assert no.value.code == "BODY_INVALID"
    assert [each.pointer for each in no.value.errors] == ["/holder"]


def test_a_lost_answer_is_asked_for_again_under_the_same_key_and_opens_one_showing(shop: Shop, phone: Phone) -> None:
    rig, patience = Rig(), shop.patience()
    rig.faults = [("POST /v1/showings", "lost"), ("POST /v1/showings", "dead"), ("POST /v1/showings", "lost")]
    before = len(shop.outer.errands())
    showing = shop.wallet(rig, patience).open_showing(holder(shop, phone))
    keys = [headers["Idempotency-Key"] for method, path, headers in rig.asked if path == "/v1/showings"]
    assert len(keys) == 4
    assert len(set(keys)) == 1
    assert patience.slept == [0.2, 0.4, 0.8]
    opened = [each.ref for each in shop.outer.errands()[before:] if each.kind == "holdings"]
    assert opened == [showing.showing_id]
    assert len({headers["Request-Id"] for _, path, headers in rig.asked if path == "/v1/showings"}) == 1


def test_an_answer_handed_in_twice_because_its_reply_was_lost_is_taken_once(shop: Shop, phone: Phone) -> None:
    rig = Rig()
    wallet = shop.wallet(rig)
    showing_id = wallet.open_showing(holder(shop, phone)).showing_id
    request = shop.ask(showing_id)["request"]
    rig.faults = [(f"POST /v1/showings/{showing_id}/approval", "lost")]
    wallet.approve(showing_id, shop.outer.approval(phone, request))
    assert [each.kind for each in shop.outer.errands() if each.ref == showing_id].count("approval") == 1


def test_the_same_key_given_by_the_vendor_gives_the_same_showing(shop: Shop, phone: Phone) -> None:
    assertion, key = holder(shop, phone), new_id()
    first = shop.wallet().open_showing(assertion, idempotency_key=key)
    assert shop.wallet().open_showing(assertion, idempotency_key=key) == first
    with pytest.raises(Refused) as no:
        shop.wallet().open_showing(holder(shop, phone), idempotency_key=key)
    assert no.value.code == "IDEMPOTENCY_MISMATCH"


def test_retry_after_is_honoured_and_spread(shop: Shop) -> None:
    rig, patience = Rig(), shop.patience()
    wallet = Wallet(shop.url, VENDOR, shop.key, pool=rig, times=patience.times(shake=0.4))
    rig.faults = [
        ("GET /v1/showings", (503, {"Retry-After": "5"}, b"{}")),
        ("GET /v1/showings", (429, {"Retry-After": "7"}, b"{}")),
    ]
    with pytest.raises(Refused):
        wallet.showing("6f1b0a9c3d5e7f8091a2b3c4")
    assert patience.slept == pytest.approx([5.5, 7.7])


def test_retry_after_may_be_a_date(shop: Shop) -> None:
    rig, patience = Rig(), shop.patience()
    at = datetime.fromtimestamp(time.time() + 9, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    rig.faults = [("GET /v1/showings", (503, {"Retry-After": at}, b""))]
    with pytest.raises(Refused):
        shop.wallet(rig, patience).showing("6f1b0a9c3d5e7f8091a2b3c4")
    assert 7 <= patience.slept[0] <= 9


def test_patience_ends_and_the_last_thing_heard_is_raised(shop: Shop) -> None:
    rig, patience = Rig(), shop.patience()
    wallet = shop.wallet(rig, patience, patience_s=12.0)
    rig.faults = [("GET /v1/showings", "dead")] * 100
    with pytest.raises(Unavailable) as silence:
        wallet.showing("6f1b0a9c3d5e7f8091a2b3c4")
    assert (silence.value.code, silence.value.status) == ("NO_ANSWER", 0)
    assert silence.value.sentence.zh
    assert 8 < patience.ticked < 12
    assert max(patience.slept) == 4.0


def test_a_longer_wait_than_our_patience_is_not_begun(shop: Shop) -> None:
    rig, patience = Rig(), shop.patience()
    rig.faults = [("GET /v1/showings", (429, {"Retry-After": "60"}, b"<html>busy</html>"))]
    with pytest.raises(Unavailable) as busy:
        shop.wallet(rig, patience).showing("6f1b0a9c3d5e7f8091a2b3c4")
    assert (busy.value.retry_after_s, patience.slept) == (60, [])


def test_the_servers_own_limit_is_told_with_its_seconds(tmp_path: Path) -> None:
    with open_shop(tmp_path, openings_per_minute=1) as shop:
        patience = shop.patience()
        wallet = shop.wallet(patience=patience)
        wallet.open_showing(holder(shop, Phone()))
        with pytest.raises(Unavailable) as busy:
            wallet.open_showing(holder(shop, Phone()))
        assert busy.value.code == "TOO_MANY"
        assert busy.value.retry_after_s is not None
        assert 20 < busy.value.retry_after_s <= 60
        assert patience.slept == []


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>log in to the wifi</html>"), (200, b"[]"), (200, b'{"showing_id":1}'), (302, b""), (204, b"")],
)
def test_an_answer_that_is_not_wallet_apis_is_no_answer(shop: Shop, status: int, body: bytes) -> None:
    rig = Rig()
    wallet = shop.wallet(rig)
    rig.faults = [("GET /v1/showings", (status, {}, body))]
    with pytest.raises(Unavailable) as silence:
        wallet.showing("6f1b0a9c3d5e7f8091a2b3c4")
    assert silence.value.code == "NOT_UNDERSTOOD"


def test_a_first_answer_still_in_flight_is_waited_for(shop: Shop, phone: Phone) -> None:
    rig, patience = Rig(), shop.patience()
    busy = json.dumps(
        {"code": "IDEMPOTENCY_IN_FLIGHT", "sentences": {"zh": "", "en": ""}, "next": {"zh": "", "en": ""}}
    )
    rig.faults = [("POST /v1/showings", (409, {}, busy.encode()))]
    assert shop.wallet(rig, patience).open_showing(holder(shop, phone)).state == "OPEN"
    assert patience.slept == [0.2]


# Tokens -------------------------------------------------------------------------------------------------------


def test_one_token_serves_until_shortly_before_its_end(shop: Shop) -> None:
    rig, patience = Rig(), shop.patience()
    wallet = shop.wallet(rig, patience)

    def look() -> None:
        with pytest.raises(Refused):
            wallet.showing("6f1b0a9c3d5e7f8091a2b3c4")

    look()
    look()
    assert rig.count("POST /oauth/token") == 1
    for seconds in (565, 6):  # a token lives for 600 s and is given up 30 s early
        shop.outer.clock.advance(seconds)
        patience.ticked += seconds
        look()
    assert rig.count("POST /oauth/token") == 2


def test_a_token_that_is_refused_is_renewed_once(shop: Shop) -> None:
    rig, patience = Rig(), shop.patience()
    wallet = shop.wallet(rig, patience)
    with pytest.raises(Refused):
        wallet.showing("6f1b0a9c3d5e7f8091a2b3c4")
    shop.outer.clock.advance(700)  # the server's clock alone: the client still believes in its token
    with pytest.raises(Refused) as no:
        wallet.showing("6f1b0a9c3d5e7f8091a2b3c4")
    assert no.value.code == "SHOWING_UNKNOWN"
    assert rig.count("POST /oauth/token") == 2

    refusal = (401, {}, b'{"code":"UNAUTHENTICATED","sentences":{"zh":"","en":""},"next":{"zh":"","en":""}}')
    rig.faults = [("GET /v1/showings", refusal)] * 5
    before = rig.count("GET /v1/showings")
    with pytest.raises(Refused) as no:
        wallet.showing("6f1b0a9c3d5e7f8091a2b3c4")
    assert no.value.code == "UNAUTHENTICATED"
    assert rig.count("GET /v1/showings") - before == 2


def test_a_lost_token_is_asked_for_with_a_new_assertion(shop: Shop, phone: Phone) -> None:
    rig = Rig()
    rig.faults = [("POST /oauth/token", "lost")]
    assert shop.wallet(rig).open_showing(holder(shop, phone)).state == "OPEN"
    assert rig.count("POST /oauth/token") == 2


@pytest.mark.parametrize("ahead", [-200, 200])
def test_a_server_with_a_wrong_clock_still_gets_its_token_and_hears_how_wrong_it_is(shop: Shop, ahead: int) -> None:
    rig = Rig()
    wallet = shop.wallet(rig, shop.patience(ahead=ahead))
    assert wallet.clock_skew_s is None
    showing = wallet.open_showing(holder(shop, Phone()))
    assert showing.state == "OPEN"
    assert wallet.clock_skew_s == pytest.approx(ahead, abs=1)
    assert abs(wallet.server_now() - shop.outer.clock.now()) < timedelta(seconds=1)
    assert rig.count("POST /oauth/token") <= 2


def test_a_key_that_is_not_registered_is_refused_in_oauths_words(shop: Shop) -> None:
    stranger = Wallet(shop.url, VENDOR, new_key(), times=shop.patience().times())
    with pytest.raises(TokenRefused) as no:
        stranger.showing("6f1b0a9c3d5e7f8091a2b3c4")
    assert (no.value.code, no.value.status) == ("invalid_client", 401)
    assert no.value.facts["description"]


def test_a_scope_that_was_not_asked_for_is_missed(shop: Shop, phone: Phone) -> None:
    wallet = shop.wallet(scope="showings:read")
    with pytest.raises(Refused) as no:
        wallet.open_showing(holder(shop, phone))
    assert (no.value.code, no.value.status) == ("FORBIDDEN", 403)


def test_threads_share_one_token(shop: Shop) -> None:
    from concurrent.futures import ThreadPoolExecutor

    rig = Rig()
    wallet = shop.wallet(rig)

    def look(n: int) -> str:
        with pytest.raises(Refused) as no:
            wallet.showing(f"6f1b0a9c3d5e7f8091a2b3{n:02d}")
        return no.value.code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(look, range(16))) == {"SHOWING_UNKNOWN"}
    assert rig.count("POST /oauth/token") == 1


def test_http_is_for_this_machine_only() -> None:
    for url in ("http://wallet.example", "ftp://wallet.example", "wallet.example", "http://127.0.0.1.evil.example"):
        with pytest.raises(ValueError, match="https"):
            Wallet(url, VENDOR, new_key())
    Wallet("https://wallet.example", VENDOR, new_key())


# Keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["ES256", "EdDSA"])
def test_keys_are_named_as_wallet_api_names_them_and_do_not_print_their_secret(alg: str) -> None:
    ours = new_signing_key(alg, issuer="x")
    theirs = load_key(ours.pem())
    assert (theirs.alg, theirs.kid, theirs.jwk) == (alg, ours.kid, jwk_of(ours.public))
    assert load_key(theirs.pem().encode()).kid == ours.kid
    assert repr(theirs) == "Key()"


def test_other_keys_are_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    pems = [
        rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ec.generate_private_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        new_key().private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        b"nothing of the kind",
        b"-----BEGIN PRIVATE KEY-----\nbroken\n-----END PRIVATE KEY-----\n",
    ]
    for pem in pems:
        with pytest.raises(ValueError):
            load_key(pem)

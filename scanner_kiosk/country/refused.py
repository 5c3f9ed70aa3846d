"""The refusals of the demo: each is a real visit that somebody breaks at one point. What must come out stands in refusals.json.

A scenario returns the reason that the counter sees, or None when the visit passed. Whatever it breaks, it mends again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import base45

from consent.code import PREFIX, mint, open_code
from consent.envelope import close_envelope
from consent.errors import Reason, Refusal, Unavailable
from consent.grant import CONSENT, Grant, open_consent, open_grant
from consent.keys import new_key
from consent.request import open_request
from consent.seal import seal
from consent.showing import name_slice
from consent.stores.base import reading
from consent.transport import Topic
from consent.window import issuer_of
from scanner_kiosk.country import Country
from scanner_kiosk.country.people import Persona, pair, personas
from scanner_kiosk.country.walk import Walk, pass_time
from scanner_kiosk.visit import View
from verifier.stores import inner

Scenario = Callable[[Country], Reason | None]


def expectations() -> list[dict[str, str | None]]:
    """The rows of refusals.json, in their order."""
    found: list[dict[str, str | None]] = json.loads(
        files("scanner_kiosk.country").joinpath("refusals.json").read_text(encoding="utf-8")
    )
    return found


def observe(scenario: Scenario, country: Country) -> Reason | None:
    """What a scenario comes to: the reason, also where the desk refused at once, or None."""
    try:
        return scenario(country)
    except (Refusal, Unavailable) as no:
        return no.reason


def _seen(view: View) -> Reason | None:
    return view.said.reason


def _waiting(country: Country, app: str = "31", library: str = "33", desk: str = "32") -> tuple[Walk, dict[str, Any]]:
    """A visit that waits for its citizen."""
    walk = Walk.of(country, pair(app, library), desk)
    walk.show()
    walk.present()
    return walk, walk.sheet()


def shown_twice(country: Country) -> Reason | None:
    """Somebody photographed the screen and went to another window with it."""
    walk, _ = _waiting(country)
    assert walk.scanned is not None
    thief = Walk.of(country, walk.persona, "34")
    thief.present(code=walk.scanned.text)
    return _seen(thief.ended())


def older_slice(country: Country) -> Reason | None:
    """A photograph of a code that the phone has replaced since; the showing is still open."""
    walk = Walk.of(country, pair("31", "33"), "32")
    old = walk.show().text
    pass_time(country, 61)
    walk.phone.code()
    return _seen(walk.present(code=old))


def expired(country: Country) -> Reason | None:
    """The showing's ten minutes are over."""
    walk = Walk.of(country, pair("31", "33"), "32")
    walk.show()
    pass_time(country, 11 * 60)
    return _seen(walk.present())


def superseded(country: Country) -> Reason | None:
    """The citizen went back and opened a new showing; the old code is still fresh."""
    walk = Walk.of(country, pair("31", "33"), "32")
    old = walk.show().text
    country.phone_of(walk.persona).show()
    walk.present(code=old)
    return _seen(walk.ended())


def bit_altered(country: Country) -> Reason | None:
    """One bit of the signature, and the rest written as the standard wants it."""
    walk = Walk.of(country, pair("31", "33"), "32")
    raw = bytearray(base45.b45decode(walk.show().text.removeprefix(PREFIX)))
    raw[-1] ^= 1
    return _seen(walk.present(code=PREFIX + base45.b45encode(bytes(raw)).decode("ascii")))


def other_province_key(country: Country) -> Reason | None:
    """Jiangsu's key over Shanghai's showing: it goes where the key says, and is unknown there."""
    walk = Walk.of(country, pair("31", "33"), "34")
    code = open_code(walk.show().text, country.provinces["31"].office.ring, now=country.clock.now())
    walk.present(code=mint(code.cti, country.founded.keys.signing("32", "code"), now=country.clock.now()))
    return _seen(walk.ended())


def unknown_key(country: Country) -> Reason | None:
    """A key of the forger's own."""
    walk = Walk.of(country, pair("31", "33"), "32")
    walk.phone.show()
    cti = name_slice(walk.phone.showing_id, 0, country.provinces["31"].office.showing_key)
    return _seen(walk.present(code=mint(cti, new_key("EdDSA", issuer="31"), now=country.clock.now())))


def wrong_window_key(country: Country) -> Reason | None:
    """A kiosk that nobody has enrolled says that it is window 1."""
    walk = Walk.of(country, pair("31", "33"), "32")
    walk.show()
    stranger = replace(walk.client, key=new_key("ES256", issuer=issuer_of("32", walk.window)))
    return _seen(walk.present(client=stranger))


def outside_scope(country: Country) -> Reason | None:
    """The marriage registry asks for a real-estate matter."""
    walk = Walk.of(country, pair("31", "33"), "32", matter="realestate.register", window="32-M1")
    walk.show()
    return _seen(walk.present())


def commercial_user(country: Country) -> Reason | None:
    """A bank."""
    walk = Walk.of(country, pair("31", "33"), "32", window="32-B1")
    walk.show()
    return _seen(walk.present())


def precondition(country: Country) -> Reason | None:
    """The officer has not established why the certificate is needed."""
    walk = Walk.of(country, pair("31", "32"), "33")
    walk.show()
    return _seen(walk.present(ticked=False))


def holder_mismatch(country: Country) -> Reason | None:
    """The ID card on the counter is another person's."""
    walk = Walk.of(country, pair("31", "33"), "32")
    walk.show()
    walk.present(person=pair("34", "34").id_number)
    return _seen(walk.ended())


def wrong_digits(country: Country) -> Reason | None:
    """The citizen taps digits that another window shows."""
    walk, sheet = _waiting(country)
    assert walk.view is not None
    wrong = next(each for each in sheet["sheet"]["digits"] if each != walk.view.digits)
    walk.agree(sheet, digits=wrong, certificate=walk.pick(sheet))
    return _seen(walk.ended())


def declined(country: Country) -> Reason | None:
    """No is no."""
    walk, sheet = _waiting(country)
    walk.decline(sheet)
    return _seen(walk.ended())


def silence(country: Country) -> Reason | None:
    """The phone stays in the pocket for more than two minutes."""
    walk, _ = _waiting(country)
    pass_time(country, 125)
    country.provinces["31"].office.wake_worker()
    return _seen(walk.ended())


def other_request(country: Country) -> Reason | None:
    """A consent that was given for one request is handed to the desk as the answer to another one."""
    first = Walk.of(country, pair("31", "33"), "32")
    first.whole()
    second, _ = _waiting(country)
    ours, theirs = _row(second), _row(first)
    office = country.provinces["31"].office
    content = {"request": ours.request_digest, "consent": theirs.consent, "answer": None}
    letter = office.letter("32", Topic.CONSENT, content, request_id=second.request_id)
    country.provinces["31"].worker.transport.send(letter)
    return _seen(second.ended())


def spent_twice(country: Country) -> Reason | None:
    """A citizen's province that has gone wrong seals one consent id for two requests; the library gives one copy."""
    first = Walk.of(country, pair("31", "33"), "32")
    first.whole()
    second, _ = _waiting(country)
    ours, theirs = _row(second), _row(first)
    office, now = country.provinces["31"].office, country.clock.now()
    request = open_request(ours.request, office.ring, holder_province="31", now=ours.asked_at)
    spent = open_consent(
        theirs.consent or "",
        office.ring,
        request=open_request(theirs.request, office.ring, holder_province="31", now=theirs.asked_at),
        now=now,
    )
    grant: Grant = open_grant(spent, country.provinces["33"].office.envelope_key)
    twice = _same_id_again(country, grant, request.digest, spent.jti, spent.evidence)
    content = {"request": request.digest, "consent": twice, "answer": None}
    country.provinces["31"].worker.transport.send(
        office.letter("32", Topic.CONSENT, content, request_id=second.request_id)
    )
    return _seen(second.ended())


def _same_id_again(country: Country, grant: Grant, request_digest: str, jti: str, evidence: str) -> str:
    office = country.provinces["31"].office
    payload = {
        "id": grant.person.id_number,
        "name": grant.person.name,
        "certificate": grant.certificate,
        "other": None,
    }
    claims = {
        "req": request_digest,
        "library": "33",
        "env": close_envelope(
            office.keylist.recipient("33"), json.dumps(payload, ensure_ascii=False).encode(), info=request_digest
        ),
        "method": "app",
        "evidence": evidence,
    }
    return seal(CONSENT, claims, office.consent_key, audience="32", now=country.clock.now(), jti=jti)


def withdrawn(country: Country) -> Reason | None:
    """The citizen withdraws while the desk has not yet asked the library."""
    walk, sheet = _waiting(country)
    with country.resting("32"):
        walk.agree(sheet, certificate=walk.pick(sheet))
        walk.phone_state("CONSENTED")
        walk.phone.withdraw(sheet["sheet"])
        walk.phone_state("WITHDRAWN")
    return _seen(walk.ended())


def channel_closed(country: Country) -> Reason | None:
    """A notice has suspended fetching from Zhejiang by Jiangsu."""
    walk, sheet = _waiting(country)
    now = country.clock.now()
    country.channels.close(desk="32", library="33", notice="沙盒通知〔2026〕1号", now=now)
    try:
        walk.agree(sheet, certificate=walk.pick(sheet))
        return _seen(walk.ended())
    finally:
        country.channels.open(desk="32", library="33", notice="沙盒通知〔2026〕2号", now=now)


def under_objection(country: Country) -> Reason | None:
    """The certificate's status is the answer, without any of its fields."""
    walk = Walk.of(country, _persona("under-objection"), "31")
    view = walk.whole()
    assert view.copy is None
    return _seen(view)


def library_down(country: Country) -> Reason | None:
    """One silent library is enough to know nothing."""
    walk = Walk.of(country, pair("31", "33"), "32")
    with _moved(country.founded.folder / "library-33.db"):
        walk.show()
        walk.present()
        sheet = walk.sheet()
        walk.agree(sheet, certificate=walk.pick(sheet))
        return _seen(walk.ended())


def not_digitised(country: Country) -> Reason | None:
    """There is a paper file."""
    walk = Walk.of(country, _persona("paper-only"), "32")
    return _seen(walk.whole())


def not_found(country: Country) -> Reason | None:
    """All four libraries answered, and none has a certificate. That is said only after agreement."""
    walk = Walk.of(country, _persona("no-certificate"), "31")
    return _seen(walk.whole())


def redis_killed(country: Country) -> Reason | None:
    """Redis dies between scan and agreement; the visit passes by looking instead of being woken."""
    walk, sheet = _waiting(country)
    if country.redis is not None:
        country.redis.kill()
    walk.agree(sheet, certificate=walk.pick(sheet, "33"))
    view = walk.ended()
    return _seen(view) if view.state != "PASSED" else None


SCENARIOS: Final[Mapping[str, Scenario]] = {
    each.__name__: each
    for each in (
        shown_twice,
        older_slice,
        expired,
        superseded,
        bit_altered,
        other_province_key,
        unknown_key,
        wrong_window_key,
        outside_scope,
        commercial_user,
        precondition,
        holder_mismatch,
        wrong_digits,
        declined,
        silence,
        other_request,
        spent_twice,
        withdrawn,
        channel_closed,
        under_objection,
        library_down,
        not_digitised,
        not_found,
        redis_killed,
    )
}


def _persona(id_: str) -> Persona:
    (found,) = (each for each in personas() if each.id == id_)
    return found


def _row(walk: Walk) -> inner.VisitRow:
    with reading(walk.country.provinces[walk.desk].office.inner) as conn:
        row = inner.find_visit(conn, walk.window, walk.request_id)
    assert row is not None
    return row


@contextmanager
def _moved(path: Path) -> Iterator[None]:
    """The file is away for a while."""
    away = path.with_suffix(".away")
    path.rename(away)
    try:
        yield
    finally:
        away.rename(path)

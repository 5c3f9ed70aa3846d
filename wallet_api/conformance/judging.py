"""Whether a check held, from what was kept. Nothing here asks anybody anything.

`Finding` is the word about one check: passed or not, with the few facts that its sentence names (numbers, states, codes;
nothing of a person and no secret). A check may have several findings; all must have passed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import md5, sha1, sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from consent.b64 import to_b64
from consent.showing import Person
from wallet_api.conformance.phone import Heard
from wallet_api.conformance.tape import Call, claims_of
from wallet_api.vendors.oauth import ASSERTION_LIFE_S, LEEWAY_S

GROUPS: Final[Mapping[str, tuple[str, str]]] = {
    "token": ("令牌", "Tokens"),
    "again": ("重试与拒绝", "Asking again, and being refused"),
    "code": ("二维码", "The code"),
    "people": ("当事人", "People"),
    "state": ("状态", "States"),
    "sheet": ("请求与答复", "Request and answer"),
    "webhook": ("Webhook", "Webhooks"),
}

_EARLY_S: Final = 60.0  # a token may be given up so long before its end
_PACE_S: Final = 0.7  # a second, less what two calls may differ in on their way
_SLACK_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One row of checks.json. `seen_zh` and `seen_en` take the facts of a finding."""

    id: str
    group: str
    clause: str
    zh: str
    en: str
    seen_zh: str
    seen_en: str


CHECKS: Final[Mapping[str, Check]] = {
    row["id"]: Check(**row) for row in json.loads((Path(__file__).parent / "checks.json").read_text(encoding="utf-8"))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The word about one check."""

    check: str
    passed: bool
    facts: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One showing that a citizen opened: for which account, with which login assertion and device."""

    account: str
    person: Person | None = field(repr=False)
    due: Person = field(repr=False)
    sub: str = field(repr=False)
    device: Mapping[str, str] = field(repr=False)
    device_due: Mapping[str, str] = field(repr=False)


def finding(check: str, passed: bool, **facts: str | int | float) -> Finding:
    """A finding with its facts."""
    rounded = {name: round(value, 1) if isinstance(value, float) else value for name, value in facts.items()}
    return Finding(check=check, passed=passed, facts=rounded)


# The whole tape ---------------------------------------------------------------------------------------------


def judge_assertions(calls: Sequence[Call], *, client_id: str, issuer: str) -> list[Finding]:
    """All client assertions of the run; nothing where there was none."""
    asked = [call for call in calls if call.operation == "getToken"]
    if not asked:
        return []
    claims = [claims_of(call.assertion) for call in asked]
    wrong = sum(
        not (each.get("iss") == each.get("sub") == client_id and _audience(each) == [issuer]) for each in claims
    )
    lives = [_ahead(each.get("exp"), call.server_at) for each, call in zip(claims, asked, strict=True)]
    known = [each for each in lives if each is not None]
    names = {str(each.get("jti", "")) for each in claims}
    return [
        finding("assertion-claims", not wrong, n=len(asked), wrong=wrong),
        finding(
            "assertion-life",
            len(known) == len(asked) and max(known) <= ASSERTION_LIFE_S + LEEWAY_S,
            longest_s=max(known, default=0.0),
        ),
        finding("assertion-once", len(names) == len(asked) and "" not in names, n=len(asked), distinct=len(names)),
    ]


def judge_tokens(calls: Sequence[Call]) -> list[Finding]:
    """Were tokens fetched only when there was a reason: the last one refused, about to end, or lost on its way?"""
    asked = needless = 0
    token, until, refused = "", None, True
    for call in calls:
        if call.operation != "getToken":
            refused = refused or (call.status == 401 and call.bearer == token)
            continue
        asked += 1
        if not refused and until is not None and call.at < until:
            needless += 1
        if call.status == 200:
            token = str(call.told.get("access_token", ""))
            life = float(call.told.get("expires_in", 0))
            until, refused = call.at + timedelta(seconds=life - min(_EARLY_S, life / 2) - _SLACK_S), False
        else:
            refused = True
    return [finding("token-kept", not needless, asked=asked, needless=needless)] if token else []


def judge_secrets(calls: Sequence[Call], heard: Sequence[Heard], *, keys: Iterable[str]) -> list[Finding]:
    """Secrets in addresses, and secrets in what the phone got. `keys` are the private keys and the webhook secret."""
    secrets = {*keys}
    for call in calls:
        if call.operation == "getToken":
            secrets |= {call.assertion, str(call.told.get("access_token", ""))}
        secrets |= {str(call.json.get("holder", "")), call.bearer}
    secrets = {each for each in secrets if len(each) >= 16}
    shown = secrets | {str(call.json.get("approval", "")) for call in calls if call.json.get("approval")}
    in_urls = sum(
        any(each in f"{call.path}?{call.query}" for each in shown) or "YRD1" in call.query or "eyJ" in call.query
        for call in calls
    )
    told = [each for each in heard if any(secret.encode() in each.raw for secret in secrets)]
    found = [finding("secrets-not-in-urls", not in_urls, found=in_urls)] if calls else []
    return [*found, finding("secrets-stay", not told, found=len(told))] if heard else found


def judge_privacy(calls: Sequence[Call], heard: Sequence[Heard], people: Sequence[Person]) -> list[Finding]:
    """ID numbers in calls and answers, names in calls. JSON may spell a name in two ways."""
    numbers = [each.id_number.encode() for each in people]
    names = [spelt.encode() for each in people for spelt in (each.name, json.dumps(each.name)[1:-1])]
    sent = sum(any(each in _whole(call) for each in (*numbers, *names)) for call in calls)
    told = sum(any(number in each.raw for number in numbers) for each in heard)
    return [finding("no-personal-data", not sent and not told, found=sent + told)] if calls else []


def judge_keys(calls: Sequence[Call]) -> list[Finding]:
    """Idempotency keys of all openings."""
    openings = [call for call in calls if call.operation == "openShowing"]
    if not openings:
        return []
    keys = [call.headers.get("idempotency-key", "") for call in openings]
    bodies: dict[str, set[bytes]] = {}
    for key, call in zip(keys, openings, strict=True):
        bodies.setdefault(key, set()).add(call.body)
    # What is repeated with another body is for `same-key-on-retry`; here, what stood in between was answered.
    settled = {call.headers.get("idempotency-key", "") for call in openings if call.status == 201} - {""}
    reused = sum(len(bodies[key]) > 1 for key in settled)
    missing = keys.count("")
    found = [finding("idempotency-key", not missing, n=len(keys), missing=missing)]
    return [*found, finding("idempotency-key-new", not reused, reused=reused)] if settled else found


def judge_people(openings: Sequence[Opening]) -> list[Finding]:
    """Who was in the envelopes, whose device keys, and what the pseudonyms tell."""
    if not openings:
        return []
    others = sum(each.person != each.due for each in openings)
    devices = sum(dict(each.device) != dict(each.device_due) for each in openings)
    subs: dict[str, set[str]] = {}
    for each in openings:
        subs.setdefault(each.account, set()).add(each.sub)
    all_subs = set().union(*subs.values())
    telling = sum(each.sub in _computable(each.due) for each in openings)
    told = {"people": len(subs), "subs": len(all_subs), "telling": telling}
    constant = len(all_subs) == len(subs) and all(len(each) == 1 for each in subs.values())
    return [
        finding("holder-is-the-citizen", not others, n=len(openings), wrong=others),
        finding("device-key-of-the-phone", not devices, n=len(openings), wrong=devices),
        finding("pseudonym-tells-nothing", constant and not telling, **told),
    ]


# Single scenes ----------------------------------------------------------------------------------------------


def judge_retry(check: str, tries: Sequence[Call]) -> list[Finding]:
    """One opening that met with a failure: was it sent again, and as the same request?"""
    found = [finding(check, len(tries) > 1, tries=len(tries))] if tries else []
    if len(tries) < 2:
        return found
    keys = {call.headers.get("idempotency-key", "") for call in tries}
    bodies = {call.body for call in tries}
    return [
        *found,
        finding("same-key-on-retry", len(keys) == len(bodies) == 1, keys=len(keys), bodies=len(bodies)),
    ]


def judge_slow(heard: Heard, tries: Sequence[Call]) -> list[Finding]:
    """An opening whose answer took seconds: was it waited for? Nothing where it was a refusal, or none was asked."""
    answered = any(call.status == 201 for call in tries)
    return [finding("slow-answer", heard.well and len(tries) == 1, tries=len(tries))] if answered else []


def judge_waiting(tries: Sequence[Call], told_s: float) -> list[Finding]:
    """After a 429: how long until the next try. Nothing where there was none."""
    if len(tries) < 2:
        return []
    waited = (tries[1].at - tries[0].at).total_seconds()
    return [finding("retry-after", waited >= told_s - _SLACK_S, told_s=told_s, waited_s=waited)]


def judge_refusal(heard: Heard, tries: Sequence[Call]) -> list[Finding]:
    """A document that wallet_api refuses: sent once, and the phone learns why."""
    found = [finding("no-retry-on-4xx", len(tries) == 1, tries=len(tries))] if tries else []
    if not found:
        return found
    problem = tries[-1].told
    same = {
        "code": heard.body.get("code") == problem.get("code"),
        "request_id": heard.body.get("request_id") == problem.get("request_id"),
        "sentences": heard.body.get("sentences") == problem.get("sentences"),
    }
    passed = heard.status >= 400 and all(same.values())
    return [*found, finding("problem-passed-on", passed, **{name: _yes(each) for name, each in same.items()})]


def judge_silence(heard: Heard, tries: int, took_s: float) -> list[Finding]:
    """wallet_api answered nothing but 503."""
    said = heard.status >= 400 and "state" not in heard.body and _both(heard.body.get("sentences"))
    return [
        finding("patience-ends", heard.status != 0 and took_s <= 30 and tries <= 30, took_s=took_s, tries=tries),
        *([finding("silence-said", said, status=heard.status)] if heard.status else []),
    ]


def judge_renewal(calls: Sequence[Call]) -> list[Finding]:
    """Every token was dead: what came after the first 401. Nothing where there was none."""
    first = next((n for n, call in enumerate(calls) if call.status == 401 and call.operation != "getToken"), None)
    if first is None:
        return []
    after = calls[first + 1 :]
    asked = [call for call in after if call.operation == "getToken"]
    repeated = [
        call for call in after if call.operation == calls[first].operation and call.bearer != calls[first].bearer
    ]
    granted = any(call.status == 200 for call in asked)
    passed = len(asked) == 1 and (len(repeated) == 1 or not granted)
    return [finding("token-renewed-on-401", passed, asked=len(asked), repeated=len(repeated))]


def judge_short_token(calls: Sequence[Call]) -> list[Finding]:
    """Each token was told to live for some seconds: was it used after its end? Nothing where none was given."""
    ends: dict[str, datetime] = {}
    late = used = 0
    for call in calls:
        if call.operation == "getToken" and call.status == 200:
            life = timedelta(seconds=float(call.told.get("expires_in", 0)) + _SLACK_S)
            ends[str(call.told.get("access_token"))] = call.at + life
        elif call.bearer in ends:
            used += 1
            late += call.at > ends[call.bearer]
    return [finding("token-renewed-in-time", not late, late=late)] if used else []


def judge_polling(calls: Sequence[Call], heard: Sequence[Heard], *, state: str, version: int) -> list[Finding]:
    """An eager phone: what the back end asked meanwhile, and what the phone got."""
    found = []
    if len(calls) > 1:
        pairs = list(pairwise(calls))
        shortest = min((later.at - earlier.at).total_seconds() for earlier, later in pairs)
        found.append(finding("polling-pace", shortest >= _PACE_S, shortest_s=shortest))
        missing = sum(later.headers.get("if-none-match") != _tag(earlier) for earlier, later in pairs)
        found.append(finding("if-none-match", not missing, n=len(pairs), missing=missing))
    if any(call.status == 304 for call in calls):
        wrong = sum(not (each.body.get("state") == state and each.body.get("version") == version) for each in heard)
        found.append(finding("not-modified", not wrong, n=len(heard), wrong=wrong))
    return found


def judge_sheet(heard: Heard, *, sheet: Mapping[str, Any], holdings: Any) -> list[Finding]:
    """The sheet on the phone against the one that was written."""
    shown = heard.body.get("sheet")
    shown = shown if isinstance(shown, dict) else {}
    parts = sorted({*sheet, *shown})
    wrong = [name for name in parts if shown.get(name, Ellipsis) != sheet.get(name, Ellipsis)]
    if heard.body.get("holdings") != holdings:
        wrong.append("holdings")
    # A part that the back end made up has a name that it made up.
    which = ", ".join(name if name in sheet or name == "holdings" else "…" for name in wrong) or "-"
    ticked = heard.body.get("ticked")
    return [
        finding("sheet-as-worded", not wrong, which=which),
        finding("declaration-unticked", ticked == [], n=len(ticked) if isinstance(ticked, list) else "?"),
    ]


def judge_handing_in(
    check: str, calls: Sequence[Call], document: str, operation: str, *, member: str = "approval"
) -> list[Finding]:
    """A signed document: handed in as it was, once or more, and nothing else in its place."""
    handed = [call for call in calls if call.operation == operation]
    same = sum(call.json.get(member) == document for call in handed)
    closed = sum(call.operation == "closeShowing" for call in calls)
    passed = len(handed) == same > 0 and not closed
    return [finding(check, passed, n=len(handed), same=same, closed=closed)]


def _tag(call: Call) -> str | None:
    return call.answer_headers.get("ETag")


def _whole(call: Call) -> bytes:
    head = [call.path, call.query, *call.headers.values()]
    return "\n".join(head).encode() + b"\n" + call.body


def _audience(claims: Mapping[str, Any]) -> list[Any]:
    told = claims.get("aud")
    return told if isinstance(told, list) else [told]


def _ahead(epoch: Any, at: datetime) -> float | None:
    return None if type(epoch) not in (int, float) else epoch - at.timestamp()


def _both(sentences: Any) -> bool:
    return isinstance(sentences, dict) and all(isinstance(sentences.get(lang), str) for lang in ("zh", "en"))


def _yes(value: bool) -> str:
    return "✓" if value else "✗"


def _computable(person: Person) -> set[str]:
    """What anybody could compute from the number or the name: itself, and digests without a key."""
    found = set()
    for text in (person.id_number, person.name, person.id_number + person.name, person.name + person.id_number):
        found.add(text)
        for make in (md5, sha1, sha256):
            raw = make(text.encode(), usedforsecurity=False).digest()
            spelt = (raw.hex(), raw.hex().upper(), to_b64(raw))
            found.update(each[:length] for each in spelt for length in range(8, len(each) + 1))
    return found


def verdicts(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """All findings by check, for every check of the list."""
    told: dict[str, list[Finding]] = {check: [] for check in CHECKS}
    for each in findings:
        told[each.check].append(each)
    return told


def counts(findings: Iterable[Finding]) -> Counter[str]:
    """How many checks passed, failed and were not run."""
    return Counter(verdict_of(each) for each in verdicts(findings).values())


def verdict_of(findings: Sequence[Finding]) -> str:
    """ "pass", "fail" or "not-run"."""
    if not findings:
        return "not-run"
    return "pass" if all(each.passed for each in findings) else "fail"

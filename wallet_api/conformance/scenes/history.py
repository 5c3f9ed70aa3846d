"""Who saw my certificates: each citizen looks at their own visits, all of them, and at nobody else's."""

from __future__ import annotations

from typing import Any, Final

from consent.b64 import digest_of
from consent.clock import rfc3339
from wallet_api.conformance.judging import finding
from wallet_api.conformance.phone import Phone
from wallet_api.conformance.province import CODE
from wallet_api.conformance.run import Run, Stopped, must, word

_VISITS: Final = 60  # more than wallet_api gives in one part
_PARTS: Final = 70  # more than a back end can need


def history(run: Run) -> None:
    """One citizen looks; the other asks without having looked, then looks too, and sees no visit of the first."""
    theirs, others = _visits(run, 0), _visits(run, _VISITS)
    _look(run, run.first)
    _answer(run, theirs)
    told = _read(run.first)
    right = told == [each["entry"] for each in theirs]
    run.note(finding("history-whole", right, n=len(theirs), told=len(told), order=word(sorted(told) == told[::-1])))

    heard = run.second.ask("history")
    leaked = len({*_entries(heard.body)} & {*told})
    _look(run, run.second)
    _answer(run, others)
    leaked += len({*_read(run.second)} & {*told}) + len({*_read(run.first)} - {*told})
    run.note(finding("history-own", not leaked, leaked=leaked))


def _look(run: Run, phone: Phone) -> None:
    """The phone asks to look; the login that goes with it is the citizen's and of this minute."""
    mark = run.province.tape.here
    heard = phone.ask("look", device=phone.jwk)
    looks = run.province.tape.since(mark, "lookBack")
    for call in looks[:1]:
        run.keep_opening(phone, str(call.json.get("holder", "")))
    if not heard.well or not looks:
        raise Stopped(heard)


def _answer(run: Run, entries: list[dict[str, Any]]) -> None:
    run.province.answer("history", {"entries": entries, "silent": [], "earlier": None})


def _read(phone: Phone) -> list[str]:
    """The ids of all visits that the phone gets, part by part."""
    found: list[str] = []
    more: dict[str, Any] = {}
    for _ in range(_PARTS):
        body = must(phone.ask("history", **more)).body
        found += _entries(body)
        if not isinstance(body.get("next"), str):
            break
        more = {"cursor": body["next"]}
    return found


def _entries(body: Any) -> list[str]:
    entries = body.get("entries")
    return [str(each.get("entry")) for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []


def _visits(run: Run, first: int) -> list[dict[str, Any]]:
    """So many visits, newest first, as the inner network words them."""
    at = rfc3339(run.province.clock.now())
    return [_visit(n, at) for n in range(first + _VISITS, first, -1)]


def _visit(n: int, at: str) -> dict[str, Any]:
    return {
        "entry": f"{CODE}.{n:022x}",
        "cursor": f"{1_700_000_000_000_000 + n}.{CODE}.{n:022x}",
        "province": CODE,
        "way": "app",
        "desk": CODE,
        "unit": "11310000MB2F30019L",
        "unit_zh": "徐汇区不动产登记中心",
        "unit_en": "Xuhui Real Estate Registry",
        "window": "hall-1.w07",
        "window_name": "7号窗口",
        "matter": "realestate.register",
        "matter_zh": "不动产登记",
        "matter_en": "Real-estate registration",
        "type": "marriage",
        "fields": [{"name": "certificate_number", "label_zh": "证照字号", "label_en": "Certificate number"}],
        "cause": f"2026-{n:04}",
        "outcome": "DECLINED",
        "reason": "DECLINED",
        "request": digest_of(f"request {n}".encode()),
        "receipt": None,
        "receipt_digest": None,
        "objection": None,
        "second_officer": None,
        "asked_at": at,
        "ended_at": at,
    }

"""What the phone says: one dictionary file a language, and for each Reason what a citizen does next.

The sentence of a Reason is `consent.sentences`'. Its next step there is written for the officer at the counter ("ask the
citizen to show again"), so the phone has its own, a handful of steps that every Reason is mapped to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from consent.errors import UNAVAILABLE, Outcome, Reason, row
from consent.sentences import Audience, Lang, sentences

_R = Reason

_STEPS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        _R.CODE_NOT_YET_VALID: "clock",
        _R.CODE_SUPERSEDED: "newest",
        _R.DOCUMENT_NOT_YET_VALID: "clock",
        _R.TOO_MANY: "wait",
        _R.IDEMPOTENCY_IN_FLIGHT: "wait",
        _R.UNAUTHENTICATED: "login",
        _R.SESSION_EXPIRED: "login",
        _R.INVALID_GRANT: "login",
        _R.FORBIDDEN: "login",
        _R.DECLARATION_MISSING: "tick",
        _R.AMBIGUOUS: "pick",
        _R.NOT_FOUND: "archive",
        _R.NOT_DIGITISED: "archive",
        _R.CERTIFICATE_UNKNOWN: "archive",
        _R.CERTIFICATE_NOT_VALID: "officer",
        _R.HOLDER_MATCH_MISSING: "officer",
        _R.HOLDER_MISMATCH: "officer",
        _R.PRECONDITION_MISSING: "officer",
        _R.SECOND_OFFICER_MISSING: "officer",
        _R.COUPLE_MISMATCH: "officer",
        _R.PARTNER_MISSING: "both",
        _R.CONSENT_MISMATCH: "stop",
        _R.APPROVAL_MISMATCH: "stop",
        _R.CODE_BAD_SIGNATURE: "stop",
        _R.CODE_UNKNOWN_KEY: "stop",
        _R.WINDOW_UNKNOWN: "paper",
        _R.OFFICER_UNKNOWN: "paper",
        _R.UNIT_UNKNOWN: "paper",
        _R.UNIT_SUSPENDED: "paper",
        _R.DEVICE_UNKNOWN: "paper",
        _R.MATTER_UNKNOWN: "paper",
        _R.SCOPE_NOT_LISTED: "paper",
        _R.COMMERCIAL_USER: "paper",
        _R.PHASE_NOT_BEGUN: "paper",
        _R.CERTIFICATE_TYPE_NOT_ALLOWED: "paper",
        _R.FIELD_NOT_ALLOWED: "paper",
        _R.CHANNEL_SUSPENDED: "paper",
        _R.QUOTA_EXHAUSTED: "paper",
        _R.WITHDRAWAL_TOO_LATE: "keep",
        _R.RECEIPT_UNKNOWN: "keep",
        _R.ROUTE_UNKNOWN: "home",
        _R.STATE_FORBIDS: "look",
        _R.METHOD_NOT_ALLOWED: "home",
    }
)


def step_of(reason: Reason) -> str:
    """Which of the citizen's steps follows on a reason; its text stands under `step.` in the dictionaries."""
    if reason in _STEPS:
        return _STEPS[reason]
    if reason in UNAVAILABLE:
        return "wait"
    return "archive" if row(reason).outcome is Outcome.UNDETERMINED else "again"


def told(reason: Reason, **facts: str | int) -> dict[str, dict[str, str]]:
    """Sentence and next step of a reason for the citizen, in both languages."""
    step = f"step.{step_of(reason)}"
    return {
        "sentence": {
            "zh": sentences(reason, Lang.ZH_CN, Audience.CITIZEN, **facts),
            "en": sentences(reason, Lang.EN, Audience.CITIZEN, **facts),
        },
        "next": {"zh": texts(Lang.ZH_CN)[step], "en": texts(Lang.EN)[step]},
    }


@cache
def texts(lang: Lang) -> Mapping[str, str]:
    """The dictionary of one language, by dotted key. The pages and their scripts read the same one."""
    raw = files("wallet_api.pages").joinpath(f"texts.{lang}.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(raw)
    return MappingProxyType(found)

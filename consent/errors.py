"""Why something did not happen: one closed list, two ways to say it.

`Refusal(reason)`      the answer is no, and asking again in the same words changes nothing.
`Unavailable(reason)`  there is no answer: a library, the exchange or a store did not speak.

Nothing else may cross a room's border. What the world sees of a reason (the HTTP status, the outcome on the
counter's screen, whether a retry makes sense, the clause that it rests on) is one row of the table below;
what people read stands in `sentences`. A test finds every missing row.

Three parts of an error never mix:

`reason`   public, closed, stable for ever: vendors write code against it;
`facts`    public placeholders of the sentence: counts, dates, a status, a province code. Never a person;
`detail`   for the log alone. It never enters `str(error)`, because frameworks like to print that.

A counter must not learn whether a citizen declined or just did not answer (A05: consent is free). The three
ends "declined", "timed out" and "not authorised" have equal rows, and `seen_at_counter` makes them one.

Sources: 沪民婚发〔2024〕4号 for the clauses (rows A01 to A60 of its reading), RFC 9110 for the statuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from types import MappingProxyType
from typing import Final


class Outcome(StrEnum):
    """The three banners at the counter: 通过, 不通过, 需人工核对."""

    PASSED = "PASSED"
    REFUSED = "REFUSED"
    UNDETERMINED = "UNDETERMINED"


class Reason(StrEnum):
    """Every reason there is. The value equals the name; both are public and never reused for another
    meaning."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        return name

    # The code on the phone.
    CODE_MALFORMED = auto()
    CODE_BAD_SIGNATURE = auto()
    CODE_UNKNOWN_KEY = auto()
    CODE_NOT_YET_VALID = auto()
    CODE_EXPIRED = auto()
    CODE_SUPERSEDED = auto()
    CODE_ALREADY_USED = auto()
    TWIN_MISTYPED = auto()
    TWIN_LOCKED = auto()
    ASKED_TOO_OFTEN = auto()
    CLOCK_SKEW = auto()
    SHOWING_UNKNOWN = auto()
    SHOWING_CLOSED = auto()
    # Who asks, from where, and for what.
    WINDOW_UNKNOWN = auto()
    OFFICER_UNKNOWN = auto()
    UNIT_UNKNOWN = auto()
    UNIT_SUSPENDED = auto()
    DEVICE_UNKNOWN = auto()
    MATTER_UNKNOWN = auto()
    SCOPE_NOT_LISTED = auto()
    COMMERCIAL_USER = auto()
    PHASE_NOT_BEGUN = auto()
    CERTIFICATE_TYPE_NOT_ALLOWED = auto()
    FIELD_NOT_ALLOWED = auto()
    PRECONDITION_MISSING = auto()
    DECLARATION_MISSING = auto()
    HOLDER_MATCH_MISSING = auto()
    HOLDER_MISMATCH = auto()
    WRONG_PROVINCE = auto()
    CHANNEL_SUSPENDED = auto()
    QUOTA_EXHAUSTED = auto()
    # The citizen's answer and what became of it.
    DIGITS_WRONG = auto()
    NOT_AUTHORISED = auto()
    DECLINED = auto()
    TIMED_OUT = auto()
    APPROVAL_METHOD_NOT_ALLOWED = auto()
    APPROVAL_MISMATCH = auto()
    FACE_NOT_MATCHED = auto()
    SECOND_OFFICER_MISSING = auto()
    WITHDRAWN = auto()
    WITHDRAWAL_TOO_LATE = auto()
    CONSENT_UNKNOWN = auto()
    CONSENT_EXPIRED = auto()
    CONSENT_SPENT = auto()
    CONSENT_MISMATCH = auto()
    # The certificate and its library.
    CERTIFICATE_UNKNOWN = auto()
    CERTIFICATE_NOT_VALID = auto()
    CERTIFICATE_NUMBER_MALFORMED = auto()
    CERTIFICATE_IDENTIFIER_MALFORMED = auto()
    NOT_FOUND = auto()
    NOT_DIGITISED = auto()
    AMBIGUOUS = auto()
    COUPLE_MISMATCH = auto()
    PARTNER_MISSING = auto()
    # People, organisations, pictures: what was typed or sent cannot be read.
    NAME_MALFORMED = auto()
    NAME_PUA_CHARACTER = auto()
    ID_NUMBER_MALFORMED = auto()
    USCC_MALFORMED = auto()
    PICTURE_UNREADABLE = auto()
    PICTURE_TOO_LARGE = auto()
    # Sealed documents between machines.
    DOCUMENT_MALFORMED = auto()
    DOCUMENT_TOO_LONG = auto()
    DOCUMENT_WRONG_KIND = auto()
    DOCUMENT_CLAIMS = auto()
    DOCUMENT_KEY_UNKNOWN = auto()
    DOCUMENT_SIGNATURE = auto()
    DOCUMENT_EXPIRED = auto()
    DOCUMENT_NOT_YET_VALID = auto()
    DOCUMENT_REPLAYED = auto()
    ENVELOPE_UNREADABLE = auto()
    KEY_NOT_ALLOWED = auto()
    SENDER_UNKNOWN = auto()
    # Requests, cases, applications, accounts.
    REQUEST_ID_REUSED = auto()
    REQUEST_UNKNOWN = auto()
    STATE_FORBIDS = auto()
    APPLICATION_UNKNOWN = auto()
    OBJECTION_UNKNOWN = auto()
    OBJECTION_OPEN = auto()
    ENTRY_UNKNOWN = auto()
    REVIEWER_IS_APPLICANT = auto()
    EXTENSION_NOT_AGREED = auto()
    EXPORT_CLOSED = auto()
    ACCOUNT_LOCKED = auto()
    PASSWORD_WEAK = auto()
    RECEIPT_UNKNOWN = auto()
    # The HTTP doors and the vendors' interface.
    UNAUTHENTICATED = auto()
    SESSION_EXPIRED = auto()
    FORBIDDEN = auto()
    INVALID_CLIENT = auto()
    INVALID_GRANT = auto()
    INVALID_SCOPE = auto()
    AUTHORIZATION_PENDING = auto()
    SLOW_DOWN = auto()
    ACCESS_DENIED = auto()
    EXPIRED_TOKEN = auto()
    WEBHOOK_ADDRESS_NOT_ALLOWED = auto()
    DELIVERY_UNKNOWN = auto()
    BODY_MALFORMED = auto()
    BODY_INVALID = auto()
    MEDIA_TYPE = auto()
    NOT_ACCEPTABLE = auto()
    METHOD_NOT_ALLOWED = auto()
    ROUTE_UNKNOWN = auto()
    IDEMPOTENCY_KEY_MISSING = auto()
    IDEMPOTENCY_MISMATCH = auto()
    IDEMPOTENCY_IN_FLIGHT = auto()
    TOO_LARGE = auto()
    TOO_MANY = auto()
    # No answer: all of these are `Unavailable`, none of them judges anybody.
    LIBRARY_UNREACHABLE = auto()
    APP_UNREACHABLE = auto()
    EXCHANGE_UNREACHABLE = auto()
    OFFLINE = auto()
    KEY_LIST_STALE = auto()
    CALENDAR_NOT_PUBLISHED = auto()
    DEVICE_UNAVAILABLE = auto()
    STORE_UNAVAILABLE = auto()
    SCHEMA_OUTDATED = auto()
    DEADLINE = auto()
    INTERNAL = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the world sees of one reason.

    `http` is the status (≥ 500 exactly for reasons without an answer), `retry` says whether the same request
    sent again unchanged may end differently, `clause` names the sentence of the notice that it rests on, or
    is empty.
    """

    http: int
    outcome: Outcome
    retry: bool
    clause: str


_NOTICE: Final = "沪民婚发〔2024〕4号"


def _no(http: int, clause: str = "", *, retry: bool = False) -> Row:
    return Row(http=http, outcome=Outcome.REFUSED, retry=retry, clause=f"{_NOTICE} {clause}" if clause else "")


def _unclear(http: int, clause: str = "") -> Row:
    return Row(http=http, outcome=Outcome.UNDETERMINED, retry=False, clause=f"{_NOTICE} {clause}" if clause else "")


def _silent(http: int) -> Row:
    return Row(http=http, outcome=Outcome.UNDETERMINED, retry=True, clause="")


_R = Reason

ROWS: Final[Mapping[Reason, Row]] = MappingProxyType(
    {
        _R.CODE_MALFORMED: _no(422),
        _R.CODE_BAD_SIGNATURE: _no(422),
        _R.CODE_UNKNOWN_KEY: _no(422),
        _R.CODE_NOT_YET_VALID: _no(422),
        _R.CODE_EXPIRED: _no(410),
        _R.CODE_SUPERSEDED: _no(410),
        _R.CODE_ALREADY_USED: _no(409),
        _R.TWIN_MISTYPED: _no(422),
        _R.TWIN_LOCKED: _no(429, retry=True),
        _R.ASKED_TOO_OFTEN: _no(429, retry=True),
        _R.CLOCK_SKEW: _no(422),
        _R.SHOWING_UNKNOWN: _no(404),
        _R.SHOWING_CLOSED: _no(409),
        _R.WINDOW_UNKNOWN: _no(401),
        _R.OFFICER_UNKNOWN: _no(403, "三"),  # A31: responsibility goes down to a named person
        _R.UNIT_UNKNOWN: _no(403, "二(二)1"),  # A24: a unit applies in its own province first
        _R.UNIT_SUSPENDED: _no(403, "四(三)"),
        _R.DEVICE_UNKNOWN: _no(403),
        _R.MATTER_UNKNOWN: _no(404, "二(一)2"),
        _R.SCOPE_NOT_LISTED: _no(403, "二(一)2"),  # A22
        _R.COMMERCIAL_USER: _no(403, "二(一)2"),  # A23
        _R.PHASE_NOT_BEGUN: _no(403, "一"),  # A08 to A11
        _R.CERTIFICATE_TYPE_NOT_ALLOWED: _no(403, "二(一)"),  # A12, A13
        _R.FIELD_NOT_ALLOWED: _no(403, "三(三)"),  # A43
        _R.PRECONDITION_MISSING: _no(422, "二(一)1"),  # A12 to A15
        _R.DECLARATION_MISSING: _no(422, "二(一)2"),  # A20
        _R.HOLDER_MATCH_MISSING: _no(422, "一"),  # A06: the person's own certificates only
        _R.HOLDER_MISMATCH: _no(403, "一"),
        _R.WRONG_PROVINCE: _no(422, "二(二)1"),  # A24
        _R.CHANNEL_SUSPENDED: _no(403, "四(三)"),  # A58
        _R.QUOTA_EXHAUSTED: _no(403, "三(三)"),
        _R.DIGITS_WRONG: _no(403, "一"),
        # The next three stay equal: see `seen_at_counter`.
        _R.NOT_AUTHORISED: _no(403, "一"),  # A05
        _R.DECLINED: _no(403, "一"),
        _R.TIMED_OUT: _no(403, "一"),
        _R.APPROVAL_METHOD_NOT_ALLOWED: _no(403, "二(二)2"),  # A29
        _R.APPROVAL_MISMATCH: _no(403, "二(二)2"),
        _R.FACE_NOT_MATCHED: _no(403, "二(二)2"),
        _R.SECOND_OFFICER_MISSING: _no(422, "三"),  # A31: whoever retrieves answers for it
        _R.WITHDRAWN: _no(410),
        _R.WITHDRAWAL_TOO_LATE: _no(409),
        _R.CONSENT_UNKNOWN: _no(404),
        _R.CONSENT_EXPIRED: _no(410),
        _R.CONSENT_SPENT: _no(409),
        _R.CONSENT_MISMATCH: _no(403, "二(二)1"),  # A26: consent, application, retrieval, in this order
        _R.CERTIFICATE_UNKNOWN: _no(404),
        _R.CERTIFICATE_NOT_VALID: _no(409),
        _R.CERTIFICATE_NUMBER_MALFORMED: _no(422),
        _R.CERTIFICATE_IDENTIFIER_MALFORMED: _no(422),
        _R.NOT_FOUND: _unclear(404, "四(二)"),  # A49: whoever misses a certificate may object
        _R.NOT_DIGITISED: _unclear(404, "三(一)"),  # A33
        _R.AMBIGUOUS: _unclear(409),
        _R.COUPLE_MISMATCH: _no(403, "二(一)1"),  # A13: both parties of one registration
        _R.PARTNER_MISSING: _unclear(409),
        _R.NAME_MALFORMED: _no(422),
        _R.NAME_PUA_CHARACTER: _no(422),
        _R.ID_NUMBER_MALFORMED: _no(422),
        _R.USCC_MALFORMED: _no(422),
        _R.PICTURE_UNREADABLE: _no(422),
        _R.PICTURE_TOO_LARGE: _no(413),
        _R.DOCUMENT_MALFORMED: _no(422),
        _R.DOCUMENT_TOO_LONG: _no(413),
        _R.DOCUMENT_WRONG_KIND: _no(422),
        _R.DOCUMENT_CLAIMS: _no(422),
        _R.DOCUMENT_KEY_UNKNOWN: _no(403),
        _R.DOCUMENT_SIGNATURE: _no(403),
        _R.DOCUMENT_EXPIRED: _no(410),
        _R.DOCUMENT_NOT_YET_VALID: _no(422),
        _R.DOCUMENT_REPLAYED: _no(409),
        _R.ENVELOPE_UNREADABLE: _no(422),
        _R.KEY_NOT_ALLOWED: _no(403),
        _R.SENDER_UNKNOWN: _no(401),
        _R.REQUEST_ID_REUSED: _no(422),
        _R.REQUEST_UNKNOWN: _no(404),
        _R.STATE_FORBIDS: _no(409),
        _R.APPLICATION_UNKNOWN: _no(404),
        _R.OBJECTION_UNKNOWN: _no(404),
        _R.OBJECTION_OPEN: _no(409, "四(二)"),  # A49
        _R.ENTRY_UNKNOWN: _no(404),
        _R.REVIEWER_IS_APPLICANT: _no(403, "二(二)1"),  # A25
        _R.EXTENSION_NOT_AGREED: _no(409, "四(二)"),  # A54
        _R.EXPORT_CLOSED: _no(403),
        _R.ACCOUNT_LOCKED: _no(403),
        _R.PASSWORD_WEAK: _no(422),
        _R.RECEIPT_UNKNOWN: _no(404),
        _R.UNAUTHENTICATED: _no(401),
        _R.SESSION_EXPIRED: _no(401),
        _R.FORBIDDEN: _no(403),
        _R.INVALID_CLIENT: _no(401),
        _R.INVALID_GRANT: _no(400),
        _R.INVALID_SCOPE: _no(400),
        # RFC 8628 §3.5, a window's enrolment: these names in lower case.
        _R.AUTHORIZATION_PENDING: _no(400, retry=True),
        _R.SLOW_DOWN: _no(400, retry=True),
        _R.ACCESS_DENIED: _no(400),
        _R.EXPIRED_TOKEN: _no(400),
        _R.WEBHOOK_ADDRESS_NOT_ALLOWED: _no(422),
        _R.DELIVERY_UNKNOWN: _no(404),
        _R.BODY_MALFORMED: _no(400),
        _R.BODY_INVALID: _no(422),
        _R.MEDIA_TYPE: _no(415),
        _R.NOT_ACCEPTABLE: _no(406),
        _R.METHOD_NOT_ALLOWED: _no(405),
        _R.ROUTE_UNKNOWN: _no(404),
        _R.IDEMPOTENCY_KEY_MISSING: _no(400),
        _R.IDEMPOTENCY_MISMATCH: _no(422),
        _R.IDEMPOTENCY_IN_FLIGHT: _no(409, retry=True),
        _R.TOO_LARGE: _no(413),
        _R.TOO_MANY: _no(429, retry=True),
        _R.LIBRARY_UNREACHABLE: _silent(503),
        _R.APP_UNREACHABLE: _silent(503),
        _R.EXCHANGE_UNREACHABLE: _silent(503),
        _R.OFFLINE: _silent(503),
        _R.KEY_LIST_STALE: _silent(503),
        _R.CALENDAR_NOT_PUBLISHED: _silent(503),
        _R.DEVICE_UNAVAILABLE: _silent(503),
        _R.STORE_UNAVAILABLE: _silent(503),
        _R.SCHEMA_OUTDATED: _silent(503),
        _R.DEADLINE: _silent(504),
        _R.INTERNAL: _silent(500),
    }
)

UNAVAILABLE: Final[frozenset[Reason]] = frozenset(reason for reason, row in ROWS.items() if row.http >= 500)
"""The reasons that mean "there is no answer"; all others are refusals."""


def row(reason: Reason) -> Row:
    """The row of one reason."""
    return ROWS[reason]


def outcome_of(reason: Reason | None) -> Outcome:
    """The banner for a reason. No reason at all means that everything passed."""
    return Outcome.PASSED if reason is None else ROWS[reason].outcome


def seen_at_counter(reason: Reason) -> Reason:
    """What a counter may learn: declining and silence both read "not authorised"."""
    return Reason.NOT_AUTHORISED if reason in (Reason.DECLINED, Reason.TIMED_OUT) else reason


class Refusal(Exception):  # noqa: N818 - the glossary's word; an "error" would be somebody's fault
    """The answer is no.

    `Refusal(Reason.PRECONDITION_MISSING, detail="both_lost not ticked", what="…")`. Raises ValueError when
    the reason is one of `UNAVAILABLE`: a silent library must never look like a no.
    """

    reason: Reason
    facts: Mapping[str, str | int]
    detail: str

    def __init__(self, reason: Reason, *, detail: str = "", **facts: str | int) -> None:
        if reason in UNAVAILABLE:
            raise ValueError(f"{reason} is not a no; raise Unavailable")
        super().__init__(reason.value)
        self.reason = reason
        self.facts = MappingProxyType(facts)
        self.detail = detail


class Unavailable(Exception):  # noqa: N818 - as above
    """There is no answer; nothing was decided and nothing was used up.

    `Unavailable(Reason.LIBRARY_UNREACHABLE, what="33")`. `what` names the silent part for people who read the
    sentence (a province code, "redis"), `retry_after_s` is in seconds. ValueError when the reason is a
    refusal.
    """

    reason: Reason
    what: str
    retry_after_s: int
    facts: Mapping[str, str | int]
    detail: str

    def __init__(
        self,
        reason: Reason,
        what: str = "",
        *,
        retry_after_s: int = 5,
        detail: str = "",
        **facts: str | int,
    ) -> None:
        if reason not in UNAVAILABLE:
            raise ValueError(f"{reason} is a no; raise Refusal")
        super().__init__(reason.value)
        self.reason = reason
        self.what = what
        self.retry_after_s = retry_after_s
        self.facts = MappingProxyType(({"what": what} if what else {}) | facts)
        self.detail = detail

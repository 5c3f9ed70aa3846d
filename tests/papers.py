"""One valid document of every kind, all of one visit, and the means to write bad ones with the right keys.

A bad document is only a test of one rule if everything else about it is right. So `Paper.forged` seals whatever it is
given with the key that the ring names: the signature holds, and only the rule under test is left to refuse.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jwt.algorithms import get_default_algorithms

from consent.annotated_copy import COPY, CopyBody, Field, open_copy, seal_copy
from consent.answer import ANSWER, open_answer, seal_answer
from consent.approval import APPROVAL, Decision, open_approval, seal_approval
from consent.attest import ATTEST, open_attest, seal_attest, staff_of
from consent.b64 import digest_of, from_b64, new_id, to_b64
from consent.card import CARD, PAD, device_of, open_card, open_pad, seal_card, seal_pad
from consent.clock import to_epoch
from consent.envelope import new_envelope_key
from consent.errors import Reason
from consent.grant import CONSENT, Grant, open_consent, seal_consent
from consent.holding import HOLDING, holder_index, open_holding, seal_holding
from consent.keys import KeyRing, Keys, Kind, OneKey, SigningKey, jwk_of, new_key
from consent.receipt import RECEIPT, Position, open_receipt, seal_receipt
from consent.request import NO_OFFICER, REQUEST, Aside, Ask, open_request, seal_request
from consent.showing import HOLDER, Person, open_holder, seal_holder
from consent.window import WINDOW, issuer_of, open_window, seal_window

NOW = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
EPOCH_NOW = to_epoch(NOW)
SECOND, YEAR = timedelta(seconds=1), timedelta(days=365)
HOME, DESK, LIBRARY = "31", "32", "33"  # whose app showed the code, whose counter asks, who has the certificate

# County code 310199 was never given to a county; the check digit is right. Nobody has this number.
PERSON = Person(id_number="310199199001010018", name="测试·甲")
HANDLE = f"{LIBRARY}.b4tnqhmwd3ANEdg-MhRqbg"  # fixed: it stands in the names of tests, which all workers must agree on
UNIT, WINDOW_ID, OFFICER_ID = "11310000MB2F30019L", "hall-1.w07", "0042"

KINDS: tuple[Kind, ...] = (
    HOLDER,
    WINDOW,
    REQUEST,
    APPROVAL,
    CONSENT,
    HOLDING,
    COPY,
    ANSWER,
    RECEIPT,
    CARD,
    PAD,
    ATTEST,
)

# Kinds take turns with the two algorithms, so that both meet every rule.
APP_KEY = new_key("EdDSA", issuer="suishenban")
WINDOW_KEY = new_key("ES256", issuer=issuer_of(DESK, WINDOW_ID))
REQUEST_KEY = new_key("EdDSA", issuer=DESK)
DEVICE_KEY = new_key("ES256", issuer="pseudonym-1")
CONSENT_KEY = new_key("ES256", issuer=HOME)
HOLDING_KEY = new_key("EdDSA", issuer=HOME)
COPY_KEY = new_key("ES256", issuer=LIBRARY)
ANSWER_KEY = new_key("EdDSA", issuer=HOME)
RECEIPT_KEY = new_key("ES256", issuer=LIBRARY)
CARD_KEY = new_key("EdDSA", issuer=device_of(DESK, WINDOW_ID, "reader"))
PAD_KEY = new_key("ES256", issuer=device_of(DESK, WINDOW_ID, "pad"))
STAFF_KEY = new_key("EdDSA", issuer=staff_of(DESK, UNIT, OFFICER_ID))

# The keys of somebody else who may seal the same kinds: another app, window, province.
OTHERS = {kind.typ: new_key("EdDSA", issuer=f"other {kind.typ}") for kind in KINDS}
# A key that the ring has never heard of.
STRANGER = new_key("EdDSA", issuer=HOME)

_OWN = {
    HOLDER.typ: APP_KEY,
    WINDOW.typ: WINDOW_KEY,
    REQUEST.typ: REQUEST_KEY,
    CONSENT.typ: CONSENT_KEY,
    HOLDING.typ: HOLDING_KEY,
    COPY.typ: COPY_KEY,
    ANSWER.typ: ANSWER_KEY,
    RECEIPT.typ: RECEIPT_KEY,
    CARD.typ: CARD_KEY,
    PAD.typ: PAD_KEY,
    ATTEST.typ: STAFF_KEY,
}
VALIDITY = {"not_before": NOW - YEAR, "not_after": NOW + YEAR}


def ring(*, issued_after: datetime | None = None) -> KeyRing:
    """All keys of this country, each for its one kind."""
    own = [key.published(typ, **VALIDITY) for typ, key in _OWN.items()]
    others = [key.published(typ, **VALIDITY) for typ, key in OTHERS.items() if typ != APPROVAL.typ]
    return KeyRing([*own, *others], issued_after=issued_after)


RING = ring()
DEVICE = DEVICE_KEY.published(APPROVAL.typ, **VALIDITY)
INNER = new_envelope_key()  # the inner network of the citizen's province
VAULT = new_envelope_key()  # the library
VISIT = new_envelope_key()  # the desk's, made for this one request

CODE_DIGEST = digest_of(b"some code")
ASK = Ask(
    unit=UNIT,
    window=WINDOW_ID,
    officer=NO_OFFICER,
    matter="housing.fund_withdrawal",
    case="2026-0001 号",
    type="marriage",
    fields=("holder.name", "registration_date"),
    cause="提取住房公积金",
    code=CODE_DIGEST,
    declarations=("not_remarried",),
    answer_key=VISIT.recipient.text,
)
ASIDE = Aside(salt=bytes(range(16)), id_number=PERSON.id_number, digits="07")
BODY = CopyBody(
    type="marriage",
    status="VALID",
    status_as_of="2026-03-02T01:02:03Z",
    library=LIBRARY,
    authority="杭州市某区民政局",
    cause="提取住房公积金",
    expires="2026-03-02T01:17:03Z",
    fields=(Field(name="holder.name", disclosure="MATCH", value="一致"),),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A valid document, who sealed it for whom, and its reader: `open(text, now)`."""

    kind: Kind
    key: SigningKey
    keys: Keys
    audience: str
    text: str
    open: Callable[[str, datetime], Any]

    @property
    def claims(self) -> dict[str, Any]:
        """Its payload, to be changed."""
        found: dict[str, Any] = json.loads(from_b64(self.text.split(".")[1]))
        return found

    @property
    def header(self) -> dict[str, Any]:
        """Its header, to be changed."""
        return {"alg": self.key.alg, "kid": self.key.kid, "typ": self.kind.typ}

    def forged(self, *, header: Any = None, payload: Any = None, key: SigningKey | None = None, **claims: Any) -> str:
        """A document with this header and payload (bytes, or JSON), or these claims changed, and a signature that holds."""
        written = _bytes(self.header if header is None else header)
        content = _bytes({**self.claims, **claims} if payload is None else payload)
        return signed(written, content, key or self.key)

    def without(self, name: str) -> str:
        """The document without one claim."""
        return self.forged(payload={each: value for each, value in self.claims.items() if each != name})

    def timed(self, issued: int, expires: int) -> str:
        """The document with other times, in seconds from NOW; a login goes along with its assertion."""
        claims = self.claims | {"iat": EPOCH_NOW + issued, "exp": EPOCH_NOW + expires}
        if "auth_time" in claims:
            claims["auth_time"] = claims["iat"]
        return self.forged(payload=claims)


def signed(header: bytes, payload: bytes, key: SigningKey) -> str:
    """A compact JWS over any bytes."""
    message = f"{to_b64(header)}.{to_b64(payload)}"
    algorithm = get_default_algorithms()[key.alg]
    return f"{message}.{to_b64(algorithm.sign(message.encode(), key.private))}"


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()


# The visit ------------------------------------------------------------------------------------------------

HOLDER_TEXT = seal_holder(
    PERSON,
    sub="pseudonym-1",
    device_jwk=jwk_of(DEVICE_KEY.public),
    auth_time=NOW,
    key=APP_KEY,
    province=HOME,
    inner=INNER.recipient,
    now=NOW,
)
CALL: Mapping[str, Any] = {"method": "POST", "path": "/v1/presentations", "body": b"{}"}
WINDOW_TEXT = seal_window(WINDOW_KEY, province=DESK, now=NOW, **CALL)
REQUEST_TEXT = seal_request(ASK, ASIDE, REQUEST_KEY, request_id=new_id(), holder_province=HOME, now=NOW)
ASKED = open_request(REQUEST_TEXT, RING, holder_province=HOME, now=NOW)
APPROVAL_TEXT = seal_approval(
    DEVICE_KEY,
    province=HOME,
    request_digest=ASKED.digest,
    decision=Decision.AGREE,
    now=NOW,
    certificate=HANDLE,
    digits="07",
    declarations=("not_remarried",),
)
CONSENT_TEXT = seal_consent(
    Grant(person=PERSON, certificate=HANDLE),
    CONSENT_KEY,
    request=ASKED,
    method="app",
    evidence=digest_of(APPROVAL_TEXT.encode()),
    library=VAULT.recipient,
    now=NOW,
)
AGREED = open_consent(CONSENT_TEXT, RING, request=ASKED, now=NOW)
HOLDING_TEXT = seal_holding(
    HOLDING_KEY,
    library=LIBRARY,
    holder=holder_index(PERSON.id_number, bytes(32)),
    under=ASKED.digest,
    now=NOW,
)
COPY_TEXT = seal_copy(BODY, COPY_KEY, request=ASKED, consent_issuer=AGREED.issuer, consent_jti=AGREED.jti, now=NOW)
ANSWER_TEXT = seal_answer(
    ANSWER_KEY,
    to=DESK,
    question=ASKED.digest,
    now=NOW,
    reason=Reason.NOT_AUTHORISED,
    copy=digest_of(b"a copy"),
    payload=b"why",
    recipient=VISIT.recipient,
)
RECEIPT_TEXT = seal_receipt(
    RECEIPT_KEY,
    side="citizen",
    ask=ASK,
    request_digest=ASKED.digest,
    consent_digest=AGREED.sealed.digest,
    copy_digest=None,
    reason=None,
    ledger=Position(position=7, entry=digest_of(b"an entry")),
    now=NOW,
)
AT_WINDOW = {"province": DESK, "window": WINDOW_ID}
CARD_TEXT = seal_card(PERSON, CARD_KEY, request_id=ASKED.id, inner=INNER.recipient, now=NOW, **AT_WINDOW)
PAD_TEXT = seal_pad(
    PAD_KEY,
    province=DESK,
    request_digest=ASKED.digest,
    decision=Decision.AGREE,
    method="pad",
    evidence=digest_of(b"strokes"),
    declarations=("not_remarried",),
    now=NOW,
)
ATTEST_TEXT = seal_attest(STAFF_KEY, officer=OFFICER_ID, request_digest=ASKED.digest, now=NOW, **AT_WINDOW)


def paper(kind: Kind, key: SigningKey, audience: str, text: str, open: Callable[[str, datetime], Any]) -> Paper:
    """A row of PAPERS; only approvals are opened with the one key that a login vouches for."""
    keys: Keys = OneKey(DEVICE) if kind is APPROVAL else RING
    return Paper(kind=kind, key=key, keys=keys, audience=audience, text=text, open=open)


PAPERS: tuple[Paper, ...] = (
    paper(HOLDER, APP_KEY, HOME, HOLDER_TEXT, lambda text, now: open_holder(text, RING, province=HOME, now=now)),
    paper(
        WINDOW,
        WINDOW_KEY,
        DESK,
        WINDOW_TEXT,
        lambda text, now: open_window(text, RING, province=DESK, now=now, **CALL),
    ),
    paper(
        REQUEST,
        REQUEST_KEY,
        HOME,
        REQUEST_TEXT,
        lambda text, now: open_request(text, RING, holder_province=HOME, now=now),
    ),
    paper(
        APPROVAL,
        DEVICE_KEY,
        HOME,
        APPROVAL_TEXT,
        lambda text, now: open_approval(text, DEVICE, province=HOME, request_digest=ASKED.digest, now=now),
    ),
    paper(
        CONSENT,
        CONSENT_KEY,
        DESK,
        CONSENT_TEXT,
        lambda text, now: open_consent(text, RING, request=ASKED, now=now),
    ),
    paper(
        HOLDING,
        HOLDING_KEY,
        LIBRARY,
        HOLDING_TEXT,
        lambda text, now: open_holding(text, RING, library=LIBRARY, now=now),
    ),
    paper(
        COPY,
        COPY_KEY,
        DESK,
        COPY_TEXT,
        lambda text, now: open_copy(text, RING, request=ASKED, library=LIBRARY, now=now),
    ),
    paper(
        ANSWER,
        ANSWER_KEY,
        DESK,
        ANSWER_TEXT,
        lambda text, now: open_answer(text, RING, issuer=HOME, audience=DESK, question=ASKED.digest, now=now),
    ),
    paper(
        RECEIPT,
        RECEIPT_KEY,
        "citizen",
        RECEIPT_TEXT,
        lambda text, now: open_receipt(text, RING, side="citizen", now=now),
    ),
    paper(
        CARD,
        CARD_KEY,
        DESK,
        CARD_TEXT,
        lambda text, now: open_card(text, RING, request_id=ASKED.id, now=now, **AT_WINDOW),
    ),
    paper(
        PAD,
        PAD_KEY,
        DESK,
        PAD_TEXT,
        lambda text, now: open_pad(text, RING, request_digest=ASKED.digest, now=now, **AT_WINDOW),
    ),
    paper(
        ATTEST,
        STAFF_KEY,
        DESK,
        ATTEST_TEXT,
        lambda text, now: open_attest(text, RING, request=ASKED, now=now),
    ),
)
BY_TYP = {each.kind.typ: each for each in PAPERS}

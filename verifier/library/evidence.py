"""What a consent without a phone stands on, judged by the library itself: it believes no desk that somebody was there.

 1. all or nothing   a method of the counter brings evidence, every other method none
 2. reader           the very card word that the request names, for this window and this request
 3. pad              the person's answer to this very request, at this window
 4. second officer   where the matter, the desk's province or our own wants one (`matters.scope`)
 5. the consent commits to exactly these words, and says the method that the pad says

The words of pad and staff card are judged as of the moment at which the consent was sealed, the reader's as of the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consent.approval import Decision
from consent.attest import evidence_of, open_attest
from consent.b64 import digest_of
from consent.card import METHODS, open_card, open_pad
from consent.errors import Reason, Refusal
from consent.grant import Consent
from consent.keys import Keys
from consent.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class AtCounter:
    """An agreement without a phone whose evidence held. Only `judge_evidence` makes one. `second_officer` is an opaque id."""

    second_officer: str | None


def judge_evidence(
    request: Request, consent: Consent, evidence: Mapping[str, str | None] | None, keys: Keys, *, second_officer: bool
) -> AtCounter | None:
    """The five steps above; None for a consent that came from a phone.

    Refusal APPROVAL_MISMATCH where a word is missing or another, SECOND_OFFICER_MISSING, DOCUMENT_… where one does not hold.
    """
    if (consent.method in METHODS) != (evidence is not None):  # 1
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="evidence and method do not belong together")
    if evidence is None:
        return None
    card_text, pad_text = evidence["card"] or "", evidence["pad"] or ""
    if digest_of(card_text.encode()) != request.ask.code:  # 2
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="another card")
    where = {"province": request.desk, "window": request.ask.window}
    agreed_at = consent.sealed.issued_at
    open_card(card_text, keys, request_id=request.id, now=request.sealed.issued_at, **where)
    pad = open_pad(pad_text, keys, request_digest=request.digest, now=agreed_at, **where)  # 3
    attest = None
    if evidence["officer"] is not None:  # 4
        attest = open_attest(evidence["officer"], keys, request=request, now=agreed_at)
    elif second_officer:
        raise Refusal(Reason.SECOND_OFFICER_MISSING, detail=request.ask.matter)
    committed = (consent.evidence, consent.method, Decision.AGREE)  # 5
    if (evidence_of(pad.sealed, attest), pad.method, pad.decision) != committed:
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="another answer")
    return AtCounter(second_officer=None if attest is None else attest.officer)

"""A province's answer that is not a consent and not a copy (`answer+jwt`): refusals, holdings, withdrawals.

It names what it answers by digest. What only the asker may read stands in its envelope, padded; the rest is an outcome,
a reason, and of a desk that says how a visit ended the digest of the copy that it had, so that the citizen's receipt
names the same copy as the unit's and the library's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consent.envelope import EnvelopeKey, Recipient, close_envelope
from consent.errors import Outcome, Reason, Refusal, outcome_of
from consent.keys import Keys, Kind, SigningKey
from consent.seal import Sealed, open_sealed, seal
from consent.shapes import BASE64URL, DIGEST, Maybe, Text, choice

ANSWER: Final = Kind(
    typ="answer+jwt",
    claims={
        "req": DIGEST,
        "outcome": choice(*Outcome),
        "reason": Maybe(choice(*Reason)),
        "copy": Maybe(DIGEST),
        "env": Maybe(Text(60_000, 1, BASE64URL)),
    },
    life=timedelta(minutes=5),
    max_length=90_000,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer whose seal held and that answers the question at hand. `reason` is None when it passed."""

    sealed: Sealed
    outcome: Outcome
    reason: Reason | None
    envelope: str | None
    copy: str | None = None  # the digest of the annotated copy that the answer is about

    def payload(self, key: EnvelopeKey) -> bytes:
        """What stands in the envelope; Refusal(ENVELOPE_UNREADABLE) where there is none or it is not ours."""
        if self.envelope is None:
            raise Refusal(Reason.ENVELOPE_UNREADABLE, detail="no envelope")
        return key.open(self.envelope, info=self.sealed.claims["req"])


def seal_answer(
    key: SigningKey,
    *,
    to: str,
    question: str,
    now: datetime,
    reason: Reason | None = None,
    copy: str | None = None,
    payload: bytes | None = None,
    recipient: Recipient | None = None,
    pad: int = 4096,
) -> str:
    """An answer to the document with digest `question`; the payload, where there is one, enveloped to `recipient`. `copy` is
    the digest of a copy, see `Answer`."""
    envelope = None
    if payload is not None and recipient is not None:
        envelope = close_envelope(recipient, payload, info=question, pad=pad)
    claims = {"req": question, "outcome": outcome_of(reason), "reason": reason, "copy": copy, "env": envelope}
    return seal(ANSWER, claims, key, audience=to, now=now)


def open_answer(text: str, keys: Keys, *, issuer: str, audience: str, question: str, now: datetime) -> Answer:
    """An answer from that province to that question, or Refusal DOCUMENT_…"""
    sealed = open_sealed(ANSWER, text, keys, audience=audience, now=now)
    claims = sealed.claims
    reason = None if claims["reason"] is None else Reason(claims["reason"])
    if claims["req"] != question or sealed.issuer != issuer or outcome_of(reason) != claims["outcome"]:
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail="answers another question")
    return Answer(
        sealed=sealed,
        outcome=Outcome(claims["outcome"]),
        reason=reason,
        envelope=claims["env"],
        copy=claims["copy"],
    )

"""What a province's inner network holds: its keys, the lists it trusts, the rules, and its own two doors to memory.

One frozen value, built once at start and handed to desk, consents and peers. It also writes the two things that all of
them write: letters and answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from consent.answer import seal_answer
from consent.clock import shanghai_date
from consent.envelope import EnvelopeKey
from consent.errors import Reason
from consent.keylist import KeyList
from consent.keys import KeyRing, Keys, PublicKey, SigningKey
from consent.provinces import province, provinces
from consent.request import Ask, Request
from consent.stores.signals import Signals
from consent.telling import Log
from consent.transport import Letter, Topic, write_letter
from verifier.admit import Permitted, permitted_request
from verifier.matters.catalogue import Catalogue, Matter
from verifier.matters.scope import Scope, second_officer


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """The inner network of one province. `showing_key`, `index_key` and `history_key` are 32 bytes each."""

    province: str
    keylist: KeyList
    request_key: SigningKey
    consent_key: SigningKey
    answer_key: SigningKey
    envelope_key: EnvelopeKey
    showing_key: bytes = field(repr=False)
    index_key: bytes = field(repr=False)
    history_key: bytes = field(repr=False)
    catalogue: Catalogue
    scopes: Mapping[str, Scope]
    inner: Engine
    handover: Engine
    signals: Signals
    log: Log

    @property
    def ring(self) -> KeyRing:
        """Whose seals count."""
        return self.keylist.ring

    @property
    def archive(self) -> Keys:
        """The same keys for documents that we have kept ourselves. They were judged when they came in; the floor after a
        restore is for what comes in again."""
        return _Archive(self.keylist.ring)

    def scope(self, code: str) -> Scope:
        """The signed use scope of a province; Refusal(WRONG_PROVINCE) for a code that is none."""
        return self.scopes[province(code).code]

    def wants_second(self, matter: Matter) -> bool:
        """Whether a visit without a phone wants a second officer. Which library will be asked is not known before its answer,
        so that every province's word counts."""
        return second_officer(matter, [self.scope(code) for code in provinces()])

    def judge(self, request: Request) -> Permitted:
        """The request under its own province's scope, on the day it was sealed."""
        return permitted_request(
            request,
            scope=self.scope(request.desk),
            catalogue=self.catalogue,
            on=shanghai_date(request.sealed.issued_at),
        )

    def letter(
        self, to: str, topic: Topic, content: Mapping[str, Any], *, request_id: str, ask: Ask | None = None
    ) -> Letter:
        """A letter from this province; unit and matter stand outside where the exchange may count them."""
        return write_letter(
            content,
            sender=self.province,
            to=to,
            topic=topic,
            request_id=request_id,
            recipient=self.keylist.recipient(to),
            unit=None if ask is None else ask.unit,
            matter=None if ask is None else ask.matter,
        )

    def answer(self, to: str, question: str, reason: Reason | None, *, now: datetime, copy: str | None = None) -> str:
        """A sealed answer without content; `copy` is the digest of the copy that it is about, where there was one."""
        return seal_answer(self.answer_key, to=to, question=question, reason=reason, copy=copy, now=now)

    def wake(self, *topics: str) -> None:
        """Tell whoever waits, after the commit; nothing depends on it."""
        for topic in topics:
            self.signals.notify(topic)

    def wake_worker(self) -> None:
        """There is something in the outbox."""
        self.signals.notify(outbox_topic(self.province))


@dataclass(frozen=True, slots=True)
class _Archive:
    ring: KeyRing
    issued_after: None = None

    def find(self, typ: str, kid: str, *, now: datetime) -> PublicKey:
        return self.ring.find(typ, kid, now=now)


def outbox_topic(code: str) -> str:
    """What `verifier work` of a province listens to."""
    return f"outbox:{code}"


def errand_topic(code: str) -> str:
    """What wallet_api of a province calls when it has written an errand."""
    return f"errand:{code}"


def visit_topic(request_id: str) -> str:
    """What a counter waits on."""
    return f"visit:{request_id}"


def showing_topic(showing_id: str) -> str:
    """What a phone's poll may wait on."""
    return f"showing:{showing_id}"

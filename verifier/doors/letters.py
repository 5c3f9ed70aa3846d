"""The doors for letters: a province's mailbox, which only the exchange may fill, and the exchange's own.

Both answer 202 when the letter has had its effect in a database. A problem with a status below 500 means "never", one above
means "send it again".
"""

from __future__ import annotations

from typing import Any, Final

from flask import request

from consent.clock import Clock
from consent.errors import Reason
from consent.transport import letter_from
from verifier.doors import schemas
from verifier.doors.guards import RequiresPeer
from verifier.doors.problems import Door
from verifier.doors.says import says
from verifier.exchange.relay import Relay
from verifier.peers import Peers

_LETTER: Final = (
    Reason.SENDER_UNKNOWN,
    Reason.FORBIDDEN,
    Reason.BODY_MALFORMED,
    Reason.BODY_INVALID,
    Reason.MEDIA_TYPE,
    Reason.TOO_LARGE,
    Reason.DOCUMENT_MALFORMED,
    Reason.WRONG_PROVINCE,
    Reason.STORE_UNAVAILABLE,
)
_CONTENT: Final = (
    Reason.ENVELOPE_UNREADABLE,
    Reason.DOCUMENT_CLAIMS,
    Reason.DOCUMENT_KEY_UNKNOWN,
    Reason.DOCUMENT_SIGNATURE,
    Reason.DOCUMENT_EXPIRED,
    Reason.DOCUMENT_NOT_YET_VALID,
    Reason.DOCUMENT_WRONG_KIND,
    Reason.DOCUMENT_TOO_LONG,
    Reason.REQUEST_UNKNOWN,
    Reason.CONSENT_UNKNOWN,
    Reason.CONSENT_MISMATCH,
)


def mailbox_door(peers: Peers, peer: RequiresPeer, clock: Clock) -> Door:
    """Where the exchange delivers."""
    door = Door("mailbox", __name__, url_prefix="/peer", description="For the exchange")

    @door.route("/letters", methods=["POST"])
    @peer
    @door.arguments(schemas.LetterBody)
    @door.response(202, schemas.TakenView)
    @door.doc(operationId="deliver")
    @says(*_LETTER, *_CONTENT)
    def deliver(name: str, body: dict[str, Any]) -> dict[str, bool]:
        """Deliver a letter"""
        peers.receive(letter_from(request.get_data(cache=True)), now=clock.now())
        return {"taken": True}

    return door


def exchange_door(relay: Relay, peer: RequiresPeer, clock: Clock) -> Door:
    """Where the provinces post."""
    door = Door("exchange", __name__, url_prefix="/exchange", description="For the provinces")

    @door.route("/letters", methods=["POST"])
    @peer
    @door.arguments(schemas.LetterBody)
    @door.response(202, schemas.TakenView)
    @door.doc(operationId="post")
    @says(*_LETTER, *_CONTENT, Reason.CHANNEL_SUSPENDED, Reason.LIBRARY_UNREACHABLE)
    def post(name: str, body: dict[str, Any]) -> dict[str, bool]:
        """Post a letter to another province"""
        relay.take(letter_from(request.get_data(cache=True)), sender=name, now=clock.now())
        return {"taken": True}

    return door

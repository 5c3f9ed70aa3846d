"""The counters' door: present a code, watch the visit, clear it; and the register of what this window may ask.

No thread waits for a person: a presentation is answered with 202 at once, and watching waits two seconds at most, woken by
a hint or by looking twice a second.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any, Final

from flask import Response, make_response, request

from consent.b64 import digest_of
from consent.clock import Clock, rfc3339, shanghai_date
from consent.errors import Reason, Refusal
from consent.stores.signals import Signals
from consent.window import HEADER, Proof
from verifier.cards import Cards
from verifier.couples import Together
from verifier.desk import Desk, Presentation, Visit
from verifier.doors import schemas
from verifier.doors.frame import JSON
from verifier.doors.guards import RequiresWindow
from verifier.doors.problems import Door
from verifier.doors.says import PROOF, says
from verifier.invitations import Invitations
from verifier.office import visit_topic

LONGEST_WAIT_S: Final = 2.0

_PROOF: Final = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "description": "window+jwt for this method, path and body, used once",
    "schema": {"type": "string"},
}
_WAIT: Final = {
    "name": "wait",
    "in": "query",
    "required": False,
    "description": "Seconds to wait for a change beyond If-None-Match, at most 2",
    "schema": {"type": "integer", "minimum": 0, "maximum": 2},
}
_WINDOW: Final = (
    Reason.UNAUTHENTICATED,
    Reason.WINDOW_UNKNOWN,
    *PROOF,
)
_PRESENT: Final = (
    Reason.BODY_MALFORMED,
    Reason.BODY_INVALID,
    Reason.MEDIA_TYPE,
    Reason.TOO_LARGE,
    Reason.CODE_MALFORMED,
    Reason.CODE_UNKNOWN_KEY,
    Reason.CODE_BAD_SIGNATURE,
    Reason.CODE_NOT_YET_VALID,
    Reason.CODE_EXPIRED,
    Reason.TWIN_MISTYPED,
    Reason.TWIN_LOCKED,
    Reason.MATTER_UNKNOWN,
    Reason.PHASE_NOT_BEGUN,
    Reason.SCOPE_NOT_LISTED,
    Reason.COMMERCIAL_USER,
    Reason.CERTIFICATE_TYPE_NOT_ALLOWED,
    Reason.PRECONDITION_MISSING,
    Reason.HOLDER_MATCH_MISSING,
    Reason.ENVELOPE_UNREADABLE,
    Reason.ID_NUMBER_MALFORMED,
    Reason.REQUEST_ID_REUSED,
)
_TOGETHER: Final = (Reason.COUPLE_MISMATCH, Reason.PARTNER_MISSING, Reason.STATE_FORBIDS)


def counter_door(
    desk: Desk, cards: Cards, invitations: Invitations, window: RequiresWindow, clock: Clock, signals: Signals
) -> Door:
    """Visits and the register, for kiosks."""
    door = Door("counters", __name__, url_prefix="/counter", description="For the kiosks at the counters")

    def view(visit: Visit) -> dict[str, Any]:
        matter = desk.office.catalogue.on(visit.matter, shanghai_date(visit.asked_at))
        return schemas.visit_view(visit, matter)

    @door.route("/register")
    @window
    @door.response(200, schemas.RegisterView)
    @door.doc(operationId="getRegister", parameters=[_PROOF])
    @says(*_WINDOW)
    def get_register(proof: Proof) -> dict[str, Any]:
        """See what this window may ask for today"""
        found = desk.register(proof.window, now=clock.now())
        return schemas.register_view(found, desk.office.province)

    @door.route("/visits", methods=["POST"])
    @window
    @door.arguments(schemas.PresentationBody)
    @door.response(202, schemas.VisitView, description="Stored and on its way to the code's province")
    @door.doc(operationId="present", parameters=[_PROOF])
    @says(*_WINDOW, *_PRESENT, *_TOGETHER)
    def present(proof: Proof, body: dict[str, Any]) -> dict[str, Any]:
        """Present a scanned code

        The same request id with the same bytes is a retry and gets the same visit.
        """
        return view(desk.present(proof.window, _presentation(body, body["code"]), now=clock.now()))

    @door.route("/cards", methods=["POST"])
    @window
    @door.arguments(schemas.CardBody)
    @door.response(202, schemas.VisitView, description="Stored; the person at the counter reads the sheet and answers")
    @door.doc(operationId="presentCard", parameters=[_PROOF])
    @says(*_WINDOW, *_PRESENT)
    def present_card(proof: Proof, body: dict[str, Any]) -> dict[str, Any]:
        """Present an ID card

        For somebody without a phone. The reader's word takes the place of a code and says who stands here.
        """
        presentation = replace(_presentation({**body, "match": None}, ""), card=body["card"])
        return view(desk.present(proof.window, presentation, now=clock.now()))

    @door.route("/visits/<request_id>/sheet")
    @window
    @door.response(200, schemas.SheetView)
    @door.doc(operationId="getSheet", parameters=[_PROOF])
    @says(*_WINDOW, Reason.REQUEST_UNKNOWN)
    def get_sheet(proof: Proof, request_id: str) -> dict[str, Any]:
        """Read what the person at the counter is asked to agree to

        Of a visit that began with a card. Show all of it before the pad is signed.
        """
        return {"sheet": cards.sheet(proof.window, request_id, now=clock.now())}

    @door.route("/visits/<request_id>/answer", methods=["POST"])
    @window
    @door.arguments(schemas.PadBody)
    @door.response(202, schemas.VisitView, description="Taken; watch the visit")
    @door.doc(operationId="answerAtCounter", parameters=[_PROOF])
    @says(
        *_WINDOW,
        Reason.BODY_MALFORMED,
        Reason.BODY_INVALID,
        Reason.MEDIA_TYPE,
        Reason.TOO_LARGE,
        Reason.REQUEST_UNKNOWN,
        Reason.APPROVAL_MISMATCH,
        Reason.SECOND_OFFICER_MISSING,
        Reason.STATE_FORBIDS,
        Reason.TIMED_OUT,
    )
    def answer_at_counter(proof: Proof, body: dict[str, Any], request_id: str) -> dict[str, Any]:
        """Hand in the answer given at the counter

        What the enrolled pad or person-ID matcher of this window has signed over the request. Where the sheet says
        `second_officer`, a second officer's staff card has signed too; without it nothing ends, and the same answer may
        be handed in again with the card's word.
        """
        now = clock.now()
        cards.answer(proof.window, request_id, body["pad"], officer_jwt=body["officer"], now=now)
        return view(desk.visit(proof.window, request_id, now=now))

    @door.route("/invitations", methods=["POST"])
    @window
    @door.arguments(schemas.InvitationBody)
    @door.response(201, schemas.InvitationView, description="Show it; the visit appears when a phone has read it")
    @door.doc(operationId="invite", parameters=[_PROOF])
    @says(*_WINDOW, *_PRESENT)
    def invite(proof: Proof, body: dict[str, Any]) -> dict[str, Any]:
        """Invite a phone

        A code for the counter's screen, alive for a minute. The first phone that reads it begins the visit under this
        request id: watch it; until then it is unknown.
        """
        row = invitations.invite(proof.window, _presentation(body, ""), now=clock.now())
        return {
            "request_id": row.request_id,
            "counter": row.counter_jwt,
            "expires_at": rfc3339(row.expires_at),
        }

    @door.route("/invitations/<request_id>", methods=["DELETE"])
    @window
    @door.response(204, description="No phone begins a visit with this code any more")
    @door.doc(operationId="uninvite", parameters=[_PROOF])
    @says(*_WINDOW, Reason.REQUEST_UNKNOWN, Reason.STATE_FORBIDS)
    def uninvite(proof: Proof, request_id: str) -> Response:
        """Take an invitation back

        When the code is shown no more. A phone that was first has begun a visit: then watch that, or clear it.
        """
        invitations.uninvite(proof.window, request_id)
        return Response(status=204)

    @door.route("/visits/<request_id>")
    @window
    @door.response(200, schemas.VisitView, headers={"ETag": {"schema": {"type": "string"}}})
    @door.doc(operationId="watch", parameters=[_PROOF, _WAIT], responses={"304": {"description": "As before"}})
    @says(*_WINDOW, Reason.REQUEST_UNKNOWN, Reason.BODY_INVALID)
    def watch(proof: Proof, request_id: str) -> Response:
        """Watch a visit"""
        known = request.if_none_match
        deadline = time.monotonic() + _wait()
        with signals.listen(visit_topic(request_id)) as ear:
            visit = desk.visit(proof.window, request_id, now=clock.now())
            while known.contains(str(visit.version)) and (left := deadline - time.monotonic()) > 0:
                ear.wait(left)
                visit = desk.visit(proof.window, request_id, now=clock.now())
        body = json.dumps(schemas.VisitView().dump(view(visit)), ensure_ascii=False)
        answer = Response(body, content_type=JSON)
        answer.set_etag(str(visit.version))
        return make_response(answer.make_conditional(request))

    @door.route("/visits/<request_id>", methods=["DELETE"])
    @window
    @door.response(204, description="The copy can be opened no more")
    @door.doc(operationId="clear", parameters=[_PROOF])
    @says(*_WINDOW, Reason.REQUEST_UNKNOWN)
    def clear(proof: Proof, request_id: str) -> Response:
        """Clear a visit from the screen"""
        desk.clear(proof.window, request_id, now=clock.now())
        return Response(status=204)

    return door


def _presentation(body: dict[str, Any], code: str) -> Presentation:
    return Presentation(
        request_id=body["request_id"],
        code=code,
        matter=body["matter"],
        case_number=body["case_number"],
        type=body["type"],
        cause=body["cause"],
        match=body["match"],
        preconditions=tuple(body["preconditions"]),
        digest=digest_of(request.get_data(cache=True)),
        together=None if body.get("together") is None else Together(**body["together"]),
    )


def _wait() -> float:
    text = request.args.get("wait", "0")
    if not (text.isascii() and text.isdigit() and len(text) == 1 and int(text) <= LONGEST_WAIT_S):
        raise Refusal(Reason.BODY_INVALID, detail="wait")
    return float(text)

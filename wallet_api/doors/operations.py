"""The door of those who run the service: health and metrics. Nothing here is about a person."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response
from marshmallow import Schema, fields
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from wallet_api.doors.frame import Meters, offers
from wallet_api.doors.guards import requires_nothing
from wallet_api.doors.problems import Door


class Live(Schema):
    """The process answers."""

    live = fields.Boolean(required=True)


class Ready(Schema):
    """Requests can be answered. `redis` is on, off (not configured) or silent (everything polls)."""

    ready = fields.Boolean(required=True)
    redis = fields.String(required=True)


def operations_door(check: Callable[[], None], redis: Callable[[], str], meters: Meters) -> Door:
    """`check` raises Unavailable where we could not answer; `redis` says how the hints go: on, off or silent."""
    door = Door("operations", __name__, description="For those who run the service")

    @door.route("/health/live")
    @requires_nothing
    @door.response(200, Live)
    @door.doc(operationId="isLive")
    def live() -> dict[str, bool]:
        """The process answers"""
        return {"live": True}

    @door.route("/health/ready")
    @requires_nothing
    @door.response(200, Ready)
    @door.doc(operationId="isReady")
    def ready() -> dict[str, object]:
        """The store answers and its schema is ours

        503 otherwise. Redis only makes things quicker, and its silence is no reason not to be ready.
        """
        check()
        return {"ready": True, "redis": redis()}

    @door.route("/metrics")
    @requires_nothing
    @offers("text/plain", "application/openmetrics-text")
    @door.response(200, {"type": "string"}, content_type="text/plain")
    @door.doc(operationId="getMetrics")
    def metrics() -> Response:
        """Counts and durations for Prometheus"""
        return Response(generate_latest(meters.registry), content_type=CONTENT_TYPE_LATEST)

    return door

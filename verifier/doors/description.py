"""The interface, described: /openapi.json (OpenAPI 3.1). Open, and nothing in it is about a person."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response

from verifier.doors.frame import JSON
from verifier.doors.guards import requires_nothing
from verifier.doors.problems import Door


def description_door(description: Callable[[], Mapping[str, Any]]) -> Door:
    """`description` gives the OpenAPI document, once all doors are there."""
    door = Door("description", __name__, description="The interface, described")

    @door.route("/openapi.json")
    @requires_nothing
    @door.response(200, {"type": "object"})
    @door.doc(operationId="getDescription")
    def openapi() -> Response:
        """This description (OpenAPI 3.1)"""
        return Response(json.dumps(description(), ensure_ascii=False), content_type=JSON)

    return door

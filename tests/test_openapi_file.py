"""The committed description of the vendors' interface: it is the running one, and nothing in it breaks the released one.

docs/openapi/wallet-api.json            what the program says now; after a change: wallet-api openapi > that file
docs/openapi/wallet-api.released.json   what it said in the last release; copied over it when a release is made
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from consent.clock import MovableClock
from tests.openapi_changes import breaking
from wallet_api.description import canonical, describe

FOLDER = Path(__file__).parent.parent / "docs" / "openapi"
CURRENT = FOLDER / "wallet-api.json"
RELEASED = FOLDER / "wallet-api.released.json"
WRITE = "wallet-api openapi > docs/openapi/wallet-api.json"

Change = Callable[[dict[str, Any]], Any]


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_the_file_is_what_the_program_says_of_itself() -> None:
    now = canonical(describe(MovableClock(datetime(2026, 11, 24, tzinfo=UTC))))
    assert now == CURRENT.read_text(encoding="utf-8"), f"the interface changed; look at it, then: {WRITE}"


@pytest.mark.parametrize("path", [CURRENT, RELEASED])
def test_the_files_are_valid_canonical_and_name_no_machine(path: Path) -> None:
    found = read(path)
    validate(found)
    assert canonical(found) == path.read_text(encoding="utf-8")
    assert found["servers"] == [{"url": "/"}]
    assert "sandbox.example" not in path.read_text(encoding="utf-8")


def test_nothing_that_a_vendor_wrote_for_the_released_interface_breaks() -> None:
    assert breaking(read(RELEASED), read(CURRENT)) == []


# The comparison itself, by every kind of change ---------------------------------------------------------------

SMALL: dict[str, Any] = {
    "paths": {
        "/things": {
            "post": {
                "operationId": "make",
                "security": [{"vendor": ["things:write"]}],
                "parameters": [{"in": "header", "name": "Key", "required": True, "schema": {"type": "string"}}],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}},
                },
                "responses": {
                    "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                    "422": {"content": {}},
                },
            },
            "get": {
                "operationId": "list",
                "parameters": [
                    {"in": "query", "name": "limit", "required": False, "schema": {"type": "integer", "maximum": 100}}
                ],
                "responses": {
                    "200": {
                        "headers": {"ETag": {"schema": {"type": "string"}}},
                        "content": {
                            "application/json": {
                                "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}
                            },
                            "text/plain": {"schema": {"type": "string"}},
                        },
                    }
                },
            },
        }
    },
    "components": {
        "securitySchemes": {
            "vendor": {"type": "oauth2", "flows": {"clientCredentials": {"scopes": {"a": "a", "things:write": "w"}}}}
        },
        "schemas": {
            "Body": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 50, "minLength": 1},
                    "kind": {"type": "string", "enum": ["x", "y"]},
                },
            },
            "Thing": {
                "type": "object",
                "required": ["id", "state"],
                "properties": {
                    "id": {"type": "string"},
                    "state": {"type": "string", "enum": ["NEW", "OLD"]},
                    "end": {"anyOf": [{"$ref": "#/components/schemas/End"}, {"type": "null"}]},
                },
            },
            "End": {"type": "object", "required": ["at"], "properties": {"at": {"type": "string"}}},
        },
    },
}


def _post(doc: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = doc["paths"]["/things"]["post"]
    return found


def _get(doc: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = doc["paths"]["/things"]["get"]
    return found


def _schema(doc: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = doc["components"]["schemas"][name]
    return found


BREAKS: dict[str, tuple[Change, list[str]]] = {
    "a path": (lambda d: d["paths"].pop("/things"), ["/things: removed"]),
    "an operation": (lambda d: d["paths"]["/things"].pop("get"), ["GET /things: removed"]),
    "an operation's id": (
        lambda d: _get(d).update(operationId="all"),
        ["GET /things: operationId list became all"],
    ),
    "a token where none was needed": (
        lambda d: _get(d).update(security=[{"vendor": ["a"]}]),
        ["GET /things: needs a token now"],
    ),
    "another scope": (
        lambda d: _post(d).update(security=[{"vendor": ["things:write", "a"]}]),
        ["POST /things: needs scope a"],
    ),
    "a scope that is gone": (
        lambda d: d["components"]["securitySchemes"]["vendor"]["flows"]["clientCredentials"]["scopes"].pop("a"),
        ["security scheme vendor: scope a removed"],
    ),
    "a way to sign in": (
        lambda d: d["components"]["securitySchemes"]["vendor"].update(type="http"),
        ["security scheme vendor: removed or changed"],
    ),
    "a required parameter": (
        lambda d: _get(d)["parameters"].append(
            {"in": "query", "name": "q", "required": True, "schema": {"type": "string"}}
        ),
        ["GET /things: parameter query q is now required"],
    ),
    "a parameter that is gone": (
        lambda d: _get(d)["parameters"].clear(),
        ["GET /things: parameter query limit removed"],
    ),
    "a lower maximum": (
        lambda d: _get(d)["parameters"][0]["schema"].update(maximum=10),
        ["GET /things: parameter query limit: maximum tightened from 100 to 10"],
    ),
    "a body that must be": (
        lambda d: _get(d).update(requestBody={"required": True, "content": {}}),
        ["GET /things: a body is now required"],
    ),
    "a kind of body": (
        lambda d: _post(d)["requestBody"]["content"].clear(),
        ["POST /things: takes application/json no more"],
    ),
    "a required member of a body": (
        lambda d: _schema(d, "Body")["required"].append("kind"),
        ["POST /things body/kind: now required"],
    ),
    "a member that is taken no more": (
        lambda d: _schema(d, "Body")["properties"].pop("kind"),
        ["POST /things body/kind: removed"],
    ),
    "a body that refuses other members": (
        lambda d: _schema(d, "Body").update(additionalProperties=False),
        ["POST /things body: other members are refused now"],
    ),
    "a shorter text": (
        lambda d: _schema(d, "Body")["properties"]["name"].update(maxLength=20),
        ["POST /things body/name: maxLength tightened from 50 to 20"],
    ),
    "a longer text at least": (
        lambda d: _schema(d, "Body")["properties"]["name"].update(minLength=2),
        ["POST /things body/name: minLength tightened from 1 to 2"],
    ),
    "a pattern": (
        lambda d: _schema(d, "Body")["properties"]["name"].update(pattern="^a"),
        ["POST /things body/name: pattern tightened"],
    ),
    "a value that is taken no more": (
        lambda d: _schema(d, "Body")["properties"]["kind"]["enum"].remove("y"),
        ["POST /things body/kind: value y removed"],
    ),
    "values where there was any text": (
        lambda d: _schema(d, "Body")["properties"]["name"].update(enum=["a"]),
        ["POST /things body/name: limited to certain values"],
    ),
    "another type of a member": (
        lambda d: _schema(d, "Body")["properties"]["name"].update(type="integer"),
        ["POST /things body/name: type string became integer"],
    ),
    "a success that is gone": (
        lambda d: _post(d)["responses"].update({"202": _post(d)["responses"].pop("201")}),
        ["POST /things 201: removed"],
    ),
    "a kind of answer": (
        lambda d: _get(d)["responses"]["200"]["content"].pop("text/plain"),
        ["GET /things 200: gives text/plain no more"],
    ),
    "a header": (
        lambda d: _get(d)["responses"]["200"]["headers"].clear(),
        ["GET /things 200: header ETag removed"],
    ),
    "a member of answers": (
        lambda d: _schema(d, "Thing")["properties"].pop("id"),
        ["GET /things 200/*/id: removed", "POST /things 201/id: removed"],
    ),
    "a member that may be missing": (
        lambda d: _schema(d, "Thing")["required"].remove("id"),
        ["GET /things 200/*/id: may now be missing", "POST /things 201/id: may now be missing"],
    ),
    "another type in answers": (
        lambda d: _schema(d, "Thing")["properties"]["id"].update(type="integer"),
        ["GET /things 200/*/id: type string became integer", "POST /things 201/id: type string became integer"],
    ),
    "null where there was none": (
        lambda d: _schema(d, "Thing")["properties"]["id"].update(type=["string", "null"]),
        ["GET /things 200/*/id: type string became null|string", "POST /things 201/id: type string became null|string"],
    ),
    "a value of answers": (
        lambda d: _schema(d, "Thing")["properties"]["state"]["enum"].remove("OLD"),
        ["GET /things 200/*/state: value OLD removed", "POST /things 201/state: value OLD removed"],
    ),
    "a member behind a member that may be null": (
        lambda d: _schema(d, "End")["properties"].pop("at"),
        ["GET /things 200/*/end/at: removed", "POST /things 201/end/at: removed"],
    ),
    "one more alternative": (
        lambda d: _schema(d, "Thing")["properties"]["end"]["anyOf"].append({"type": "string"}),
        ["GET /things 200/*/end: alternatives changed", "POST /things 201/end: alternatives changed"],
    ),
}

KEEPS: dict[str, Change] = {
    "nothing": lambda d: None,
    "a new path": lambda d: d["paths"].update({"/more": deepcopy(d["paths"]["/things"])}),
    "an optional parameter": lambda d: _get(d)["parameters"].append(
        {"in": "query", "name": "q", "required": False, "schema": {"type": "string"}}
    ),
    "an optional member of a body": lambda d: _schema(d, "Body")["properties"].update(more={"type": "string"}),
    "a longer text": lambda d: _schema(d, "Body")["properties"]["name"].update(maxLength=60),
    "a member that may be left out": lambda d: _schema(d, "Body").update(required=[]),
    "one more value that is taken": lambda d: _schema(d, "Body")["properties"]["kind"]["enum"].append("z"),
    "a member of answers": lambda d: _schema(d, "Thing")["properties"].update(more={"type": "string"}),
    "a value of answers": lambda d: _schema(d, "Thing")["properties"]["state"]["enum"].append("LOST"),
    "a problem that is gone": lambda d: _post(d)["responses"].pop("422"),
    "other words": lambda d: _get(d).update(summary="List them all"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_change_that_breaks_vendors_is_named(what: str) -> None:
    change, words = BREAKS[what]
    changed = deepcopy(SMALL)
    change(changed)
    assert breaking(SMALL, changed) == words


@pytest.mark.parametrize("what", KEEPS)
def test_a_change_that_breaks_nobody_is_let_pass(what: str) -> None:
    changed = deepcopy(SMALL)
    KEEPS[what](changed)
    assert breaking(SMALL, changed) == []

"""What in a newer description of an interface (OpenAPI 3.1) breaks a program that was written against an older one.

The rule for vendors: what they send stays taken, what they read stays there. So requests may only be loosened, answers
only be added to. New operations, new optional members, new members of answers, new problems and new values in answers
break nothing. Of JSON Schema it knows what our descriptions use; an alternative that it does not understand must stay
equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Node = Mapping[str, Any]

METHODS: Final = ("get", "put", "post", "delete", "patch", "head", "options")
# (member, whether a smaller value is tighter)
LIMITS: Final = (
    ("maxLength", True),
    ("maximum", True),
    ("maxItems", True),
    ("minLength", False),
    ("minimum", False),
    ("minItems", False),
)


def breaking(released: Node, current: Node) -> list[str]:
    """Every change that breaks, in words, sorted; empty where nothing does."""
    return sorted(_Comparison(released, current).all())


@dataclass(frozen=True, slots=True)
class _Comparison:
    old: Node
    new: Node

    def all(self) -> Iterator[str]:
        for path, methods in self.old["paths"].items():
            if path not in self.new["paths"]:
                yield f"{path}: removed"
                continue
            for method in METHODS:
                if method in methods:
                    yield from self._operation(f"{method.upper()} {path}", methods, self.new["paths"][path], method)
        for name, scheme in self.old.get("components", {}).get("securitySchemes", {}).items():
            yield from self._scheme(name, scheme)

    def _scheme(self, name: str, old: Node) -> Iterator[str]:
        new = self.new.get("components", {}).get("securitySchemes", {}).get(name)
        if new is None or new["type"] != old["type"]:
            yield f"security scheme {name}: removed or changed"
            return
        for flow, row in old.get("flows", {}).items():
            for scope in sorted(set(row["scopes"]) - set(new.get("flows", {}).get(flow, {"scopes": ()})["scopes"])):
                yield f"security scheme {name}: scope {scope} removed"

    def _operation(self, where: str, old_path: Node, new_path: Node, method: str) -> Iterator[str]:
        old, new = old_path[method], new_path.get(method)
        if new is None:
            yield f"{where}: removed"
            return
        if old.get("operationId") != new.get("operationId"):
            yield f"{where}: operationId {old.get('operationId')} became {new.get('operationId')}"
        if new.get("security") and not old.get("security"):
            yield f"{where}: needs a token now"
        elif _scopes(new) - _scopes(old):
            yield f"{where}: needs scope {', '.join(sorted(_scopes(new) - _scopes(old)))}"
        yield from self._parameters(where, _parameters(old_path, old), _parameters(new_path, new))
        yield from self._body(
            where, self._open(self.old, old.get("requestBody")), self._open(self.new, new.get("requestBody"))
        )
        for status, answer in old["responses"].items():
            if status.startswith("2"):
                yield from self._answer(f"{where} {status}", answer, new["responses"].get(status))

    def _parameters(self, where: str, old: Node, new: Node) -> Iterator[str]:
        for key, parameter in new.items():
            if parameter.get("required") and not old.get(key, {}).get("required"):
                yield f"{where}: parameter {key} is now required"
        for key, parameter in old.items():
            if key not in new:
                yield f"{where}: parameter {key} removed"
            else:
                yield from self._schema(f"{where}: parameter {key}", parameter["schema"], new[key]["schema"], sent=True)

    def _body(self, where: str, old: Node, new: Node) -> Iterator[str]:
        if new.get("required") and not old.get("required"):
            yield f"{where}: a body is now required"
        for kind, media in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield f"{where}: takes {kind} no more"
            else:
                yield from self._schema(
                    f"{where} body", media.get("schema", {}), new["content"][kind].get("schema", {}), sent=True
                )

    def _answer(self, where: str, old: Node, new: Node | None) -> Iterator[str]:
        if new is None:
            yield f"{where}: removed"
            return
        old, new = self._open(self.old, old), self._open(self.new, new)
        for name in sorted(set(old.get("headers", {})) - set(new.get("headers", {}))):
            yield f"{where}: header {name} removed"
        for kind, media in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield f"{where}: gives {kind} no more"
            else:
                yield from self._schema(
                    where, media.get("schema", {}), new["content"][kind].get("schema", {}), sent=False
                )

    def _schema(self, where: str, old: Node, new: Node, *, sent: bool) -> Iterator[str]:
        """`sent` schemas are of what vendors send, and may only loosen; the others are of what they read."""
        old, new = self._open(self.old, old), self._open(self.new, new)
        old_types, new_types = _types(old), _types(new)
        narrow, wide = (new_types, old_types) if sent else (old_types, new_types)
        if narrow and (not wide or wide - narrow):
            yield f"{where}: type {_say(old_types)} became {_say(new_types)}"
        old_some, new_some = (_alternatives(each) for each in (old, new))
        if len(old_some) == len(new_some) == 1:
            yield from self._schema(where, old_some[0], new_some[0], sent=sent)
        elif old_some != new_some:
            yield f"{where}: alternatives changed"
        yield from self._values(where, old, new, sent=sent)
        yield from self._members(where, old, new, sent=sent)
        for name in ("items", "additionalProperties"):
            if isinstance(old.get(name), Mapping) and isinstance(new.get(name), Mapping):
                yield from self._schema(f"{where}/{'*' if name == 'items' else '{}'}", old[name], new[name], sent=sent)

    @staticmethod
    def _values(where: str, old: Node, new: Node, *, sent: bool) -> Iterator[str]:
        if "enum" in old and "enum" in new:
            for value in sorted(set(map(str, old["enum"])) - set(map(str, new["enum"]))):
                yield f"{where}: value {value} removed"
        if not sent:
            return
        if "enum" in new and "enum" not in old:
            yield f"{where}: limited to certain values"
        if new.get("pattern") not in (None, old.get("pattern")):
            yield f"{where}: pattern tightened"
        for name, smaller in LIMITS:
            before, after = old.get(name), new.get(name)
            if after is not None and (before is None or (after < before if smaller else after > before)):
                yield f"{where}: {name} tightened from {before} to {after}"

    def _members(self, where: str, old: Node, new: Node, *, sent: bool) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        if sent:
            for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
                yield f"{where}/{name}: now required"
            if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
                yield f"{where}: other members are refused now"
        for name, schema in before.items():
            if name not in after:
                yield f"{where}/{name}: removed"
                continue
            if not sent and name in old.get("required", ()) and name not in new.get("required", ()):
                yield f"{where}/{name}: may now be missing"
            yield from self._schema(f"{where}/{name}", schema, after[name], sent=sent)

    @staticmethod
    def _open(document: Node, node: Node | None) -> Node:
        """The node behind a reference inside the document."""
        found: Any = node or {}
        while "$ref" in found:
            target: Any = document
            for part in found["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            found = target
        return found  # type: ignore[no-any-return]


def _parameters(path: Node, operation: Node) -> dict[str, Any]:
    found = [*path.get("parameters", ()), *operation.get("parameters", ())]
    return {f"{each['in']} {each['name']}": each for each in found}


def _scopes(operation: Node) -> set[str]:
    return {scope for row in operation.get("security", ()) for scopes in row.values() for scope in scopes}


def _types(schema: Node) -> set[str]:
    """The JSON types that a schema names, "null" also from among its alternatives."""
    named = schema.get("type", ())
    found = {named} if isinstance(named, str) else set(named)
    if any(each.get("type") == "null" for key in ("anyOf", "oneOf") for each in schema.get(key, ())):
        found.add("null")
    return found


def _alternatives(schema: Node) -> list[Any]:
    return [each for key in ("allOf", "anyOf", "oneOf") for each in schema.get(key, ()) if each.get("type") != "null"]


def _say(types: set[str]) -> str:
    return "|".join(sorted(types)) or "anything"

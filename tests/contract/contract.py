"""Neon's published contract, as a judge of requests and answers.

`neon-openapi.json` beside this file holds the operations that neontest meets, as facts taken from the OpenAPI document
in the npm package @neondatabase/api-client 2.7.3 (2026-11-22). The contract leaves objects open, so a misspelt optional
field would pass: keys that no schema names are refused here too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

DOCUMENT = Path(__file__).with_name("neon-openapi.json")
URN = "urn:neon"

Query = str | Mapping[str, Any] | Iterable[tuple[str, Any]] | None


class ContractViolation(AssertionError):
    """A request or an answer is not what the contract says; the message lists every point."""


class Contract:
    """Checks one exchange at a time; a check that finds something raises ContractViolation.

    `path` may be a whole URL, may have `/api/v2` before it and a query behind it. `body` is the parsed JSON, and None
    for no body at all.
    """

    def __init__(self, document: Path = DOCUMENT) -> None:
        self._document: dict[str, Any] = json.loads(document.read_text())
        self._registry = Registry().with_resource(
            URN, Resource.from_contents(_absolute(self._document), default_specification=DRAFT4)
        )
        # A literal segment wins over a parameter: /branches/count is not the branch "count".
        templates = sorted(self._document["paths"], key=lambda template: template.count("{"))
        self._paths = [(_pattern(template), template) for template in templates]
        self._validators: dict[str, Any] = {}
        self.seen: set[tuple[str, str]] = set()
        """(method, operationId) of every answer checked so far."""

    def check_request(self, method: str, path: str, query: Query = None, body: object = None) -> None:
        """The operation exists, its parameters and body are valid, and every key is a known one."""
        template, values, operation = self._operation(method, path)
        given = dict(_pairs(query)) | dict(parse_qsl(path.partition("?")[2]))
        faults: list[str] = []
        parameters = list(self._parameters(template, operation))
        for parameter in parameters:
            name, where = parameter["name"], parameter["in"]
            source = values if where == "path" else given
            if name in source:
                value = _typed(source[name], self._resolve(parameter["schema"]))
                faults += self._faults(parameter["schema"], value, f"{where} {name}")
            elif parameter.get("required"):
                faults.append(f"{where} {name} is missing")
        known = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
        faults += [f"query {name} is not a parameter of the operation" for name in given if name not in known]
        faults += self._body_faults(operation.get("requestBody"), body)
        self._raise(faults, f"request {method} {path}")

    def check_response(self, method: str, path: str, status: int, body: object = None) -> None:
        """The status belongs to the operation, and the body is what the contract says for it."""
        _, _, operation = self._operation(method, path)
        responses = operation["responses"]
        response = responses.get(str(status))
        if response is None and status >= 400:
            response = responses["default"]
        if response is None:
            self._raise([f"status {status} is none of {', '.join(responses)}"], f"answer to {method} {path}")
        content = self._resolve(response).get("content")
        if content is None:
            faults = [] if body is None else [f"a {status} has no body, got {_short(body)}"]
        else:
            schema = content["application/json"]["schema"]
            faults = [*self._faults(schema, body, "body"), *self._unknown(schema, body, "body")]
        self._raise(faults, f"answer {status} to {method} {path}")
        self.seen.add((method.upper(), operation["operationId"]))

    def operations(self) -> frozenset[tuple[str, str]]:
        """(method, operationId) of everything in the contract."""
        return frozenset(
            (method.upper(), operation["operationId"])
            for item in self._document["paths"].values()
            for method, operation in item.items()
            if method != "parameters"
        )

    def _operation(self, method: str, path: str) -> tuple[str, dict[str, str], dict[str, Any]]:
        bare = re.sub(r"^https?://[^/]+", "", path).partition("?")[0].removeprefix("/api/v2")
        for pattern, template in self._paths:
            item = self._document["paths"][template]
            if (match := pattern.fullmatch(bare)) and method.lower() in item:
                return template, {k: unquote(v) for k, v in match.groupdict().items()}, item[method.lower()]
        raise ContractViolation(f"{method} {bare} is no operation of the contract")

    def _parameters(self, template: str, operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for parameter in [*self._document["paths"][template].get("parameters", []), *operation.get("parameters", [])]:
            yield self._resolve(parameter)

    def _body_faults(self, expected: dict[str, Any] | None, body: object) -> list[str]:
        if expected is None:
            return [] if body is None else [f"the operation takes no body, got {_short(body)}"]
        if body is None:
            return ["the body is missing"] if expected.get("required") else []
        schema = expected["content"]["application/json"]["schema"]
        return [*self._faults(schema, body, "body"), *self._unknown(schema, body, "body")]

    def _faults(self, schema: dict[str, Any], value: object, where: str) -> list[str]:
        key = json.dumps(schema, sort_keys=True)
        if (validator := self._validators.get(key)) is None:
            validator = self._validators[key] = OAS30Validator(
                _absolute(schema), registry=self._registry, format_checker=oas30_format_checker
            )
        return [
            ".".join([where, *map(str, error.absolute_path)]) + f": {error.message}"
            for error in validator.iter_errors(value)
        ]

    def _unknown(self, schema: dict[str, Any], value: object, where: str) -> Iterator[str]:
        """Keys that no schema names, at any depth."""
        schema = self._resolve(schema)
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._unknown(schema.get("items", {}), item, f"{where}.{index}")
        elif isinstance(value, dict):
            properties, extra = self._properties(schema)
            for key, item in value.items():
                inner = properties.get(key, extra)
                if inner is None:
                    yield f"{where}: {key!r} is no known property"
                else:
                    yield from self._unknown(inner, item, f"{where}.{key}")

    def _properties(self, schema: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        schema = self._resolve(schema)
        properties: dict[str, Any] = dict(schema.get("properties", {}))
        extra: dict[str, Any] | None = schema.get("additionalProperties")
        if not properties and extra is None and "allOf" not in schema:
            extra = {}  # a free object: nothing to know
        for part in schema.get("allOf", []):
            more, free = self._properties(part)
            properties |= more
            extra = extra if extra is not None else free
        return properties, extra

    def _resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:  # what stands beside a $ref is ignored, in OpenAPI 3.0
            found: Any = self._document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            schema = found
        return schema

    def _raise(self, faults: Iterable[str], what: str) -> None:
        if points := list(faults):
            raise ContractViolation(f"{what} breaks the contract:\n  " + "\n  ".join(points))


@cache
def contract() -> Contract:
    """One loaded contract for everybody in this process."""
    return Contract()


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template)))


def _absolute(value: Any) -> Any:
    """The same JSON, its references pointing into the registered document."""
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            return {"$ref": URN + reference if reference.startswith("#") else reference}
        return {key: _absolute(item) for key, item in value.items()}
    return [_absolute(item) for item in value] if isinstance(value, list) else value


def _pairs(query: Query) -> Iterator[tuple[str, Any]]:
    if isinstance(query, str):
        yield from parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    elif isinstance(query, Mapping):
        yield from query.items()
    elif query is not None:
        yield from query


def _typed(value: object, schema: dict[str, Any]) -> object:
    """A parameter's text as its schema's type, or as it is where it is no such thing."""
    if isinstance(value, str):
        if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", value):
            return int(value)
        if schema.get("type") == "boolean":
            return {"true": True, "false": False}.get(value, value)
    return value


def _short(value: object) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) < 80 else text[:77] + "…"

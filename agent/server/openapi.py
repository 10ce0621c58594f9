"""The API, described as OpenAPI 3.1, for programs and for those who write them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

ERRORS = {
    400: "What was sent is not as it should be.",
    401: "The token is missing or wrong.",
    403: "This may not be asked from there.",
    404: "There is no such thing.",
    405: "This cannot be done here.",
    408: "The request did not arrive in time.",
    409: "What is kept on disk cannot be read, or not be written.",
    413: "The request is too large.",
    415: "The request is of another kind.",
    422: "The request has been understood, and cannot be done.",
    429: "Too much was asked; Retry-After says how long to wait.",
    503: "Not now; Retry-After may say when.",
}

_CALL = {
    "name": "call",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[0-9a-z]+$"},
}

_PERSON = {
    "name": "name",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 60},
}


def openapi(orders: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """Return the description.

    Args:
        orders: what may be done to a call, by the last part of its path, and what it wants.
    """
    call = _object(
        call="string", profile="string", name="string", started_at="string", muted="boolean"
    )
    paths: dict[str, Any] = {
        "/healthz": {"get": _get("Whether the event loop turns.", _object(status="string"))},
        "/api/info": {"get": _get("What a page has to know first.", _info())},
        "/api/profiles": {"get": _get("The characters.", _list("profiles", _profile()))},
        "/api/calls": {
            "get": _get("The calls under way.", _list("calls", call)),
            "post": _post("Begin a call, or go on with one.", _offer(), _started(), 201),
        },
        "/api/calls/{call}": {
            "parameters": [_CALL],
            "get": _get("A call under way.", call),
            "delete": _delete("Hang up.", "It is over.", operationId="hang_up"),
        },
        "/api/openapi.json": {"get": _get("This description.", {"type": "object"})},
        "/api/speakers": {
            "get": _get("Whose voices are known.", _voices()),
            "post": _post("Make a voice known.", _clips(), _voice(), 201, "multipart/form-data"),
        },
        "/api/speakers/{name}": {
            "parameters": [_PERSON],
            "delete": _delete("Forget a voice, and what is remembered of it.", "It is forgotten."),
        },
        "/api/memories": {
            "get": _get("Of whom something is remembered.", _list("memories", _remembered()))
        },
        "/api/memories/{name}": {
            "parameters": [_PERSON],
            "get": _get("All that is remembered of a person.", _person()),
            "delete": _delete("Forget what is remembered of a person.", "It is forgotten."),
        },
    }
    for name, wanted in orders.items():
        schema = wanted.model_json_schema()
        summary = (wanted.__doc__ or "").splitlines()[0]
        status = 202 if name == "say" else 200
        path = f"/api/calls/{{call}}/{name}"
        paths[path] = {"parameters": [_CALL], "post": _post(summary, schema, call, status)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FirstWord",
            "version": importlib.metadata.version("firstword"),
            "description": "A voice agent you can call from a browser.",
        },
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def _get(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _json(summary, schema)} | _errors()}


def _post(
    summary: str,
    body: dict[str, Any],
    schema: dict[str, Any],
    status: int,
    kind: str = "application/json",
) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {kind: {"schema": body}}},
        "responses": {str(status): _json("It was done.", schema)} | _errors(),
    }


def _delete(summary: str, done: str, **more: str) -> dict[str, Any]:
    return {"summary": summary, **more, "responses": {"204": {"description": done}} | _errors()}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors() -> dict[str, Any]:
    sentence = _object(error="string")
    return {str(status): _json(said, sentence) for status, said in ERRORS.items()}


def _object(**fields: str | dict[str, Any]) -> dict[str, Any]:
    properties = {
        name: {"type": field} if isinstance(field, str) else field for name, field in fields.items()
    }
    return {"type": "object", "properties": properties, "required": list(fields)}


def _list(name: str, item: dict[str, Any]) -> dict[str, Any]:
    return _object(**{name: {"type": "array", "items": item}})


def _info() -> dict[str, Any]:
    servers = {"type": "array", "items": {"type": "object"}}
    return _object(
        version="string",
        token_required="boolean",
        max_calls="integer",
        calls="integer",
        ice_servers=servers,
    )


def _profile() -> dict[str, Any]:
    texts = dict.fromkeys(("id", "name", "avatar", "language", "greeting", "why"), "string")
    return _object(**texts, default="boolean", usable="boolean")


def _voices() -> dict[str, Any]:
    return _object(speakers={"type": "array", "items": _voice()}, why_not="string")


def _voice() -> dict[str, Any]:
    return _object(name="string", clips="integer", seconds="number")


def _clips() -> dict[str, Any]:
    clip = {"type": "string", "format": "binary"}
    return _object(
        name={"type": "string", "minLength": 1, "maxLength": 60},
        clip={"type": "array", "items": clip, "minItems": 1, "maxItems": 10},
    )


def _remembered(**more: dict[str, Any]) -> dict[str, Any]:
    texts = dict.fromkeys(("name", "profile", "since", "latest"), "string")
    numbers = dict.fromkeys(("kept", "summed", "dropped", "days"), "integer")
    return _object(**texts, **numbers, **more)


def _person() -> dict[str, Any]:
    turn = _object(at="string", caller="string", reply="string", interrupted="boolean")
    words = _remembered(summary={"type": "string"}, turns={"type": "array", "items": turn})
    return _object(name="string", memories={"type": "array", "items": words})


def _offer() -> dict[str, Any]:
    wanted = _object(
        sdp={"type": "string", "minLength": 1, "maxLength": 65536},
        type={"type": "string", "const": "offer"},
    )
    wanted["properties"]["profile"] = {
        "type": ["string", "null"],
        "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$",
    }
    wanted["properties"]["session"] = {"type": ["string", "null"], "maxLength": 200}
    return wanted | {"additionalProperties": False}


def _started() -> dict[str, Any]:
    return _object(call="string", session="string", sdp="string", type="string")

"""The JSON Schema of a profile file, for editors: with the options of every stage there is."""

from __future__ import annotations

from typing import Any

from agent.profile.shape import Profile
from stages import registry
from stages.contracts import Kind, Options
from stages.errors import UserError


def json_schema() -> dict[str, Any]:
    """Return the schema of a profile file as a person writes it.

    Nothing is required, since ``extends`` may bring it. The options of a stage that cannot be
    imported here are let through.
    """
    schema = Profile.model_json_schema()
    schema.pop("required", None)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    properties, definitions = schema["properties"], schema["$defs"]
    properties["extends"] = {"type": "string", "description": "id of the profile to build on"}
    for section, kind in Profile.KINDS.items():
        rules = _options(kind, definitions)
        short = {"type": "string", "description": "short for the engine; of turn: the preset"}
        whole = {"allOf": [properties[section], *rules]}
        properties[section] = {"anyOf": [short, {"type": "null"}, whole]}
    return schema


def _options(kind: Kind, definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a rule a stage: if it is the engine, these are its options."""
    rules = []
    for name in registry.names(kind):
        try:
            options: type[Options] = registry.find(kind, name).options
        except UserError:
            continue
        prefix = f"{kind}-{name}-"
        own = options.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
        for model, definition in own.get("$defs", {}).items():
            definitions[prefix + model] = definition
        engine = {"properties": {"engine": {"const": name}}, "required": ["engine"]}
        rules.append({"if": engine, "then": {"properties": own.get("properties", {})}})
    return rules

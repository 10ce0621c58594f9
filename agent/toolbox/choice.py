"""How a profile chooses tools."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

NAME = r"^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$"
NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
BuiltinName: TypeAlias = Literal["time", "calculate", "timer", "hang_up", "switch_character"]


class _Choice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BuiltinChoice(_Choice):
    """A tool that comes along; in YAML its name alone will do."""

    kind: Literal["builtin"] = "builtin"
    name: BuiltinName


class _Described(_Choice):
    name: str = Field(pattern=NAME)
    description: str = Field(min_length=1, max_length=1_000, description="for the model")
    parameters: dict[str, Any] = Field(
        default=NO_ARGUMENTS, description="JSON Schema of the arguments"
    )
    within_s: float = Field(default=5.0, gt=0, le=60, description="seconds it may take")
    effect: bool = Field(
        default=True, description="it changes something: it waits until the turn is over for sure"
    )

    @field_validator("parameters")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"is no JSON Schema: {error.message[:200]}") from None
        if schema.get("type") != "object":
            raise ValueError("must be the schema of an object: {type: object, properties: …}")
        return schema


class MqttChoice(_Described):
    """Publishes the arguments as JSON; with a reply topic, waits for what comes back."""

    kind: Literal["mqtt"]
    topic: str = Field(min_length=1, max_length=500, pattern=r"^[^#+\x00]+$")
    reply_topic: str = Field(default="", max_length=500, pattern=r"^[^#+\x00]*$")
    payload: str | None = Field(
        default=None, max_length=4_000, description="instead of JSON: {name} is an argument"
    )


class HttpChoice(_Described):
    """Asks a server: the one in ``url``, and no other."""

    kind: Literal["http"]
    url: str = Field(max_length=1_000, description="{name} in its path or query is an argument")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"

    @field_validator("url")
    @classmethod
    def _is_fixed(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an address like http://host/path")
        if "{" in parts.netloc or parts.username:
            raise ValueError("must name its host in clear, without a user")
        return url


class PythonChoice(_Choice):
    """A tool that an installed package brings: an entry point of the group ``firstword.tool``."""

    kind: Literal["python"]
    name: str = Field(pattern=NAME)


class McpChoice(_Choice):
    """The tools of an MCP server: one that we start, or one that is asked over HTTP."""

    kind: Literal["mcp"]
    name: str = Field(pattern=NAME, description="for sentences about it")
    command: tuple[str, ...] = Field(default=(), max_length=50, description="starts the server")
    url: str = Field(default="", pattern=r"^(https?://[^\s]+)?$", max_length=1_000)
    tools: tuple[str, ...] = Field(default=(), max_length=100, description="empty: all it has")
    within_s: float = Field(default=5.0, gt=0, le=60, description="seconds a tool may take")
    effect: bool = Field(default=True, description="they change something")

    @model_validator(mode="after")
    def _is_one(self) -> McpChoice:
        if bool(self.command) == bool(self.url):
            raise ValueError("needs a command, or a url, and not both")
        return self


def _short(data: Any) -> Any:
    return {"kind": "builtin", "name": data} if isinstance(data, str) else data


ToolChoice: TypeAlias = Annotated[
    BuiltinChoice | MqttChoice | HttpChoice | PythonChoice | McpChoice,
    Field(discriminator="kind"),
    BeforeValidator(_short, json_schema_input_type=dict | str),
]

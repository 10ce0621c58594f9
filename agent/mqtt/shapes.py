"""The JSON of every topic. ``docs/mqtt.schema.json`` is made from these."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import models_json_schema

from agent.messages import LONGEST_TEXT

VERSION = 1
"""Of the topics and their JSON. It changes when a field goes or changes its meaning; new fields
may come at any time, and readers must let them pass."""

ID = r"^[A-Za-z0-9_.:-]{1,64}$"


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# --- what we publish ------------------------------------------------------------------------


class AgentState(_Shape):
    """``state`` (retained): what the agent as a whole is doing."""

    state: Literal["idle", "listening", "thinking", "speaking"]
    calls: int  # under way
    call: str | None = None  # the one that changed last
    profile: str | None = None  # of that call


class CallEvent(_Shape):
    """``call``: a call started, became another character, or ended."""

    event: Literal["started", "switched", "ended"]
    call: str
    profile: str
    name: str  # of the character
    at: str  # wall clock, ISO 8601


class Words(_Shape):
    """``transcript`` and ``transcript/partial``: what the caller said. Off by default."""

    call: str
    turn: int
    text: str
    stable: int  # characters that no later partial changes; all of a final
    final: bool


class Answered(_Shape):
    """``reply``: what the caller heard of a reply."""

    call: str
    turn: int  # 0: a greeting or an announcement
    reply: int
    text: str
    interrupted: bool


class Latency(_Shape):
    """``latency``: a turn's record without its words, as ``firstword turns --json`` shows it."""

    call: str
    turn: int
    first_response_ms: float | None
    record: dict[str, Any]


class Figures(_Shape):
    """``figures`` (retained): the latest turns in numbers, and what was thrown away."""

    last_first_response_ms: float | None = None
    p50_first_response_ms: float | None = None
    p95_first_response_ms: float | None = None
    turns: int = 0  # since the start
    dropped_latency: int = 0  # records that gave way while the broker was away
    dropped_other: int = 0
    connections: int = 0  # to the broker, this one included


class Trouble(_Shape):
    """``error``: something failed, as the caller was told."""

    call: str
    sentence: str


class Answer(_Shape):
    """``answer``: what became of a command."""

    id: str | None  # the command's own
    command: str
    ok: bool
    call: str | None = None  # the one it was done to
    error: str | None = None  # a sentence


# --- what may be asked ----------------------------------------------------------------------


class _Command(_Shape):
    id: str | None = Field(default=None, pattern=ID, description="comes back in the answer")
    call: str | None = Field(
        default=None, pattern=ID, description="which call; none: the one that began last"
    )


class SayCommand(_Command):
    """``command/say``: have the character say a text, as soon as nobody has the word."""

    text: str = Field(min_length=1, max_length=LONGEST_TEXT)


class SwitchCommand(_Command):
    """``command/switch``: go on as another character, at the next clause."""

    profile: str = Field(min_length=1, max_length=64)


class MuteCommand(_Command):
    """``command/mute``: let the call hear silence instead of the caller, or the caller again."""

    muted: bool = True


class HangUpCommand(_Command):
    """``command/hangup``: end the call."""


class StateCommand(_Command):
    """``command/state``: publish the retained topics again."""


Command = SayCommand | SwitchCommand | MuteCommand | HangUpCommand | StateCommand

COMMANDS: dict[str, type[Command]] = {
    "say": SayCommand,
    "switch": SwitchCommand,
    "mute": MuteCommand,
    "hangup": HangUpCommand,
    "state": StateCommand,
}

_PLAIN = {"say": "text", "switch": "profile"}
"""The field that a payload which is no JSON object stands for: what simple senders send."""

LONGEST_PAYLOAD = 16 * 1024
"""Bytes of a command, at most."""


def read_command(name: str, payload: bytes) -> Command:
    """Read a command's payload: a JSON object; for ``say`` and ``switch`` also plain text.

    Raises:
        ValueError: with a sentence that says what is wrong.
    """
    if name not in COMMANDS:
        raise ValueError(f"There is no such command; there are: {', '.join(COMMANDS)}.")
    if len(payload) > LONGEST_PAYLOAD:
        raise ValueError(f"The payload is longer than {LONGEST_PAYLOAD} bytes.")
    try:
        return COMMANDS[name].model_validate(_fields(name, payload.decode("utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the payload"
        raise ValueError(f"In {name} {where} is wrong: {first['msg']}.") from None
    except UnicodeDecodeError:
        raise ValueError("The payload is no UTF-8.") from None


def _fields(name: str, text: str) -> object:
    plain = _PLAIN.get(name)
    try:
        told = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict):
        return told
    return {plain: text} if plain else told


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of every payload, by its model's name."""
    published = (AgentState, CallEvent, Words, Answered, Latency, Figures, Trouble, Answer)
    models: list[type[BaseModel]] = [*published, *COMMANDS.values()]
    _, definitions = models_json_schema([(model, "validation") for model in models])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"FirstWord over MQTT, version {VERSION}",
        **definitions,
    }

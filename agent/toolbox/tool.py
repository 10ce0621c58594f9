"""What a tool is, and what it may ask of the call it serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Arguments: TypeAlias = Mapping[str, Any]
"""As JSON knows them, checked against the tool's schema."""


class ToolFailed(Exception):
    """A tool could not do it; the sentence is for the model, which tells the caller."""


class Broker(Protocol):
    """An MQTT broker, if there is one."""

    async def ask(self, topic: str, payload: str, reply_topic: str) -> str:
        """Publish, and return the first answer on ``reply_topic``; empty at once without one.

        Raises:
            ToolFailed: no connection stands.
        """


class Hands(Protocol):
    """What a tool may do to its own call."""

    def say_later(self, seconds: float, text: str) -> bool:
        """Say a text after a while, in this call; false when too many wait."""

    def end_after_reply(self) -> None:
        """Hang up once the reply under way has been said."""

    async def switch(self, profile_id: str) -> None:
        """Go on as another character.

        Raises:
            CallRefused: there is none of that name.
        """

    broker: Broker | None
    """The broker that this server follows calls on; none without one."""


Run: TypeAlias = Callable[[Arguments, Hands], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a character may do.

    Attributes:
        parameters: JSON Schema of the arguments: an object.
        run: does it, and returns what the model is to know. It may raise ``ToolFailed``;
            cancelling it must stop it.
        effect: it changes something: it waits until the caller's turn is certainly over.
        within_s: how long it may take.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Run
    effect: bool = True
    within_s: float = 5.0

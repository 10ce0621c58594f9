"""The tools of one character in one call: whatever a model asks for, there is an answer in time."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
from jsonschema import Draft202012Validator
from referencing import Registry

from agent.timeline import ToolUse
from agent.toolbox.builtin import builtin
from agent.toolbox.choice import (
    BuiltinChoice,
    HttpChoice,
    McpChoice,
    MqttChoice,
    PythonChoice,
    ToolChoice,
)
from agent.toolbox.remote import http_tool, mqtt_tool, python_tool
from agent.toolbox.tool import Hands, Tool, ToolFailed
from stages.events import ToolCall, ToolSpec

LONGEST_RESULT = 4_000
"""Characters of a result that the model is shown: it reads them all before its next word."""
MOST_AT_ONCE = 8
"""Tools that run in one round, at most."""

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+")
_log = logging.getLogger(__name__)


def open_belt(
    choices: Iterable[ToolChoice],
    language: str,
    hands: Hands,
    found: Callable[[McpChoice], Sequence[Tool]] = lambda choice: (),
) -> Belt:
    """Make the tools that a profile chooses.

    Args:
        choices: the profile's.
        language: of the answers of those that come along.
        hands: what they may do to the call.
        found: gives the tools of an MCP server that is open.

    Raises:
        ProfileError: an installed package does not bring one of them.
    """
    tools: list[Tool] = []
    for choice in choices:
        tools += found(choice) if isinstance(choice, McpChoice) else [_made(choice, language)]
    return Belt({tool.name: tool for tool in tools}, hands)


def _made(choice: BuiltinChoice | MqttChoice | HttpChoice | PythonChoice, language: str) -> Tool:
    match choice:
        case BuiltinChoice():
            return builtin(choice.name, language)
        case MqttChoice():
            return mqtt_tool(choice)
        case HttpChoice():
            return http_tool(choice)
        case PythonChoice():
            return python_tool(choice.name)


@dataclass(eq=False)
class Belt:
    """Tools by name."""

    tools: dict[str, Tool]
    hands: Hands

    def specs(self) -> tuple[ToolSpec, ...]:
        """Return what the model is told of them."""
        return tuple(
            ToolSpec(tool.name, tool.description, json.dumps(tool.parameters))
            for tool in self.tools.values()
        )

    async def run(self, call: ToolCall, sure: anyio.Event) -> tuple[str, bool]:
        """Do what a model asks for; return what it is to know, and whether it was done.

        Cancelling stops the tool. Nothing but cancellation is ever raised.

        Args:
            call: unchecked, as the model wrote it.
            sure: set once the caller's turn is certainly over: effects wait for it.
        """
        tool = self.tools.get(call.name)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            return f"There is no tool {call.name[:64]!r}; there are: {known}.", False
        try:
            arguments = _checked(tool, call.arguments)
            if tool.effect:
                await sure.wait()
            with anyio.fail_after(tool.within_s):
                return _cut(await tool.run(arguments, self.hands)), True
        except ToolFailed as error:
            return _cut(str(error)), False
        except TimeoutError:
            return f"The tool {tool.name} did not answer within {tool.within_s:g} s.", False
        except Exception:  # noqa: BLE001  # a foreign tool may raise anything
            _log.warning("the tool %s failed", tool.name, exc_info=True)
            return f"The tool {tool.name} failed.", False


def _checked(tool: Tool, text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise ToolFailed(f"The arguments of {tool.name} were no JSON; nothing was done.") from None
    # an empty registry: a schema of a stranger's server has nothing fetched for it
    checker = Draft202012Validator(tool.parameters, registry=Registry())
    error = next(checker.iter_errors(arguments), None)
    if error is not None:
        reason = error.message[:300]
        raise ToolFailed(f"The arguments of {tool.name} were wrong, nothing was done: {reason}.")
    if not isinstance(arguments, dict):
        raise ToolFailed(f"The arguments of {tool.name} were no object; nothing was done.")
    return arguments


def _cut(text: str) -> str:
    text = _UNPRINTABLE.sub(" ", text).strip()
    if len(text) <= LONGEST_RESULT:
        return text
    return text[:LONGEST_RESULT] + f"… ({len(text) - LONGEST_RESULT} more characters were cut.)"


@dataclass(eq=False)
class Errands:
    """The tools of one reply.

    Attributes:
        sure: set once the caller's turn is certainly over.
        used: what was asked for, in order.
    """

    belt: Belt
    sure: anyio.Event = field(default_factory=anyio.Event)
    used: list[ToolUse] = field(default_factory=list)

    async def run(self, calls: Sequence[ToolCall]) -> list[str]:
        """Do several calls side by side; return what the model is to know of each, in order."""
        answers = ["Too many tools at once; this one was not done."] * len(calls)

        async def one(place: int, call: ToolCall) -> None:
            begun = anyio.current_time()
            answers[place], ok = await self.belt.run(call, self.sure)
            ms = round((anyio.current_time() - begun) * 1000, 1)
            self.used.append(ToolUse(call.name[:64], ms, ok))

        async with anyio.create_task_group() as tasks:
            for place, call in enumerate(calls[:MOST_AT_ONCE]):
                tasks.start_soon(one, place, call)
        return answers

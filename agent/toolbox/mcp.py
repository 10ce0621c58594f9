"""Tools of MCP servers, over stdio or HTTP, with the official client.

A server is opened when a character that wants it is first cast, and serves all calls from then
on. One that dies is opened anew for the next call; the calls that have it are told so by the tool.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus

from agent.toolbox.choice import McpChoice, ToolChoice
from agent.toolbox.tool import Arguments, Hands, Tool, ToolFailed

CONNECT_S = 10.0
"""How long a server may take to start and to list its tools."""
MOST_TOOLS = 32
"""Tools of one server that a model is told of, at most: it reads them all before its first word."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, slots=True)
class _Opened:
    """A server that was opened; it may have broken since."""

    tools: tuple[Tool, ...]
    broken: anyio.Event


@dataclass(eq=False)
class McpServers:
    """The servers that characters want, each opened once."""

    _tasks: TaskGroup
    _open: dict[McpChoice, _Opened] = field(default_factory=dict)
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    def tools(self, choice: McpChoice) -> tuple[Tool, ...]:
        """Return the tools of a server; none where it could not be opened, or has broken."""
        return self._open[choice].tools if self._stands(choice) else ()

    async def connect(self, choices: Iterable[ToolChoice]) -> None:
        """Open the servers among these choices, within ``CONNECT_S`` each; a failure is logged."""
        for choice in choices:
            if isinstance(choice, McpChoice):
                async with self._lock:
                    if not self._stands(choice):
                        await self._connect(choice)

    def _stands(self, choice: McpChoice) -> bool:
        # One that broke is let go of beside this, and that takes its time: nobody waits for it.
        return choice in self._open and not self._open[choice].broken.is_set()

    async def _connect(self, choice: McpChoice) -> None:
        reason = f"it was not ready within {CONNECT_S:g} s"
        with anyio.move_on_after(CONNECT_S):
            reason = await self._tasks.start(self._keep, choice)
        if reason:
            _log.warning("The MCP server %s gives no tools: %s.", choice.name, reason)

    async def _keep(self, choice: McpChoice, *, task_status: TaskStatus[str]) -> None:
        """Hold a server open until it fails, or the block of ``open_mcp`` ends."""
        opened: _Opened | None = None
        try:
            async with _client(choice) as client:
                listed = (await client.list_tools()).tools
                wanted = [one for one in listed if not choice.tools or one.name in choice.tools]
                broken = anyio.Event()
                made = (_tool(choice, client, one, broken) for one in wanted[:MOST_TOOLS])
                self._open[choice] = opened = _Opened(tuple(made), broken)
                task_status.started("")
                await broken.wait()  # the client itself says nothing when its server dies
                _log.warning("The MCP server %s broke; it is opened anew when wanted.", choice.name)
        except Exception as error:  # noqa: BLE001  # the server is not ours; no call may end by it
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            if opened:
                _log.warning("The MCP server %s is gone: %s", choice.name, error)
            else:
                task_status.started(str(error) or type(error).__name__)
        finally:
            if self._open.get(choice) is opened:  # and not the one that was opened after it broke
                self._open.pop(choice, None)


def _client(choice: McpChoice) -> Any:
    """Return the client of a server, not opened yet.

    Raises:
        ToolFailed: the package is not installed.
    """
    try:
        from mcp import Client, StdioServerParameters
    except ImportError as error:
        raise ToolFailed("install it with: pip install 'firstword[mcp]'") from error
    if choice.url:
        return Client(choice.url, read_timeout_seconds=choice.within_s)
    command, *arguments = choice.command
    server = StdioServerParameters(command=command, args=arguments)
    return Client(server, read_timeout_seconds=choice.within_s)


def _tool(choice: McpChoice, client: Any, listed: Any, broken: anyio.Event) -> Tool:
    async def run(arguments: Arguments, hands: Hands) -> str:
        try:
            result = await client.call_tool(listed.name, dict(arguments))
        except Exception as error:  # the server may be gone, or answer what is no MCP
            broken.set()
            raise ToolFailed(f"The server {choice.name} did not do it: {error}") from error
        text = "\n".join(part.text for part in result.content if hasattr(part, "text"))
        if result.is_error:
            raise ToolFailed(text or "The tool failed.")
        return text or "Done."

    schema = listed.input_schema or {"type": "object"}
    about = (listed.description or listed.name)[:1_000]
    return Tool(listed.name, about, schema, run, choice.effect, choice.within_s)


@asynccontextmanager
async def open_mcp() -> AsyncIterator[McpServers]:
    """Keep servers open for as long as the block lasts."""
    async with anyio.create_task_group() as tasks:
        yield McpServers(tasks)
        tasks.cancel_scope.cancel()

"""Where the server listens, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import anyio
import pytest
from aiohttp import ClientSession
from pydantic import SecretStr

from agent.errors import CallRefused, NotPossible
from agent.server import ServeSettings, serve, until_signal
from stages.errors import the_one
from tests.servers.edge_http import TOKEN, ScriptedCalls, Served, served, shipped

# --- where it listens -----------------------------------------------------------------------


async def said(**changes: Any) -> str:
    """Return the sentence with which a server does not start."""
    with pytest.raises(NotPossible) as raised:
        await serve(
            replace(ServeSettings(port=0), **changes), ScriptedCalls(), shipped, started=print
        )
    return str(raised.value)


async def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert await said(port=port) == (
            f"Cannot serve: port {port} of 127.0.0.1 is in use; stop what uses it, or choose"
            " another with --port."
        )


async def test_an_address_that_is_not_ours_is_one_sentence() -> None:
    sentence = "Cannot serve: 192.0.2.1 is no address of this machine; see --host."
    assert await said(host="192.0.2.1", token=SecretStr(TOKEN)) == sentence


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
async def test_beyond_loopback_a_token_is_needed(host: str) -> None:
    assert "can be reached from other machines, so a token is needed" in await said(host=host)


async def test_a_token_that_no_header_can_carry_is_refused() -> None:
    assert "only visible ASCII" in await said(token=SecretStr("pass wörd"))


async def test_a_server_that_is_cancelled_lets_go_of_its_port() -> None:
    async with served(ScriptedCalls()) as server:
        port = int(server.url.rsplit(":", 1)[1])
        await server.ask("GET", "/healthz")
    async with served(ScriptedCalls(), port=port) as server:
        assert (await server.ask("GET", "/healthz"))[0] == 200


# --- how it ends ----------------------------------------------------------------------------


@dataclass
class SlowCalls(ScriptedCalls):
    """Takes its time to end, until told."""

    draining: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def drain(self, deadline_s: float) -> None:
        self.answer = CallRefused(503, "The server is stopping.")
        self.draining.set()
        await self.ended.wait()


@dataclass
class Ending:
    """A server that is to be ended with signals, and its exit code."""

    calls: SlowCalls = field(default_factory=SlowCalls)
    code: int | None = None
    up: anyio.Event = field(default_factory=anyio.Event)
    address: str = ""

    async def run(self) -> None:
        asked = ServeSettings(port=0)
        serving = partial(serve, asked, self.calls, shipped, started=self._started)
        self.code = await until_signal(serving, self.calls)

    def _started(self, address: str) -> None:
        self.address = address
        self.up.set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_lets_calls_end_and_new_ones_are_refused(number: signal.Signals) -> None:
    ending = Ending()
    async with ClientSession() as session, anyio.create_task_group() as tasks:
        tasks.start_soon(ending.run)
        await ending.up.wait()
        os.kill(os.getpid(), number)
        await ending.calls.draining.wait()
        status, body, _ = await Served(ending.address.rstrip("/"), session).offer()
        assert (status, body) == (503, {"error": "The server is stopping."})
        ending.calls.ended.set()
    assert ending.code == 0


async def test_a_second_signal_waits_for_nobody() -> None:
    ending = Ending()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ending.run)
        await ending.up.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await ending.calls.draining.wait()
        os.kill(os.getpid(), signal.SIGINT)
    assert ending.code == 130


async def test_what_keeps_a_server_from_starting_is_found_in_its_group() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asked = ServeSettings(port=taken.getsockname()[1])
        calls = ScriptedCalls()
        with pytest.raises(ExceptionGroup) as raised:
            await until_signal(partial(serve, asked, calls, shipped, started=print), calls)
    assert "is in use" in str(the_one(raised.value))

"""Tools of MCP servers: one that we start, one over HTTP, and some that are no good."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.toolbox.belt import Belt, open_belt
from agent.toolbox.choice import McpChoice
from agent.toolbox.mcp import open_mcp
from tests.agent.toolbox.test_parts import NotedHands, ask
from tests.conftest import ROOT, missing
from tests.servers.programs import running

SERVER = str(ROOT / "tests" / "servers" / "mcp_tools.py")
SHELF = McpChoice(kind="mcp", name="shelf", command=(sys.executable, SERVER))

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def installed() -> None:
    if find_spec("mcp") is None:
        missing("pip install 'firstword[mcp]'")


async def test_the_tools_of_a_server_that_we_start_are_the_characters() -> None:
    async with open_mcp() as servers:
        await servers.connect([SHELF])
        belt = open_belt([SHELF], "en", NotedHands(), servers.tools)
        assert [spec.name for spec in belt.specs()] == ["find", "burn"]
        assert await ask(belt, "find", {"title": "Emma"}) == (
            "Emma stands on the second shelf.",
            True,
        )
        answer, ok = await ask(belt, "find", {"titel": "Emma"})
        assert not ok
        assert "nothing was done" in answer


async def test_only_the_tools_that_a_profile_names_are_there() -> None:
    few = SHELF.model_copy(update={"tools": ("find",)})
    async with open_mcp() as servers:
        await servers.connect([few])
        assert [tool.name for tool in servers.tools(few)] == ["find"]


async def test_a_server_that_dies_takes_nobody_with_it_and_is_opened_anew() -> None:
    async with open_mcp() as servers:
        await servers.connect([SHELF])
        belt = Belt({tool.name: tool for tool in servers.tools(SHELF)}, NotedHands())
        answer, ok = await ask(belt, "burn", {"title": "Emma"})
        assert not ok
        assert answer
        assert servers.tools(SHELF) == ()  # a call that begins now is not given what is broken
        await servers.connect([SHELF])
        belt = Belt({tool.name: tool for tool in servers.tools(SHELF)}, NotedHands())
        assert (await ask(belt, "find", {"title": "Emma"}))[1]


async def test_a_server_over_http_is_asked() -> None:
    command = [sys.executable, SERVER, "http"]
    async with running(command, r"running on (http://\S+)\s") as found, open_mcp() as servers:
        remote = McpChoice(kind="mcp", name="shelf", url=f"{found[1]}/mcp")
        await servers.connect([remote])
        belt = Belt({tool.name: tool for tool in servers.tools(remote)}, NotedHands())
        assert (await ask(belt, "find", {"title": "Emma"}))[1]


@pytest.mark.parametrize("command", [("/no/such/program",), (sys.executable, "-c", "pass")])
async def test_a_server_that_cannot_be_opened_gives_no_tools_and_says_why(
    tmp_path: Path, command: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    broken = McpChoice(kind="mcp", name="broken", command=command)
    with caplog.at_level(logging.WARNING):
        async with open_mcp() as servers:
            await servers.connect([broken])
            assert servers.tools(broken) == ()
    assert "The MCP server broken gives no tools" in caplog.text


def test_a_server_is_started_or_asked_and_not_both() -> None:
    for wrong in ({}, {"command": ("a",), "url": "http://b/"}, {"url": "ftp://b/"}):
        with pytest.raises(ValidationError):
            McpChoice.model_validate({"kind": "mcp", "name": "a", **wrong})

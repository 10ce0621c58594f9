"""Calls followed and acted on over HTTP, and the description of it all put to the test."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import ClientSession
from pydantic import SecretStr

from agent.calls import open_calls
from agent.server import MemoryRoutes, ServeSettings, serve
from agent.webrtc import IceSettings
from tests.conftest import missing
from tests.servers.edge_http import TOKEN, ScriptedCalls, bearer, served, shipped

CALL = {
    "call": "c1",
    "profile": "bare",
    "name": "Bare",
    "started_at": "2026-01-01T00:00:00",
    "muted": False,
}


async def test_calls_are_listed_and_done_to_what_is_asked() -> None:
    calls = ScriptedCalls()
    async with served(calls) as server:
        assert (await server.ask("GET", "/api/calls"))[:2] == (200, {"calls": [CALL]})
        assert (await server.ask("GET", "/api/calls/c1"))[:2] == (200, CALL)
        path = "/api/calls/c1"
        assert (await server.ask("POST", f"{path}/say", json={"text": "Dinner!"}))[0] == 202
        assert (await server.ask("POST", f"{path}/switch", json={"profile": "fox"}))[0] == 200
        assert (await server.ask("POST", f"{path}/mute", json={"muted": True}))[0] == 200
        assert (await server.ask("DELETE", path))[0] == 204
    assert calls.done == [
        ("say", "c1", "Dinner!"),
        ("switch", "c1", "fox"),
        ("mute", "c1", "True"),
        ("hangup", "c1"),
    ]


@pytest.mark.parametrize(
    ("path", "more", "status", "says"),
    [
        ("c9/say", {"json": {"text": "a"}}, 404, "There is no such call"),
        ("c1/say", {"json": {}}, 400, "'text' is wrong"),
        ("c1/say", {"json": {"text": "a" * 2001}}, 400, "'text' is wrong"),
        ("c1/say", {"json": {"text": "a", "secret": "b"}}, 400, "it is wrong"),
        ("c1/mute", {"json": {"muted": "perhaps"}}, 400, "'muted' is wrong"),
        ("c1/switch", {"json": {"profile": "../../etc/passwd"}}, 400, "'profile' is wrong"),
        ("c1/say", {"data": "hello"}, 415, "wants JSON"),
        ("c1/say", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "JSON"),
        ("c1/dance", {"json": {}}, 405, "POST here gives"),
    ],
)
async def test_what_cannot_be_done_is_said(
    path: str, more: dict[str, Any], status: int, says: str
) -> None:
    calls = ScriptedCalls()
    async with served(calls) as server:
        got, body, _ = await server.ask("POST", f"/api/calls/{path}", **more)
    assert got == status
    assert says in body["error"]
    assert "passwd" not in body["error"]
    assert not calls.done


async def test_operators_need_the_token_too() -> None:
    async with served(ScriptedCalls(), token=SecretStr(TOKEN)) as server:
        for method, path in (("GET", "/api/calls"), ("POST", "/api/calls/c1/say")):
            assert (await server.ask(method, path))[0] == 401
        assert (await server.ask("GET", "/api/calls", headers=bearer(TOKEN)))[0] == 200
        assert (await server.ask("GET", "/api/openapi.json", headers=bearer(TOKEN)))[0] == 200


CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)


async def fuzzed(address: str, folder: Path, names: dict[str, str]) -> str:
    """Have schemathesis ask all kinds of things of a server; return what it said of it.

    Args:
        address: of the server.
        folder: where it may write.
        names: what there is, by the name of the parameter; of others any name is tried.
    """
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    if program is None:
        missing("pip install schemathesis")
    async with ClientSession() as session, session.get(f"{address}/api/openapi.json") as answer:
        described = await answer.json()
    for path in described["paths"].values():
        for parameter in path.get("parameters", ()):
            if parameter["name"] in names:
                parameter["schema"] = {"const": names[parameter["name"]]}
    file = folder / "openapi.json"
    file.write_text(json.dumps(described))
    command = [
        str(program), "run", str(file), "--url", address, "--max-examples", "15", "--seed", "1",
        "--request-timeout", "5", "--phases", "coverage,fuzzing",
        "--generation-database", "none", "--checks", CHECKS, "--no-color",
    ]  # fmt: skip
    with anyio.fail_after(100):
        done = await anyio.run_process(
            command, check=False, stderr=subprocess.STDOUT, cwd=str(folder)
        )
    said = done.stdout.decode()
    assert done.returncode == 0, said[-9000:]
    return said


@pytest.mark.timeout(120)
async def test_no_request_breaks_or_hangs_the_house_of_calls(tmp_path: Path) -> None:
    addresses, up = list[str](), anyio.Event()

    def started(address: str) -> None:
        addresses.append(address.rstrip("/"))
        up.set()

    settings = ServeSettings(port=0, calls_a_minute=10**9)
    async with (
        open_calls(
            limit=2, default_profile="bare", ice=IceSettings(), models=tmp_path / "models",
            traces=tmp_path / "turns.sqlite",
        ) as house,
        anyio.create_task_group() as tasks,
    ):  # fmt: skip
        assert house.memories is not None
        more = [MemoryRoutes(settings, house.memories)]
        tasks.start_soon(partial(serve, settings, house, shipped, started=started, more=more))
        await up.wait()
        said = await fuzzed(addresses[0], tmp_path, {})
        tasks.cancel_scope.cancel()
    assert re.search(r"Tested: +17\b", said), "every operation of the description"


@pytest.mark.timeout(120)
async def test_no_order_to_a_call_that_there_is_breaks_or_hangs(tmp_path: Path) -> None:
    calls = ScriptedCalls()
    async with served(calls, calls_a_minute=10**9) as server:
        await fuzzed(server.url, tmp_path, {"call": "c1"})
    assert {done[0] for done in calls.done} == {"say", "switch", "mute", "hangup"}

"""The description of the whole API put to the test: any request, to what is there and is not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest
from aiohttp import ClientSession

from agent.calls import open_calls
from agent.server import MemoryRoutes, ServeSettings, serve
from agent.webrtc import IceSettings
from tests.agent.server.test_memories import memories_of
from tests.agent.server.test_voices import enrolment, form
from tests.agent.voices import wav
from tests.conftest import missing
from tests.servers.edge_http import ScriptedCalls, served, shipped

pytestmark = pytest.mark.timeout(120)


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


async def test_no_request_about_a_call_a_voice_or_memories_that_there_are_breaks_or_hangs(
    tmp_path: Path,
) -> None:
    calls = ScriptedCalls()
    async with (
        enrolment(tmp_path / "voices") as enrolments,
        memories_of(tmp_path / "memories") as memories,
        served(calls, None, enrolments, memories, calls_a_minute=10**9) as server,
    ):
        assert (await server.ask("POST", "/api/speakers", data=form("Anna", wav(200))))[0] == 201
        await fuzzed(server.url, tmp_path, {"call": "c1", "name": "Anna"})
        for forgotten in ("/api/speakers/Anna", "/api/memories/Anna"):
            assert (await server.ask("DELETE", forgotten))[0] == 404
    assert {done[0] for done in calls.done} == {"say", "switch", "mute", "hangup"}

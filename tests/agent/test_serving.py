"""An agent in a process of its own ends with whoever started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import httpx
import pytest

STARTER = """
import anyio
from agent.serving import own_agent

async def main():
    async with own_agent("bare") as url:
        print(url, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.mark.timeout(120)
async def test_whoever_starts_an_agent_and_dies_leaves_none_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER]
    environment = {"FIRSTWORD_STATE": str(tmp_path), "PYTHONPATH": ".", "PATH": ""}
    async with await anyio.open_process(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as starter:
        assert starter.stdout is not None
        assert starter.stderr is not None
        url = (await starter.stdout.receive()).decode().strip()
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).status_code == 200
        starter.kill()
        with anyio.fail_after(60):
            async for _ in starter.stderr:  # the agent writes there, too: it ends with the agent
                pass
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)

"""An agent in a process of its own: it ends with whoever started it, and counts its trouble."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import httpx
import numpy as np
import pytest

from agent import caller
from agent.caller.place import Manners
from agent.line import PLAYOUT_RATE
from agent.serving import own_agent
from agent.webrtc import sound
from tests.servers.programs import said

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
        assert starter.stderr is not None
        url = (await said(starter, r"(\S+)\n"))[1]
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).status_code == 200
        starter.kill()
        with anyio.fail_after(60):
            async for _ in starter.stderr:  # the agent writes there, too: it ends with the agent
                pass
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


SLOW = """
name: Slow
language: en
vad: {engine: energy}
turn: {engine: silence}
asr: {engine: scripted, lines: [what time is it now], delay_ms: 60000}
llm: {engine: echo}
voice: {engine: tone}
"""


@pytest.mark.timeout(120)
async def test_words_that_never_come_are_in_the_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTWORD_PROFILES", str(tmp_path))
    (tmp_path / "slow.yaml").write_text(SLOW)
    speech = tmp_path / "speech.wav"
    loud = 9_000 * np.sin(np.arange(PLAYOUT_RATE) / 20)
    sound.write(speech, [loud.astype(np.int16)], PLAYOUT_RATE)
    async with own_agent("slow", state=tmp_path / "state") as url, httpx.AsyncClient() as client:
        result = await caller.place(url, [speech], manners=Manners(deadline=8.0))
        shown = (await client.get(f"{url.rstrip('/')}/metrics")).text
    assert "asr: no words came" in result.failures[0]
    assert 'firstword_errors_total{stage="asr"} 1.0' in shown

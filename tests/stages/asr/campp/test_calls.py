"""Whole calls with ``asr: campp``: eight callers at once, one model, one batch."""

from __future__ import annotations

from pathlib import Path

import anyio
import numpy as np
import pytest

from agent.bench.memory_line import MemoryLine
from agent.call import Call
from agent.engines import open_engines
from agent.messages import Heard, ReplyEnd, ToPage
from agent.profile import Profile
from stages.asr.campp.stage import CamppAsr
from stages.events import Samples
from stages.models import ModelStore
from tests.stages.asr.campp.conftest import TINY, noise

CALLERS = 8


def profile() -> Profile:
    return Profile.model_validate(
        {
            "id": "nonsense",
            "language": "en",
            "vad": {"engine": "energy"},
            "turn": {"engine": "silence"},
            "asr": {"engine": "campp", "model": str(TINY), "slots": CALLERS},
            "llm": {"engine": "echo"},
            "voice": {"engine": "tone"},
        }
    )


def speech(seed: int) -> Samples:
    return np.concatenate([noise(1.6, seed) * 2, np.zeros(1600, dtype=np.float32)])


@pytest.mark.timeout(60)
async def test_eight_calls_at_once_are_heard_in_one_batch_and_answered(tmp_path: Path) -> None:
    heard: dict[int, list[str]] = {number: [] for number in range(CALLERS)}

    async def call(number: int) -> None:
        ended_in, ended_out = anyio.create_memory_object_stream[ReplyEnd](100)

        def told(message: ToPage) -> None:
            if isinstance(message, Heard) and message.final and message.text:
                heard[number].append(message.text)
            if isinstance(message, ReplyEnd):
                ended_in.send_nowait(message)

        line = MemoryLine(told)
        one = Call("test", "", chosen, stages, lambda record: None)
        async with ended_in, ended_out, anyio.create_task_group() as tasks:
            tasks.start_soon(one.run, line)
            line.say(speech(number % 2))
            with anyio.fail_after(30):
                await ended_out.receive()
            await one.hang_up("done")

    async with open_engines(ModelStore(tmp_path)) as engines:
        chosen = profile()
        stages = await engines.stages(chosen)
        async with anyio.create_task_group() as tasks:
            for number in range(CALLERS):
                tasks.start_soon(call, number)
        assert isinstance(stages.asr, CamppAsr)
        stats = stages.asr.stats()
    assert all(texts for texts in heard.values())
    assert max(stats.batch_sizes) > 1
    assert stats.failed == stats.refused == stats.slots_taken == 0

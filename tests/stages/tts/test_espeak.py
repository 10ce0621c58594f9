"""The robot's voice: Chinese without a network, and sentences where it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.errors import PluginUnavailable, Transient, Unusable, first_of
from stages.events import Clause, Speech, Voice
from stages.models import ModelStore
from stages.registry import find
from tests.servers.programs import program
from tests.stages.streams import fed


@pytest.fixture(autouse=True)
def installed() -> None:
    program("espeak-ng")


async def spoken(*texts: str, voice: Voice | None = None, **options: Any) -> list[Speech]:
    plugin = find("tts", "espeak")
    async with plugin.open(plugin.options(**options), ModelStore(Path())) as tts:

        async def run(source: object, sink: object) -> None:
            await tts.run(voice or Voice(), source, sink)

        return await fed(run, [Clause(i, text, text) for i, text in enumerate(texts)])


async def refusal(voice: Voice, **options: Any) -> str:
    with pytest.raises(BaseExceptionGroup) as caught:
        await spoken("你好。", voice=voice, **options)
    error = first_of(caught.value)
    assert isinstance(error, Unusable | Transient)
    return str(error)


async def test_chinese_is_said_clause_by_clause_with_little_silence_around() -> None:
    first, second = await spoken("你好，我是晓晓。", "今天天气不错。")
    assert [(one.clause, one.last) for one in (first, second)] == [(0, True), (1, True)]
    for one in (first, second):
        loud = np.flatnonzero(np.abs(one.samples) > 0.01)
        assert len(one.samples) > one.rate // 2
        assert loud[0] < one.rate // 20
        assert len(one.samples) - loud[-1] < one.rate // 5


async def test_a_faster_voice_takes_less_time_and_a_softer_one_is_softer() -> None:
    [usual] = await spoken("今天天气怎么样？")
    [quick] = await spoken("今天天气怎么样？", voice=Voice("cmn", rate=2.0, volume=0.5))
    assert len(quick.samples) < 0.7 * len(usual.samples)
    assert np.max(np.abs(quick.samples)) < np.max(np.abs(usual.samples))


async def test_a_clause_that_is_only_marks_is_a_moment_of_silence() -> None:
    [speech] = await spoken("……")
    assert speech.last


@pytest.mark.parametrize(
    ("voice", "sentence"),
    [
        (Voice("--help"), "'--help' is no voice of it: they are like cmn, yue, en-us or cmn+f2"),
        (Voice("xx"), "it has no such voice (Error: The specified espeak-ng voice does not exist."),
        (Voice(rate=3.0), "a rate of 3.0 is not within 0.5 to 2.5"),
        (Voice(pitch=10.0), "it knows no pitch in Hz; choose another voice, like cmn+f2"),
        (Voice(volume=3.0), "a volume of 3.0 is not within 0 to 2"),
    ],
)
async def test_a_voice_that_cannot_be_is_refused(voice: Voice, sentence: str) -> None:
    assert (await refusal(voice)).startswith(f"tts espeak: {sentence}")


async def test_a_program_that_fails_is_a_sentence() -> None:
    told = await refusal(Voice(), command="false")
    assert told in (  # by how soon it ends
        "tts espeak: false ended before it had the text",
        "tts espeak: false failed, and said: nothing",
    )


async def test_a_program_that_is_not_there_says_how_to_get_it() -> None:
    with pytest.raises(PluginUnavailable) as caught:
        await spoken("你好。", command="espeak-nowhere")
    assert str(caught.value) == (
        "The tts stage 'espeak' cannot be used: there is no program 'espeak-nowhere' here."
        " On Debian: apt-get install espeak-ng"
    )

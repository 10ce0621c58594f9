from __future__ import annotations

from pathlib import Path

import anyio
import numpy as np
import pytest

from stages.audio import silence
from stages.events import SAMPLE_RATE, Audio, Samples, VadFrame
from stages.models import ModelStore
from stages.vad.silero import FRAME, plugin
from tests.stages.clips import clip, noise
from tests.stages.streams import fed

pytestmark = pytest.mark.model


async def frames_of(store: ModelStore, samples: Samples, size: int = 320) -> list[VadFrame]:
    pieces = [Audio(samples[at : at + size], at) for at in range(0, len(samples), size)]
    async with plugin.open(plugin.options(), store) as vad:
        return await fed(vad.run, pieces)


@pytest.mark.parametrize("loudness", [0.0, 0.003, 0.1])
async def test_noise_is_no_speech(store: ModelStore, loudness: float) -> None:
    frames = await frames_of(store, noise(5, loudness))
    assert max(frame.speech for frame in frames) < 0.5


async def test_hum_is_no_speech(store: ModelStore) -> None:
    hum = 0.2 * np.sin(np.arange(5 * SAMPLE_RATE) * 2 * np.pi * 50 / SAMPLE_RATE)
    frames = await frames_of(store, hum.astype(np.float32))
    assert max(frame.speech for frame in frames) < 0.5


@pytest.mark.speech
async def test_human_speech_is_speech_and_the_silence_around_it_is_not(
    store: ModelStore, speech: Path
) -> None:
    said = clip(speech, "dev/en_assistant/g_brooklyn.flac")
    around = silence(SAMPLE_RATE)
    frames = await frames_of(store, np.concatenate((around, said, around)))
    end = SAMPLE_RATE + len(said)
    inside = [frame.speech for frame in frames if SAMPLE_RATE < frame.audio.start < end]
    assert sum(chance > 0.5 for chance in inside) > len(inside) / 2
    assert max(frame.speech for frame in frames[: SAMPLE_RATE // FRAME - 1]) < 0.5
    assert frames[-1].speech < 0.3


@pytest.mark.parametrize("size", [1, 320, 511, 512, 5000])
async def test_every_sample_is_passed_on_in_order_whatever_the_pieces(
    store: ModelStore, size: int
) -> None:
    samples = noise(0.1, 0.1)
    frames = await frames_of(store, samples, size)
    assert np.array_equal(np.concatenate([frame.audio.samples for frame in frames]), samples)
    assert [frame.audio.start for frame in frames] == list(range(0, len(samples), FRAME))


async def test_the_size_of_the_pieces_changes_nothing(store: ModelStore) -> None:
    samples = noise(0.5, 0.1)
    some = [frame.speech for frame in await frames_of(store, samples, 320)]
    others = [frame.speech for frame in await frames_of(store, samples, 777)]
    assert some == others


@pytest.mark.speech
async def test_calls_do_not_hear_each_other(store: ModelStore, speech: Path) -> None:
    said = clip(speech, "dev/en_assistant/g_brooklyn.flac")
    heard: dict[str, list[float]] = {}

    async with plugin.open(plugin.options(), store) as vad, anyio.create_task_group() as tasks:

        async def call(name: str, samples: Samples) -> None:
            pieces = [Audio(samples[at : at + 320], at) for at in range(0, len(samples), 320)]
            heard[name] = [frame.speech for frame in await fed(vad.run, pieces)]

        tasks.start_soon(call, "a talker", said)
        tasks.start_soon(call, "nobody", silence(len(said)))
        tasks.start_soon(call, "the same talker", said)
    assert heard["a talker"] == heard["the same talker"]
    assert max(heard["nobody"]) < 0.5

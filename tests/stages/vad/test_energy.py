from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.audio import silence
from stages.events import SAMPLE_RATE, Audio, Samples, VadFrame
from stages.models import ModelStore
from stages.registry import find
from stages.vad.energy import FRAME, EnergyOptions, EnergyVad, Frames
from tests.stages.clips import noise
from tests.stages.streams import fed


def pieces(samples: Samples, size: int = FRAME) -> list[Audio]:
    return [Audio(samples[at : at + size], at) for at in range(0, len(samples), size)]


async def frames_of(samples: Samples, size: int = FRAME, **options: float) -> list[VadFrame]:
    vad = EnergyVad(EnergyOptions.model_validate(options))
    return await fed(vad.run, pieces(samples, size))


async def test_speech_over_a_quiet_room_stands_out() -> None:
    room, voice = noise(1, 0.002), noise(0.5, 0.1)
    frames = await frames_of(np.concatenate((room, voice, room)))
    said = [frame.speech for frame in frames]
    assert max(said[5:50]) < 0.1
    assert min(said[50:75]) > 0.9
    assert max(said[75:]) < 0.1


async def test_digital_silence_is_no_speech() -> None:
    assert max(frame.speech for frame in await frames_of(silence(SAMPLE_RATE))) < 0.1


async def test_a_call_that_begins_with_speech_hears_it() -> None:
    assert min(frame.speech for frame in await frames_of(noise(0.5, 0.1))) > 0.8


async def test_a_fan_that_starts_during_the_call_becomes_background() -> None:
    frames = await frames_of(np.concatenate((noise(1, 0.001), noise(12, 0.02))))
    assert frames[60].speech > 0.5
    assert frames[-1].speech < 0.35


@pytest.mark.parametrize("size", [1, 160, 333, 512, 5000])
async def test_every_sample_is_passed_on_in_order_whatever_the_pieces(size: int) -> None:
    samples = noise(0.1, 0.1)
    frames = await frames_of(samples, size)
    assert np.array_equal(np.concatenate([frame.audio.samples for frame in frames]), samples)
    assert [frame.audio.start for frame in frames] == list(range(0, len(samples), FRAME))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 900)), max_size=8))
def test_frames_lose_nothing_even_across_gaps(plan: list[tuple[int, int]]) -> None:
    cutter, at, given_in, given_out = Frames(), 0, set[int](), set[int]()
    for gap, size in plan:
        at += gap
        given_in.update(range(at, at + size))
        for frame in cutter.push(Audio(silence(size), at)):
            given_out.update(range(frame.start, frame.end))
        at += size
    for frame in cutter.rest():
        given_out.update(range(frame.start, frame.end))
    assert given_out == given_in


async def test_a_profile_finds_it_by_name(tmp_path: Path) -> None:
    plugin = find("vad", "energy")
    options = plugin.options.model_validate({"margin_db": 20})
    async with plugin.open(options, ModelStore(tmp_path)) as vad:
        assert len(await fed(vad.run, pieces(silence(FRAME * 3)))) == 3

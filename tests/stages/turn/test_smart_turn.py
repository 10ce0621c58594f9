from __future__ import annotations

from pathlib import Path

import anyio
import numpy as np
import pytest

from stages.audio import samples_in, silence
from stages.events import SAMPLE_RATE, PauseContext, Samples
from stages.models import ModelStore
from stages.turn.smart_turn import HEARD, Features, bands, plugin
from tests.stages.clips import clip

PAUSE = samples_in(200)


def context(samples: Samples) -> PauseContext:
    audio = np.concatenate((samples, silence(PAUSE)))
    return PauseContext(audio, "", "en", PAUSE)


def test_a_tone_lands_in_its_mel_band() -> None:
    tone: Samples = np.sin(np.arange(HEARD) * 2 * np.pi * 1000 / SAMPLE_RATE).astype(np.float32)
    features = Features()(tone)
    loudest = int(features.mean(axis=1).argmax())
    centre = float((bands()[loudest] * np.linspace(0, 8000, 201)).sum() / bands()[loudest].sum())
    assert features.shape == (80, 800)
    assert abs(centre - 1000) < 60


@pytest.mark.parametrize("length", [0, 1, SAMPLE_RATE, HEARD, HEARD + 5000])
def test_features_have_one_shape_and_are_finite_whatever_was_heard(length: int) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, length).astype(np.float32)
    features = Features()(noise)
    assert features.shape == (80, 800)
    assert np.isfinite(features).all()


@pytest.mark.model
@pytest.mark.speech
async def test_whole_requests_sound_complete_more_than_cut_ones(
    store: ModelStore, speech: Path
) -> None:
    names = ["v2j_turn_on_living_room_lamp", "v2j_what_time_is_it", "alex_b", "g_brooklyn"]
    whole: list[float] = []
    cut: list[float] = []
    async with plugin.open(plugin.options(), store) as turn:
        for name in names:
            said = clip(speech, f"dev/en_assistant/{name}.flac")
            whole.append(await turn.judge(context(said)))
            cut.append(await turn.judge(context(said[: len(said) * 4 // 10])))
    assert min(whole) > 0.5
    assert sum(cut) < sum(whole)


@pytest.mark.model
async def test_pauses_of_many_calls_are_judged_alike(store: ModelStore) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    judged: list[float] = []
    async with plugin.open(plugin.options(), store) as turn, anyio.create_task_group() as tasks:

        async def judge() -> None:
            judged.append(await turn.judge(context(noise)))

        for _ in range(3):
            tasks.start_soon(judge)
    assert len(set(judged)) == 1
    assert 0 <= judged[0] <= 1

"""The d-vector network tells the voices of the development set apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from stages import registry
from stages.contracts import Speaker
from stages.models import ModelStore
from tests.stages.clips import clip

pytestmark = [pytest.mark.model, pytest.mark.timeout(60)]


@pytest.fixture
async def stage(store: ModelStore) -> AsyncIterator[Speaker]:
    plugin = registry.find("speaker", "voicefilter")
    async with plugin.open(plugin.options(), store) as opened:
        yield opened


async def test_one_voice_is_liker_to_itself_than_to_another(stage: Speaker, speech: Path) -> None:
    a, b, other = [
        await stage.embed(clip(speech, f"dev/sv/{name}.flac"))
        for name in ("pr_1", "pr_2", "yyp_b_1")
    ]
    assert a.shape == (256,)
    assert float(a @ b) > stage.threshold > float(a @ other)


async def test_a_print_has_length_one_even_of_silence_or_next_to_nothing(stage: Speaker) -> None:
    for samples in (0, 10, 100_000):
        found = await stage.embed(np.zeros(samples, dtype=np.float32))
        assert float(np.linalg.norm(found)) == pytest.approx(1.0, abs=1e-5)

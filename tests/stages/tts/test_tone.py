from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from stages.audio import milliseconds_in
from stages.events import Clause, Speech, Voice, Word
from stages.models import ModelStore
from stages.registry import find
from tests.stages.streams import fed, sound


async def spoken(*texts: str, voice: Voice | None = None, **options: Any) -> list[Speech]:
    plugin = find("tts", "tone")
    async with plugin.open(plugin.options(**options), ModelStore(Path())) as tts:

        async def run(source: object, sink: object) -> None:
            await tts.run(voice or Voice(), source, sink)

        return await fed(run, [Clause(i, text, text) for i, text in enumerate(texts)])


async def test_a_clause_sounds_as_long_as_it_would_take_to_say() -> None:
    speeches = await spoken("twelve chars")
    assert milliseconds_in(len(sound(speeches)), 24_000) == 12 * 60
    assert [speech.last for speech in speeches] == [False] * 7 + [True]


async def test_the_very_first_sample_is_audible_and_the_end_is_soft() -> None:
    samples = sound(await spoken("Hello."))
    assert abs(samples[0]) > 0.05
    assert abs(samples[-1]) < 0.01
    assert np.max(np.abs(samples)) <= 0.11


async def test_clauses_come_in_order_each_with_one_last_piece() -> None:
    speeches = await spoken("one", "你好。", "three")
    assert [speech.clause for speech in speeches if speech.last] == [0, 1, 2]
    assert [speech.clause for speech in speeches] == sorted(it.clause for it in speeches)


async def test_every_word_is_stamped_in_the_piece_that_it_begins_in() -> None:
    speeches = await spoken("hello there 你好")
    words = [word for speech in speeches for word in speech.words]
    a = 24 * 60
    assert words[:3] == [
        Word("hello", 0, 5 * a),
        Word("there", 6 * a, 11 * a),
        Word("你", 12 * a, 13 * a),
    ]
    at = 0
    for speech in speeches:
        assert all(at <= word.start < at + len(speech.samples) for word in speech.words)
        at += len(speech.samples)


@pytest.mark.parametrize(("rate", "length"), [(2.0, 300), (0.5, 1200)])
async def test_a_faster_voice_takes_less_time(rate: float, length: int) -> None:
    samples = sound(await spoken("0123456789", voice=Voice(rate=rate)))
    assert milliseconds_in(len(samples), 24_000) == length


async def test_volume_never_clips_beyond_full_scale() -> None:
    samples = sound(await spoken("loud", voice=Voice(volume=50.0)))
    assert np.max(np.abs(samples)) == 1.0


async def test_hanging_up_does_not_wait_for_a_slow_voice() -> None:
    with anyio.move_on_after(0.05) as scope:
        await spoken("hello", first_ms=60_000)
    assert scope.cancelled_caught

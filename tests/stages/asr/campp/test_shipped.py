"""The model that comes with FirstWord, in a call: it hears a clear voice mostly right."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from stages.asr.campp.options import CamppOptions, shipped
from stages.asr.campp.stage import open_campp
from stages.asr.campp.training import score
from stages.errors import UserError
from stages.events import (
    SAMPLE_RATE,
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Samples,
    Transcript,
    UtteranceStart,
)
from stages.models import ModelStore
from tests.stages.streams import fed

pytestmark = pytest.mark.timeout(60)

SAID = (
    "please turn off the lights in the kitchen",
    "can i have a large coffee with milk and sugar",
    "what is the weather like in london tomorrow",
    "the summer passed and they went back to the city",
)


def said(text: str) -> Samples:
    import hibari

    voice: Any = hibari.Hibari(voice="heart", threads=1)
    sound = np.asarray(voice(text), dtype=np.float32)
    at_our_rate: Samples = soxr.resample(sound, hibari.SAMPLE_RATE, SAMPLE_RATE)
    return np.pad(at_our_rate, 3200)


async def test_the_shipped_model_hears_a_clear_voice_mostly_right(tmp_path: Path) -> None:
    errors = []
    async with open_campp(CamppOptions(model="en-small"), ModelStore(tmp_path)) as asr:
        for text in SAID:
            sound = said(text)
            events: list[AsrInput] = [UtteranceStart(1, 0)]
            events += [Audio(sound[at : at + 5120], at) for at in range(0, len(sound), 5120)]
            heard: list[Transcript] = await fed(
                partial(asr.run, Hearing()), [*events, Pause(1, len(sound))]
            )
            assert heard[-1].final
            errors.append(score.errors(text, heard[-1].text))

    assert score.together(errors).rate < 0.5


def test_its_words_and_the_notices_of_those_they_are_from_come_with_it() -> None:
    for name in ("en-small.onnx", "en-small.lm", "en-small.lm.NOTICE", "en-small.yaml"):
        assert shipped(name)
    model, words = shipped("en-small.onnx"), shipped("en-small.lm")
    assert model
    assert words
    assert model.stat().st_size + words.stat().st_size < 20e6


async def test_rescoring_that_would_change_nothing_is_refused_with_a_sentence(
    tmp_path: Path,
) -> None:
    async def opened(**settings: object) -> None:
        options = CamppOptions.model_validate({"model": "en-small", **settings})
        async with open_campp(options, ModelStore(tmp_path)):
            pass

    with pytest.raises(UserError, match="is the language model already, with the same"):
        await opened(rescoring="en-small")
    with pytest.raises(UserError, match="does nothing beside en-small, which tells phones"):
        await opened(rescoring=tmp_path / "letters.arpa")


async def test_a_second_model_has_the_last_word_on_a_call_s_phones(tmp_path: Path) -> None:
    sound = said(SAID[0])
    events: list[AsrInput] = [UtteranceStart(1, 0)]
    events += [Audio(sound[at : at + 5120], at) for at in range(0, len(sound), 5120)]
    finals = {}
    for name, settings in {
        "plain": {},
        "again": {"rescoring": "en-small", "rescoring_weight": 0.60001},
        "blind": {"rescoring": "en-small", "rescoring_weight": 0},
    }.items():
        options = CamppOptions.model_validate({"model": "en-small", **settings})
        async with open_campp(options, ModelStore(tmp_path)) as asr:
            told = await fed(partial(asr.run, Hearing()), [*events, Pause(1, len(sound))])
        finals[name] = told[-1].text

    assert finals["again"] == finals["plain"]
    assert finals["blind"] != finals["plain"]  # without its n-grams other words sound as good

"""What a decoder need not say again: a transcript of a moment ago is the draft of the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.asr.moonshine.draft import after, agreed
from stages.asr.moonshine.network import MODEL, Moonshine
from stages.audio import samples_in
from stages.models import ModelStore
from tests.stages.clips import clip


def test_a_draft_is_right_up_to_the_first_token_that_the_decoder_would_not_say() -> None:
    assert agreed([], [7]) == 0
    assert agreed([4, 5, 6], [4, 5, 6, 7]) == 3
    assert agreed([4, 5, 6], [4, 9, 6, 7]) == 1
    assert agreed([4, 5, 6], [9, 5, 6, 7]) == 0


def test_a_token_said_in_place_of_another_is_followed_by_the_rest_of_the_draft() -> None:
    assert after(9, [5, 6, 7]) == [6, 7]


def test_a_token_that_comes_later_in_the_draft_stands_for_those_before_it() -> None:
    assert after(6, [5, 6, 7]) == [7]
    assert after(7, [5, 6, 7, 8]) == [8]


def test_after_the_last_token_of_a_draft_nothing_is_likely() -> None:
    assert after(9, []) == []
    assert after(9, [5]) == []


@pytest.mark.speech
@pytest.mark.model
@pytest.mark.parametrize("name", ["g_brooklyn", "az_weather", "ps_goforward"])
def test_words_are_the_same_with_a_draft_and_take_fewer_steps(
    store: ModelStore, speech: Path, name: str
) -> None:
    model = Moonshine(store.path(MODEL))
    said = clip(speech, f"dev/en_assistant/{name}.flac")
    early = model.transcribe(said[: -samples_in(300)]).tokens
    steps = list[int]()

    def wanted() -> bool:
        steps.append(1)
        return True

    plain = model.transcribe(said, wanted)
    needed = len(steps)
    steps.clear()
    drafted = model.transcribe(said, wanted, early)
    assert drafted.tokens == plain.tokens
    assert len(steps) < needed


@pytest.mark.speech
@pytest.mark.model
def test_a_draft_of_something_else_does_no_harm(store: ModelStore, speech: Path) -> None:
    model = Moonshine(store.path(MODEL))
    said = clip(speech, "dev/en_assistant/g_brooklyn.flac")
    other = model.transcribe(clip(speech, "dev/en_assistant/az_weather.flac")).tokens
    assert model.transcribe(said, draft=other).text == model.transcribe(said).text
    assert model.transcribe(said, draft=other * 20).text == model.transcribe(said).text


@pytest.mark.speech
@pytest.mark.model
def test_it_tells_how_sure_it_is_that_a_sentence_goes_on(store: ModelStore, speech: Path) -> None:
    model = Moonshine(store.path(MODEL))
    said = clip(speech, "dev/en_assistant/in_sample1.flac")
    pause = np.pad(said[: samples_in(3168)], (0, samples_in(64)))
    begun = model.transcribe(pause)  # "For the twentieth time that evening,"
    assert begun.text.endswith(",")
    assert begun.goes_on is not None
    assert begun.goes_on > 0.85
    again = model.transcribe(pause, draft=begun.tokens)
    assert again.goes_on == pytest.approx(begun.goes_on, abs=0.05)
    assert model.transcribe(said).goes_on is None  # "... the two men shook hands."

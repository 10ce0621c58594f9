"""Quiet is heard before a VAD believes in it: words are asked for early, and at times too early."""

from __future__ import annotations

import pytest

from agent.decisions import AskFinal, Drop, Prepare, Release
from agent.endpoint import Evidence
from agent.turn_settings import TurnSettings
from stages.audio import samples_in
from tests.agent.taking_turns import QUICK, Floor, kinds, knobs


@pytest.fixture
def levels() -> Floor:
    """Somebody has spoken for half a second, and the levels of the line are known."""
    floor = Floor(QUICK, 16, levels=True)
    floor.hear(500, 0.95, loud=True)
    floor.done.clear()
    return floor


def test_words_are_asked_for_as_soon_as_it_is_quiet(levels: Floor) -> None:
    end = levels.position
    assert kinds(levels.hear(64, 0.95, loud=False)) == ["AskFinal"]
    assert levels.last(AskFinal).silence == samples_in(QUICK.pause_ms)
    assert levels.final("What time is it?") == []  # it may be a dip inside a word
    assert kinds(levels.hear(32, 0.95, loud=False)) == ["Prepare"]
    levels.judge(1.0)
    assert kinds(levels.hear(150, 0.05, loud=False)) == ["Close", "Release"]
    assert levels.last(Release).speech_end == end
    assert levels.last(Release).prepared


def test_a_dip_inside_a_word_takes_the_question_back(levels: Floor) -> None:
    levels.hear(64, 0.95, loud=False)
    dip = levels.last(AskFinal)
    levels.judge(1.0)
    assert levels.hear(300, 0.95, loud=True) == []
    assert levels.final("What ti", dip) == []
    end = levels.position
    assert kinds(levels.hear(64, 0.95, loud=False)) == ["AskFinal"]
    levels.final("What time is it?")
    levels.hear(100 + QUICK.doubtful_ms, 0.05, loud=False)
    assert levels.last(Release).text == "What time is it?"
    assert levels.last(Release).speech_end == end


def test_a_guess_at_the_words_before_a_dip_is_dropped(levels: Floor) -> None:
    levels.hear(64, 0.95, loud=False)
    levels.final("What")
    assert kinds(levels.hear(48, 0.95, loud=False)) == ["Prepare"]
    assert kinds(levels.hear(16, 0.95, loud=True)) == ["Drop"]


def test_after_soft_speech_words_are_asked_for_again_and_the_same_ones_keep_the_guess(
    levels: Floor,
) -> None:
    levels.hear(64, 0.95, loud=False)
    levels.final("I like to drink tea.")
    assert kinds(levels.hear(400, 0.95, loud=False)) == ["Prepare"]
    assert kinds(levels.hear(16, 0.05, loud=False)) == ["AskFinal"]
    assert levels.final("I like to drink tea.") == []
    levels.judge(1.0)
    assert kinds(levels.hear(QUICK.confident_ms, 0.05, loud=False)) == ["Close", "Release"]
    assert levels.last(Release).prepared


def test_after_soft_speech_that_brought_words_the_reply_is_prepared_anew(levels: Floor) -> None:
    levels.hear(64, 0.95, loud=False)
    levels.final("I like to drink")
    levels.hear(400, 0.95, loud=False)
    levels.hear(16, 0.05, loud=False)
    assert kinds(levels.final("I like to drink tea.")) == ["Drop", "Prepare"]


def test_in_noise_that_is_as_loud_as_speech_a_guess_waits_for_the_vad_alone(levels: Floor) -> None:
    levels.hear(16, 0.05, loud=True)
    assert kinds(levels.hear(64, 0.05, loud=True)) == ["AskFinal"]
    assert levels.final("What time is it?") == []
    assert kinds(levels.hear(48, 0.05, loud=True)) == ["Prepare"]


def test_words_that_lack_the_end_are_known_once_it_is_quiet(levels: Floor) -> None:
    end = levels.position
    assert not levels.turns.levels.end_is_after(end - samples_in(200))  # more may be said
    levels.hear(32, 0.95, loud=False)
    assert levels.turns.levels.end_is_after(end - samples_in(200))
    assert not levels.turns.levels.end_is_after(end)
    assert not levels.turns.levels.end_is_after(levels.position)


def test_a_guess_at_words_that_turn_out_too_few_after_the_endpoint_is_dropped(
    levels: Floor,
) -> None:
    levels.hear(64, 0.95, loud=False)
    levels.final("I like to drink")
    levels.hear(400, 0.95, loud=False)
    levels.hear(QUICK.cap_ms, 0.05, loud=False)  # the recogniser takes its time
    assert kinds(levels.final("I like to drink tea.")) == ["Drop", "Close", "Release"]
    assert levels.last(Drop).reply == levels.last(Prepare).reply
    assert not levels.last(Release).prepared


def test_soft_speech_without_end_is_cut_and_answered_with_all_its_words(levels: Floor) -> None:
    levels.settings = levels.turns.settings = knobs(longest_ms=2000)
    levels.hear(64, 0.95, loud=False)
    levels.final("It was a")
    levels.hear(1500, 0.95, loud=False)
    assert levels.last(AskFinal).silence == 0
    assert kinds(levels.final("It was a very long")) == ["Drop", "Close", "Release"]
    assert levels.last(Release).text == "It was a very long"
    assert levels.last(Release).speech_end == levels.last(AskFinal).at


def test_nothing_is_asked_for_twice_where_a_monologue_is_cut_at_a_dip(levels: Floor) -> None:
    levels.settings = levels.turns.settings = knobs(longest_ms=2000)
    levels.hear(2000 - 500 - 48, 0.95, loud=True)
    assert kinds(levels.hear(64, 0.95, loud=False)) == ["AskFinal"]
    assert kinds(levels.final("a very long")) == ["Close", "Release"]


@pytest.mark.parametrize("loud", [True, False])
def test_a_pause_before_a_word_that_was_first_taken_for_a_breath_is_one_of_the_callers(
    levels: Floor, loud: bool
) -> None:
    heard: list[tuple[float, ...]] = []

    def patience(settings: TurnSettings, evidence: Evidence) -> float:
        heard.append(evidence.inner_pauses_ms)
        return settings.cap_ms

    levels.turns.patience = patience
    levels.hear(64, 0.05, loud=False)
    levels.final("I would like")
    levels.hear(336, 0.05, loud=False)
    levels.hear(128, 0.95, loud=True)
    levels.hear(64, 0.95, loud=False)
    levels.final("I would like")  # as after a breath
    levels.hear(400, 0.95, loud)
    levels.hear(100, 0.05, loud=False)
    levels.final("I would like a coffee.")
    levels.hear(16, 0.05, loud=False)
    assert heard[-1] == (400.0,)


def test_a_breath_with_early_words_does_not_start_the_silence_anew(levels: Floor) -> None:
    levels.hear(64, 0.05, loud=False)
    end = levels.position - samples_in(64)
    levels.final("I would like a coffee.")
    levels.judge(1.0)
    levels.hear(100, 0.05, loud=False)
    levels.hear(96, 0.95, loud=True)
    levels.hear(64, 0.95, loud=False)
    levels.final("I would like a coffee.")
    assert kinds(levels.hear(16, 0.05, loud=False)) == ["Prepare", "Close", "Release"]
    assert levels.last(Release).speech_end == end


def test_a_short_sound_that_a_cut_ends_is_not_taken_for_a_breath(levels: Floor) -> None:
    levels.settings = levels.turns.settings = knobs(longest_ms=2000)
    levels.hear(2000 - 500 - 100 - 64, 0.95, loud=True)
    levels.hear(64, 0.05, loud=False)
    levels.final("I would like")
    levels.hear(150, 0.95, loud=True)
    cut = levels.last(AskFinal)
    levels.final("I would like")  # what follows is still to be heard
    assert levels.last(Release).speech_end == levels.last(Release).endpoint == cut.at

"""Quiet is heard before a VAD believes in it: words are asked for early, and at times too early."""

from __future__ import annotations

import pytest

from agent.decisions import AskFinal, Release
from stages.audio import samples_in
from tests.agent.taking_turns import QUICK, Floor, kinds


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
    assert not levels.turns.end_is_after(end - samples_in(200))  # more may be said
    levels.hear(32, 0.95, loud=False)
    assert levels.turns.end_is_after(end - samples_in(200))
    assert not levels.turns.end_is_after(end)
    assert not levels.turns.end_is_after(levels.position)

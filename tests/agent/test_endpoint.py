"""How long a silence must be: the evidence, clue by clue."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.endpoint import Evidence, dictating, hangs, patience_ms
from agent.turn_settings import TurnSettings
from tests.agent.taking_turns import knobs

BALANCED = knobs()


def test_a_turn_that_sounds_complete_ends_soonest() -> None:
    assert patience_ms(BALANCED, Evidence(1.0, "What time is it")) == BALANCED.confident_ms


def test_one_that_sounds_broken_off_waits() -> None:
    assert patience_ms(BALANCED, Evidence(0.0, "I went there")) == BALANCED.doubtful_ms


def test_no_opinion_lies_between() -> None:
    wait = patience_ms(BALANCED, Evidence(None, "I went there"))
    assert wait == (BALANCED.confident_ms + BALANCED.doubtful_ms) / 2


def test_before_the_words_are_there_it_is_more_patient() -> None:
    without = patience_ms(BALANCED, Evidence(0.9, None))
    assert without > patience_ms(BALANCED, Evidence(0.9, "I went there"))


def test_a_question_mark_is_nearly_enough() -> None:
    wait = patience_ms(BALANCED, Evidence(0.5, "Is it?"))
    assert wait < patience_ms(BALANCED, Evidence(0.5, "It is"))


def test_a_sentence_that_hangs_waits_for_the_cap_however_complete_it_sounds() -> None:
    assert patience_ms(BALANCED, Evidence(1.0, "I would like a coffee and")) == BALANCED.cap_ms


def test_a_caller_who_makes_long_pauses_is_given_them() -> None:
    slow = patience_ms(BALANCED, Evidence(0.9, "I see", (700.0, 720.0, 750.0)))
    assert slow > patience_ms(BALANCED, Evidence(0.9, "I see"))
    assert slow <= BALANCED.doubtful_ms


def test_one_long_pause_is_no_rhythm() -> None:
    once = patience_ms(BALANCED, Evidence(0.9, "I see", (750.0,)))
    assert once == patience_ms(BALANCED, Evidence(0.9, "I see"))


@pytest.mark.parametrize(
    "text",
    [
        "I would like to",
        "because",
        "so, um",
        "Well...",
        "first the bread,",
        "my number is five five",
        "电话是一三八",
        "我想要一个，",
        "因为",
        "我觉得是",
        "如果下雨的话",
        "三点五",
    ],
)
def test_it_hangs(text: str) -> None:
    assert hangs(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "Yes.",
        "What is that for?",
        "I like tea",
        "好的",
        "是的",
        "这本书是我的",
        "现在",
        "不是",
        "是不是",
        "很暖和",
        "明天下午三点",
        "今天天气怎么样？",
        "谢谢。",
    ],
)
def test_it_does_not_hang(text: str) -> None:
    assert not hangs(text)


def test_digits_are_dictated_in_both_languages() -> None:
    assert dictating("it is double seven")
    assert dictating("零七")
    assert not dictating("I have seven")


ANY = st.builds(
    Evidence,
    st.none() | st.floats(0, 1),
    st.none() | st.text(max_size=30),
    st.lists(st.floats(0, 20_000), max_size=12).map(tuple),
)
SETTINGS = st.builds(
    lambda first, second, third: knobs(
        confident_ms=min(first, second), doubtful_ms=max(first, second), cap_ms=third
    ),
    st.integers(100, 5000),
    st.integers(100, 5000),
    st.integers(200, 15_000),
)


@given(SETTINGS, ANY)
def test_it_is_never_hastier_than_confident_nor_longer_than_the_cap(
    settings: TurnSettings, evidence: Evidence
) -> None:
    wait = patience_ms(settings, evidence)
    assert min(settings.confident_ms, settings.cap_ms) <= wait <= settings.cap_ms


@given(SETTINGS, ANY, st.floats(0, 1), st.floats(0, 1))
def test_a_surer_opinion_is_never_slower(
    settings: TurnSettings, evidence: Evidence, one: float, other: float
) -> None:
    def wait(complete: float) -> float:
        return patience_ms(
            settings, Evidence(complete, evidence.text, evidence.inner_pauses_ms)
        )

    assert wait(max(one, other)) <= wait(min(one, other)) + 1e-6

"""How long a silence must be: the evidence, clue by clue."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.endpoint import Evidence, dictating, hangs, patience_ms, same_words
from agent.turn_settings import TurnSettings
from tests.agent.taking_turns import knobs

BALANCED = knobs()


def test_a_turn_that_sounds_complete_ends_soonest() -> None:
    assert patience_ms(BALANCED, Evidence(1.0, "What time is it")) == BALANCED.confident_ms


def wait(complete: float | None, text: str | None, **settings: int) -> float:
    return patience_ms(knobs(**settings), Evidence(complete, text))


def test_one_that_sounds_broken_off_waits_longer_but_an_ear_alone_is_not_half_the_doubt() -> None:
    middle = (BALANCED.confident_ms + BALANCED.doubtful_ms) / 2
    assert wait(0.0, "I went there") == middle


def test_a_little_doubt_in_the_voice_is_next_to_none() -> None:
    sure, little, much = (wait(complete, "I went there") for complete in (1.0, 0.8, 0.2))
    assert little - sure < 0.1 * (much - sure)


def test_no_opinion_lies_between() -> None:
    assert wait(1.0, "I went there") < wait(None, "I went there") < wait(0.0, "I went there")


def test_before_the_words_are_there_it_is_more_patient() -> None:
    assert wait(0.9, None) > wait(0.9, "I went there")


def test_a_question_is_believed_a_little_more_whatever_it_sounds_like() -> None:
    assert wait(0.1, "Was it green?") < wait(0.1, "It was green.")


def test_a_comma_at_the_end_makes_it_more_patient() -> None:
    unsure = wait(1.0, "Thunderstorms could produce hail,")
    assert BALANCED.confident_ms < unsure < BALANCED.doubtful_ms
    assert wait(1.0, "明天会下雨，") == unsure


def test_a_comma_that_the_recogniser_is_sure_of_waits_much_longer() -> None:
    hail = "Thunderstorms could produce hail,"
    sure, likely, untold = (
        patience_ms(BALANCED, Evidence(1.0, hail, goes_on=goes_on)) for goes_on in (0.9, 0.7, None)
    )
    assert likely == untold < BALANCED.doubtful_ms < sure < BALANCED.cap_ms


def test_a_sure_comma_after_two_words_is_a_comma_like_others() -> None:
    heard = Evidence(1.0, "Two people,", goes_on=0.95)  # all that was said, in a call
    assert patience_ms(BALANCED, heard) < BALANCED.doubtful_ms


def test_one_word_alone_is_often_the_first_of_several() -> None:
    assert wait(1.0, "Montreal.") > wait(1.0, "Montreal today.")
    assert wait(1.0, "Montreal.") > wait(1.0, "明天")


def test_a_name_that_is_called_is_as_good_as_one_word() -> None:
    assert wait(1.0, "Hey Robin.") == wait(1.0, "Robin.")
    assert wait(1.0, "Hey Robin, stop.") < wait(1.0, "Hey Robin.")


@pytest.mark.parametrize("text", ["Hello.", "hi", "Hey, hello!", "你好。", "喂", "喂，你好"])
def test_a_greeting_may_be_all_there_is_and_is_given_time(text: str) -> None:
    assert BALANCED.doubtful_ms < wait(1.0, text) < BALANCED.cap_ms


def test_a_hello_that_asks_whether_anybody_is_there_is_answered() -> None:
    assert wait(1.0, "Hello?") < BALANCED.doubtful_ms
    assert wait(0.5, "Hello?") > BALANCED.doubtful_ms


@pytest.mark.parametrize("text", ["But um, the train, um", "and then uh.", "我想要，嗯", "额"])
def test_a_hesitation_makes_it_doubtful(text: str) -> None:
    assert wait(1.0, text) == BALANCED.doubtful_ms


@pytest.mark.parametrize("text", ["Mm-hmm.", "总共多少金额", "请查一下余额"])
def test_what_only_looks_like_a_hesitation_is_none(text: str) -> None:
    assert wait(1.0, text) < BALANCED.doubtful_ms


def test_a_sentence_that_hangs_waits_for_the_cap_however_complete_it_sounds() -> None:
    assert wait(1.0, "I would like a coffee and") == BALANCED.cap_ms
    assert wait(1.0, "我想要一杯咖啡和") == BALANCED.cap_ms


def test_a_recogniser_that_has_heard_the_end_is_believed() -> None:
    heard = Evidence(0.0, "I would like a coffee and", endpoint=True)
    assert patience_ms(BALANCED, heard) == BALANCED.confident_ms


def test_a_caller_who_makes_long_pauses_is_given_them() -> None:
    slow = patience_ms(BALANCED, Evidence(0.9, "I see", (700.0, 720.0, 750.0)))
    assert slow > patience_ms(BALANCED, Evidence(0.9, "I see"))
    assert slow <= BALANCED.doubtful_ms


@pytest.mark.parametrize("text", ["I see", "a nice table,", "Hello"])
def test_a_caller_who_was_cut_into_twice_is_given_more_time_whatever_they_say(text: str) -> None:
    never, once, twice, often = (
        patience_ms(BALANCED, Evidence(1.0, text, cuts=cuts)) for cuts in (0, 1, 2, 9)
    )
    assert never <= once < twice < BALANCED.cap_ms
    assert often == twice


def test_one_cut_may_be_chance_and_costs_only_what_is_doubtful() -> None:
    def more(text: str) -> float:
        once, never = (patience_ms(BALANCED, Evidence(1.0, text, cuts=n)) for n in (1, 0))
        return once - never

    assert more("I see") == 0
    assert more("a nice table,") > 100


def test_two_long_pauses_are_no_habit_yet() -> None:
    once = patience_ms(BALANCED, Evidence(0.9, "I see", (750.0, 900.0)))
    assert once == patience_ms(BALANCED, Evidence(0.9, "I see"))


@pytest.mark.parametrize(
    "text",
    [
        "I would like to",
        "because",
        "So,",
        "Well, so.",
        "Well...",
        "I would like to.",
        "Montreal, or?",
        "my number is five five one",
        "One zero zero, one?",
        "1-0-0-0-1",
        "电话是一三八",
        "我要苹果、",
        "因为",
        "我觉得是",
        "如果下雨的话",
        "Can I have.",
        "please could you",
        "I want",
        "What's,",
        "Well, tell me.",
        "I'd like",
        "那，",
        "请问",
        "请帮我",
        "我想要，",
        "nine, zero two, one, oh",
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
        "Turn the light on.",
        "Thank you.",
        "What is it like?",
        "Set an alarm for six thirty",
        "first the bread,",
        "OK.",
        "A.",
        "Thirty three, four, six, ninety two.",
        "Why so?",
        "我想要一个，",
        "是",
        "That is all I need.",
        "That's what I want",
        "Can you?",
        "你能不能来",
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
        "好",
        "那边",
    ],
)
def test_it_does_not_hang(text: str) -> None:
    assert not hangs(text)


def test_digits_are_dictated_in_both_languages() -> None:
    assert dictating("it is double seven one")
    assert dictating("1-0-0-0-1. 902-1-0.")
    assert dictating("零七八")
    assert dictating("我的电话是138")
    assert not dictating("in the year 2026")
    assert not dictating("It is 33-4692.")
    assert not dictating("The score was 3-2.")
    assert not dictating("at five thirty")
    assert not dictating("一百二十")


def test_the_same_words_are_the_same_however_they_are_marked() -> None:
    assert same_words("What time is it?", "what time is it.")
    assert same_words("今天天气怎么样？", "今天天气怎么样")
    assert not same_words("What time", "What time is it")


ANY = st.builds(
    Evidence,
    st.none() | st.floats(0, 1),
    st.none() | st.text(max_size=30),
    st.lists(st.floats(0, 20_000), max_size=12).map(tuple),
    cuts=st.integers(0, 6),
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
    found = patience_ms(settings, evidence)
    assert min(settings.confident_ms, settings.cap_ms) <= found <= settings.cap_ms


@given(SETTINGS, ANY, st.floats(0, 1), st.floats(0, 1))
def test_a_surer_opinion_is_never_slower(
    settings: TurnSettings, evidence: Evidence, one: float, other: float
) -> None:
    def found(complete: float) -> float:
        return patience_ms(
            settings,
            Evidence(complete, evidence.text, evidence.inner_pauses_ms, cuts=evidence.cuts),
        )

    assert found(max(one, other)) <= found(min(one, other)) + 1e-6

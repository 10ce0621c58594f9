"""Who has the word when both speak: holds, interruptions, and callers who were cut off."""

from __future__ import annotations

import pytest

from agent.decisions import (
    AskFinal,
    GoOn,
    Hold,
    Interrupt,
    Open,
    Release,
)
from agent.interrupt import KNOCK_MS
from agent.turn import FINAL_DEADLINE_MS, NOISE_MS
from tests.agent.taking_turns import QUICK, Floor, kinds, knobs, replying

# --- over a reply ---------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["", "mm-hm", "嗯", "Okay.", "嗯嗯，对"])
def test_a_cough_or_a_nod_over_a_reply_only_holds_it(floor: Floor, words: str) -> None:
    reply = replying(floor)
    floor.speak(260)
    assert kinds(floor.done) == ["Hold", "Open"]
    floor.partial(words)
    floor.be_silent(140)
    floor.final(words)
    floor.judge(1.0)  # however complete it sounds
    floor.be_silent(NOISE_MS)
    assert kinds(floor.done) == ["Hold", "Open", "AskFinal", "GoOn", "Close"]
    assert floor.last(GoOn).reply == reply


def test_a_nod_is_no_answer_even_where_answers_are_quick() -> None:
    floor = Floor(knobs(confident_ms=100, doubtful_ms=100))
    replying(floor)
    floor.speak(200)
    floor.be_silent(100)
    floor.final("yeah")
    floor.judge(1.0)
    floor.be_silent(1000)
    assert floor.all(Interrupt) == []
    assert floor.all(Release) == []
    assert len(floor.all(GoOn)) == 1


def test_a_reply_held_for_words_that_never_come_goes_on(floor: Floor) -> None:
    replying(floor)
    floor.speak(260)
    floor.be_silent(QUICK.cap_ms + FINAL_DEADLINE_MS + 100)
    assert kinds(floor.done)[-2:] == ["GoOn", "Close"]


def test_words_take_the_word(floor: Floor) -> None:
    reply = replying(floor)
    floor.be_silent(200)
    start = floor.position
    floor.speak(200)
    assert floor.partial("no wait") == [Interrupt(reply, start)]
    floor.be_silent(140)
    floor.final("No wait.")
    floor.be_silent(1200)
    assert (floor.last(Release).text, floor.last(Release).turn) == ("No wait.", 2)


def test_words_that_a_recogniser_hears_in_a_cough_do_not(floor: Floor) -> None:
    replying(floor)
    floor.hear(280, 0.7)  # a VAD is seldom sure of a cough
    assert floor.partial("It's a.") == []
    floor.be_silent(140)
    floor.final("Thank you for watching.")
    floor.be_silent(1000)
    assert kinds(floor.done) == ["Hold", "Open", "AskFinal", "GoOn", "Close"]


def test_words_count_once_there_was_enough_speech_for_them(floor: Floor) -> None:
    reply = replying(floor)
    floor.speak(160)
    assert floor.partial("Tell me") == []
    floor.speak(160)
    assert kinds(floor.partial("Tell me more")) == ["Interrupt"]
    assert floor.last(Interrupt).reply == reply


def test_the_first_sure_moment_holds_and_a_knock_is_soon_forgotten(floor: Floor) -> None:
    reply = replying(floor)
    assert floor.speak(20) == [Hold(reply)]
    assert floor.be_silent(KNOCK_MS - 40) == []
    assert floor.be_silent(60) == [GoOn(reply)]
    assert floor.all(Open) == []


def test_a_sound_that_may_be_speech_holds_what_is_heard_at_its_first_frame() -> None:
    floor = Floor(QUICK, 32)
    reply = replying(floor)
    assert floor.hear(32, 0.55) == [Hold(reply)]  # half of a soft beginning is never surer
    floor.be_silent(200)
    assert len(floor.all(GoOn)) == 1


def test_who_wants_it_calmer_sets_it_so() -> None:
    floor = Floor(knobs(hold_ms=96), 32)
    reply = replying(floor)
    assert Hold(reply) not in floor.hear(64, 0.55)
    assert Hold(reply) in floor.hear(32, 0.55)


def test_enough_speech_takes_the_word_before_any_words(floor: Floor) -> None:
    reply = replying(floor)
    floor.speak(QUICK.interrupt_ms - 60)
    assert floor.all(Interrupt) == []
    floor.speak(100)
    assert [action.reply for action in floor.all(Interrupt)] == [reply]


def test_a_character_that_is_not_interruptible_speaks_on() -> None:
    floor = Floor(knobs(interruptible=False))
    reply = replying(floor)
    floor.speak(1500)
    floor.partial("stop it now")
    floor.be_silent(140)
    floor.final("Stop it now.")
    floor.be_silent(2000)
    assert kinds(floor.done) == ["Open", "AskFinal", "Close"]
    floor.turns.over(reply)
    assert floor.turn("Thank you.").turn == 2


def test_words_that_outlast_an_uninterruptible_reply_are_answered() -> None:
    floor = Floor(knobs(interruptible=False))
    reply = replying(floor)
    floor.speak(500)
    floor.turns.over(reply)
    floor.speak(500)
    floor.be_silent(140)
    floor.final("And then?")
    floor.be_silent(2000)
    assert floor.last(Release).text == "And then?"


# --- where levels are known: the VAD is late, words are early -------------------------------


@pytest.fixture
def levels() -> Floor:
    return Floor(QUICK, 16, levels=True)


def decay(floor: Floor) -> None:
    """Let the VAD take 100 ms to believe in the silence."""
    for probability in (0.95, 0.9, 0.8, 0.6, 0.5, 0.4):
        floor.hear(16, probability, loud=False)


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("words", ["", "It's a.", "Mm-hm.", "嗯", "Yeah."])
def test_a_cough_or_a_nod_with_early_words_only_holds(
    levels: Floor, words: str, early: bool
) -> None:
    reply = replying(levels)
    levels.hear(150, 0.95, loud=True)
    decay(levels)
    ask = levels.last(AskFinal)
    if early:
        levels.final(words)
    levels.be_silent(64)
    assert levels.last(AskFinal) == ask  # they were asked for once
    levels.final(words)
    levels.judge(1.0)
    levels.be_silent(NOISE_MS)
    assert kinds(levels.done) == ["Hold", "Open", "AskFinal", "GoOn", "Close"]
    assert levels.last(GoOn).reply == reply


def test_a_hum_with_a_dip_in_it_only_holds(levels: Floor) -> None:
    replying(levels)
    levels.hear(160, 0.95, loud=True)
    levels.hear(64, 0.95, loud=False)
    levels.final("Mm.")
    levels.hear(160, 0.95, loud=True)
    decay(levels)
    levels.final("Mm-hm.")
    levels.be_silent(NOISE_MS)
    assert kinds(levels.done) == ["Hold", "Open", "AskFinal", "AskFinal", "GoOn", "Close"]


@pytest.mark.parametrize("words", ["Stop.", "No, wait!", "停"])
def test_an_order_interrupts_before_the_vad_believes_in_the_silence(
    levels: Floor, words: str
) -> None:
    reply = replying(levels)
    levels.hear(240, 0.95, loud=True)
    levels.hear(64, 0.95, loud=False)
    assert kinds(levels.final(words)) == ["Interrupt"]
    assert levels.last(Interrupt).reply == reply


def test_early_words_interrupt_as_soon_as_there_was_enough_speech_for_them(levels: Floor) -> None:
    reply = replying(levels)
    levels.hear(160, 0.95, loud=True)
    levels.hear(64, 0.95, loud=False)
    assert levels.final("Tell me more.") == []  # it may be a cough
    assert kinds(levels.hear(48, 0.95, loud=False)) == ["Interrupt", "Prepare"]
    assert levels.last(Interrupt).reply == reply
    levels.be_silent(1000)
    assert levels.last(Release).text == "Tell me more."
    assert levels.last(Release).prepared


def test_words_that_grew_credible_in_their_pause_end_the_reply_before_they_are_answered(
    floor: Floor,
) -> None:
    reply = replying(floor)
    floor.speak(220)
    floor.be_silent(100)
    floor.final("Tell me more.")
    floor.judge(1.0)
    floor.speak(32)  # too short to go on with
    floor.be_silent(1000)
    assert kinds(floor.done) == ["Hold", "Open", "AskFinal", "Interrupt", "Close", "Release"]
    assert floor.last(Interrupt).reply == reply


# --- cut off --------------------------------------------------------------------------------


@pytest.mark.parametrize("interruptible", [True, False])
def test_a_caller_who_was_cut_off_says_one_turn(floor: Floor, interruptible: bool) -> None:
    floor.settings = floor.turns.settings = knobs(interruptible=interruptible)
    first = floor.turn("Book a table for")
    floor.speak(300)
    floor.partial("two people")
    assert floor.last(Interrupt).reply == first.reply
    assert floor.turns.said_with("two") == "Book a table for two"
    floor.be_silent(140)
    floor.final("two people.")
    floor.be_silent(2000)
    second = floor.last(Release)
    assert (second.turn, second.text) == (first.turn, "Book a table for two people.")
    assert second.reply > first.reply


@pytest.mark.parametrize("heard", [True, False])
def test_so_does_one_who_has_heard_no_word_of_the_reply(floor: Floor, heard: bool) -> None:
    floor.turns.unheard = lambda reply: not heard
    first = floor.turn("Book a table for")
    floor.turns.audible(first.reply)
    floor.speak(300)
    floor.partial("two people")
    assert floor.last(Interrupt).reply == first.reply
    floor.be_silent(140)
    floor.final("two people.")
    floor.be_silent(2000)
    second = floor.last(Release)
    whole = "two people." if heard else "Book a table for two people."
    assert (second.turn, second.text) == (first.turn + heard, whole)


def test_a_cough_into_the_first_sound_of_the_reply_does_not_lose_it(floor: Floor) -> None:
    floor.turns.unheard = lambda reply: True
    first = floor.turn("What is the time?")
    floor.turns.audible(first.reply)
    floor.speak(QUICK.interrupt_ms + 100)
    assert floor.last(Interrupt).reply == first.reply
    floor.be_silent(140)
    floor.final("")
    floor.be_silent(QUICK.cap_ms)
    assert (floor.last(Release).turn, floor.last(Release).text) == (1, "What is the time?")


@pytest.mark.parametrize("words", ["right", "Yes.", "okay", "go on", "对", "嗯，好的"])
def test_a_word_that_could_be_a_nod_is_none_before_there_is_anything_to_nod_at(
    floor: Floor, words: str
) -> None:
    first = floor.turn("Turn left, or")
    floor.speak(260)
    floor.partial(words)
    assert floor.last(Interrupt).reply == first.reply
    floor.be_silent(140)
    floor.final(words)
    floor.be_silent(2000)
    assert floor.last(Release).text == f"Turn left, or {words}"
    assert floor.last(Release).turn == first.turn


def test_nor_is_one_that_began_before_the_reply_did(floor: Floor) -> None:
    floor.turns.unheard = lambda reply: True
    first = floor.turn("Turn left, or")
    floor.speak(64)
    floor.turns.audible(first.reply)
    floor.speak(300)
    floor.be_silent(140)
    floor.final("right")
    floor.be_silent(2000)
    assert floor.last(Release).text == "Turn left, or right"


@pytest.mark.parametrize("words", ["", "mm", "Uh-huh.", "um", "oh", "嗯", "啊，哦"])
def test_a_hum_before_the_reply_says_nothing_and_delays_it_no_further(
    floor: Floor, words: str
) -> None:
    floor.turn("What is the time?")
    floor.speak(260)
    floor.partial(words)
    floor.be_silent(140)
    floor.final(words)
    floor.be_silent(2000)
    assert floor.all(Interrupt) == []
    assert len(floor.all(Release)) == len(floor.all(GoOn)) == 1


def test_nor_does_a_cough_that_a_recogniser_takes_for_a_nod(floor: Floor) -> None:
    floor.turn("What is the time?")
    floor.hear(260, 0.7)
    floor.partial("Yeah.")
    floor.be_silent(140)
    floor.final("Yeah.")
    floor.be_silent(2000)
    assert floor.all(Interrupt) == []


def test_a_long_cough_before_the_reply_does_not_leave_the_caller_without_it(floor: Floor) -> None:
    first = floor.turn("What is the time?")
    floor.speak(QUICK.interrupt_ms + 100)
    assert floor.last(Interrupt).reply == first.reply
    floor.be_silent(140)
    floor.final("")
    floor.be_silent(QUICK.cap_ms)
    again = floor.last(Release)
    assert again.reply > first.reply
    assert (again.turn, again.text) == (first.turn, "What is the time?")


def test_nor_does_a_cough_whose_words_never_come(floor: Floor) -> None:
    floor.turn("What is the time?")
    floor.speak(QUICK.interrupt_ms + 100)
    floor.be_silent(QUICK.cap_ms + FINAL_DEADLINE_MS + 100)
    assert [release.text for release in floor.all(Release)] == ["What is the time?"] * 2


def test_hold_comes_before_interrupt(floor: Floor) -> None:
    replying(floor)
    floor.speak(1000)
    assert kinds(floor.done) == ["Hold", "Open", "Interrupt"]
    assert len(floor.all(Hold)) == 1

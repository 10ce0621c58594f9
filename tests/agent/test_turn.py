"""Who has the word, told as stories on the sample clock."""

from __future__ import annotations

from agent.decisions import (
    AskFinal,
    Close,
    Interrupt,
    Open,
    Prepare,
    Release,
)
from agent.endpoint import Evidence, patience_ms
from agent.turn import FINAL_DEADLINE_MS, Turns
from stages.audio import milliseconds_in, samples_in
from stages.events import Transcript
from tests.agent.taking_turns import QUICK, Floor, kinds, knobs, replying

# --- a turn ---------------------------------------------------------------------------------


def test_a_turn_is_heard_guessed_and_answered(floor: Floor) -> None:
    floor.be_silent(500)
    start = floor.position
    assert kinds(floor.speak(1000)) == ["Open"]
    end = floor.position
    assert kinds(floor.be_silent(140)) == ["AskFinal"]
    assert kinds(floor.final("What time is it?")) == ["Prepare"]
    floor.judge(1.0)
    close, release = floor.be_silent(300)

    assert isinstance(close, Close)
    assert isinstance(release, Release)
    assert release.prepared
    assert release.reply == floor.last(Prepare).reply
    assert (release.turn, release.text) == (1, "What time is it?")
    assert release.speech_end == end
    assert release.endpoint is not None
    waited = milliseconds_in(release.endpoint - end)
    assert QUICK.confident_ms <= waited < QUICK.confident_ms + floor.frame_ms
    assert floor.last(Open).start == start - samples_in(QUICK.pre_roll_ms)


def test_a_click_shorter_than_start_ms_opens_nothing(floor: Floor) -> None:
    assert floor.speak(20) + floor.be_silent(2000) == []


def test_the_greeting_is_the_reply_to_no_turn() -> None:
    floor = Floor()
    [greeting] = floor.note(floor.turns.greet())
    assert isinstance(greeting, Release)
    assert (greeting.turn, greeting.reply) == (0, 1)
    floor.turns.over(1)
    assert (floor.turn("hello there").turn, floor.last(Release).reply) == (1, 2)


def test_no_opinion_and_no_words_wait_for_the_words(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(QUICK.cap_ms + 200)
    assert floor.all(Release) == []
    _, release = floor.final("Hello.")
    assert isinstance(release, Release)
    assert release.endpoint is not None
    assert release.speech_end is not None
    assert milliseconds_in(release.endpoint - release.speech_end) <= QUICK.cap_ms + floor.frame_ms


def test_speech_while_the_words_are_awaited_takes_the_endpoint_back(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(QUICK.cap_ms + 200)
    stale = floor.last(AskFinal)
    floor.speak(300)
    assert floor.final("Hello", stale) == []
    floor.be_silent(140)
    floor.final("Hello and more.")
    floor.be_silent(QUICK.cap_ms)
    assert [release.text for release in floor.all(Release)] == ["Hello and more."]


def test_a_final_that_never_comes_is_given_up_after_the_deadline(floor: Floor) -> None:
    floor.speak(500)
    end = floor.position
    floor.be_silent(QUICK.cap_ms + FINAL_DEADLINE_MS + 100)
    assert kinds(floor.done) == ["Open", "AskFinal", "Close"]
    assert not floor.turns.busy
    assert floor.final("too late") == []
    assert milliseconds_in(floor.position - end) < 6000
    assert floor.turn("again").turn == 1


def test_a_final_without_words_answers_nothing(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(140)
    floor.final("")
    floor.be_silent(QUICK.cap_ms)
    assert floor.all(Release) == []
    assert floor.all(Prepare) == []
    assert len(floor.all(Close)) == 1


def test_a_sure_comma_is_waited_at_and_forgotten_when_the_caller_goes_on(floor: Floor) -> None:
    floor.speak(900)
    floor.be_silent(QUICK.pause_ms + floor.frame_ms)
    floor.final("At nine in the morning,", goes_on=0.95)
    floor.judge(1.0)
    assert "Release" not in kinds(floor.be_silent(QUICK.doubtful_ms))
    floor.speak(900)
    floor.be_silent(QUICK.pause_ms + floor.frame_ms)
    floor.final("At nine in the morning, wake me up.")
    floor.judge(1.0)
    assert kinds(floor.be_silent(QUICK.confident_ms))[-1] == "Release"


def test_an_end_that_the_recogniser_heard_under_noise_is_not_waited_for_again(
    floor: Floor,
) -> None:
    floor.speak(1500)  # some of it is noise to the recogniser, and it counts blanks
    floor.partial("and then", endpoint=True)
    floor.be_silent(QUICK.pause_ms + floor.frame_ms)
    floor.final("and then")
    waited = floor.be_silent(QUICK.confident_ms)
    assert kinds(waited)[-1] == "Release"


def test_who_goes_on_after_the_recogniser_heard_an_end_is_heard_out(floor: Floor) -> None:
    floor.speak(1500)
    floor.partial("and then", endpoint=True)
    floor.be_silent(QUICK.pause_ms + floor.frame_ms)
    floor.speak(500)
    floor.be_silent(QUICK.pause_ms + floor.frame_ms)
    decided = floor.final("and then") + floor.be_silent(QUICK.doubtful_ms)
    assert kinds(decided) == ["Prepare"]
    assert kinds(floor.be_silent(QUICK.cap_ms))[-1] == "Release"


def test_a_sentence_that_hangs_waits_for_the_cap(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(140)
    floor.final("I would like to")
    floor.judge(1.0)
    floor.be_silent(900)
    assert floor.all(Release) == []
    floor.be_silent(300)
    assert len(floor.all(Release)) == 1


def test_an_opinion_about_an_older_pause_is_worth_nothing(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(140)
    old = floor.last(AskFinal)
    floor.speak(200)
    floor.be_silent(140)
    floor.final("and so we went")
    floor.turns.judged(old.utterance, old.at, 1.0)
    floor.be_silent(140)
    assert floor.all(Release) == []


def test_a_breath_that_brings_no_word_does_not_start_the_silence_anew(floor: Floor) -> None:
    floor.speak(500)
    end = floor.position
    floor.be_silent(140)
    floor.final("What time is it?")
    floor.judge(0.0)
    floor.be_silent(140)
    floor.speak(120)
    floor.be_silent(140)
    floor.final("what time is it")
    floor.be_silent(floor.frame_ms)
    assert floor.last(Release).speech_end == end
    floor.turns.over(floor.last(Release).reply)
    floor.speak(500)
    assert floor.last(Open).start >= end + samples_in(400)  # the breath is no part of it


def test_no_turn_ends_in_a_loud_frame_that_may_begin_speech_but_it_does_in_noise(
    floor: Floor,
) -> None:
    floor.speak(500)
    floor.be_silent(140)
    floor.final("What time is it")
    samples = samples_in(floor.frame_ms)

    def hear(probability: float, loud: bool) -> list[str]:
        floor.position += samples
        place = floor.position if loud else 0
        return kinds(floor.turns.frame(floor.position, samples, probability, place))

    patience = patience_ms(floor.settings, Evidence(text="What time is it"))
    while milliseconds_in(floor.position) < 500 + patience - floor.frame_ms:
        assert hear(0.05, loud=False) == []
    assert hear(0.3, loud=True) == []  # it would have ended here
    assert hear(0.3, loud=True) == ["Close", "Release"]


def test_a_short_word_after_a_pause_does(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(140)
    floor.final("Turn it")
    floor.be_silent(140)
    floor.speak(120)
    end = floor.position
    floor.be_silent(140)
    floor.final("Turn it off")
    floor.judge(1.0)
    floor.be_silent(100)
    assert floor.last(Release).speech_end == end


def test_so_does_a_long_sound_without_a_word(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(140)
    floor.final("Turn it off")
    floor.speak(400)
    end = floor.position
    floor.be_silent(140)
    floor.final("Turn it off")
    floor.judge(1.0)
    floor.be_silent(100)
    assert floor.last(Release).speech_end == end


def test_words_that_a_recogniser_loses_in_a_longer_piece_are_answered(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(140)
    floor.final("It was Jim and")
    floor.speak(500)
    floor.be_silent(140)
    floor.final("")
    floor.be_silent(floor.settings.doubtful_ms - 140)  # what they hang on has been said since
    assert floor.last(Release).text == "It was Jim and"


def test_but_not_those_that_it_heard_in_noise_over_a_reply(floor: Floor) -> None:
    replying(floor)
    floor.hear(150, 0.6)
    floor.be_silent(140)
    floor.final("you")
    floor.hear(150, 0.6)
    floor.be_silent(140)
    floor.final("")
    floor.be_silent(1000)
    assert floor.all(Release) == []


def test_news_of_an_older_utterance_changes_nothing(floor: Floor) -> None:
    floor.turn("first")
    old = floor.last(AskFinal)
    floor.turns.over(floor.last(Release).reply)
    floor.speak(500)
    floor.be_silent(140)
    assert floor.final("first again", old) == []
    assert floor.note(floor.turns.transcript(Transcript(old.utterance, "no", 1))) == []


def test_words_said_twice_for_one_pause_count_once(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(140)
    floor.final("hello")
    assert floor.final("something else") == []


# --- too long -------------------------------------------------------------------------------


def test_speech_without_end_is_ended_and_goes_on_where_it_was_cut(floor: Floor) -> None:
    floor.settings = floor.turns.settings = knobs(longest_ms=2000)
    floor.speak(2400)
    cut = floor.last(AskFinal)
    assert milliseconds_in(cut.at - floor.last(Open).start) <= 2000 + floor.frame_ms
    floor.final("a very long")
    assert [release.text for release in floor.all(Release)] == ["a very long"]
    floor.speak(100)
    assert floor.last(Open).start == cut.at
    assert len(floor.all(Open)) == 2
    floor.be_silent(140)
    floor.final("story.")
    floor.be_silent(1500)
    assert floor.last(Release).text == "a very long story."
    assert floor.last(Release).turn == 1


def test_speech_that_flickers_is_ended_too() -> None:
    """Runs too short to be sure of, pauses too short to be pauses."""
    floor = Floor(knobs(longest_ms=2000))
    floor.speak(100)
    for _ in range(40):
        floor.be_silent(40)
        floor.speak(40)
    [ask] = floor.all(AskFinal)
    assert milliseconds_in(ask.at - floor.last(Open).start) <= 2020


def test_a_cut_monologue_whose_words_never_come_is_given_up(floor: Floor) -> None:
    floor.settings = floor.turns.settings = knobs(longest_ms=2000)
    floor.speak(2000 + FINAL_DEADLINE_MS + 400)
    assert len(floor.all(Close)) == 1


# --- gone -----------------------------------------------------------------------------------


def test_once_the_caller_is_gone_nothing_is_decided(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(140)
    ask = floor.last(AskFinal)
    floor.turns.hang_up()
    floor.done.clear()
    floor.final("Hello?", ask)
    floor.be_silent(2000)
    floor.speak(1000)
    floor.write("Are you there?")
    floor.note(floor.turns.greet())
    assert floor.done == []
    assert not floor.turns.busy


# --- typed ----------------------------------------------------------------------------------


def test_typed_words_end_what_is_going_on(floor: Floor) -> None:
    reply = replying(floor)
    floor.speak(200)
    actions = floor.write("Stop.")
    assert kinds(actions) == ["Interrupt", "Close", "Release"]
    assert floor.last(Interrupt) == Interrupt(reply, None)
    assert floor.last(Release) == Release(reply + 1, 2, "Stop.", False)


def test_typed_words_drop_a_guess(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(140)
    floor.final("hello")
    assert kinds(floor.write("Hi.")) == ["Drop", "Close", "Release"]


def test_two_messages_typed_in_a_hurry_are_two_turns(floor: Floor) -> None:
    floor.write("Hello.")
    floor.write("What time is it?")
    assert [(r.turn, r.text) for r in floor.all(Release)] == [
        (1, "Hello."),
        (2, "What time is it?"),
    ]


def test_what_was_being_said_when_something_was_typed_is_not_heard_again(floor: Floor) -> None:
    floor.speak(1000)
    floor.write("Never mind, I type.")
    typed_at = floor.position
    assert floor.speak(20) == []
    floor.speak(100)
    assert floor.last(Open).start >= typed_at
    assert floor.all(Interrupt) == []


def test_a_message_of_blanks_is_none() -> None:
    assert Floor().write("  \n") == []


def test_a_new_line_goes_on_counting() -> None:
    turns = Turns(knobs(), turn=5, reply=9)
    [release] = turns.typed("hello")
    assert isinstance(release, Release)
    assert (release.turn, release.reply) == (5, 9)

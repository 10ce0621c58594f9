"""Who has the word, told as stories on the sample clock, and as any story at all."""

from __future__ import annotations

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.decisions import (
    AskFinal,
    Close,
    Drop,
    GoOn,
    Hold,
    Interrupt,
    Open,
    Prepare,
    Release,
)
from agent.turn import FINAL_DEADLINE_MS, NOISE_MS, Turns
from agent.turn_settings import TurnSettings
from stages.audio import milliseconds_in, samples_in
from stages.events import Transcript
from tests.agent.taking_turns import Floor, Ledger, knobs

QUICK = knobs(confident_ms=200, doubtful_ms=700, cap_ms=1200)


@pytest.fixture(params=[20, 32], ids=["20 ms frames", "32 ms frames"])
def floor(request: pytest.FixtureRequest) -> Floor:
    return Floor(QUICK, request.param)


def kinds(actions: list[object]) -> list[str]:
    return [type(action).__name__ for action in actions]


# --- a turn ---------------------------------------------------------------------------------


def test_a_turn_is_heard_guessed_and_answered(floor: Floor) -> None:
    floor.be_silent(500)
    start = floor.position
    assert kinds(list(floor.speak(1000))) == ["Open"]
    end = floor.position
    assert kinds(list(floor.be_silent(140))) == ["AskFinal"]
    assert kinds(list(floor.final("What time is it?"))) == ["Prepare"]
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


def test_speech_in_a_pause_takes_the_guess_back(floor: Floor) -> None:
    floor.speak(600)
    floor.be_silent(140)
    floor.final("I would like a coffee")
    guess = floor.last(Prepare)
    assert floor.speak(200) == [Drop(guess.reply)]
    floor.be_silent(140)
    floor.final("I would like a coffee and a cake.")
    floor.judge(1.0)
    floor.be_silent(300)
    release = floor.last(Release)
    assert release.text == "I would like a coffee and a cake."
    assert release.reply > guess.reply
    assert (release.turn, release.prepared) == (1, True)


def test_the_same_words_after_a_pause_are_guessed_anew(floor: Floor) -> None:
    """A breath was taken for speech: the guess was dropped when it began, and is made again."""
    floor.speak(600)
    floor.be_silent(140)
    floor.final("Good morning.")
    floor.speak(100)
    floor.be_silent(140)
    floor.final("Good morning.")
    assert len(floor.all(Prepare)) == 2


def test_only_so_many_guesses_are_made_and_the_turn_is_answered_without() -> None:
    floor = Floor(knobs(tries=2))
    for words in ("one", "one more", "one more thing", "one more thing now"):
        floor.speak(400)
        floor.be_silent(140)
        floor.final(words)
    floor.be_silent(2000)
    assert len(floor.all(Prepare)) == 2
    assert len(floor.all(Drop)) == 2
    assert not floor.last(Release).prepared


def test_without_speculation_the_reply_begins_at_the_endpoint() -> None:
    floor = Floor(knobs(speculate=False))
    release = floor.turn("Hello.")
    assert not release.prepared
    assert floor.all(Prepare) == []


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
    assert kinds(list(floor.done)) == ["Open", "AskFinal", "Close"]
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
    floor.be_silent(200)
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


# --- over a reply ---------------------------------------------------------------------------


def replying(floor: Floor, text: str = "Tell me a story.") -> int:
    reply = floor.turn(text).reply
    floor.turns.audible(reply)
    floor.be_silent(300)
    floor.done.clear()
    return reply


@pytest.mark.parametrize("words", ["", "mm-hm", "嗯", "Okay.", "嗯嗯，对"])
def test_a_cough_or_a_nod_over_a_reply_only_holds_it(floor: Floor, words: str) -> None:
    reply = replying(floor)
    floor.speak(260)
    assert kinds(list(floor.done)) == ["Open", "Hold"]
    floor.partial(words)
    floor.be_silent(140)
    floor.final(words)
    floor.judge(1.0)  # however complete it sounds
    floor.be_silent(NOISE_MS)
    assert kinds(list(floor.done)) == ["Open", "Hold", "AskFinal", "GoOn", "Close"]
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
    assert kinds(list(floor.done))[-2:] == ["GoOn", "Close"]


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
    assert kinds(list(floor.done)) == ["Open", "AskFinal", "Close"]
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


# --- typed ----------------------------------------------------------------------------------


def test_typed_words_end_what_is_going_on(floor: Floor) -> None:
    reply = replying(floor)
    floor.speak(200)
    actions = floor.write("Stop.")
    assert kinds(list(actions)) == ["Interrupt", "Close", "Release"]
    assert floor.last(Interrupt) == Interrupt(reply, None)
    assert floor.last(Release) == Release(reply + 1, 2, "Stop.", False)


def test_typed_words_drop_a_guess(floor: Floor) -> None:
    floor.speak(500)
    floor.be_silent(140)
    floor.final("hello")
    assert kinds(list(floor.write("Hi."))) == ["Drop", "Close", "Release"]


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


# --- any story at all -----------------------------------------------------------------------

WORDS = st.sampled_from(["", "mm", "hello", "and so", "好的", "twenty two", "What now?"])


class AnyCall(RuleBasedStateMachine):
    """Everything that may happen in a call, in any order, late news included."""

    @initialize(
        settings=st.builds(
            knobs,
            interruptible=st.booleans(),
            speculate=st.booleans(),
            tries=st.integers(1, 3),
            start_ms=st.sampled_from([0, 64]),
            pre_roll_ms=st.sampled_from([0, 320]),
            longest_ms=st.sampled_from([2000, 30_000]),
            confident_ms=st.sampled_from([100, 300]),
        ),
        frame_ms=st.sampled_from([20, 32]),
        greeting=st.booleans(),
    )
    def begin(self, settings: TurnSettings, frame_ms: int, greeting: bool) -> None:
        self.floor, self.ledger = Floor(settings, frame_ms), Ledger()
        self.checked = 0
        self.over = set[int]()
        if greeting:
            self.floor.note(self.floor.turns.greet())

    @rule(ms=st.sampled_from([20, 60, 120, 400, 700, 2500]))
    def speak(self, ms: int) -> None:
        self.floor.speak(ms)

    @rule(ms=st.sampled_from([20, 60, 120, 300, 1000, 7000]))
    def be_silent(self, ms: int) -> None:
        self.floor.be_silent(ms)

    @rule(ms=st.sampled_from([20, 100]), probability=st.floats(0, 1))
    def murmur(self, ms: int, probability: float) -> None:
        self.floor.hear(ms, probability)

    @precondition(lambda self: self.floor.all(AskFinal))
    @rule(data=st.data(), words=WORDS)
    def final(self, data: st.DataObject, words: str) -> None:
        asks = self.floor.all(AskFinal)[-3:]
        self.floor.final(words, data.draw(st.sampled_from(asks[::-1])))

    @precondition(lambda self: self.floor.all(Open))
    @rule(words=WORDS, back=st.integers(0, 1))
    def partial(self, words: str, back: int) -> None:
        number = self.floor.last(Open).utterance - back
        said = Transcript(number, words, self.floor.position)
        self.floor.note(self.floor.turns.transcript(said))

    @precondition(lambda self: self.floor.all(AskFinal))
    @rule(complete=st.floats(0, 1), back=st.integers(1, 2))
    def judged(self, complete: float, back: int) -> None:
        ask = self.floor.all(AskFinal)[-back:][0]
        self.floor.turns.judged(ask.utterance, ask.at, complete)

    @precondition(lambda self: self.floor.all(Release))
    @rule(back=st.integers(1, 2))
    def audible(self, back: int) -> None:
        self.floor.turns.audible(self.floor.all(Release)[-back:][0].reply)

    @precondition(lambda self: self.floor.all(Release))
    @rule(back=st.integers(1, 2))
    def ended(self, back: int) -> None:
        reply = self.floor.all(Release)[-back:][0].reply
        if reply == self.ledger.sounding and self.ledger.held:
            return  # a held reply does not end
        self.floor.turns.over(reply)
        if reply == self.ledger.sounding:
            self.ledger.sounding = None

    @rule(words=WORDS)
    def typed(self, words: str) -> None:
        self.floor.write(words)

    @invariant()
    def every_decision_made_sense(self) -> None:
        for action in self.floor.done[self.checked :]:
            self.ledger.enter(action)
            if isinstance(action, Release):
                self.released_in_time(action)
        self.checked = len(self.floor.done)

    def released_in_time(self, release: Release) -> None:
        if release.endpoint is None or release.speech_end is None:
            return
        chosen = self.floor.settings
        waited = milliseconds_in(release.endpoint - release.speech_end)
        forced = release.endpoint == release.speech_end
        assert forced or waited >= min(chosen.confident_ms, chosen.cap_ms)
        # unconfirmed blips are passed over, the last of them up to start_ms long
        slack = FINAL_DEADLINE_MS + chosen.start_ms + 120 + 2 * self.floor.frame_ms
        assert waited <= max(chosen.cap_ms, NOISE_MS) + slack
        assert release.text

    @invariant()
    def it_knows_when_it_is_busy(self) -> None:
        busy = self.ledger.open is not None or self.ledger.sounding is not None
        assert self.floor.turns.busy == busy
        assert busy or not self.ledger.prepared

    def teardown(self) -> None:
        """In silence everything comes to its end, but the reply that plays."""
        if hasattr(self, "floor"):
            for _ in range(40):
                self.floor.be_silent(250)
            self.every_decision_made_sense()
            assert self.ledger.open is None
            assert not self.ledger.prepared
            assert not self.ledger.held


AnyCall.TestCase.settings = hypothesis_settings(
    max_examples=120, stateful_step_count=40, deadline=None
)
TestAnyCall = AnyCall.TestCase


def test_a_new_line_goes_on_counting() -> None:
    turns = Turns(knobs(), turn=5, reply=9)
    [release] = turns.typed("hello")
    assert isinstance(release, Release)
    assert (release.turn, release.reply) == (5, 9)


def test_hold_comes_before_interrupt(floor: Floor) -> None:
    replying(floor)
    floor.speak(1000)
    assert kinds(list(floor.done)) == ["Open", "Hold", "Interrupt"]
    assert len(floor.all(Hold)) == 1

"""Which replies are prepared on a guess, and how many, told as stories on the sample clock."""

from __future__ import annotations

from agent.decisions import Drop, Open, Prepare, Release
from tests.agent.taking_turns import Floor, knobs


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


def test_a_turn_that_goes_on_after_its_endpoint_has_no_more_guesses_than_any_other() -> None:
    floor = Floor(knobs(tries=2))
    for words in ("one", "one more", "one more thing", "one more thing now"):
        floor.turn(words)
        floor.speak(300)
        floor.partial("and")  # before the reply was heard
    assert {release.turn for release in floor.all(Release)} == {1}
    assert len(floor.all(Prepare)) == 2
    floor.turn("that is all")
    floor.turns.over(floor.last(Release).reply)
    floor.turn("Next.")
    assert (floor.last(Release).turn, len(floor.all(Prepare))) == (2, 3)


def test_what_brought_no_turn_costs_it_no_guesses() -> None:
    floor = Floor(knobs(tries=1))
    floor.turns.answers_known = True
    for known in (False, False, True):
        floor.speak(600)
        floor.be_silent(140)
        floor.final("hello")
        floor.note(floor.turns.identified(floor.last(Open).utterance, known))
        floor.be_silent(2000)
    assert len(floor.all(Prepare)) == 3
    assert [release.prepared for release in floor.all(Release)] == [True]


def test_without_speculation_the_reply_begins_at_the_endpoint() -> None:
    floor = Floor(knobs(speculate=False))
    release = floor.turn("Hello.")
    assert not release.prepared
    assert floor.all(Prepare) == []

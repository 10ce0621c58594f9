"""What a call teaches about its caller: who was cut into is given more time."""

from __future__ import annotations

import pytest

from agent.decisions import Interrupt, Release
from agent.endpoint import LEARNED_MS
from agent.habits import REMEMBERED_PAUSES, REMEMBERED_TURNS, Habits
from stages.audio import milliseconds_in
from tests.agent.taking_turns import Floor, knobs

BALANCED = knobs()
OFTEN_MS = LEARNED_MS[-1][0]
"""What who is cut into often is given, of ``confident_ms``."""


@pytest.fixture(params=[20, 32], ids=["20 ms frames", "32 ms frames"])
def floor(request: pytest.FixtureRequest) -> Floor:
    floor = Floor(BALANCED, request.param)
    floor.turns.unheard = lambda reply: True  # no word of it: what is said then is the same turn
    return floor


def wait_of(floor: Floor, text: str = "What time is it?") -> float:
    """Take a turn, let its reply be spoken to its end, and return how long the endpoint took."""
    release = floor.turn(text)
    floor.turns.over(release.reply)
    assert release.endpoint is not None
    assert release.speech_end is not None
    return milliseconds_in(release.endpoint - release.speech_end)


def be_cut_into(floor: Floor, after_ms: float = 500) -> None:
    """Pause for so long inside a sentence: the reply begins, and one goes on over it."""
    floor.speak(1000)
    floor.be_silent(80)
    floor.final("I would like a table for two.")
    floor.judge(1.0)
    floor.be_silent(after_ms - 80)
    floor.turns.audible(floor.last(Release).reply)
    floor.speak(600)
    floor.partial("On Friday evening")
    assert floor.last(Interrupt).reply == floor.last(Release).reply
    floor.be_silent(80)
    floor.final("On Friday evening.")
    floor.judge(1.0)
    floor.be_silent(floor.settings.cap_ms)
    floor.turns.over(floor.last(Release).reply)


def test_who_was_cut_into_twice_is_given_more_time_from_then_on(floor: Floor) -> None:
    before = wait_of(floor)
    be_cut_into(floor)
    be_cut_into(floor, after_ms=700)
    assert wait_of(floor) == pytest.approx(before + OFTEN_MS, abs=floor.frame_ms)


def test_the_rest_of_the_same_turn_is_waited_for_already(floor: Floor) -> None:
    be_cut_into(floor)
    be_cut_into(floor, after_ms=700)
    rest = floor.last(Release)
    assert rest.endpoint is not None
    assert rest.speech_end is not None
    waited = milliseconds_in(rest.endpoint - rest.speech_end)
    assert waited >= BALANCED.confident_ms + OFTEN_MS


def test_after_one_cut_only_what_is_doubtful_waits_longer(floor: Floor) -> None:
    sure, doubtful = wait_of(floor), wait_of(floor, "A table for two,")
    be_cut_into(floor)
    assert wait_of(floor) == sure
    assert wait_of(floor, "A table for two,") > doubtful + 100


def test_who_is_cut_into_again_and_again_is_given_no_more_than_so_much(floor: Floor) -> None:
    before = wait_of(floor)
    for _ in range(5):
        be_cut_into(floor, after_ms=900)
    assert wait_of(floor) == pytest.approx(before + OFTEN_MS, abs=floor.frame_ms)


def test_it_is_forgotten_after_some_turns_without(floor: Floor) -> None:
    before = wait_of(floor)
    be_cut_into(floor)
    be_cut_into(floor, after_ms=700)
    later = [wait_of(floor) for _ in range(REMEMBERED_TURNS)]
    assert later[-2] > before  # of the last of them only one cut is near enough
    assert wait_of(floor) == before


def test_a_reply_that_was_listened_to_before_it_was_talked_over_came_in_time(floor: Floor) -> None:
    before = wait_of(floor)
    for _ in range(3):
        be_cut_into(floor, after_ms=1500)
    assert wait_of(floor) == before


def test_a_nod_at_the_first_sound_of_a_reply_is_no_complaint(floor: Floor) -> None:
    before = wait_of(floor)
    for _ in range(3):
        reply = floor.turn("Tell me a story.").reply
        floor.turns.audible(reply)
        floor.speak(200)
        floor.be_silent(80)
        floor.final("Mm-hm.")
        floor.be_silent(400)
        floor.turns.over(reply)
    assert floor.all(Interrupt) == []
    assert wait_of(floor) == before


def test_what_is_typed_over_a_reply_teaches_nothing_of_pauses(floor: Floor) -> None:
    before = wait_of(floor)
    for _ in range(3):
        floor.turn("Tell me a story.")
        floor.write("No, a joke.")
        floor.turns.over(floor.last(Release).reply)
    assert len(floor.all(Interrupt)) == 3
    assert wait_of(floor) == before


def test_a_character_may_be_told_to_learn_nothing(floor: Floor) -> None:
    floor.settings = floor.turns.settings = knobs(learn=False)
    before = wait_of(floor)
    for _ in range(3):
        be_cut_into(floor)
    assert wait_of(floor) == before


def test_only_the_newest_habits_are_kept() -> None:
    habits = Habits()
    for number in range(100):
        habits.paused((float(number),))
        habits.cut_into(number)
    assert habits.pauses_ms == tuple(float(n) for n in range(100 - REMEMBERED_PAUSES, 100))
    assert len(habits.cut_turns) <= REMEMBERED_TURNS
    assert habits.cuts(99) == REMEMBERED_TURNS
    assert habits.cuts(99 + REMEMBERED_TURNS) == 1
    assert habits.cuts(100 + REMEMBERED_TURNS) == 0

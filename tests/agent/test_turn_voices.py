"""Who has the word when it matters whose voice it is."""

from __future__ import annotations

import pytest

from agent.decisions import Interrupt, Open, Prepare, Release
from agent.turn import FINAL_DEADLINE_MS
from tests.agent.taking_turns import QUICK, Floor, kinds, replying


@pytest.fixture
def owned() -> Floor:
    """Return a floor where only the owner is answered, and only the owner interrupts."""
    floor = Floor(QUICK)
    floor.turns.answers_known = floor.turns.yields_to_known = True
    return floor


def identified(floor: Floor, known: bool) -> None:
    floor.note(floor.turns.identified(floor.last(Open).utterance, known))


def speaking(floor: Floor) -> int:
    """Have a reply play that nobody spoke for."""
    floor.turns.answers_known = floor.turns.yields_to_known = False
    reply = replying(floor)
    floor.turns.answers_known = floor.turns.yields_to_known = True
    return reply


def test_the_owner_is_answered_once_the_voice_is_known(owned: Floor) -> None:
    owned.speak(900)
    owned.be_silent(150)
    owned.final("what time is it")
    owned.be_silent(QUICK.cap_ms)
    assert owned.all(Release) == []  # who it is has not been told
    identified(owned, True)
    assert owned.last(Release).text == "what time is it"


def test_a_voice_known_before_the_endpoint_costs_no_time(owned: Floor) -> None:
    owned.speak(900)
    owned.be_silent(150)
    identified(owned, True)
    owned.final("what time is it")
    owned.be_silent(QUICK.cap_ms)
    assert owned.last(Release).text == "what time is it"
    assert owned.last(Release).prepared


def test_a_stranger_is_not_answered_and_nothing_is_prepared(owned: Floor) -> None:
    owned.speak(900)
    owned.be_silent(150)
    identified(owned, False)
    owned.final("open the door")
    owned.be_silent(QUICK.cap_ms)
    assert owned.all(Release) == []
    assert owned.all(Prepare) == []
    assert kinds(owned.done)[-1] == "Close"
    assert not owned.turns.busy


def test_a_voice_that_is_never_told_is_given_up(owned: Floor) -> None:
    owned.speak(900)
    owned.be_silent(150)
    owned.final("open the door")
    owned.be_silent(QUICK.cap_ms + FINAL_DEADLINE_MS + 100)
    assert owned.all(Release) == []
    assert not owned.turns.busy


def test_news_of_an_older_utterance_lets_nobody_in(owned: Floor) -> None:
    owned.speak(900)
    owned.be_silent(150)
    first = owned.last(Open).utterance
    identified(owned, False)
    owned.final("hm")
    owned.be_silent(QUICK.cap_ms)
    owned.speak(900)
    owned.be_silent(150)
    owned.note(owned.turns.identified(first, True))
    owned.final("open the door")
    owned.be_silent(QUICK.cap_ms)
    assert owned.all(Release) == []


def test_a_stranger_cannot_hold_or_end_a_reply(owned: Floor) -> None:
    speaking(owned)
    owned.speak(1500)
    owned.partial("and now to the weather")
    identified(owned, False)
    owned.be_silent(150)
    owned.final("and now to the weather")
    owned.be_silent(QUICK.cap_ms)
    listening = {"Open", "AskFinal", "Close"}
    assert [kind for kind in kinds(owned.done) if kind not in listening] == []


def test_the_owner_ends_a_reply_as_soon_as_the_voice_is_known(owned: Floor) -> None:
    reply = speaking(owned)
    owned.speak(900)
    assert owned.all(Interrupt) == []
    assert owned.turns.wants_to_know
    identified(owned, True)
    owned.speak(40)
    assert owned.last(Interrupt).reply == reply
    assert not owned.turns.wants_to_know


def test_short_words_of_the_owner_are_answered_when_the_voice_is_known_late(owned: Floor) -> None:
    reply = speaking(owned)
    owned.speak(400)
    owned.be_silent(150)
    owned.final("what about tomorrow")
    owned.be_silent(QUICK.cap_ms)
    assert owned.all(Release) == []
    identified(owned, True)
    assert owned.last(Interrupt).reply == reply
    assert owned.last(Release).text == "what about tomorrow"


def test_where_only_interruptions_are_guarded_anybody_is_answered() -> None:
    floor = Floor(QUICK)
    floor.turns.yields_to_known = True
    floor.speak(900)
    floor.be_silent(150)
    floor.final("what time is it")
    floor.be_silent(QUICK.cap_ms)
    assert floor.last(Release).text == "what time is it"

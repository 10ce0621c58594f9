from __future__ import annotations

from stages.llm.slots import Slots

OPENING = "You are Ada."
OTHER = "You are Ben, and no friend of hers."


def warmed(count: int, *openings: str) -> Slots:
    slots = Slots(count)
    for opening in openings or (OPENING,):
        while (number := slots.unread(opening)) is not None:
            slots.take_to_open(number, opening)
            slots.let_go(number)
    return slots


def used(slots: Slots, said: str, past: str = "", opening: str = OPENING) -> int:
    number = slots.take(opening + past + said, len(opening), len(opening + past))
    slots.let_go(number)
    return number


def test_a_conversation_goes_on_where_it_was_read() -> None:
    slots = warmed(3)
    ada = used(slots, "I would like")
    cy = used(slots, "How old is the bridge")
    assert ada != cy
    assert used(slots, "For two", past="I would like a room. Gladly. ") == ada
    assert used(slots, "How old is the bridge over the river?") == cy


def test_a_new_call_leaves_others_theirs_even_if_it_begins_with_the_same_letter() -> None:
    slots = warmed(3)
    ada = used(slots, "For two", past="I would like a room. Gladly. ")
    assert used(slots, "I am lost") != ada
    assert used(slots, "I would like a table") != ada


def test_who_begins_like_a_long_call_has_a_slot_of_their_own_word_by_word() -> None:
    slots = warmed(4)
    past = "How old is the bridge over the river? A hundred years. And how long is it? A mile. "
    ada = used(slots, "Thank you.", past)
    ben = used(slots, "How old")
    assert ben != ada
    assert used(slots, "How old is the bridge") == ben
    assert used(slots, "How old is the bridge over the river?") == ben
    assert used(slots, "Goodbye.", past + "Thank you. With pleasure. ") == ada


def test_words_that_are_heard_anew_stay_in_their_slot() -> None:
    slots = warmed(4)
    ada = used(slots, "The intelligence provides insight into who you are and")
    assert used(slots, "The intelligent device in sight") == ada
    past = "The intelligent device. It is "
    assert used(slots, "What else is in the whole wide world", past) == ada
    assert used(slots, "Well, I said something else", past) == ada


def test_a_new_call_takes_the_slot_that_has_read_how_it_opens() -> None:
    slots = Slots(3)
    for number, opening in enumerate((OTHER, OPENING, OTHER)):
        slots.take_to_open(number, opening)
        slots.let_go(number)
    assert used(slots, "Hello.") == 1


def test_a_slot_that_is_busy_is_left_alone() -> None:
    slots = warmed(2)
    first, second = (slots.take(OPENING + "Hello", len(OPENING), len(OPENING)) for _ in range(2))
    assert first != second


def test_where_all_talk_the_one_that_was_quiet_longest_gives_way() -> None:
    slots = warmed(2)
    ada = used(slots, "The weather")
    cy = used(slots, "A table for four")
    used(slots, "The weather tomorrow")
    assert used(slots, "My name is Dee") == cy
    assert used(slots, "The weather tomorrow and the day after") == ada


def test_how_calls_open_is_read_once_into_every_slot() -> None:
    slots = Slots(3)
    read = []
    while (number := slots.unread(OPENING)) is not None:
        read.append(number)
        slots.take_to_open(number, OPENING)
        slots.let_go(number)
    assert read == [0, 1, 2]


def test_another_opening_does_not_wipe_out_what_callers_talk_about() -> None:
    slots = warmed(3)
    ada = used(slots, "I would like a room")
    read = []
    while (number := slots.unread(OTHER)) is not None:
        read.append(number)
        slots.take_to_open(number, OTHER)
        slots.let_go(number)
    assert ada not in read
    assert len(read) == 2


def test_a_call_that_begins_finds_a_place_even_where_all_have_talked() -> None:
    slots = warmed(2)
    ada = used(slots, "The weather")
    used(slots, "A table for four")
    assert slots.unread(OTHER) == ada
    slots.take_to_open(ada, OTHER)
    slots.let_go(ada)
    assert slots.unread(OTHER) is None
    assert used(slots, "Hello", opening=OTHER) == ada

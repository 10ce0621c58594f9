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


def used(slots: Slots, said: str, opening: str = OPENING) -> int:
    number = slots.take(opening + said, len(opening))
    slots.let_go(number)
    return number


def test_a_conversation_goes_on_where_it_was_read() -> None:
    slots = warmed(3)
    ada = used(slots, "I would like")
    cy = used(slots, "How old is the bridge")
    assert ada != cy
    assert used(slots, "I would like a room. Gladly. For two") == ada
    assert used(slots, "How old is the bridge over the river?") == cy


def test_a_new_call_leaves_others_theirs_even_if_it_begins_with_the_same_letter() -> None:
    slots = warmed(3)
    ada = used(slots, "I would like a room. Gladly. For two")
    assert used(slots, "I am lost") != ada


def test_who_says_what_somebody_said_in_a_long_call_has_a_slot_of_their_own_word_by_word() -> None:
    slots = warmed(4)
    long = "How old is the bridge over the river? A hundred years. And how long is it? A mile."
    ada = used(slots, long)
    ben = used(slots, "How old")
    assert ben != ada
    assert used(slots, "How old is the bridge") == ben
    assert used(slots, "How old is the bridge over the river?") == ben
    assert used(slots, long + " Thank you.") == ada


def test_a_new_call_takes_the_slot_that_has_read_how_it_opens() -> None:
    slots = Slots(3)
    for number, opening in enumerate((OTHER, OPENING, OTHER)):
        slots.take_to_open(number, opening)
        slots.let_go(number)
    assert used(slots, "Hello.") == 1


def test_a_slot_that_is_busy_is_left_alone() -> None:
    slots = warmed(2)
    first = slots.take(OPENING + "Hello", len(OPENING))
    assert slots.take(OPENING + "Hello", len(OPENING)) != first
    assert slots.busy == 2


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
    assert used(slots, "Hello", OTHER) == ada

"""What waits for a broker that is away."""

from __future__ import annotations

import anyio
from hypothesis import given
from hypothesis import strategies as st

from agent.mqtt.outbox import Letter, Outbox


async def all_of(box: Outbox) -> list[str]:
    found = []
    while len(box):
        key, letter = await box.first()
        box.sent(key, letter)
        found.append(letter.payload().decode())
    return found


def note(text: str) -> Letter:
    return Letter("call", text)


def record(text: str) -> Letter:
    return Letter("latency", text, record=True)


def state(text: str) -> Letter:
    return Letter("state", text, retain=True, latest=True)


async def test_the_oldest_latency_records_give_way_and_nothing_else() -> None:
    box = Outbox(records=2, others=100)
    for number in range(4):
        box.put(note(f"n{number}"))
        box.put(record(f"r{number}"))
    assert (box.dropped_records, box.dropped_others) == (2, 0)
    assert await all_of(box) == ["n0", "n1", "n2", "r2", "n3", "r3"]


async def test_a_state_survives_a_flood_of_other_letters() -> None:
    """What the broker keeps for everybody who comes later must not be an old one."""
    box = Outbox(others=3)
    box.put(state("hung up"))
    for number in range(9):
        box.put(note(f"n{number}"))
    assert await all_of(box) == ["hung up", "n6", "n7", "n8"]
    assert box.dropped_others == 6


async def test_only_the_newest_state_waits() -> None:
    box = Outbox()
    for word in ("listening", "thinking", "speaking"):
        box.put(state(word))
    assert await all_of(box) == ["speaking"]


async def test_a_state_that_changes_while_it_is_sent_is_sent_again() -> None:
    box = Outbox()
    box.put(state("listening"))
    key, letter = await box.first()
    box.put(state("speaking"))
    box.sent(key, letter)
    assert await all_of(box) == ["speaking"]


async def test_a_letter_that_was_not_confirmed_comes_again() -> None:
    box = Outbox()
    box.put(note("a"))
    assert (await box.first())[1].payload() == b"a"
    assert await all_of(box) == ["a"]


async def test_whoever_waits_is_told_of_the_first_letter_and_of_the_last() -> None:
    box = Outbox()
    found: list[str] = []

    async def read() -> None:
        key, letter = await box.first()
        found.append(letter.topic)
        box.sent(key, letter)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.lowlevel.checkpoint()
        box.put(note("a"))
        await box.empty()
    assert found == ["call"]


@given(st.lists(st.sampled_from("nrsx"), max_size=200))
def test_whatever_happens_it_is_bounded_in_order_and_every_drop_is_counted(steps: str) -> None:
    async def story() -> None:
        box, put, got, sent = Outbox(records=3, others=5), 0, 0, []
        states = 0
        for number, step in enumerate(steps):
            if step == "x" and len(box):
                key, letter = await box.first()
                box.sent(key, letter)
                if letter.topic != "state":
                    got += 1
                    sent.append(int(letter.payload()))
            elif step == "s":
                box.put(state(str(number)))
                states += 1
            elif step in "nr":
                box.put(note(str(number)) if step == "n" else record(str(number)))
                put += 1
            assert len(box) <= 3 + 5 + 1
        rest = await all_of(box)
        left = len(rest) - (1 if states and any(steps[int(n)] == "s" for n in rest) else 0)
        assert put == got + left + box.dropped_records + box.dropped_others
        assert sent == sorted(sent)

    anyio.run(story)

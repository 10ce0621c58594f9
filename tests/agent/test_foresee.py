"""Reading ahead: one at a time, so many a turn, and nothing ever comes of it but speed."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import pytest

from agent.foresee import READINGS, Foreseeing
from stages.contracts import Sink
from stages.errors import Transient
from stages.events import ChatRequest, LlmEvent, Message
from tests.skipping import SKIPPING

SAID = (Message("user", "How old is"),)


@pytest.fixture
def anyio_backend() -> tuple[str, Mapping[str, object]]:
    """To wait until all tasks are blocked takes no time here."""
    return SKIPPING


class Plain:
    """An LLM that cannot read ahead."""

    async def warm(self, messages: tuple[Message, ...]) -> None:
        """Be ready."""

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        """Say nothing."""
        await sink.aclose()


class Reader(Plain):
    """An LLM that reads until it is let go."""

    def __init__(self, *, broken: bool = False) -> None:
        self.read: list[tuple[Message, ...]] = []
        self.go_on = anyio.Event()
        self.cancelled = False
        self._broken = broken

    async def foresee(self, messages: tuple[Message, ...]) -> None:
        """Read."""
        self.read.append(messages)
        if self._broken:
            raise Transient("llm reader", "it is tired")
        try:
            await self.go_on.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise


async def test_an_llm_that_cannot_read_ahead_is_left_alone() -> None:
    async with anyio.create_task_group() as tasks:
        Foreseeing(tasks).read(Plain(), SAID)


async def test_there_is_one_reading_at_a_time_and_the_words_between_are_passed_over() -> None:
    reader = Reader()
    async with anyio.create_task_group() as tasks:
        foreseeing = Foreseeing(tasks)
        foreseeing.read(reader, SAID)
        foreseeing.read(reader, SAID)
        await anyio.wait_all_tasks_blocked()
        assert len(reader.read) == 1
        reader.go_on.set()
        await anyio.wait_all_tasks_blocked()
        foreseeing.read(reader, SAID)
    assert len(reader.read) == 2


async def test_a_turn_has_so_many_readings_and_the_next_one_has_them_again() -> None:
    reader = Reader()
    reader.go_on.set()
    async with anyio.create_task_group() as tasks:
        foreseeing = Foreseeing(tasks)
        for _ in range(READINGS + 3):
            foreseeing.read(reader, SAID)
            await anyio.wait_all_tasks_blocked()
        assert len(reader.read) == READINGS
        foreseeing.turn_over()
        foreseeing.read(reader, SAID)
    assert len(reader.read) == READINGS + 1


async def test_a_reply_ends_the_reading() -> None:
    reader = Reader()
    async with anyio.create_task_group() as tasks:
        foreseeing = Foreseeing(tasks)
        foreseeing.read(reader, SAID)
        await anyio.wait_all_tasks_blocked()
        foreseeing.stop()
    assert reader.cancelled


@pytest.mark.parametrize("times", [1, 3])
async def test_a_reading_that_fails_is_only_a_pity(times: int) -> None:
    reader = Reader(broken=True)
    async with anyio.create_task_group() as tasks:
        foreseeing = Foreseeing(tasks)
        for _ in range(times):
            foreseeing.read(reader, SAID)
            await anyio.wait_all_tasks_blocked()
    assert len(reader.read) == times

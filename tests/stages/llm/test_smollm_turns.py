"""Whose turn it is at the model, and in which slot, with a model that waits to be told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import pytest
import xllamacpp
from anyio.abc import TaskGroup

from stages.errors import Unusable
from stages.events import ChatRequest, LlmEvent, Message, TextDelta
from stages.llm.floor import CLAUSE
from stages.llm.smollm import SmollmLlm, SmollmOptions

PERSONA = Message("system", "You are Ada, a kind voice assistant.")


class Count:
    """Goes up in the model's thread, and is waited for in the loop."""

    def __init__(self) -> None:
        self._loop, self._value, self._more = asyncio.get_running_loop(), 0, anyio.Event()

    def one_more(self) -> None:
        self._loop.call_soon_threadsafe(self._add)

    def _add(self) -> None:
        self._value += 1
        self._more.set()
        self._more = anyio.Event()

    async def reaches(self, value: int) -> None:
        with anyio.fail_after(10):
            while self._value < value:
                await self._more.wait()


class Model:
    """Makes "word0 word1 …", a word a token, each when it is let.

    Attributes:
        asked: the slot and the prompt of every request, in the order in which they began.
        company: requests that began while another was being made.
        begun: requests.
        made: tokens.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []
        self.company = 0
        self.begun, self.made = Count(), Count()
        self._alone = threading.Lock()
        self._tokens, self._free = threading.Semaphore(0), False

    def makes(self, tokens: int) -> None:
        """Let it make so many tokens more."""
        self._tokens.release(tokens)

    def runs_freely(self) -> None:
        """Let it make what it likes from now on."""
        self._free = True
        self.makes(1)

    def handle_completions(
        self, body: dict[str, Any], take: Callable[[dict[str, Any]], bool]
    ) -> None:
        self.company += self._alone.locked()
        with self._alone:
            self.asked.append((body["id_slot"], "".join(str(part) for part in body["prompt"])))
            self.begun.one_more()
            for number in range(body["max_tokens"]):
                assert self._tokens.acquire(timeout=10), "nobody let it go on"
                if self._free:
                    self.makes(1)
                if take({"choices": [{"text": f"word{number} "}], "timings": {"cache_n": 7}}):
                    return
                self.made.one_more()
            take({"choices": [], "usage": {"total_tokens": 9 + body["max_tokens"]}})

    @property
    def slots(self) -> list[int]:
        return [slot for slot, _ in self.asked]


class Line:
    """A caller's line to the LLM: what is made for them, and how it is given up."""

    def __init__(self, llm: SmollmLlm, tasks: TaskGroup) -> None:
        self._llm, self._tasks, self._scope = llm, tasks, anyio.CancelScope()
        self.got: list[LlmEvent] = []
        self.failure = ""
        self._over = anyio.Event()

    def asks(self, *words: str, tokens: int = 3) -> Line:
        self._tasks.start_soon(self._run, ChatRequest(said(*words), 0.0, tokens))
        return self

    def tells(self, *words: str) -> Line:
        """Say this, which is read ahead."""
        self._tasks.start_soon(self._foresee, said(*words))
        return self

    def gives_up(self) -> None:
        self._scope.cancel()

    async def is_over(self) -> None:
        with anyio.fail_after(10):
            await self._over.wait()

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.got if isinstance(event, TextDelta))

    async def _run(self, request: ChatRequest) -> None:
        sink, events = anyio.create_memory_object_stream[LlmEvent](1000)
        async with events:
            try:
                with self._scope:
                    await self._llm.run(request, sink)
            except* Unusable as group:
                self.failure = str(group.exceptions[0])
            self.got = [event async for event in events]
        self._over.set()

    async def _foresee(self, messages: tuple[Message, ...]) -> None:
        with self._scope:
            await self._llm.foresee(messages)
        self._over.set()


class Calls:
    """A model, its LLM, and lines to it."""

    def __init__(self, slots: int, tasks: TaskGroup) -> None:
        self.model, self._tasks = Model(), tasks
        options = SmollmOptions.model_validate({"slots": slots})
        self.llm = SmollmLlm(cast("xllamacpp.Server", self.model), options)

    def line(self) -> Line:
        return Line(self.llm, self._tasks)

    def hang_up(self) -> None:
        self._tasks.start_soon(self.llm.close)

    async def answers(self, *words: str) -> int:
        """Answer this to its end, and return in which slot."""
        line = self.line().asks(*words, tokens=1)
        self.model.makes(1)
        await line.is_over()
        return self.model.slots[-1]


def said(*words: str) -> tuple[Message, ...]:
    """Return a conversation: what the caller said first, what was answered, and so on."""
    return (
        PERSONA,
        *(Message("assistant" if at % 2 else "user", word) for at, word in enumerate(words)),
    )


@asynccontextmanager
async def calls(slots: int = 4) -> AsyncIterator[Calls]:
    async with anyio.create_task_group() as tasks:
        made = Calls(slots, tasks)
        yield made
        made.model.runs_freely()  # a thread may be at it
        await made.llm.close()
        tasks.cancel_scope.cancel()
    assert not made.model.company


async def test_a_reply_follows_a_reading_that_was_given_up_into_its_slot() -> None:
    async with calls() as company:
        hers = await company.answers("A room, please.")
        reading = company.line().tells("A room, please.", "Gladly.", "For two")
        await company.model.begun.reaches(2)
        reading.gives_up()
        ada = company.line().asks("A room, please.", "Gladly.", "For two nights.", tokens=3)
        await anyio.wait_all_tasks_blocked()
        company.model.makes(4)  # the reading ends with one
        await ada.is_over()
        assert ada.text == "word0 word1 word2 "
        assert company.model.slots == [hers] * 3


async def test_a_reply_follows_a_dropped_guess_into_its_slot() -> None:
    async with calls() as company:
        hers = await company.answers("A room, please.")
        guess = company.line().asks("A room, please.", "Gladly.", "For two.", tokens=50)
        company.model.makes(2)
        await company.model.made.reaches(3)
        guess.gives_up()
        ada = company.line().asks("A room, please.", "Gladly.", "For two nights.", tokens=3)
        await anyio.wait_all_tasks_blocked()
        company.model.makes(4)  # the guess ends with one
        await ada.is_over()
        assert company.model.slots == [hers] * 3


async def test_a_reading_follows_a_dropped_guess_into_its_slot() -> None:
    async with calls() as company:
        hers = await company.answers("A room, please.")
        guess = company.line().asks("A room, please.", "Gladly.", "For two.", tokens=50)
        company.model.makes(CLAUSE)
        await company.model.made.reaches(1 + CLAUSE)
        guess.gives_up()
        reading = company.line().tells("A room, please.", "Gladly.", "For two of us")
        await anyio.wait_all_tasks_blocked()
        company.model.makes(2)
        await reading.is_over()
        assert company.model.slots == [hers] * 3


async def test_a_guess_that_is_dropped_before_its_turn_is_never_made() -> None:
    async with calls() as company:
        hers = await company.answers("A room, please.")
        ben = company.line().asks("Tell me a story.", tokens=5)
        await company.model.begun.reaches(2)
        guess = company.line().asks("A room, please.", "Gladly.", "For two.")
        await anyio.wait_all_tasks_blocked()
        guess.gives_up()
        ada = company.line().asks("A room, please.", "Gladly.", "For two nights.", tokens=3)
        company.model.runs_freely()
        await ben.is_over()
        await ada.is_over()
        assert company.model.slots[2:] == [hers]
        assert company.model.slots[1] != hers


async def test_a_reply_that_gave_way_goes_on_from_its_words_in_its_slot() -> None:
    async with calls() as company:
        ada = company.line().asks("Tell me a story.", tokens=30)
        company.model.makes(CLAUSE)
        await company.model.made.reaches(CLAUSE)
        ben = company.line().asks("What time is it?", tokens=2)
        await anyio.wait_all_tasks_blocked()
        company.model.makes(3)  # Ada's that is under way, and Ben's
        await ben.is_over()
        company.model.runs_freely()
        await ada.is_over()
        mine, his, later = company.model.asked
        assert mine[0] == later[0] != his[0]
        assert later[1].endswith(f"word{CLAUSE - 1} word{CLAUSE} ")
        assert len(ada.text.split()) == 30


async def test_a_call_that_begins_with_few_words_leaves_another_its_slot() -> None:
    async with calls() as company:
        ada = await company.answers("Hello.")
        ben = await company.answers("Hi.")
        assert ada != ben
        assert await company.answers("Hello.", "How can I help?", "A room, please.") == ada


async def test_one_conversation_more_than_there_are_slots_waits_for_one() -> None:
    async with calls(slots=2) as company:
        ada = company.line().asks("Tell me of rivers.", tokens=5)
        ben = company.line().asks("Tell me of woods.", tokens=5)
        await anyio.wait_all_tasks_blocked()
        dee = company.line().asks("Tell me of dunes.", tokens=5)
        cy = company.line().asks("Tell me of seas.", tokens=5)
        await anyio.wait_all_tasks_blocked()
        assert company.llm.figures() == {"slots": 2, "slots_busy": 2, "waiting": 2}
        dee.gives_up()
        company.model.runs_freely()
        for line in (ada, ben, cy):
            await line.is_over()
            assert len(line.text.split()) == 5
        assert len(company.model.asked) == 3
        assert company.llm.figures() == {"slots": 2, "slots_busy": 0, "waiting": 0}


async def test_who_waits_when_the_model_is_let_go_is_told_so_at_once() -> None:
    async with calls(slots=2) as company:
        ada = company.line().asks("Tell me of rivers.", tokens=5)
        await company.model.begun.reaches(1)
        others = [company.line().asks(f"Tell me of {what}.") for what in ("woods", "dunes")]
        await anyio.wait_all_tasks_blocked()
        company.hang_up()
        await anyio.wait_all_tasks_blocked()
        company.model.runs_freely()
        await ada.is_over()
        late = company.line().asks("Tell me of seas.")
        for line in (*others, late):
            await line.is_over()
            assert "it is closed" in line.failure
        assert len(ada.text.split()) == 5


@pytest.mark.parametrize("moments", range(24))
async def test_whenever_a_reply_is_given_up_the_next_is_made_alone(moments: int) -> None:
    async with calls(slots=1) as company:
        company.model.runs_freely()
        guess = company.line().asks("For two.", tokens=200)
        for _ in range(moments):
            await anyio.lowlevel.checkpoint()
        guess.gives_up()
        ada = company.line().asks("For two nights.", tokens=3)
        await ada.is_over()
        assert ada.text == "word0 word1 word2 "
        await guess.is_over()
        assert company.llm.figures() == {"slots": 1, "slots_busy": 0, "waiting": 0}

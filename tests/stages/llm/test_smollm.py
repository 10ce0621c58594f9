from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from stages.contracts import Counted, Foresight, Llm
from stages.errors import Transient, Unusable
from stages.events import ChatRequest, LlmEvent, Message, Usage
from stages.llm.smollm import WAITING, plugin
from stages.models import ModelStore
from tests.stages.streams import gathered, text

pytestmark = pytest.mark.model

PERSONA = Message("system", "You are Ada, a kind voice assistant. You answer in one sentence.")


@asynccontextmanager
async def opened(store: ModelStore, **options: int) -> AsyncIterator[Llm]:
    async with plugin.open(plugin.options.model_validate(options), store) as llm:
        yield llm


def asking(*words: str, max_tokens: int = 12) -> ChatRequest:
    messages = (PERSONA, *(Message("user", word) for word in words))
    return ChatRequest(messages, temperature=0.0, max_tokens=max_tokens)


async def answer(llm: Llm, request: ChatRequest) -> list[LlmEvent]:
    return await gathered(partial(llm.run, request))


async def test_a_reply_comes_in_pieces_and_its_cost_last(store: ModelStore) -> None:
    async with opened(store) as llm:
        events = await answer(llm, asking("What is the capital of France?"))
    *pieces, cost = events
    assert len(pieces) > 2
    assert text(pieces)
    assert isinstance(cost, Usage)
    assert 0 < cost.completion_tokens <= 12
    assert cost.prompt_tokens > 20


async def test_a_warmed_persona_is_not_read_again(store: ModelStore) -> None:
    async with opened(store) as llm:
        await llm.warm((PERSONA,))
        *_, cost = await answer(llm, asking("Hello."))
    assert isinstance(cost, Usage)
    assert cost.cached_tokens >= 15


async def test_what_was_foreseen_is_not_read_again(store: ModelStore) -> None:
    said = "Please tell me how old the bridge over the river in the middle of the town is."
    async with opened(store) as llm:
        assert isinstance(llm, Foresight)
        await llm.warm((PERSONA,))
        *_, without = await answer(llm, asking(said.replace("Please", "Now")))
        await llm.foresee((PERSONA, Message("user", said.removesuffix(" is."))))
        *_, foreseen = await answer(llm, asking(said))
    assert isinstance(without, Usage)
    assert isinstance(foreseen, Usage)
    assert foreseen.cached_tokens >= without.cached_tokens + 10


async def test_a_long_conversation_keeps_the_examples_that_it_opened_with(
    store: ModelStore,
) -> None:
    opening = (PERSONA, Message("user", "Who are you?"), Message("assistant", "I am Robin."))
    past = tuple(Message("user", "How are you? " * 20) for _ in range(9))
    async with opened(store, context=512, slots=1) as llm:
        await llm.warm(opening)
        *_, cost = await answer(llm, ChatRequest((*opening, *past), 0.0, 4))
    assert isinstance(cost, Usage)
    assert cost.prompt_tokens <= 512
    assert cost.cached_tokens >= 25


async def test_every_slot_is_warmed(store: ModelStore) -> None:
    async with opened(store) as llm:
        await llm.warm((PERSONA,))
        cached: list[int] = []

        async def call(word: str) -> None:
            *_, cost = await answer(llm, asking(word))
            assert isinstance(cost, Usage)
            cached.append(cost.cached_tokens)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "Hello.")
            tasks.start_soon(call, "Good morning.")
    assert min(cached) >= 15


async def test_cancelling_stops_the_model_and_keeps_what_it_has_read(store: ModelStore) -> None:
    async with opened(store, slots=1) as llm:
        await llm.warm((PERSONA,))
        sink, events = anyio.create_memory_object_stream[LlmEvent](0)
        async with events, anyio.create_task_group() as tasks:
            tasks.start_soon(llm.run, asking("Tell me a long story.", max_tokens=1000), sink)
            await events.receive()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):  # a thousand tokens take much longer
            *_, cost = await answer(llm, asking("Hello.", max_tokens=3))
    assert isinstance(cost, Usage)
    assert cost.cached_tokens >= 15


async def test_replies_made_at_the_same_time_keep_their_words_apart(store: ModelStore) -> None:
    subjects = ["elephant", "bridge", "volcano"]
    said: dict[str, str] = {}
    async with opened(store) as llm, anyio.create_task_group() as tasks:

        async def call(subject: str) -> None:
            events = await answer(llm, asking(f"Tell me about the {subject}.", max_tokens=30))
            said[subject] = text(events).lower()

        for subject in subjects:
            tasks.start_soon(call, subject)
    for subject in subjects:
        assert [word for word in subjects if word in said[subject]] == [subject]


async def test_a_reply_that_let_others_go_first_says_what_it_would_have_said(
    store: ModelStore,
) -> None:
    story = asking("Tell me a long story of a bridge and its builders.", max_tokens=60)
    async with opened(store) as llm:
        *alone, cost_alone = await answer(llm, story)
        company: list[LlmEvent] = []
        sink, events = anyio.create_memory_object_stream[LlmEvent](0)
        async with anyio.create_task_group() as tasks, events:
            tasks.start_soon(llm.run, story, sink)
            for number in range(4):  # each asks once the story has gone on
                company += [await events.receive() for _ in range(14)]
                question = f"What is the capital of France, and of {number} others?"
                tasks.start_soon(answer, llm, asking(question, max_tokens=8))
            company += [event async for event in events]
    *company, cost = company
    assert text(company) == text(alone)
    assert isinstance(cost, Usage)
    assert isinstance(cost_alone, Usage)
    assert cost.prompt_tokens == cost_alone.prompt_tokens
    assert cost.completion_tokens == cost_alone.completion_tokens


async def test_a_short_answer_does_not_wait_for_a_long_one(store: ModelStore) -> None:
    ended: list[str] = []
    async with opened(store) as llm:

        async def tell(name: str, request: ChatRequest) -> None:
            await answer(llm, request)
            ended.append(name)

        async with anyio.create_task_group() as tasks:
            for word in ("river", "forest", "desert"):
                story = asking(f"Tell me a long story of a {word}.", max_tokens=60)
                tasks.start_soon(tell, word, story)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(tell, "short", asking("What is the capital of France?"))
    assert ended[0] == "short"


async def test_what_one_caller_said_stays_read_while_others_call(store: ModelStore) -> None:
    said = "I would like to know how old the bridge over the river in the middle of the town is."
    async with opened(store, slots=2) as llm:
        await llm.warm((PERSONA,))
        await answer(llm, asking(said))
        await llm.warm((PERSONA,))
        await answer(llm, asking("I am lost."))
        *_, cost = await answer(llm, asking(said, "And how long?"))
    assert isinstance(cost, Usage)
    assert cost.cached_tokens >= 35


async def test_a_conversation_that_is_too_long_loses_its_oldest_messages(
    store: ModelStore,
) -> None:
    async with opened(store, context=512, slots=1) as llm:
        old = tuple("How are you? " * 30 for _ in range(8))
        events = await answer(llm, asking(*old, "What is the capital of France?"))
    *_, cost = events
    assert isinstance(cost, Usage)
    assert cost.prompt_tokens <= 512
    assert text(events)


async def test_a_message_that_fits_into_nothing_is_refused_with_a_sentence(
    store: ModelStore,
) -> None:
    async with opened(store, context=512, slots=1) as llm:
        sink, events = anyio.create_memory_object_stream[LlmEvent](0)
        async with events:
            with pytest.raises(Unusable, match="does not fit into what the model can read"):
                await llm.run(asking("word " * 3000), sink)


async def test_it_tells_what_callers_wait_for(store: ModelStore) -> None:
    async with opened(store, slots=2) as llm:
        assert isinstance(llm, Counted)
        assert llm.figures() == {"slots": 2, "slots_busy": 0, "waiting": 0}
        async with anyio.create_task_group() as tasks:
            for word in ("river", "forest", "desert"):
                story = asking(f"Tell me a long story of a {word}.", max_tokens=900)
                tasks.start_soon(answer, llm, story)
            await anyio.wait_all_tasks_blocked()
            assert llm.figures() == {"slots": 2, "slots_busy": 2, "waiting": 1}
            tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            await answer(llm, asking("Hello.", max_tokens=1))
        assert llm.figures()["waiting"] == 0


async def test_too_many_at_once_are_refused_and_the_others_served(store: ModelStore) -> None:
    refused = 0
    async with opened(store, slots=1) as llm:
        served: list[str] = []

        async def call() -> None:
            nonlocal refused
            sink, events = anyio.create_memory_object_stream[LlmEvent](8)
            async with events:
                try:
                    await llm.run(asking("Hello.", max_tokens=1), sink)
                    served.append(text([event async for event in events]))
                except Transient:
                    refused += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(WAITING + 4):
                tasks.start_soon(call)
    assert (refused, len(served)) == (3, WAITING + 1)
    assert all(served)

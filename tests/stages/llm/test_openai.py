from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from stages.contracts import Llm
from stages.errors import StageError, Transient, Unusable
from stages.events import ChatRequest, LlmEvent, Message, TextDelta, Usage
from stages.models import ModelStore
from stages.registry import find
from tests.servers.chat import (
    END,
    ChatServer,
    Turn,
    chat_server,
    cuts,
    delta,
    falls_silent,
    floods,
    never_answers,
    pings,
    refuses,
    says,
    streams,
    trickles,
)
from tests.servers.programs import free_port
from tests.skipping import skipping
from tests.stages.streams import gathered, text

KEY = "sk-very-secret-key"
TALK = (Message("system", "Be brief."), Message("user", "Hello?"))


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Llm]:
    plugin = find("llm", "openai")
    chosen = {"base_url": url, "model": "m", "api_key": KEY, **options}
    async with plugin.open(plugin.options.model_validate(chosen), ModelStore(Path())) as llm:
        yield llm


async def ask(llm: Llm, max_tokens: int = 256) -> list[LlmEvent]:
    return await gathered(partial(llm.run, ChatRequest(TALK, max_tokens=max_tokens)))


async def reply(*turns: Turn, **options: Any) -> tuple[str, ChatServer]:
    async with chat_server(*turns) as server, opened(server.url, **options) as llm:
        return text(await ask(llm)), server


async def failure(*turns: Turn, **options: Any) -> tuple[StageError, ChatServer]:
    async with chat_server(*turns) as server, opened(server.url, **options) as llm:
        with pytest.raises(ExceptionGroup) as caught:
            await ask(llm)
        error: BaseException = caught.value
        while isinstance(error, BaseExceptionGroup):
            (error,) = error.exceptions
        assert isinstance(error, StageError)
        return error, server


# --- a server that behaves ------------------------------------------------------------------


async def test_words_come_as_the_server_makes_them() -> None:
    said, server = await reply(says("Good ", "morning", "!"))
    assert said == "Good morning!"
    assert server.paths == ["/v1/chat/completions"]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert server.asked[0] == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello?"},
        ],
        "temperature": 0.7,
        "max_tokens": 256,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_the_first_word_does_not_wait_for_the_second() -> None:
    async with chat_server(falls_silent(delta("Hello"))) as server, opened(server.url) as llm:
        sink, received = anyio.create_memory_object_stream[LlmEvent](1)
        async with received, anyio.create_task_group() as tasks:
            tasks.start_soon(llm.run, ChatRequest(TALK), sink)
            assert await received.receive() == TextDelta("Hello")
            tasks.cancel_scope.cancel()


async def test_what_a_reply_cost_comes_last() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    tail = ({"choices": [], "usage": usage}, b"[DONE]")
    turn = streams(delta("Hi"), delta(finish="stop"), *tail)
    async with chat_server(turn) as server, opened(server.url) as llm:
        assert await ask(llm) == [TextDelta("Hi"), Usage(9, 2, 4)]


async def test_a_server_that_refuses_stream_options_is_asked_without_from_then_on() -> None:
    no = refuses(400, {"error": {"message": "Unknown field: stream_options"}})
    async with chat_server(no, says("Hi")) as server, opened(server.url, retries=0) as llm:
        assert [text(await ask(llm)), text(await ask(llm))] == ["Hi", "Hi"]
    assert ["stream_options" in asked for asked in server.asked] == [True, False, False]


@pytest.mark.parametrize(
    "chunks",
    [
        (delta("Hi"), delta(finish="stop")),
        (delta("Hi", finish="length"),),
        (delta("Hi"), b"[DONE]"),
        ({"choices": []}, delta("", role="assistant"), {"choices": None}, delta("Hi"), *END),
        (delta(reasoning_content="They greet me."), delta("Hi"), *END),
        (delta(reasoning="They greet me."), delta("Hi"), *END),
        (delta("<think>They greet me.</think>\n\nHi"), *END),
        (delta("<thi"), delta("nk>They "), delta("greet.</th"), delta("ink>"), delta("\nHi"), *END),
        (delta("Hi<think>and now?"), *END),
    ],
    ids=[
        "no [DONE]", "finish with the last word", "no finish reason", "empty choices",
        "reasoning_content", "reasoning", "think block", "think block in pieces", "open thought",
    ],
)  # fmt: skip
async def test_every_servers_way_of_saying_hi_is_understood(chunks: tuple[object, ...]) -> None:
    said, _ = await reply(streams(*chunks))
    assert said == "Hi"


async def test_a_connection_that_is_held_after_the_end_does_not_hold_the_reply() -> None:
    async with chat_server(falls_silent(delta("Hi"), *END)) as server, opened(server.url) as llm:
        assert text(await ask(llm)) == "Hi"


async def test_extra_fields_are_sent_and_null_leaves_ours_out() -> None:
    extra = {"enable_thinking": False, "max_tokens": None, "max_completion_tokens": 9}
    _, server = await reply(says("Hi"), extra_body=extra, headers={"X-Team": "blue"})
    assert server.asked[0]["enable_thinking"] is False
    assert server.asked[0]["max_completion_tokens"] == 9
    assert "max_tokens" not in server.asked[0]
    assert server.headers[0]["X-Team"] == "blue"


async def test_warming_and_all_turns_use_one_connection() -> None:
    async with chat_server(says("Hi")) as server, opened(server.url) as llm:
        await llm.warm(TALK)
        for _ in range(3):
            await ask(llm)
    assert server.paths == ["/v1/models", *["/v1/chat/completions"] * 3]
    assert len(server.connections) == 1


async def test_warming_may_read_the_persona_to_the_server() -> None:
    turn = refuses(200, {"choices": []})
    async with chat_server(turn) as server, opened(server.url, warm_prompt=True) as llm:
        await llm.warm(TALK[:1])
    assert server.asked[0]["max_tokens"] == 1
    assert server.asked[0]["messages"] == [{"role": "system", "content": "Be brief."}]


async def test_warming_a_server_that_is_not_there_is_quiet() -> None:
    async with opened(f"http://127.0.0.1:{free_port()}/v1") as llm:
        await llm.warm(TALK)


# --- a server that does not -----------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [refuses(500), refuses(503), refuses(429, Retry_After="0"), refuses(408), cuts(),
     streams({"error": {"message": "overloaded"}}), streams(delta("", role="assistant"))],
    ids=["500", "503", "429", "408", "cut", "error in the stream", "ended without a word"],
)  # fmt: skip
async def test_trouble_before_the_first_word_is_tried_again(trouble: Turn) -> None:
    said, server = await reply(trouble, says("Hi"))
    assert said == "Hi"
    assert len(server.asked) == 2


async def test_trouble_after_the_first_word_is_not_tried_again() -> None:
    error, server = await failure(cuts(delta("Hel")), says("Hello"))
    assert isinstance(error, Transient)
    assert "cut off in the middle" in str(error)
    assert len(server.asked) == 1


async def test_a_stream_that_ends_early_but_politely_is_a_cut_one() -> None:
    error, _ = await failure(streams(delta("Hel")))
    assert isinstance(error, Transient)
    assert "cut off in the middle" in str(error)


async def test_tries_are_counted() -> None:
    error, server = await failure(refuses(500, "down for repair"), retries=1)
    assert isinstance(error, Transient)
    assert str(error).endswith("answered 500: down for repair")
    assert len(server.asked) == 2


async def test_a_server_that_asks_for_too_much_patience_is_not_waited_for() -> None:
    error, server = await failure(refuses(429, "slow down", Retry_After="3600"))
    assert isinstance(error, Transient)
    assert error.retry_after == 3600
    assert len(server.asked) == 1


async def test_a_server_that_is_not_there_is_named() -> None:
    port = free_port()
    async with opened(f"http://127.0.0.1:{port}/v1", retries=0) as llm:
        with pytest.raises(ExceptionGroup) as caught:
            await ask(llm)
    assert caught.group_contains(Transient, match=f"no connection to 127.0.0.1:{port}")


async def test_an_address_without_a_port_is_named_too() -> None:
    async with opened("http://nowhere.invalid/v1", retries=0) as llm:
        with pytest.raises(ExceptionGroup) as caught:
            await ask(llm)
    assert caught.group_contains(Transient, match="no connection to nowhere.invalid")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 302])
async def test_a_refusal_is_final_and_said_in_the_servers_words(status: int) -> None:
    body = {"error": {"message": f"No such\nthing, {KEY}!"}}
    error, _ = await failure(refuses(status, body))
    assert isinstance(error, Unusable)
    assert str(error).endswith(f"answered {status}: No such thing, ***!")


async def test_a_refusal_is_cut_to_size() -> None:
    error, _ = await failure(refuses(404, "<html><b>" + "no " * 50_000 + "</b></html>"))
    assert len(str(error)) < 260
    assert "<" not in str(error)


async def test_a_refusal_for_another_reason_leaves_stream_options_on() -> None:
    no = refuses(400, {"error": {"message": "Unknown model"}})
    async with chat_server(no, no, says("Hi")) as server, opened(server.url) as llm:
        with pytest.raises(ExceptionGroup):
            await ask(llm)
        await ask(llm)
    assert ["stream_options" in asked for asked in server.asked] == [True, False, True]


async def test_an_error_in_the_stream_with_a_final_code_is_final() -> None:
    told = {"error": {"message": "context is too long", "code": 400}}
    error, server = await failure(streams(told))
    assert isinstance(error, Unusable)
    assert "context is too long" in str(error)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "turn",
    [streams(b"this is not json"), streams(b'{"choices": "what?"}'), streams(b"[1]"),
     refuses(200, "<html>hello</html>"), refuses(200, {"choices": []})],
    ids=["no JSON", "wrong shape", "a list", "a web page", "JSON instead of a stream"],
)  # fmt: skip
async def test_garbage_is_no_reply(turn: Turn) -> None:
    error, server = await failure(turn)
    assert isinstance(error, Unusable)
    assert "the server sends" in str(error)
    assert len(server.asked) == 1


async def test_a_line_without_end_is_not_kept() -> None:
    error, _ = await failure(floods(3))
    assert isinstance(error, Unusable)
    assert "longer than 1048576 bytes" in str(error)


async def test_a_server_that_only_thinks_is_not_asked_again() -> None:
    error, server = await failure(streams(delta("<think>Hm"), delta(finish="length")))
    assert isinstance(error, Transient)
    assert "before the first word" in str(error)
    assert len(server.asked) == 1


@pytest.mark.parametrize("turn", [never_answers, falls_silent(), pings(delta(""))])
@skipping
async def test_silence_before_the_first_word_has_a_deadline(turn: Turn) -> None:
    error, _ = await failure(turn, first_token_s=0.1)
    assert isinstance(error, Transient)
    assert "no first word within 0.1 s" in str(error)


@pytest.mark.parametrize("turn", [falls_silent(delta("Hel")), pings(delta("Hel"))])
@skipping
async def test_silence_inside_a_reply_has_a_deadline(turn: Turn) -> None:
    error, _ = await failure(turn, between_tokens_s=0.1)
    assert isinstance(error, Transient)
    assert "fell silent for 0.1 s" in str(error)


@skipping
async def test_a_slow_trickle_of_words_is_still_a_reply() -> None:
    said, _ = await reply(trickles("very slowly", 0.03), first_token_s=0.25, between_tokens_s=0.25)
    assert said == "very slowly"


@skipping
async def test_a_reader_that_takes_its_time_is_not_the_servers_silence() -> None:
    turn = streams(delta("a"), delta("b"), *END)
    async with chat_server(turn) as server, opened(server.url, between_tokens_s=0.05) as llm:
        sink, received = anyio.create_memory_object_stream[LlmEvent](0)
        async with received, anyio.create_task_group() as tasks:
            tasks.start_soon(llm.run, ChatRequest(TALK), sink)
            await anyio.sleep(5)  # which the clock skips
            assert [event async for event in received] == [TextDelta("a"), TextDelta("b")]


async def test_hanging_up_closes_the_stream_upstream() -> None:
    async with chat_server(falls_silent(delta("Hel"))) as server, opened(server.url) as llm:
        sink, received = anyio.create_memory_object_stream[LlmEvent](1)
        async with received, anyio.create_task_group() as tasks:
            tasks.start_soon(llm.run, ChatRequest(TALK), sink)
            await received.receive()
            await server.waiting.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(2):
            await server.gone.wait()


async def test_the_key_is_in_no_log_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    options = find("llm", "openai").options
    chosen = options.model_validate(
        {"base_url": "http://localhost/v1", "model": "m", "api_key": KEY, "headers": {"X": KEY}}
    )
    await reply(refuses(500, f"your key is {KEY}"), says("Hi"))
    assert KEY not in repr(chosen) + chosen.model_dump_json() + caplog.text


# --- a real server --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama(store: ModelStore) -> Iterator[str]:
    """Run llama.cpp's own OpenAI server on SmolLM2 and return its address."""
    import xllamacpp  # takes its time, and only this needs it

    params = xllamacpp.CommonParams()
    params.model.path = str(next(store.path("smollm2-135m").glob("*.gguf")))
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [KEY]
    params.n_ctx, params.n_parallel, params.warmup = 1024, 1, False
    params.cpuparams.n_threads, params.verbosity = 1, -1
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


@pytest.mark.model
async def test_a_real_server_answers(llama: str) -> None:
    async with opened(llama, warm_prompt=True) as llm:
        await llm.warm(TALK)
        events = await ask(llm, max_tokens=12)
    assert text(events).strip()
    assert isinstance(events[-1], Usage)
    assert events[-1].prompt_tokens > 10
    assert 0 < events[-1].completion_tokens <= 12


@pytest.mark.model
async def test_a_real_server_refuses_a_wrong_key(llama: str) -> None:
    async with opened(llama, api_key="wrong") as llm:
        with pytest.raises(ExceptionGroup) as caught:
            await ask(llm)
    assert caught.group_contains(Unusable, match="answered 401: Invalid API Key")


@pytest.mark.model
async def test_hanging_up_on_a_real_server_frees_its_only_slot(llama: str) -> None:
    async with opened(llama, first_token_s=8) as llm:
        sink, received = anyio.create_memory_object_stream[LlmEvent](0)
        async with received, anyio.create_task_group() as tasks:
            tasks.start_soon(llm.run, ChatRequest(TALK, max_tokens=900), sink)
            await received.receive()
            tasks.cancel_scope.cancel()
        assert text(await ask(llm, max_tokens=4)).strip()

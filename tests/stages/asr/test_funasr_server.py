"""The client of a FunASR server, against a local one that speaks its protocol."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import numpy as np
import pytest

from stages import registry
from stages.asr.funasr_server import FunasrServerAsr, FunasrServerOptions
from stages.errors import StageError, Transient, Unusable
from stages.events import (
    SAMPLE_RATE,
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Transcript,
    UtteranceEnd,
    UtteranceStart,
)
from stages.models import ModelStore
from tests.servers.funasr_ws import FunasrServer, funasr_server
from tests.stages.streams import fed

PIECE = 320


@asynccontextmanager
async def client(server: FunasrServer, **more: Any) -> AsyncIterator[FunasrServerAsr]:
    plugin = registry.find("asr", "funasr_server")
    async with plugin.open(FunasrServerOptions(url=server.url, **more), ModelStore()) as asr:
        yield asr


def spoken(seconds: float, number: int = 1, start: int = 0) -> list[AsrInput]:
    samples = np.full(int(seconds * SAMPLE_RATE), 0.25, dtype=np.float32)
    items: list[AsrInput] = [UtteranceStart(number, start)]
    items += [
        Audio(samples[at : at + PIECE], start + at) for at in range(0, len(samples), PIECE)
    ]
    return [*items, Pause(number, start + len(samples))]


def more(seconds: float, number: int, start: int) -> list[AsrInput]:
    return spoken(seconds, number, start)[1:]


async def heard(
    asr: FunasrServerAsr, items: list[AsrInput], hotwords: tuple[str, ...] = ()
) -> list[Transcript]:
    hearing = Hearing("zh-CN", hotwords)
    return await fed(lambda source, sink: asr.run(hearing, source, sink), items)


async def failing(asr: FunasrServerAsr, items: list[AsrInput]) -> StageError:
    with pytest.raises(BaseExceptionGroup) as caught:
        await heard(asr, items)
    # Beside it: who fed it had nobody to feed any more.
    group: BaseException | None = caught.value.subgroup(StageError)
    while isinstance(group, BaseExceptionGroup):
        (group,) = group.exceptions
    assert isinstance(group, StageError)
    return group


async def test_words_come_as_they_are_said_and_the_second_pass_replaces_them() -> None:
    async with funasr_server() as server, client(server) as asr:
        give, source = anyio.create_memory_object_stream[AsrInput](0)
        sink, words = anyio.create_memory_object_stream[Transcript](16)
        async with anyio.create_task_group() as tasks, give, words:
            tasks.start_soon(asr.run, Hearing("zh-CN"), source, sink)
            *speech, pause = spoken(1.3)
            for item in speech:
                await give.send(item)
            first, second = await words.receive(), await words.receive()
            assert (first.text, second.text) == ("今天", "今天天气")
            assert not second.final
            assert second.stable == 0  # the second pass may change it all
            await give.send(pause)
            final = await words.receive()
            assert final == Transcript(1, "今天天气怎么样？", 20_800, final=True, stable=8)
            await give.aclose()
            assert [word async for word in words] == []


async def test_it_greets_as_the_protocol_wants_with_hotwords_and_frames_of_60_ms() -> None:
    async with funasr_server() as server, client(server) as asr:
        await heard(asr, spoken(1.0), ("魔搭", "通义"))
        (greeting,) = server.greetings
    assert greeting["mode"] == "2pass"
    assert greeting["audio_fs"] == SAMPLE_RATE
    assert greeting["chunk_size"] == [5, 10, 5]
    assert json.loads(str(greeting["hotwords"])) == {"魔搭": 20, "通义": 20}
    assert max(server.frames) == 2 * 960
    assert server.audio == [2 * SAMPLE_RATE]


async def test_speech_after_a_pause_belongs_to_the_same_utterance() -> None:
    said = FunasrServer(offline=("今天天气，", "怎么样？"))
    async with funasr_server(said) as server, client(server) as asr:
        words = await heard(
            asr, [*spoken(1.0), *more(1.0, 1, SAMPLE_RATE), UtteranceEnd(1), *spoken(0.7, 2, 99)]
        )
    finals = [word.text for word in words if word.final]
    assert finals == ["今天天气，", "今天天气，怎么样？", "怎么样？"]
    assert len(server.greetings) == 2  # one connection an utterance


@pytest.mark.parametrize("acks", [True, False])
async def test_a_sound_without_words_has_an_empty_final(acks: bool) -> None:
    said = FunasrServer(online=(), offline=("",), acks=acks)
    async with funasr_server(said) as server, client(server, final_s=0.3) as asr:
        (final,) = await heard(asr, spoken(0.5))
        assert asr.unanswered == (0 if acks else 1)
    assert final.final
    assert final.text == ""


async def test_a_server_that_does_not_say_where_a_final_ends_is_understood_too() -> None:
    async with funasr_server(FunasrServer(acks=False)) as server, client(server) as asr:
        *_, final = await heard(asr, spoken(1.0))
        assert asr.unanswered == 0
    assert final.text == "今天天气怎么样？"


async def test_a_final_that_never_comes_is_what_was_said_meanwhile() -> None:
    async with (
        funasr_server(FunasrServer(silent=True)) as server,
        client(server, final_s=0.3) as asr,
    ):
        give, source = anyio.create_memory_object_stream[AsrInput](0)
        sink, words = anyio.create_memory_object_stream[Transcript](16)
        async with anyio.create_task_group() as tasks, give, words:
            tasks.start_soon(asr.run, Hearing("zh-CN"), source, sink)
            *speech, pause = spoken(0.7)
            for item in speech:
                await give.send(item)
            assert (await words.receive()).text == "今天"
            await give.send(pause)
            assert (await words.receive()).text == "今天"
        assert asr.unanswered == 1


async def test_a_connection_that_breaks_is_made_anew_and_nothing_is_lost() -> None:
    async with funasr_server(FunasrServer()) as server, client(server) as asr:
        await heard(asr, spoken(0.1, 7))
        server.cut_after = [9_000]
        words = await heard(asr, spoken(1.0))
        assert asr.broken == 1
    assert words[-1].text == "今天天气怎么样？"
    assert words[-1].final
    assert server.audio[-1] == 2 * SAMPLE_RATE


async def test_a_server_that_breaks_off_again_and_again_fails_the_call() -> None:
    async with funasr_server(FunasrServer()) as server, client(server) as asr:
        await heard(asr, spoken(0.1, 7))
        server.cut_after = [9_000, 9_000, 9_000]
        error = await failing(asr, spoken(1.0))
    assert isinstance(error, Transient)
    assert str(error) == f"asr funasr_server: {server.url} broke off twice"


async def test_an_error_that_the_server_tells_is_passed_on() -> None:
    said = FunasrServer(error="out of memory")
    async with funasr_server(said) as server, client(server) as asr:
        error = await failing(asr, spoken(0.5))
    assert str(error) == f"asr funasr_server: {server.url} says: out of memory"


@pytest.mark.parametrize("junk", ["hello", '{"event": "ready"}', b"\x00\x01"])
async def test_a_server_that_speaks_another_protocol_is_named_as_such(junk: str | bytes) -> None:
    async with funasr_server(FunasrServer(junk=junk)) as server, client(server) as asr:
        error = await failing(asr, spoken(0.5))
    assert isinstance(error, Unusable)
    assert str(error) == (
        f"asr funasr_server: {server.url} speaks another protocol: FunASR does not send {junk!r}"
    )


async def test_something_that_is_no_websocket_server_is_refused_when_it_is_opened() -> None:
    async with funasr_server() as server:
        server.url += "elsewhere"
        with pytest.raises(Unusable, match="no FunASR server: it answered HTTP 404"):
            async with client(server):
                pytest.fail("it was opened")


async def test_nobody_there_is_a_sentence_when_it_is_opened() -> None:
    async with funasr_server() as server:
        pass
    with pytest.raises(Transient, match="no FunASR server answers at ws://127"):
        async with client(server):
            pytest.fail("it was opened")


async def test_hanging_up_closes_the_connection_at_once() -> None:
    async with funasr_server() as server, client(server) as asr:
        give, source = anyio.create_memory_object_stream[AsrInput](0)
        sink, words = anyio.create_memory_object_stream[Transcript](16)
        async with anyio.create_task_group() as tasks, give, words:
            tasks.start_soon(asr.run, Hearing("zh-CN"), source, sink)
            for item in spoken(0.7)[:-1]:
                await give.send(item)
            await words.receive()
            tasks.cancel_scope.cancel()

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.audio import milliseconds_in, samples_in
from stages.errors import StageError, Transient, Unusable
from stages.events import Clause, Samples, Speech, Voice
from stages.models import ModelStore
from stages.registry import find
from stages.tts.edge import AUDIBLE, LEAD, RATE, EdgeOptions, EdgeTts, Mp3, Trim
from tests.servers.edge import (
    EdgeServer,
    Talk,
    Turn,
    cuts,
    edge_server,
    falls_silent,
    mp3,
    speaks,
    tone,
)
from tests.stages.streams import fed, sound

SPOKEN = np.concatenate((tone(150, 0), tone(500), tone(800, 0)))
HELLO = mp3(SPOKEN)


def clauses(*texts: str) -> list[Clause]:
    return [Clause(number, text, text) for number, text in enumerate(texts)]


def edge(server: EdgeServer, **options: Any) -> EdgeTts:
    return EdgeTts(EdgeOptions.model_validate(options), server.connector)


async def speech(
    server: EdgeServer, *texts: str, voice: Voice | None = None, **options: Any
) -> list[Speech]:
    async def run(source: Any, sink: Any) -> None:
        await edge(server, **options).run(voice or Voice(), source, sink)

    return await fed(run, clauses(*texts))


async def failure(
    folder: Path, *turns: Turn | int, voice: Voice | None = None, **options: Any
) -> StageError:
    async with edge_server(folder, *turns) as server:
        with pytest.raises(ExceptionGroup) as caught:
            await speech(server, "Hello.", voice=voice, **options)
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, StageError)
    return error


def first_audible(samples: Samples) -> int:
    return int(np.flatnonzero(np.abs(samples) > AUDIBLE)[0])


# --- the service as it should be ------------------------------------------------------------


async def test_a_clause_is_heard_without_the_silence_around_it(tmp_path: Path) -> None:
    async with edge_server(tmp_path, speaks(HELLO)) as server:
        speeches = await speech(server, "Hello.")
    samples = sound(speeches)
    assert {it.rate for it in speeches} == {RATE}
    assert [it.last for it in speeches] == [False] * (len(speeches) - 1) + [True]
    assert first_audible(samples) <= LEAD
    assert milliseconds_in(len(samples), RATE) == pytest.approx(20 + 500 + 200, abs=15)


async def test_the_first_sound_does_not_wait_for_the_rest(tmp_path: Path) -> None:
    begun = HELLO[: len(HELLO) // 3]  # 480 ms of 1450
    async with edge_server(tmp_path, falls_silent(begun)) as server:
        sink, received = anyio.create_memory_object_stream[Speech](1)
        give, source = anyio.create_memory_object_stream[Clause](1)
        tts = edge(server)
        async with give, source, received, anyio.create_task_group() as tasks:
            tasks.start_soon(tts.run, Voice(), source, sink)
            await give.send(clauses("Hello.")[0])
            heard = (await received.receive()).samples
            assert first_audible(heard) <= LEAD
            tasks.cancel_scope.cancel()


async def test_the_profile_says_how_it_sounds(tmp_path: Path) -> None:
    voice = Voice("zh-CN-XiaoxiaoNeural", rate=1.15, pitch=-3, volume=0.9)
    async with edge_server(tmp_path, speaks(HELLO)) as server:
        await speech(server, "你好 <b> & 再见", voice=voice)
    (asked,) = server.asked
    assert asked.text == "你好 <b> & 再见"
    assert "(zh-CN, XiaoxiaoNeural)" in asked.ssml
    assert "pitch='-3Hz' rate='+15%' volume='-10%'" in asked.ssml
    assert '"wordBoundaryEnabled":"true"' in asked.config


async def test_words_are_stamped_where_they_are_after_trimming(tmp_path: Path) -> None:
    a_word = samples_in(250, RATE)
    begin = samples_in(150, RATE)
    turn = speaks(HELLO, ("Hello", begin, a_word), ("there", begin + a_word, a_word))
    async with edge_server(tmp_path, turn) as server:
        speeches = await speech(server, "Hello there.")
    words = [word for it in speeches for word in it.words]
    assert [word.text for word in words] == ["Hello", "there"]
    delay = 50  # ms by which MP3 coding shifts the audio
    assert milliseconds_in(words[0].start, RATE) == pytest.approx(0, abs=delay)
    assert milliseconds_in(words[1].start, RATE) == pytest.approx(250, abs=delay)
    at = 0
    for it in speeches:
        assert all(at <= word.start < at + len(it.samples) for word in it.words)
        at += len(it.samples)


async def test_a_stamp_that_comes_after_its_audio_is_not_lost(tmp_path: Path) -> None:
    async def turn(talk: Talk) -> None:
        await talk.audio(HELLO)
        await talk.word("Hello", samples_in(150, RATE), 1000)
        await talk.end()

    async with edge_server(tmp_path, turn) as server:
        speeches = await speech(server, "Hello.")
    assert [word.text for word in speeches[-1].words] == ["Hello"]


async def test_the_next_clause_is_asked_for_while_one_is_passed_on(tmp_path: Path) -> None:
    second_came = anyio.Event()

    async def first(talk: Talk) -> None:
        await talk.audio(HELLO[:2000])
        await second_came.wait()
        await talk.audio(HELLO[2000:])
        await talk.end()

    async def second(talk: Talk) -> None:
        second_came.set()
        await speaks(HELLO)(talk)

    async with edge_server(tmp_path, first, second, speaks(HELLO)) as server:
        speeches = await speech(server, "One.", "Two.", "Three.")
    assert [it.clause for it in speeches] == sorted(it.clause for it in speeches)
    assert [it.clause for it in speeches if it.last] == [0, 1, 2]


async def test_no_more_than_one_clause_is_asked_for_ahead(tmp_path: Path) -> None:
    async with edge_server(tmp_path, speaks(HELLO)) as server:
        sink, received = anyio.create_memory_object_stream[Speech](0)
        give, source = anyio.create_memory_object_stream[Clause](9)
        tts = edge(server)
        async with give, source, received, anyio.create_task_group() as tasks:
            for clause in clauses("One.", "Two.", "Three.", "Four."):
                await give.send(clause)
            tasks.start_soon(tts.run, Voice(), source, sink)
            assert (await received.receive()).clause == 0
            await anyio.wait_all_tasks_blocked()
            assert server.requests <= 2
            tasks.cancel_scope.cancel()


async def test_a_clause_with_nothing_to_say_is_not_asked_for(tmp_path: Path) -> None:
    async with edge_server(tmp_path, speaks(HELLO)) as server:
        speeches = await speech(server, "——", "Hello.")
    assert [it.clause for it in speeches if it.last] == [0, 1]
    assert server.requests == 1


async def test_a_clock_that_is_wrong_is_put_right_by_the_package(tmp_path: Path) -> None:
    async with edge_server(tmp_path, 403, speaks(HELLO)) as server:
        assert len(await speech(server, "Hello.")) > 1
    assert server.requests == 2


async def test_a_profile_finds_it_by_name(tmp_path: Path) -> None:
    plugin = find("tts", "edge")
    async with plugin.open(plugin.options(), ModelStore(tmp_path)) as tts:
        assert isinstance(tts, EdgeTts)


# --- and as it is on other days -------------------------------------------------------------


async def test_a_refusal_is_final(tmp_path: Path) -> None:
    error = await failure(tmp_path, 403)
    assert isinstance(error, Unusable)
    assert str(error) == "tts edge: the service refuses us (403)."


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_service_in_trouble_may_recover(tmp_path: Path, status: int) -> None:
    error = await failure(tmp_path, status)
    assert isinstance(error, Transient)
    assert f"({status})" in str(error)


async def test_a_voice_it_does_not_know_is_named(tmp_path: Path) -> None:
    error = await failure(tmp_path, cuts(), voice=Voice("en-XX-NobodyNeural"))
    assert isinstance(error, Unusable)
    assert "'en-XX-NobodyNeural'" in str(error)


async def test_a_voice_that_is_no_name_is_never_asked_for(tmp_path: Path) -> None:
    error = await failure(tmp_path, speaks(HELLO), voice=Voice("xiaoxiao"))
    assert isinstance(error, Unusable)
    assert "Invalid voice 'xiaoxiao'" in str(error)


@pytest.mark.parametrize("politely", [True, False])
async def test_a_cut_stream_is_not_taken_for_a_short_clause(
    tmp_path: Path, politely: bool
) -> None:
    error = await failure(tmp_path, cuts(HELLO[:4000], politely))
    assert isinstance(error, Transient)
    assert "cut off inside a clause" in str(error)


async def test_silence_before_the_first_audio_has_a_deadline(tmp_path: Path) -> None:
    error = await failure(tmp_path, falls_silent(), first_audio_s=0.1)
    assert isinstance(error, Transient)
    assert str(error) == "tts edge: the service fell silent."


async def test_silence_inside_a_clause_has_a_deadline(tmp_path: Path) -> None:
    error = await failure(tmp_path, falls_silent(HELLO[:4000]), between_s=0.1)
    assert isinstance(error, Transient)
    assert str(error) == "tts edge: the service fell silent."


async def test_audio_without_a_sound_is_a_failure(tmp_path: Path) -> None:
    error = await failure(tmp_path, speaks(mp3(tone(500, 0))))
    assert isinstance(error, Transient)
    assert "without anything to hear" in str(error)


async def test_audio_that_is_no_mp3_is_a_failure(tmp_path: Path) -> None:
    error = await failure(tmp_path, speaks(b"RIFF no mp3 at all" * 500))
    assert isinstance(error, Transient)


async def test_messages_that_are_not_of_the_protocol_are_final(tmp_path: Path) -> None:
    async def nonsense(talk: Talk) -> None:
        await talk.socket.send_str("what is this")

    error = await failure(tmp_path, nonsense)
    assert isinstance(error, Unusable)
    assert "in a way we do not know" in str(error)


async def test_a_path_that_nobody_knows_is_final(tmp_path: Path) -> None:
    async def news(talk: Talk) -> None:
        await talk.words("news")

    assert isinstance(await failure(tmp_path, news), Unusable)


async def test_a_service_that_does_not_stop_is_stopped(tmp_path: Path) -> None:
    minute = mp3(tone(60_000))

    async def flood(talk: Talk) -> None:
        while True:
            await talk.audio(minute, 60_000)

    error = await failure(tmp_path, flood)
    assert isinstance(error, Transient)
    assert "did not end after 120 s" in str(error)


async def test_no_connection_is_a_transient_failure(tmp_path: Path) -> None:
    server = EdgeServer(tmp_path / "nobody", ())
    with pytest.raises(ExceptionGroup) as caught:
        await speech(server, "Hello.")
    await server.connector.end()
    assert caught.group_contains(Transient, match="the connection failed")


async def test_what_came_before_a_failure_is_heard(tmp_path: Path) -> None:
    heard: list[Speech] = []
    async with edge_server(tmp_path, speaks(HELLO), 500) as server:
        tts = edge(server)
        sink, received = anyio.create_memory_object_stream[Speech](0)
        give, source = anyio.create_memory_object_stream[Clause](2)
        for clause in clauses("One.", "Two."):
            await give.send(clause)
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
            async with give, source, received, anyio.create_task_group() as tasks:
                tasks.start_soon(tts.run, Voice(), source, sink)
                async for piece in received:
                    heard.append(piece)  # noqa: PERF401
    assert caught.group_contains(Transient)
    assert heard[-1].last
    assert {it.clause for it in heard} == {0}


async def test_hanging_up_closes_the_connections_of_both_clauses(tmp_path: Path) -> None:
    hung_up = [anyio.Event(), anyio.Event()]

    def holds(event: anyio.Event) -> Turn:
        async def turn(talk: Talk) -> None:
            await talk.audio(HELLO[:4000])
            async for _ in talk.socket:
                pass
            event.set()

        return turn

    async with edge_server(tmp_path, *map(holds, hung_up)) as server:
        tts = edge(server)
        sink, received = anyio.create_memory_object_stream[Speech](0)
        give, source = anyio.create_memory_object_stream[Clause](2)
        for clause in clauses("One.", "Two."):
            await give.send(clause)
        async with give, source, received, anyio.create_task_group() as tasks:
            tasks.start_soon(tts.run, Voice(), source, sink)
            await received.receive()
            while len(server.asked) < 2:
                await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(2):
            for event in hung_up:
                await event.wait()


# --- the pure parts -------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 100, 144, 720, 10_000])
def test_mp3_is_decoded_however_it_is_cut(piece: int) -> None:
    whole, cut = Mp3(), Mp3()
    expected = np.concatenate((whole.push(HELLO), whole.rest()))
    pieces = [cut.push(HELLO[at : at + piece]) for at in range(0, len(HELLO), piece)]
    assert np.array_equal(np.concatenate([*pieces, cut.rest()]), expected)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 4_000)), max_size=10), st.integers(1, 2_000)
)
def test_trimming_only_takes_silence_off_the_ends(
    plan: list[tuple[bool, int]], piece: int
) -> None:
    parts = [np.full(length, 0.5 if loud else 0.0, np.float32) for loud, length in plan]
    samples = np.concatenate([np.zeros(0, np.float32), *parts])
    trim, trailing = Trim(1_000), 1_000
    pieces = [trim.push(samples[at : at + piece]) for at in range(0, len(samples), piece)]
    made = np.concatenate([np.zeros(0, np.float32), *pieces, trim.rest()])
    loud = np.flatnonzero(samples)
    if not len(loud):
        assert not len(made)
        return
    begin, end = max(int(loud[0]) - LEAD, 0), int(loud[-1]) + 1
    assert trim.cut == begin
    assert np.array_equal(made, samples[begin : begin + len(made)])
    assert end <= begin + len(made) <= end + trailing + piece

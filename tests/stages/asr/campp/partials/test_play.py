"""A recording is played in audio time: nothing of it comes before the last piece is done with."""

from __future__ import annotations

import anyio
import pytest

from stages.asr.campp.partials.play import PIECE, play
from stages.audio import silence
from stages.contracts import Sink, Source
from stages.errors import Unusable
from stages.events import AsrInput, Audio, Hearing, Pause, Samples, Transcript
from stages.threads import Workers, watched

SOUND: Samples = silence(10 * PIECE + 100)


class Roundabout:
    """Makes a partial of every piece, two tasks and two threads away from where it came in."""

    def __init__(self) -> None:
        self._workers = Workers(1), Workers(1)

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        give, take = anyio.create_memory_object_stream[AsrInput](64)
        async with sink, take, anyio.create_task_group() as tasks:
            tasks.start_soon(self._write, take, sink)
            async with give:
                async for event in source:
                    await give.send(event)

    async def _write(self, take: Source[AsrInput], sink: Sink[Transcript]) -> None:
        async for event in take:
            if isinstance(event, Pause):
                await sink.send(Transcript(event.utterance, "Twice around.", event.at, final=True))
            elif isinstance(event, Audio):
                for workers in self._workers:
                    await workers.run(lambda: sum(range(20_000)))
                await sink.send(Transcript(0, "twice", event.end, stable=5))


async def test_a_partial_has_come_before_the_next_piece_is_given() -> None:
    with watched() as watch:
        played = await play(Roundabout(), SOUND, watch)

    assert [one.given for one in played.partials] == [
        one.transcript.upto for one in played.partials
    ]
    assert [one.given for one in played.partials][-2:] == [10 * PIECE, len(SOUND)]
    assert len(played.partials) == 11


async def test_the_final_is_asked_for_when_all_was_heard_and_is_no_partial() -> None:
    with watched() as watch:
        played = await play(Roundabout(), SOUND, watch)

    assert played.final == "Twice around."
    assert {one.transcript.text for one in played.partials} == {"twice"}
    assert played.seconds == len(SOUND) / 16_000
    assert played.cpu > 0


async def test_a_recogniser_that_fails_says_why() -> None:
    class Deaf:
        async def run(
            self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
        ) -> None:
            async with sink:
                await source.receive()
                raise Unusable("asr deaf", "it hears nothing")

    with watched() as watch, pytest.raises(Unusable, match="asr deaf: it hears nothing"):
        await play(Deaf(), SOUND, watch)


async def test_a_recogniser_that_walks_away_is_not_waited_for() -> None:
    class Gone:
        async def run(
            self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
        ) -> None:
            await sink.aclose()

    with watched() as watch, pytest.raises(Unusable, match="it ended before the recording did"):
        await play(Gone(), SOUND, watch)


async def test_a_watch_rests_when_no_step_of_its_own_tasks_runs() -> None:
    workers, release = Workers(1), anyio.Event()

    with watched() as watch:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(workers.run, lambda: anyio.from_thread.run(release.wait))
            await anyio.wait_all_tasks_blocked()
            assert watch.busy
            release.set()
            await watch.rest()
            assert not watch.busy
    await workers.run(lambda: None)  # nobody watches any more
    assert not watch.busy

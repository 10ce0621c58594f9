"""Plays a recording to a recogniser in audio time: a piece comes when it is done with the last.

No clock is waited for, so what is heard depends on the recording alone, and not on how busy the
machine is. A recogniser that waits for a clock or for a server of its own is not waited for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import anyio
from anyio import lowlevel
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from stages.contracts import Asr, Sink, Source
from stages.errors import StageError, Unusable, first_of
from stages.events import (
    SAMPLE_RATE,
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Samples,
    Transcript,
    UtteranceStart,
)
from stages.threads import Watch

PIECE = 512
"""Samples of one event: as many as the VAD of a call passes on at once."""

HOPS = 16
"""Rounds of the event loop without a step in a thread, after which nobody has anything to do."""

PATIENCE = 60.0
"""Seconds for the final."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A partial."""

    transcript: Transcript
    given: int  # samples that the recogniser had when it came
    work_ms: float  # since it had the last of them


@dataclass(frozen=True, slots=True)
class Played:
    """What a recogniser made of a recording."""

    partials: tuple[Shown, ...]
    final: str
    seconds: float  # of sound
    cpu: float  # seconds of the whole process, the final left out


@dataclass(slots=True)
class _Notes:
    """Who listens to the recogniser."""

    partials: list[Shown] = field(default_factory=list)
    final: str = ""
    came: anyio.Event = field(default_factory=anyio.Event)
    given: int = 0
    since: float = 0.0

    async def take(self, transcripts: MemoryObjectReceiveStream[Transcript]) -> None:
        """Note what comes, until nothing more does."""
        async for transcript in transcripts:
            if transcript.final:
                self.final = transcript.text
                break
            worked = (time.perf_counter() - self.since) * 1000
            self.partials.append(Shown(transcript, self.given, worked))
        self.came.set()


async def play(asr: Asr, samples: Samples, watch: Watch, language: str = "en") -> Played:
    """Let a recogniser hear a recording as one utterance, then ask for its final.

    Args:
        asr: it was opened in the block of ``watch``.
        samples: at ``SAMPLE_RATE``.
        watch: of the steps in threads.
        language: that is spoken, BCP 47.

    Raises:
        StageError: the recogniser failed, or ended before the recording did.
        TimeoutError: its final did not come.
    """
    give, source = anyio.create_memory_object_stream[AsrInput](0)
    sink, transcripts = anyio.create_memory_object_stream[Transcript](HOPS)
    notes, cpu = _Notes(), 0.0
    failure: ExceptionGroup[StageError] | None = None
    async with give, source, sink, transcripts:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_hear, asr, Hearing(language), source, sink)
                tasks.start_soon(notes.take, transcripts)
                began = time.process_time()
                await _say(samples, give, watch, notes)
                cpu = time.process_time() - began
                await give.send(Pause(0, len(samples)))
                with anyio.fail_after(PATIENCE):
                    await notes.came.wait()
                tasks.cancel_scope.cancel()
        except* StageError as errors:
            failure = errors
    if failure is not None:
        raise first_of(failure)
    return Played(tuple(notes.partials), notes.final, len(samples) / SAMPLE_RATE, cpu)


async def _hear(
    asr: Asr, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
) -> None:
    await asr.run(hearing, source, sink)
    raise Unusable("asr", "it ended before the recording did")  # we have not closed its source


async def _say(
    samples: Samples, give: MemoryObjectSendStream[AsrInput], watch: Watch, notes: _Notes
) -> None:
    await give.send(UtteranceStart(0, 0))
    for at in range(0, len(samples), PIECE):
        audio = Audio(samples[at : at + PIECE], at)
        notes.given, notes.since = audio.end, time.perf_counter()
        await give.send(audio)
        await _settled(watch)


async def _settled(watch: Watch) -> None:
    """Wait until a piece has gone as far as it goes: from task to task, and through threads."""
    quiet = 0
    while quiet < HOPS:
        if watch.busy:
            await watch.rest()
            quiet = 0
        await lowlevel.checkpoint()
        quiet += 1

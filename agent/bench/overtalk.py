"""Sounds over a reply, in audio time: VAD, recogniser and turn-taking, as fast as they can be had.

What is played in a call is not needed here: a reply sounds from the beginning, and ``Turns`` says
when it would be held, let go on, or ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import numpy as np

from agent.decisions import Action, AskFinal, Close, GoOn, Hold, Interrupt, Open
from agent.engines import Stages
from agent.interrupt import SURE
from agent.turn import Turns
from agent.turn_settings import TurnSettings
from stages.audio import milliseconds_in, samples_in, silence
from stages.events import (
    SAMPLE_RATE,
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Samples,
    Transcript,
    UtteranceEnd,
    UtteranceStart,
    VadFrame,
)

BEFORE_S, AFTER_S = 1.0, 1.5
"""Silence of the caller before and after the sound."""
PARTIAL_FROM, PARTIAL_EVERY = samples_in(500), samples_in(400)
"""Of an utterance, before its first partial, and between two: as asr ``moonshine`` does it."""
LATEST, GAP = samples_in(400), samples_in(50)
"""Samples by which a VAD may be late to be sure, and of a gap inside a word's beginning."""
WORDS_MS, WORDS_MS_PER_S = 35.0, 25.0
"""How late words come, and so much later a second of speech; medians on two shared cores."""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Something that comes in over a reply."""

    name: str
    group: str
    samples: Samples
    starts: int | None = None  # place of its first speech sample; none: it is no interruption


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the reply. Times are milliseconds."""

    sound: str
    group: str
    held: int  # how often
    held_ms: float  # in all
    hold_ms: float | None  # from the first speech sample to the first hold
    ended_ms: float | None  # and to the reply's end; from the sound's begin where it is no speech
    words: str  # what ended it; empty: enough sound


@dataclass(eq=False)
class Overtalk:
    """One sound over one reply.

    Args:
        judge: what the machine is told of a frame, for a guard to try; by default the VAD's.
    """

    stages: Stages
    settings: TurnSettings
    sound: Sound
    judge: Callable[[VadFrame], float] = lambda frame: frame.speech
    _mic: Samples = field(default_factory=lambda: silence(0))
    _first: int = 0  # position of the sound
    _held: list[tuple[int, int | None]] = field(default_factory=list)
    _ended: int | None = None
    _words: str = ""
    _number: int = 0  # of the open utterance
    _start: int | None = None
    _heard: int = 0  # position up to which words were asked for
    _coming: list[tuple[int, Transcript]] = field(default_factory=list)

    async def run(self) -> Outcome:
        """Listen to all of it, or until the reply is ended."""
        before = silence(samples_in(BEFORE_S * 1000))
        after = silence(samples_in(AFTER_S * 1000))
        self._mic, self._first = np.concatenate([before, self.sound.samples, after]), len(before)
        turns = Turns(self.settings)
        [reply] = turns.typed("go on")
        turns.audible(reply.reply)  # type: ignore[union-attr]
        async with vad_ear(self.stages) as (length, ear):
            for at in range(0, len(self._mic) - length, length):
                frame = await ear(Audio(self._sounding(at, at + length), at))
                await self._frame(turns, frame)
                if self._ended is not None:
                    break
        return self._outcome()

    def _sounding(self, start: int, end: int) -> Samples:
        """Return what the microphone hears."""
        return self._mic[start:end]

    async def _frame(self, turns: Turns, frame: VadFrame) -> None:
        end = frame.audio.end
        due = [words for at, words in self._coming if at <= end]
        self._coming = [one for one in self._coming if one[0] > end]
        for words in due:
            await self._do(turns.transcript(words), end, words)
        await self._do(turns.frame(end, len(frame.audio.samples), self.judge(frame)), end)
        await self._maybe_partial(end)

    async def _do(self, actions: list[Action], now: int, by: Transcript | None = None) -> None:
        for action in actions:
            self._decided(action)
            match action:
                case Open():
                    self._number, self._start = action.utterance, action.start
                    self._heard = action.start
                case AskFinal():
                    await self._ask(action.utterance, action.at, final=True)
                case Close():
                    self._start, self._coming = None, []
                case Hold():
                    self._held.append((now, None))
                case GoOn():
                    self._held[-1] = (self._held[-1][0], now)
                case Interrupt():
                    self._ended, self._words = now, by.text if by else ""
                case _:
                    pass

    def _decided(self, action: Action) -> None:
        """Do what the call would do."""

    async def _maybe_partial(self, now: int) -> None:
        if self._start is None or any(words.final for _, words in self._coming):
            return
        if now - self._start >= PARTIAL_FROM and now - self._heard >= PARTIAL_EVERY:
            await self._ask(self._number, now, final=False)

    def _understood(self, text: str) -> str:
        """Return the words that the machine is told."""
        return text

    async def _ask(self, utterance: int, at: int, *, final: bool) -> None:
        assert self._start is not None
        samples = self._mic[self._start : at]
        text = self._understood(await words_in(self.stages, samples))
        self._heard = at
        self._coming = [one for one in self._coming if one[1].final]  # it overtakes partials
        late = samples_in(WORDS_MS + WORDS_MS_PER_S * len(samples) / SAMPLE_RATE)
        self._coming.append((at + late, Transcript(utterance, text, at, final=final)))

    def _outcome(self) -> Outcome:
        sound, end = self.sound, self._ended if self._ended is not None else len(self._mic)
        begin = self._first + (sound.starts or 0)
        held = sum((until or end) - since for since, until in self._held)
        after = None if not self._held else milliseconds_in(self._held[0][0] - begin)
        ended = None if self._ended is None else milliseconds_in(self._ended - begin)
        return Outcome(
            sound.name, sound.group, len(self._held), milliseconds_in(held), after, ended,
            self._words,
        )  # fmt: skip


@asynccontextmanager
async def vad_ear(
    stages: Stages,
) -> AsyncIterator[tuple[int, Callable[[Audio], Awaitable[VadFrame]]]]:
    """Give the length of the VAD's frames, and what hears one at a time."""
    length = len((await vad_frames(stages, silence(SAMPLE_RATE)))[0].audio.samples)
    give, take = anyio.create_memory_object_stream[Audio](1)
    say, hear = anyio.create_memory_object_stream[VadFrame](4)

    async def ear(audio: Audio) -> VadFrame:
        await give.send(audio)
        return await hear.receive()

    async with give, take, say, hear, anyio.create_task_group() as tasks:
        tasks.start_soon(stages.vad.run, take, say)
        yield length, ear
        tasks.cancel_scope.cancel()


async def vad_frames(stages: Stages, samples: Samples) -> list[VadFrame]:
    """Return what the VAD makes of a recording."""
    give, take = anyio.create_memory_object_stream[Audio](1)
    say, hear = anyio.create_memory_object_stream[VadFrame](len(samples) // 256 + 2)
    frames: list[VadFrame] = []
    async with give, take, say, hear, anyio.create_task_group() as tasks:
        tasks.start_soon(stages.vad.run, take, say)
        await give.send(Audio(samples, 0))
        await give.aclose()
        frames += [frame async for frame in hear]
    return frames


async def words_in(stages: Stages, samples: Samples) -> str:
    """Return the recogniser's words for a piece of speech."""
    give, take = anyio.create_memory_object_stream[AsrInput](4)
    say, hear = anyio.create_memory_object_stream[Transcript](64)
    text = ""
    async with give, take, say, hear, anyio.create_task_group() as tasks:
        tasks.start_soon(stages.asr.run, Hearing(language="en"), take, say)
        await give.send(UtteranceStart(1, 0))
        await give.send(Audio(samples, 0))
        await give.send(Pause(1, len(samples)))
        async for transcript in hear:
            if transcript.final:
                text = transcript.text
                break
        await give.send(UtteranceEnd(1))
        await give.aclose()
    return text


async def first_speech(stages: Stages, samples: Samples) -> int:
    """Return the place of the first speech sample: what is loud just before the VAD is sure.

    Breaths and knocks that lie further before are no speech; the VAD's own delay is in it.
    """
    frames = await vad_frames(stages, samples)
    sure = next((frame.audio.end for frame in frames if frame.speech >= SURE), len(samples))
    step = samples_in(10)
    whole = samples[: sure - sure % step].astype(np.float64).reshape(-1, step)
    levels = 10 * np.log10(np.maximum(np.square(whole).mean(axis=1), 1e-12))
    bar = max(levels[-30:].max() - 35, min(np.quantile(levels, 0.1) + 10, levels.max() - 12))
    first = last = len(levels)
    for place in range(len(levels) - 1, max(-1, len(levels) - 1 - LATEST // step), -1):
        if levels[place] > bar:
            first = place
        elif first - place > GAP // step:
            break
    return min(first, last) * step

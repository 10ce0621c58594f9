"""A VAD without a model: loudness against a noise floor that adapts slowly."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
from pydantic import Field

from stages.audio import level, samples_in, silence
from stages.contracts import Options, Plugin, Sink, Source, Vad
from stages.events import Audio, Samples, VadFrame
from stages.models import ModelStore

FRAME_MS = 20
FRAME = samples_in(FRAME_MS)
SOFTNESS_DB = 3.0
"""How gently the probability passes from 0 to 1."""
FALL = 0.2
"""Share of the way down to a quieter level that the floor goes in one frame."""
LOUDEST_START_DB = -40.0
"""A call may begin in the middle of a word: the first frame says no more than this of the noise."""


class EnergyOptions(Options):
    """The settings of ``energy``."""

    margin_db: float = Field(12.0, gt=0, le=60, description="above the noise floor: even odds")
    quietest_db: float = Field(-60.0, ge=-100, le=0, description="lower end of the noise floor")
    rise_db_per_s: float = Field(3.0, ge=0, le=60, description="of the floor, under noise")


class NoiseFloor:
    """The level of a call's background, in dBFS, and what stands out of it."""

    def __init__(self, options: EnergyOptions) -> None:
        self._options = options
        self._floor: float | None = None

    def speech(self, frame: Samples) -> float:
        """Take in one frame and return the probability (0..1) that it is speech."""
        quietest = self._options.quietest_db
        loudness = max(20 * math.log10(max(level(frame), 1e-6)), quietest)
        if self._floor is None:
            self._floor = max(min(loudness, LOUDEST_START_DB), quietest)
        above = loudness - self._floor - self._options.margin_db
        if loudness < self._floor:
            self._floor += FALL * (loudness - self._floor)
        else:
            rise = self._options.rise_db_per_s * FRAME_MS / 1000
            self._floor = min(self._floor + rise, loudness)
        return 1 / (1 + math.exp(-above / SOFTNESS_DB))


class Frames:
    """Cuts a stream of any pieces into frames of ``FRAME`` samples, without losing a sample."""

    def __init__(self) -> None:
        self._held = Audio(silence(0), 0)

    def push(self, audio: Audio) -> Iterator[Audio]:
        """Take in a piece and give the whole frames there are now."""
        if audio.start != self._held.end:  # a gap: what was held belongs to no frame of this
            yield from self.rest()
            self._held = Audio(silence(0), audio.start)
        held, samples, start = self._held.samples, audio.samples, self._held.start
        if len(held):
            samples = np.concatenate((held, samples))
        whole = len(samples) - len(samples) % FRAME
        self._held = Audio(samples[whole:], start + whole)
        for at in range(0, whole, FRAME):
            yield Audio(samples[at : at + FRAME], start + at)

    def rest(self) -> Iterator[Audio]:
        """Give what is held, if anything, as a shorter frame."""
        if len(self._held.samples):
            yield self._held


class EnergyVad:
    """Tells loud from quiet."""

    def __init__(self, options: EnergyOptions) -> None:
        self._options = options

    async def run(self, source: Source[Audio], sink: Sink[VadFrame]) -> None:
        """Pass every sample on in frames of 20 ms; cancelling ends it at once."""
        floor, frames = NoiseFloor(self._options), Frames()
        async with sink:
            async for audio in source:
                for frame in frames.push(audio):
                    await sink.send(VadFrame(frame, floor.speech(frame.samples)))
            for frame in frames.rest():
                await sink.send(VadFrame(frame, floor.speech(frame.samples)))


@asynccontextmanager
async def _open(options: EnergyOptions, store: ModelStore) -> AsyncIterator[EnergyVad]:
    yield EnergyVad(options)


plugin: Plugin[Vad] = Plugin(EnergyOptions, _open)

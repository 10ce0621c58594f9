"""The Silero VAD: a small recurrent network, 0.1 ms of work for 32 ms of sound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
from anyio import to_thread

from stages.audio import silence
from stages.contracts import Options, Plugin, Sink, Source, Vad
from stages.events import SAMPLE_RATE, Audio, Samples, VadFrame
from stages.models import ModelStore
from stages.onnx import Array, Network

MODEL = "silero-vad"
FRAME = 512
"""Samples the network hears at a time: 32 ms, which is also what is held back at most."""
CONTEXT = 64
"""Samples of the frame before that it hears again."""


class SileroOptions(Options):
    """The settings of ``silero``: it has none; thresholds belong to turn-taking."""


class Ear:
    """One call's memory of what it heard."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._rate = np.array(SAMPLE_RATE, dtype=np.int64)
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after a gap."""
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._context = silence(CONTEXT)

    def speech(self, frame: Samples) -> float:
        """Take in a frame, at most ``FRAME`` samples, and return the probability of speech."""
        heard = np.concatenate((self._context, frame, silence(FRAME - len(frame))))
        feed: dict[str, Array] = {"input": heard[None, :], "state": self._state, "sr": self._rate}
        probability, self._state = self._network.run(feed)
        self._context = heard[-CONTEXT:]
        return float(probability[0, 0])


class _Call:
    def __init__(self, network: Network) -> None:
        self._ear = Ear(network)
        self._held = Audio(silence(0), 0)

    def push(self, audio: Audio) -> Iterator[VadFrame]:
        """Take in a piece of any length and give the whole frames there are now."""
        if audio.start != self._held.end:
            yield from self.rest()
            self._ear.forget()
            self._held = Audio(silence(0), audio.start)
        samples = np.concatenate((self._held.samples, audio.samples))
        start, whole = self._held.start, len(samples) - len(samples) % FRAME
        self._held = Audio(samples[whole:], start + whole)
        for at in range(0, whole, FRAME):
            piece = samples[at : at + FRAME]
            yield VadFrame(Audio(piece, start + at), self._ear.speech(piece))

    def rest(self) -> Iterator[VadFrame]:
        """Give what is held, if anything, as a shorter frame."""
        held, self._held = self._held, Audio(silence(0), self._held.end)
        if len(held.samples):
            yield VadFrame(held, self._ear.speech(held.samples))


class SileroVad:
    """Tells speech from silence, music, hum and noise."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def run(self, source: Source[Audio], sink: Sink[VadFrame]) -> None:
        """Pass every sample on in frames of 32 ms; cancelling ends it at once.

        The network runs on the event loop: a hop to a thread would cost more than its 0.1 ms.
        """
        call = _Call(self._network)
        async with sink:
            async for audio in source:
                for frame in call.push(audio):
                    await sink.send(frame)
            for frame in call.rest():
                await sink.send(frame)


def _load(store: ModelStore) -> Network:
    network = Network(store.path(MODEL) / "silero_vad.onnx")
    Ear(network).speech(silence(FRAME))
    return network


@asynccontextmanager
async def _open(options: SileroOptions, store: ModelStore) -> AsyncIterator[SileroVad]:
    yield SileroVad(await to_thread.run_sync(_load, store))


plugin: Plugin[Vad] = Plugin(SileroOptions, _open, lambda options: (MODEL,))

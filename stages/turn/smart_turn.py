"""Smart-turn v3.2: hears from the melody of the last 8 s whether the caller is done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import numpy as np
import numpy.typing as npt
from anyio import to_thread

from stages.audio import samples_in, silence
from stages.contracts import Options, Plugin, Turn
from stages.errors import Transient
from stages.events import SAMPLE_RATE, PauseContext, Samples
from stages.models import ModelStore
from stages.onnx import Network
from stages.threads import Workers

STAGE = "turn smart_turn"
MODEL = "smart-turn-v3.2"
FILE = "smart-turn-v3.2-cpu.onnx"

HEARD = 8 * SAMPLE_RATE
"""Samples the network hears: the last of the utterance, with silence before it if it is short."""

WINDOW, HOP, BANDS = 400, 160, 80
"""Samples of a spectrum, samples between two, and bands on the mel scale, as Whisper has them."""

TAIL = samples_in(50)
"""Silence that it hears after a pause of any length. Asked 48 ms after the last sound, it tells
pauses from ends as well with it as 100 ms later without (AUC 0.63 and 0.61)."""

PATIENCE = 2.0
"""Seconds; a later judgement would be of no use to anybody."""

_Matrix = npt.NDArray[np.float32]


class SmartTurnOptions(Options):
    """The settings of ``smart_turn``: it has none; what its judgement does is the profile's."""


class Features:
    """Turns 8 s of sound into log-mel bands, shape (80, 800)."""

    def __init__(self) -> None:
        self._window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
        self._bands = bands()

    def __call__(self, samples: Samples) -> _Matrix:
        """Return the features of the last 8 s of a piece of any length at ``SAMPLE_RATE``."""
        last = samples[-HEARD:]
        heard = np.concatenate((silence(HEARD - len(last)), last))
        heard = (heard - heard.mean()) / np.sqrt(heard.var() + np.float32(1e-7))
        padded = np.pad(heard, WINDOW // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:-1]
        spectrum = np.fft.rfft(frames * self._window)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        logs = np.log10(np.maximum(self._bands @ power.T, 1e-10))
        features: _Matrix = ((np.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0).astype(np.float32)
        return features


def bands() -> _Matrix:
    """Return triangles that sum a spectrum into mel bands of equal area, shape (80, 201)."""
    edges = _hertz(np.linspace(0.0, _mel(SAMPLE_RATE / 2), BANDS + 2))
    bins = np.linspace(0.0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (peak - low), (high - bins) / (high - peak)
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)
    return triangles.astype(np.float32)


_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27.0


def _mel(hertz: float) -> float:
    """Return a frequency above the knee on Slaney's mel scale: linear to 1 kHz, then a log."""
    return float(_KNEE_MEL + np.log(hertz / _KNEE_HZ) / _LOG_STEP)


def _hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    steep = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _KNEE_HZ / _KNEE_MEL, steep)


class SmartTurn:
    """Judges pauses by ear; it knows no words and no language."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._features = Features()
        self._workers = Workers(2)

    async def judge(self, pause: PauseContext) -> float:
        """Return the probability that the turn is complete; cancelling drops the judgement.

        Raises:
            Transient: the machine is so busy that it took longer than 2 s.
        """
        heard = np.concatenate((pause.audio, silence(TAIL)))
        try:
            with anyio.fail_after(PATIENCE):
                return await self._workers.run(lambda: self.listen(heard))
        except TimeoutError:
            raise Transient(STAGE, f"no judgement after {PATIENCE:.0f} s") from None

    def listen(self, samples: Samples) -> float:
        """Return the probability that somebody who said this is done; 30 ms of work."""
        (chance,) = self._network.run({"input_features": self._features(samples)[None]})
        return float(chance[0, 0])


def _load(folder: Path) -> SmartTurn:
    turn = SmartTurn(Network(folder / FILE))
    turn.listen(silence(SAMPLE_RATE))
    return turn


@asynccontextmanager
async def _open(options: SmartTurnOptions, store: ModelStore) -> AsyncIterator[SmartTurn]:
    folder = await to_thread.run_sync(store.path, MODEL)
    yield await to_thread.run_sync(_load, folder)


plugin: Plugin[Turn] = Plugin(SmartTurnOptions, _open, lambda options: (MODEL,))

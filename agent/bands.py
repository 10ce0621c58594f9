"""How loud a sound is in each of a few bands, step by step; worked out when somebody looks. Pure.

Most of what a call hears and says is never looked at: there is no reply that could come back, or
no echo of it. So pieces are only kept as they come, and the steps that are wanted are worked out
together: one Fourier transform of many steps costs a third of many of one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stages.events import Samples

STEP_S = 0.016
BANDS = 16
LOWEST_HZ, HIGHEST_HZ = 200.0, 4_000.0
NOTHING_DB = -120.0
"""The level of digital silence, of full scale."""
SPARE = 32
"""Steps that may wait above those that are kept, before the oldest are let go of unseen."""

Decibels = npt.NDArray[np.float64]
"""Levels of steps in bands, dB of full scale, shape (steps, ``BANDS``)."""


class Bands:
    """The last steps of one stream.

    Attributes:
        count: steps that have come so far; each ends ``STEP_S`` after the one before.
        waiting: sound whose levels nobody has asked for yet.

    Args:
        rate: Hz of the stream.
        kept: steps that can be looked at.
    """

    def __init__(self, rate: int, kept: int) -> None:
        self._step = round(STEP_S * rate)
        self._window = np.hanning(2 * self._step + 1)[:-1]
        self._edges = _edges(rate, 2 * self._step)
        self._kept = kept
        self._levels: Decibels = np.full((4 * kept, BANDS), NOTHING_DB)
        self._end = kept  # of the steps that were worked out
        self.waiting: list[Samples] = []
        self._length = 0  # of what waits, in samples
        self._whole = 0  # steps of it that are whole
        self.count = 0

    def push(self, samples: Samples) -> int:
        """Take in a piece; return how many steps are whole now that were not before."""
        before = self._whole
        self._hold(samples)
        whole = self._whole - before
        self.count += whole
        if self._whole > self._kept + SPARE:
            self._let_go(self._whole - self._kept)
        return whole

    def last(self, steps: int, before: int = 0) -> Decibels:
        """Return that many steps, up to ``before`` steps ago; never more than are kept."""
        self._catch_up()
        end = self._end - before
        return self._levels[end - steps : end]

    def _hold(self, samples: Samples) -> None:
        self.waiting.append(samples)
        self._length += len(samples)
        self._whole = max(0, self._length // self._step - 1)

    def _let_go(self, steps: int) -> Samples:
        """Forget the sound of so many steps; return all there was."""
        heard = np.concatenate(self.waiting)
        self.waiting, self._length = [], 0
        self._hold(heard[steps * self._step :])
        return heard

    def _catch_up(self) -> None:
        if self._whole:
            steps = self._whole
            self._add(self._worked_out(self._let_go(steps), steps))

    def _worked_out(self, heard: Samples, steps: int) -> Decibels:
        if not heard.any():  # what a line gets most of the time
            return np.full((steps, BANDS), NOTHING_DB)
        size = 2 * self._step
        frames = np.lib.stride_tricks.sliding_window_view(heard, size)[:: self._step][:steps]
        spectrum = np.fft.rfft(frames * self._window)[:, : self._edges[-1]]
        power = (spectrum.real**2 + spectrum.imag**2) * (4 / size**2)
        sums = np.add.reduceat(power, self._edges[:-1], axis=1)
        levels: Decibels = 10 * np.log10(sums + 1e-12)
        return levels

    def _add(self, levels: Decibels) -> None:
        levels = levels[-self._kept :]
        if self._end + len(levels) > len(self._levels):
            self._levels[: self._kept] = self._levels[self._end - self._kept : self._end]
            self._end = self._kept
        self._levels[self._end : self._end + len(levels)] = levels
        self._end += len(levels)


def _edges(rate: int, size: int) -> npt.NDArray[np.int64]:
    """Return the first bin of each band, and the one after the last."""
    hertz = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BANDS + 1)
    edges = np.round(hertz * size / rate).astype(np.int64)
    for place in range(1, len(edges)):  # the lowest bands are narrower than a bin
        edges[place] = max(edges[place], edges[place - 1] + 1)
    return edges

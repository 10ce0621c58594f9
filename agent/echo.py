"""The reply in the caller's microphone: what of a sound is the agent's own voice. Pure.

Browsers cancel echo themselves; this is the second fence, for loudspeakers, telephones and
callers of one's own. It compares levels in bands, not waves: a jitter buffer that stretches, a
clock that drifts and a loudspeaker that distorts change nothing about them.

What was played and what is heard are both cut into steps of 16 ms and bands of a few hundred
hertz. Where the levels of the last second rise and fall with those of the reply a while ago, it
is an echo: its delay, and its loudness in each band, are learnt then. A sound is somebody else's
so far as it stands out of the echo that is expected.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from operator import eq

import numpy as np
import numpy.typing as npt

from agent.line import PLAYOUT_RATE
from stages.audio import silence
from stages.events import SAMPLE_RATE, Samples

STEP_S = 0.016
BANDS = 16
LOWEST_HZ, HIGHEST_HZ = 200.0, 4_000.0
DELAYS = 40
"""Steps by which an echo may be late: 640 ms, wire and jitter buffer included."""
WINDOW = 48
"""Steps that are compared."""
ALIKE = 0.55
"""Correlation of levels from which a sound is an echo."""
STANDS_OUT_DB = 8.0
"""By how much a band must be louder than its echo to be somebody else's."""
FADING_DB = 1.5
"""By how much an echo fades in a step, in a room that is not small."""
TAIL = 10
"""Steps after which it has faded."""
JUDGED = 4
"""Steps that are judged together: one may stand out by chance."""
SILENT_DB, FAINT_DB = -60.0, -90.0
"""What is softer than this, of full scale, is no sound in a band: as played, and as heard."""
LEARN_EVERY = 6
"""Steps from one look for the echo to the next."""
OWN = 0.35
"""Share of a sound that is no echo from which it is somebody else's."""
TRUST = 0.25
"""How much of what is newly learnt is believed."""

_Levels = npt.NDArray[np.float64]
_NOTHING: _Levels = np.full(BANDS, -120.0)


@dataclass(slots=True)
class _Bands:
    """Cuts a stream into steps and gives their levels in bands, in dB of full scale."""

    rate: int
    _kept: Samples = field(default_factory=lambda: silence(0))
    _window: _Levels = field(init=False)
    _edges: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        size = 2 * round(STEP_S * self.rate)
        self._window = np.hanning(size + 1)[:-1]
        hertz = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BANDS + 1)
        edges = np.round(hertz * size / self.rate).astype(np.int64)
        for place in range(1, len(edges)):  # the lowest bands are narrower than a bin
            edges[place] = max(edges[place], edges[place - 1] + 1)
        self._edges = edges

    def push(self, samples: Samples) -> list[_Levels]:
        """Take in samples; return the levels of each step that is whole now."""
        if not samples.any() and not self._kept.any():  # what a line gets most of the time
            held = len(self._kept) + len(samples)
            steps = max(0, held // (len(self._window) // 2) - 1)
            self._kept = silence(held - steps * (len(self._window) // 2))
            return [_NOTHING] * steps
        heard = np.concatenate([self._kept, samples])
        size = len(self._window)
        levels, at = [], 0
        while len(heard) - at >= size:
            spectrum = np.fft.rfft(heard[at : at + size] * self._window)
            power = (spectrum.real**2 + spectrum.imag**2) * (4 / size**2)
            sums = np.add.reduceat(power, self._edges)[:BANDS]
            levels.append(10 * np.log10(sums + 1e-12))
            at += size // 2
        self._kept = heard[at:]
        return levels


class _Ring:
    """The levels of the last steps, as one array."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._levels = np.full((4 * length, BANDS), -120.0)
        self._end = length
        self.count = 0

    def add(self, levels: _Levels) -> None:
        if self._end == len(self._levels):
            self._levels[: self._length] = self._levels[-self._length :]
            self._end = self._length
        self._levels[self._end] = levels
        self._end += 1
        self.count += 1

    def last(self, steps: int, before: int = 0) -> _Levels:
        """Return that many steps, up to ``before`` steps ago; never more than it was made for."""
        end = self._end - before
        return self._levels[end - steps : end]


class EchoGuard:
    """Tells, in one connection, the caller from the echo of the reply.

    Attributes:
        delay_ms: of the echo; none: there is none, as far as one knows.
    """

    def __init__(self) -> None:
        self._out, self._in = _Bands(PLAYOUT_RATE), _Bands(SAMPLE_RATE)
        self._played, self._heard = _Ring(3 * DELAYS + WINDOW), _Ring(WINDOW)
        self._ahead: deque[int] = deque(maxlen=128)  # steps played less steps heard
        self._evidence = np.zeros(DELAYS)
        self._gain: _Levels | None = None
        self._delay = 0

    @property
    def delay_ms(self) -> float | None:
        """Return how late the echo is heard after its playing."""
        return None if self._gain is None else self._delay * STEP_S * 1000

    def played(self, frame: Samples) -> None:
        """Take in what the line got, silence included."""
        for levels in self._out.push(frame):
            self._played.add(levels)

    def judge(self, samples: Samples, speech: float) -> float:
        """Return the probability that somebody speaks who is not the agent.

        Args:
            samples: a frame of the caller's microphone; the next one each time.
            speech: what the VAD thinks of it.
        """
        return speech if self.heard(samples) >= OWN else 0.0

    def heard(self, samples: Samples) -> float:
        """Take in what the caller's microphone gave; return how much of it is no echo, 0..1."""
        steps = self._in.push(samples)
        for levels in steps:
            self._heard.add(levels)
        self._ahead.append(self._played.count - self._heard.count)
        late = self._ahead[-1] - min(self._ahead)  # this lane is behind: not the echo's doing
        if late >= DELAYS or not steps:
            return 1.0
        if self._heard.count % LEARN_EVERY < len(steps):
            self._learn(late)
        return self._own(late) if self._gain is not None else 1.0

    def _learn(self, late: int) -> None:
        """Look for the reply in the last second."""
        said = self._played.last(WINDOW + DELAYS, late)
        loud = said > SILENT_DB
        if loud[DELAYS:].mean() < 0.15 and loud.mean() < 0.15:
            return
        heard = np.maximum(self._heard.last(WINDOW), FAINT_DB)
        said = np.maximum(said, SILENT_DB)
        views = np.lib.stride_tricks.sliding_window_view(said, WINDOW, axis=0)[::-1][:DELAYS]
        alike = _alike(views, heard.T)
        self._evidence = 0.85 * self._evidence + alike
        best = int(np.argmax(self._evidence))
        if alike[best] < ALIKE:
            return
        there = views[best].T > SILENT_DB
        apart = np.where(there, heard - views[best].T, np.nan)
        enough = there.sum(axis=0) >= WINDOW // 8
        if not enough.any():
            return
        with np.errstate(all="ignore"):
            new = np.where(enough, np.nanmedian(np.where(enough, apart, 0.0), axis=0), np.nan)
        new = np.where(np.isnan(new), np.nanmean(new), new)
        if self._gain is None or abs(best - self._delay) > 2:
            self._gain = new
        else:
            self._gain = self._gain + TRUST * (new - self._gain)
        self._delay = best

    def _own(self, late: int) -> float:
        """Return which share of the last steps' sound stands out of the echo that is expected."""
        assert self._gain is not None
        length = JUDGED + TAIL + 2  # an echo may be a step early, or late
        said = self._played.last(length, late + max(0, self._delay - 1))
        fading = FADING_DB * np.maximum(0, np.arange(TAIL + 3) - 2)[::-1, None]
        echo = np.stack([
            (said[step : step + TAIL + 3] - fading).max(axis=0) for step in range(JUDGED)
        ])  # fmt: skip
        heard = self._heard.last(JUDGED)
        weight = np.maximum(0.0, heard - FAINT_DB)
        own = heard > echo + self._gain + STANDS_OUT_DB
        return float((weight * own).sum() / max(float(weight.sum()), 1e-9))


def _alike(views: npt.NDArray[np.float64], heard: _Levels) -> npt.NDArray[np.float64]:
    """Return the correlation of levels at each delay; shapes (delays, bands, steps), (b, s)."""
    said = views - views.mean(axis=2, keepdims=True)
    here = heard - heard.mean(axis=1, keepdims=True)
    both = np.einsum("dbs,bs->d", said, here)
    power = np.einsum("dbs,dbs->d", said, said) * float(np.square(here).sum())
    alike: npt.NDArray[np.float64] = both / np.sqrt(np.maximum(power, 1e-9))
    return alike


_WORD = re.compile(r"[\u3040-\u9fff]|[^\W\u3040-\u9fff]+")


def repeats(words: str, said: str) -> bool:
    """Tell whether words are a piece of what the agent says, three of four heard alike."""
    heard, own = (_WORD.findall(text.lower()) for text in (words, said))
    if not heard:
        return False
    alike = max(1, round(0.75 * len(heard)))
    pieces = (own[at : at + len(heard)] for at in range(len(own) - len(heard) + 1))
    return any(sum(map(eq, heard, piece)) >= alike for piece in pieces)

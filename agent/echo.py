"""The reply in the caller's microphone: what of a sound is the agent's own voice. Pure.

Browsers cancel echo themselves; this is the second fence, for loudspeakers, telephones and
callers of one's own. It compares levels in bands, not waves: a jitter buffer that stretches, a
clock that drifts and a loudspeaker that distorts change nothing about them.

What was played and what is heard are both cut into steps of 16 ms and bands of a few hundred
hertz. Where the levels of the last second rise and fall with those of the reply a while ago, it
is an echo: its delay, and its loudness in each band, are learnt then. A sound is somebody else's
so far as it stands out of the echo that is expected.

A caller who talks over a reply rises when it falls silent, which can look like a late echo. But an
echo leaves nothing out: where the reply sounded and nothing came back, there is none.
"""

from __future__ import annotations

import re
from collections import deque
from operator import eq

import numpy as np
import numpy.typing as npt

from agent.bands import STEP_S, Bands, Decibels
from agent.line import PLAYOUT_RATE
from stages.events import SAMPLE_RATE, Samples

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
PROOF = 128
"""Steps (2 s) in which an echo must have been heard wherever the reply was."""
MISSING_DB = 10.0
"""By how much a band is softer than the echo that is expected where there is none."""
NEW_MISSES, KNOWN_MISSES = 0.25, 0.5
"""Share of the reply that may be missed, by an echo that is new and by one that was learnt.

Echoes of two measured rooms miss 2 % (p50) and 10 % (p95); callers taken for one, 47 % and more.
"""
FEW = 50
"""Steps and bands with sound of the reply that prove nothing."""
ENOUGH = 0.15
"""Share of steps and bands that must hold sound of the reply before it is looked for."""

_FADED: Decibels = FADING_DB * np.maximum(0, np.arange(TAIL + 3) - 2)[::-1]
"""By how much an echo has faded, so many steps before the last; it may be a step late or early."""


class EchoGuard:
    """Tells, in one connection, the caller from the echo of the reply.

    Attributes:
        delay_ms: of the echo; none: there is none, as far as one knows.
    """

    def __init__(self) -> None:
        self._played = Bands(PLAYOUT_RATE, 3 * DELAYS + PROOF)
        self._heard = Bands(SAMPLE_RATE, PROOF)
        self._ahead: deque[int] = deque(maxlen=128)  # steps played less steps heard
        self._evidence = np.zeros(DELAYS)
        self._gain: npt.NDArray[np.float64] | None = None  # dB, by band
        self._delay = 0

    @property
    def delay_ms(self) -> float | None:
        """Return how late the echo is heard after its playing."""
        return None if self._gain is None else self._delay * STEP_S * 1000

    def played(self, frame: Samples) -> None:
        """Take in what the line got, silence included; it must not be changed afterwards."""
        self._played.push(frame)

    def judge(self, samples: Samples, speech: float) -> float:
        """Return the probability that somebody speaks who is not the agent.

        Args:
            samples: a frame of the caller's microphone; the next one each time.
            speech: what the VAD thinks of it.
        """
        return speech if self.heard(samples) >= OWN else 0.0

    def heard(self, samples: Samples) -> float:
        """Take in what the caller's microphone gave; return how much of it is no echo, 0..1."""
        steps = self._heard.push(samples)
        self._ahead.append(self._played.count - self._heard.count)
        late = self._ahead[-1] - min(self._ahead)  # this lane is behind: not the echo's doing
        if late >= DELAYS or not steps:
            return 1.0
        if self._heard.count % LEARN_EVERY < steps:
            self._learn(late)
        return 1.0 if self._gain is None else self._own(late, self._gain)

    def _learn(self, late: int) -> None:
        """Look for the reply in the last second; forget an echo that is missing."""
        if self._gain is not None and self._missed(late + self._delay, self._gain) > KNOWN_MISSES:
            self._gain, self._evidence = None, np.zeros(DELAYS)
        said = self._played.last(WINDOW + DELAYS, late)
        loud = said > SILENT_DB
        if not (_are_many(loud[DELAYS:]) or _are_many(loud)):
            return
        heard = np.maximum(self._heard.last(WINDOW), FAINT_DB)
        said = np.maximum(said, SILENT_DB)
        likeness = alike(said, heard)
        self._evidence = 0.85 * self._evidence + likeness
        best = int(np.argmax(self._evidence))
        if likeness[best] < ALIKE:
            return
        new = softer(said[DELAYS - best : DELAYS - best + WINDOW], heard)
        if new is None or self._missed(late + best, new) > NEW_MISSES:
            return
        if self._gain is None or abs(best - self._delay) > 2:
            self._gain = new
        else:
            self._gain = self._gain + TRUST * (new - self._gain)
        self._delay = best

    def _missed(self, delay: int, gain: npt.NDArray[np.float64]) -> float:
        """Return the share of the reply, so many steps ago, of which nothing was heard."""
        said, heard = self._played.last(PROOF, delay), self._heard.last(PROOF)
        echo = said + gain
        there = (said > SILENT_DB) & (echo > FAINT_DB + MISSING_DB)
        if np.count_nonzero(there) < FEW:
            return 0.0
        missing = np.maximum(heard, FAINT_DB) < echo - MISSING_DB
        return float(missing[there].mean())

    def _own(self, late: int, gain: npt.NDArray[np.float64]) -> float:
        """Return which share of the last steps' sound stands out of the echo that is expected."""
        length = JUDGED + TAIL + 2  # an echo may be a step early, or late
        said = self._played.last(length, late + max(0, self._delay - 1))
        before = np.lib.stride_tricks.sliding_window_view(said, TAIL + 3, axis=0)
        echo = (before - _FADED).max(axis=2)
        heard = self._heard.last(JUDGED)
        weight = np.maximum(0.0, heard - FAINT_DB)
        own = heard > echo + gain + STANDS_OUT_DB
        return float((weight * own).sum() / max(float(weight.sum()), 1e-9))


def _are_many(loud: npt.NDArray[np.bool_]) -> bool:
    """Tell whether there is enough of the reply to know it again."""
    return int(np.count_nonzero(loud)) >= ENOUGH * loud.size


def alike(said: Decibels, heard: Decibels) -> npt.NDArray[np.float64]:
    """Return the correlation of levels at each delay; ``said`` has that many steps more before."""
    steps = len(heard)
    here, said = heard - heard.mean(axis=0), said - said.min()
    # Every step against every other: what belongs to one delay lies on one diagonal.
    pairs = here @ said.T
    row, column = pairs.strides
    of_delay = np.lib.stride_tricks.as_strided(
        pairs, (len(said) - steps + 1, steps), (column, row + column), writeable=False
    )
    both = of_delay.sum(axis=1)
    total = _in_windows(said, steps)
    squares = _in_windows(np.einsum("sb,sb->s", said, said), steps)
    power = squares - np.einsum("db,db->d", total, total) / steps
    power *= float(np.square(here).sum())
    likeness: npt.NDArray[np.float64] = both / np.sqrt(np.maximum(power, 1e-9))
    return likeness[:0:-1]  # the latest steps are those of no delay


def _in_windows(values: Decibels, steps: int) -> Decibels:
    """Return the sums of so many steps in a row, from each step on."""
    sums = np.cumsum(values, axis=0)
    sums[steps:] -= sums[:-steps].copy()
    return sums[steps - 1 :]


def softer(said: Decibels, heard: Decibels) -> npt.NDArray[np.float64] | None:
    """Return by how much what was heard is softer than what was said, in dB by band.

    It is the median over the steps with sound; a band with few of them gets the mean of the
    others. None: there are no others.
    """
    there = said > SILENT_DB
    counts = there.sum(axis=0)
    enough = counts >= len(said) // 8
    if not enough.any():
        return None
    apart = np.sort(np.where(there, heard - said, np.inf), axis=0)
    bands = np.flatnonzero(enough)
    middle = apart[(counts[bands] - 1) // 2, bands], apart[counts[bands] // 2, bands]
    medians = (middle[0] + middle[1]) / 2
    new = np.full(len(enough), medians.mean())
    new[bands] = medians
    return new


_WORD = re.compile(r"[\u3040-\u9fff]|[^\W\u3040-\u9fff]+")


def repeats(words: str, said: str) -> bool:
    """Tell whether words are a piece of what the agent says, three of four heard alike."""
    heard, own = (_WORD.findall(text.lower()) for text in (words, said))
    if not heard:
        return False
    alike = max(1, round(0.75 * len(heard)))
    pieces = (own[at : at + len(heard)] for at in range(len(own) - len(heard) + 1))
    return any(sum(map(eq, heard, piece)) >= alike for piece in pieces)

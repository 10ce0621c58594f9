"""One utterance's sound, and what of it is already words for good."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from stages.asr.moonshine.agreement import Agreement
from stages.asr.moonshine.network import Heard
from stages.audio import level, samples_in, silence
from stages.events import Audio, Samples

_STEP = samples_in(20)
_QUIET_SPOT = samples_in(160)
_LATEST_SPOT = samples_in(1000)
"""A long utterance is cut at a quiet spot no nearer than this to the limit."""

FLAT_DB, LOW_DB = 4.0, 12.0
"""The loud and the quiet of a hum or a fan are no further apart than the first; in speech they
are further apart than the second."""

DEAD_DB = -70.0
"""A line without a microphone, or one that is turned off, is below."""

BARELY = samples_in(200)
"""Speech lasts longer than this, all in all; a click does not."""

_NOTHING = "You"
"""What the model writes for silence; said by a person it comes with a full stop."""

_DOUBTFUL = frozenset(
    {"you", "thank you", "bye", "oh", "uh", "so", "the", "okay", "mm", "hmm", "mm-hmm"}
)
"""What it often writes for noise, and people say, too: hums if silence follows the noise."""


class Utterance:
    """What was said since its start.

    Attributes:
        number: of the utterance.
        start: position of the first sample that is still kept.
        head: the words of what is no longer kept.
        promises: what partials have promised.
        draft: the tokens that the newest transcript of what is kept was made of.
        last: the position that the last final covers, and what was heard up to there.
        lost: samples that had to go because the recogniser did not keep up; the oldest go.
    """

    def __init__(self, number: int, start: int, most: int) -> None:
        self.number, self.start, self._most = number, start, most
        self.head: list[str] = []
        self.promises = Agreement()
        self.draft: list[int] = []
        self.last: tuple[int, Heard] | None = None
        self.lost = 0
        self._pieces: list[Samples] = []
        self._length = 0

    @property
    def end(self) -> int:
        """Position just after the last sample."""
        return self.start + self._length

    def add(self, audio: Audio) -> None:
        """Append sound."""
        self._pieces.append(audio.samples)
        self._length += len(audio.samples)
        if self._length > self._most:
            self.lost += self._length - self._most
            self.forget(self.end - self._most)

    def upto(self, position: int) -> Samples:
        """Return what is kept, up to a position."""
        if len(self._pieces) != 1:
            self._pieces = [np.concatenate(self._pieces) if self._pieces else silence(0)]
        return self._pieces[0][: max(position - self.start, 0)]

    def forget(self, position: int) -> None:
        """Let go of what lies before a position."""
        rest = self.upto(self.end)[max(position - self.start, 0) :]
        self.start, self._pieces, self._length = self.end - len(rest), [rest], len(rest)
        self.draft = []


def quiet_spot(samples: Samples) -> int:
    """Return where a long piece is best cut: in the middle of its quietest spot, late in it."""
    first, last = len(samples) // 3, len(samples) - _LATEST_SPOT - _QUIET_SPOT
    spots = range(first, max(last, first + 1), _STEP)
    quietest = min(spots, key=lambda at: level(samples[at : at + _QUIET_SPOT]))
    return quietest + _QUIET_SPOT // 2


def loudness_db(samples: Samples) -> tuple[float, float, int]:
    """Return the level of a piece's loud and of its quiet moments, and how long it is loud.

    Returns:
        dBFS of the loudest 20 ms, dBFS of the quietest tenth, samples within 15 dB of the loudest.
    """
    levels = _levels(samples)
    if not len(levels):
        return -math.inf, -math.inf, 0
    loudest = float(levels.max())
    return loudest, float(np.quantile(levels, 0.1)), int((levels > loudest - 15).sum()) * _STEP


def _levels(samples: Samples) -> npt.NDArray[np.float32]:
    """Return the dBFS of every 20 ms."""
    whole = len(samples) - len(samples) % _STEP
    steps = np.square(samples[:whole]).reshape(-1, _STEP).mean(axis=1)
    levels: npt.NDArray[np.float32] = 10 * np.log10(np.maximum(steps, 1e-12))
    return levels


def _sounding(samples: Samples) -> Samples:
    """Leave out the dead line before and after a sound: no room is as quiet as that."""
    (alive,) = np.nonzero(_levels(samples) > DEAD_DB)
    return samples[alive[0] * _STEP : (alive[-1] + 1) * _STEP] if len(alive) else samples


def invented(text: str, samples: Samples) -> bool:
    """Return whether a text is what the model writes for a noise rather than for words."""
    if text == _NOTHING or not any(c.isascii() and c.isalnum() for c in text):
        return True  # the latter: notes of music, and scripts that English is not written in
    loud, quiet, long = loudness_db(_sounding(samples))
    if text.strip(" .,!?…").casefold() in _DOUBTFUL:
        return loud - quiet < LOW_DB or long <= BARELY
    return loud - quiet < FLAT_DB

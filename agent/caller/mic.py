"""The microphone: plays recordings, and knows when each of their samples was spoken."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import numpy as np
import numpy.typing as npt

from agent.line import FRAME, PLAYOUT_RATE
from stages.audio import samples_in, silence
from stages.events import Samples

SPEECH_DB, ABOVE_FLOOR_DB = 40.0, 10.0
"""Speech is what lies less than the first below the loudest 10 ms of its recording, and more than
the second above its background: else the noise after the last word would count as the caller's
last sound, and the wait for the reply would look shorter than it was."""
QUIET_SHARE = 0.1
"""Of a recording there is at least so much background."""
NOISIEST_DB = 15.0
"""So far below the loudest 10 ms is speech in any case: of a sound that never pauses, the quietest
tenth is no background."""

_WINDOW = samples_in(10, PLAYOUT_RATE)
_KEPT = 15_000  # send jitters: five minutes
_MOST = 90_000  # frames recorded: half an hour; then no more are kept


@dataclass(eq=False)
class Utterance:
    """A recording that is being spoken, or was.

    Args:
        known: seconds of its first and last speech, where somebody knows better than its level.

    Attributes:
        speech_start: place of its first speech sample.
        speech_end: place of its last speech sample.
        done: set when its last sample has left.
    """

    file: Path
    samples: Samples  # at PLAYOUT_RATE
    known: tuple[float, float] | None = None
    done: anyio.Event = field(default_factory=anyio.Event)
    _anchors: list[tuple[int, float]] = field(default_factory=list)  # place, and its time

    def __post_init__(self) -> None:
        if self.known is None:
            self.speech_start, self.speech_end = speech_bounds(self.samples)
        else:
            last = len(self.samples) - 1
            first, end = (min(last, round(at * PLAYOUT_RATE)) for at in self.known)
            self.speech_start, self.speech_end = first, end

    @property
    def began(self) -> bool:
        """Whether its first sample has left."""
        return bool(self._anchors)

    def anchor(self, place: int, when: float) -> None:
        """Note when a sample was spoken; the mic does, at the start and after a slip."""
        self._anchors.append((place, when))

    def when(self, place: int) -> float:
        """Return when the sample at ``place`` was spoken, in seconds; once it has begun."""
        base = self._anchors[0]
        for anchor in self._anchors:
            if anchor[0] <= place:
                base = anchor
        return base[1] + (place - base[0]) / PLAYOUT_RATE

    def last_speech_before(self, moment: float) -> int | None:
        """Return the place of the last speech sample spoken before ``moment``, if there is one."""
        places = np.flatnonzero(_loud(self.samples[: self.speech_end + 1], forward=True))
        before = [place for place in places[:: FRAME // 4] if self.when(int(place)) <= moment]
        return int(before[-1]) if before else None


class Mic:
    """What the caller says: one recording after the other, silence between.

    Attributes:
        jitter: by how much the latest frames left later than they were due, in seconds.
    """

    def __init__(self) -> None:
        self._now: Utterance | None = None
        self._place = 0  # of the next sample of the recording
        self._leaving: int | None = None  # place of the frame that is on its way
        self._due: float | None = None
        self._frames: dict[int, npt.NDArray[np.int16]] = {}
        self._frame: Samples = silence(FRAME)
        self.started: float | None = None
        self.jitter: deque[float] = deque(maxlen=_KEPT)

    def speak(self, utterance: Utterance) -> None:
        """Begin with the next frame; what was being spoken is cut off."""
        if self._now is not None:
            self._now.done.set()
        self._now, self._place = utterance, 0

    def pull(self) -> Samples:
        """Give the next frame; the outgoing track asks."""
        self._leaving = None
        self._frame = silence(FRAME)
        if self._now is not None:
            self._leaving = self._place
            piece = self._now.samples[self._place : self._place + FRAME]
            self._frame[: len(piece)] = piece
            self._place += FRAME
        return self._frame

    def sent(self, number: int, due: float, left: float) -> None:
        """Note that the frame of the last ``pull`` left."""
        self.jitter.append(left - due)
        begin = due - FRAME / PLAYOUT_RATE  # a sound card would have taken it before
        if self.started is None:
            self.started = begin
        if self._leaving is not None and len(self._frames) < _MOST:
            self._frames[number] = to_int16(self._frame)
        self._note(due, begin)

    def recorded(self) -> npt.NDArray[np.int16]:
        """Return all that was said, from ``started`` on."""
        last = max(self._frames, default=-1)
        sound = np.zeros((last + 1) * FRAME, dtype=np.int16)
        for number, frame in self._frames.items():
            sound[number * FRAME : (number + 1) * FRAME] = frame
        return sound

    def _note(self, due: float, begin: float) -> None:
        slipped = self._due is None or due - self._due > 1.5 * FRAME / PLAYOUT_RATE
        self._due = due
        if self._now is None or self._leaving is None:
            return
        if self._leaving == 0 or slipped:
            self._now.anchor(self._leaving, begin)
        if self._place >= len(self._now.samples):
            self._now.done.set()
            self._now = None


def speech_bounds(samples: Samples) -> tuple[int, int]:
    """Return the places of the first and the last speech sample; the whole if nothing is loud.

    The 10 ms behind the first and those before the last are what is measured, so an abrupt
    beginning or end is found to the sample.
    """
    after = np.flatnonzero(_loud(samples, forward=True))
    before = np.flatnonzero(_loud(samples, forward=False))
    if not len(after) or not len(before):
        return 0, max(0, len(samples) - 1)
    return int(before[0]), int(after[-1])


def _loud(samples: Samples, *, forward: bool) -> npt.NDArray[np.bool_]:
    """Tell for each sample whether the 10 ms that begin (or end) with it are loud enough."""
    power = np.square(samples.astype(np.float64))
    padded = np.concatenate([np.zeros(_WINDOW), power, np.zeros(_WINDOW)])
    sums = np.concatenate([[0.0], np.cumsum(padded)])
    level = np.maximum(0.0, (sums[_WINDOW:] - sums[:-_WINDOW]) / _WINDOW)
    first = _WINDOW if forward else 1
    level = level[first : first + len(samples)]
    peak = float(level.max(initial=0.0))
    background = float(np.quantile(level[::_WINDOW], QUIET_SHARE)) if len(level) else 0.0
    noise = min(background * 10 ** (ABOVE_FLOOR_DB / 10), peak * 10 ** (-NOISIEST_DB / 10))
    loud: npt.NDArray[np.bool_] = level > max(peak * 10 ** (-SPEECH_DB / 10), noise, 1e-12)
    return loud


def to_int16(samples: Samples) -> npt.NDArray[np.int16]:
    """Return samples of -1..1 as 16 bit, clipped."""
    return (np.clip(samples, -1, 1) * 32_767).astype(np.int16)

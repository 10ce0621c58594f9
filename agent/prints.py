"""Voice prints: made of several clips, held to quality, compared. Pure: no I/O and no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.errors import NotPossible
from stages.audio import level, milliseconds_in, samples_in
from stages.events import SAMPLE_RATE, Print, Samples

FRAME = samples_in(20)
FLOOR = 10 ** (-55 / 20)
"""Level under which nothing is speech: 55 dB under full scale."""
BELOW = 10 ** (-30 / 20)
"""And 30 dB under the loudest tenth of a clip."""

CLIP_S, TOTAL_S = 1.5, 4.0
"""Seconds of speech that a clip of an enrolment must have, and all of them together."""
FAINT = 10 ** (-42 / 20)
CLIPPED = 0.01
"""Share of samples at full scale, at most."""
VOICED = 0.2
"""Share of the speech that must have a pitch: people's has a third and more, noise next to none."""
PITCH_HZ = (70, 400)
PITCHED = 0.6
"""Likeness of a piece of sound to itself one period later, from which it has a pitch."""
PERIODS = samples_in(40)
"""Samples in which a pitch is looked for."""
LOOK, STEP = 2 * SAMPLE_RATE, SAMPLE_RATE
"""Samples of the pieces by which a change of voice is looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class VoicePrint:
    """Somebody's voice, as one network hears it."""

    name: str
    model: str
    print: Print
    clips: int
    seconds: float  # of speech
    enrolled_at: str  # ISO 8601


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose voice it was, as far as one can tell; data for programs, never text for a model.

    Attributes:
        name: of the person; empty where nobody enrolled is like enough.
        score: likeness to the likest, -1..1.
        margin: by how much the likest is liker than the next; 2 where there is no next.
        nearest: the likest, accepted or not.
    """

    name: str
    score: float
    margin: float
    nearest: str


def identify(
    heard: Print, known: Sequence[VoicePrint], threshold: float, margin: float
) -> Identity:
    """Compare a voice with those that are known; with nobody known it is nobody's."""
    ranked = sorted(((float(heard @ one.print), one.name) for one in known), reverse=True)
    if not ranked:
        return Identity("", -1.0, 0.0, "")
    (score, nearest), others = ranked[0], ranked[1:]
    ahead = score - others[0][0] if others else 2.0
    accepted = score >= threshold and ahead >= margin
    return Identity(nearest if accepted else "", score, ahead, nearest)


def spoken(samples: Samples) -> Samples:
    """Return what is loud enough to be speech, without the silences between."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    if not len(frames):
        return samples[:0]
    levels = np.sqrt(np.mean(np.square(frames), axis=1))
    floor = max(FLOOR, BELOW * float(np.percentile(levels, 90)))
    kept: Samples = frames[levels >= floor].reshape(-1)
    return kept


def voiced(speech: Samples) -> float:
    """Return the share of speech that has a pitch, by its autocorrelation, 0..1."""
    if len(speech) < PERIODS:
        return 0.0
    window = np.hanning(PERIODS).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(speech, PERIODS)[:: PERIODS // 2]
    centred = (frames - frames.mean(axis=1, keepdims=True)) * window
    likeness = _to_itself(centred) / _to_itself(window[None])
    low, high = SAMPLE_RATE // PITCH_HZ[1], SAMPLE_RATE // PITCH_HZ[0]
    before, here, after = (likeness[:, low + k : high + k] for k in (-1, 0, 1))
    peaks = np.where((here > before) & (here >= after), here, 0.0)  # a rumble only falls off
    return float(np.mean(peaks.max(axis=1) > PITCHED))


def _to_itself(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the autocorrelation of frames, 1 at no delay."""
    power = np.abs(np.fft.rfft(frames, 2 * PERIODS)) ** 2
    products = np.fft.irfft(power)[:, :PERIODS]
    found: npt.NDArray[np.float64] = products / np.maximum(products[:, :1], 1e-12)
    return found


def mean(prints: Sequence[Print]) -> Print:
    """Return the print in the middle of several."""
    middle = np.mean(np.stack(list(prints)), axis=0)
    return np.asarray(middle / max(float(np.linalg.norm(middle)), 1e-12), dtype=np.float32)


def pieces(speech: Samples) -> list[Samples]:
    """Return overlapping pieces of 2 s, for a look at whether the voice changes."""
    starts = range(0, max(1, len(speech) - LOOK * 3 // 4 + 1), STEP)
    return [speech[at : at + LOOK] for at in starts]


def sameness(prints: Sequence[Print]) -> float:
    """Return how like the two sides of the sharpest change are; 1 where there is one piece only."""
    cuts = range(1, len(prints))
    return min((float(mean(prints[:at]) @ mean(prints[at:])) for at in cuts), default=1.0)


# --- what an enrolment must be --------------------------------------------------------------


def check_clip(name: str, samples: Samples, speech: Samples) -> None:
    """Refuse a clip that is too short, too faint, no voice, or distorted.

    Args:
        name: of the clip, for the sentence.
        samples: all of it.
        speech: what of it is speech.

    Raises:
        NotPossible: saying which, and what is wanted.
    """
    seconds = milliseconds_in(len(speech)) / 1000
    if seconds < CLIP_S:
        raise NotPossible(
            f"{name} has {seconds:.1f} s of speech; at least {CLIP_S:g} s are needed."
            + (" It seems to be noise, or silence." if len(samples) > 2 * SAMPLE_RATE else "")
        )
    if level(speech) < FAINT:
        decibels = 20 * np.log10(max(level(speech), 1e-9))
        raise NotPossible(
            f"{name} is too faint ({decibels:.0f} dB under full scale); speak closer to the"
            " microphone, or record it louder."
        )
    pitched = voiced(speech)
    if pitched < VOICED:
        raise NotPossible(
            f"{name} is noise rather than a voice: {pitched:.0%} of it has a pitch, and of speech"
            f" {VOICED:.0%} or more has."
        )
    clipped = float(np.mean(np.abs(samples) > 0.99))
    if clipped > CLIPPED:
        raise NotPossible(
            f"{name} is distorted: {clipped:.0%} of it is at full scale; record it softer."
        )


def check_voices(name: str, prints: Sequence[Print], wanted: float) -> None:
    """Refuse a clip in which the voice changes.

    Raises:
        NotPossible: with the likeness that was found and the one that is wanted.
    """
    found = sameness(prints)
    if found < wanted:
        raise NotPossible(
            f"{name} sounds like more than one voice, or like something that is none (likeness of"
            f" its parts {found:.2f}; one voice has {wanted:.2f} or more)."
        )


def check_together(names: Sequence[str], prints: Sequence[Print], wanted: float) -> None:
    """Refuse clips of different people.

    Raises:
        NotPossible: naming the clip that is least like the others.
    """
    if len(prints) < 2:
        return
    likeness = [
        (float(print_ @ mean([one for one in prints if one is not print_])), name)
        for name, print_ in zip(names, prints, strict=True)
    ]
    found, name = min(likeness)
    if found < wanted:
        raise NotPossible(
            f"{name} sounds like another voice than the other clips (likeness {found:.2f};"
            f" one voice has {wanted:.2f} or more)."
        )

"""Changes to clean speech that a telephone, a room or a hurried speaker would make.

Rooms and noises are simulated: nothing recorded is needed, and nothing kept for tests is heard.
"""

from __future__ import annotations

import importlib
from fractions import Fraction
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from stages.events import SAMPLE_RATE, Samples

FULL_DROP = 6.9
"""Natural logarithm of a thousand: what 60 dB of decay are."""


class Augment(BaseModel):
    """How much is changed; every figure is drawn anew for each copy of a clip."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speeds: tuple[float, ...] = (0.9, 0.95, 1.0, 1.05, 1.1)
    loudest: float = Field(default=0.9, gt=0, le=1, description="peak of the loudest copies")
    quietest: float = Field(default=0.03, gt=0, le=1, description="peak of the quietest copies")
    noisy: float = Field(default=0.5, ge=0, le=1, description="share of copies with noise")
    snr_low: float = Field(default=5.0, description="dB")
    snr_high: float = Field(default=30.0, description="dB")
    roomy: float = Field(default=0.35, ge=0, le=1, description="share of copies in a room")
    narrow: float = Field(default=0.1, ge=0, le=1, description="share with a telephone's band")
    hiss: float = Field(default=0.8, ge=0, le=1, description="share without digital silence")
    silence: float = Field(default=0.4, ge=0, description="seconds of silence put around, at most")


def changed(samples: Samples, how: Augment, rng: np.random.Generator) -> Samples:
    """Return a changed copy of a clip; the same generator gives the same copy."""
    speed, before, after = shift(how, rng)
    sound: Samples = np.pad(_faster(samples, speed), (before, after))
    if rng.random() < how.hiss:
        hiss = rng.standard_normal(len(sound)) * 10 ** (-rng.uniform(60, 90) / 20)
        sound = sound + hiss.astype(np.float32)
    if rng.random() < how.roomy:
        sound = in_a_room(sound, rng)
    if rng.random() < how.narrow:
        sound = _narrow(sound)
    if rng.random() < how.noisy:
        sound = _with_noise(sound, rng.uniform(how.snr_low, how.snr_high), rng)
    peak = float(np.abs(sound).max()) or 1.0
    wanted = np.exp(rng.uniform(np.log(how.quietest), np.log(how.loudest)))
    out: Samples = (sound * (wanted / peak)).astype(np.float32)
    return out


def shift(how: Augment, rng: np.random.Generator) -> tuple[float, int, int]:
    """Return a copy's speed, and the samples of silence before and after it.

    They are drawn first: a fresh generator tells again where in a copy a clip's sounds lie.
    """
    speed = float(rng.choice(how.speeds))
    before, after = (rng.uniform(0, how.silence, 2) * SAMPLE_RATE).astype(int)
    return speed, int(before), int(after)


def in_a_room(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return a sound as a microphone hears it across a room: first echoes, then a decaying tail."""
    seconds = rng.uniform(0.1, 0.5)  # until echoes are down by 60 dB
    count = int(seconds * SAMPLE_RATE)
    places = np.arange(count)
    tail = rng.standard_normal(count) * np.exp(-FULL_DROP * places / count)
    tail[: int(0.003 * SAMPLE_RATE)] = 0.0
    tail = _signal().lfilter([1.0], [1.0, -rng.uniform(0.2, 0.7)], tail)  # walls swallow high tones
    tail *= 1.0 / max(float(np.sqrt(np.square(tail).sum())), 1e-9)
    for _ in range(6):
        place = int(rng.uniform(0.002, 0.03) * SAMPLE_RATE)
        if place < count:
            tail[place] += rng.uniform(-0.4, 0.4)
    tail *= 10 ** (-rng.uniform(0, 12) / 20)  # near the microphone, or far from it
    tail[0] = 1.0
    return np.asarray(_signal().fftconvolve(samples, tail)[: len(samples)], dtype=np.float32)


def noise(count: int, rng: np.random.Generator) -> Samples:
    """Return so many samples of noise, of about unit loudness: a colour, a hum, or a crowd."""
    kind = rng.choice(["coloured", "hum", "crowd", "clicks"], p=[0.5, 0.15, 0.25, 0.1])
    if kind == "hum":
        made = _hum(count, rng)
    elif kind == "crowd":
        made = _crowd(count, rng)
    else:
        made = _signal().lfilter([1.0], [1.0, -rng.uniform(-0.3, 0.97)], rng.standard_normal(count))
        if kind == "clicks":
            clicks = np.repeat(rng.random(count // 800 + 1) < 0.08, 800)[:count]
            made *= np.where(clicks, 1.0, 0.02)
    out: Samples = (made / max(float(np.sqrt(np.square(made).mean())), 1e-6)).astype(np.float32)
    return out


def _hum(count: int, rng: np.random.Generator) -> Samples:
    places = np.arange(count) / SAMPLE_RATE
    root = rng.uniform(45, 240)
    tones = [
        rng.uniform(0.2, 1) / number * np.sin(2 * np.pi * (root * number * places + rng.random()))
        for number in range(1, 9)
    ]
    return np.asarray(np.sum(tones, axis=0) + 0.1 * rng.standard_normal(count), np.float32)


def _crowd(count: int, rng: np.random.Generator) -> Samples:
    """Noise in the bands of vowels that swells like syllables, from several directions at once."""
    total = np.zeros(count)
    for _ in range(int(rng.integers(3, 7))):
        breath = rng.standard_normal(count)
        for hertz in (rng.uniform(250, 800), rng.uniform(900, 2500)):
            radius, angle = 0.97, 2 * np.pi * hertz / SAMPLE_RATE
            poles = [1.0, -2 * radius * np.cos(angle), radius**2]
            breath = _signal().lfilter([0.1], poles, breath)
        knots = rng.random(count // 3200 + 2) ** 2
        swell = np.interp(np.arange(count) / 3200, np.arange(len(knots)), knots)
        total += breath * swell
    return total.astype(np.float32)


def _with_noise(samples: Samples, snr: float, rng: np.random.Generator) -> Samples:
    speech = float(np.sqrt(np.square(samples).mean())) or 1e-4
    return samples + noise(len(samples), rng) * (speech * 10 ** (-snr / 20))


def _narrow(samples: Samples) -> Samples:
    return _signal().resample_poly(_signal().resample_poly(samples, 1, 2), 2, 1)[: len(samples)]


def _faster(samples: Samples, factor: float) -> Samples:
    if factor == 1.0:
        return samples
    ratio = Fraction(1 / factor).limit_denominator(40)
    return _signal().resample_poly(samples, ratio.numerator, ratio.denominator)


def _signal() -> Any:
    """Import SciPy when sound is changed: reading a configuration shall not need it."""
    return importlib.import_module("scipy.signal")

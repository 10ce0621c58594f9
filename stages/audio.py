"""Small sound arithmetic that several stages need."""

from __future__ import annotations

import math

import numpy as np

from stages.events import SAMPLE_RATE, Samples


def samples_in(milliseconds: float, rate: int = SAMPLE_RATE) -> int:
    """Return how many samples at ``rate`` Hz last that long."""
    return round(milliseconds * rate / 1000)


def milliseconds_in(samples: int, rate: int = SAMPLE_RATE) -> float:
    """Return how long that many samples at ``rate`` Hz last."""
    return samples * 1000 / rate


def silence(samples: int) -> Samples:
    """Return that many samples of nothing."""
    return np.zeros(samples, dtype=np.float32)


def level(samples: Samples) -> float:
    """Return the root mean square, 0..1; 0 for no samples at all."""
    return math.sqrt(float(samples.dot(samples)) / len(samples)) if len(samples) else 0.0

"""Figures that every benchmark prints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentiles(values: Sequence[float], which: Sequence[float]) -> list[float]:
    """Return percentiles (by linear interpolation), to a hundredth; of nothing, NaN."""
    if not len(values):
        return [float("nan")] * len(which)
    return [round(float(value), 2) for value in np.percentile(np.asarray(values), which)]

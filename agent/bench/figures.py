"""Figures that every benchmark prints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.errors import NotPossible


def percentiles(values: Sequence[float], which: Sequence[float]) -> list[float]:
    """Return percentiles (by linear interpolation), to a hundredth; of nothing, NaN."""
    if not len(values):
        return [float("nan")] * len(which)
    return [round(float(value), 2) for value in np.percentile(np.asarray(values), which)]


def need_calls(calls: Sequence[int], turns: int) -> None:
    """Refuse numbers of calls and of turns that are none.

    Raises:
        NotPossible: one of them is below 1.
    """
    if turns < 1 or min(calls) < 1:
        raise NotPossible("--turns and --calls must be at least 1.")

"""Where speech really ended: a VAD notices it late, the level of the last frames knows. Pure."""

from __future__ import annotations

import math

import numpy as np

from stages.audio import samples_in
from stages.events import Audio

STEP = samples_in(10)
QUIET_DB = 30.0
"""What lies further below the loudest of the last seconds than this is no speech…"""
ABOVE_FLOOR_DB = 9.0
"""… nor is what stands out of the background by less than this."""
FADE_DB, RISE_DB = 0.06, 0.03
"""In 10 ms: how fast a loud moment is forgotten, and how fast the background may rise."""
_SILENT_DB = -100.0


class Edge:
    """The level of a call, 10 ms at a time."""

    def __init__(self) -> None:
        self._loudest, self._floor = _SILENT_DB, -30.0

    def last_loud(self, audio: Audio) -> int | None:
        """Take in a frame; return the position after its last loud 10 ms, none if it has none."""
        last: int | None = None
        samples = audio.samples.astype(np.float64)
        for end in range(len(samples), 0, -STEP):  # the end of a frame is where it matters
            piece = samples[max(0, end - STEP) : end]
            level = 10 * math.log10(max(float(piece.dot(piece)) / len(piece), 1e-10))
            self._loudest = max(level, self._loudest - FADE_DB)
            self._floor = min(level, self._floor + RISE_DB)
            if last is None and self._is_loud(level):
                last = audio.start + end
        return last

    def _is_loud(self, level: float) -> bool:
        return level > max(self._loudest - QUIET_DB, self._floor + ABOVE_FLOOR_DB)

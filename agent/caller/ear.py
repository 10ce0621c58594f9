"""The ear: when the reply became audible, and when it fell silent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from agent.caller.mic import to_int16
from agent.line import PLAYOUT_RATE
from stages.events import Samples

AUDIBLE = 10 ** (-50 / 20)
"""The least sample, of full scale, that counts as heard."""

_KEPT = 500  # packets remembered: ten seconds
_MOST = 90_000  # packets recorded: half an hour; then no more are kept


class Ear:
    """Hears packets; times are seconds on our clock.

    Attributes:
        last: when the last audible sample was heard; none: there was none yet.

    Args:
        on_packet: called after each packet.
    """

    def __init__(self, on_packet: Callable[[], None]) -> None:
        self._on_packet = on_packet
        self._audible: deque[tuple[float, float]] = deque(maxlen=_KEPT)  # first, last; seconds
        self._pieces: list[tuple[int, npt.NDArray[np.int16]]] = []
        self.last: float | None = None

    def hear(self, samples: Samples, position: int, arrival: float) -> None:
        """Take a packet's samples; they sound one after the other from its arrival on."""
        places = np.flatnonzero(np.abs(samples) >= AUDIBLE)
        if len(places):
            first = arrival + float(places[0]) / PLAYOUT_RATE
            self.last = arrival + float(places[-1] + 1) / PLAYOUT_RATE
            self._audible.append((first, self.last))
            if len(self._pieces) < _MOST:
                self._pieces.append((position, to_int16(samples)))
        self._on_packet()

    def first_since(self, moment: float) -> float | None:
        """Return when the first audible sample since ``moment`` was heard."""
        for first, last in self._audible:
            if last > moment:
                return max(first, moment)
        return None

    def quiet_since(self, moment: float) -> float:
        """Return since when nothing was heard, ``moment`` at the earliest."""
        return moment if self.last is None else max(moment, self.last)

    def recorded(self, shift: int) -> npt.NDArray[np.int16]:
        """Return all that was heard, ``shift`` samples later (earlier, if it is negative)."""
        end = max((place + len(piece) for place, piece in self._pieces), default=0)
        sound = np.zeros(max(0, end + shift), dtype=np.int16)
        for place, piece in self._pieces:
            begin = place + shift
            kept = piece[max(0, -begin) :]
            sound[max(0, begin) : max(0, begin) + len(kept)] = kept
        return sound

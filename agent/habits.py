"""What a call teaches about its caller: how they pause, and that they were cut into. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

REMEMBERED_PAUSES = 12
REMEMBERED_TURNS = 6
"""After so many turns in which nobody was cut into, that one was is forgotten."""


@dataclass(slots=True)
class Habits:
    """The habits of one caller.

    Attributes:
        pauses_ms: inside their turns, the newest ones. A pause at which a turn was ended is none
            of them: they tell nothing of pauses that are longer than what is waited for.
        cut_turns: the turns that were ended too early, each as often as it was.
    """

    pauses_ms: tuple[float, ...] = ()
    cut_turns: tuple[int, ...] = ()

    def paused(self, pauses_ms: Sequence[float]) -> None:
        """Take in pauses inside a turn."""
        self.pauses_ms = (*self.pauses_ms, *pauses_ms)[-REMEMBERED_PAUSES:]

    def cut_into(self, turn: int) -> None:
        """Take in that a turn was ended before the caller was done."""
        self.cut_turns = (*self.cut_turns, turn)[-REMEMBERED_TURNS:]

    def cuts(self, turn: int) -> int:
        """Return how often the caller was cut into, lately for that turn."""
        return sum(turn - cut <= REMEMBERED_TURNS for cut in self.cut_turns)

"""What a call teaches about its caller: how they pause, and that they were cut into. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.timeline import CUT_IN_MS
from stages.audio import milliseconds_in

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

    def went_on(self, turn: int, end: int | None, start: int | None) -> bool:
        """Take in that the reply to a turn was talked over, and tell whether it came too early.

        Args:
            turn: its number.
            end: position after the turn's last speech; none: nothing was spoken.
            start: position at which the caller spoke again; none: they did not speak.
        """
        if start is None or end is None or milliseconds_in(start - end) >= CUT_IN_MS:
            return False
        self.cut_into(turn)
        return True

    def cut_into(self, turn: int) -> None:
        """Take in that a turn was ended before the caller was done."""
        self.cut_turns = (*self.cut_turns, turn)[-REMEMBERED_TURNS:]

    def cuts(self, turn: int) -> int:
        """Return how often the caller was cut into, lately for that turn."""
        return sum(turn - cut <= REMEMBERED_TURNS for cut in self.cut_turns)

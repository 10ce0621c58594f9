"""How many callers of one machine wait for an answer now, and what gives way to them.

All calls share the cores. A reply that somebody waits for goes before one that is prepared on a
guess, and a guess before reading ahead: when the machine has no core to spare, the lesser work
is not begun, so that nobody's answer waits for somebody else's convenience. Where answers come
late all the same, and the others are why, new callers are told so instead of being kept waiting.
Pure: it is told the time.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Lesser = Literal["guesses", "readings"]

LATE_S = 2.0
"""An answer that takes longer from the endpoint to its first sound is late."""
OTHERS = 2.0
"""So many times as long as alone an answer takes, where it is the others that it waits for."""
REMEMBERED_S = 30.0
"""How long an answer counts for what callers have to expect."""
ENOUGH = 3
"""Answers that say something of the machine; a single one may have had a reason of its own."""
ALONE = 16
"""Answers to callers who waited alone that are remembered: what the machine can do."""


@dataclass(eq=False)
class Crowd:
    """The callers of one server.

    Attributes:
        passed_over: lesser work that was not begun so far, by what it was.

    Args:
        cores: what they share.
    """

    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    passed_over: Counter[str] = field(default_factory=Counter)
    _since: dict[Hashable, tuple[float, bool]] = field(default_factory=dict)  # when; alone?
    _alone: deque[float] = field(default_factory=lambda: deque(maxlen=ALONE))  # s waited
    _together: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=64))

    @property
    def waiting(self) -> int:
        """Callers who wait for the first sound of an answer."""
        return len(self._since)

    def waits(self, reply: Hashable, now: float) -> None:
        """Note that a caller waits for this reply, ``now`` in seconds."""
        self._since[reply] = now, not self._since

    def answered(self, reply: Hashable, now: float) -> None:
        """Note that it sounds."""
        if reply not in self._since:
            return
        since, alone = self._since.pop(reply)
        if alone and not self._since:
            self._alone.append(now - since)
        else:
            self._together.append((now, now - since))

    def gone(self, reply: Hashable) -> None:
        """Note that nobody waits for it any more."""
        self._since.pop(reply, None)

    def has_room_for(self, work: Lesser) -> bool:
        """Tell whether lesser work may begin; what may not is counted."""
        room = self.waiting < self.cores if work == "guesses" else not self.waiting
        self.passed_over[work] += not room
        return room

    def why_full(self, now: float) -> str:
        """Return why no caller should be added; empty: one may be."""
        waits = [waited for at, waited in self._together if now - at <= REMEMBERED_S]
        if len(waits) < ENOUGH or median(waits) <= LATE_S:
            return ""
        if self._alone and median(waits) < OTHERS * median(self._alone):
            return ""  # what is slow is slow for one, too: one caller less would not help
        return f"This machine is too busy: its callers wait {median(waits):.0f} s for an answer."

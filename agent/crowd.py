"""How many callers of one machine wait for an answer now, and what gives way to them.

All calls share the cores. A reply that somebody waits for goes before one that is prepared on a
guess, and a guess before reading ahead: when the machine has no core to spare, the lesser work
is not begun, so that nobody's answer waits for somebody else's convenience. Where answers come
late all the same, and the cores are why, new callers are told so instead of being kept waiting.
Pure: it is told the time.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

Lesser = Literal["guesses", "readings"]

LATE_S = 2.0
"""An answer that takes longer from the endpoint to its first sound is late."""
FULL = 0.9
"""Share of all cores from which a machine has none to spare."""
REMEMBERED_S = 30.0
"""How long an answer counts for what callers have to expect."""
ENOUGH = 3
"""Answers that say something of the machine; one alone may have had a reason of its own."""


@dataclass(frozen=True, slots=True)
class _Answer:
    at: float  # s
    waited: float  # s
    cpu: float  # s of all threads of this process, until then


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
    _since: dict[Hashable, float] = field(default_factory=dict)
    _answers: deque[_Answer] = field(default_factory=lambda: deque(maxlen=64))

    @property
    def waiting(self) -> int:
        """Callers who wait for the first sound of an answer."""
        return len(self._since)

    def waits(self, reply: Hashable, now: float) -> None:
        """Note that a caller waits for this reply, ``now`` in seconds."""
        self._since[reply] = now

    def answered(self, reply: Hashable, now: float, cpu: float) -> None:
        """Note that it sounds, with what this process had used of the cores (s) until then."""
        since = self._since.pop(reply, None)
        if since is not None:
            self._answers.append(_Answer(now, now - since, cpu))

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
        recent = [one for one in self._answers if now - one.at <= REMEMBERED_S]
        if len(recent) < ENOUGH:
            return ""
        waits = sorted(one.waited for one in recent)
        lasted = (recent[-1].at - recent[0].at) * self.cores
        spent = recent[-1].cpu - recent[0].cpu
        median = waits[len(waits) // 2]
        if median <= LATE_S or spent < FULL * lasted:
            return ""
        return f"This machine is too busy: its callers wait {median:.0f} s for an answer."

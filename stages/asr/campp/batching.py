"""When to run a batch: decided without a clock, from arrivals and what is still expected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Waiting:
    """One call's packet that waits for a batch; times in seconds of any one clock."""

    slot: int
    work: Any
    arrived: float
    urgent: bool = False  # somebody waits for a final: do not hold it back for others


@dataclass(slots=True)
class Gathering:
    """Collects at most one packet a call, and says when to run what was collected.

    A batch runs at once when it is full, when one of it is urgent, or when no other call's
    packet is expected before the oldest of it has waited ``max_wait``. A call that speaks in
    real time is expected ``period`` after its last packet; one that is late by more than
    ``max_wait`` is not waited for until it is back.

    Args:
        max_batch: packets a batch holds at most.
        max_wait: seconds a packet waits at most before its batch runs.
        period: seconds of sound in a packet.
    """

    max_batch: int
    max_wait: float
    period: float
    _waiting: dict[int, Waiting] = field(default_factory=dict)
    _due: dict[int, float] = field(default_factory=dict)  # of the calls that are speaking

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, slot: int, now: float) -> None:
        """Expect packets of a call from now on."""
        self._due[slot] = now

    def end(self, slot: int) -> None:
        """Expect no more of a call."""
        self._due.pop(slot, None)

    def add(self, packet: Waiting) -> None:
        """Take a packet in; its call must have no other one here.

        Raises:
            ValueError: it has.
        """
        if packet.slot in self._waiting:
            raise ValueError(f"slot {packet.slot} has a packet in the queue already")
        self._waiting[packet.slot] = packet
        if packet.slot in self._due:
            self._due[packet.slot] = packet.arrived + self.period

    def remove(self, packet: Waiting) -> None:
        """Drop a packet that nobody waits for any more, if it is still here."""
        if self._waiting.get(packet.slot) is packet:
            del self._waiting[packet.slot]

    def run_at(self, now: float) -> float | None:
        """Return when to run: now or earlier means at once; None, there is nothing to run."""
        if not self._waiting:
            return None
        if len(self._waiting) >= self.max_batch:
            return now
        if any(packet.urgent for packet in self._waiting.values()):
            return now
        deadline = min(packet.arrived for packet in self._waiting.values()) + self.max_wait
        return deadline if self._more_before(deadline, now) else now

    def take(self) -> list[Waiting]:
        """Return the packets to run now, urgent ones first, then the oldest."""
        order = sorted(self._waiting.values(), key=lambda one: (not one.urgent, one.arrived))
        taken = order[: self.max_batch]
        for packet in taken:
            del self._waiting[packet.slot]
        return taken

    def _more_before(self, deadline: float, now: float) -> bool:
        return any(
            due <= deadline and now <= due + self.max_wait
            for slot, due in self._due.items()
            if slot not in self._waiting
        )

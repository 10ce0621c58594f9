"""How often one address may begin a call: a token bucket each, without a clock of its own."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

MOST_PEERS = 4096
"""Addresses remembered; one more, and the address not seen for longest is forgotten."""


@dataclass(slots=True)
class RateLimit:
    """A bucket an address: ``burst`` at once, ``per_second`` in the long run."""

    per_second: float
    burst: int
    forgotten: int = 0  # addresses dropped for want of room
    _peers: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, peer: str, now: float) -> float:
        """Take one; return 0, or the seconds to wait when there is none left.

        Args:
            peer: an address.
            now: seconds on any monotonic clock.
        """
        left, then = self._peers.pop(peer, (float(self.burst), now))
        left = min(self.burst, left + (now - then) * self.per_second)
        wait = 0.0 if left >= 1 else (1 - left) / self.per_second
        self._peers[peer] = (left - 1 if left >= 1 else left, now)
        if len(self._peers) > MOST_PEERS:
            self._peers.popitem(last=False)
            self.forgotten += 1
        return wait

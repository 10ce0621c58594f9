"""The agent's clock as the caller sees it, from pings and pongs. Pure."""

from __future__ import annotations

from collections import deque

from agent.messages import Pong

_KEPT = 60  # pings: a minute; older ones say nothing about how the clocks stand now


class AgentClock:
    """Puts our seconds on the agent's milliseconds, by the fastest round trip of late."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=_KEPT)  # round trip, offset; ms

    def saw(self, pong: Pong, arrived: float) -> None:
        """Take a pong whose ``t0`` was ours in milliseconds; ``arrived`` in seconds."""
        back = arrived * 1000
        trip = (back - pong.t0) - (pong.t2 - pong.t1)
        offset = ((pong.t1 - pong.t0) + (pong.t2 - back)) / 2
        if trip >= 0:
            self._seen.append((trip, offset))

    @property
    def known(self) -> bool:
        """Whether any pong came."""
        return bool(self._seen)

    @property
    def round_trip(self) -> float:
        """The fastest one, in milliseconds."""
        return min(self._seen)[0]

    @property
    def uncertainty(self) -> float:
        """How wrong a converted time can be, in milliseconds."""
        return self.round_trip / 2

    def to_agent(self, seconds: float) -> float:
        """Return our time in the agent's milliseconds."""
        return seconds * 1000 + min(self._seen)[1]

    def to_ours(self, milliseconds: float) -> float:
        """Return the agent's time in our seconds."""
        return (milliseconds - min(self._seen)[1]) / 1000

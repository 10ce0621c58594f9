"""How late the event loop wakes those who sleep: what all calls of a process share.

One task sleeps for ``PULSE_S`` again and again and sees how late it wakes. Prometheus is told of
every wake-up; a turn's record asks afterwards what happened while its caller waited. A loop that
is late holds up every stage at once: the spans of such a turn are long without a fault of theirs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agent.timeline import Lateness, milliseconds

STALL_S = 0.05
"""From here on a late wake-up of the event loop is counted as a stall: two frames of audio."""
PULSE_S = 0.05
"""How often the event loop is asked."""
MINUTE_S = 60.0
KEPT = 6_000
"""Wake-ups that are remembered: of five minutes, longer than any reply that is asked about."""

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(slots=True)
class _Worst:
    """The largest of what was seen within the last minute."""

    _seen: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=1300))

    def see(self, now: float, value: float) -> None:
        while self._seen and self._seen[-1][1] <= value:
            self._seen.pop()  # smaller and older: never the largest again
        self._seen.append((now, value))
        self.drop(now)

    def drop(self, now: float) -> float:
        while self._seen and now - self._seen[0][0] > MINUTE_S:
            self._seen.popleft()
        return self._seen[0][1] if self._seen else 0.0


class LoopWatch:
    """Sees how late the event loop wakes those who sleep.

    Attributes:
        stalls: wake-ups that were ``STALL_S`` late or more.
    """

    def __init__(
        self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._worst, self.stalls = clock, _Worst(), 0
        self._woken: deque[tuple[float, float]] = deque(maxlen=KEPT)  # when, and by how much late
        self._lag = Histogram(
            "firstword_event_loop_lag_seconds",
            "How late the event loop woke a task that slept",
            buckets=_BUCKETS,
            registry=registry,
        )
        self._stalls = Counter(
            "firstword_event_loop_stalls",
            f"Wake-ups that were {STALL_S * 1000:.0f} ms late or more",
            registry=registry,
        )
        worst = Gauge(
            "firstword_event_loop_worst_lag_seconds",
            "The latest wake-up within the last minute",
            registry=registry,
        )
        worst.set_function(self.worst)

    def worst(self) -> float:
        """Return the latest wake-up of the last minute, in seconds."""
        return self._worst.drop(self._clock())

    def woke(self, late: float) -> None:
        """Note that a wake-up was ``late`` seconds late."""
        now = self._clock()
        self._lag.observe(late)
        self._worst.see(now, late)
        self._woken.append((now, late))
        if late >= STALL_S:
            self.stalls += 1
            self._stalls.inc()

    def between(self, begin: float, end: float) -> Lateness | None:
        """Return how late the loop was between two moments, in seconds of its clock.

        A wake-up counts where the time by which it was late lies between the two, and only with
        that part. None: the watch does not reach back as far.
        """
        if not self._woken or begin < self._woken[0][0] - self._woken[0][1] - PULSE_S:
            return None
        parts = []
        for woken, late in reversed(self._woken):
            if woken < begin:
                break
            part = min(woken, end) - max(woken - late, begin)
            if part > 0:
                parts.append((part, late >= STALL_S))
        stalled = [part for part, stall in parts if stall]
        return Lateness(
            worst_ms=milliseconds(max((part for part, _ in parts), default=0.0)),
            stalls=len(stalled),
            stalled_ms=milliseconds(sum(stalled)),
        )

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            due = self._clock() + PULSE_S
            await anyio.sleep(PULSE_S)
            self.woke(max(0.0, self._clock() - due))

"""Model work in threads: short steps that a cancelled call abandons."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import to_thread

R = TypeVar("R")


class Workers:
    """A bounded set of threads for one engine; its work never queues behind another engine's.

    Args:
        count: threads at most; a call for more waits its turn (first come, first served).
    """

    def __init__(self, count: int) -> None:
        self._limiter = anyio.CapacityLimiter(count)

    @property
    def busy(self) -> bool:
        """Whether any step is running, or abandoned and not at its end."""
        return self.taken > 0

    @property
    def taken(self) -> int:
        """Threads that run a step, abandoned ones included."""
        return self._limiter.borrowed_tokens

    @property
    def waiting(self) -> int:
        """Steps that wait for a thread."""
        return self._limiter.statistics().tasks_waiting

    async def run(self, step: Callable[[], R]) -> R:
        """Run a short step in a thread and return what it returns.

        Cancelling abandons the step: it ends by itself, its result is dropped. Steps must
        therefore be short and leave shared state whole at every moment.
        """
        return await to_thread.run_sync(step, abandon_on_cancel=True, limiter=self._limiter)

"""Model work in threads: short steps that a cancelled call abandons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

import anyio
from anyio import to_thread

R = TypeVar("R")


class Watch:
    """Knows when no step runs in any thread: for who plays sound to stages without a clock."""

    def __init__(self) -> None:
        self._running, self._rest = 0, anyio.Event()

    @property
    def busy(self) -> bool:
        """Whether a step runs that somebody waits for; abandoned ones do not count."""
        return self._running > 0

    async def rest(self) -> None:
        """Wait until none runs."""
        while self._running:
            await self._rest.wait()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Count one step for as long as the block lasts."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._rest.set()
                self._rest = anyio.Event()


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch the steps of this task, and of all tasks that are started within the block."""
    watch = Watch()
    token = _watch.set(watch)
    try:
        yield watch
    finally:
        _watch.reset(token)


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
        watch = _watch.get()
        with nullcontext() if watch is None else watch.step():
            return await to_thread.run_sync(step, abandon_on_cancel=True, limiter=self._limiter)

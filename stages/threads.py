"""Model work in threads: short steps that a cancelled call abandons."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import partial
from typing import Generic, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

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


class _Step(Generic[R]):
    """A step and its place among the threads, given back once no thread is in it.

    A caller that is cancelled leaves the step, and the thread goes on: anyio's own limiter counts
    the caller, and would let another step begin beside one that nobody waits for any more.

    Args:
        step: the work.
        over: called in the loop, once, when no thread is in it any more, or ever will be.
    """

    def __init__(self, step: Callable[[], R], over: Callable[[], None]) -> None:
        self._step, self._over = step, over
        self._loop = asyncio.get_running_loop()
        self._runs, self._left, self._change = False, False, threading.Lock()

    def run(self) -> R:
        """Do the work; in its thread."""
        with self._change:
            if self._left:
                raise CancelledError  # to nobody: who asked was gone before a thread was there
            self._runs = True
        try:
            return self._step()
        finally:
            with suppress(RuntimeError):  # the loop is closed, and nobody counts any more
                self._loop.call_soon_threadsafe(self._over)

    def leave(self) -> None:
        """Wait for it no longer, in the loop; the place is free now if no thread took it."""
        with self._change:
            self._left = True
            runs = self._runs
        if not runs:
            self._over()


class Workers:
    """A bounded set of threads for one engine; its work never queues behind another engine's.

    Args:
        count: threads at most; a call for more waits its turn (first come, first served).
    """

    def __init__(self, count: int) -> None:
        self._places, self._callers = CapacityLimiter(count), CapacityLimiter(count)

    @property
    def busy(self) -> bool:
        """Whether any step is running, or abandoned and not at its end."""
        return self.taken > 0

    @property
    def taken(self) -> int:
        """Threads that run a step, abandoned ones included."""
        return self._places.borrowed_tokens

    @property
    def waiting(self) -> int:
        """Steps that wait for a thread."""
        return self._places.statistics().tasks_waiting

    async def run(self, step: Callable[[], R], over: Callable[[], None] = lambda: None) -> R:
        """Run a short step in a thread and return what it returns.

        Cancelling abandons the step: it ends by itself, its result is dropped, and its thread is
        taken up to there. Steps must therefore be short and leave shared state whole at every
        moment.

        Args:
            step: the work.
            over: called in the loop, once, when no thread is in the step any more: of one that is
                abandoned that is later than this ends, unless it was not begun.
        """
        watch = _watch.get()
        with nullcontext() if watch is None else watch.step():
            place = object()
            work = _Step(step, partial(self._free, place, over))
            try:
                await self._places.acquire_on_behalf_of(place)
                return await to_thread.run_sync(
                    work.run, abandon_on_cancel=True, limiter=self._callers
                )
            finally:
                work.leave()

    def _free(self, place: object, over: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # given up while it waited: it has none
            self._places.release_on_behalf_of(place)
        over()

"""An event loop whose clock skips the time in which nothing is to be done."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping


class _Skipping(selectors.DefaultSelector):
    """Looks once instead of waiting, and counts the seconds that it would have waited."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout if timeout is None else 0)
        if not ready and timeout:
            self.skipped += timeout
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """Sleeps and deadlines come in their order and at once, on a machine as busy as you like.

    Only for tests that wait for nothing outside the loop: a thread or another process would have
    no time at all.
    """

    def __init__(self) -> None:
        self._waits = _Skipping()
        super().__init__(self._waits)

    def time(self) -> float:
        """Return the seconds on the loop's clock: those that passed and those that were skipped."""
        return super().time() + self._waits.skipped


SKIPPING: tuple[str, Mapping[str, object]] = ("asyncio", {"loop_factory": SkippingLoop})
"""What a module's fixture ``anyio_backend`` returns to run its tests on such a loop."""

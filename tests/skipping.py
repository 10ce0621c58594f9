"""An event loop whose clock skips the time in which nothing is to be done, and stands otherwise."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping

import pytest


class _Skipping(selectors.DefaultSelector):
    """Looks once instead of waiting, and counts the seconds that it would have waited."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout if timeout is None else 0)
        if not ready and timeout:
            self.waited += timeout
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """Sleeps and deadlines come in their order and at once, on a machine as busy as you like.

    Work takes no time on its clock: no deadline is missed because the machine was slow. Only for
    tests that wait for nothing outside the loop: a thread or another process has no time at all,
    unless nothing in the loop sleeps or has a deadline meanwhile.
    Servers on loopback whose both ends are here are fine: what one end sends lies at the other
    when the sending returns.
    """

    def __init__(self) -> None:
        self._waits = _Skipping()
        super().__init__(self._waits)

    def time(self) -> float:
        """Return the seconds for which there was nothing to do."""
        return self._waits.waited


SKIPPING: tuple[str, Mapping[str, object]] = ("asyncio", {"loop_factory": SkippingLoop})
"""What a module's fixture ``anyio_backend`` returns to run its tests on such a loop."""

skipping = pytest.mark.parametrize("anyio_backend", [pytest.param(SKIPPING, id="skipping")])
"""Marks a single test that runs on such a loop."""

"""How late the event loop was: told to Prometheus, and asked about by the turns that waited."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import anyio
import pytest
from prometheus_client import CollectorRegistry

from agent.lateness import KEPT, PULSE_S, LoopWatch
from agent.timeline import Lateness

SETTLED = 1_000.0  # seconds on the clock, when everything here begins


@dataclass
class Loop:
    """An event loop whose wake-ups are as late as a test says."""

    now: float = SETTLED
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.watch = LoopWatch(self.registry, lambda: self.now)

    def sleep(self, *lates: float) -> None:
        """Sleep once for each, and wake by so many seconds late."""
        for late in lates:
            self.now += PULSE_S + late
            self.watch.woke(late)


def test_a_stall_is_counted_and_remembered_for_a_minute() -> None:
    loop = Loop()
    loop.sleep(0.001, 0.300, 0.002)
    assert loop.watch.stalls == 1
    assert loop.registry.get_sample_value("firstword_event_loop_stalls_total") == 1
    assert loop.watch.worst() == 0.3
    loop.now += 61
    loop.sleep(0.004)
    assert loop.registry.get_sample_value("firstword_event_loop_worst_lag_seconds") == 0.004


class Telling(LoopWatch):
    """A watch that tells when it woke."""

    def __init__(self) -> None:
        super().__init__(CollectorRegistry())
        self.awake = anyio.Event()

    def woke(self, late: float) -> None:
        super().woke(late)
        self.awake.set()
        self.awake = anyio.Event()


async def test_work_that_holds_the_loop_up_is_seen_until_the_watch_is_cancelled() -> None:
    watch = Telling()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        await watch.awake.wait()
        begin = time.monotonic()
        while time.monotonic() < begin + 0.2:
            pass
        await watch.awake.wait()
        tasks.cancel_scope.cancel()
    late = watch.between(begin, time.monotonic())
    assert late is not None
    assert late.stalled_ms >= 100.0  # for the first 50 ms at most it would have slept anyway


def test_a_turn_learns_how_late_the_loop_was_while_its_caller_waited() -> None:
    loop = Loop()
    loop.sleep(0.200, 0.001)  # before the caller was done
    begin = loop.now
    loop.sleep(0.080, 0.003, 0.120)
    end = loop.now
    loop.sleep(0.400)  # while the reply was heard
    assert loop.watch.between(begin, end) == Lateness(worst_ms=120.0, stalls=2, stalled_ms=200.0)


def test_of_a_stall_across_the_begin_or_the_end_only_what_lay_in_the_wait_counts() -> None:
    loop = Loop()
    loop.sleep(0.100)
    middle = loop.now - 0.060  # the caller was done 40 ms after the loop was due
    loop.sleep(0.001, 0.100)
    late = loop.watch.between(middle, loop.now - 0.070)
    assert late is not None
    assert late.stalls == 2
    assert (late.worst_ms, late.stalled_ms) == pytest.approx((60.0, 90.0))


def test_a_loop_that_kept_time_says_so() -> None:
    loop = Loop()
    loop.sleep(0.002, 0.001, 0.004)
    assert loop.watch.between(SETTLED + 0.01, loop.now) == Lateness(4.0, stalls=0, stalled_ms=0.0)


def test_where_the_watch_does_not_reach_back_nothing_is_claimed() -> None:
    loop = Loop()
    assert loop.watch.between(SETTLED - 1, SETTLED) is None
    loop.sleep(0.001)
    assert loop.watch.between(SETTLED - 1, loop.now) is None
    begin = loop.now
    loop.sleep(*[0.001] * (KEPT + 2))
    assert loop.watch.between(begin, begin + 1) is None

"""One model for all calls: seats are lent, packets gathered, batches run in one thread."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TypeAlias

import anyio
import numpy as np

from stages.asr.campp.batching import Gathering, Waiting
from stages.asr.campp.features import Frames
from stages.asr.campp.graph import Graph
from stages.asr.campp.resident import ResidentStates, ResidentSteps
from stages.asr.campp.states import States
from stages.asr.campp.steps import BrokenNumbers, LogProbs, Row, Steps
from stages.errors import StageError, Transient, Unusable
from stages.events import SAMPLE_RATE
from stages.threads import Workers

STAGE = "asr campp"

PATIENCE = 10.0
"""Seconds after which a call no longer waits for its step."""

REMEMBERED = 512
"""Steps whose times are kept for the percentiles."""

_log = logging.getLogger(__name__)

Result: TypeAlias = LogProbs | StageError


@dataclass(slots=True, eq=False)
class _Work:
    row: Row
    done: anyio.Event
    result: Result | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """What the engine has done so far; times in milliseconds, the last few hundred steps."""

    slots: int
    slots_taken: int
    slots_awaited: int  # given back while a step still ran in them
    refused: int  # calls turned away because all slots were taken
    queued: int
    queued_most: int
    batches: int
    packets: int
    failed: int  # packets
    given_up: int  # packets whose step did not come within the deadline
    batch_sizes: dict[int, int]
    wait_ms_p50: float
    wait_ms_p95: float
    step_ms_p50: float
    step_ms_p95: float
    bytes_a_call: int

    def figures(self) -> dict[str, float]:
        """Return the counters by name, times in seconds."""
        return {
            "slots": self.slots,
            "slots_taken": self.slots_taken,
            "slots_awaited": self.slots_awaited,
            "calls_refused_total": self.refused,
            "queued_packets": self.queued,
            "queued_packets_most": self.queued_most,
            "batches_total": self.batches,
            "packets_total": self.packets,
            "packets_failed_total": self.failed,
            "packets_given_up_total": self.given_up,
            "largest_batch_packets": max(self.batch_sizes, default=0),
            "wait_p50_seconds": self.wait_ms_p50 / 1000,
            "wait_p95_seconds": self.wait_ms_p95 / 1000,
            "step_p50_seconds": self.step_ms_p50 / 1000,
            "step_p95_seconds": self.step_ms_p95 / 1000,
            "state_bytes_a_call": self.bytes_a_call,
        }

    def as_dict(self) -> dict[str, object]:
        """Return the counters by name."""
        return asdict(self)


class Engine:
    """Shares one model among calls.

    Args:
        graph: the model.
        slots: calls at once; a further one is refused.
        max_batch: packets in one batch at most.
        max_wait: seconds that a packet may wait for others; a cap, not a sleep.
        patience: seconds after which a call no longer waits for its step.
    """

    def __init__(
        self,
        graph: Graph,
        slots: int,
        max_batch: int,
        max_wait: float,
        patience: float = PATIENCE,
    ) -> None:
        self.graph, self._patience = graph, patience
        self._states: States | ResidentStates
        self._steps: Steps | ResidentSteps
        if graph.geometry.resident:
            self._states = ResidentStates(graph, slots)
            self._steps = ResidentSteps(graph, self._states, min(max_batch, slots))
        else:
            self._states = States(graph.geometry, slots)
            self._steps = Steps(graph, self._states, min(max_batch, slots))
        period = graph.geometry.packet / SAMPLE_RATE
        self._gathering = Gathering(min(max_batch, slots), max_wait, period)
        self._free = deque(range(slots))
        self._stepping: set[int] = set()
        self._leaving: set[int] = set()
        self._news = anyio.Event()
        self._thread = Workers(1)
        self._sizes: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()
        self._waits: deque[float] = deque(maxlen=REMEMBERED)
        self._times: deque[float] = deque(maxlen=REMEMBERED)

    async def run(self) -> None:
        """Run batches until cancelled; a step that runs then ends by itself, unheard."""
        while True:
            now = time.monotonic()
            at = self._gathering.run_at(now)
            if at is not None and at <= now:
                await self._run_batch(self._gathering.take())
                continue
            with anyio.move_on_after(None if at is None else at - now):
                await self._news.wait()
            self._news = anyio.Event()

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[Seat]:
        """Lend a slot to a call, zeroed.

        Raises:
            Unusable: every slot is taken.
        """
        if not self._free:
            self._counts["refused"] += 1
            raise Unusable(
                STAGE,
                f"all {self._states.slots} calls that this recogniser can hear at once are taken;"
                " raise asr.slots, or let another process hear the others",
            )
        slot = self._free.popleft()
        self._states.clear(slot)
        try:
            yield Seat(self, slot)
        finally:
            self._gathering.end(slot)
            if slot in self._stepping:
                self._leaving.add(slot)
            else:
                self._free.append(slot)

    def stats(self) -> Stats:
        """Return the counters."""
        waits, times = _percentiles(self._waits), _percentiles(self._times)
        return Stats(
            slots=self._states.slots,
            slots_taken=self._states.slots - len(self._free),
            slots_awaited=len(self._leaving),
            refused=self._counts["refused"],
            queued=len(self._gathering),
            queued_most=self._counts["queued_most"],
            batches=self._counts["batches"],
            packets=self._counts["packets"],
            failed=self._counts["failed"],
            given_up=self._counts["given_up"],
            batch_sizes=dict(sorted(self._sizes.items())),
            wait_ms_p50=waits[0],
            wait_ms_p95=waits[1],
            step_ms_p50=times[0],
            step_ms_p95=times[1],
            bytes_a_call=self._states.bytes_a_slot,
        )

    def begin(self, slot: int) -> None:
        """Begin an utterance in a slot: nothing of the one before is seen."""
        self._states.restart(slot)
        self._gathering.begin(slot, time.monotonic())

    def end(self, slot: int) -> None:
        """Expect no more packets from a slot for now."""
        self._gathering.end(slot)
        self._notify()  # others need not wait for it

    async def step(self, row: Row, urgent: bool) -> LogProbs:
        """Queue a packet, wait for its batch, return its log-probabilities.

        Cancelling takes it out of the queue, or drops its result.

        Raises:
            Unusable: the model gave no numbers for it.
            Transient: no step came within ``patience`` seconds, or the last one still runs.
        """
        if row.slot in self._stepping:
            raise Transient(STAGE, "the last packet of this call is still being recognised")
        work = _Work(row, anyio.Event())
        packet = Waiting(row.slot, work, time.monotonic(), urgent)
        self._gathering.add(packet)
        self._counts["queued_most"] = max(self._counts["queued_most"], len(self._gathering))
        self._notify()
        try:
            with anyio.fail_after(self._patience):
                await work.done.wait()
        except TimeoutError:
            self._counts["given_up"] += 1
            raise Transient(
                STAGE, f"the recogniser has not answered for {self._patience:g} s"
            ) from None
        finally:
            self._gathering.remove(packet)
        if isinstance(work.result, StageError):
            raise work.result
        assert work.result is not None
        return work.result

    def _notify(self) -> None:
        self._news.set()

    async def _run_batch(self, packets: list[Waiting]) -> None:
        began = time.monotonic()
        works: list[_Work] = [packet.work for packet in packets]
        self._stepping = {work.row.slot for work in works}
        try:
            results = await self._results([work.row for work in works])
        finally:
            self._free.extend(self._leaving)
            self._stepping, self._leaving = set(), set()
        self._count(packets, began, results)
        for work, result in zip(works, results, strict=True):
            work.result = result
            work.done.set()

    async def _results(self, rows: list[Row]) -> list[Result]:
        try:
            made = await self._thread.run(lambda: self._steps.run(rows))
        except Exception as error:  # noqa: BLE001 (onnxruntime's errors have no base class)
            if len(rows) == 1:
                _log.warning("a packet cannot be recognised: %s", error)
                return [Unusable(STAGE, f"the model failed on this call's sound ({error})")]
            # One of them spoils the batch: each for itself, so that only that one fails.
            return [result for row in rows for result in await self._results([row])]
        return [
            Unusable(STAGE, "the model gave no numbers for this call's sound")
            if isinstance(one, BrokenNumbers)
            else one
            for one in made
        ]

    def _count(self, packets: list[Waiting], began: float, results: list[Result]) -> None:
        self._counts["batches"] += 1
        self._counts["packets"] += len(packets)
        self._counts["failed"] += sum(isinstance(result, StageError) for result in results)
        self._sizes[len(packets)] += 1
        self._waits.extend((began - packet.arrived) * 1000 for packet in packets)
        self._times.append((time.monotonic() - began) * 1000)


class Seat:
    """One call's place in the engine."""

    def __init__(self, engine: Engine, slot: int) -> None:
        self._engine, self._slot = engine, slot

    def begin(self) -> None:
        """Begin an utterance."""
        self._engine.begin(self._slot)

    def end(self) -> None:
        """End it, so that nobody waits for its packets."""
        self._engine.end(self._slot)

    async def step(self, features: Frames) -> LogProbs:
        """Go on by one packet; see ``Engine.step``."""
        return await self._engine.step(Row(self._slot, self._checked(features)), urgent=False)

    async def look(self, features: Frames) -> LogProbs:
        """Step as if the utterance ended with this packet, and forget that it was done."""
        row = Row(self._slot, self._checked(features), keep=False)
        return await self._engine.step(row, urgent=True)

    def _checked(self, features: Frames) -> Frames:
        # In an INT8 batch one infinite number would widen the ranges of every other call.
        if not np.isfinite(features).all():
            raise Unusable(STAGE, "the sound holds numbers that are none (NaN or infinity)")
        return features


def _percentiles(values: deque[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 0.0
    middle, high = np.percentile(list(values), (50, 95))
    return float(middle), float(high)

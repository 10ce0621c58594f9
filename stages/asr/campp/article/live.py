"""Calls in real time: packets every 320 ms from callers that know nothing of each other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import anyio
import numpy as np

from stages.asr.campp.engine import Engine
from stages.asr.campp.features import Fbank, Windows
from stages.asr.campp.graph import open_graph
from stages.events import SAMPLE_RATE

WAITS_MS = (0, 20, 80)

LATE = 0.5
"""Share of a packet's length that 95 % of the answers may take; beyond it calls fall behind."""


@dataclass(frozen=True, slots=True)
class Load:
    """So many calls with one engine, for some seconds."""

    max_wait_ms: int
    calls: int
    answer_p50_ms: float  # from a packet's end to its words
    answer_p95_ms: float
    step_p95_ms: float
    batch_mean: float
    cpu_cores: float  # of the whole process
    in_time: bool


def grow(file: Path, seconds: float, most: int) -> list[Load]:
    """Let calls grow until a core carries no more, for each wait.

    Args:
        file: the model.
        seconds: of each measurement.
        most: calls at most.
    """
    rows = []
    for wait in WAITS_MS:
        calls = 1
        while calls <= most:
            load = anyio.run(_measure, file, wait, calls, seconds)
            rows.append(load)
            if not load.in_time:
                break
            calls *= 2
    return rows


async def _measure(file: Path, wait: int, calls: int, seconds: float) -> Load:
    graph = open_graph(file)
    engine = Engine(graph, calls, min(calls, 64), wait / 1000)
    packet = graph.geometry.packet / SAMPLE_RATE
    windows = Windows(graph.geometry, Fbank(graph.geometry.front))
    noise = np.random.default_rng(0).standard_normal(graph.geometry.packet * 4) * 0.1
    window = windows.hear(noise.astype(np.float32))[0]
    answers: list[float] = []
    rng = np.random.default_rng(1)
    rounds = max(3, round(seconds / packet))

    async def call(phase: float) -> None:
        async with engine.seat() as seat:
            seat.begin()
            due = anyio.current_time() + phase
            for _ in range(rounds):
                await anyio.sleep_until(due)
                await seat.step(window)
                answers.append((anyio.current_time() - due) * 1000)
                due += packet
            seat.end()

    began, worked = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as engines:
        engines.start_soon(engine.run)
        async with anyio.create_task_group() as callers:
            for phase in rng.uniform(0, packet, calls):
                callers.start_soon(call, float(phase))
        engines.cancel_scope.cancel()
    cpu = (time.process_time() - worked) / (time.perf_counter() - began)
    stats = engine.stats()
    middle, high = (float(one) for one in np.percentile(answers, (50, 95)))
    return Load(
        max_wait_ms=wait,
        calls=calls,
        answer_p50_ms=round(middle, 1),
        answer_p95_ms=round(high, 1),
        step_p95_ms=round(stats.step_ms_p95, 1),
        batch_mean=round(stats.packets / max(1, stats.batches), 2),
        cpu_cores=round(cpu, 2),
        in_time=high < LATE * packet * 1000,
    )

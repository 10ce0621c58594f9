"""Calls in real time: packets every 320 ms from callers that know nothing of each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import anyio
import numpy as np

from stages.asr.campp.decode.hypothesis import Decoder
from stages.asr.campp.engine import Engine
from stages.asr.campp.features import Fbank, Frames, Windows
from stages.asr.campp.graph import Graph, open_graph
from stages.events import SAMPLE_RATE, Samples

WAITS_MS = (0, 20, 80)

LATE = 0.5
"""Share of a packet's length that 95 % of the answers may take; beyond it calls fall behind."""

BATCH = 64
"""Packets stepped together, at most."""

Part: TypeAlias = Literal["network", "to words"]
"""What of a call is done: the network alone, or features, network and the search for words."""

PARTS: tuple[Part, ...] = ("network", "to words")

WHAT: dict[Part, str] = {
    "network": "features made before, no search",
    "to words": "features, network and words",
}
"""Each in words."""

Decoders: TypeAlias = Callable[[], Decoder]


@dataclass(frozen=True, slots=True)
class Load:
    """So many calls with one engine, for some seconds."""

    part: Part
    max_wait_ms: int
    calls: int
    answer_p50_ms: float  # from a packet's end to its probabilities, or to its words
    answer_p95_ms: float
    step_p95_ms: float  # of the network alone, a batch
    batch_mean: float
    cpu_cores: float  # of the whole process
    in_time: bool
    packets: int


@dataclass(slots=True)
class Callers:
    """Callers who say the same clips, each from another one on.

    Args:
        graph: the model.
        fbank: makes the features of what is said while it is said.
        sounds: what is said.
        cut: its features, made before: what the network alone is given.
        decoders: makes the words of each utterance; None leaves features and words out.
    """

    graph: Graph
    fbank: Fbank
    sounds: Sequence[Samples]
    cut: Sequence[Sequence[Frames]]
    decoders: Decoders | None
    answers: list[float] = field(default_factory=list)  # milliseconds

    async def call(self, engine: Engine, number: int, phase: float, rounds: int) -> None:
        """Speak for so many packets, clip after clip, in real time."""
        packet = self.graph.geometry.packet
        due = anyio.current_time() + phase
        async with engine.seat() as seat:
            while rounds > 0:
                seat.begin()
                utterance = _Utterance(self, number % len(self.sounds))
                for at in range(min(rounds, utterance.packets)):
                    await anyio.sleep_until(due)
                    for window in utterance.windows(at, packet):
                        log_probs = await seat.step(window)
                        if utterance.decoder:
                            await utterance.decoder.take(log_probs)
                    self.answers.append((anyio.current_time() - due) * 1000)
                    due += packet / SAMPLE_RATE
                seat.end()
                rounds, number = rounds - max(1, utterance.packets), number + 1


class _Utterance:
    def __init__(self, callers: Callers, number: int) -> None:
        geometry = callers.graph.geometry
        self._cut, self._samples = callers.cut[number], callers.sounds[number]
        self._windows = Windows(geometry, callers.fbank)
        self.decoder = callers.decoders() if callers.decoders else None
        self.packets = len(self._samples) // geometry.packet

    def windows(self, at: int, packet: int) -> Sequence[Frames]:
        if self.decoder is None:
            return self._cut[at : at + 1]
        return self._windows.hear(self._samples[at * packet : (at + 1) * packet])


def grow(
    file: Path,
    sounds: Sequence[Samples],
    decoders: Callable[[Graph], Decoders],
    seconds: float,
    most: int,
) -> list[Load]:
    """Let calls grow until a core carries no more, for each wait; once with all that words need.

    Args:
        file: the model.
        sounds: what callers say; those shorter than a packet are left out.
        decoders: from the model to what makes words of its probabilities.
        seconds: of each measurement.
        most: calls at most.
    """
    rows = []
    graph = open_graph(file)
    fbank, make = Fbank(graph.geometry.front), decoders(graph)
    long_enough = [one for one in sounds if len(one) >= graph.geometry.packet]
    cut = [Windows(graph.geometry, fbank).hear(one) for one in long_enough]
    for part in PARTS:
        for wait in WAITS_MS:
            calls = 1
            while calls <= most:
                words = make if part == "to words" else None
                callers = Callers(graph, fbank, long_enough, cut, words)
                load = anyio.run(_measure, callers, part, wait, calls, seconds)
                rows.append(load)
                if not load.in_time:
                    break
                calls *= 2
    return rows


async def _measure(callers: Callers, part: Part, wait: int, calls: int, seconds: float) -> Load:
    engine = Engine(callers.graph, calls, min(calls, BATCH), wait / 1000)
    packet = callers.graph.geometry.packet / SAMPLE_RATE
    rng = np.random.default_rng(1)
    rounds = max(3, round(seconds / packet))
    began, worked = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as engines:
        engines.start_soon(engine.run)
        async with anyio.create_task_group() as speaking:
            for number, phase in enumerate(rng.uniform(0, packet, calls)):
                speaking.start_soon(callers.call, engine, number, float(phase), rounds)
        engines.cancel_scope.cancel()
    cpu = (time.process_time() - worked) / (time.perf_counter() - began)
    stats = engine.stats()
    middle, high = (float(one) for one in np.percentile(callers.answers, (50, 95)))
    return Load(
        part=part,
        max_wait_ms=wait,
        calls=calls,
        answer_p50_ms=round(middle, 1),
        answer_p95_ms=round(high, 1),
        step_p95_ms=round(stats.step_ms_p95, 1),
        batch_mean=round(stats.packets / max(1, stats.batches), 2),
        cpu_cores=round(cpu, 2),
        in_time=high < LATE * packet * 1000,
        packets=len(callers.answers),
    )

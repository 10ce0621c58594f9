"""Many calls, one batch: each hears what it hears alone, and harms no other."""

from __future__ import annotations

import random
import threading
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import numpy as np
import psutil
import pytest

from stages.asr.campp.engine import Engine
from stages.asr.campp.features import Fbank
from stages.asr.campp.graph import Graph
from stages.asr.campp.steps import LogProbs
from stages.errors import Transient, Unusable
from tests.stages.asr.campp.conftest import noise
from tests.stages.asr.campp.listening import alone, windows_of


@asynccontextmanager
async def running(graph: Graph, slots: int = 8, max_batch: int = 8) -> AsyncIterator[Engine]:
    engine = Engine(graph, slots, max_batch, max_wait=0.02)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.run)
        yield engine
        tasks.cancel_scope.cancel()


async def heard(engine: Engine, windows: list[np.ndarray], dice: random.Random) -> LogProbs:
    """Hear an utterance, with a wait of its own before every packet."""
    async with engine.seat() as seat:
        seat.begin()
        rows = []
        for window in windows:
            for _ in range(dice.randrange(40)):  # turns of the loop
                await anyio.lowlevel.checkpoint()
            rows.append(await seat.step(window))
        return np.concatenate(rows)


async def test_calls_with_random_arrivals_hear_what_each_hears_alone(
    tiny: Graph, fbank: Fbank
) -> None:
    calls = [windows_of(tiny, fbank, noise(1 + index % 3, index)) for index in range(12)]
    results: dict[int, LogProbs] = {}

    async def call(index: int) -> None:
        results[index] = await heard(engine, calls[index], random.Random(index))

    async with running(tiny, slots=12) as engine, anyio.create_task_group() as tasks:
        for index in range(12):
            tasks.start_soon(call, index)
    for index, windows in enumerate(calls):
        expected = alone(tiny, windows)
        np.testing.assert_allclose(results[index], expected, atol=1e-4)
        assert (results[index].argmax(1) == expected.argmax(1)).all()
    assert max(engine.stats().batch_sizes) > 1
    assert engine.stats().packets == sum(len(windows) for windows in calls)
    assert engine.stats().slots_taken == 0


async def test_a_call_too_many_is_refused_with_a_sentence(tiny: Graph) -> None:
    async with running(tiny, slots=1) as engine:
        async with engine.seat():
            with pytest.raises(Unusable, match=r"all 1 calls .* are taken; raise asr\.slots"):
                async with engine.seat():
                    pass
        async with engine.seat():
            assert engine.stats().slots_taken == 1
    assert engine.stats().refused == 1


@pytest.mark.parametrize("moments", range(20))
async def test_a_call_that_hangs_up_frees_its_slot_at_the_latest_with_its_step(
    moments: int, tiny: Graph, fbank: Fbank
) -> None:
    window = windows_of(tiny, fbank, noise(1))[0]

    async def call() -> None:
        async with engine.seat() as seat:
            await seat.step(window)

    async with running(tiny, slots=2) as engine, engine.seat() as other:
        async with anyio.create_task_group() as hung_up:
            hung_up.start_soon(call)
            for _ in range(moments):  # turns of the loop
                await anyio.lowlevel.checkpoint()
            hung_up.cancel_scope.cancel()
        await other.step(window)  # batches run one after the other: what ran before is done
        assert (engine.stats().slots_taken, engine.stats().slots_awaited) == (1, 0)
        async with engine.seat() as seat:
            assert (await seat.step(window)).shape == (4, 60)


async def test_sound_that_is_none_fails_its_own_call_only(tiny: Graph, fbank: Fbank) -> None:
    windows = windows_of(tiny, fbank, noise(2))
    results = []

    async def well() -> None:
        results.append(await heard(engine, windows, random.Random(1)))

    async with running(tiny) as engine, anyio.create_task_group() as tasks:
        tasks.start_soon(well)
        async with engine.seat() as seat:
            with pytest.raises(Unusable, match="numbers that are none"):
                await seat.step(np.full_like(windows[0], np.inf))
    np.testing.assert_allclose(results[0], alone(tiny, windows), atol=1e-4)


async def test_a_packet_of_the_wrong_shape_fails_its_own_call_only(
    tiny: Graph, fbank: Fbank
) -> None:
    windows = windows_of(tiny, fbank, noise(3))
    results = []

    async def well() -> None:
        results.append(await heard(engine, windows, random.Random(1)))

    async def badly() -> None:
        async with engine.seat() as seat:
            with pytest.raises(Unusable, match="the model failed on this call's sound"):
                await seat.step(windows[0][:, :7])

    async with running(tiny) as engine, anyio.create_task_group() as tasks:
        tasks.start_soon(well)
        for _ in range(4):
            tasks.start_soon(badly)
    np.testing.assert_allclose(results[0], alone(tiny, windows), atol=1e-4)
    assert engine.stats().failed == 4


async def test_a_step_that_does_not_come_within_the_deadline_ends_its_own_call_only(
    tiny: Graph, fbank: Fbank
) -> None:
    window = windows_of(tiny, fbank, noise(1))[0]
    engine = Engine(tiny, slots=2, max_batch=2, max_wait=0.0, patience=0.05)
    async with engine.seat() as seat:  # nobody runs the engine
        with pytest.raises(Transient, match=r"the recogniser has not answered for 0\.05 s"):
            await seat.step(window)
        assert engine.stats().given_up == 1
        assert engine.stats().queued == 0  # its packet waits no more, either
    assert engine.stats().slots_taken == 0
    async with running(tiny, slots=2) as well, well.seat() as seat:
        assert (await seat.step(window)).shape == (4, 60)


async def test_a_slot_whose_step_never_ends_is_not_lent_again_and_is_counted(
    tiny: Graph, fbank: Fbank
) -> None:
    window = windows_of(tiny, fbank, noise(1))[0]
    hung, release = threading.Event(), threading.Event()

    class Hanging:
        """A session whose first step does not come back until it is let go."""

        def __getattr__(self, name: str) -> object:
            return getattr(tiny.session, name)

        def run_with_iobinding(self, *arguments: object) -> None:
            if not hung.is_set():
                hung.set()
                release.wait()
            tiny.session.run_with_iobinding(*arguments)

    engine = Engine(replace(tiny, session=Hanging()), 2, 2, max_wait=0.0, patience=0.5)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.run)
        try:
            async with engine.seat() as seat:
                with pytest.raises(Transient, match="has not answered"):
                    await seat.step(window)
                with pytest.raises(Transient, match="last packet of this call is still being"):
                    await seat.step(window)
            assert (engine.stats().slots_taken, engine.stats().slots_awaited) == (1, 1)
            async with engine.seat():  # the other slot
                with pytest.raises(Unusable, match="all 2 calls"):
                    async with engine.seat():
                        pass
        finally:
            release.set()
        async with engine.seat() as seat:
            assert (await seat.step(window)).shape == (4, 60)  # after the one that hung
        assert (engine.stats().slots_taken, engine.stats().slots_awaited) == (0, 0)
        tasks.cancel_scope.cancel()


@pytest.mark.timeout(120)
async def test_ten_thousand_short_calls_leave_no_memory_behind(tiny: Graph, fbank: Fbank) -> None:
    window, process = windows_of(tiny, fbank, noise(1))[0], psutil.Process()

    async def call() -> None:
        async with engine.seat() as seat:
            seat.begin()
            await seat.step(window)

    async def calls(count: int) -> None:
        for _ in range(count // 8):
            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(call)

    async with running(tiny) as engine:
        await calls(1600)
        tracemalloc.start()
        try:
            await calls(400)
            before, resident = tracemalloc.get_traced_memory()[0], process.memory_info().rss
            await calls(8000)
            after, grown = tracemalloc.get_traced_memory()[0], process.memory_info().rss - resident
        finally:
            tracemalloc.stop()
    assert engine.stats().packets == 10_000
    assert after - before < 100_000
    assert grown < 8_000_000  # what onnxruntime holds is not Python's

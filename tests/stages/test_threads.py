"""Model work in threads: bounded, and abandoned without being forgotten."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import anyio
import pytest

from stages.threads import Workers


class Slow:
    """A step that says that it has begun, and ends when it is let."""

    def __init__(self) -> None:
        self.begun, self.let, self.ended = (threading.Event() for _ in range(3))

    def __call__(self) -> str:
        self.begun.set()
        assert self.let.wait(5)
        self.ended.set()
        return "done"


@pytest.fixture
def slow() -> Iterator[Slow]:
    step = Slow()
    yield step
    step.let.set()  # no thread outlives a test that failed


async def abandoned(workers: Workers, step: Slow) -> None:
    """Begin a step, and give it up in the middle."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workers.run, step)
        assert await anyio.to_thread.run_sync(step.begun.wait, 5)
        tasks.cancel_scope.cancel()


async def test_a_step_returns_what_it_returns_and_raises_what_it_raises() -> None:
    workers = Workers(1)
    assert await workers.run(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 // 0)
    assert not workers.busy


async def test_a_thread_is_taken_until_an_abandoned_step_has_ended(slow: Slow) -> None:
    workers = Workers(1)
    await abandoned(workers, slow)
    assert workers.busy

    seen: list[bool] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workers.run, lambda: seen.append(slow.ended.is_set()))
        await anyio.wait_all_tasks_blocked()
        assert workers.waiting == 1
        slow.let.set()
    assert seen == [True]  # it waited for the step that nobody waits for
    assert not workers.busy


async def test_there_are_never_more_threads_than_allowed_however_much_is_abandoned() -> None:
    workers, steps = Workers(2), [Slow() for _ in range(6)]
    try:
        await abandoned(workers, steps[0])
        await abandoned(workers, steps[1])
        async with anyio.create_task_group() as tasks:
            for step in steps[2:]:
                tasks.start_soon(workers.run, step)
            await anyio.wait_all_tasks_blocked()
            assert (workers.taken, workers.waiting) == (2, 4)
            assert not any(step.begun.is_set() for step in steps[2:])
            tasks.cancel_scope.cancel()
        assert (workers.taken, workers.waiting) == (2, 0)
    finally:
        for step in steps:
            step.let.set()
    assert await workers.run(lambda: "next") == "next"


async def test_it_is_told_once_that_no_thread_is_in_a_step(slow: Slow) -> None:
    workers, over = Workers(1), [0, 0, 0]

    def one(number: int) -> None:
        over[number] += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workers.run, slow, lambda: one(0))
        assert await anyio.to_thread.run_sync(slow.begun.wait, 5)
        tasks.start_soon(workers.run, Slow(), lambda: one(1))
        await anyio.wait_all_tasks_blocked()
        assert workers.waiting == 1
        tasks.cancel_scope.cancel()
    assert over == [0, 1, 0]  # the one that waited is over; the other is still at work
    slow.let.set()
    assert await workers.run(lambda: "next", lambda: one(2)) == "next"
    assert over == [1, 1, 1]


async def test_a_step_that_is_given_up_while_it_waits_takes_no_thread(slow: Slow) -> None:
    workers, never = Workers(1), Slow()
    await abandoned(workers, slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workers.run, never)
        await anyio.wait_all_tasks_blocked()
        assert workers.waiting == 1
        tasks.cancel_scope.cancel()
    slow.let.set()
    assert await workers.run(lambda: "next") == "next"
    assert not never.begun.is_set()
    assert not workers.busy


async def test_a_step_that_is_given_up_before_it_has_a_thread_frees_its_place() -> None:
    workers, never = Workers(1), Slow()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await workers.run(never)
    assert not workers.busy
    assert not never.begun.is_set()

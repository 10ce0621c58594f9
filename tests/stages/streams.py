"""Runs a stage's coroutine on a list, gives back the list it makes, and reads such lists."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

import anyio
import numpy as np

from stages.contracts import Sink, Source
from stages.events import Samples, Speech, TextDelta

T = TypeVar("T")


async def gathered(run: Callable[[Sink[T]], Coroutine[Any, Any, None]]) -> list[T]:
    """Run something that only has a sink, and return what it sends until it closes it."""
    sink, received = anyio.create_memory_object_stream[T](1)
    made: list[T] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, sink)
        async with received:
            made.extend([item async for item in received])
    return made


def text(events: Iterable[object]) -> str:
    """Return the words among what an LLM said."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def sound(speeches: Iterable[Speech]) -> Samples:
    """Return what a voice said, in one piece."""
    return np.concatenate([speech.samples for speech in speeches])


async def fed(
    run: Callable[[Source[Any], Sink[T]], Coroutine[Any, Any, None]], items: Iterable[Any]
) -> list[T]:
    """Run something between a source and a sink on these items."""

    async def both(sink: Sink[T]) -> None:
        give, source = anyio.create_memory_object_stream[Any](0)
        async with source, give, anyio.create_task_group() as tasks:
            tasks.start_soon(run, source, sink)
            for item in items:
                await give.send(item)
            await give.aclose()

    return await gathered(both)

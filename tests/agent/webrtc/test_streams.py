"""A bounded stream whose writer never waits."""

from __future__ import annotations

import anyio
import pytest

from agent.webrtc.streams import Inlet


async def test_items_come_in_order_and_the_end_after_the_last() -> None:
    inlet: Inlet[int] = Inlet(10)
    inlet.put(1)
    inlet.put(2)
    inlet.end()
    assert [item async for item in inlet] == [1, 2]


async def test_a_slow_reader_loses_the_oldest_and_it_is_counted() -> None:
    inlet: Inlet[int] = Inlet(2)
    for item in range(5):
        inlet.put(item)
    inlet.end()
    assert [item async for item in inlet] == [3, 4]
    assert inlet.dropped == 3


async def test_a_waiting_reader_is_woken() -> None:
    inlet: Inlet[str] = Inlet(2)
    got: list[str] = []

    async def read() -> None:
        got.extend([item async for item in inlet])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.lowlevel.checkpoint()
        inlet.put("news")
        await anyio.lowlevel.checkpoint()
        inlet.end()
    assert got == ["news"]


async def test_a_closed_stream_takes_nothing_and_gives_nothing() -> None:
    inlet: Inlet[int] = Inlet(2)
    inlet.put(1)
    await inlet.aclose()
    inlet.put(2)
    with pytest.raises(anyio.ClosedResourceError):
        await inlet.receive()

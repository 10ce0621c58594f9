"""Whole calls on stages without models, over a line without a wire, five times as fast."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import anyio
import numpy as np

from agent.bench.memory_line import MemoryLine
from agent.call import Call
from agent.engines import Stages, open_engines
from agent.memory.keeper import Memories
from agent.messages import ToPage
from agent.profile import Profile, load
from agent.timeline import TurnRecord
from stages.events import SAMPLE_RATE, Samples
from stages.models import ModelStore

M = TypeVar("M")
PACE_S = 0.004


def tone(seconds: float) -> Samples:
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * 200 * at)).astype(np.float32)


@dataclass
class Page:
    """Collects what the page is told, and lets a test wait for it."""

    messages: list[ToPage] = field(default_factory=list)
    _news: anyio.Event = field(default_factory=anyio.Event)

    def take(self, message: ToPage) -> None:
        self.messages.append(message)
        self._news.set()
        self._news = anyio.Event()

    def all(self, kind: type[M]) -> list[M]:
        return [message for message in self.messages if isinstance(message, kind)]

    async def wait_for(self, kind: type[M], count: int = 1) -> M:
        with anyio.fail_after(15):
            while len(self.all(kind)) < count:
                await self._news.wait()
        return self.all(kind)[count - 1]


@dataclass
class Running:
    line: MemoryLine
    page: Page
    call: Call = field(init=False)
    records: list[TurnRecord] = field(default_factory=list)
    blamed: list[str] = field(default_factory=list)  # what failed outside a reply
    ended: anyio.Event = field(default_factory=anyio.Event)
    _kept: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> None:
        await self.call.run(self.line)
        self.ended.set()

    async def end(self) -> None:
        with anyio.fail_after(15):
            await self.ended.wait()

    async def recorded(self, count: int) -> list[TurnRecord]:
        """Wait for records: the ear is given two seconds after each reply."""
        with anyio.fail_after(15):
            while len(self.records) < count:
                self._kept = anyio.Event()
                await self._kept.wait()
        return self.records

    def keep(self, record: TurnRecord) -> None:
        self.records.append(record)
        self._kept.set()


@asynccontextmanager
async def calling(
    tmp_path: Path,
    profile: Profile | None = None,
    change: Callable[[Stages], Stages] = replace,
    come_back_s: float = 10.0,
    pace: float = PACE_S,
    line: type[MemoryLine] = MemoryLine,
    store: ModelStore | None = None,
    memories: Memories | None = None,
    name: str = "test",
) -> AsyncIterator[Running]:
    """Run a call; ``change`` puts a test's own stages in the place of some."""
    page = Page()
    running = Running(line(page.take, pace=pace), page)
    profile = profile or load("bare")
    models = store or ModelStore(tmp_path)
    async with open_engines(models) as engines, anyio.create_task_group() as tasks:
        stages = change(await engines.stages(profile))
        running.call = Call(name, "session", profile, stages, running.keep, come_back_s)
        running.call.memories = memories
        running.call.blame = running.blamed.append
        tasks.start_soon(running.run)
        yield running
        await running.call.hang_up("done")
        tasks.cancel_scope.cancel()

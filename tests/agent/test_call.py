"""Whole calls on stages without models, over a line without a wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import numpy as np

from agent.bench.memory_line import MemoryLine
from agent.call import Call
from agent.engines import open_engines
from agent.messages import Heard, Playing, ReplyEnd, Say, ToPage
from agent.profile import Profile, load
from agent.timeline import TurnRecord
from stages.events import SAMPLE_RATE, Samples
from stages.models import ModelStore


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

    def all(self, kind: type) -> list[ToPage]:
        return [message for message in self.messages if isinstance(message, kind)]

    async def wait_for(self, kind: type, count: int = 1) -> ToPage:
        while len(self.all(kind)) < count:
            await self._news.wait()
        return self.all(kind)[count - 1]


@dataclass
class Running:
    line: MemoryLine
    page: Page
    records: list[TurnRecord]
    call: Call


@asynccontextmanager
async def calling(tmp_path: Path, profile: Profile | None = None) -> AsyncIterator[Running]:
    page, records = Page(), list[TurnRecord]()
    line = MemoryLine(page.take)
    profile = profile or load("bare")
    async with open_engines(ModelStore(tmp_path)) as engines, anyio.create_task_group() as tasks:
        stages = await engines.stages(profile)
        call = Call("test", "session", profile, stages, records.append)
        tasks.start_soon(call.run, line)
        yield Running(line, page, records, call)
        await call.hang_up("done")
        tasks.cancel_scope.cancel()


async def test_a_spoken_turn_is_answered_and_recorded(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await running.page.wait_for(ReplyEnd)  # the greeting
        running.line.say(tone(1.0))
        end = await running.page.wait_for(ReplyEnd, 2)
    assert isinstance(end, ReplyEnd)
    assert not end.interrupted
    final = [m for m in running.page.all(Heard) if isinstance(m, Heard) and m.final]
    assert len(final) == 1
    assert final[0].text in end.heard
    [record] = running.records
    assert record.user_text == final[0].text
    assert record.first_response_ms is not None
    assert abs(sum(ms for _, ms in record.spans) - record.first_response_ms) < 1e-6


async def test_typed_words_are_answered_without_speech(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await running.page.wait_for(ReplyEnd)
        running.line.write(Say(text="good morning"))
        end = await running.page.wait_for(ReplyEnd, 2)
    assert isinstance(end, ReplyEnd)
    assert "good morning" in end.heard


async def test_speech_over_a_reply_ends_it_where_it_was_heard(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await running.page.wait_for(ReplyEnd)
        running.line.write(Say(text="tell me a very long story about the sea and its ships"))
        await running.page.wait_for(Playing, 2)
        running.line.say(tone(1.2))
        end = await running.page.wait_for(ReplyEnd, 2)
        assert isinstance(end, ReplyEnd)
        assert end.interrupted
        said = [m.content for m in running.call.history]
        assert said[-1] == end.heard or end.heard == ""

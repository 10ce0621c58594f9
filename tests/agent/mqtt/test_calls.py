"""Real calls, followed through a real broker that is killed in the middle of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent.bench.memory_line import MemoryLine
from agent.call import Call
from agent.engines import Stages, open_engines
from agent.messages import ReplyEnd, Say
from agent.mqtt import open_mqtt
from agent.mqtt.link import Link
from agent.observe import OverheardLine, Watchers
from agent.profile import load
from stages.models import ModelStore
from tests.agent.calling import PACE_S, Page
from tests.agent.mqtt.following import ScriptedDesk, follower
from tests.agent.mqtt.test_link import settings_of
from tests.servers.mosquitto import mosquitto

CALLS = 10


class Caller:
    """Somebody who types, and waits for the answer."""

    def __init__(self, name: str, stages: Stages, watchers: Watchers) -> None:
        self.page = Page()
        self.line = MemoryLine(self.page.take, pace=PACE_S)
        self.watchers = watchers
        self.call = Call(name, name, load("bare"), stages, watchers.turn)

    async def run(self) -> None:
        self.watchers.call_started(self.call.name, "bare", "Bare")
        await self.call.run(
            OverheardLine(self.call.name, self.line, self.watchers, lambda: False)
        )
        self.watchers.call_ended(self.call.name)

    async def ask(self, turn: int) -> None:
        self.line.write(Say(text=f"question {turn}"))
        end = await self.page.wait_for(ReplyEnd, turn + 1)
        assert f"question {turn}" in end.heard


@asynccontextmanager
async def callers(tmp_path: Path, link: Link) -> AsyncIterator[list[Caller]]:
    watchers = Watchers([link.reporter])
    async with AsyncExitStack() as stack:
        engines = await stack.enter_async_context(open_engines(ModelStore(tmp_path)))
        stages = await engines.stages(load("bare"))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        people = [Caller(f"c{number}", stages, watchers) for number in range(CALLS)]
        for person in people:
            tasks.start_soon(person.run)
        for person in people:
            await person.page.wait_for(ReplyEnd)  # the greeting
        yield people
        for person in people:
            await person.call.hang_up("done")


async def everybody_asks(people: list[Caller], turn: int) -> None:
    async with anyio.create_task_group() as tasks:
        for person in people:
            tasks.start_soon(person.ask, turn)


@pytest.mark.timeout(60)
async def test_a_broker_killed_in_the_middle_of_ten_calls_is_missed_by_none(
    tmp_path: Path,
) -> None:
    async with mosquitto(tmp_path) as broker:
        async with open_mqtt(settings_of(broker), ScriptedDesk()) as link:
            async with callers(tmp_path, link) as people:
                with anyio.fail_after(10):
                    await link.connected.wait()
                await everybody_asks(people, 1)
                await broker.kill()
                await everybody_asks(people, 2)
                await everybody_asks(people, 3)
                await broker.start()
                async with follower(broker) as home:
                    await home.next("status", lambda payload: payload == "online")
                    await everybody_asks(people, 4)
                    discovered = [t for t, _ in home.all if t.startswith("homeassistant/")]
            with anyio.fail_after(15):
                await link.outbox.empty()  # everything that waited goes out
        assert link.connections == 2
        assert len(discovered) >= 8, "a broker that forgot everything is told again"
        assert (link.outbox.dropped_records, link.outbox.dropped_others) == (0, 0)


@pytest.mark.timeout(60)
async def test_what_happened_while_the_broker_was_away_is_told_later(tmp_path: Path) -> None:
    async with (
        mosquitto(tmp_path) as broker,
        open_mqtt(settings_of(broker), ScriptedDesk()) as link,
    ):
        with anyio.fail_after(10):
            await link.connected.wait()
        await broker.kill()
        async with callers(tmp_path, link) as people:
            await everybody_asks(people, 1)
        waiting = len(link.outbox)
        await broker.start()
        with anyio.fail_after(30):
            await link.outbox.empty()
        async with follower(broker) as home:
            figures = await home.next("figures")
    assert waiting >= 3 * CALLS, "starts, replies and ends waited"
    assert figures["turns"] == CALLS
    assert link.outbox.dropped_records == link.outbox.dropped_others == 0

"""Somebody at home who follows an agent through a broker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import anyio

from agent.desk import CallInfo
from agent.errors import CallRefused
from tests.servers.mosquitto import Broker

BASE = "firstword/v1/kitchen"


@dataclass
class ScriptedDesk:
    """Does what is asked to one call, and notes it."""

    under_way: list[CallInfo] = field(
        default_factory=lambda: [CallInfo("c1", "bare", "Bare", "2026-01-01T00:00:00", False)],
        kw_only=True,
    )
    done: list[tuple[str, ...]] = field(default_factory=list, kw_only=True)

    def calls(self) -> list[CallInfo]:
        return self.under_way

    def say(self, call: str, text: str) -> None:
        self._know(call)
        self.done.append(("say", call, text))

    def mute(self, call: str, muted: bool) -> None:
        self._know(call)
        self.done.append(("mute", call, str(muted)))

    async def switch(self, call: str, profile: str) -> None:
        self._know(call)
        if profile == "broken":
            raise RuntimeError("a fault of ours")
        self.done.append(("switch", call, profile))

    async def hang_up(self, call: str) -> bool:
        self.done.append(("hangup", call))
        return any(one.call == call for one in self.under_way)

    def _know(self, call: str) -> None:
        if all(one.call != call for one in self.under_way):
            raise CallRefused(404, "There is no such call; it may be over already.")


@dataclass
class Follower:
    """What came from the broker, in order."""

    client: aiomqtt.Client
    came: list[tuple[str, str]] = field(default_factory=list)  # topic without its base, payload
    all: list[tuple[str, str]] = field(default_factory=list)  # what was looked at included
    _news: anyio.Event = field(default_factory=anyio.Event)

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            topic = message.topic.value.removeprefix(BASE + "/")
            self.came.append((topic, message.payload.decode(errors="replace")))
            self.all.append(self.came[-1])
            self._news.set()
            self._news = anyio.Event()

    async def next(
        self, topic: str, found: Callable[[Any], bool] = lambda payload: True
    ) -> Any:
        """Return the first payload of a topic that is as wanted; it and all before are gone."""
        with anyio.fail_after(15):
            while True:
                for place, (name, payload) in enumerate(self.came):
                    if name == topic and found(self.read(payload)):
                        del self.came[: place + 1]
                        return self.read(payload)
                await self._news.wait()

    @staticmethod
    def read(payload: str) -> Any:
        return json.loads(payload) if payload[:1] in ("{", "[") else payload

    def topics(self) -> set[str]:
        return {topic for topic, _ in self.all}

    async def ask(self, command: str, payload: object = "", retain: bool = False) -> Any:
        """Send a command and return its answer."""
        text = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        await self.client.publish(f"{BASE}/command/{command}", text, qos=1, retain=retain)
        return await self.next("answer")


@asynccontextmanager
async def follower(broker: Broker) -> AsyncIterator[Follower]:
    """Follow everything that the user ``home`` may read."""
    async with broker.client() as client:
        await client.subscribe([(f"{BASE}/#", 1), ("homeassistant/#", 1)])
        one = Follower(client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.listen)
            yield one
            tasks.cancel_scope.cancel()

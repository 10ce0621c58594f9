"""A server on a free port, with scripted calls behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import anyio
from aiohttp import ClientResponse, ClientSession

from agent.errors import CallRefused
from agent.profile import Entry, Shelf
from agent.resources import folder
from agent.server import (
    Figures,
    MemoryRoutes,
    Routes,
    ServeSettings,
    Started,
    VoiceRoutes,
    serve,
)
from agent.server.memories import Remembered
from agent.server.voices import Enrolments
from tests.agent.mqtt.following import ScriptedDesk

SDP = "v=0 a secret offer"
OFFER = {"sdp": SDP, "type": "offer"}
TOKEN = "correct-horse-battery"


@dataclass
class ScriptedCalls(ScriptedDesk):
    """Says what it is told to, and remembers what it was asked."""

    answer: Started | CallRefused | Exception = field(
        default_factory=lambda: Started("c1", "s1", "v=0 answer")
    )
    limit: int = 2
    count: int = 1
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    async def start(self, offer_sdp: str, profile_id: str | None, session: str | None) -> Started:
        self.asked.append((offer_sdp, profile_id, session))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def drain(self, deadline_s: float) -> None:
        self.limit = 0


def shipped() -> list[Entry]:
    return Shelf((folder("profiles"),)).load_all()


@dataclass
class Served:
    """A server that runs, and one who asks it."""

    url: str
    session: ClientSession

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any, ClientResponse]:
        async with self.session.request(method, self.url + path, **more) as response:
            text = await response.text()
            body = json.loads(text) if response.content_type == "application/json" else text
            return response.status, body, response

    async def offer(self, **more: Any) -> tuple[int, Any, ClientResponse]:
        return await self.ask("POST", "/api/calls", **({"json": OFFER} | more))


@asynccontextmanager
async def served(
    calls: ScriptedCalls,
    figures: Figures | None = None,
    enrolments: Enrolments | None = None,
    memories: Remembered | None = None,
    **changes: Any,
) -> AsyncIterator[Served]:
    """Run a server on a free port for as long as the block lasts."""
    asked = replace(ServeSettings(port=0), **changes)
    addresses: list[str] = []
    up = anyio.Event()

    def started(address: str) -> None:
        addresses.append(address)
        up.set()

    async with ClientSession() as session, anyio.create_task_group() as tasks:
        more: list[Routes] = [figures] if figures else []
        more += [VoiceRoutes(asked, enrolments)] if enrolments else []
        more += [MemoryRoutes(asked, memories)] if memories else []
        tasks.start_soon(partial(serve, asked, calls, shipped, started=started, more=more))
        with anyio.fail_after(10):
            await up.wait()
        yield Served(addresses[0].rstrip("/"), session)
        tasks.cancel_scope.cancel()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}

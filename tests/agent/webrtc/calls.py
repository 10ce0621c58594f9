"""A line and a caller, connected on loopback; both are free of tasks and sockets at the end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import numpy as np

from agent.line import FRAME
from agent.messages import Ping
from agent.webrtc import IceSettings, Watches, WebRtcLine, answer
from agent.webrtc.peer import Peer
from stages.events import Samples
from tests.servers.tone_agent import tone

LOCAL = IceSettings(hosts=("127.0.0.1",))
PATIENT = Watches(connect=15.0, heartbeat=15.0, sound=15.0)


def silent() -> Samples:
    """Give a frame of silence."""
    return np.zeros(FRAME, dtype=np.float32)


@dataclass(eq=False)
class Toner:
    """Gives a steady tone, frame by frame, and counts the frames."""

    frames: int = 0
    sound: Samples = field(default_factory=lambda: tone(1.0))

    def __call__(self) -> Samples:
        at = self.frames % 50 * FRAME
        self.frames += 1
        return self.sound[at : at + FRAME]


@dataclass(eq=False)
class Pair:
    line: WebRtcLine
    peer: Peer
    heard: list[tuple[Samples, int]]
    news: anyio.Event = field(default_factory=anyio.Event)

    def _sound(self, samples: Samples, position: int, arrival: float) -> None:
        self.heard.append((samples, position))
        self.news.set()

    async def hears(self, enough: Callable[[], bool]) -> None:
        """Wait until the caller heard enough."""
        while not enough():
            self.news = anyio.Event()
            await self.news.wait()


@asynccontextmanager
async def connected(
    says: Callable[[], Samples] = silent,
    *,
    watches: Watches = PATIENT,
    watched: bool = True,
) -> AsyncIterator[Pair]:
    """Connect a caller to a line; with ``watched`` the line's ``run`` goes on beside."""
    heard: list[tuple[Samples, int]] = []
    pairs: list[Pair] = []

    def sound(samples: Samples, position: int, arrival: float) -> None:
        for pair in pairs:
            pair._sound(samples, position, arrival)

    peer = Peer(says, sound, ice=LOCAL)
    try:
        line, sdp = await answer(await peer.offer(), LOCAL, watches)
        pairs.append(Pair(line, peer, heard))
        async with anyio.create_task_group() as tasks:
            if watched:
                tasks.start_soon(line.run)
            await peer.accept(sdp)
            with anyio.fail_after(10):
                await peer.opened.wait()
            peer.send(Ping(t0=time.monotonic() * 1000))
            try:
                yield pairs[0]
            finally:
                await line.close("the test is over")
            tasks.cancel_scope.cancel()
    finally:
        await peer.close()

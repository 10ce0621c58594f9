"""An agent that follows a script: the real page and the real wire, with known words and sounds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import numpy as np
from aiohttp import web
from anyio.abc import TaskGroup

from agent.line import FRAME, PLAYOUT_RATE
from agent.messages import FromPage, ToPage, Welcome
from agent.resources import folder
from agent.webrtc import IceSettings, WebRtcLine, answer
from stages.events import SAMPLE_RATE, Samples

Word = TypeVar("Word", bound=FromPage)
WITHIN = 12.0  # seconds that a script waits for something
CSP = "default-src 'self'"
AVA = {
    "id": "ava",
    "name": "Ava",
    "avatar": "🌿",
    "language": "en",
    "greeting": "Hello, I'm Ava. What shall we talk about?",
    "default": True,
}


class Unplugged(Exception):
    """The agent's end vanished without a word."""


@dataclass
class Scene:
    """One call, for a script to act on."""

    line: WebRtcLine
    offer: Mapping[str, Any]
    queue: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    gone: bool = False
    inbox: list[FromPage] = field(default_factory=list)
    _begun: float = 0.0
    _first: anyio.Event = field(default_factory=anyio.Event)
    _over: anyio.Event = field(default_factory=anyio.Event)


    def end(self) -> None:
        """Say that the line is over."""
        self._over.set()

    async def over(self) -> None:
        """Wait until the line is."""
        with anyio.fail_after(WITHIN):
            await self._over.wait()

    def tell(self, *messages: ToPage) -> None:
        for message in messages:
            self.line.send(message)

    def pull(self) -> Samples:
        """Give the wire its next 20 ms."""
        if self.gone:
            raise Unplugged
        frame, self.queue = self.queue[:FRAME], self.queue[FRAME:]
        if len(frame) and not self._first.is_set():
            self._begun = time.monotonic()
            self._first.set()
        return np.pad(frame, (0, FRAME - len(frame)))

    async def play(self, samples: Samples) -> float:
        """Play this, and return when its first frame left, in seconds."""
        self.queue, self._first = samples, anyio.Event()
        with anyio.fail_after(WITHIN):
            await self._first.wait()
        return self._begun

    def stop(self) -> None:
        """Cut off what plays."""
        self.queue = self.queue[:0]

    async def heard(self, kind: type[Word]) -> Word:
        """Return the next of these words that the page says."""
        with anyio.fail_after(WITHIN):
            async for word in self.line.inbox:
                self.inbox.append(word)
                if isinstance(word, kind):
                    return word
        raise AssertionError(f"the page left without {kind.__name__}; it said {self.inbox}")

    async def listen(self, seconds: float) -> None:
        """Let the caller's line run for as long, whatever is on it."""
        heard = 0
        async for audio in self.line.audio:
            heard += len(audio.samples)
            if heard >= seconds * SAMPLE_RATE:
                return

    async def utterance(self) -> tuple[float, float]:
        """Listen to the caller; return when they began and ended, once 300 ms are quiet."""
        begun = ended = 0
        with anyio.fail_after(WITHIN):
            async for audio in self.line.audio:
                loud = np.flatnonzero(np.abs(audio.samples) > 0.02)
                if len(loud):
                    begun = begun or audio.start + int(loud[0])
                    ended = audio.start + int(loud[-1])
                elif begun and audio.end - ended > 0.3 * SAMPLE_RATE:
                    return self.line.spoken_at(begun), self.line.spoken_at(ended)
        raise AssertionError("the caller said nothing")


Script = Callable[[Scene], Awaitable[None]]


async def silent(scene: Scene) -> None:
    """Say nothing."""


@dataclass
class ScriptedAgent:
    """Serves the page and takes calls. What it answers with can be changed while it runs."""

    tasks: TaskGroup
    script: Script = silent
    token: str = ""
    refusal: tuple[int, str, int] | None = None  # status, sentence, seconds for Retry-After
    profiles: list[dict[str, Any]] = field(default_factory=lambda: [dict(AVA)])
    offers: list[Mapping[str, Any]] = field(default_factory=list)
    scenes: list[Scene] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    address: str = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/api/info", self._info)
        app.router.add_get("/api/profiles", self._profiles)
        app.router.add_post("/api/calls", self._call)
        app.router.add_delete("/api/calls/{call}", self._leave)
        app.router.add_static("/", folder("web"))
        app.on_response_prepare.append(self._guard)
        return app

    async def _guard(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = CSP

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(folder("web") / "index.html")

    async def _info(self, request: web.Request) -> web.Response:
        known = {"version": "0", "token_required": bool(self.token), "max_calls": 1}
        return web.json_response(known)

    async def _profiles(self, request: web.Request) -> web.Response:
        return self._refused(request) or web.json_response({"profiles": self.profiles})

    async def _call(self, request: web.Request) -> web.Response:
        refused = self._refused(request)
        if refused:
            return refused
        if self.refusal:
            status, sentence, after = self.refusal
            headers = {"Retry-After": str(after)}
            return web.json_response({"error": sentence}, status=status, headers=headers)
        offer = await request.json()
        self.offers.append(offer)
        line, sdp = await answer(offer["sdp"], IceSettings())
        scene = Scene(line, offer)
        self.scenes.append(scene)
        self.tasks.start_soon(self._run, scene)
        call = f"call-{len(self.offers)}"
        said = {"call": call, "session": "the-session", "sdp": sdp, "type": "answer"}
        return web.json_response(said, status=201)

    async def _leave(self, request: web.Request) -> web.Response:
        self.left.append(request.match_info["call"])
        return web.Response(status=204)

    def _refused(self, request: web.Request) -> web.Response | None:
        wanted = f"Bearer {self.token}" if self.token else None
        if request.headers.get("Authorization") == wanted:
            return None
        return web.json_response({"error": "A token is needed."}, status=401)

    async def _run(self, scene: Scene) -> None:
        line = scene.line
        line.play(scene.pull)
        line.send(Welcome(call="call", session="the-session", profile="ava", name="Ava"))
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._act, scene)
                await line.run()
                tasks.cancel_scope.cancel()
        except* Unplugged:
            pass
        finally:
            await line.close("The script is over.")
            scene.end()

    async def _act(self, scene: Scene) -> None:
        await self.script(scene)


@asynccontextmanager
async def scripted_agent(script: Script = silent, **settings: Any) -> AsyncIterator[ScriptedAgent]:
    """Serve the page on a port of its own; at the end every call is over."""
    async with anyio.create_task_group() as tasks:
        agent = ScriptedAgent(tasks, script, **settings)
        runner = web.AppRunner(agent.app(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        agent.address = f"http://{host}:{port}/"
        try:
            yield agent
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()
            tasks.cancel_scope.cancel()


def tone(seconds: float, hertz: float = 440.0) -> Samples:
    """Return a steady sound that begins and ends hard."""
    places = np.arange(int(seconds * PLAYOUT_RATE))
    samples: Samples = (0.3 * np.sin(2 * np.pi * hertz / PLAYOUT_RATE * places)).astype(np.float32)
    return samples

"""An agent without a mind: after 300 ms of silence it answers with a tone. Really over WebRTC."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import numpy as np
from aiohttp import web
from anyio.abc import TaskGroup

from agent.errors import CallRefused
from agent.line import FRAME, PLAYOUT_RATE
from agent.messages import (
    Flush,
    HangUp,
    Heard,
    HeardReply,
    Playing,
    Reply,
    ReplyEnd,
    Silenced,
    State,
    TimelineWord,
    Trouble,
    Welcome,
)
from agent.webrtc import IceSettings, WebRtcLine, answer
from stages.events import SAMPLE_RATE, Audio, Samples

LOUD = 0.02
PAUSE = SAMPLE_RATE * 3 // 10
INTERRUPTS = 3
"""Loud frames that end a reply."""


def tone(seconds: float, rate: int = PLAYOUT_RATE, level: float = 0.3) -> Samples:
    times = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * 440 * times + 0.7)).astype(np.float32)


@dataclass(eq=False)
class ToneCall:
    line: WebRtcLine
    reply: Samples
    greeting: Samples
    mute: bool = False  # never answers
    turn: int = 0
    number: int = 0
    reports: list[HeardReply | Silenced] = field(default_factory=list)
    _left: Samples = field(default_factory=lambda: tone(0.0))
    _announce: bool = False
    _last_loud: int = 0
    _speaking: bool = False
    _loud_frames: int = 0

    async def run(self) -> None:
        self.line.play(self._pull)
        self.line.send(Welcome(call="c1", session="s1", profile="tone", name="Tone"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.line.run)
            tasks.start_soon(self._listen)
            if len(self.greeting):
                self._answer(self.greeting, "Hello.")
            async for word in self.line.inbox:
                if isinstance(word, HeardReply | Silenced):
                    self.reports.append(word)
                if isinstance(word, HangUp):
                    break
            await self.line.close("goodbye")

    async def _listen(self) -> None:
        async for audio in self.line.audio:
            self._hear(audio)

    def _hear(self, audio: Audio) -> None:
        loud = float(np.abs(audio.samples).max(initial=0.0)) > LOUD
        self._loud_frames = self._loud_frames + 1 if loud else 0
        if loud:
            self._speaking = True
            self._last_loud = audio.end
            if len(self._left) and self._loud_frames >= INTERRUPTS:
                self._interrupt()
        elif self._speaking and audio.end - self._last_loud >= PAUSE:
            self._speaking = False
            self._end_of_turn()

    def _end_of_turn(self) -> None:
        self.turn += 1
        self.line.send(Heard(turn=self.turn, text="beep", stable=0))
        self.line.send(Heard(turn=self.turn, text="Beep.", stable=5, final=True))
        if self.mute:
            self.line.send(Trouble(sentence="The agent has lost its tongue."))
            return
        self._answer(self.reply, "Toot.")

    def _answer(self, samples: Samples, text: str) -> None:
        self.number += 1
        self.line.send(State(state="thinking"))
        self.line.send(Reply(turn=self.turn, reply=self.number, clause=0, text=text))
        self._left, self._announce = samples, True

    def _interrupt(self) -> None:
        self._left = self._left[:0]
        self.line.send(Flush(turn=self.turn, reply=self.number))
        self._over(interrupted=True)

    def _over(self, *, interrupted: bool) -> None:
        end = ReplyEnd(turn=self.turn, reply=self.number, heard="Toot.", interrupted=interrupted)
        self.line.send(end)
        self.line.send(State(state="listening"))
        record = {"turn": self.turn, "spans": [["endpoint", 300.0]], "first_response_ms": 300.0}
        self.line.send(TimelineWord(turn=self.turn, record=record))

    def _pull(self) -> Samples:
        frame = np.zeros(FRAME, dtype=np.float32)
        if self._announce:
            self._announce = False
            end = self.line.spoken_at(self._last_loud) * 1000 if self.turn else None
            at = time.monotonic() * 1000
            playing = Playing(turn=self.turn, reply=self.number, at=at, speech_end=end)
            self.line.send(playing)
            self.line.send(State(state="speaking"))
        piece, self._left = self._left[:FRAME], self._left[FRAME:]
        frame[: len(piece)] = piece
        if len(piece) and not len(self._left):
            self._over(interrupted=False)
        return frame


@dataclass(eq=False)
class ToneAgent:
    url: str = ""
    token: str | None = None
    full: bool = False
    mute: bool = False
    greeting: Samples = field(default_factory=lambda: tone(0.0))
    reply: Samples = field(default_factory=lambda: tone(0.4))
    calls: list[ToneCall] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"error": "The token is wrong."}, status=401)
        if self.full:
            busy = {"error": "All lines are busy."}
            return web.json_response(busy, status=503, headers={"Retry-After": "7"})
        try:
            line, sdp = await answer((await request.json())["sdp"], IceSettings())
        except CallRefused as error:
            return web.json_response({"error": str(error)}, status=error.status)
        call = ToneCall(line, self.reply, self.greeting, self.mute)
        self.calls.append(call)
        tasks: TaskGroup = request.app[_TASKS]
        tasks.start_soon(call.run)
        told = {"call": "c1", "session": "s1", "sdp": sdp, "type": "answer"}
        return web.json_response(told, status=201)


_TASKS = web.AppKey("tasks", TaskGroup)


@asynccontextmanager
async def serving(agent: ToneAgent) -> AsyncIterator[ToneAgent]:
    """Serve the agent on a free port of 127.0.0.1; whatever still runs at the end is closed."""
    app = web.Application()
    app.router.add_post("/api/calls", agent.take)
    async with anyio.create_task_group() as tasks:
        app[_TASKS] = tasks
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        agent.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield agent
        finally:
            with anyio.CancelScope(shield=True):
                for call in agent.calls:
                    await call.line.close("the test is over")
                await runner.cleanup()
            tasks.cancel_scope.cancel()

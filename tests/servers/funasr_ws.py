"""A local server that speaks FunASR's 2-pass WebSocket protocol, with words known beforehand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

STEP = 2 * 9_600
"""Bytes of PCM after which it says the next piece of a text: 600 ms."""


@dataclass
class FunasrServer:
    """What it says, how it misbehaves, and what it was sent.

    Attributes:
        online: pieces of an utterance, one every 600 ms.
        offline: what it says of it at the end; one an end, the last one again and again.
        acks: whether it says where a final ends, as newer servers do.
        cut_after: bytes of audio after which it breaks off; each connection takes one of them.
        junk: said instead of everything.
        silent: it never says a final.
    """

    online: tuple[str, ...] = ("今天", "天气", "怎么样")
    offline: tuple[str, ...] = ("今天天气怎么样？",)
    acks: bool = True
    cut_after: list[int] = field(default_factory=list)
    junk: str | bytes | None = None
    error: str = ""
    silent: bool = False
    url: str = ""
    greetings: list[dict[str, object]] = field(default_factory=list)
    audio: list[int] = field(default_factory=list)  # bytes, by connection
    frames: set[int] = field(default_factory=set)  # sizes of messages, in bytes
    ends: int = 0

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("binary",))
        await socket.prepare(request)
        cut = self.cut_after.pop(0) if self.cut_after and self.greetings else None
        connection, heard = -1, 0
        async for message in socket:
            if message.type == WSMsgType.BINARY:
                before, heard = heard, heard + len(message.data)
                self.frames.add(len(message.data))
                self.audio[connection] += len(message.data)
                if cut is not None and heard >= cut:
                    break
                await self._online(socket, before // STEP, heard // STEP)
            elif message.type == WSMsgType.TEXT:
                said = json.loads(message.data)
                if "mode" in said:
                    connection = len(self.greetings)
                    self.greetings.append(said)
                    self.audio.append(0)
                if not said["is_speaking"]:
                    heard = 0
                    await self._end(socket)
        if not socket.closed and cut is not None and request.transport is not None:
            request.transport.abort()
        return socket

    async def _online(self, socket: web.WebSocketResponse, before: int, now: int) -> None:
        if self.junk is not None:
            if isinstance(self.junk, bytes):
                await socket.send_bytes(self.junk)
            else:
                await socket.send_str(self.junk)
            return
        for piece in self.online[before:now]:
            await self._say(socket, {"mode": "2pass-online", "text": piece, "is_final": False})

    async def _end(self, socket: web.WebSocketResponse) -> None:
        text = self.offline[min(self.ends, len(self.offline) - 1)]
        self.ends += 1
        if self.error:
            await self._say(socket, {"mode": "2pass-offline", "is_end": True, "error": self.error})
            return
        if self.silent:
            return
        if text:
            await self._say(socket, {"mode": "2pass-offline", "text": text, "is_final": True})
        if self.acks:
            await self._say(socket, {"mode": "2pass", "is_final": True, "is_end": True})

    async def _say(self, socket: web.WebSocketResponse, said: dict[str, object]) -> None:
        await socket.send_str(json.dumps({"wav_name": "one", **said}, ensure_ascii=False))


@asynccontextmanager
async def funasr_server(server: FunasrServer | None = None) -> AsyncIterator[FunasrServer]:
    """Serve on a free port of this machine."""
    server = server or FunasrServer()
    application = web.Application()
    application.router.add_get("/", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
        yield server
    finally:
        await runner.cleanup()

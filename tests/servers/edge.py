"""A server on a Unix socket that speaks the read-aloud protocol, well or badly as a test says.

aiohttp's ``UnixConnector`` reaches it without TLS whatever the address says, so the package
edge-tts talks to it as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import TypeAlias

import aiohttp
import anyio
import av
import numpy as np
from aiohttp import web
from av.audio.codeccontext import AudioCodecContext

from stages.events import Samples

RATE = 24_000
TICKS_PER_SAMPLE = 10_000_000 / RATE

Turn: TypeAlias = Callable[["Talk"], Awaitable[None]]


def mp3(samples: Samples) -> bytes:
    """Return audio at ``RATE`` in the service's format: 48 kbit/s, mono."""
    codec = av.CodecContext.create("libmp3lame", "w")
    assert isinstance(codec, AudioCodecContext)
    codec.sample_rate, codec.layout, codec.format = RATE, "mono", "fltp"
    codec.bit_rate = 48_000
    codec.open()
    encoded = b""
    for at in range(0, len(samples), codec.frame_size):
        frame = av.AudioFrame.from_ndarray(
            samples[np.newaxis, at : at + codec.frame_size], format="fltp", layout="mono"
        )
        frame.sample_rate = RATE
        encoded += b"".join(bytes(packet) for packet in codec.encode(frame))
    return encoded + b"".join(bytes(packet) for packet in codec.encode(None))


def tone(milliseconds: int, loudness: float = 0.3) -> Samples:
    """Return a tone; a loudness of 0 is silence."""
    at = np.arange(milliseconds * RATE // 1000)
    made: Samples = (loudness * np.sin(2 * np.pi * 300 / RATE * at)).astype(np.float32)
    return made


class Talk:
    """One request: what was asked for, and the means to answer."""

    def __init__(self, socket: web.WebSocketResponse, config: str, ssml: str) -> None:
        self.socket, self.config, self.ssml = socket, config, ssml
        found = re.search(r"<prosody [^>]*>(.*)</prosody>", ssml, re.S)
        self.text = unescape(found.group(1)) if found else ""

    async def words(self, path: str, body: str = "{}") -> None:
        """Send a text message."""
        await self.socket.send_str(
            "X-RequestId:0123\r\nContent-Type:application/json; charset=utf-8\r\n"
            f"Path:{path}\r\n\r\n{body}"
        )

    async def word(self, text: str, start: int, length: int) -> None:
        """Send the place of a word, in samples."""
        data = {
            "Offset": round(start * TICKS_PER_SAMPLE),
            "Duration": round(length * TICKS_PER_SAMPLE),
            "text": {"Text": text, "Length": len(text), "BoundaryType": "WordBoundary"},
        }
        told = {"Metadata": [{"Type": "WordBoundary", "Data": data}]}
        await self.words("audio.metadata", json.dumps(told))

    async def audio(self, data: bytes, piece: int = 720) -> None:
        """Send MP3 in messages of so many bytes."""
        header = b"X-RequestId:0123\r\nContent-Type:audio/mpeg\r\nPath:audio\r\n"
        for at in range(0, len(data), piece):
            message = len(header).to_bytes(2, "big") + header + data[at : at + piece]
            await self.socket.send_bytes(message)

    async def end(self) -> None:
        """Send the closing messages of a whole answer."""
        header = b"X-RequestId:0123\r\nPath:audio\r\n"
        await self.socket.send_bytes(len(header).to_bytes(2, "big") + header)
        await self.words("turn.end")


class Way(aiohttp.UnixConnector):
    """A way to a Unix socket that the package may close as often as it likes."""

    def close(self, *, abort_ssl: bool = False) -> Awaitable[None]:
        """Leave it open."""
        return _nothing()

    async def end(self) -> None:
        """Close it."""
        await super().close()


async def _nothing() -> None:
    """Do nothing, without a moment at which one could be cancelled."""


class EdgeServer:
    """A running server: give its ``connector`` to the package."""

    def __init__(self, path: Path, turns: tuple[Turn | int, ...]) -> None:
        self._turns = turns
        self.connector = Way(str(path))
        self.asked: list[Talk] = []
        self.requests = 0
        self.came = anyio.Event()  # a request was read
        self.gone = anyio.Event()  # a caller closed its connection before the end of its turn

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        turn = self._turns[min(self.requests, len(self._turns)) - 1]
        if isinstance(turn, int):
            return web.Response(status=turn)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        talk = Talk(socket, await socket.receive_str(), await socket.receive_str())
        self.asked.append(talk)
        self.came.set()
        try:
            await turn(talk)
        except (anyio.get_cancelled_exc_class(), ConnectionError):
            self.gone.set()
            raise
        await socket.close()
        return socket


@asynccontextmanager
async def edge_server(folder: Path, *turns: Turn | int) -> AsyncIterator[EdgeServer]:
    """Run a server; a number is an HTTP status; the last turn is for all later requests."""
    path = folder / "edge.socket"
    server = EdgeServer(path, turns)
    app = web.Application()
    app.router.add_get("/consumer/speech/synthesize/readaloud/edge/v1", server.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(path)).start()
        yield server
    finally:
        await server.connector.end()
        await runner.cleanup()


def speaks(data: bytes, *words: tuple[str, int, int], piece: int = 720) -> Turn:
    """Answer as the service does: stamps first, audio, end."""

    async def turn(talk: Talk) -> None:
        await talk.words("turn.start")
        await talk.words("response")
        for text, start, length in words:
            await talk.word(text, start, length)
        await talk.audio(data, piece)
        await talk.end()

    return turn


def falls_silent(data: bytes = b"") -> Turn:
    """Send this audio, then nothing, until the caller hangs up."""

    async def turn(talk: Talk) -> None:
        await talk.words("turn.start")
        await talk.audio(data)
        await _until_hung_up(talk)

    return turn


def cuts(data: bytes = b"", close: bool = True) -> Turn:
    """Send this audio and end the connection, with a closing message or without."""

    async def turn(talk: Talk) -> None:
        await talk.words("turn.start")
        await talk.audio(data)
        if not close:
            talk.socket._req.transport.abort()  # type: ignore[union-attr]

    return turn


async def _until_hung_up(talk: Talk) -> None:
    async for _ in talk.socket:
        pass
    raise ConnectionResetError

"""A chat-completions server on loopback that behaves, or misbehaves, as a test says.

Where its pace is what is tested, run the test on the clock of ``tests/skipping.py``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
from aiohttp import web

Turn: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ChatServer:
    """What a running server was asked, and whether its callers hung up."""

    def __init__(self, turns: tuple[Turn, ...]) -> None:
        self._turns = turns
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.connections: set[object] = set()
        self.waiting = anyio.Event()  # a turn has sent all it will and waits
        self.gone = anyio.Event()  # its caller closed the connection meanwhile

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))
        self.paths.append(request.path)
        if request.method == "GET":
            return web.json_response({"object": "list", "data": [{"id": "m"}]})
        self.headers.append(dict(request.headers))
        self.asked.append(await request.json())
        turn = self._turns[min(len(self.asked), len(self._turns)) - 1]
        try:
            return await turn(request)
        except Silence:
            self.waiting.set()
            try:
                await anyio.sleep_forever()
            finally:
                self.gone.set()
            raise


class Silence(Exception):
    """The server says nothing more, and keeps the connection."""


@asynccontextmanager
async def chat_server(*turns: Turn) -> AsyncIterator[ChatServer]:
    """Run a server; the first request gets the first turn, the last turn is for all later ones."""
    server = ChatServer(turns)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.url = f"http://{host}:{port}/v1"
        yield server
    finally:
        await runner.cleanup()


def delta(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk that adds text."""
    said = {"content": text, **more} if text is not None else more
    return {"choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def event(chunk: object) -> bytes:
    """Return a chunk as a server-sent event."""
    return b"data: " + (chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()) + b"\n\n"


END = (delta(finish="stop"), b"[DONE]")


async def _stream(request: web.Request, chunks: tuple[object, ...]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for chunk in chunks:
        await response.write(event(chunk))
    return response


def streams(*chunks: object) -> Turn:
    """Send these chunks (dicts, or bytes as they are) and end the response well."""

    async def turn(request: web.Request) -> web.StreamResponse:
        response = await _stream(request, chunks)
        await response.write_eof()
        return response

    return turn


def says(*words: str) -> Turn:
    """Answer as a server should."""
    return streams(delta("", role="assistant"), *(delta(word) for word in words), *END)


def calls_tool(name: str, arguments: str | dict[str, Any], call: str = "call_1") -> Turn:
    """Call one tool, its arguments in pieces, as servers stream them."""
    return calls_tools((call, name, arguments))


def calls_tools(*calls: tuple[str, str, str | dict[str, Any]], says: str = "") -> Turn:
    """Say something, perhaps, and call several tools in one turn."""
    chunks: list[object] = [delta(says)] if says else []
    for index, (call, name, arguments) in enumerate(calls):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        head = {"index": index, "id": call, "type": "function", "function": {"name": name}}
        chunks.append(delta(tool_calls=[head]))
        for at in range(0, len(text), 7):
            piece = {"index": index, "function": {"arguments": text[at : at + 7]}}
            chunks.append(delta(tool_calls=[piece]))
    return streams(*chunks, delta(finish="tool_calls"), b"[DONE]")


def cuts(*chunks: object) -> Turn:
    """Send these chunks and drop the connection."""

    async def turn(request: web.Request) -> web.StreamResponse:
        response = await _stream(request, chunks)
        assert request.transport is not None
        request.transport.abort()
        return response

    return turn


def falls_silent(*chunks: object) -> Turn:
    """Send these chunks, then nothing, and keep the connection."""

    async def turn(request: web.Request) -> web.StreamResponse:
        await _stream(request, chunks)
        raise Silence

    return turn


async def never_answers(request: web.Request) -> web.StreamResponse:
    """Take the request and say nothing at all."""
    raise Silence


def trickles(letters: str, every: float) -> Turn:
    """Answer well, a letter every so many seconds."""

    async def turn(request: web.Request) -> web.StreamResponse:
        response = await _stream(request, ())
        for letter in letters:
            await response.write(event(delta(letter)))
            await anyio.sleep(every)
        for chunk in END:
            await response.write(event(chunk))
        return response

    return turn


def pings(*chunks: object) -> Turn:
    """Send these chunks, then comments for ever."""

    async def turn(request: web.Request) -> web.StreamResponse:
        response = await _stream(request, chunks)
        while True:
            await response.write(b": still here\n\n")
            await anyio.sleep(0.005)

    return turn


def floods(megabytes: int) -> Turn:
    """Send one line without an end."""

    async def turn(request: web.Request) -> web.StreamResponse:
        response = await _stream(request, ())
        await response.write(b"data: ")
        for _ in range(megabytes * 16):
            await response.write(b"x" * 65_536)
        raise Silence

    return turn


def refuses(status: int, body: object = "", **headers: str) -> Turn:
    """Answer with an HTTP error; a dict is sent as JSON."""

    async def turn(request: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, headers=named)

    return turn

"""A FunASR server elsewhere, by its 2-pass WebSocket protocol: one connection an utterance.

The server answers with pieces of text while one speaks (``2pass-online``), and replaces them by
better ones where it hears an end (``2pass-offline``). We say where a pause is; what it says then
is the final. A connection that breaks is made anew once, and the utterance is sent again.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import numpy as np
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from pydantic import Field

from stages.contracts import Asr, Options, Plugin, Sink, Source
from stages.errors import Transient, Unusable
from stages.events import (
    SAMPLE_RATE,
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Samples,
    Transcript,
    UtteranceStart,
)
from stages.models import ModelStore

STAGE = "asr funasr_server"
FRAME = SAMPLE_RATE * 60 // 1000
"""Samples of a message with audio."""
WAITING = 2_000
"""Pieces (20 to 32 ms) of an utterance that wait for the server; more, and it has stopped."""
CLOSE_S = 0.5
LARGEST = 1 << 20
"""Bytes of a message from the server, at most."""


class FunasrServerOptions(Options):
    """The settings of ``funasr_server``."""

    url: str = Field(
        default="ws://127.0.0.1:10095", pattern=r"^wss?://", max_length=500, description="of it"
    )
    certificate: str = Field(default="", description="file to trust for wss, if it is its own")
    chunk_size: tuple[int, int, int] = Field(
        default=(5, 10, 5), description="of its streaming model, 60 ms each: before, now, after"
    )
    connect_s: float = Field(default=3.0, gt=0, le=30, description="for a connection")
    final_s: float = Field(default=2.0, gt=0, le=10, description="for a final")
    settle_s: float = Field(
        default=0.15,
        ge=0,
        le=2,
        description="for more of it, from servers that do not say where a final ends",
    )


class FunasrServerAsr:
    """Recognises by a server; what calls share is a session of HTTP."""

    def __init__(self, options: FunasrServerOptions, http: aiohttp.ClientSession) -> None:
        self.options = options
        self.unanswered = 0  # finals that the server did not give in time
        self.broken = 0  # connections that broke in the middle of an utterance
        self._http = http
        self._tls = _tls(options)

    def figures(self) -> dict[str, float]:
        """Return counters for operators."""
        return {
            "finals_unanswered_total": self.unanswered,
            "connections_broken_total": self.broken,
        }

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        """Recognise a call; cancelling closes its connection.

        Raises:
            Transient: the server cannot be reached, or breaks off twice in an utterance.
            Unusable: it is no FunASR server.
        """
        feed: MemoryObjectSendStream[AsrInput] | None = None
        try:
            async with sink, source, anyio.create_task_group() as tasks:
                async for item in source:
                    if isinstance(item, Audio | Pause):
                        await self._pass_on(item, feed, sink)
                        continue
                    if feed is not None:
                        feed.close()
                        feed = None
                    if isinstance(item, UtteranceStart):
                        feed, items = anyio.create_memory_object_stream[AsrInput](WAITING)
                        utterance = _Utterance(self, hearing, sink, item.utterance, item.start)
                        tasks.start_soon(utterance.run, items)
                if feed is not None:
                    feed.close()
        finally:
            if feed is not None:
                feed.close()

    async def _pass_on(
        self,
        item: Audio | Pause,
        feed: MemoryObjectSendStream[AsrInput] | None,
        sink: Sink[Transcript],
    ) -> None:
        if feed is None:
            if isinstance(item, Pause):
                await sink.send(Transcript(item.utterance, "", item.at, final=True))
            return
        try:
            feed.send_nowait(item)
        except anyio.WouldBlock:
            raise Transient(STAGE, f"{self.options.url} takes no more audio") from None

    async def connect(self) -> aiohttp.ClientWebSocketResponse:
        """Open a connection.

        Raises:
            Transient: nobody answers.
            Unusable: whoever answers is no WebSocket server, or not to be trusted.
        """
        url = self.options.url
        try:
            with anyio.fail_after(self.options.connect_s):
                return await self._http.ws_connect(
                    url,
                    protocols=("binary",),
                    ssl=self._tls,
                    max_msg_size=LARGEST,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
        except TimeoutError:
            waited = f"{self.options.connect_s:g} s"
            raise Transient(STAGE, f"{url} did not answer within {waited}") from None
        except aiohttp.WSServerHandshakeError as error:
            reason = f"{url} is no FunASR server: it answered HTTP {error.status} to a WebSocket"
            raise Unusable(STAGE, reason) from error
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError) as error:
            raise Unusable(STAGE, f"the certificate of {url} is not trusted ({error})") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(STAGE, f"no FunASR server answers at {url} ({error})") from error


class _Broken(Exception):
    """The connection is gone."""


@dataclass(eq=False)
class _Link:
    """One connection, and what came over it."""

    socket: aiohttp.ClientWebSocketResponse
    speaking: bool = True  # what the server was last told
    segments: list[str] = field(default_factory=list)  # said for good
    online: str = ""  # said since, and to be replaced
    flushed: bool = False  # we wait for a final
    settled: bool = False  # it came, as far as one can tell
    ended: bool = False  # the server said so itself
    gone: bool = False
    failure: str = ""
    news: anyio.Event = field(default_factory=anyio.Event)

    @property
    def text(self) -> str:
        return _joined([*self.segments, self.online])

    def tell(self) -> None:
        self.news.set()
        self.news = anyio.Event()


@dataclass(eq=False)
class _Utterance:
    """One utterance: its audio out, its words in."""

    asr: FunasrServerAsr
    hearing: Hearing
    sink: Sink[Transcript]
    number: int
    start: int
    _pieces: list[Samples] = field(default_factory=list)
    _sent: int = 0  # samples that this connection has got
    _heard: int = 0
    _tried: bool = False  # a connection has broken before
    _last: str = ""
    _tasks: TaskGroup = field(init=False)
    _link: _Link = field(init=False)

    async def run(self, items: MemoryObjectReceiveStream[AsrInput]) -> None:
        """Recognise until the utterance is over."""
        async with items, anyio.create_task_group() as self._tasks:
            await self._connect()
            try:
                async for item in items:
                    if isinstance(item, Audio):
                        self._pieces.append(item.samples)
                        self._heard += len(item.samples)
                        await self._again(self._send_frames)
                    elif isinstance(item, Pause):
                        await self._answer(item)
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(0.5):
                    await self._link.socket.close()
            self._tasks.cancel_scope.cancel()

    async def _answer(self, pause: Pause) -> None:
        await self._again(self._flush)
        text = self._link.text.strip()
        final = Transcript(self.number, text, pause.at, final=True, stable=len(text))
        await self.sink.send(final)
        self._last = text

    # --- the connection ---------------------------------------------------------------------

    async def _connect(self) -> None:
        self._link = link = _Link(await self.asr.connect())
        self._sent = 0
        await link.socket.send_str(json.dumps(self._greeting()))
        self._tasks.start_soon(self._listen, link)

    def _greeting(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "mode": "2pass",
            "wav_name": f"utterance-{self.number}",
            "wav_format": "pcm",
            "audio_fs": SAMPLE_RATE,
            "is_speaking": True,
            "chunk_size": list(self.asr.options.chunk_size),
            "chunk_interval": 10,
            "encoder_chunk_look_back": 4,
            "decoder_chunk_look_back": 1,
            "itn": True,
        }
        if self.hearing.hotwords:
            weights = dict.fromkeys(self.hearing.hotwords, 20)
            said["hotwords"] = json.dumps(weights, ensure_ascii=False)
        return said

    async def _again(self, step: Any) -> None:
        """Do a step; if the connection breaks over it, once more on a new one, from the start."""
        while True:
            try:
                with anyio.fail_after(self.asr.options.final_s + self.asr.options.connect_s):
                    await step()
                return
            except (_Broken, aiohttp.ClientError, ConnectionError, TimeoutError) as error:
                self.asr.broken += 1
                if self._tried:
                    reason = self._link.failure or f"{self.asr.options.url} broke off twice"
                    raise Transient(STAGE, reason) from error
                self._tried = True
                await self._link.socket.close()
                await self._connect()

    async def _send_frames(self, rest: bool = False) -> None:
        """Send whole frames of what was heard; at a pause, what is left as well."""
        link = self._link
        if link.gone:
            raise _Broken
        due = self._heard - self._sent
        count = due if rest else due - due % FRAME
        if not count:
            return
        if not link.speaking:
            link.speaking = True
            await link.socket.send_str(json.dumps({"is_speaking": True}))
        heard = np.concatenate(self._pieces)
        self._pieces[:] = [heard]
        for at in range(self._sent, self._sent + count, FRAME):
            frame = heard[at : min(at + FRAME, self._sent + count)]
            pcm = np.clip(frame * 32768.0, -32768, 32767).astype("<i2").tobytes()
            await link.socket.send_bytes(pcm)
        self._sent += count

    async def _flush(self) -> None:
        """Ask for a final and wait for it."""
        await self._send_frames(rest=True)
        link = self._link
        link.flushed, link.settled, link.ended = True, False, False
        link.speaking = False
        await link.socket.send_str(json.dumps({"is_speaking": False, "is_end": True}))
        with anyio.move_on_after(self.asr.options.final_s) as patience:
            while not link.ended:
                if link.gone:
                    raise _Broken
                news = link.news
                with anyio.move_on_after(self.asr.options.settle_s) as settling:
                    await news.wait()
                if settling.cancelled_caught and link.settled:
                    break
        if link.failure:
            raise _Broken
        link.flushed = False
        if patience.cancelled_caught:
            self.asr.unanswered += 1  # what it said while one spoke must do, until it comes
        else:
            link.segments, link.online = [link.text], ""

    # --- what the server says ---------------------------------------------------------------

    async def _listen(self, link: _Link) -> None:
        try:
            async for message in link.socket:
                said = _read(message, self.asr.options.url)
                await self._take(link, said)
        finally:
            link.gone = True
            link.tell()

    async def _take(self, link: _Link, said: dict[str, Any]) -> None:
        if said.get("error"):
            link.failure = f"{self.asr.options.url} says: {said['error']}"
            link.gone = True
        text, mode = str(said.get("text") or ""), str(said.get("mode") or "")
        if mode.endswith("offline"):
            if text:
                link.segments.append(text)
            link.online, link.settled = "", True
        elif text and not link.flushed:
            link.online += text
        link.ended = link.ended or bool(said.get("is_end"))
        link.tell()
        await self._show(link)

    async def _show(self, link: _Link) -> None:
        """Send a partial, unless a pause has overtaken it."""
        text = link.text.strip()
        if link is not self._link or link.flushed or not text or text == self._last:
            return
        self._last = text
        stable = len(_joined(link.segments).strip())
        upto = self.start + self._sent
        await self.sink.send(Transcript(self.number, text, upto, stable=min(stable, len(text))))


def _read(message: aiohttp.WSMessage, url: str) -> dict[str, Any]:
    """Read what a server says.

    Raises:
        Unusable: no FunASR server says such things.
    """
    said: Any = None
    if message.type == aiohttp.WSMsgType.TEXT:
        with suppress(ValueError):
            said = json.loads(message.data)
    if isinstance(said, dict) and ("mode" in said or "is_end" in said or "error" in said):
        return said
    shown = repr(message.data)[:60]
    raise Unusable(STAGE, f"{url} speaks another protocol: FunASR does not send {shown}")


def _joined(pieces: list[str]) -> str:
    """Join pieces of text, with a space where two words of letters would run together."""
    text = ""
    for piece in pieces:
        if text and piece and text[-1].isascii() and piece[0].isascii() and piece[0].isalnum():
            text += "" if text[-1].isspace() else " "
        text += piece
    return text


def _tls(options: FunasrServerOptions) -> ssl.SSLContext | bool:
    if not options.certificate:
        return True
    file = Path(options.certificate).expanduser()
    try:
        context = ssl.create_default_context(cafile=str(file))
    except (OSError, ssl.SSLError) as error:
        raise Unusable(STAGE, f"the certificate {file} cannot be read ({error})") from error
    context.check_hostname = False  # FunASR's own is made out to nobody; this very one is trusted
    return context


@asynccontextmanager
async def _open(
    options: FunasrServerOptions, store: ModelStore
) -> AsyncIterator[FunasrServerAsr]:
    async with aiohttp.ClientSession() as http:
        asr = FunasrServerAsr(options, http)
        await (await asr.connect()).close()  # whoever calls shall know now, not when he speaks
        yield asr


plugin: Plugin[Asr] = Plugin(FunasrServerOptions, _open)

"""A voice of Microsoft Edge's read-aloud service, through the package edge-tts.

It needs no key, has hundreds of voices, and is known to refuse or fall silent for days: every
profile that uses it should name a ``fallback_voice``.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import aiohttp
import anyio
import av
import numpy as np
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from av.audio.codeccontext import AudioCodecContext
from edge_tts import Communicate
from edge_tts import exceptions as edge
from pydantic import Field, SecretStr

from stages.audio import samples_in, silence
from stages.contracts import Options, Plugin, Sink, Source, Tts
from stages.errors import StageError, Transient, Unusable
from stages.events import Clause, Samples, Speech, Voice, Word
from stages.models import ModelStore

STAGE = "tts edge"
RATE = 24_000
"""Hz: the one format that the package asks for, MP3 of 48 kbit/s, mono."""
TICKS = 10_000_000
"""The service's ticks in a second."""
AUDIBLE = 0.003
"""-50 dBFS: what the MP3 leaves of silence lies well below."""
LEAD = samples_in(20, RATE)
"""Silence that a clause may begin with; the service sends 0.1 s of it and more."""
LAST = samples_in(10, RATE)
"""Kept back while more may come, so that there always is something to mark ``last``."""
INNER = samples_in(2_000, RATE)
"""A longer silence inside a clause is passed on before its end is known."""
LONGEST_S = 120
"""Of audio for one clause; a service that sends more has gone wrong, and the clause fails."""
PIECES = 8_192
"""Pieces of a clause that wait for the one before it; more cannot come in ``LONGEST_S``."""

_Track: TypeAlias = MemoryObjectReceiveStream[Speech | StageError]
_TROUBLE = (edge.EdgeTTSException, aiohttp.ClientError, OSError, ValueError, KeyError, TypeError)


class EdgeOptions(Options):
    """The settings of ``edge``."""

    first_audio_s: float = Field(
        5.0, gt=0, le=60, description="from asking for a clause to its first audio, at most"
    )
    between_s: float = Field(3.0, gt=0, le=60, description="between pieces of a clause's audio")
    trailing_ms: int = Field(
        200, ge=0, le=2_000, description="of silence that a clause may end with; it sends 800"
    )
    proxy: SecretStr | None = Field(None, description="HTTP proxy, http://host:port; ${ENV_NAME}")


class Mp3:
    """Decodes an MP3 stream as it comes."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("mp3float", "r")
        assert isinstance(codec, AudioCodecContext)
        self._codec = codec

    def push(self, data: bytes) -> Samples:
        """Take in bytes, cut anywhere, and return what can be decoded by now.

        Raises:
            av.FFmpegError: it is no MP3.
        """
        return self._samples(self._codec.parse(data))

    def rest(self) -> Samples:
        """Return what was held back; nothing may be pushed any more."""
        return np.concatenate((self._samples(self._codec.parse(b"")), self._samples([None])))

    def _samples(self, packets: list[Any]) -> Samples:
        pieces = [silence(0)]
        for packet in packets:
            for frame in self._codec.decode(packet):
                if frame.sample_rate != RATE:
                    raise ValueError(f"audio of {frame.sample_rate} Hz instead of {RATE}")
                pieces.append(frame.to_ndarray().mean(axis=0, dtype=np.float32))
        return np.concatenate(pieces)


class Trim:
    """Takes the silence off both ends of a clause, without making what is between them wait."""

    def __init__(self, trailing: int) -> None:
        self.cut = 0  # samples taken off the front
        self._trailing = trailing
        self._held = silence(0)
        self._begun = False

    def push(self, samples: Samples) -> Samples:
        """Take in samples and return those that surely belong to the clause, ``LAST`` less."""
        self._held = np.concatenate((self._held, samples))
        loud = np.flatnonzero(np.abs(self._held) > AUDIBLE)
        if not self._begun:
            begin = max((int(loud[0]) if len(loud) else len(self._held)) - LEAD, 0)
            self._begun = len(loud) > 0
            self.cut += begin
            self._held, loud = self._held[begin:], loud - begin
        sure = int(loud[-1]) + 1 if len(loud) else 0
        ready = max(min(sure, len(self._held) - LAST), len(self._held) - INNER, 0)
        if not self._begun:
            ready = 0
        out, self._held = self._held[:ready], self._held[ready:]
        return out

    def rest(self) -> Samples:
        """Return the end of the clause; empty only where nothing in it was audible."""
        if not self._begun:
            return silence(0)
        loud = np.flatnonzero(np.abs(self._held) > AUDIBLE)
        sure = int(loud[-1]) + 1 if len(loud) else 0
        return self._held[: max(sure + self._trailing, 1)]


class _Clause:
    """One clause on its way from MP3 and word stamps to ``Speech``."""

    def __init__(
        self, number: int, trailing: int, out: MemoryObjectSendStream[Speech | StageError]
    ) -> None:
        self._number, self._out = number, out
        self._mp3, self._trim = Mp3(), Trim(trailing)
        self._words: list[Word] = []  # not sent yet, places in the untrimmed audio
        self._came = self._sent = 0

    def word(self, text: str, offset: float, duration: float) -> None:
        """Note a word with its place in ticks."""
        start, end = (round(at * RATE / TICKS) for at in (offset, offset + duration))
        self._words.append(Word(text, start, end))

    def audio(self, data: bytes) -> None:
        """Take in MP3 and send what there is to hear of it."""
        samples = self._mp3.push(data)
        self._came += len(samples)
        if self._came > LONGEST_S * RATE:
            raise Transient(STAGE, f"a clause did not end after {LONGEST_S} s of audio.")
        self._send(self._trim.push(samples))

    def end(self) -> None:
        """Send what was held back, as the last piece."""
        self._send(self._trim.push(self._mp3.rest()))
        rest = self._trim.rest()
        if not len(rest):
            raise Transient(STAGE, "a clause came without anything to hear.")
        self._send(rest, last=True)

    def _send(self, samples: Samples, last: bool = False) -> None:
        if not len(samples):
            return
        self._sent += len(samples)
        heard = math.inf if last else self._sent + self._trim.cut
        now = tuple(self._placed(word) for word in self._words if word.start < heard)
        self._words = [word for word in self._words if word.start >= heard]
        try:
            self._out.send_nowait(Speech(self._number, samples, RATE, last, now))
        except anyio.WouldBlock as full:
            raise Transient(STAGE, f"a clause came in more than {PIECES} pieces.") from full

    def _placed(self, word: Word) -> Word:
        start = max(word.start - self._trim.cut, 0)
        return Word(word.text, start, max(word.end - self._trim.cut, start))


class EdgeTts:
    """The service; each clause is a connection of its own, as the package has it.

    Args:
        options: the settings.
        connector: another way to the service than the package's own; it must outlive being
            closed, for the package closes it after every connection.
    """

    def __init__(
        self, options: EdgeOptions, connector: aiohttp.BaseConnector | None = None
    ) -> None:
        self._options, self._connector = options, connector

    async def run(self, voice: Voice, source: Source[Clause], sink: Sink[Speech]) -> None:
        """Speak clauses in order; while one is passed on the next one is asked for.

        Cancelling closes the connections at once.

        Raises:
            Transient: no connection, no audio in time, a cut stream, audio that is none, 5xx.
            Unusable: the service refuses us or the voice, or speaks in a way we do not know.
        """
        failure: StageError | None = None
        coming, tracks = anyio.create_memory_object_stream[_Track](0)
        async with sink:
            async with anyio.create_task_group() as tasks, tracks:
                tasks.start_soon(self._ask, voice, source, coming, tasks)
                async for track in tracks:
                    failure = await _pass_on(track, sink)
                    if failure:
                        tasks.cancel_scope.cancel()
                        break
            if failure:
                raise failure

    async def _ask(
        self,
        voice: Voice,
        source: Source[Clause],
        coming: MemoryObjectSendStream[_Track],
        tasks: TaskGroup,
    ) -> None:
        """Begin a clause as soon as the one before it is being passed on."""
        async with coming:
            async for clause in source:
                out, track = anyio.create_memory_object_stream[Speech | StageError](PIECES)
                tasks.start_soon(self._speak, voice, clause, out)
                try:
                    await coming.send(track)
                except BaseException:
                    track.close()
                    raise

    async def _speak(
        self, voice: Voice, clause: Clause, out: MemoryObjectSendStream[Speech | StageError]
    ) -> None:
        """Make one clause; a failure comes as its last piece, after all that could be heard."""
        async with out:
            if not any(letter.isalnum() for letter in clause.spoken):  # it would answer nothing
                out.send_nowait(Speech(clause.number, silence(LEAD), RATE, last=True))
                return
            try:
                talk = self._communicate(voice, clause.spoken)
                await self._listen(talk, _Clause(clause.number, self._trailing, out))
            except StageError as error:
                out.send_nowait(error)
            except av.FFmpegError as error:
                out.send_nowait(Transient(STAGE, f"it sent audio that is none: {error}"))
            except _TROUBLE as error:
                out.send_nowait(_failure(error, voice))

    async def _listen(self, talk: Communicate, clause: _Clause) -> None:
        """Take in one answer. Nothing is awaited but the service, so cancelling reaches it."""
        deadline = anyio.current_time() + self._options.first_audio_s
        chunks = talk.stream()
        try:
            while chunk := await _next(chunks, deadline):
                if chunk["type"] == "audio":
                    clause.audio(chunk["data"])
                    deadline = anyio.current_time() + self._options.between_s
                elif chunk["type"] == "WordBoundary":
                    clause.word(chunk["text"], chunk["offset"], chunk["duration"])
        finally:
            await _hang_up(chunks)
        if talk.state["chunk_audio_bytes"]:  # the package sets it to 0 at the service's "end"
            raise Transient(STAGE, "the connection was cut off inside a clause.")
        clause.end()

    def _communicate(self, voice: Voice, text: str) -> Communicate:
        named = {"voice": voice.name} if voice.name else {}
        proxy = self._options.proxy
        longest = math.ceil(max(self._options.first_audio_s, self._options.between_s))
        return Communicate(
            text,
            rate=f"{round((voice.rate - 1) * 100):+d}%",
            volume=f"{round((voice.volume - 1) * 100):+d}%",
            pitch=f"{round(voice.pitch):+d}Hz",
            boundary="WordBoundary",
            connector=self._connector,
            proxy=proxy.get_secret_value() if proxy else None,
            connect_timeout=longest,
            receive_timeout=longest,
            **named,
        )

    @property
    def _trailing(self) -> int:
        return samples_in(self._options.trailing_ms, RATE)


async def _next(chunks: AsyncGenerator[Any, None], deadline: float) -> Any:
    try:
        with anyio.fail_after(deadline - anyio.current_time()):
            return await anext(chunks, None)
    except TimeoutError as error:
        raise Transient(STAGE, "the service fell silent.") from error


async def _hang_up(chunks: AsyncGenerator[Any, None]) -> None:
    """Close the connection, unless the service did.

    Closing the generator would not: the package's inner one would live on in a task of nobody,
    waiting ten seconds for the service's goodbye. Cancelled while it waits, it ends at once.
    """
    with anyio.CancelScope() as scope:
        scope.cancel()
        while await anext(chunks, None):
            pass


async def _pass_on(track: _Track, sink: Sink[Speech]) -> StageError | None:
    """Send a clause on, as fast as it is taken; return what went wrong with it."""
    async with track:
        async for piece in track:
            if isinstance(piece, StageError):
                return piece
            await sink.send(piece)
    return None


def _failure(error: Exception, voice: Voice) -> StageError:
    """Return what an error of the package or of its connection means for a call."""
    if isinstance(error, aiohttp.ClientConnectorError):  # its own text shows Python objects
        error = error.os_error
    told = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, edge.NoAudioReceived):
        name = f"the voice {voice.name!r}" if voice.name else "its voice"
        return Unusable(STAGE, f"the service made no audio; does it know {name}?")
    if isinstance(error, edge.SkewAdjustmentError):
        return Unusable(STAGE, "the service refuses us (403).")
    if isinstance(error, aiohttp.ClientResponseError):
        if error.status == 429 or error.status >= 500:
            return Transient(STAGE, f"the service is in trouble ({error.status}).")
        return Unusable(STAGE, f"the service refuses us ({error.status}).")
    if isinstance(error, aiohttp.ClientError | edge.WebSocketError | OSError):
        return Transient(STAGE, f"the connection failed: {told}")
    if isinstance(error, ValueError) and told.startswith("Invalid "):
        return Unusable(STAGE, f"the voice is not one it can have: {told}")
    return Unusable(STAGE, f"the service answered in a way we do not know: {told}")


@asynccontextmanager
async def _open(options: EdgeOptions, store: ModelStore) -> AsyncIterator[EdgeTts]:
    yield EdgeTts(options)


plugin: Plugin[Tts] = Plugin(EdgeOptions, _open)

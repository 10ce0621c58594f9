"""One call, heard: events in, transcripts out, with a seat in the engine and its own decoders."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import anyio
import numpy as np
from anyio.streams.memory import MemoryObjectReceiveStream

from stages.asr.campp.decode.hypothesis import Decoder, Hypothesis, spelled, words
from stages.asr.campp.endpoint import Endpoint
from stages.asr.campp.engine import STAGE, Seat
from stages.asr.campp.features import Windows
from stages.asr.campp.geometry import Geometry
from stages.contracts import Sink
from stages.errors import Unusable
from stages.events import (
    AsrInput,
    Audio,
    Pause,
    Samples,
    Transcript,
    UtteranceEnd,
    UtteranceStart,
)

BACKLOG = 64
"""Events read ahead of the one being worked on: over a second of sound. Then reading waits."""

Inbox: TypeAlias = MemoryObjectReceiveStream[AsrInput]


@dataclass(frozen=True, slots=True)
class Kit:
    """What a call makes its utterances of."""

    geometry: Geometry
    windows: Callable[[], Windows]
    decoder: Callable[[], Decoder]
    endpoint: Endpoint


class Call:
    """What one call holds while it is heard."""

    def __init__(self, seat: Seat, kit: Kit, sink: Sink[Transcript]) -> None:
        self._seat, self._kit, self._sink = seat, kit, sink
        self._ahead: deque[AsrInput] = deque()
        self._utterance: Utterance | None = None

    async def listen(self, inbox: Inbox) -> None:
        """Work through what comes, in order, until nothing more does."""
        try:
            while (event := await self._next(inbox)) is not None:
                await self._take(event, inbox)
        finally:
            self._forget()

    async def _take(self, event: AsrInput, inbox: Inbox) -> None:
        match event:
            case UtteranceStart():
                self._forget()
                self._seat.begin()
                self._utterance = Utterance(event, self._seat, self._kit)
            case Audio():
                await self._hear(event, inbox)
            case Pause():
                if self._utterance and self._utterance.number == event.utterance:
                    await self._sink.send(await self._utterance.final(event))
            case UtteranceEnd():
                self._forget()

    def _forget(self) -> None:
        self._seat.end()
        if self._utterance:
            self._utterance.close()
        self._utterance = None

    async def _hear(self, audio: Audio, inbox: Inbox) -> None:
        utterance = self._utterance
        if utterance is None:
            return
        transcript = await utterance.hear(audio.samples)
        if transcript and not self._overtaken(inbox):
            utterance.shown = transcript.text
            await self._sink.send(transcript)

    async def _next(self, inbox: Inbox) -> AsrInput | None:
        if self._ahead:
            return self._ahead.popleft()
        try:
            return await inbox.receive()
        except anyio.EndOfStream:
            return None

    def _overtaken(self, inbox: Inbox) -> bool:
        """Tell whether a pause or an end waits already; what waits is kept, in order."""
        while len(self._ahead) < BACKLOG:
            try:
                self._ahead.append(inbox.receive_nowait())
            except (anyio.WouldBlock, anyio.EndOfStream):
                break
        return any(isinstance(event, Pause | UtteranceEnd) for event in self._ahead)


class Utterance:
    """One utterance: its windows, its decoder, and what was shown of it."""

    def __init__(self, start: UtteranceStart, seat: Seat, kit: Kit) -> None:
        self.number, self.shown = start.utterance, ""
        self._start, self._seat = start.start, seat
        self._geometry = kit.geometry
        self._windows, self._decoder = kit.windows(), kit.decoder()
        self._endpoint, self._ended = kit.endpoint, False

    def close(self) -> None:
        """Let go of what was kept."""
        self._decoder.close()

    async def hear(self, samples: Samples) -> Transcript | None:
        """Take sound in; return a partial if the words have changed, or an endpoint is reached."""
        if not np.isfinite(samples).all():
            raise Unusable(STAGE, "the sound holds numbers that are none (NaN or infinity)")
        heard: Hypothesis | None = None
        for window in self._windows.hear(samples):
            heard = await self._decoder.take(await self._seat.step(window))
        if heard is None:
            return None
        transcript = self._told(heard, self._start + self._windows.heard)
        ended, self._ended = self._ended, self._reached(heard)
        if self._ended and not ended:
            return replace(transcript, endpoint=True)
        return transcript if transcript.text != self.shown else None

    def _reached(self, heard: Hypothesis) -> bool:
        trailing = heard.trailing * self._geometry.out_hop
        spoken = bool(heard.pieces)
        return self._endpoint.reached(spoken, trailing, self._windows.heard) is not None

    async def final(self, pause: Pause) -> Transcript:
        """Return what was said up to a pause; the utterance may go on after it.

        What does not fill a packet is filled up with silence and looked at without being kept,
        so sound that follows is heard as if there had been no pause.
        """
        rest = self._windows.rest()
        log_probs = np.zeros((0, self._geometry.vocabulary), dtype=np.float32)
        if rest is not None:
            window, frames = rest
            log_probs = (await self._seat.look(window))[:frames]
        return self._told(await self._decoder.look(log_probs), pause.at, final=True)

    def _told(self, heard: Hypothesis, upto: int, final: bool = False) -> Transcript:
        text = spelled(heard.pieces)
        return Transcript(
            utterance=self.number,
            text=text,
            upto=upto,
            final=final,
            stable=len(text) if final else len(spelled(heard.pieces[: heard.settled])),
            words=words(heard.pieces, self._start, self._geometry.out_hop),
        )

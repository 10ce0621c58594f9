"""A line without a wire: speech from an array, in real time, and an ear that notes the reply.

It is what the benchmarks use to measure the pipeline alone, and the tests to run whole calls.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

import anyio
import numpy as np
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from agent.line import FRAME
from agent.messages import FromPage, ToPage
from stages.audio import silence
from stages.events import SAMPLE_RATE, Audio, Samples

PIECE = SAMPLE_RATE // 50
"""Samples of 20 ms of the caller's audio."""
TICK_S = 0.02


@dataclass(eq=False)
class MemoryLine:
    """A ``Line`` whose caller says what is queued with ``say``, and silence in between.

    Args:
        on_message: told every message to the page, as it is sent.
        pace: seconds between frames; less than 0.02 makes the caller's time run faster.
    """

    on_message: Callable[[ToPage], None] = lambda message: None
    pace: float = TICK_S
    heard: list[Samples] = field(default_factory=list)  # what the caller's ear got, by frame
    _queue: list[Samples] = field(default_factory=list)
    _position: int = 0
    _pull: Callable[[], Samples] = lambda: silence(FRAME)
    _anchor: float = float("inf")  # arrival of position 0, by the least delayed frame
    _closed: bool = False

    def __post_init__(self) -> None:
        self._audio_in: MemoryObjectSendStream[Audio]
        self._inbox_in: MemoryObjectSendStream[FromPage]
        self.audio: MemoryObjectReceiveStream[Audio]
        self.inbox: MemoryObjectReceiveStream[FromPage]
        self._audio_in, self.audio = anyio.create_memory_object_stream[Audio](50)
        self._inbox_in, self.inbox = anyio.create_memory_object_stream[FromPage](50)

    # --- the caller's side ------------------------------------------------------------------

    def say(self, samples: Samples) -> int:
        """Queue speech at 16 kHz; return the position at which its first sample will stand."""
        start = self._position + sum(len(piece) for piece in self._queue)
        padded = np.concatenate([samples, silence(-len(samples) % PIECE)])
        self._queue += [padded[at : at + PIECE] for at in range(0, len(padded), PIECE)]
        return start

    def write(self, message: FromPage) -> None:
        """Send a message as the page would."""
        self._inbox_in.send_nowait(message)

    def leave(self) -> None:
        """Be gone, as a closed tab is."""
        self._closed = True
        self._audio_in.close()
        self._inbox_in.close()

    # --- the Line ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Tick every 20 ms until closed: one frame in, one frame out."""
        begun, ticks = monotonic(), 0
        while not self._closed:
            ticks += 1
            await anyio.sleep(max(0.0, begun + ticks * self.pace - monotonic()))
            if not self._closed:
                await self._tick()

    async def _tick(self) -> None:
        samples = self._queue.pop(0) if self._queue else silence(PIECE)
        piece = Audio(samples, self._position)
        self._position = piece.end
        self._anchor = min(self._anchor, monotonic() - self._position / PIECE * self.pace)
        self.heard.append(self._pull())
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # somebody hung up
            await self._audio_in.send(piece)

    def send(self, message: ToPage) -> None:
        """Hand the message over at once."""
        self.on_message(message)

    def spoken_at(self, position: int) -> float:
        """Return when the sample at ``position`` was given to the call, in seconds."""
        return self._anchor + position / PIECE * self.pace

    def play(self, pull: Callable[[], Samples]) -> None:
        """Pull a frame with every tick from now on."""
        self._pull = pull

    async def close(self, reason: str) -> None:
        """Stop ticking."""
        self.leave()

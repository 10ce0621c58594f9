"""What is played: one ready Opus packet every 20 ms, silence included."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import anyio
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.packet import Packet

from agent.line import FRAME
from agent.webrtc.grid import Grid
from agent.webrtc.opus import Encoder
from agent.webrtc.reorder import CLOCK
from stages.events import Samples

_TIME_BASE = Fraction(1, CLOCK)  # any other one aiortc converts, at 100 us a frame
_TICKS = CLOCK // 50
_SILENCE: Samples = np.zeros(FRAME, dtype=np.float32)
_KEPT = 3_000  # latenesses: the last minute

Pull = Callable[[], Samples]


class OutgoingTrack(MediaStreamTrack):
    """Asks for a frame when it is due, encodes it and hands it to aiortc, which sends it at once.

    Attributes:
        grid: when frames are due; none before the first.
        lateness: of the latest frames, in seconds.
        failure: what ``pull`` raised; from then on there is silence.
        on_tick: called with the time once a frame, whatever is played.
        on_sent: called with number, due time and time of leaving of each frame.
    """

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._encoder: Encoder | None = Encoder()
        self._pull: Pull = _nothing
        self.on_tick: Callable[[float], None] | None = None
        self.on_sent: Callable[[int, float, float], None] | None = None
        self.grid: Grid | None = None
        self.lateness: deque[float] = deque(maxlen=_KEPT)
        self.failure: Exception | None = None

    def play(self, pull: Pull) -> None:
        """Ask ``pull`` for ``FRAME`` samples every 20 ms from now on."""
        self._pull = pull

    def stop(self) -> None:
        """End the track, and let go of all it holds: FFmpeg's threads too, not when gc may come."""
        super().stop()
        self._encoder, self._pull = None, _nothing
        self.on_tick = self.on_sent = None

    def encode(self) -> bytes:
        """Return the next frame as a packet's bytes.

        Raises:
            MediaStreamError: the track has ended.
        """
        if self._encoder is None:
            raise MediaStreamError
        return self._encoder.encode(self._frame())

    async def recv(self) -> Packet[Any]:
        """Return the next packet when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        if self.grid is None:
            self.grid = Grid(time.monotonic())
        # Even when late we give way once: a sender that never awaits starves all other calls.
        await anyio.sleep(max(0.0, self.grid.due() - time.monotonic()))
        now = time.monotonic()
        number = self.grid.take(now)
        if self.on_tick is not None:
            self.on_tick(now)
        packet = Packet(self.encode())
        packet.pts = number * _TICKS
        packet.time_base = _TIME_BASE
        self._leave(number)
        return packet

    def _frame(self) -> Samples:
        try:
            samples = self._pull()
            if samples.shape != (FRAME,):
                raise ValueError(f"a frame of playout has {FRAME} samples, not {samples.shape}")
        except Exception as error:  # noqa: BLE001 - aiortc would swallow it; the line raises it
            self.failure = error
            self._pull = _nothing
            return _SILENCE
        return samples

    def _leave(self, number: int) -> None:
        assert self.grid is not None
        now = time.monotonic()
        due = self.grid.due(number)
        self.lateness.append(now - due)
        if self.on_sent is not None:
            self.on_sent(number, due, now)


def _nothing() -> Samples:
    return _SILENCE

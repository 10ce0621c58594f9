"""What is heard: packets to sound, in order, without gaps, in real time."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from agent.webrtc import opus
from agent.webrtc.reorder import CLOCK, Piece, ReorderBuffer
from stages.events import Samples

PATIENCE = 0.240
"""Seconds without a packet before silence takes the place of what does not come. A shorter
stall of the network loses no word: its packets come in a bunch, and late is better than never."""

_STEP = CLOCK // 50  # silence in steps of 20 ms keeps the sender's grid
_PLC_TICKS = CLOCK // 10  # what a decoder can make up without buzzing; the rest is silence
_OUT_OF_STEP = 0.300  # seconds of nothing but late packets: the sender's clock stood still
_WINDOW = 30.0  # seconds; sound cards drift apart by a millisecond or two in twice that

_log = logging.getLogger(__name__)

OnSound = Callable[[Samples, int, float], None]
"""Takes samples, the position of the first, and when their packet arrived (seconds)."""


class Receiver:
    """One incoming stream of Opus packets.

    Attributes:
        concealed: samples that were made up for lost packets.
        broken: packets that were no Opus.
        packets: those that arrived.
        last: when the last one arrived, in seconds.

    Args:
        rate: Hz of the samples that come out.
        started: when silence may begin to take the place of sound, in seconds.
        on_sound: is given every piece as soon as it is ready; must not raise.
    """

    def __init__(self, rate: int, started: float, on_sound: OnSound) -> None:
        self._rate = rate
        self._scale = CLOCK // rate
        self._on_sound = on_sound
        self._decoder = opus.decoder(rate)
        self._order = ReorderBuffer()
        self._origin = _Origin(started)
        self._source: int | None = None
        self._late_since: float | None = None
        self.last = started
        self.packets = self.broken = self.concealed = 0

    @property
    def missing(self) -> int:
        """Packets that never came, or too late."""
        return self._order.missing

    @property
    def late(self) -> int:
        """Packets that came too late, or twice."""
        return self._order.late

    def when(self, position: int) -> float:
        """Return when the sample at ``position`` was due here, going by the fastest packet."""
        return self._origin.value + position / self._rate

    def packet(self, source: int, sequence: int, stamp: int, payload: bytes, now: float) -> None:
        """Take a packet: its SSRC, sequence number, time stamp and payload; ``now`` in seconds."""
        self.packets += 1
        ticks = opus.ticks_of(payload)
        if not ticks:
            self.broken += 1
            return
        if source != self._source:
            self._source = source
            self._begin_again(now)
        self.last = now
        late = self._order.late
        pieces = self._order.add(sequence, stamp, ticks, payload)
        if self._order.late > late:
            self._out_of_step(now)
        else:
            self._late_since = None
        self._give(pieces, now)
        if pieces:
            self._origin.saw(now - self._order.next / CLOCK, now)

    def fill(self, now: float) -> None:
        """Put silence where nothing comes, up to ``now``; to be called every 20 ms."""
        if now - self.last < PATIENCE:
            return
        self._give(self._order.flush(), now)
        while self._origin.value + (self._order.next + _STEP) / CLOCK <= now:
            self._give([self._order.skip(_STEP)], now)

    def _begin_again(self, now: float) -> None:
        self._give(self._order.flush(), now)
        self._order.restart()

    def _out_of_step(self, now: float) -> None:
        """Go on where we are if the sender's clock fell behind ours for good."""
        self._late_since = self._late_since or now
        if now - self._late_since > _OUT_OF_STEP:
            self._late_since = None
            self._begin_again(now)

    def _give(self, pieces: list[Piece], now: float) -> None:
        for piece in pieces:
            count = piece.end // self._scale - piece.start // self._scale
            self._on_sound(self._sound(piece, count), piece.start // self._scale, now)

    def _sound(self, piece: Piece, count: int) -> Samples:
        if piece.payload is not None:
            try:
                return _exactly(self._decoder.decode(piece.payload), count)
            except opus.BadPacket as error:
                self.broken += 1
                _log.debug("%s", error)
        elif not piece.lost:
            return np.zeros(count, dtype=np.float32)
        self.concealed += count
        return _exactly(self._decoder.conceal(min(count, _PLC_TICKS // self._scale)), count)


class _Origin:
    """Where position 0 lies on our clock, going by the least delayed packet of late.

    It forgets after a minute at most, so that a slow drift of the sender's clock does not add up.
    """

    def __init__(self, started: float) -> None:
        self.value = started
        self._now: float | None = None
        self._before: float | None = None
        self._turn = 0.0

    def saw(self, origin: float, now: float) -> None:
        if self._now is None or now >= self._turn:
            self._before, self._now, self._turn = self._now, origin, now + _WINDOW
        self._now = min(self._now, origin)
        self.value = self._now if self._before is None else min(self._now, self._before)


def _exactly(samples: Samples, count: int) -> Samples:
    if len(samples) >= count:
        return samples[:count]
    return np.concatenate([samples, np.zeros(count - len(samples), dtype=np.float32)])

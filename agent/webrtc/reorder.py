"""Puts packets back in order, and says where some are missing. No clock, no I/O.

It holds a packet back only while an earlier one may still come, and never for longer than
``wait`` packets. A buffer that always waits costs every syllable its delay (aiortc's own:
80 ms, and 200 ms more for the rest of the call after a single loss).
"""

from __future__ import annotations

from dataclasses import dataclass

CLOCK = 48_000
"""Ticks a second: the RTP clock of Opus."""

LEAP = CLOCK
"""A packet further away than this belongs to a new time-line: the sender has begun again."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the stream; pieces follow each other without gap or overlap."""

    start: int  # ticks since the stream began
    ticks: int
    payload: bytes | None  # none: nothing to decode here
    lost: bool = False  # no payload because packets are missing, not because none was sent

    @property
    def end(self) -> int:
        """Ticks since the stream began, just after it."""
        return self.start + self.ticks


@dataclass(frozen=True, slots=True)
class _Held:
    start: int
    sequence: int
    ticks: int
    payload: bytes


class ReorderBuffer:
    """Packets in as they come, pieces out in order.

    Attributes:
        next: where the next piece starts, in ticks since the stream began.
        late: packets that came too late, or twice, and were dropped.
        missing: packets that never came in time.
        leaps: how often the sender's clock jumped and the stream simply went on.

    Args:
        wait: packets that may overtake a missing one before it is given up.
    """

    def __init__(self, wait: int = 3) -> None:
        self._wait = wait
        self._held: list[_Held] = []
        self._offset: int | None = None  # stream position of time stamp 0, once known
        self._stamp = 0  # of the newest packet, unwrapped
        self._sequence = 0  # of the newest packet, unwrapped
        self._given: int | None = None  # sequence number of the last piece given
        self.next = 0
        self.late = self.missing = self.leaps = 0

    def add(self, sequence: int, stamp: int, ticks: int, payload: bytes) -> list[Piece]:
        """Take a packet, return the pieces that are now in order.

        Args:
            sequence: RTP sequence number, 16 bit.
            stamp: RTP time stamp, 32 bit.
            ticks: how long its sound lasts; more than 0.
            payload: what is decoded later.
        """
        if self._offset is None:
            self._stamp, self._sequence = stamp, sequence - 1
            self._offset = self.next - stamp
        unwrapped = _nearest(stamp, self._stamp, 32)
        number = _nearest(sequence, self._sequence, 16)
        pieces: list[Piece] = []
        if abs(unwrapped + self._offset - self.next) > LEAP and number > self._sequence:
            pieces = self.flush()
            self.leaps += 1
            self._offset, self._given = self.next - unwrapped, None
            self._stamp = unwrapped
        packet = _Held(unwrapped + self._offset, number, ticks, payload)
        self._stamp, self._sequence = max(self._stamp, unwrapped), max(self._sequence, number)
        if packet.start - self.next > LEAP or not self._hold(packet):
            self.late += 1
            return pieces
        return pieces + self._drain(self._wait)

    def flush(self) -> list[Piece]:
        """Return everything that is held back; wait no longer for what is missing."""
        return self._drain(0)

    def skip(self, ticks: int) -> Piece:
        """Put silence in place of what did not come; what belonged there is late from now on."""
        piece = Piece(self.next, ticks, None)
        self.next += ticks
        self._given = None
        return piece

    def restart(self) -> None:
        """Let the next packet go on right here, whatever its time stamp."""
        self._offset = None
        self._given = None

    def _hold(self, packet: _Held) -> bool:
        """Keep a packet in its place; tell whether there was one."""
        at = len(self._held)
        while at and self._held[at - 1].start > packet.start:
            at -= 1
        before = self._held[at - 1].start + self._held[at - 1].ticks if at else self.next
        after = self._held[at].start if at < len(self._held) else packet.start + packet.ticks
        if packet.start < before or packet.start + packet.ticks > after:
            return False
        self._held.insert(at, packet)
        return True

    def _drain(self, wait: int) -> list[Piece]:
        pieces: list[Piece] = []
        while self._held:
            first = self._held[0]
            gap = first.start - self.next
            follows = self._given is not None and first.sequence == self._given + 1
            if gap and not follows and len(self._held) <= wait:
                break
            if gap:  # after its own predecessor a gap is one that the sender left
                lost = self._given is not None and not follows
                pieces.append(Piece(self.next, gap, None, lost))
                if self._given is not None:
                    self.missing += max(0, first.sequence - self._given - 1)
            pieces.append(Piece(first.start, first.ticks, first.payload))
            self.next = first.start + first.ticks
            self._given = first.sequence
            self._held.pop(0)
        return pieces


def _nearest(value: int, near: int, bits: int) -> int:
    """Return the number closest to ``near`` whose lowest ``bits`` bits are ``value``."""
    half = 1 << (bits - 1)
    return near + ((value - near + half) % (1 << bits)) - half

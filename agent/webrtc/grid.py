"""The grid on which sound leaves: one frame every 20 ms, never two at once. Pure."""

from __future__ import annotations

FRAME_SECONDS = 0.020
SLIP_AFTER = 0.060
"""Seconds. Later than this, frames are left out: a burst would catch up nothing for the
listener but raise the delay of a browser's buffer by as much for five seconds."""
LEAN = 0.00025
"""Seconds that a frame may be moved against the one before: to the listener it is less than the
jitter of any network, and half a frame is made up within a second."""


class Grid:
    """Frame ``n`` is due at ``start + n`` x 20 ms; after a stall the numbers jump ahead.

    Attributes:
        number: of the next frame; its time stamp on the wire counts in these.
        slipped: frames that were left out so far.

    Args:
        start: when frame 0 is due, in seconds.
    """

    def __init__(self, start: float) -> None:
        self._start = start
        self.number = 0
        self.slipped = 0

    def due(self, number: int | None = None) -> float:
        """Return when a frame (the next one, if none is named) is due, in seconds."""
        return self._start + (self.number if number is None else number) * FRAME_SECONDS

    def lean(self, moment: float) -> None:
        """Move all frames to come a little, so that in the end one is due at ``moment``.

        Args:
            moment: any of those at which a frame would best be due, in seconds.
        """
        away = (moment - self._start) % FRAME_SECONDS
        away -= FRAME_SECONDS if away > FRAME_SECONDS / 2 else 0.0
        self._start += min(LEAN, max(-LEAN, away))

    def take(self, now: float) -> int:
        """Return the number of the frame that leaves now, and move on."""
        behind = now - self.due()
        if behind > SLIP_AFTER:
            missed = int(behind / FRAME_SECONDS)
            self.number += missed
            self.slipped += missed
        self.number += 1
        return self.number - 1

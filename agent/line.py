"""What a call needs of the wire: one caller's connection, whatever carries it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from agent.messages import FromPage, ToPage
from stages.contracts import Source
from stages.events import Audio, Samples

PLAYOUT_RATE = 24_000
"""Hz, mono: what most voices give, and what Opus carries well at 24 to 32 kb/s."""

FRAME = PLAYOUT_RATE // 50
"""Samples of one 20 ms frame of playout."""


class Line(Protocol):
    """One caller's connection. The clock is ``time.monotonic()``, in seconds."""

    @property
    def audio(self) -> Source[Audio]:
        """What the caller says, 20 ms a piece, in order, without gaps.

        Lost packets are concealed, and while nothing arrives silence comes in its place, in
        real time. The stream ends when the caller is gone.
        """

    @property
    def inbox(self) -> Source[FromPage]:
        """What the page says, already checked. It ends when the caller is gone."""

    async def run(self) -> None:
        """Carry audio and messages until the caller is gone; the call starts this once."""

    def send(self, message: ToPage) -> None:
        """Queue a message for the page; never waits. A full queue drops the oldest and counts."""

    def spoken_at(self, position: int) -> float:
        """Return when the caller's sample at ``position`` was due at this end, in seconds.

        It is the arrival of the least delayed packet so far, so jitter does not move it; the
        shortest way of the wire is in it.
        """

    def play(self, pull: Callable[[], Samples]) -> None:
        """Ask ``pull`` for ``FRAME`` samples (float32) every 20 ms from now on."""

    async def close(self, reason: str) -> None:
        """Say goodbye and free everything; within 3 s, cancelled or not."""

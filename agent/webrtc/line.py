"""A call's wire over WebRTC: the ``Line`` of ``agent.line``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio
from aiortc import RTCDataChannel, RTCPeerConnection, RTCRtpTransceiver
from aiortc.rtp import RtpPacket

from agent.messages import Bye, FromPage, ToPage
from agent.webrtc import compat
from agent.webrtc.channel import Channel
from agent.webrtc.receiver import Receiver
from agent.webrtc.streams import Inlet
from agent.webrtc.track import OutgoingTrack
from stages.contracts import Source
from stages.events import SAMPLE_RATE, Audio, Samples

CLOSE_WITHIN = 1.5
"""Seconds for aiortc to let go; with those below it stays under the 3 s that ``Line`` promises."""
ARRIVAL = 1.0
"""Seconds that a call which is over already waits for a caller who is still connecting."""
FAREWELL = 0.2

AUDIO_KEPT = 500
"""Frames (10 s) for a call that does not listen; beyond that the oldest go."""
INBOX_KEPT = 64

REPLY_AFTER = 0.008
"""Seconds from a packet of the caller to the next frame of ours: enough to hear in it that a turn
is over and to begin the reply. Left to chance it is anything up to 20 ms, 10 on average."""

_LOOK = 0.25  # seconds between two looks at the watches
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watches:
    """How long a connection may keep us waiting, in seconds, before it is given up."""

    connect: float = 10.0  # until it stands
    heartbeat: float = 3.0  # between two pings, once the channel was open
    sound: float = 3.0  # between two packets, of a caller who opened no channel


class WebRtcLine:
    """One caller's connection; see ``agent.line.Line``. A reconnect is a new one.

    Attributes:
        audio: what the caller says, 20 ms a piece.
        inbox: what the page says, but for pings.
        ended: why the line is over, as a sentence; empty while it is not.
        receiver: counters of what came in (packets, missing, late, concealed, broken).
        track: the outgoing grid: its lateness, its slips.
        channel: counters of the messages (bad, dropped).
    """

    def __init__(
        self, pc: RTCPeerConnection, track: OutgoingTrack, watches: Watches | None = None
    ) -> None:
        now = time.monotonic()
        self._audio: Inlet[Audio] = Inlet(AUDIO_KEPT)
        self._inbox: Inlet[FromPage] = Inlet(INBOX_KEPT)
        self.audio: Source[Audio] = self._audio
        self.inbox: Source[FromPage] = self._inbox
        self.ended = ""
        self.receiver = Receiver(SAMPLE_RATE, now, self._sound)
        self.track = track
        self.channel = Channel(self._inbox.put, self._channel_closed)
        self._pc = pc
        self._watches = watches or Watches()
        self._over = anyio.Event()
        self._made = now
        self._connected: float | None = None
        self._released = False

    @property
    def dropped(self) -> dict[str, int]:
        """What was lost because somebody was too slow: frames, messages in, messages out."""
        return {
            "audio": self._audio.dropped,
            "inbox": self._inbox.dropped,
            "outbox": self.channel.dropped,
        }

    @property
    def waiting(self) -> dict[str, int]:
        """What waits now, by the same names."""
        return {
            "audio": self._audio.waiting,
            "inbox": self._inbox.waiting,
            "outbox": self.channel.waiting,
        }

    @property
    def connected(self) -> bool:
        """Whether sound flows, or did."""
        return self._connected is not None

    def wire(self, transceiver: RTCRtpTransceiver) -> None:
        """Listen to the connection; called once, before its descriptions are set."""
        compat.take_packets(transceiver.receiver, self._packet)
        self._pc.on("connectionstatechange", self._state_changed)
        self._pc.on("datachannel", self._channel_came)

    def send(self, message: ToPage) -> None:
        """Queue a message for the page; never waits. A full queue drops the oldest and counts.

        Once the line is over nothing happens.
        """
        if not self.ended:
            self.channel.send(message)

    def spoken_at(self, position: int) -> float:
        """Return when the caller's sample at ``position`` was due at this end, in seconds.

        It goes by the least delayed packet of the last half to whole minute, so jitter does
        not move it, and drifting sound cards do not bend it.
        """
        return self.receiver.when(position)

    def play(self, pull: Callable[[], Samples]) -> None:
        """Ask ``pull`` for ``FRAME`` samples (float32) every 20 ms from now on, on the line's grid.

        What ``pull`` raises comes out of ``run``.
        """
        self.track.play(pull)

    async def run(self) -> None:
        """Watch over the connection until it is over, then free it; the call's tasks include it.

        It returns within 5 s of the caller's leaving, however they leave. Cancelling it stops
        the watching and frees nothing: that is for ``close``.

        Raises:
            Exception: what the call's ``pull`` raised.
        """
        while not self._over.is_set():
            with anyio.move_on_after(_LOOK):
                await self._over.wait()
            self._look(time.monotonic())
        await self._release()
        if self.track.failure is not None:
            raise self.track.failure

    async def close(self, reason: str) -> None:
        """Say goodbye and free everything; within 3 s, cancelled or not."""
        with anyio.CancelScope(shield=True):
            if not self._over.is_set():
                self.send(Bye(reason=reason))
                # A call that ends before it has connected has a sentence for the caller, too.
                with anyio.move_on_after(ARRIVAL):
                    await self._told_of_end()
                with anyio.move_on_after(FAREWELL):
                    await self.channel.flush()
            self._end(reason)
            await self._release()

    async def _told_of_end(self) -> None:
        """Wait until the page can be told, or is gone."""
        async with anyio.create_task_group() as tasks:

            async def over() -> None:
                await self._over.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(over)
            await self.channel.came()
            tasks.cancel_scope.cancel()

    # --- what the connection tells ---

    def _packet(self, packet: RtpPacket, now: float) -> None:
        self.receiver.packet(
            packet.ssrc, packet.sequence_number, packet.timestamp, packet.payload, now
        )

    def tick(self, now: float) -> None:
        """Keep the caller's audio going, and our frames close behind it; called once a frame."""
        self.receiver.fill(now)
        if self.track.grid is not None and self.receiver.packets:
            self.track.grid.lean(self.receiver.when(0) + REPLY_AFTER)

    def _sound(self, samples: Samples, position: int, arrival: float) -> None:
        self._audio.put(Audio(samples, position))

    def _channel_came(self, wire: RTCDataChannel) -> None:
        self.channel.attach(wire)

    def _channel_closed(self) -> None:
        self._end("The caller closed the connection.")

    def _state_changed(self) -> None:
        state = self._pc.connectionState
        if state == "connected" and self._connected is None:
            self._connected = time.monotonic()
        elif state in ("failed", "closed"):
            self._end("The caller's connection closed.")

    # --- the end ---

    def _look(self, now: float) -> None:
        if self.track.failure is not None:
            self._end("The call's playout failed.")
        elif self._connected is None:
            if now - self._made > self._watches.connect:
                self._end(f"The caller did not connect within {self._watches.connect:g} s.")
        elif self.channel.opened:
            self.channel.drain()
            if now - self.channel.heartbeat > self._watches.heartbeat:
                self._end(f"The page was silent for {self._watches.heartbeat:g} s.")
        elif now - max(self._connected, self.receiver.last) > self._watches.sound:
            self._end(f"Nothing came from the caller for {self._watches.sound:g} s.")

    def _end(self, reason: str) -> None:
        if self.ended:
            return
        self.ended = reason
        self.track.stop()
        self._audio.end()
        self._inbox.end()
        self._over.set()

    async def _release(self) -> None:
        if self._released:
            return
        self._released = True
        with anyio.move_on_after(CLOSE_WITHIN, shield=True) as scope:
            await self._pc.close()
        if scope.cancelled_caught:
            _log.warning("aiortc did not let go of a connection within %.1f s", CLOSE_WITHIN)

"""The caller's end of a call: offers, plays, hears, and reads the words of the agent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import anyio
from aiortc import RTCDataChannel, RTCSessionDescription
from pydantic import ValidationError

from agent.line import PLAYOUT_RATE
from agent.messages import FromPage, ToPage, to_page
from agent.webrtc import compat
from agent.webrtc.answer import connection
from agent.webrtc.channel import LABEL
from agent.webrtc.receiver import OnSound, Receiver
from agent.webrtc.settings import IceSettings
from agent.webrtc.streams import Inlet
from agent.webrtc.track import Pull

CLOSE_WITHIN = 2.0
_WORDS_KEPT = 1_000

OnSent = Callable[[int, float, float], None]
"""Takes the number of a frame that left, when it was due, and when it left (seconds)."""

_log = logging.getLogger(__name__)


class Peer:
    """A caller without a browser. The clock is ``time.monotonic()``, in seconds.

    Attributes:
        words: what the agent says, each with its time of arrival; it ends with the connection.
        receiver: what was heard: counters, and ``when`` a sample was due.
        opened: set once the data channel is open.
        closed: set once the connection is over, whoever ended it.
        unread: messages of the agent that we could not read.

    Args:
        pull: gives ``agent.line.FRAME`` samples for the agent every 20 ms.
        on_sound: is given what is heard, at ``PLAYOUT_RATE``.
        on_sent: is told when each frame left.
    """

    def __init__(
        self,
        pull: Pull,
        on_sound: OnSound,
        on_sent: OnSent | None = None,
        ice: IceSettings | None = None,
    ) -> None:
        self._pc, transceiver, self.track = connection(ice or IceSettings())
        self.receiver = Receiver(PLAYOUT_RATE, time.monotonic(), on_sound)
        self.track.play(pull)
        self.track.on_sent = on_sent
        self.track.on_tick = self.receiver.fill
        self.words: Inlet[tuple[ToPage, float]] = Inlet(_WORDS_KEPT)
        self.opened = anyio.Event()
        self.closed = anyio.Event()
        self.unread = 0
        compat.take_packets(transceiver.receiver, self._packet)
        self._pc.on("connectionstatechange", self._state_changed)
        self._channel: RTCDataChannel = self._pc.createDataChannel(LABEL)
        self._channel.on("open", self.opened.set)
        self._channel.on("message", self._read)
        self._channel.on("close", self._over)

    async def offer(self) -> str:
        """Return our offer's SDP."""
        await self._pc.setLocalDescription(await self._pc.createOffer())
        return str(self._pc.localDescription.sdp)

    async def accept(self, sdp: str) -> None:
        """Take the agent's answer; sound flows soon after.

        Raises:
            ValueError: it is no SDP.
        """
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        except Exception as error:
            raise ValueError(f"the answer is no SDP that can be used ({error})") from error

    def send(self, message: FromPage) -> None:
        """Say something to the agent; nothing happens while there is no connection."""
        if self._channel.readyState == "open" and not self.closed.is_set():
            self._channel.send(message.model_dump_json())

    async def close(self) -> None:
        """Hang up and free everything; within 2 s, cancelled or not."""
        with anyio.move_on_after(CLOSE_WITHIN, shield=True):
            self._over()
            await self._pc.close()

    def _packet(self, packet: Any, now: float) -> None:
        self.receiver.packet(
            packet.ssrc, packet.sequence_number, packet.timestamp, packet.payload, now
        )

    def _read(self, text: str | bytes) -> None:
        arrived = time.monotonic()
        try:
            self.words.put((to_page(text), arrived))
        except ValidationError as error:
            self.unread += 1
            _log.debug("unread message of the agent: %s", error)

    def _state_changed(self) -> None:
        if self._pc.connectionState in ("failed", "closed"):
            self._over()

    def _over(self) -> None:
        self.track.stop()
        self.words.end()
        self.closed.set()

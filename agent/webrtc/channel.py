"""The agent's end of the data channel: words in, words out, the heartbeat answered."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

import anyio
from aiortc import RTCDataChannel
from pydantic import ValidationError

from agent.messages import FromPage, Ping, Pong, ToPage, Trouble, from_page

LABEL = "firstword"
OUTBOX = 256
"""Messages kept for a page that does not take them; beyond that the oldest go."""
BACKLOG = 1 << 18
"""Bytes given to the wire ahead of its pace."""
LONGEST = 16_384
"""Bytes of a message from the page, at most."""
ANSWERED = 20
"""Bad messages that get an answer; the rest are only counted."""

_log = logging.getLogger(__name__)


class Channel:
    """One page's channel.

    Attributes:
        opened: whether it ever was open.
        closed: whether it was open and is no more.
        heartbeat: when the last ping came, or the channel opened, in seconds.
        bad: messages that we could not read.
        dropped: messages that the page was too slow for.

    Args:
        on_message: is given every good message but pings.
        on_close: called once, when an open channel closes.
    """

    def __init__(
        self, on_message: Callable[[FromPage], None], on_close: Callable[[], None]
    ) -> None:
        self._on_message = on_message
        self._on_close = on_close
        self._wire: RTCDataChannel | None = None
        self._outbox: deque[ToPage] = deque()
        self.opened = self.closed = False
        self._came = anyio.Event()
        self.heartbeat = 0.0
        self.bad = self.dropped = 0

    def attach(self, wire: RTCDataChannel) -> None:
        """Use a channel that the page opened; only the first ``firstword`` counts."""
        if wire.label != LABEL or self._wire is not None:
            wire.close()
            return
        self._wire = wire
        wire.bufferedAmountLowThreshold = BACKLOG // 2
        wire.on("message", self._read)
        wire.on("bufferedamountlow", self.drain)
        wire.on("close", self._close)
        self.opened = True
        self._came.set()
        self.heartbeat = time.monotonic()
        self.drain()

    def send(self, message: ToPage) -> None:
        """Queue a message; a full queue drops its oldest."""
        if len(self._outbox) >= OUTBOX:
            self._outbox.popleft()
            self.dropped += 1
        self._outbox.append(message)
        self.drain()

    @property
    def waiting(self) -> int:
        """Messages that the wire did not take yet."""
        return len(self._outbox)

    def drain(self) -> None:
        """Give the wire what it takes."""
        while self._outbox and self._takes():
            self._write(self._outbox.popleft())

    async def came(self) -> None:
        """Wait until the page has opened it; give it a deadline, for it may never do so."""
        await self._came.wait()

    async def flush(self) -> None:
        """Wait until everything has left; give it a deadline, for the page may be gone."""
        wire = self._wire
        if wire is None or wire.readyState != "open":
            return
        empty = anyio.Event()
        wire.on("bufferedamountlow", empty.set)
        wire.bufferedAmountLowThreshold = 0
        while self._outbox or wire.bufferedAmount:
            self.drain()
            await empty.wait()
            empty = anyio.Event()
            wire.once("bufferedamountlow", empty.set)

    def _takes(self) -> bool:
        wire = self._wire
        return wire is not None and wire.readyState == "open" and wire.bufferedAmount < BACKLOG

    def _write(self, message: ToPage) -> None:
        assert self._wire is not None
        self._wire.send(message.model_dump_json())

    def _read(self, text: str | bytes) -> None:
        arrived = time.monotonic()
        try:
            if len(text) > LONGEST:
                raise ValueError(f"it has {len(text)} bytes, {LONGEST} are allowed")
            message = from_page(text)
        except ValueError as error:
            self._refuse(error)
            return
        if isinstance(message, Ping):
            self._answer(message, arrived)
        else:
            self._on_message(message)

    def _answer(self, ping: Ping, arrived: float) -> None:
        """Answer at once, ahead of what is queued: the page sets its clock by it."""
        self.heartbeat = arrived
        if self._takes():
            self._write(Pong(t0=ping.t0, t1=arrived * 1000, t2=time.monotonic() * 1000))

    def _refuse(self, error: ValueError) -> None:
        self.bad += 1
        if self.bad > ANSWERED:
            return
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            reason = f"{place}: {first['msg']}" if place else first["msg"]
        else:
            reason = str(error)
        _log.debug("bad message from the page: %s", reason)
        self.send(Trouble(sentence=f"A message of this page cannot be read: {reason[:300]}."))

    def _close(self) -> None:
        if not self.closed:
            self.closed = True
            self._on_close()

"""Who looks on: observers are told what happens in calls, and nobody ever waits for them.

An observer that breaks is logged and goes on being told; the call does not notice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from anyio.abc import ObjectReceiveStream

from agent.line import Line
from agent.messages import FromPage, ToPage
from agent.timeline import TurnRecord
from stages.contracts import Source
from stages.events import Audio, Samples

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Told of everything; every method returns at once."""

    def call_started(self, call: str, profile: str, name: str) -> None:
        """A call stands: its name, its character's id and name."""

    def call_ended(self, call: str) -> None:
        """A call is over."""

    def told(self, call: str, message: ToPage) -> None:
        """The page was told something: words, replies, states, trouble."""

    def turn(self, record: TurnRecord) -> None:
        """A turn's record is finished."""


class Watchers:
    """Several observers as one, each on its own."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = list(observers)

    def add(self, observer: Observer) -> None:
        """Tell one more from now on."""
        self._observers.append(observer)

    def call_started(self, call: str, profile: str, name: str) -> None:
        """A call stands."""
        self._tell(lambda one: one.call_started(call, profile, name))

    def call_ended(self, call: str) -> None:
        """A call is over."""
        self._tell(lambda one: one.call_ended(call))

    def told(self, call: str, message: ToPage) -> None:
        """The page was told something."""
        self._tell(lambda one: one.told(call, message))

    def turn(self, record: TurnRecord) -> None:
        """A turn's record is finished."""
        self._tell(lambda one: one.turn(record))

    def _tell(self, news: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                news(observer)
            except Exception:  # noqa: BLE001  # whatever it is, the call goes on
                _log.warning("an observer failed", exc_info=True)


class OverheardLine:
    """A line whose messages observers hear, and whose caller can be muted.

    Args:
        call: the name of its call.
        line: what really carries audio and messages.
        muted: asked for every piece of audio; while it says so, the call hears silence.
    """

    def __init__(
        self, call: str, line: Line, watchers: Watchers, muted: Callable[[], bool]
    ) -> None:
        self._call, self._line, self._watchers = call, line, watchers
        self.audio: Source[Audio] = _Muting(line.audio, muted)

    @property
    def inbox(self) -> Source[FromPage]:
        """What the page says."""
        return self._line.inbox

    async def run(self) -> None:
        """Carry audio and messages until the caller is gone."""
        await self._line.run()

    def send(self, message: ToPage) -> None:
        """Queue a message for the page, and tell the observers."""
        self._line.send(message)
        self._watchers.told(self._call, message)

    def spoken_at(self, position: int) -> float:
        """Return when the caller's sample at ``position`` was due at this end, in seconds."""
        return self._line.spoken_at(position)

    def play(self, pull: Callable[[], Samples]) -> None:
        """Ask ``pull`` for a frame every 20 ms from now on."""
        self._line.play(pull)

    async def close(self, reason: str) -> None:
        """Say goodbye and free everything."""
        await self._line.close(reason)


class _Muting(ObjectReceiveStream[Audio]):
    def __init__(self, source: Source[Audio], muted: Callable[[], bool]) -> None:
        self._source, self._muted = source, muted

    async def receive(self) -> Audio:
        audio = await self._source.receive()
        return replace(audio, samples=np.zeros_like(audio.samples)) if self._muted() else audio

    async def aclose(self) -> None:
        await self._source.aclose()

    @property
    def extra_attributes(self) -> Any:
        return self._source.extra_attributes

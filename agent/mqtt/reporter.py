"""An observer that puts what happens in calls into the outbox."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from agent import messages
from agent.mqtt.outbox import Letter, Outbox
from agent.mqtt.settings import CONTENT, Content
from agent.mqtt.shapes import (
    AgentState,
    Answered,
    CallEvent,
    Figures,
    Latency,
    Trouble,
    Words,
)
from agent.mqtt.topics import Topics
from agent.timeline import TurnRecord

COUNTED = 200
"""Turns that the percentiles are of: the latest."""

_WORDS = ("user_text", "reply_text", "heard_text")


@dataclass(eq=False)
class Reporter:
    """Tells a broker of calls; see ``agent.observe.Observer``."""

    topics: Topics
    content: Content
    outbox: Outbox
    connections: int = 0
    _calls: dict[str, tuple[str, str]] = field(default_factory=dict)  # to profile, name
    _state: AgentState = field(default_factory=lambda: AgentState(state="idle", calls=0))
    _figures: Figures = field(default_factory=Figures)
    _latest: deque[float] = field(default_factory=lambda: deque(maxlen=COUNTED))
    _turns: int = 0

    # --- the observer -----------------------------------------------------------------------

    def call_started(self, call: str, profile: str, name: str) -> None:
        """Publish that a call stands."""
        self._calls[call] = (profile, name)
        self._event("started", call)
        self._show("listening", call)

    def call_ended(self, call: str) -> None:
        """Publish that a call is over."""
        if call in self._calls:
            self._event("ended", call)
            del self._calls[call]
            self._show("listening" if self._calls else "idle", None)

    def told(self, call: str, message: messages.ToPage) -> None:
        """Publish what the page was told, as far as the broker may know it."""
        match message:
            case messages.State():
                self._show(message.state, call)
            case messages.Heard():
                self._heard(call, message)
            case messages.ReplyEnd() if self._may("replies"):
                said = Answered(
                    call=call,
                    turn=message.turn,
                    reply=message.reply,
                    text=message.heard,
                    interrupted=message.interrupted,
                )
                self._put("reply", said)
            case messages.Switched():
                self._calls[call] = (message.profile, message.name)
                self._event("switched", call)
                self._show(self._state.state, call)
            case messages.Trouble():
                self._put("error", Trouble(call=call, sentence=message.sentence))
            case _:
                pass

    def turn(self, record: TurnRecord) -> None:
        """Publish a turn's latency record, without its words."""
        shown = {key: value for key, value in record.to_dict().items() if key not in _WORDS}
        total = record.first_response_ms
        latency = Latency(call=record.call, turn=record.turn, first_response_ms=total, record=shown)
        letter = Letter(self.topics.of("latency"), latency, record=True)
        self.outbox.put(letter)
        self._turns += 1
        if total is not None:
            self._latest.append(total)
        self.publish_figures()

    # --- what is retained -------------------------------------------------------------------

    def publish_all(self) -> None:
        """Publish every retained topic anew: a broker that was restarted may know nothing."""
        self.publish_figures()
        self._put("state", self._state, retain=True)

    def publish_figures(self) -> None:
        """Publish the latest turns in numbers."""
        ordered = sorted(self._latest)
        figures = Figures(
            last_first_response_ms=self._latest[-1] if self._latest else None,
            p50_first_response_ms=_rank(ordered, 0.50),
            p95_first_response_ms=_rank(ordered, 0.95),
            turns=self._turns,
            dropped_latency=self.outbox.dropped_records,
            dropped_other=self.outbox.dropped_others,
            connections=self.connections,
        )
        self._put("figures", figures, retain=True)

    # --- helpers ----------------------------------------------------------------------------

    def _heard(self, call: str, message: messages.Heard) -> None:
        if not self._may("finals" if message.final else "partials"):
            return
        words = Words(
            call=call,
            turn=message.turn,
            text=message.text,
            stable=message.stable,
            final=message.final,
        )
        if message.final:
            self._put("transcript", words)
        else:  # the next one says it better: only the newest waits
            self.outbox.put(Letter(self.topics.of("transcript/partial"), words, latest=True))

    def _may(self, content: Content) -> bool:
        return CONTENT.index(self.content) >= CONTENT.index(content)

    def _event(self, event: Literal["started", "switched", "ended"], call: str) -> None:
        profile, name = self._calls[call]
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._put("call", CallEvent(event=event, call=call, profile=profile, name=name, at=at))

    def _show(
        self, state: Literal["idle", "listening", "thinking", "speaking"], call: str | None
    ) -> None:
        profile = self._calls.get(call, (None,))[0] if call else None
        self._state = AgentState(state=state, calls=len(self._calls), call=call, profile=profile)
        self._put("state", self._state, retain=True)

    def _put(
        self,
        what: str,
        body: AgentState | CallEvent | Words | Answered | Figures | Trouble,
        *,
        retain: bool = False,
    ) -> None:
        self.outbox.put(Letter(self.topics.of(what), body, retain=retain, latest=retain))


def _rank(ordered: list[float], share: float) -> float | None:
    """Return the value that this share of all does not exceed."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]

"""Follows a call: puts the agent's words and the ear's times together, and answers with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.caller.clock import AgentClock
from agent.caller.ear import Ear
from agent.caller.mic import Utterance
from agent.messages import (
    Bye,
    Flush,
    FromPage,
    GoOnWord,
    Heard,
    HeardReply,
    HoldWord,
    Playing,
    Pong,
    Recognised,
    Reply,
    ReplyEnd,
    Silenced,
    State,
    Switched,
    TimelineWord,
    ToPage,
    Trouble,
    Welcome,
)

QUIET_AFTER_FLUSH = 0.2
"""Seconds without sound after which a cut reply has fallen silent."""

_EARLY = 0.060  # seconds: sound may overtake its ``playing`` by this where clocks are unknown
_AGENT_HEARS_LATE = 0.300  # seconds: by how much the agent's end of speech may lie behind ours


@dataclass(eq=False)
class Told:
    """One reply, as it was told and heard. Times are seconds on our clock."""

    turn: int
    file: int  # index of the recording that it answers; -1: none, a greeting
    clauses: dict[int, str] = field(default_factory=dict)
    playing: float | None = None
    heard: float | None = None
    speech_end: float | None = None
    held: float | None = None  # since when it is held
    flushed: float | None = None
    silenced: float | None = None
    speech_start: float | None = None  # of the interruption
    ended: float | None = None
    interrupted: bool = False
    kept: str = ""

    @property
    def text(self) -> str:
        """Return its clauses in order."""
        return "".join(self.clauses[number] for number in sorted(self.clauses))


@dataclass(eq=False)
class Spoken:
    """One recording, and the transcripts that came while it was the latest."""

    utterance: Utterance
    turn: int | None = None
    partials: list[str] = field(default_factory=list)
    finals: dict[int, str] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    failure: str | None = None

    @property
    def file(self) -> Path:
        """The recording."""
        return self.utterance.file


class Follower:
    """Takes every word with its time of arrival, and looks at the ear after every packet.

    Args:
        ear: what was heard so far.
        answer: sends a word to the agent.
    """

    def __init__(self, ear: Ear, answer: Callable[[FromPage], None]) -> None:
        self._ear = ear
        self._answer = answer
        self._waiting: Told | None = None  # for its first audible sample
        self._falling: Told | None = None  # for its silence
        self._since = 0.0
        self.clock = AgentClock()
        self.welcome: Welcome | None = None
        self.bye: Bye | None = None
        self.state: str | None = None
        self.spoken: list[Spoken] = []
        self.replies: dict[int, Told] = {}
        self.records: dict[int, dict[str, Any]] = {}  # the latest, by turn
        self._by_reply: dict[int, dict[str, Any]] = {}
        self.troubles: list[str] = []
        self.news = 0.0  # when the last word came

    def spoke(self, utterance: Utterance) -> Spoken:
        """Note that a recording begins."""
        self.spoken.append(Spoken(utterance))
        return self.spoken[-1]

    @property
    def busy(self) -> bool:
        """Whether the agent is thinking, or a reply has begun and not ended."""
        open_reply = any(told.ended is None for told in self.replies.values())
        return open_reply or self.state in ("thinking", "speaking")

    @property
    def all_records(self) -> tuple[dict[str, Any], ...]:
        """The latest record of each reply; a turn that was cut off has several."""
        return tuple(self._by_reply[reply] for reply in sorted(self._by_reply))

    def word(self, word: ToPage, arrived: float) -> None:
        """Take a word of the agent."""
        if isinstance(word, Pong):
            self.clock.saw(word, arrived)
            return
        self.news = arrived
        match word:
            case Welcome():
                self.welcome = word
            case State():
                self.state = word.state
            case Heard():
                self._transcript(word)
            case Reply() | Playing() | HoldWord() | GoOnWord() | Flush() | ReplyEnd():
                self._reply(word, arrived)
            case TimelineWord():
                self.records[word.turn] = word.record
                self._by_reply[int(word.record.get("reply", -word.turn))] = word.record
            case Trouble():
                (self.spoken[-1].troubles if self.spoken else self.troubles).append(word.sentence)
            case Bye():
                self.bye = word
            case Switched() | Recognised():
                pass

    def look(self, now: float) -> None:
        """See whether the ear heard what we wait for; called after every packet."""
        if self._waiting is not None:
            heard = self._ear.first_since(self._since)
            if heard is not None:
                self._report_heard(self._waiting, heard)
        told = self._falling
        if told is not None and told.flushed is not None:
            quiet = self._ear.quiet_since(told.held or told.flushed)
            if now - quiet >= QUIET_AFTER_FLUSH:
                self._report_silence(told, quiet)

    def _transcript(self, word: Heard) -> None:
        if not self.spoken:
            return
        spoken = self.spoken[-1]
        spoken.turn = word.turn
        if word.final:
            spoken.finals[word.turn] = word.text
        else:
            spoken.partials.append(word.text)

    def _reply(
        self, word: Reply | Playing | HoldWord | GoOnWord | Flush | ReplyEnd, arrived: float
    ) -> None:
        told = self.replies.get(word.reply)
        if told is None:
            told = self.replies[word.reply] = Told(word.turn, len(self.spoken) - 1)
        match word:
            case Reply():
                told.clauses[word.clause] = word.text
            case Playing():
                self._playing(word, told, arrived)
            case HoldWord():
                told.held = arrived
            case GoOnWord():
                told.held = None
            case Flush():
                self._flushed(told, arrived)
            case ReplyEnd():
                told.ended, told.interrupted, told.kept = arrived, word.interrupted, word.heard
                if self._waiting is told and word.interrupted:
                    self._waiting = None

    def _playing(self, word: Playing, told: Told, arrived: float) -> None:
        if told.playing is not None:
            return  # a paused reply goes on
        told.playing = arrived
        known = self.clock.known
        self._since = arrived - _EARLY
        if known:
            self._since = self.clock.to_ours(word.at) - self.clock.uncertainty / 1000
        told.speech_end = self._speech_end(word)
        self._waiting = told
        self.look(arrived)

    def _speech_end(self, word: Playing) -> float | None:
        """Return when our last speech before this reply was spoken, where we can tell."""
        if not self.spoken or word.speech_end is None:
            return None
        utterance = self.spoken[-1].utterance
        if not utterance.began:
            return None
        end = utterance.when(utterance.speech_end)
        if not self.clock.known:
            return end if utterance.done.is_set() else None
        limit = self.clock.to_ours(word.speech_end) + _AGENT_HEARS_LATE
        if end <= limit:
            return end
        # A reply while we still speak: it answers what came before a pause in the recording.
        place = utterance.last_speech_before(limit)
        return None if place is None else utterance.when(place)

    def _flushed(self, told: Told, arrived: float) -> None:
        if self._waiting is told:
            self._waiting = None
        told.flushed = arrived
        if self.spoken and self.spoken[-1].utterance.began:
            utterance = self.spoken[-1].utterance
            start = utterance.when(utterance.speech_start)
            # A recording that goes on after a pause began long before; when it went on is unknown.
            told.speech_start = None if start < (told.playing or start) else start
        self._falling = told

    def _report_heard(self, told: Told, heard: float) -> None:
        self._waiting, told.heard = None, heard
        if not self.clock.known:
            return
        end = told.speech_end
        self._answer(
            HeardReply(
                turn=told.turn,
                reply=self._number(told),
                heard=self.clock.to_agent(heard),
                speech_end=None if end is None else self.clock.to_agent(end),
                uncertainty=self.clock.uncertainty,
            )
        )

    def _report_silence(self, told: Told, quiet: float) -> None:
        self._falling, told.silenced = None, quiet
        if not self.clock.known:
            return
        start = told.speech_start
        self._answer(
            Silenced(
                turn=told.turn,
                reply=self._number(told),
                at=self.clock.to_agent(quiet),
                speech_start=None if start is None else self.clock.to_agent(start),
            )
        )

    def _number(self, told: Told) -> int:
        return next(number for number, other in self.replies.items() if other is told)

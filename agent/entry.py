"""One reply while it is made and played, and what is known of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import anyio

from agent.memory.recall import Recall
from agent.messages import Reply, ToPage, Trouble
from agent.playout import ReplyAudio
from agent.speak import Script
from agent.timeline import Mark, Timeline
from agent.voicing import Recast
from stages.events import Clause, Usage

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Entry:
    """One reply of a call. It is the witness of its own making."""

    timeline: Timeline
    audio: ReplyAudio
    script: Script
    tell: Callable[[ToPage], None]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    recast: Recast = field(default_factory=Recast)
    released: bool = False
    over: bool = False
    begun: float = 0.0  # monotonic seconds
    tokens: int = 0
    clauses: list[Clause] = field(default_factory=list)
    trouble: str = ""
    recall: Recall | None = None  # the memory of the character that makes it
    pieces: tuple[int | None, ...] = ()  # utterances that it answers; none: typed
    person: str = ""  # who is known to have said them

    def mark(self, name: Mark) -> None:
        """Something happened now."""
        self.timeline.mark(name, monotonic())

    def piece(self) -> None:
        """A piece of text came from the LLM."""
        self.mark("llm_first_token")
        self.tokens += 1

    def clause(self, clause: Clause) -> None:
        """The voice begins to say a clause; the page knows of it once it is no guess."""
        self.clauses.append(clause)
        self.timeline.reply_text += clause.text
        if self.released:
            self.show(clause)

    def voice(self, name: str) -> None:
        """The first sound is this voice's: the turn is its, whichever was asked before it."""
        self.timeline.stages["tts"] = name

    def usage(self, usage: Usage) -> None:
        """The LLM counted its tokens."""
        self.tokens = usage.completion_tokens  # what the engine counted, instead of pieces

    def fell_back(self, sentence: str) -> None:
        """A stage failed and another took over."""
        self.timeline.fallbacks.append(sentence)
        _log.warning("call %s: %s", self.timeline.call, sentence)

    def failed(self, sentence: str) -> None:
        """The reply could not be made, or not to its end."""
        self.timeline.error = self.trouble = sentence
        _log.warning("call %s: %s", self.timeline.call, sentence)
        if self.released:
            self.tell(Trouble(sentence=sentence))

    def show(self, clause: Clause) -> None:
        """Tell the page a clause of a reply that it may know of."""
        turn, reply = self.timeline.turn, self.timeline.reply
        self.tell(Reply(turn=turn, reply=reply, clause=clause.number, text=clause.text))

    def release(self) -> None:
        """Tell the page what was kept from it while the reply was a guess."""
        self.released = True
        self.script.guess.sure.set()
        if self.script.errands is not None:
            self.script.errands.sure.set()
        for clause in self.clauses:
            self.show(clause)
        if self.trouble:
            self.tell(Trouble(sentence=self.trouble))

"""What one connection knows of whose turn it is, and what is remembered of them.

A memory is only of the person whose turn it is: of no one else who is known, and of nobody where
the voice is not known, where two voices share a turn, or where the turn was typed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from agent.errors import NotPossible
from agent.memory.block import notes, told
from agent.memory.keeper import Memories
from agent.memory.record import exchange
from agent.profile import MemoryChoice, Profile
from agent.timeline import Timeline
from stages.contracts import Llm
from stages.events import Message

_log = logging.getLogger(__name__)


class Namer(Protocol):
    """Knows voices."""

    async def whose(self, utterance: int) -> str:
        """Return the name of who speaks in an utterance; empty if that is not known."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whose turn it is, and the messages that tell a model what is remembered of them."""

    name: str = ""  # empty: nobody who is known
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class _Noted:
    memory: str | None  # the id of what the notes are of; none: nothing was remembered
    messages: tuple[Message, ...]


@dataclass(eq=False)
class Recall:
    """The memory of one character, in one connection.

    Args:
        tell: shows the caller a sentence about something that went wrong.
    """

    memories: Memories
    voices: Namer
    profile: Profile
    choice: MemoryChoice
    llm: Llm
    call: str
    tell: Callable[[str], None]
    _pieces: dict[int, tuple[int | None, ...]] = field(default_factory=dict)  # of the newest turn
    _noted: dict[str, _Noted] = field(default_factory=dict)  # by name
    _broken: bool = False

    def pieces(self, turn: int, utterance: int | None) -> tuple[int | None, ...]:
        """Return the utterances of a turn if this is its newest; none stands for typed words."""
        return (*self._pieces.get(turn, ()), utterance)

    def spoken(self, turn: int, utterance: int | None) -> None:
        """Note that a turn went on with this utterance; it may go on with more."""
        self._pieces = {turn: self.pieces(turn, utterance)}

    async def person(self, pieces: tuple[int | None, ...]) -> Person:
        """Return whose turn it is, and what is remembered of them from earlier calls.

        It waits for the score of their voice, and a moment for the disk.
        """
        names = {
            "" if utterance is None else await self.voices.whose(utterance) for utterance in pieces
        }
        name = names.pop() if len(names) == 1 else ""
        return Person(name, await self._messages(name)) if name else Person()

    def keep(self, name: str, turn: Timeline) -> None:
        """Keep a turn as it was heard; never waits."""
        said = (turn.user_text, turn.heard_text)
        one = exchange(self.call, turn.turn, turn.started_at, said, turn.interrupted)
        self.memories.keep(name, self.profile, self.llm, one)

    async def _messages(self, name: str) -> tuple[Message, ...]:
        """Return the notes on a person: the same for the whole call, unless they are forgotten."""
        if self._broken:
            return ()
        try:
            memory = await self.memories.recall(name, self.profile.id)
        except NotPossible as error:
            self._broken = True  # it is not asked again in this call
            _log.warning("call %s: nothing is remembered: %s", self.call, error)
            self.tell(
                f"{self.profile.name} remembers nothing of earlier calls: what was kept cannot be"
                " read. The server's log says why."
            )
            return ()
        known, noted = memory.id if memory else None, self._noted.get(name)
        if noted is None or noted.memory != known:
            text = notes(memory, self.call, self.choice.characters) if memory else ""
            noted = self._noted[name] = _Noted(known, told(text, self.profile.language))
        return noted.messages

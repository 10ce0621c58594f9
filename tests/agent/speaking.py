"""Small stages that think and speak as a test wants, and a witness that notes everything."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
import numpy as np

from agent.engines import Mouth
from agent.timeline import Mark
from stages.contracts import Sink, Source
from stages.errors import StageError
from stages.events import (
    ChatRequest,
    Clause,
    LlmEvent,
    Message,
    Samples,
    Speech,
    TextDelta,
    Usage,
    Voice,
    Word,
)

Thinks: TypeAlias = Callable[[ChatRequest, Sink[LlmEvent]], Coroutine[Any, Any, None]]


@dataclass
class Notes:
    """A witness."""

    marks: list[Mark] = field(default_factory=list)
    pieces: int = 0
    clauses: list[str] = field(default_factory=list)
    voices: list[str] = field(default_factory=list)
    costs: list[Usage] = field(default_factory=list)
    fallbacks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def mark(self, name: Mark) -> None:
        self.marks.append(name)

    def piece(self) -> None:
        self.pieces += 1

    def clause(self, clause: Clause) -> None:
        self.clauses.append(clause.text)

    def voice(self, name: str) -> None:
        self.voices.append(name)

    def usage(self, usage: Usage) -> None:
        self.costs.append(usage)

    def fell_back(self, sentence: str) -> None:
        self.fallbacks.append(sentence)

    def failed(self, sentence: str) -> None:
        self.failures.append(sentence)


@dataclass
class Mind:
    """An LLM that says these pieces, then does something else, or nothing."""

    pieces: tuple[str, ...]
    then: StageError | None = None
    hangs: bool = False
    closed: anyio.Event = field(default_factory=anyio.Event)
    said: anyio.Event = field(default_factory=anyio.Event)

    async def warm(self, messages: tuple[Message, ...]) -> None:
        """There is nothing to get ready."""

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        try:
            async with sink:
                for piece in self.pieces:
                    await sink.send(TextDelta(piece))
                self.said.set()
                if self.hangs:
                    await anyio.sleep_forever()
                if self.then is not None:
                    raise self.then
                await sink.send(Usage(3, len(self.pieces)))
        finally:
            self.closed.set()


def tone(samples: int, rate: int = 24_000) -> Samples:
    at = np.arange(samples) / rate
    return (0.5 * np.cos(2 * np.pi * 300 * at)).astype(np.float32)


@dataclass
class Voiced:
    """A voice of 100 samples a character, in pieces, that fails where a test wants it to."""

    fails_in: int | None = None  # number of the clause
    after: int = 0  # pieces of that clause
    then: StageError | None = None  # instead of falling silent for ever
    ends: bool = False  # instead of either
    rate: int = 24_000
    piece: int = 200
    lead: int = 0  # samples of silence before each clause
    got: list[str] = field(default_factory=list)
    closed: anyio.Event = field(default_factory=anyio.Event)
    silent: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, voice: Voice, source: Source[Clause], sink: Sink[Speech]) -> None:
        try:
            async with sink:
                async for clause in source:
                    self.got.append(clause.text)
                    if not await self._say(clause, sink):
                        return
        finally:
            self.closed.set()

    async def _say(self, clause: Clause, sink: Sink[Speech]) -> bool:
        for number, speech in enumerate(self.pieces(clause)):
            if clause.number == self.fails_in and number == self.after:
                if self.ends:
                    return False
                if self.then is not None:
                    raise self.then
                self.silent.set()
                await anyio.sleep_forever()
            await sink.send(speech)
        return True

    def pieces(self, clause: Clause) -> list[Speech]:
        sound = np.concatenate(
            [np.zeros(self.lead, np.float32), tone(100 * len(clause.spoken), self.rate)]
        )
        cuts = range(0, len(sound), self.piece)
        return [
            Speech(
                clause.number,
                sound[at : at + self.piece],
                self.rate,
                at + self.piece >= len(sound),
                tuple(w for w in self.words(clause) if at <= w.start < at + self.piece),
            )
            for at in cuts
        ]

    def words(self, clause: Clause) -> list[Word]:
        words, place = list[Word](), 0
        for text in clause.spoken.split():
            found = clause.spoken.index(text, place)
            place = found + len(text)
            words.append(Word(text, self.lead + 100 * found, self.lead + 100 * place))
        return words


def mouths(*voices: Voiced) -> tuple[Mouth, ...]:
    names = ("first", "second", "third")
    return tuple(
        Mouth(name, voice, Voice()) for name, voice in zip(names, voices, strict=False)
    )

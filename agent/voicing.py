"""The sound of one reply: clauses to a voice, and its audio to playout.

A voice that fails hands what it has not said to the next one. A reply that is recast, because
the caller chose another character in the middle of it, goes on in other voices at the next
clause that is to sound, whether its audio was there already or not.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import anyio
import numpy as np
import soxr

from agent.blame import blamed, first_sentence
from agent.engines import Mouth
from agent.guess import Guess, certain
from agent.line import PLAYOUT_RATE
from agent.playout import ReplyAudio
from agent.timeline import Mark
from stages.contracts import Sink, Source
from stages.errors import StageError, Transient, Unusable
from stages.events import Clause, Samples, Speech, Word

AUDIBLE = 10 ** (-50 / 20)
"""Amplitude from which a sample counts as sound: 50 dB under full scale."""
LEAD = PLAYOUT_RATE // 200
"""Samples (5 ms) kept before the first audible one, so that an attack is not cut."""


class Listener(Protocol):
    """Who wants to know how the sound of a reply comes along."""

    def mark(self, name: Mark) -> None:
        """Something happened now."""

    def clause(self, clause: Clause) -> None:
        """A voice begins to say a clause."""

    def voice(self, name: str) -> None:
        """The voice of this name makes the first sound of the reply."""

    def fell_back(self, sentence: str) -> None:
        """A voice failed and another took over."""

    def failed(self, sentence: str) -> None:
        """No voice could say it to its end."""


class Recast:
    """Asks a reply that is being made, or played, to go on in other voices."""

    def __init__(self) -> None:
        self._mouths: tuple[Mouth, ...] = ()
        self._wanted = anyio.Event()

    def ask(self, mouths: tuple[Mouth, ...]) -> None:
        """Ask for these voices from the next clause on; the latest wish counts."""
        self._mouths = mouths
        self._wanted.set()

    async def wanted(self) -> None:
        """Wait until somebody asks."""
        await self._wanted.wait()

    def take(self) -> tuple[Mouth, ...]:
        """Return what was asked for, and wait for the next wish."""
        self._wanted = anyio.Event()
        return self._mouths


@dataclass(slots=True)
class Voicing:
    """Gives clauses to a voice, and what it leaves unsaid to the next one.

    Args:
        mouths: voices, the preferred one first.
        patience: longest wait for the audio of a clause, in seconds.
        audio: where the sound goes.
        witness: told of clauses as they begin, and of failures.
        recast: asks for other voices.
        guess: how much is said before the reply is certainly wanted.
    """

    mouths: tuple[Mouth, ...]
    patience: float
    audio: ReplyAudio
    witness: Listener
    recast: Recast = field(default_factory=Recast)
    guess: Guess = field(default_factory=certain)
    _all: list[Clause] = field(default_factory=list)  # that came, by number
    _told: int = 0  # clauses that the witness knows of
    _clause_over: anyio.Event = field(default_factory=anyio.Event)  # its audio is complete
    _unsaid: deque[Clause] = field(default_factory=deque)
    _complete: bool = False  # no more clauses will come
    _since: float = 0.0  # when the voice last gave, or got, something
    _left: anyio.Event = field(default_factory=anyio.Event)  # the voice has returned
    _begun: int | None = None  # the clause whose audio has begun to come
    _shift: int = 0  # samples to the clause's audio from where its voice began it
    _words: list[Word] = field(default_factory=list)  # their audio is still to come

    async def run(self, source: Source[Clause]) -> None:
        """Voice clauses as they come; returns when all their audio has been pushed.

        Cancelling it ends the voice. Failures are told to the witness and never raised.
        """
        while True:
            scope = anyio.CancelScope()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, scope)
                with scope:
                    await self._voices(source)
                tasks.cancel_scope.cancel()
            if not scope.cancelled_caught:
                return
            self._go_back()

    async def again(self) -> None:
        """Voice anew what is recast once all its audio was pushed, until it has been played.

        Cancelling it leaves the rest unsaid.
        """
        closed, nothing_more = anyio.create_memory_object_stream[Clause](1)
        closed.close()
        with nothing_more:
            while True:
                await self.recast.wanted()
                self._go_back()
                if self._unsaid:
                    self.audio.finished = False
                    await self.run(nothing_more)
                    self.audio.finished = True

    async def _watch(self, scope: anyio.CancelScope) -> None:
        """End the present voice when others are wanted, but let it finish what is sounding."""
        await self.recast.wanted()
        while self._unsaid and self._begun == self._unsaid[0].number and self._is_heard():
            self._clause_over = anyio.Event()
            await self._clause_over.wait()
        scope.cancel()

    def _is_heard(self) -> bool:
        """Tell whether the clause whose audio comes now has begun to sound."""
        return self.audio.played > self.audio.spans[-1].start

    def _go_back(self) -> None:
        """Take back the audio after the clause that is sounding; its words are said anew."""
        kept = self.audio.keep_sounding()
        self.mouths = self.recast.take()
        self._unsaid = deque(self._all[kept:])
        self._begun, self._shift = None, 0
        self._words.clear()

    async def _voices(self, source: Source[Clause]) -> None:
        for number, mouth in enumerate(self.mouths):
            failure = await self._try(mouth, source)
            if failure is None:
                return
            if number + 1 < len(self.mouths):
                other = self.mouths[number + 1].name
                self.witness.fell_back(f"{failure}; the voice {other!r} goes on.")
            else:
                self.witness.failed(failure)

    async def _try(self, mouth: Mouth, source: Source[Clause]) -> str | None:
        """Speak until the clauses end; return a sentence if the voice fails before."""
        failure: str | None = None
        self._since, self._left = anyio.current_time(), anyio.Event()
        try:
            clause_in, clause_out = anyio.create_memory_object_stream[Clause](2)
            speech_in, speech_out = anyio.create_memory_object_stream[Speech](16)
            with clause_in, clause_out, speech_in, speech_out:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._run, mouth, clause_out, speech_in)
                    tasks.start_soon(self._feed, source, clause_in)
                    await self._listen(speech_out, mouth.name)
        except* StageError as group:
            if self._unsaid or not self._complete:  # else it said all, and fell over after that
                failure = first_sentence(group)
                self._break_off(mouth is self.mouths[-1])
        return failure

    def _break_off(self, last: bool) -> None:
        """Leave the clause that was begun to the next voice, if there is one."""
        self._shift = 0
        self._words.clear()
        if self._unsaid and self._begun == self._unsaid[0].number:
            if last:
                self.audio.break_off()
            else:
                self._shift = self.audio.say_again()

    async def _run(self, mouth: Mouth, source: Source[Clause], sink: Sink[Speech]) -> None:
        with blamed(f"tts {mouth.name}"):
            await mouth.tts.run(mouth.voice, source, sink)
        self._left.set()

    async def _feed(self, source: Source[Clause], sink: Sink[Clause]) -> None:
        async with sink:
            for unsaid in tuple(self._unsaid):
                await sink.send(unsaid)
            while (clause := await self._next(source)) is not None:
                if not self._unsaid:
                    self._since = anyio.current_time()
                self._all.append(clause)
                self._unsaid.append(clause)
                await sink.send(clause)
            self._complete = True

    async def _next(self, source: Source[Clause]) -> Clause | None:
        """Return the next clause once it may be said; none: there are no more."""
        await self.guess.may_say()
        try:
            clause = await source.receive()
        except anyio.EndOfStream:
            return None
        self.guess.said(clause.spoken)
        return clause

    async def _listen(self, source: Source[Speech], name: str) -> None:
        converter, patience = _Converter(), self.patience
        async with source:
            while True:
                speech: Speech | None = None
                waited = anyio.current_time() - self._since if self._unsaid else 0.0
                with anyio.move_on_after(patience - waited):
                    try:
                        speech = await source.receive()
                    except anyio.EndOfStream:
                        break
                if speech is not None:
                    await self._push(speech, converter, name)
                    self._since = anyio.current_time()
                elif self._unsaid and anyio.current_time() - self._since >= patience:
                    raise Transient(f"tts {name}", f"no sound came for {patience:g} s")
        with anyio.move_on_after(patience):
            await self._left.wait()  # what it raises says more than we could
        if self._unsaid or not self._complete:
            raise Transient(f"tts {name}", "the voice ended before its text")

    async def _push(self, speech: Speech, converter: _Converter, name: str) -> None:
        if not self._unsaid or speech.clause != self._unsaid[0].number:
            reason = f"sound came for clause {speech.clause}, which was not its turn"
            raise Unusable(f"tts {name}", reason)
        clause = self._unsaid[0]
        if self._begun != clause.number:
            self._begun = clause.number
            self.audio.clause(clause.text)
            if clause.number >= self._told:
                self._told = clause.number + 1
                self.witness.clause(clause)
        samples = converter.convert(speech)
        if not self.audio.pushed:
            lead = _lead(samples)
            self._shift -= lead
            samples = samples[lead:]
        scale = PLAYOUT_RATE / speech.rate
        self._words += [_scaled(word, scale) for word in speech.words]
        if len(samples):
            if not self.audio.pushed:
                self.witness.voice(name)
            self.witness.mark("tts_first_audio")
            words = tuple(_moved(word, self._shift) for word in self._words)
            self._words.clear()
            await self.audio.push(samples, words)
        if speech.last:
            self._unsaid.popleft()
            self._shift = 0
            self._words.clear()
            self._clause_over.set()


def _scaled(word: Word, scale: float) -> Word:
    return Word(word.text, round(word.start * scale), round(word.end * scale))


def _moved(word: Word, shift: int) -> Word:
    return Word(word.text, max(0, word.start + shift), max(0, word.end + shift))


@dataclass(slots=True)
class _Converter:
    """Brings speech of any rate to ``PLAYOUT_RATE``, without seams inside a clause."""

    _stream: soxr.ResampleStream | None = None
    _clause: int = -1

    def convert(self, speech: Speech) -> Samples:
        if speech.rate == PLAYOUT_RATE:
            return speech.samples
        if self._stream is None or self._clause != speech.clause:
            self._stream = soxr.ResampleStream(speech.rate, PLAYOUT_RATE, 1, dtype="float32")
            self._clause = speech.clause
        converted: Samples = self._stream.resample_chunk(speech.samples, last=speech.last)
        return converted


def _lead(samples: Samples) -> int:
    """Return how many samples lie before the first audible one, less a little for its attack."""
    audible = np.flatnonzero(np.abs(samples) >= AUDIBLE)
    return max(0, int(audible[0]) - LEAD) if len(audible) else len(samples)

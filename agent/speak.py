"""One reply: LLM to clauses to voice to playout, started and cancelled as one thing.

Failures do not leave the caller in silence: a voice that fails hands what it has not said to the
fallback voice, and an LLM that fails before its first word is replaced by a sentence that says so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import anyio
import numpy as np
import soxr

from agent.engines import Mouth
from agent.line import PLAYOUT_RATE
from agent.playout import ReplyAudio
from agent.text import ClauseCutter
from agent.timeline import Mark
from stages.contracts import Llm, Sink, Source
from stages.errors import StageError, Transient
from stages.events import ChatRequest, Clause, LlmEvent, Samples, Speech, TextDelta, Usage, Word

AUDIBLE = 10 ** (-50 / 20)
"""Amplitude from which a sample counts as sound: 50 dB under full scale."""
LEAD = PLAYOUT_RATE // 200
"""Samples (5 ms) kept before the first audible one, so that an attack is not cut."""
THINKING_S = 20.0
"""Longest wait for anything from the LLM; plug-ins have shorter ones of their own."""
VOICING_S = 8.0
"""Longest wait for the audio of a clause; then the voice is given up."""
CLAUSE_S = 0.35
"""How long the first words may wait for a mark that ends a clause."""

SORRY = {
    "zh": "抱歉，我现在想不出来，请稍后再试。",
    "en": "Sorry, I cannot think right now. Please try again in a moment.",
}


class Witness(Protocol):
    """Who wants to know how a reply comes along."""

    def mark(self, name: Mark) -> None:
        """Something happened now."""

    def piece(self) -> None:
        """A piece of text came from the LLM."""

    def clause(self, clause: Clause) -> None:
        """The voice begins to say a clause."""

    def usage(self, usage: Usage) -> None:
        """The LLM said what the reply cost."""

    def fell_back(self, sentence: str) -> None:
        """A stage failed and another took over."""

    def failed(self, sentence: str) -> None:
        """The reply could not be made, or not to its end."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a reply is made with.

    Attributes:
        request: what the LLM is asked; none when ``text`` is to be said as it stands.
        mouths: voices, the preferred one first.
    """

    llm: Llm
    mouths: tuple[Mouth, ...]
    language: str
    request: ChatRequest | None = None
    text: str = ""


async def speak(script: Script, audio: ReplyAudio, witness: Witness) -> None:
    """Make a reply: returns when all its audio has been pushed.

    Cancelling it closes the LLM's and the voice's streams. Failures of stages are told to the
    witness and never raised.
    """
    text_in, text_out = anyio.create_memory_object_stream[LlmEvent](256)
    clause_in, clause_out = anyio.create_memory_object_stream[Clause](8)
    with text_in, text_out, clause_in, clause_out:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_think, script, text_in, witness)
            tasks.start_soon(_cut, script.language, text_out, clause_in, witness)
            tasks.start_soon(_Voicing(script.mouths, audio, witness).run, clause_out)
    audio.finished = True


# --- words ----------------------------------------------------------------------------------


async def _think(script: Script, sink: Sink[LlmEvent], witness: Witness) -> None:
    """Send the reply's text; in place of an LLM that fails at once, send an apology."""
    async with sink:
        if script.request is None:
            await sink.send(TextDelta(script.text))
            return
        relay = _Relay(sink)
        try:
            inner_in, inner_out = anyio.create_memory_object_stream[LlmEvent](64)
            with inner_in, inner_out:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(script.llm.run, script.request, inner_in)
                    await relay.run(inner_out)
        except* StageError as group:
            witness.failed(first_sentence(group))
        if not relay.said:
            await sink.send(TextDelta(_sorry(script.language)))


@dataclass(slots=True)
class _Relay:
    """Passes the LLM's events on, and gives up on one that falls silent."""

    sink: Sink[LlmEvent]
    said: bool = False

    async def run(self, source: Source[LlmEvent]) -> None:
        async with source:
            while True:
                try:
                    with anyio.fail_after(THINKING_S):
                        event = await source.receive()
                except anyio.EndOfStream:
                    return
                except TimeoutError:
                    raise Transient("llm", f"nothing came for {THINKING_S:g} s") from None
                self.said = self.said or (isinstance(event, TextDelta) and bool(event.text.strip()))
                await self.sink.send(event)


async def _cut(
    language: str, source: Source[LlmEvent], sink: Sink[Clause], witness: Witness
) -> None:
    """Cut the text into clauses as it comes; the first may not wait long for its end."""
    cutter = ClauseCutter(language)
    begun = spoken = False
    async with source, sink:
        while True:
            clauses: list[Clause] = []
            with anyio.move_on_after(CLAUSE_S if begun and not spoken else None) as wait:
                try:
                    event = await source.receive()
                except anyio.EndOfStream:
                    break
                if isinstance(event, Usage):
                    witness.usage(event)
                    continue
                witness.piece()
                begun = True
                clauses = cutter.feed(event.text)
            if wait.cancelled_caught:
                clauses = cutter.overdue()
            spoken = await _hand_over(clauses, sink, witness) or spoken
        await _hand_over(cutter.flush(), sink, witness)


async def _hand_over(clauses: list[Clause], sink: Sink[Clause], witness: Witness) -> bool:
    for clause in clauses:
        witness.mark("llm_first_clause")
        await sink.send(clause)
    return bool(clauses)


# --- sound ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Voicing:
    """Gives clauses to a voice, and what it leaves unsaid to the next one."""

    mouths: tuple[Mouth, ...]
    audio: ReplyAudio
    witness: Witness
    _unsaid: deque[Clause] = field(default_factory=deque)
    _begun: int | None = None  # the clause whose audio has begun to come
    _lead: int = 0  # samples of silence that were cut off its beginning

    async def run(self, source: Source[Clause]) -> None:
        async with source:
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
        try:
            clause_in, clause_out = anyio.create_memory_object_stream[Clause](2)
            speech_in, speech_out = anyio.create_memory_object_stream[Speech](16)
            with clause_in, clause_out, speech_in, speech_out:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(mouth.tts.run, mouth.voice, clause_out, speech_in)
                    tasks.start_soon(self._feed, source, clause_in)
                    await self._listen(speech_out)
        except* StageError as group:
            failure = first_sentence(group)
            self.audio.forget_words()  # the next voice says the clause again, at its own speed
        return failure

    async def _feed(self, source: Source[Clause], sink: Sink[Clause]) -> None:
        async with sink:
            for clause in tuple(self._unsaid):
                await sink.send(clause)
            async for clause in source:
                self._unsaid.append(clause)
                await sink.send(clause)

    async def _listen(self, source: Source[Speech]) -> None:
        converter = _Converter()
        async with source:
            while True:
                speech: Speech | None = None
                with anyio.move_on_after(VOICING_S):
                    try:
                        speech = await source.receive()
                    except anyio.EndOfStream:
                        break
                if speech is not None:
                    await self._push(speech, converter)
                elif self._unsaid:
                    raise Transient("tts", f"no sound came for {VOICING_S:g} s")
        if self._unsaid:
            raise Transient("tts", "the voice ended before its text")

    async def _push(self, speech: Speech, converter: _Converter) -> None:
        clause = self._unsaid[0]
        if self._begun != clause.number:
            self._begun = clause.number
            self.audio.clause(clause.text)
            self.witness.clause(clause)
        samples = converter.convert(speech)
        if not self.audio.pushed:
            self._lead += _lead(samples)
            samples = samples[_lead(samples) :]
        if len(samples):
            self.witness.mark("tts_first_audio")
            words = tuple(self._placed(word, speech.rate) for word in speech.words)
            await self.audio.push(samples, words)
        if speech.last:
            self._unsaid.popleft()
            self._lead = 0

    def _placed(self, word: Word, rate: int) -> Word:
        """Return a word's place as it is pushed: at our rate, without the lead we cut off."""
        start, end = (place * PLAYOUT_RATE // rate - self._lead for place in (word.start, word.end))
        return Word(word.text, max(0, start), max(0, end))


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


def _sorry(language: str) -> str:
    return SORRY["zh" if language.lower().startswith("zh") else "en"]


def first_sentence(group: BaseExceptionGroup[StageError]) -> str:
    """Return the first failure of a group as a sentence."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)

"""One reply: LLM to clauses to voice to playout, started and cancelled as one thing.

Failures do not leave the caller in silence: a voice that fails hands what it has not said to the
fallback voice, and an LLM that fails before its first word is replaced by a sentence that says so.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import anyio
import numpy as np
import soxr

from agent.blame import blamed
from agent.engines import Mouth
from agent.line import PLAYOUT_RATE
from agent.playout import ReplyAudio
from agent.text import ClauseCutter
from agent.timeline import Mark
from stages.contracts import Llm, Sink, Source
from stages.errors import StageError, Transient, Unusable
from stages.events import ChatRequest, Clause, LlmEvent, Samples, Speech, TextDelta, Usage, Word

AUDIBLE = 10 ** (-50 / 20)
"""Amplitude from which a sample counts as sound: 50 dB under full scale."""
LEAD = PLAYOUT_RATE // 200
"""Samples (5 ms) kept before the first audible one, so that an attack is not cut."""
THINKING_S = 20.0
"""Longest wait for anything from the LLM; plug-ins have shorter ones of their own."""
VOICING_S = 8.0
"""Longest wait for the audio of a clause; then the voice is given up."""
CLAUSE_S = 0.5
"""How long the first words may wait for a mark that ends a clause, and more for the next."""

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
        thinking_s: longest wait for anything from the LLM.
        voicing_s: longest wait for the audio of a clause.
    """

    llm: Llm
    mouths: tuple[Mouth, ...]
    language: str
    request: ChatRequest | None = None
    text: str = ""
    thinking_s: float = THINKING_S
    voicing_s: float = VOICING_S


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
            await _Voicing(script, audio, witness).run(clause_out)
            tasks.cancel_scope.cancel()  # nobody is left to say what is still being thought
    audio.finished = True


# --- words ----------------------------------------------------------------------------------


async def _think(script: Script, sink: Sink[LlmEvent], witness: Witness) -> None:
    """Send the reply's text; in place of an LLM that fails at once, send an apology."""
    async with sink:
        if script.request is None:
            await sink.send(TextDelta(script.text))
            return
        thought = _Thought(script.llm, script.thinking_s, sink)
        await thought.run(script.request)
        if thought.failure or not thought.said:
            witness.failed(thought.failure or "llm: it had nothing to say")
        if not thought.said:
            await sink.send(TextDelta(_sorry(script.language)))


@dataclass(slots=True)
class _Thought:
    """One request: passes the LLM's events on, and gives up on one that falls silent."""

    llm: Llm
    patience: float  # seconds
    sink: Sink[LlmEvent]
    said: bool = False
    failure: str = ""

    async def run(self, request: ChatRequest) -> None:
        inner_in, inner_out = anyio.create_memory_object_stream[LlmEvent](64)
        with inner_in, inner_out:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._ask, request, inner_in)
                await self._relay(inner_out)
                left = 0 if self.failure else self.patience
                tasks.cancel_scope.deadline = anyio.current_time() + left

    async def _ask(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        async with sink:
            try:
                with blamed("llm"):
                    await self.llm.run(request, sink)
            except* StageError as group:
                self.failure = first_sentence(group)  # what it said before is still passed on

    async def _relay(self, source: Source[LlmEvent]) -> None:
        while True:
            try:
                with anyio.fail_after(self.patience):
                    event = await source.receive()
            except anyio.EndOfStream:
                return
            except TimeoutError:
                self.failure = f"llm: nothing came for {self.patience:g} s"
                return
            self.said = self.said or (isinstance(event, TextDelta) and bool(event.text.strip()))
            await self.sink.send(event)


async def _cut(
    language: str, source: Source[LlmEvent], sink: Sink[Clause], witness: Witness
) -> None:
    """Cut the text into clauses as it comes; the first may not wait long for its end."""
    cutter, due, spoken = ClauseCutter(language), math.inf, False
    async with source, sink:
        while True:
            clauses: list[Clause] = []
            with anyio.CancelScope(deadline=due) as wait:
                try:
                    event = await source.receive()
                except anyio.EndOfStream:
                    break
                if isinstance(event, Usage):
                    witness.usage(event)
                    continue
                witness.piece()
                clauses = cutter.feed(event.text)
                due = min(due, anyio.current_time() + CLAUSE_S)
            if wait.cancelled_caught:
                clauses, due = cutter.overdue(), anyio.current_time() + CLAUSE_S
            spoken = await _hand_over(clauses, sink, witness) or spoken
            due = math.inf if spoken else due
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

    script: Script
    audio: ReplyAudio
    witness: Witness
    _unsaid: deque[Clause] = field(default_factory=deque)
    _complete: bool = False  # no more clauses will come
    _since: float = 0.0  # when the voice last gave, or got, something
    _left: anyio.Event = field(default_factory=anyio.Event)  # the voice has returned
    _begun: int | None = None  # the clause whose audio has begun to come
    _shift: int = 0  # samples to the clause's audio from where its voice began it
    _words: list[Word] = field(default_factory=list)  # their audio is still to come

    async def run(self, source: Source[Clause]) -> None:
        mouths = self.script.mouths
        for number, mouth in enumerate(mouths):
            failure = await self._try(mouth, source)
            if failure is None:
                return
            if number + 1 < len(mouths):
                other = mouths[number + 1].name
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
                    await self._listen(speech_out)
        except* StageError as group:
            if self._unsaid or not self._complete:  # else it said all, and fell over after that
                failure = first_sentence(group)
                self._break_off(mouth is self.script.mouths[-1])
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
            for clause in tuple(self._unsaid):
                await sink.send(clause)
            async for clause in source:
                if not self._unsaid:
                    self._since = anyio.current_time()
                self._unsaid.append(clause)
                await sink.send(clause)
            self._complete = True

    async def _listen(self, source: Source[Speech]) -> None:
        converter, patience = _Converter(), self.script.voicing_s
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
                    await self._push(speech, converter)
                    self._since = anyio.current_time()
                elif self._unsaid and anyio.current_time() - self._since >= patience:
                    raise Transient("tts", f"no sound came for {patience:g} s")
        with anyio.move_on_after(patience):
            await self._left.wait()  # what it raises says more than we could
        if self._unsaid or not self._complete:
            raise Transient("tts", "the voice ended before its text")

    async def _push(self, speech: Speech, converter: _Converter) -> None:
        if not self._unsaid or speech.clause != self._unsaid[0].number:
            raise Unusable("tts", f"sound came for clause {speech.clause}, which was not its turn")
        clause = self._unsaid[0]
        if self._begun != clause.number:
            self._begun = clause.number
            self.audio.clause(clause.text)
            self.witness.clause(clause)
        samples = converter.convert(speech)
        if not self.audio.pushed:
            lead = _lead(samples)
            self._shift -= lead
            samples = samples[lead:]
        scale = PLAYOUT_RATE / speech.rate
        self._words += [_scaled(word, scale) for word in speech.words]
        if len(samples):
            self.witness.mark("tts_first_audio")
            words = tuple(_moved(word, self._shift) for word in self._words)
            self._words.clear()
            await self.audio.push(samples, words)
        if speech.last:
            self._unsaid.popleft()
            self._shift = 0
            self._words.clear()


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


def _sorry(language: str) -> str:
    return SORRY["zh" if language.lower().startswith("zh") else "en"]


def first_sentence(group: BaseExceptionGroup[StageError]) -> str:
    """Return the first failure of a group as a sentence."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)

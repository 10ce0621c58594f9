"""One reply: LLM to clauses to voice to playout, started and cancelled as one thing.

Failures do not leave the caller in silence: a voice that fails hands what it has not said to the
fallback voice, and an LLM that fails before its first word is replaced by a sentence that says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from agent.blame import blamed, first_sentence
from agent.engines import Mouth
from agent.guess import Guess, certain
from agent.playout import ReplyAudio
from agent.text import ClauseCutter
from agent.timeline import Mark
from agent.toolbox.belt import Errands
from agent.toolbox.thinking import Thinking
from agent.voicing import Recast, Voicing
from stages.contracts import Llm, Sink, Source
from stages.errors import StageError
from stages.events import ChatRequest, Clause, LlmEvent, TextDelta, ToolCall, Usage

THINKING_S = 20.0
"""Longest wait for anything from the LLM; plug-ins have shorter ones of their own."""
VOICING_S = 8.0
"""Longest wait for the audio of a clause; then the voice is given up."""
CLAUSE_S = 0.25
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

    def voice(self, name: str) -> None:
        """The voice of this name makes the first sound of the reply."""

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
        errands: the tools of the reply, where the character has any.
        guess: how far it is made before its turn is certainly over.
    """

    llm: Llm
    mouths: tuple[Mouth, ...]
    language: str
    request: ChatRequest | None = None
    text: str = ""
    thinking_s: float = THINKING_S
    voicing_s: float = VOICING_S
    errands: Errands | None = None
    guess: Guess = field(default_factory=certain)


async def speak(
    script: Script, audio: ReplyAudio, witness: Witness, recast: Recast | None = None
) -> None:
    """Make a reply: returns when all its audio has been pushed.

    With ``recast``, which may ask for other voices at any time, it goes on until it is cancelled.

    Cancelling it closes the LLM's and the voice's streams. Failures of stages are told to the
    witness and never raised.
    """
    recasting = recast or Recast()
    voicing = Voicing(
        script.mouths, script.voicing_s, audio, witness, recasting, script.guess
    )
    text_in, text_out = anyio.create_memory_object_stream[LlmEvent](256)
    clause_in, clause_out = anyio.create_memory_object_stream[Clause](8)
    with text_in, text_out, clause_in, clause_out:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_think, script, text_in, witness)
            tasks.start_soon(_cut, script.language, text_out, clause_in, witness)
            await voicing.run(clause_out)
            tasks.cancel_scope.cancel()  # nobody is left to say what is still being thought
    audio.finished = True
    if recast is not None:
        await voicing.again()


async def _think(script: Script, sink: Sink[LlmEvent], witness: Witness) -> None:
    """Send the reply's text; in place of an LLM that fails at once, send an apology."""
    async with sink:
        if script.request is None:
            await sink.send(TextDelta(script.text))
            return
        said, failure = await _reply(script, script.request, sink, witness)
        if failure or not said:
            witness.failed(failure or "llm: it had nothing to say")
        if not said:
            await sink.send(TextDelta(_sorry(script.language)))


async def _reply(
    script: Script, request: ChatRequest, sink: Sink[LlmEvent], witness: Witness
) -> tuple[bool, str]:
    """Ask the LLM, with tools in as many rounds as it takes; return if it spoke, how it failed."""

    async def ask(request: ChatRequest) -> tuple[str, tuple[ToolCall, ...], str]:
        thought = _Thought(script.llm, script.thinking_s, sink, script.guess)
        await thought.run(request)
        return thought.text, tuple(thought.calls), thought.failure

    if script.errands is None:
        words, _, failure = await ask(request)
        return bool(words.strip()), failure
    thinking = Thinking(script.llm, script.errands, script.language, ask, sink, witness.mark)
    failure = await thinking.run(request)
    return thinking.said, failure


@dataclass(slots=True)
class _Thought:
    """One request: passes the LLM's events on, and gives up on one that falls silent."""

    llm: Llm
    patience: float  # seconds
    sink: Sink[LlmEvent]
    guess: Guess
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    failure: str = ""

    async def run(self, request: ChatRequest) -> None:
        # Without room: what is not to be read is not to be made, where an LLM can wait.
        inner_in, inner_out = anyio.create_memory_object_stream[LlmEvent](0)
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
            await self.guess.may_read()
            try:
                with anyio.fail_after(self.patience):
                    event = await source.receive()
            except anyio.EndOfStream:
                return
            except TimeoutError:
                self.failure = f"llm: nothing came for {self.patience:g} s"
                return
            if isinstance(event, ToolCall):
                self.calls.append(event)
                continue
            if isinstance(event, TextDelta):
                self.text += event.text
                self.guess.read()
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
                if not isinstance(event, TextDelta):
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


def _sorry(language: str) -> str:
    return SORRY["zh" if language.lower().startswith("zh") else "en"]

"""An ASR without a model: whatever the caller says, the words are known beforehand."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle

import anyio
from pydantic import Field

from stages.audio import milliseconds_in
from stages.contracts import Asr, Options, Plugin, Sink, Source
from stages.events import (
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Transcript,
    UtteranceEnd,
    UtteranceStart,
)
from stages.models import ModelStore

MARK = "|"
"""In a line: the caller pauses here, and the final of that pause ends here."""
OUTBOX = 32
"""Transcripts that wait for ``delay_ms``; when it is full, reading waits: nothing is dropped."""
_WORD = re.compile(r"\s*(?:[\u3040-\u9fff]|[^\s\u3040-\u9fff]+)")


class ScriptedOptions(Options):
    """The settings of ``scripted``."""

    lines: tuple[str, ...] = Field(
        ("Hello, can you hear me?", "What can you do?", "Thank you, goodbye."),
        min_length=1,
        description='one an utterance, in order, from the start again; "|" where the caller pauses;'
        ' "" for a noise without words',
    )
    partial_ms: int = Field(200, ge=20, description="of audio that reveal one more word")
    delay_ms: int = Field(0, ge=0, description="from a pause to its final")


class Script:
    """A line, as far as it is said."""

    def __init__(self, line: str, utterance: int = -1) -> None:
        self.utterance = utterance
        self._parts = _parts(line)
        self._pauses = 0
        self._shown = ""

    def partial(self, words: int) -> str | None:
        """Return the text up to that many words, unless it was given already."""
        said = "".join(_WORD.findall(self._parts[self._part])[:words]).lstrip()
        if len(said) <= len(self._shown):
            return None
        self._shown = said
        return said

    def final(self) -> str:
        """Return the text up to this pause; the next pause says more, if there is more."""
        self._shown = self._parts[self._part]
        self._pauses += 1
        return self._shown

    @property
    def _part(self) -> int:
        return min(self._pauses, len(self._parts) - 1)


@dataclass(frozen=True, slots=True)
class _Letter:
    transcript: Transcript
    due: float  # seconds, the event loop's clock
    pauses: int  # of the call, before it: a partial is overtaken when there are more


class _Dictation:
    """One call: takes in what is heard, writes letters that are posted when due."""

    def __init__(self, options: ScriptedOptions) -> None:
        self._options = options
        self._lines: Iterator[str] = cycle(options.lines)
        self._script = Script("")
        self._heard = 0  # samples of this utterance
        self.overtaken = 0

    def take(self, word: AsrInput) -> Transcript | None:
        if isinstance(word, UtteranceStart):
            self._script, self._heard = Script(next(self._lines), word.utterance), 0
        elif isinstance(word, Audio):
            return self._partial(word)
        elif isinstance(word, Pause):
            self.overtaken += 1
            text = self._script.final()
            return Transcript(word.utterance, text, word.at, final=True, stable=len(text))
        elif isinstance(word, UtteranceEnd):
            self.overtaken += 1
            self._script = Script("")
        return None

    def _partial(self, audio: Audio) -> Transcript | None:
        self._heard += len(audio.samples)
        words = int(milliseconds_in(self._heard) / self._options.partial_ms)
        text = self._script.partial(words)
        if text is None:
            return None
        return Transcript(self._script.utterance, text, audio.end, stable=len(text))


class ScriptedAsr:
    """Knows the words beforehand."""

    def __init__(self, options: ScriptedOptions) -> None:
        self._options = options

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        """Reveal a line an utterance; cancelling ends it at once, waits included."""
        dictation = _Dictation(self._options)
        outbox, letters = anyio.create_memory_object_stream[_Letter](OUTBOX)

        async def post() -> None:
            async with letters:
                async for letter in letters:
                    await anyio.sleep_until(letter.due)
                    if letter.transcript.final or letter.pauses == dictation.overtaken:
                        await sink.send(letter.transcript)

        async with sink, anyio.create_task_group() as tasks, outbox:
            tasks.start_soon(post)
            async for word in source:
                transcript = dictation.take(word)
                if transcript is not None:
                    wait = self._options.delay_ms / 1000 if transcript.final else 0
                    due = anyio.current_time() + wait
                    await outbox.send(_Letter(transcript, due, dictation.overtaken))


def _parts(line: str) -> list[str]:
    """Return the line up to each of its pauses, the last one whole."""
    said, parts = "", []
    for piece in line.split(MARK):
        said += piece
        parts.append(" ".join(said.split()))
    return parts


@asynccontextmanager
async def _open(options: ScriptedOptions, store: ModelStore) -> AsyncIterator[ScriptedAsr]:
    yield ScriptedAsr(options)


plugin: Plugin[Asr] = Plugin(ScriptedOptions, _open)

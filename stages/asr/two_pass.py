"""Two recognisers for one call: a quick one shows words as they come, a sure one has the last.

The quick one hears every sample at once and its partials are shown. The sure one hears an
utterance's sound only when a pause asks for its words, and costs nothing before; it never waits for
a quick one that is behind.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stages import registry
from stages.contracts import Asr, Counted, Options, Plugin, Sink, Source
from stages.errors import StageError, UserError, first_of
from stages.events import (
    SAMPLE_RATE,
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Transcript,
    UtteranceEnd,
    UtteranceStart,
)
from stages.models import ModelStore

BACKLOG = 64
"""Events between the reader and a recogniser. The reader waits for the sure one; a quick one that
is behind loses the rest of the utterance: words that come so late are on nobody's screen."""

LONGEST = 120 * SAMPLE_RATE
"""Samples of one utterance kept for the second pass; the oldest are dropped."""


class Choice(BaseModel):
    """A recogniser and its settings, as they would stand in a profile."""

    model_config = ConfigDict(extra="allow", frozen=True)

    engine: str

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class TwoPassOptions(Options):
    """The settings of ``two_pass``."""

    partials: Choice = Field(description="who shows words as they come")
    finals: Choice = Field(description="who has the last word")


class BadChoice(UserError):
    """One of the two recognisers cannot be used as asked."""


@dataclass(slots=True)
class _Kept:
    """An utterance's sound that the second pass has not heard yet."""

    number: int = -1
    begun: bool = False
    sound: list[AsrInput] = field(default_factory=list)
    samples: int = 0

    def begin(self, start: UtteranceStart) -> None:
        self.number, self.begun, self.samples = start.utterance, True, 0
        self.sound = [start]

    def add(self, audio: Audio) -> None:
        if not self.begun:
            return
        self.sound.append(audio)
        self.samples += len(audio.samples)
        while self.samples > LONGEST:
            oldest = next(n for n, one in enumerate(self.sound) if isinstance(one, Audio))
            self.samples -= len(cast(Audio, self.sound.pop(oldest)).samples)

    def take(self) -> list[AsrInput]:
        sound, self.sound, self.samples = self.sound, [], 0
        return sound

    def end(self) -> bool:
        """Forget it; tell whether the second pass has heard any of it."""
        heard = self.begun and not any(isinstance(one, UtteranceStart) for one in self.sound)
        self.begun, self.sound, self.samples = False, [], 0
        return heard


@dataclass(slots=True)
class _Said:
    """The newest final: a partial that says no more comes late, and would take back its words."""

    utterance: int = -1
    letters: int = 0

    def passes(self, transcript: Transcript) -> bool:
        """Take a transcript of either recogniser; tell whether it is to be sent."""
        letters = sum(map(str.isalnum, transcript.text))
        if transcript.final:
            self.utterance, self.letters = transcript.utterance, letters
            return True
        return transcript.utterance != self.utterance or letters > self.letters


class TwoPassAsr:
    """Partials of one recogniser, finals of another."""

    def __init__(self, partials: Asr, finals: Asr) -> None:
        self._partials, self._finals = partials, finals
        self._given_up = 0  # utterances

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        """Send partials and finals; cancelling cancels both recognisers.

        Raises:
            StageError: one of the two failed.
        """
        failure: StageError | None = None
        async with sink:
            try:
                async with anyio.create_task_group() as tasks:
                    await self._wire(tasks, hearing, source, sink)
            except* StageError as errors:
                failure = cast(StageError, first_of(errors))
        if failure:
            raise failure

    def figures(self) -> dict[str, float]:
        """Return what the two recognisers count, each name with whose it is before it, and ours."""
        both = {"partials": self._partials, "finals": self._finals}
        counted = {
            f"{whose}_{name}": value
            for whose, asr in both.items()
            if isinstance(asr, Counted)
            for name, value in asr.figures().items()
        }
        return {**counted, "utterances_given_up_total": self._given_up}

    async def _wire(
        self,
        tasks: TaskGroup,
        hearing: Hearing,
        source: Source[AsrInput],
        sink: Sink[Transcript],
    ) -> None:
        quick, sure, said = _pipe(), _pipe(), _Said()
        for asr, pipe in ((self._partials, quick), (self._finals, sure)):
            tasks.start_soon(self._run, asr, hearing, pipe[1], sink, said)
        async with quick[0], sure[0]:
            await self._deal(source, quick[0], sure[0])

    async def _deal(
        self,
        source: Source[AsrInput],
        quick: MemoryObjectSendStream[AsrInput],
        sure: MemoryObjectSendStream[AsrInput],
    ) -> None:
        """Pass all on to the quick one; to the sure one sound in one piece, before its pause."""
        kept, lost = _Kept(), False
        async for event in source:
            lost = self._offered(quick, event, lost)
            match event:
                case UtteranceStart():
                    kept.begin(event)
                case Audio():
                    kept.add(event)
                case Pause():
                    for one in kept.take():
                        await sure.send(one)
                    await sure.send(event)
                case UtteranceEnd():
                    if kept.end():
                        await sure.send(event)

    def _offered(
        self, quick: MemoryObjectSendStream[AsrInput], event: AsrInput, lost: bool
    ) -> bool:
        """Give the quick one an event without waiting; tell whether it has lost the utterance."""
        if lost and not isinstance(event, UtteranceStart):
            return True
        try:
            quick.send_nowait(event)
        except anyio.WouldBlock:
            self._given_up += 1
            return True
        return False

    async def _run(
        self,
        asr: Asr,
        hearing: Hearing,
        source: MemoryObjectReceiveStream[AsrInput],
        sink: Sink[Transcript],
        said: _Said,
    ) -> None:
        give, take = anyio.create_memory_object_stream[Transcript](BACKLOG)
        async with source, take, anyio.create_task_group() as tasks:
            tasks.start_soon(asr.run, hearing, source, give)
            async for transcript in take:
                if transcript.final == (asr is self._finals) and said.passes(transcript):
                    await sink.send(transcript)


def _pipe() -> tuple[MemoryObjectSendStream[AsrInput], MemoryObjectReceiveStream[AsrInput]]:
    give, take = anyio.create_memory_object_stream[AsrInput](BACKLOG)
    return give, take


def _found(choice: Choice, role: str) -> tuple[Plugin[Asr], Options]:
    """Find a recogniser and check its settings.

    Raises:
        BadChoice: it is this plug-in itself, or a setting is not right.
        UserError: nobody provides it.
    """
    if choice.engine == "two_pass":
        raise BadChoice(f"asr.{role}: two_pass cannot be one of its own two recognisers.")
    plugin = registry.find("asr", choice.engine)
    try:
        return plugin, plugin.options.model_validate(choice.settings)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in (role, *first["loc"]))
        raise BadChoice(f"asr.{place}: {first['msg']}.") from error


@asynccontextmanager
async def _open(options: TwoPassOptions, store: ModelStore) -> AsyncIterator[TwoPassAsr]:
    async with AsyncExitStack() as stack:
        opened = []
        for choice, role in ((options.partials, "partials"), (options.finals, "finals")):
            plugin, settings = _found(choice, role)
            opened.append(await stack.enter_async_context(plugin.open(settings, store)))
        yield TwoPassAsr(*opened)


def _models(options: TwoPassOptions) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for choice, role in ((options.partials, "partials"), (options.finals, "finals")):
        plugin, settings = _found(choice, role)
        names.update(dict.fromkeys(plugin.models(settings)))
    return tuple(names)


plugin: Plugin[Asr] = Plugin(TwoPassOptions, _open, _models)

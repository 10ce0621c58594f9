"""One call's recogniser: partials while the caller speaks, a final for every pause."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import numpy as np
from anyio import to_thread
from anyio.abc import ObjectReceiveStream
from pydantic import Field

from stages.asr.moonshine.network import MODEL, Heard, Moonshine
from stages.asr.moonshine.utterance import Utterance, invented, loudness_db, quiet_spot
from stages.audio import samples_in, silence
from stages.contracts import Asr, Options, Plugin, Sink, Source
from stages.errors import Transient, Unusable
from stages.events import (
    SAMPLE_RATE,
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Samples,
    Transcript,
    UtteranceEnd,
    UtteranceStart,
)
from stages.models import ModelStore
from stages.threads import Workers

STAGE = "asr moonshine"

PENDING = 8
"""Pauses that wait for their final; when there are more, the stage stops reading."""

PATIENCE = 20.0
"""Seconds for one transcript; a machine that needs longer cannot hold a call."""

FIRST_PARTIAL = samples_in(500)
"""Before that the model guesses wildly."""

TAIL = samples_in(64)
"""Silence that is heard after every piece. Without it the last word is often misheard: over 41
recordings cut 32 ms after their last sound, 68 words of 367 were wrong, cut after 64 ms 60, and
with this silence appended to the former 57. Of partials that end in the last 130 ms of speech, 81 %
instead of 64 % say what the final says."""

NOTHING = Heard("", [])

_log = logging.getLogger(__name__)


class MoonshineOptions(Options):
    """The settings of ``moonshine``."""

    partial_ms: int = Field(400, ge=100, le=5000, description="of audio between two partials")
    longest_ms: int = Field(
        15_000, ge=4000, le=20_000, description="heard at once; more is cut at a quiet spot"
    )
    quietest_db: float = Field(-55.0, ge=-100, le=0, description="nothing below it is speech")


@dataclass(frozen=True, slots=True)
class _Engine:
    """What all calls share; partials have one thread for all, so finals never wait for them.

    Nor do finals share the cores with partials that could be made a moment later: none is begun
    while somebody, in whatever call, waits for their final.
    """

    model: Moonshine
    options: MoonshineOptions
    partials: Workers = field(default_factory=lambda: Workers(1))
    finals: Workers = field(default_factory=lambda: Workers(max(2, os.cpu_count() or 1)))

    async def heard(
        self, samples: Samples, workers: Workers, draft: Sequence[int] = ()
    ) -> Heard:
        """Return the words in a piece; cancelling frees the thread within a few milliseconds.

        Args:
            samples: the piece.
            workers: the threads for it.
            draft: the tokens of most of it, if they are known.
        """
        loud, _, _ = loudness_db(samples)
        if loud < self.options.quietest_db:
            return NOTHING
        unwanted, piece = threading.Event(), np.pad(samples, (0, TAIL))
        try:
            with anyio.fail_after(PATIENCE):
                heard = await workers.run(
                    lambda: self.model.transcribe(piece, lambda: not unwanted.is_set(), draft)
                )
        except TimeoutError:
            raise Transient(STAGE, f"no transcript after {PATIENCE:.0f} s") from None
        finally:
            unwanted.set()
        return NOTHING if invented(heard.text, samples) else heard


class _Call:
    """The state of one call: a reader takes in, a scribe writes."""

    def __init__(self, engine: _Engine, sink: Sink[Transcript]) -> None:
        self._engine, self._sink = engine, sink
        self._options = engine.options
        self._utterance: Utterance | None = None
        self._heard = 0  # position up to which a partial was begun
        self._partial = anyio.CancelScope()  # of the partial being made
        self._due = anyio.Event()
        self._unanswered = 0  # pauses; there are no partials before their finals

    async def read(self, source: Source[AsrInput], pauses: Sink[tuple[Utterance, int]]) -> None:
        """Take in what comes; a pause or an end overtakes the partial that is being made."""
        async with pauses:
            async for word in source:
                match word:
                    case Audio():
                        self._listen(word)
                    case UtteranceStart(utterance=number, start=start):
                        self._overtake()
                        most = 4 * samples_in(self._options.longest_ms)
                        self._utterance, self._heard = Utterance(number, start, most), start
                    case Pause(utterance=number, at=at):
                        self._overtake()
                        self._unanswered += 1
                        self._heard = max(self._heard, at)
                        await pauses.send((self._of(number, at), at))
                    case UtteranceEnd():
                        self._overtake()
                        self._utterance = None

    async def write(self, pauses: ObjectReceiveStream[tuple[Utterance, int]]) -> None:
        """Make finals, and partials while there is no final to make."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write_partials)
            async for utterance, at in pauses:
                await self._final(utterance, at)
            tasks.cancel_scope.cancel()

    def _listen(self, audio: Audio) -> None:
        utterance = self._utterance
        if utterance is None:
            return
        before = utterance.lost
        utterance.add(audio)
        if utterance.lost and not before:
            _log.warning("%s: too slow, the oldest sound of a turn is lost", STAGE)
        long_enough = utterance.end - utterance.start >= FIRST_PARTIAL or utterance.head
        if long_enough and audio.end - self._heard >= samples_in(self._options.partial_ms):
            self._due.set()

    def _of(self, number: int, at: int) -> Utterance:
        if self._utterance is not None and self._utterance.number == number:
            return self._utterance
        return Utterance(number, at, 0)  # over, or never begun: nothing was said in it

    def _overtake(self) -> None:
        self._partial.cancel()

    # --- writing ----------------------------------------------------------------------------

    async def _final(self, utterance: Utterance, at: int) -> None:
        covered = min(at, utterance.end)
        if utterance.last is None or utterance.last[0] != covered:
            utterance.last = covered, await self._words(utterance, at, self._engine.finals)
        text, _, goes_on = utterance.last[1]
        await self._sink.send(
            Transcript(
                utterance.number, text, at, final=True, stable=len(text), goes_on=goes_on
            )
        )
        self._unanswered -= 1

    async def _write_partials(self) -> None:
        while True:
            await self._due.wait()
            self._due = anyio.Event()
            utterance = self._utterance
            if utterance is None or self._unanswered or self._engine.finals.busy:
                continue  # the next sound asks again
            with anyio.CancelScope() as self._partial:
                upto = self._heard = utterance.end
                heard = await self._words(utterance, upto, self._engine.partials)
                shown, stable = utterance.promises.take(heard.text)
                if shown:
                    await self._sink.send(
                        Transcript(utterance.number, shown, upto, stable=stable)
                    )

    async def _words(self, utterance: Utterance, upto: int, workers: Workers) -> Heard:
        """Return all words of an utterance; what is too long to hear at once is cut for good."""
        longest = samples_in(self._options.longest_ms)
        while upto - utterance.start > longest:
            start = utterance.start
            piece = utterance.upto(start + longest)
            cut = quiet_spot(piece)
            text = (await self._engine.heard(piece[:cut], workers)).text
            if utterance.start == start:
                utterance.head.append(text)
                utterance.forget(start + cut)
        start, piece = utterance.start, utterance.upto(upto)
        rest = await self._engine.heard(piece, workers, utterance.draft)
        if utterance.start == start:
            utterance.draft = rest.tokens
        return rest._replace(text=" ".join(one for one in (*utterance.head, rest.text) if one))


class MoonshineAsr:
    """Understands English; the weights are shared, the sound is not."""

    def __init__(self, model: Moonshine, options: MoonshineOptions) -> None:
        self._engine = _Engine(model, options)

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        """Send partials and finals; cancelling frees the threads within milliseconds.

        Partials are made of all that is there when one is due: none waits behind another.

        Raises:
            Unusable: the language is not English.
            Transient: the machine is so busy that a transcript took too long.
        """
        async with sink:
            if hearing.language.partition("-")[0].lower() != "en":
                raise Unusable(STAGE, f"it understands English, not {hearing.language!r}")
            call = _Call(self._engine, sink)
            give, take = anyio.create_memory_object_stream[tuple[Utterance, int]](PENDING)
            async with give, take, anyio.create_task_group() as tasks:
                tasks.start_soon(call.write, take)
                await call.read(source, give)


def _load(store: ModelStore) -> Moonshine:
    model = Moonshine(store.path(MODEL))
    model.transcribe(silence(SAMPLE_RATE))
    return model


@asynccontextmanager
async def _open(options: MoonshineOptions, store: ModelStore) -> AsyncIterator[MoonshineAsr]:
    yield MoonshineAsr(await to_thread.run_sync(_load, store), options)


plugin: Plugin[Asr] = Plugin(MoonshineOptions, _open, lambda options: (MODEL,))

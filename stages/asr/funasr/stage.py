"""Two passes: a streaming model gives the words as they come, another one the final."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter

import anyio
import numpy as np
from anyio import to_thread
from anyio.abc import TaskGroup

from stages.asr.funasr.names import STAGE, is_folder, stored
from stages.asr.funasr.options import MOST_CALLS, FunasrOptions
from stages.asr.funasr.process import Worker
from stages.audio import milliseconds_in, samples_in, silence
from stages.contracts import Sink, Source
from stages.errors import FirstWordError, PluginUnavailable, StageError, Transient, Unusable
from stages.events import (
    SAMPLE_RATE,
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Samples,
    Transcript,
    UtteranceStart,
)
from stages.models import ModelStore

UNIT = samples_in(60)
"""Samples of what the streaming model counts its chunks in."""
FINALS = 8
"""Finals of a call that may be due at once; a recogniser further behind has stopped."""
BEHIND = 3 * SAMPLE_RATE
"""Samples that partials may lag behind; then the utterance has no more, and finals go first."""
BUSY = 0.7
"""Share of a worker's time that may be taken; the rest is for what other work takes of it."""
REHEARD = 2.0
"""How often the second pass hears a second of speech: finals at pauses begin at the start."""

_log = logging.getLogger(__name__)


class FunasrAsr:
    """What all calls share: one worker for each of the two passes.

    Args:
        streaming: none: no partials.
        offline: none: finals are the streaming model's own.
        capacity: calls that stay real time.
    """

    def __init__(
        self,
        options: FunasrOptions,
        streaming: Worker | None,
        offline: Worker | None,
        capacity: int,
    ) -> None:
        self.options, self.streaming, self.offline = options, streaming, offline
        self.capacity = capacity
        self.calls = 0
        self.refused = 0  # calls that would have been too many
        self.skipped = 0  # utterances that went without (more) partials, for want of time
        self.behind = 0  # samples that the farthest partial came late
        self._streams = count(1)

    def figures(self) -> dict[str, float]:
        """Return counters for operators."""
        workers = [worker for worker in (self.streaming, self.offline) if worker is not None]
        return {
            "calls": self.calls,
            "calls_at_most": self.capacity,
            "calls_refused_total": self.refused,
            "utterances_without_partials_total": self.skipped,
            "farthest_behind_ms": milliseconds_in(self.behind),
            "processes_replaced_total": sum(worker.restarts for worker in workers),
        }

    async def run(self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]) -> None:
        """Recognise a call; cancelling drops what is being worked on.

        Raises:
            Unusable: as many calls as this machine keeps up with are under way.
            Transient: a step failed.
        """
        async with sink, source:
            with self._admitted():
                call = _Listening(self, hearing, sink)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(call.work)
                    async for item in source:
                        call.take(item)
                    call.close()

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self.calls >= self.capacity:
            self.refused += 1
            raise Unusable(
                STAGE,
                f"{self.calls} calls are being recognised, and this machine keeps up with no"
                " more; call again in a while",
            )
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1

    def stream(self) -> str:
        """Return a name for a new stream through the streaming model."""
        return f"{os.getpid()}-{next(self._streams)}"


@dataclass(slots=True)
class _Final:
    """A final that is due: the utterance's audio up to its pause."""

    pause: Pause
    audio: Samples
    stream: str
    fed: int  # samples that the streaming model had heard


@dataclass(eq=False)
class _Listening:
    """One call: what was heard, and what is to be done with it."""

    asr: FunasrAsr
    hearing: Hearing
    sink: Sink[Transcript]
    _utterance: int | None = None
    _start: int = 0
    _pieces: list[Samples] = field(default_factory=list)
    _heard: int = 0  # samples of the utterance
    _fed: int = 0  # of them, what the streaming model has heard
    _stream: str = ""
    _old: deque[str] = field(default_factory=deque)  # streams to be forgotten
    _said: str = ""
    _paused: int = 0  # pauses so far: a partial is overtaken when there are more
    _deaf: bool = False  # this utterance has no more partials
    _finals: deque[_Final] = field(default_factory=deque)
    _news: anyio.Event = field(default_factory=anyio.Event)
    _closed: bool = False

    # --- what comes in ----------------------------------------------------------------------

    def take(self, item: AsrInput) -> None:
        """Take an item in; never waits."""
        match item:
            case UtteranceStart():
                self._begin(item)
            case Audio() if self._utterance is not None:
                self._pieces.append(item.samples)
                self._heard += len(item.samples)
            case Pause() if item.utterance == self._utterance:
                self._pause(item)
            case Pause():
                self._finals.append(_Final(item, silence(0), "", 0))
            case _:
                self._forget()
        self._news.set()

    def close(self) -> None:
        """Nothing more comes: finish what is begun."""
        self._forget()
        self._closed = True
        self._news.set()

    def _begin(self, start: UtteranceStart) -> None:
        self._forget()
        self._utterance, self._start = start.utterance, start.start
        self._stream = self.asr.stream()

    def _pause(self, pause: Pause) -> None:
        if len(self._finals) >= FINALS:
            raise Transient(STAGE, f"{FINALS} finals are due and none came: it has stopped")
        self._paused += 1
        self._finals.append(_Final(pause, self._audio(), self._stream, self._fed))

    def _forget(self) -> None:
        if self._stream and self._fed:
            self._old.append(self._stream)
        self._utterance, self._stream, self._said = None, "", ""
        self._pieces.clear()
        self._heard = self._fed = 0
        self._deaf = False
        self._paused += 1

    def _audio(self) -> Samples:
        if len(self._pieces) > 1:
            self._pieces[:] = [np.concatenate(self._pieces)]
        return self._pieces[0] if self._pieces else silence(0)

    # --- what is done with it ---------------------------------------------------------------

    async def work(self) -> None:
        """Do what is most urgent, one step at a time, until all is done."""
        try:
            while not (self._closed and not self._finals):
                self._news = anyio.Event()
                if self._finals:
                    await self._final(self._finals[0])
                    self._finals.popleft()
                elif not await self._partial():
                    await self._news.wait()
        finally:
            self._forget()
            self._drop()

    async def _final(self, final: _Final) -> None:
        text = ""
        if len(final.audio) >= UNIT:
            text = await (self._second_pass(final) if self.asr.offline else self._flush(final))
        pause = final.pause
        await self.sink.send(
            Transcript(pause.utterance, text, pause.at, final=True, stable=len(text))
        )

    async def _second_pass(self, final: _Final) -> str:
        assert self.asr.offline is not None
        words, language = " ".join(self.hearing.hotwords), self.hearing.language.split("-")[0]
        asked = {"do": "whole", "hotword": words, "language": language}
        return await self.asr.offline.ask(asked, final.audio)

    async def _flush(self, final: _Final) -> str:
        rest = final.audio[final.fed :]
        rest = rest if len(rest) >= UNIT else np.append(rest, silence(UNIT - len(rest)))
        return self._said + await self._streaming("flush", final.stream, rest)

    async def _partial(self) -> bool:
        """Recognise whole chunks that were heard; false if there are none."""
        self._drop()
        step = samples_in(self.asr.options.chunk_ms)
        due = self._heard - self._fed
        if due > BEHIND and not self._deaf and self.asr.offline is not None:
            self._deaf = True
            self.asr.skipped += 1
        if self.asr.streaming is None or self._deaf or due < step or self._utterance is None:
            return False
        utterance, paused, upto = self._utterance, self._paused, self._fed + due - due % step
        samples, stream = self._audio()[self._fed : upto], self._stream
        self._fed = upto
        said = await self._streaming("chunk", stream, samples)
        if stream != self._stream:
            return True
        self.asr.behind = max(self.asr.behind, self._heard - upto)
        self._said += said
        if said and paused == self._paused:
            text = self._said.strip()
            await self.sink.send(Transcript(utterance, text, self._start + upto, stable=len(text)))
        return True

    async def _streaming(self, do: str, stream: str, samples: Samples) -> str:
        assert self.asr.streaming is not None
        return await self.asr.streaming.ask(_step(self.asr.options, do, stream), samples)

    def _drop(self) -> None:
        """Have the streams forgotten that are over."""
        while self._old and self.asr.streaming is not None:
            self.asr.streaming.tell({"do": "drop", "stream": self._old.popleft()})


def _step(options: FunasrOptions, do: str, stream: str) -> dict[str, object]:
    return {
        "do": do,
        "stream": stream,
        "chunk_size": [0, options.chunk_ms // 60, 5],
        "encoder_look_back": 4,
        "decoder_look_back": 1,
    }


async def _capacity(
    options: FunasrOptions,
    streaming: Worker | None,
    offline: Worker | None,
    failures: list[FirstWordError],
) -> int:
    """Warm both up; return how many calls they keep up with, by the time their work takes."""
    try:
        load = await _load_of_a_call(options, streaming, offline)
    except StageError as error:
        failures.append(error)
        return 0
    capacity = max(1, min(MOST_CALLS, int(BUSY / load)))
    _log.info("%s: %.3f of a worker a call, so %d calls at once", STAGE, load, capacity)
    return capacity


async def _load_of_a_call(
    options: FunasrOptions, streaming: Worker | None, offline: Worker | None
) -> float:
    load = 0.0
    second = np.random.default_rng(1).normal(0, 0.02, SAMPLE_RATE).astype(np.float32)
    chunk = samples_in(options.chunk_ms)
    sound = np.resize(second, chunk)
    if streaming is not None:
        times = [await _timed(streaming, _step(options, "chunk", "warm"), sound) for _ in range(4)]
        await streaming.ask({"do": "drop", "stream": "warm"})
        load = min(times) * SAMPLE_RATE / chunk
    if offline is not None:
        whole: dict[str, object] = {"do": "whole"}
        times = [await _timed(offline, whole, np.resize(second, 3 * SAMPLE_RATE)) for _ in range(3)]
        load = max(load, REHEARD * min(times) / 3)
    return load


async def _timed(worker: Worker, header: dict[str, object], samples: Samples) -> float:
    begun = perf_counter()
    await worker.ask(header, samples)
    return perf_counter() - begun


@asynccontextmanager
async def open_funasr(options: FunasrOptions, store: ModelStore) -> AsyncIterator[FunasrAsr]:
    """Load the models, each in a process of its own; both end with the block.

    Raises:
        PluginUnavailable: FunASR or a model is not there, or its weights do not fit.
        ModelMissing: a model of the hub was not pulled.
        ModelCorrupt: a file of it is not the one that was.
    """
    streaming, offline = await to_thread.run_sync(_workers, options, store)
    failures: list[FirstWordError] = []
    capacity = 0
    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as loading:
            for worker in (streaming, offline):
                if worker is not None:
                    loading.start_soon(_start, tasks, worker, failures)
        if not failures:
            capacity = await _capacity(options, streaming, offline, failures)
        if not failures:
            yield FunasrAsr(options, streaming, offline, options.calls or capacity)
        tasks.cancel_scope.cancel()
    if failures:
        raise failures[0]


async def _start(tasks: TaskGroup, worker: Worker, failures: list[FirstWordError]) -> None:
    try:
        await tasks.start(worker.run)
    except PluginUnavailable as error:
        failures.append(error)


def _workers(options: FunasrOptions, store: ModelStore) -> tuple[Worker | None, Worker | None]:
    """Return who hears while one speaks, and who hears the whole; reads files of the store."""

    def place(model: str) -> str:
        named = model and not is_folder(model)
        return str(store.path(stored(options.hub, model))) if named else model

    streaming, offline = place(options.streaming), place(options.offline)
    punctuation = place(options.punctuation) if offline else ""
    return _worker(options, streaming), _worker(options, offline, punctuation)


def _worker(options: FunasrOptions, folder: str, punctuation: str = "") -> Worker | None:
    if not folder:
        return None
    wanted = {
        "model": folder,
        "punctuation": punctuation,
        "device": options.device,
        "threads": options.threads,
    }
    return Worker(wanted, options.load_s, options.step_s)

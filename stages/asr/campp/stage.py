"""The plug-in ``campp``: opens the engine once, hears every call with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectSendStream

from stages.asr.campp.call import BACKLOG, Call, Kit
from stages.asr.campp.decode import language
from stages.asr.campp.decode.greedy import Greedy
from stages.asr.campp.decode.hotwords import Hotwords
from stages.asr.campp.decode.hypothesis import Decoder
from stages.asr.campp.decode.prefix_beam import PrefixBeam, Rules, Weigh
from stages.asr.campp.decode.rescore import rescored
from stages.asr.campp.decode.second import Second
from stages.asr.campp.decode.spoken import Lexicon, NoSounds, Spoken, SpokenBeam, tells_phones
from stages.asr.campp.decode.words import Table
from stages.asr.campp.endpoint import Endpoint, rules
from stages.asr.campp.engine import Engine, Stats
from stages.asr.campp.features import Fbank, Windows
from stages.asr.campp.geometry import NotAModel
from stages.asr.campp.graph import Graph, open_graph
from stages.asr.campp.options import CamppOptions
from stages.contracts import Asr, Plugin, Sink, Source
from stages.errors import StageError, UserError
from stages.events import AsrInput, Hearing, Transcript
from stages.models import ModelStore
from stages.threads import Workers

Decoders: TypeAlias = Callable[[Hearing], Callable[[], Decoder]]
"""From what a call wants to hear, what makes a decoder for each of its utterances."""


SPELLED, SPOKEN = 0.3, 0.6
"""Weights of a language model beside letters, and beside phones."""

RESCORED = 0.4
"""Weight of a language model that rescores what letters spell."""


class Idle(UserError):
    """A setting that would do nothing."""


class CamppAsr:
    """Streaming recognition for many calls, with one engine.

    Args:
        engine: it runs already.
        decoders: how to decode.
        endpoint: the rules by which it thinks that an utterance is over.
    """

    def __init__(self, engine: Engine, decoders: Decoders, endpoint: Endpoint) -> None:
        self._engine, self._decoders, self._endpoint = engine, decoders, endpoint
        self._fbank = Fbank(engine.graph.geometry.front)

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        """Send partials as audio comes, and a final for every ``Pause``.

        Cancelling gives the call's slot back.

        Raises:
            Unusable: no slot is free, or the model cannot take this call's sound.
            Transient: the engine does not answer.
        """
        geometry = self._engine.graph.geometry
        windows = partial(Windows, geometry, self._fbank)
        kit = Kit(geometry, windows, self._decoders(hearing), self._endpoint)
        failure: StageError | None = None
        async with sink, self._engine.seat() as seat:
            give, inbox = anyio.create_memory_object_stream[AsrInput](BACKLOG)
            async with inbox, anyio.create_task_group() as tasks:
                tasks.start_soon(_read, source, give)
                try:
                    await Call(seat, kit, sink).listen(inbox)
                except StageError as error:  # raised below, where no group wraps it
                    failure = error
                    tasks.cancel_scope.cancel()
        if failure:
            raise failure

    def stats(self) -> Stats:
        """Return the engine's counters."""
        return self._engine.stats()

    def figures(self) -> dict[str, float]:
        """Return them as operators see them."""
        return self._engine.stats().figures()


async def _read(source: Source[AsrInput], give: MemoryObjectSendStream[AsrInput]) -> None:
    async with give:
        async for event in source:
            await give.send(event)


@asynccontextmanager
async def open_campp(options: CamppOptions, store: ModelStore) -> AsyncIterator[CamppAsr]:
    """Load the model, run its engine and its decoders for as long as the block lasts.

    Raises:
        NotAModel: the file is none, or its metadata does not fit.
        UserError: the device, the graph or the language model cannot be used.
    """
    file = options.file or stored(store, options.model)
    graph = await to_thread.run_sync(
        lambda: open_graph(
            file, options.device, options.threads, options.memory_mb, options.tensorrt_cache
        )
    )
    engine = Engine(graph, options.slots, options.max_batch, options.max_wait_ms / 1000)
    endpoint = Endpoint(
        rules(options.endpoint_silence_s, options.endpoint_pause_s, options.endpoint_longest_s)
    )
    async with AsyncExitStack() as stack:
        decoders = await _decoders(options, graph, stack)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(engine.run)
        try:
            yield CamppAsr(engine, decoders, endpoint)
        finally:
            tasks.cancel_scope.cancel()


def stored(store: ModelStore, name: str) -> Path:
    """Return the one model file of a model of the store.

    Raises:
        NotAModel: there is none, or several.
        UserError: the store does not have it.
    """
    folder = store.path(name)
    files = sorted(folder.glob("*.onnx"))
    if len(files) != 1:
        raise NotAModel(str(folder), f"it holds {len(files)} .onnx files instead of one")
    return files[0]


async def _decoders(options: CamppOptions, graph: Graph, stack: AsyncExitStack) -> Decoders:
    tokens, blank = graph.tokens, graph.geometry.blank
    if options.decode == "wfst":
        from stages.asr.campp.decode.wfst import open_wfst  # an extra

        make = await stack.enter_async_context(open_wfst(options, graph))
        return lambda hearing: make
    if tells_phones(tokens):
        return await _worded(options, tokens, blank)
    model = None
    if options.language_file:
        model = await to_thread.run_sync(language.read, options.language_file)
    weight = options.language_model_weight
    beam = Rules(
        tokens,
        blank,
        beam=options.beam,
        candidates=options.candidates,
        model=model,
        weight=SPELLED if weight is None else weight,
        length_bonus=options.length_bonus if model else 0.0,
    )
    workers, weigh = Workers(2), await _weigh(options)

    def decoders(hearing: Hearing) -> Callable[[], Decoder]:
        if options.decode == "greedy" and not hearing.hotwords and weigh is None:
            return partial(Greedy, tokens, blank)
        trie = Hotwords(hearing.hotwords, options.hotword_bonus) if hearing.hotwords else None
        return partial(PrefixBeam, beam.with_hotwords(trie), workers, weigh)

    return decoders


async def _worded(options: CamppOptions, tokens: tuple[str, ...], blank: int) -> Decoders:
    """Return decoders of a network that tells phones."""
    file, weight = options.language_file, options.language_model_weight
    if file is None:
        raise NoSounds(
            f"{options.model} tells phones: set asr.language_model to a .lm file with"
            " pronunciations, by `firstword asr words --phones`."
        )
    table = await to_thread.run_sync(Table.read, file)
    lexicon = await to_thread.run_sync(Lexicon, table, tokens)
    weight = SPOKEN if weight is None else weight
    rules = Spoken(
        lexicon,
        blank,
        beam=options.word_beam,
        weight=weight,
        bonus=options.word_bonus,
        second=await _second(options, lexicon, weight),
    )
    workers = Workers(2)

    def decoders(hearing: Hearing) -> Callable[[], Decoder]:
        mine = rules.with_hotwords(hearing.hotwords, options.hotword_bonus)
        return partial(SpokenBeam, mine, workers)

    return decoders


async def _second(options: CamppOptions, lexicon: Lexicon, first: float) -> Second | None:
    """Return what chooses among the readings of phones, if the profile wants it."""
    file, weight = options.rescoring_file, options.rescoring_weight
    if file is None:
        return None
    if file.suffix != language.SUFFIX:
        raise Idle(
            f"asr.rescoring: {file} does nothing beside {options.model}, which tells phones: name"
            " a .lm file of words, by `firstword asr words`, or one that comes with FirstWord."
        )
    weight = SPOKEN if weight is None else weight
    if weight == first and options.language_file and _same(file, options.language_file):
        raise Idle(
            f"asr.rescoring does nothing: {file} is the language model already, with the same"
            f" weight, {weight:g}. Set asr.rescoring_weight to another one, or name another file."
        )
    table = await to_thread.run_sync(Table.read, file)
    return Second(lexicon.chances, first, lexicon.words, table, weight)


async def _weigh(options: CamppOptions) -> Weigh | None:
    """Return what chooses among the readings of letters, if the profile wants it."""
    if options.rescoring_file is None:
        return None
    weight = RESCORED if options.rescoring_weight is None else options.rescoring_weight
    if weight == 0:
        raise Idle("asr.rescoring does nothing with asr.rescoring_weight 0; leave both out.")
    model = await to_thread.run_sync(language.read, options.rescoring_file)
    return partial(rescored, model=model, weight=weight, length_bonus=0.5 * weight)


def _same(file: Path, other: Path) -> bool:
    return file.resolve() == other.resolve()


def _models(options: CamppOptions) -> tuple[str, ...]:
    return () if options.file else (options.model,)


plugin: Plugin[Asr] = Plugin(CamppOptions, open_campp, _models)

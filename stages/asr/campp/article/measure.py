"""The figures of each table; every row says what it was measured on."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from stages.asr.campp.article import lexicons
from stages.asr.campp.article.forge import Models
from stages.asr.campp.article.hearing import (
    Case,
    Heard,
    LetterReader,
    Reader,
    WordReader,
    side_by_side,
)
from stages.asr.campp.decode.greedy import Greedy
from stages.asr.campp.decode.hypothesis import SPACE, Decoder
from stages.asr.campp.decode.spoken import SpokenBeam, tells_phones
from stages.asr.campp.features import Fbank, Windows
from stages.asr.campp.graph import Graph, open_graph
from stages.asr.campp.states import States
from stages.asr.campp.steps import Row, Steps
from stages.asr.campp.training import evaluate, sound
from stages.asr.campp.training.evaluate import Repeats
from stages.asr.campp.training.manifest import Clip
from stages.threads import Workers

BATCH = 16
"""Calls at once, "after"."""

WARM = 3
"""Steps before memory is looked at."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What one model and its calls add to a process of their own, in megabytes."""

    state: float  # caches of a call
    network: float  # the model and its calls
    to_words: float  # with lexicon and language model


@dataclass(frozen=True, slots=True)
class Measured:
    """What every model of the tables has heard, once: no two tables can disagree."""

    models: Models
    name: str
    clips: Sequence[Clip]
    heard: Mapping[Case, Heard]

    def row(self, file: Path, batch: int = 1) -> dict[str, Any]:
        """Return what all tables say of a model: errors, speed, and what they were measured on."""
        heard = self.heard[file, batch]
        minutes = sum(clip.duration for clip in self.clips) / 60
        calls = "a call at a time" if batch == 1 else f"{batch} calls at once"
        return {
            **evaluate.outcome(self.name, self.clips, heard.texts).as_dict(),
            "rtf_network": round(heard.rtf_network, 5),
            "rtf_to_words": round(heard.rtf_to_words, 5),
            "step_ms": round(heard.step_ms(50), 3),
            "step_p95_ms": round(heard.step_ms(95), 3),
            "measured_on": f"{self.name}, {len(self.clips)} utterances, {minutes:.1f} min of human"
            f" speech; {heard.packets} packets, {calls}, one thread",
        }


def hear(models: Models, name: str, clips: Sequence[Clip]) -> Measured:
    """Let every model of the tables hear the clips, in turns."""
    cases: list[Case] = [(file, 1) for file in models.full.values()]
    cases += [(models.dynamic, 1), (models.static, 1), (models.qat, 1), (models.qat, BATCH)]
    return Measured(models, name, clips, side_by_side(cases, clips, readers(models.words)))


def readers(words: Path | None) -> Callable[[Graph], Callable[[], Reader]]:
    """Return what reads a network: letters by the best token, phones by a search for words."""
    def make(graph: Graph) -> Callable[[], Reader]:
        if not tells_phones(graph.tokens):
            return partial(LetterReader, graph)
        return partial(WordReader, lexicons.spoken(graph, words))

    return make


def decoders(words: Path | None) -> Callable[[Graph], Callable[[], Decoder]]:
    """Return what decodes a call's utterances as the stage does."""

    def make(graph: Graph) -> Callable[[], Decoder]:
        if not tells_phones(graph.tokens):
            return partial(Greedy, graph.tokens, graph.geometry.blank)
        return partial(SpokenBeam, lexicons.spoken(graph, words), Workers(2))

    return make


def memory(file: Path, batch: int, words: Path | None, clip: Path) -> Memory:
    """Measure in a fresh process, so that memory is this model's own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_memory, file, batch, words, clip).result()


def _memory(file: Path, batch: int, words: Path | None, clip: Path) -> Memory:
    process = psutil.Process()
    before = process.memory_info().rss
    graph = open_graph(file)
    states = States(graph.geometry, batch)
    steps = Steps(graph, states, batch)
    windows = Windows(graph.geometry, Fbank(graph.geometry.front))
    samples = sound.load(clip)
    window = (windows.hear(samples) or [rest[0] for rest in [windows.rest()] if rest])[0]
    rows = [Row(slot, window) for slot in range(batch)]
    results = [steps.run(rows) for _ in range(WARM)]
    network = process.memory_info().rss
    make = readers(words)(graph)
    calls = [make() for _ in range(batch)]
    for call, result in zip(calls, results[-1], strict=True):
        if not isinstance(result, Exception):
            call.take(result)
    everything = process.memory_info().rss
    return Memory(
        state=round(states.bytes_a_slot / 1e6, 3),
        network=round((network - before) / 1e6, 1),
        to_words=round((everything - before) / 1e6, 1),
    )


def before_and_after(measured: Measured) -> list[dict[str, Any]]:
    """Compare FP32, a stream at a time, with INT8 in batches of 16."""
    models, rows = measured.models, []
    for which, file, batch in (("before", models.full[16], 1), ("after", models.qat, BATCH)):
        held = memory(file, batch, models.words, measured.clips[0].file)
        row = measured.row(file, batch)
        rows.append(
            {
                "which": which,
                "batch": batch,
                "streams_a_core_network": round(1 / row["rtf_network"], 1),
                "streams_a_core_to_words": round(1 / row["rtf_to_words"], 1),
                "state_mb_a_call": held.state,
                "process_mb": held.network,
                "process_mb_a_call": round(held.network / batch, 1),
                "process_to_words_mb": held.to_words,
                **row,
            }
        )
    return rows


def quantisation(measured: Measured) -> list[dict[str, Any]]:
    """Compare the four ways to keep the same weights."""
    models = measured.models
    ways = {
        "fp32": models.full[16],
        "dynamic": models.dynamic,
        "static": models.static,
        "qat": models.qat,
    }
    full = ways["fp32"].stat().st_size
    return [
        {
            "way": way,
            "mb": round(file.stat().st_size / 1e6, 2),
            "of_fp32": round(file.stat().st_size / full, 4),
            **measured.row(file),
        }
        for way, file in ways.items()
    ]


def chunks(measured: Measured) -> list[dict[str, Any]]:
    """Compare chunk sizes of the same FP32 weights, each with the same 1.28 s of history."""
    return [
        {
            "chunk": chunk,
            "mean_latency_ms": chunk * 10,  # a frame waits for half a chunk on average
            "max_latency_ms": chunk * 20,
            **repeated(measured, file).as_dict(),
            **measured.row(file),
        }
        for chunk, file in measured.models.full.items()
    ]


def repeated(measured: Measured, file: Path) -> Repeats:
    """Count what the network tells twice in a row, without lexicon, beyond what was said so.

    Raises:
        NoDictionary: nobody knows how the words of the texts are said.
    """
    graph = open_graph(file)
    heard = measured.heard[file, 1].log_probs
    told = [evaluate.best_tokens(graph, log_probs) for log_probs in heard]
    if not tells_phones(graph.tokens):
        texts = [clip.text.replace(" ", SPACE) for clip in measured.clips]
        return evaluate.repeats("characters", texts, told)
    lexicon = lexicons.dictionary()
    said = [lexicon.spelled(clip.text) for clip in measured.clips]
    known = [(text, one) for text, one in zip(said, told, strict=True) if text is not None]
    return evaluate.repeats("phones", [text for text, _ in known], [one for _, one in known])

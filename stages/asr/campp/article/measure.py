"""The figures of each table; every one says what it was measured on."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from stages.asr.campp.article import passes
from stages.asr.campp.article.forge import Models
from stages.asr.campp.decode.hypothesis import LogProbs, spelled
from stages.asr.campp.decode.ngram import NGram
from stages.asr.campp.decode.prefix_beam import Beam, Rules
from stages.asr.campp.decode.rescore import Ranked, rescored
from stages.asr.campp.decode.spoken import Lexicon, Search, Spoken, tells_phones
from stages.asr.campp.decode.words import Grams, Table
from stages.asr.campp.features import Fbank, Windows
from stages.asr.campp.graph import Graph, open_graph
from stages.asr.campp.states import States
from stages.asr.campp.steps import Row, Steps
from stages.asr.campp.training import evaluate, sets
from stages.asr.campp.training.evaluate import Hearing, Outcome
from stages.asr.campp.training.manifest import Clip
from stages.events import SAMPLE_RATE

BEAM = 8
"""Readings that rescoring chooses among."""

WEIGHTS = (0.2, 0.4, 0.7)
"""Of the language models over characters; each is a point of the curve."""

WORD_WEIGHTS = (0.3, 0.6, 0.9)
"""Of the language model over words."""

PACKET = 8
"""Frames of the last packet: what a search has still to do when a caller pauses."""


@dataclass(frozen=True, slots=True)
class Speed:
    """One model at one batch size, alone in a process of its own, on one thread."""

    rtf: float  # seconds of work a second of sound and call
    streams_a_core: float
    step_ms: float  # median
    state_mb: float  # of a call
    process_mb: float  # that the model and its calls added to the process


@dataclass(frozen=True, slots=True)
class Point:
    """Word errors against the milliseconds that come on top at the endpoint."""

    name: str
    weight: float
    outcome: Outcome
    added_ms: float  # mean
    added_p95_ms: float


def speed(file: Path, batch: int, seconds: float = 2.0) -> Speed:
    """Measure in a fresh process, so that memory is this model's own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_speed, file, batch, seconds).result()


def _speed(file: Path, batch: int, seconds: float) -> Speed:
    process = psutil.Process()
    before = process.memory_info().rss
    graph = open_graph(file)
    states = States(graph.geometry, batch)
    steps = Steps(graph, states, batch)
    windows = Windows(graph.geometry, Fbank(graph.geometry.front))
    packet = graph.geometry.packet
    noise = np.random.default_rng(0).standard_normal(packet * (batch + 1)) * 0.1
    cut = windows.hear(noise.astype(np.float32))
    rows = [Row(slot, cut[slot]) for slot in range(batch)]
    times: list[float] = []
    for _ in range(3):
        steps.run(rows)
    while sum(times) < seconds or len(times) < 5:
        began = time.perf_counter()
        steps.run(rows)
        times.append(time.perf_counter() - began)
    added = process.memory_info().rss - before
    middle = float(np.median(times))
    heard = packet / SAMPLE_RATE
    return Speed(
        rtf=round(middle / heard / batch, 5),
        streams_a_core=round(batch * heard / middle, 1),
        step_ms=round(middle * 1000, 3),
        state_mb=round(states.bytes_a_slot / 1e6, 3),
        process_mb=round(added / 1e6, 1),
    )


def errors(
    file: Path, name: str, clips: Sequence[Clip], words: Path | None
) -> tuple[Outcome, Hearing]:
    """Hear clips one at a time, packet by packet, and count errors.

    Letters are decoded greedily; phones with their lexicon and language model, ``words``.
    """
    graph = open_graph(file)
    heard = evaluate.hear(graph, clips)
    phones = tells_phones(graph.tokens)
    decode = evaluate.words(sets.spoken(graph, words)) if phones else evaluate.greedy(graph)
    return evaluate.outcome(name, clips, [decode(one) for one in heard.log_probs]), heard


def quantisation(models: Models, name: str, clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Compare the four ways to keep the same weights."""
    rows = []
    for way, file in (
        ("fp32", models.full[16]),
        ("dynamic", models.dynamic),
        ("static", models.static),
        ("qat", models.qat),
    ):
        found, _ = errors(file, name, clips, models.words)
        fast = speed(file, 1)
        rows.append(
            {
                "way": way,
                "mb": round(file.stat().st_size / 1e6, 2),
                "rtf": fast.rtf,
                "step_ms": fast.step_ms,
                **found.as_dict(),
            }
        )
    return rows


def before_and_after(models: Models, name: str, clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Compare FP32, a stream at a time, with INT8 in batches of 16."""
    rows = []
    for which, file, batch in (("before", models.full[16], 1), ("after", models.qat, 16)):
        fast = speed(file, batch)
        found, _ = errors(file, name, clips, models.words)
        rows.append(
            {
                "which": which,
                "batch": batch,
                "rtf": fast.rtf,
                "streams_a_core": fast.streams_a_core,
                "state_mb_a_call": fast.state_mb,
                "process_mb": fast.process_mb,
                "process_mb_a_call": round(fast.process_mb / batch, 1),
                **found.as_dict(),
            }
        )
    return rows


def chunks(models: Models, name: str, clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Compare chunk sizes of the same FP32 weights, each with the same 1.28 s of history."""
    rows = []
    for chunk, file in models.full.items():
        found, _ = errors(file, name, clips, models.words)
        fast = speed(file, 1)
        rows.append(
            {
                "chunk": chunk,
                "mean_latency_ms": chunk * 10,  # a frame waits for half a chunk on average
                "max_latency_ms": chunk * 20,
                "rtf": fast.rtf,
                **found.as_dict(),
            }
        )
    return rows


def rescoring(models: Models, name: str, clips: Sequence[Clip]) -> list[Point]:
    """Compare what can be done for a final: language models, and another recogniser."""
    graph = open_graph(models.qat)
    heard = evaluate.hear(graph, clips).log_probs
    of = _of_phones if tells_phones(graph.tokens) else _of_letters
    return [*of(graph, models, heard, name, clips), second_pass("moonshine", name, clips)]


def _of_letters(
    graph: Graph, models: Models, heard: Sequence[LogProbs], name: str, clips: Sequence[Clip]
) -> list[Point]:
    greedy = evaluate.greedy(graph)
    plain = evaluate.outcome(name, clips, [greedy(one) for one in heard])
    points = [Point("greedy", 0.0, plain, 0.0, 0.0)]
    rules = Rules(graph.tokens, graph.geometry.blank, beam=BEAM)
    readings = []
    for log_probs in heard:
        search = Beam(rules)
        if log_probs.size:
            search.take(log_probs)
        readings.append(search.ranked())
    for size, file in models.language.items():
        points += _chosen(f"{size} n-gram", NGram.read(file), readings, name, clips)
    return points


def _of_phones(
    graph: Graph, models: Models, heard: Sequence[LogProbs], name: str, clips: Sequence[Clip]
) -> list[Point]:
    """Compare two sizes of the language model: words by themselves, and their neighbours too.

    It works while the caller speaks; what is left at the endpoint is the last packet.
    """
    whole = sets.spoken(graph, models.words)
    table = Table.read(models.words) if models.words else None
    points = []
    for size, rules in (("words alone", _alone(table, graph, whole)), ("pairs, triples", whole)):
        for weight in WORD_WEIGHTS:
            times, texts = [], []
            for log_probs in heard:
                search = Search(replace(rules, weight=weight))
                search.take(log_probs[:-PACKET])
                began = time.perf_counter()
                search.take(log_probs[-PACKET:])
                texts.append(spelled(search.best().pieces))
                times.append((time.perf_counter() - began) * 1000)
            found = evaluate.outcome(name, clips, texts)
            points.append(_point(size, weight, found, times))
    return points


def _alone(table: Table | None, graph: Graph, whole: Spoken) -> Spoken:
    if table is None:
        return whole
    none = table.grams[1].keys[:0], table.grams[1].scores[:0], table.grams[1].back_offs[:0]
    grams = replace(table, grams=(table.grams[0], Grams(*none), Grams(*none)))
    return replace(whole, lexicon=Lexicon(grams, graph.tokens))


def second_pass(engine: str, name: str, clips: Sequence[Clip]) -> Point:
    """Let another recogniser have the last word.

    Raises:
        UserError: it is not installed, or its model is not in the store.
    """
    finals = passes.second(engine, clips)
    found = evaluate.outcome(name, clips, finals.texts)
    return _point(f"second pass ({engine})", 0.0, found, finals.ms)


def _chosen(
    how: str, model: NGram, readings: Sequence[Ranked], name: str, clips: Sequence[Clip]
) -> list[Point]:
    points = []
    for weight in WEIGHTS:
        times, texts = [], []
        for nbest in readings:
            began = time.perf_counter()
            best = rescored(nbest, model, weight, length_bonus=0.5 * weight)[0][1]
            times.append((time.perf_counter() - began) * 1000)
            texts.append(evaluate.joined([piece.text for piece in best.pieces]))
        points.append(_point(how, weight, evaluate.outcome(name, clips, texts), times))
    return points


def _point(how: str, weight: float, found: Outcome, times: Sequence[float]) -> Point:
    mean, high = float(np.mean(times)), float(np.percentile(times, 95))
    return Point(how, weight, found, round(mean, 3), round(high, 3))

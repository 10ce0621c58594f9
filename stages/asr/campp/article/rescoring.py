"""What language models and a second pass gain, and what they add when the caller has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stages.asr.campp.article import lexicons, passes
from stages.asr.campp.decode.hypothesis import Hypothesis, LogProbs, spelled
from stages.asr.campp.decode.ngram import NGram
from stages.asr.campp.decode.prefix_beam import Beam, Rules
from stages.asr.campp.decode.rescore import Ranked, rescored
from stages.asr.campp.decode.second import Second
from stages.asr.campp.decode.spoken import Search, Spoken, tells_phones
from stages.asr.campp.decode.words import Table
from stages.asr.campp.graph import Graph
from stages.asr.campp.training import evaluate, score
from stages.asr.campp.training.manifest import Clip

WEIGHTS = (0.3, 0.6, 0.9)
"""Of the language models; each is a point of a curve."""

BEAM = 8
"""Readings of letters that rescoring chooses among."""

FIRST = 0.6
"""Weight of the small model while the caller speaks, where the large one rescores."""

SPEAKING, ENDED = "while speaking", "at the endpoint"


@dataclass(slots=True)
class Point:
    """One way to say what was heard: its texts, and milliseconds at the endpoint, by clip."""

    how: str
    weight: float
    what: str
    texts: list[str] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _First:
    """A search while the caller speaks, and what may choose among its readings."""

    point: Point
    rules: Spoken
    seconds: tuple[tuple[Point, Second], ...] = ()


def points(
    graph: Graph, language: Mapping[str, Path], heard: Sequence[LogProbs]
) -> list[Point]:
    """Return every way to read what a network told, the one without a language model first.

    Args:
        graph: the network.
        language: its language models by size.
        heard: log-probabilities of each clip.
    """
    make = _of_phones if tells_phones(graph.tokens) else _of_letters
    return make(graph, language, heard)


def rows(found: Sequence[Point], name: str, clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Return the table: word errors, what is gained and what is added against the first point."""
    base = found[0]
    said = [score.errors(clip.text, text) for clip, text in zip(clips, base.texts, strict=True)]
    made = []
    for point in found:
        each = [score.errors(clip.text, t) for clip, t in zip(clips, point.texts, strict=True)]
        outcome = evaluate.outcome(name, clips, point.texts)
        low, high = score.gained(said, each)
        added = np.array(point.ms) - np.array(base.ms)
        made.append(
            {
                "how": point.how,
                "weight": point.weight,
                **outcome.as_dict(),
                "gained": round(score.together(said).rate - outcome.errors.rate, 4),
                "gained_low": round(low, 4),
                "gained_high": round(high, 4),
                "at_endpoint_ms": round(float(np.mean(point.ms)), 3),
                "added_ms": round(float(np.mean(added)), 3),
                "added_p95_ms": round(float(np.percentile(added, 95)), 3),
                "measured_on": f"{name}, {len(clips)} utterances; {point.what}",
            }
        )
    return made


def second_pass(engine: str, clips: Sequence[Clip]) -> Point:
    """Let another recogniser have the last word.

    Raises:
        UserError: it is not installed, or its model is not in the store.
    """
    finals = passes.second(engine, clips)
    what = f"{engine} hears each whole utterance when its pause asks for it"
    return Point(f"second pass ({engine})", 0.0, what, list(finals.texts), list(finals.ms))


def _of_phones(
    graph: Graph, language: Mapping[str, Path], heard: Sequence[LogProbs]
) -> list[Point]:
    searches = _searches(graph, language)
    for log_probs in heard:
        for search in searches:  # in turns: a busy minute is busy for all
            _read(search, log_probs, graph.geometry.out_frames)
    made = [search.point for search in searches]
    made += [point for search in searches for point, _ in search.seconds]
    return made[:1] + sorted(made[1:], key=lambda point: point.how)


def _searches(graph: Graph, language: Mapping[str, Path]) -> list[_First]:
    tables = {size: lexicons.table(file) for size, file in language.items()}
    whole = lexicons.spoken(graph, language["large"])
    plain = {
        size: replace(whole, lexicon=whole.lexicon.with_grams(table))
        for size, table in tables.items()
    }
    alone = replace(next(iter(plain.values())), weight=0.0)
    seconds = [
        _second(f"{size} n-gram, {ENDED}", alone, table, weight)
        for size, table in tables.items()
        for weight in WEIGHTS
    ]
    what = "what the search has left to do with the rest of a packet"
    searches = [_First(Point("no language model", 0.0, what), alone, tuple(seconds))]
    for size, rules in plain.items():
        for weight in WEIGHTS:
            mine = replace(rules, weight=weight)
            leads = size == "small" and weight == FIRST
            more = _larger(size, mine, tables) if leads else ()
            searches.append(_First(Point(f"{size} n-gram, {SPEAKING}", weight, what), mine, more))
    return searches


def _larger(
    size: str, rules: Spoken, tables: Mapping[str, Table]
) -> tuple[tuple[Point, Second], ...]:
    """Return the other models as second ones, after the smallest has led the search."""
    return tuple(
        _second(f"{size} n-gram, {SPEAKING}; {other}, {ENDED}", rules, table, weight)
        for other, table in tables.items()
        if other != size
        for weight in WEIGHTS
    )


def _second(how: str, rules: Spoken, table: Table, weight: float) -> tuple[Point, Second]:
    words = rules.lexicon
    second = Second(words.chances, rules.weight, words.words, table, weight)
    return Point(how, weight, "the same, and readings weighed anew"), second


def _read(first: _First, log_probs: LogProbs, packet: int) -> None:
    """Search a clip; only what is done when the caller has ended is timed."""
    left = len(log_probs) % packet
    whole = len(log_probs) - left
    rules = first.rules
    if first.seconds:  # with one, the search keeps what gives way
        rules = replace(rules, second=first.seconds[0][1])
    search = Search(rules)
    search.take(log_probs[:whole])
    began = time.perf_counter()
    search = search.copy()
    search.take(log_probs[whole:])
    searched = time.perf_counter() - began
    _keep(first.point, search.best, searched)
    for point, second in first.seconds:
        _keep(point, partial(search.final, second), searched)


def _keep(point: Point, say: Callable[[], Hypothesis], searched: float) -> None:
    began = time.perf_counter()
    point.texts.append(spelled(say().pieces))
    point.ms.append((searched + time.perf_counter() - began) * 1000)


def _of_letters(
    graph: Graph, language: Mapping[str, Path], heard: Sequence[LogProbs]
) -> list[Point]:
    greedy = evaluate.greedy(graph)
    made = [Point("greedy", 0.0, "nothing is left to do")]
    made[0].texts, made[0].ms = [greedy(one) for one in heard], [0.0] * len(heard)
    readings = [_readings(graph, log_probs) for log_probs in heard]
    for size, file in language.items():
        model = NGram.read(file)
        for weight in WEIGHTS:
            point = Point(f"{size} n-gram, {ENDED}", weight, f"the best of {BEAM} readings")
            for nbest in readings:
                began = time.perf_counter()
                best = rescored(nbest, model, weight, length_bonus=0.5 * weight)[0][1]
                point.ms.append((time.perf_counter() - began) * 1000)
                point.texts.append(evaluate.joined([piece.text for piece in best.pieces]))
            made.append(point)
    return made


def _readings(graph: Graph, log_probs: LogProbs) -> Ranked:
    search = Beam(Rules(graph.tokens, graph.geometry.blank, beam=BEAM))
    if log_probs.size:
        search.take(log_probs)
    return search.ranked()

"""Two selections side by side, with how sure their difference is, in figures and sentences. Pure.

The intervals are percentile bootstraps: turns of each side are drawn again and again, with a
fixed seed, so that the same turns always give the same report. They take turns for independent
of each other, which turns of one call are only nearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.report.figures import (
    ORDER,
    Figures,
    Measure,
    headline,
    measure_of,
    spread,
    summarise,
    total_of,
)
from agent.timeline import TurnRecord

DRAWS = 2_000
SURE = 95
"""Per cent of the draws within an interval."""
FEW = 5
"""Turns of a side below which nothing is said of a difference."""
_SEED = 20_240_229
_TOLD = 10.0  # ms: a span that moved by less is not told of


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference, B minus A, in milliseconds, and where it lies with ``SURE`` per cent."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether it is on one side of 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Row:
    """One span, or the whole."""

    name: str
    a: float | None  # median, ms
    b: float | None
    p50: Interval | None  # none: too few turns on a side
    p95: Interval | None
    mean: Interval | None  # those of the spans sum to that of the whole


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two selections."""

    names: tuple[str, str]
    a: Figures
    b: Figures
    measure: Measure | None  # what both sides have; none: nothing in common
    counts: tuple[int, int]  # turns of that measure
    total: Row | None
    stages: tuple[Row, ...]
    sentences: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return asdict(self)


def compare(a: Sequence[TurnRecord], b: Sequence[TurnRecord], names: tuple[str, str]) -> Comparison:
    """Compare B with A."""
    measure = _common(a, b)
    ours, theirs = ([r for r in side if measure and measure_of(r) == measure] for side in (a, b))
    figures_a, figures_b = summarise(a), summarise(b)
    total = stages = None
    if ours and theirs:
        total = _row("total", [total_of(r) for r in ours], [total_of(r) for r in theirs])
        stages = [_stage(name, ours, theirs) for name in ORDER]
    rows = tuple(row for row in stages or () if row.a is not None or row.b is not None)
    told = _sentences(names, total, rows) if total else [_nothing(names, figures_a, figures_b)]
    return Comparison(
        names=names,
        a=figures_a,
        b=figures_b,
        measure=measure,
        counts=(len(ours), len(theirs)),
        total=total,
        stages=rows,
        sentences=(*told, *_more(names, figures_a, figures_b)),
    )


def _common(a: Sequence[TurnRecord], b: Sequence[TurnRecord]) -> Measure | None:
    best, _ = headline(a)
    there = {measure_of(record) for record in b}
    if best in there:
        return best
    other, _ = headline(b)
    return other if other in {measure_of(record) for record in a} else None


def _stage(name: str, a: Sequence[TurnRecord], b: Sequence[TurnRecord]) -> Row:
    """Compare a span; a turn in which it had no part counts as 0, so that means add up."""
    sides = [[dict(record.spans).get(name, 0.0) for record in side] for side in (a, b)]
    if not any(name in dict(record.spans) for side in (a, b) for record in side):
        return Row(name, None, None, None, None, None)
    return _row(name, *sides)


def _row(name: str, a: Sequence[float], b: Sequence[float]) -> Row:
    first, second = spread(a), spread(b)
    medians = (first.p50 if first else None, second.p50 if second else None)
    if min(len(a), len(b)) < FEW:
        return Row(name, *medians, None, None, None)
    ones, others = np.asarray(a), np.asarray(b)
    draws = [_draws(ones, _SEED), _draws(others, _SEED + 1)]
    intervals = []
    for which, of in enumerate((_median, _p95, _mean)):
        spots = of(others[None])[0] - of(ones[None])[0]
        differences = draws[1][which] - draws[0][which]
        low, high = np.percentile(differences, ((100 - SURE) / 2, (100 + SURE) / 2))
        intervals.append(Interval(*(round(float(each), 1) + 0.0 for each in (spots, low, high))))
    return Row(name, *medians, *intervals)


def _draws(values: NDArray[np.float64], seed: int) -> list[NDArray[np.float64]]:
    """Return the median, p95 and mean of each draw; a part at a time, to keep memory small."""
    random = np.random.default_rng(seed)
    parts: list[list[NDArray[np.float64]]] = [[], [], []]
    step = max(1, 1_000_000 // len(values))
    for begin in range(0, DRAWS, step):
        count = min(step, DRAWS - begin)
        drawn = values[random.integers(0, len(values), (count, len(values)))]
        for part, of in zip(parts, (_median, _p95, _mean), strict=True):
            part.append(of(drawn))
    return [np.concatenate(part) for part in parts]


def _median(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.median(rows, axis=1))


def _p95(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.percentile(rows, 95, axis=1))


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows.mean(axis=1))


# --- sentences ------------------------------------------------------------------------------


def _sentences(names: tuple[str, str], total: Row, stages: Sequence[Row]) -> list[str]:
    a, b = names
    if total.p50 is None or total.mean is None or total.p95 is None:
        return [f"There are too few turns to compare: each side needs at least {FEW}."]
    if not total.p50.clear:
        told = [
            f"No difference can be told between the medians of {b} and {a}: it lies between"
            f" {total.p50.low:+.0f} and {total.p50.high:+.0f} ms."
        ]
    else:
        word = "faster" if total.p50.value < 0 else "slower"
        near, far = sorted(abs(each) for each in (total.p50.low, total.p50.high))
        told = [
            f"{b} is {abs(total.p50.value):.0f} ms {word} than {a} at the median"
            f" ({SURE} % sure: by {near:.0f} to {far:.0f} ms)."
        ]
    if total.p95.clear:
        word = "lower" if total.p95.value < 0 else "higher"
        told.append(f"Its 95th percentile is {abs(total.p95.value):.0f} ms {word}.")
    return told + _moved(total.mean, stages)


def _moved(total: Interval, stages: Sequence[Row]) -> list[str]:
    moved = [
        (row.mean.value, row.name)
        for row in stages
        if row.mean is not None and row.mean.clear and abs(row.mean.value) >= _TOLD
    ]
    if not moved:
        return []
    moved.sort(key=lambda pair: -abs(pair[0]))
    parts = ", ".join(f"{name} {value:+.0f} ms" for value, name in moved)
    return [f"On average the wait changed by {total.value:+.0f} ms; what clearly moved: {parts}."]


def _nothing(names: tuple[str, str], a: Figures, b: Figures) -> str:
    for name, side in zip(names, (a, b), strict=True):
        if side.measure is None:
            return f"{name} has no turn whose wait was measured, so nothing can be compared."
    return (
        f"{names[0]} was measured as {a.measure} and {names[1]} as {b.measure}: times of"
        " different kinds are not compared."
    )


def _more(names: tuple[str, str], a: Figures, b: Figures) -> list[str]:
    told = []
    if a.endpoints.judged and b.endpoints.judged:
        cut = [f"{side.endpoints.early} of {side.endpoints.judged}" for side in (a, b)]
        heard = (a.endpoints.heard, b.endpoints.heard)
        if a.endpoints.early or b.endpoints.early:
            told.append(
                f"The caller was cut off in {cut[0]} turns by {names[0]}"
                f" and in {cut[1]} by {names[1]}"
                + (f"; they heard it in {heard[0]} and {heard[1]}." if any(heard) else ".")
            )
    loops = (a.event_loop, b.event_loop)
    if all(each.turns for each in loops) and any(each.stalls for each in loops):
        first, second = (
            f"{each.stalled} of {each.turns} turns ({each.stalled_ms:.0f} ms)"
            for each in loops
        )
        told.append(f"The event loop stalled in {first} of {names[0]}, in {second} of {names[1]}.")
    if a.failed or b.failed:
        told.append(
            f"{a.failed} of {a.turns} turns of {names[0]} failed,"
            f" and {b.failed} of {b.turns} of {names[1]}."
        )
    return told

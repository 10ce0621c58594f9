"""What so many calls at once brought: the waits, by stage, and the turns that ended too early.

A false endpoint is a recording whose turn the agent ended before its last speech sample: it was
answered in more than one piece, began a reply that the rest of the recording cut off, or says so
by its own mark.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from statistics import median
from typing import Any

from agent.bench.figures import percentiles
from agent.bench.load import Load
from agent.caller import CallResult, TurnResult
from agent.messages import Playing, ReplyEnd, ToPage
from agent.report.figures import ORDER

_WHICH = (50, 90, 95, 99)


@dataclass(slots=True)
class Told:
    """What a call's messages said of its replies."""

    ended: Counter[int] = field(default_factory=Counter)  # replies, by turn
    played: Counter[int] = field(default_factory=Counter)  # those with an audible sample

    def take(self, message: ToPage) -> None:
        """Take a message of the agent."""
        if isinstance(message, ReplyEnd):
            self.ended[message.turn] += 1
        elif isinstance(message, Playing):
            self.played[message.turn] += 1


@dataclass(frozen=True, slots=True)
class Round:
    """What so many calls at once brought; times are milliseconds."""

    calls: int
    turns: int
    by_recording: Mapping[str, tuple[float, ...]]  # what was heard of each
    stages: dict[str, tuple[float, ...]]
    false_endpoints: int
    false_endpoints_heard: int  # a sound of the reply went out before the caller went on
    failures: tuple[str, ...]
    load: Load | None  # how the agent bore it
    answered: tuple[dict[str, Any], ...] = field(repr=False)  # records: what ``stages`` are of
    records: tuple[dict[str, Any], ...] = field(repr=False)  # of every reply, those cut off too

    @property
    def heard_ms(self) -> tuple[float, ...]:
        """The waits of all turns that were heard."""
        return tuple(chain.from_iterable(self.by_recording.values()))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return {
            "calls": self.calls,
            "turns": self.turns,
            "heard_ms": figures_of(self.heard_ms),
            "stages": {name: figures_of(values) for name, values in self.stages.items()},
            "false_endpoints": self.false_endpoints,
            "false_endpoints_heard": self.false_endpoints_heard,
            "failures": list(self.failures),
            "load": self.load.to_dict() if self.load else None,
        }


def sum_up(
    count: int, heard: Sequence[tuple[CallResult, Told]], load: Load | None = None
) -> Round:
    """Return what so many calls at once brought.

    Args:
        count: calls at once.
        heard: every call, with what its messages said.
        load: how the agent bore them.
    """
    turns = [turn for result, _ in heard for turn in result.turns]
    answered = [turn.timeline for turn in turns if turn.timeline]
    spans = [(str(name), float(ms)) for record in answered for name, ms in record["spans"]]
    return Round(
        calls=count,
        turns=len(turns),
        by_recording=_by_recording(turns),
        stages={
            name: tuple(ms for span, ms in spans if span == name)
            for name in ORDER
            if any(span == name for span, _ in spans)
        },
        false_endpoints=sum(false_endpoints(result, told.ended) for result, told in heard),
        false_endpoints_heard=sum(false_endpoints(result, told.played) for result, told in heard),
        failures=tuple(failure for result, _ in heard for failure in result.failures),
        load=load,
        answered=tuple(answered),
        records=tuple(record for result, _ in heard for record in result.records),
    )


def false_endpoints(result: CallResult, ended: Counter[int]) -> int:
    """Count the recordings whose turn the agent ended before their last speech sample.

    Args:
        result: a call without barge-in, so that nothing but a false endpoint makes two replies.
        ended: replies that ended, or those of them that were heard, by turn; the agent numbers
            turns from 1.
    """
    false, before = 0, 0
    for turn in result.turns:
        if turn.turn is None:
            continue
        replies = sum(ended[number] for number in range(before + 1, turn.turn + 1))
        early = (turn.timeline or {}).get("marks", {}).get("endpoint", 0.0) < 0
        false += int(replies > 1 or early)
        before = turn.turn
    return false


def later_ms(first: Round, other: Round) -> tuple[float, ...]:
    """Return how much later each recording was heard in another round, in milliseconds.

    Each has a wait of its own, so only the same ones compare. What was said several times counts
    by its median.
    """
    both = first.by_recording.keys() & other.by_recording.keys()
    return tuple(
        median(other.by_recording[file]) - median(first.by_recording[file])
        for file in sorted(both)
    )


def _by_recording(turns: Sequence[TurnResult]) -> Mapping[str, tuple[float, ...]]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for turn in turns:
        if turn.heard_ms is not None:
            found[turn.file].append(turn.heard_ms)
    return {file: tuple(waits) for file, waits in found.items()}


def figures_of(values: Sequence[float]) -> dict[str, float | int | None]:
    """Return the percentiles of some milliseconds as JSON has them: None where there are none."""
    found = percentiles(values, _WHICH) if values else [None] * len(_WHICH)
    return {f"p{which}": ms for which, ms in zip(_WHICH, found, strict=True)} | {"n": len(values)}

"""From the records of turns to figures. Pure; times are milliseconds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from agent.timeline import RESIDUAL, SPANS, TurnRecord

Measure: TypeAlias = Literal["heard", "playout", "typed"]
"""What a turn's time is of: to the ear, to the first sample that left us, or from typed text."""

MEASURES: tuple[Measure, ...] = ("heard", "playout", "typed")

SLOWEST = 3
"""Turns that a report shows one by one."""

ORDER = (*SPANS.values(), RESIDUAL)
"""The spans in the order of the critical path."""

ENGINE_SPANS: Mapping[str, tuple[str, ...]] = {
    "vad": (),
    "turn": ("endpoint",),
    "asr": ("asr",),
    "speaker": (),
    "llm": ("llm", "clause"),
    "tts": ("tts",),
}
"""The kinds of stages, and the spans that each answers for: some run beside the wait, in none."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a time was distributed, in milliseconds; percentiles by linear interpolation."""

    n: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Stage:
    """One span over all turns of the headline."""

    name: str
    adds: float  # mean over all these turns, 0 where it had no part: these sum to the mean
    spread: Spread  # of the turns in which it had a part
    hidden: float  # mean over all these turns of the work that the endpoint's wait hid


@dataclass(frozen=True, slots=True)
class Group:
    """Turns that share something."""

    name: str
    turns: int
    total: Spread | None
    failed: int
    fallbacks: int


@dataclass(frozen=True, slots=True)
class Endpoints:
    """How well the end of the caller's turn was found.

    A turn was ended too early if that was decided before the caller's last sound (which only
    the caller's own end can tell), if the caller went on and the turn had to begin anew, or if
    the reply had begun to sound and the caller went on at once (``TurnRecord.cut_in``).
    """

    judged: int  # spoken turns
    early: int
    heard: int  # those of the early ones whose caller heard the reply cut in
    wait: Spread | None  # from the last sound to the decision
    vad_error: Spread | None  # absolute: the VAD's end of speech against the caller's


@dataclass(frozen=True, slots=True)
class Guesses:
    """What preparing replies before the endpoint brought, and cost."""

    turns: int
    tries: int
    hits: int
    misses: int
    tokens_wasted: int
    saved: Spread | None  # of the hits
    saved_ms: float  # of all


@dataclass(frozen=True, slots=True)
class EventLoop:
    """How late the event loop was while callers waited: no stage's doing, and felt by all.

    A stall is a wake-up that was 50 ms late or more (``agent.lateness``).
    """

    turns: int  # whose loop was watched
    stalled: int  # those with a stall
    stalls: int
    stalled_ms: float  # what the stalls took of the waits, of all turns
    worst: Spread | None  # of each turn's worst wake-up


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that a report says in numbers."""

    turns: int
    calls: int
    first: str  # ISO 8601; empty without turns
    last: str
    measure: Measure | None  # what total and stages are of; none: no turn has a time
    total: Spread | None
    stages: tuple[Stage, ...]
    others: dict[str, Spread]  # turns that were measured differently, by how
    barge_in: Spread | None
    interrupted: int  # replies, by the caller's word
    line_ended: int  # replies that the end of the line cut off
    endpoints: Endpoints
    guesses: Guesses
    event_loop: EventLoop
    failed: int
    errors: dict[str, int]  # by sentence
    fallbacks: dict[str, int]
    by_profile: tuple[Group, ...]
    by_engine: tuple[Group, ...]  # named "asr moonshine"; total: of its own spans
    by_day: tuple[Group, ...]

    @property
    def extent(self) -> str:
        """How much was measured, in words: ``12 turns in 1 call``."""
        turns = "1 turn" if self.turns == 1 else f"{self.turns} turns"
        calls = "1 call" if self.calls == 1 else f"{self.calls} calls"
        return f"{turns} in {calls}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return asdict(self)


def spread(values: Iterable[float]) -> Spread | None:
    """Return how values are distributed; none of nothing."""
    taken = np.asarray(list(values), dtype=np.float64)
    if not len(taken):
        return None
    p50, p90, p95, p99 = (_round(value) for value in np.percentile(taken, (50, 90, 95, 99)))
    return Spread(len(taken), _round(taken.mean()), p50, p90, p95, p99)


def measure_of(record: TurnRecord) -> Measure | None:
    """Return what a turn's time is of; none where no sound of the reply left us."""
    if record.first_response_ms is None:
        return None
    if record.measured_from != "speech_end":
        return "typed"
    return "heard" if record.measured_to == "heard" else "playout"


def headline(records: Sequence[TurnRecord]) -> tuple[Measure | None, list[TurnRecord]]:
    """Return the best measure that there is, and the turns that have it."""
    for measure in MEASURES:
        if chosen := [record for record in records if measure_of(record) == measure]:
            return measure, chosen
    return None, []


def total_of(record: TurnRecord) -> float:
    """Return a turn's first-response time; only for turns that have one."""
    return record.first_response_ms or 0.0


def lateness(record: TurnRecord) -> str:
    """Return whether the event loop was to blame, as a sentence; empty: nobody watched it."""
    late = record.event_loop
    if late is None:
        return ""
    if not late.stalls:
        return f"The event loop kept time: {late.worst_ms:.0f} ms late at worst."
    times = "once" if late.stalls == 1 else f"{late.stalls} times"
    worst = "" if late.stalls == 1 else f" ({late.worst_ms:.0f} ms at worst)"
    return f"The event loop stalled {times} in this wait, for {late.stalled_ms:.0f} ms{worst}."


def summarise(records: Sequence[TurnRecord]) -> Figures:
    """Return the figures of turns."""
    measure, chosen = headline(records)
    others: dict[str, Spread] = {
        other: taken
        for other in MEASURES
        if other != measure
        and (taken := spread(total_of(r) for r in records if measure_of(r) == other))
    }
    began = sorted(record.started_at for record in records)
    return Figures(
        turns=len(records),
        calls=len({record.call for record in records}),
        first=began[0] if began else "",
        last=began[-1] if began else "",
        measure=measure,
        total=spread(map(total_of, chosen)),
        stages=_stages(chosen),
        others=others,
        barge_in=spread(
            r.barge_in_ms for r in records if r.barge_in_ms is not None and not r.cut_in
        ),
        interrupted=sum(r.interrupted and not r.cut_in and not r.line_ended for r in records),
        line_ended=sum(record.line_ended for record in records),
        endpoints=_endpoints(records),
        guesses=_guesses(records),
        event_loop=_event_loop(records),
        failed=sum(record.error is not None for record in records),
        errors=dict(Counter(r.error for r in records if r.error is not None).most_common()),
        fallbacks=dict(Counter(each for r in records for each in r.fallbacks).most_common()),
        by_profile=_groups(records, measure, lambda record: record.profile),
        by_engine=_engines(records, chosen),
        by_day=_groups(records, measure, lambda record: record.started_at[:10]),
    )


def _stages(chosen: Sequence[TurnRecord]) -> tuple[Stage, ...]:
    stages = []
    for name in ORDER:
        values = [ms for record in chosen for span, ms in record.spans if span == name]
        taken = spread(values)
        if taken is not None:
            hidden = sum(record.hidden.get(name, 0.0) for record in chosen) / len(chosen)
            adds = _round(sum(values) / len(chosen))
            stages.append(Stage(name, adds, taken, _round(hidden)))
    return tuple(stages)


def _endpoints(records: Sequence[TurnRecord]) -> Endpoints:
    spoken = [r for r in records if r.measured_from == "speech_end" and "endpoint" in r.marks]
    replies = Counter((record.call, record.turn) for record in spoken)
    early = {turn for turn, count in replies.items() if count > 1}
    early |= {(record.call, record.turn) for record in spoken if record.marks["endpoint"] < 0}
    heard = {(record.call, record.turn) for record in spoken if record.cut_in}
    return Endpoints(
        judged=len(replies),
        early=len(early | heard),
        heard=len(heard),
        wait=spread(record.marks["endpoint"] for record in spoken),
        vad_error=spread(abs(r.vad_error_ms) for r in records if r.vad_error_ms is not None),
    )


def _guesses(records: Sequence[TurnRecord]) -> Guesses:
    all_ = [record.speculation for record in records if record.speculation is not None]
    hits = [guess for guess in all_ if guess.hit]
    tries = sum(guess.tries for guess in all_)
    return Guesses(
        turns=len(all_),
        tries=tries,
        hits=len(hits),
        misses=tries - len(hits),
        tokens_wasted=sum(guess.tokens_wasted for guess in all_),
        saved=spread(guess.saved_ms for guess in hits),
        saved_ms=_round(sum(guess.saved_ms for guess in hits)),
    )


def _event_loop(records: Sequence[TurnRecord]) -> EventLoop:
    watched = [record.event_loop for record in records if record.event_loop is not None]
    return EventLoop(
        turns=len(watched),
        stalled=sum(late.stalls > 0 for late in watched),
        stalls=sum(late.stalls for late in watched),
        stalled_ms=_round(sum(late.stalled_ms for late in watched)),
        worst=spread(late.worst_ms for late in watched),
    )


def _groups(
    records: Sequence[TurnRecord], measure: Measure | None, name: Callable[[TurnRecord], str]
) -> tuple[Group, ...]:
    members: defaultdict[str, list[TurnRecord]] = defaultdict(list)
    for record in records:
        members[name(record)].append(record)
    return tuple(
        Group(
            name=each,
            turns=len(group),
            total=spread(total_of(r) for r in group if measure and measure_of(r) == measure),
            failed=sum(record.error is not None for record in group),
            fallbacks=sum(len(record.fallbacks) for record in group),
        )
        for each, group in sorted(members.items())
    )


def _engines(records: Sequence[TurnRecord], chosen: Sequence[TurnRecord]) -> tuple[Group, ...]:
    """Group by engine; the time is that of the engine's own spans, trouble is its own too."""
    engines: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        for kind, engine in (*record.stages.items(), *_blamed(record)):
            engines[kind].add(engine)
    known = [kind for kind in ENGINE_SPANS if kind in engines]
    return tuple(
        _engine(kind, engine, records, chosen)
        for kind in (*known, *sorted(set(engines) - set(known)))
        for engine in sorted(engines[kind])
    )


def _engine(
    kind: str, engine: str, records: Sequence[TurnRecord], chosen: Sequence[TurnRecord]
) -> Group:
    spans, door = ENGINE_SPANS.get(kind, ()), (kind, engine)
    served = [r for r in records if r.stages.get(kind) == engine]
    timed = [r for r in chosen if spans and r.stages.get(kind) == engine]
    return Group(
        name=f"{kind} {engine}",
        turns=len(served),
        total=spread(sum(ms for name, ms in r.spans if name in spans) for r in timed),
        failed=sum(_at_fault(r.error or "", r) == door for r in records),
        fallbacks=sum(_at_fault(told, r) == door for r in records for told in r.fallbacks),
    )


def _blamed(record: TurnRecord) -> list[tuple[str, str]]:
    """Return kind and engine of those that failed in a turn, whichever served it then."""
    told = (record.error or "", *record.fallbacks)
    return [fault for sentence in told if (fault := _at_fault(sentence, record)) is not None]


def _at_fault(sentence: str, record: TurnRecord) -> tuple[str, str] | None:
    """Return the kind and the engine that a sentence of trouble begins with, as stages' do.

    Where it names no engine, it was the one that served; none: no stage of the turn is named.
    """
    kind, _, engine = sentence.partition(":")[0].partition(" ")
    served = record.stages.get(kind)
    if served is None:
        return None
    return kind, engine if engine and " " not in engine else served


def _round(value: float) -> float:
    return round(float(value), 1) + 0.0

"""What Prometheus reads at ``/metrics``: every turn, the calls, and how the event loop fares.

Series are there from the start, at 0, for every stage: a dashboard need not wait for the first
failure to know the name of the counter. Times are seconds, as Prometheus has them. Labels come
from the profile (its id, the names of its engines), never from what anybody said, so their
number is bounded by what is installed.

Nothing here waits: observing is adding to a few numbers, and reading them is done by the server.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from agent.lateness import LoopWatch
from agent.report.figures import measure_of, total_of
from agent.timeline import RESIDUAL, SPANS, TurnRecord

CONTENT_TYPE = CONTENT_TYPE_LATEST

STAGE_OF: Mapping[str, str] = {
    "endpoint": "turn",
    "asr": "asr",
    "llm": "llm",
    "clause": "llm",
    "tts": "tts",
}
"""The kind of stage that answers for a span; the other spans are the wire's."""

KINDS = ("vad", "turn", "asr", "speaker", "llm", "tts")
"""The stages that trouble is laid at."""

BUCKETS = (
    0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8,
    1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0,
)  # fmt: skip
"""Seconds: fine where a conversation is decided (50 to 800 ms), coarse where it has failed."""

CALLS_KNOWN = 1_000
"""Calls whose latest turn is remembered; one more, and the oldest is forgotten."""


class House(Protocol):
    """What is asked of the house of calls at each scrape; every answer comes at once."""

    @property
    def limit(self) -> int:
        """Calls at most."""

    @property
    def count(self) -> int:
        """Calls under way."""

    def queues(self) -> Mapping[str, int]:
        """Items that wait now, by queue."""

    def dropped(self) -> Mapping[str, int]:
        """Items that were thrown away so far, by what they were; never gets less."""


StageCounters: TypeAlias = Iterable[tuple[str, str, int, Mapping[str, float]]]
"""Kind and engine of a stage, its number among its like, and its counters by name."""


class Metrics:
    """The figures of one server; several in one process do not meet."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._turns = _Turns(registry)
        self._refused = Counter(
            "firstword_calls_refused",
            "Calls that were not taken, by HTTP status",
            ["status"],
            registry=registry,
        )
        self._begun = Counter("firstword_calls_begun", "Calls that were taken", registry=registry)
        self.loop = LoopWatch(registry)

    def turn(self, record: TurnRecord) -> None:
        """Take a finished turn."""
        self._turns.take(record)

    def trouble(self, sentence: str) -> None:
        """Count a failure that belongs to no turn, at the stage its sentence begins with."""
        self._turns.errors.labels(stage_of_sentence(sentence)).inc()

    def call_begun(self) -> None:
        """Count a call that was taken."""
        self._begun.inc()

    def call_refused(self, status: int) -> None:
        """Count a call that was not taken."""
        self._refused.labels(str(status)).inc()

    def watch(self, house: House) -> None:
        """Ask a house at every scrape, and show its counters by name."""
        self.registry.register(_HouseFigures(house))

    def watch_stages(self, figures: Callable[[], StageCounters]) -> None:
        """Ask the stages that count at every scrape."""
        self.registry.register(_StageFigures(figures))

    def text(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        return generate_latest(self.registry)


@dataclass(frozen=True, slots=True)
class _Latest:
    """The latest turn of a call, and whether it was counted as ended too early."""

    turn: int
    early: bool


class _Turns:
    """The figures that come from records."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, about: str, labels: tuple[str, ...]) -> Histogram:
            return Histogram(
                f"firstword_{name}_seconds", about, labels, buckets=BUCKETS, registry=registry
            )

        def counter(name: str, about: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"firstword_{name}", about, labels, registry=registry)

        self.total = histogram(
            "first_response",
            "From the caller's last sound to the first sound of the reply; `to`: what was measured",
            ("profile", "to"),
        )
        self.stage = histogram(
            "stage", "What a span added to the wait of a turn", ("stage", "engine", "profile")
        )
        self.hidden = counter(
            "hidden_seconds", "Work that the wait for the endpoint hid", ("stage",)
        )
        self.barge_in = histogram(
            "barge_in", "From an interruption's first sound to silence in the ear", ("profile",)
        )
        self.turns = counter("turns", "Turns, by how they ended", ("profile", "outcome"))
        self.errors = counter(
            "errors", "Turns that failed, and failures of what listens, by stage", ("stage",)
        )
        self.fallbacks = counter("fallbacks", "Times a stage took over from another", ("stage",))
        self.guesses = counter(
            "speculation", "Replies prepared before the endpoint: hit or miss", ("outcome",)
        )
        self.wasted = counter("speculation_tokens_wasted", "Tokens of replies thrown away")
        self.saved = counter("speculation_saved_seconds", "Wait that prepared replies saved")
        self.early = counter(
            "early_endpoints", "Turns in which the caller was cut off", ("profile",)
        )
        self.cut_in = counter(
            "early_endpoints_heard", "Those in which they heard the reply cut in", ("profile",)
        )
        self._answered: OrderedDict[str, _Latest] = OrderedDict()  # by call
        self._zero()

    def _zero(self) -> None:
        for span in SPANS.values():
            self.hidden.labels(span)
        for stage in (*KINDS, "other"):
            self.errors.labels(stage)
            self.fallbacks.labels(stage)
        for outcome in ("hit", "miss"):
            self.guesses.labels(outcome)

    def take(self, record: TurnRecord) -> None:
        profile = record.profile
        measure = measure_of(record)
        if measure is not None:
            self.total.labels(profile, measure).observe(max(0.0, total_of(record) / 1000))
        for span, ms in record.spans:
            if span != RESIDUAL:
                engine = record.stages.get(STAGE_OF.get(span, ""), "")
                self.stage.labels(span, engine, profile).observe(ms / 1000)
        for span, ms in record.hidden.items():
            self.hidden.labels(span).inc(ms / 1000)
        if record.barge_in_ms is not None and not record.cut_in:
            self.barge_in.labels(profile).observe(max(0.0, record.barge_in_ms / 1000))
        self.turns.labels(profile, _outcome(record)).inc()
        self._trouble(record)
        self._cut_off(record)
        self._guessed(record)

    def _trouble(self, record: TurnRecord) -> None:
        if record.error is not None:
            self.errors.labels(stage_of_sentence(record.error)).inc()
        for sentence in record.fallbacks:
            self.fallbacks.labels(stage_of_sentence(sentence)).inc()

    def _cut_off(self, record: TurnRecord) -> None:
        """Count a turn whose caller was cut off: once, however many replies it came to."""
        if record.measured_from != "speech_end":
            return
        before = self._answered.pop(record.call, None)
        again = before is not None and before.turn == record.turn
        early = again or record.cut_in or record.marks.get("endpoint", 0.0) < 0
        counted = before is not None and again and before.early
        self.early.labels(record.profile).inc(int(early and not counted))
        self.cut_in.labels(record.profile).inc(int(record.cut_in))
        self._answered[record.call] = _Latest(record.turn, early)
        if len(self._answered) > CALLS_KNOWN:
            self._answered.popitem(last=False)

    def _guessed(self, record: TurnRecord) -> None:
        guess = record.speculation
        if guess is not None:
            self.guesses.labels("hit").inc(int(guess.hit))
            self.guesses.labels("miss").inc(guess.tries - int(guess.hit))
            self.wasted.inc(guess.tokens_wasted)
            self.saved.inc(max(0.0, guess.saved_ms) / 1000)


def _outcome(record: TurnRecord) -> str:
    if record.error is not None:
        return "failed"
    if record.line_ended:
        return "line_ended"
    return "interrupted" if record.interrupted else "answered"


def stage_of_sentence(sentence: str) -> str:
    """Return the kind of stage that a sentence of trouble begins with, or ``other``."""
    kind = sentence.replace(":", " ").partition(" ")[0]
    return kind if kind in KINDS else "other"


@dataclass(frozen=True, eq=False)
class _HouseFigures(Collector):
    """Asks at each scrape, so that nothing has to be told when a call comes or goes."""

    house: House

    def collect(self) -> list[Metric]:
        house = self.house
        queues = GaugeMetricFamily(
            "firstword_queue_items", "Items that wait in a queue", labels=["queue"]
        )
        for name, waiting in house.queues().items():
            queues.add_metric([name], waiting)
        dropped = CounterMetricFamily(
            "firstword_dropped", "Items that were thrown away for want of room", labels=["what"]
        )
        for what, count in house.dropped().items():
            dropped.add_metric([what], count)
        free = max(0, house.limit - house.count)
        return [
            GaugeMetricFamily("firstword_calls", "Calls under way", house.count),
            GaugeMetricFamily("firstword_calls_limit", "Calls at most", house.limit),
            GaugeMetricFamily("firstword_slots_free", "Calls that could be taken now", free),
            queues,
            dropped,
        ]


@dataclass(frozen=True, eq=False)
class _StageFigures(Collector):
    """Shows a stage's own counters: ``firstword_asr_slots{engine="campp",number="1"}``."""

    figures: Callable[[], StageCounters]

    def collect(self) -> list[Metric]:
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for kind, engine, number, counters in self.figures():
            for name, value in counters.items():
                family = families.setdefault(f"{kind}_{name}", _family(kind, name))
                family.add_metric([engine, str(number)], value)
        return list(families.values())


def _family(kind: str, name: str) -> GaugeMetricFamily | CounterMetricFamily:
    family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    about = f"What the {kind} stage counts: {name.replace('_', ' ')}"
    return family(f"firstword_{kind}_{name}", about, labels=["engine", "number"])

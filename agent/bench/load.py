"""How an agent bore its calls: what its own ``/metrics`` counted between two looks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import process_time

import aiohttp
import anyio
from prometheus_client.parser import text_string_to_metric_families

from agent.errors import NotPossible

LOOK_S = 10.0
"""Longest wait for an answer: an agent that does not answer then has stopped."""

_LAG = "firstword_event_loop_lag_seconds_bucket"
_ON_TIME_S = "0.01"


@dataclass(frozen=True, slots=True)
class Look:
    """The counters of one moment; all but the last only grow."""

    at: float  # s
    cpu: float  # s of all its threads
    own: float  # s of this process, in which the callers are
    wakes: float  # times that the event loop woke somebody who slept
    on_time: float  # … less than 10 ms late
    stalls: float  # … 50 ms late or more
    guesses: float  # replies that were not prepared early, because others waited for theirs
    readings: float  # times that nothing was read ahead, for the same reason
    worst: float  # s by which the latest wake-up of the last minute was late


@dataclass(frozen=True, slots=True)
class Load:
    """What lay between two looks."""

    cores: float  # busy, on average
    callers: float  # cores that the callers kept busy, which share the machine with it
    late_share: float  # of wake-ups of the event loop that were 10 ms late or more
    stalls: int
    worst_ms: float  # latest wake-up; of the last minute, where it took longer
    guesses_passed_over: int
    readings_passed_over: int

    def to_dict(self) -> dict[str, float]:
        """Return it as JSON knows it."""
        return asdict(self)

    def __str__(self) -> str:
        """Return it as a line for people."""
        late = f"{self.late_share:.1%} of its event loop's wake-ups 10 ms late or more"
        stalls = f"{self.stalls} of them 50 ms, the latest {self.worst_ms:.0f} ms"
        gave_way = f"{self.guesses_passed_over} guesses and {self.readings_passed_over} readings"
        busy = f"agent: {self.cores:.2f} cores busy, its callers {self.callers:.2f}"
        return f"{busy}; {late} ({stalls}); {gave_way} gave way"


async def look(url: str) -> Look:
    """Look at an agent on this machine.

    Raises:
        NotPossible: it does not answer.
    """
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(LOOK_S)) as session,
            session.get(f"{url.rstrip('/')}/metrics") as answer,
        ):
            return taken(await answer.text(), anyio.current_time())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise NotPossible(f"The agent at {url} shows no figures: {error}.") from error


def taken(text: str, at: float) -> Look:
    """Return the counters in Prometheus' text, as they were ``at`` that second, and our own."""
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def value(*name: str) -> float:
        return float(samples.get(name, 0.0))

    return Look(
        at=at,
        cpu=value("process_cpu_seconds_total"),
        own=process_time(),
        wakes=value(_LAG, "+Inf"),
        on_time=value(_LAG, _ON_TIME_S),
        stalls=value("firstword_event_loop_stalls_total"),
        guesses=value("firstword_dropped_total", "guesses"),
        readings=value("firstword_dropped_total", "readings"),
        worst=value("firstword_event_loop_worst_lag_seconds"),
    )


def between(before: Look, after: Look) -> Load:
    """Return what happened between two looks at one agent."""
    wakes, passed = after.wakes - before.wakes, max(after.at - before.at, 1e-3)
    late = wakes - (after.on_time - before.on_time)
    return Load(
        cores=round((after.cpu - before.cpu) / passed, 3),
        callers=round((after.own - before.own) / passed, 3),
        late_share=round(late / wakes, 4) if wakes else 0.0,
        stalls=round(after.stalls - before.stalls),
        worst_ms=round(after.worst * 1000, 1),
        guesses_passed_over=round(after.guesses - before.guesses),
        readings_passed_over=round(after.readings - before.readings),
    )

"""When a turn is over: time to the endpoint against the rate of cutting in, as a curve.

Human recordings run through the VAD, the recogniser, the turn detector and the state machine of
turn-taking, in audio time: nothing waits, and the models' opinions come as late as they do in a
call. Fixed timers and the turn detector alone stand for comparison, on the same recordings and
the same machine. A cut-in is an endpoint before the caller's last speech, heard or not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import anyio
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from agent.bench.clues import Worth, fit, listen
from agent.bench.curve import Curve, Point, drawn
from agent.bench.figures import percentiles
from agent.bench.pauses import EVERYTHING, SETS, Case, Taken, cases, entries
from agent.bench.taking import Opinions, Outcome, Patience, sure_places, take
from agent.endpoint import WORTH, Evidence, patience_ms
from agent.engines import open_engines
from agent.errors import NotPossible
from agent.profile import Profile, default_id, load
from agent.turn_settings import PRESETS, TurnSettings
from stages.events import Samples
from stages.models import ModelStore

TIMERS_MS = (200, 300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1500)
THRESHOLDS = (0.3, 0.5, 0.7, 0.9, 0.97)
ALONE_MS, GIVES_UP_MS = 200, (800, 1500)
"""The turn detector alone: it ends a turn after the first, and one it doubts after the second."""
BETWEEN_MS = (
    (120, 250), (150, 350), (255, 620), (300, 700), (550, 630), (600, 800),
    (630, 830), (700, 800), (740, 1020), (850, 1000), (935, 1120), (1100, 1300), (1450, 1700),
)  # fmt: skip
"""``confident_ms`` and ``doubtful_ms`` of other points of our curve, beside the presets."""
WIDE_MS = ((120, 700), (120, 900), (100, 1200), (120, 1200), (120, 1400), (440, 1000))
"""The same where doubt may cost more than half a second: the median gains, what is last pays."""

TIMER = "timer"
OURS, WIDE, LEARNING = "ours", "ours, wide", "ours, learning"

USUAL = TurnSettings.model_validate({})


@dataclass(frozen=True, slots=True)
class Way:
    """A way to take turns."""

    family: str
    name: str
    settings: TurnSettings
    patience: Patience


@dataclass(frozen=True, slots=True)
class Row:
    """What a way did in all cases of a group; times in milliseconds."""

    family: str
    name: str
    group: str
    cases: int
    cut_in_percent: float
    cut_in_heard_percent: float  # a sound of the reply was heard before the caller went on
    p50_ms: float
    p95_ms: float
    mean_ms: float
    unanswered: int  # turns that nobody ended
    vad_error_p50_ms: float
    vad_error_p95_ms: float


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmark's arguments."""
    parser.add_argument(
        "--speech", type=Path, default=Path("../shared/speech/dev"), metavar="DIR",
        help="recordings with a manifest.jsonl (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--sets", nargs="+", default=list(SETS), metavar="SET",
        help="sets of the manifest; all but fillers and talks are stretched and joined, too",
    )  # fmt: skip
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="take every Nth recording (%(default)s)"
    )
    parser.add_argument(
        "--by-caller", action="store_true",
        help="what a known speaker said is one call, and what is learned in it counts; N: speakers",
    )  # fmt: skip
    parser.add_argument("--profile", help="whose stages listen (default: the default one)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the curve")
    parser.add_argument("--kept", type=Path, metavar="FILE", help="keep what the models said")
    parser.add_argument("--fit", action="store_true", help="say what each clue is worth, instead")
    parser.add_argument("--groups", action="store_true", help="print every group, not only all")


def run(options: argparse.Namespace) -> int:
    """Run it and print a table, or JSON.

    Raises:
        NotPossible: there are no recordings where they should be.
    """
    if options.every < 1:
        raise NotPossible("--every must be at least 1.")
    taken = Taken(tuple(options.sets), options.every, options.by_caller)
    entries(options.speech, taken)  # what is wrong there is said before any model is loaded
    profile = load(options.profile or default_id())

    async def measured() -> list[Row]:
        return await measure(profile, options.speech, options.kept, taken)

    async def weighed() -> Worth:
        return await weigh(profile, options.speech, options.kept, taken)

    if options.fit:
        _print_worth(anyio.run(weighed), options.json)
        return 0
    rows = anyio.run(measured)
    if options.svg is not None:
        options.svg.write_text(drawn(_curves(rows), _title(rows)), encoding="utf-8")
    if options.json:
        told = [asdict(row) | {"beyond": _beyond(row, rows)} for row in rows]
        json.dump({"rows": told}, sys.stdout)
        sys.stdout.write("\n")
    else:
        Console().print(_table(rows if options.groups else [r for r in rows if r.group == "all"]))
    return 0


def ways() -> list[Way]:
    """Return fixed timers, the turn detector alone, and ours, all for a turn alone.

    What is learned of being cut into would only cost there: it helps from the next pause on.
    """
    found = [_fixed(timer) for timer in TIMERS_MS]
    found += [_alone(floor, last) for last in GIVES_UP_MS for floor in THRESHOLDS]
    found += [*_presets(OURS, learn=False), *(_set(OURS, *one) for one in BETWEEN_MS)]
    return found + [_set(WIDE, *one) for one in WIDE_MS]


def ways_of_calls() -> list[Way]:
    """Return fixed timers, ours, and the ready ones of ours with what they learn in a call."""
    alone = [way for way in ways() if way.family in (TIMER, OURS)]
    return alone + _presets(LEARNING, learn=True)


def _presets(family: str, *, learn: bool) -> list[Way]:
    return [
        Way(family, name, TurnSettings.model_validate(knobs | {"learn": learn}), patience_ms)
        for name, knobs in PRESETS.items()
    ]


def _fixed(timer: int) -> Way:
    return Way(TIMER, f"{timer} ms", USUAL, lambda settings, evidence: float(timer))


def _alone(floor: float, last: int) -> Way:
    def patience(settings: TurnSettings, evidence: Evidence) -> float:
        return float(ALONE_MS if (evidence.complete or 0.0) >= floor else last)

    return Way(f"detector, {last} ms", f"from {floor}", USUAL, patience)


def _set(family: str, confident_ms: int, doubtful_ms: int) -> Way:
    knobs = {"confident_ms": confident_ms, "doubtful_ms": doubtful_ms, "learn": False}
    name = f"{confident_ms} to {doubtful_ms} ms"
    return Way(family, name, TurnSettings.model_validate(knobs), patience_ms)


async def measure(
    profile: Profile, folder: Path, kept: Path | None, taken: Taken = EVERYTHING
) -> list[Row]:
    """Return what every way does with the recordings of a folder, by group and in all."""
    rows: list[Row] = []
    async with _listening(profile, folder, kept, taken) as (turns, opinions):
        for way in ways_of_calls() if taken.calls else ways():
            rows += _rows(way, await take(turns, opinions, way.settings, way.patience), turns)
    return rows


async def weigh(
    profile: Profile, folder: Path, kept: Path | None, taken: Taken = EVERYTHING
) -> Worth:
    """Return what each clue is worth on the recordings of a folder."""
    async with _listening(profile, folder, kept, taken) as (turns, opinions):
        return fit(await listen(turns, opinions))


@asynccontextmanager
async def _listening(
    profile: Profile, folder: Path, kept: Path | None, taken: Taken
) -> AsyncIterator[tuple[list[Case], Opinions]]:
    """Give the cases of a folder, and what the models say of them; keep that, if asked."""
    async with open_engines(ModelStore()) as engines:
        opinions = Opinions(await engines.stages(profile))
        if kept is not None:
            opinions.load(kept)

        async def sure(samples: Samples) -> npt.NDArray[np.bool_]:
            return await sure_places(opinions.stages, samples)

        yield await cases(folder, sure, taken), opinions
        if kept is not None:
            opinions.save(kept)


def _rows(way: Way, outcomes: Sequence[Outcome], turns: Sequence[Case]) -> list[Row]:
    groups = [*dict.fromkeys(case.group for case in turns), "all"]
    return [
        _row(way, group, [one for one in outcomes if group in (one.group, "all")])
        for group in groups
    ]


def _row(way: Way, group: str, outcomes: Sequence[Outcome]) -> Row:
    waits = [one.wait_ms for one in outcomes if one.wait_ms is not None]
    errors = [one.vad_error_ms for one in outcomes if one.vad_error_ms is not None]
    p50, p95 = percentiles(waits, (50, 95))
    error50, error95 = percentiles(errors, (50, 95))
    cut = sum(one.cut_ins > 0 for one in outcomes)
    heard = sum(one.heard > 0 for one in outcomes)
    return Row(
        family=way.family,
        name=way.name,
        group=group,
        cases=len(outcomes),
        cut_in_percent=round(100 * cut / len(outcomes), 1),
        cut_in_heard_percent=round(100 * heard / len(outcomes), 1),
        p50_ms=p50,
        p95_ms=p95,
        mean_ms=round(float(np.mean(waits)), 1) if waits else float("nan"),
        unanswered=len(outcomes) - len(waits),
        vad_error_p50_ms=error50,
        vad_error_p95_ms=error95,
    )


def beyond(rival: Row, rows: Sequence[Row]) -> Row | None:
    """Return the row of ours that is beyond a rival's, if one is.

    It cuts into no more turns of the same group, is no later in the median, the mean and the 95th
    percentile, and better in one of them. Of several it is the one with the smallest mean.
    """
    better = [
        row
        for row in rows
        if row.family in (OURS, WIDE)
        and row.group == rival.group
        and _measures(row) != _measures(rival)
        and all(mine <= its for mine, its in zip(_measures(row), _measures(rival), strict=True))
    ]
    return min(better, key=lambda row: row.mean_ms, default=None)


def _measures(row: Row) -> tuple[float, ...]:
    return row.cut_in_percent, row.p50_ms, row.mean_ms, row.p95_ms


def _print_worth(worth: Worth, as_json: bool) -> None:
    if as_json:
        json.dump(asdict(worth), sys.stdout)
        sys.stdout.write("\n")
        return
    console = Console(highlight=False)
    ends, inner = worth.pauses
    console.print(f"{ends} ends of turns, {inner} pauses inside them; log-odds that more comes:")
    for name, weight in worth.weights.items():
        console.print(f"  {name:<12}{weight:+.2f}  (ours, in doubt: {getattr(WORTH, name):+.2f})")
    console.print(f"AUC {worth.left_out}, each recording left out of its fit; ours {worth.ours}")


# --- shown ----------------------------------------------------------------------------------


def _curves(rows: Sequence[Row]) -> list[Curve]:
    whole = [row for row in rows if row.group == "all"]
    return [
        Curve(
            family,
            [
                Point(row.name, row.cut_in_percent, row.p50_ms, row.mean_ms, row.p95_ms)
                for row in whole
                if row.family == family
            ],
        )
        for family in dict.fromkeys(row.family for row in whole)
    ]


def _title(rows: Sequence[Row]) -> str:
    count = max(row.cases for row in rows)
    return f"Time to the endpoint against cutting in, {count} turns, {date.today().isoformat()}"


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title="time from the caller's last sound to the endpoint")
    for name in ("way", "group"):
        table.add_column(name)
    for name in ("turns", "cut in %", "heard %", "p50 ms", "p95 ms", "mean ms", "never ended"):
        table.add_column(name, justify="right")
    table.add_column("beyond it")
    for row in rows:
        times = (f"{row.p50_ms:.0f}", f"{row.p95_ms:.0f}", f"{row.mean_ms:.0f}")
        cuts = (f"{row.cut_in_percent:.1f}", f"{row.cut_in_heard_percent:.1f}")
        cells = (f"{row.family} {row.name}", row.group, str(row.cases))
        table.add_row(*cells, *cuts, *times, str(row.unanswered), _beyond(row, rows))
    return table


def _beyond(row: Row, rows: Sequence[Row]) -> str | None:
    """Name the one of ours that is beyond a rival's row; ours have no rivals among themselves."""
    found = None if row.family.startswith(OURS) else beyond(row, rows)
    return None if found is None else f"{found.family} {found.name}"

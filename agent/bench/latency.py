"""What a caller waits for: the agent in its own process, called over real WebRTC, heard by ear.

Recorded speech is spoken to it, one recording a turn, by as many callers at once as asked. Each
turn is measured at the caller (from the last speech sample to the first audible one of the
reply) and split by the agent's own marks. A false endpoint is a recording whose turn the agent
ended before its last speech sample: it was answered in more than one piece, began a reply that
the rest of the recording cut off, or says so by its own mark.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import anyio
import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from agent import caller
from agent.bench.figures import need_calls, percentiles
from agent.bench.load import Load, between, look
from agent.bench.pauses import bounds
from agent.bench.taking import sure_places
from agent.caller import CallResult
from agent.commands import models as models_command
from agent.commands.demo import recordings
from agent.engines import models_of, open_engines
from agent.messages import Playing, ReplyEnd, ToPage
from agent.profile import Profile, default_id, load
from agent.report.figures import ORDER, summarise
from agent.report.tables import stage_table
from agent.serving import own_agent
from agent.timeline import TurnRecord
from stages.models import ModelStore

TURNS = 20
A_CALL = 6
"""Turns of one call, at most: callers come and go, and a small model loses itself in long ones."""
STAGGER_S = 1.3
"""Between the beginnings of calls at once: people do not speak in step."""

_WHICH = (50, 90, 95, 99)
_SPEECH = Path(__file__).resolve().parents[3] / "shared" / "speech" / "dev" / "en_assistant"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured."""

    cpu: str
    cores: int
    load: float  # of one minute, before: what others were doing

    def __str__(self) -> str:
        """Return it as a line for people."""
        return f"{self.cpu}, {self.cores} cores, load before {self.load:.2f}"


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
    heard_ms: tuple[float, ...]
    stages: dict[str, tuple[float, ...]]
    false_endpoints: int
    false_endpoints_heard: int  # a sound of the reply went out before the caller went on
    failures: tuple[str, ...]
    load: Load | None  # how the agent bore it
    answered: tuple[dict[str, Any], ...] = field(repr=False)  # records: what ``stages`` are of
    records: tuple[dict[str, Any], ...] = field(repr=False)  # of every reply, those cut off too

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return {
            "calls": self.calls,
            "turns": self.turns,
            "heard_ms": _figures(self.heard_ms),
            "stages": {name: _figures(values) for name, values in self.stages.items()},
            "false_endpoints": self.false_endpoints,
            "false_endpoints_heard": self.false_endpoints_heard,
            "failures": list(self.failures),
            "load": self.load.to_dict() if self.load else None,
        }


@dataclass(frozen=True, slots=True)
class Spoken:
    """Recordings to speak, and the seconds of the first and the last speech in each.

    What is not in there is found by level.
    """

    files: Sequence[Path]
    speech: Mapping[Path, tuple[float, float]] = field(default_factory=dict)

    def part(self, begin: int, turns: int) -> Spoken:
        """Return so many turns of it from a place on, from the start again after the end."""
        return Spoken(list(islice(cycle(self.files), begin, begin + turns)), self.speech)


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmark's arguments."""
    parser.add_argument(
        "--turns", type=int, default=TURNS, metavar="N", help="of each caller (%(default)s)"
    )
    parser.add_argument("--say", nargs="+", type=Path, metavar="FILE", help="recordings to speak")
    parser.add_argument("--profile", help="who answers (default: the default one)")
    parser.add_argument(
        "--calls", nargs="+", type=int, default=[1], metavar="N", help="callers at once (1)"
    )


def run(options: argparse.Namespace) -> int:
    """Measure, and print; 1 when a turn failed.

    Raises:
        NotPossible: the agent does not start, or a number is no number of calls.
    """
    need_calls(options.calls, options.turns)
    machine = look_around()
    console = Console(stderr=options.json, highlight=False)
    profile = load(options.profile or default_id())
    models_command.bring_missing(ModelStore(), models_of(profile), console)

    async def rounds() -> list[Round]:
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder)
            files = options.say or await recorded(state)
            heard = Spoken(files, await _speech_of(profile, files))
            return await measure(
                profile.id, heard, options.turns, options.calls, state, partial(_tell, console)
            )

    taken = anyio.run(rounds, backend_options={"use_uvloop": True})
    if options.json:
        _print_json(taken, machine)
    else:
        show(console, taken, machine)
    return 1 if any(each.failures for each in taken) else 0


async def recorded(folder: Path) -> list[Path]:
    """Return human requests where they lie beside the project, else what the demo says."""
    found = sorted(_SPEECH.glob("*.flac")) if _SPEECH.is_dir() else []
    return found or await recordings(folder)


async def _speech_of(profile: Profile, files: Sequence[Path]) -> dict[Path, tuple[float, float]]:
    """Find where each recording's speech begins and ends, by the profile's own VAD."""
    async with open_engines(ModelStore()) as engines:
        sure = partial(sure_places, await engines.stages(profile))
        found = {file: await bounds(file, sure) for file in files}
    return {file: speech for file, speech in found.items() if speech is not None}


async def measure(
    profile: str,
    spoken: Spoken,
    turns: int,
    calls: Sequence[int],
    state: Path,
    tell: Callable[[Round], None] = lambda _: None,
) -> list[Round]:
    """Measure a profile with so many callers at once, a round each, after one turn to warm up.

    Args:
        profile: its id.
        spoken: recordings; each caller begins elsewhere in them, and begins anew at their end.
        turns: of each caller.
        calls: callers at once, a round each.
        state: a folder for the turns, so that they do not mix with those of the user.
        tell: given each round once it is over; they take minutes.

    Raises:
        NotPossible: the agent does not start, or refuses a call.
    """
    lines = str(2 * max(calls))  # who calls again may be there before their last call is over
    async with own_agent(profile, ["--max-calls", lines], state) as url:
        await caller.place(url, spoken.files[:1], profile=profile)
        rounds = []
        for count in calls:
            rounds.append(await _round(url, profile, spoken, turns, count))
            tell(rounds[-1])
        return rounds


async def _round(url: str, profile: str, spoken: Spoken, turns: int, count: int) -> Round:
    heard: list[tuple[CallResult, Told]] = []
    before = await look(url)
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            # Each begins elsewhere in the list, so that they do not say the same at once.
            chosen = spoken.part(number * len(spoken.files) // count, turns)
            talking = partial(_caller, url, profile, chosen, heard)
            tasks.start_soon(talking, number * STAGGER_S)
    return sum_up(count, heard, between(before, await look(url)))


async def _caller(
    url: str,
    profile: str,
    spoken: Spoken,
    heard: list[tuple[CallResult, Told]],
    wait: float,
) -> None:
    """Say everything, in calls of ``A_CALL`` turns."""
    await anyio.sleep(wait)
    for begin in range(0, len(spoken.files), A_CALL):
        told = Told()
        say = spoken.files[begin : begin + A_CALL]
        result = await caller.place(
            url, say, profile=profile, on_message=told.take, speech=spoken.speech
        )
        heard.append((result, told))


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
        heard_ms=tuple(turn.heard_ms for turn in turns if turn.heard_ms is not None),
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


def look_around() -> Machine:
    """Return the machine as it is before anything is measured."""
    return Machine(_cpu(), os.cpu_count() or 1, round(psutil.getloadavg()[0], 2))


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


# --- what is shown --------------------------------------------------------------------------


def _figures(values: Sequence[float]) -> dict[str, float | int | None]:
    found = percentiles(values, _WHICH) if values else [None] * len(_WHICH)
    return {f"p{which}": ms for which, ms in zip(_WHICH, found, strict=True)} | {"n": len(values)}


def _print_json(rounds: Sequence[Round], machine: Machine) -> None:
    """Print the first round at the top, as one call is what most ask for, and all of them."""
    shown = rounds[0].to_dict() | {
        "machine": {"cpu": machine.cpu, "cores": machine.cores, "load": machine.load},
        "rounds": [each.to_dict() for each in rounds],
        "records": [record for each in rounds for record in each.records],
    }
    Console(highlight=False, soft_wrap=True).print_json(json.dumps(shown))


def _tell(console: Console, done: Round) -> None:
    heard = f"heard {_cell(done.heard_ms)} ms (p50 / p95) in {len(done.heard_ms)} turns"
    console.print(f"{done.calls} at once: {heard}", style="dim")


def show(console: Console, rounds: Sequence[Round], machine: Machine) -> None:
    """Print the report's table of one call at once, and numbers of calls side by side."""
    for each in rounds:
        if each.calls == 1 or len(rounds) == 1:
            figures = summarise([TurnRecord.from_dict(record) for record in each.answered])
            if figures.total is not None:
                console.print(stage_table(figures))
    if len(rounds) > 1:
        console.print(_side_by_side(rounds))
    for each in rounds:
        _counts(console, each)
    console.print(str(machine), style="dim")
    for each in rounds:
        for failure in each.failures:
            console.print(failure, style="bold red", markup=False)


def _side_by_side(rounds: Sequence[Round]) -> Table:
    title = "Where the wait went, p50 / p95 (ms)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for each in rounds:
        table.add_column(f"{each.calls} {'call' if each.calls == 1 else 'calls'}", justify="right")
    for name in (name for name in ORDER if any(name in each.stages for each in rounds)):
        table.add_row(name, *(_cell(each.stages.get(name, ())) for each in rounds))
    table.add_section()
    table.add_row("heard", *(_cell(each.heard_ms) for each in rounds), style="bold")
    return table


def _counts(console: Console, each: Round) -> None:
    heard = f"{each.calls} at once: {len(each.heard_ms)} of {each.turns} turns heard"
    early = f"{each.false_endpoints} false endpoint{'s' * (each.false_endpoints != 1)}"
    console.print(f"{heard}; {early}, {each.false_endpoints_heard} of them heard.")
    if each.load:
        console.print(f"{each.calls} at once: {each.load}", style="dim")


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "–"
    p50, p95 = percentiles(values, (50, 95))
    return f"{p50:.0f} / {p95:.0f}"

"""What a caller waits for: the agent in its own process, called over real WebRTC, heard by ear.

Recorded speech is spoken to it, one recording a turn, by as many callers at once as asked. Each
turn is measured at the caller (from the last speech sample to the first audible one of the
reply) and split by the agent's own marks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice, pairwise
from pathlib import Path

import anyio
import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from agent import caller
from agent.bench.figures import need_calls, percentiles
from agent.bench.load import between, look
from agent.bench.pauses import bounds
from agent.bench.rounds import Round, Told, figures_of, later_ms, sum_up
from agent.bench.taking import sure_places
from agent.caller import CallResult
from agent.commands import models as models_command
from agent.commands.demo import recordings
from agent.engines import models_of, open_engines
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
        "--turns", type=int, default=TURNS, metavar="N",
        help="of each caller; with fewer callers than the most, as many in all (%(default)s)",
    )  # fmt: skip
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

    What is said is the same in all rounds, shared out among their callers: else it would be the
    sentences that differ, as each has a wait of its own.

    Args:
        profile: its id.
        spoken: recordings; they begin anew at their end.
        turns: of each caller in the round with most of them.
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
            rounds.append(await _round(url, profile, shares(spoken, turns * max(calls), count)))
            tell(rounds[-1])
        return rounds


def shares(spoken: Spoken, turns: int, callers: int) -> list[Spoken]:
    """Return what each of some callers says, one after the other so many turns in all."""
    begins = [number * turns // callers for number in range(callers + 1)]
    return [spoken.part(begin, end - begin) for begin, end in pairwise(begins)]


async def _round(url: str, profile: str, said: Sequence[Spoken]) -> Round:
    heard: list[tuple[CallResult, Told]] = []
    before = await look(url)
    async with anyio.create_task_group() as tasks:
        for number, chosen in enumerate(said):
            talking = partial(_caller, url, profile, chosen, heard)
            tasks.start_soon(talking, number * STAGGER_S)
    return sum_up(len(said), heard, between(before, await look(url)))


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


def _print_json(rounds: Sequence[Round], machine: Machine) -> None:
    """Print the first round at the top, as one call is what most ask for, and all of them."""
    shown = rounds[0].to_dict() | {
        "machine": {"cpu": machine.cpu, "cores": machine.cores, "load": machine.load},
        "rounds": [
            each.to_dict() | {"later_ms": figures_of(later_ms(rounds[0], each))} for each in rounds
        ],
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
        _counts(console, rounds[0], each)
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


def _counts(console: Console, first: Round, each: Round) -> None:
    heard = f"{each.calls} at once: {len(each.heard_ms)} of {each.turns} turns heard"
    early = _counted(each.false_endpoints, "false endpoint")
    console.print(f"{heard}; {early}, {each.false_endpoints_heard} of them heard.")
    if each is not first and (later := later_ms(first, each)):
        than = f"than with {first.calls}, p50 / p95 of {_counted(len(later), 'recording')}"
        console.print(f"{each.calls} at once: the same is heard {_cell(later)} ms later {than}.")
    if each.load:
        console.print(f"{each.calls} at once: {each.load}", style="dim")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "–"
    p50, p95 = percentiles(values, (50, 95))
    return f"{p50:.0f} / {p95:.0f}"

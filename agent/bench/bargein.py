"""``firstword bench bargein``: what ends a reply, what holds it, and how soon.

Recordings of speech, of sounds that people make while they listen, and of noise come in over a
reply. Real speech must silence it at once and end it; all else must let it go on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from rich import box
from rich.console import Console
from rich.table import Table

from agent.bench.echoes import by_level, in_rooms, show_rooms, without_echo
from agent.bench.figures import percentiles
from agent.bench.overtalk import Outcome, Overtalk, Sound, first_speech
from agent.engines import Stages, open_engines
from agent.errors import NotPossible
from agent.profile import default_id, load
from agent.turn_settings import TurnSettings
from agent.webrtc import sound
from stages.audio import samples_in
from stages.events import SAMPLE_RATE
from stages.models import ModelStore

NO_CASE = ("rir", "babble")
"""Kinds of noise that are no case: what is no sound, and other people's speech."""
GUARDED = "speech, guarded"
"""The group of speech over replies that the echo guard knows of, in one call without an echo."""
LONGEST_NOISE = 8 * SAMPLE_RATE
NODS = {
    "mfa_uhuh": ((1.92, 2.14), (2.62, 2.88), (3.23, 3.58)),
    "mfa_laughter": ((3.65, 5.25), (7.68, 8.96)),
}
"""Seconds in recordings at which somebody makes a sound that is none of the sentence's words."""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "--speech", type=Path, required=True, metavar="DIR",
        help="recordings with a manifest.jsonl",
    )  # fmt: skip
    parser.add_argument("--profile", default=default_id(), help="whose stages (%(default)s)")
    parser.add_argument("--all", action="store_true", help="show every sound")
    parser.add_argument("--echo", action="store_true", help="with the guard, and in rooms")


def run(options: argparse.Namespace) -> int:
    """Measure, and print a table or JSON."""
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    sounds = await to_thread.run_sync(read, options.speech)
    profile = load(options.profile)
    async with open_engines(ModelStore()) as engines:
        stages = await engines.stages(profile)
        sounds = [await _placed(stages, one) for one in sounds]
        outcomes = await over(stages, profile.turn.settings, sounds)
        rooms = []
        if options.echo:
            speech = [replace(one, group=GUARDED) for one in sounds if one.group == "speech"]
            outcomes += await without_echo(stages, profile.turn.settings, speech)
            rooms = await in_rooms(stages, profile.turn.settings, options.speech)
    if options.json:
        rows = [asdict(outcome) for outcome in outcomes]
        figures = {"groups": summary(outcomes), "rooms": by_level(rooms), "sounds": rows}
        print(json.dumps(figures))  # noqa: T201
    else:
        console = Console(highlight=False)
        _show(console, outcomes, options.all)
        show_rooms(console, by_level(rooms))
    return 0


async def over(stages: Stages, settings: TurnSettings, sounds: Sequence[Sound]) -> list[Outcome]:
    """Return what each sound does to a reply."""
    return [await Overtalk(stages, settings, one).run() for one in sounds]


async def _placed(stages: Stages, one: Sound) -> Sound:
    """Return the sound with the place of its first speech sample, if it is speech."""
    if one.starts is None:
        return one
    return replace(one, starts=await first_speech(stages, one.samples))


# --- sounds ---------------------------------------------------------------------------------


def read(folder: Path) -> list[Sound]:
    """Return what comes in over replies.

    Raises:
        NotPossible: there are no recordings.
    """
    manifest = folder / "manifest.jsonl"
    if not manifest.is_file():
        raise NotPossible(f"There are no recordings in {folder}: it has no manifest.jsonl.")
    entries = [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]
    return [one for entry in entries for one in _sounds(folder.parent, entry)]


def _sounds(folder: Path, entry: dict[str, Any]) -> Iterator[Sound]:
    name, group = Path(entry["path"]).stem, entry["set"]
    if group == "noise" and entry["kind"] not in NO_CASE:
        kind = "far speech" if entry["kind"].startswith("far") else "noise"
        if entry["kind"] == "vocal non-speech":
            kind = "cough or sniff"
        yield Sound(name, kind, sound.read(folder / entry["path"], SAMPLE_RATE)[:LONGEST_NOISE])
    elif group in ("en_assistant", "en_fillers") and "whisper" not in name:
        samples = sound.read(folder / entry["path"], SAMPLE_RATE)
        yield Sound(name, "speech", samples, 0)
        for number, (begin, end) in enumerate(NODS.get(name, ())):
            piece = samples[samples_in(begin * 1000 - 40) : samples_in(end * 1000 + 40)]
            yield Sound(f"{name}-{number}", "listener", piece)


# --- figures --------------------------------------------------------------------------------


def summary(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Return the figures of each group."""
    groups: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(outcome.group for outcome in outcomes):
        some = [outcome for outcome in outcomes if outcome.group == name]
        held = [one.held_ms for one in some if one.held]
        ended = [one.ended_ms for one in some if one.ended_ms is not None]
        silent = [one.hold_ms if one.hold_ms is not None else one.ended_ms for one in some]
        known = [ms for ms in silent if ms is not None]
        groups[name] = {
            "sounds": len(some),
            "held": len(held),
            "held_ms": dict(zip(("p50", "p95"), percentiles(held, (50, 95)), strict=True)),
            "ended": len(ended),
            "silent_ms": dict(zip(("p50", "p95"), percentiles(known, (50, 95)), strict=True)),
            "ended_ms": dict(zip(("p50", "p95"), percentiles(ended, (50, 95)), strict=True)),
        }
    return groups


def _show(console: Console, outcomes: Sequence[Outcome], every: bool) -> None:
    table = Table(title="Sounds over a reply", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("what")
    heads = ("sounds", "held", "for p50", "p95", "ended", "silent after p50", "p95",
             "ended after p50", "p95")  # fmt: skip
    for head in heads:
        table.add_column(head, justify="right")
    for name, row in summary(outcomes).items():
        pairs = [f"{row[key][part]:.0f}" for key in ("held_ms", "silent_ms", "ended_ms")
                 for part in ("p50", "p95")]  # fmt: skip
        counts = [str(row[key]) for key in ("sounds", "held", "ended")]
        table.add_row(name, *counts[:2], *pairs[:2], counts[2], *pairs[2:])
    console.print(table)
    for one in outcomes:
        wrong = (one.group in ("speech", GUARDED)) == (one.ended_ms is None)
        if every or wrong:
            console.print(f"{one.sound}: {one}")

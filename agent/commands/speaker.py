"""``firstword speaker``: enrol, list and forget voices; measure how they are told apart."""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table

from agent.calibration import Scores, picture
from agent.commands.verbs import verb
from agent.errors import NotPossible
from agent.prints import spoken
from agent.profile import default_id, load
from agent.recordings import recording
from agent.speakers import Clip, SpeakerBook, check_name, print_of
from agent.tools import tool
from stages import registry
from stages.contracts import Speaker
from stages.events import Print
from stages.models import ModelStore

ENGINE = "voicefilter"
"""What is taken where a profile names none: it needs no conversion."""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    enrol = verb(verbs, "enrol", "make a voice known, from recordings of one person")
    enrol.add_argument("name", metavar="NAME", help="the person's")
    enrol.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="recordings; 4 s of speech in all"
    )
    verb(verbs, "list", "show whose voices are known")
    forget = verb(verbs, "forget", "remove a voice, and what is remembered of the person, for good")
    forget.add_argument("name", nargs="?", metavar="NAME", help="whose; or --all")
    forget.add_argument(
        "--all", action="store_true", help="remove every voice and memory, and the key"
    )
    rates = verb(verbs, "calibrate", "measure how often voices are confused, or not recognised")
    rates.add_argument(
        "trials",
        type=Path,
        metavar="TRIALS",
        help='pairs of recordings, one a line: {"a": FILE, "b": FILE, "same": 1}, or "same": 0',
    )
    rates.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw how alike the pairs are, as SVG"
    )
    rates.add_argument("--json", action="store_true", help="print figures for programs")
    for one in (enrol, rates):
        one.add_argument(
            "--profile",
            default=default_id(),
            metavar="ID",
            help="the profile whose speaker stage is taken (default: %(default)s)",
        )
        one.add_argument(
            "--engine",
            metavar="NAME",
            help=f"a speaker stage instead of the profile's; where it has none: {ENGINE}",
        )
    convert = verb(verbs, "convert", "make FunASR's CAM++, which tells voices apart, ready for use")
    convert.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="a folder with the weights, or a name of 'firstword models list' (default:"
        " campplus-zh-cn)",
    )
    convert.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the result (default: the model store)"
    )


def run(options: argparse.Namespace) -> int:
    """Do what was asked.

    Raises:
        UserError: a recording, a store or a network that is not as it must be.
    """
    verbs: dict[str, Callable[[argparse.Namespace, Console], Awaitable[int]]] = {
        "enrol": _enrol,
        "list": _list,
        "forget": _forget,
        "calibrate": _calibrate,
        "convert": _convert,
    }
    return anyio.run(verbs[options.verb], options, Console(soft_wrap=True, highlight=False))


async def _stage(options: argparse.Namespace) -> AbstractAsyncContextManager[Speaker]:
    """Return the stage that a profile or an argument chooses, its models pulled."""
    profile, store = None if options.engine else load(options.profile), ModelStore()
    if profile is None or profile.speakers is None:
        plugin = registry.find("speaker", options.engine or ENGINE)
        chosen: Any = plugin.options()
    else:
        found = profile.chosen("speakers")
        plugin, chosen = found.plugin, found.options
    await store.pull(plugin.models(chosen))
    return plugin.open(chosen, store)


async def _enrol(options: argparse.Namespace, out: Console) -> int:
    check_name(options.name)
    clips = [Clip(file.name, recording(file)) for file in options.files]
    async with await _stage(options) as stage:
        made = await print_of(stage, options.name, clips)
    book = SpeakerBook()
    book.put(made)
    out.print(
        f"{made.name} is known now, by {made.seconds:g} s of speech (kept encrypted in {book.file})"
    )
    return 0


async def _list(options: argparse.Namespace, out: Console) -> int:
    prints = SpeakerBook().read()
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "NETWORK", "CLIPS", "SPEECH", "SINCE"):
        table.add_column(heading, no_wrap=True)
    for one in prints:
        table.add_row(
            one.name, one.model, str(one.clips), f"{one.seconds:g} s", one.enrolled_at[:10]
        )
    out.print(table if prints else "Nobody is known. Begin with: firstword speaker enrol NAME FILE")
    return 0


async def _forget(options: argparse.Namespace, out: Console) -> int:
    if options.all == bool(options.name):
        raise NotPossible("Name who is to be forgotten, or say --all.")
    if options.all:
        SpeakerBook().forget_all()
        out.print("Everybody is forgotten.")
        return 0
    if not SpeakerBook().forget(options.name):
        raise NotPossible(f"Nobody called {options.name!r} is known.")
    out.print(f"{options.name} is forgotten.", markup=False)
    return 0


async def _calibrate(options: argparse.Namespace, out: Console) -> int:
    trials = _trials(options.trials)
    async with await _stage(options) as stage:
        prints: dict[Path, Print] = {}
        for file in {path for trial in trials for path in trial[:2]}:
            prints[file] = await stage.embed(spoken(recording(file)))
        threshold = stage.threshold
    likeness = [(float(prints[a] @ prints[b]), same) for a, b, same in trials]
    scores = Scores(
        tuple(score for score, same in likeness if same),
        tuple(score for score, same in likeness if not same),
    )
    if not scores.same or not scores.other:
        raise NotPossible(f"{options.trials} needs pairs of one voice and pairs of two.")
    _say(scores, threshold, options, out)
    return 0


def _say(scores: Scores, threshold: float, options: argparse.Namespace, out: Console) -> None:
    eer, suggested = scores.meeting()
    if options.json:
        figures = {
            "same": len(scores.same),
            "other": len(scores.other),
            "eer": eer,
            "threshold": suggested,
            "far": scores.far(threshold),
            "frr": scores.frr(threshold),
            "at": threshold,
        }
        out.print_json(json.dumps(figures))
    else:
        out.print(f"{len(scores.same)} pairs of one voice, {len(scores.other)} of two")
        out.print(f"equal error rate {eer:.1%}; suggested threshold {suggested:.3f}")
        for name, at in (("suggested", suggested), ("present", threshold)):
            out.print(
                f"at the {name} threshold {at:.3f}: false accepts (FAR) {scores.far(at):.1%},"
                f" false rejects (FRR) {scores.frr(at):.1%}"
            )
    if options.picture:  # last: the figures are there, whatever becomes of it
        title = f"Likeness of pairs in {options.trials.name}"
        options.picture.write_text(picture(scores, suggested, title), encoding="utf-8")


def _trials(file: Path) -> list[tuple[Path, Path, bool]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise NotPossible(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise NotPossible(f"{file} is not UTF-8 text.") from error
    trials = []
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            a, b, same = str(said["a"]), str(said["b"]), bool(said["same"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise NotPossible(
                f'{file}:{number}: a trial is like {{"a": FILE, "b": FILE, "same": 1}}.'
            ) from error
        trials.append((_beside(file, a), _beside(file, b), same))
    return trials


def _beside(trials: Path, name: str) -> Path:
    """Return a file that trials name: from their own folder, or from one around it."""
    for folder in trials.resolve().parents:
        if (folder / name).is_file():
            return folder / name
    raise NotPossible(f"There is no file {name} beside {trials}, or in a folder around it.")


async def _convert(options: argparse.Namespace, out: Console) -> int:
    arguments = argparse.Namespace(source=options.source or "", out=options.out)
    code: int = await anyio.to_thread.run_sync(tool("campplus").run, arguments)
    return code

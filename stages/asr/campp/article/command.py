"""The command itself: what to measure on, all tables in one run, and where they go."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnxruntime as ort
from rich.console import Console

from stages.asr.campp.article import claims, forge, live, measure, passes, report, rescoring
from stages.asr.campp.article.forge import Models, Tell
from stages.asr.campp.graph import open_graph
from stages.asr.campp.training import config as config_
from stages.asr.campp.training import corpus, manifest, sets, sound
from stages.asr.campp.training.manifest import BadInput, Clip
from stages.errors import UserError

CONFIG, CHECKPOINT, QAT = "en-small.yaml", "en-small.pt", "en-small.onnx"
"""What comes with FirstWord: how the model was trained, its weights, and what is run."""

NONE = "none"
"""Of --second: no second pass."""

WIDE = 300
"""Columns of what is written to a file: no cell is folded."""

PACKAGES = ("matplotlib", "onnx", "pocketsphinx", "scipy", "torch")
"""What the extra brings and the tables need."""


@dataclass(slots=True)
class Results:
    """All tables of one run."""

    date: str
    machine: str
    onnxruntime: str
    audio: str
    ab: list[dict[str, Any]] = field(default_factory=list)
    quantisation_rows: list[dict[str, Any]] = field(default_factory=list)
    chunks: list[dict[str, Any]] = field(default_factory=list)
    rescoring: list[dict[str, Any]] = field(default_factory=list)
    batching: list[dict[str, Any]] = field(default_factory=list)
    language: dict[str, str] = field(default_factory=dict)  # what each size holds

    @property
    def quantisation(self) -> dict[str, float]:
        """The sizes and error rates of the four ways, by name."""
        by_way = {row["way"]: row for row in self.quantisation_rows}
        if not by_way:
            return {}
        found = {f"{way}_wer": row["wer"] for way, row in by_way.items()}
        return {"fp32_mb": by_way["fp32"]["mb"], "int8_mb": by_way["qat"]["mb"], **found}

    def as_dict(self) -> dict[str, Any]:
        """Return everything for programs."""
        more = {"notes": report.notes(self), "claims": claims.as_dict()}
        return {**asdict(self), "quantisation": self.quantisation, **more}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured: all of it is there."""

    checkpoint: Path
    qat: Path
    name: str
    clips: list[Clip]
    trained_on: list[Clip]


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmark's arguments."""
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report with pictures")
    parser.add_argument("--data", type=Path, default=Path("../shared/speech"), help="human speech")
    parser.add_argument("--checkpoint", type=Path, help="other weights than those shipped")
    parser.add_argument("--qat", type=Path, help="their INT8 file, with fine-tuned weights")
    parser.add_argument("--set", default="en_assistant", help="of the dev manifest")
    parser.add_argument("--limit", type=int, default=0, help="utterances at most; 0 is all")
    parser.add_argument(
        "--calibration", type=int, default=120, help="training clips that show a model's ranges"
    )
    parser.add_argument(
        "--second", default="moonshine", metavar="ENGINE", help="second pass, or none (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load of calls")
    parser.add_argument("--calls", type=int, default=512, help="at once, at most")


def run(options: argparse.Namespace) -> int:
    """Measure, show, and write the report.

    Raises:
        UserError: no trained model, no speech, or a package is missing.
    """
    out = Console(highlight=False, soft_wrap=True)
    if not out.is_terminal:
        out = Console(highlight=False, soft_wrap=True, width=WIDE)
    quiet: Tell = lambda line: None if options.json else out.print(f"… {line}", style="dim")  # noqa: E731
    results = measured(options, checked(options), quiet)
    if options.json:
        out.print_json(json.dumps(results.as_dict()))
    else:
        report.show(results, out)
    if options.html:  # last: nothing that was measured is lost if it cannot be written
        report.write(results, options.html)
    return 0


def checked(options: argparse.Namespace) -> Plan:
    """Look for everything that is needed, before an hour of work.

    Raises:
        UserError: something is missing or does not fit; with how to get it.
    """
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UserError(f"This needs a checkout, and there {forge.TRAIN}: no {', '.join(missing)}.")
    if min(options.limit, options.calibration - 1, options.calls - 1) < 0 or options.seconds <= 0:
        raise UserError("--calibration, --calls and --seconds are above 0, --limit is not below.")
    if (options.checkpoint is None) != (options.qat is None):
        raise UserError("--checkpoint and --qat go together: one is the other's INT8 file.")
    checkpoint = options.checkpoint or forge.shipped(CHECKPOINT)
    qat = options.qat or forge.shipped(QAT)
    if options.html:
        writable(options.html)
    if options.second != NONE:
        passes.check(options.second)
    clips = heard_clips(options.data, options.set, options.limit)
    forge.check(checkpoint, qat)
    return Plan(checkpoint, qat, f"dev {options.set}", clips, trained_on(options.data))


def writable(page: Path) -> None:
    """Refuse a page that cannot be written; one that is there stays as it is.

    Raises:
        UserError: with the path, and why.
    """
    folder = page.parent
    if page.is_dir():
        reason = "it is a folder"
    elif not folder.is_dir():
        reason = f"there is no folder {folder}"
    elif not os.access(page if page.exists() else folder, os.W_OK):
        reason = "it may not be written"
    else:
        return
    raise UserError(f"--html: {page} cannot be written: {reason}.")


def measured(options: argparse.Namespace, plan: Plan, tell: Tell) -> Results:
    """Fill every table."""
    minutes = sum(clip.duration for clip in plan.clips) / 60
    count = f"{len(plan.clips)} utterances of human speech, {minutes:.1f} min"
    results = Results(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine(),
        onnxruntime=ort.__version__,
        audio=f"{plan.name}: {count}; one thread",
    )
    with tempfile.TemporaryDirectory(prefix="firstword-article-") as folder:
        models = forge.forge(
            plan.checkpoint, plan.qat, plan.trained_on, options.calibration, Path(folder), tell
        )
        tell("the clips, by every model in turn")
        heard = measure.hear(models, plan.name, plan.clips)
        results.language = forge.sizes(models.language)
        results.ab = measure.before_and_after(heard)
        results.quantisation_rows = measure.quantisation(heard)
        results.chunks = measure.chunks(heard)
        tell("rescoring")
        results.rescoring = rescored(options.second, models, heard)
        tell("calls in real time")
        results.batching = loads(options, models, plan)
    return results


def rescored(second: str, models: Models, heard: measure.Measured) -> list[dict[str, Any]]:
    """Fill the table of rescoring, from what the model that runs has heard already."""
    graph = open_graph(models.qat)
    points = rescoring.points(graph, models.language, heard.heard[models.qat, 1].log_probs)
    if second != NONE:
        points.append(rescoring.second_pass(second, heard.clips))
    return rescoring.rows(points, heard.name, heard.clips)


def loads(options: argparse.Namespace, models: Models, plan: Plan) -> list[dict[str, Any]]:
    """Fill the table of calls in real time."""
    sounds = [sound.load(clip.file) for clip in plan.clips]
    decoders = measure.decoders(models.words)
    grown = live.grow(models.qat, sounds, decoders, options.seconds, options.calls)
    return [
        {
            **asdict(load),
            "measured_on": f"{plan.name}, {len(sounds)} utterances said again and again;"
            f" {load.packets} packets of {load.calls} calls in real time: {live.WHAT[load.part]}",
        }
        for load in grown
    ]


def heard_clips(data: Path, name: str, limit: int) -> list[Clip]:
    """Return the dev clips to measure on.

    Raises:
        BadInput: they are not there.
    """
    groups = sets.of_manifests([data / "dev" / "manifest.jsonl"], (name,))
    clips = groups[name][:limit] if limit else groups[name]
    if missing := [str(clip.file) for clip in clips if not clip.file.is_file()]:
        raise BadInput("the speech", [f"{one} is not there" for one in missing])
    return clips


def trained_on(data: Path) -> list[Clip]:
    """Return the human clips that the shipped model was trained on, without those held back.

    Raises:
        BadInput: they are not there.
    """
    config = config_.read(forge.shipped(CONFIG))
    human = [source for source in config.sources if "{work}" not in source.manifest]
    if not human:
        raise UserError(f"{CONFIG} names no human speech.")
    found = corpus.clips_of(
        config.model_copy(update={"sources": tuple(human)}), data, Path("training")
    )
    return [
        clip
        for source, clips in found
        for clip in clips
        if not manifest.held_back(clip, source.hold_by, source.hold_share)
    ]


def machine() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()

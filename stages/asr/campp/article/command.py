"""The command itself: what to measure on, all tables in one run, and where they go."""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnxruntime as ort
from rich.console import Console

from stages.asr.campp.article import forge, live, measure, report
from stages.asr.campp.article.forge import Tell
from stages.asr.campp.training import config as config_
from stages.asr.campp.training import corpus, manifest, sets
from stages.asr.campp.training.manifest import Clip
from stages.errors import UserError

CONFIG, CHECKPOINT, QAT = "en-small.yaml", "en-small.pt", "en-small.onnx"
"""What comes with FirstWord: how the model was trained, its weights, and what is run."""


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

    @property
    def quantisation(self) -> dict[str, float]:
        """The sizes and error rates of the four ways, by name."""
        by_way = {row["way"]: row for row in self.quantisation_rows}
        found = {f"{way}_wer": row["wer"] for way, row in by_way.items()}
        sizes = {"fp32_mb": by_way["fp32"]["mb"], "int8_mb": by_way["qat"]["mb"]}
        return {**sizes, **found} if by_way else {}

    def as_dict(self) -> dict[str, Any]:
        """Return everything for programs."""
        return {**asdict(self), "quantisation": self.quantisation}


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmark's arguments."""
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report with pictures")
    parser.add_argument("--data", type=Path, default=Path("../shared/speech"), help="human speech")
    parser.add_argument("--checkpoint", type=Path, help="other weights than those shipped")
    parser.add_argument("--qat", type=Path, help="their INT8 file, with fine-tuned weights")
    parser.add_argument("--set", default="en_assistant", help="of the dev manifest")
    parser.add_argument("--limit", type=int, default=0, help="utterances at most; 0 is all")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load of calls")
    parser.add_argument("--calls", type=int, default=512, help="at once, at most")


def run(options: argparse.Namespace) -> int:
    """Measure, show, and write the report.

    Raises:
        UserError: no trained model, no speech, or a package is missing.
    """
    out = Console(highlight=False, soft_wrap=True)
    quiet: Tell = lambda line: None if options.json else out.print(f"… {line}", style="dim")  # noqa: E731
    results = measured(options, quiet)
    if options.html:
        report.write(results, options.html)
    if options.json:
        out.print_json(json.dumps(results.as_dict()))
    else:
        report.show(results, out)
    return 0


def measured(options: argparse.Namespace, tell: Tell) -> Results:
    """Fill every table."""
    checkpoint = options.checkpoint or forge.shipped(CHECKPOINT)
    qat = options.qat or forge.shipped(QAT)
    clips = heard_clips(options.data, options.set, options.limit)
    name = f"dev {options.set}"
    minutes = sum(clip.duration for clip in clips) / 60
    results = Results(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine(),
        onnxruntime=ort.__version__,
        audio=f"{name}: {len(clips)} utterances of human speech, {minutes:.1f} min; one thread",
    )
    with tempfile.TemporaryDirectory(prefix="firstword-article-") as folder:
        models = forge.forge(checkpoint, qat, trained_on(options.data), Path(folder), tell)
        tell("before and after")
        results.ab = measure.before_and_after(models, name, clips)
        tell("quantisation")
        results.quantisation_rows = measure.quantisation(models, name, clips)
        tell("chunk sizes")
        results.chunks = measure.chunks(models, name, clips)
        tell("rescoring")
        results.rescoring = [
            {
                "how": point.name,
                "weight": point.weight,
                "added_ms": point.added_ms,
                "added_p95_ms": point.added_p95_ms,
                **point.outcome.as_dict(),
            }
            for point in measure.rescoring(models, name, clips)
        ]
        tell("calls in real time")
        loads = live.grow(models.qat, options.seconds, options.calls)
        results.batching = [asdict(load) for load in loads]
    return results


def heard_clips(data: Path, name: str, limit: int) -> list[Clip]:
    """Return the dev clips to measure on.

    Raises:
        BadInput: they are not there.
    """
    groups = sets.of_manifests([data / "dev" / "manifest.jsonl"], (name,))
    return groups[name][:limit] if limit else groups[name]


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

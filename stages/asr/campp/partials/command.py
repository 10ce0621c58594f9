"""The command itself: both recognisers hear the same recordings, and one table compares them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import anyio
import numpy as np
import onnxruntime as ort
from rich.console import Console
from rich.table import Table

from stages import registry
from stages.asr.campp.article.command import machine
from stages.asr.campp.article.passes import spelled_out
from stages.asr.campp.partials import measure
from stages.asr.campp.partials.measure import Pair, Rate, Words
from stages.asr.campp.partials.play import Played, play
from stages.asr.campp.training import sets, sound
from stages.asr.campp.training.manifest import Clip
from stages.contracts import Asr, Sink, Source
from stages.errors import StageError, UserError
from stages.events import SAMPLE_RATE, AsrInput, Hearing, Pause, Samples, Transcript
from stages.models import ModelStore
from stages.threads import watched

OURS = "campp"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """One utterance, as one recogniser heard it."""

    shown: tuple[Words, ...]  # of every partial
    stable: tuple[Words, ...]  # what each has promised
    final: Words
    delays_ms: tuple[float, ...]  # of words whose places are known
    first_ms: float | None  # of audio before the first partial
    work_ms: tuple[float, ...]  # of every partial
    seconds: float
    cpu: float


def run(options: argparse.Namespace) -> int:
    """Measure, and show it.

    Raises:
        UserError: no such recordings, recogniser, setting or model; or one that failed.
    """
    out = Console(highlight=False, soft_wrap=True)
    tell: Tell = lambda line: None if options.json else out.print(f"… {line}", style="dim")  # noqa: E731
    if options.beside == OURS:
        raise UserError("--beside: it takes two different recognisers to compare.")
    names = tuple(name for name in options.sets.split(",") if name)
    groups = sets.of_manifests([options.manifest], names)
    clips = [clip for group in groups.values() for clip in group]
    clips = clips[: options.limit] if options.limit else clips
    results = measured(clips, {OURS: {"model": options.model}, options.beside: {}}, tell)
    results["audio"] = f"{', '.join(groups)}: {results['audio']}"
    if options.json:
        out.print_json(json.dumps(results))
    else:
        show(results, out)
    return 0


def measured(
    clips: Sequence[Clip], recognisers: Mapping[str, Mapping[str, Any]], tell: Tell
) -> dict[str, Any]:
    """Let two recognisers hear clips; the finals of the second are what both are measured against.

    Args:
        clips: at least one.
        recognisers: names and settings of two.
        tell: told what is being done.

    Raises:
        UserError: a recogniser cannot be used, or failed.
    """
    sounds = [sound.load(clip.file) for clip in clips]
    heard: dict[str, list[Heard]] = {}
    for name, settings in recognisers.items():
        tell(f"{name} hears {len(clips)} utterances")
        heard[name] = anyio.run(_hear, name, settings, sounds)
    ours, yardstick = recognisers
    said = [one.final for one in heard[yardstick]]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "onnxruntime": ort.__version__,
        "audio": f"{len(clips)} utterances, {sum(map(len, sounds)) / SAMPLE_RATE / 60:.1f} min",
        "finals": yardstick,
        "playing_cpu": round(anyio.run(_playing, sounds[0]), 5),
        "recognisers": [figures(name, one, said) for name, one in heard.items()],
        "gaps": gaps(heard[ours], heard[yardstick], said),
    }


async def _hear(
    name: str, settings: Mapping[str, Any], sounds: Sequence[Samples]
) -> list[Heard]:
    plugin = registry.find("asr", name)
    try:
        options = plugin.options.model_validate(dict(settings))
    except ValueError as error:  # pydantic's
        raise UserError(f"The recogniser {name} cannot be used like this: {error}") from error
    found = []
    with watched() as watch:
        async with plugin.open(options, ModelStore()) as asr:
            for samples in sounds:
                try:
                    found.append(heard(await play(asr, samples, watch)))
                except (StageError, TimeoutError) as error:
                    why = str(error) or "its final did not come"
                    raise UserError(f"The recogniser {name} failed: {why}.") from error
    return found


class Deaf:
    """A recogniser that hears nothing: what playing itself costs."""

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        """Send an empty final for every pause."""
        async with sink:
            async for event in source:
                if isinstance(event, Pause):
                    await sink.send(Transcript(event.utterance, "", event.at, final=True))


async def _playing(samples: Samples) -> float:
    deaf: Asr = Deaf()
    with watched() as watch:
        played = await play(deaf, samples, watch)
    return played.cpu / played.seconds


def heard(played: Played) -> Heard:
    """Write down what was played as words to compare."""
    transcripts = [one.transcript for one in played.partials]
    placed = [(one.given, one.transcript.words) for one in played.partials]
    known = any(one.words for one in transcripts)
    return Heard(
        shown=tuple(_words(one.text) for one in transcripts),
        stable=tuple(_words(one.text[: one.stable]) for one in transcripts),
        final=_words(played.final),
        delays_ms=tuple(_ms(late) for late in measure.delays(placed)) if known else (),
        first_ms=_ms(played.partials[0].given) if played.partials else None,
        work_ms=tuple(one.work_ms for one in played.partials),
        seconds=played.seconds,
        cpu=played.cpu,
    )


def _words(text: str) -> Words:
    return tuple(spelled_out(text).split())


def _ms(samples: int) -> float:
    return samples * 1000 / SAMPLE_RATE


# --- figures --------------------------------------------------------------------------------


def figures(name: str, heard: Sequence[Heard], said: Sequence[Words]) -> dict[str, Any]:
    """Return everything about one recogniser; rates are shares of 1."""
    late = [ms for one in heard for ms in one.delays_ms]
    work = [ms for one in heard for ms in one.work_ms]
    first = [one.first_ms for one in heard if one.first_ms is not None]
    delay = measure.rate([(sum(one.delays_ms), len(one.delays_ms)) for one in heard])
    return {
        "name": name,
        "partials": sum(len(one.shown) for one in heard),
        "without_partials": sum(not one.shown for one in heard),
        "shown": _compared([one.shown for one in heard], said),
        "stable": _compared([one.stable for one in heard], said),
        "final": _told(measure.rate(_finals(heard, said))),
        "delay_ms": {**_told(delay), **_percentiles(late)} if late else None,
        "first_ms": _percentiles(first),
        "work_ms": _percentiles(work),
        "cpu": _told(measure.rate(_cpu(heard))),
    }


def gaps(
    ours: Sequence[Heard], theirs: Sequence[Heard], said: Sequence[Words]
) -> dict[str, dict[str, float | None]]:
    """Return ours minus theirs, each with its 95 % interval: below 0, ours is better."""
    pairs: dict[str, Callable[[Sequence[Heard]], list[Pair]]] = {
        "partials": lambda all_: _partials([one.shown for one in all_], said),
        "last": lambda all_: _last([one.shown for one in all_], said),
        "stable_last": lambda all_: _last([one.stable for one in all_], said),
        "changed": lambda all_: [measure.changes(one.shown) for one in all_],
        "cpu": _cpu,
    }
    found = {}
    for name, of in pairs.items():
        value, low, high = measure.gap(of(ours), of(theirs))
        found[name] = {"value": _number(value), "low": _number(low), "high": _number(high)}
    return found


def _compared(texts: Sequence[tuple[Words, ...]], said: Sequence[Words]) -> dict[str, Any]:
    return {
        "partials": _told(measure.rate(_partials(texts, said))),
        "last": _told(measure.rate(_last(texts, said))),
        "changed": _told(measure.rate([measure.changes(one) for one in texts])),
    }


def _partials(texts: Sequence[tuple[Words, ...]], said: Sequence[Words]) -> list[Pair]:
    return [measure.differing(one, words) for one, words in zip(texts, said, strict=True)]


def _last(texts: Sequence[tuple[Words, ...]], said: Sequence[Words]) -> list[Pair]:
    return [
        (float(measure.to_whole(one[-1] if one else (), words)), float(len(words)))
        for one, words in zip(texts, said, strict=True)
    ]


def _finals(heard: Sequence[Heard], said: Sequence[Words]) -> list[Pair]:
    return _last([(one.final,) for one in heard], said)


def _cpu(heard: Sequence[Heard]) -> list[Pair]:
    return [(one.cpu, one.seconds) for one in heard]


def _told(rate: Rate) -> dict[str, float | None]:
    return {
        "value": _number(rate.value),
        "low": _number(rate.low),
        "high": _number(rate.high),
        "of": round(rate.bottom, 2),
    }


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    middle, high = np.percentile(values, (50, 95)) if len(values) else (np.nan, np.nan)
    return {"p50": _number(float(middle), 1), "p95": _number(float(high), 1)}


def _number(value: float, digits: int = 4) -> float | None:
    """JSON knows no NaN."""
    return round(value, digits) if np.isfinite(value) else None


# --- shown ----------------------------------------------------------------------------------

Told: TypeAlias = Mapping[str, float | None]


def show(results: Mapping[str, Any], out: Console) -> None:
    """Print the table, and what it was measured on."""
    final = results["finals"]
    table = Table(
        title=f"Partials against the finals of {final} (95 % intervals)",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column()
    for row in results["recognisers"]:
        table.add_column(row["name"], no_wrap=True)
    for label, cell in ROWS.items():
        table.add_row(label, *(cell(row) for row in results["recognisers"]))
    out.print(table)
    for line in notes(results):
        out.print(f"- {line}")


def notes(results: Mapping[str, Any]) -> list[str]:
    """Say what was measured, on what, and how far to trust it."""
    final = results["finals"]
    found = [
        f"Measured {results['date']} on {results['machine']}, onnxruntime"
        f" {results['onnxruntime']}; {results['audio']}. Intervals: bootstrap over utterances.",
        "Differ: words of all partials to change, put in or leave out, each partial against the"
        f" nearest beginning of {final}'s final, out of all words shown. Last: the last partial"
        " against the whole final, out of its words. Changed: words replaced or taken back later.",
        "CPU: seconds of the process a second of audio, finals left out;"
        f" {results['playing_cpu']:.4f} of it is the playing.",
        "Times: p50 / p95. Delay: audio from a word's end, where the recogniser says where that"
        " is, until the word had come to stay. First partial: audio before it. Made in: work.",
    ]
    ours, theirs = (row["name"] for row in results["recognisers"])
    apart = ", ".join(f"{name} {_gap(one)}" for name, one in results["gaps"].items())
    return [*found, f"{ours} minus {theirs}, below 0 is better: {apart}."]


def _share(told: Told) -> str:
    if told["value"] is None:
        return "–"
    value, low, high = (100 * (told[name] or 0.0) for name in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"


def _core(told: Told) -> str:
    value, low, high = (told[name] or 0.0 for name in ("value", "low", "high"))
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _gap(told: Told) -> str:
    value, low, high = (told[name] or 0.0 for name in ("value", "low", "high"))
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def _at(told: Told | None) -> str:
    return f"{told['p50']:.0f} / {told['p95']:.0f}" if told and told["p50"] is not None else "–"


ROWS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "partials": lambda row: str(row["partials"]),
    "utterances without": lambda row: str(row["without_partials"]),
    "shown: differ": lambda row: _share(row["shown"]["partials"]),
    "shown: last, whole": lambda row: _share(row["shown"]["last"]),
    "shown: changed later": lambda row: _share(row["shown"]["changed"]),
    "stable: differ": lambda row: _share(row["stable"]["partials"]),
    "stable: last, whole": lambda row: _share(row["stable"]["last"]),
    "stable: changed later": lambda row: _share(row["stable"]["changed"]),
    "its own final": lambda row: _share(row["final"]),
    "CPU, cores a call": lambda row: _core(row["cpu"]),
    "a word's delay, ms": lambda row: _at(row["delay_ms"]),
    "first partial, ms": lambda row: _at(row["first_ms"]),
    "made in, ms": lambda row: _at(row["work_ms"]),
}
"""Label to what is shown of a recogniser's figures; times are p50 / p95."""

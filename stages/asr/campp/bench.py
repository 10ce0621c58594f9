"""``firstword bench asr``: how many calls a core hears, ours and sherpa-onnx with equal weights."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from rich.console import Console
from rich.table import Table

from stages.asr.campp.features import Fbank, Windows
from stages.asr.campp.graph import open_graph
from stages.asr.campp.states import States
from stages.asr.campp.steps import Row, Steps
from stages.errors import UserError
from stages.events import SAMPLE_RATE, Samples

PEER_STREAMS = 16

QUICK_S = 1.0
"""Seconds of work for a figure with ``--quick``."""

ROUNDS = 5
"""In each of them everybody has a turn."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One engine, one model, one batch size, so many threads; times in milliseconds."""

    engine: str
    model: str
    weights: str
    strides: str
    threads: int
    batch: int
    rtf: float  # seconds of work a second of sound of one stream
    streams_per_core: float  # heard in real time
    step_best: float  # tenth percentile: what the rates are made of
    step_p50: float
    step_p95: float
    bytes_a_call: int
    megabytes: float  # of the model file


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmark's arguments."""
    parser.add_argument("--sizes", default="small,base", help="of small, base, tiny")
    parser.add_argument("--threads", default="1,2", help="numbers of threads")
    parser.add_argument("--batches", default="1,4,16", help="batch sizes")
    parser.add_argument("--seconds", type=float, default=3.0, help="of work for a figure, about")
    parser.add_argument(
        "--quick", action="store_true", help="base in INT8 at strides 1,1,1 on one thread, briefly"
    )
    parser.add_argument("--no-peer", action="store_true", help="without sherpa-onnx")
    parser.add_argument(
        "--model", type=Path, action="append", default=[], help="a file instead of new models"
    )


def run(options: argparse.Namespace) -> int:
    """Measure, and show it.

    Raises:
        UserError: the models cannot be made.
    """
    if options.quick:
        options.sizes, options.threads, options.batches = "base", "1", "1,16"
        options.seconds = min(options.seconds, QUICK_S)
    rows: list[Figures] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="firstword-bench-") as folder:
        for files in _models(options, Path(folder), notes):
            for threads in _numbers(options.threads):
                rows += measured(_contestants(files, threads, options), options.seconds)
    if not options.json:
        _show(rows, notes)
        return 0
    report = {
        "machine": platform.processor() or platform.machine(),
        "onnxruntime": ort.__version__,
        "ratio_vs_sherpa": ratio_vs_sherpa(rows),  # the least flattering one
        "ratios_best_of_both": [asdict(one) for one in best_of_both(rows)],
        "ratios_at_equal_streams": [asdict(one) for one in at_equal_streams(rows)],
        "rows": [asdict(row) for row in rows],
        "notes": notes,
    }
    Console(highlight=False, soft_wrap=True).print_json(json.dumps(report))
    return 0


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times sherpa-onnx's streams a core ours hears, with equal weights."""

    model: str
    weights: str
    threads: int  # of both
    batch: int  # our streams at once
    peer_batch: int  # sherpa-onnx's
    ratio: float


def at_equal_streams(rows: list[Figures]) -> list[Ratio]:
    """Return the ratios at the most streams at once that both were measured with."""
    ratios = []
    for ours, peers in _pairs(rows):
        shared = {row.batch for row in ours} & {row.batch for row in peers}
        if shared:
            streams = max(shared)
            ratios.append(
                _ratio(
                    next(row for row in ours if row.batch == streams),
                    next(row for row in peers if row.batch == streams),
                )
            )
    return ratios


def best_of_both(rows: list[Figures]) -> list[Ratio]:
    """Return the ratios of the best that each can do, at whatever streams at once that is."""
    return [_ratio(_best(ours), _best(peers)) for ours, peers in _pairs(rows)]


def ratio_vs_sherpa(rows: list[Figures]) -> float | None:
    """Return the one figure: INT8 of ``base``, best against best, the least of all threads."""
    wanted = [
        one.ratio for one in best_of_both(rows) if (one.model, one.weights) == ("base", "int8")
    ]
    return min(wanted, default=None)


def _pairs(rows: list[Figures]) -> Iterator[tuple[list[Figures], list[Figures]]]:
    """Yield ours and sherpa-onnx's rows of the same weights (strides 1,1,1) and threads."""
    groups: dict[tuple[str, str, int], tuple[list[Figures], list[Figures]]] = {}
    for row in rows:
        if row.strides == "1,1,1":
            group = groups.setdefault((row.model, row.weights, row.threads), ([], []))
            group[row.engine != "firstword"].append(row)
    return (group for group in groups.values() if all(group))


def _best(rows: list[Figures]) -> Figures:
    return max(rows, key=lambda row: row.streams_per_core)


def _ratio(ours: Figures, peer: Figures) -> Ratio:
    times = round(ours.streams_per_core / peer.streams_per_core, 3)
    return Ratio(ours.model, ours.weights, ours.threads, ours.batch, peer.batch, times)


@dataclass(slots=True)
class Contestant:
    """Something whose steps are timed; ``step`` steps ``batch`` streams by one packet."""

    what: dict[str, Any]  # the fields of Figures that are known before
    batch: int
    packet: float  # seconds of sound in a packet
    step: Callable[[], object]
    times: list[float] = field(default_factory=list)  # milliseconds


def measured(contestants: list[Contestant], seconds: float) -> list[Figures]:
    """Time everybody in turn, round after round, so that all meet the same disturbances."""
    for one in contestants:
        one.step()
        one.step()
    for _ in range(ROUNDS):
        for one in contestants:
            began = time.perf_counter()
            while True:
                start = time.perf_counter()
                one.step()
                end = time.perf_counter()
                one.times.append((end - start) * 1000)
                if end - began > seconds / ROUNDS:
                    break
    return [_figures(one) for one in contestants]


def _figures(one: Contestant) -> Figures:
    """A shared machine disturbs most steps; what a core can do is in the least disturbed ones."""
    best, middle, high = (float(value) for value in np.percentile(one.times, (10, 50, 95)))
    streams = one.batch * one.packet * 1000 / best
    return Figures(
        **one.what,
        batch=one.batch,
        rtf=round(1 / streams, 5),
        streams_per_core=round(streams / one.what["threads"], 2),
        step_best=round(best, 3),
        step_p50=round(middle, 3),
        step_p95=round(high, 3),
    )


@dataclass(frozen=True, slots=True)
class _Files:
    """Models that are measured together."""

    ours: list[Path]
    peers: dict[str, Path]  # kind of weights to file
    size: str = ""


def _models(options: argparse.Namespace, folder: Path, notes: list[str]) -> Iterator[_Files]:
    if options.model:
        yield _Files(options.model, {})
        return
    peers = not options.no_peer and _has_sherpa(notes)
    for size in options.sizes.split(","):
        made = _make(size, folder, options.quick)
        yield made if peers else _Files(made.ours, {})


def _has_sherpa(notes: list[str]) -> bool:
    try:
        importlib.import_module("sherpa_onnx")
    except ImportError:
        notes.append("sherpa-onnx is not installed (pip install sherpa-onnx): nothing beside ours")
        return False
    notes.append("sherpa-onnx decodes WeNet-type models one stream after another, never batched")
    notes.append("steps of both go from sound to tokens: Fbank, network, caches, greedy decoding")
    return True


def _make(size: str, folder: Path, quick: bool) -> _Files:
    """Make a size in both strides and both kinds of weights; for the peer the same weights.

    ``quick`` is strides 1,1,1 in INT8 only.
    """
    try:
        torch: Any = importlib.import_module("torch")
        sizes, export, peer, quantise = (
            importlib.import_module(f"stages.asr.campp.training.{name}")
            for name in ("sizes", "export", "peer", "quantise")
        )
    except ImportError as error:
        raise UserError(f"New models need pip install 'firstword[train]' ({error}).") from error
    if size not in sizes.SIZES:
        raise UserError(f"--sizes: there is no {size!r}; there are {', '.join(sizes.SIZES)}.")
    files, peers, tokens = [], {}, sizes.alphabet(5538)
    for strides in ((1, 1, 1),) if quick else ((1, 1, 1), (1, 2, 2)):
        torch.manual_seed(0)
        front = {"front": peer.FRONT} if strides == (1, 1, 1) else {}
        network = sizes.network(size, tokens, strides=strides, **front)
        name = f"{size}-{''.join(str(stride) for stride in strides)}"
        full, small = folder / f"{name}.onnx", folder / f"{name}-int8.onnx"
        export.export(network, tokens, full)
        quantise.quantise(full, small)
        files += [small] if quick else [full, small]
        if strides == (1, 1, 1):
            peers["float32"] = peer.export(network, tokens, folder / f"{name}-peer")
            peers["int8"] = folder / f"{name}-peer" / "int8.onnx"
            quantise.products(peers["float32"], peers["int8"])
    if quick:
        del peers["float32"]
    return _Files(files, peers, size)


def _contestants(files: _Files, threads: int, options: argparse.Namespace) -> list[Contestant]:
    found = [
        _ours(file, threads, batch) for file in files.ours for batch in _numbers(options.batches)
    ]
    for weights, file in files.peers.items():
        what = {
            "engine": "sherpa-onnx",
            "model": files.size,
            "weights": weights,
            "strides": "1,1,1",
            "threads": threads,
            "bytes_a_call": 0,
            "megabytes": file.stat().st_size / 1e6,
        }
        found += [
            Contestant(what, streams, 0.32, _peer(file, threads, streams))
            for streams in (1, PEER_STREAMS)
        ]
    return found


def _ours(file: Path, threads: int, batch: int) -> Contestant:
    graph = open_graph(file, threads=threads)
    geometry, states = graph.geometry, States(graph.geometry, batch)
    steps = Steps(graph, states, batch)
    fbank = Fbank(geometry.front)
    callers = [Windows(geometry, fbank) for _ in range(batch)]
    packets = [_sound(geometry.packet / SAMPLE_RATE, number) for number in range(batch)]
    for caller, packet in zip(callers, packets, strict=True):
        caller.hear(packet)  # a front end that looks ahead is a packet behind

    def step() -> None:
        heard = [one.hear(packet)[0] for one, packet in zip(callers, packets, strict=True)]
        for log_probs in steps.run([Row(slot, window) for slot, window in enumerate(heard)]):
            assert isinstance(log_probs, np.ndarray)
            log_probs.argmax(axis=1)

    what = {
        "engine": "firstword",
        "model": geometry.name,
        "weights": geometry.weights,
        "strides": ",".join(str(stride) for stride in geometry.strides),
        "threads": threads,
        "bytes_a_call": states.bytes_a_slot,
        "megabytes": file.stat().st_size / 1e6,
    }
    return Contestant(what, batch, geometry.packet / SAMPLE_RATE, step)


def _peer(file: Path, threads: int, count: int) -> Callable[[], object]:
    """Return what lets sherpa-onnx hear one packet of so many streams, as its servers do."""
    sherpa: Any = importlib.import_module("sherpa_onnx")
    recogniser = sherpa.OnlineRecognizer.from_wenet_ctc(
        model=str(file),
        tokens=str(file.parent / "tokens.txt"),
        chunk_size=16,
        num_left_chunks=4,
        num_threads=threads,
    )
    streams = [recogniser.create_stream() for _ in range(count)]
    packets = [_sound(0.32, number) for number in range(count)]
    for stream, packet in zip(streams, packets, strict=True):
        stream.accept_waveform(SAMPLE_RATE, packet)

    def step() -> None:
        for stream, packet in zip(streams, packets, strict=True):
            stream.accept_waveform(SAMPLE_RATE, packet)
        recogniser.decode_streams(streams)

    return step


def _sound(seconds: float, seed: int = 0) -> Samples:
    random = np.random.default_rng(seed)
    return (random.standard_normal(round(seconds * SAMPLE_RATE)) * 0.1).astype(np.float32)


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise UserError(f"{text!r} is no list of numbers like 1,4,16.")
    return numbers


def _show(rows: list[Figures], notes: list[str]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("ENGINE", "MODEL", "WEIGHTS", "STRIDES"):
        table.add_column(heading, no_wrap=True)
    figures = ("THREADS", "BATCH", "RTF", "STREAMS/CORE", "BEST", "P50", "P95 MS", "MB/CALL", "MB")
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.engine, row.model, row.weights, row.strides, str(row.threads), str(row.batch),
            f"{row.rtf:.4f}", f"{row.streams_per_core:.1f}", f"{row.step_best:.1f}",
            f"{row.step_p50:.1f}", f"{row.step_p95:.1f}",
            f"{row.bytes_a_call / 1e6:.2f}" if row.bytes_a_call else "",
            f"{row.megabytes:.1f}",
        )
    out = Console(highlight=False)
    out.print(table)
    for what, ratios in (
        ("best against best", best_of_both(rows)),
        ("at equal streams", at_equal_streams(rows)),
    ):
        for one in ratios:
            out.print(
                f"{one.ratio:.2f} x sherpa-onnx's streams a core, {what}: {one.model}"
                f" {one.weights}, threads {one.threads}, ours {one.batch} at once,"
                f" sherpa-onnx {one.peer_batch}"
            )
    for note in notes:
        out.print(f"- {note}")

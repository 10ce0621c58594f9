"""The tables in a terminal and in a page with pictures: the article's claim beside our figure."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from stages.asr.campp.article import claims

if TYPE_CHECKING:
    from stages.asr.campp.article.command import Results

Rows = list[list[str]]


def tables(results: Results) -> dict[str, tuple[list[str], Rows]]:
    """Return every table: title to headings and cells."""
    return {
        "Before and after": (
            ["", "Article", "Ours", "WER, 95 % interval", "Process MB", "Batch"],
            _before_and_after(results.ab),
        ),
        "Quantisation": (
            ["Weights", "Article", "MB", "of FP32", "RTF", "Step ms", "WER, 95 % interval"],
            _quantisation(results.quantisation_rows),
        ),
        "Chunk size": (
            ["Frames", "Article", "Mean delay", "Largest", "RTF", "Repeats", "WER, 95 % interval"],
            _chunks(results.chunks),
        ),
        f"Rescoring at the endpoint (article: {claims.RESCORING})": (
            ["How", "Weight", "Added ms", "p95", "WER, 95 % interval"],
            [
                [
                    row["how"],
                    f"{row['weight']:g}",
                    f"{row['added_ms']:.2f}",
                    f"{row['added_p95_ms']:.2f}",
                    _rate(row),
                ]
                for row in results.rescoring
            ],
        ),
        f"Batching (article: {claims.BATCHING})": (
            ["Wait ms", "Calls", "Answer p50", "p95", "Step p95", "Batch", "Cores", "In time"],
            [
                [
                    str(row["max_wait_ms"]),
                    str(row["calls"]),
                    f"{row['answer_p50_ms']:.1f}",
                    f"{row['answer_p95_ms']:.1f}",
                    f"{row['step_p95_ms']:.1f}",
                    f"{row['batch_mean']:.1f}",
                    f"{row['cpu_cores']:.2f}",
                    "yes" if row["in_time"] else "no",
                ]
                for row in results.batching
            ],
        ),
    }


def show(results: Results, out: Console) -> None:
    """Print all tables."""
    for title, (headings, rows) in tables(results).items():
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for heading in headings:
            table.add_column(heading)
        for row in rows:
            table.add_row(*row)
        out.print(table)
        out.print()
    for line in notes(results):
        out.print(line)


def notes(results: Results) -> list[str]:
    """Return what every figure rests on."""
    return [
        f"Measured {results.date} on {results.machine}, onnxruntime {results.onnxruntime}.",
        f"Words: {results.audio}. Intervals: bootstrap over utterances, 2000 draws.",
        "RTF and memory: noise through the model's steps, caches moved, features and decoding"
        " left out; each model alone in a process of its own.",
        "The article's figures are of another model, other data and a GPU: they are its claims,"
        " not a yardstick.",
    ]


def write(results: Results, file: Path) -> None:
    """Write one page that needs nothing else."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>The article's tables</title>",
        "<style>body{font:16px system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;text-align:left;"
        "border-bottom:1px solid #ccc}img{max-width:100%}</style>",
        "<h1>The article's tables, on our own engine</h1>",
    ]
    pictures = _pictures(results)
    for number, (title, (headings, rows)) in enumerate(tables(results).items()):
        parts.append(f"<h2>{html.escape(title)}</h2><table><tr>")
        parts += [f"<th>{html.escape(heading)}</th>" for heading in headings]
        for row in rows:
            parts.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row))
        parts.append("</table>")
        if number in pictures:
            parts.append(f'<img alt="{html.escape(title)}" src="{pictures[number]}">')
    parts += [f"<p>{html.escape(line)}</p>" for line in notes(results)]
    file.write_text("\n".join(parts) + "</html>\n", encoding="utf-8")


def _before_and_after(rows: Sequence[dict[str, Any]]) -> Rows:
    made = []
    for place, row in enumerate(rows):
        claim = {name: pair[place] for name, pair in claims.AB.items()}
        said = ", ".join(f"{name} {value}" for name, value in claim.items())
        ours = (
            f"RTF {row['rtf']:.4f}, {row['state_mb_a_call']:.2f} MB of state a call,"
            f" {row['streams_a_core']:.0f} streams a core"
        )
        memory = f"{row['process_mb']:.0f} ({row['process_mb_a_call']:.1f} a call)"
        made.append([row["which"], said, ours, _rate(row), memory, str(row["batch"])])
    return made


def _quantisation(rows: Sequence[dict[str, Any]]) -> Rows:
    return [
        [
            row["way"],
            claims.QUANTISATION.get(row["way"], ""),
            f"{row['mb']:.2f}",
            f"{row['mb'] / rows[0]['mb']:.2f}",
            f"{row['rtf']:.4f}",
            f"{row['step_ms']:.2f}",
            _rate(row),
        ]
        for row in rows
    ]


def _chunks(rows: Sequence[dict[str, Any]]) -> Rows:
    return [
        [
            str(row["chunk"]),
            claims.CHUNKS.get(row["chunk"], ""),
            f"{row['mean_latency_ms']} ms",
            f"{row['max_latency_ms']} ms",
            f"{row['rtf']:.4f}",
            str(row["repeated_characters"]),
            _rate(row),
        ]
        for row in rows
    ]


def _rate(row: dict[str, Any]) -> str:
    return (
        f"{100 * row['wer']:.1f} % ({100 * row['wer_low']:.1f} to {100 * row['wer_high']:.1f}),"
        f" {row['wrong']} of {row['words']} words, {row['clips']} utterances"
    )


def _pictures(results: Results) -> dict[int, str]:
    """Return the pictures that go under tables, by the table's number."""
    return {
        2: _picture(lambda axes: _draw_chunks(axes, results.chunks)),
        3: _picture(lambda axes: _draw_rescoring(axes, results.rescoring)),
        4: _picture(lambda axes: _draw_batching(axes, results.batching)),
    }


def _picture(draw: Callable[[Any], None]) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.subplots())
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=90)
    return "data:image/png;base64," + base64.b64encode(drawn.getvalue()).decode()


def _draw_chunks(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    delays = [row["max_latency_ms"] for row in rows]
    rates = [100 * row["wer"] for row in rows]
    spread = [
        [100 * (row["wer"] - row["wer_low"]) for row in rows],
        [100 * (row["wer_high"] - row["wer"]) for row in rows],
    ]
    axes.errorbar(delays, rates, yerr=spread, marker="o", capsize=4)
    axes.set_xlabel("largest algorithmic delay, ms")
    axes.set_ylabel("word errors, %")


def _draw_rescoring(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    for how in dict.fromkeys(row["how"] for row in rows):
        mine = [row for row in rows if row["how"] == how]
        axes.plot(
            [row["added_ms"] for row in mine], [100 * row["wer"] for row in mine], "o", label=how
        )
        for row in mine:
            axes.annotate(f"{row['weight']:g}", (row["added_ms"], 100 * row["wer"]))
    axes.set_xlabel("added at the endpoint, ms (mean)")
    axes.set_ylabel("word errors, %")
    axes.legend()


def _draw_batching(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    for wait in sorted({row["max_wait_ms"] for row in rows}):
        mine = [row for row in rows if row["max_wait_ms"] == wait]
        calls = [row["calls"] for row in mine]
        axes.plot(calls, [r["answer_p95_ms"] for r in mine], marker="o", label=f"wait {wait} ms")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("calls at once")
    axes.set_ylabel("packet to words, p95, ms")
    axes.legend()

"""The tables in a terminal and in a page with pictures: the article's claim beside our figure."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from stages.asr.campp.article import claims, pictures

if TYPE_CHECKING:
    from stages.asr.campp.article.command import Results

Rows = list[list[str]]
Row = dict[str, Any]

WER = "WER, 95 % interval"


def tables(results: Results) -> dict[str, tuple[list[str], Rows]]:
    """Return every table: title to headings and cells."""
    return {
        "Before and after": (
            ["", "Article", "RTF network", "to words", "Streams a core, network", "to words",
             "State MB a call", "Process MB", "with words", "Batch", WER],
            _before_and_after(results.ab),
        ),
        "Quantisation": (
            ["Weights", "Article", "MB", "of FP32", "RTF network", "to words", "Step ms", "p95",
             WER],
            _quantisation(results.quantisation_rows),
        ),
        "Chunk size": (
            ["Frames", "Article", "Mean delay", "Largest", "RTF network", "to words",
             f"{_unit(results.chunks)} said twice, of all, 95 % interval", WER],
            _chunks(results.chunks),
        ),
        f"Rescoring at the endpoint (article: {claims.RESCORING})": (
            ["How", "Weight", WER, "Gained, points", "Added ms at the endpoint", "p95"],
            [_rescored(row) for row in results.rescoring],
        ),
        f"Batching (article: {claims.BATCHING})": (
            ["What", "Wait ms", "Calls", "Answer p50", "p95", "Step p95", "Batch", "Cores",
             "In time"],
            [_load(row) for row in results.batching],
        ),
    }  # fmt: skip


def show(results: Results, out: Console) -> None:
    """Print all tables."""
    for title, (headings, rows) in tables(results).items():
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*row)
        out.print(table)
        out.print()
    for line in notes(results):
        out.print(line)


def notes(results: Results) -> list[str]:
    """Return what every figure rests on."""
    sizes = "; ".join(f"{name}: {held}" for name, held in results.language.items())
    return [
        f"Measured {results.date} on {results.machine}, onnxruntime {results.onnxruntime}."
        " On a machine that others use too, trust ratios, not absolutes.",
        f"Words: {results.audio}. Intervals: bootstrap over utterances, 2000 draws.",
        "RTF: seconds of one core a second of sound and call, whatever else the machine does."
        ' "Network" is the model\'s steps, caches moved; "to words" adds features and the search'
        " for words, as in a call. All of it is heard from the clips above, and every model hears"
        " them once, a clip of each in turn: rows"
        " that name the same file at the same batch show the same figures.",
        "Words are searched with as many hypotheses as in a call (word_beam).",
        'Streams a core is 1 / RTF: work alone, without waiting. What is carried in time, with'
        " callers who are not in step, is in the table of batching.",
        '"After" hears all clips in batches; its errors and its speed are those of the batch.',
        "Process MB: what the model and the calls of a batch add to a process of their own; most"
        ' of it is weights and onnxruntime\'s arena. "With words" adds lexicon and language model.',
        "A static and a QAT file are the same graph with other numbers: where their speeds differ,"
        " the machine was busy.",
        "Said twice: tokens that the network itself (greedy, no lexicon) tells twice in a row"
        " beyond those of the text, as a share of the text's.",
        f"Language models: {sizes or 'none'}. Gained and added are against the first row, clip by"
        ' clip. "Added" is the search of what is left of a packet, the choice among readings, or'
        " the second recogniser's whole work; the network's own last step is in none of them.",
        "Calls: an answer counts from the end of a packet; in time is a p95 below half a packet."
        " The step is the network's, of a whole batch.",
        "The article's figures are of another model, other data and a GPU: they are its claims,"
        " not a yardstick.",
    ]


def write(results: Results, file: Path) -> None:
    """Write one page that needs nothing else."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>The article's tables</title>",
        "<style>body{font:16px system-ui;max-width:70rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;text-align:left;"
        "border-bottom:1px solid #ccc}img{max-width:100%}</style>",
        "<h1>The article's tables, on our own engine</h1>",
    ]
    under = {
        2: (pictures.chunks, results.chunks),
        3: (pictures.rescoring, results.rescoring),
        4: (pictures.batching, results.batching),
    }
    measured = [
        results.ab, results.quantisation_rows, results.chunks, results.rescoring, results.batching
    ]  # fmt: skip
    for number, (title, (headings, rows)) in enumerate(tables(results).items()):
        parts.append(f"<h2>{html.escape(title)}</h2><table><tr>")
        parts += [f"<th>{html.escape(heading)}</th>" for heading in [*headings, "Measured on"]]
        for row, cells in zip(measured[number], rows, strict=True):
            shown = [*cells, row["measured_on"]]
            parts.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in shown))
        parts.append("</table>")
        if number in under:
            draw, drawn = under[number]
            parts.append(f'<img alt="{html.escape(title)}" src="{draw(drawn)}">')
    parts += [f"<p>{html.escape(line)}</p>" for line in notes(results)]
    file.write_text("\n".join(parts) + "</html>\n", encoding="utf-8")


def _before_and_after(rows: Sequence[Row]) -> Rows:
    made = []
    for place, row in enumerate(rows):
        said = ", ".join(f"{name} {pair[place]}" for name, pair in claims.AB.items())
        made.append(
            [
                row["which"],
                said,
                *_rtf(row),
                f"{row['streams_a_core_network']:.0f}",
                f"{row['streams_a_core_to_words']:.0f}",
                f"{row['state_mb_a_call']:.2f}",
                f"{row['process_mb']:.0f} ({row['process_mb_a_call']:.1f} a call)",
                f"{row['process_to_words_mb']:.0f}",
                str(row["batch"]),
                _rate(row),
            ]
        )
    return made


def _quantisation(rows: Sequence[Row]) -> Rows:
    return [
        [
            row["way"],
            claims.QUANTISATION.get(row["way"], ""),
            f"{row['mb']:.2f}",
            f"{row['of_fp32']:.2f}",
            *_rtf(row),
            f"{row['step_ms']:.2f}",
            f"{row['step_p95_ms']:.2f}",
            _rate(row),
        ]
        for row in rows
    ]


def _chunks(rows: Sequence[Row]) -> Rows:
    return [
        [
            str(row["chunk"]),
            claims.CHUNKS.get(row["chunk"], ""),
            f"{row['mean_latency_ms']} ms",
            f"{row['max_latency_ms']} ms",
            *_rtf(row),
            f"{100 * row['repeated_share']:.1f} % ({100 * row['repeated_low']:.1f} to"
            f" {100 * row['repeated_high']:.1f}), {row['repeated_count']} of"
            f" {row['repeated_of']} {row['repeated']}, {row['repeated_clips']} utterances",
            _rate(row),
        ]
        for row in rows
    ]


def _rescored(row: Row) -> list[str]:
    return [
        row["how"],
        f"{row['weight']:g}",
        _rate(row),
        f"{100 * row['gained']:.1f} ({100 * row['gained_low']:.1f} to"
        f" {100 * row['gained_high']:.1f})",
        f"{row['added_ms']:.2f}",
        f"{row['added_p95_ms']:.2f}",
    ]


def _load(row: Row) -> list[str]:
    return [
        row["part"],
        str(row["max_wait_ms"]),
        str(row["calls"]),
        f"{row['answer_p50_ms']:.1f}",
        f"{row['answer_p95_ms']:.1f}",
        f"{row['step_p95_ms']:.1f}",
        f"{row['batch_mean']:.1f}",
        f"{row['cpu_cores']:.2f}",
        "yes" if row["in_time"] else "no",
    ]


def _rtf(row: Row) -> list[str]:
    return [f"{row['rtf_network']:.4f}", f"{row['rtf_to_words']:.4f}"]


def _unit(rows: Sequence[Row]) -> str:
    return str(rows[0]["repeated"]).capitalize() if rows else "Tokens"


def _rate(row: Row) -> str:
    return (
        f"{100 * row['wer']:.1f} % ({100 * row['wer_low']:.1f} to {100 * row['wer_high']:.1f}),"
        f" {row['wrong']} of {row['words']} words, {row['clips']} utterances"
    )

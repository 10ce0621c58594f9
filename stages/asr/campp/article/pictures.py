"""The pictures under the tables, as data URIs: a page with them needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any

LEAST_MS = 0.1
"""Where a logarithmic axis begins: what adds less is drawn here."""

Row = dict[str, Any]


def chunks(rows: Sequence[Row]) -> str:
    """Draw word errors against delay."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        delays = [row["max_latency_ms"] for row in rows]
        axes.errorbar(delays, _rates(rows), yerr=_spread(rows), marker="o", capsize=4)
        axes.set_xlabel("largest algorithmic delay, ms")
        axes.set_ylabel("word errors, %")

    return _picture(draw)


def rescoring(rows: Sequence[Row]) -> str:
    """Draw word errors against what is added at the endpoint: a line a model, over weights."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        base = rows[0]
        axes.axhspan(100 * base["wer_low"], 100 * base["wer_high"], color="0.92")
        axes.axhline(100 * base["wer"], color="0.5", linestyle="--", label=base["how"])
        for how in dict.fromkeys(row["how"] for row in rows[1:]):
            mine = [row for row in rows if row["how"] == how]
            added = [max(LEAST_MS, row["added_ms"]) for row in mine]
            axes.errorbar(
                added, _rates(mine), yerr=_spread(mine), marker="o", capsize=3, label=how
            )
            for row, place in zip(mine, added, strict=True) if len(mine) > 1 else ():
                axes.annotate(f" {row['weight']:g}", (place, 100 * row["wer"]), fontsize="small")
        axes.set_xscale("log")
        axes.set_xlabel(f"added at the endpoint, ms (mean; {LEAST_MS:g} is that or less)")
        axes.set_ylabel("word errors, %")
        axes.legend(fontsize="x-small")

    return _picture(draw, (8, 5))


def batching(rows: Sequence[Row]) -> str:
    """Draw answers and steps against calls: the network alone, and all that words need."""

    def draw(figure: Any) -> None:
        parts = list(dict.fromkeys(row["part"] for row in rows))
        for axes, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
            _loads(axes, [row for row in rows if row["part"] == part])
            axes.set_title(f"packet to {'words' if part == 'to words' else 'probabilities'}")

    return _picture(draw, (10, 4))


def _loads(axes: Any, rows: Sequence[Row]) -> None:
    for wait in sorted({row["max_wait_ms"] for row in rows}):
        mine = [row for row in rows if row["max_wait_ms"] == wait]
        calls = [row["calls"] for row in mine]
        answers = [row["answer_p95_ms"] for row in mine]
        (line,) = axes.plot(calls, answers, marker="o", label=f"answer, wait {wait} ms")
        steps = [row["step_p95_ms"] for row in mine]
        axes.plot(calls, steps, "--", color=line.get_color(), label=f"step, wait {wait} ms")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("calls at once")
    axes.set_ylabel("p95, ms")
    axes.legend(fontsize="x-small")


def _rates(rows: Sequence[Row]) -> list[float]:
    return [100 * row["wer"] for row in rows]


def _spread(rows: Sequence[Row]) -> list[list[float]]:
    return [
        [100 * max(0.0, row["wer"] - row["wer_low"]) for row in rows],
        [100 * max(0.0, row["wer_high"] - row["wer"]) for row in rows],
    ]


def _picture(draw: Callable[[Any], None], size: tuple[float, float] = (7, 4)) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=90)
    return "data:image/png;base64," + base64.b64encode(drawn.getvalue()).decode()

"""A report in the terminal, and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.report.compare import Comparison, Interval
from agent.report.figures import (
    ENGINE_SPANS,
    ORDER,
    SLOWEST,
    Figures,
    Group,
    Spread,
    headline,
    lateness,
    measure_of,
    total_of,
)
from agent.timeline import TurnRecord

_LATENESS = ("loop_worst_ms", "loop_stalls", "loop_stalled_ms")
_FIELDS = (
    "call", "turn", "reply", "profile", "started_at", "measure", "first_response_ms",
    *(f"{span}_ms" for span in ORDER),
    "hidden_ms", "saved_ms", "tries", "hit", "tokens_wasted", "barge_in_ms", "vad_error_ms",
    "interrupted", "interrupted_after_ms", "cut_in", "line_ended", *_LATENESS, "error", "fallbacks",
    *(f"{kind}_engine" for kind in ENGINE_SPANS), "user_text", "reply_text", "heard_text",
)  # fmt: skip
_LONGEST = 3  # spans that a slow turn is told by
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(records: Iterable[TurnRecord], out: TextIO) -> None:
    """Write a row a turn; times are milliseconds, what was not measured is empty."""
    writer = csv.DictWriter(out, _FIELDS, lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _harmless(value) for name, value in _row(record).items()})


def _row(record: TurnRecord) -> dict[str, Any]:
    spans, guess = dict(record.spans), record.speculation
    row: dict[str, Any] = {name: getattr(record, name, None) for name in _FIELDS}
    row |= {f"{span}_ms": spans.get(span) for span in ORDER}
    row |= {f"{kind}_engine": record.stages.get(kind) for kind in ENGINE_SPANS}
    row["measure"] = measure_of(record)
    row["fallbacks"] = "; ".join(record.fallbacks)
    row["hidden_ms"] = round(sum(record.hidden.values()), 3)
    if (late := record.event_loop) is not None:
        row |= zip(_LATENESS, (late.worst_ms, late.stalls, late.stalled_ms), strict=True)
    if guess is not None:
        row |= {"saved_ms": guess.saved_ms, "tries": guess.tries, "hit": guess.hit}
        row["tokens_wasted"] = guess.tokens_wasted
    return row


def _harmless(value: object) -> object:
    """Keep a spreadsheet from running what a caller said as a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def print_report(
    console: Console, name: str, figures: Figures, records: Sequence[TurnRecord] = ()
) -> None:
    """Print the figures, and the slowest of the turns that they are of."""
    console.print(Text(f"{name}: {figures.extent}", style="bold"))
    if figures.total is None:
        console.print("No turn here has a time; call the agent, or run: firstword demo")
    else:
        console.print(stage_table(figures))
        for other, spread in figures.others.items():
            told = f"{spread.n} turns measured as {other!r} are left out: p50 {spread.p50:.0f} ms,"
            console.print(f"{told} p95 {spread.p95:.0f} ms", style="dim")
    _counts(console, figures)
    _slowest(console, records)
    for title, groups in (
        ("By profile", figures.by_profile),
        ("By engine (its own part of the wait)", figures.by_engine),
        ("By day", figures.by_day),
    ):
        if groups:
            console.print(_groups(title, groups))
    for counts in (figures.errors, figures.fallbacks):
        for sentence, count in counts.items():
            console.print(Text(f"{count}× {sentence}", style="red"))


def stage_table(figures: Figures) -> Table:
    """Return where the wait went: each stage by its percentiles, and the total."""
    table = _table(f"Where the wait went (ms, {figures.measure})", "stage", "turns", "mean")
    for name in ("p50", "p90", "p95", "p99", "hidden"):
        table.add_column(name, justify="right")
    for stage in figures.stages:
        hidden = _ms(stage.hidden) if stage.hidden else ""
        table.add_row(
            stage.name,
            str(stage.spread.n),
            _ms(stage.adds),
            *_percentiles(stage.spread),
            hidden,
        )
    total = figures.total
    if total is not None:
        table.add_section()
        cells = (str(total.n), _ms(total.mean), *_percentiles(total))
        table.add_row("total", *cells, "", style="bold")
    return table


def _counts(console: Console, figures: Figures) -> None:
    ends, guesses, barge_in = figures.endpoints, figures.guesses, figures.barge_in
    heard = f" ({ends.heard} heard the reply cut in)" if ends.heard else ""
    told = [f"{ends.early} of {ends.judged} turns ended too early{heard}"]
    if ends.wait is not None:
        waits = f"p50 {_ms(ends.wait.p50)}, p95 {_ms(ends.wait.p95)} ms"
        told.append(f"from the last sound to the endpoint: {waits}")
    if ends.vad_error is not None:
        errors = f"p50 {_ms(ends.vad_error.p50)}, p95 {_ms(ends.vad_error.p95)} ms"
        told.append(f"error of the VAD's end of speech: {errors}")
    told.append(f"{guesses.hits} of {guesses.tries} prepared replies used")
    told.append(f"{guesses.saved_ms:.0f} ms saved, {guesses.tokens_wasted} tokens wasted")
    told.append(f"{figures.interrupted} replies interrupted")
    if figures.line_ended:
        told.append(f"{figures.line_ended} cut off by the end of the line")
    if barge_in is not None:
        told.append(f"silent {barge_in.p50:.0f} ms after barge-in (p95 {barge_in.p95:.0f})")
    console.print("; ".join(told) + ".")
    loop = figures.event_loop
    if loop.worst is not None:
        told = [f"Event loop: {loop.stalled} of {loop.turns} turns stalled"]
        if loop.stalls:
            wakes = "1 wake-up" if loop.stalls == 1 else f"{loop.stalls} wake-ups"
            told.append(f"({wakes} 50 ms late or more, {loop.stalled_ms:.0f} ms of the waits)")
        late = f"p50 {_ms(loop.worst.p50)}, p95 {_ms(loop.worst.p95)}, p99 {_ms(loop.worst.p99)}"
        console.print(f"{' '.join(told)}; a turn's worst wake-up: {late} ms late.")


def _slowest(console: Console, records: Sequence[TurnRecord]) -> None:
    """Print the slowest turns, a line each: what they waited for longest, and the event loop."""
    _, chosen = headline(records)
    for record in sorted(chosen, key=total_of, reverse=True)[:SLOWEST]:
        longest = sorted(record.spans, key=lambda span: span[1], reverse=True)[:_LONGEST]
        spans = ", ".join(f"{name} {ms:.0f}" for name, ms in longest)
        which = f"call {record.call}, turn {record.turn}"
        told = f"Slow: {total_of(record):.0f} ms ({spans}) in {which}. {lateness(record)}"
        console.print(Text(told.rstrip()))


def _groups(title: str, groups: Sequence[Group]) -> Table:
    table = _table(title, "", "turns", "p50", "p90", "p95", "p99", "failed", "fell back")
    for group in groups:
        trouble = (str(group.failed or ""), str(group.fallbacks or ""))
        table.add_row(Text(group.name), str(group.turns), *_percentiles(group.total), *trouble)
    return table


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print what changed."""
    for number, sentence in enumerate(comparison.sentences):
        console.print(Text(sentence, style="" if number else "bold"))
    if comparison.total is None:
        return
    a, b = comparison.names
    table = _table(f"{a} against {b} (ms, {comparison.measure})", "stage", f"{a} p50", f"{b} p50")
    for name in ("p50", "p95", "mean"):
        table.add_column(f"change of {name}", justify="right")
    for row in (comparison.total, *comparison.stages):
        changes = [_change(each) for each in (row.p50, row.p95, row.mean)]
        table.add_row(row.name, _ms(row.a), _ms(row.b), *changes)
    console.print(table)


def _change(change: Interval | None) -> str:
    if change is None:
        return "–"
    return f"{change.value:+.0f} ({change.low:+.0f} … {change.high:+.0f})"


def _table(title: str, first: str, *names: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(first)
    for name in names:
        table.add_column(Text(name), justify="right")
    return table


def _percentiles(spread: Spread | None) -> list[str]:
    if spread is None:
        return ["–"] * 4
    return [_ms(each) for each in (spread.p50, spread.p90, spread.p95, spread.p99)]


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 10 or value == 0 else f"{value:.1f}"

"""``firstword turns``: list the latest turns and their timelines."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.errors import NotPossible
from agent.moments import moment
from agent.timeline import RESIDUAL, SPANS, TurnRecord
from agent.trace import read

_WORDS = 40  # characters of what was said, in the table
_PIPED = 200  # columns where the output is no terminal


def add(parser: ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="turns at most (20)")
    parser.add_argument("--call", metavar="ID", help="only turns of this call")
    parser.add_argument("--profile", metavar="P", help="only turns of this character")
    parser.add_argument(
        "--since", metavar="WHEN", help="only turns since: 30m, 2h, 7d, or 2026-01-31T10:00"
    )
    parser.add_argument("--json", action="store_true", help="the whole records, as a JSON list")
    parser.add_argument("--database", type=Path, metavar="FILE", help="another store of turns")


def run(options: Namespace) -> None:
    """List turns, the latest last.

    Raises:
        NotPossible: a time that is none, or a store that cannot be read.
    """
    if options.limit < 1:
        raise NotPossible(f"--limit must be at least 1, and is {options.limit}.")
    records = read(
        options.database,
        since=moment(options.since) if options.since else None,
        profile=options.profile,
        call=options.call,
        limit=options.limit,
    )
    if options.json:
        shown = [record.to_dict() for record in records]
        sys.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2) + "\n")
        return
    console = Console()
    if not console.is_terminal:
        console.width = _PIPED
    console.print(table(records) if records else "No turns were kept yet, or none like these.")


def table(records: Iterable[TurnRecord]) -> Table:
    """Return the turns as a table for ``rich``: milliseconds, one column a span."""
    names = [*SPANS.values(), RESIDUAL]
    shown = Table(title="Turns: milliseconds from the caller's last word to the reply in the ear")
    for name in ("time", "profile", "turn", "caller", "reply"):
        shown.add_column(name, overflow="ellipsis", no_wrap=name in ("time", "turn"))
    for name in (*names, "total"):
        shown.add_column(name, justify="right", no_wrap=True)
    for record in records:
        spans = dict(record.spans)
        shown.add_row(
            _clock(record.started_at),
            Text(record.profile),
            str(record.turn),
            Text(_short(record.user_text)),
            Text(_short(record.reply_text), style="red" if record.error else ""),
            *(_ms(spans.get(name)) for name in names),
            _total(record),
        )
    shown.caption = "* without the ear: to the first sample handed to the media track"
    return shown


def _total(record: TurnRecord) -> Text:
    if record.first_response_ms is None:
        return Text("failed" if record.error else "-", style="red" if record.error else "")
    mark = "" if record.measured_to == "heard" else "*"
    return Text(_ms(record.first_response_ms) + mark, style="bold")


def _ms(ms: float | None) -> str:
    return "" if ms is None else f"{ms:.0f}" if abs(ms) >= 10 else f"{ms:.1f}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WORDS else text[: _WORDS - 1] + "…"


def _clock(label: str) -> str:
    try:
        return datetime.fromisoformat(label).astimezone().strftime("%m-%d %H:%M:%S")
    except ValueError:
        return label

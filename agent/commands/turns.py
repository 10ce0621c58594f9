"""``firstword turns``: list the latest turns and their timelines."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.commands.noted import print_noted
from agent.errors import NotPossible
from agent.moments import moment
from agent.timeline import RESIDUAL, SPANS, TurnRecord
from agent.trace import read

_WORDS = 40  # characters of what was said, in the table
_PIPED = 200  # columns where the output is no terminal
_WIDE = 160  # columns from which on words fit beside all the times
_NAMES = (*SPANS.values(), RESIDUAL)
_TITLE = "Turns: milliseconds from the caller's last word to the reply in the ear"
_CAPTION = "* without the ear: to the first sample handed to the media track"


def add(parser: ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument(
        "--limit", type=int, default=20, metavar="N", help="turns at most (default: %(default)s)"
    )
    parser.add_argument("--call", metavar="ID", help="only turns of this call")
    parser.add_argument("--profile", metavar="ID", help="only turns of this character")
    parser.add_argument(
        "--since", metavar="WHEN", help="only turns since: 30m, 2h, 7d, or 2026-01-31T10:00"
    )
    parser.add_argument("--json", action="store_true", help="print whole records as a JSON list")
    parser.add_argument("--database", type=Path, metavar="FILE", help="another turns.sqlite")


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
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED
    show(console, records)


def show(console: Console, records: Sequence[TurnRecord]) -> None:
    """Print turns: with their words beside the times where there is room, else below them."""
    if not records:
        console.print("No turns were kept yet, or none like these.")
    elif console.width >= _WIDE:
        console.print(table(records))
    else:
        _show_narrow(console, records)


def _show_narrow(console: Console, records: Sequence[TurnRecord]) -> None:
    said = [name for name in _NAMES if any(name in dict(record.spans) for record in records)]
    times = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("time", "turn", *said, "total"):
        times.add_column(name, justify="left" if name == "time" else "right", no_wrap=True)
    for record in records:
        times.add_row(_clock(record.started_at), str(record.turn), *_times(record, said))
    print_noted(console, times, [_words(record) for record in records])
    console.print(Text(_TITLE, "dim"), Text(_CAPTION, "dim"), sep="\n")


def _words(record: TurnRecord) -> Padding:
    words = f"{record.profile}: {_flat(record.user_text)} → {_flat(record.reply_text)}"
    text = Text(words, "red" if record.error else "dim", no_wrap=True, overflow="ellipsis")
    return Padding(text, (0, 0, 0, 4), expand=False)


def table(records: Iterable[TurnRecord]) -> Table:
    """Return the turns as a table for ``rich``: milliseconds, one column a span."""
    shown = Table(title=_TITLE)
    for name in ("time", "profile", "turn", "caller", "reply"):
        shown.add_column(name, overflow="ellipsis", no_wrap=name in ("time", "turn"))
    for name in (*_NAMES, "total"):
        shown.add_column(name, justify="right", no_wrap=True)
    for record in records:
        shown.add_row(
            _clock(record.started_at),
            Text(record.profile),
            str(record.turn),
            Text(_short(record.user_text)),
            Text(_short(record.reply_text), style="red" if record.error else ""),
            *_times(record, _NAMES),
        )
    shown.caption = _CAPTION
    return shown


def _times(record: TurnRecord, names: Iterable[str]) -> list[str | Text]:
    spans = dict(record.spans)
    return [*(_ms(spans.get(name)) for name in names), _total(record)]


def _total(record: TurnRecord) -> Text:
    if record.first_response_ms is None:
        return Text("failed" if record.error else "-", style="red" if record.error else "")
    mark = "" if record.measured_to == "heard" else "*"
    return Text(_ms(record.first_response_ms) + mark, style="bold")


def _ms(ms: float | None) -> str:
    return "" if ms is None else f"{ms:.0f}" if abs(ms) >= 10 else f"{ms:.1f}"


def _short(text: str) -> str:
    text = _flat(text)
    return text if len(text) <= _WORDS else text[: _WORDS - 1] + "…"


def _flat(text: str) -> str:
    return " ".join(text.split())


def _clock(label: str) -> str:
    try:
        return datetime.fromisoformat(label).astimezone().strftime("%m-%d %H:%M:%S")
    except ValueError:
        return label

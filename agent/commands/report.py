"""``firstword report``: where the time of the turns went, and ``report compare``."""

from __future__ import annotations

import json
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from agent.commands.verbs import verb
from agent.errors import NotPossible
from agent.report import Budget, Comparison, Figures, Selection, compare, select, summarise
from agent.report.select import from_store, without_words
from agent.report.tables import print_comparison, print_report, write_csv

OVER_BUDGET = 1

_WHICH = (
    "a file that --json of report, turns, call or bench latency wrote; a store; conditions such"
    " as profile=quick,since=2h; or the id of a profile"
)


_NONE_YET = "no turns were kept yet: call the agent, or run: firstword demo"


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    _common(parser)
    parser.set_defaults(html=None, json=False, budget=None, no_words=False, database=None)
    parser.add_argument("--from", dest="source", metavar="WHICH", help=f"which turns: {_WHICH}")
    parser.add_argument(
        "--since", metavar="WHEN", help="only turns since: 30m, 2h, 7d, or 2026-01-31T10:00"
    )
    parser.add_argument("--until", metavar="WHEN", help="only turns before that, written alike")
    parser.add_argument("--profile", metavar="ID", help="only turns of this character")
    parser.add_argument("--call", metavar="ID", help="only turns of this call")
    parser.add_argument("--csv", action="store_true", help="print a row a turn, as CSV")
    verbs = parser.add_subparsers(dest="verb", metavar="compare A B")
    told = "show two selections side by side, and how sure their difference is"
    other = verb(verbs, "compare", told)
    other.add_argument("a", metavar="A", help=f"which turns: {_WHICH}")
    other.add_argument("b", metavar="B", help="which turns are compared with them; written alike")
    _common(other)


def _common(parser: ArgumentParser) -> None:
    """Describe what may stand before the verb and after it.

    Without defaults: those of the verb would take the place of what was given before it.
    """

    def option(name: str, told: str, **more: Any) -> None:
        parser.add_argument(name, help=told, default=SUPPRESS, **more)

    option("--html", "write a report with pictures, one HTML file", type=Path, metavar="FILE")
    option("--json", "print figures and turns as JSON", action="store_true")
    option("--budget", "limits in YAML; exit with 1 if one is exceeded", type=Path, metavar="FILE")
    option("--no-words", "leave out what was said, to pass a report on", action="store_true")
    option("--database", "another turns.sqlite", type=Path, metavar="FILE")


def run(options: Namespace) -> int:
    """Report; 1 when a budget is exceeded (of B, when comparing).

    Raises:
        NotPossible: nothing to read, nowhere to write, or an option that cannot be heeded.
    """
    if options.csv and options.json:
        raise NotPossible("Choose one of --csv and --json: both go to standard output.")
    budget = Budget.load(options.budget) if options.budget else None
    figures = _compare(options) if options.verb == "compare" else _report(options)
    broken = budget.broken(figures) if budget else []
    for sentence in broken:
        Console(stderr=True).print(Text(sentence, style="bold red"))
    return OVER_BUDGET if broken else 0


def _report(options: Namespace) -> Figures:
    chosen = _chosen(options)
    if options.no_words:
        chosen = without_words(chosen)
    figures = summarise(chosen.records)
    if options.html:
        from agent.report.page import page  # Jinja: only where HTML is wanted

        _write(options.html, page(chosen))
    if options.csv:
        write_csv(chosen.records, sys.stdout)
    elif options.json:
        records = [record.to_dict() for record in chosen.records]
        _print_json({"name": chosen.name, "figures": figures.to_dict(), "records": records})
    else:
        print_report(_console(), chosen.name, figures, chosen.records)
    return figures


def _chosen(options: Namespace) -> Selection:
    conditions = {
        name: value
        for name in ("profile", "since", "until", "call")
        if (value := getattr(options, name))
    }
    if not options.source:
        return from_store(conditions, options.database)
    if conditions:
        raise NotPossible("--from says already which turns; leave out the other conditions.")
    return select(options.source, options.database)


def _compare(options: Namespace) -> Figures:
    if options.csv:
        raise NotPossible("report compare knows no --csv; a program may read what --json prints.")
    for option in ("from", "since", "until", "profile", "call"):
        if getattr(options, "source" if option == "from" else option):
            raise NotPossible(
                f"report compare knows no --{option}; A and B say which turns: {_WHICH}."
            )
    a, b = (_side(which, options.database) for which in (options.a, options.b))
    if options.no_words:
        a, b = without_words(a), without_words(b)
    comparison = compare(a.records, b.records, (a.name, b.name))
    if options.html:
        from agent.report.page import comparison_page

        _write(options.html, comparison_page(comparison, a, b))
    _show(options, comparison)
    return comparison.b


def _side(wanted: str, database: Path | None) -> Selection:
    """Return one side of a comparison; a mistyped one would be compared, and pass in CI.

    Raises:
        NotPossible: no turn belongs to it.
    """
    chosen = select(wanted, database)
    if chosen.records:
        return chosen
    profiles = sorted({record.profile for record in select("", database).records})
    there = f"turns were kept of: {', '.join(profiles)}."
    raise NotPossible(
        f"No turn belongs to {wanted or chosen.name!r}, so nothing can be compared;"
        f" {there if profiles else _NONE_YET}"
    )


def _show(options: Namespace, comparison: Comparison) -> None:
    if options.json:
        _print_json(comparison.to_dict())
    else:
        print_comparison(_console(), comparison)


def _print_json(shown: object) -> None:
    sys.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotPossible(f"{path} cannot be written: {error.strerror or error}.") from error


def _console() -> Console:
    return Console(highlight=False)

"""The report as one HTML file: no request goes out from it, and it runs no script.

What callers said is foreign text: the templates escape everything that is not made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agent.report import pictures
from agent.report.compare import Comparison, Row
from agent.report.figures import (
    SLOWEST,
    Figures,
    headline,
    lateness,
    measure_of,
    summarise,
    total_of,
)
from agent.report.select import Selection
from agent.timeline import TurnRecord

LISTED = 500
"""Turns in the list, at most: the latest."""

_HERE = Path(__file__).parent

MEASURED = {
    "heard": "from the caller’s last sound to the first sound of the reply in the caller’s ear",
    "playout": "from the caller’s last sound to the first sample that left the server;"
    " nobody reported when it was heard",
    "typed": "from the typed text to the reply",
}


def place(record: TurnRecord) -> str:
    """Return the name of a turn's row, which the call page links to (``web/view-wait.js``)."""
    return f"t-{record.call}-{record.turn}-{record.reply}"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A turn, and its picture."""

    title: str
    record: TurnRecord
    picture: Markup


def style() -> str:
    """Return the style sheet of reports."""
    return (_HERE / "report.css").read_text(encoding="utf-8")


def page(selection: Selection) -> str:
    """Return the whole document of a report."""
    return _document("report.html", "FirstWord: latency report", **_report(selection))


def fragment(selection: Selection) -> str:
    """Return only the contents, for a page that has the style sheet already."""
    return _environment().get_template("report.html").render(**_report(selection))


def comparison_page(comparison: Comparison, a: Selection, b: Selection) -> str:
    """Return the whole document of a comparison."""
    return _document(
        "compare.html", "FirstWord: latency, compared", **_comparison(comparison, a, b)
    )


def _document(template: str, title: str, **given: Any) -> str:
    contents = _environment().get_template(template).render(**given)
    whole = _environment().get_template("document.html")
    return whole.render(title=title, style=Markup(style()), contents=Markup(contents))


def _report(selection: Selection) -> dict[str, Any]:
    records = selection.records
    figures = summarise(records)
    measure, chosen = headline(records)
    adds = [(stage.name, stage.adds) for stage in figures.stages]
    return {
        "name": selection.name,
        "made": _now(),
        "figures": figures,
        "measured": MEASURED.get(measure or "", ""),
        "adds": adds,
        "mean_bar": _mean_bar(figures, adds),
        "pictures": _pictures(figures, chosen),
        "turns": _turns(chosen),
        "listed": _listed(records),
        "total_of": total_of,
        "measure_of": measure_of,
    }


def _mean_bar(figures: Figures, adds: Sequence[tuple[str, float]]) -> Markup:
    return pictures.stack(adds, sum(ms for _, ms in adds)) if figures.total else Markup("")


def _pictures(figures: Figures, chosen: Sequence[TurnRecord]) -> list[tuple[str, Markup]]:
    if figures.total is None:
        return []
    values, total = [total_of(record) for record in chosen], figures.total
    return [
        ("How often which wait", pictures.distribution(values, total.p50, total.p95)),
        ("Turn by turn", pictures.trend(chosen)),
        ("How each stage varies", pictures.ranges(chosen)),
    ]


def _turns(chosen: Sequence[TurnRecord]) -> list[Drawn]:
    """Return the median turn, then the slowest ones."""
    ranked = sorted(chosen, key=total_of)
    if not ranked:
        return []
    middle = ranked[(len(ranked) - 1) // 2]
    slowest = [record for record in reversed(ranked) if record is not middle][:SLOWEST]
    return [
        Drawn("The median turn", middle, pictures.waterfall(middle)),
        *(
            Drawn("The slowest turn" if not place else f"Slowest, {place + 1}", record, drawn)
            for place, record in enumerate(slowest)
            for drawn in [pictures.waterfall(record)]
        ),
    ]


def _listed(records: Sequence[TurnRecord]) -> list[tuple[TurnRecord, Markup]]:
    """Return the latest turns, newest first, each with its bar on one scale."""
    latest = list(reversed(records[-LISTED:]))
    top = max((r.first_response_ms or 0.0 for r in latest), default=1.0)
    return [(record, pictures.stack(record.spans, top)) for record in latest]


def _comparison(comparison: Comparison, a: Selection, b: Selection) -> dict[str, Any]:
    rows = [row for row in (comparison.total, *comparison.stages) if row is not None]
    reach = max(
        [1.0, *(abs(end) for row in rows if row.p50 for end in (row.p50.low, row.p50.high))]
    )
    sides = [
        [total_of(r) for r in side.records if measure_of(r) == comparison.measure]
        for side in (a, b)
    ]
    curve = pictures.cumulative(dict(zip("AB", sides, strict=True))) if all(sides) else ""
    top = max(sum(stage.adds for stage in side.stages) for side in (comparison.a, comparison.b))
    bars = [
        pictures.stack([(stage.name, stage.adds) for stage in side.stages], top)
        for side in (comparison.a, comparison.b)
    ]
    return {
        "comparison": comparison,
        "made": _now(),
        "measured": MEASURED.get(comparison.measure or "", ""),
        "rows": [(row, _interval(row, reach)) for row in rows],
        "curve": curve,
        "bars": bars,
        "names": [stage.name for stage in max(comparison.a.stages, comparison.b.stages, key=len)],
    }


def _interval(row: Row, reach: float) -> Markup:
    if row.p50 is None:
        return Markup("")
    return pictures.interval(row.p50.value, row.p50.low, row.p50.high, reach)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ms"] = _ms
    environment.filters["clock"] = lambda label: label[:19].replace("T", " ")
    environment.globals |= {"place": place, "lateness": lateness}
    environment.globals["version"] = version("firstword")
    return environment


def _ms(value: float | None) -> str:
    """Return milliseconds as people read them: no digit that means nothing."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 10 or value == 0 else f"{value:.1f}"

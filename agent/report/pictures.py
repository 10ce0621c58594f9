"""The pictures of a report, as SVG that scales and has no colours of its own. Pure.

Colours come from classes and the page's style sheet (so light, dark and print are one place),
and nothing has a ``style`` attribute (so the strictest content policy lets it through). Every
picture is 440 units wide: readable at the width of a phone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape

from agent.report.figures import ORDER
from agent.timeline import RESIDUAL, TurnRecord
from agent.waterfall import layout

WIDTH = 440
_LEFT, _RIGHT = 34.0, 10.0  # room for the scale's figures; for the last tick
_LABEL = 74.0  # room for the names of stages
_APART = 76.0  # between two figures that stand over their marks
_BINS = 28
_DOTS = 600  # turns of a trend, at most: the latest
_RUNNING = 9  # turns of a running median


@dataclass(slots=True)
class Canvas:
    """Shapes, one after the other; numbers are rounded to a tenth."""

    height: float
    about: str  # what a screen reader says
    shapes: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """Add a line."""
        self._add("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def box(
        self, at: tuple[float, float], size: tuple[float, float], kind: str, title: str = ""
    ) -> None:
        """Add a rectangle; ``title`` is what it says when pointed at."""
        (x, y), (width, height) = at, size
        self._add("rect", kind, title, x=x, y=y, width=max(width, 0.0), height=height, rx=1.5)

    def dot(self, x: float, y: float, kind: str, title: str = "") -> None:
        """Add a dot."""
        self._add("circle", kind, title, cx=x, cy=y, r=2.6)

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Add a line through many points."""
        steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.shapes.append(f'<polyline class="{kind}" points="{steps}"/>')

    def text(self, x: float, y: float, words: str, kind: str = "") -> None:
        """Add words; ``kind`` says how they are set, and where they hang on ``x``."""
        self.shapes.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>')

    def _add(self, shape: str, kind: str, title: str = "", **numbers: float) -> None:
        given = " ".join(f'{name}="{value:.1f}"' for name, value in numbers.items())
        inside = f"<title>{escape(title)}</title>" if title else ""
        self.shapes.append(f'<{shape} class="{escape(kind)}" {given}>{inside}</{shape}>')

    def drawn(self) -> Markup:
        """Return the picture."""
        inside = "".join(self.shapes)
        return Markup(  # every text in it went through ``escape``
            f'<svg viewBox="0 0 {WIDTH} {self.height:.0f}" role="img"'
            f' aria-label="{escape(self.about)}">{inside}</svg>'
        )


def distribution(values: Sequence[float], p50: float, p95: float) -> Markup:
    """Draw how often which time came; what lies far out is in the last bar."""
    top = _ceiling(max(float(np.percentile(values, 98)), p95 * 1.1))
    counts, edges = np.histogram(np.minimum(values, top), bins=_BINS, range=(0.0, top))
    canvas = Canvas(176, f"Distribution: median {p50:.0f} ms, 95th percentile {p95:.0f} ms")
    floor, high = 150.0, 122.0
    scale = (WIDTH - _LEFT - _RIGHT) / top
    _ticks(canvas, top, scale, _LEFT, floor)
    for count, begin, end in zip(counts, edges, edges[1:], strict=False):
        tall = high * float(count) / max(1, int(counts.max()))
        if count:
            far = end >= top and max(values) > top
            title = f"{begin:.0f} ms and more" if far else f"{begin:.0f} to {end:.0f} ms"
            corner = (_LEFT + begin * scale + 0.7, floor - tall)
            canvas.box(corner, ((end - begin) * scale - 1.4, tall), "bar", f"{title}: {count}")
    near = (min(p95, top) - p50) * scale < _APART
    for value, name, away in ((p50, "p50", "end"), (p95, "p95", "")):
        x = _LEFT + min(value, top) * scale
        canvas.line(x, 16, x, floor, f"mark {name}")
        canvas.text(x, 12, f"{name} {value:.0f}", f"{away if near else 'middle'} strong")
    return canvas.drawn()


def trend(records: Sequence[TurnRecord]) -> Markup:
    """Draw the turns in their order, with a running median, and where each day begins."""
    shown = [r for r in records if r.first_response_ms is not None][-_DOTS:]
    values = [r.first_response_ms or 0.0 for r in shown]
    top = _ceiling(float(np.percentile(values, 98)) * 1.1)
    canvas = Canvas(186, f"Trend over {len(shown)} turns in their order")
    floor, high = 154.0, 140.0
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(shown))
    places = [
        (_LEFT + (number + 0.5) * step, floor - high * min(value, top) / top)
        for number, value in enumerate(values)
    ]
    for level in _levels(top):
        y = floor - high * level / top
        canvas.line(_LEFT, y, WIDTH - _RIGHT, y, "grid")
        canvas.text(_LEFT - 5, y + 4, f"{level:.0f}", "end")
    _days(canvas, [record.started_at[:10] for record in shown], step, floor)
    for (x, y), record, value in zip(places, shown, values, strict=True):
        when = record.started_at[:19].replace("T", " ")
        canvas.dot(x, y, "dot", f"{when} {record.profile}: {value:.0f} ms")
    medians = _running(values)
    if len(medians) > _RUNNING // 2:
        heights = [floor - high * min(median, top) / top for median in medians]
        canvas.path([(x, y) for (x, _), y in zip(places, heights, strict=True)], "running")
    return canvas.drawn()


def _running(values: Sequence[float]) -> list[float]:
    half = _RUNNING // 2
    return [
        float(np.median(values[max(0, spot - half) : spot + half + 1]))
        for spot in range(len(values))
    ]


def _days(canvas: Canvas, days: Sequence[str], step: float, floor: float) -> None:
    begins = [i for i, day in enumerate(days) if not i or day != days[i - 1]]
    free = -100.0
    for begin in begins:
        x = _LEFT + begin * step
        if begin:
            canvas.line(x, 10, x, floor, "day")
        if x > free and x < WIDTH - 60:
            canvas.text(x, floor + 16, days[begin])
            free = x + 76


def ranges(records: Sequence[TurnRecord]) -> Markup:
    """Draw each span's middle half as a bar, its median, and the way from p5 to p95."""
    rows = []
    for name in ORDER:
        values = [ms for record in records for span, ms in record.spans if span == name]
        if values and max(map(abs, values)) >= 1:
            rows.append((name, np.percentile(values, (5, 25, 50, 75, 95))))
    top = _ceiling(max((float(row[1][-1]) for row in rows), default=1.0) * 1.05)
    scale = (WIDTH - _LABEL - _RIGHT - 40) / top
    floor = 10.0 + 26 * len(rows)
    canvas = Canvas(floor + 24, "How each stage's time varies")
    _ticks(canvas, top, scale, _LABEL, floor)
    for number, (name, (p5, p25, p50, p75, p95)) in enumerate(rows):
        y = 18.0 + 26 * number
        spot = [_LABEL + max(0.0, float(each)) * scale for each in (p5, p25, p50, p75, p95)]
        title = f"{name}: half of the turns between {p25:.0f} and {p75:.0f} ms"
        canvas.text(_LABEL - 8, y + 4, name, "end")
        canvas.line(spot[0], y, spot[4], y, "whisker")
        wide = max(spot[3] - spot[1], 2.0)
        canvas.box((spot[1], y - 7), (wide, 14), f"s-{name}", title)
        canvas.line(spot[2], y - 9, spot[2], y + 9, "median")
        canvas.text(spot[4] + 6, y + 4, f"{p50:.0f}", "soft")
    return canvas.drawn()


def waterfall(record: TurnRecord) -> Markup:
    """Draw a turn: what the caller waited for, end to end, and above it what was hidden."""
    laid = [each for each in layout(record) if each[2] - each[1] >= 0.5]
    if record.residual_ms:
        low, high = sorted((0.0, record.residual_ms))
        laid.append((RESIDUAL, low, high, False))
    begin = min([0.0, *(start for _, start, _, _ in laid)])
    top = max([1.0, *(end for _, _, end, _ in laid)])
    scale = (WIDTH - _LABEL - _RIGHT - 44) / (top - begin)
    names = [name for name in ORDER if any(name == each[0] for each in laid)]
    floor = 8.0 + 22 * len(names)
    canvas = Canvas(floor + 24, f"Waterfall of a turn of {record.first_response_ms or 0:.0f} ms")
    _ticks(canvas, top, scale, _LABEL - begin * scale, floor)
    for row, name in enumerate(names):
        y = 8.0 + 22 * row
        canvas.text(_LABEL - 8, y + 14, name, "end")
        reached = _LABEL
        for _, start, end, hidden in (each for each in laid if each[0] == name):
            x = _LABEL + (start - begin) * scale
            kind = f"s-{name} hid" if hidden else f"s-{name}"
            what = "hidden by the endpoint" if hidden else "waited for"
            width = max((end - start) * scale, 1.5)
            title = f"{name}: {end - start:.0f} ms {what}"
            canvas.box((x, y + 3), (width, 15), kind, title)
            reached = max(reached, x + width)
        canvas.text(reached + 5, y + 14, _spent(record, name), "soft")
    return canvas.drawn()


def _spent(record: TurnRecord, name: str) -> str:
    waited, hid = dict(record.spans).get(name, 0.0), record.hidden.get(name, 0.0)
    return f"{waited:.0f}" + (f" ({hid:.0f})" if hid >= 0.5 else "")


def stack(parts: Sequence[tuple[str, float]], top: float) -> Markup:
    """Draw one bar of spans that add up, ``top`` ms being the whole width."""
    total = sum(ms for _, ms in parts)
    canvas = Canvas(22, ", ".join(f"{name} {ms:.0f} ms" for name, ms in parts))
    scale, x = WIDTH / max(top, 1.0), 0.0
    for name, ms in parts:
        width = max(ms, 0.0) * scale
        if width >= 0.3:
            canvas.box((x, 1), (max(width - 1, 0.4), 20), f"s-{name}", f"{name}: {ms:.0f} ms")
        if width > 26:
            canvas.text(x + width / 2, 15.5, f"{ms:.0f}", "middle on")
        x += width
    canvas.about = f"{total:.0f} ms: {canvas.about}"
    return canvas.drawn()


def cumulative(sides: Mapping[str, Sequence[float]]) -> Markup:
    """Draw which share of the turns was done by when; one line a side."""
    everything = [value for values in sides.values() for value in values]
    top = _ceiling(float(np.percentile(everything, 98)) * 1.05)
    canvas = Canvas(196, "Share of turns that were answered within a time: " + ", ".join(sides))
    floor, high = 170.0, 150.0
    scale = (WIDTH - _LEFT - _RIGHT) / top
    _ticks(canvas, top, scale, _LEFT, floor)
    for share in (0.25, 0.5, 0.75, 1.0):
        y = floor - high * share
        canvas.line(_LEFT, y, WIDTH - _RIGHT, y, "grid")
        canvas.text(_LEFT - 5, y + 4, f"{share:.0%}", "end")
    for kind, values in zip(("side-a", "side-b"), sides.values(), strict=False):
        points: list[tuple[float, float]] = [(_LEFT, floor)]
        for number, value in enumerate(sorted(values), 1):
            x = _LEFT + min(value, top) * scale
            points += [(x, points[-1][1]), (x, floor - high * number / len(values))]
        canvas.path([*points, (WIDTH - _RIGHT, points[-1][1])], f"step {kind}")
    return canvas.drawn()


def interval(value: float, low: float, high: float, reach: float) -> Markup:
    """Draw a difference and how sure it is, on a scale of ``reach`` ms to each side of 0."""
    canvas = Canvas(22, f"{value:+.0f} ms, between {low:+.0f} and {high:+.0f} ms")
    middle, scale = WIDTH / 2, (WIDTH / 2 - 6) / max(reach, 1.0)
    kind = "better" if high < 0 else "worse" if low > 0 else "unsure"
    canvas.line(middle, 1, middle, 21, "zero")
    canvas.box((middle + low * scale, 6), ((high - low) * scale, 10), kind)
    canvas.line(middle + value * scale, 2, middle + value * scale, 20, "median")
    return canvas.drawn()


def _ticks(canvas: Canvas, top: float, scale: float, zero: float, floor: float) -> None:
    for level in _levels(top):
        x = zero + level * scale
        canvas.line(x, 8, x, floor, "grid")
        canvas.text(x, floor + 16, f"{level:.0f}", "middle")
    canvas.text(WIDTH - 2, floor + 16, "ms", "end soft")


def _levels(top: float) -> list[float]:
    """Return round numbers from 0 to below ``top``: four to eight of them."""
    for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000):
        if top / step <= 7:
            return [step * number for number in range(int(top / step * 0.94) + 1)]
    return [0.0]


def _ceiling(value: float) -> float:
    """Return a round number of milliseconds that is at least ``value``."""
    for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        if value <= 20 * step:
            return float(np.ceil(max(value, 1.0) / step) * step)
    return float(np.ceil(value / 1000) * 1000)

"""Draws curves of time against rate as an SVG of its own: no library, no script, no font."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from xml.sax.saxutils import escape

from agent.turn_settings import PRESETS

WIDE, HIGH, LEFT, TOP, BOTTOM = 420, 340, 56, 64, 44
_COLOURS = ("#8a8f98", "#d08770", "#b48ead", "#2563c9", "#12939a")


@dataclass(frozen=True, slots=True)
class Point:
    """A way to take turns: how often it cuts in, and how long it lets one wait."""

    name: str
    percent: float
    p50_ms: float
    mean_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A family of ways."""

    name: str
    points: Sequence[Point]


def drawn(curves: Sequence[Curve], title: str) -> str:
    """Return an SVG with three panels: medians, means, and 95th percentiles."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {3 * WIDE} {HIGH}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{3 * WIDE}" height="{HIGH}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
        *_legend(curves),
        *_panel(curves, lambda point: point.p50_ms, 0, "median, ms"),
        *_panel(curves, lambda point: point.mean_ms, WIDE, "mean, ms"),
        *_panel(curves, lambda point: point.p95_ms, 2 * WIDE, "95th percentile, ms"),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _legend(curves: Sequence[Curve]) -> Iterator[str]:
    for number, curve in enumerate(curves):
        x, colour = LEFT + 150 * number, _COLOURS[number % len(_COLOURS)]
        yield f'<circle cx="{x + 5}" cy="42" r="4" fill="{colour}"/>'
        yield f'<text x="{x + 14}" y="46">{escape(curve.name)}</text>'


def _panel(
    curves: Sequence[Curve], height: Callable[[Point], float], shift: int, name: str
) -> Iterator[str]:
    points = [point for curve in curves for point in curve.points]
    scale = _Scale(
        shift,
        1.05 * max((point.percent for point in points), default=0.0) or 1.0,
        1.05 * max((height(point) for point in points), default=0.0) or 1.0,
    )
    yield from _axes(scale, name)
    for curve, colour in zip(curves, cycle(_COLOURS), strict=False):
        spots = sorted(curve.points, key=lambda point: point.percent)
        places = [scale.place(point.percent, height(point)) for point in spots]
        line = " ".join(f"{x},{y}" for x, y in places)
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        for point, (x, y) in zip(spots, places, strict=True):
            tip = f"{curve.name} {point.name}: {point.percent:.1f} %, {height(point):.0f} ms"
            yield f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}">'
            yield f"<title>{escape(tip)}</title></circle>"
            if point.name in PRESETS:
                label = f'x="{x - 6}" y="{y + 16}" text-anchor="end" fill="{colour}"'
                yield f"<text {label}>{point.name}</text>"


@dataclass(frozen=True, slots=True)
class _Scale:
    """A panel: its left edge, and what its right and upper edges stand for."""

    shift: int
    percent: float
    ms: float

    def place(self, percent: float, ms: float) -> tuple[float, float]:
        x = self.shift + LEFT + (WIDE - LEFT - 30) * percent / self.percent
        return round(x, 1), round(TOP + (HIGH - TOP - BOTTOM) * (1 - ms / self.ms), 1)


def _axes(scale: _Scale, name: str) -> Iterator[str]:
    left, top = scale.place(0, scale.ms)
    right, bottom = scale.place(scale.percent, 0)
    yield f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#444"/>'
    yield f'<text x="{left}" y="{TOP - 6}">{name}</text>'
    yield f'<text x="{right}" y="{HIGH - 8}" text-anchor="end">turns cut into, %</text>'
    for percent in range(0, int(scale.percent) + 1, 20):
        x, _ = scale.place(percent, 0)
        yield f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{percent}</text>'
    for ms in range(0, int(scale.ms) + 1, 500):
        _, y = scale.place(0, ms)
        yield f'<path d="M{left} {y}H{right}" stroke="#ddd"/>'
        yield f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{ms}</text>'

"""How well a likeness tells voices apart: false accepts, false rejects, where they meet. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

BINS = 40
WIDTH, HEIGHT, EDGE = 640, 260, 36
SAME, OTHER = "#2f7d6b", "#c2553d"


@dataclass(frozen=True, slots=True)
class Scores:
    """Likenesses of pairs: of one voice, and of two."""

    same: tuple[float, ...]
    other: tuple[float, ...]

    def far(self, threshold: float) -> float:
        """Return the share of strangers that would be accepted."""
        return sum(score >= threshold for score in self.other) / len(self.other)

    def frr(self, threshold: float) -> float:
        """Return the share of the same voices that would be rejected."""
        return sum(score < threshold for score in self.same) / len(self.same)

    def meeting(self) -> tuple[float, float]:
        """Return the equal error rate, and the threshold in the middle of where it is reached."""
        marks = sorted({*self.same, *self.other})
        middles = [(low + high) / 2 for low, high in pairwise(marks)]
        gaps = [(abs(self.far(t) - self.frr(t)), max(self.far(t), self.frr(t)), t) for t in middles]
        best = min(gap[:2] for gap in gaps)
        reached = [t for *gap, t in gaps if tuple(gap) == best]
        threshold = reached[len(reached) // 2]
        return (self.far(threshold) + self.frr(threshold)) / 2, threshold


def picture(scores: Scores, threshold: float, title: str) -> str:
    """Draw both histograms and the threshold, as SVG."""
    low = min((*scores.same, *scores.other, 0.0))
    edges = np.linspace(low, 1.0, BINS + 1)
    rows = [(scores.other, OTHER, "two voices"), (scores.same, SAME, "one voice")]
    shares = [np.histogram(values, edges)[0] / len(values) for values, *_ in rows]
    top = max(float(share.max()) for share in shares)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' font-family="sans-serif" font-size="12"><title>{title}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    ]
    for (values, colour, label), share, line in zip(rows, shares, (1, 2), strict=True):
        parts += _bars([float(one) / top for one in share], colour)
        parts.append(
            f'<text x="{EDGE}" y="{14 * line + 4}" fill="{colour}">{label}: {len(values)} pairs,'
            f" share of each</text>"
        )
    parts += _axis(low, threshold)
    return "\n".join([*parts, "</svg>\n"])


def _bars(shares: Sequence[float], colour: str) -> list[str]:
    wide, tall = (WIDTH - 2 * EDGE) / BINS, HEIGHT - 2 * EDGE - 10
    return [
        f'<rect x="{EDGE + at * wide:.1f}" y="{HEIGHT - EDGE - share * tall:.1f}"'
        f' width="{wide - 1:.1f}" height="{share * tall:.1f}" fill="{colour}" fill-opacity=".6"/>'
        for at, share in enumerate(shares)
        if share
    ]


def _axis(low: float, threshold: float) -> list[str]:
    def place(score: float) -> float:
        return EDGE + (score - low) / (1 - low) * (WIDTH - 2 * EDGE)

    base, at = HEIGHT - EDGE, place(threshold)
    marks = [round(mark, 1) for mark in np.arange(np.ceil(low * 5) / 5, 1.01, 0.2)]
    return [
        f'<line x1="{EDGE}" y1="{base}" x2="{WIDTH - EDGE}" y2="{base}" stroke="#444"/>',
        f'<line x1="{at:.1f}" y1="{EDGE}" x2="{at:.1f}" y2="{base}" stroke="#222"'
        ' stroke-dasharray="5 4"/>',
        f'<text x="{at:.1f}" y="{EDGE - 4}" text-anchor="middle">threshold {threshold:.2f}</text>',
        *(
            f'<text x="{place(mark):.1f}" y="{base + 16}" text-anchor="middle">{mark:g}</text>'
            for mark in marks
        ),
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">likeness</text>',
    ]

"""Word errors, and how sure we can be of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors of one utterance, or of many together."""

    wrong: int  # words to change, put in or leave out
    words: int  # words that were said

    @property
    def rate(self) -> float:
        """Word error rate; of no words, NaN."""
        return self.wrong / self.words if self.words else float("nan")


def distance(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return how many pieces must be changed, put in or left out to get from one to the other."""
    row = list(range(len(heard) + 1))
    for at, want in enumerate(said, 1):
        corner, row[0] = row[0], at
        for other, got in enumerate(heard, 1):
            step = min(row[other] + 1, row[other - 1] + 1, corner + (want != got))
            corner, row[other] = row[other], step
    return row[-1]


def errors(said: str, heard: str) -> Errors:
    """Compare two texts word by word."""
    words = said.split()
    return Errors(distance(words, heard.split()), len(words))


def together(each: Sequence[Errors]) -> Errors:
    """Sum the errors of many utterances."""
    return Errors(sum(one.wrong for one in each), sum(one.words for one in each))


def interval(each: Sequence[Errors], seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the error rate: utterances are drawn anew."""
    if not each:
        return float("nan"), float("nan")
    wrong = np.array([one.wrong for one in each], dtype=float)
    words = np.array([one.words for one in each], dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(each), (draws, len(each)))
    totals = np.maximum(words[drawn].sum(axis=1), 1.0)
    low, high = np.percentile(wrong[drawn].sum(axis=1) / totals, [2.5, 97.5])
    return float(low), float(high)


def gained(
    before: Sequence[Errors], after: Sequence[Errors], seed: int = 0, draws: int = 2000
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of how much lower the error rate is of the same clips."""
    if not before:
        return float("nan"), float("nan")
    fewer = np.array([b.wrong - a.wrong for b, a in zip(before, after, strict=True)], dtype=float)
    words = np.array([one.words for one in before], dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(before), (draws, len(before)))
    totals = np.maximum(words[drawn].sum(axis=1), 1.0)
    low, high = np.percentile(fewer[drawn].sum(axis=1) / totals, [2.5, 97.5])
    return float(low), float(high)

"""How near partials come to what was said, how steady they are and how late: pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from stages.events import Word

Words: TypeAlias = tuple[str, ...]

Pair: TypeAlias = tuple[float, float]
"""Of one utterance: what is counted, and out of how much."""

DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Rate:
    """Two sums over utterances, one divided by the other, with its 95 % bootstrap interval."""

    top: float
    bottom: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """The rate; of nothing, NaN."""
        return self.top / self.bottom if self.bottom else float("nan")


def rate(pairs: Sequence[Pair]) -> Rate:
    """Return the rate of many utterances together."""
    drawn = _drawn(pairs)
    low, high = np.nanpercentile(drawn, [2.5, 97.5]) if _some(drawn) else (np.nan, np.nan)
    top, bottom = (float(sum(one[which] for one in pairs)) for which in (0, 1))
    return Rate(top, bottom, float(low), float(high))


def gap(ours: Sequence[Pair], theirs: Sequence[Pair]) -> tuple[float, float, float]:
    """Return how much higher the first rate is, and its 95 % interval: the same utterances."""
    drawn = _drawn(ours) - _drawn(theirs)
    low, high = np.nanpercentile(drawn, [2.5, 97.5]) if _some(drawn) else (np.nan, np.nan)
    return rate(ours).value - rate(theirs).value, float(low), float(high)


def _drawn(pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
    """Return the rates of utterances drawn anew, always the same draws for as many of them."""
    if not pairs:
        return np.full(DRAWS, np.nan)
    tops, bottoms = np.array(pairs, dtype=np.float64).T
    chosen = np.random.default_rng(0).integers(0, len(pairs), (DRAWS, len(pairs)))
    totals = bottoms[chosen].sum(axis=1)
    rates = np.full(DRAWS, np.nan)
    np.divide(tops[chosen].sum(axis=1), totals, out=rates, where=totals > 0)
    return rates


def _some(drawn: npt.NDArray[np.float64]) -> bool:
    return bool(np.isfinite(drawn).any())


def to_beginning(shown: Words, said: Words) -> int:
    """Return the words to change, put in or leave out to get from a text to a beginning of one.

    Of all beginnings of what was said, the empty and the whole one among them, the nearest
    counts: a partial is not wrong for what it does not show yet.
    """
    return min(_row(shown, said))


def to_whole(shown: Words, said: Words) -> int:
    """Return the words to change, put in or leave out to get from one text to the other."""
    return _row(shown, said)[-1]


def _row(shown: Words, said: Words) -> list[int]:
    row = list(range(len(said) + 1))
    for at, word in enumerate(shown, 1):
        corner, row[0] = row[0], at
        for other, want in enumerate(said, 1):
            step = min(row[other] + 1, row[other - 1] + 1, corner + (word != want))
            corner, row[other] = row[other], step
    return row


def differing(texts: Sequence[Words], said: Words) -> Pair:
    """Return the words of partials that differ from what was said, out of all words shown."""
    wrong = sum(to_beginning(text, said) for text in texts)
    return float(wrong), float(sum(map(len, texts)))


def changes(texts: Sequence[Words]) -> Pair:
    """Return how many shown words were changed or taken back later, out of all words shown.

    A word counts once for every time that it appears in a place of the text, however long it
    stays there.
    """
    shown = changed = 0
    for before, now in pairwise(((), *texts)):
        kept = sum(a == b for a, b in zip(before, now, strict=False))
        changed += len(before) - kept
        shown += len(now) - kept
    return float(changed), float(shown)


def delays(partials: Sequence[tuple[int, Sequence[Word]]]) -> list[int]:
    """Return, for each word of the last partial, how long after its end it came to stay.

    Args:
        partials: of one utterance; the samples given when it came, and its words with their
            places, as the recogniser knows them.

    Returns:
        Samples of audio; below 0, a word was shown before it was spoken to its end.
    """
    if not partials:
        return []
    found = []
    for place, word in enumerate(partials[-1][1]):
        since = partials[-1][0]
        for given, words in reversed(partials):
            if len(words) <= place or words[place].text != word.text:
                break
            since = given
        found.append(since - word.end)
    return found

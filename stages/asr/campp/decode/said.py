"""Words said so far, and those that gave way to them: what the list of readings is made of.

The search drops a hypothesis once no later sound can tell it from a better one: same two last
words, same place in the lexicon. Whatever follows costs both the same, so how far it was behind is
how far it stays behind. That is kept, and at the end every dropped beginning can stand in for the
one that it gave way to.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

READINGS = 64
"""Ways to read an utterance that a second model chooses among."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Words so far, the newest on top of those before."""

    before: Said | None
    word: int
    history: tuple[int, ...]  # of the two newest
    depth: int
    first: int
    last: int  # frames
    after: dict[int, Said] = field(default_factory=dict)  # one object for the same words, ever

    def then(self, word: int, first: int, last: int) -> Said:
        """Return these words and one more, heard from frame ``first`` to ``last``."""
        found = self.after.get(word)
        if found is None:
            history = (*self.history, word)[-2:]
            found = self.after[word] = Said(self, word, history, self.depth + 1, first, last)
        return found

    def numbers(self) -> list[int]:
        """Return the words by number, in the order in which they were said."""
        found: list[int] = []
        here = self
        while here.before is not None:
            found.append(here.word)
            here = here.before
        return found[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class Lost:
    """Words that gave way to others."""

    said: Said
    to: Said
    less: float  # natural logarithm by which they were behind, 0 or below
    own: Lost | None  # what had given way to them
    earlier: Lost | None  # what had given way to the others before


def readings(
    ends: Sequence[tuple[float, Said, Lost | None]], most: int
) -> list[tuple[float, Said]]:
    """Return readings, each once, best first, with natural log scores.

    Args:
        ends: the hypotheses that are left, with their scores and what gave way to them.
        most: readings that are returned, at most.
    """
    numbers = count()  # parts equals: words do not compare
    waiting: list[tuple[float, int, Said, Lost | None, Lost | None]] = [
        (-score, next(numbers), said, None, lost) for score, said, lost in ends
    ]
    heapq.heapify(waiting)
    found: dict[Said, float] = {}
    while waiting and len(found) < most:
        price, _, said, change, lost = heapq.heappop(waiting)
        if change is not None:
            said = _instead(said, change)
        if said in found:
            continue
        found[said] = -price
        while lost is not None:
            heapq.heappush(waiting, (price - lost.less, next(numbers), said, lost, lost.own))
            lost = lost.earlier
    return [(score, said) for said, score in found.items()]


def shared(a: Said, b: Said) -> Said:
    """Return the words with which both begin."""
    while a is not b:
        if a.depth < b.depth:
            a, b = b, a
        if a.before is None:
            return a
        a = a.before
    return a


def _instead(said: Said, change: Lost) -> Said:
    """Return words with another beginning: what had given way to the one they have."""
    tail: list[Said] = []
    here = said
    while here is not change.to and here.before is not None:
        tail.append(here)
        here = here.before
    made = change.said
    for one in reversed(tail):
        made = made.then(one.word, one.first, one.last)
    return made

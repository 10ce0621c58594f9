"""Which words of a growing transcript will stay: those that two partials in a row agree on.

The last word of a partial is a guess, and is never promised.
"""

from __future__ import annotations

_MARKS = ".,;:!?…\"'"


class Agreement:
    """What was promised of one utterance."""

    def __init__(self) -> None:
        self._promised: list[str] = []
        self._before: list[str] = []

    def take(self, text: str) -> tuple[str, int]:
        """Take in the next partial; return what to show, and how much of it will stay.

        Whatever the model says now, the text begins with the words promised before.

        Returns:
            The text, and the number of its first characters that no later one changes.
        """
        words = self._go_on(text.split())
        agreed = len(self._promised)
        for old, new in zip(self._before[agreed:-1], words[agreed:-1], strict=False):
            if _bare(old) != _bare(new):
                break
            self._promised.append(new if old == new else new.rstrip(_MARKS) or new)
            agreed += 1
        words[:agreed] = self._promised
        self._before = words
        return " ".join(words), len(" ".join(self._promised))

    def _go_on(self, words: list[str]) -> list[str]:
        """Return the promised words and then those that the model hears after them."""
        said = [_bare(word) for word in self._promised]
        heard = [_bare(word) for word in words]
        if heard[: len(said)] == said:
            return self._promised + words[len(said) :]
        return self._promised + words[_aligned(said, heard) :]


def _bare(word: str) -> str:
    return word.strip(_MARKS).casefold() or word


def _aligned(said: list[str], heard: list[str]) -> int:
    """Return how many words of ``heard`` are best read as what was said."""
    row = list(range(len(heard) + 1))
    for done, word in enumerate(said, 1):
        corner, row[0] = row[0], done
        for at, other in enumerate(heard, 1):
            step = min(row[at] + 1, row[at - 1] + 1, corner + (word != other))
            corner, row[at] = row[at], step
    nearest = min(row)
    return max(at for at, cost in enumerate(row) if cost == nearest)

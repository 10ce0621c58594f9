"""An n-gram language model over tokens, from an ARPA file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TextIO

from stages.errors import UserError

TEN = math.log(10.0)
START, UNKNOWN = "<s>", "<unk>"


class NotArpa(UserError):
    """A file that is no ARPA language model."""

    def __init__(self, file: Path, reason: str, line: int | None = None) -> None:
        self.file, self.line, self.reason = file, line, reason
        super().__init__(f"{file}{f':{line}' if line else ''} is no ARPA language model: {reason}.")


class NGram:
    """Back-off probabilities. A context is the last words as a tuple, shortened as needed.

    Args:
        grams: natural log probability and back-off weight of every n-gram.
        order: words of the longest.
    """

    def __init__(self, grams: dict[tuple[str, ...], tuple[float, float]], order: int) -> None:
        self._grams, self.order = grams, order
        self.start: tuple[str, ...] = (START,) if (START,) in grams else ()

    @classmethod
    def read(cls, file: Path) -> NGram:
        """Read an ARPA file.

        Raises:
            NotArpa: it is none; with the line.
        """
        try:
            with file.open(encoding="utf-8") as lines:
                return cls._parse(file, lines)
        except (OSError, UnicodeDecodeError) as error:
            raise NotArpa(file, str(error)) from error

    @classmethod
    def _parse(cls, file: Path, lines: TextIO) -> NGram:
        grams: dict[tuple[str, ...], tuple[float, float]] = {}
        order = longest = 0
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if text.startswith("\\"):
                order = int(text[1 : text.index("-")]) if text.endswith("-grams:") else 0
                longest = max(longest, order)
            elif text and order:
                try:
                    gram, entry = _entry(text, order)
                except (ValueError, IndexError) as error:
                    raise NotArpa(file, f"{text!r} is no {order}-gram", number) from error
                grams[gram] = entry
        if not grams:
            raise NotArpa(file, "it has no n-grams")
        return cls(grams, longest)

    def score(self, context: tuple[str, ...], word: str) -> tuple[float, tuple[str, ...]]:
        """Return the natural log probability of a word after a context, and the next context."""
        if (word,) not in self._grams:
            word = UNKNOWN
        spent = 0.0
        while True:
            entry = self._grams.get((*context, word))
            if entry is not None:
                return spent + entry[0], self._shortened((*context, word))
            if not context:
                return spent - 10.0 * TEN, ()
            spent += self._grams.get(context, (0.0, 0.0))[1]
            context = context[1:]

    def finish(self, context: tuple[str, ...]) -> float:
        """Return what changes if nothing more is said: nothing, ends are not counted."""
        return 0.0

    def _shortened(self, context: tuple[str, ...]) -> tuple[str, ...]:
        context = context[-(self.order - 1) :] if self.order > 1 else ()
        while context and context not in self._grams:
            context = context[1:]
        return context


def _entry(text: str, order: int) -> tuple[tuple[str, ...], tuple[float, float]]:
    fields = text.split()
    if len(fields) not in (order + 1, order + 2):
        raise ValueError(text)
    back_off = float(fields[order + 1]) if len(fields) == order + 2 else 0.0
    return tuple(fields[1 : order + 1]), (float(fields[0]) * TEN, back_off * TEN)

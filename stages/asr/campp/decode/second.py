"""A second model over words: at the endpoint it weighs readings anew, in the first one's place."""

from __future__ import annotations

from collections.abc import Sequence

from stages.asr.campp.decode.said import Said
from stages.asr.campp.decode.words import LETTER, START, UNLISTED, Chances, Table


class Second:
    """What changes in a reading's score when another model, or another weight, judges its words.

    Args:
        first: the model that the search went by.
        first_weight: its weight there.
        words: what the search's numbers stand for, from 1 on; "" at 0.
        table: the second model; it may have other words.
        weight: of the second model.
    """

    def __init__(
        self,
        first: Chances,
        first_weight: float,
        words: Sequence[str],
        table: Table,
        weight: float,
    ) -> None:
        self._first, self._first_weight = first, first_weight
        self._second, self._weight = Chances(table.grams), weight
        numbers = {word: number for number, word in enumerate(table.words, 1)}
        self._numbers = [numbers.get(word, START) for word in words]
        self._words = words

    def change(self, said: Said) -> float:
        """Return the natural logarithm that comes on top of a reading's score."""
        words = said.numbers()
        before, after = self._scored(words), self._scored_anew(words)
        return self._weight * after - self._first_weight * before

    def _scored(self, words: Sequence[int]) -> float:
        history: tuple[int, ...] = (START,)
        total = 0.0
        for word in words:
            total += self._first.of(history, word)
            history = (*history, word)[-2:]
        return total

    def _scored_anew(self, words: Sequence[int]) -> float:
        history: tuple[int, ...] = (START,)
        total = 0.0
        for word in words:
            number = self._numbers[word]
            if number == START:  # it does not know this word
                total += UNLISTED + LETTER * len(self._words[word])
                history = ()
                continue
            total += self._second.of(history, number)
            history = (*history, number)[-2:]
        return total

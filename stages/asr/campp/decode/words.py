"""A language model over words, and how decoders that spell ask it: which letters make words.

A word's probability is paid letter by letter: the best word that still begins so is counted
(look-ahead), and the difference to the word itself when it ends. So a beam of few prefixes
leaves wrong spellings early. Words that nobody knows can be spelled too, at a price.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from stages.asr.campp.decode.hypothesis import SPACE
from stages.errors import UserError

START = 0
"""The number of what stands before the first word; words are numbered from 1."""

STEP = 0.06
"""Natural logarithms between two stored numbers: 256 of them span 15."""

HIGHEST = 1.0
"""Natural logarithm that 0 stands for in back-off weights; in probabilities it stands for 0."""

BITS = 16
"""Of a word's number within a key of several."""

OUTSIDE = -1
"""The node of letters that begin no word of the lexicon."""

UNLISTED, LETTER = -7.0, -3.0
"""Natural logarithms of a word that is not listed, and of each of its letters."""

NOWHERE = -50.0
"""Natural logarithm of a space after a space, or before the first letter."""

Keys: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]


class NotWords(UserError):
    """A file that is no language model over words."""

    def __init__(self, file: Path, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file} is no language model over words: {reason}.")


class Context(NamedTuple):
    """The words before, and where in the lexicon the letters of the current one have led."""

    history: tuple[int, ...] = ()
    node: int = 0
    paid: float = 0.0  # of the current word so far


@dataclass(frozen=True, slots=True)
class Grams:
    """N-grams of one length: keys in ascending order, what they score, what backing off costs."""

    keys: Keys
    scores: Bytes
    back_offs: Bytes

    def find(self, key: int) -> int:
        """Return the place of a key, or -1."""
        place = int(self.keys.searchsorted(key))
        return place if place < len(self.keys) and self.keys[place] == key else -1


@dataclass(frozen=True, slots=True)
class Table:
    """What a file holds: words in ascending order, n-grams of up to three, and pronunciations."""

    words: tuple[str, ...]
    grams: tuple[Grams, Grams, Grams]
    sounds: tuple[tuple[int, tuple[str, ...]], ...] = ()  # a word's number, and its phones

    def save(self, file: Path) -> None:
        """Write it, packed: keys as differences."""
        parts: dict[str, npt.NDArray[np.generic]] = {
            "words": np.frombuffer("\n".join(self.words).encode(), dtype=np.uint8)
        }
        said = "\n".join(f"{number} {' '.join(phones)}" for number, phones in self.sounds)
        parts["sounds"] = np.frombuffer(said.encode(), dtype=np.uint8)
        for length, grams in enumerate(self.grams, 1):
            parts[f"keys{length}"] = np.diff(grams.keys, prepend=0)
            parts[f"scores{length}"] = grams.scores
            parts[f"back_offs{length}"] = grams.back_offs
        with file.open("wb") as target:
            np.savez_compressed(target, **parts)  # type: ignore[arg-type]

    @classmethod
    def read(cls, file: Path) -> Table:
        """Read what ``save`` wrote.

        Raises:
            NotWords: it is something else.
        """
        try:
            with file.open("rb") as source, np.load(source, allow_pickle=False) as found:
                words = tuple(found["words"].tobytes().decode().split("\n"))
                grams = tuple(
                    Grams(
                        np.cumsum(found[f"keys{length}"]),
                        found[f"scores{length}"],
                        found[f"back_offs{length}"],
                    )
                    for length in (1, 2, 3)
                )
                sounds = tuple(
                    (int(number), tuple(phones))
                    for number, *phones in (
                        line.split() for line in found["sounds"].tobytes().decode().splitlines()
                    )
                )
        except Exception as error:  # zip, NumPy and UTF-8 fail each in their own ways
            raise NotWords(file, str(error).split("\n", maxsplit=1)[0][:200]) from error
        return cls(words, (grams[0], grams[1], grams[2]), sounds)


class Chances:
    """How likely words are after words; histories are numbers of words, at most two."""

    def __init__(self, grams: tuple[Grams, Grams, Grams]) -> None:
        self._grams = grams
        self.of = lru_cache(maxsize=200_000)(self._of)

    def single(self, word: int) -> float:
        """Return the natural log probability of a word by itself."""
        return -STEP * float(self._grams[0].scores[word])

    def _of(self, history: tuple[int, ...], word: int) -> float:
        """Return the natural log probability of a word after a history."""
        if not history:
            return self.single(word)
        grams = self._grams[len(history)]
        key = 0
        for number in history:
            key = key << BITS | number
        place = grams.find(key << BITS | word)
        if place >= 0:
            return -STEP * float(grams.scores[place])
        return self._back_off(key, len(history)) + self.of(history[1:], word)

    def _back_off(self, key: int, length: int) -> float:
        grams = self._grams[length - 1]
        place = grams.find(key)
        return HIGHEST - STEP * float(grams.back_offs[place]) if place >= 0 else 0.0


class WordModel:
    """Scores the tokens of a spelling model by the words they make. It can be used by many beams.

    Args:
        table: words and n-grams.
    """

    def __init__(self, table: Table) -> None:
        self._chances = Chances(table.grams)
        self.start = Context((START,))
        self._children: dict[int, int] = {}  # by a node and a letter
        self._word = [-1]  # a node's word, or -1
        self._ahead = [-np.inf]  # the best word below a node
        for number, word in enumerate(table.words, 1):
            self._plant(word, number, self._chances.single(number))
        self._ahead[0] = 0.0  # nothing is paid before the first letter

    @classmethod
    def read(cls, file: Path) -> WordModel:
        """Read a model's file.

        Raises:
            NotWords: it is something else.
        """
        return cls(Table.read(file))

    def score(self, context: Context, token: str) -> tuple[float, Context]:
        """Return the natural log probability of a token after a context, and the next context."""
        history, node, paid = context
        if token == SPACE:
            if node == 0:
                return NOWHERE, context
            word = self._word[node] if node != OUTSIDE else -1
            return self._ended(history, word, paid), Context(self._after(history, word))
        child = OUTSIDE
        if node != OUTSIDE and len(token) == 1:
            child = self._children.get(_branch(node, token), OUTSIDE)
        if child != OUTSIDE:
            score = self._ahead[child] - (self._ahead[node] if node else 0.0)
        else:
            score = LETTER + (UNLISTED - paid if node != OUTSIDE else 0.0)
        return score, Context(history, child, paid + score)

    def finish(self, context: Context) -> float:
        """Return what is still to be paid if the last word ends here."""
        history, node, paid = context
        if node == 0:
            return 0.0
        return self._ended(history, self._word[node] if node != OUTSIDE else -1, paid)

    def _ended(self, history: tuple[int, ...], word: int, paid: float) -> float:
        """Return a word's price less what its letters have paid already."""
        if word >= 0:
            return self._chances.of(history, word) - paid
        return min(0.0, UNLISTED + LETTER - paid)  # a beginning of words that is none itself

    def _after(self, history: tuple[int, ...], word: int) -> tuple[int, ...]:
        return (*history, word)[-2:] if word >= 0 else ()

    def _plant(self, word: str, number: int, score: float) -> None:
        node = 0
        for letter in word:
            branch = _branch(node, letter)
            if branch not in self._children:
                self._children[branch] = len(self._word)
                self._word.append(-1)
                self._ahead.append(-np.inf)
            node = self._children[branch]
            self._ahead[node] = max(self._ahead[node], score)
        self._word[node] = number


def _branch(node: int, letter: str) -> int:
    return node << 21 | ord(letter)

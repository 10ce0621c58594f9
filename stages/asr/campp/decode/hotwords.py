"""Words that a call would rather hear: a trie over characters; false starts are undone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from stages.asr.campp.decode.hypothesis import SPACE


@dataclass(slots=True, eq=False)
class Place:
    """A place in the trie: a beginning of a hotword."""

    depth: int = 0
    ends: bool = False
    onward: dict[str, Place] = field(default_factory=dict)
    fall_back: Place | None = None  # the longest other beginning that this one ends with


class Hotwords:
    """Gives every character that goes along a hotword a bonus, and takes it back if it turns off.

    It reads characters, not tokens, so a hotword is found however it was cut into tokens.

    Args:
        words: hotwords; words in Latin script match from the start of a word.
        bonus: natural logarithm a character.
    """

    def __init__(self, words: Iterable[str], bonus: float) -> None:
        self.root = Place()
        self._bonus = bonus
        for word in words:
            self._insert(pattern(word))
        self._link()

    def follow(self, place: Place, text: str) -> tuple[Place, float]:
        """Go on from a place by a token's text; return the new place and the change of score."""
        change = 0.0
        for character in text.casefold():
            found = self._next(place, character)
            change += (found.depth - place.depth) * self._bonus
            place = self.root if found.ends else found  # a whole hotword keeps its bonus
        return place, change

    def undo(self, place: Place) -> float:
        """Return the change of score if the utterance ends here: half a hotword is none."""
        return -place.depth * self._bonus

    def _next(self, place: Place, character: str) -> Place:
        here: Place | None = place
        while here is not None:
            if character in here.onward:
                return here.onward[character]
            here = here.fall_back
        return self.root

    def _insert(self, text: str) -> None:
        place = self.root
        for depth, character in enumerate(text, start=1):
            place = place.onward.setdefault(character, Place(depth))
        if text:
            place.ends = True

    def _link(self) -> None:
        queue = deque(self.root.onward.values())
        for place in queue:
            place.fall_back = self.root
        while queue:
            place = queue.popleft()
            for character, child in place.onward.items():
                child.fall_back = self._next(place.fall_back or self.root, character)
                queue.append(child)


def pattern(word: str) -> str:
    """Return the characters of a hotword as tokens would spell them."""
    parts = word.casefold().split()
    joined = SPACE.join(parts)
    return SPACE + joined if joined and joined[0].isascii() else joined

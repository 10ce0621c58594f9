"""What decoders say: pieces of text with their frames, and how many of them are settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from stages.events import Word

LogProbs: TypeAlias = npt.NDArray[np.float32]
"""Natural logarithms of the tokens' probabilities, shape (frames, vocabulary)."""

SPACE = "▁"
"""Marks where a word begins, within tokens."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A token, or a word of a lexicon, and the output frames it was seen in."""

    text: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What was said in an utterance so far."""

    pieces: tuple[Piece, ...] = ()
    settled: int = 0  # pieces at the start that no more sound can change
    trailing: int = 0  # frames of blank at the end
    frames: int = 0  # decoded so far


class Decoder(Protocol):
    """Decodes one utterance, a packet at a time."""

    async def take(self, log_probs: LogProbs) -> Hypothesis:
        """Go on by these frames, shape (frames, vocabulary)."""

    async def look(self, log_probs: LogProbs) -> Hypothesis:
        """Tell what was said if it ended with these frames; they are not kept."""

    def close(self) -> None:
        """Let go of what is held elsewhere; the decoder is not used again."""

    async def nbest(self) -> list[tuple[float, Hypothesis]]:
        """Return the ways to read what was taken, best first, with natural log scores."""


def spelled(pieces: tuple[Piece, ...]) -> str:
    """Join pieces to text. It only ever grows at the end when pieces are added."""
    joined = "".join(piece.text for piece in pieces if not _special(piece.text))
    return " ".join(joined.replace(SPACE, " ").split())


def words(pieces: tuple[Piece, ...], start: int, hop: int) -> tuple[Word, ...]:
    """Return the words with their places.

    Args:
        pieces: of one utterance.
        start: position of the utterance's first sample in the caller's stream.
        hop: samples a frame stands for.
    """
    found: list[Word] = []
    open_word = False
    for piece in pieces:
        if _special(piece.text):
            continue
        text = piece.text.replace(SPACE, " ").strip()
        first, last = start + piece.first * hop, start + (piece.last + 1) * hop
        begins = piece.text.startswith(SPACE)
        if text and open_word and not begins and not _han(text[0]):
            found[-1] = Word(found[-1].text + text, found[-1].start, last)
        elif text:
            found.append(Word(text, first, last))
        open_word = bool(text) and not _han(text[-1]) and not piece.text.endswith(SPACE)
    return tuple(found)


def _special(text: str) -> bool:
    return len(text) > 2 and text.startswith("<") and text.endswith(">")


def _han(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff"

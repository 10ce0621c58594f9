"""Language models as a beam asks them, whatever they count: characters or words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from stages.asr.campp.decode.ngram import NGram
from stages.asr.campp.decode.words import WordModel

SUFFIX = ".lm"
"""Of files that hold words; all others are ARPA files over tokens."""


class LanguageModel(Protocol):
    """Scores tokens, one after the other; what a context is, only the model knows."""

    @property
    def start(self) -> Any:
        """The context before the first token."""

    def score(self, context: Any, token: str, /) -> tuple[float, Any]:
        """Return the natural log probability of a token after a context, and the next context."""

    def finish(self, context: Any, /) -> float:
        """Return what changes if nothing more is said, as a natural logarithm."""


def read(file: Path) -> LanguageModel:
    """Read a language model: words (``.lm``), or ARPA n-grams over tokens.

    Raises:
        NotWords, NotArpa: the file is none.
    """
    return WordModel.read(file) if file.suffix == SUFFIX else NGram.read(file)

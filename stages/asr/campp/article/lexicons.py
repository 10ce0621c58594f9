"""Lexicons and language models, each read once in a run: they are large and asked for often."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from stages.asr.campp.decode.spoken import Lexicon, Spoken
from stages.asr.campp.decode.words import Table
from stages.asr.campp.graph import Graph
from stages.asr.campp.training import pronounce
from stages.asr.campp.training.manifest import BadInput


def spoken(graph: Graph, words: Path | None) -> Spoken:
    """Return how a network of phones is heard, as in a call.

    Raises:
        BadInput: there is no language model.
        NotWords, NoSounds: it does not fit.
    """
    if words is None:
        raise BadInput("the model", ["it tells phones, and there is no .lm file beside it"])
    return Spoken(_lexicon(words, graph.tokens), graph.geometry.blank)


@lru_cache(maxsize=2)
def table(file: Path) -> Table:
    """Return what a language model's file holds.

    Raises:
        NotWords: it is something else.
    """
    return Table.read(file)


@lru_cache(maxsize=1)
def _lexicon(file: Path, tokens: tuple[str, ...]) -> Lexicon:
    return Lexicon(table(file), tokens)


@lru_cache(maxsize=1)
def dictionary() -> pronounce.Lexicon:
    """Return how words are said.

    Raises:
        NoDictionary: the package that brings it is not installed.
    """
    return pronounce.Lexicon.read()

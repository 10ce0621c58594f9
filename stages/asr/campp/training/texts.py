"""What synthetic voices say: our grammar, the words of human clips, and words in a row."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from stages.asr.campp.training import config as config_
from stages.asr.campp.training import manifest
from stages.asr.campp.training.manifest import BadInput
from stages.asr.campp.training.sentences import LONGEST, Grammar

GRAMMAR, CLIPS = 0.62, 0.23
"""Shares of sentences from the grammar and from human clips; the rest are words in a row."""

Sentences = Callable[[random.Random], str]


def sentences(
    grammar: Path | None, config: Path | None, data: Path, words: Path | None
) -> Sentences:
    """Return what draws sentences.

    Args:
        grammar: a grammar of one's own.
        config: a training, of whose clips only those it trains on are said again: nothing held
            back may be heard from another voice.
        data: folder that {data} in its manifests stands for.
        words: a list of words, one a line.

    Raises:
        NotAGrammar, BadInput: a file cannot be used.
    """
    rules = Grammar.read(grammar)
    said = _texts(config, data) if config else []
    listed = _words(words) if words else []

    def draw(rng: random.Random) -> str:
        kind = rng.random()
        if kind > GRAMMAR + CLIPS and listed:
            return " ".join(rng.choices(listed, k=rng.choice([1, 2, 3, 3, 4])))
        if GRAMMAR < kind <= GRAMMAR + CLIPS and said:
            return rng.choice(said)
        return rules.draw(rng)

    return draw


def _texts(config: Path, data: Path) -> list[str]:
    found: list[str] = []
    for source in config_.read(config).sources:
        if "{work}" in source.manifest:  # synthetic itself
            continue
        clips = manifest.read(Path(source.manifest.format(data=data)), source.sets)
        found += [
            clip.text
            for clip in clips
            if len(clip.text) <= LONGEST
            and not manifest.held_back(clip, source.hold_by, source.hold_share)
        ]
    return [text for text in dict.fromkeys(found) if " " in text]


def _words(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(file), [f"it cannot be read ({error})"]) from error
    plain = [word for word in lines if word.isascii() and word.isalpha() and word.islower()]
    kept = [word for word in plain if 2 <= len(word) <= 9]
    if not kept:
        raise BadInput(str(file), ["it holds no words of 2 to 9 small letters"])
    return kept

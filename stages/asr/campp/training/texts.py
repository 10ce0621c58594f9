"""What synthetic voices say: our grammar, human clips' words, other texts, words in a row."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from stages.asr.campp.training import config as config_
from stages.asr.campp.training import manifest
from stages.asr.campp.training.manifest import BadInput
from stages.asr.campp.training.sentences import LONGEST, Grammar
from stages.asr.campp.training.text import foreign, normalised

SHARES = {"grammar": 0.45, "clips": 0.15, "texts": 0.3, "words": 0.1}
"""How often each is drawn; what is not there leaves its share to the grammar."""

Sentences = Callable[[random.Random], str]


def sentences(
    grammar: Path | None,
    config: Path | None,
    data: Path,
    words: Path | None,
    texts: Path | None = None,
) -> Sentences:
    """Return what draws sentences.

    Args:
        grammar: a grammar of one's own.
        config: a training, of whose clips only those it trains on are said again: nothing held
            back may be heard from another voice.
        data: folder that {data} in its manifests stands for.
        words: a list of words, one a line.
        texts: sentences, one a line; those that cannot be spelled or are too long are left out.

    Raises:
        NotAGrammar, BadInput: a file cannot be used.
    """
    rules = Grammar.read(grammar)
    listed = _words(words) if words else []
    kinds: dict[str, Sentences] = {"grammar": rules.draw}
    said, read = _texts(config, data) if config else [], _lines(texts) if texts else []
    if said:
        kinds["clips"] = lambda rng: rng.choice(said)
    if read:
        kinds["texts"] = lambda rng: rng.choice(read)
    if listed:
        kinds["words"] = lambda rng: " ".join(rng.choices(listed, k=rng.choice([1, 2, 3, 3, 4])))
    shares = [SHARES[kind] for kind in kinds]
    shares[0] += 1.0 - sum(shares)

    def draw(rng: random.Random) -> str:
        return rng.choices(list(kinds.values()), shares)[0](rng)

    return draw


TIMES = 3
"""How often a human clip's text counts in a language model."""


def everything(
    count: int,
    seed: int,
    grammar: Path | None,
    config: Path | None,
    data: Path,
    texts: Path | None,
) -> list[str]:
    """Return what a language model is made of: drawn sentences, human clips' texts, others.

    Args:
        count: sentences drawn from the grammar.
        seed: of the drawing.
        grammar: a grammar of one's own.
        config: a training, of whose clips only those it trains on are taken.
        data: folder that {data} in its manifests stands for.
        texts: sentences, one a line.

    Raises:
        NotAGrammar, BadInput: a file cannot be used.
    """
    rules, rng = Grammar.read(grammar), random.Random(seed)
    drawn = [rules.draw(rng) for _ in range(count)]
    said = _texts(config, data) if config else []
    return drawn + said * TIMES + (_lines(texts) if texts else [])


def _texts(config: Path, data: Path) -> list[str]:
    found: list[str] = []
    for source in config_.read(config).sources:
        if "{work}" in source.manifest:  # synthetic itself
            continue
        clips = manifest.read(source.file(data, Path()), source.sets)
        found += [
            clip.text
            for clip in clips
            if len(clip.text) <= LONGEST
            and not manifest.held_back(clip, source.hold_by, source.hold_share)
        ]
    return [text for text in dict.fromkeys(found) if " " in text]


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(file), [f"it cannot be read ({error})"]) from error
    plain = dict.fromkeys(normalised(line) for line in lines)
    kept = [text for text in plain if text and len(text) <= LONGEST and not foreign(text)]
    if not kept:
        raise BadInput(str(file), ["it holds no sentences of small letters"])
    return kept


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

"""Small n-gram language models over tokens, made of texts: counted, smoothed, written as ARPA.

Witten-Bell smoothing: a context's chance of something new is how often it was followed by
something new. It needs no counts of counts, so a few thousand sentences are enough.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from stages.asr.campp.decode.hypothesis import SPACE
from stages.asr.campp.training.manifest import BadInput

Gram = tuple[str, ...]

START, UNKNOWN = "<s>", "<unk>"
NEVER = -99.0
"""Base-10 logarithm of a probability that is none: <s> is never predicted."""


def write(texts: Iterable[str], order: int, file: Path, least: int = 1) -> int:
    """Count texts and write their model over characters; return its n-grams.

    Args:
        texts: normalised; spaces count as the token that marks a word.
        order: tokens of the longest n-gram.
        file: where it goes, whole or not at all.
        least: longer n-grams than pairs are kept only if they were seen so often.

    Raises:
        BadInput: there are no texts.
    """
    counts = counted(texts, order)
    if not counts[0]:
        raise BadInput(str(file), ["there are no texts to count"])
    kept = _kept(counts, least)
    followed = _followers(kept)
    probabilities = _smoothed(kept, followed)
    part = file.with_name(file.name + ".part")
    part.write_text("\n".join(_lines(kept, probabilities, followed)) + "\n", encoding="utf-8")
    part.replace(file)
    return sum(len(grams) for grams in kept)


def counted(texts: Iterable[str], order: int) -> list[Counter[Gram]]:
    """Return how often each n-gram was seen, by length; every text begins with <s>."""
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for text in texts:
        tokens = [START, *(SPACE if letter == " " else letter for letter in text)]
        for end in range(1, len(tokens)):
            for length in range(1, min(order, end + 1) + 1):
                counts[length - 1][tuple(tokens[end + 1 - length : end + 1])] += 1
    return counts


def _kept(counts: list[Counter[Gram]], least: int) -> list[dict[Gram, int]]:
    """Drop rare long n-grams, then those whose context went with them."""
    kept: list[dict[Gram, int]] = []
    for length, grams in enumerate(counts, 1):
        few = least if length > 2 else 1
        kept.append(
            {
                gram: count
                for gram, count in grams.items()
                if count >= few and (length < 3 or gram[:-1] in kept[-1])
            }
        )
    return kept


def _followers(kept: list[dict[Gram, int]]) -> dict[Gram, tuple[int, int]]:
    """Return for every context how many tokens followed it, and how many different ones."""
    totals: defaultdict[Gram, int] = defaultdict(int)
    kinds: defaultdict[Gram, int] = defaultdict(int)
    for grams in kept:
        for gram, count in grams.items():
            totals[gram[:-1]] += count
            kinds[gram[:-1]] += 1
    return {context: (totals[context], kinds[context]) for context in totals}


def _smoothed(
    kept: list[dict[Gram, int]], followed: dict[Gram, tuple[int, int]]
) -> dict[Gram, float]:
    """Return every n-gram's probability: what was counted, mixed with the shorter context's."""
    found: dict[Gram, float] = {}
    tokens = len(kept[0]) + 1  # and what was never seen
    for grams in kept:
        for gram, count in grams.items():
            total, kinds = followed[gram[:-1]]
            shorter = found[gram[1:]] if len(gram) > 1 else 1 / tokens
            found[gram] = (count + kinds * shorter) / (total + kinds)
    return found


def _lines(
    kept: list[dict[Gram, int]],
    probabilities: dict[Gram, float],
    followed: dict[Gram, tuple[int, int]],
) -> Iterable[str]:
    total, kinds = followed[()]
    unseen = kinds / (total + kinds) / (len(kept[0]) + 1)
    yield "\\data\\"
    for length, grams in enumerate(kept, 1):
        extra = 2 if length == 1 else 0
        yield f"ngram {length}={len(grams) + extra}"
    for length, grams in enumerate(kept, 1):
        yield ""
        yield f"\\{length}-grams:"
        if length == 1:
            yield f"{math.log10(unseen):.5f}\t{UNKNOWN}"
            yield f"{NEVER:.0f}\t{START}\t{_back_off((START,), followed):.5f}"
        for gram in grams:
            line = f"{math.log10(probabilities[gram]):.5f}\t{' '.join(gram)}"
            yield f"{line}\t{_back_off(gram, followed):.5f}" if gram in followed else line
    yield ""
    yield "\\end\\"


def _back_off(context: Gram, followed: dict[Gram, tuple[int, int]]) -> float:
    total, kinds = followed.get(context, (0, 1))
    return math.log10(kinds / (total + kinds))

"""Makes the language model over words: our own texts, mixed with a general one, and pruned.

What is kept of both is what changes most when it is left out: an n-gram counts by how often it
is met times how far its probability is from what shorter ones say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stages.asr.campp.decode.ngram import TEN, NotArpa
from stages.asr.campp.decode.words import BITS, HIGHEST, START, STEP, Grams, Table
from stages.asr.campp.training.manifest import BadInput
from stages.asr.campp.training.pronounce import Lexicon

Keys = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

LEAST = -30.0
"""Natural logarithm of what cannot be."""

SENTENCES = 0.1
"""How often <s> is met, of all words: one in ten."""

_WORD = re.compile(r"[a-z']*[a-z][a-z']*")
_LONGEST = 3


@dataclass(frozen=True, slots=True)
class Grown:
    """N-grams of one length: ascending keys, natural logarithms, and of backing off from them."""

    keys: Keys
    scores: Reals
    back_offs: Reals

    def at(self, keys: Keys) -> tuple[npt.NDArray[np.bool_], Keys]:
        """Return which keys are there, and where."""
        places = np.minimum(self.keys.searchsorted(keys), max(0, len(self.keys) - 1))
        return (self.keys[places] == keys) if len(self.keys) else keys < 0, places


@dataclass(frozen=True, slots=True)
class Model:
    """Back-off n-grams of up to three words by number."""

    grams: tuple[Grown, ...]

    def scores(self, keys: Keys, length: int) -> Reals:
        """Return the natural log probability of each n-gram's last word after the others."""
        if length == 1:
            return self.grams[0].scores[keys]
        known, places = self.grams[length - 1].at(keys)
        shorter = keys & ((1 << BITS * (length - 1)) - 1)
        found = self._back_offs(keys >> BITS, length - 1) + self.scores(shorter, length - 1)
        found[known] = self.grams[length - 1].scores[places[known]]
        return found

    def _back_offs(self, contexts: Keys, length: int) -> Reals:
        if length == 1:
            return self.grams[0].back_offs[contexts]
        known, places = self.grams[length - 1].at(contexts)
        return np.where(known, self.grams[length - 1].back_offs[places], 0.0)


def build(
    texts: Sequence[str],
    general: Path | None,
    words: int,
    sizes: tuple[int, int],
    own: float,
    lexicon: Lexicon | None = None,
) -> Table:
    """Return the model of some texts.

    Args:
        texts: normalised, one sentence each.
        general: an ARPA file over words that is mixed in.
        words: of the general model's likeliest that are kept; those of the texts come on top.
        sizes: pairs and triples kept, at most.
        own: share of the texts' own model in the mixture, 0 to 1.
        lexicon: gives the words' pronunciations, for networks of phones.

    Raises:
        BadInput: there are no texts, or more words than a key has room for.
        NotArpa: the general model is none.
    """
    counts = Counter(word for text in texts for word in text.split() if _WORD.fullmatch(word))
    chosen = {word for word, count in counts.items() if count > 1}
    chosen |= set(_likeliest(general, words)) if general else set(counts)
    if not counts:
        raise BadInput("the texts", ["there are no words in them"])
    if len(chosen) >= 1 << BITS:
        raise BadInput("the texts", [f"{len(chosen)} words are more than {(1 << BITS) - 1}"])
    listed = tuple(sorted(chosen))
    numbers = {"<s>": START, **{word: number for number, word in enumerate(listed, 1)}}
    models = [_counted(texts, numbers)]
    shares = [1.0]
    if general:
        models.append(_read(general, numbers))
        shares = [own, 1.0 - own]
    sounds = [
        (number, phones)
        for number, word in enumerate(listed, 1)
        for phones in (lexicon.of(word) if lexicon else ())
    ]
    return Table(listed, _packed(_mixed(models, shares, sizes)), tuple(sounds))


def pruned(table: Table, sizes: tuple[int, int]) -> Table:
    """Return the same words with fewer pairs and triples: those that change least are left out.

    Args:
        table: the model.
        sizes: pairs and triples kept, at most.
    """
    grams = [
        Grown(
            one.keys,
            -STEP * one.scores.astype(np.float64),
            HIGHEST - STEP * one.back_offs.astype(np.float64),
        )
        for one in table.grams
    ]
    return Table(table.words, _packed(_mixed([Model(tuple(grams))], [1.0], sizes)), table.sounds)


def _likeliest(general: Path, count: int) -> list[str]:
    found = [(score, words[0]) for length, words, score, _ in _entries(general) if length == 1]
    plain = [(score, word) for score, word in found if _WORD.fullmatch(word)]
    return [word for _, word in sorted(plain, reverse=True)[:count]]


def _entries(file: Path) -> Iterator[tuple[int, list[str], float, float]]:
    """Yield length, words, log probability and back-off weight (natural) of every n-gram."""
    length = 0
    try:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("\\"):
                    length = int(line[1]) if line.strip().endswith("-grams:") else 0
                elif length and line.strip():
                    fields = line.split()
                    back_off = float(fields[length + 1]) if len(fields) > length + 1 else 0.0
                    yield length, fields[1 : length + 1], float(fields[0]) * TEN, back_off * TEN
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise NotArpa(file, str(error)) from error


def _read(file: Path, numbers: dict[str, int]) -> Model:
    keys: list[list[int]] = [[] for _ in range(_LONGEST)]
    values: list[list[tuple[float, float]]] = [[] for _ in range(_LONGEST)]
    for length, words, score, back_off in _entries(file):
        known = [numbers.get(word) for word in words]
        if length <= _LONGEST and None not in known:
            keys[length - 1].append(_key([number for number in known if number is not None]))
            values[length - 1].append((max(score, LEAST), back_off))
    grams = [_sorted(np.array(k, np.int64), np.array(v).reshape(-1, 2)) for k, v in zip(
        keys, values, strict=True)]  # fmt: skip
    return Model((_every_word(grams[0], len(numbers)), *grams[1:]))


def _counted(texts: Iterable[str], numbers: dict[str, int]) -> Model:
    """Count texts; Witten-Bell smoothing, as for the models over characters."""
    seen: list[list[int]] = [[] for _ in range(_LONGEST)]
    for text in texts:
        history = [START]
        for word in text.split():
            number = numbers.get(word)
            if number is None:
                history = []
                continue
            history.append(number)
            for length in range(1, min(_LONGEST, len(history)) + 1):
                seen[length - 1].append(_key(history[-length:]))
    grown: list[Grown] = []
    for length, each in enumerate(seen, 1):
        keys, counts = np.unique(np.array(each, np.int64), return_counts=True)
        contexts = keys >> BITS if length > 1 else np.zeros_like(keys)
        names, where = np.unique(contexts, return_inverse=True)
        totals, kinds = np.bincount(where, weights=counts), np.bincount(where)
        shorter = (
            np.exp(Model(tuple(grown)).scores(keys & ((1 << BITS * (length - 1)) - 1), length - 1))
            if length > 1
            else np.full(len(keys), 1.0 / len(numbers))
        )
        chances = (counts + kinds[where] * shorter) / (totals + kinds)[where]
        found = Grown(keys, np.log(chances), np.zeros(len(keys)))
        if length == 1:
            unseen = float(np.log(kinds[0] / (totals + kinds)[0] / len(numbers)))
            found = _every_word(found, len(numbers), unseen)
        else:
            known, places = grown[-1].at(names)
            grown[-1].back_offs[places[known]] = np.log(kinds / (totals + kinds))[known]
        grown.append(found)
    return Model(tuple(grown))


def _mixed(models: Sequence[Model], shares: Sequence[float], sizes: tuple[int, int]) -> Model:
    def mixed(keys: Keys, length: int) -> Reals:
        each = [share * np.exp(m.scores(keys, length)) for m, share in zip(
            models, shares, strict=True)]  # fmt: skip
        return np.log(np.maximum(np.sum(each, axis=0), np.exp(LEAST)))

    every = np.arange(len(models[0].grams[0].keys), dtype=np.int64)
    singles = mixed(every, 1)
    met = singles.copy()
    met[START] = np.log(SENTENCES)
    kept = [Grown(every, singles, np.zeros(len(every)))]
    for length, size in zip((2, 3), sizes, strict=True):
        keys = np.unique(np.concatenate([model.grams[length - 1].keys for model in models]))
        keys = keys[(keys & ((1 << BITS) - 1)) != START]
        scores, contexts = mixed(keys, length), keys >> BITS
        if length > 2:  # a triple needs its pair
            known, _ = kept[-1].at(contexts)
            keys, scores, contexts = keys[known], scores[known], contexts[known]
        shorter = Model(tuple(kept)).scores(keys & ((1 << BITS * (length - 1)) - 1), length - 1)
        often = met[contexts] if length == 2 else met[contexts >> BITS] + mixed(contexts, 2)
        worth = np.exp(often + scores) * np.abs(scores - shorter)
        best = np.sort(np.argsort(-worth)[:size])
        chosen = Grown(keys[best], scores[best], np.zeros(len(best)))
        _balance(kept[-1], chosen, shorter[best])
        kept.append(chosen)
    return Model(tuple(kept))


def _balance(contexts: Grown, longer: Grown, shorter: Reals) -> None:
    """Set what backing off costs, so that all words after a context add up to one."""
    names, where = np.unique(longer.keys >> BITS, return_inverse=True)
    left = 1.0 - np.bincount(where, weights=np.exp(longer.scores))
    before = 1.0 - np.bincount(where, weights=np.exp(shorter))
    known, places = contexts.at(names)
    weights = np.log(np.maximum(left, 1e-4) / np.maximum(before, 1e-4))
    contexts.back_offs[places[known]] = weights[known]


def _packed(model: Model) -> tuple[Grams, Grams, Grams]:
    made = [
        Grams(
            each.keys,
            np.clip(np.rint(-each.scores / STEP), 0, 255).astype(np.uint8),
            np.clip(np.rint((HIGHEST - each.back_offs) / STEP), 0, 255).astype(np.uint8),
        )
        for each in model.grams
    ]
    return made[0], made[1], made[2]


def _key(numbers: Sequence[int]) -> int:
    key = 0
    for number in numbers:
        key = key << BITS | number
    return key


def _sorted(keys: Keys, values: Reals) -> Grown:
    order = np.argsort(keys)
    return Grown(keys[order], values[order, 0], values[order, 1])


def _every_word(grams: Grown, count: int, unseen: float = LEAST) -> Grown:
    """Return single words as a table without holes: a word's number is its place."""
    scores, back_offs = np.full(count, unseen), np.zeros(count)
    scores[grams.keys], back_offs[grams.keys] = grams.scores, grams.back_offs
    return Grown(np.arange(count, dtype=np.int64), scores, back_offs)

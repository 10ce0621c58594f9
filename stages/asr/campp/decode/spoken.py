"""Beam search from phones to words: a lexicon tells what they make, n-grams what makes sense.

A hypothesis is the words so far and a place in the lexicon's tree of phones. Its score is CTC's,
summed over blanks and repeats, and the language model's, paid on the way: every phone pays what
the best word costs that it leaves possible, and a word's end the difference to the word itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from stages.asr.campp.decode.hypothesis import SPACE, Hypothesis, LogProbs, Piece
from stages.asr.campp.decode.prefix_beam import NONE, plus
from stages.asr.campp.decode.said import READINGS, Lost, Said, readings, shared
from stages.asr.campp.decode.second import Second
from stages.asr.campp.decode.words import START, Chances, Table
from stages.errors import UserError
from stages.threads import Workers

UNFINISHED = -20.0
"""Natural logarithm of a last word that is none: it costs, but what was heard is not lost."""


class NoSounds(UserError):
    """A lexicon that does not fit a network of phones."""


def tells_phones(tokens: Sequence[str]) -> bool:
    """Tell whether a network's tokens are phones, which need a lexicon to become words."""
    return "AH" in tokens and SPACE not in tokens


@dataclass(slots=True, eq=False)
class Branch:
    """A place in the tree: the phone that leads there, what follows, the words that end here."""

    token: int
    below: dict[int, Branch] = field(default_factory=dict)
    words: list[int] = field(default_factory=list)
    ahead: float = NONE  # of the best word from here on


@dataclass(slots=True)
class Entry:
    """Ways to a hypothesis: log probabilities of those that end in blank, and in its phone."""

    blank: float
    token: float
    model: float  # what the language model adds
    first: int  # frame in which the current word began
    last: int  # frame in which it was last heard
    lost: Lost | None = None  # words that gave way to these


Key: TypeAlias = tuple[Said, Branch]

Rest: TypeAlias = tuple[float, int, int, Lost | None]
"""What an entry holds beside its ways: model, first, last, lost."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One frame: the phones that are tried, and the hypotheses that come of it."""

    tried: dict[int, float]
    made: dict[Key, Entry]

    def add(self, key: Key, blank: float, token: float, rest: Rest) -> None:
        """Add ways to a hypothesis; ``rest`` is of the likelier ones."""
        entry = self.made.get(key)
        if entry is None:
            self.made[key] = Entry(blank, token, *rest)
            return
        if max(blank, token) > max(entry.blank, entry.token):
            entry.model, entry.first, entry.last, entry.lost = rest
        entry.blank, entry.token = plus(entry.blank, blank), plus(entry.token, token)


@dataclass(frozen=True, slots=True)
class Spoken:
    """How a network's phones are heard.

    Args:
        lexicon: the tree, and the words' texts by number.
        beam: hypotheses kept a frame.
        margin: natural logarithms below the best at which one is dropped.
        floor: natural logarithm; less likely phones are not tried.
        sure: natural logarithm; a blank likelier than this is taken without a search.
        weight: of the language model.
        bonus: natural logarithm a word: above 0 for more words, below for fewer.
        scale: of the network's logarithms. Frames are no independent witnesses, and a network of
            little training is surer than it is right.
        reluctance: natural logarithm that a blank costs: such a network leaves phones out.
        favoured: natural logarithms that come on top for words that a call waits for.
        second: another model, which chooses among the readings when an utterance has ended.
    """

    lexicon: Lexicon
    blank: int = 0
    beam: int = 96
    margin: float = 9.0
    floor: float = -6.0
    sure: float = -0.01
    weight: float = 0.6
    bonus: float = -0.75
    scale: float = 0.6
    reluctance: float = 1.5
    favoured: Mapping[int, float] = field(default_factory=dict)
    second: Second | None = None

    def with_hotwords(self, hotwords: Sequence[str], bonus: float) -> Spoken:
        """Return these rules for a call that waits for words; unknown ones are left out.

        Args:
            hotwords: words or phrases; each word of a phrase counts.
            bonus: natural logarithm a letter.
        """
        known = {word: number for number, word in enumerate(self.lexicon.words) if word}
        wanted = {word for phrase in hotwords for word in phrase.lower().split()}
        favoured = {known[word]: bonus * len(word) for word in wanted if word in known}
        return replace(self, favoured=favoured)


class Lexicon:
    """The tree of phones, and how likely the words at its ends are.

    Raises:
        NoSounds: the table has no pronunciations, or phones that are none of the tokens.
    """

    def __init__(self, table: Table, tokens: tuple[str, ...]) -> None:
        if not table.sounds:
            raise NoSounds("The language model has no pronunciations; this network tells phones.")
        numbers = {token: number for number, token in enumerate(tokens)}
        self.words = ("", *table.words)
        self.chances = Chances(table.grams)
        self.root = Branch(-1)
        for word, phones in table.sounds:
            unknown = [phone for phone in phones if phone not in numbers]
            if unknown:
                raise NoSounds(f"The network has no token for the phone {unknown[0]!r}.")
            self._plant(word, [numbers[phone] for phone in phones])
        self.root.ahead = 0.0  # nothing is paid before the first phone

    def with_grams(self, table: Table) -> Lexicon:
        """Return the same tree with fewer or more n-grams of the same words."""
        if self.words[1:] != table.words:
            raise NoSounds("These n-grams are over other words than the lexicon's.")
        other = copy(self)
        other.chances = Chances(table.grams)
        return other

    def _plant(self, word: int, tokens: list[int]) -> None:
        score, branch = self.chances.single(word), self.root
        for token in tokens:
            branch = branch.below.setdefault(token, Branch(token))
            branch.ahead = max(branch.ahead, score)
        if word not in branch.words:
            branch.words.append(word)


class Search:
    """The search itself, without threads: one utterance."""

    def __init__(self, rules: Spoken) -> None:
        self._rules = rules
        nothing = Said(None, 0, (START,), 0, 0, 0)
        self._entries: dict[Key, Entry] = {
            (nothing, rules.lexicon.root): Entry(0.0, NONE, 0.0, 0, 0)
        }
        self._frames = 0
        self._spoken = -1  # last frame whose likeliest token was no blank

    def copy(self) -> Search:
        """Return a search that goes its own way from here."""
        copy = Search(self._rules)
        copy._entries = dict(self._entries)  # entries are replaced, never changed, between frames
        copy._frames, copy._spoken = self._frames, self._spoken
        return copy

    def take(self, log_probs: LogProbs) -> None:
        """Go on by these frames."""
        rules = self._rules
        for frame in log_probs:
            blank = float(frame[rules.blank])
            if frame.argmax() != rules.blank:
                self._spoken = self._frames
            if blank > rules.sure:
                self._rest(blank)
            else:
                tried = np.flatnonzero(frame > rules.floor).tolist()
                chances = {t: rules.scale * float(frame[t]) for t in tried if t != rules.blank}
                self._step(rules.scale * blank - rules.reluctance, chances)
            self._frames += 1

    def best(self) -> Hypothesis:
        """Return the best words, the last one perhaps half heard."""
        _, said = max(self._ends(), key=lambda one: one[0])
        return self._told(said, self._settled())

    def ranked(self) -> list[tuple[float, Hypothesis]]:
        """Return what was said if it ended here, best first, with natural log scores."""
        settled = self._settled()
        found = sorted(self._ends(), key=lambda one: -one[0])
        return [(score, self._told(said, settled)) for score, said in found]

    def final(self, second: Second | None = None) -> Hypothesis:
        """Return the words if it ended here: the best, or what the second model thinks best."""
        second = second or self._rules.second
        if second is None:
            return self.best()
        _, said = max(self.readings(), key=lambda one: one[0] + second.change(one[1]))
        return self._told(said, shared(said, self._common()).depth)

    def readings(self, most: int = READINGS) -> list[tuple[float, Said]]:
        """Return the ways to read what was said, each once, best first, with natural log scores.

        Those that gave way to others while it was searched are among them only if there is a
        second model: nobody else asks.
        """
        ends = []
        for (said, branch), entry in self._entries.items():
            score = plus(entry.blank, entry.token) + entry.model
            ends += [
                (score + self._ended(said, branch, word), self._said(said, word, entry), entry.lost)
                for word in branch.words
            ]
            if not branch.words:
                unfinished = 0.0 if branch.token < 0 else UNFINISHED
                ends.append((score + unfinished, said, entry.lost))
        return readings(ends, most)

    def _rest(self, blank: float) -> None:
        self._entries = {
            key: Entry(plus(e.blank, e.token) + blank, NONE, e.model, e.first, e.last, e.lost)
            for key, e in self._entries.items()
        }

    def _step(self, blank: float, tried: dict[int, float]) -> None:
        turn = Turn(tried, {})
        for key, entry in self._entries.items():
            both = plus(entry.blank, entry.token)
            again = tried.get(key[1].token)
            repeated = NONE if again is None else entry.token + again
            last = entry.last if again is None else self._frames
            turn.add(key, both + blank, repeated, (entry.model, entry.first, last, entry.lost))
            self._within(turn, key, entry, both)
            for word in key[1].words:
                self._after(turn, key, entry, both, word)
        self._entries = self._kept(turn.made)

    def _within(self, turn: Turn, key: Key, entry: Entry, both: float) -> None:
        """Let a word go on."""
        (said, branch), weight, frame = key, self._rules.weight, self._frames
        first = entry.first if branch.token >= 0 else frame
        for token, chance in turn.tried.items():
            below = branch.below.get(token)
            if below is not None:
                before = entry.blank if token == branch.token else both
                model = entry.model + weight * (below.ahead - branch.ahead)
                rest = (model, first, frame, entry.lost)
                turn.add((said, below), NONE, before + chance, rest)

    def _after(self, turn: Turn, key: Key, entry: Entry, both: float, word: int) -> None:
        """Let a word end, and the next begin."""
        (said, branch), rules, frame = key, self._rules, self._frames
        model = entry.model + self._ended(said, branch, word)
        longer: Said | None = None
        for token, chance in turn.tried.items():
            below = rules.lexicon.root.below.get(token)
            before = entry.blank if token == branch.token else both
            if below is None or before == NONE:
                continue
            longer = longer or self._said(said, word, entry)
            paid = model + rules.weight * below.ahead
            rest = (paid, frame, frame, entry.lost)
            turn.add((longer, below), NONE, before + chance, rest)

    def _ended(self, said: Said, branch: Branch, word: int) -> float:
        rules = self._rules
        price = rules.lexicon.chances.of(said.history, word) - branch.ahead
        return rules.weight * price + rules.bonus + rules.favoured.get(word, 0.0)

    def _said(self, said: Said, word: int, entry: Entry) -> Said:
        return said.then(word, entry.first, entry.last)

    def _kept(self, made: dict[Key, Entry]) -> dict[Key, Entry]:
        """Keep the best; of hypotheses that no later sound can tell apart only the better."""
        ranked = sorted(
            ((plus(e.blank, e.token) + e.model, key, e) for key, e in made.items()),
            key=lambda one: -one[0],
        )
        lowest = ranked[0][0] - self._rules.margin
        kept: dict[Key, Entry] = {}
        better: dict[tuple[tuple[int, ...], int], tuple[float, Said, Entry]] = {}
        for score, key, entry in ranked:
            if score < lowest or len(kept) >= self._rules.beam:
                break
            alike = (key[0].history, id(key[1]))
            if alike not in better:
                better[alike] = score, key[0], entry
                kept[key] = entry
            elif self._rules.second is not None:
                best, said, winner = better[alike]
                winner.lost = Lost(key[0], said, score - best, entry.lost, winner.lost)
        return kept

    def _ends(self) -> list[tuple[float, Said]]:
        """Return the words of each hypothesis if it ended here, with its score."""
        found = []
        for (said, branch), entry in self._entries.items():
            score = plus(entry.blank, entry.token) + entry.model
            if branch.token < 0:  # nothing was said yet
                found.append((score, said))
                continue
            ends = [(score + self._ended(said, branch, word), word) for word in branch.words]
            best, word = max(ends, default=(score + UNFINISHED, 0))
            found.append((best, self._said(said, word, entry) if word else said))
        return found

    def _settled(self) -> int:
        return self._common().depth

    def _common(self) -> Said:
        """Words that all hypotheses share: what comes later grows from these only."""
        ways = [said for said, _ in self._entries]
        common = ways[0]
        for other in ways[1:]:
            common = shared(common, other)
        return common

    def _told(self, said: Said, settled: int) -> Hypothesis:
        pieces: list[Piece] = []
        here: Said | None = said
        while here is not None and here.before is not None:
            text = SPACE + self._rules.lexicon.words[here.word]
            pieces.append(Piece(text, here.first, here.last))
            here = here.before
        trailing = self._frames - 1 - self._spoken
        return Hypothesis(tuple(reversed(pieces)), settled, trailing, self._frames)


class SpokenBeam:
    """Decoder of one utterance; its steps run in a thread."""

    def __init__(self, rules: Spoken, workers: Workers) -> None:
        self._search, self._workers = Search(rules), workers

    async def take(self, log_probs: LogProbs) -> Hypothesis:
        """Go on by these frames, shape (frames, vocabulary)."""
        search = self._search.copy()  # an abandoned step leaves this decoder as it was
        self._search, told = await self._workers.run(lambda: _advanced(search, log_probs))
        return told

    async def look(self, log_probs: LogProbs) -> Hypothesis:
        """Tell what was said if it ended with these frames; they are not kept."""
        search = self._search.copy()
        return await self._workers.run(lambda: _final(search, log_probs))

    def close(self) -> None:
        """Nothing is held outside this object."""

    async def nbest(self) -> list[tuple[float, Hypothesis]]:
        """Return the ways to read what was taken, best first, with natural log scores."""
        return self._search.ranked()


def _advanced(search: Search, log_probs: LogProbs) -> tuple[Search, Hypothesis]:
    search.take(log_probs)
    return search, search.best()


def _final(search: Search, log_probs: LogProbs) -> Hypothesis:
    search.take(log_probs)
    return search.final()

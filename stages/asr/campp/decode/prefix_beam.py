"""CTC prefix beam search with hotwords and an n-gram model over tokens."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import numpy as np

from stages.asr.campp.decode.hotwords import Hotwords, Place
from stages.asr.campp.decode.hypothesis import Hypothesis, LogProbs, Piece
from stages.asr.campp.decode.language import LanguageModel
from stages.asr.campp.decode.rescore import Ranked
from stages.threads import Workers

NONE = -math.inf

Weigh: TypeAlias = Callable[[Ranked], Ranked]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Node:
    """A prefix: its last token on top of a shorter prefix. One object a prefix, ever."""

    parent: Node | None
    token: int
    depth: int
    outside: float  # what the language model and the hotwords add to it
    context: Any  # the language model's own
    place: Place | None


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the tokens of a prefix were seen; the strongest frames of the likeliest way."""

    before: Spot | None
    first: int
    last: int
    strength: float


@dataclass(slots=True)
class Entry:
    """A prefix of the beam: log probabilities of its ways that end in blank, and that do not."""

    blank: float
    token: float
    spot: Spot | None

    @property
    def both(self) -> float:
        """Log probability of all ways to this prefix."""
        return plus(self.blank, self.token)


@dataclass(frozen=True, slots=True)
class Rules:
    """What all utterances of a call share."""

    tokens: tuple[str, ...]
    blank: int = 0
    beam: int = 8
    candidates: int = 8  # tokens tried a frame
    floor: float = -9.0  # natural log; less likely tokens are not tried
    sure: float = -0.002  # natural log; a blank likelier than this is taken without a search
    model: LanguageModel | None = None
    weight: float = 0.3  # of the language model
    length_bonus: float = 0.5  # a token, so that the language model does not favour silence
    hotwords: Hotwords | None = None

    def with_hotwords(self, hotwords: Hotwords | None) -> Rules:
        """Return these rules for a call with hotwords of its own."""
        return replace(self, hotwords=hotwords)


class Beam:
    """The search itself, without threads: one utterance."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        start = rules.model.start if rules.model else ()
        root = Node(None, -1, 0, 0.0, start, rules.hotwords.root if rules.hotwords else None)
        self._entries: dict[Node, Entry] = {root: Entry(0.0, NONE, None)}
        # A prefix that left the beam may come back while longer ones still stand on it.
        self._nodes: WeakValueDictionary[tuple[int, int], Node] = WeakValueDictionary()
        self._frames = 0
        self._spoken = -1  # last frame whose likeliest token was no blank

    def copy(self) -> Beam:
        """Return a search that goes its own way from here."""
        copy = Beam(self._rules)
        copy._entries = dict(self._entries)  # entries are replaced, never changed, between frames
        copy._nodes = self._nodes.copy()
        copy._frames, copy._spoken = self._frames, self._spoken
        return copy

    def take(self, log_probs: LogProbs) -> None:
        """Go on by these frames."""
        rules = self._rules
        count = min(rules.candidates, log_probs.shape[1])
        likeliest = np.argpartition(-log_probs, count - 1, axis=1)[:, :count]
        for frame, tokens in zip(log_probs, likeliest, strict=True):
            if frame.argmax() != rules.blank:
                self._spoken = self._frames
            blank = float(frame[rules.blank])
            tried = [(int(t), float(frame[t])) for t in tokens if frame[t] > rules.floor]
            tried = [one for one in tried if one[0] != rules.blank and blank < rules.sure]
            self._step(blank, tried)
            self._frames += 1

    def ranked(self, ended: bool = True) -> list[tuple[float, Hypothesis]]:
        """Return the hypotheses, best first; ``ended`` closes half a word and half a hotword."""
        found = []
        for node, entry in self._entries.items():
            ending = self._ending(node) if ended else 0.0
            found.append((entry.both + node.outside + ending, node, entry))
        found.sort(key=lambda one: -one[0])
        settled = self._settled()
        return [(score, self._told(node, entry, settled)) for score, node, entry in found]

    def _ending(self, node: Node) -> float:
        """Return what changes for a prefix if nothing follows it."""
        rules = self._rules
        undo = rules.hotwords.undo(node.place) if rules.hotwords and node.place else 0.0
        return undo + (rules.weight * rules.model.finish(node.context) if rules.model else 0.0)

    def _step(self, blank: float, tried: list[tuple[int, float]]) -> None:
        made: dict[Node, Entry] = {}
        for node, entry in self._entries.items():
            before = entry.both
            _add(made, node, blank=before + blank, spot=entry.spot)
            for token, probability in tried:
                if token == node.token:
                    spot = self._longer(entry.spot, probability)
                    _add(made, node, token=entry.token + probability, spot=spot)
                    before_it = entry.blank
                else:
                    before_it = before
                if before_it > NONE:
                    child = self._child(node, token)
                    spot = Spot(entry.spot, self._frames, self._frames, probability)
                    _add(made, child, token=before_it + probability, spot=spot)
        best = sorted(made.items(), key=lambda one: -(one[1].both + one[0].outside))
        self._entries = dict(best[: self._rules.beam])

    def _child(self, node: Node, token: int) -> Node:
        key = (id(node), token)  # a child keeps its parent alive, so the id stays its parent's
        child = self._nodes.get(key)
        if child is None:
            child = self._nodes[key] = self._grown(node, token)
        return child

    def _grown(self, node: Node, token: int) -> Node:
        rules, text = self._rules, self._rules.tokens[token]
        outside, context, place = node.outside, node.context, node.place
        if rules.model:
            score, context = rules.model.score(context, text)
            outside += rules.weight * score + rules.length_bonus
        if rules.hotwords and place:
            place, change = rules.hotwords.follow(place, text)
            outside += change
        return Node(node, token, node.depth + 1, outside, context, place)

    def _longer(self, spot: Spot | None, strength: float) -> Spot | None:
        if spot is None:
            return None
        return Spot(spot.before, spot.first, self._frames, max(spot.strength, strength))

    def _settled(self) -> int:
        """Tokens that all prefixes of the beam share: what comes later grows from these only."""
        nodes = list(self._entries)
        common = nodes[0]
        for other in nodes[1:]:
            common = _shared(common, other)
        return common.depth

    def _told(self, node: Node, entry: Entry, settled: int) -> Hypothesis:
        pieces: list[Piece] = []
        here: Node | None = node
        spot = entry.spot
        while here is not None and here.parent is not None and spot is not None:
            pieces.append(Piece(self._rules.tokens[here.token], spot.first, spot.last))
            here, spot = here.parent, spot.before
        trailing = self._frames - 1 - self._spoken
        return Hypothesis(tuple(reversed(pieces)), settled, trailing, self._frames)


class PrefixBeam:
    """Prefix beam decoder of one utterance; its steps run in a thread.

    Args:
        rules: of the search.
        workers: whose threads it runs in.
        weigh: sorts the readings anew when a final is asked for; partials never wait for it.
    """

    def __init__(self, rules: Rules, workers: Workers, weigh: Weigh | None = None) -> None:
        self._beam, self._workers, self._weigh = Beam(rules), workers, weigh

    async def take(self, log_probs: LogProbs) -> Hypothesis:
        """Go on by these frames, shape (frames, vocabulary)."""
        beam = self._beam.copy()  # an abandoned step leaves this decoder as it was
        self._beam, told = await self._workers.run(lambda: _advanced(beam, log_probs))
        return told

    async def look(self, log_probs: LogProbs) -> Hypothesis:
        """Tell what was said if it ended with these frames; they are not kept."""
        beam = self._beam.copy()
        return await self._workers.run(lambda: _final(beam, log_probs, self._weigh))

    def close(self) -> None:
        """Nothing is held outside this object."""

    async def nbest(self) -> list[tuple[float, Hypothesis]]:
        """Return the ways to read what was taken, best first, with natural log scores."""
        return self._beam.ranked()


def _advanced(beam: Beam, log_probs: LogProbs) -> tuple[Beam, Hypothesis]:
    beam.take(log_probs)
    return beam, beam.ranked(ended=False)[0][1]


def _final(beam: Beam, log_probs: LogProbs, weigh: Weigh | None) -> Hypothesis:
    beam.take(log_probs)
    readings = beam.ranked()
    return (weigh(readings) if weigh else readings)[0][1]


def _add(
    made: dict[Node, Entry],
    node: Node,
    *,
    blank: float = NONE,
    token: float = NONE,
    spot: Spot | None,
) -> None:
    entry = made.get(node)
    if entry is None:
        made[node] = Entry(blank, token, spot)
        return
    if max(blank, token) > max(entry.blank, entry.token):
        entry.spot = spot
    entry.blank, entry.token = plus(entry.blank, blank), plus(entry.token, token)


def plus(a: float, b: float) -> float:
    """Return the logarithm of the sum of two probabilities, given as theirs."""
    if a < b:
        a, b = b, a
    return a if b == NONE else a + math.log1p(math.exp(b - a))


def _shared(a: Node, b: Node) -> Node:
    while a is not b:
        if a.depth < b.depth:
            a, b = b, a
        if a.parent is None:
            return a
        a = a.parent
    return a

"""Word errors of an exported model, heard packet by packet as in a call. Needs no PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from stages.asr.campp.decode.hypothesis import LogProbs, spelled
from stages.asr.campp.decode.prefix_beam import Beam, Rules
from stages.asr.campp.decode.spoken import Search, Spoken
from stages.asr.campp.features import Fbank, Frames, Windows
from stages.asr.campp.graph import Graph
from stages.asr.campp.states import States
from stages.asr.campp.steps import BrokenNumbers, Row, Steps
from stages.asr.campp.training import score, sound
from stages.asr.campp.training.manifest import Clip
from stages.asr.campp.training.score import Errors
from stages.events import SAMPLE_RATE

Decode = Callable[[LogProbs], str]
"""From an utterance's log-probabilities (T, vocabulary) to its text."""


@dataclass(slots=True)
class Hearing:
    """What a model made of some clips."""

    log_probs: list[LogProbs]
    seconds: float  # of sound
    work: float  # seconds spent in the model's steps
    steps: list[float] = field(default_factory=list)  # seconds of each

    @property
    def rtf(self) -> float:
        """Seconds of work a second of sound."""
        return self.work / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Errors of a set of clips."""

    name: str
    clips: int
    errors: Errors
    interval: tuple[float, float]  # 95 %, bootstrap over clips

    def as_dict(self) -> dict[str, object]:
        """Return it for programs; rates as shares of 1."""
        low, high = self.interval
        return {
            "set": self.name,
            "clips": self.clips,
            "words": self.errors.words,
            "wrong": self.errors.wrong,
            "wer": round(self.errors.rate, 4),
            "wer_low": round(low, 4),
            "wer_high": round(high, 4),
        }


@dataclass(frozen=True, slots=True)
class Repeats:
    """What was heard twice in a row where it was said once."""

    unit: str  # phones or characters
    clips: int
    errors: Errors  # too many of them, of those that were said
    interval: tuple[float, float]  # 95 %, bootstrap over clips

    def as_dict(self) -> dict[str, object]:
        """Return it for programs; rates as shares of 1."""
        low, high = self.interval
        return {
            "repeated": self.unit,
            "repeated_count": self.errors.wrong,
            "repeated_of": self.errors.words,
            "repeated_share": round(self.errors.rate, 4),
            "repeated_low": round(low, 4),
            "repeated_high": round(high, 4),
            "repeated_clips": self.clips,
        }


def hear(graph: Graph, clips: Sequence[Clip], batch: int = 1) -> Hearing:
    """Hear clips, ``batch`` of them at a time, each as a call of its own.

    Raises:
        BadSound: a clip cannot be read.
        ArithmeticError: the model gave numbers that are none.
    """
    states = States(graph.geometry, batch)
    steps = Steps(graph, states, batch)
    fbank = Fbank(graph.geometry.front)
    heard = Hearing([], 0.0, 0.0)
    for start in range(0, len(clips), batch):
        group = []
        for clip in clips[start : start + batch]:
            samples = sound.load(clip.file)
            heard.seconds += len(samples) / SAMPLE_RATE
            windows = Windows(graph.geometry, fbank)
            cut = windows.hear(samples)
            rest = windows.rest()
            rows = graph.geometry.out_frames * len(cut) + (rest[1] if rest else 0)
            group.append((cut + ([rest[0]] if rest else []), rows))
        heard.log_probs += _stepped(steps, states, group, heard)
    return heard


def _stepped(
    steps: Steps, states: States, group: list[tuple[list[Frames], int]], heard: Hearing
) -> list[LogProbs]:
    made: list[list[LogProbs]] = [[] for _ in group]
    for slot in range(len(group)):
        states.clear(slot)
    for turn in range(max((len(windows) for windows, _ in group), default=0)):
        rows = [Row(n, cut[turn]) for n, (cut, _) in enumerate(group) if turn < len(cut)]
        began = time.perf_counter()
        results = steps.run(rows)
        heard.steps.append(time.perf_counter() - began)
        heard.work += heard.steps[-1]
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, BrokenNumbers):
                raise ArithmeticError("the model gave numbers that are none")
            made[row.slot].append(result)
    empty = np.zeros((0, 0), np.float32)
    return [
        np.concatenate(parts)[:count] if parts else empty
        for parts, (_, count) in zip(made, group, strict=True)
    ]


def best_tokens(graph: Graph, log_probs: LogProbs) -> list[str]:
    """Return each frame's best token, repeats joined, blanks dropped."""
    blank, tokens = graph.geometry.blank, graph.tokens
    if not log_probs.size:
        return []
    best = [blank, *log_probs.argmax(axis=1).tolist()]
    return [tokens[b] for a, b in pairwise(best) if b not in (a, blank)]


def greedy(graph: Graph) -> Decode:
    """Return the decoder that takes each frame's best token."""
    return lambda log_probs: joined(best_tokens(graph, log_probs))


def beam(rules: Rules) -> Decode:
    """Return the prefix beam decoder, with or without a language model."""

    def decode(log_probs: LogProbs) -> str:
        search = Beam(rules)
        if log_probs.size:
            search.take(log_probs)
        return spelled(search.ranked()[0][1].pieces)

    return decode


def words(rules: Spoken) -> Decode:
    """Return the decoder of a network that tells phones."""

    def decode(log_probs: LogProbs) -> str:
        search = Search(rules)
        if log_probs.size:
            search.take(log_probs)
        return spelled(search.best().pieces)

    return decode


def joined(tokens: Sequence[str]) -> str:
    """Return the text of tokens; word marks become spaces."""
    text = "".join(token for token in tokens if not token.startswith("<"))
    return " ".join(text.replace("▁", " ").split())


def outcome(name: str, clips: Sequence[Clip], texts: Sequence[str]) -> Outcome:
    """Compare what was said in clips with what was heard."""
    each = [score.errors(clip.text, text) for clip, text in zip(clips, texts, strict=True)]
    return Outcome(name, len(clips), score.together(each), score.interval(each))


def repeats(unit: str, said: Sequence[Sequence[str]], heard: Sequence[Sequence[str]]) -> Repeats:
    """Count what was heard twice in a row beyond what was said so.

    Args:
        unit: what the pieces are: phones, or characters.
        said: the pieces of each clip's text.
        heard: those that a network told by itself.
    """
    each = [
        Errors(max(0, doubles(told) - doubles(text)), len(text))
        for text, told in zip(said, heard, strict=True)
    ]
    return Repeats(unit, len(each), score.together(each), score.interval(each))


def doubles(pieces: Sequence[str]) -> int:
    """Return how many pieces follow one that is the same."""
    return sum(a == b for a, b in pairwise(pieces))

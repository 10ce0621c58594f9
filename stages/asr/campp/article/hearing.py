"""Several models hear the same clips, in turns, as calls would: words, and what each part cost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from stages.asr.campp.decode.hypothesis import LogProbs, spelled
from stages.asr.campp.decode.spoken import Search, Spoken
from stages.asr.campp.features import Fbank, Frames, Windows
from stages.asr.campp.graph import Graph, open_graph
from stages.asr.campp.states import States
from stages.asr.campp.steps import BrokenNumbers, Row, Steps
from stages.asr.campp.training import evaluate, sound
from stages.asr.campp.training.manifest import Clip
from stages.events import SAMPLE_RATE, Samples


class Reader(Protocol):
    """Makes words of one utterance's log-probabilities, a packet at a time."""

    def take(self, log_probs: LogProbs) -> None:
        """Go on by these frames, and know the words so far."""

    def text(self) -> str:
        """Return the words."""


class WordReader:
    """The search for words, step by step as a call makes it."""

    def __init__(self, rules: Spoken) -> None:
        self._search = Search(rules)

    def take(self, log_probs: LogProbs) -> None:
        """Go on by these frames."""
        search = self._search.copy()  # as a call does, which may abandon a step
        search.take(log_probs)
        search.best()
        self._search = search

    def text(self) -> str:
        """Return the words."""
        return spelled(self._search.best().pieces)


class LetterReader:
    """The best token of each frame."""

    def __init__(self, graph: Graph) -> None:
        self._decode = evaluate.greedy(graph)
        self._log_probs: list[LogProbs] = []

    def take(self, log_probs: LogProbs) -> None:
        """Go on by these frames."""
        self._log_probs.append(log_probs)
        self._decode(log_probs)

    def text(self) -> str:
        """Return the letters."""
        return self._decode(np.concatenate(self._log_probs)) if self._log_probs else ""


Readers = Callable[[Graph], Callable[[], Reader]]
"""From a model to what makes a reader for each of its utterances."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the network."""

    calls: int  # that had a packet in it
    took: float  # seconds
    worked: float  # seconds of a core: without what the machine did meanwhile


@dataclass(slots=True)
class Heard:
    """What a model made of clips, and what it took: one thread, ``batch`` calls at once."""

    batch: int
    packet: float  # seconds of sound
    texts: list[str]
    log_probs: list[LogProbs]
    seconds: float = 0.0  # of sound
    features: float = 0.0  # seconds of a core
    search: float = 0.0
    packets: int = 0
    steps: list[Step] = field(default_factory=list)

    @property
    def full(self) -> list[Step]:
        """The steps in which all calls had a packet."""
        return [step for step in self.steps if step.calls == self.batch]

    @property
    def rtf_network(self) -> float:
        """Seconds of a core that the network takes a second of sound and call."""
        return float(np.mean([step.worked for step in self.full])) / self.batch / self.packet

    @property
    def rtf_to_words(self) -> float:
        """The same with the features and the search for words."""
        return self.rtf_network + (self.features + self.search) / self.seconds

    def step_ms(self, percentile: float) -> float:
        """Return a percentile of the full steps, in milliseconds."""
        return float(np.percentile([step.took for step in self.full], percentile)) * 1000


class _Utterance:
    """One clip in a slot."""

    def __init__(self, number: int, samples: Samples, windows: Windows, reader: Reader) -> None:
        self.number, self.reader = number, reader
        self.log_probs: list[LogProbs] = []
        self._samples, self._windows = samples, windows
        self._at, self._ready = 0, deque[tuple[Frames, int]]()
        self._rested = False

    def next(self, packet: int, rows: int) -> tuple[Frames, int] | None:
        """Return the next window and how many of its output rows are real, or None: it is over."""
        while not self._ready and self._at < len(self._samples):
            piece = self._samples[self._at : self._at + packet]
            self._at += len(piece)
            self._ready.extend((window, rows) for window in self._windows.hear(piece))
        if self._ready:
            return self._ready.popleft()
        rest = None if self._rested else self._windows.rest()
        self._rested = True
        return rest


class _Listener:
    """One model, with a clip in each of its slots."""

    def __init__(self, file: Path, batch: int, sounds: Sequence[Samples], readers: Readers) -> None:
        graph = open_graph(file)
        self._geometry, self._reader = graph.geometry, readers(graph)
        self._states = States(graph.geometry, batch)
        self._steps = Steps(graph, self._states, batch)
        self._fbank = Fbank(graph.geometry.front)
        self._sounds = sounds
        plays = max(len(sounds), batch)  # few clips are heard again until a batch is full
        self._waiting = deque(range(plays))
        self._slots: dict[int, _Utterance] = {}
        self._free = deque(range(batch))
        count, none = len(sounds), np.zeros((0, graph.geometry.vocabulary), np.float32)
        self.heard = Heard(batch, graph.geometry.packet / SAMPLE_RATE, [""] * count, [none] * count)

    def listen(self) -> bool:
        """Step until a clip has ended; return whether there is more to hear."""
        before = len(self._waiting) + len(self._slots)
        while self._waiting or self._slots:
            self._fill()
            self._step()
            if len(self._waiting) + len(self._slots) < before:
                break
        return bool(self._waiting or self._slots)

    def _fill(self) -> None:
        while self._waiting and self._free:
            slot, number = self._free.popleft(), self._waiting.popleft()
            samples = self._sounds[number % len(self._sounds)]
            self._states.clear(slot)
            windows = Windows(self._geometry, self._fbank)
            self._slots[slot] = _Utterance(number, samples, windows, self._reader())
            self.heard.seconds += len(samples) / SAMPLE_RATE

    def _step(self) -> None:
        heard, rows, real = self.heard, [], {}
        for slot, utterance in list(self._slots.items()):
            with _timed(heard, "features"):
                found = utterance.next(self._geometry.packet, self._geometry.out_frames)
            if found is None:
                self._end(slot)
                continue
            rows.append(Row(slot, found[0]))
            real[slot] = found[1]
        if not rows:
            return
        began, worked = time.perf_counter(), time.thread_time()
        results = self._steps.run(rows)
        worked, took = time.thread_time() - worked, time.perf_counter() - began
        heard.steps.append(Step(len(rows), took, worked))
        heard.packets += len(rows)
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, BrokenNumbers):
                raise ArithmeticError("the model gave numbers that are none")
            utterance, kept = self._slots[row.slot], result[: real[row.slot]]
            utterance.log_probs.append(kept)
            with _timed(heard, "search"):
                utterance.reader.take(kept)

    def _end(self, slot: int) -> None:
        utterance = self._slots.pop(slot)
        self._free.append(slot)
        if utterance.number < len(self._sounds):  # not one that only fills the batch
            with _timed(self.heard, "search"):
                self.heard.texts[utterance.number] = utterance.reader.text()
            if utterance.log_probs:
                self.heard.log_probs[utterance.number] = np.concatenate(utterance.log_probs)


@contextmanager
def _timed(heard: Heard, part: str) -> Iterator[None]:
    began = time.thread_time()
    yield
    setattr(heard, part, getattr(heard, part) + time.thread_time() - began)


Case = tuple[Path, int]
"""A model's file, and how many calls it hears at once."""


def side_by_side(
    cases: Sequence[Case], clips: Sequence[Clip], readers: Readers
) -> Mapping[Case, Heard]:
    """Let every model hear every clip, a clip of each in turn: a busy minute is busy for all.

    Raises:
        BadSound: a clip cannot be read.
        ArithmeticError: a model gave numbers that are none.
    """
    sounds = [sound.load(clip.file) for clip in clips]
    listeners = {case: _Listener(*case, sounds, readers) for case in dict.fromkeys(cases)}
    left = list(listeners.values())
    while left:
        left = [one for one in left if one.listen()]
    return {case: one.heard for case, one in listeners.items()}

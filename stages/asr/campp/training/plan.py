"""Which items are heard in which step: the same for the same seed, wherever a run goes on."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stages.asr.campp.geometry import Geometry
from stages.asr.campp.training.config import Config
from stages.asr.campp.training.corpus import Item
from stages.asr.campp.training.manifest import BadInput
from stages.asr.campp.training.text import frames_needed

Chosen = npt.NDArray[np.bool_]
"""For each usable item, whether it is meant."""

Batch = list[int]
"""Places of items in the list that the plan was made of."""


class Plan:
    """Deals items out to batches of like length, epoch after epoch."""

    def __init__(self, items: Sequence[Item], config: Config) -> None:
        self._items, self._config = items, config
        copies = {source.name: source.copies for source in config.sources}
        weights = {source.name: source.weight for source in config.sources}
        geometry, steps = config.network.geometry(), config.steps
        usable = [
            place
            for place, item in enumerate(items)
            if not item.held and item.seconds <= steps.longest and fits(item, geometry)
        ]
        if not usable:
            raise BadInput("the training data", ["no clip is left to train on"])
        self._all = np.array(usable)
        self._often = np.array([weights[items[p].source] / copies[items[p].source] for p in usable])
        self._short = np.array([items[p].seconds <= steps.short for p in usable])
        self._chance = np.array([_chance(items[p]) for p in usable])
        self._batches: list[Batch] = []
        self._epoch = 0
        self.left_out = sum(not item.held for item in items) - len(usable)
        """Items too long, or too short for their texts."""

    def at(self, step: int) -> Batch:
        """Return the batch of a step."""
        while len(self._batches) <= step:
            first = self._config.steps.short_first
            beginning = len(self._batches) < first and bool(self._short.any())
            made = self._deal(self._first() if beginning else None)
            if beginning:
                made = made[: first - len(self._batches)]
            self._batches += made
        return self._batches[step]

    @property
    def epoch_steps(self) -> int:
        """Steps of one epoch, about."""
        seconds = sum(
            self._items[p].seconds * often for p, often in zip(self._all, self._often, strict=True)
        )
        return max(1, round(float(seconds) / self._config.steps.seconds))

    def _first(self) -> Chosen:
        """Return which items are for the next of the first steps.

        A few clips to begin with, then more and more: what a network has seen twenty times
        teaches it sooner what to look at than a thousand clips seen once.
        """
        steps = self._config.steps
        share = steps.few ** (1 - len(self._batches) / steps.short_first)
        return self._short & (self._chance <= max(share, float(self._chance[self._short].min())))

    def _deal(self, only: Chosen | None) -> list[Batch]:
        rng = np.random.default_rng([self._config.seed, self._epoch])
        self._epoch += 1
        times = np.floor(self._often + rng.random(len(self._often))).astype(int)
        if only is not None:
            times = times * only
        if not times.any():
            times = np.ones_like(times) * (self._short if only is not None else 1)
        chosen = np.repeat(self._all, times)
        lengths = np.array([self._items[p].frames for p in chosen])
        chosen = chosen[np.argsort(lengths * rng.uniform(0.9, 1.1, len(lengths)), kind="stable")]
        batches = self._cut(chosen.tolist())
        return [batches[number] for number in rng.permutation(len(batches))]

    def _cut(self, ordered: Sequence[int]) -> list[Batch]:
        room = self._config.steps.seconds * 100
        batches: list[Batch] = [[]]
        longest = 0
        for place in ordered:
            longest = max(longest, self._items[place].frames)
            if batches[-1] and longest * (len(batches[-1]) + 1) > room:
                batches.append([])
                longest = self._items[place].frames
            batches[-1].append(int(place))
        return batches


def _chance(item: Item) -> float:
    """Return a number from 0 to 1 that is always the same for a clip."""
    return zlib.crc32(f"{item.source} {item.key}".encode()) / 2**32


def fits(item: Item, geometry: Geometry) -> bool:
    """Tell whether an item has output frames enough for CTC to spell its text."""
    encoder = (item.frames - geometry.right_context - 1) // geometry.subsampling + 1
    outputs = encoder * geometry.out_frames // geometry.chunk
    return frames_needed(list(item.tokens)) <= outputs

"""The caches of all calls: slots made once, one a call, zeroed before another call gets it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.asr.campp.geometry import Geometry

Array = npt.NDArray[np.float32]

REBASE_BEFORE = 80
"""Absolute positions: so many rows before its table ends, a call goes back in it."""


class Progress:
    """How far each slot's utterance is; what a graph must be told of it."""

    def __init__(self, geometry: Geometry, slots: int) -> None:
        self._geometry = geometry
        self.steps = [0] * slots
        self._rebased = [0] * slots

    def restart(self, slot: int) -> None:
        """Begin an utterance."""
        self.steps[slot] = self._rebased[slot] = 0

    def advance(self, slot: int) -> None:
        """Count a step that was kept."""
        self.steps[slot] += 1

    def history(self, slot: int) -> int:
        """Return the encoder frames in its caches that are of this utterance."""
        return min(self.steps[slot], self._geometry.left_chunks) * self._geometry.chunk

    def offset(self, slot: int) -> int:
        """Return the absolute position of the next chunk; lowered before the table ends.

        Cached keys hold no positions, so this is lawful at any step: the call goes on as one
        that began ``left_chunks`` chunks ago.
        """
        g = self._geometry
        if g.positions != "absolute":
            return 0
        offset = (self.steps[slot] - self._rebased[slot]) * g.chunk
        if offset + g.chunk > g.max_positions - REBASE_BEFORE:
            self._rebased[slot] = self.steps[slot] - g.left_chunks
            offset = g.left_chunks * g.chunk
        return offset


@dataclass(slots=True)
class _Segment:
    first: int  # its first layer
    count: int
    keys: Array  # (slots, blocks, layers, heads, chunk, head_width)
    values: Array


class Buffers:
    """One batch's tensors, laid layer by layer so that each layer's is a plain block of memory.

    ``keys[s]`` and ``values[s]``: (layers, batch, heads, blocks, chunk, head_width) of segment s;
    ``new_keys``, ``new_values``: (layers, batch, heads, chunk, head_width);
    ``convolution``, ``new_convolution``: (layers, batch, width, kernel - 1).
    """

    def __init__(self, geometry: Geometry, batch: int) -> None:
        g = geometry
        self.keys, self.values = [], []
        self.new_keys, self.new_values = [], []
        for segment, count in enumerate(g.layers):
            chunk = g.segment_chunk(segment)
            held = (count, batch, g.heads, g.left_chunks, chunk, g.head_width)
            fresh = (count, batch, g.heads, chunk, g.head_width)
            self.keys.append(np.zeros(held, np.float32))
            self.values.append(np.zeros(held, np.float32))
            self.new_keys.append(np.zeros(fresh, np.float32))
            self.new_values.append(np.zeros(fresh, np.float32))
        kept = (sum(g.layers), batch, g.width, g.kernel - 1)
        self.convolution = np.zeros(kept, np.float32)
        self.new_convolution = np.zeros(kept, np.float32)
        self.features = np.zeros((batch, g.window, g.front.mels), np.float32)
        self.history = np.zeros(batch, np.int64)
        self.offset = np.zeros(batch, np.int64)
        self.log_probs = np.zeros((batch, g.out_frames, g.vocabulary), np.float32)


class States:
    """Slots, each with the caches of one call.

    A slot's keys lie in a ring of ``left_chunks`` blocks, a chunk each: a step writes one block
    over the oldest, nothing is ever moved. Only one thread may step a slot at a time.
    """

    def __init__(self, geometry: Geometry, slots: int) -> None:
        g = self.geometry = geometry
        self.slots = slots
        self._segments = []
        first = 0
        for segment, count in enumerate(g.layers):
            shape = (slots, g.left_chunks, count, g.heads, g.segment_chunk(segment), g.head_width)
            keys, values = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
            self._segments.append(_Segment(first, count, keys, values))
            first += count
        self._convolution = np.zeros((slots, first, g.width, g.kernel - 1), np.float32)
        self._progress = Progress(geometry, slots)

    @property
    def bytes_a_slot(self) -> int:
        """Bytes that one call's caches take."""
        arrays = [self._convolution]
        for segment in self._segments:
            arrays += [segment.keys, segment.values]
        return sum(array.nbytes for array in arrays) // self.slots

    def clear(self, slot: int) -> None:
        """Make a slot as if nobody had ever spoken in it."""
        for segment in self._segments:
            segment.keys[slot] = 0
            segment.values[slot] = 0
        self.restart(slot)

    def restart(self, slot: int) -> None:
        """Begin another utterance of the same call: its old keys stay, but are not seen."""
        self._convolution[slot] = 0
        self._progress.restart(slot)

    def gather(self, slots: list[int], into: Buffers) -> None:
        """Copy the caches of these slots to the rows of a batch, oldest block first."""
        g = self.geometry
        for row, slot in enumerate(slots):
            steps = self._progress.steps[slot]
            into.history[row] = self._progress.history(slot)
            into.offset[row] = self._progress.offset(slot)
            for index, segment in enumerate(self._segments):
                keys, values = into.keys[index], into.values[index]
                for place in range(g.left_chunks):
                    block = (steps + place) % g.left_chunks
                    keys[:, row, :, place] = segment.keys[slot, block]
                    values[:, row, :, place] = segment.values[slot, block]
            into.convolution[:, row] = self._convolution[slot]

    def keep(self, slot: int, row: int, made: Buffers) -> None:
        """Take what a step made in a row over into its slot."""
        block = self._progress.steps[slot] % self.geometry.left_chunks
        for index, segment in enumerate(self._segments):
            segment.keys[slot, block] = made.new_keys[index][:, row]
            segment.values[slot, block] = made.new_values[index][:, row]
        self._convolution[slot] = made.new_convolution[:, row]
        self._progress.advance(slot)

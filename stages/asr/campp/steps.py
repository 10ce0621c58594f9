"""Runs one batch: caches in, graph, caches out. Belongs to one thread at a time."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.asr.campp import names
from stages.asr.campp.features import Frames
from stages.asr.campp.geometry import Geometry
from stages.asr.campp.graph import Graph
from stages.asr.campp.states import Buffers, States

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

LogProbs = npt.NDArray[np.float32]
"""Natural logarithms of the tokens' probabilities, shape (frames, vocabulary)."""


class BrokenNumbers(Exception):
    """A row of a batch came out with numbers that are none."""


@dataclass(frozen=True, slots=True)
class Row:
    """One call's part in a batch."""

    slot: int
    features: Frames  # (window, mels)
    keep: bool = True  # False: a look ahead, after which the slot is as it was


class Steps:
    """Steps batches of calls through the graph; batch sizes are rounded up to a few.

    A batch that is not full is filled up with copies of its first row, which change no other
    row, not even the ranges that an INT8 model finds in a batch.
    """

    def __init__(self, graph: Graph, states: States, max_batch: int) -> None:
        self._session, self._geometry, self.states = graph.session, graph.geometry, states
        self._sizes = [size for size in SIZES if size < max_batch] + [max_batch]
        self._prepared: dict[int, tuple[Buffers, Any]] = {}

    def size_for(self, rows: int) -> int:
        """Return the batch size that so many rows run in."""
        return self._sizes[bisect.bisect_left(self._sizes, rows)]

    def run(self, rows: list[Row]) -> list[LogProbs | BrokenNumbers]:
        """Step every row, return each one's log-probabilities (out_frames, vocabulary).

        No slot may come twice. A row that gives no numbers gets ``BrokenNumbers`` instead, and
        its slot is left as it was, as are all slots if this raises.
        """
        buffers, binding = self._prepare(self.size_for(len(rows)))
        filled = rows + [rows[0]] * (len(buffers.history) - len(rows))
        self.states.gather([row.slot for row in filled], buffers)
        for index, row in enumerate(filled):
            buffers.features[index] = row.features
        self._session.run_with_iobinding(binding)
        return [self._taken(row, index, buffers) for index, row in enumerate(rows)]

    def _taken(self, row: Row, index: int, buffers: Buffers) -> LogProbs | BrokenNumbers:
        log_probs: LogProbs = buffers.log_probs[index].copy()
        if not np.isfinite(log_probs[:, 0]).all():  # a softmax spoils the whole row or nothing
            return BrokenNumbers()
        if row.keep:
            self.states.keep(row.slot, index, buffers)
        return log_probs

    def _prepare(self, batch: int) -> tuple[Buffers, Any]:
        if batch not in self._prepared:
            buffers = Buffers(self._geometry, batch)
            self._prepared[batch] = buffers, bound(self._session, self._geometry, buffers)
        return self._prepared[batch]


def bound(session: Any, geometry: Geometry, buffers: Buffers) -> Any:
    """Bind a session's inputs and outputs to a batch's memory: no run copies or allocates."""
    arrays: dict[str, npt.NDArray[Any]] = {
        names.FEATURES: buffers.features,
        names.HISTORY: buffers.history,
        names.OFFSET: buffers.offset,
        names.LOG_PROBS: buffers.log_probs,
    }
    layer = 0
    for segment, count in enumerate(geometry.layers):
        for index in range(count):
            for part, held, new in (
                ("k", buffers.keys[segment][index], buffers.new_keys[segment][index]),
                ("v", buffers.values[segment][index], buffers.new_values[segment][index]),
                ("c", buffers.convolution[layer], buffers.new_convolution[layer]),
            ):
                arrays[f"{part}.{layer}"], arrays[f"new_{part}.{layer}"] = held, new
            layer += 1
    binding, batch, shapes = session.io_binding(), len(buffers.history), names.shapes(geometry)
    for ways, bind in (
        (names.inputs(geometry), binding.bind_input),
        (names.outputs(geometry), binding.bind_output),
    ):
        for name in ways:
            array = arrays[name]
            bind(name, "cpu", 0, array.dtype.type, (batch, *shapes[name]), array.ctypes.data)
    return binding

"""Steps whose caches never leave the device: for CUDA and TensorRT, with a resident graph.

Two sets of caches take turns: a step reads one and writes the other, because a graph must not
write what it reads. What crosses the bus is the sound going up and the probabilities coming down.
"""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np
import onnxruntime as ort

from stages.asr.campp import names
from stages.asr.campp.graph import Graph
from stages.asr.campp.states import Progress
from stages.asr.campp.steps import SIZES, BrokenNumbers, LogProbs, Row


class ResidentStates:
    """Slots on a device. A slot is cleared by beginning anew: the graph sees no older frames."""

    def __init__(self, graph: Graph, slots: int) -> None:
        geometry = graph.geometry
        self.slots, self.progress = slots, Progress(geometry, slots)
        self.device = "cpu" if graph.device == "cpu" else "cuda"
        shapes = names.shapes(geometry)
        self.caches, self.spare = (
            {name: self._zeros((slots, *shapes[name])) for name in names.layer_names(geometry)}
            for _ in range(2)
        )

    @property
    def bytes_a_slot(self) -> int:
        """Bytes that one call's caches take, both sets."""
        sizes = [int(np.prod(cache.shape())) * 4 for cache in self.caches.values()]
        return 2 * sum(sizes) // self.slots

    def clear(self, slot: int) -> None:
        """Make a slot as if nobody had ever spoken in it."""
        self.progress.restart(slot)

    def restart(self, slot: int) -> None:
        """Begin another utterance of the same call."""
        self.progress.restart(slot)

    def turn(self) -> None:
        """Let what was written be what is read."""
        self.caches, self.spare = self.spare, self.caches

    def _zeros(self, shape: tuple[int, ...]) -> Any:
        return ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32), self.device, 0)


class ResidentSteps:
    """As ``steps.Steps``, over a resident graph."""

    def __init__(self, graph: Graph, states: ResidentStates, max_batch: int) -> None:
        self._graph, self.states = graph, states
        self._sizes = [size for size in SIZES if size < max_batch] + [max_batch]

    def run(self, rows: list[Row]) -> list[LogProbs | BrokenNumbers]:
        """Step every row; see ``Steps.run``.

        A row that gives no numbers has written them into its slot: its call must end, and the
        next one to sit there sees none of it.
        """
        size = self._sizes[bisect.bisect_left(self._sizes, len(rows))]
        made = self._step(rows + [rows[0]] * (size - len(rows)))
        taken: list[LogProbs | BrokenNumbers] = []
        for row, log_probs in zip(rows, made, strict=False):
            fine = bool(np.isfinite(log_probs[:, 0]).all())
            if fine and row.keep:
                self.states.progress.advance(row.slot)
            taken.append(log_probs if fine else BrokenNumbers())
        return taken

    def _step(self, rows: list[Row]) -> LogProbs:
        states, geometry = self.states, self._graph.geometry
        slots = [row.slot for row in rows]
        arrays = {
            names.FEATURES: np.stack([row.features for row in rows]),
            names.HISTORY: np.array([states.progress.history(slot) for slot in slots], np.int64),
            names.OFFSET: np.array([states.progress.offset(slot) for slot in slots], np.int64),
            names.SLOTS: np.array(slots, np.int64),
            names.KEEP: np.array([row.keep for row in rows], np.float32),
        }
        binding = self._graph.session.io_binding()
        for name in names.inputs(geometry):
            if name in arrays:
                binding.bind_cpu_input(name, arrays[name])
            else:
                binding.bind_ortvalue_input(name, states.caches[name])
        binding.bind_output(names.LOG_PROBS, "cpu")
        for name in names.layer_names(geometry):
            binding.bind_ortvalue_output(f"new_{name}", states.spare[name])
        self._graph.session.run_with_iobinding(binding)
        log_probs: LogProbs = binding.get_outputs()[0].numpy()
        states.turn()
        return log_probs

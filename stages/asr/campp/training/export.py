"""Networks to ONNX files that the stage runs."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from stages.asr.campp import geometry as geometry_
from stages.asr.campp import names
from stages.asr.campp.geometry import Geometry
from stages.asr.campp.training.network import Network

_CACHES = ("k.", "v.", "c.")

OPSET = 17
"""The first with LayerNormalization as one operator."""


class Step(nn.Module):
    """``Network.step`` with its caches laid flat, as graphs want them."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, history: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Take the tensors of ``names.inputs``, give those of ``names.outputs``."""
        offset, caches = history, list(rest)
        if self.network.geometry.positions == "absolute":
            offset, *caches = rest
        state = [caches[index : index + 3] for index in range(0, len(caches), 3)]
        log_probs, new = self.network.step(features, history, offset, state)
        return (log_probs, *(tensor for layer in new for tensor in layer))


class _ResidentStep(nn.Module):
    """A step that picks its caches from those of all slots, and gives all of them back."""

    def __init__(self, network: Network, geometry: Geometry) -> None:
        super().__init__()
        self.step, self.geometry = Step(network), geometry

    def forward(self, *taken: Tensor) -> tuple[Tensor, ...]:
        """Take the tensors of ``names.inputs``, give those of ``names.outputs``, resident."""
        given = dict(zip(names.inputs(self.geometry), taken, strict=True))
        slots, keep, history = given[names.SLOTS], given[names.KEEP], given[names.HISTORY]
        pools = [given[name] for name in names.layer_names(self.geometry)]
        old = [pool[slots] for pool in pools]
        # A slot that begins has somebody else's convolution cache; its old keys are masked.
        begun = (history > 0).to(keep.dtype)[:, None, None]
        seen = [cache * begun if cache.dim() == 3 else cache for cache in old]
        first = [given[names.FEATURES], history]
        if self.geometry.positions == "absolute":
            first.append(given[names.OFFSET])
        log_probs, *new = self.step(*first, *seen)
        return (log_probs, *(self._kept(*each) for each in zip(
            pools, seen, new, [slots] * len(new), [keep] * len(new), strict=True
        )))

    def _kept(
        self, pool: Tensor, seen: Tensor, new: Tensor, slots: Tensor, keep: Tensor
    ) -> Tensor:
        if seen.dim() == 4:  # keys and values: the new frames push the oldest out
            new = torch.cat([seen, new], dim=2)[:, :, -seen.shape[2] :]
        keep = keep.reshape(-1, *[1] * (seen.dim() - 1))
        return pool.index_put((slots,), new * keep + seen * (1 - keep))


def export(
    network: Network, tokens: tuple[str, ...], file: Path, resident: bool = False
) -> None:
    """Write a network as one ONNX file; geometry and tokens go into its metadata.

    ``resident`` makes a file for a GPU, whose caches never leave the device.
    """
    geometry = network.geometry.model_copy(update={"resident": resident})
    blank = blank_inputs(geometry)
    taken, given = names.inputs(geometry), names.outputs(geometry)
    was_training = network.training
    with tempfile.TemporaryDirectory(prefix="firstword-export-") as folder:
        raw, folded = Path(folder, "raw.onnx"), Path(folder, "folded.onnx")
        if resident:
            slots = ["slots" if name[:2] in _CACHES else "batch" for name in taken]
            axes = dict(zip(taken, slots, strict=True)) | dict.fromkeys(given[1:], "slots")
            to_onnx(_ResidentStep(network, geometry).eval(), blank, raw, taken, given, axes)
        else:
            to_onnx(Step(network).eval(), blank, raw, taken, given)
        fold(raw, folded)
        network.train(was_training)
        label(folded, geometry_.write(geometry, tokens), file, names.shapes(geometry))


def blank_inputs(geometry: Geometry, batch: int = 2) -> tuple[Tensor, ...]:
    """Return zeros in the shapes of a step's inputs."""
    shapes = names.shapes(geometry)
    kinds = dict.fromkeys(names.WHOLE, torch.int64)
    return tuple(
        torch.zeros(batch, *shapes[name], dtype=kinds.get(name, torch.float32))
        for name in names.inputs(geometry)
    )


def to_onnx(
    module: nn.Module,
    example: tuple[Tensor, ...],
    file: Path,
    taken: list[str],
    given: list[str],
    free: dict[str, str] | None = None,
) -> None:
    """Trace a module into an ONNX file.

    Args:
        module: what to trace.
        example: inputs of the right shapes.
        file: where to.
        taken: names of the inputs.
        given: names of the outputs.
        free: a name for the first axis of tensors where it is not "batch"; empty for none free.
    """
    named = free or dict.fromkeys((*taken, *given), "batch")
    axes = {name: {0: named.get(name, "batch")} for name in (*taken, *given)}
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            module,
            example,
            str(file),
            input_names=taken,
            output_names=given,
            dynamic_axes=axes if free != {} else None,
            opset_version=OPSET,
            dynamo=False,
        )


def fold(source: Path, target: Path) -> None:
    """Compute what is constant once and for all: the tables of positions above all.

    It must come before quantisation, which would otherwise take their products for work.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def label(
    source: Path, metadata: dict[str, str], target: Path, shapes: dict[str, tuple[int, ...]]
) -> None:
    """Copy a model with this metadata and no other, and with the known shapes of its outputs."""
    model = onnx.load(str(source))
    for output in model.graph.output:
        sizes = output.type.tensor_type.shape.dim[1:]
        for size, known in zip(sizes, shapes.get(output.name, ()), strict=False):
            size.dim_value = known
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, str(target))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the tracer's warnings: shapes are constants on purpose, but for the batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

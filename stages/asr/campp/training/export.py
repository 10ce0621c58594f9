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

OPSET = 17
"""The first with LayerNormalization as one operator."""


class _Step(nn.Module):
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


def export(network: Network, tokens: tuple[str, ...], file: Path) -> None:
    """Write a network as one ONNX file; geometry and tokens go into its metadata."""
    geometry = network.geometry
    taken, given = names.inputs(geometry), names.outputs(geometry)
    was_training = network.training
    with tempfile.TemporaryDirectory(prefix="firstword-export-") as folder:
        raw, folded = Path(folder, "raw.onnx"), Path(folder, "folded.onnx")
        to_onnx(_Step(network).eval(), blank_inputs(geometry), raw, taken, given)
        fold(raw, folded)
        network.train(was_training)
        label(folded, geometry_.write(geometry, tokens), file, names.shapes(geometry))


def blank_inputs(geometry: Geometry, batch: int = 2) -> tuple[Tensor, ...]:
    """Return zeros in the shapes of a step's inputs."""
    shapes = names.shapes(geometry)
    whole = (names.HISTORY, names.OFFSET)
    return tuple(
        torch.zeros(batch, *shapes[name], dtype=torch.int64 if name in whole else torch.float32)
        for name in names.inputs(geometry)
    )


def to_onnx(
    module: nn.Module,
    example: tuple[Tensor, ...],
    file: Path,
    taken: list[str],
    given: list[str],
    batched: bool = True,
) -> None:
    """Trace a module into an ONNX file; the first axis of every tensor is free if ``batched``."""
    axes = {name: {0: "batch"} for name in (*taken, *given)} if batched else None
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            module,
            example,
            str(file),
            input_names=taken,
            output_names=given,
            dynamic_axes=axes,
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

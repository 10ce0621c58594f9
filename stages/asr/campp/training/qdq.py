"""INT8 files with fixed ranges: pairs of QuantizeLinear and DequantizeLinear around products.

What onnxruntime and TensorRT understand alike. Weights are stored as whole numbers of eight
bits, so the file is small; ranges are fixed, so no call's result depends on its batch mates.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from stages.asr.campp import geometry as geometry_
from stages.asr.campp.training import export
from stages.asr.campp.training.fake import WEIGHT, FakeLinear, Scheme, plain, weight_scales
from stages.asr.campp.training.network import Network
from stages.errors import FirstWordError

FEW = 512
"""Weights; a smaller product is not worth its rounding."""


class NotQuantised(FirstWordError):
    """A product of the exported file could not be matched with a layer of the network."""


def write(
    network: Network, layers: Mapping[str, FakeLinear], tokens: tuple[str, ...], file: Path
) -> None:
    """Write a network with fake layers as an INT8 file that counts as they do.

    Raises:
        NotQuantised: a layer has no product in the exported graph.
    """
    with tempfile.TemporaryDirectory(prefix="firstword-qdq-") as folder:
        full = Path(folder, "full.onnx")
        export.export(plain(network), tokens, full)
        model = onnx.load(str(full))
    scheme = next(iter(layers.values())).scheme
    by_weights = {_key(layer.weight): layer for layer in layers.values()}
    _replace(model.graph, by_weights, scheme)
    _shorten(model.graph)
    geometry = network.geometry.model_copy(update={"weights": "int8"})
    del model.metadata_props[:]
    helper.set_model_props(model, geometry_.write(geometry, tokens))
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


def _replace(graph: Any, layers: dict[bytes, FakeLinear], scheme: Scheme) -> None:
    weights: dict[str, Any] = {
        entry.name: numpy_helper.to_array(entry) for entry in graph.initializer
    }
    left = dict(layers)
    quantised: dict[tuple[str, float, int], str] = {}
    nodes: list[Any] = []
    gone: set[str] = set()
    for node in graph.node:
        found = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        layer = None
        if found is not None and found.ndim == 2:
            layer = left.pop(np.ascontiguousarray(found, dtype=np.float32).tobytes(), None)
        if layer is not None and found is not None and found.size >= FEW:
            gone.add(node.input[1])
            nodes += _inputs(graph, node, layer, quantised)
            nodes += _weights(graph, node, found, scheme)
        if found is not None and found.ndim > 2 and found.size >= FEW:  # a table of positions
            gone.add(node.input[1])
            nodes += _weights(graph, node, found, Scheme(per_channel=False))
        nodes.append(node)
    if left:
        names = len(left)
        raise NotQuantised(f"{names} of {len(layers)} layers have no product in the exported file.")
    kept = [entry for entry in graph.initializer if entry.name not in gone]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.node[:]
    graph.node.extend(nodes)


def _inputs(
    graph: Any, node: Any, layer: FakeLinear, made: dict[tuple[str, float, int], str]
) -> list[Any]:
    """Round what goes into a product; layers that see the same in the same way share it."""
    found, source = layer.range(), node.input[0]
    key = (source, found.scale, found.zero)
    if key in made:
        node.input[0] = made[key]
        return []
    name = f"{source}.q{len(made)}"
    whole = np.array(found.zero, dtype=np.int8 if layer.scheme.symmetric else np.uint8)
    graph.initializer.append(numpy_helper.from_array(np.float32(found.scale), f"{name}.scale"))
    graph.initializer.append(numpy_helper.from_array(whole, f"{name}.zero"))
    pair = [f"{name}.scale", f"{name}.zero"]
    made[key] = node.input[0] = f"{name}.back"
    return [
        helper.make_node("QuantizeLinear", [source, *pair], [name], name=f"{name}.to"),
        helper.make_node("DequantizeLinear", [name, *pair], [f"{name}.back"], name=f"{name}.from"),
    ]


def _weights(graph: Any, node: Any, weights: npt.NDArray[Any], scheme: Scheme) -> list[Any]:
    name = node.input[1]
    scales = weight_scales(torch.from_numpy(weights.copy()), scheme.per_channel).numpy()
    whole = np.clip(np.round(weights / scales), -WEIGHT, WEIGHT).astype(np.int8)
    shaped = scales if scheme.per_channel else scales[0]
    zeros = np.zeros_like(shaped, dtype=np.int8)
    for part, value in (("int8", whole), ("scale", np.float32(shaped)), ("zero", zeros)):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{name}.{part}"))
    axis = {"axis": 1} if scheme.per_channel else {}
    node.input[1] = f"{name}.back"
    inputs = [f"{name}.int8", f"{name}.scale", f"{name}.zero"]
    return [
        helper.make_node(
            "DequantizeLinear", inputs, [f"{name}.back"], name=f"{name}.from", **axis
        )
    ]


def _shorten(graph: Any) -> None:
    """Give numbers for names: those of a traced graph are a thirtieth of a small file."""
    fixed = {entry.name for entry in (*graph.input, *graph.output)}
    names: dict[str, str] = {"": ""}

    def short(name: str) -> str:
        return name if name in fixed else names.setdefault(name, f"{len(names):x}")

    for node in graph.node:
        node.name = ""
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]
    for entry in graph.initializer:
        entry.name = short(entry.name)
    del graph.value_info[:]


def _key(weight: nn.Parameter) -> bytes:
    array: npt.NDArray[np.float32] = weight.detach().t().contiguous().float().numpy()
    return array.tobytes()


def is_int8(file: Path) -> bool:
    """Tell whether a file's weights are stored in eight bits."""
    model = onnx.load(str(file))
    return any(entry.data_type == TensorProto.INT8 for entry in model.graph.initializer)

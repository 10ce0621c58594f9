"""FP32 models to INT8 with ranges found while they run: no data needed."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from stages.asr.campp.geometry import METADATA_KEY, NotAModel, read, write


def quantise(source: Path, target: Path) -> None:
    """Write an INT8 copy of an exported model.

    Weights are signed: unsigned ones lose nearly the whole gain at batches of 8 and more.
    Only products with a two-dimensional constant are taken: per-channel ranges of a constant
    with more dimensions (the tables of positions) make a file that cannot run, and attention's
    own products are better left alone. Those tables lie in the file as bytes and are made
    numbers again before they are used.

    Raises:
        NotAModel: the file was not exported by firstword, or is INT8 already.
    """
    model = onnx.load(str(source))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    geometry, tokens = read(str(source), metadata)
    if geometry.weights != "float32":
        raise NotAModel(str(source), "it is INT8 already")
    products(source, target)
    copy = onnx.load(str(target))
    pack_tables(copy)
    changed = write(geometry.model_copy(update={"weights": "int8"}), tokens)
    del copy.metadata_props[:]
    onnx.helper.set_model_props(copy, {**metadata, METADATA_KEY: changed[METADATA_KEY]})
    onnx.save(copy, str(target))


def products(source: Path, target: Path) -> None:
    """Write a copy of any ONNX model with its products of weights in INT8; target may be source."""
    model = onnx.load(str(source))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    with tempfile.TemporaryDirectory(prefix="firstword-int8-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)  # it recommends a pass that the exporter has done
        made = Path(folder, "int8.onnx")
        try:
            quantize_dynamic(
                str(source),
                str(made),
                per_channel=True,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["MatMul", "Gemm"],
                nodes_to_exclude=left_alone(model),
            )
        finally:
            logging.disable(logging.NOTSET)
        copy = onnx.load(str(made))
    del copy.metadata_props[:]
    onnx.helper.set_model_props(copy, metadata)
    onnx.save(copy, str(target))


def pack_tables(model: onnx.ModelProto) -> None:
    """Store constants of three dimensions that products take in bytes, a scale a distance."""
    graph = model.graph
    taken = {node.input[1] for node in graph.node if node.op_type == "MatMul"}
    for table in [entry for entry in graph.initializer if entry.name in taken]:
        if len(table.dims) < 3 or table.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(table)
        scales = np.abs(values).max(axis=tuple(range(values.ndim - 1))) / 127
        scales = np.maximum(scales, np.finfo(np.float32).tiny).astype(np.float32)
        packed = np.rint(values / scales).astype(np.int8)
        name = table.name
        graph.initializer.remove(table)
        graph.initializer.extend(
            [
                numpy_helper.from_array(packed, f"{name}.bytes"),
                numpy_helper.from_array(scales, f"{name}.scales"),
            ]
        )
        wide = onnx.helper.make_node(
            "DequantizeLinear",
            [f"{name}.bytes", f"{name}.scales"],
            [name],
            name=f"{name}.wide",
            axis=values.ndim - 1,
        )
        graph.node.insert(0, wide)


def left_alone(model: onnx.ModelProto) -> list[str]:
    """Return the names of the products that have no two-dimensional constant."""
    flat = {entry.name for entry in model.graph.initializer if len(entry.dims) == 2}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in {"MatMul", "Gemm"} and node.input[1] not in flat
    ]

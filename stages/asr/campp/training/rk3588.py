"""What Rockchip's tools need to make an NPU model themselves. Not tested on the hardware.

Their import of quantised ONNX files is not reliable, and their own quantisation is; so they get
the FP32 model with fixed shapes, sound to find ranges with, and a script that runs them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch

from stages.asr.campp import geometry as geometry_
from stages.asr.campp import names
from stages.asr.campp.training import export
from stages.asr.campp.training.corpus import Corpus
from stages.asr.campp.training.network import Network
from stages.asr.campp.training.text import tokens_for

STEPS = 64
"""Steps in the calibration set."""

SCRIPT = '''\
"""Makes model.rknn of model.onnx; needs rknn-toolkit2. Never run on the hardware by its authors."""

from rknn.api import RKNN

rknn = RKNN(verbose=True)
rknn.config(
    target_platform="rk3588",
    quantized_dtype="asymmetric_quantized-8",
    quantized_method="layer",  # per channel, some operators fall back to the CPU
)
for step in (
    lambda: rknn.load_onnx(model="model.onnx"),
    lambda: rknn.build(do_quantization=True, dataset="dataset.txt"),
    lambda: rknn.export_rknn("model.rknn"),
):
    if step() != 0:
        raise SystemExit("rknn-toolkit2 gave up; its log says why")
'''


def write(network: Network, corpus: Corpus, folder: Path) -> None:
    """Write ``model.onnx`` (one call, fixed shapes), ``calibration/``, ``dataset.txt``, a script.

    Args:
        network: plain, trained.
        corpus: its training items show real ranges; also those of the caches, step after step.
        folder: made if need be.
    """
    (folder / "calibration").mkdir(parents=True, exist_ok=True)
    _model(network, folder / "model.onnx")
    lines = _calibration(network, corpus, folder)
    (folder / "dataset.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "convert.py").write_text(SCRIPT, encoding="utf-8")


def _model(network: Network, file: Path) -> None:
    geometry = network.geometry
    taken, given = names.inputs(geometry), names.outputs(geometry)
    step = export.Step(network.eval())
    with tempfile.TemporaryDirectory(prefix="firstword-rk3588-") as folder:
        raw, folded = Path(folder, "raw.onnx"), Path(folder, "folded.onnx")
        inputs = export.blank_inputs(geometry, batch=1)
        export.to_onnx(step, inputs, raw, taken, given, free={})  # fixed shapes
        export.fold(raw, folded)
        model = onnx.load(str(folded))
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, geometry_.write(geometry, tokens_for(geometry.vocabulary)))
    onnx.save(model, str(file))


def _calibration(network: Network, corpus: Corpus, folder: Path) -> list[str]:
    """Walk through clips as a call would, and keep what goes into each step; one line a step."""
    geometry = network.geometry
    lines: list[str] = []
    items = [item for item in corpus.items if not item.held and item.frames >= geometry.window]
    for item in items:
        frames = torch.from_numpy(corpus.frames(item).astype(np.float32))[None]
        given = list(export.blank_inputs(geometry, batch=1))
        for start in range(0, item.frames - geometry.window + 1, geometry.shift):
            given[0] = frames[:, start : start + geometry.window]
            lines.append(_kept(given, folder, len(lines), names.inputs(geometry)))
            if len(lines) == STEPS:
                return lines
            _go_on(network, given)
    return lines


def _kept(given: list[torch.Tensor], folder: Path, number: int, taken: list[str]) -> str:
    files = []
    for name, tensor in zip(taken, given, strict=True):
        file = folder / "calibration" / f"{number:03d}-{name}.npy"
        np.save(file, tensor.numpy())
        files.append(str(file.relative_to(folder)))
    return " ".join(files)


def _go_on(network: Network, given: list[torch.Tensor]) -> None:
    """Step, and put the new keys, values and convolution caches in the place of the old."""
    geometry = network.geometry
    caches = given[2:]
    state = [caches[index : index + 3] for index in range(0, len(caches), 3)]
    with torch.no_grad():
        _, new = network.step(given[0], given[1], torch.zeros(1, dtype=torch.int64), state)
    full = geometry.chunk * geometry.left_chunks
    given[1] = torch.clamp(given[1] + geometry.chunk, max=full)
    for index, (keys, values, convolution) in enumerate(new):
        for part, fresh in enumerate((keys, values)):
            old = given[2 + 3 * index + part]
            given[2 + 3 * index + part] = torch.cat([old, fresh], dim=2)[:, :, -old.shape[2] :]
        given[2 + 3 * index + 2] = convolution

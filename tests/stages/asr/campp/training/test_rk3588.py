"""What Rockchip's tools are given: fixed shapes, ranges of every input, and their own script."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")
pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")
pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'firstword[train]'")

from stages.asr.campp.training import checkpoint, rk3588
from tests.stages.asr.campp.training.test_trainer import learned
from tests.stages.asr.campp.training.tones import songbook


def test_the_model_runs_on_every_step_of_its_calibration_set(tmp_path: Path) -> None:
    songbook(tmp_path / "songs", 40)
    songs = tmp_path
    corpus = learned(songs, "run", 1)
    network = checkpoint.restored(checkpoint.load(songs / "run" / "last.pt"))
    rk3588.write(network, corpus, songs / "npu")

    model = onnxruntime.InferenceSession(str(songs / "npu" / "model.onnx"))
    inputs = model.get_inputs()
    assert all(isinstance(size, int) for given in inputs for size in given.shape)
    steps = (songs / "npu" / "dataset.txt").read_text().splitlines()
    assert steps
    for step in steps[:3]:
        files = [songs / "npu" / name for name in step.split()]
        feed = {one.name: np.load(file) for one, file in zip(inputs, files, strict=True)}
        assert all(np.isfinite(result).all() for result in model.run(None, feed))
    assert "rk3588" in (songs / "npu" / "convert.py").read_text()

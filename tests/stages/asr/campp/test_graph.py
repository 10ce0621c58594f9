"""Files that are no models are refused before a call is taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnxruntime as ort
import pytest

from stages.asr.campp.geometry import NotAModel
from stages.asr.campp.graph import Graph, open_graph
from stages.errors import UserError
from tests.stages.asr.campp.conftest import TINY


def test_the_tiny_model_is_what_it_says(tiny: Graph) -> None:
    assert tiny.geometry.strides == (1, 2, 2)
    assert tiny.geometry.out_frames == 4
    assert len(tiny.tokens) == tiny.geometry.vocabulary == 60


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match=r"gone\.onnx cannot be used.*there is no such file"):
        open_graph(tmp_path / "gone.onnx")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "shopping.onnx"
    file.write_text("milk, eggs")
    with pytest.raises(NotAModel, match="onnxruntime cannot load it"):
        open_graph(file)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (b'"kernel":5', b'"kernel":7', r"\S+ has the shape \(.*\), its metadata says \("),
        (b'"layers":[1,1,1]', b'"layers":[1,1,2]', r"its inputs are not those .*: c\.3"),
        (b'"positions":"relative"', b'"positions":"absolute"', "its inputs are not those"),
    ],
)
def test_a_file_whose_metadata_is_not_its_networks_is_refused(
    tmp_path: Path, old: bytes, new: bytes, sentence: str
) -> None:
    whole, file = TINY.read_bytes(), tmp_path / "odd.onnx"
    assert old in whole
    file.write_bytes(whole.replace(old, new))
    with pytest.raises(NotAModel, match=rf"odd\.onnx cannot be used.*: {sentence}"):
        open_graph(file)


def test_a_device_that_is_not_there_says_how_to_install_it() -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this machine has the device")
    with pytest.raises(UserError, match=r"cuda needs .*pip install 'firstword\[gpu\]'"):
        open_graph(Path("any.onnx"), "cuda")


def test_the_running_stage_needs_neither_pytorch_nor_onnx() -> None:
    forbidden = "{'torch', 'onnx', 'kaldifst', 'kaldi_decoder'}"
    script = f"import sys, stages.asr.campp; print({forbidden} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    assert told.stdout.strip() == b"set()"

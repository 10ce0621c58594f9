
"""WeNet checkpoints are read strictly, and say what an independent reading of them says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")

import torch

from stages.asr.campp.features import Fbank, whole
from stages.asr.campp.graph import open_graph
from stages.asr.campp.training.export import export
from stages.asr.campp.training.wenet import NotWenet, read
from tests.stages.asr.campp.conftest import noise
from tests.stages.asr.campp.listening import alone, windows_of
from tests.stages.asr.campp.training.wenet_reference import log_probabilities, random_weights

HEADS, BLOCKS, UNITS = 2, 4, 30
CONF: dict[str, Any] = {
    "output_size": 32,
    "attention_heads": HEADS,
    "linear_units": 48,
    "num_blocks": BLOCKS,
    "input_layer": "conv2d",
    "pos_enc_layer_type": "rel_pos",
    "selfattention_layer_type": "rel_selfattn",
    "activation_type": "swish",
    "normalize_before": True,
    "cnn_module_kernel": 8,
    "use_cnn_module": True,
    "causal": True,
    "cnn_module_norm": "layer_norm",
    "use_dynamic_chunk": True,
}


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return random_weights(80, 32, HEADS, 48, BLOCKS, 8, UNITS)


@pytest.fixture
def folder(tmp_path: Path, weights: dict[str, torch.Tensor]) -> Path:
    torch.save(weights, tmp_path / "final.pt")
    text = yaml.safe_dump({"encoder": "conformer", "encoder_conf": CONF})
    (tmp_path / "train.yaml").write_text(text)
    units = ["<blank>", "<unk>", *(chr(0x4E00 + n) for n in range(UNITS - 3)), "<sos/eos>"]
    lines = "".join(f"{unit} {number}\n" for number, unit in enumerate(units))
    (tmp_path / "units.txt").write_text(lines, "utf-8")
    return tmp_path


@pytest.mark.parametrize("chunk", [8, 16])
def test_a_checkpoint_says_what_an_independent_reading_says(
    chunk: int, folder: Path, weights: dict[str, torch.Tensor]
) -> None:
    imported = read(folder, chunk=chunk)
    geometry = imported.network.geometry
    assert (geometry.window, geometry.shift) == ((35, 32) if chunk == 8 else (67, 64))
    frames, _ = whole(geometry, Fbank(geometry.front), noise(5))
    truth = log_probabilities(weights, torch.tensor(frames), HEADS, BLOCKS, chunk, 4)
    with torch.no_grad():
        length = torch.tensor([len(frames)])
        ours = imported.network(torch.tensor(frames)[None], length, chunk, 4)[0][0]
    torch.testing.assert_close(ours, truth, atol=1e-4, rtol=0)
    export(imported.network, imported.tokens, folder / "ours.onnx")
    graph = open_graph(folder / "ours.onnx")
    heard = alone(graph, windows_of(graph, Fbank(geometry.front), noise(5)))
    assert len(heard) > 100
    np.testing.assert_allclose(heard, truth[: len(heard)].numpy(), atol=1e-4)


def test_a_long_call_goes_back_in_the_table_before_it_ends(folder: Path) -> None:
    imported = read(folder)
    export(imported.network, imported.tokens, folder / "ours.onnx")
    graph = open_graph(folder / "ours.onnx")
    windows = windows_of(graph, Fbank(graph.geometry.front), noise(10))
    repeated = [windows[index % len(windows)] for index in range(700)]  # 5,600 frames of 40 ms
    heard = alone(graph, repeated)
    assert len(heard) == 5600
    assert np.isfinite(heard).all()


def test_normalisation_may_lie_beside_the_weights(
    folder: Path, weights: dict[str, torch.Tensor]
) -> None:
    mean = weights.pop("encoder.global_cmvn.mean").double()
    istd = weights.pop("encoder.global_cmvn.istd").double()
    torch.save(weights, folder / "final.pt")
    sums = {"mean_stat": (mean * 500).tolist(), "frame_num": 500}
    sums["var_stat"] = ((istd**-2 + mean**2) * 500).tolist()
    (folder / "global_cmvn").write_text(json.dumps(sums))
    network = read(folder).network
    torch.testing.assert_close(network.get_buffer("cmvn_mean"), mean.float())
    torch.testing.assert_close(network.get_buffer("cmvn_istd"), istd.float())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"causal": False}, "encoder_conf.causal is False; only True streams"),
        ({"cnn_module_norm": "batch_norm"}, "only 'layer_norm' streams"),
        ({"input_layer": "conv2d8"}, "conv2d and conv2d2 are known"),
        ({"num_blocks": 3}, "has more layers than train.yaml says"),
        ({"num_blocks": 5}, "final.pt lacks blocks"),
        ({"output_size": None}, "encoder_conf.output_size is missing"),
        ({"linear_units": 64}, r"first.up.weight has the shape \(48, 32\)"),
    ],
)
def test_another_encoder_is_refused(change: dict[str, Any], sentence: str, folder: Path) -> None:
    text = yaml.safe_dump({"encoder": "conformer", "encoder_conf": CONF | change})
    (folder / "train.yaml").write_text(text)
    with pytest.raises(NotWenet, match=sentence.replace(".", r"\.")):
        read(folder)


def test_an_unknown_key_is_refused(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    torch.save(weights | {"encoder.surprise.weight": torch.zeros(1)}, folder / "final.pt")
    with pytest.raises(NotWenet, match=r"nothing here answers to: encoder\.surprise\.weight"):
        read(folder)


@pytest.mark.parametrize("name", ["final.pt", "train.yaml", "units.txt"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(NotWenet, match=name.replace(".", r"\.")):
        read(folder)


def test_weights_that_are_none_are_refused(folder: Path) -> None:
    (folder / "final.pt").write_bytes(b"nothing")
    with pytest.raises(NotWenet, match=r"final\.pt cannot be read"):
        read(folder)

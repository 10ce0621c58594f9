"""``asr quantize`` writes the eight bits that are asked for, and refuses what a way has not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")
pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")
pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'firstword[train]'")

import onnx
from onnx import numpy_helper

from stages.asr.campp.article.forge import shipped
from stages.asr.campp.graph import open_graph
from stages.asr.campp.training import checkpoint
from stages.errors import UserError
from tests.stages.asr.campp.training.commands import asr
from tests.stages.asr.campp.training.tones import lesson, songbook

pytestmark = pytest.mark.timeout(120)

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a tiny training lies; tests write beside it."""
    made = tmp_path_factory.mktemp("quantize")
    songbook(made / "songs", 30)
    lesson(made, steps=2)
    asr("train", made / "lesson.yaml", "--data", made, "--work", made / "work")
    return made


def quantized(folder: Path, file: Path, *flags: object) -> None:
    asr("quantize", folder / "work" / "run", file, "--config", folder / "lesson.yaml",
        "--data", folder, "--work", folder / "work", *flags)  # fmt: skip


def constants(file: Path) -> tuple[Any, dict[str, Array]]:
    model = onnx.load(str(file))
    return model.graph, {e.name: numpy_helper.to_array(e) for e in model.graph.initializer}


def zero_points(file: Path) -> list[Array]:
    """Return those of what goes into products."""
    graph, values = constants(file)
    return [values[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]


def products(file: Path) -> list[tuple[Array, Array, Array]]:
    """Return whole numbers, scales and zero points of the weights of products."""
    graph, values = constants(file)
    found = [
        tuple(values[name] for name in node.input)
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in values
    ]
    return [(whole, scale, zero) for whole, scale, zero in found if whole.ndim == 2]


@pytest.mark.parametrize(
    ("flags", "symmetric", "per_channel"),
    [
        ([], False, True),
        (["--profile", "x86"], False, True),
        (["--profile", "tensorrt"], True, True),
        (["--profile", "rk3588"], False, False),
        (["--symmetric"], True, True),
        (["--no-per-channel"], False, False),
        (["--symmetric", "--no-per-channel"], True, False),
        (["--profile", "tensorrt", "--no-symmetric"], False, True),
        (["--profile", "rk3588", "--per-channel"], False, True),
    ],
)
def test_scales_and_zero_points_are_those_that_were_asked_for(
    folder: Path, tmp_path: Path, flags: list[str], symmetric: bool, per_channel: bool
) -> None:
    file = tmp_path / "int8.onnx"
    quantized(folder, file, "--way", "static", *flags)

    zeros = zero_points(file)
    assert {zero.dtype.name for zero in zeros} == {"int8" if symmetric else "uint8"}
    assert any(zero != 0 for zero in zeros) != symmetric
    weights = products(file)
    assert weights
    for whole, scale, zero in weights:
        assert (whole.dtype.name, zero.dtype.name) == ("int8", "int8")
        assert not zero.any()
        assert scale.shape == zero.shape == ((whole.shape[1],) if per_channel else ())
        widest = np.abs(whole.astype(int)).max(axis=0 if per_channel else None)
        assert (widest == 127).all()  # each scale is that of its largest weight
    assert open_graph(file).geometry.weights == "int8"
    assert (tmp_path / "int8" / "convert.py").exists() == ("rk3588" in flags)


@pytest.mark.parametrize(
    ("way", "flags", "fault"),
    [
        ("dynamic", ["--symmetric"], "--way dynamic has no --symmetric: onnxruntime finds"),
        ("dynamic", ["--no-per-channel"], "--way dynamic has no --per-channel: onnx"),
        ("dynamic", ["--profile", "rk3588"], "--way dynamic has no --profile rk3588: onnx"),
        ("dynamic", ["--steps", 5], "--way dynamic has no --steps: only qat goes on training"),
        ("static", ["--epochs", 0.5], "--way static has no --epochs: only qat goes on"),
        ("static", ["--keep", "kept.pt"], "--way static has no --keep: only qat goes on"),
        ("qat", ["--steps", 0], "--steps and --epochs must be above 0"),
        ("qat", ["--epochs", -1], "--steps and --epochs must be above 0"),
    ],
)
def test_flags_that_do_nothing_are_refused(
    folder: Path, tmp_path: Path, way: str, flags: list[object], fault: str
) -> None:
    with pytest.raises(UserError, match=fault):
        quantized(folder, tmp_path / "int8.onnx", "--way", way, *flags)
    assert list(tmp_path.iterdir()) == []


def test_ranges_without_a_training_to_find_them_with_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="--way static needs --config"):
        asr("quantize", folder / "work" / "run", tmp_path / "int8.onnx", "--way", "static")


def test_fine_tuning_lasts_as_many_epochs_as_were_asked_for_and_is_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.pt"
    flags = ["--way", "qat", "--epochs", 3, "--keep", kept]
    quantized(folder, tmp_path / "int8.onnx", *flags)

    out = capsys.readouterr().out
    steps, epoch = re.search(
        r"fine-tuning for (\d+) steps; an epoch has about (\d+)", out
    ).groups()  # type: ignore[union-attr]
    assert int(steps) == 3 * int(epoch)
    assert f"step {steps} of {steps}" in out
    assert re.search(r"ranges are found with \d+ clips", out)
    assert checkpoint.load(kept).step == 2


def test_files_of_the_shipped_weights_are_small_in_all_three_ways(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="needs PocketSphinx: pip install 'firstword[train]'")
    songs = songbook(tmp_path / "songs", 10)
    songs.write_text(re.sub(r'"text": "\w+"', '"text": "tea"', songs.read_text()))
    network = yaml.safe_load(shipped("en-small.yaml").read_text())["network"]
    lesson(tmp_path, network=network)
    weights = shipped("en-small.pt")

    asr("export", weights, tmp_path / "full.onnx")
    for way in ("dynamic", "static", "qat"):
        flags = [] if way == "dynamic" else ["--config", tmp_path / "lesson.yaml"]
        flags += ["--steps", 1] if way == "qat" else []
        place = ["--data", tmp_path, "--work", tmp_path / "work"]
        asr("quantize", weights, tmp_path / f"{way}.onnx", "--way", way, *flags, *place)

        full = (tmp_path / "full.onnx").stat().st_size
        assert (tmp_path / f"{way}.onnx").stat().st_size <= 0.27 * full, way

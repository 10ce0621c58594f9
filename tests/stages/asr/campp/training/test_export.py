
"""An exported file says what the network says, batched or alone, and INT8 nearly so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")

import onnx
import torch

from stages.asr.campp.features import Fbank, whole
from stages.asr.campp.geometry import METADATA_KEY, Front, NotAModel
from stages.asr.campp.graph import open_graph
from stages.asr.campp.resident import ResidentStates, ResidentSteps
from stages.asr.campp.states import States
from stages.asr.campp.steps import Row, Steps
from stages.asr.campp.training.export import export
from stages.asr.campp.training.quantise import quantise
from stages.asr.campp.training.sizes import alphabet
from tests.stages.asr.campp.conftest import TINY, noise
from tests.stages.asr.campp.listening import alone, stepped, windows_of
from tests.stages.asr.campp.make_tiny import TOKENS, talkative


@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 2, 2)])
@pytest.mark.parametrize("chunk", [8, 16])
def test_the_file_says_what_the_network_says(
    strides: tuple[int, ...], chunk: int, tmp_path: Path
) -> None:
    made = talkative(strides=strides, chunk=chunk)
    export(made, alphabet(TOKENS), tmp_path / "m.onnx")
    graph = open_graph(tmp_path / "m.onnx")
    assert (graph.geometry, graph.tokens) == (made.geometry, alphabet(TOKENS))
    fbank, sound = Fbank(graph.geometry.front), noise(3.2, 1)
    frames, _ = whole(made.geometry, fbank, sound)
    with torch.no_grad():
        full, _ = made(torch.tensor(frames)[None], torch.tensor([len(frames)]), chunk, 4)
    heard = alone(graph, windows_of(graph, fbank, sound))
    np.testing.assert_allclose(heard, full[0].numpy(), atol=1e-4)


def test_absolute_positions_go_on_past_the_end_of_their_table(tmp_path: Path) -> None:
    made = talkative(
        subsampling=4,
        strides=(1, 1, 1),
        chunk=8,
        positions="absolute",
        max_positions=200,
        front=Front(window="povey", lead_samples=0, kept_frames=0),
    )
    export(made, alphabet(TOKENS), tmp_path / "m.onnx")
    graph = open_graph(tmp_path / "m.onnx")
    fbank, sound = Fbank(graph.geometry.front), noise(12, 1)
    frames, _ = whole(made.geometry, fbank, sound)
    windows = windows_of(graph, fbank, sound)
    heard = alone(graph, windows)
    assert np.isfinite(heard).all()
    with torch.no_grad():
        full, _ = made(torch.tensor(frames)[None], torch.tensor([len(frames)]), 8, 4)
    # Until the table's end is near they are the whole utterance's own numbers.
    np.testing.assert_allclose(heard[:112], full[0, :112].numpy(), atol=1e-4)


def test_int8_is_small_and_close_and_batches(tmp_path: Path) -> None:
    quantise(TINY, tmp_path / "int8.onnx")
    graph, original = open_graph(tmp_path / "int8.onnx"), open_graph(TINY)
    assert graph.geometry.weights == "int8"
    sound = windows_of(graph, Fbank(graph.geometry.front), noise(4))
    one, other = alone(graph, sound), alone(original, sound)
    assert (one.argmax(1) == other.argmax(1)).mean() > 0.8
    steps = Steps(graph, States(graph.geometry, 3), 3)
    rows = stepped(steps, [Row(slot, sound[slot]) for slot in range(3)])
    assert all(np.isfinite(row).all() for row in rows)


def test_int8_keeps_no_large_table_in_four_bytes_a_number(tmp_path: Path) -> None:
    quantise(TINY, tmp_path / "int8.onnx")
    model = onnx.load(str(tmp_path / "int8.onnx"))
    tables = [entry for entry in model.graph.initializer if entry.name.endswith(".bytes")]
    assert tables
    assert {entry.data_type for entry in tables} == {onnx.TensorProto.INT8}
    taken = {node.input[1] for node in model.graph.node if node.op_type == "MatMul"}
    wide = [entry.name for entry in model.graph.initializer if entry.name in taken]
    assert wide == []


def test_int8_weights_are_signed(tmp_path: Path) -> None:
    quantise(TINY, tmp_path / "int8.onnx")
    model = onnx.load(str(tmp_path / "int8.onnx"))
    types = {entry.data_type for entry in model.graph.initializer if "_quantized" in entry.name}
    assert types == {onnx.TensorProto.INT8}
    with pytest.raises(NotAModel, match="INT8 already"):
        quantise(tmp_path / "int8.onnx", tmp_path / "again.onnx")


def test_metadata_that_lies_about_a_tensor_is_found(tmp_path: Path) -> None:
    model = onnx.load(str(TINY))
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = entry.value.replace('"kernel":5', '"kernel":9')
    onnx.save(model, str(tmp_path / "lies.onnx"))
    with pytest.raises(NotAModel, match=r"c\.0 has the shape \(24, 4\).*says \(24, 8\)"):
        open_graph(tmp_path / "lies.onnx")


def test_metadata_with_too_many_layers_is_found(tmp_path: Path) -> None:
    model = onnx.load(str(TINY))
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = entry.value.replace('"layers":[1,1,1]', '"layers":[1,1,2]')
    onnx.save(model, str(tmp_path / "lies.onnx"))
    with pytest.raises(NotAModel, match=r"its inputs are not those of a step: c\.3"):
        open_graph(tmp_path / "lies.onnx")


def test_a_resident_file_keeps_its_caches_and_says_the_same(tmp_path: Path) -> None:
    made = talkative()
    export(made, alphabet(TOKENS), tmp_path / "plain.onnx")
    export(made, alphabet(TOKENS), tmp_path / "resident.onnx", resident=True)
    plain, graph = open_graph(tmp_path / "plain.onnx"), open_graph(tmp_path / "resident.onnx")
    steps = ResidentSteps(graph, ResidentStates(graph, 5), 4)
    calls = [windows_of(plain, Fbank(graph.geometry.front), noise(3, seed)) for seed in range(3)]
    for _ in range(2):  # the second time in slots that were used
        heard: list[list[np.ndarray]] = [[], [], []]
        for slot in (4, 0, 2):
            steps.states.clear(slot)
        for windows in zip(*calls, strict=True):
            rows = [Row(slot, window) for slot, window in zip((4, 0, 2), windows, strict=True)]
            steps.run([Row(4, windows[1], keep=False), Row(1, windows[2])])
            for call, log_probs in zip(heard, steps.run(rows), strict=True):
                assert isinstance(log_probs, np.ndarray)
                call.append(log_probs)
        for call, windows in zip(heard, calls, strict=True):
            np.testing.assert_allclose(np.concatenate(call), alone(plain, windows), atol=1e-4)

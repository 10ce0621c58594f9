# ruff: noqa: E402 (what needs PyTorch is imported after the test that it is there)
"""The same weights in sherpa-onnx say the same tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")
sherpa_onnx = pytest.importorskip("sherpa_onnx", reason="needs: pip install sherpa-onnx")

from stages.asr.campp.decode.greedy import Greedy
from stages.asr.campp.features import Fbank
from stages.asr.campp.graph import open_graph
from stages.asr.campp.training import peer
from stages.asr.campp.training.export import export
from stages.asr.campp.training.sizes import alphabet
from stages.errors import UserError
from tests.stages.asr.campp.conftest import noise
from tests.stages.asr.campp.listening import alone, windows_of
from tests.stages.asr.campp.make_tiny import TOKENS, talkative


def sherpa_says(folder: Path, samples: np.ndarray) -> tuple[list[str], int]:
    """Return sherpa-onnx's tokens, and how many chunks it decoded."""
    recogniser = sherpa_onnx.OnlineRecognizer.from_wenet_ctc(
        model=str(folder / "model.onnx"),
        tokens=str(folder / "tokens.txt"),
        chunk_size=16,
        num_left_chunks=4,
        num_threads=1,
    )
    stream, chunks = recogniser.create_stream(), 0
    for at in range(0, len(samples), 1600):
        stream.accept_waveform(16000, samples[at : at + 1600])
        while recogniser.is_ready(stream):
            recogniser.decode_stream(stream)
            chunks += 1
    return list(recogniser.tokens(stream)), chunks


async def test_sherpa_onnx_says_the_same_tokens(tmp_path: Path) -> None:
    made = talkative(strides=(1, 1, 1), front=peer.FRONT)
    peer.export(made, alphabet(TOKENS), tmp_path)
    export(made, alphabet(TOKENS), tmp_path / "ours.onnx")
    graph = open_graph(tmp_path / "ours.onnx")
    for seed in range(3):
        samples = noise(8, seed)
        tokens, chunks = sherpa_says(tmp_path, samples)
        windows = windows_of(graph, Fbank(graph.geometry.front), samples)[:chunks]
        heard = await Greedy(graph.tokens).take(alone(graph, windows))
        assert chunks >= 23
        assert len(tokens) > 20
        said = [piece.text.replace("▁", " ") for piece in heard.pieces]  # as sherpa-onnx shows it
        assert said == tokens


def test_what_sherpa_onnx_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"strides 1,1,1 .* this one has \(1, 2, 2\)"):
        peer.export(talkative(), alphabet(TOKENS), tmp_path)

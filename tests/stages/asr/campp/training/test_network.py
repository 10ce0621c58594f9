
"""Chunk by chunk with caches is what the whole utterance is under its mask."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")

import torch

from stages.asr.campp.features import Fbank, Windows, whole
from stages.asr.campp.geometry import Front
from stages.asr.campp.training.network import Network
from stages.asr.campp.training.sizes import alphabet, network
from tests.stages.asr.campp.conftest import noise
from tests.stages.asr.campp.make_tiny import talkative

WENET = {
    "subsampling": 4,
    "positions": "absolute",
    "front": Front(window="povey", lead_samples=0, kept_frames=0),
}


def by_chunks(made: Network, samples: np.ndarray) -> torch.Tensor:
    """Step through an utterance with caches kept by hand."""
    geometry = made.geometry
    windows = Windows(geometry, Fbank(geometry.front))
    cut = windows.hear(samples)
    rest = windows.rest()
    cut += [rest[0]] if rest else []
    state = []
    for segment, count in enumerate(geometry.layers):
        left = geometry.segment_chunk(segment) * geometry.left_chunks
        keys = torch.zeros(1, geometry.heads, left, geometry.head_width)
        kept = torch.zeros(1, geometry.width, geometry.kernel - 1)
        state += [[keys, keys, kept] for _ in range(count)]
    rows = []
    for index, window in enumerate(cut):
        history = torch.tensor([min(index, geometry.left_chunks) * geometry.chunk])
        offset = torch.tensor([index * geometry.chunk])
        log_probs, new = made.step(torch.tensor(window)[None], history, offset, state)
        rows.append(log_probs)
        state = [
            [*(torch.cat([old[p], now[p]], 2)[:, :, now[p].shape[2] :] for p in (0, 1)), now[2]]
            for old, now in zip(state, new, strict=True)
        ]
    return torch.cat(rows, dim=1)


@pytest.mark.parametrize("chunk", [8, 16, 32])
@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 2, 2)])
@pytest.mark.parametrize("kind", [{}, WENET], ids=["ours", "wenet"])
def test_chunked_is_full(chunk: int, strides: tuple[int, ...], kind: dict[str, object]) -> None:
    torch.manual_seed(1)
    made = network("tiny", alphabet(60), chunk=chunk, strides=strides, **kind)
    for one in made.parameters():
        if one.dim() == 1:  # norms and biases begin as ones and zeros, which would hide mistakes
            torch.nn.init.normal_(one, 0.1, 0.3)
    samples = noise(4.03, 2)
    frames, _ = whole(made.geometry, Fbank(made.geometry.front), samples)
    with torch.no_grad():
        full, lengths = made(torch.tensor(frames)[None], torch.tensor([len(frames)]), chunk, 4)
        chunked = by_chunks(made, samples)
    assert lengths.tolist() == [chunked.shape[1]]
    torch.testing.assert_close(chunked, full[:, : chunked.shape[1]], atol=1e-5, rtol=0)


def test_a_batch_of_utterances_is_each_alone() -> None:
    made = talkative()
    fbank = Fbank(made.geometry.front)
    frames = [torch.tensor(whole(made.geometry, fbank, noise(s, s))[0]) for s in (1, 3, 2)]
    lengths = torch.tensor([len(one) for one in frames])
    with torch.no_grad():
        together, real = made(torch.nn.utils.rnn.pad_sequence(frames, True), lengths, 16, 4)
        singles = [made(one[None], lengths[i : i + 1], 16, 4) for i, one in enumerate(frames)]
    for index, (single, length) in enumerate(singles):
        assert length[0] == real[index]
        torch.testing.assert_close(
            together[index, : length[0]], single[0, : length[0]], atol=1e-4, rtol=1e-4
        )


def test_no_frame_sees_what_comes_after_its_chunk() -> None:
    made = talkative()
    frames = torch.randn(1, 33 + 32 * 5, 80)
    changed = frames.clone()
    changed[:, 33 + 32 * 2 :] = 9.0
    lengths = torch.tensor([frames.shape[1]])
    with torch.no_grad():
        one, other = made(frames, lengths, 16, 4)[0], made(changed, lengths, 16, 4)[0]
    torch.testing.assert_close(one[:, :12], other[:, :12])
    assert (one[:, 12:] - other[:, 12:]).abs().max() > 0.1


def test_it_learns_a_sentence_by_heart() -> None:
    torch.manual_seed(0)
    made = network("tiny", alphabet(20), strides=(1, 1, 1)).train()
    frames = torch.randn(2, 1 + 32 * 4, 80)
    lengths = torch.tensor([129, 97])
    targets, sizes = torch.tensor([[5, 6, 7, 5], [8, 8, 9, 0]]), torch.tensor([4, 3])
    optimiser = torch.optim.Adam(made.parameters(), 3e-3)
    losses = []
    for step in range(30):
        log_probs, real = made(frames, lengths, (8, 16, 32)[step % 3], 4)
        loss = torch.nn.functional.ctc_loss(log_probs.transpose(0, 1), targets, real, sizes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5


def test_base_and_small_are_as_large_as_they_say() -> None:
    with torch.device("meta"):
        base = network("base", alphabet(5538), strides=(1, 1, 1))
        small = network("small", alphabet(5538))
    assert sum(one.numel() for one in base.parameters()) == pytest.approx(88.9e6, rel=0.002)
    assert sum(one.numel() for one in small.parameters()) == pytest.approx(10e6, rel=0.08)

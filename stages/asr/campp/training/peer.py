"""A second export, in the shape that sherpa-onnx reads, to stand beside it with equal weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from stages.asr.campp.geometry import Front, Geometry
from stages.asr.campp.training.export import fold, label, to_onnx
from stages.asr.campp.training.network import Network
from stages.errors import UserError

FRONT = Front(
    window="povey", low_hz=20.0, high_hz=-400.0, lead="mirror", lead_samples=120, kept_frames=0
)
"""The front end that sherpa-onnx has built in: it looks one frame ahead of a packet's own."""

TAKEN = ["x", "offset", "required_cache_size", "attn_cache", "conv_cache", "attn_mask"]
GIVEN = ["log_probs", "next_attn_cache", "next_conv_cache"]


class _PeerStep(nn.Module):
    """One call's step with all caches in two tensors, as WeNet's exports have them."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, *taken: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take the tensors of ``TAKEN``, give those of ``GIVEN``."""
        x, offset, cache_size, attention, convolution, mask = taken
        geometry = self.network.geometry
        left, width = geometry.chunk * geometry.left_chunks, geometry.head_width
        history = mask[:, 0, :left].sum(dim=-1).to(torch.int64)
        state = [
            [attention[n : n + 1, ..., :width], attention[n : n + 1, ..., width:], convolution[n]]
            for n in range(sum(geometry.layers))
        ]
        log_probs, new = self.network.step(x, history, history, state)
        unused = (0 * (offset + cache_size)).to(x.dtype).sum()  # dropped inputs would misalign all
        joined = torch.cat([torch.cat([keys, values], -1) for keys, values, _ in new], 0)
        grown = torch.cat([attention, joined], dim=2)[:, :, geometry.chunk :]
        return log_probs + unused, grown, torch.stack([kept for _, _, kept in new])


def export(network: Network, tokens: tuple[str, ...], folder: Path) -> Path:
    """Write ``model.onnx`` and ``tokens.txt`` for ``OnlineRecognizer.from_wenet_ctc``.

    Raises:
        UserError: sherpa-onnx cannot express the network: it strides, or counts positions.
    """
    geometry = network.geometry
    if set(geometry.strides) != {1} or geometry.positions != "relative":
        raise UserError(
            "sherpa-onnx reads models with strides 1,1,1 and relative positions only;"
            f" this one has {geometry.strides} and {geometry.positions}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    names = ["<blk>" if number == geometry.blank else one for number, one in enumerate(tokens)]
    lines = (f"{name} {number}\n" for number, name in enumerate(names))
    (folder / "tokens.txt").write_text("".join(lines), "utf-8")
    was_training = network.training
    with tempfile.TemporaryDirectory(prefix="firstword-peer-") as scratch:
        raw, folded = Path(scratch, "raw.onnx"), Path(scratch, "folded.onnx")
        to_onnx(_PeerStep(network).eval(), _blank(geometry), raw, TAKEN, GIVEN, free={})
        fold(raw, folded)
        label(folded, _metadata(geometry), folder / "model.onnx", {})
    network.train(was_training)
    return folder / "model.onnx"


def _blank(geometry: Geometry) -> tuple[Tensor, ...]:
    layers, left = sum(geometry.layers), geometry.chunk * geometry.left_chunks
    return (
        torch.zeros(1, geometry.window, geometry.front.mels),
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(layers, geometry.heads, left, 2 * geometry.head_width),
        torch.zeros(layers, 1, geometry.width, geometry.kernel - 1),
        torch.ones(1, 1, left + geometry.chunk, dtype=torch.bool),
    )


def _metadata(geometry: Geometry) -> dict[str, str]:
    figures = {
        "head": geometry.heads,
        "num_blocks": sum(geometry.layers),
        "output_size": geometry.width,
        "cnn_module_kernel": geometry.kernel,
        "right_context": geometry.right_context,
        "subsampling_factor": geometry.subsampling,
        "vocab_size": geometry.vocabulary,
        "chunk_size": geometry.chunk,
        "left_chunks": geometry.left_chunks,
        "model_type": "wenet_ctc",
    }
    return {key: str(value) for key, value in figures.items()}

"""The network: a causal Conformer in segments, each with caches of its own, and a CTC output.

The same weights run in two ways that give the same numbers: ``forward`` over whole utterances
under a chunk mask (training), and ``step`` chunk by chunk with caches (the exported graph).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.asr.campp.geometry import Geometry
from stages.asr.campp.training.layers import Block, Mask, absolute_table, relative_table


@dataclass(frozen=True, slots=True)
class Shape:
    """What the weights need beyond the geometry."""

    hidden: int  # width inside the feed-forward parts
    channels: int  # of the first convolutions
    dropout: float = 0.1


class Subsampling(nn.Module):
    """Fbank frames to encoder frames, by 2 or by 4, without padding."""

    def __init__(self, geometry: Geometry, shape: Shape) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, shape.channels, 3, 2), nn.ReLU()]
        bins = (geometry.front.mels - 1) // 2
        if geometry.subsampling == 4:
            layers += [nn.Conv2d(shape.channels, shape.channels, 3, 2), nn.ReLU()]
            bins = (bins - 1) // 2
        self.conv = nn.Sequential(*layers)
        self.out = nn.Linear(shape.channels * bins, geometry.width)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, t, mels) to (B, T, width)."""
        x = self.conv(frames.unsqueeze(1))
        batch, _, time, _ = x.shape
        scaled: Tensor = self.out(x.transpose(1, 2).reshape(batch, time, -1))
        return scaled * float(self.out.out_features) ** 0.5


class Merge(nn.Module):
    """Neighbouring frames to one: what slows a segment down. It needs no cache."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.norm = nn.LayerNorm(width * stride)
        self.linear = nn.Linear(width * stride, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, T / stride, width); T is a multiple of the stride."""
        batch, time, width = x.shape
        merged: Tensor = self.linear(
            self.norm(x.reshape(batch, time // self.stride, width * self.stride))
        )
        return merged


class Network(nn.Module):
    """The recogniser; what ``step`` takes and gives is described by ``export.names``."""

    def __init__(self, geometry: Geometry, shape: Shape) -> None:
        super().__init__()
        self.geometry, self.shape = geometry, shape
        mels = geometry.front.mels
        self.register_buffer("cmvn_mean", torch.zeros(mels))
        self.register_buffer("cmvn_istd", torch.ones(mels))
        self.embed = Subsampling(geometry, shape)
        self.merges = nn.ModuleList(
            nn.Identity() if stride == 1 else Merge(geometry.width, stride)
            for stride in geometry.strides
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(Block(geometry, shape.hidden, shape.dropout) for _ in range(count))
            for count in geometry.layers
        )
        self.norm = nn.LayerNorm(geometry.width)
        self.output = nn.Linear(geometry.width, geometry.vocabulary)

    @property
    def strides(self) -> list[int]:
        """Encoder frames that one frame of each segment stands for."""
        return list(accumulate(self.geometry.strides, lambda a, b: a * b))

    def forward(
        self, features: Tensor, lengths: Tensor, chunk: int = 0, left_chunks: int = -1
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities of whole utterances, for CTC loss.

        Args:
            features: (B, t, mels) as ``features.whole`` gives them, filled up at the end.
            lengths: (B,) of int64, real frames of each.
            chunk: encoder frames that see each other; a multiple of the last segment's stride;
                0 is everything.
            left_chunks: chunks seen before one's own; -1 is all.

        Returns:
            (B, T, vocabulary) log-probabilities, and (B,) their real lengths.
        """
        x = self.embed(self._normalised(features))
        real = (lengths - self.geometry.right_context - 1) // self.geometry.subsampling + 1
        x = self._whole_frames(x)
        for segment, (merge, blocks) in enumerate(zip(self.merges, self.blocks, strict=True)):
            x = merge(x)
            stride = self.strides[segment]
            valid = torch.div(real + stride - 1, stride, rounding_mode="floor")
            mask = Mask.over(x.shape[1], valid, chunk // stride, left_chunks)
            x = x * (torch.arange(x.shape[1], device=x.device) < valid[:, None])[..., None]
            table = self._table(x.shape[1])
            for block in blocks:
                x = block(x, mask, table)
        last = torch.div(real + self.strides[-1] - 1, self.strides[-1], rounding_mode="floor")
        return self._log_probabilities(x), last

    def step(
        self, features: Tensor, history: Tensor, offset: Tensor, state: list[list[Tensor]]
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """Go on by one chunk.

        Args:
            features: (B, window, mels).
            history: (B,) of int64, encoder frames in the caches that are real (0 at first).
            offset: (B,) of int64, position of the chunk's first frame; absolute positions only.
            state: for every layer [keys, values (B, heads, left, head_width), convolution
                (B, width, kernel - 1)]; zeros at first.

        Returns:
            (B, out_frames, vocabulary) log-probabilities, and for every layer the keys and
            values of the new frames only, and the new convolution cache.
        """
        x = self.embed(self._normalised(features))
        new: list[list[Tensor]] = []
        for segment, (merge, blocks) in enumerate(zip(self.merges, self.blocks, strict=True)):
            x = merge(x)
            frames = self.geometry.segment_chunk(segment)
            left = frames * self.geometry.left_chunks
            real = torch.div(history, self.strides[segment], rounding_mode="floor")
            places = torch.arange(left, device=x.device)
            unseen = (places[None, :] < (left - real)[:, None]).to(x.dtype) * -1e9
            first = torch.div(offset, self.strides[segment], rounding_mode="floor")
            table = self._step_table(frames, left, first)
            for block in blocks:
                x, cache = block.step(x, state[len(new)], unseen[:, None, None, :], table)
                new.append(cache)
        return self._log_probabilities(x), new

    def _normalised(self, features: Tensor) -> Tensor:
        mean, istd = self.get_buffer("cmvn_mean"), self.get_buffer("cmvn_istd")
        return (features - mean) * istd

    def _whole_frames(self, x: Tensor) -> Tensor:
        missing = -x.shape[1] % self.strides[-1]
        return functional.pad(x, (0, 0, 0, missing)) if missing else x

    def _table(self, frames: int) -> Tensor:
        width = self.geometry.width
        if self.geometry.positions == "absolute":
            return absolute_table(frames, width).to(self.output.weight)
        return relative_table(frames - 1, frames - 1, width).to(self.output.weight)

    def _step_table(self, frames: int, left: int, offset: Tensor) -> Tensor:
        width = self.geometry.width
        if self.geometry.positions == "absolute":
            table = absolute_table(self.geometry.max_positions, width).to(self.output.weight)
            places = torch.arange(left + frames, device=table.device) - left
            return table[(offset[:, None] + places[None, :]).clamp(min=0)]
        return relative_table(left + frames - 1, frames - 1, width).to(self.output.weight)

    def _log_probabilities(self, x: Tensor) -> Tensor:
        return self.output(self.norm(x)).log_softmax(dim=-1)

"""The parts of a Conformer layer, each able to run over a whole utterance or by a chunk."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.asr.campp.geometry import Geometry


def relative_table(back: int, ahead: int, width: int) -> Tensor:
    """Return sinusoids of the distances -back … ahead (key minus query), (n, width)."""
    return _sinusoids(torch.arange(-back, ahead + 1, dtype=torch.float32), width)


def absolute_table(count: int, width: int) -> Tensor:
    """Return sinusoids of the positions 0 … count - 1, (count, width)."""
    return _sinusoids(torch.arange(count, dtype=torch.float32), width)


def _sinusoids(places: Tensor, width: int) -> Tensor:
    rates = torch.exp(
        torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10000.0) / width)
    )
    angles = places[:, None] * rates[None, :]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(len(places), -1)[:, :width]


@dataclass(frozen=True, slots=True)
class Mask:
    """Who sees whom in whole utterances: ``allowed`` (B, 1, T, T), ``real`` (B, T, 1)."""

    allowed: Tensor
    real: Tensor

    @classmethod
    def over(cls, frames: int, lengths: Tensor, chunk: int, left_chunks: int) -> Mask:
        """Build the mask of chunks; chunk 0 is no limit, left_chunks -1 all that came before."""
        places = torch.arange(frames, device=lengths.device)
        real = places[None, :] < lengths[:, None]
        allowed = real[:, None, None, :].expand(-1, 1, frames, -1)
        if chunk > 0:
            numbers = places // chunk
            behind = numbers[:, None] - numbers[None, :]
            near = behind >= 0
            if left_chunks >= 0:
                near = near & (behind <= left_chunks)
            allowed = allowed & near[None, None]
        return cls(allowed, real[:, :, None])


class FeedForward(nn.Module):
    """Two linear layers with SiLU between them."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to the same."""
        return self.down(self.dropout(functional.silu(self.up(x))))


class Attention(nn.Module):
    """Self-attention with positions: true distances, or WeNet's absolute ones."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.heads, self.head_width = geometry.heads, geometry.head_width
        self.absolute = geometry.positions == "absolute"
        width = geometry.width
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.position = nn.Linear(width, width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(self.heads, self.head_width))
        self.position_bias = nn.Parameter(torch.zeros(self.heads, self.head_width))
        nn.init.xavier_uniform_(self.content_bias)
        nn.init.xavier_uniform_(self.position_bias)

    def forward(self, x: Tensor, mask: Mask, table: Tensor) -> Tensor:
        """Attend over a whole utterance: (B, T, width) to the same."""
        query, key = self._split(self.query(x)), self._split(self.key(x))
        value = self._split(self.value(x))
        scores = (query + self._wide(self.content_bias)) @ key.transpose(-2, -1)
        scores = scores + self._positional(query, table, x.shape[1])
        scores = scores / math.sqrt(self.head_width)
        scores = scores.masked_fill(~mask.allowed, -math.inf)
        weights = scores.softmax(dim=-1).masked_fill(~mask.allowed, 0.0)  # no key at all: 0
        return self._join(weights @ value)

    def step(
        self, x: Tensor, keys: Tensor, values: Tensor, unseen: Tensor, table: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attend from one chunk to the caches and itself; also return its keys and values.

        The caches are never joined with the new frames: two products and one join of the small
        scores cost less than copying every cached key and value in every layer.
        """
        query = self._split(self.query(x))
        key, value = self._split(self.key(x)), self._split(self.value(x))
        content = query + self._wide(self.content_bias)
        left, frames = keys.shape[2], x.shape[1]
        places = self._positional(query, table, left + frames)
        scale = 1.0 / math.sqrt(self.head_width)
        before = (content @ keys.transpose(-2, -1) + places[..., :left]) * scale + unseen
        now = (content @ key.transpose(-2, -1) + places[..., left:]) * scale
        weights = torch.cat([before, now], dim=-1).softmax(dim=-1)
        mixed = weights[..., :left] @ values + weights[..., left:] @ value
        return self._join(mixed), key, value

    def _positional(self, query: Tensor, table: Tensor, keys: int) -> Tensor:
        """Scores of positions, (B, heads, queries, keys)."""
        biased = query + self._wide(self.position_bias)
        places = self.position(table)
        if self.absolute:  # (keys, width), or (B, keys, width): one for each call
            places = places.reshape(-1, keys, self.heads, self.head_width).permute(0, 2, 3, 1)
            return biased @ places
        places = places.reshape(-1, self.heads, self.head_width).permute(1, 2, 0)
        scores = biased @ places  # column c: distance c - (keys - 1)
        frames, columns = query.shape[2], table.shape[0]
        # Row i wants the columns from frames - 1 - i on. Laid flat, that start moves on by
        # columns - 1 a row: one slice and a new row length shift all rows, without a gather.
        flat = scores.reshape(query.shape[0], self.heads, frames * columns)
        flat = flat[..., frames - 1 : frames - 1 + frames * (columns - 1)]
        shifted = flat.reshape(query.shape[0], self.heads, frames, columns - 1)
        return shifted[..., :keys]

    def _wide(self, bias: Tensor) -> Tensor:
        return bias[None, :, None, :]

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1, self.heads, self.head_width).transpose(1, 2)

    def _join(self, x: Tensor) -> Tensor:
        joined = x.transpose(1, 2).reshape(x.shape[0], -1, self.heads * self.head_width)
        return self.out(joined)


class Convolution(nn.Module):
    """Gated, causal, depthwise convolution.

    The cache holds what the depthwise part sees, less ``padding``: what it sees before the
    first frame. So a cache of zeros is always the start of an utterance.
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        width = geometry.width
        self.before = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, geometry.kernel, groups=width)
        self.norm = nn.LayerNorm(width)
        self.after = nn.Linear(width, width)
        self.kept = geometry.kernel - 1
        self.pads_before_gate = geometry.positions == "absolute"  # as WeNet does

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a whole utterance, (B, T, width)."""
        start = x.new_zeros(x.shape[0], x.shape[2], self.kept)
        return self.step(x, start)[0]

    def step(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve what follows the cache (B, width, kernel - 1); return the new cache too."""
        inner = functional.glu(self.before(x), dim=-1).transpose(1, 2)
        if self.pads_before_gate:
            padding = functional.glu(self.before.bias, dim=-1)[None, :, None]
            seen = torch.cat([cache, inner - padding], dim=-1)
            inner = self.depthwise(seen + padding)
        else:
            seen = torch.cat([cache, inner], dim=-1)
            inner = self.depthwise(seen)
        out = self.after(functional.silu(self.norm(inner.transpose(1, 2))))
        return out, seen[..., -self.kept :]


class Block(nn.Module):
    """One layer: half feed-forward, attention, convolution, half feed-forward, norm."""

    def __init__(self, geometry: Geometry, hidden: int, dropout: float) -> None:
        super().__init__()
        width = geometry.width
        self.norms = nn.ModuleDict(
            {name: nn.LayerNorm(width) for name in ("first", "attend", "convolve", "second", "out")}
        )
        self.first = FeedForward(width, hidden, dropout)
        self.second = FeedForward(width, hidden, dropout)
        self.attention = Attention(geometry)
        self.convolution = Convolution(geometry)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Mask, table: Tensor) -> Tensor:
        """(B, T, width) to the same, over a whole utterance."""
        x = x + 0.5 * self.dropout(self.first(self.norms["first"](x)))
        x = x + self.dropout(self.attention(self.norms["attend"](x), mask, table))
        x = x + self.dropout(self.convolution(self.norms["convolve"](x)))
        return self._last(x)

    def step(
        self, x: Tensor, cache: list[Tensor], unseen: Tensor, table: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """(B, chunk, width) to the same, with the layer's caches; see ``Network.step``."""
        x = x + 0.5 * self.first(self.norms["first"](x))
        mixed, keys, values = self.attention.step(
            self.norms["attend"](x), cache[0], cache[1], unseen, table
        )
        x = x + mixed
        convolved, kept = self.convolution.step(self.norms["convolve"](x), cache[2])
        return self._last(x + convolved), [keys, values, kept]

    def _last(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self.dropout(self.second(self.norms["second"](x)))
        return self.norms["out"](x)

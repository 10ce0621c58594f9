"""What a network is told it got wrong: letters by CTC, and phones frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.asr.campp.geometry import Geometry
from stages.asr.campp.training import align
from stages.asr.campp.training.config import Steps
from stages.asr.campp.training.corpus import Corpus, Item
from stages.asr.campp.training.network import Network


@dataclass(slots=True)
class Inputs:
    """A batch: frames (B, t, mels), their real lengths, tokens end to end, their lengths."""

    frames: Tensor
    lengths: Tensor
    tokens: Tensor
    counts: Tensor


@dataclass(frozen=True, slots=True)
class Outputs:
    """Log-probabilities after the last layer, what the middle layers gave, real frames of both."""

    last: Tensor
    middle: Tensor  # (B, T, width), before any output
    frames: Tensor


def inputs_of(corpus: Corpus, items: Sequence[Item]) -> Inputs:
    """Return items as a batch, filled up to the longest."""
    longest = max(item.frames for item in items)
    mels = corpus.frames(items[0]).shape[1]
    frames = np.zeros((len(items), longest, mels), dtype=np.float32)
    for row, item in enumerate(items):
        frames[row, : item.frames] = corpus.frames(item)
    return Inputs(
        torch.from_numpy(frames),
        torch.tensor([item.frames for item in items]),
        torch.tensor([token for item in items for token in item.tokens]),
        torch.tensor([len(item.tokens) for item in items]),
    )


def middle_of(geometry: Geometry) -> int:
    """Return the segment after which the middle of a network is."""
    return (len(geometry.layers) - 1) // 2


def marks_of(corpus: Corpus, items: Sequence[Item], geometry: Geometry, late: float) -> Tensor:
    """Return the phones of a batch's middle frames, (B, T); beyond a clip's end they are unknown.

    Args:
        corpus: knows the phones.
        items: the batch.
        geometry: tells how many frames the middle has.
        late: seconds that a frame may take to tell what it heard.
    """
    stride = list(accumulate(geometry.strides, lambda a, b: a * b))[middle_of(geometry)]
    hop = geometry.subsampling * stride
    seconds = hop * geometry.front.hop / geometry.front.sample_rate
    counts = [-(-((item.frames - geometry.right_context - 1) // geometry.subsampling + 1) // stride)
              for item in items]  # fmt: skip
    marks = np.full((len(items), max(counts)), align.UNKNOWN, dtype=np.int64)
    for row, (item, count) in enumerate(zip(items, counts, strict=True)):
        marks[row, :count] = corpus.phones(item, count, seconds, late)
    return torch.from_numpy(marks)


def forward(network: Network, inputs: Inputs, chunk: int, left: int) -> Outputs:
    """Hear a batch."""
    caught: list[Tensor] = []
    blocks: Any = network.blocks[middle_of(network.geometry)]
    hook = blocks[-1].register_forward_hook(lambda _module, _inputs, out: caught.append(out))
    try:
        last, frames = network(inputs.frames, inputs.lengths, chunk, left)
    finally:
        hook.remove()
    return Outputs(last, caught[0], frames)


def letters(network: Network, middle: Tensor) -> Tensor:
    """Return the log-probabilities that the output would give after the middle layers."""
    return network.output(network.norm(middle)).log_softmax(dim=-1)


def ctc(log_probs: Tensor, frames: Tensor, inputs: Inputs) -> Tensor:
    """Return the CTC loss a token; ``log_probs`` may have more frames than the last layer's."""
    ratio = max(1, round(log_probs.shape[1] / max(1, int(frames.max()))))
    total = functional.ctc_loss(
        log_probs.float().transpose(0, 1),
        inputs.tokens,
        torch.clamp(frames * ratio, max=log_probs.shape[1]),
        inputs.counts,
        reduction="sum",
        zero_infinity=True,
    )
    return total / inputs.counts.sum()


def phones(head: nn.Module, middle: Tensor, marks: Tensor) -> Tensor:
    """Return the cross-entropy a known frame; of no known frames, nothing.

    Args:
        head: the linear layer from the middle's width to the phones.
        middle: (B, T, width).
        marks: (B, at most T), as ``marks_of`` gives them.
    """
    known = marks != align.UNKNOWN
    if not bool(known.any()):
        return middle.float().sum() * 0.0
    heard = head(middle[:, : marks.shape[1]][known])
    return functional.cross_entropy(heard.float(), marks[known])


def phone_weight(steps: Steps, step: int) -> float:
    """Return how much the phones count in a step: much at first, then less."""
    share = min(1.0, step / steps.phones_fade)
    return steps.phones + share * (steps.phones_after - steps.phones)

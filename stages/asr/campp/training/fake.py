"""Linear layers that count in eight bits while they are trained: quantisation-aware training.

Ranges of what goes into a layer are found first (calibration) and then kept; its weights are
rounded anew in every pass, and the gradient goes through the rounding as if it were not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.asr.campp.training.network import Network

Target: TypeAlias = Literal["x86", "tensorrt", "rk3588"]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How numbers become eight bits.

    Weights are always signed and without a zero point. ``symmetric`` activations are signed and
    without one too, else unsigned with one. ``per_channel``: every output has its own scale.
    """

    symmetric: bool = False
    per_channel: bool = True

    @property
    def lowest(self) -> int:
        """The least activation."""
        return -128 if self.symmetric else 0

    @property
    def highest(self) -> int:
        """The largest activation."""
        return 127 if self.symmetric else 255


SCHEMES: dict[Target, Scheme] = {
    "x86": Scheme(symmetric=False, per_channel=True),
    "tensorrt": Scheme(symmetric=True, per_channel=True),
    "rk3588": Scheme(symmetric=False, per_channel=False),
}
"""What each target wants: onnxruntime's CPU kernels are twice as fast with unsigned activations,
TensorRT knows only signed ones without a zero point, and Rockchip's tools stumble over scales a
channel."""

WEIGHT = 127
"""Largest weight; -128 is not used, so that every weight has its opposite."""


@dataclass(frozen=True, slots=True)
class Range:
    """Scale and zero point of a layer's inputs: real = (whole - zero) * scale."""

    scale: float
    zero: int


class FakeLinear(nn.Module):
    """A linear layer that sees, then counts as in eight bits; parameters are named as before."""

    def __init__(self, linear: nn.Linear, scheme: Scheme) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.out_features, self.in_features = linear.out_features, linear.in_features
        self.scheme = scheme
        self.looking = True
        self.low, self.high = 0.0, 0.0
        self._seen = 0

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        if self.looking:
            self._look(x.detach())
            return functional.linear(x, self.weight, self.bias)
        found, scheme = self.range(), self.scheme
        x = torch.fake_quantize_per_tensor_affine(
            x.float(), found.scale, found.zero, scheme.lowest, scheme.highest
        )
        return functional.linear(x, self._rounded(), self.bias)

    def range(self) -> Range:
        """Return scale and zero point for the range that was seen; zero is always in it."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        if self.scheme.symmetric:
            return Range(max(-low, high, 1e-6) / 127, 0)
        scale = max(high - low, 1e-6) / 255
        return Range(scale, min(255, max(0, round(-low / scale))))

    def _look(self, x: Tensor) -> None:
        """Widen the range, slowly: a mean of the batches' extremes leaves rare ones out."""
        flat = x.float().flatten()
        low, high = float(flat.min()), float(flat.max())
        self._seen += 1
        share = 1 / min(self._seen, 100)
        self.low += share * (low - self.low)
        self.high += share * (high - self.high)

    def _rounded(self) -> Tensor:
        scales = weight_scales(self.weight.detach().t(), self.scheme.per_channel)
        if self.scheme.per_channel:
            zeros = torch.zeros(len(scales), dtype=torch.int32)
            return torch.fake_quantize_per_channel_affine(
                self.weight.float(), scales, zeros, 0, -WEIGHT, WEIGHT
            )
        return torch.fake_quantize_per_tensor_affine(
            self.weight.float(), float(scales[0]), 0, -WEIGHT, WEIGHT
        )


def weight_scales(weights: Tensor, per_channel: bool) -> Tensor:
    """Return the scales of weights (in, out): one an output, or one for all."""
    largest = weights.abs().amax(dim=0) if per_channel else weights.abs().max()[None]
    return largest.float().clamp(min=1e-8) / WEIGHT


def faked(network: Network, scheme: Scheme) -> dict[str, FakeLinear]:
    """Put fake layers in the place of a network's linear ones; return them by name.

    The projection of positions stays: its product is computed once, when the model is exported.
    """
    found = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and not name.endswith(".position")
    }
    made = {}
    for name, linear in found.items():
        parent = network.get_submodule(name.rpartition(".")[0])
        made[name] = FakeLinear(linear, scheme)
        setattr(parent, name.rpartition(".")[2], made[name])
    return made


@contextmanager
def looking(layers: dict[str, FakeLinear]) -> Iterator[None]:
    """Let layers see what they are given for as long as the block lasts; then they count."""
    for layer in layers.values():
        layer.looking = True
    try:
        yield
    finally:
        for layer in layers.values():
            layer.looking = False


def plain(network: Network) -> Network:
    """Return a network with the same weights and linear layers that are none but linear."""
    copy = Network(network.geometry, network.shape)
    copy.load_state_dict(network.state_dict(), strict=True)
    return copy.eval()

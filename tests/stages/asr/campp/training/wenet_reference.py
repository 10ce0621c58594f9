"""WeNet's Conformer encoder with CTC, over a whole utterance under its chunk mask.

Written on its own, from the formulas and the names of the weights: it shares no code with the
network that it judges.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]


def log_probabilities(
    weights: Weights, features: Tensor, heads: int, blocks: int, chunk: int, left: int
) -> Tensor:
    """(t, mels) frames to (T, vocabulary)."""
    x = (features - weights["encoder.global_cmvn.mean"]) * weights["encoder.global_cmvn.istd"]
    x = x[None, None]
    for layer in (0, 2):
        name = f"encoder.embed.conv.{layer}."
        x = functional.conv2d(x, weights[name + "weight"], weights[name + "bias"], stride=2).relu()
    x = x[0].permute(1, 0, 2).flatten(1)
    x = linear(weights, "encoder.embed.out.0", x)
    width = x.shape[1]
    x = x * math.sqrt(width)
    positions = table(len(x), width)
    seen = mask(len(x), chunk, left)
    for number in range(blocks):
        x = block(weights, f"encoder.encoders.{number}.", x, positions, seen, heads)
    return linear(weights, "ctc.ctc_lo", norm(weights, "encoder.after_norm", x)).log_softmax(-1)


def block(w: Weights, p: str, x: Tensor, positions: Tensor, seen: Tensor, heads: int) -> Tensor:
    x = x + 0.5 * forward(w, p + "feed_forward_macaron", norm(w, p + "norm_ff_macaron", x))
    x = x + attend(w, p + "self_attn.", norm(w, p + "norm_mha", x), positions, seen, heads)
    x = x + convolve(w, p + "conv_module.", norm(w, p + "norm_conv", x))
    x = x + 0.5 * forward(w, p + "feed_forward", norm(w, p + "norm_ff", x))
    return norm(w, p + "norm_final", x)


def attend(w: Weights, p: str, x: Tensor, positions: Tensor, seen: Tensor, heads: int) -> Tensor:
    frames, width = x.shape
    depth = width // heads
    split = {
        part: linear(w, p + f"linear_{part}", x).view(frames, heads, depth) for part in "qkv"
    }
    place = (positions @ w[p + "linear_pos.weight"].T).view(frames, heads, depth)
    content = torch.einsum("qhd,khd->hqk", split["q"] + w[p + "pos_bias_u"], split["k"])
    place = torch.einsum("qhd,khd->hqk", split["q"] + w[p + "pos_bias_v"], place)
    scores = ((content + place) / math.sqrt(depth)).masked_fill(~seen, -math.inf)
    mixed = torch.einsum("hqk,khd->qhd", scores.softmax(-1), split["v"]).reshape(frames, width)
    return linear(w, p + "linear_out", mixed)


def convolve(w: Weights, p: str, x: Tensor) -> Tensor:
    kernel = w[p + "depthwise_conv.weight"].shape[-1]
    x = functional.pad(x.T, (kernel - 1, 0))[None]  # zeros come before the first product
    x = functional.conv1d(x, w[p + "pointwise_conv1.weight"], w[p + "pointwise_conv1.bias"])
    x = functional.glu(x, dim=1)
    depthwise, bias = w[p + "depthwise_conv.weight"], w[p + "depthwise_conv.bias"]
    x = functional.conv1d(x, depthwise, bias, groups=depthwise.shape[0])
    x = functional.silu(norm(w, p + "norm", x[0].T)).T[None]
    x = functional.conv1d(x, w[p + "pointwise_conv2.weight"], w[p + "pointwise_conv2.bias"])
    return x[0].T


def forward(w: Weights, p: str, x: Tensor) -> Tensor:
    return linear(w, p + ".w_2", functional.silu(linear(w, p + ".w_1", x)))


def linear(w: Weights, p: str, x: Tensor) -> Tensor:
    return x @ w[p + ".weight"].T + w[p + ".bias"]


def norm(w: Weights, p: str, x: Tensor) -> Tensor:
    return functional.layer_norm(x, (x.shape[-1],), w[p + ".weight"], w[p + ".bias"], 1e-5)


def table(count: int, width: int) -> Tensor:
    rows = torch.zeros(count, width)
    for place in range(count):
        for index in range(0, width, 2):
            angle = place / 10000 ** (index / width)
            rows[place, index], rows[place, index + 1] = math.sin(angle), math.cos(angle)
    return rows


def mask(frames: int, chunk: int, left: int) -> Tensor:
    seen = torch.zeros(frames, frames, dtype=torch.bool)
    for frame in range(frames):
        number = frame // chunk
        seen[frame, max(0, (number - left) * chunk) : (number + 1) * chunk] = True
    return seen


def random_weights(
    mels: int, width: int, heads: int, hidden: int, blocks: int, kernel: int, units: int
) -> Weights:
    """Return weights in WeNet's names and shapes, biases and norms far from 0 and 1."""
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.global_cmvn.mean": (mels,),
        "encoder.global_cmvn.istd": (mels,),
        "encoder.embed.conv.0.weight": (width, 1, 3, 3),
        "encoder.embed.conv.0.bias": (width,),
        "encoder.embed.conv.2.weight": (width, width, 3, 3),
        "encoder.embed.conv.2.bias": (width,),
        "encoder.embed.out.0.weight": (width, width * (((mels - 1) // 2 - 1) // 2)),
        "encoder.embed.out.0.bias": (width,),
        "encoder.after_norm.weight": (width,),
        "encoder.after_norm.bias": (width,),
        "ctc.ctc_lo.weight": (units, width),
        "ctc.ctc_lo.bias": (units,),
        "decoder.left_decoder.embed.0.weight": (units, width),
    }
    for number in range(blocks):
        p = f"encoder.encoders.{number}."
        for part in ("norm_ff_macaron", "norm_mha", "norm_conv", "norm_ff", "norm_final"):
            shapes |= {f"{p}{part}.weight": (width,), f"{p}{part}.bias": (width,)}
        for part in ("feed_forward_macaron", "feed_forward"):
            shapes |= {f"{p}{part}.w_1.weight": (hidden, width), f"{p}{part}.w_1.bias": (hidden,)}
            shapes |= {f"{p}{part}.w_2.weight": (width, hidden), f"{p}{part}.w_2.bias": (width,)}
        for part in ("q", "k", "v", "out"):
            shapes[f"{p}self_attn.linear_{part}.weight"] = (width, width)
            shapes[f"{p}self_attn.linear_{part}.bias"] = (width,)
        shapes[f"{p}self_attn.linear_pos.weight"] = (width, width)
        shapes[f"{p}self_attn.pos_bias_u"] = (heads, width // heads)
        shapes[f"{p}self_attn.pos_bias_v"] = (heads, width // heads)
        shapes[f"{p}conv_module.pointwise_conv1.weight"] = (2 * width, width, 1)
        shapes[f"{p}conv_module.pointwise_conv1.bias"] = (2 * width,)
        shapes[f"{p}conv_module.depthwise_conv.weight"] = (width, 1, kernel)
        shapes[f"{p}conv_module.depthwise_conv.bias"] = (width,)
        shapes[f"{p}conv_module.norm.weight"] = (width,)
        shapes[f"{p}conv_module.norm.bias"] = (width,)
        shapes[f"{p}conv_module.pointwise_conv2.weight"] = (width, width, 1)
        shapes[f"{p}conv_module.pointwise_conv2.bias"] = (width,)
    random = torch.Generator().manual_seed(5)
    weights = {
        key: torch.randn(shape, generator=random) * (0.3 if len(shape) == 1 else shape[-1] ** -0.5)
        for key, shape in shapes.items()
    }
    for key in weights:
        if "norm" in key and key.endswith("weight"):
            weights[key] += 1.0
    weights["encoder.global_cmvn.istd"] = torch.rand(mels, generator=random) * 0.2 + 0.1
    return weights

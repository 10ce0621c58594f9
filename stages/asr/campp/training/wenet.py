"""Reads checkpoints of WeNet's U2 and U2++ Conformers, strictly: no key left over, none missing."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from torch import Tensor

from stages.asr.campp.geometry import Front, Geometry
from stages.asr.campp.training.network import Network, Shape
from stages.errors import UserError

ENCODER: dict[str, object] = {
    "pos_enc_layer_type": "rel_pos",
    "selfattention_layer_type": "rel_selfattn",
    "macaron_style": True,
    "use_cnn_module": True,
    "causal": True,
    "cnn_module_norm": "layer_norm",
    "normalize_before": True,
    "activation_type": "swish",
}
"""What the encoder must be; WeNet's own default stands where a file is silent."""

DEFAULTS: dict[str, object] = {
    "pos_enc_layer_type": "rel_pos",
    "selfattention_layer_type": "rel_selfattn",
    "macaron_style": True,
    "use_cnn_module": True,
    "causal": False,
    "cnn_module_norm": "batch_norm",
    "normalize_before": True,
    "activation_type": "swish",
    "input_layer": "conv2d",
    "cnn_module_kernel": 15,
    "dropout_rate": 0.1,
}

SUBSAMPLING: dict[str, Literal[2, 4]] = {"conv2d": 4, "conv2d2": 2}

PARTS = {
    "norm_ff_macaron": "norms.first",
    "feed_forward_macaron.w_1": "first.up",
    "feed_forward_macaron.w_2": "first.down",
    "norm_mha": "norms.attend",
    "self_attn.linear_q": "attention.query",
    "self_attn.linear_k": "attention.key",
    "self_attn.linear_v": "attention.value",
    "self_attn.linear_out": "attention.out",
    "self_attn.linear_pos": "attention.position",
    "self_attn.pos_bias_u": "attention.content_bias",
    "self_attn.pos_bias_v": "attention.position_bias",
    "norm_conv": "norms.convolve",
    "conv_module.pointwise_conv1": "convolution.before",
    "conv_module.depthwise_conv": "convolution.depthwise",
    "conv_module.norm": "convolution.norm",
    "conv_module.pointwise_conv2": "convolution.after",
    "norm_ff": "norms.second",
    "feed_forward.w_1": "second.up",
    "feed_forward.w_2": "second.down",
    "norm_final": "norms.out",
}

OUTER = {
    "encoder.embed.conv.": "embed.conv.",
    "encoder.embed.out.0.": "embed.out.",
    "encoder.after_norm.": "norm.",
    "ctc.ctc_lo.": "output.",
    "encoder.global_cmvn.mean": "cmvn_mean",
    "encoder.global_cmvn.istd": "cmvn_istd",
}

IGNORED = re.compile(
    r"decoder\.|encoder\.embed\.pos_enc\.pe$|criterion_|encoder\.encoders\.\d+\.concat_linear\."
)
"""Keys that the streaming CTC model does not need: the attention decoder, tables made anew."""

_LAYER = re.compile(r"encoder\.encoders\.(\d+)\.(.+?)(\.weight|\.bias)?$")


class NotWenet(UserError):
    """A folder that holds no WeNet checkpoint that can be imported."""

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder, self.reason = folder, reason
        super().__init__(f"{folder} cannot be imported as a WeNet model: {reason}.")


@dataclass(frozen=True, slots=True)
class Imported:
    """A network with the checkpoint's weights, and its tokens."""

    network: Network
    tokens: tuple[str, ...]


def read(
    folder: Path, chunk: int = 8, left_chunks: int = 4, name: str = "wenet", language: str = ""
) -> Imported:
    """Import a folder with ``final.pt``, ``train.yaml``, ``units.txt`` and perhaps ``global_cmvn``.

    Args:
        folder: of the checkpoint.
        chunk: encoder frames (40 ms) a step: 8 are a packet of 320 ms.
        left_chunks: that are seen before it.
        name: for the metadata.
        language: for the metadata.

    Raises:
        NotWenet: a file is missing or is none, the encoder is of another kind, a key of the
            weights is unknown, missing or of another shape.
    """
    settings = _settings(folder)
    tokens = _tokens(folder)
    encoder = {**DEFAULTS, **settings["encoder_conf"]}
    _check(folder, settings, encoder)
    weights = _weights(folder)
    network = _network(folder, encoder, weights, tokens, (chunk, left_chunks, name, language))
    kept = {key: value for key, value in weights.items() if not IGNORED.match(key)}
    renamed = {_ours(folder, key): value for key, value in kept.items()}
    _add_cmvn(folder, renamed)
    _load(folder, network, renamed)
    return Imported(network.eval(), tokens)


def _network(
    folder: Path,
    encoder: dict[str, Any],
    weights: dict[str, Tensor],
    tokens: tuple[str, ...],
    wanted: tuple[int, int, str, str],
) -> Network:
    chunk, left_chunks, name, language = wanted
    blocks = int(encoder["num_blocks"])
    try:
        mels = int(weights["encoder.global_cmvn.mean"].numel())
    except KeyError:
        mels = 80
    first, second = -(-blocks // 3), -(-(blocks - -(-blocks // 3)) // 2)
    layers = tuple(one for one in (first, second, blocks - first - second) if one)
    geometry = Geometry(
        name=name,
        language=language,
        front=Front(mels=mels, window="povey", lead_samples=0, kept_frames=0),
        subsampling=SUBSAMPLING[encoder["input_layer"]],
        chunk=chunk,
        left_chunks=left_chunks,
        strides=(1,) * len(layers),
        layers=layers,
        width=int(encoder["output_size"]),
        heads=int(encoder["attention_heads"]),
        kernel=int(encoder["cnn_module_kernel"]),
        positions="absolute",
        vocabulary=len(tokens),
    )
    channels = int(encoder["output_size"])
    return Network(geometry, Shape(int(encoder["linear_units"]), channels, encoder["dropout_rate"]))


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / "train.yaml"
    try:
        settings = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise NotWenet(folder, f"train.yaml cannot be read ({error})") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("encoder_conf"), dict):
        raise NotWenet(folder, "train.yaml has no encoder_conf")
    return settings


def _check(folder: Path, settings: dict[str, Any], encoder: dict[str, Any]) -> None:
    if settings.get("encoder", "conformer") != "conformer":
        raise NotWenet(folder, f"its encoder is {settings['encoder']!r}, not 'conformer'")
    for key, wanted in ENCODER.items():
        if encoder[key] != wanted:
            reason = f"encoder_conf.{key} is {encoder[key]!r}; only {wanted!r} streams"
            raise NotWenet(folder, reason)
    if encoder["input_layer"] not in SUBSAMPLING:
        known = " and ".join(SUBSAMPLING)
        raise NotWenet(folder, f"input_layer is {encoder['input_layer']!r}; {known} are known")
    for key in ("output_size", "attention_heads", "linear_units", "num_blocks"):
        if not isinstance(encoder.get(key), int):
            raise NotWenet(folder, f"encoder_conf.{key} is missing")


def _tokens(folder: Path) -> tuple[str, ...]:
    for name in ("units.txt", "words.txt", "lang_char.txt"):
        file = folder / name
        if file.is_file():
            text = file.read_text("utf-8")
            lines = [line.rsplit(maxsplit=1) for line in text.splitlines() if line.strip()]
            if [line[-1] for line in lines] != [str(number) for number in range(len(lines))]:
                raise NotWenet(folder, f"{name} does not number its units from 0 on")
            return tuple(line[0] for line in lines)
    raise NotWenet(folder, "there is no units.txt")


def _weights(folder: Path) -> dict[str, Tensor]:
    file = folder / "final.pt"
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)  # never runs its code
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise NotWenet(folder, f"final.pt cannot be read ({reason})") from error
    tensors = isinstance(weights, dict) and all(isinstance(w, Tensor) for w in weights.values())
    if not tensors:
        raise NotWenet(folder, "final.pt is no table of tensors")
    return weights


def _ours(folder: Path, key: str) -> str:
    layer = _LAYER.match(key)
    if layer and layer[2] in PARTS:
        return f"{layer[1]}/{PARTS[layer[2]]}{layer[3] or ''}"
    for theirs, ours in OUTER.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    raise NotWenet(folder, f"final.pt has a key that nothing here answers to: {key}")


def _add_cmvn(folder: Path, weights: dict[str, Tensor]) -> None:
    """Take the normalisation from ``global_cmvn`` where the weights have none."""
    file = folder / "global_cmvn"
    if "cmvn_mean" in weights or not file.is_file():
        return
    try:
        sums = json.loads(file.read_text("utf-8"))
        count = float(sums["frame_num"])
        mean = torch.tensor(sums["mean_stat"], dtype=torch.float64) / count
        variance = torch.tensor(sums["var_stat"], dtype=torch.float64) / count - mean**2
    except (ValueError, KeyError, TypeError) as error:
        raise NotWenet(folder, f"global_cmvn is no JSON of sums ({error})") from error
    weights["cmvn_mean"] = mean.float()
    weights["cmvn_istd"] = variance.clamp(min=1e-20).rsqrt().float()


def _load(folder: Path, network: Network, weights: dict[str, Tensor]) -> None:
    found = {_placed(network, key): value for key, value in weights.items()}
    wanted = network.state_dict()
    missing = sorted(set(wanted) - set(found) - {"cmvn_mean", "cmvn_istd"})
    if missing or set(found) - set(wanted):
        odd = (missing or sorted(set(found) - set(wanted)))[:3]
        what = "lacks" if missing else "has more layers than train.yaml says:"
        raise NotWenet(folder, f"final.pt {what} {', '.join(odd)}")
    for key, value in found.items():
        shaped = value.squeeze(-1) if value.dim() == wanted[key].dim() + 1 else value
        if shaped.shape != wanted[key].shape:
            raise NotWenet(
                folder, f"{key} has the shape {tuple(value.shape)} instead of"
                f" {tuple(wanted[key].shape)}"
            )
        found[key] = shaped
    network.load_state_dict(found, strict=False)


def _placed(network: Network, key: str) -> str:
    """A layer's number over all segments to its segment and its number there."""
    number, mark, rest = key.partition("/")
    if not mark:
        return key
    left = int(number)
    for segment, count in enumerate(network.geometry.layers):
        if left < count:
            return f"blocks.{segment}.{left}.{rest}"
        left -= count
    return f"blocks.{len(network.geometry.layers)}.{left}.{rest}"

"""Models of known size, with random weights until somebody trains them."""

from __future__ import annotations

from typing import Any

from stages.asr.campp.geometry import Geometry
from stages.asr.campp.training.network import Network, Shape

SIZES: dict[str, tuple[dict[str, Any], Shape]] = {
    "tiny": (
        {"width": 24, "heads": 2, "kernel": 5, "layers": (1, 1, 1)},
        Shape(hidden=48, channels=4),
    ),
    "small": ({"width": 192, "heads": 4, "kernel": 15}, Shape(hidden=576, channels=64)),
    "base": ({"width": 512, "heads": 8, "kernel": 15}, Shape(hidden=2048, channels=512)),
}
"""``small`` has about 10 M parameters, ``base`` 88.9 M with 5538 tokens; ``tiny`` is for tests."""

FIRST_HAN = 0x4E00


def network(size: str, tokens: tuple[str, ...], **geometry: object) -> Network:
    """Make a network of a size, with random weights.

    Args:
        size: a key of ``SIZES``.
        tokens: as many as the output shall have.
        geometry: fields of ``Geometry`` that differ from its defaults.
    """
    widths, shape = SIZES[size]
    fields = {"name": size, "vocabulary": len(tokens), **widths, **geometry}
    return Network(Geometry.model_validate(fields), shape).eval()


def alphabet(count: int) -> tuple[str, ...]:
    """Return that many tokens: blank, unknown, word space, a-z, apostrophe, then Han characters."""
    latin = ["<blank>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz", "'"]
    han = [chr(FIRST_HAN + number) for number in range(max(0, count - len(latin)))]
    return tuple((latin + han)[:count])

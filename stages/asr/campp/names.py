"""The tensors of an exported step, by name, in order: what the exporter and the stage agree on.

Everything is batch first. ``k``, ``v`` and ``c`` are keys, values and convolution caches; one
tensor a layer, because slicing a joined tensor would copy every cache in every step. Only the
new frames of keys and values come out.

A *resident* graph is for a GPU: its caches are those of all slots (slots first), it picks the
rows' own by ``slots`` and gives all of them back, so that they never leave the device.
"""

from __future__ import annotations

from stages.asr.campp.geometry import Geometry

FEATURES, HISTORY, OFFSET, LOG_PROBS = "features", "history", "offset", "log_probs"

SLOTS, KEEP = "slots", "keep"
"""Resident graphs only: whose caches the rows use, and whether they take the new ones over."""

WHOLE = (HISTORY, OFFSET, SLOTS)
"""Inputs of whole numbers (int64)."""


def layer_names(geometry: Geometry) -> list[str]:
    """Return the names of the layers' caches, as they are given to a step."""
    return [f"{part}.{layer}" for layer in range(sum(geometry.layers)) for part in "kvc"]


def inputs(geometry: Geometry) -> list[str]:
    """Return the names of what a step takes."""
    first = [FEATURES, HISTORY]
    if geometry.positions == "absolute":
        first.append(OFFSET)
    if geometry.resident:
        first += [SLOTS, KEEP]
    return first + layer_names(geometry)


def outputs(geometry: Geometry) -> list[str]:
    """Return the names of what a step gives."""
    return [LOG_PROBS, *(f"new_{name}" for name in layer_names(geometry))]


def shapes(geometry: Geometry) -> dict[str, tuple[int, ...]]:
    """Return the shape of every input and output, without the batch."""
    found: dict[str, tuple[int, ...]] = {
        FEATURES: (geometry.window, geometry.front.mels),
        HISTORY: (),
        OFFSET: (),
        SLOTS: (),
        KEEP: (),
        LOG_PROBS: (geometry.out_frames, geometry.vocabulary),
    }
    layer = 0
    for segment, count in enumerate(geometry.layers):
        frames = geometry.segment_chunk(segment)
        for _ in range(count):
            for part in "kv":
                heads = (geometry.heads, frames * geometry.left_chunks, geometry.head_width)
                found[f"{part}.{layer}"] = heads
                new = (geometry.heads, frames, geometry.head_width)
                found[f"new_{part}.{layer}"] = heads if geometry.resident else new
            kept = (geometry.width, geometry.kernel - 1)
            found[f"c.{layer}"] = found[f"new_c.{layer}"] = kept
            layer += 1
    return {
        name: found[name] for name in (*inputs(geometry), *outputs(geometry)) if name in found
    }

"""Run by the Python that has FunASR: ``campplus_export.py FOLDER OUT`` writes CAM++ as ONNX.

It imports nothing of ours. What it made, or why not, is one line of JSON on stdout.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

DIMENSIONS, BANDS, FRAMES = 192, 80, 200


class Refused(Exception):
    """It cannot be done; the text is the reason."""


def weights_of(folder: Path) -> Path:
    """Return the file with the weights."""
    if not folder.is_dir():
        raise Refused(f"there is no folder {folder}")
    found = [*sorted(folder.glob("*.bin")), *sorted(folder.glob("*.pt"))]
    if not found:
        raise Refused(f"{folder} holds no weights: no .bin and no .pt file")
    return found[0]


def network(weights: Path) -> Any:
    """Return FunASR's network with exactly these weights."""
    import torch

    try:
        from funasr.models.campplus.model import CAMPPlus
    except ImportError as error:
        raise Refused(f"FunASR cannot be imported ({error})") from error
    try:
        given = torch.load(weights, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise Refused(f"{weights} is no file of weights alone, and is not loaded") from error
    for wrapping in ("state_dict", "model"):
        given = given.get(wrapping, given)
    last = given.get("xvector.dense.linear.weight")
    size = DIMENSIONS if last is None else len(last)  # 192, and 512 where VoxCeleb taught it
    made = CAMPPlus(feat_dim=BANDS, embedding_size=size)
    try:
        made.load_state_dict(given, strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        shown = " ".join(lines[1:2])[:300]
        raise Refused(f"{weights} holds other weights than CAM++ has: {shown}") from error
    return made.eval()


def export(folder: Path, out: Path) -> dict[str, str]:
    """Write the network; return the SHA-256 of its weights."""
    weights = weights_of(folder)
    import torch

    made = network(weights)
    for module in made.modules():
        if hasattr(module, "memory_efficient"):
            module.memory_efficient = False
    with torch.no_grad():
        torch.onnx.export(
            made,
            (torch.zeros(1, FRAMES, BANDS),),
            str(out),
            input_names=["features"],
            output_names=["embedding"],
            dynamic_axes={"features": {0: "batch", 1: "frames"}, "embedding": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    return {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}


def main(folder: str, out: str) -> None:
    """Export, and say how it went."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            said = export(Path(folder), Path(out))
    except Refused as error:
        said = {"refused": str(error)}
    except ImportError as error:
        said = {"refused": f"a package is missing ({error})"}
    sys.stdout.write(json.dumps(said) + os.linesep)


if __name__ == "__main__":
    main(*sys.argv[1:3])

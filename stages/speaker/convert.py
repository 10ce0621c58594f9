"""Makes the ONNX file of CAM++ from published weights; the work is done where FunASR is.

The weights come from a folder, or through the model store, which verifies them. They are a file of
PyTorch's; only the exporter reads it (with ``weights_only``), and later only the ONNX file is
loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import anyio

from stages.errors import PluginUnavailable
from stages.models import ModelStore
from stages.models.fetch import sha256_of
from stages.speaker.campplus import FILE, NOTE, WEIGHTS, CampplusOptions, folder_of, load

PYTHON = "FIRSTWORD_FUNASR_PYTHON"
"""Environment variable: the interpreter that has FunASR, where it is not the agent's own."""
EXPORTER = Path(__file__).with_name("campplus_export.py")
PATIENCE_S = 1800


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("source", nargs="?", default="", metavar="SOURCE")
    parser.add_argument("--out", type=Path, metavar="FOLDER")


def run(options: argparse.Namespace) -> int:
    """Bring, convert, check and keep a network.

    Raises:
        PluginUnavailable: FunASR is not there, or the weights are not as they must be.
        ModelPullFailed: the hub does not give them.
    """
    store = ModelStore()
    folder = options.out or folder_of(CampplusOptions(), store)
    source = options.source or WEIGHTS
    if Path(source).expanduser().is_dir() or source.startswith((".", "/", "~")):
        convert(Path(source).expanduser(), folder)
    else:
        convert_stored(store, source, folder)
    print(f"CAM++ is ready in {folder}")  # noqa: T201 - what the command is for
    return 0


def convert_stored(store: ModelStore, name: str, folder: Path) -> None:
    """Convert weights that the model store knows by name, pulling them first.

    Raises:
        ModelMissing: a name that nobody knows.
        ModelPullFailed: the hub does not give them.
        PluginUnavailable: FunASR is not there, or the weights are not as they must be.
    """
    model = store.known(name)
    anyio.run(store.pull, [name])
    convert(store.path(name), folder, str(model.source), model.licence)


def convert(weights: Path, folder: Path, source: str = "", licence: str = "") -> None:
    """Make ``campplus.onnx`` and its note in a folder, both or none.

    Args:
        weights: the folder with FunASR's or 3D-Speaker's file.
        folder: where the network is to lie.
        source: where the weights come from, if not from that folder.
        licence: of the weights, where it is known.

    Raises:
        PluginUnavailable: FunASR is not there, or the weights are not as they must be.
    """
    python = os.environ.get(PYTHON) or sys.executable
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".new-{FILE}"
    try:
        made = _export([python, "-I", str(EXPORTER), str(weights), str(fresh)])
        note = {
            "source": source or str(weights),
            "weights_sha256": made["sha256"],
            "sha256": sha256_of(fresh),
            "licence": licence or "as the source says",
        }
        (folder / NOTE).unlink(missing_ok=True)  # until both are there, there is nothing
        os.replace(fresh, folder / FILE)
        (folder / NOTE).write_text(json.dumps(note, indent=2) + "\n")
        load(folder)
    finally:
        fresh.unlink(missing_ok=True)


def _export(command: list[str]) -> dict[str, str]:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PluginUnavailable("speaker", "campplus", f"{command[0]} failed: {error}") from error
    last = (done.stdout.strip().splitlines() or [""])[-1]
    try:
        said = json.loads(last)
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        said = {"refused": f"the conversion broke: {reason}"}
    if "refused" in said:
        raise PluginUnavailable("speaker", "campplus", str(said["refused"]).rstrip("."), _HINT)
    return {key: str(value) for key, value in said.items()}


_HINT = (
    " (It needs FunASR: pip install 'firstword[funasr]', or set FIRSTWORD_FUNASR_PYTHON to an"
    " interpreter that has it.)"
)

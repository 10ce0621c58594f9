"""Pulls one model in a process of its own: ROOT SIZE SHA256 [LARGEST FILE THAT MAY BE WRITTEN]."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import anyio

from stages.errors import ModelPullFailed
from stages.models import File, Hub, Model, ModelStore


def main(root: str, size: str, sha256: str, largest: str = "") -> None:
    if largest:  # what a full disk does, as far as the writer can see
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), int(largest)))
    file = File("weights.bin", "weights.bin", int(size), sha256)
    model = Model("toy", "a toy", "MIT", Hub("huggingface", "acme/toy", "1"), (file,))
    store = ModelStore(Path(root), {"toy": model})
    try:
        anyio.run(store.pull, ["toy"])
    except ModelPullFailed as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Embeds recordings by FunASR's own CAM++ class; run by the Python that has FunASR.

``python reference.py MODEL FOLDER`` reads ``FOLDER/*.npy`` and writes ``FOLDER/*.embedding.npy``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from funasr import AutoModel


def main(model: str, folder: Path) -> None:
    loaded = AutoModel(model=model, device="cpu", disable_update=True, disable_pbar=True)
    for file in sorted(folder.glob("*.npy")):
        found = loaded.generate(input=np.load(file))[0]["spk_embedding"]
        np.save(file.with_suffix(".embedding.npy"), found.detach().numpy()[0])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

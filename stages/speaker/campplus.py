"""CAM++: who speaks, as 192 numbers, by a network that FunASR and 3D-Speaker publish.

FunASR brings the weights as a PyTorch file; ``firstword speaker convert`` makes of it the ONNX
file that runs here, with a note beside it that says where it came from. Only that file is loaded.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import kaldi_native_fbank as knf
import numpy as np
import numpy.typing as npt
from anyio import to_thread
from pydantic import Field

from stages.audio import silence
from stages.contracts import Options, Plugin, Speaker
from stages.errors import ModelCorrupt, ModelMissing
from stages.events import SAMPLE_RATE, Print, Samples
from stages.models import ModelStore
from stages.models.fetch import sha256_of
from stages.onnx import Network
from stages.threads import Workers

WEIGHTS = "campplus-zh-cn"
"""What the model store calls the weights that are converted unless others are named."""
FILE, NOTE = "campplus.onnx", "campplus.json"
DIMENSIONS, BANDS = 192, 80
MOST = 10 * SAMPLE_RATE
"""Samples of a clip that are used, the newest: more costs time and tells nothing new."""
THRESHOLD = 0.31
"""What its publishers set for it; calibrate it on voices of your own."""
LEAST = 1_600
"""Samples below which silence is added: the network needs some frames to pool over."""

_HOW = (
    "make it with: firstword speaker convert (from the hub), or firstword speaker convert DIR (from"
    " a folder with FunASR's weights)"
)


class CampplusOptions(Options):
    """The settings of ``campplus``."""

    folder: str = Field(
        default="", description="of the converted network; empty: the model store's own"
    )


def folder_of(options: CampplusOptions, store: ModelStore) -> Path:
    """Return where the converted network lies, or would lie."""
    return Path(options.folder).expanduser() if options.folder else store.root / "campplus"


def features(samples: Samples) -> npt.NDArray[np.float32]:
    """Return what the network hears, shape (frames, 80): log energies less their mean over time.

    The bank is Kaldi's with its usual settings, on samples of -1..1 that are not scaled up.
    """
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = BANDS
    options.mel_opts.low_freq, options.mel_opts.high_freq = 20.0, 0.0  # 0: up to Nyquist's
    options.energy_floor = 1.0
    options.use_energy = False
    bank = knf.OnlineFbank(options)
    bank.accept_waveform(SAMPLE_RATE, np.ascontiguousarray(samples, dtype=np.float32))
    bank.input_finished()
    energies = np.stack([bank.get_frame(at) for at in range(bank.num_frames_ready)])
    heard: npt.NDArray[np.float32] = energies - energies.mean(axis=0, keepdims=True)
    return heard


class Campplus:
    """Embeds voices; ``model`` names the very weights, so that prints are never mixed."""

    def __init__(self, network: Network, model: str) -> None:
        self.model, self.threshold = model, THRESHOLD
        self._network = network
        self._workers = Workers(2)

    async def embed(self, samples: Samples) -> Print:
        """Return the print of a voice, shape (192,). Cancelling drops the work."""
        return await self._workers.run(lambda: self.listen(samples))

    def listen(self, samples: Samples) -> Print:
        """Return the print of a voice, its length 1."""
        heard = samples[-MOST:]
        if len(heard) < LEAST:
            heard = np.pad(heard, (0, LEAST - len(heard)))
        (found,) = self._network.run({"features": features(heard)[None]})
        embedding: Print = (found[0] / max(float(np.linalg.norm(found[0])), 1e-12)).astype(
            np.float32
        )
        return embedding


def load(folder: Path) -> Campplus:
    """Load a converted network that is the one its note describes.

    Raises:
        ModelMissing: nothing was converted there.
        ModelCorrupt: the file has changed since, or its note cannot be read.
    """
    file, note = folder / FILE, folder / NOTE
    if not file.is_file() or not note.is_file():
        raise ModelMissing("campplus", _HOW)
    said = _note(note)
    if said.get("sha256") != sha256_of(file):
        raise ModelCorrupt("campplus", file, _HOW)
    stage = Campplus(Network(file), f"campplus {str(said['sha256'])[:12]}")
    stage.listen(silence(SAMPLE_RATE))
    return stage


def _note(note: Path) -> dict[str, Any]:
    try:
        said = json.loads(note.read_bytes())
    except (OSError, ValueError):
        said = None
    return said if isinstance(said, dict) else {}


@asynccontextmanager
async def _open(options: CampplusOptions, store: ModelStore) -> AsyncIterator[Campplus]:
    yield await to_thread.run_sync(load, folder_of(options, store))


plugin: Plugin[Speaker] = Plugin(CampplusOptions, _open)

"""Makes the models that the tables compare, all of the same weights."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from stages.asr.campp import features, options
from stages.asr.campp.geometry import Geometry
from stages.asr.campp.training import arpa, sound, text
from stages.asr.campp.training.corpus import Corpus, Item
from stages.asr.campp.training.manifest import Clip
from stages.errors import UserError

CHUNKS = (8, 16, 32)

CALIBRATION = 120
"""Training clips that show the ranges of a static model."""

WORDS = "en-small.lm"
"""The language model over words that comes with FirstWord."""

LANGUAGE_MODELS = {"small": 4, "large": 8}
"""Name to the order of a character n-gram model."""

Tell = Callable[[str], None]


def shipped(name: str) -> Path:
    """Return a file of the model that comes with FirstWord.

    Raises:
        UserError: this FirstWord was built without it.
    """
    file = Path(str(resources.files("stages.asr.campp").joinpath("data", name)))
    if not file.is_file():
        raise UserError(f"{name} is not here: this FirstWord comes without a trained model.")
    return file


@dataclass(frozen=True, slots=True)
class Models:
    """Files of one set of weights."""

    full: dict[int, Path]  # FP32, by chunk
    dynamic: Path
    static: Path
    qat: Path
    language: dict[str, Path]
    words: Path | None = None  # the language model that comes with the weights


def forge(
    checkpoint: Path, qat: Path, clips: Sequence[Clip], folder: Path, tell: Tell
) -> Models:
    """Write every model into a folder.

    Args:
        checkpoint: the trained weights.
        qat: the INT8 file whose weights were fine-tuned.
        clips: what the network was trained on: ranges and language models are made of it.
        folder: where the files go.
        tell: hears what is being made.

    Raises:
        UserError: PyTorch is not installed.
    """
    try:
        kept, export, ways, fake = (
            importlib.import_module(f"stages.asr.campp.training.{name}")
            for name in ("checkpoint", "export", "qat", "fake")
        )
    except ImportError as error:
        raise UserError(f"This needs pip install 'firstword[train]' ({error}).") from error
    folder.mkdir(parents=True, exist_ok=True)
    state = kept.model_of(checkpoint)
    full = {}
    for chunk in CHUNKS:
        tell(f"FP32, chunks of {chunk} frames")
        full[chunk] = folder / f"fp32-{chunk}.onnx"
        tokens = text.tokens_for(state.geometry.vocabulary)
        export.export(kept.restored(state, chunk), tokens, full[chunk])
    tell("INT8, dynamic and static")
    dynamic, static = folder / "dynamic.onnx", folder / "static.onnx"
    ways.dynamic(kept.restored(state), dynamic)
    network = kept.restored(state)
    corpus = in_memory(clips[:: max(1, len(clips) // CALIBRATION)], network.geometry)
    ways.write(network, ways.calibrated(network, corpus, fake.SCHEMES["x86"]), static)
    language = {}
    for name, order in LANGUAGE_MODELS.items():
        tell(f"a {name} language model, {order} characters")
        language[name] = folder / f"lm-{name}.arpa"
        arpa.write((clip.text for clip in clips), order, language[name], least=2)
    return Models(full, dynamic, static, qat, language, options.shipped(WORDS))


def in_memory(clips: Sequence[Clip], geometry: Geometry) -> Corpus:
    """Return clips as they are, without changed copies, without a file."""
    fbank = features.Fbank(geometry.front)
    items: list[Item] = []
    tables: list[Any] = []
    start = 0
    for clip in clips:
        frames, _ = features.whole(geometry, fbank, sound.load(clip.file))
        tokens = tuple(text.encoded(clip.text))
        items.append(Item(start, len(frames), tokens, clip.group, clip.key, held=False))
        tables.append(frames.astype(np.float16))
        start += len(frames)
    return Corpus(items, np.concatenate(tables))

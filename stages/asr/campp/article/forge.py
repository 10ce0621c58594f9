"""Makes the models that the tables compare, all of the same weights."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from stages.asr.campp import features, options
from stages.asr.campp.article import lexicons
from stages.asr.campp.decode.spoken import tells_phones
from stages.asr.campp.geometry import Geometry
from stages.asr.campp.graph import open_graph
from stages.asr.campp.training import arpa, sound, text, wordmodel
from stages.asr.campp.training.corpus import Corpus, Item
from stages.asr.campp.training.manifest import BadInput, Clip
from stages.errors import UserError

CHUNKS = (8, 16, 32)

WORDS = "en-small.lm"
"""The language model over words that comes with FirstWord."""

SMALL = (100_000, 25_000)
"""Pairs and triples of the small model of words: a tenth of those that come with FirstWord."""

LANGUAGE_MODELS = {"small": 4, "large": 8}
"""Name to the order of a character n-gram model, for networks of letters."""

TRAIN = "pip install -e '.[train]'"
"""The command that brings what is needed, in a checkout."""

Tell = Callable[[str], None]

_FREE = ("name", "language", "weights")
"""What may differ between a checkpoint and its INT8 file."""


def shipped(name: str) -> Path:
    """Return a file of the model that comes with FirstWord.

    Raises:
        UserError: this FirstWord was built without it, or is no checkout.
    """
    file = Path(str(resources.files("stages.asr.campp").joinpath("data", name)))
    if not file.is_file():
        raise UserError(
            f"{name} is not here: the weights to make models of lie in a checkout only. Clone"
            f" FirstWord, and there: {TRAIN}. Or name your own: --checkpoint and --qat."
        )
    return file


@dataclass(frozen=True, slots=True)
class Models:
    """Files of one set of weights."""

    full: dict[int, Path]  # FP32, by chunk
    dynamic: Path
    static: Path
    qat: Path
    language: dict[str, Path]  # by size
    words: Path | None = None  # what phones are heard with: the large one of those


def check(checkpoint: Path, qat: Path) -> None:
    """Refuse weights and an INT8 file that are not of the same network.

    Raises:
        UserError: PyTorch is not installed; with the command that brings it.
        BadCheckpoint, NotAModel: one of the two cannot be read.
        BadInput: they differ; with every field.
    """
    geometry = _needed("checkpoint").model_of(checkpoint).geometry
    graph = open_graph(qat)
    wanted, found = geometry.model_dump(), graph.geometry.model_dump()
    differ = [
        f"{name}: {wanted[name]} in {checkpoint.name}, {found[name]} in {qat.name}"
        for name in wanted
        if name not in _FREE and wanted[name] != found[name]
    ]
    if not differ and graph.tokens != text.tokens_for(geometry.vocabulary):
        differ = [f"the tokens of {qat.name} are none that a training knows"]
    if differ:
        raise BadInput("--checkpoint and --qat together", differ)


def forge(
    checkpoint: Path,
    qat: Path,
    clips: Sequence[Clip],
    calibration: int,
    folder: Path,
    tell: Tell,
) -> Models:
    """Write every model into a folder.

    Args:
        checkpoint: the trained weights.
        qat: the INT8 file whose weights were fine-tuned.
        clips: what the network was trained on: ranges and models of letters are made of it.
        calibration: of these, how many show the ranges of the static model.
        folder: where the files go.
        tell: hears what is being made.

    Raises:
        UserError: PyTorch is not installed.
    """
    kept, export, ways, fake = map(_needed, ("checkpoint", "export", "qat", "fake"))
    folder.mkdir(parents=True, exist_ok=True)
    state = kept.model_of(checkpoint)
    tokens = text.tokens_for(state.geometry.vocabulary)
    full = {}
    for chunk in CHUNKS:
        tell(f"FP32, chunks of {chunk} frames")
        full[chunk] = folder / f"fp32-{chunk}.onnx"
        export.export(kept.restored(state, chunk), tokens, full[chunk])
    tell("INT8, dynamic and static")
    dynamic, static = folder / "dynamic.onnx", folder / "static.onnx"
    ways.dynamic(kept.restored(state), dynamic)
    network = kept.restored(state)
    shown = clips[:: max(1, len(clips) // calibration)][:calibration]
    corpus = in_memory(shown, network.geometry)
    ways.write(network, ways.calibrated(network, corpus, fake.SCHEMES["x86"]), static)
    if tells_phones(tokens):
        words = words_of(qat)
        return Models(full, dynamic, static, qat, _sizes_of_words(words, folder, tell), words)
    return Models(full, dynamic, static, qat, _sizes_of_letters(clips, folder, tell))


def words_of(qat: Path) -> Path:
    """Return the language model of a network of phones: beside its file, or the one that ships.

    Raises:
        UserError: there is none.
    """
    beside = qat.with_suffix(".lm")
    found = beside if beside.is_file() else options.shipped(WORDS)
    if found is None:
        raise UserError(f"{qat} tells phones, and there is no {beside.name} beside it.")
    return found


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


def _sizes_of_words(words: Path, folder: Path, tell: Tell) -> dict[str, Path]:
    tell(f"a small language model: {SMALL[0]} pairs, {SMALL[1]} triples of those in {words.name}")
    small = folder / "small.lm"
    wordmodel.pruned(lexicons.table(words), SMALL).save(small)
    return {"small": small, "large": words}


def _sizes_of_letters(clips: Sequence[Clip], folder: Path, tell: Tell) -> dict[str, Path]:
    language = {}
    for name, order in LANGUAGE_MODELS.items():
        tell(f"a {name} language model, {order} characters")
        language[name] = folder / f"lm-{name}.arpa"
        arpa.write((clip.text for clip in clips), order, language[name], least=2)
    return language


def sizes(language: Mapping[str, Path]) -> dict[str, str]:
    """Return what each language model holds, in words."""
    told = {}
    for name, file in language.items():
        mb = file.stat().st_size / 1e6
        held = f"n-grams of {LANGUAGE_MODELS.get(name, 0)} characters"
        if file.suffix == ".lm":
            pairs, triples = (len(grams.keys) for grams in lexicons.table(file).grams[1:])
            held = f"{pairs} pairs and {triples} triples of words"
        told[name] = f"{held}, {mb:.1f} MB"
    return told


def _needed(name: str) -> Any:
    try:
        return importlib.import_module(f"stages.asr.campp.training.{name}")
    except ImportError as error:
        raise UserError(f"This needs a checkout, and there {TRAIN} ({error}).") from error

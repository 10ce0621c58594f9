"""What a model is measured on: clips of manifests, and what trainings have held back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stages.asr.campp.decode import language
from stages.asr.campp.decode.prefix_beam import Rules
from stages.asr.campp.decode.spoken import Lexicon, Spoken
from stages.asr.campp.decode.words import Table
from stages.asr.campp.graph import Graph
from stages.asr.campp.training import config as config_
from stages.asr.campp.training import corpus, manifest
from stages.asr.campp.training.manifest import BadInput, Clip
from stages.asr.campp.training.text import normalised

Groups = dict[str, list[Clip]]


def of_manifests(files: Sequence[Path], names: tuple[str, ...]) -> Groups:
    """Return the clips of manifests by set; those not fit for scoring are left out.

    Raises:
        BadInput: a manifest cannot be read, or holds none of these sets.
    """
    groups: Groups = {}
    for file in files:
        for clip in _scorable(file):
            if not names or clip.group in names:
                groups.setdefault(clip.group or file.stem, []).append(clip)
    missing = set(names) - set(groups)
    if files and (missing or not groups):
        wanted = ", ".join(sorted(missing)) or "any set"
        raise BadInput("the manifests", [f"they have no clips of {wanted}"])
    return groups


def held_back(file: Path, data: Path, work: Path) -> Groups:
    """Return what a training has kept for evaluation, by source; "held back" is in the names.

    Raises:
        BadInput: the configuration or a manifest cannot be used.
    """
    config = config_.read(file)
    groups: Groups = {}
    for source, clips in corpus.clips_of(config, data, work):
        kept = [c for c in clips if manifest.held_back(c, source.hold_by, source.hold_share)]
        groups[f"{source.name}, held back"] = kept
    return groups


def rules(graph: Graph, beam: int, model: Path | None, weight: float) -> Rules:
    """Return the rules of a beam search over a model's tokens.

    Raises:
        NotArpa: the language model is none.
    """
    return Rules(
        graph.tokens,
        graph.geometry.blank,
        beam=beam,
        model=language.read(model) if model else None,
        weight=weight,
    )


def spoken(
    graph: Graph, file: Path | None, weight: float | None = None, beam: int | None = None
) -> Spoken:
    """Return the rules for a network that tells phones.

    Args:
        graph: the network.
        file: its language model with pronunciations.
        weight: of the language model, if not the usual one.
        beam: hypotheses kept, if not as many as usual.

    Raises:
        BadInput: there is no language model.
        NotWords, NoSounds: it does not fit.
    """
    if file is None or not file.is_file():
        raise BadInput("the model", ["it tells phones, and there is no .lm file beside it"])
    rules = Spoken(Lexicon(Table.read(file), graph.tokens), graph.geometry.blank)
    rules = rules if weight is None else replace(rules, weight=weight)
    return rules if beam is None else replace(rules, beam=beam)


def _scorable(file: Path) -> list[Clip]:
    """Dev sets have clips without words, and others in which the words are not certain."""
    try:
        entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise BadInput(str(file), [f"it cannot be read ({error})"]) from error
    clips = []
    for entry in entries:
        if not entry.get("text") or entry.get("use_for_scoring") is False:
            continue
        path = file.parent / entry["path"]
        if not path.exists():
            path = file.parent.parent / entry["path"]
        text = normalised(entry["text"])
        speaker, seconds = str(entry.get("speaker") or ""), float(entry.get("duration") or 0)
        clips.append(Clip(path, entry["path"], str(entry.get("set", "")), text, speaker, seconds))
    return clips

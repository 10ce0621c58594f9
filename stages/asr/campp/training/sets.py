"""What a model is measured on: clips of manifests, and what trainings have held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stages.asr.campp.decode import language
from stages.asr.campp.decode.hypothesis import SPACE
from stages.asr.campp.decode.prefix_beam import Rules
from stages.asr.campp.decode.spoken import Lexicon, Spoken, tells_phones
from stages.asr.campp.decode.words import Table
from stages.asr.campp.graph import Graph
from stages.asr.campp.training import config as config_
from stages.asr.campp.training import corpus, manifest
from stages.asr.campp.training.manifest import BadInput, Clip, Wanted
from stages.asr.campp.training.text import LETTERS

Groups = dict[str, list[Clip]]


def letters_of(tokens: Sequence[str]) -> frozenset[str]:
    """Return the characters that texts may have for a network with these tokens."""
    if tells_phones(tokens):
        return LETTERS
    spelled = "".join(token for token in tokens if not token.startswith("<"))
    return frozenset(spelled.lower().replace(SPACE, " ") + " ")


def of_manifests(
    files: Sequence[Path], names: tuple[str, ...], letters: frozenset[str] = LETTERS
) -> Groups:
    """Return the clips of manifests by set; those not fit for scoring are left out.

    Dev sets have clips without words, and others in which the words are not certain.

    Args:
        files: the manifests.
        names: of the wanted sets; nothing is all.
        letters: characters that texts may have.

    Raises:
        BadInput: a manifest or a clip of these sets cannot be used, or there are no such sets;
            every fault is listed.
    """
    wanted = Wanted(frozenset(names), opened=True, scoring=True, letters=letters)
    groups: Groups = {}
    faults: list[str] = []
    for file in files:
        try:
            found = manifest.looked_through(file, wanted)
        except BadInput as error:
            faults += [f"{file}: {fault}" for fault in error.faults]
            continue
        faults += [f"{file}: {fault}" for fault in found.faults]
        for clip in found.clips:
            groups.setdefault(clip.group or file.stem, []).append(clip)
    missing = set(names) - set(groups)
    if files and not faults and (missing or not groups):
        faults.append(f"they have no clips of {', '.join(sorted(missing)) or 'any set'}")
    if faults:
        raise BadInput("the manifests", faults)
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

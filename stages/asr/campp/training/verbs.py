"""``firstword asr`` speak, train, export, quantize, evaluate, words: from texts to a model."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from stages.asr.campp.decode.spoken import tells_phones
from stages.errors import UserError


def run(options: argparse.Namespace) -> int:
    """Do what was asked.

    Raises:
        UserError: it cannot be done; with a sentence, or a list of what is wrong.
    """
    out = Console(highlight=False, soft_wrap=True)
    doing: dict[str, Callable[[argparse.Namespace, Console], None]] = {
        "speak": _speak,
        "train": _train,
        "export": _export,
        "quantize": _quantize,
        "evaluate": _evaluate,
        "words": _words,
    }
    doing[options.verb](options, out)
    return 0


def _speak(options: argparse.Namespace, out: Console) -> None:
    synthetic, texts = _needed("synthetic"), _needed("texts")
    sentences = texts.sentences(
        options.grammar, options.config, options.data, options.words, options.texts
    )
    voices = _shares(options.voices)
    manifest = synthetic.speak(sentences, voices, options.count, options.seed, options.out)
    out.print(f"{manifest}: {options.count} clips")


def _train(options: argparse.Namespace, out: Console) -> None:
    config = _needed("config").read(options.config)
    trainer = _needed("trainer")  # what is missing is told before frames are made
    run_folder = options.run or options.work / "run"
    found = _needed("ready").checked(config, options.data, options.work, run_folder)
    if options.check:
        for source, clips in found:
            hours = sum(clip.duration for clip in clips) / 3600
            out.print(f"{source.name}: {len(clips)} clips, {hours:.2f} h")
        return
    tell: Callable[[str], None] = out.print
    data = _needed("corpus").frames_of(config, found, options.work, tell)
    trainer.train(config, data, run_folder, tell, options.until)


def _export(options: argparse.Namespace, out: Console) -> None:
    _check_place(options.out)
    checkpoint = _needed("checkpoint")
    state = checkpoint.model_of(options.model)
    if options.out.suffix == ".pt":
        checkpoint.save_small(options.out, state)
    else:
        network = checkpoint.restored(state, options.chunk)
        tokens = _needed("text").tokens_for(network.geometry.vocabulary)
        _needed("export").export(network, tokens, options.out)
    out.print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")


def _quantize(options: argparse.Namespace, out: Console) -> None:
    _check_way(options)
    _check_place(options.out)
    qat, checkpoint = _needed("qat"), _needed("checkpoint")
    state = checkpoint.model_of(options.model)
    network = checkpoint.restored(state)
    config = _needed("config").read(options.config) if options.config else None
    if config:
        checkpoint.check(state, config, same_units=True)
    if options.way == "dynamic":
        qat.dynamic(network, options.out)
    else:
        corpus = _needed("corpus").prepare(config, options.data, options.work, out.print)
        layers = qat.calibrated(network, corpus, _scheme(options), out.print)
        if options.way == "qat":
            steps = options.steps or qat.steps_of(corpus, config, options.epochs)
            qat.tune(network, corpus, config, steps, out.print)
            if options.keep:
                checkpoint.save(options.keep, _needed("fake").plain(network), state.step)
        qat.write(network, layers, options.out)
        if options.profile == "rk3588":
            folder = options.out.with_suffix("")
            _needed("rk3588").write(_needed("fake").plain(network), corpus, folder)
            out.print(f"{folder}: what Rockchip's own tools need; not tested on the hardware")
    out.print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")


def _check_way(options: argparse.Namespace) -> None:
    """Refuse what a way of quantising does not need or cannot do without."""
    way = options.way
    if way != "dynamic" and options.config is None:
        raise UserError(f"--way {way} needs --config: ranges are found with its sound.")
    if any(long is not None and long <= 0 for long in (options.steps, options.epochs)):
        raise UserError("--steps and --epochs must be above 0.")
    tuning = {"--steps": options.steps, "--epochs": options.epochs, "--keep": options.keep}
    idle = [name for name, given in tuning.items() if given is not None and way != "qat"]
    if idle:
        raise UserError(f"--way {way} has no {', '.join(idle)}: only qat goes on training.")
    scheme = {"--symmetric": options.symmetric, "--per-channel": options.per_channel}
    idle = [name for name, given in scheme.items() if given is not None]
    idle += [] if options.profile == "x86" else [f"--profile {options.profile}"]
    if idle and way == "dynamic":
        raise UserError(
            f"--way dynamic has no {', '.join(idle)}: onnxruntime finds ranges as it likes best,"
            " for x86. Take --way static or qat."
        )


def _check_place(out: Path) -> None:
    if not out.parent.is_dir():
        raise UserError(f"{out} cannot be written: there is no folder {out.parent}.")


def _scheme(options: argparse.Namespace) -> Any:
    fake = _needed("fake")
    wanted = fake.SCHEMES[options.profile]
    return fake.Scheme(
        symmetric=wanted.symmetric if options.symmetric is None else options.symmetric,
        per_channel=wanted.per_channel if options.per_channel is None else options.per_channel,
    )


def _evaluate(options: argparse.Namespace, out: Console) -> None:
    evaluate, sets = _needed("evaluate"), _needed("sets")
    from stages.asr.campp.graph import open_graph

    graph = open_graph(options.model)
    decode = _decoding(options, graph)
    names = tuple(name for name in options.sets.split(",") if name)
    groups = sets.of_manifests(options.manifest, names, sets.letters_of(graph.tokens))
    if options.config:
        groups |= sets.held_back(options.config, options.data, options.work)
    if not groups:
        raise UserError("Nothing to hear: give a manifest, or --config.")
    rows = []
    for name, clips in groups.items():
        chosen = clips[: options.limit] if options.limit else clips
        heard = evaluate.hear(graph, chosen)
        found = evaluate.outcome(name, chosen, [decode(one) for one in heard.log_probs])
        rows.append({**found.as_dict(), "rtf": round(heard.rtf, 5)})
        if not options.json:
            out.print(
                f"{name}: {100 * found.errors.rate:.1f} % of {found.errors.words} words wrong"
                f" (95 %: {100 * found.interval[0]:.1f} to {100 * found.interval[1]:.1f}),"
                f" {found.clips} clips, RTF {heard.rtf:.4f}"
            )
    if options.json:
        out.print_json(json.dumps({"model": options.model.name, "sets": rows}))


def _decoding(options: argparse.Namespace, graph: Any) -> Any:
    evaluate, sets = _needed("evaluate"), _needed("sets")
    if tells_phones(graph.tokens):
        file = options.lm or options.model.with_suffix(".lm")
        return evaluate.words(sets.spoken(graph, file, options.lm_weight, options.beam or None))
    if not options.beam:
        return evaluate.greedy(graph)
    weight = 0.3 if options.lm_weight is None else options.lm_weight
    return evaluate.beam(sets.rules(graph, options.beam, options.lm, weight))


def _words(options: argparse.Namespace, out: Console) -> None:
    _check_place(options.out)
    wordmodel, sizes = _needed("wordmodel"), (options.pairs, options.triples)
    if options.prune:
        table = wordmodel.pruned(wordmodel.Table.read(options.prune), sizes)
    else:
        found = _needed("texts").everything(
            options.sentences, options.seed, options.grammar, options.config, options.data,
            options.texts,
        )  # fmt: skip
        lexicon = _needed("pronounce").Lexicon.read() if options.phones else None
        table = wordmodel.build(found, options.general, options.words, sizes, options.own, lexicon)
    table.save(options.out)
    pairs, triples = (len(grams.keys) for grams in table.grams[1:])
    size = options.out.stat().st_size / 1e6
    out.print(
        f"{options.out}: {len(table.words)} words, {pairs} pairs, {triples} triples, {size:.1f} MB"
    )


def _shares(text: str) -> dict[str, float]:
    try:
        return {name: float(share) for name, share in (p.split("=") for p in text.split(","))}
    except ValueError as error:
        raise UserError(f"--voices: {text!r} is not like hibari=0.6,flite=0.4.") from error


def _needed(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"stages.asr.campp.training.{name}")
    except ImportError as error:
        raise UserError(f"This needs pip install 'firstword[train]' ({error}).") from error


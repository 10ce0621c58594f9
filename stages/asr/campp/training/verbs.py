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

VERBS = {
    "speak": "make synthetic speech to train on",
    "train": "train a model, or go on with it",
    "export": "write a trained model as FP32, or as weights to go on from",
    "quantize": "write a trained model as INT8: dynamic, static or quantisation-aware",
    "evaluate": "count a model's word errors",
    "words": "make a language model over words, for decoders that spell",
}


def add(verbs: Any) -> None:
    """Describe the arguments of every verb; ``verbs`` is the command's group of subparsers."""
    adds: dict[str, Callable[[argparse.ArgumentParser], None]] = {
        "speak": _add_speak,
        "train": _add_train,
        "export": _add_export,
        "quantize": _add_quantize,
        "evaluate": _add_evaluate,
        "words": _add_words,
    }
    for name, help_text in VERBS.items():
        adds[name](verbs.add_parser(name, help=help_text, description=help_text))


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


def _add_speak(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="DIR", help="for the clips and their manifest")
    parser.add_argument("--count", type=int, default=8000, help="clips (default 8000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--voices",
        default="hibari=0.55,flite=0.3,espeak=0.15",
        help="engines and their shares (default %(default)s)",
    )
    parser.add_argument("--grammar", type=Path, help="instead of the one that comes with FirstWord")
    parser.add_argument(
        "--config", type=Path, help="a training: texts of its human clips are said too"
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/speech"))
    parser.add_argument("--words", type=Path, help="a list of words, to be said in a row")
    parser.add_argument("--texts", type=Path, help="sentences, one a line")


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, default=Path("../shared/speech"), help="{data}")
    parser.add_argument("--work", type=Path, default=Path("training"), help="{work}")


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG.yaml")
    _add_places(parser)
    parser.add_argument("--run", type=Path, help="folder of checkpoints (default WORK/run)")
    parser.add_argument("--until", type=int, help="stop at this step")
    parser.add_argument("--check", action="store_true", help="only tell what is wrong")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="RUN", help="a run's folder, or a checkpoint")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="OUT.onnx, or OUT.pt: weights to train on from"
    )
    parser.add_argument("--chunk", type=int, choices=(8, 16, 32), help="frames of 20 ms a packet")


def _add_quantize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="RUN", help="a run's folder, or a checkpoint")
    parser.add_argument("out", type=Path, metavar="OUT.onnx")
    parser.add_argument("--way", choices=("dynamic", "static", "qat"), default="static")
    parser.add_argument("--profile", choices=("x86", "tensorrt", "rk3588"), default="x86")
    parser.add_argument("--symmetric", action=argparse.BooleanOptionalAction, default=None)
    parser.add_argument("--per-channel", action=argparse.BooleanOptionalAction, default=None)
    parser.add_argument("--config", type=Path, help="the training: needed for static and qat")
    long = parser.add_mutually_exclusive_group()
    long.add_argument("--steps", type=int, help="of qat's fine-tuning (default 300)")
    long.add_argument("--epochs", type=float, help="of qat's fine-tuning, instead of --steps")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE.pt", help="write the fine-tuned weights too"
    )
    _add_places(parser)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="an exported model")
    parser.add_argument(
        "manifest", type=Path, nargs="*", default=[], metavar="MANIFEST.jsonl",
        help="what is heard; may be left out with --config",
    )  # fmt: skip
    parser.add_argument("--sets", default="", help="of the manifests, by comma (default: all)")
    parser.add_argument("--config", type=Path, help="a training: what it held back is heard too")
    parser.add_argument("--beam", type=int, default=0, help="kept; 0 is greedy, or as usual")
    parser.add_argument(
        "--lm", type=Path, help="words (.lm; beside a model of phones as a rule), or ARPA of tokens"
    )
    parser.add_argument("--lm-weight", type=float)
    parser.add_argument("--limit", type=int, default=0, help="clips of a set at most; 0 is all")
    parser.add_argument("--json", action="store_true", help="print figures for programs")
    _add_places(parser)


def _add_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT.lm")
    parser.add_argument("--texts", type=Path, help="sentences, one a line")
    parser.add_argument("--sentences", type=int, default=60_000, help="drawn from the grammar")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--grammar", type=Path, help="instead of the one that comes with FirstWord")
    parser.add_argument("--config", type=Path, help="a training: texts of its human clips count")
    parser.add_argument("--data", type=Path, default=Path("../shared/speech"))
    parser.add_argument(
        "--prune", type=Path, metavar="FILE.lm", help="make a smaller one of this, of nothing else"
    )
    parser.add_argument("--general", type=Path, metavar="FILE.arpa", help="words, to be mixed in")
    parser.add_argument("--words", type=int, default=30_000, help="of the general model")
    parser.add_argument("--pairs", type=int, default=400_000)
    parser.add_argument("--triples", type=int, default=250_000)
    parser.add_argument(
        "--phones", action="store_true", help="with pronunciations, for networks of phones"
    )
    parser.add_argument("--own", type=float, default=0.4, help="share of the texts, 0 to 1")


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


"""The arguments of ``firstword asr`` speak, train, export, quantize, evaluate and words."""

from __future__ import annotations

import argparse
from pathlib import Path


def _add_speak(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "out", type=Path, metavar="DIR", help="folder for the clips and their manifest"
    )
    parser.add_argument(
        "--count", type=int, default=8000, metavar="N", help="clips (default: %(default)s)"
    )
    _add_seed(parser, 1)
    parser.add_argument(
        "--voices",
        default="hibari=0.55,flite=0.3,espeak=0.15",
        help="engines and their shares (default: %(default)s)",
    )
    _add_grammar(parser)
    parser.add_argument(
        "--config", type=Path, metavar="FILE",
        help="a training, in YAML: texts of its human clips are said too",
    )  # fmt: skip
    _add_data(parser)
    parser.add_argument(
        "--words", type=Path, metavar="FILE", help="words, one a line, to be said in a row"
    )
    parser.add_argument(
        "--texts", type=Path, metavar="FILE", help="sentences of your own, one a line"
    )


def _add_seed(parser: argparse.ArgumentParser, seed: int) -> None:
    parser.add_argument(
        "--seed", type=int, default=seed, help="of what is drawn at random (default: %(default)s)"
    )


def _add_grammar(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--grammar", type=Path, metavar="FILE",
        help="sentences are made by it, instead of the one that comes with FirstWord",
    )  # fmt: skip


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/speech"), metavar="DIR",
        help="human speech; {data} in a training (default: %(default)s)",
    )  # fmt: skip


def _add_places(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument(
        "--work", type=Path, default=Path("training"), metavar="DIR",
        help="all that is made; {work} in a training (default: %(default)s)",
    )  # fmt: skip


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", type=Path, metavar="CONFIG.yaml", help="the training: docs/training.md"
    )
    _add_places(parser)
    parser.add_argument(
        "--run", type=Path, metavar="DIR", help="folder of checkpoints (default: WORK/run)"
    )
    parser.add_argument("--until", type=int, metavar="STEP", help="stop at this step")
    parser.add_argument(
        "--check", action="store_true", help="only say what is wrong with the data"
    )


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="RUN", help="a run's folder, or a checkpoint")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="OUT.onnx, or OUT.pt: weights to train on from"
    )
    parser.add_argument(
        "--chunk", type=int, choices=(8, 16, 32),
        help="frames of 20 ms that it hears at once (default: as it was trained)",
    )  # fmt: skip


def _add_quantize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="RUN", help="a run's folder, or a checkpoint")
    parser.add_argument("out", type=Path, metavar="OUT.onnx", help="file to write")
    parser.add_argument(
        "--way", choices=("dynamic", "static", "qat"), default="static",
        help="how ranges are found; qat is quantisation-aware (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--profile", choices=("x86", "tensorrt", "rk3588"), default="x86",
        help="what it is to run on (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--symmetric", action=argparse.BooleanOptionalAction, default=None,
        help="activations without a zero point, or with one (default: as the profile wants)",
    )  # fmt: skip
    parser.add_argument(
        "--per-channel", action=argparse.BooleanOptionalAction, default=None,
        help="weights with a scale a channel, or one for all (default: as the profile wants)",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, metavar="FILE",
        help="the training, in YAML: needed for static and qat",
    )  # fmt: skip
    long = parser.add_mutually_exclusive_group()
    long.add_argument(
        "--steps", type=int, metavar="N", help="of qat's fine-tuning (default: 300)"
    )
    long.add_argument(
        "--epochs", type=float, metavar="N", help="of qat's fine-tuning, instead of --steps"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FILE.pt", help="write the weights that qat fine-tuned, too"
    )
    _add_places(parser)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="an exported model")
    parser.add_argument(
        "manifest", type=Path, nargs="*", default=[], metavar="MANIFEST.jsonl",
        help="what is heard; may be left out with --config",
    )  # fmt: skip
    parser.add_argument("--sets", default="", help="of the manifests, by comma (default: all)")
    parser.add_argument(
        "--config", type=Path, metavar="FILE",
        help="a training, in YAML: what it held back is heard too",
    )  # fmt: skip
    parser.add_argument(
        "--beam", type=int, default=0, metavar="N",
        help="readings that the search keeps; 0: the best letter of each frame, and with phones as"
        " many as in calls (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--lm", type=Path, metavar="FILE",
        help="a language model: words (.lm; of a model of phones, by default the one beside it),"
        " or an ARPA file over tokens",
    )  # fmt: skip
    parser.add_argument(
        "--lm-weight", type=float, metavar="W",
        help="how much the language model counts (default: as in calls; for letters, 0.3)",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="clips of a set at most (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print figures for programs")
    _add_places(parser)


def _add_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT.lm", help="file to write")
    parser.add_argument(
        "--texts", type=Path, metavar="FILE", help="sentences of your own, one a line"
    )
    parser.add_argument(
        "--sentences", type=int, default=60_000, metavar="N",
        help="drawn from the grammar (default: %(default)s)",
    )  # fmt: skip
    _add_seed(parser, 5)
    _add_grammar(parser)
    parser.add_argument(
        "--config", type=Path, metavar="FILE",
        help="a training, in YAML: texts of its human clips count too",
    )  # fmt: skip
    _add_data(parser)
    parser.add_argument(
        "--prune", type=Path, metavar="FILE.lm", help="make a smaller one of this, of nothing else"
    )
    parser.add_argument(
        "--general", type=Path, metavar="FILE.arpa", help="a general model over words, to mix in"
    )
    for name, most, told in (
        ("--words", 30_000, "of the general model that are taken"),
        ("--pairs", 400_000, "of words that are kept"),
        ("--triples", 250_000, "of words that are kept"),
    ):
        parser.add_argument(
            name, type=int, default=most, metavar="N", help=f"{told}, at most (default: {most})"
        )
    parser.add_argument(
        "--phones", action="store_true", help="with pronunciations, for networks of phones"
    )
    parser.add_argument(
        "--own", type=float, default=0.4, metavar="SHARE",
        help="how much the texts count beside the general model, 0 to 1 (default: %(default)s)",
    )  # fmt: skip


VERBS = {
    "speak": (_add_speak, "make synthetic speech to train on"),
    "train": (_add_train, "train a model, or go on with it"),
    "export": (_add_export, "write a trained model as FP32, or as weights to go on from"),
    "quantize": (
        _add_quantize, "write a trained model as INT8: dynamic, static or quantisation-aware"
    ),
    "evaluate": (_add_evaluate, "count a model's word errors"),
    "words": (_add_words, "make a language model over words, for decoders that spell"),
}  # fmt: skip
"""Each verb's arguments, and a sentence about it."""

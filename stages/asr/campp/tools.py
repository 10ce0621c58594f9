"""``firstword asr``: new, import-wenet, int8, graph, show, partials, and the verbs of training."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType

from rich.console import Console

from stages.asr.campp.geometry import Geometry, NotAModel
from stages.asr.campp.graph import open_graph
from stages.asr.campp.training import verbs as training
from stages.errors import UserError


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_new(verbs.add_parser("new", help="make a model with random weights"))
    _add_wenet(verbs.add_parser("import-wenet", help="make a model of a WeNet U2++ checkpoint"))
    int8 = verbs.add_parser("int8", help="make an INT8 copy of a model")
    int8.add_argument("model", type=Path, metavar="IN.onnx")
    int8.add_argument("out", type=Path, metavar="OUT.onnx")
    _add_graph(verbs.add_parser("graph", help="build a graph for decode: wfst"))
    show = verbs.add_parser("show", help="show what a model file says about itself")
    show.add_argument("model", type=Path, metavar="MODEL.onnx")
    _add_partials(verbs.add_parser("partials", help="compare words shown while a caller speaks"))
    training.add(verbs)


def run(options: argparse.Namespace) -> int:
    """Do what was asked.

    Raises:
        UserError: it cannot be done; with a sentence.
    """
    out = Console(highlight=False, soft_wrap=True)
    match options.verb:
        case "new":
            _new(options, out)
        case "import-wenet":
            _import_wenet(options, out)
        case "int8":
            _training("quantise").quantise(options.model, options.out)
            _shown(options.out, out)
        case "graph":
            _graph(options, out)
        case "partials":
            return int(_needed("stages.asr.campp.partials.command", "train").run(options))
        case verb if verb in training.VERBS:
            return training.run(options)
        case _:
            _shown(options.model, out)
    return 0


def _add_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT.onnx")
    parser.add_argument("--size", choices=("tiny", "small", "base"), default="small")
    parser.add_argument(
        "--strides", default="1,2,2", help="of the three segments: 1,2,2 or 1,1,1 (default 1,2,2)"
    )
    parser.add_argument("--chunk", type=int, default=16, help="frames of 20 ms a packet: 8, 16, 32")
    parser.add_argument("--tokens", type=Path, help="a file with a token a line, blank first")
    parser.add_argument("--vocabulary", type=int, default=5538, help="tokens, without --tokens")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    _add_kind(parser)
    parser.add_argument(
        "--peer", type=Path, metavar="DIR", help="write it for sherpa-onnx too (strides 1,1,1);"
        " its front end is then sherpa-onnx's"
    )


def _add_wenet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="final.pt, train.yaml, units.txt")
    parser.add_argument("out", type=Path, metavar="OUT.onnx")
    parser.add_argument("--chunk", type=int, default=8, help="frames of 40 ms; 8 are 320 ms")
    parser.add_argument("--left-chunks", type=int, default=4)
    parser.add_argument("--name", default="wenet")
    parser.add_argument("--language", default="")
    _add_kind(parser)


def _add_kind(parser: argparse.ArgumentParser) -> None:
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--int8", action="store_true", help="quantise it, for a CPU")
    kind.add_argument(
        "--resident", action="store_true", help="for a GPU: caches never leave the device"
    )


def _add_graph(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="whose tokens it is for")
    parser.add_argument("lexicon", type=Path, metavar="LEXICON", help="lines of a word, its tokens")
    parser.add_argument("arpa", type=Path, metavar="LM.arpa", help="n-grams over these words")
    parser.add_argument("out", type=Path, metavar="DIR")


def _add_partials(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "manifest", type=Path, nargs="?", default=Path("../shared/speech/dev/manifest.jsonl"),
        metavar="MANIFEST.jsonl", help="recordings (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--sets", default="en_assistant", help="of the manifest, by comma; '' is all (%(default)s)"
    )
    parser.add_argument("--model", default="en-small", help="of campp (default %(default)s)")
    parser.add_argument(
        "--beside", default="moonshine", metavar="ENGINE",
        help="the other recogniser; its finals are what both are measured against (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--limit", type=int, default=0, help="utterances at most; 0 is all")
    parser.add_argument("--json", action="store_true", help="print figures for programs")


def _new(options: argparse.Namespace, out: Console) -> None:
    sizes, export = _training("sizes"), _training("export")
    tokens = _tokens(options)
    fields: dict[str, object] = {"chunk": options.chunk, "strides": _numbers(options.strides)}
    if options.peer:
        fields["front"] = _training("peer").FRONT
    importlib.import_module("torch").manual_seed(options.seed)
    try:
        network = sizes.network(options.size, tokens, **fields)
    except ValueError as error:  # pydantic's, with every figure that does not fit
        raise UserError(f"No such model can be made: {error}") from error
    if options.peer:
        _training("peer").export(network, tokens, options.peer)
    export.export(network, tokens, options.out, options.resident)
    _finish(options, out)


def _import_wenet(options: argparse.Namespace, out: Console) -> None:
    imported = _training("wenet").read(
        options.folder, options.chunk, options.left_chunks, options.name, options.language
    )
    _training("export").export(imported.network, imported.tokens, options.out, options.resident)
    _finish(options, out)


def _graph(options: argparse.Namespace, out: Console) -> None:
    tlg = _needed("stages.asr.campp.decode.tlg", "wfst")
    graph = open_graph(options.model)
    lexicon = tlg.Lexicon.read(options.lexicon, graph.tokens)
    states = tlg.build(graph.tokens, graph.geometry.blank, lexicon, options.arpa, options.out)
    out.print(f"{options.out}: {states} states, {len(lexicon.words)} words")


def _finish(options: argparse.Namespace, out: Console) -> None:
    if options.int8:
        _training("quantise").quantise(options.out, options.out)
    _shown(options.out, out)


def _shown(file: Path, out: Console) -> None:
    geometry = open_graph(file).geometry
    out.print(f"{file}: {file.stat().st_size / 1e6:.1f} MB, {described(geometry)}")


def described(geometry: Geometry) -> str:
    """Return a geometry in a line."""
    strides = ",".join(str(stride) for stride in geometry.strides)
    return (
        f"{geometry.name or 'a model'} ({geometry.weights}), {geometry.vocabulary} tokens,"
        f" packets of {geometry.packet / 16:g} ms in {geometry.out_frames} frames,"
        f" strides {strides}, {geometry.state_bytes / 1e6:.2f} MB a call"
    )


def _tokens(options: argparse.Namespace) -> tuple[str, ...]:
    if options.tokens is None:
        tokens: tuple[str, ...] = _training("sizes").alphabet(options.vocabulary)
        return tokens
    try:
        return tuple(options.tokens.read_text("utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise NotAModel(str(options.tokens), f"the tokens cannot be read ({error})") from error


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--strides: {text!r} is no list of numbers like 1,2,2.") from error


def _training(name: str) -> ModuleType:
    return _needed(f"stages.asr.campp.training.{name}", "train")


def _needed(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"This needs pip install 'firstword[{extra}]' ({error}).") from error

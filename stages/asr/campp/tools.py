"""``firstword asr``: new, import-wenet, int8, graph, show, partials, and the verbs of training."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType

from rich.console import Console

from stages.asr.campp.geometry import Geometry, NotAModel
from stages.asr.campp.graph import open_graph
from stages.asr.campp.training import arguments
from stages.asr.campp.training import verbs as training
from stages.errors import UserError


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    for name, (add_arguments, told) in (_VERBS | arguments.VERBS).items():
        add_arguments(verbs.add_parser(name, help=told, description=told))


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
        case verb if verb in arguments.VERBS:
            return training.run(options)
        case _:
            _shown(options.model, out)
    return 0


def _add_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT.onnx", help="file to write")
    parser.add_argument(
        "--size", choices=("tiny", "small", "base"), default="small",
        help="of the network (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--strides", default="1,2,2",
        help="of the network's three segments: 1,2,2 or 1,1,1 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--chunk", type=int, default=16,
        help="frames of 20 ms that it hears at once: 8, 16 or 32 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--tokens", type=Path, metavar="FILE", help="what it can write: a token a line, blank first"
    )
    parser.add_argument(
        "--vocabulary", type=int, default=5538, metavar="N",
        help="number of tokens where no file names them (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0, help="of the random weights (default: %(default)s)"
    )
    _add_kind(parser)
    parser.add_argument(
        "--peer", type=Path, metavar="DIR", help="write it for sherpa-onnx too (strides 1,1,1);"
        " its front end is then sherpa-onnx's"
    )


def _add_wenet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="folder with final.pt, train.yaml and units.txt"
    )
    parser.add_argument("out", type=Path, metavar="OUT.onnx", help="file to write")
    parser.add_argument(
        "--chunk", type=int, default=8,
        help="frames of 40 ms that it hears at once (default: %(default)s, 320 ms)",
    )  # fmt: skip
    parser.add_argument(
        "--left-chunks", type=int, default=4, metavar="N",
        help="chunks of the past that it looks back at (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--name", default="wenet", help="that the model is shown by (default: %(default)s)"
    )
    parser.add_argument(
        "--language", default="", help="that it hears, as zh or en (default: not said)"
    )
    _add_kind(parser)


def _add_kind(parser: argparse.ArgumentParser) -> None:
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--int8", action="store_true", help="quantise it to INT8, for a CPU")
    kind.add_argument(
        "--resident", action="store_true", help="for a GPU: its caches never leave the device"
    )


def _add_int8(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="IN.onnx", help="the model to copy")
    parser.add_argument("out", type=Path, metavar="OUT.onnx", help="file to write")


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="a model of ours")


def _add_graph(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, metavar="MODEL.onnx", help="the model whose tokens it is for"
    )
    parser.add_argument(
        "lexicon", type=Path, metavar="LEXICON", help="a file: on each line a word and its tokens"
    )
    parser.add_argument("arpa", type=Path, metavar="LM.arpa", help="n-grams over these words")
    parser.add_argument("out", type=Path, metavar="DIR", help="folder to write")


def _add_partials(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "manifest", type=Path, nargs="?", default=Path("../shared/speech/dev/manifest.jsonl"),
        metavar="MANIFEST.jsonl", help="list of recordings (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--sets", default="en_assistant",
        help="of the manifest, by comma; '' is all (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--model", default="en-small", help="of campp, by name or file (default: %(default)s)"
    )
    parser.add_argument(
        "--beside", default="moonshine", metavar="ENGINE",
        help="the other recogniser; its finals are what both are measured against (default:"
        " %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="utterances at most (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print figures for programs")


_VERBS = {
    "new": (_add_new, "make a model with random weights"),
    "import-wenet": (_add_wenet, "make a model of a WeNet U2++ checkpoint"),
    "int8": (_add_int8, "make an INT8 copy of a model"),
    "graph": (_add_graph, "build a search graph, for profiles with 'decode: wfst'"),
    "show": (_add_show, "show what a model file says about itself"),
    "partials": (_add_partials, "compare words shown while a caller speaks"),
}
"""What is not training: each verb's arguments, and a sentence about it."""


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

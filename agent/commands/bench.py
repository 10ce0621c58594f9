"""``firstword bench``: measure this machine; each benchmark is a module of ``agent.bench``."""

from __future__ import annotations

import argparse
import importlib

BENCHES = {
    "overhead": "what the pipeline adds to the delays of its stages",
    "latency": "what a caller waits for, over real WebRTC, and where the time goes",
    "endpoint": "how soon a turn is over, against how often the caller is cut into",
    "bargein": "what holds a reply, what ends it, and how soon; its echo in a room",
    "media": "what the wire adds, and how many calls a core carries",
    "asr": "how many calls a core hears, beside sherpa-onnx",
    "article": "the source article's tables, its claims beside our figures",
}
"""Name to one line of help; each is a module of ``agent.bench`` with ``add`` and ``run``."""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    benches = parser.add_subparsers(dest="bench", required=True, metavar="BENCH")
    for name, help_text in BENCHES.items():
        bench = benches.add_parser(name, help=help_text, description=help_text)
        bench.add_argument("--json", action="store_true", help="print figures for programs")
        importlib.import_module(f"agent.bench.{name}").add(bench)


def run(options: argparse.Namespace) -> int:
    """Run one benchmark."""
    return int(importlib.import_module(f"agent.bench.{options.bench}").run(options) or 0)

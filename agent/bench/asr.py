"""``firstword bench asr``: how many calls a core hears; the recogniser's plug-in brings it."""

from __future__ import annotations

import argparse

from agent.tools import tool


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmark's arguments."""
    tool("bench-asr").add(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, and show it."""
    return tool("bench-asr").run(options)

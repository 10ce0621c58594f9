"""``firstword bench article``: the source article's tables on our recogniser; it brings them."""

from __future__ import annotations

import argparse

from agent.tools import tool


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmark's arguments."""
    tool("bench-article").add(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, and show it."""
    return tool("bench-article").run(options)

"""``firstword asr``: make, import and prepare models of the recogniser; a plug-in brings it."""

from __future__ import annotations

import argparse

from agent.tools import tool


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    tool("asr").add(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked."""
    return tool("asr").run(options)

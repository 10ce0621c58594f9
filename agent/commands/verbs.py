"""The verbs of a command, as ``firstword models pull``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any


def verb(verbs: Any, name: str, told: str) -> ArgumentParser:
    """Add a verb to ``add_subparsers``, with a sentence for its command's help and for its own."""
    parser: ArgumentParser = verbs.add_parser(name, help=told, description=told)
    return parser

"""Commands that plug-ins bring, found by name, imported only when asked for.

A tool is a module with ``add(parser)`` and ``run(options)``, named by an entry point of the group
``firstword.tools``. So a plug-in may have commands, and the agent still knows no plug-in.
"""

from __future__ import annotations

import argparse
from importlib.metadata import entry_points
from typing import Protocol, cast

from agent.errors import NotPossible

GROUP = "firstword.tools"


class Tool(Protocol):
    """What the entry point of a tool names."""

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Describe the arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Do what was asked; return the exit code."""


def tool(name: str) -> Tool:
    """Import a tool.

    Raises:
        NotPossible: nobody provides it, several do, or it needs a package that is not installed.
    """
    points = {point.value: point for point in entry_points(group=GROUP, name=name)}
    if len(points) != 1:
        providers = " and ".join(sorted(points)) or "nobody: install firstword again"
        raise NotPossible(f"The tool {name!r} is provided by {providers}.")
    try:
        return cast(Tool, next(iter(points.values())).load())
    except ImportError as error:
        raise NotPossible(f"The tool {name!r} cannot be used: {error}.") from error

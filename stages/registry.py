"""Finds plug-ins by kind and name, through one door for ours and foreign ones: entry points.

A distribution provides a stage with an entry point in the group ``firstword.<kind>`` whose
name is the name in YAML and whose value is a ``stages.contracts.Plugin``. It is imported only
when chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from stages.contracts import Kind, Plugin
from stages.errors import PluginConflict, PluginUnavailable, UnknownPlugin

GROUP = "firstword."


def names(kind: Kind) -> list[str]:
    """Return the names of every stage of a kind, imported or not."""
    return sorted({point.name for point in _points(kind)})


def find(kind: Kind, name: str) -> Plugin[Any]:
    """Import a stage.

    Raises:
        UnknownPlugin: nobody provides it; the sentence lists those there are.
        PluginConflict: two distributions do.
        PluginUnavailable: it needs a package that is not installed, or is no ``Plugin``.
    """
    points = [point for point in _points(kind) if point.name == name]
    if not points:
        raise UnknownPlugin(kind, name, names(kind))
    if len({point.value for point in points}) > 1:
        raise PluginConflict(kind, name, (_provider(point) for point in points))
    return _load(kind, points[0])


@cache
def _points(kind: Kind) -> Sequence[EntryPoint]:
    """Scan what is installed, once: a scan takes milliseconds, and calls come on the loop."""
    return tuple(entry_points(group=GROUP + kind))


def rescan() -> None:
    """Forget what was found: a distribution has come or gone while we run."""
    _points.cache_clear()


def _provider(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _hint(point: EntryPoint) -> str:
    if not point.extras or point.dist is None:
        return ""
    return f" Install it with: pip install '{point.dist.name}[{point.extras[0]}]'"


def _load(kind: Kind, point: EntryPoint) -> Plugin[Any]:
    try:
        plugin = point.load()
    except (ImportError, AttributeError) as error:
        raise PluginUnavailable(kind, point.name, str(error), _hint(point)) from error
    if not isinstance(plugin, Plugin):
        raise PluginUnavailable(kind, point.name, f"{point.value} is no stages.contracts.Plugin")
    return plugin

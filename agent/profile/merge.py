"""Laying one profile over another, in plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.profile.tree import KeyPath, Place, Tree
from agent.turn_settings import TurnSettings

CHOICES = ("vad", "turn", "asr", "llm", "voice", "fallback_voice", "speakers")
"""The sections that choose a stage by its ``engine``."""


def over(base: Tree, child: Tree) -> Tree:
    """Lay a profile over the one it extends.

    Sections are merged key by key, anything else is replaced; an empty value takes back what the
    base said. Two things begin afresh, because what the base said is about something else: a
    section that names another engine, and the times of turn-taking where a preset is named.
    """
    base = spelled_out(base)
    child = spelled_out(child, imply="base_url" not in (base.data.get("llm") or ()))
    kept = {key: _kept(key, value, child.data) for key, value in base.data.items()}
    data = deep(kept, child.data)
    places = {path: place for path, place in base.places.items() if _stands(data, path)}
    return Tree(data, places | child.places)


def deep(base: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """Merge plain data: mappings key by key, everything else as the child has it."""
    joined = dict(base)
    for key, value in child.items():
        under = joined.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        joined[key] = deep(under, value) if both else value  # type: ignore[arg-type]  # both
    return joined


def settled(tree: Tree) -> Tree:
    """Write short forms out and drop empty values: what is left is what the profile says."""
    tree = spelled_out(tree)
    data = _without_empty(tree.data)
    return Tree(data, tree.places)


def spelled_out(tree: Tree, *, imply: bool = True) -> Tree:
    """Write short forms out: ``vad: energy``, ``turn: quick``.

    With ``imply``, an ``llm`` that has a ``base_url`` and names no engine is an ``openai`` one.
    """
    data, places = dict(tree.data), dict(tree.places)
    for section in CHOICES:
        if isinstance(data.get(section), str):
            key = "preset" if section == "turn" else "engine"
            data[section] = {key: data[section]}
            _copy_place(places, (section,), (section, key))
    llm = data.get("llm")
    if imply and isinstance(llm, Mapping) and "base_url" in llm and "engine" not in llm:
        data["llm"] = {"engine": "openai", **llm}
        _copy_place(places, ("llm", "base_url"), ("llm", "engine"))
    return Tree(data, places)


def _kept(section: str, under: Any, child: Mapping[str, Any]) -> Any:
    upper = child.get(section)
    if section not in CHOICES or not isinstance(under, Mapping) or not isinstance(upper, Mapping):
        return under
    if upper.get("engine", under.get("engine")) != under.get("engine"):
        if section != "turn":
            return {}
        under = {k: v for k, v in under.items() if k in TurnSettings.model_fields or k == "preset"}
    if section == "turn" and "preset" in upper:
        under = {k: v for k, v in under.items() if k not in TurnSettings.model_fields}
    return under


def _copy_place(places: dict[KeyPath, Place], source: KeyPath, target: KeyPath) -> None:
    if source in places:
        places[target] = places[source]


def _stands(data: Any, path: KeyPath) -> bool:
    for key in path:
        if isinstance(data, Mapping) and key in data:
            data = data[str(key)]
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            return False
    return True


def _without_empty(data: Mapping[str, Any]) -> dict[str, Any]:
    """Drop empty fields, and empty keys of sections; what is deeper belongs to a plug-in."""
    return {
        field: {key: item for key, item in value.items() if item is not None}
        if isinstance(value, Mapping)
        else value
        for field, value in data.items()
        if value is not None
    }

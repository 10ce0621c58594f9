"""A profile file as plain data that knows its lines.

Read in the spirit of YAML 1.2: only ``true`` and ``false`` are booleans (so ``language: no`` is
Norwegian) and dates are text. What makes YAML surprising (duplicate keys, aliases, merge keys,
tags) is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from agent.errors import ProfileError

LARGEST = 256 * 1024
"""Bytes of a profile file, at most."""

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value stands: ``("llm", "temperature")``, ``("examples", 0, "user")``."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_STANDARD = "tag:yaml.org,2002:"
_TAGS = {_STANDARD + name for name in ("str", "null", "bool", "int", "float", "timestamp", "value")}


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: str
    line: int  # the first is 1


@dataclass(frozen=True, slots=True)
class Tree:
    """Plain data, and the place of each of its values."""

    data: dict[str, Any]
    places: dict[KeyPath, Place] = field(default_factory=dict)

    def place(self, path: KeyPath) -> Place | None:
        """Return the place of a value, or of the nearest one around it."""
        return next((self.places[p] for p in shortening(path) if p in self.places), None)


def shortening(path: KeyPath) -> list[KeyPath]:
    """Return the path and every path around it, the innermost first."""
    return [path[:length] for length in range(len(path), -1, -1)]


def read(file: Path) -> Tree:
    """Read a profile file.

    Raises:
        ProfileError: it cannot be read, is no YAML, or is YAML of a kind that is refused.
    """
    return parse(_text(file), str(file))


def parse(text: str, file: str) -> Tree:
    """Make a tree of YAML text; ``file`` is for the sentences.

    Raises:
        ProfileError: it is no YAML, or YAML of a kind that is refused.
    """
    node = _compose(text, file)
    if node is None:
        raise ProfileError("the file is empty; a profile needs at least 'extends: default'", file)
    if not isinstance(node, yaml.MappingNode):
        raise ProfileError(
            "a profile is fields with values ('name: …'), but this begins with "
            + ("a list" if isinstance(node, yaml.SequenceNode) else "a single value"),
            file,
            node.start_mark.line + 1,
        )
    walk = _Walk(file)
    walk.places[()] = Place(file, 1)
    return Tree(walk.mapping(node, ()), walk.places)


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > LARGEST:
            raise ProfileError(f"larger than {LARGEST // 1024} KiB: this is no profile", str(file))
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ProfileError("there is no such file", str(file)) from error
    except UnicodeDecodeError as error:
        raise ProfileError("the file is not UTF-8 text", str(file)) from error
    except OSError as error:
        raise ProfileError(f"the file cannot be read: {error.strerror}", str(file)) from error


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ProfileError(_sentence(error), file, mark.line + 1 if mark else None) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ProfileError("a control character stands in the text", file, line) from error
    except RecursionError as error:
        raise ProfileError("nested too deeply for a profile", file) from error


def _sentence(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "it cannot be read"
    if "'\\t'" in problem:
        return "a tab cannot indent YAML; use spaces"
    if "single document" in (error.context or ""):
        return "a profile is one YAML document; take out the '---' that begins another"
    return f"this is no YAML: {problem}"


class _Walk:
    """Turns nodes into values, noting where each stands."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[KeyPath, Place] = {}
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.places.setdefault(path, Place(self.file, node.start_mark.line + 1))
        if id(node) in self._seen:
            raise self._refuse(node, "aliases ('*name') are not read; use 'extends' to share")
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or not key or key == "<<":
                raise self._refuse(key_node, "only names can stand before a ':'")
            if key in data:
                first = self.places[(*path, key)].line
                raise self._refuse(key_node, f"{key!r} stands here again; first in line {first}")
            self.places[(*path, key)] = Place(self.file, key_node.start_mark.line + 1)
            data[key] = self.value(value_node, (*path, key))
        return data

    def _scalar(self, node: yaml.Node) -> Any:
        text: str = node.value
        if node.tag not in _TAGS:
            raise self._refuse(node, f"YAML tags such as {node.tag!r} are not read")
        if node.tag == _STANDARD + "null":
            return None
        if node.tag == _STANDARD + "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        return text if node.tag == _STANDARD + "str" else _number(text)

    def _refuse(self, node: yaml.Node, reason: str) -> ProfileError:
        return ProfileError(reason, self.file, node.start_mark.line + 1)


def _number(text: str) -> int | float | str:
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text

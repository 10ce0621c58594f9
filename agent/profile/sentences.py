"""What pydantic found wrong, said with file, line, field and what is allowed."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agent.errors import ProfileError
from agent.profile.tree import KeyPath, Place, Tree

Allowed = Callable[[KeyPath], Iterable[str]]
"""Gives the names that may stand in the section at a path."""


_PLAIN = {
    "tuple_type": "should be a list ('- one')",
    "union_tag_not_found": "needs a kind, such as 'kind: mcp'; docs/tools.md has them all",
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type"),
        "should be fields with values ('name: …')",
    ),
}
"""What pydantic says in the words of Python, by its kind of error."""


def profile_error(error: ValidationError, tree: Tree, allowed: Allowed) -> ProfileError:
    """Make one sentence of the first thing that is wrong, in the order of the file."""
    details = error.errors(include_url=False, include_context=False)
    return first_error(details, tree, allowed)


def first_error(details: list[ErrorDetails], tree: Tree, allowed: Allowed) -> ProfileError:
    """Make one sentence of the first of some errors, in the order of the file."""
    found = [(_place(tree, item["loc"]), item) for item in details]
    place, first = min(found, key=lambda pair: (pair[0].line, pair[1]["loc"][:1] == ()))
    more = f" ({len(found) - 1} more after this one.)" if len(found) > 1 else ""
    return ProfileError(_sentence(first, allowed) + more, place.file, place.line)


def unknown(name: str, section: KeyPath, allowed: Iterable[str]) -> str:
    """Say that there is no such field, what may be meant, and what is allowed."""
    names = sorted(set(allowed))
    close = difflib.get_close_matches(name, names, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else "."
    where = f" in {dotted(section)!r}" if section else ""
    listed = f" Allowed here: {', '.join(names)}." if names else ""
    return f"there is no field {name!r}{where}{meant}{listed}"


def dotted(path: KeyPath) -> str:
    """Write a path as people do: ``examples.0.user``."""
    return ".".join(str(part) for part in path)


def _place(tree: Tree, path: KeyPath) -> Place:
    return tree.place(path) or Place("", 0)


def _sentence(item: ErrorDetails, allowed: Allowed) -> str:
    path, kind = item["loc"], item["type"]
    if kind == "extra_forbidden":
        return unknown(str(path[-1]), path[:-1], allowed(path[:-1]))
    if kind == "missing":
        return f"the field {dotted(path)!r} is missing."
    plain = _PLAIN.get(kind, item["msg"])
    message = re.sub(r"^(Value error, |(Input|String|Tuple|List) )", "", plain)
    if not path:
        return f"{message}."
    return f"{dotted(path)!r} {message}{_seen(kind, item['input'])}."


def _seen(kind: str, value: Any) -> str:
    """Show what stands there; only plain values, and none that a check of ours has explained."""
    if kind == "value_error" or not isinstance(value, str | int | float):
        return ""
    return f", not {reprlib.repr(value)}"

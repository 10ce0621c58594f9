"""``${NAME}`` in a profile: filled in when a stage is opened, never before and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr

from agent.profile.tree import KeyPath

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def references(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Give the path and name of every ``${NAME}`` in plain data."""
    if isinstance(value, str):
        for match in _REFERENCE.finditer(value):
            yield path, match[1]
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from references(item, (*path, key))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from references(item, (*path, i))


def clear(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """Give the path of every value in plain data that is not empty and holds no ``${NAME}``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from clear(item, (*path, key))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from clear(item, (*path, i))
    elif value not in (None, "") and not any(references(value)):
        yield path


def filled(value: Any, environment: Mapping[str, str]) -> Any:
    """Return plain data with every ``${NAME}`` replaced.

    Raises:
        KeyError: a name is not in the environment; look with ``references`` first.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: environment[match[1]], value)
    if isinstance(value, Mapping):
        return {key: filled(item, environment) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, environment) for item in value]
    return value


def secret_fields(options: type[BaseModel]) -> set[str]:
    """Return the options that are secrets by their type."""
    return {name for name, field in options.model_fields.items() if _secret(field.annotation)}


def _secret(annotation: Any) -> bool:
    return annotation in (SecretStr, SecretBytes) or any(map(_secret, get_args(annotation)))

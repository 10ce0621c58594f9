"""From a section of a profile to the plug-in it chooses, with checked options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agent.errors import ProfileError
from agent.profile.environment import clear, filled, references, secret_fields
from agent.profile.sentences import dotted, first_error
from agent.profile.tree import KeyPath, Tree
from stages import registry
from stages.contracts import Kind, Options, Plugin
from stages.errors import UserError


@dataclass(frozen=True, slots=True)
class Chosen:
    """A stage that a profile chose, ready to open: ``plugin.open(options, store)``.

    ``options`` may hold secrets in clear: never log it, never keep it longer than the stage.
    """

    kind: Kind
    engine: str
    plugin: Plugin[Any]
    options: Options

    def __repr__(self) -> str:
        return f"Chosen({self.kind} {self.engine})"


@dataclass(frozen=True, slots=True)
class Spot:
    """A section of a profile, as far as its plug-in is concerned."""

    profile: str
    section: str
    kind: Kind
    engine: str
    options: Mapping[str, Any]  # as written
    fields: tuple[str, ...]  # the agent's own, in the same section
    tree: Tree

    def error(self, reason: str, *keys: str | int) -> ProfileError:
        """Make an error that points to the place of a key in this section."""
        place = self.tree.place((self.section, *keys))
        return ProfileError(reason, place.file if place else "", place.line if place else None)


def chosen(spot: Spot, *, environment: Mapping[str, str] | None) -> Chosen:
    """Find the plug-in and check its options.

    Without an environment ``${NAME}`` stays as written, and what only its value could show to
    be wrong is passed over: the result is then good for nothing but the check.

    Raises:
        ProfileError: with file and line.
    """
    try:
        plugin = registry.find(spot.kind, spot.engine)
    except UserError as error:
        raise spot.error(str(error), "engine") from error
    _refuse_clear_secrets(spot, plugin)
    if environment is None:
        return Chosen(spot.kind, spot.engine, plugin, _checked(spot, plugin))
    missing = missing_variable(spot, environment)
    if missing:
        raise missing
    try:
        options = plugin.options.model_validate(filled(spot.options, environment))
    except ValidationError as error:
        raise _error(spot, plugin, _without_values(error)) from None
    return Chosen(spot.kind, spot.engine, plugin, options)


def missing_variable(spot: Spot, environment: Mapping[str, str]) -> ProfileError | None:
    """Return an error for the first ``${NAME}`` that is not set, if there is one."""
    for path, name in references(spot.options):
        if not environment.get(name):
            field = dotted((spot.section, *path))
            return spot.error(
                f"the profile {spot.profile!r} takes {field!r} from the environment variable"
                f" {name}, which is not set.",
                *path,
            )
    return None


def _checked(spot: Spot, plugin: Plugin[Any]) -> Options:
    """Check the options as written; a fault of a ``${NAME}`` itself is none."""
    try:
        return plugin.options.model_validate(dict(spot.options))
    except ValidationError as error:
        later = {path[:1] for path, _ in references(spot.options)}
        details = [item for item in _without_values(error) if item["loc"][:1] not in later]
        if details:
            raise _error(spot, plugin, details) from None
        return plugin.options.model_construct()


def _refuse_clear_secrets(spot: Spot, plugin: Plugin[Any]) -> None:
    for name in secret_fields(plugin.options) & set(spot.options):
        for path in clear(spot.options[name], (name,)):
            raise spot.error(
                f"'{dotted((spot.section, *path))}' is a secret and must not stand in a file; put"
                " it in an environment variable and write ${NAME} here.",
                *path,
            )


def _without_values(error: ValidationError) -> list[ErrorDetails]:
    """List what is wrong, without what stands there: an option may be secret."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    for item in details:
        item["input"] = None
    return details


def _error(spot: Spot, plugin: Plugin[Any], details: list[ErrorDetails]) -> ProfileError:
    for item in details:
        item["loc"] = (spot.section, *item["loc"])

    def allowed(path: KeyPath) -> tuple[str, ...]:
        return (*spot.fields, *plugin.options.model_fields) if len(path) == 1 else ()

    return first_error(details, spot.tree, allowed)

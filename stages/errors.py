"""The tree of errors: each is a sentence (what, where, what is allowed) with facts as attributes.

FirstWordError
├── UserError                the caller of the program can mend it: exit code 2, or a 4xx
│   ├── UnknownPlugin        no stage of that name
│   ├── PluginConflict       two plug-ins of one name
│   ├── PluginUnavailable    a package that the plug-in needs is not installed
│   ├── ModelMissing         not in the model store; says the command that pulls it
│   ├── ModelCorrupt         a file's SHA-256 is not the known one
│   └── ModelPullFailed      no network, no space, no such file
└── StageError               a stage failed in a call
    ├── Transient            may work next time: retry, then fall back
    └── Unusable             will not work in this call: fall back at once
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class FirstWordError(Exception):
    """Anything FirstWord raises on purpose; ``str()`` of it is a sentence for people."""


class UserError(FirstWordError):
    """Something that the user can put right."""


class UnknownPlugin(UserError):
    """A profile names a stage that nobody provides."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        super().__init__(
            f"There is no {kind} stage called {name!r}; there are: {', '.join(self.known)}."
        )


class PluginConflict(UserError):
    """Two installed distributions provide the same stage."""

    def __init__(self, kind: str, name: str, providers: Iterable[str]) -> None:
        self.kind, self.name, self.providers = kind, name, tuple(sorted(providers))
        super().__init__(
            f"The {kind} stage {name!r} is provided more than once, by"
            f" {' and '.join(self.providers)}; uninstall all but one."
        )


class PluginUnavailable(UserError):
    """A plug-in cannot be imported, or has not the shape of one."""

    def __init__(self, kind: str, name: str, reason: str, hint: str = "") -> None:
        self.kind, self.name, self.reason = kind, name, reason
        super().__init__(f"The {kind} stage {name!r} cannot be used: {reason}." + hint)


class ModelMissing(UserError):
    """A model is not in the model store."""

    def __init__(self, name: str, hint: str) -> None:
        self.name, self.hint = name, hint
        super().__init__(f"The model {name!r} is not here: {hint}.")


class ModelCorrupt(UserError):
    """A model's file is not the one that the catalogue knows."""

    def __init__(self, name: str, file: Path, hint: str = "") -> None:
        self.name, self.file = name, file
        how = hint or f"get it anew with: firstword models pull {name}"
        super().__init__(
            f"The model {name!r} cannot be trusted: {file} is not the file that FirstWord knows"
            f" (its SHA-256 differs). {how[0].upper()}{how[1:]}"
        )


class ModelPullFailed(UserError):
    """A model could not be brought into the store."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"The model {name!r} could not be pulled: {reason}.")


class StageError(FirstWordError):
    """A stage failed during a call."""

    def __init__(self, stage: str, reason: str) -> None:
        self.stage, self.reason = stage, reason  # stage: "llm openai", "tts edge"
        super().__init__(f"{stage}: {reason}")


class Transient(StageError):
    """A failure that another try may not meet: a time-out, a 429, a cut stream.

    ``retry_after`` is in seconds where the other side named it.
    """

    def __init__(self, stage: str, reason: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(stage, reason)


class Unusable(StageError):
    """A failure that would come again: a wrong key, an unknown model, a refused voice."""


def first_of(error: BaseException) -> BaseException:
    """Return the first error that is no group, of those that task groups have wrapped."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def the_one(error: BaseException) -> FirstWordError | None:
    """Return the error of ours that task groups have wrapped; none if it is another, or several."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, FirstWordError) else None

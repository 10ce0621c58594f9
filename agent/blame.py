"""Whatever a stage breaks with becomes a ``StageError``: a plug-in's slip ends no other call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stages.errors import StageError, Unusable, first_of


@contextmanager
def blamed(stage: str) -> Iterator[None]:
    """Run a stage's own code; cancellation and stage errors pass as they are.

    Raises:
        Unusable: it raised something that its contract does not know.
    """
    try:
        yield
    except* StageError:
        raise
    except* Exception as group:  # noqa: BLE001 - the edge to code that may be anybody's
        error = first_of(group)
        raise Unusable(stage, f"it broke with {error!r}") from error


def first_sentence(group: BaseExceptionGroup[StageError]) -> str:
    """Return the first failure of a group as a sentence."""
    return str(first_of(group))
